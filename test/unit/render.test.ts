// Pages as Telegram's HTML: nothing that a name can do breaks a message, and every message fits. The fake's parser judges.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fold, type Page, plain, type Text } from '../../src/bot/page.ts'
import { cardHtml, escapeHtml, harmless, html, messagesOf, terminal } from '../../src/bot/render.ts'
import { parseHtml } from '../telegram/html.ts'

const LIMIT = 4096
const textOf = (message: { html: string }) => parseHtml(message.html).text

/** What a message shows. @throws what Telegram would refuse it with. */
function judge(markup: string): string {
  const { text } = parseHtml(markup)
  expect(text.length).toBeGreaterThan(0)
  expect(text.length).toBeLessThanOrEqual(LIMIT)
  expect(text.isWellFormed()).toBe(true)
  return text
}

const lines = (count: number, width = 20) =>
  Array.from({ length: count }, (_, line) => `${line} `.padEnd(width, 'x'))

describe('a piece of text', () => {
  it.each<[Text, string]>([
    ['plain', 'plain'],
    ['<b>&amp;"\'', '&lt;b&gt;&amp;amp;"\''],
    [{ bold: '<' }, '<b>&lt;</b>'],
    [{ code: '</code>' }, '<code>&lt;/code&gt;</code>'],
    [['a', { bold: 'b' }, [{ code: 'c' }]], 'a<b>b</b><code>c</code>'],
    ['evil\u202egnp.exe', 'evilgnp.exe'],
    ['zero\u200bwidth\ufeff\u2060\u200c', 'zerowidth'],
    ['bell\u0007 escape\u001b[31m null\u0000 tab\t', 'bell escape[31m null tab'],
    ['isolate\u2066\u2069 mark\u200e\u200f', 'isolate mark'],
    ['line\nbreak', 'line\nbreak'],
    ['👩‍👩‍👧 family', '👩‍👩‍👧 family'],
    ['Zoë Ñandú 漢字 عربى', 'Zoë Ñandú 漢字 عربى'],
  ])('%j', (text, markup) => expect(html(text)).toBe(markup))

  it('reads in Telegram exactly as it is, but for what is hostile', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const clean = harmless(text).trim()
        fc.pre(clean !== '')
        expect(parseHtml(html(text)).text.trim()).toBe(clean)
        expect(parseHtml(escapeHtml(clean)).entities).toEqual([])
      }),
    )
  })
})

describe('a page', () => {
  it('begins with its verdict, and folds everything from the seventh line on', () => {
    const page: Page = { mark: 'bad', title: 'Disk almost full', lines: lines(8), details: ['a detail'] }
    const { messages } = messagesOf(page)
    const { text, entities } = parseHtml(messages[0]?.html ?? '')
    const quote =
      entities.find(({ type }) => type === 'expandable_blockquote') ?? expect.fail('nothing is folded')
    expect(entities[0]).toMatchObject({ type: 'bold', offset: 0 })
    expect(text.slice(0, quote.offset).trimEnd().split('\n')).toHaveLength(6)
    expect(text.slice(quote.offset).split('\n')).toHaveLength(4)
    expect(text.startsWith('🔴 Disk almost full\n')).toBe(true)
  })

  it.each([
    [0, 0, 0, 0],
    [6, 0, 6, 0],
    [6, 3, 6, 3],
    [7, 0, 5, 2],
    [7, 3, 5, 5],
  ])('of %i lines and %i details shows %i and folds %i', (many, more, shown, folded) => {
    const { lines: kept, details } = fold({ title: '', lines: lines(many), details: lines(more) })
    expect([kept.length, details.length]).toEqual([shown, folded])
  })

  it('that fits is one message with its buttons', () => {
    const buttons = [[{ label: 'Ack', run: 'ack 1' }]]
    expect(messagesOf({ title: 'Fine', buttons })).toEqual({ messages: [{ html: '<b>Fine</b>', buttons }] })
  })

  it('that does not fit is split at its lines, tags closed in each, the buttons on the last', () => {
    const details = lines(200, 60)
    const buttons = [[{ label: 'Ack', run: 'ack 1' }]]
    const { messages, file } = messagesOf({ title: 'Long', details, buttons })
    expect(file).toBeUndefined()
    expect(messages.length).toBeGreaterThan(2)
    expect(messages.map((message) => message.buttons.length)).toEqual([...messages.slice(1).map(() => 0), 1])
    for (const { html: markup } of messages) expect(markup.length).toBeLessThanOrEqual(LIMIT)
    expect(messages.map(textOf).join('\n')).toBe(['Long', ...details.map((line) => line.trim())].join('\n'))
  })

  it('that is very long is a short message and a file with all of it', () => {
    const details = lines(2_000, 60)
    const { messages, file } = messagesOf({ mark: 'ok', title: 'Very long', details })
    expect(messages.map(textOf)).toEqual(['✅ Very long\nThe whole answer is in the file.'])
    expect(file?.name).toBe('answer.txt')
    for (const line of ['✅ Very long', ...details]) expect(file?.text).toContain(line)
  })

  it('with a file of its own keeps it', () => {
    const file = { name: 'log.txt', text: 'the log' }
    expect(messagesOf({ title: 'Log', file }).file).toBe(file)
  })

  it.each<[string, Page]>([
    ['a line that no message can hold', { title: 'x', lines: ['&'.repeat(9_000)] }],
    ['a line of emoji that is cut within one', { title: 'x', lines: [`a${'🦞'.repeat(3_000)}`] }],
    ['a title that no message can hold', { title: '<'.repeat(5_000) }],
    [
      'marked up pieces that are too long',
      { title: 'x', details: [[{ bold: 'b'.repeat(5_000) }, { code: '<>'.repeat(5_000) }]] },
    ],
    ['lines of nothing', { title: 'x', lines: ['', '', ''], details: ['', ''] }],
  ])('with %s is still taken', (_, page) => {
    for (const { html: markup } of messagesOf(page).messages) judge(markup)
    judge(cardHtml(page))
  })
})

