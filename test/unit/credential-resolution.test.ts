// Who wins: the gateway's order as a table, from what it was seen to do (old-auth-*.txt, docker-new/auth-*.txt).

import { describe, expect, it } from 'vitest'
import { isStaleCopy } from '../../src/ops/credentials/drift.ts'
import type { Credential, Truth } from '../../src/ops/credentials/index.ts'
import { considered } from '../../src/ops/credentials/resolution.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const line = (id: string, more: Partial<Credential> = {}): Credential => ({
  ...{ id, kind: 'access token', provider: 'anthropic', where: id, hash: id },
  ...more,
})
const profile = (name: string, more: Partial<Credential> = {}, agent = 'main') =>
  line(`profile/${agent}/${name}`, { agent, profile: name, type: 'token', ...more })
const oauth = { type: 'oauth' as const, renewedBy: 'the gateway' }
const variable = (place: string, name: string, more: Partial<Credential> = {}) =>
  line(name === 'ANTHROPIC_OAUTH_TOKEN' ? place : `${place}/${name}`, { variable: name, ...more })
const OAUTH = 'ANTHROPIC_OAUTH_TOKEN'
const KEY = 'ANTHROPIC_API_KEY'
const cooldown = { kind: 'cooldown', until: T0 + MINUTE, reason: 'auth' } as const
const cli = line('cli', { kind: 'login', expiresAt: T0 + 5 * HOUR, renewedBy: 'the Claude CLI' })
const past = { expiresAt: T0 - HOUR }

const truthOf = (credentials: Credential[], more: Partial<Truth> = {}): Truth => ({
  ...{ store: 'files', credentials, unseen: [], groups: {}, at: T0, environmentSeen: true },
  ...more,
})

/** `wins profile/main/a: why …`, as people would read it. */
const said = (truth: Truth, agent = 'main') =>
  considered(truth, agent, T0).map(({ verdict, id, why }) => `${verdict} ${id}: ${why}`)

