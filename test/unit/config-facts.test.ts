// The config without its secrets: how it is read, what may be shown, what changed, and which one was good.

import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createRedact } from '../../src/log.ts'
import {
  changesSince,
  createConfigHistory,
  flatten,
  type Kept,
  kept,
  parseConfigText,
  shortHash,
} from '../../src/ops/gateway/config.ts'
import { MINUTE, T0 } from './help.ts'

const redact = createRedact(['correct horse'])
const flat = (config: unknown) => flatten(config, redact)
const REAL = readFileSync(new URL('../fixtures/openclaw/openclaw.json', import.meta.url), 'utf8')

describe('the text of a config', () => {
  it.each<[string, string, unknown]>([
    ['plain JSON', '{"a":1}', { a: 1 }],
    ['a comment behind a value', '{"a":1 // one\n}', { a: 1 }],
    ['a comment over lines', '{/* a\n } */"a":1}', { a: 1 }],
    ['commas at ends', '{"a":[1,2,],}', { a: [1, 2] }],
    ['a comma, a comment and the end', '{"a":[1, // one\n /* two */ ],}', { a: [1] }],
    ['names without quotes', '{gateway:{bind:"lan",$x_1:null}}', { gateway: { bind: 'lan', $x_1: null } }],
    ['single quotes', `{'a':'it\\'s "so"'}`, { a: `it's "so"` }],
    ['an escaped double quote in single ones', `{'a':'x\\"y'}`, { a: 'x"y' }],
    ['what looks like a comment in a string', '{"a":"http://x//y/*z*/",}', { a: 'http://x//y/*z*/' }],
    ['what looks like a name in a string', '{"a":"b: c, }",}', { a: 'b: c, }' }],
    ['a byte order mark', '\ufeff{"a":1}', { a: 1 }],
    ['half of one', '{"a":', undefined],
    ['nothing', '', undefined],
    ['HTML', '<html>', undefined],
    ['code', '{a: process.exit()}', undefined],
    ...['"x', 'x', "'\\", ',/*', ', ', '{[,', '\\"', '//', 'a:', 'a ', '"\\'].map(
      (piece): [string, string, unknown] => [`no end: ${piece}…`, piece.repeat(300_000), undefined],
    ),
  ])('with %s', (_, text, value) => {
    expect(parseConfigText(text)).toEqual(value)
  })

  it('never makes the reader throw, and JSON is read as JSON', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        const value = parseConfigText(text)
        try {
          expect(value).toEqual(JSON.parse(text))
        } catch (error) {
          expect(error).toBeInstanceOf(SyntaxError)
        }
      }),
    )
  })

  it('as deep as a text can be is no reason to fall', () => {
    const deep = parseConfigText(`${'{"a":['.repeat(3_000)}1${']}'.repeat(3_000)}`)
    expect(Object.keys(flat(deep))).toHaveLength(1)
  })
})

