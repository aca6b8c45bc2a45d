// /tokens, /whyauth, /usage, /refresh, /sync, /authfix: the verdict first, each credential in a line, only the buttons that help.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dataOf, LONGEST_DATA } from '../../src/bot/buttons.ts'
import { createClock } from '../../src/bot/clock.ts'
import { type Call, faultsOf, mayCall, parseArgs } from '../../src/bot/command.ts'
import { type CredentialOps, credentialCommands } from '../../src/bot/commands/credentials.ts'
import { type TokenOps, tokenCommands } from '../../src/bot/commands/tokens.ts'
import { lineOf, standingOf, type TokensView } from '../../src/bot/credentials.ts'
import { type Page, plain } from '../../src/bot/page.ts'
import { messagesOf, terminal } from '../../src/bot/render.ts'
import { TERMS, TERMS_QUOTES, TERMS_SOURCE, termsMarkdown } from '../../src/bot/terms.ts'
import { tokensPage } from '../../src/bot/tokens.ts'
import { orderPage, usagePage } from '../../src/bot/whyauth.ts'
import { OpsError } from '../../src/errors.ts'
import type { Claude } from '../../src/ops/claude/index.ts'
import type { Considered, Credential, Truth } from '../../src/ops/credentials/index.ts'
import type { Register, Registered } from '../../src/ops/credentials/register.ts'
import { stageOf } from '../../src/ops/credentials/stages.ts'
import type { Finding, Runbook } from '../../src/ops/runbooks/index.ts'
import type { RefreshContext } from '../../src/ops/runbooks/refresh.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const DAY = 24 * HOUR
const clock = createClock('Etc/UTC', () => T0)
const A = 'aaaaaaaaaaaaaaaa'
const B = 'bbbbbbbbbbbbbbbb'

const CLI: Credential = {
  ...{ id: 'cli', kind: 'login', provider: 'anthropic', where: 'the Claude CLI on this host', hash: A },
  ...{ expiresAt: T0 + 6 * HOUR + 12 * MINUTE, loginEndsAt: T0 + 28 * DAY, renewedBy: 'the Claude CLI' },
}
const PROFILE: Credential = {
  ...{ id: 'profile/main/anthropic:default', kind: 'access token', provider: 'anthropic', hash: A },
  ...{ where: 'profile anthropic:default of agent main', profile: 'anthropic:default', agent: 'main' },
  expiresAt: T0 + 6 * HOUR + 12 * MINUTE,
}
const ENV: Credential = {
  ...{ id: '.env', kind: 'access token', provider: 'anthropic', hash: A },
  ...{ where: '.env, ANTHROPIC_OAUTH_TOKEN', variable: 'ANTHROPIC_OAUTH_TOKEN' },
}
const CONTAINER: Credential = {
  ...{ id: 'container', kind: 'other', provider: 'anthropic', hash: B },
  ...{ where: 'the running container, ANTHROPIC_OAUTH_TOKEN', variable: 'ANTHROPIC_OAUTH_TOKEN' },
}
const KEY: Credential = {
  ...{ id: '.env/ANTHROPIC_API_KEY', kind: 'api key', provider: 'anthropic' },
  where: '.env, ANTHROPIC_API_KEY',
}

const step = ({ id, where }: Credential, verdict: Considered['verdict'], why: string): Considered => ({
  ...{ id, where, verdict, why },
})
const truthOf = (credentials: Credential[], more: Partial<Truth> = {}): Truth => ({
  ...{ store: 'files', credentials, unseen: [], groups: { [A]: 'A' }, at: T0 },
  ...more,
})
const winning = (credential: Credential, agent = 'main') => ({
  agent,
  considered: [step(credential, 'wins', 'It is the first that may be used.')],
})

function viewOf(credentials: Credential[], more: Partial<TokensView> = {}): TokensView {
  const truth = truthOf(credentials)
  const registered = more.registered ?? []
  return {
    truth,
    order: credentials[0] ? [winning(credentials[0])] : [],
    drift: [],
    stageOf: (each) =>
      stageOf(each, T0, { truth, registeredAt: registered.find(({ name }) => name === each.id)?.createdAt }),
    registered,
    due: undefined,
    config: { sync: false },
    ...more,
  }
}