describe('a card', () => {
  it('is one message: what does not fit is left out, and it says so', () => {
    const shown = judge(cardHtml({ title: 'Storm', details: lines(500, 60) }))
    expect(shown).toMatch(/^Storm\n0 x/)
    expect(shown).toMatch(/\n…$/)
  })

  it('says so too when its first lines do not fit', () => {
    const shown = judge(cardHtml({ title: 'Storm', lines: lines(5, 1_000), details: ['a detail'] }))
    expect(shown).toContain('…')
    expect(shown).toContain('a detail')
  })
})

describe('whatever a page holds', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.constantFrom(
      '<b>',
      '</b>',
      '&lt;',
      '&',
      '<',
      '</code></blockquote>',
      '\u202e',
      '\n\n',
      '😀'.repeat(700),
      '<&>'.repeat(900),
      'w'.repeat(6_000),
    ),
  )
  const { text } = fc.letrec<{ text: Text }>((tie) => ({
    text: fc.oneof(
      { depthSize: 'small' },
      nasty,
      nasty.map((bold) => ({ bold })),
      nasty.map((code) => ({ code })),
      fc.array(tie('text'), { maxLength: 4 }),
    ),
  }))
  const page = fc.record(
    {
      mark: fc.constantFrom('ok' as const, 'bad' as const),
      title: text,
      lines: fc.array(text, { maxLength: 12 }),
      details: fc.array(text, { maxLength: 40 }),
    },
    { requiredKeys: ['mark', 'title'] },
  )

  it('every message of it is one that Telegram takes', () => {
    fc.assert(
      fc.property(page, (each) => {
        const { messages } = messagesOf(each)
        expect(messages.length).toBeLessThanOrEqual(4)
        for (const { html: markup } of messages) judge(markup)
        judge(cardHtml(each))
      }),
      { numRuns: 300 },
    )
  })

  it('nothing of a page that fits is lost', () => {
    const small = fc.string({ unit: 'grapheme', maxLength: 30 })
    fc.assert(
      fc.property(
        small,
        fc.array(small, { maxLength: 6 }),
        fc.array(small, { maxLength: 10 }),
        (title, some, more) => {
          const bare = (words: string) => harmless(words).replace(/\s/g, '')
          const { messages } = messagesOf({ mark: 'ok', title, lines: some, details: more })
          const all = bare(messages.map(textOf).join(''))
          expect(all).toBe(bare(['✅', title, ...some, ...more].join('')))
        },
      ),
    )
  })

  it('on a terminal nothing of it moves the cursor', () => {
    fc.assert(
      fc.property(page, (each) => {
        expect(terminal(each, { colour: false })).not.toMatch(/(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
      }),
    )
  })
})

describe('a page on a terminal', () => {
  it('has its title, lines, details, numbered buttons and file', () => {
    const page: Page = {
      mark: 'warn',
      title: 'Disk',
      lines: [['91 ', { bold: '%' }]],
      details: [{ code: '/var' }],
      buttons: [
        [
          { label: 'Ack', run: 'ack 1' },
          { label: 'Docs', url: 'https://example.com' },
        ],
        [{ label: 'Do it', confirm: 'n' }],
      ],
      file: { name: 'a.txt', text: 'all\n' },
    }
    expect(terminal(page, { colour: false, firstNumber: 3 }).split('\n')).toEqual([
      '🟡 Disk',
      '91 %',
      '  /var',
      '[3] Ack  [Docs: https://example.com]  [5] Do it',
      '--- a.txt',
      'all',
    ])
    expect(terminal(page, { colour: true })).toContain('\u001b[1m')
  })

  it('its text is plain', () => expect(plain(['a', { bold: 'b' }, [{ code: 'c' }]])).toBe('abc'))
})
