// Where credentials lie: every store as both versions write it, as people break it, and as somebody hostile would leave it.

import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readJson, readText } from '../../src/ops/credentials/files.ts'
import type { Credential } from '../../src/ops/credentials/index.ts'
import { profilesIn, reportedCredential } from '../../src/ops/credentials/profiles.ts'
import {
  claudeCredential,
  containerCredentials,
  environmentCredentials,
  ingressCredentials,
  readFileStores,
} from '../../src/ops/credentials/stores.ts'
import { sha256 } from '../../src/ops/docker/facts.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import { claudeFile, createCredentialYard, fakeToken, ingressToken } from './credential-yard.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const [OAT, ORT, KEY] = [fakeToken('oat01', 'A'), fakeToken('ort01', 'R'), fakeToken('api03', 'K')]
const hash = shortHash(OAT)
const anthropic = { provider: 'anthropic' }

describe('an auth profile', () => {
  const only = (profile: unknown, usage?: unknown) =>
    profilesIn(
      'main',
      { version: 1, profiles: { 'anthropic:default': profile }, usageStats: { 'anthropic:default': usage } },
      T0,
    )?.credentials[0]

  it.each<[string, unknown, Partial<Credential>]>([
    [
      'of type token',
      { type: 'token', ...anthropic, token: OAT, expires: T0 + HOUR },
      { kind: 'access token', type: 'token', hash, expiresAt: T0 + HOUR },
    ],
    ['of type token without an end', { type: 'token', ...anthropic, token: OAT }, { kind: 'setup-token' }],
    [
      'of type oauth with a refresh token',
      { type: 'oauth', ...anthropic, access: OAT, refresh: ORT, expires: T0 - HOUR, email: 'a@b.c' },
      { kind: 'login', renewedBy: 'the gateway', refreshHash: shortHash(ORT), expiresAt: T0 - HOUR },
    ],
    [
      'of type oauth that cannot be renewed here',
      { type: 'oauth', ...anthropic, access: OAT, refresh: '', expires: T0 },
      { kind: 'access token', type: 'oauth' },
    ],
    ['of type api_key', { type: 'api_key', ...anthropic, key: KEY }, { kind: 'api key', type: 'api_key' }],
    [
      'of type api_key that holds a login’s token',
      { type: 'api_key', ...anthropic, key: OAT },
      { kind: 'setup-token', type: 'api_key' },
    ],
    [
      'of a session',
      { type: 'token', ...anthropic, token: ingressToken({ exp: (T0 + HOUR) / 1_000 }) },
      { kind: 'session ingress token', expiresAt: T0 + HOUR },
    ],
    [
      'whose key is kept elsewhere',
      { type: 'api_key', ...anthropic, keyRef: { source: 'env', id: 'X' } },
      { kind: 'api key' },
    ],
    ['of another provider', { type: 'api_key', provider: 'openai', key: 'x' }, { provider: 'openai' }],
    [
      'with the classic mistake',
      { type: 'oauth', ...anthropic, key: OAT, expires: T0 },
      { fault: 'wrong field', why: 'It has key where access belongs in type oauth.' },
    ],
    [
      'of type api_key with a token',
      { type: 'api_key', ...anthropic, token: OAT },
      { fault: 'wrong field', why: 'It has token where key belongs in type api_key.' },
    ],
    ['without its token', { type: 'token', ...anthropic }, { fault: 'no token', kind: 'setup-token' }],
    ['with a token of spaces', { type: 'token', ...anthropic, token: '  ' }, { fault: 'no token' }],
    ['with a number for a token', { type: 'token', ...anthropic, token: 5 }, { fault: 'no token' }],
    [
      'with its end in seconds',
      { type: 'token', ...anthropic, token: OAT, expires: T0 / 1_000 },
      { fault: 'seconds', expiresAt: T0 },
    ],
    ['with its end in words', { type: 'token', ...anthropic, token: OAT, expires: 'soon' }, { hash }],
    ['of no known type', { type: 'magic', ...anthropic }, { fault: 'unparsable' }],
    ['that is null', null, { fault: 'unparsable' }],
    ['that is a list', [OAT], { fault: 'unparsable' }],
  ])('%s', (_, profile, facts) => {
    const credential = only(profile)
    expect(credential).toMatchObject({ id: 'profile/main/anthropic:default', agent: 'main', ...facts })
    expect(credential?.fault).toBe(facts.fault)
  })

  it.each<[string, unknown, Credential['unusable']]>([
    ['in cooldown', { cooldownUntil: T0 + MINUTE, errorCount: 2 }, { kind: 'cooldown', until: T0 + MINUTE }],
    [
      'in cooldown for a reason',
      { cooldownUntil: T0 + MINUTE, cooldownReason: 'auth' },
      { kind: 'cooldown', until: T0 + MINUTE, reason: 'auth' },
    ],
    [
      'disabled',
      { cooldownUntil: T0 + MINUTE, disabledUntil: T0 + HOUR, disabledReason: 'billing' },
      { kind: 'disabled', until: T0 + HOUR, reason: 'billing' },
    ],
    [
      'disabled for a reason that is none',
      { disabledUntil: T0 + HOUR, disabledReason: `<b>${OAT}</b>` },
      { kind: 'disabled', until: T0 + HOUR },
    ],
    ['whose cooldown is over', { cooldownUntil: T0, disabledUntil: T0 - 1 }, undefined],
    ['as 2026.2.22 leaves it after 401', { errorCount: 0, lastFailureAt: T0, lastUsed: T0 }, undefined],
    ['with nonsense', { cooldownUntil: 'later' }, undefined],
    ['with nothing', null, undefined],
  ])('%s', (_, usage, unusable) =>
    expect(only({ type: 'token', token: OAT }, usage)?.unusable).toEqual(unusable),
  )
})