const wordsOf = (page: Page) => terminal(page, { colour: false })
const mendsOf = ({ buttons = [] }: Page) =>
  buttons
    .flat()
    .flatMap((each) => ('run' in each ? [each.run] : []))
    .filter((run) => run !== 'tokens' && run !== 'whyauth')
const show = (view: TokensView) => tokensPage(view, clock, T0)

describe('the verdict', () => {
  const expired = { ...PROFILE, hash: B, expiresAt: T0 - 5 * MINUTE }
  const blanked: Credential = {
    ...{ id: 'cli', kind: 'login', provider: 'anthropic', where: 'the Claude CLI on this host' },
    ...{ fault: 'blanked', why: 'The Claude CLI gave the login up and emptied it.' },
  }
  const drift = ['The container runs B, .env has A: /recreate loads it.']
  const older = 'Agent main has an older copy of the Claude CLI’s token: /sync renews it.'
  const unloaded = '.env, was changed after the gateway was started: /recreate loads it.'
  const nobody = { agent: 'work', considered: [step(expired, 'loses', 'It has ended.')] }

  it.each<[string, TokensView, string, string[]]>([
    [
      'renewed for as long as the login lasts',
      viewOf([CLI]),
      '✅ Model access is fine until 18 Dec 12:00 UTC',
      [],
    ],
    ['a copy that nothing renews', viewOf([PROFILE]), '✅ Model access is fine until 18:12 UTC', []],
    [
      'a copy lasts no longer than its token while copying is off',
      viewOf([PROFILE, CLI]),
      '✅ Model access is fine until 18:12 UTC',
      [],
    ],
    [
      'a copy that follows the CLI lasts as long as its login',
      viewOf([PROFILE, CLI], { config: { sync: true } }),
      '✅ Model access is fine until 18 Dec 12:00 UTC',
      [],
    ],
    [
      'renewed, and its token was not seen',
      viewOf([{ ...CLI, hash: undefined } as unknown as Credential]),
      '✅ Model access is fine until 18 Dec 12:00 UTC',
      [],
    ],
    ['an API key', viewOf([KEY]), '✅ Model access is fine', []],
    [
      'renewed, and nobody knows when the login ends',
      viewOf([{ ...CLI, loginEndsAt: undefined } as unknown as Credential]),
      '✅ Model access is fine, renewed by the Claude CLI',
      [],
    ],
    [
      'a container that was made before',
      viewOf([CONTAINER, ENV], { drift }),
      '🟡 The container runs B, .env has A: /recreate loads it',
      ['recreate'],
    ],
    [
      'a container that was made before, while copying is on',
      viewOf([CONTAINER, ENV], { drift: [...drift, older], config: { sync: true } }),
      '🟡 The container runs B, .env has A: /recreate loads it',
      ['sync', 'recreate'],
    ],
    [
      'one that wins and has ended',
      viewOf([expired]),
      '🔴 Model access is down (profile anthropic:default of agent main): it ended 5 min ago: nothing renews it',
      [],
    ],
    [
      'one that wins and is not renewed',
      viewOf([{ ...CLI, expiresAt: T0 + 2 * MINUTE }]),
      '🟡 Model access is at risk (the Claude CLI on this host): it ends in 2 min: the Claude CLI has not renewed it yet',
      ['refresh'],
    ],
    [
      'a login that ends soon',
      viewOf([{ ...CLI, loginEndsAt: T0 + DAY }]),
      '🟡 Model access is at risk (the Claude CLI on this host): its login ends in 1 d: then somebody has to sign in again',
      ['reauth'],
    ],
    [
      'one that wins, beside a login that was given up',
      viewOf([KEY, blanked]),
      '🟡 Model access is fine, but 1 other credential needs care',
      ['reauth'],
    ],
    [
      'the login of the sandboxes',
      viewOf([KEY, { ...blanked, id: 'sandbox', where: 'the sandboxes' }]),
      '🟡 Model access is fine, but 1 other credential needs care',
      ['reauth sandbox'],
    ],
    [
      'a profile that is written wrongly',
      viewOf([KEY, { ...PROFILE, fault: 'wrong field', why: 'It has key where access belongs.' }]),
      '🟡 Model access is fine, but 1 other credential needs care',
      ['authfix'],
    ],
    [
      'a profile that is written wrongly where no file is',
      viewOf([KEY, { ...PROFILE, fault: 'wrong field' }], {
        truth: truthOf([KEY, { ...PROFILE, fault: 'wrong field' }], { store: 'sqlite' }),
      }),
      '🟡 Model access is fine, but 1 other credential needs care',
      [],
    ],
    [
      'files of an older version beside a newer store',
      viewOf([KEY], {
        truth: truthOf([KEY], { store: 'sqlite', legacy: ['credentials/oauth.json'] }),
        drift: ['credentials/oauth.json lies beside the database: /authfix mends that.'],
      }),
      '🔴 Every call of a model fails: credential files of an older version are there',
      ['authfix'],
    ],
    [
      'an agent that has none',
      viewOf([KEY, expired], { order: [winning(KEY), nobody] }),
      '🔴 There is no credential that works for work',
      [],
    ],
    [
      'an agent that has none, but not all was seen',
      viewOf([KEY, expired], {
        truth: truthOf([KEY, expired], { unseen: ['The container cannot be seen.'] }),
        order: [nobody],
      }),
      '❔ No credential that works was seen for work, but not everything was seen',
      [],
    ],
    [
      'a gateway without a credential of its own, beside a login that is well',
      viewOf([CLI], { order: [{ agent: 'main', considered: [step(CLI, 'ignored', 'It is not read.')] }] }),
      '❔ The gateway has no credential of its own for main: it may run the Claude CLI',
      [],
    ],
    [
      'a gateway without a credential of its own, beside a login that is over',
      viewOf([blanked], {
        order: [{ agent: 'main', considered: [step(blanked, 'ignored', 'It is not read.')] }],
      }),
      '🔴 There is no credential that works for main',
      ['reauth'],
    ],
    [
      'well, but not all was seen',
      viewOf([KEY], { truth: truthOf([KEY], { unseen: ['The container cannot be seen.'] }) }),
      '❔ Model access is fine, as far as it was seen',
      [],
    ],
    [
      'an older copy, while copying is off',
      viewOf([KEY], { drift: [older] }),
      '🟡 Agent main has an older copy of the Claude CLI’s token: /sync renews it',
      [],
    ],
    [
      'a login that is over: a refresh is of no use any more',
      viewOf([{ ...CLI, expiresAt: T0 - HOUR, loginEndsAt: T0 - DAY }]),
      '🔴 Model access is down (the Claude CLI on this host): it ended 1 h ago: the Claude CLI has not renewed it',
      ['reauth'],
    ],
    [
      'two that win: it is fine until the first of them ends',
      viewOf([CLI, PROFILE], { order: [winning(CLI), winning(PROFILE, 'work')] }),
      '✅ Model access is fine until 18:12 UTC',
      [],
    ],
    ['nothing at all', viewOf([]), '❔ No credential was found', []],
    [
      'nothing of the gateway',
      viewOf([CLI], { order: [] }),
      '❔ Which credential the gateway uses was not seen',
      [],
    ],
    [
      'a file that the gateway has not read yet',
      viewOf([KEY, { ...ENV, id: 'state/.env', unloaded: true }], { drift: [unloaded] }),
      '🟡 .env, was changed after the gateway was started: /recreate loads it',
      ['recreate'],
    ],
  ])('of %s', (_, view, title, mends) => {
    const page = show(view)
    expect(wordsOf(page).split('\n')[0]).toBe(title)
    expect(mendsOf(page)).toEqual(mends)
    // It is said once.
    expect(page.lines?.map(plain)).not.toContain(page.title)
  })
})

