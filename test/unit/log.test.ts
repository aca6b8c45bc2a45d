// The log and what takes secrets out of everything: every shape, in every dress, and JSON stays JSON.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLog, createRedact, errorFields } from '../../src/log.ts'

// Put together here, so that no scanner takes this file for a leak.
const TOKEN = `${'123456789'}:${'AbC-dEf_gH'.repeat(3)}12345`
const CLAUDE = ['sk', 'ant', 'oat01', 'x'.repeat(12)].join('-')
const JWT = ['eyJhbGciOiJI', 'eyJzdWIiOiIx', 'c2lnbmF0dXJl'].join('.')
const HEX = '0123456789abcdef'.repeat(4)

const SECRETS = {
  'a bot token': TOKEN,
  'a bot token in an address': encodeURIComponent(TOKEN),
  'a key of Anthropic': CLAUDE,
  'a JWT': JWT,
  'a JWT without a signature': JWT.slice(0, JWT.lastIndexOf('.') + 1),
  'a bearer header': `Bearer ${'abc123+/=._~-'}`,
  'a basic header': 'Basic YTpiOmM6ZDplOmY=',
  '64 hex digits': HEX,
  '64 hex digits in capitals': HEX.toUpperCase(),
}

const AROUND: Record<string, (secret: string) => string> = {
  'as it stands': (secret) => secret,
  'in quotes': (secret) => `"${secret}"`,
  'amid words': (secret) => `token=${secret}, done`,
  'after a line break': (secret) => `it is:\n${secret}\nkeep it`,
  'after a tab': (secret) => `it is\t${secret}\t`,
  'in a colour': (secret) => `\u001b[33m${secret}\u001b[39m`,
  'in an address': (secret) => `https://api.telegram.org/bot${secret}/getMe`,
}

describe.each(Object.entries(SECRETS))('%s', (_, secret) => {
  const redact = createRedact([])
  it.each(Object.entries(AROUND))(
    '%s is blotted out, also once it is in JSON and in JSON in JSON',
    (_, dress) => {
      const once = JSON.stringify({ text: dress(secret) })
      for (const text of [dress(secret), once, JSON.stringify({ once })]) {
        expect(redact(text)).not.toContain(secret)
        expect(redact(text)).toContain('[redacted]')
      }
      expect(() => JSON.parse(redact(once))).not.toThrow()
    },
  )
})

describe('a login code', () => {
  const code = [['aB3', 'codeFromThePage'].join('_-'), 'boPp'.repeat(10)].join('#')
  const { 'in an address': _, ...around } = AROUND
  it.each(Object.entries(around))('%s is blotted out', (_, dress) => {
    const once = JSON.stringify({ text: dress(code) })
    for (const text of [dress(code), once, JSON.stringify({ once })]) {
      expect(createRedact([])(text)).toContain('[redacted]')
      expect(createRedact([])(text)).not.toMatch(/codeFrom|boPp/)
    }
  })
})

describe('what is no secret', () => {
  it.each([
    ['a time and a number', '2026-11-20T12:00:00.000Z 12345678'],
    ['a chat', 'chat -1001234567890: closed'],
    ['a short id', 'container 0123456789ab'],
    ['a SHA-512 digest', '0123456789abcdef'.repeat(8)],
    ['a sentence', 'The key of this house is under the mat: basic, bearer of news.'],
    ['a file name', 'eyJ.txt and key.journal.log'],
    ['an address', 'https://docs.example.com/a-page-about-many-things#of-which-this-is-one'],
    ['a short address', 'https://troubleshooting-pages/#of-which-this-is-one'],
  ])('%s stays as it is', (_, text) => {
    expect(createRedact([])(text)).toBe(text)
  })
})

describe('a known secret', () => {
  const secret = 'pa"ss\\wo/rd ü+&'
  const redact = createRedact([secret])
  it.each([
    ['as it stands', secret],
    ['in an address', encodeURIComponent(secret)],
    ['in JSON', JSON.stringify({ secret })],
    ['in base64', Buffer.from(secret).toString('base64')],
    ['in base64 without its end', Buffer.from(secret).toString('base64').replace(/=+$/, '')],
    ['twice', `${secret}${secret}`],
  ])('is blotted out %s', (_, text) => {
    const clean = redact(`<${text}>`)
    expect(clean).toContain('[redacted]')
    expect(clean).not.toMatch(/pa.{0,6}ss|cGEi/)
  })

  it('is blotted out as a whole when it contains another one', () => {
    expect(createRedact(['secret', 'secret-and-more'])('secret-and-more')).toBe('[redacted]')
  })

  it('that is too short would blot out everything, and is left', () => {
    expect(createRedact(['', 'a', 'abcde'])('a text abcde')).toBe('a text abcde')
  })
})

describe('the log', () => {
  function logged(secrets: readonly string[] = []) {
    const lines: string[] = []
    return { lines, log: createLog(createRedact(secrets), (line) => lines.push(line)) }
  }

  it.each([
    ['debug', 7],
    ['info', 6],
    ['warn', 4],
    ['error', 3],
  ] as const)('%s is one line of JSON with syslog’s priority %i', (level, priority) => {
    const { log, lines } = logged()
    log[level]('it happened\nso it did', { chat: -100, by: 'Ann' })
    expect(lines).toHaveLength(1)
    expect(lines[0]).not.toContain('\n')
    const { time, ...rest } = JSON.parse(lines[0] ?? '')
    expect(rest).toEqual({ level, priority, message: 'it happened\nso it did', chat: -100, by: 'Ann' })
    expect(new Date(time).toISOString()).toBe(time)
  })

  it('never holds a secret, however deep it stands, and stays JSON', () => {
    const known = 'correct horse "battery"\nstaple'
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom(known, ...Object.values(SECRETS)),
      fc
        .tuple(fc.string(), fc.constantFrom(...Object.values(SECRETS), known), fc.string())
        .map((all) => all.join('\n')),
    )
    fc.assert(
      fc.property(text, fc.object({ values: [text, fc.integer()] }), (message, fields) => {
        const { log, lines } = logged([known])
        log.error(message, { fields })
        expect(() => JSON.parse(lines[0] ?? '')).not.toThrow()
        for (const secret of [TOKEN, CLAUDE, JWT, HEX, 'correct horse', 'staple"'])
          expect(lines[0]).not.toContain(secret)
      }),
    )
  })

  it('keeps an error’s message, the first lines of its stack and what its causes say', () => {
    const { log, lines } = logged()
    const error = new Error(`no answer from bot${TOKEN}`, { cause: new Error(`socket of ${CLAUDE}`) })
    log.error('it broke', errorFields(error))
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      error: 'no answer from bot[redacted]',
      stack: expect.stringMatching(/log\.test\.ts/),
      cause: 'socket of [redacted]',
    })
    expect(errorFields('a word')).toEqual({ error: 'a word' })
    expect(errorFields(undefined)).toEqual({ error: 'undefined' })
  })
})
