// Telegram's HTML, parsed as TDLib does it: the same tags, the same attributes, the same complaints with byte offsets.

import type { MessageEntity } from 'grammy/types'
import { badRequest } from './refusal.ts'

/** What a message says once its markup is gone. */
export type Formatted = { text: string; entities: MessageEntity[] }

type OpenTag = { name: string; argument: string; offset: number }
type Piece = { offset: number; length: number }
type Attributes = Map<string, string>

const SIMPLE = {
  b: 'bold',
  strong: 'bold',
  i: 'italic',
  em: 'italic',
  u: 'underline',
  ins: 'underline',
  s: 'strikethrough',
  strike: 'strikethrough',
  del: 'strikethrough',
  span: 'spoiler',
  'tg-spoiler': 'spoiler',
} as const

/** Tag → what of its attributes matters; a tag that is not here is not supported. */
const TAGS: Record<string, (attributes: Attributes) => string> = {
  ...Object.fromEntries(Object.keys(SIMPLE).map((name) => [name, () => ''])),
  span: (attributes) => attributes.get('class') ?? '',
  a: (attributes) => attributes.get('href') ?? '',
  pre: () => '',
  code: (attributes) => /^language-(.+)$/s.exec(attributes.get('class') ?? '')?.[1] ?? '',
  blockquote: (attributes) => (attributes.has('expandable') ? 'expandable_' : ''),
  'tg-emoji': (attributes) => attributes.get('emoji-id') ?? '',
}

