// Pages → Telegram HTML in messages that fit, and → plain text for the terminal.

import { styleText } from 'node:util'
import { type Button, fold, MARKS, type Page, plain, type Text } from './page.ts'

/** Telegram counts UTF-16 units after its entities are taken out; we count before, so this is on the safe side. */
const MESSAGE_UNITS = 4096
/** Longer answers than this come as a file. */
const MESSAGES_AT_MOST = 4

export const escapeHtml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/**
 * Characters that hide, reorder or break what a reader sees: names from outside cannot dress up as something else.
 * Controls, bidirectional overrides and zero-width characters (except the joiner that emoji need); and half an emoji,
 * left by a cut, for which Telegram refuses the whole message.
 */
const HOSTILE = /(?!\n)[\p{Cc}\p{Bidi_Control}\u200b\u200c\u2060\ufeff]/gu
export const harmless = (text: string) => text.replace(HOSTILE, '').toWellFormed()

/** One piece of text in HTML. */
export function html(text: Text): string {
  if (typeof text === 'string') return escapeHtml(harmless(text))
  if (Array.isArray(text)) return text.map(html).join('')
  if ('bold' in text) return `<b>${html(text.bold)}</b>`
  return 'code' in text ? `<code>${html(text.code)}</code>` : ''
}

export interface Message {
  html: string
  buttons: readonly (readonly Button[])[]
}

/** Cuts a line that no message could hold into pieces of text. */
function* pieces(line: Text, units: number): Generator<string> {
  const whole = html(line)
  if (whole.length <= units) return yield whole
  const text = harmless(plain(line))
  // A character is at most six units as an entity, so that a sixth of the room always fits.
  const step = Math.floor(units / 6)
  for (let from = 0; from < text.length; from += step)
    yield escapeHtml(text.slice(from, from + step).toWellFormed())
}

/** Packs pieces into blocks no longer than `units`, each dressed by `wrap`. */
function pack(lines: readonly Text[], units: number, wrap: (inner: string) => string): string[] {
  const room = units - wrap('').length
  const blocks: string[] = []
  let block = ''
  for (const line of lines)
    for (const piece of pieces(line, room)) {
      if (block && block.length + 1 + piece.length > room) {
        blocks.push(block)
        block = piece
      } else block = block ? `${block}\n${piece}` : piece
    }
  return (block ? [...blocks, block] : blocks).map(wrap)
}

const quote = (inner: string) => `<blockquote expandable>${inner}</blockquote>`

function headed(page: Page): Text {
  return page.mark ? [`${MARKS[page.mark]} `, page.title] : page.title
}

/** Telegram takes no message without a visible character. */
const isBlank = (html: string) => !/\S/.test(html.replace(/<[^>]*>/g, ''))

/** The blocks of a page, each short enough for a message of its own. */
function blocksOf(page: Page): string[] {
  const { lines, details } = fold(page)
  const title: Text = { bold: plain(headed(page)) }
  const blocks = [
    ...pack([title, ...lines], MESSAGE_UNITS, (inner) => inner),
    ...pack(details, MESSAGE_UNITS, quote),
  ]
  return blocks.filter((block) => !isBlank(block))
}

/**
 * The messages of a page in Telegram HTML, tags closed in each; the buttons are on the last.
 * A page that would take more than four is one message, and a file with all of it.
 */
export function messagesOf(page: Page): { messages: Message[]; file?: { name: string; text: string } } {
  const joined: string[] = []
  for (const block of blocksOf(page)) {
    const last = joined.at(-1)
    if (last !== undefined && last.length + 1 + block.length <= MESSAGE_UNITS)
      joined[joined.length - 1] = `${last}\n${block}`
    else joined.push(block)
  }
  const buttons = page.buttons ?? []
  const withButtons = (texts: readonly string[]) =>
    texts.map((text, index) => ({ html: text, buttons: index === texts.length - 1 ? buttons : [] }))
  if (joined.length <= MESSAGES_AT_MOST)
    return { messages: withButtons(joined), ...(page.file && { file: page.file }) }
  const { title } = page
  return {
    messages: withButtons([
      cardHtml({ ...page, details: [], lines: ['The whole answer is in the file.'], title }),
    ]),
    file: { name: page.file?.name ?? 'answer.txt', text: terminal(page, { colour: false }) },
  }
}

/** A card is one message: what does not fit is left out at the end, and says so. */
export function cardHtml(page: Page): string {
  const { lines, details } = fold(page)
  const title: Text = { bold: plain(headed(page)) }
  const [top = '', ...cut] = pack([title, ...lines], MESSAGE_UNITS / 2, (inner) => inner)
  const head = cut.length > 0 ? `${top}\n…` : top
  const room = MESSAGE_UNITS - head.length - 1
  const shown = pack(details, room, quote)
  if (shown.length <= 1) return [head, ...shown].join('\n')
  const [first = ''] = pack(details, room - 4, (inner) => quote(`${inner}\n…`))
  return `${head}\n${first}`
}

/** A page as plain text, its buttons numbered from `firstNumber`. */
export function terminal(page: Page, options: { colour: boolean; firstNumber?: number }): string {
  const { colour, firstNumber = 1 } = options
  const bold = (text: string) => (colour ? styleText('bold', text, { validateStream: false }) : text)
  const line = (text: Text): string => {
    if (typeof text === 'string') return harmless(text)
    if (Array.isArray(text)) return text.map(line).join('')
    return 'bold' in text ? bold(harmless(text.bold)) : harmless(plain(text))
  }
  const numbered = (page.buttons ?? [])
    .flat()
    .map((button, index) =>
      'url' in button ? `[${button.label}: ${button.url}]` : `[${firstNumber + index}] ${button.label}`,
    )
  return [
    bold(harmless(plain(headed(page)))),
    ...(page.lines ?? []).map(line),
    ...(page.details ?? []).map((each) => `  ${line(each)}`),
    ...(numbered.length > 0 ? [numbered.join('  ')] : []),
    ...(page.file ? [`--- ${page.file.name}`, page.file.text.trimEnd()] : []),
  ].join('\n')
}
