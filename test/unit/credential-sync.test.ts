// Sync: who gets the CLI's token and who is left alone, what becomes of the files, what the gateway is told, and the proof.

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createCopies } from '../../src/ops/credentials/copies.ts'
import type { Pasted, Reported } from '../../src/ops/credentials/pasting.ts'
import { mayTake, planSync, type Source } from '../../src/ops/credentials/sync.ts'
import type { Holding } from '../../src/ops/credentials/targets.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import type { Cli } from '../../src/ops/gateway/cli.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import type { ReportedCredential } from '../../src/ops/gateway/credentials.ts'
import { createRunbooks, type RunbookCard } from '../../src/ops/runbooks/index.ts'
import { createSync } from '../../src/ops/runbooks/sync.ts'
import { HOUR, MINUTE, openTestState, T0, tempDir } from './help.ts'

const oat = (name: string) => ['sk-ant', `oat01-${name}`].join('-')
const ort = (name: string) => ['sk-ant', `ort01-${name}`].join('-')
const apiKey = ['sk-ant', 'api03-KEY'].join('-')

const NEW = { hash: shortHash(oat('new')), expiresAt: T0 + 8 * HOUR, refreshHash: shortHash(ort('cli')) }
const OLD = T0 + MINUTE
const held = (facts: Partial<Holding> = {}): Holding => ({
  ...{ id: 'profile/main/anthropic:default', where: 'x', profile: 'anthropic:default' },
  ...facts,
})

describe('whether the token may take a place', () => {
  const seen = { [shortHash(oat('seen'))]: OLD, [shortHash(oat('later'))]: NEW.expiresAt + 1 }
  it.each<[string, Holding, boolean, string]>([
    ['with nothing in it', held(), true, 'holds none'],
    ['with an older one', held({ hash: 'a', expiresAt: OLD }), true, 'its token ends 7 h 59 min earlier'],
    ['with one that ended', held({ hash: 'a', expiresAt: 1 }), true, 'its token ends'],
    ['with a newer one', held({ hash: 'a', expiresAt: NEW.expiresAt + 1 }), false, 'has a newer one'],
    ['with another of the same end', held({ hash: 'a', expiresAt: NEW.expiresAt }), false, 'has a newer one'],
    ['with this one', held(NEW), true, 'has it already, and a refresh token'],
    ['with this one alone', held({ hash: NEW.hash, expiresAt: NEW.expiresAt }), false, 'has it already'],
    ['with this one and a wrong end', held({ hash: NEW.hash, expiresAt: OLD }), true, 'another end'],
    ['with one of unknown age', held({ hash: 'a' }), false, 'its end is not known'],
    ['with one that the CLI had', held({ hash: shortHash(oat('seen')) }), true, 'its token ends'],
    ['with one that the CLI had later', held({ hash: shortHash(oat('later')) }), false, 'has a newer one'],
    [
      'with one that the CLI had later, and an end that says otherwise',
      held({ hash: shortHash(oat('later')), expiresAt: OLD }),
      false,
      'has a newer one',
    ],
    [
      'with a login of its own',
      held({ hash: 'a', expiresAt: OLD, refreshHash: 'r' }),
      false,
      'a login of its own',
    ],
    ['with a login of its own and no token', held({ refreshHash: 'r' }), false, 'a login of its own'],
    [
      'with the CLI’s own refresh token',
      held({ hash: 'a', expiresAt: OLD, refreshHash: NEW.refreshHash }),
      true,
      'its token ends',
    ],
    ['with an API key', held({ kept: 'it is an API key' }), false, 'it is an API key'],
    ['that is a .env with this one', { id: '.env', where: '.env', hash: NEW.hash }, false, 'has it already'],
    ['that is a .env of unknown age', { id: '.env', where: '.env', hash: 'a' }, false, 'may be a newer one'],
  ])('%s', (_, holding, write, why) => {
    const verdict = mayTake(NEW, holding, seen, seen)
    expect([verdict.write, verdict.why]).toEqual([write, expect.stringContaining(why)])
  })
})

