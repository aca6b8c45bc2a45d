// Stages of credentials as tables: how near its end each kind is, and who is told of it.

import { describe, expect, it } from 'vitest'
import type { Credential, Truth } from '../../src/ops/credentials/index.ts'
import { loginStage, stageOf, tokenStage } from '../../src/ops/credentials/stages.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const cli: Credential = {
  ...{ id: 'cli', kind: 'login', provider: 'anthropic', where: 'the Claude CLI on this host' },
  ...{ hash: 'a'.repeat(16), refreshHash: 'f'.repeat(16), expiresAt: NOW + 6 * HOUR },
  renewedBy: 'the Claude CLI',
}
const copy: Credential = {
  ...{ id: 'profile/main/anthropic:default', kind: 'access token', provider: 'anthropic' },
  ...{ where: 'agent main, anthropic:default', hash: 'b'.repeat(16) },
}
const truthOf = (...credentials: Credential[]): Pick<Truth, 'credentials' | 'at'> => ({
  credentials,
  at: NOW,
})

/** `bad expired daily`, `ok`. */
const short = ({ verdict, stage, daily }: ReturnType<typeof stageOf>) =>
  [verdict, stage, daily && 'daily'].filter(Boolean).join(' ')

describe('the token that the keeper renews', () => {
  it.each([
    [8 * HOUR, 'ok'],
    [4 * MINUTE, 'ok'],
    [3 * MINUTE + 1, 'ok'],
    [3 * MINUTE, 'warn refresh overdue'],
    [1, 'warn refresh overdue'],
    [0, 'bad expired'],
    [-30 * DAY, 'bad expired'],
  ])('with %i ms left is "%s"', (left, expected) => {
    expect(short(tokenStage({ ...cli, expiresAt: NOW + left }, NOW))).toBe(expected)
  })

  it('says what it is in a sentence', () => {
    const why = (left: number) => tokenStage({ ...cli, expiresAt: NOW + left }, NOW).why
    expect([why(2 * HOUR), why(2 * MINUTE), why(-5 * MINUTE)]).toEqual([
      'It lasts for 2 h.',
      'It ends in 2 min: the Claude CLI has not renewed it yet.',
      'It ended 5 min ago: the Claude CLI has not renewed it.',
    ])
  })
})

describe('a copy', () => {
  it.each([
    [8 * HOUR, 'ok'],
    [20 * MINUTE + 1, 'ok'],
    [20 * MINUTE, 'warn 20 min'],
    [0, 'bad expired'],
  ])('that nothing renews, with %i ms left, is "%s"', (left, expected) => {
    expect(short(tokenStage({ ...copy, expiresAt: NOW + left }, NOW))).toBe(expected)
  })

  it.each<[string, Credential, string]>([
    ['the same token is what the CLI’s is', { ...copy, hash: cli.hash ?? '', expiresAt: NOW + HOUR }, 'ok'],
    [
      'an older one is a stale copy, not expired (F1-29)',
      { ...copy, expiresAt: NOW - HOUR },
      'bad stale copy',
    ],
    [
      'an older one that still lasts is a stale copy too',
      { ...copy, expiresAt: NOW + HOUR },
      'warn stale copy',
    ],
    ['one that lasts longer is none', { ...copy, expiresAt: NOW + 7 * HOUR }, 'ok'],
    [
      'one that the gateway renews is none, and may end',
      { ...copy, kind: 'login', expiresAt: NOW - HOUR, renewedBy: 'the gateway' },
      'ok',
    ],
    ['one that has ended by the gateway’s word is stale', { ...copy, ended: true }, 'bad stale copy'],
  ])('beside a fresh token of the CLI: %s', (_, credential, expected) => {
    expect(short(stageOf(credential, NOW, { truth: truthOf(cli, credential) }))).toBe(expected)
  })

  it.each([
    [15 * MINUTE, 'ok'],
    [2 * MINUTE, 'warn refresh overdue'],
    [-MINUTE, 'bad expired'],
  ])('of the CLI’s very token goes with it: %i ms left is "%s"', (left, expected) => {
    const own = { ...cli, expiresAt: NOW + left }
    const twin = { ...copy, hash: cli.hash ?? '' }
    expect(short(stageOf(twin, NOW, { truth: truthOf(own, twin) }))).toBe(expected)
  })

  it('beside a CLI whose token has ended too is expired', () => {
    const own = { ...cli, expiresAt: NOW - MINUTE }
    const old = { ...copy, expiresAt: NOW - HOUR }
    expect(short(stageOf(old, NOW, { truth: truthOf(own, old) }))).toBe('bad expired')
  })
})

