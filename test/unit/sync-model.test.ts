// No sequence of files, clocks, tokens and failures ever makes the bot write an empty or an older token over a newer one.

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createCopies } from '../../src/ops/credentials/copies.ts'
import { entriesOf } from '../../src/ops/envfile.ts'
import type { Cli } from '../../src/ops/gateway/cli.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import type { ReportedCredential } from '../../src/ops/gateway/credentials.ts'
import { createSync } from '../../src/ops/runbooks/sync.ts'
import { HOUR, T0, tempDir } from './help.ts'

const RUNS = process.env.SOAK === '1' ? 20_000 : process.env.CI ? 2_000 : 300
const STEPS = 14

/** Tokens by when they really end, in hours from T0; -1 is none at all. Two of one hour are two accounts'. */
const nameOf = (hour: number, account = 'a') => ['sk-ant', `oat01-${account}${hour}`].join('-')
const endOf = (hour: number) => T0 + hour * HOUR
/** When a token that we meet somewhere really ends. */
const truly = (value: string): number => endOf(Number(/-[ab](\d+)$/.exec(value)?.[1] ?? -100))

type Written = 'none' | 'ms' | 'seconds' | 'text'
type Event =
  | { do: 'sync' }
  | { do: 'clock'; hour: number }
  | { do: 'cli'; hour: number; account: string }
  /** Blanked, or gone. */
  | { do: 'cli empty'; value: string | undefined }
  | {
      do: 'profile'
      agent: string
      id: string
      type: string
      hour: number
      account: string
      end: Written
      refresh: boolean
    }
  | { do: 'text'; file: string; text: string }
  | { do: 'remove'; file: string }
  | { do: 'env'; hour: number; account: string; quote: string }
  | { do: 'oauth'; hour: number; account: string; end: Written; refresh: boolean }
  | { do: 'sqlite'; on: boolean }
  | { do: 'pasted'; id: string; hour: number; account: string }
  | { do: 'cooldown'; id: string }
  | { do: 'gateway'; runs: boolean; fails: boolean }
  /** Somebody else writes between our look and our write. */
  | { do: 'race'; hour: number; after: number }

const hour = fc.integer({ min: 0, max: 30 })
const account = fc.constantFrom('a', 'b')
const end = fc.constantFrom<Written>('none', 'ms', 'seconds', 'text')
const agent = fc.constantFrom('main', 'desk')
const file = fc.constantFrom('main', 'desk', 'oauth', 'env')
const own = fc.constantFrom('anthropic:opsbot', 'anthropic:opsbot-2')
const event = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Event>({ do: 'sync' }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('cli' as const), hour, account }) },
  fc.record({ do: fc.constant('cli empty' as const), value: fc.constantFrom('', undefined) }),
  fc.record({ do: fc.constant('clock' as const), hour }),
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('profile' as const),
      ...{ agent, hour, account, end, refresh: fc.boolean() },
      id: fc.constantFrom('anthropic:default', 'anthropic:manual'),
      type: fc.constantFrom('token', 'oauth', 'oauth by key', 'api_key'),
    }),
  },
  fc.record({
    ...{ do: fc.constant('text' as const), file },
    text: fc.constantFrom('', '{', '{"profiles":{}}', '[]', '\uFEFF{}', 'ANTHROPIC_OAUTH_TOKEN="'),
  }),
  fc.record({ do: fc.constant('remove' as const), file }),
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('env' as const), hour, account, quote: fc.constantFrom('', '"') }),
  },
  fc.record({ do: fc.constant('oauth' as const), hour, account, end, refresh: fc.boolean() }),
  fc.record({ do: fc.constant('sqlite' as const), on: fc.boolean() }),
  fc.record({ do: fc.constant('pasted' as const), id: own, hour, account }),
  fc.record({ do: fc.constant('cooldown' as const), id: own }),
  fc.record({ do: fc.constant('gateway' as const), runs: fc.boolean(), fails: fc.boolean() }),
  fc.record({ do: fc.constant('race' as const), hour, after: fc.nat(6) }),
) satisfies fc.Arbitrary<Event>

const written = (value: number, how: Written) =>
  ({ none: {}, ms: { expires: value }, seconds: { expires: value / 1_000 }, text: { expires: `${value}` } })[
    how
  ]