describe('the order', () => {
  it.each<[string, Credential[], Partial<Truth>, RegExp[]]>([
    ['is empty where there is nothing', [], {}, []],
    [
      'takes a profile before the environment',
      [variable('container', OAUTH), variable('container', KEY), profile('a', { expiresAt: T0 + HOUR })],
      {},
      [
        /^wins profile\/main\/a: It is the first profile that can be used. It lasts for 1 h more.$/,
        /^loses container: There are profiles/,
        /^loses container\/ANTHROPIC_API_KEY: There are profiles/,
      ],
    ],
    [
      'takes the token before the key',
      [variable('container', KEY), variable('container', OAUTH)],
      {},
      [/^wins container: /, /^loses container\/ANTHROPIC_API_KEY: ANTHROPIC_OAUTH_TOKEN comes before it/],
    ],
    ['takes the key where there is nothing else', [variable('container', KEY)], {}, [/^wins container\//]],
    [
      'does not hear of the CLI’s variable',
      [variable('container', 'CLAUDE_CODE_OAUTH_TOKEN')],
      {},
      [/^ignored container\/CLAUDE.*does not read CLAUDE_CODE_OAUTH_TOKEN/],
    ],
    [
      'takes the container’s environment, and never the file that it was made from',
      [variable('container', OAUTH, { hash: 'b' }), variable('.env', OAUTH, { hash: 'a' })],
      {},
      [/^wins container/, /^ignored \.env: It counts for the next container: \/recreate/],
    ],
    [
      'says of the file where it is the same',
      [variable('container', OAUTH, { hash: 'a' }), variable('.env', OAUTH, { hash: 'a' })],
      {},
      [/^wins container/, /^ignored \.env: The container was made with it/],
    ],
    [
      'takes nothing from the file',
      [variable('.env', OAUTH)],
      {},
      [/^ignored \.env: It counts for the next/],
    ],
    [
      'takes the .env of the state directory where the container has none of that name',
      [variable('container', KEY), variable('state/.env', OAUTH), variable('state/.env', KEY)],
      {},
      [/^wins state\/\.env: /, /^loses container\//, /^ignored state\/\.env\/.*container comes before it/],
    ],
    [
      'skips a profile that has ended, and takes the environment',
      [profile('a', past), variable('container', OAUTH)],
      {},
      [/^wins container/, /^ignored profile\/main\/a: It ended 1 h ago, and so it is skipped/],
    ],
    [
      'skips one that the gateway says has ended',
      [profile('a', { ended: true })],
      { store: 'sqlite' },
      [/^ignored profile\/main\/a: It has ended, and so it is skipped/],
    ],
    [
      'skips one whose end is in seconds',
      [profile('a', { expiresAt: T0 + HOUR, fault: 'seconds' })],
      {},
      [/^ignored .*seconds, which the gateway takes for 1970, and so/],
    ],
    [
      'takes an environment that has ended, for nobody looks',
      [variable('container', OAUTH, past)],
      {},
      [/^wins container: It ended 1 h ago, and the gateway does not see that: every call of a model fails/],
    ],
    [
      'takes a login that has ended, and renews it',
      [profile('a', { ...oauth, ...past })],
      {},
      [/^wins .*It ended 1 h ago. The gateway renews it itself/],
    ],
    [
      'stops at a login that has ended and cannot be renewed',
      [profile('a', { type: 'oauth', ...past }), variable('container', OAUTH)],
      {},
      [
        /^loses profile\/main\/a: It ended 1 h ago, and there is nothing to renew it with/,
        /^loses container/,
      ],
    ],
    [
      'passes one in cooldown',
      [profile('a', { ...oauth, unusable: cooldown }), profile('b')],
      {},
      [/^loses profile\/main\/a: .*set it aside for 1 min more \(cooldown: auth\)/, /^wins profile\/main\/b/],
    ],
    [
      'falls back on nothing while all profiles are in cooldown',
      [profile('a', { unusable: cooldown }), variable('container', OAUTH)],
      {},
      [/^loses profile/, /^loses container: There are profiles, and these come first/],
    ],
    [
      'takes one whose cooldown is over',
      [profile('a', { unusable: { kind: 'cooldown', until: T0 } })],
      {},
      [/^wins/],
    ],
    [
      'knows one that is disabled for good',
      [profile('a', { unusable: { kind: 'disabled' } })],
      {},
      [/^loses .*set it aside \(disabled\)/],
    ],
    [
      'goes by type',
      [
        profile('key', { type: 'api_key', kind: 'api key' }),
        profile('token'),
        profile('login', { ...oauth, expiresAt: T0 + HOUR }),
      ],
      {},
      [
        /^wins profile\/main\/login/,
        /^loses profile\/main\/token: Type token comes behind type oauth/,
        /^loses profile\/main\/key: Type api_key comes behind type oauth/,
      ],
    ],
    [
      'takes turns in one type, who waited longest first',
      [profile('a', { usedAt: T0 }), profile('b', { usedAt: T0 - HOUR })],
      {},
      [/^wins profile\/main\/b/, /^loses profile\/main\/a: It takes turns with b/],
    ],
    [
      'is the one that somebody set, and no other profile counts',
      [profile('login', oauth), profile('a'), profile('b')],
      { agents: [{ agent: 'main', own: true, order: { anthropic: ['b', 'a'] } }] },
      [
        /^wins profile\/main\/b/,
        /^loses profile\/main\/a: Another one stands before it/,
        /^ignored profile\/main\/login: It is not in the order of profiles that was set/,
      ],
    ],
    [
      'knows only the profiles that openclaw.json names',
      [profile('anthropic:default'), profile('anthropic:manual')],
      { configured: ['anthropic:manual'] },
      [
        /^wins profile\/main\/anthropic:manual/,
        /^ignored profile\/main\/anthropic:default: openclaw.json names/,
      ],
    ],
    [
      'does not mind what openclaw.json names for others',
      [profile('anthropic:default')],
      { configured: ['openai:default'] },
      [/^wins/],
    ],
    [
      'leaves out what is broken, and says why',
      [profile('a', { fault: 'wrong field', why: 'It has key where access belongs.' })],
      {},
      [/^ignored .*: It has key where access belongs. The gateway leaves it out.$/],
    ],
    ['has nothing of other providers', [profile('openai:default', { provider: 'openai' })], {}, []],
    [
      'imports oauth.json, where it is needed',
      [
        line('oauth.json', { ...oauth, agent: 'main', profile: 'anthropic:default' }),
        variable('container', KEY),
      ],
      {},
      [/^wins oauth.json: There is no auth-profiles.json/, /^loses container/],
    ],
    [
      'has no place for the CLI’s own file, the sandboxes’ login or a session’s file',
      [cli, line('sandbox'), line('ingress')],
      {},
      [/^ignored cli/, /^ignored sandbox/, /^ignored ingress/],
    ],
  ])('%s', (_, credentials, more, lines) => {
    const sentences = said(truthOf(credentials, more))
    expect(sentences).toEqual(lines.map((each) => expect.stringMatching(each)))
    expect(sentences.filter((each) => each.startsWith('wins')).length).toBeLessThanOrEqual(1)
  })

  it('calls an older copy what it is', () => {
    const [first] = said(truthOf([cli, profile('a', past)]))
    expect(first).toBe(
      'ignored profile/main/a: It is an older copy of what the Claude CLI holds for 5 h more. It ended 1 h ago, and so it is skipped.',
    )
  })

  it('of another agent has the profiles of main behind its own', () => {
    const credentials = [profile('a'), profile('b'), profile('a', {}, 'desk'), profile('c', {}, 'other')]
    expect(said(truthOf(credentials), 'desk').map((each) => each.split(':')[0])).toEqual([
      'wins profile/desk/a',
      'loses profile/main/b',
    ])
    expect(said(truthOf(credentials), 'main')).toHaveLength(2)
  })
})

it.each<[string, Credential, Credential | undefined, boolean]>([
  ['that ended', profile('a', past), cli, true],
  ['that ends earlier', profile('a', { expiresAt: T0 + HOUR }), cli, true],
  ['that ended at no known time', profile('a', { ended: true }), cli, true],
  ['in a container', variable('container', OAUTH, past), cli, true],
  ['that is the same', profile('a', { hash: 'cli', ...past }), cli, false],
  ['that is newer', profile('a', { expiresAt: T0 + 9 * HOUR }), cli, false],
  ['that renews itself', profile('a', { kind: 'login', ...oauth, ...past }), cli, false],
  ['that is a setup-token', profile('a', { kind: 'setup-token' }), cli, false],
  ['that is a key', profile('a', { kind: 'api key' }), cli, false],
  ['of another provider', profile('a', { provider: 'openai', ...past }), cli, false],
  ['without a CLI', profile('a', past), undefined, false],
  ['of a CLI that has ended too', profile('a', past), { ...cli, expiresAt: T0 }, false],
  ['of a CLI that was blanked', profile('a', past), { ...cli, fault: 'blanked' }, false],
  ['that is the CLI', cli, cli, false],
])('an older copy: one %s', (_, credential, source, is) =>
  expect(isStaleCopy({ credentials: source ? [source, credential] : [credential], at: T0 }, credential)).toBe(
    is,
  ),
)