describe('a store of profiles', () => {
  it('keeps what somebody set, by names that may be shown', () => {
    const profile = { type: 'token', token: OAT }
    const found = profilesIn(
      'main',
      {
        profiles: { 'anthropic:a@b.c': profile },
        order: { anthropic: ['anthropic:a@b.c'] },
        lastGood: {},
      },
      T0,
    )
    const [name = ''] = found?.agent.order?.anthropic ?? []
    expect(name).toMatch(/^anthropic:#/)
    expect(found?.credentials).toMatchObject([{ id: `profile/main/${name}`, profile: name }])
  })

  it.each<[string, unknown]>([
    ['a list', []],
    ['null', null],
    ['text', 'no'],
    ['without profiles', { version: 1 }],
    ['with a list of them', { profiles: [] }],
  ])('that is %s is none', (_, value) => expect(profilesIn('main', value, T0)).toBeUndefined())

  it.each<[string, object]>([
    ['order', { order: 'mine' }],
    ['order of one provider', { order: { anthropic: 'mine' } }],
    ['use', { usageStats: [] }],
  ])('with a broken %s is read all the same', (_, more) => {
    const store = { profiles: { 'anthropic:default': { type: 'token', token: OAT } }, ...more }
    expect(profilesIn('main', store, T0)?.credentials).toMatchObject([{ hash }])
  })

  it('with very many is not read to its end, and says so', () => {
    const profiles = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`p${index}`, {}]))
    const found = profilesIn('main', { profiles }, T0)
    expect([found?.credentials.length, found?.left]).toEqual([200, 800])
  })

  it('of any shape is read without a throw', () =>
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (profile, usage) => {
        profilesIn('main', { profiles: { x: profile }, usageStats: usage, order: usage }, T0)
      }),
    ))
})