const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"' }
const REFERENCE = /&(?:#x([\da-fA-F]+)|#(\d+)|(lt|gt|amp|quot)(?![a-zA-Z]));?/y
const ANY_REFERENCE = new RegExp(REFERENCE.source, 'g')
const ATTRIBUTE = /\s*([^\s=>/"']+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([\w.-]+)))?/y

/** Text and entities of HTML source, or the refusal that Telegram answers with. */
export function parseHtml(source: string): Formatted {
  const open: OpenTag[] = []
  const entities: MessageEntity[] = []
  const fail = (reason: string, at?: number) =>
    badRequest(
      `can't parse entities: ${reason}${at === undefined ? '' : ` at byte offset ${bytesTo(source, at)}`}`,
    )
  let text = ''
  let at = 0
  while (at < source.length) {
    if (source[at] !== '<') {
      const next = readText(source, at)
      text += next.text
      at = next.end
    } else if (source[at + 1] === '/') {
      const tag = open.at(-1)
      if (!tag) throw fail('Unexpected end tag', at)
      at = readEndTag(source, at, tag.name, fail)
      open.pop()
      if (text.length > tag.offset) close(entities, tag, text)
    } else {
      const start = readStartTag(source, at, fail)
      open.push({ ...start.tag, offset: text.length })
      at = start.end
    }
  }
  const unclosed = open.at(-1)
  if (unclosed) throw fail(`Can't find end tag corresponding to start tag "${unclosed.name}"`)
  return trimmed({ text, entities: entities.map(plainCode) })
}

type Fail = (reason: string, at?: number) => Error

const bytesTo = (source: string, end: number) => Buffer.byteLength(source.slice(0, end))

function readText(source: string, at: number): { text: string; end: number } {
  if (source[at] !== '&') {
    const end = source.slice(at).search(/[&<]/)
    return end < 0
      ? { text: source.slice(at), end: source.length }
      : { text: source.slice(at, at + end), end: at + end }
  }
  const reference = readReference(source, at)
  return reference ?? { text: '&', end: at + 1 }
}

function readReference(source: string, at: number): { text: string; end: number } | undefined {
  REFERENCE.lastIndex = at
  const match = REFERENCE.exec(source)
  if (!match) return undefined
  const [, hex, decimal, name] = match
  const code = hex ? Number.parseInt(hex, 16) : Number(decimal)
  const text = name ? NAMED[name] : code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined
  return text === undefined ? undefined : { text, end: REFERENCE.lastIndex }
}

const decode = (source: string) => source.replace(ANY_REFERENCE, (all) => readReference(all, 0)?.text ?? all)

function readStartTag(source: string, at: number, fail: Fail) {
  const name = /^[^\s>]*/.exec(source.slice(at + 1))?.[0] ?? ''
  let end = at + 1 + name.length
  if (end >= source.length) throw fail('Unclosed start tag', at)
  const tagName = name.toLowerCase()
  const argumentOf = TAGS[tagName]
  if (!argumentOf) throw fail(`Unsupported start tag "${tagName}"`, at)
  const attributes: Attributes = new Map()
  while (!/^\s*>/.test(source.slice(end))) {
    ATTRIBUTE.lastIndex = end
    const match = ATTRIBUTE.exec(source)
    if (/^\s*$/.test(source.slice(end))) throw fail('Unclosed start tag', at)
    if (!match) throw fail(`Empty attribute name in the tag "${tagName}"`, at)
    attributes.set(
      (match[1] ?? '').toLowerCase(),
      decode(match[2] ?? match[3] ?? match[4]?.toLowerCase() ?? ''),
    )
    end = ATTRIBUTE.lastIndex
    if (end >= source.length || source[end] === '=') throw fail('Unclosed start tag', at)
  }
  const argument = argumentOf(attributes)
  if (tagName === 'span' && argument !== 'tg-spoiler') {
    throw fail('Tag "span" must have class "tg-spoiler"', at)
  }
  return { tag: { name: tagName, argument }, end: source.indexOf('>', end) + 1 }
}

function readEndTag(source: string, at: number, expected: string, fail: Fail): number {
  const [all = '', name = ''] = /^<\/([^\s>]*)\s*/.exec(source.slice(at)) ?? []
  const end = at + all.length
  if (source[end] !== '>') throw fail('Unclosed end tag', at)
  if (name !== '' && name.toLowerCase() !== expected) {
    throw fail(
      `Unmatched end tag at byte offset ${bytesTo(source, at)}, expected "</${expected}>", found "</${name}>"`,
    )
  }
  return end + 1
}

/** Tag → the entity that it leaves; undefined for a link that leads nowhere. */
function entityOf(tag: OpenTag, piece: Piece, inner: string): MessageEntity | undefined {
  const { name, argument } = tag
  if (name === 'a') return linkOf(argument || inner, piece)
  if (name === 'pre') return { type: 'pre', ...piece }
  if (name === 'blockquote') return { type: `${argument as 'expandable_' | ''}blockquote`, ...piece }
  if (name === 'tg-emoji') return { type: 'custom_emoji', custom_emoji_id: argument, ...piece }
  // The language rides on the code entity until the enclosing <pre> takes it, or nobody does.
  if (name === 'code') return { type: 'code', ...piece, ...(argument && { language: argument }) }
  return { type: SIMPLE[name as keyof typeof SIMPLE], ...piece }
}

function linkOf(target: string, piece: Piece): MessageEntity | undefined {
  const url = /^[a-z][a-z\d+.-]*:/i.test(target)
    ? target
    : /^[^\s/]+\.[^\s/]+/.test(target)
      ? `http://${target}`
      : ''
  return /^(https?|tg|ton|mailto|tel):\S+$/i.test(url) ? { type: 'text_link', url, ...piece } : undefined
}

function close(entities: MessageEntity[], tag: OpenTag, text: string): void {
  const piece = { offset: tag.offset, length: text.length - tag.offset }
  const last = entities.at(-1)
  const same = last && last.offset === piece.offset && last.length === piece.length
  const language = tag.name === 'pre' && same && last.type === 'code' ? languageOf(last) : undefined
  if (language) entities[entities.length - 1] = { type: 'pre', language, ...piece }
  else {
    const entity = entityOf(tag, piece, text.slice(tag.offset))
    if (entity) entities.push(entity)
  }
}

const languageOf = (entity: MessageEntity) => ('language' in entity ? entity.language : undefined)

const plainCode = (entity: MessageEntity): MessageEntity =>
  entity.type === 'code' ? { type: 'code', offset: entity.offset, length: entity.length } : entity

/** What Telegram stores: no white space at either end, entities cut to fit and in their order. */
export function trimmed({ text, entities }: Formatted): Formatted {
  const clean = text.trimEnd()
  const cut = clean.length - clean.trimStart().length
  const fitted = entities.flatMap((entity) => {
    const offset = Math.max(0, entity.offset - cut)
    const length = Math.min(clean.length, entity.offset + entity.length) - cut - offset
    return length > 0 ? [{ ...entity, offset, length }] : []
  })
  return {
    text: clean.slice(cut),
    entities: fitted.sort((a, b) => a.offset - b.offset || b.length - a.length),
  }
}

/** Plain text as HTML that shows it unchanged. */
export const escapeHtml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