describe('the line of a credential', () => {
  const born: Registered = { name: 'container', kind: 'setup-token', createdAt: T0 - 300 * DAY }
  it.each<[Credential, string, Partial<TokensView>?]>([
    [
      CLI,
      '✅ the Claude CLI on this host (login, A): 6 h 12 min left, renewed by the Claude CLI at 18:08 UTC, its login ends 18 Dec 12:00 UTC',
      { due: { at: T0 + 6 * HOUR + 8 * MINUTE, why: 'four minutes before its end' } },
    ],
    [PROFILE, '✅ profile anthropic:default of agent main (access token, A): 6 h 12 min left'],
    [KEY, '✅ .env, ANTHROPIC_API_KEY (api key): does not end by itself'],
    [KEY, '✅ .env, ANTHROPIC_API_KEY (api key, wins): does not end by itself', { order: [winning(KEY)] }],
    [
      KEY,
      '✅ .env, ANTHROPIC_API_KEY (api key, wins for main and work): does not end by itself',
      { order: [winning(KEY), winning(KEY, 'work'), winning(PROFILE, 'play')] },
    ],
    [
      { ...CONTAINER, kind: 'setup-token' },
      '✅ the running container, ANTHROPIC_OAUTH_TOKEN (setup-token): when it ends is not known',
    ],
    [
      { ...CONTAINER, kind: 'setup-token' },
      '✅ the running container, ANTHROPIC_OAUTH_TOKEN (setup-token): 65 d left',
      { registered: [born] },
    ],
    [
      { ...PROFILE, hash: B, expiresAt: T0 + 10 * MINUTE },
      '🟡 profile anthropic:default of agent main (access token): it ends in 10 min: nothing renews it',
    ],
    [
      { ...PROFILE, unusable: { kind: 'cooldown', until: T0 + HOUR, reason: 'rate_limit' } },
      '🟡 profile anthropic:default of agent main (access token, A): the gateway leaves it out until 13:00 UTC (rate_limit); 6 h 12 min left',
    ],
    [
      { ...PROFILE, unusable: { kind: 'disabled', reason: 'billing' } },
      '🟡 profile anthropic:default of agent main (access token, A): the gateway has disabled it (billing); 6 h 12 min left',
    ],
    [
      { ...PROFILE, fault: 'seconds', why: 'Its end stands there in seconds.' },
      '🔴 profile anthropic:default of agent main (access token, A): its end stands there in seconds',
    ],
    [
      { ...PROFILE, fault: 'no token', why: 'access, which type oauth needs, is missing.' },
      '🔴 profile anthropic:default of agent main (access token, A): access, which type oauth needs, is missing',
    ],
    [
      { id: 'profile/main/x', kind: 'access token', provider: 'anthropic', where: 'profile x', ended: true },
      '🔴 profile x (access token): it has ended',
      { stageOf: () => ({ verdict: 'bad', why: 'It has ended.' }) },
    ],
  ])('%j', (credential, line, more = {}) => {
    const view = viewOf([], { truth: truthOf([credential]), ...more })
    const shown = plain(lineOf(standingOf(credential, view, clock, T0), view.truth))
    expect(shown).toBe(line)
  })

  it('has what is worst first, and who shares a token in the details', () => {
    const page = show(viewOf([KEY, CLI, ENV, { ...PROFILE, fault: 'empty', why: 'There is nothing in it.' }]))
    const [first, second] = page.lines?.map(plain) ?? []
    expect(first).toMatch(/^🔴 profile .* \(access token, A\): there is nothing in it/)
    expect(second).toMatch(/^✅ .env, ANTHROPIC_API_KEY \(api key, wins\):/)
    expect(page.details).toContain(
      `A is one token in: ${[CLI, ENV, PROFILE].map(({ where }) => where).join('; ')}`,
    )
    expect(page.details).toContain('CREDENTIAL_SYNC is off: a new token is not copied to the gateway.')
  })

  it('is there for a setup-token that nothing else shows, with its end', () => {
    const laptop: Registered = { name: 'laptop', kind: 'setup-token', createdAt: T0 - 360 * DAY }
    const view = viewOf([KEY], { registered: [laptop] })
    const text = wordsOf(
      show({ ...view, stageOf: (each) => stageOf(each, T0, { registeredAt: laptop.createdAt }) }),
    )
    expect(text).toContain('🟡 registered as laptop (setup-token): it ends in 5 d')
  })

  it('tells how the day of a setup-token is registered, for one that nobody registered', () => {
    const setup: Credential = {
      ...PROFILE,
      kind: 'setup-token',
      expiresAt: undefined,
    } as unknown as Credential
    expect(wordsOf(show(viewOf([setup])))).toContain(
      '/tokens register profile/main/anthropic:default 2026-01-31',
    )
    const registered = [{ name: setup.id, kind: 'setup-token' as const, createdAt: T0 }]
    expect(wordsOf(show(viewOf([setup], { registered })))).not.toContain('/tokens register')
  })

  it('says what was not seen before anything else', () => {
    const truth = truthOf([KEY], { unseen: ['The sandboxes’ login: it may not be read.'] })
    expect(show(viewOf([KEY], { truth })).lines?.[0]).toBe(
      'Not seen: The sandboxes’ login: it may not be read',
    )
  })
})