describe('a file', () => {
  it('is text without its byte order mark', async () => {
    const yard = createCredentialYard()
    yard.put('x', '\ufeff{"a":1}')
    expect(await readText(yard.at('x'))).toMatchObject({ state: 'ok', text: '{"a":1}' })
    expect(await readJson(yard.at('x'))).toEqual({ state: 'ok', value: { a: 1 } })
  })

  it.each<[string, (at: string) => void, string, RegExp]>([
    ['that is not there', () => {}, 'missing', /not there/],
    ['in a file', (at) => writeFileSync(at.slice(0, -2), ''), 'missing', /not there/],
    ['that is a directory', (at) => mkdirSync(at, { recursive: true }), 'unreadable', /not a file/],
    ['that is a pipe', (at) => void execFileSync('mkfifo', [at]), 'unreadable', /not a file/],
    ['that is a link', (at) => symlinkSync('/etc/hostname', at), 'unreadable', /link/],
    ['that is huge', (at) => writeFileSync(at, 'x'.repeat(1_000_001)), 'unreadable', /too large/],
    ['that is empty', (at) => writeFileSync(at, ' \n'), 'empty', /nothing/],
    ['that is half', (at) => writeFileSync(at, '{"profiles":{"a'), 'unparsable', /half/],
    ['that is HTML', (at) => writeFileSync(at, `<p>${OAT}</p>`), 'unparsable', /not JSON/],
  ])('%s says so', async (_, make, state, why) => {
    const yard = createCredentialYard()
    if (!_.includes('in a file')) mkdirSync(yard.at('d'), { recursive: true })
    make(yard.at('d/x'))
    expect(await readJson(yard.at('d/x'))).toEqual({ state, why: expect.stringMatching(why) })
  })

  it('that is being written is read again', async () => {
    const yard = createCredentialYard()
    yard.put('x', '')
    const reading = readJson(yard.at('x'))
    await sleep(60)
    yard.put('x', { a: 1 })
    expect(await reading).toEqual({ state: 'ok', value: { a: 1 } })
  })
})

describe('a .env', () => {
  it.each<[string, string, object[]]>([
    ['is plain', `ANTHROPIC_OAUTH_TOKEN=${OAT}`, [{ id: '.env', kind: 'setup-token', hash }]],
    ['is in double quotes', `ANTHROPIC_OAUTH_TOKEN="${OAT}"`, [{ id: '.env', hash }]],
    ['is in single quotes', `ANTHROPIC_OAUTH_TOKEN='${OAT}' # mine`, [{ id: '.env', hash }]],
    ['has a comment behind it', `ANTHROPIC_OAUTH_TOKEN=${OAT} # mine`, [{ id: '.env', hash }]],
    ['is exported, from Windows', `export ANTHROPIC_OAUTH_TOKEN=${OAT}\r\nB=1\r\n`, [{ id: '.env', hash }]],
    ['has it twice', `ANTHROPIC_OAUTH_TOKEN=old\nANTHROPIC_OAUTH_TOKEN=${OAT}\n`, [{ id: '.env', hash }]],
    [
      'has a key too',
      `ANTHROPIC_API_KEY=${KEY}\nANTHROPIC_OAUTH_TOKEN=${OAT}`,
      [
        { id: '.env', variable: 'ANTHROPIC_OAUTH_TOKEN' },
        { id: '.env/ANTHROPIC_API_KEY', kind: 'api key' },
      ],
    ],
    ['has it empty', 'ANTHROPIC_OAUTH_TOKEN=\n', [{ id: '.env', fault: 'empty' }]],
    ['has it empty in quotes', 'ANTHROPIC_OAUTH_TOKEN=""', [{ id: '.env', fault: 'empty' }]],
    ['has an empty key, as examples have', 'ANTHROPIC_API_KEY=\n', []],
    ['has it in a comment', `#ANTHROPIC_OAUTH_TOKEN=${OAT}`, []],
    ['has nothing of it', 'A=1', []],
    ['has a quote that does not end', `ANTHROPIC_OAUTH_TOKEN="${OAT}\nB=1\n`, [{ fault: 'wrong field' }]],
  ])('that %s', (_, text, lines) => {
    const found = environmentCredentials('.env', text)
    expect(found).toHaveLength(lines.length)
    expect(found).toMatchObject(lines)
  })
})

