// What a token says of itself: kinds, times, letters, names that may be shown.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  enlighten,
  groupsOf,
  ingressTimes,
  learn,
  shownName,
  shownPath,
  timeOf,
  tokenFacts,
} from '../../src/ops/credentials/kinds.ts'
import { fakeToken, ingressToken } from './credential-yard.ts'
import { HOUR, T0 } from './help.ts'

const OAT = fakeToken('oat01', 'A')

describe('a token', () => {
  it.each<[string, string, unknown, boolean, object]>([
    ['with a refresh token beside it is a login', OAT, T0, true, { kind: 'login', expiresAt: T0 }],
    ['with an end is an access token', OAT, T0, false, { kind: 'access token', expiresAt: T0 }],
    ['without an end is a setup-token', OAT, undefined, false, { kind: 'setup-token' }],
    ['whose end is 0 has none', OAT, 0, false, { kind: 'setup-token' }],
    ['of the API is a key', fakeToken('api03', 'K'), undefined, false, { kind: 'api key' }],
    ['of somebody else is another', 'not-of-anthropic', undefined, false, { kind: 'other' }],
    [
      'with its end in seconds says so, and the end is right',
      OAT,
      T0 / 1_000,
      false,
      { kind: 'access token', expiresAt: T0, fault: 'seconds' },
    ],
    ['with an end in words has none', OAT, 'soon', false, { kind: 'setup-token' }],
    [
      'of a session has its times in itself',
      ingressToken({ iat: T0 / 1_000, exp: (T0 + 4 * HOUR) / 1_000 }),
      undefined,
      false,
      { kind: 'session ingress token', issuedAt: T0, expiresAt: T0 + 4 * HOUR },
    ],
    [
      'of a session that is broken is a fault',
      'sk-ant-si-a.b.c',
      undefined,
      false,
      { kind: 'session ingress token', fault: 'unparsable' },
    ],
    ['that renews is none', fakeToken('ort01', 'R'), undefined, false, { fault: 'wrong field' }],
    ['that is a pasted code is none', 'aB3dE#f6G', undefined, false, { fault: 'wrong field' }],
    ['with a line break inside is none', `${OAT}\n${OAT}`, undefined, false, { fault: 'wrong field' }],
    ['with the header before it is none', `Bearer ${OAT}`, undefined, false, { fault: 'wrong field' }],
  ])('%s', (_, token, expires, renewable, facts) => {
    const told = tokenFacts(token, expires, renewable)
    expect(told).toMatchObject({ ...facts, hash: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect('fault' in told).toBe('fault' in facts)
    expect('expiresAt' in told).toBe('expiresAt' in facts)
  })

  it('is the same one with a line break behind it', () =>
    expect(tokenFacts(`${OAT}\r\n`).hash).toBe(tokenFacts(OAT).hash))
})

describe('the times in a session ingress token', () => {
  it.each<[string, string, object | undefined]>([
    ['are read without its first letters too', 'a.eyJleHAiOjJ9.c', { expiresAt: 2_000 }],
    ['are not there in two parts', 'sk-ant-si-a.eyJleHAiOjJ9', undefined],
    ['are not there in four parts', 'sk-ant-si-a.eyJleHAiOjJ9.c.d', undefined],
    ['are not there without an end', ingressToken({ iat: 5 }), undefined],
    ['are not there with an end in words', ingressToken({ exp: 'soon' }), undefined],
    ['are not there when the end is no time', ingressToken({ exp: -1 }), undefined],
    ['are not there in null', `sk-ant-si-a.${Buffer.from('null').toString('base64url')}.c`, undefined],
  ])('%s', (_, token, times) => expect(ingressTimes(token)).toEqual(times))

  it('are all that is taken from it', () => {
    const token = ingressToken({ exp: 2, account_email: 'a@b.c', organization_uuid: 'org', iss: 'x' })
    expect(ingressTimes(token)).toEqual({ expiresAt: 2_000 })
  })

  it('are nothing or good, whatever is in it', () =>
    fc.assert(
      fc.property(fc.string(), fc.jsonValue(), (noise, value) => {
        const payload = Buffer.from(JSON.stringify(value)).toString('base64url')
        for (const token of [noise, `sk-ant-si-${noise}`, `sk-ant-si-a.${payload}.${noise}`]) {
          const times = ingressTimes(token)
          if (times) expect(new Date(times.expiresAt).getTime()).not.toBeNaN()
        }
      }),
    ))
})

it.each<[string, unknown, object | undefined]>([
  ['milliseconds', T0, { at: T0 }],
  ['seconds', T0 / 1_000, { at: T0, seconds: true }],
  ['never', 0, undefined],
  ['less than never', -5, undefined],
  ['no number', Number.NaN, undefined],
  ['for ever', Number.POSITIVE_INFINITY, undefined],
  ['later than any date', 1e16, undefined],
  ['digits in a text', '1795194931871', undefined],
  ['nothing', undefined, undefined],
])('a time that is %s', (_, value, time) => expect(timeOf(value)).toEqual(time))

describe('letters', () => {
  it('stand for what is in two places, in the order of the places', () => {
    const hashes = ['x', 'b', 'a', undefined, 'b', 'a', 'a', undefined]
    expect(groupsOf(hashes.map((hash) => (hash ? { hash } : {})))).toEqual({ b: 'A', a: 'B' })
  })

  it('go on behind Z', () => {
    const hashes = Array.from({ length: 56 }, (_, index) => ({ hash: `h${index % 28}` }))
    expect(groupsOf(hashes)).toMatchObject({ h25: 'Z', h26: 'AA', h27: 'AB' })
  })
})

describe('what is known of a token', () => {
  const line = (id: string, kind: string, hash: string, expiresAt?: number) =>
    ({ id, kind, hash, provider: 'anthropic', where: id, ...(expiresAt && { expiresAt }) }) as Parameters<
      typeof learn
    >[1][number]

  it('is known of its copies', () => {
    const lines = [
      line('cli', 'login', 'a', T0),
      line('container', 'other', 'a'),
      line('.env', 'setup-token', 'b'),
      line('container/2', 'other', 'b'),
      line('container/3', 'other', 'c'),
    ]
    expect(enlighten(lines, {}).map(({ kind, expiresAt }) => [kind, expiresAt])).toEqual([
      ['login', T0],
      ['access token', T0],
      ['setup-token', undefined],
      ['setup-token', undefined],
      ['other', undefined],
    ])
  })

  it('is remembered when its source has gone on to the next', () => {
    const known = learn({}, [line('cli', 'login', 'a', T0)])
    const lines = [line('cli', 'login', 'b', T0 + HOUR), line('container', 'other', 'a')]
    expect(enlighten(lines, known)[1]).toMatchObject({ kind: 'access token', expiresAt: T0 })
    expect(learn(known, lines)).toEqual({ a: T0, b: T0 + HOUR })
  })

  it('is not learnt from what is wrong, and not kept for ever', () => {
    expect(learn({}, [{ ...line('x', 'login', 'a', T0), fault: 'seconds' }])).toEqual({})
    const many = Array.from({ length: 100 }, (_, index) => line('x', 'login', `h${index}`, T0 + index))
    const kept = learn({ old: 1 }, many)
    expect(Object.keys(kept)).toHaveLength(40)
    expect(kept).toMatchObject({ h99: T0 + 99 })
  })
})

it.each<[string, RegExp]>([
  ['anthropic:default', /^anthropic:default$/],
  ['anthropic:opsbot-2', /^anthropic:opsbot-2$/],
  ['anthropic:some.body@mail.example', /^anthropic:#[0-9a-f]{8}$/],
  ['some.body@mail.example', /^#[0-9a-f]{8}$/],
  [fakeToken('oat01', 'A'), /^#[0-9a-f]{8}$/],
  ['AA0_-_-0-a0-0aA0AaA__--a', /^#[0-9a-f]{8}$/],
  ['<b>bold</b>', /^#[0-9a-f]{8}$/],
  ['two\nlines', /^#[0-9a-f]{8}$/],
  ['', /^#[0-9a-f]{8}$/],
  ['x'.repeat(1_000), /^#[0-9a-f]{8}$/],
])('the name %j is shown as %s', (name, shown) => expect(shownName(name)).toMatch(shown))

it('a path is shown part by part', () =>
  expect(shownPath('agents/a@b.c/agent/auth-profiles.json')).toMatch(
    /^agents\/#[0-9a-f]{8}\/agent\/auth-profiles\.json$/,
  ))