describe('/whyauth', () => {
  const env = step(ENV, 'loses', 'A profile comes first.')
  const order = (...agents: string[]) =>
    agents.map((agent) => ({ agent, considered: [...winning(PROFILE).considered, env] }))
  const truth = truthOf([PROFILE, ENV, KEY])

  it('goes through the order step by step, with the header', () => {
    const lines = wordsOf(orderPage(truth, order('main'), 'main')).split('\n')
    expect(lines.slice(0, 3)).toEqual([
      '✅ profile anthropic:default of agent main wins for main',
      '1. wins profile anthropic:default of agent main, access token: it is the first that may be used. It goes out as Authorization: Bearer',
      '2. loses .env, ANTHROPIC_OAUTH_TOKEN, access token: a profile comes first',
    ])
  })

  it.each([
    ['an API key goes out as x-api-key', KEY, 'It goes out as x-api-key'],
    [
      'a session ingress token as a bearer',
      { ...KEY, kind: 'session ingress token' as const },
      'Authorization: Bearer',
    ],
  ])('%s', (_, credential, header) => {
    const page = orderPage(truthOf([credential]), [winning(credential)], 'main')
    expect(plain(page.lines?.[0] ?? '')).toContain(header)
  })

  it('says it once for agents that are alike', () => {
    const text = wordsOf(orderPage(truth, [...order('main', 'work'), winning(KEY, 'play')], undefined))
    expect(text).toContain('\nmain and work\n1. wins')
    expect(text).toContain('\nplay\n1. wins .env, ANTHROPIC_API_KEY')
    expect(text.match(/1\. wins/g)).toHaveLength(2)
  })

  it('leaves Refresh away where an agent’s name is too long for a button', () => {
    const long = 'a'.repeat(60)
    expect(mendsOf(orderPage(truth, order(long), long))).toEqual([])
    expect(orderPage(truth, order(long), long).buttons?.flat()).toHaveLength(1)
    expect(orderPage(truth, order('main'), 'main').buttons?.flat()[0]).toMatchObject({ run: 'whyauth main' })
  })

  it('says for whom nothing wins, and that no agent was seen', () => {
    const none = [{ agent: 'work', considered: [env] }]
    expect(orderPage(truth, [...order('main'), ...none], undefined)).toMatchObject({
      ...{ mark: 'bad', title: 'Nothing wins for work' },
    })
    expect(orderPage(truthOf([]), [], undefined).mark).toBe('unknown')
    const blind = truthOf([], { unseen: ['The container did not answer.'] })
    expect(orderPage(blind, none, 'work').mark).toBe('unknown')
    const nothing = [{ agent: 'work', considered: [step(CLI, 'ignored', 'It is not read.')] }]
    expect(orderPage(truth, nothing, 'work')).toMatchObject({
      ...{ mark: 'unknown', title: 'The gateway has no credential of its own for work' },
    })
  })
})

