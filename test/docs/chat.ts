// A picture of a chat as SVG, drawn from the very pages that the bot would send.

import { fold, MARKS, type Page, plain } from '../../src/bot/page.ts'

/** One bubble: a page of the bot's, or what a person wrote. */
export type Bubble = Page | { from: string; text: string }

const WIDTH = 620
const LINE = 22
const PAD = 14
const CHARS = 66

const escapeXml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** Breaks a line at spaces so that it fits the bubble. */
function wrap(text: string): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= CHARS)
      lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines
}

function draw(bubble: Bubble, top: number): { svg: string; height: number } {
  const mine = 'from' in bubble
  const title = mine ? '' : `${bubble.mark ? `${MARKS[bubble.mark]} ` : ''}${plain(bubble.title)}`
  const lines = mine ? wrap(bubble.text) : fold(bubble).lines.flatMap((line) => wrap(plain(line)))
  const rows = mine ? lines : [...wrap(title), ...lines]
  const keys = mine ? [] : (bubble.buttons ?? [])
  const bold = mine ? 0 : wrap(title).length
  const height = rows.length * LINE + PAD * 1.5
  const width = mine ? 40 + (lines[0]?.length ?? 0) * 8.6 : WIDTH - 60
  const left = mine ? WIDTH - width - 16 : 16
  const text = rows.map(
    (row, index) =>
      `<text x="${left + PAD}" y="${top + PAD + 8 + index * LINE}"${index < bold ? ' font-weight="bold"' : ''}>${escapeXml(row)}</text>`,
  )
  const buttons = keys.flatMap((row, rowIndex) =>
    row.map((button, index) => {
      const size = (width - 6 * (row.length - 1)) / row.length
      const x = left + index * (size + 6)
      const y = top + height + 6 + rowIndex * 38
      return `<rect x="${x}" y="${y}" width="${size}" height="32" rx="8" fill="#3a4a5a"/><text x="${x + size / 2}" y="${y + 21}" text-anchor="middle" fill="#fff">${escapeXml(button.label)}</text>`
    }),
  )
  const box = `<rect x="${left}" y="${top}" width="${width}" height="${height}" rx="12" fill="${mine ? '#2b5278' : '#182533'}"/>`
  return { svg: [box, ...text, ...buttons].join('\n'), height: height + keys.length * 38 + 16 }
}

/** @param title says what is seen, for who cannot see it. */
export function chatPicture(title: string, bubbles: readonly Bubble[]): string {
  let top = 16
  const drawn = bubbles.map((bubble) => {
    const { svg, height } = draw(bubble, top)
    top += height
    return svg
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${top}" width="${WIDTH}" height="${top}" font-family="-apple-system, Segoe UI, Roboto, Noto Sans, sans-serif" font-size="15" fill="#fff">
<title>${escapeXml(title)}</title>
<rect width="${WIDTH}" height="${top}" fill="#0e1621"/>
${drawn.join('\n')}
</svg>
`
}