describe('the login behind a token', () => {
  it.each([
    [30 * DAY, 'ok'],
    [5 * DAY + 1, 'ok'],
    [5 * DAY, 'warn 5 d'],
    [2 * DAY, 'warn 2 d'],
    [DAY, 'warn 1 d'],
    [2 * HOUR, 'warn 2 h'],
    [0, 'bad ended daily'],
    [-DAY, 'bad ended daily'],
  ])('with %i ms left is "%s"', (left, expected) => {
    const credential = { ...cli, loginEndsAt: NOW + left }
    expect(short(loginStage(credential, NOW) ?? expect.fail())).toBe(expected)
    expect(short(stageOf(credential, NOW))).toBe(expected)
  })

  it('is not spoken of where nobody knows its end', () => {
    expect(loginStage(cli, NOW)).toBeUndefined()
  })

  it('counts as far as it is more pressing than the token', () => {
    const both = { ...cli, expiresAt: NOW - MINUTE, loginEndsAt: NOW + DAY }
    expect(short(stageOf(both, NOW))).toBe('bad expired')
    expect(short(stageOf({ ...both, expiresAt: NOW + HOUR }, NOW))).toBe('warn 1 d')
  })
})

describe('a session ingress token', () => {
  const ingress = (left: number, lifeMs?: number): Credential => ({
    ...{ id: 'ingress', kind: 'session ingress token', provider: 'anthropic', where: 'its file' },
    ...{ expiresAt: NOW + left, renewedBy: 'its session' },
    ...(lifeMs !== undefined && { issuedAt: NOW + left - lifeMs }),
  })

  it.each([
    [4 * HOUR, 'ok'],
    [30 * MINUTE + 1, 'ok'],
    [30 * MINUTE, 'warn not rotated'],
    [20 * MINUTE, 'warn 20 min'],
    [0, 'bad ended daily'],
  ])('of four hours with %i ms left is "%s"', (left, expected) => {
    expect(short(stageOf(ingress(left, 4 * HOUR), NOW))).toBe(expected)
    expect(short(stageOf(ingress(left), NOW))).toBe(expected)
  })

  it.each([
    [5 * DAY, 'warn 5 d'],
    [30 * MINUTE, 'warn 2 h'],
    [0, 'bad ended daily'],
  ])('of thirty days with %i ms left is "%s"', (left, expected) => {
    expect(short(stageOf(ingress(left, 30 * DAY), NOW))).toBe(expected)
  })
})

describe('what lasts long, or for nobody knows how long', () => {
  const setup: Credential = {
    ...{ id: '.env', kind: 'setup-token', provider: 'anthropic', where: '.env' },
    hash: 'c'.repeat(16),
  }

  it.each([
    [0, 'ok'],
    [335 * DAY - 1, 'ok'],
    [335 * DAY, 'warn 30 d'],
    [358 * DAY, 'warn 7 d'],
    [364 * DAY, 'warn 1 d'],
    [365 * DAY, 'bad ended daily'],
  ])('a setup-token that was registered %i ms ago is "%s"', (age, expected) => {
    expect(short(stageOf(setup, NOW, { registeredAt: NOW - age }))).toBe(expected)
  })

  it('one that nobody registered has no stage but a hint', () => {
    expect(stageOf(setup, NOW)).toEqual({
      verdict: 'ok',
      why: 'Nobody knows when it ends: /tokens register notes when it was made.',
    })
  })

  it.each([
    [40 * DAY, false, 'ok'],
    [20 * DAY, false, 'warn 30 d'],
    [13 * HOUR, false, 'warn 1 d'],
    [11 * HOUR, true, 'warn 1 d'],
    [11 * HOUR, false, 'ok'],
    [0, true, 'bad ended daily'],
  ])(
    'a pasted token with its end in %i ms has the stages of a year when it was seen to last (%s): "%s"',
    (left, longLived, expected) => {
      expect(short(stageOf({ ...copy, expiresAt: NOW + left }, NOW, { longLived }))).toBe(expected)
    },
  )

  it('an API key has none', () => {
    expect(stageOf({ ...setup, kind: 'api key' }, NOW)).toEqual({
      verdict: 'ok',
      why: 'It does not end by itself.',
    })
  })

  it('what has ended by the gateway’s word has, but not where it renews it itself', () => {
    expect(short(stageOf({ ...copy, ended: true }, NOW))).toBe('bad expired')
    expect(short(stageOf({ ...copy, ended: true, renewedBy: 'the gateway' }, NOW))).toBe('ok')
  })
})

it.each([
  ['wrong field', 'bad wrong field'],
  ['seconds', 'bad seconds'],
  ['blanked', 'bad blanked daily'],
] as const)('the fault "%s" comes before every clock', (fault, expected) => {
  const seen = stageOf({ ...copy, fault, why: 'It has `key`.', expiresAt: NOW + HOUR }, NOW)
  expect([short(seen), seen.why]).toEqual([expected, 'It has `key`.'])
})

it.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 8.64e15])(
  'an end at %f breaks nothing',
  (expiresAt) => {
    expect(stageOf({ ...copy, expiresAt }, NOW).why).toMatch(/\.$/)
  },
)