describe('/usage', () => {
  const windows = [
    { name: 'Current week (all models)', percent: 31, resetsAt: T0 + 3 * DAY },
    { name: 'Current session', percent: 42, resetsAt: T0 + 90 * MINUTE },
  ]
  it('has the fullest limit first, when each is reset, and its age', () => {
    expect(
      wordsOf(usagePage({ windows, at: T0 - 3 * MINUTE }, clock, T0))
        .split('\n')
        .slice(0, 3),
    ).toEqual([
      '✅ Current session 42 %, resets 13:30 UTC',
      'Current week (all models) 31 %, resets 23 Nov 12:00 UTC',
      'As of 3 min ago.',
    ])
  })

  it.each([
    [79, T0 + HOUR, 'ok'],
    [80, T0 + HOUR, 'warn'],
    [100, T0 + HOUR, 'bad'],
    // What was full before its reset says nothing about now.
    [100, T0 - HOUR, 'ok'],
  ])('of %d %% is marked by what it is now', (percent, resetsAt, mark) => {
    const page = usagePage({ windows: [{ name: 'Current session', percent, resetsAt }], at: T0 }, clock, T0)
    expect(page.mark).toBe(mark)
    if (resetsAt < T0) expect(page.title).toBe('Current session 100 %, reset since then')
  })
})

