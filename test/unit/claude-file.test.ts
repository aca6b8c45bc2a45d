// The Claude CLI's `.credentials.json` as facts: whole, torn, blanked, in seconds, and what was never a login.

import { describe, expect, it } from 'vitest'
import { factsOf, hashOf, type Read, tokenIn } from '../../src/ops/claude/file.ts'
import { credentialsOf, fakeToken } from '../claude/cli.ts'

const path = '/home/alice/.claude/.credentials.json'
const NOW = Date.UTC(2026, 10, 20, 12)
const read = (value: unknown): Read => ({
  ...{ path, modifiedAt: NOW },
  text: typeof value === 'string' ? value : JSON.stringify(value),
})
const login = (more: Record<string, unknown> = {}) => credentialsOf(3_600_000, more, NOW)
const token = fakeToken()
const fails = (value: unknown) => {
  const { state, hash } = factsOf(read(value))
  return { state, hash, token: tokenIn(read(value)) }
}

describe('a login', () => {
  it('is told by its times and its hashes, never by its tokens', () => {
    const refresh = fakeToken('ort')
    const file = read(login({ accessToken: token, refreshToken: refresh, organizationUuid: 'secret-org' }))
    const facts = factsOf(file)
    expect(facts).toEqual({
      ...{ state: 'ok', path, modifiedAt: NOW, plan: 'max' },
      ...{ hash: hashOf(token), refreshHash: hashOf(refresh) },
      ...{ expiresAt: NOW + 3_600_000, loginEndsAt: NOW + 30 * 86_400_000 },
    })
    expect(JSON.stringify(facts)).not.toMatch(/sk-ant|secret-org/)
    expect(tokenIn(file)).toEqual({ value: token, expiresAt: NOW + 3_600_000, hash: hashOf(token) })
  })

  it.each<[string, unknown]>([
    ['begins with a BOM', `\uFEFF${JSON.stringify(login())}`],
    [
      'has strangers beside it',
      { organizationUuid: 'x', designOauth: {}, ...login(), trustedDeviceToken: 'y' },
    ],
    ['is what February wrote: six keys', login({ refreshTokenExpiresAt: undefined })],
    [
      'has fields of other types',
      login({ subscriptionType: 7, refreshTokenExpiresAt: 'soon', loginEnded: {} }),
    ],
    ['has no refresh token', login({ refreshToken: '' })],
  ])('that %s is one', (_, value) => {
    expect(factsOf(read(value))).toMatchObject({ state: 'ok', expiresAt: NOW + 3_600_000 })
    expect(tokenIn(read(value))).toBeDefined()
  })

  it('in seconds is said, and counted as what it means', () => {
    const expiresAt = Math.floor(NOW / 1_000)
    const file = read(login({ expiresAt, refreshTokenExpiresAt: expiresAt + 60 }))
    expect(factsOf(file)).toMatchObject({
      ...{ state: 'ok', seconds: true, expiresAt: NOW, loginEndsAt: NOW + 60_000 },
    })
    expect(tokenIn(file)?.expiresAt).toBe(NOW)
    expect(factsOf(read(login()))).not.toHaveProperty('seconds')
  })

  it.each([Number.NaN, -5, 1e300, '1795194931871', null, {}])(
    'whose end is %s has none, and is nothing to be copied',
    (expiresAt) => {
      expect(factsOf(read(login({ expiresAt })))).not.toHaveProperty('expiresAt')
      expect(tokenIn(read(login({ expiresAt })))).toBeUndefined()
    },
  )
})

describe('what is none', () => {
  it.each<[string, string, unknown]>([
    ['empty', 'empty', ''],
    ['only line breaks', 'empty', '\uFEFF \n\n'],
    ['torn', 'unparsable', JSON.stringify(login()).slice(0, 60)],
    ['HTML', 'unparsable', '<html>502</html>'],
    ['null', 'unparsable', 'null'],
    ['a list', 'unparsable', '[]'],
    ['somebody else’s', 'unparsable', { designOauth: { accessToken: token } }],
    ['a login that is a word', 'unparsable', { claudeAiOauth: token }],
    ['a login without a token', 'unparsable', login({ accessToken: undefined })],
    ['a token that is a number', 'unparsable', login({ accessToken: 7 })],
    ['a token over two lines', 'unparsable', login({ accessToken: `${token}\nEVIL=1` })],
    ['a token with spaces', 'unparsable', login({ accessToken: `${token} ` })],
    ['a token without an end', 'unparsable', login({ accessToken: 'x'.repeat(1e6) })],
    ['deep enough to hurt', 'unparsable', '['.repeat(1e5)],
  ])('%s → %s', (_, state, value) => {
    expect(fails(value)).toEqual({ state, hash: undefined, token: undefined })
    expect(factsOf(read(value)).why).toMatch(/^\S.*\.$/)
    expect(JSON.stringify(factsOf(read(value)))).not.toMatch(/sk-ant/)
  })

  it('blanked by the CLI says so, and why', () => {
    const blank = { accessToken: '', refreshToken: '', expiresAt: 0 }
    expect(factsOf(read(login(blank)))).toMatchObject({
      ...{ state: 'blanked', plan: 'max' },
      why: 'The login was refused, and the Claude CLI emptied its tokens.',
    })
    const facts = factsOf(read(login({ ...blank, loginEnded: 'time_limit' })))
    expect(facts).toMatchObject({ state: 'blanked', loginEnded: 'time_limit' })
    expect(facts.why).toMatch(/time limit/)
    expect(tokenIn(read(login(blank)))).toBeUndefined()
  })

  it('missing or closed says so', () => {
    expect(factsOf({ path, failed: 'missing' })).toMatchObject({ state: 'missing', path })
    expect(factsOf({ path, failed: 'unreadable', why: 'It is closed.' })).toEqual({
      ...{ state: 'unreadable', why: 'It is closed.', path },
    })
    expect(tokenIn({ path, failed: 'missing' })).toBeUndefined()
  })
})