describe('the plan', () => {
  const base = { source: NEW, now: T0, seen: {}, profiles: [], others: [], refused: [] }
  const profile = (id: string, facts: Partial<Holding>): Holding =>
    held({ id: `profile/main/${id}`, profile: id, ...facts })
  const actions = (holdings: Holding[], seen = {}) =>
    planSync({ ...base, seen, profiles: [{ agent: 'main', holdings }] }).targets.map(({ action }) => action)

  it('of several profiles takes the one that is known to be a copy', () => {
    const old = { hash: 'a', expiresAt: OLD }
    const holdings = [
      profile('anthropic:default', old),
      profile('anthropic:work', { hash: 'b', expiresAt: OLD }),
    ]
    expect(actions(holdings)).toEqual(['write', 'none'])
    expect(actions(holdings, { b: OLD })).toEqual(['none', 'write'])
    expect(actions([profile('anthropic:a', old), profile('anthropic:b', old)])).toEqual(['none', 'none'])
    expect(actions([profile('anthropic:a', old)])).toEqual(['write'])
  })

  it('does not begin with a second profile where one has the token', () => {
    const old = { hash: 'b', expiresAt: OLD }
    const has = { hash: NEW.hash, expiresAt: NEW.expiresAt }
    expect(actions([profile('anthropic:manual', has), profile('anthropic:default', old)])).toEqual([
      'none',
      'none',
    ])
  })

  it('knows the age of a .env by a profile that has the same token', () => {
    const plan = planSync({
      ...base,
      profiles: [{ agent: 'main', holdings: [held({ hash: 'a', expiresAt: OLD })] }],
      others: [{ id: '.env', where: '.env', hash: 'a' }],
    })
    expect(plan.targets.map(({ id, action }) => `${id} ${action}`)).toEqual([
      'profile/main/anthropic:default write',
      '.env write',
    ])
  })

  it.each([0, T0, Number.NaN])('copies no token that has ended (%s)', (expiresAt) => {
    const source = { ...NEW, expiresAt }
    const { targets, why } = planSync({ ...base, source, profiles: [{ agent: 'main', holdings: [held()] }] })
    expect(targets.map(({ action }) => action)).toEqual(['none'])
    expect(why).toContain('has ended')
  })

  const env = { id: '.env', where: '.env', hash: 'a', expiresAt: OLD }
  it.each<[string, object, boolean]>([
    ['wins and .env gets it', { environment: { wins: true, hash: 'a' }, others: [env] }, true],
    ['does not win', { environment: { wins: false, hash: 'a' }, others: [env] }, false],
    ['has it already', { environment: { wins: true, hash: NEW.hash }, others: [env] }, false],
    ['wins, and .env has no such key', { environment: { wins: true, hash: 'a' } }, false],
    [
      'wins, and .env is left alone',
      { environment: { wins: true, hash: 'a' }, others: [{ id: '.env', where: '.env', hash: 'b' }] },
      false,
    ],
    [
      'wins until a profile gets it',
      {
        environment: { wins: true, hash: 'a' },
        others: [env],
        profiles: [{ agent: 'main', holdings: [held()] }],
      },
      false,
    ],
  ])('makes the gateway anew only when its environment %s: %#', (_, input, recreate) => {
    expect(planSync({ ...base, ...input }).recreate).toBe(recreate)
  })

  const own = (profileId: string, facts: Partial<Reported> = {}): Reported => ({
    ...{ profileId, unusable: false },
    ...facts,
  })
  const last = { profile: 'anthropic:opsbot', hash: NEW.hash, expiresAt: NEW.expiresAt }
  const before = { ...last, hash: 'b', expiresAt: OLD }
  it.each<[string, Reported[], Pasted, string]>([
    ['that has nothing', [], {}, 'paste anthropic:opsbot'],
    ['with profiles of others', [own('anthropic:manual', { expiresAt: OLD })], {}, 'paste anthropic:opsbot'],
    [
      'with an older one',
      [own('anthropic:opsbot', { expiresAt: OLD })],
      { main: before },
      'paste anthropic:opsbot',
    ],
    [
      'with one that ended',
      [own('anthropic:opsbot', { expired: true })],
      { main: before },
      'paste anthropic:opsbot',
    ],
    [
      'whose profile is in cooldown',
      [own('anthropic:opsbot', { expiresAt: OLD, unusable: true })],
      { main: before },
      'paste anthropic:opsbot-2',
    ],
    [
      'whose first profile is out of its cooldown again',
      [
        own('anthropic:opsbot', { expiresAt: 5 }),
        own('anthropic:opsbot-2', { expiresAt: OLD, unusable: true }),
      ],
      { main: { ...before, profile: 'anthropic:opsbot-2' } },
      'paste anthropic:opsbot',
    ],
    [
      'that has it',
      [own('anthropic:opsbot', { expiresAt: NEW.expiresAt + 9_000 })],
      { main: last },
      'none anthropic:opsbot',
    ],
    [
      'that has it in cooldown: the limit is the account’s',
      [own('anthropic:opsbot', { expiresAt: NEW.expiresAt, unusable: true })],
      { main: last },
      'none anthropic:opsbot',
    ],
    ['that lost it', [], { main: last }, 'paste anthropic:opsbot'],
    [
      'with a newer one',
      [own('anthropic:opsbot', { expiresAt: NEW.expiresAt + HOUR })],
      {},
      'none anthropic:opsbot',
    ],
    [
      'with another token that ends at the same time',
      [own('anthropic:opsbot', { expiresAt: NEW.expiresAt })],
      { main: { ...last, hash: 'b', expiresAt: NEW.expiresAt - 1_000 } },
      'paste anthropic:opsbot',
    ],
    ['with a token of unknown age under our name', [own('anthropic:opsbot')], {}, 'paste anthropic:opsbot-2'],
  ])('for a gateway %s', (_, reported, pasted, expected) => {
    const { targets } = planSync({ ...base, gateway: { agents: ['main'], reported, pasted } })
    expect(targets.map(({ action, profile }) => `${action} ${profile}`)).toEqual([expected])
  })
})