function createWorld(root: string) {
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, 'credentials'), { recursive: true })
  mkdirSync(join(root, 'state'))
  for (const each of ['main', 'desk']) mkdirSync(join(root, 'agents', each, 'agent'), { recursive: true })
  const paths = {
    main: join(root, 'agents/main/agent/auth-profiles.json'),
    desk: join(root, 'agents/desk/agent/auth-profiles.json'),
    oauth: join(root, 'credentials/oauth.json'),
    env: join(root, 'project.env'),
  }
  const world = {
    now: T0,
    token: undefined as string | undefined,
    sqlite: false,
    runs: true,
    fails: false,
    gateway: new Map<string, { token: string; expiresAt: number; cooldown: boolean }>(),
    pasted: {},
    seen: {} as Record<string, number>,
    race: undefined as { hour: number; after: number } | undefined,
    complaints: [] as string[],
  }
  const read = (path: string) => {
    try {
      return readFileSync(path, 'utf8')
    } catch {
      return undefined
    }
  }
  const json = (path: string) => {
    try {
      return JSON.parse(read(path) ?? '') ?? {}
    } catch {
      return {}
    }
  }
  /** Every token in every place, by where it stands. */
  function all(): Map<string, string> {
    const found = new Map<string, string>()
    for (const place of ['main', 'desk'] as const)
      for (const [id, each] of Object.entries<Record<string, string>>(json(paths[place]).profiles ?? {}))
        found.set(`${place} ${id}`, each.token || each.access || each.key || '')
    const { access, key } = json(paths.oauth).anthropic ?? {}
    found.set('oauth', access || key || '')
    const entry = entriesOf(read(paths.env) ?? '').findLast(({ name }) => name === 'ANTHROPIC_OAUTH_TOKEN')
    found.set('env', entry?.value.replaceAll('"', '') ?? '')
    for (const [id, { token }] of world.gateway) found.set(`gateway ${id}`, token)
    return found
  }
  const put = (path: string, value: object) => writeFileSync(path, JSON.stringify(value, undefined, 2))
  function profile(place: 'main' | 'desk', id: string, entry: object) {
    const store = json(paths[place])
    put(paths[place], { version: 1, ...store, profiles: { ...store.profiles, [id]: entry } })
  }
  const cli: Cli = {
    known: async () => ({ argv: ['openclaw'], version: '2026.9.6' }),
    async run(args, { input = '' }) {
      const value = (name: string) => args[args.indexOf(name) + 1] ?? ''
      if (world.fails) return { exitCode: 1, output: '', stdout: '', stderr: 'no' }
      const id = value('--profile-id')
      const before = world.gateway.get(id)
      if (input === '') world.complaints.push('an empty token was pasted')
      if (before && truly(before.token) > truly(input))
        world.complaints.push(`older pasted over newer: ${id}`)
      const expiresAt = world.now + Number.parseInt(value('--expires-in'), 10) * 1_000
      world.gateway.set(id, { token: input, expiresAt, cooldown: before?.cooldown ?? false })
      return { exitCode: 0, output: '', stdout: '', stderr: '' }
    },
    json: () => Promise.reject(new OpsError('not asked')),
  }
  async function report(): Promise<ReportedCredential[]> {
    if (!world.runs) throw new OpsError('The gateway does not run.')
    if (!world.sqlite) return []
    return [...world.gateway].map(([profileId, { expiresAt, cooldown }]) => ({
      ...{ provider: 'anthropic', profileId, type: 'token' },
      ...(expiresAt > world.now ? { expiresAt } : { expired: true as const }),
      ...(cooldown && { unusable: { kind: 'cooldown' as const } }),
    }))
  }
  const claude = {
    token: async () =>
      world.token === undefined
        ? undefined
        : {
            ...{ value: world.token, hash: shortHash(world.token) },
            // An empty one that claims to be the newest of all.
            expiresAt: world.token === '' ? endOf(100) : truly(world.token),
          },
    file: async () => ({ state: 'ok' as const, path: 'x' }),
  }
  const stateDir = async () => {
    // It is looked up right before each write: the moment at which somebody else is faster.
    if (world.race && world.race.after-- <= 0) {
      const { hour } = world.race
      profile('main', 'anthropic:default', {
        ...{ type: 'token', provider: 'anthropic', token: nameOf(hour), expires: endOf(hour) },
      })
      world.race = undefined
      before.set('main anthropic:default', nameOf(hour))
    }
    return root
  }
  let before = all()
  const copies = createCopies({
    stateDir,
    envPath: async () => paths.env,
    version: async () => '2026.2.22',
    report,
    agents: async () => ['main', 'desk'],
    cli: async () => (world.runs ? cli : undefined),
    environment: async () => ({ wins: false }),
    memory: {
      seen: () => world.seen,
      ends: () => ({}),
      pasted: () => world.pasted,
      setPasted(pasted) {
        world.pasted = pasted
      },
    },
    now: () => world.now,
  })
  const sync = createSync({
    ...{ claude, copies, report, on: true, now: () => world.now },
    note(hash, expiresAt) {
      world.seen = { ...world.seen, [hash]: expiresAt }
    },
    words: async () => (world.runs ? ['openclaw'] : undefined),
    environment: async () => ({ wins: false }),
    recreate: async () => '',
  })

  /** Runs it with a signal that is aborted, so that no proof waits on a real clock, and looks at what it did. */
  async function run(): Promise<void> {
    before = all()
    const stop = new AbortController()
    const plan = await sync.runbook.plan({})
    if (!plan.findings.some(({ level }) => level === 'block'))
      try {
        stop.abort()
        for (const step of sync.runbook.steps)
          await step.run(plan.context, { progress() {}, signal: stop.signal })
      } catch (error) {
        if (!(error instanceof OpsError)) throw error
      }
    for (const [place, now] of all()) {
      const old = before.get(place) ?? ''
      if (now === old) continue
      expect(now, `${place} was emptied`).not.toBe('')
      expect(truly(now), `${place}: ${old} → ${now}`).toBeGreaterThanOrEqual(truly(old))
    }
    for (const [place, old] of before) if (old !== '') expect(all().get(place), place).toBeTruthy()
    expect(world.complaints).toEqual([])
  }

  const deeds: { [D in Event['do']]: (event: Extract<Event, { do: D }>) => void } = {
    sync: () => {},
    clock: ({ hour }) => {
      world.now = endOf(hour) - HOUR / 2
    },
    cli: ({ hour, account }) => {
      world.token = nameOf(hour, account)
    },
    'cli empty': ({ value }) => {
      world.token = value
    },
    profile: ({ agent, id, type, hour, account, end, refresh }) => {
      const value = nameOf(hour, account)
      const field = { token: 'token', oauth: 'access', 'oauth by key': 'key', api_key: 'key' }[type] ?? ''
      profile(agent as 'main', id, {
        ...{ type: type.replace(' by key', ''), provider: 'anthropic', [field]: value },
        ...written(endOf(hour), end),
        ...(refresh && { refresh: ['sk-ant', 'ort01-own'].join('-') }),
      })
    },
    text: ({ file, text }) => writeFileSync(paths[file as 'main'], text),
    remove: ({ file }) => rmSync(paths[file as 'main'], { force: true }),
    env: ({ hour, account, quote }) =>
      writeFileSync(paths.env, `A=1\nANTHROPIC_OAUTH_TOKEN=${quote}${nameOf(hour, account)}${quote} # x\n`),
    oauth: ({ hour, account, end, refresh }) =>
      put(paths.oauth, {
        anthropic: {
          ...{ access: nameOf(hour, account), refresh: refresh ? 'own' : '' },
          ...written(endOf(hour), end),
        },
      }),
    sqlite: ({ on }) => {
      world.sqlite = on
      const path = join(root, 'state/openclaw.sqlite')
      if (on) writeFileSync(path, '')
      else rmSync(path, { force: true })
    },
    pasted: ({ id, hour, account }) => {
      world.gateway.set(id, { token: nameOf(hour, account), expiresAt: endOf(hour), cooldown: false })
    },
    cooldown: ({ id }) => {
      const entry = world.gateway.get(id)
      if (entry) world.gateway.set(id, { ...entry, cooldown: true })
    },
    gateway: ({ runs, fails }) => {
      world.runs = runs
      world.fails = fails
    },
    race: ({ hour, after }) => {
      world.race = { hour, after }
    },
  }
  return {
    async step(event: Event): Promise<void> {
      if (event.do === 'sync') return await run()
      ;(deeds[event.do] as (event: Event) => void)(event)
    },
    all,
    world,
  }
}

describe('whatever happens', () => {
  it('no empty and no older token is written over a newer one', {
    timeout: 60_000 + RUNS * 100,
  }, async () => {
    const root = join(tempDir(), 'state')
    let wrote = 0
    await fc.assert(
      fc.asyncProperty(fc.array(event, { maxLength: STEPS }), async (events) => {
        const { step, all, world } = createWorld(root)
        for (const each of [...events, { do: 'sync' } as const]) {
          const before = JSON.stringify([...all()])
          await step(each)
          if (each.do === 'sync' && JSON.stringify([...all()]) !== before) wrote += 1
        }
        expect(world.complaints).toEqual([])
      }),
      { numRuns: RUNS },
    )
    // A property that never saw a write would say nothing.
    expect(wrote).toBeGreaterThan(RUNS / 10)
  })
})