it('a container is known by the hashes of its environment, and has none that is empty', () => {
  const environment = {
    ANTHROPIC_OAUTH_TOKEN: sha256(OAT),
    ANTHROPIC_API_KEY: sha256(''),
    CLAUDE_CODE_OAUTH_TOKEN: sha256(OAT),
    OTHER: sha256(KEY),
  }
  expect(containerCredentials({ environment })).toMatchObject([
    { id: 'container', hash, kind: 'other' },
    { id: 'container/CLAUDE_CODE_OAUTH_TOKEN', hash },
  ])
})

describe('the file of a session ingress token', () => {
  it.each([
    ['nobody named it', false, []],
    ['somebody named it', true, [{ id: 'ingress', fault: 'unreadable' }]],
  ])('that is no file is a fault only where %s', async (_, expected, lines) => {
    const yard = createCredentialYard()
    mkdirSync(yard.at('ingress'))
    expect(await ingressCredentials(yard.at('ingress'), expected)).toMatchObject(lines)
  })

  const good = ingressToken({ iat: T0 / 1_000, exp: (T0 + 4 * HOUR) / 1_000, account_email: 'a@b.c' })
  it.each<[string, string | undefined, boolean, object[]]>([
    ['with one', `${good}\n`, false, [{ expiresAt: T0 + 4 * HOUR, issuedAt: T0, renewedBy: 'its session' }]],
    ['that is not there', undefined, false, []],
    ['that should be there', undefined, true, [{ fault: 'missing' }]],
    ['that is empty', ' \n', false, [{ fault: 'empty' }]],
    ['with a broken one', 'sk-ant-si-x.y', false, [{ fault: 'unparsable' }]],
    ['with another kind', OAT, false, [{ fault: 'wrong field' }]],
    ['with a page', '<html> </html>', false, [{ fault: 'wrong field' }]],
  ])('%s', async (_, text, expected, lines) => {
    const yard = createCredentialYard()
    if (text !== undefined) yard.put('ingress', text)
    const found = await ingressCredentials(yard.at('ingress'), expected)
    expect(found).toHaveLength(lines.length)
    for (const [index, line] of lines.entries())
      expect(found[index]).toMatchObject({ id: 'ingress', kind: 'session ingress token', ...line })
  })
})

it.each<[string, Parameters<typeof claudeFile>[1], Partial<Credential>]>([
  ['good', {}, { renewedBy: 'the Claude CLI', expiresAt: T0 + 6 * HOUR }],
  ['missing', { state: 'missing', why: 'No file.' }, { fault: 'missing', why: 'No file.' }],
  ['blanked', { state: 'blanked', why: 'Given up.' }, { fault: 'blanked', why: 'Given up.' }],
  ['in seconds', { seconds: true }, { fault: 'seconds' }],
])('a login that is %s', (_, more, facts) => {
  const line = claudeCredential('cli', 'the login', claudeFile('A', more))
  expect(line).toMatchObject({ id: 'cli', kind: 'login', ...facts })
  expect(line.fault).toBe(facts.fault)
})