describe('whatever stands in the stores', () => {
  const text = fc.string({ unit: 'binary', maxLength: 400 })
  const hash = fc.constantFrom(A, B, 'cccccccccccccccc')
  const credential = fc.record(
    {
      ...{
        id: fc.oneof(text, fc.constantFrom('cli', 'sandbox', '.env', 'container', 'oauth.json')),
        where: text,
      },
      kind: fc.constantFrom<Credential['kind']>('login', 'access token', 'setup-token', 'api key', 'other'),
      provider: text,
      hash,
      expiresAt: fc.integer({ min: -1e13, max: 8e15 }),
      loginEndsAt: fc.integer({ min: -1e13, max: 8e15 }),
      renewedBy: fc.constant('the Claude CLI'),
      fault: fc.constantFrom<NonNullable<Credential['fault']>>(
        'missing',
        'blanked',
        'seconds',
        'wrong field',
      ),
      why: text,
    },
    { requiredKeys: ['id', 'kind', 'provider', 'where'] },
  ) as fc.Arbitrary<Credential>

  it('the pages keep Telegram’s limits, and no hash is seen', () => {
    fc.assert(
      fc.property(fc.array(credential, { maxLength: 60 }), fc.array(text, { maxLength: 9 }), (all, words) => {
        const truth = truthOf(all, { unseen: words, groups: { [A]: 'A', [B]: 'B' }, legacy: words })
        const order = all.map((each, index) => winning(each, words[index % 9] ?? `agent-${index}`))
        const view = viewOf(all, { truth, order, drift: words, config: { sync: true } })
        for (const page of [show(view), orderPage(truth, order, words[0])]) {
          for (const button of page.buttons?.flat() ?? [])
            if (!('url' in button))
              expect(Buffer.byteLength(dataOf(button))).toBeLessThanOrEqual(LONGEST_DATA)
          for (const { html } of messagesOf(page).messages) expect(html.length).toBeLessThanOrEqual(4096)
          const shown = wordsOf(page)
          for (const each of [A, B, 'cccccccccccccccc']) expect(shown).not.toContain(each)
        }
      }),
      { numRuns: 60 },
    )
  })
})

/** The commands over plain objects. */
function createHouse(
  more: {
    claude?: Partial<Claude> | null
    truth?: Truth
    sync?: boolean
    findings?: Finding[]
    refresh?: RefreshContext
  } = {},
) {
  const started: string[] = []
  const notes: Registered[] = []
  const deeds: string[] = []
  const truth = more.truth ?? truthOf([PROFILE])
  const bookOf = <C>(name: string, context: C): Runbook<unknown, C> => ({
    ...{ name, danger: 'disruptive', resource: 'credentials', steps: [] },
    plan: async () => ({
      ...{ target: 'everybody', findings: more.findings ?? [], commands: [['claude', name]] },
      ...{ basis: name, context },
    }),
    found: async () => '',
  })
  const claude: Partial<Claude> = {
    where: 'on this host',
    file: async () => ({ state: 'ok', path: '/f', expiresAt: T0 + 4 * HOUR + 2 * MINUTE }),
    version: async () => '2.1.328',
    usage: async () => undefined,
    ...more.claude,
  }
  const access = {
    claude: more.claude === null ? undefined : (claude as Claude),
    truth: async () => truth,
    order: () => [winning(PROFILE), winning(PROFILE, 'Work')],
    config: { sync: more.sync ?? false } as TokenOps['access']['config'],
  }
  const register: Register = {
    list: () => notes,
    add: (name, kind, createdAt) => void notes.push({ name, kind, createdAt }),
    remove: (name) =>
      void notes.splice(
        notes.findIndex((each) => each.name === name),
        1,
      ),
  }
  const ops: TokenOps & CredentialOps = {
    ...{
      access,
      register,
      drift: () => [],
      stageOf: (each, now, seen) => stageOf(each, now, { truth: seen }),
    },
    keeper: { due: () => ({ at: T0 + 4 * HOUR - 2 * MINUTE, why: 'four minutes before its end' }) },
    deeds: {
      perform(deed) {
        deeds.push(`${deed.name} ${deed.detail}`)
        return { id: 1, done: Promise.resolve(deed.run(new AbortController().signal)) }
      },
    },
    runbooks: {
      start(book, plan, actor, audience) {
        started.push(`${book.name} ${plan.target} ${actor.name} ${audience}`)
        return { id: 1, done: Promise.resolve() }
      },
      cancel: () => {},
      reportCut: async () => {},
    },
    refresh: more.claude === null ? undefined : bookOf('refresh', more.refresh ?? {}),
    ...{ sync: bookOf('sync', {}), authfix: bookOf('authfix', {}), migrate: bookOf('migrate', {}) },
  }
  const commands = [...tokenCommands(ops, clock), ...credentialCommands(ops, clock)]
  const find = (name: string) => {
    const found = commands.find((each) => each.name === name)
    if (!found) throw new Error(name)
    return found
  }
  const callOf = (name: string, words: string[]): Call<never> => ({
    ...{ args: parseArgs(find(name), words) as never, now: T0 },
    person: { id: 1, name: 'Ben', role: 'operator' },
    place: { chatId: 1, kind: 'private' },
  })
  return {
    ...{ commands, started, notes, deeds, find },
    run: async (name: string, ...words: string[]) => await find(name).run(callOf(name, words)),
    plan: async (name: string) => await find(name).plan?.(callOf(name, [])),
    confirm: async (name: string, basis: string) => await find(name).run({ ...callOf(name, []), basis }),
  }
}