describe('what may be shown', () => {
  it.each<[string, unknown, string]>([
    ['gateway.bind', 'lan', '"lan"'],
    ['gateway.port', 18789, '18789'],
    ['gateway.auth.enabled', true, 'true'],
    ['agents.list', [], '[]'],
    ['agents.model', null, 'null'],
    ['agents.model', 'anthropic/claude-opus-4-6', '"anthropic/claude-opus-4-6"'],
    ['agents.image', 'openclaw-sandbox:bookworm-slim', '"openclaw-sandbox:bookworm-slim"'],
    ['models.baseUrl', 'http://192.0.2.1:39900/v1', '"http://192.0.2.1:39900/v1"'],
  ])('%s with %o', (path, value, shown) => {
    expect(flat({ [path]: value })[JSON.stringify(path)]).toBe(shown)
  })

  it.each<[string, unknown]>([
    ['gateway.auth.mode', 'x'],
    ['channels.telegram.botToken', 'x'],
    ['hooks.secret', 'x'],
    ['a.password', 123456],
    ['a.passphrase', 'x'],
    ['a.apiKey', ''],
    ['a.API_KEY', 'x'],
    ['a.credentials.user', 'x'],
    ['a.cookie', 'x'],
    ['a.webhookUrl', 'x'],
    ['a.env.LANG', 'C.UTF-8'],
    ['mcp.args.1', 'x'],
    ['a.headers.X', 'x'],
    ['a.note', 'x'.repeat(81)],
    ['a.note', 'my correct horse'],
    ['a.note', ['sk', 'ant', 'oat01', 'abcdef'].join('-')],
    ['a.note', 'ab12'.repeat(16)],
    ['a.note', 'q7Wd2kLm9PzX4vBn8RtY'],
    ['a.url', 'https://ann:pw@example.org/'],
    ['a.url', 'https://example.org/?k=pw'],
  ])('not %s with %o', (path, value) => {
    const [[, shown] = []] = Object.entries(flat({ [path]: value }))
    expect(shown).toMatch(/^#[0-9a-f]{8}$/)
  })

  it('is no name that is a secret, too long, or not a plain word', () => {
    const secret = ['sk', 'ant', 'api03', 'x'.repeat(20)].join('-')
    const paths = Object.keys(
      flat({ a: { [secret]: 1, ['y'.repeat(500)]: 1, 'a.b\n<i>': 1, __proto__x: 1 } }),
    )
    expect(paths).toEqual([
      expect.stringMatching(/^a\.#[0-9a-f]{8}$/),
      expect.stringMatching(/^a\.#[0-9a-f]{8}$/),
      'a."a.b\\n<i>"',
      'a.__proto__x',
    ])
  })

  it('is bounded in number, and a change beyond is seen all the same', () => {
    const deep = (last: number) => {
      const leaves: unknown = Object.fromEntries(
        Array.from({ length: 50_000 }, (_, index) => [index, index ? 1 : last]),
      )
      const wide = { z: leaves, last }
      return Array.from({ length: 20 }).reduce<unknown>((inner) => ({ ['p'.repeat(80)]: inner }), wide)
    }
    const [one, two] = [flat(deep(1)), flat(deep(2))]
    expect(Object.keys(one)).toHaveLength(5_001)
    expect(one['(what there was no room for)']).not.toBe(two['(what there was no room for)'])
  })

  it('is a name like __proto__ as any other', () => {
    expect(Object.entries(flat(JSON.parse('{"__proto__":{"x":1},"constructor":2}')))).toEqual([
      ['__proto__.x', '1'],
      ['constructor', '2'],
    ])
    expect(Object.entries(flat(JSON.parse('{"__proto__":1}')))).toEqual([['__proto__', '1']])
  })

  it('never lets a hidden value or a part of it through, whatever it is', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 6 }), (value) => {
        const text = JSON.stringify(
          flat({ gateway: { auth: { token: value } }, channels: { botToken: [value] } }),
        )
        expect(text).not.toContain(JSON.stringify(value).slice(1, -1))
      }),
    )
  })

  it('of the config of a real gateway is all but what stands under env, auth and tokens', () => {
    const facts = flat(JSON.parse(REAL))
    expect(facts).toMatchObject({
      'gateway.bind': '"lan"',
      'gateway.controlUi.allowedOrigins.0': '"http://127.0.0.1:38791"',
      'agents.defaults.sandbox.docker.image': '"openclaw-sandbox:bookworm-slim"',
      'agents.defaults.sandbox.docker.env.LANG': expect.stringMatching(/^#/),
      'models.providers.anthropic.models.0.maxTokens': expect.stringMatching(/^#/),
      'meta.lastTouchedVersion': '"2026.9.6"',
    })
  })
})

const keptOf = (config: unknown) => kept({ hash: 'h', flat: flat(config) }, T0)

describe('what changed', () => {
  it.each<[string, unknown, unknown, unknown[]]>([
    ['nothing', { a: 1 }, { a: 1 }, []],
    ['a value', { a: 1 }, { a: 2 }, [{ path: 'a', kind: 'changed', before: '1', after: '2' }]],
    ['one came', {}, { a: { b: 'x' } }, [{ path: 'a.b', kind: 'added', after: '"x"' }]],
    ['one went', { a: 1, b: 2 }, { a: 1 }, [{ path: 'b', kind: 'removed', before: '2' }]],
    ['a hidden one', { token: 'x' }, { token: 'y' }, [{ path: 'token', kind: 'changed' }]],
    [
      'one that is hidden now',
      { a: 'x' },
      { a: 'x'.repeat(99) },
      [{ path: 'a', kind: 'changed', before: '"x"' }],
    ],
    ['what the gateway notes of itself', { meta: { v: 1 } }, { meta: { v: 2 } }, []],
  ])('%s', (_, before, after, changes) => {
    expect(changesSince(keptOf(before), flat(after)).filter(({ path }) => path !== '')).toEqual(changes)
  })

  it('is seen beyond what there was room for, too, and nothing is made up', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, index]))
    const old = keptOf(many)
    expect(JSON.stringify(old).length).toBeLessThan(32_000)
    expect(old.rest).toBeDefined()
    expect(changesSince(old, flat(many))).toEqual([])
    expect(changesSince(old, flat({ ...many, k4999: 0 }))).toEqual([
      { path: '(what there was no room for)', kind: 'changed' },
    ])
    expect(changesSince(old, flat({ ...many, k3: 0 }))).toEqual([
      { path: 'k3', kind: 'changed', before: '3', after: '0' },
    ])
  })
})