/** A deployment on disk, a CLI with a token, a gateway that takes what it is told and reports what it has. */
function createHouse(over: { version?: string; sqlite?: boolean; agents?: string[] } = {}) {
  const root = join(tempDir(), 'state')
  const project = tempDir()
  mkdirSync(root)
  const yard = {
    token: { value: oat('new'), expiresAt: NEW.expiresAt } as
      | { value: string; expiresAt: number }
      | undefined,
    version: over.version ?? '2026.2.22',
    reported: [] as ReportedCredential[],
    environment: { wins: false } as { wins: boolean; hash?: string },
    calls: [] as { args: readonly string[]; input: string | undefined }[],
    answer: { exitCode: 0, output: '', stdout: '', stderr: '' },
    running: true,
    recreated: 0,
    pasted: {} as Pasted,
    seen: {} as Record<string, number>,
  }
  const put = (file: string, text: string | object) => {
    const path = file === '.env' ? join(project, file) : join(root, file)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, typeof text === 'string' ? text : JSON.stringify(text, undefined, 2), { mode: 0o600 })
    return path
  }
  if (over.sqlite) put('state/openclaw.sqlite', '')
  const profiles = (agent: string) => `agents/${agent}/agent/auth-profiles.json`
  const cli = {
    known: async () => ({ argv: ['openclaw'], version: yard.version }),
    async run(args, { input }) {
      yard.calls.push({ args, input })
      if (yard.answer.exitCode === 0) {
        const value = (name: string) => args[args.indexOf(name) + 1] ?? ''
        const expiresAt = T0 + Number.parseInt(value('--expires-in'), 10) * 1_000 + 2_000
        yard.reported = yard.reported.filter(({ profileId }) => profileId !== value('--profile-id'))
        yard.reported.push({
          provider: 'anthropic',
          profileId: value('--profile-id'),
          type: 'token',
          expiresAt,
        })
      }
      return yard.answer
    },
    json: () => Promise.reject(new OpsError('not asked')),
  } satisfies Cli
  /** An older gateway reports what its main agent's file says. */
  const report = async () => {
    if (over.sqlite) return yard.reported
    const store = JSON.parse(readFileSync(join(root, profiles('main')), 'utf8'))
    return Object.entries<{ type: string; expires?: number }>(store.profiles).map(([profileId, each]) => ({
      ...{ provider: 'anthropic', profileId, type: each.type, agent: 'main' },
      ...(each.expires !== undefined && { expiresAt: each.expires }),
    }))
  }
  const copies = createCopies({
    stateDir: async () => root,
    envPath: async () => join(project, '.env'),
    version: async () => yard.version,
    report,
    agents: async () => over.agents ?? ['main'],
    cli: async () => (yard.running ? cli : undefined),
    environment: async () => yard.environment,
    memory: {
      seen: () => yard.seen,
      ends: () => ({}),
      pasted: () => yard.pasted,
      setPasted: (pasted) => {
        yard.pasted = pasted
      },
    },
    now: () => T0,
  })
  const state = openTestState()
  const runbooks = createRunbooks({
    ...state,
    deeds: createDeeds({ ...state, now: () => T0 }),
    now: () => T0,
  })
  const parts = {
    claude: {
      token: async () => yard.token && { ...yard.token, hash: shortHash(yard.token.value) },
      file: async () => ({ state: 'ok' as const, path: 'x', refreshHash: NEW.refreshHash }),
    },
    ...{ on: true, copies, report, now: () => T0 },
    note(hash: string, expiresAt: number) {
      yard.seen = { ...yard.seen, [hash]: expiresAt }
    },
    words: async () => (yard.running ? ['openclaw'] : undefined),
    environment: async () => yard.environment,
    recreate: async () => {
      yard.recreated += 1
      yard.environment = { wins: true, hash: NEW.hash }
      return 'made anew'
    },
  }
  const sync = createSync(parts)
  return {
    ...{ root, project, yard, put, parts, copies, sync, profiles },
    read: (file: string) => readFileSync(join(file === '.env' ? project : root, file), 'utf8'),
    store: (agent = 'main') => JSON.parse(readFileSync(join(root, profiles(agent)), 'utf8')),
    findings: async () => (await sync.runbook.plan({})).findings.map(({ level, text }) => `${level} ${text}`),
    async run(meanwhile = () => {}) {
      const planned = await sync.runbook.plan({})
      meanwhile()
      await runbooks.start(sync.runbook, planned, { name: 'Ann (11)' }, 'chat:11').done.catch(() => {})
      const card = state.cards.raisedSince(0).at(-1)?.facts as RunbookCard
      return card.steps.map((each) => `${each.name} ${each.state}${each.note ? `: ${each.note}` : ''}`)
    },
  }
}