it('the commands are sound; seeing is for viewers, changing for operators', () => {
  const { commands } = createHouse()
  expect(faultsOf(commands)).toEqual([])
  expect(commands.filter((each) => mayCall('viewer', each)).map(({ name }) => name)).toEqual([
    ...['tokens', 'whyauth', 'usage'],
  ])
  expect(commands.every((each) => mayCall('operator', each))).toBe(true)
})

describe('/tokens register', () => {
  it('notes the day as a deed, and says when the token ends', async () => {
    const house = createHouse()
    const page = await house.run('tokens register', 'laptop', '2026-11-01')
    expect(page).toMatchObject({ mark: 'ok', title: 'laptop ends 1 Nov 00:00 UTC, in 345 d 12 h.' })
    expect(house.notes).toEqual([{ name: 'laptop', kind: 'setup-token', createdAt: Date.UTC(2026, 10, 1) }])
    expect(house.deeds).toEqual(['tokens register laptop 2026-11-01'])
    await house.run('tokens register', 'profile/main/anthropic:#1a2b3c4d', 'today')
    expect(house.notes[1]?.createdAt).toBe(T0)
  })

  it.each([
    [['laptop'], '<date> is missing'],
    [['laptop', 'yesterday'], 'must be a date such as 2026-01-31, or today'],
    [['laptop', '2026-02-30'], 'must be a date such as 2026-01-31, or today'],
    [['laptop', '31.01.2026'], 'must be a date such as 2026-01-31, or today'],
    [['laptop', '2026-11-22'], '2026-11-22 is still to come'],
    [['laptop', '2025-11-20'], 'has ended: it is valid for a year'],
    [['ann@example.com', 'today'], 'never the token itself'],
    [[['sk-ant', 'oat01-x'].join('-'), 'today'], 'never the token itself'],
    [['x'.repeat(65), 'today'], 'of 64 letters'],
  ])('%j is refused: %s', async (words, why) => {
    const house = createHouse()
    await expect(house.run('tokens register', ...words)).rejects.toThrow(why)
    expect(house.notes).toEqual([])
  })

  it('is taken back by /tokens forget, which knows what there is', async () => {
    const house = createHouse()
    await expect(house.run('tokens forget', 'laptop')).rejects.toThrow('Nothing is registered')
    await house.run('tokens register', 'laptop', 'today')
    await expect(house.run('tokens forget', 'desktop')).rejects.toThrow('There are: laptop.')
    await house.run('tokens forget', 'laptop')
    expect(house.notes).toEqual([])
    expect(house.deeds.at(-1)).toBe('tokens forget laptop')
  })
})

describe('/whyauth of an agent', () => {
  it('knows it whatever its case, and says which there are', async () => {
    const { run } = createHouse()
    expect(await run('whyauth', 'WORK')).toMatchObject({ title: expect.stringMatching(/wins for Work$/) })
    await expect(run('whyauth', 'play')).rejects.toThrow('No agent "play" was seen. There are: main, Work.')
  })
})