describe('the good one', () => {
  function createYard() {
    let now = T0
    let stored: { good?: Kept; before?: Kept } | undefined
    const history = createConfigHistory({
      get: () => stored,
      // As the state keeps it: as JSON.
      set: (value) => {
        stored = JSON.parse(JSON.stringify(value))
      },
      now: () => now,
    })
    return {
      history,
      look(config: object, readySince: number | undefined, after = MINUTE) {
        now += after
        history.note({ hash: shortHash(JSON.stringify(config)), flat: flat(config) }, readySince)
        return [history.good(), history.before()].map((each) => each?.flat.a)
      },
    }
  }

  it.each<[string, (yard: ReturnType<typeof createYard>) => unknown, unknown[]]>([
    [
      'is none at first sight, however long the gateway was ready',
      ({ look }) => look({ a: 1 }, 0),
      [undefined, undefined],
    ],
    [
      'is one that was there for 10 minutes of a ready gateway',
      ({ look }) => [look({ a: 1 }, 0), look({ a: 1 }, 0, 10 * MINUTE)],
      ['1', undefined],
    ],
    [
      'is not one that was there for 9',
      ({ look }) => [look({ a: 1 }, 0), look({ a: 1 }, 0, 9 * MINUTE)],
      [undefined, undefined],
    ],
    [
      'is not one whose gateway was ready for 9',
      ({ look }) => [look({ a: 1 }, 0), look({ a: 1 }, T0 + 2 * MINUTE, 10 * MINUTE)],
      [undefined, undefined],
    ],
    [
      'is not one whose gateway was away in between',
      ({ look }) => [look({ a: 1 }, 0), look({ a: 1 }, undefined, 5 * MINUTE), look({ a: 1 }, 0, 6 * MINUTE)],
      [undefined, undefined],
    ],
    [
      'stays while another one proves itself',
      ({ look }) => [
        look({ a: 1 }, 0),
        look({ a: 1 }, 0, 10 * MINUTE),
        look({ a: 2 }, 0),
        look({ a: 2 }, 0, 9 * MINUTE),
      ],
      ['1', undefined],
    ],
    [
      'becomes the one before when the next has proved itself',
      ({ look }) => [
        look({ a: 1 }, 0),
        look({ a: 1 }, 0, 10 * MINUTE),
        look({ a: 2 }, 0),
        look({ a: 2 }, 0, 10 * MINUTE),
      ],
      ['2', '1'],
    ],
    [
      'keeps the one before when only what the gateway notes of itself is new',
      ({ look }) => [
        ...[
          look({ a: 1 }, 0),
          look({ a: 1 }, 0, 10 * MINUTE),
          look({ a: 2 }, 0),
          look({ a: 2 }, 0, 10 * MINUTE),
        ],
        ...[look({ a: 2, meta: { v: 2 } }, 0), look({ a: 2, meta: { v: 2 } }, 0, 10 * MINUTE)],
      ],
      ['2', '1'],
    ],
  ])('%s', (_, happen, found) => {
    const yard = createYard()
    happen(yard)
    expect([yard.history.good(), yard.history.before()].map((each) => each?.flat.a)).toEqual(found)
  })

  it('fits with the one before into 64 kB, whatever its size', () => {
    const { history, look } = createYard()
    const huge = (a: number) => ({
      a,
      ...Object.fromEntries(Array.from({ length: 9_000 }, (_, i) => [`k\u20ac${i}`, 'x'.repeat(70)])),
    })
    for (const a of [1, 2]) {
      look(huge(a), 0)
      look(huge(a), 0, 10 * MINUTE)
    }
    expect(history.before()?.flat.a).toBe('1')
    expect(JSON.stringify([history.good(), history.before()]).length).toBeLessThan(64_000)
  })
})