const token = (value: string, expires?: number) => ({
  ...{ type: 'token', provider: 'anthropic', token: value },
  ...(expires !== undefined && { expires }),
})

describe('an older gateway', () => {
  it('gets the token into the profile of each agent, and all else in the files stays', async () => {
    const house = createHouse()
    const rest = {
      order: { anthropic: ['anthropic:default'] },
      lastGood: { anthropic: 'anthropic:default' },
      unknown: { kept: [1, 2] },
    }
    const other = { type: 'api_key', provider: 'openai', key: 'x' }
    const stats = { lastUsed: 5, errorCount: 3, cooldownUntil: T0 + HOUR, failureCounts: { auth: 3 } }
    house.put(house.profiles('main'), {
      version: 1,
      profiles: { 'openai:x': other, 'anthropic:default': token(oat('old'), OLD) },
      ...rest,
      usageStats: { 'anthropic:default': stats, 'openai:x': stats },
    })
    house.put(house.profiles('work'), {
      version: 1,
      profiles: {
        'anthropic:sub': {
          ...{ type: 'oauth', provider: 'anthropic', access: oat('old'), email: 'a@b.c', expires: OLD },
          refresh: ort('cli'),
        },
      },
    })
    expect(await house.run()).toEqual([
      'token done: 8 h left',
      "files done: main's profile anthropic:default, work's profile anthropic:sub",
      '.env done: nothing to do',
      'paste done: nothing to do',
      'recreate done: not needed',
      'proof done: the running gateway has it in anthropic:default, 8 h left',
    ])
    expect(house.store()).toEqual({
      version: 1,
      profiles: { 'openai:x': other, 'anthropic:default': token(oat('new'), NEW.expiresAt) },
      ...rest,
      usageStats: { 'anthropic:default': { lastUsed: 5 }, 'openai:x': stats },
    })
    expect(Object.keys(house.store().profiles)).toEqual(['openai:x', 'anthropic:default'])
    expect(house.store('work').profiles['anthropic:sub']).toEqual({
      ...{ type: 'oauth', provider: 'anthropic', access: oat('new'), email: 'a@b.c', expires: NEW.expiresAt },
      refresh: '',
    })
    expect(await house.findings()).toEqual([
      "ok main's profile anthropic:default has it already",
      "ok work's profile anthropic:sub has it already",
      'block there is nothing to do: everybody has it already.',
    ])
    expect(await house.sync.isDue()).toBe(false)
    expect(readdirSync(join(house.root, 'agents/main/agent'))).toEqual(['auth-profiles.json'])
  })

  it('gets a profile where there is none of Anthropic’s', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { version: 1, profiles: {} })
    await house.run()
    expect(house.store().profiles).toEqual({ 'anthropic:default': token(oat('new'), NEW.expiresAt) })
  })

  it.each<[string, object, string]>([
    ['a setup-token', { default: token(oat('setup')) }, 'its end is not known'],
    ['an API key', { default: { type: 'api_key', provider: 'anthropic', key: apiKey } }, 'it is an API key'],
    [
      'a login of its own',
      {
        default: { type: 'oauth', provider: 'anthropic', access: oat('x'), refresh: ort('x'), expires: OLD },
      },
      'has a login of its own',
    ],
    ['a newer token', { default: token(oat('newer'), NEW.expiresAt + HOUR) }, 'has a newer one'],
    // Read as it stands there this one would have ended in 1970.
    [
      'a newer token in seconds',
      { default: token(oat('newer'), (NEW.expiresAt + HOUR) / 1_000) },
      'has a newer one',
    ],
    ['a session token', { default: token(['sk-ant', 'si-x'].join('-'), OLD) }, 'it is no OAuth token'],
  ])('keeps %s', async (_, profiles, why) => {
    const house = createHouse()
    const named = Object.fromEntries(Object.entries(profiles).map(([id, each]) => [`anthropic:${id}`, each]))
    house.put(house.profiles('main'), { version: 1, profiles: named })
    const before = house.read(house.profiles('main'))
    expect((await house.findings())[0]).toContain(
      `warn main's profile anthropic:default is left alone: ${why}`,
    )
    await expect(house.sync.quietly(new AbortController().signal)).resolves.toBeUndefined()
    expect(house.read(house.profiles('main'))).toBe(before)
  })

  it.each(['', '{', '[]', '"x"', '{"profiles":[]}', '\uFEFF{', 'null'])(
    'keeps a file that is %j',
    async (text) => {
      const house = createHouse()
      house.put(house.profiles('main'), text)
      expect((await house.findings())[0]).toMatch(
        /^warn main's auth-profiles.json is left alone: .*left alone/,
      )
      expect(house.read(house.profiles('main'))).toBe(text)
    },
  )

  it('gets oauth.json only while its main agent has no profiles, and other providers stay in it', async () => {
    const house = createHouse()
    house.put('credentials/oauth.json', {
      'openai-codex': { access: 'x' },
      anthropic: { access: oat('old'), refresh: ort('cli'), expires: OLD, scopes: ['a'] },
    })
    await house.copies.write({ id: 'oauth.json' }, { source: NEW, ends: {} }, yardToken(house))
    expect(JSON.parse(house.read('credentials/oauth.json'))).toEqual({
      'openai-codex': { access: 'x' },
      anthropic: { access: oat('new'), refresh: '', expires: NEW.expiresAt, scopes: ['a'] },
    })
    house.put(house.profiles('main'), { version: 1, profiles: {} })
    const { targets } = await house.copies.plan(NEW)
    expect(targets.map(({ id }) => id)).toEqual(['profile/main/anthropic:default'])
  })

  it.each([
    ['2026.2.22', true],
    ['2026.3.0', false],
    ['2026.9.6', false],
  ])('of version %s gets a new oauth.json: %s', async (version, made) => {
    const house = createHouse({ version })
    const { targets } = await house.copies.plan(NEW)
    expect(targets.map(({ id, action }) => `${id} ${action}`)).toEqual(made ? ['oauth.json write'] : [])
    await house.copies.write({ id: 'oauth.json' }, { source: NEW, ends: {} }, yardToken(house))
    expect(readdirSync(house.root)).toEqual(made ? ['credentials'] : [])
    if (made) expect(readdirSync(join(house.root, 'credentials'))).toEqual(['oauth.json'])
    if (made) expect(statSync(join(house.root, 'credentials/oauth.json')).mode & 0o777).toBe(0o600)
  })

  it('gets its .env, which is read when it is made anew', async () => {
    const house = createHouse()
    house.yard.seen = { [shortHash(oat('old'))]: OLD }
    house.yard.environment = { wins: true, hash: shortHash(oat('old')) }
    house.put(house.profiles('main'), {
      version: 1,
      profiles: { 'anthropic:key': { type: 'api_key', provider: 'anthropic', key: apiKey } },
    })
    house.put('.env', `# mine\nANTHROPIC_OAUTH_TOKEN="${oat('old')}" # the CLI's\nB=2\n`)
    const steps = await house.run()
    expect(house.read('.env')).toBe(`# mine\nANTHROPIC_OAUTH_TOKEN="${oat('new')}" # the CLI's\nB=2\n`)
    expect(house.read('.env')).not.toContain(ort('cli'))
    expect(readFileSync(join(house.project, '.env.bak'), 'utf8')).toContain(oat('old'))
    expect(steps.slice(-2)).toEqual(['recreate done: made anew', 'proof done: the running container has it'])
    expect(house.yard.recreated).toBe(1)
  })

  it('gets no key that its .env does not have', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: {} })
    house.put('.env', 'B=2\n')
    await house.run()
    expect(house.read('.env')).toBe('B=2\n')
  })

  it('that moves to SQLite in the middle gets no file any more', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    const before = house.read(house.profiles('main'))
    const steps = await house.run(() => house.put('agents/main/agent/openclaw-agent.sqlite', ''))
    expect(steps[1]).toMatch(/^files failed: The gateway keeps its profiles in SQLite by now/)
    expect(house.read(house.profiles('main'))).toBe(before)
  })

  it('that was given a newer token between plan and write keeps it', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    const newer = { profiles: { 'anthropic:default': token(oat('newer'), NEW.expiresAt + HOUR) } }
    const steps = await house.run(() => house.put(house.profiles('main'), newer))
    expect(steps[1]).toBe("files done: main's profile anthropic:default (as it is)")
    expect(house.store()).toEqual(newer)
  })

  it('of which one file cannot be written says which ones were, and goes on from there', async () => {
    const house = createHouse()
    for (const agent of ['main', 'work'])
      house.put(house.profiles(agent), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    const steps = await house.run(() => {
      rmSync(join(house.root, house.profiles('work')))
      mkdirSync(join(house.root, house.profiles('work')))
    })
    expect(steps[1]).toMatch(
      /^files failed: .*auth-profiles.json is not a file. Written before that: main's profile anthropic:default.$/,
    )
    rmSync(join(house.root, house.profiles('work')), { recursive: true })
    house.put(house.profiles('work'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    expect((await house.findings())[0]).toContain('has it already')
    expect(await house.sync.quietly(new AbortController().signal)).toContain(
      "files: work's profile anthropic:default",
    )
  })

  it('that does not show the token fails the proof', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    const stale = { provider: 'anthropic', profileId: 'anthropic:default', type: 'token', expiresAt: OLD }
    const sync = createSync({ ...house.parts, report: async () => [stale] })
    const { context } = await sync.runbook.plan({})
    const stop = new AbortController()
    stop.abort()
    for (const { name, run } of sync.runbook.steps) {
      const done = run(context, { progress() {}, signal: stop.signal })
      if (name === 'proof') await expect(done).rejects.toThrow('does not show it in anthropic:default')
      else await done
    }
  })
})