describe('/usage without figures says why', () => {
  it.each<[string, Partial<Claude> | null, string]>([
    ['the CLI is off', null, 'CLAUDE_MODE is off'],
    [
      'nobody is signed in',
      { file: async () => ({ state: 'missing', path: '/f', why: 'There is no such file.' }) },
      'Nobody is signed in to the Claude CLI on this host, and an API key has no such limits. There is no such file.',
    ],
    [
      'the CLI is too old',
      { version: async () => '2.1.54' },
      'is 2.1.54; it tells its limits from 2.1.200 on',
    ],
    [
      'there is none',
      { version: () => Promise.reject(new OpsError('There is no Claude CLI in PATH.')) },
      'There is no Claude CLI in PATH.',
    ],
    ['it noted none', {}, 'has not noted any yet'],
    ['it noted nothing', { usage: async () => ({ windows: [], at: T0 }) }, 'has not noted any yet'],
  ])('when %s', async (_, claude, why) => {
    const { run } = createHouse({ claude })
    const said = await run('usage').then(wordsOf, (error: Error) => error.message)
    expect(said).toContain(why)
  })
})

describe('/refresh', () => {
  const fresh: Finding[] = [{ level: 'block', text: 'fresh until 16:02, renews itself at 15:58' }]
  const context = { before: T0 + 4 * HOUR + 2 * MINUTE, renewsAt: T0 + 4 * HOUR - 2 * MINUTE }

  it('says until when it is fresh and when it renews itself, and runs nothing', async () => {
    const house = createHouse({ findings: fresh, refresh: context })
    expect((await house.run('refresh')).title).toBe('Fresh until 16:02 UTC, renews itself at 15:58 UTC.')
    expect(house.started).toEqual([])
  })

  it('starts at once when it is due, without a question', async () => {
    const house = createHouse({ refresh: { before: T0 + MINUTE } })
    expect(house.find('refresh').danger).toBe('safe')
    expect((await house.run('refresh')).title).toBe('refresh of everybody has begun.')
    expect(house.started).toEqual(['refresh everybody Ben chat:1'])
  })

  it('that cannot be done says why, and offers to sign in', async () => {
    const house = createHouse({ findings: [{ level: 'block', text: 'there is no login' }] })
    const page = await house.run('refresh')
    expect(page).toMatchObject({ title: 'It cannot be renewed: there is no login', failed: true })
    expect(mendsOf(page)).toEqual(['reauth'])
    expect(house.started).toEqual([])
  })

  it('without a Claude CLI says which key to set', async () => {
    const house = createHouse({ claude: null })
    await expect(house.run('refresh')).rejects.toThrow('CLAUDE_MODE is off. Set it to host or container.')
    await expect(house.plan('refresh')).rejects.toThrow('CLAUDE_MODE is off')
  })
})

describe('/sync', () => {
  it('that is off says so, why, and what the terms say; nothing is to be confirmed', async () => {
    const house = createHouse()
    const plan = await house.plan('sync')
    expect(plan?.blocked).toBe(true)
    const text = wordsOf(plan?.page ?? { title: '' })
    for (const words of ['Sync is off', TERMS.sync, TERMS.instead, ...TERMS_SOURCE.readOn, TERMS_QUOTES[1]])
      expect(text).toContain(words)
    await expect(house.confirm('sync', 'off')).rejects.toThrow('Nothing was copied')
    expect(house.started).toEqual([])
  })

  it('that is on shows its plan with the terms, and starts the one that was shown', async () => {
    const house = createHouse({ sync: true })
    const plan = await house.plan('sync')
    expect(plan).toMatchObject({ basis: 'sync', blocked: false })
    expect(wordsOf(plan?.page ?? { title: '' })).toContain(TERMS.sync)
    await expect(house.confirm('sync', 'another')).rejects.toThrow('nothing was done')
    await house.confirm('sync', 'sync')
    expect(house.started).toEqual(['sync everybody Ben chat:1'])
  })
})

describe('/authfix', () => {
  it.each([
    ['files', 'authfix'],
    ['unknown', 'authfix'],
    ['sqlite', 'migrate'],
  ] as const)('on a store of %s is the plan of %s', async (store, name) => {
    const house = createHouse({ truth: truthOf([PROFILE], { store }) })
    expect((await house.plan('authfix'))?.page.title).toBe(`${name} everybody?`)
    await house.confirm('authfix', name)
    expect(house.started).toEqual([`${name} everybody Ben chat:1`])
  })
})

it('the terms stand in the README’s words with the dates of their source', () => {
  const text = termsMarkdown()
  for (const each of [...TERMS_SOURCE.readOn, TERMS_SOURCE.page, TERMS.sync, TERMS.signIn, ...TERMS_QUOTES])
    expect(text).toContain(each)
})