it.each<[string, Parameters<typeof reportedCredential>[0], Partial<Credential>]>([
  ['with an end', report({ expiresAt: T0 }), { kind: 'access token', expiresAt: T0 }],
  ['without an end', report({}), { kind: 'setup-token' }],
  ['that has ended', report({ expired: true }), { ended: true, kind: 'access token' }],
  ['of type oauth', report({ type: 'oauth' }), { kind: 'login', renewedBy: 'the gateway' }],
  ['of a new type', report({ type: 'aws-sdk' }), { kind: 'other' }],
  [
    'in cooldown',
    report({ agent: 'desk', unusable: { kind: 'cooldown', until: T0 + 1, reason: 'auth' } }),
    { agent: 'desk', unusable: { kind: 'cooldown', until: T0 + 1, reason: 'auth' } },
  ],
])('a reported profile %s', (_, reported, facts) =>
  expect(reportedCredential(reported, T0)).toMatchObject(facts),
)
it('a reported cooldown that is over is none', () =>
  expect(reportedCredential(report({ unusable: { kind: 'cooldown', until: T0 } }), T0)).not.toHaveProperty(
    'unusable',
  ))

function report(more: Partial<Parameters<typeof reportedCredential>[0]>) {
  return { provider: 'anthropic', profileId: 'anthropic:manual', type: 'token', ...more }
}

describe('the files of an older gateway', () => {
  const profile = { type: 'token', ...anthropic, token: OAT }
  const oauth = { anthropic: { access: OAT, refresh: ORT, expires: T0 + HOUR } }
  const read = async (yard: ReturnType<typeof createCredentialYard>) => {
    const found = await readFileStores(yard.root, T0)
    return { ...found, ids: found.credentials.map(({ id }) => id) }
  }

  it('are those of every agent, main first', async () => {
    const yard = createCredentialYard()
    for (const agent of ['desk', 'main', 'bare']) yard.profiles({ 'anthropic:default': profile }, {}, agent)
    rmSync(yard.at('agents/bare/agent/auth-profiles.json'))
    const { ids, agents } = await read(yard)
    expect(ids).toEqual(['profile/main/anthropic:default', 'profile/desk/anthropic:default'])
    expect(agents).toEqual([
      { agent: 'main', own: true },
      { agent: 'bare', own: false },
      { agent: 'desk', own: true },
    ])
  })

  it('that are broken are lines of their own, and hide nobody else', async () => {
    const yard = createCredentialYard()
    yard.profiles({ 'anthropic:default': profile }, {}, 'desk')
    yard.put('agents/main/agent/auth-profiles.json', '{"version":1,')
    yard.put('agents/a/agent/auth-profiles.json', '[]')
    const { credentials, unseen } = await read(yard)
    expect(credentials).toMatchObject([
      { id: 'profile/main', fault: 'unparsable', where: 'auth-profiles.json of agent main' },
      { id: 'profile/a', fault: 'unparsable', why: 'There are no profiles in it.' },
      { id: 'profile/desk/anthropic:default', hash },
    ])
    expect(unseen).toEqual([])
  })

  it.each<[string, object | undefined, unknown, string[], object?]>([
    ['is needed where there are no profiles', undefined, oauth, ['oauth.json'], { hash, kind: 'login' }],
    [
      'is not needed where there are some',
      { 'anthropic:default': profile },
      oauth,
      ['profile/main/anthropic:default'],
    ],
    ['is not read where the profiles are none', {}, oauth, []],
    ['may be for others', undefined, { openai: {} }, ['oauth.json'], { fault: 'no token' }],
    ['may be half', undefined, '{', ['oauth.json'], { fault: 'unparsable' }],
    ['may not be there', undefined, undefined, []],
  ])('oauth.json %s', async (_, profiles, file, ids, facts = {}) => {
    const yard = createCredentialYard()
    if (profiles) yard.profiles(profiles)
    if (file !== undefined) yard.put('credentials/oauth.json', file)
    const found = await read(yard)
    expect(found.ids).toEqual(ids)
    if (ids.includes('oauth.json')) expect(found.credentials.at(-1)).toMatchObject(facts)
  })

  it('that cannot be listed are not taken for none', async () => {
    const yard = createCredentialYard()
    yard.put('agents', 'a file')
    expect((await read(yard)).unseen).toEqual(['The agents’ directory cannot be read (ENOTDIR).'])
  })
})