const yardToken = ({ yard }: ReturnType<typeof createHouse>) => {
  if (!yard.token) throw new Error('no token')
  return yard.token
}

describe('a newer gateway', () => {
  it('is told the token by its own command, over stdin alone, and shows it', async () => {
    const house = createHouse({ sqlite: true, version: '2026.9.6' })
    const plan = await house.sync.runbook.plan({})
    const args =
      'models auth paste-token --provider anthropic --profile-id anthropic:opsbot --expires-in 28800s'
    expect(plan.commands.map((argv) => argv.join(' '))).toEqual([`openclaw ${args}`])
    expect((await house.run()).slice(3)).toEqual([
      'paste done: anthropic:opsbot',
      'recreate done: not needed',
      'proof done: the running gateway has it in anthropic:opsbot, 8 h left',
    ])
    expect(house.yard.calls).toEqual([{ args: args.split(' '), input: oat('new') }])
    expect(await house.sync.isDue()).toBe(false)
    expect(readdirSync(house.root)).toEqual(['state'])
  })

  it('with several agents is told for each', async () => {
    const house = createHouse({ sqlite: true, agents: ['main', 'work', '--force'] })
    await house.run()
    expect(house.yard.calls.map(({ args }) => args.slice(-2).join(' '))).toEqual([
      '--agent main',
      '--agent work',
    ])
  })

  it('that refuses says why, without the token', async () => {
    const house = createHouse({ sqlite: true })
    const said = `bad token ${oat('new')} or ${ort('x')}`
    house.yard.answer = { exitCode: 1, output: said, stdout: '', stderr: said }
    const steps = await house.run()
    expect(steps[3]).toBe('paste failed: The gateway did not take it: bad token … or … It has what it had.')
  })

  it('that was not told by its own command is told again', async () => {
    const house = createHouse({ sqlite: true })
    const output =
      'Warning: Model auth changes were saved, but the local Gateway could not refresh them. Run `openclaw gateway restart` to apply the saved changes.'
    house.yard.answer = { exitCode: 0, output, stdout: '', stderr: output }
    expect((await house.run())[3]).toContain('has it in the database, and the running gateway was not told')
    house.yard.answer = { exitCode: 0, output: '', stdout: '', stderr: '' }
    expect((await house.run()).slice(3, 4)).toEqual(['paste done: anthropic:opsbot'])
  })

  it('that does not run is not told', async () => {
    const house = createHouse({ sqlite: true })
    const steps = await house.run(() => {
      house.yard.running = false
    })
    expect(steps[3]).toContain('The gateway does not run')
  })

  it('never gets a file, whatever lies there', async () => {
    const house = createHouse({ sqlite: true })
    const legacy = { profiles: { 'anthropic:default': token(oat('old'), OLD) } }
    house.put(house.profiles('main'), legacy)
    await house.run()
    expect(house.store()).toEqual(legacy)
    const known = { source: NEW as Source, ends: {} }
    for (const target of [{ id: 'oauth.json' }, { id: 'profile/main/anthropic:default', agent: 'main' }])
      await expect(house.copies.write(target, known, yardToken(house))).rejects.toThrow('no file was written')
    expect(readdirSync(house.root).sort()).toEqual(['agents', 'state'])
  })
})

describe('the CLI', () => {
  it.each<[string, { value: string; expiresAt: number } | undefined, string]>([
    ['without a token', undefined, 'block The Claude CLI has no token to copy'],
    [
      'with an empty one',
      { value: '', expiresAt: NEW.expiresAt },
      'block The Claude CLI has no token to copy',
    ],
    [
      'with one that ended',
      { value: oat('new'), expiresAt: T0 - 1 },
      'block there is nothing to do: the CLI’s token has ended',
    ],
  ])('%s gives nothing away', async (_, given, finding) => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), 5) } })
    house.yard.token = given
    expect((await house.findings()).at(-1)).toContain(finding)
  })

  it('that has a newer token in the middle ends the run, and the next goes on with that', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
    const steps = await house.run(() => {
      house.yard.token = { value: oat('newest'), expiresAt: NEW.expiresAt + HOUR }
    })
    expect(steps[0]).toContain('token failed: A newer token came meanwhile')
    expect(house.store().profiles['anthropic:default'].token).toBe(oat('old'))
    await house.run()
    expect(house.store().profiles['anthropic:default'].token).toBe(oat('newest'))
  })

  it('is not copied while that is switched off', async () => {
    const house = createHouse()
    house.put(house.profiles('main'), { profiles: {} })
    const sync = createSync({ ...house.parts, on: false })
    expect((await sync.runbook.plan({})).findings[0]?.text).toContain('CREDENTIAL_SYNC is off')
    expect(await sync.isDue()).toBe(false)
    expect(await sync.quietly(new AbortController().signal)).toBeUndefined()
    expect(house.store()).toEqual({ profiles: {} })
  })

  it('shows its token nowhere: not in the plan, not in its context, not in the steps', async () => {
    for (const sqlite of [false, true]) {
      const house = createHouse({ sqlite })
      house.put('.env', `ANTHROPIC_OAUTH_TOKEN=${oat('old')}\n`)
      if (!sqlite)
        house.put(house.profiles('main'), { profiles: { 'anthropic:default': token(oat('old'), OLD) } })
      const all = JSON.stringify([await house.sync.runbook.plan({}), await house.run()])
      expect(all).not.toMatch(/sk-ant/)
    }
  })
})
