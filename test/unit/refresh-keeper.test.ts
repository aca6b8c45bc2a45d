// The keeper: when it lets the Claude CLI renew the token, what it does when that fails, and that it finds a refresh again.

import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { type AlertMemory, defaultPolicy, step } from '../../src/ops/alerts/step.ts'
import { refreshSeen } from '../../src/ops/checks/claude.ts'
import type { Outcome } from '../../src/ops/claude/classify.ts'
import type { ClaudeFile, RefreshRun } from '../../src/ops/claude/index.ts'
import { dueAt, type Failure, failureOf, stateOf } from '../../src/ops/credentials/due.ts'
import { createKeeper, type KeeperMemory } from '../../src/ops/credentials/keeper.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import { createRunbooks, type RunbookCard } from '../../src/ops/runbooks/index.ts'
import { createRefresh } from '../../src/ops/runbooks/refresh.ts'
import { withKeeper, withTimer } from '../bench/refresh.ts'
import { HOUR, keptLog, MINUTE, openTestState, SECOND, T0 } from './help.ts'

const NOW = T0

const fileOf = (generation: number, expiresAt: number): ClaudeFile => ({
  ...{ state: 'ok', path: '/home/ann/.claude/.credentials.json', expiresAt },
  ...{ hash: `access-${generation}`, refreshHash: `refresh-${generation}` },
})
const failing = (kind: Failure['kind'], more: Partial<Failure> = {}): Outcome => ({
  ...{ state: 'failed', kind, why: `It is ${kind}.` },
  ...more,
})

describe('when the next refresh is due', () => {
  const file = fileOf(1, NOW)
  const failures = (kind: Failure['kind'], ...at: number[]): Failure[] =>
    at.map((each) => ({ at: NOW + each, kind, why: '', of: stateOf(file) }))
  const due = (tries: readonly Failure[], now = NOW - 3 * MINUTE, of = file) => {
    const next = dueAt(of, tries, now)
    return next && (next.at - NOW) / SECOND
  }

  it.each<[string, Failure[], number | undefined]>([
    ['four minutes before the end', [], -240],
    ['30 s after the first failure', failures('network', -240_000), -210],
    ['1 min after the second', failures('network', -240_000, -210_000), -150],
    ['1 min after the third', failures('transient', -240_000, -210_000, -150_000), -90],
    ['never later than a minute after the end', failures('network', -240, -210, -150, -30_000), 60],
    ['a minute after the last once it has ended', failures('network', -9, -8, -7, -6, -5, -4, 600_000), 660],
    ['so it is under a usage limit', failures('usage limit', -240_000), -210],
    ['never when somebody has to sign in', failures('needs re-auth', -240_000), undefined],
    [
      'never when the account is closed',
      failures('network', -240_000).concat(failures('account', -200_000)),
      undefined,
    ],
  ])('is %s', (_, tries, expected) => {
    expect(due(tries, NOW + 20 * MINUTE)).toBe(expected)
  })

  it('climbs to five minutes while there is time', () => {
    const early = fileOf(1, NOW + 10 * HOUR)
    const tries = (count: number): Failure[] =>
      Array.from({ length: count }, () => ({ at: NOW, kind: 'network', why: '', of: stateOf(early) }))
    const waits = [1, 2, 3, 4, 5, 6, 7, 30].map((count) => due(tries(count), NOW, early))
    expect(waits).toEqual([30, 60, 60, 120, 120, 300, 300, 300])
  })

  it('begins anew with another file: what failed happened to the one before', () => {
    const stopped = failures('needs re-auth', -60_000)
    expect(due(stopped)).toBeUndefined()
    expect(due(stopped, NOW, fileOf(2, NOW + 8 * HOUR))).toBe(8 * 3_600 - 240)
  })

  it('is not moved by a rewrite of the file without a new token', () => {
    const stopped = failures('needs re-auth', -60_000)
    expect(due(stopped, NOW, { ...file, modifiedAt: NOW, plan: 'max' })).toBeUndefined()
  })

  it('is now when the clock was set back behind the last try', () => {
    expect(due(failures('network', 0), NOW - HOUR)).toBe(-3_600)
  })

  it('is now when its end stands there in seconds, and then by the ladder', () => {
    const odd: ClaudeFile = { ...file, seconds: true, expiresAt: NOW + 8 * HOUR }
    expect(due([], NOW, odd)).toBe(0)
    expect(due([{ at: NOW, kind: 'network', why: '', of: stateOf(odd) }], NOW, odd)).toBe(30)
  })

  it('once the token has ended is within a minute, whatever failed and however often', () => {
    const passing = fc.constantFrom<Failure['kind']>('network', 'transient', 'usage limit')
    const tries = fc.array(fc.tuple(passing, fc.integer({ min: -HOUR, max: 40 * 24 * HOUR })), {
      minLength: 1,
    })
    fc.assert(
      fc.property(tries, (all) => {
        const inOrder = all.toSorted((a, b) => a[1] - b[1])
        const noted = inOrder.flatMap(([kind, at]) => failures(kind, at))
        const last = noted.at(-1)?.at ?? 0
        const at = NOW + (due(noted, last) ?? Number.NaN) * SECOND
        expect(at).toBeGreaterThan(last)
        expect(at - Math.max(last, NOW)).toBeLessThanOrEqual(MINUTE)
      }),
    )
  })

  it.each<[string, Partial<ClaudeFile>]>([
    ['there is no file', { state: 'missing' }],
    ['the CLI has blanked it', { state: 'blanked', expiresAt: 0 }],
    ['it is half-written', { state: 'empty' }],
    ['it cannot be read', { state: 'unreadable' }],
  ])('is never while %s', (_, change) => {
    expect(due([], NOW, { ...file, ...change })).toBeUndefined()
  })

  it('is never where nothing can be renewed', () => {
    const { refreshHash: _, ...static_ } = file
    const { expiresAt: __, ...endless } = file
    expect([due([], NOW, static_), due([], NOW, endless)]).toEqual([undefined, undefined])
  })
})

describe('what a failure is noted as', () => {
  const refused = { state: 'failed', kind: 'transient', why: 'It was refused.', refused: true } as const
  function refusals(...minutes: number[]): Failure[] {
    const all: Failure[] = []
    for (const minute of minutes) all.push(failureOf(refused, all, 'x', NOW + minute * MINUTE))
    return all
  }

  it.each([
    ['three refusals over more than ten minutes need a sign-in', [0, 5, 11], 'needs re-auth'],
    ['three within ten minutes do not yet', [0, 5, 10], 'transient'],
    ['two do not, however long apart', [0, 60], 'transient'],
  ])('%s', (_, at, kind) => {
    expect(refusals(...at).at(-1)?.kind).toBe(kind)
  })

  it('other failures between do not count', () => {
    const network: Failure = { at: NOW, kind: 'network', why: '', of: 'x' }
    const last = failureOf(refused, [...refusals(0), network, network], 'x', NOW + HOUR)
    expect(last.kind).toBe('transient')
  })
})

/** A Claude CLI whose refreshes come out as they are told to, and take two seconds. */
function createHouse(expiresAt = NOW + 8 * HOUR) {
  const state = openTestState()
  const now = () => Date.now()
  const deeds = createDeeds({ ...state, now })
  const house = {
    file: fileOf(1, expiresAt),
    begun: [] as number[],
    awaited: [] as RefreshRun[],
    memory: undefined as KeeperMemory | undefined,
    outcome: (): Outcome => {
      const after = now() + 8 * HOUR
      const before = house.file.expiresAt
      house.file = fileOf(house.begun.length + 1, after)
      return { state: 'refreshed', before, after }
    },
  }
  const claude = {
    where: 'on this host',
    file: async () => house.file,
    async beginRefresh(): Promise<RefreshRun> {
      house.begun.push(now())
      return { where: 'host', at: now(), pid: 7, ticks: '1', output: '/x' }
    },
    awaitRefresh: async (run: RefreshRun, signal?: AbortSignal) => {
      house.awaited.push(run)
      await new Promise<void>((resolve, reject) => {
        setTimeout(resolve, 2 * SECOND)
        signal?.addEventListener('abort', () => reject(new OpsError('It is not waited for any longer.')))
      })
      return house.outcome()
    },
  }
  const keeper = createKeeper({
    ...{ claude, perform: deeds.perform, now, log: keptLog().log },
    memory: {
      get: () => house.memory,
      // As it is stored.
      set(memory) {
        house.memory = JSON.parse(JSON.stringify(memory))
      },
    },
  })
  return { house, keeper, deeds, state, claude, now }
}

describe('the keeper', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW })
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  const minutesOf = (times: readonly number[]) => times.map((at) => Math.round((at - NOW) / SECOND) / 60)

  it('renews the token four minutes before its end, again and again', async () => {
    const { house, keeper } = createHouse()
    await keeper.resume()
    await pass(25 * HOUR)
    expect(minutesOf(house.begun).map(Math.round)).toEqual([476, 952, 1428])
    expect(keeper.state()).toMatchObject({ failures: [], had: true })
    expect(keeper.due()?.why).toBe('4 min before its end')
    keeper.stop()
    await pass(25 * HOUR)
    expect(house.begun).toHaveLength(3)
  })

  it('does so as a deed of its own, alone on the credentials', async () => {
    const { keeper, state } = createHouse(NOW + 2 * MINUTE)
    await Promise.all([keeper.resume(), pass(3 * SECOND)])
    expect(state.audit.list(3)).toMatchObject([
      { actor: 'opsbot', action: 'refresh', detail: 'the Claude CLI’s token', result: 'done' },
    ])
    keeper.stop()
  })

  it('tries again by the ladder while the network is away', async () => {
    const { house, keeper } = createHouse(NOW + 4 * MINUTE)
    house.outcome = () => failing('network')
    void keeper.resume()
    await pass(10 * MINUTE)
    const seconds = house.begun.map((at) => Math.round((at - NOW) / SECOND))
    const gaps = seconds.slice(1).map((at, index) => at - (seconds[index] ?? 0) - 2)
    expect(gaps.slice(0, 6)).toEqual([30, 60, 60, expect.any(Number), 60, 60])
    expect(Math.max(...gaps)).toBeLessThanOrEqual(120)
    expect(keeper.state().failures.at(-1)).toMatchObject({ kind: 'network', why: 'It is network.' })
    keeper.stop()
  })

  it.each(['needs re-auth', 'account'] as const)(
    'stops at "%s" until the file changes, and then goes on',
    async (kind) => {
      const { house, keeper } = createHouse(NOW + MINUTE)
      const works = house.outcome
      house.outcome = () => failing(kind)
      void keeper.resume()
      await pass(5 * HOUR)
      expect(house.begun).toHaveLength(1)
      house.outcome = works
      house.file = fileOf(9, Date.now() + 10 * MINUTE)
      await pass(8 * MINUTE)
      expect(house.begun).toHaveLength(2)
      expect(keeper.state().failures).toEqual([])
      keeper.stop()
    },
  )

  it('takes a run that left a due token as it was for a failure, and one that came second for none', async () => {
    const { house, keeper } = createHouse(NOW + MINUTE)
    house.outcome = () => ({ state: 'unmoved' })
    void keeper.resume()
    await pass(5 * SECOND)
    expect(keeper.state().failures).toMatchObject([{ kind: 'transient', silent: true }])
    house.outcome = () => {
      house.file = fileOf(5, Date.now() + 8 * HOUR)
      return { state: 'unmoved' }
    }
    await pass(MINUTE)
    expect(keeper.state()).toMatchObject({ failures: [], renewed: { before: NOW + MINUTE } })
    expect(house.memory?.failures).toEqual([])
    keeper.stop()
  })

  it('notes why the CLI cannot even be started, and tries again', async () => {
    const { house, keeper, claude } = createHouse(NOW + MINUTE)
    const { beginRefresh } = claude
    claude.beginRefresh = () => Promise.reject(new OpsError('The container claude-proxy does not run.'))
    void keeper.resume()
    await pass(2 * SECOND)
    expect(keeper.state().failures).toMatchObject([
      { kind: 'transient', why: 'The container claude-proxy does not run.' },
    ])
    claude.beginRefresh = beginRefresh
    await pass(MINUTE)
    expect(keeper.state().failures).toEqual([])
    expect(house.begun).toHaveLength(1)
    keeper.stop()
  })

  it('waits while changes are frozen, says so, and goes on when they are not', async () => {
    const { house, keeper, state } = createHouse(NOW + MINUTE)
    state.meta.set('frozen', { by: 'Ann', at: NOW })
    void keeper.resume()
    await pass(5 * MINUTE)
    expect(house.begun).toEqual([])
    expect(keeper.state()).toMatchObject({ failures: [], refused: expect.stringContaining('frozen by Ann') })
    state.meta.clear('frozen')
    await pass(MINUTE)
    expect(house.begun).toHaveLength(1)
    expect(keeper.state().refused).toBeUndefined()
    keeper.stop()
  })

  it('is one at a time, whoever asks', async () => {
    const { house, keeper } = createHouse(NOW + MINUTE)
    const { signal } = new AbortController()
    const all = Promise.all([keeper.refresh(signal), keeper.refresh(signal), keeper.tick(), keeper.tick()])
    await pass(5 * SECOND)
    await all
    expect(house.begun).toHaveLength(1)
  })

  it('finds a refresh again that an earlier process began, and begins no second one', async () => {
    const { house, keeper, deeds } = createHouse(NOW + MINUTE)
    void keeper.resume()
    await pass(SECOND)
    expect(keeper.state().runningSince).toBe(NOW)
    // The bot is stopped in the middle of it: what it waited for goes on.
    keeper.stop()
    deeds.halt()
    await pass(10 * SECOND)
    expect(house.memory?.run).toMatchObject({ pid: 7 })

    const next = createHouse(NOW + MINUTE)
    next.house.memory = house.memory
    const again = next.keeper
    void again.resume()
    await pass(3 * SECOND)
    expect(next.house.begun).toEqual([])
    expect(next.house.awaited).toMatchObject([{ pid: 7 }])
    expect(again.state()).toMatchObject({ failures: [], renewed: { before: NOW + MINUTE } })
    expect(next.house.memory?.run).toBeUndefined()
    again.stop()
  })

  it('notices a clock that jumps, and a file that somebody else saw first', async () => {
    const { house, keeper } = createHouse()
    await keeper.resume()
    vi.setSystemTime(NOW + 7 * HOUR + 58 * MINUTE)
    await pass(2 * MINUTE)
    expect(house.begun).toHaveLength(1)
    house.file = fileOf(8, Date.now() + 4 * MINUTE)
    keeper.saw(house.file)
    await pass(5 * SECOND)
    expect(house.begun).toHaveLength(2)
    keeper.stop()
  })

  it('remembers no token: what it keeps is hashes, times and reasons', async () => {
    const { house, keeper } = createHouse(NOW + MINUTE)
    house.outcome = () => failing('network')
    void keeper.resume()
    await pass(5 * SECOND)
    expect(Object.keys(house.memory ?? {}).sort()).toEqual(['failures', 'had'])
    keeper.stop()
  })

  it('comes through an hour without network across the end: one alert, one resolution', async () => {
    const { house, keeper, now } = createHouse(NOW + 10 * MINUTE)
    const works = house.outcome
    house.outcome = () => (now() < NOW + 66 * MINUTE ? failing('network') : works())
    await keeper.resume()
    let memory: AlertMemory | undefined
    const told: string[] = []
    const policy = { ...defaultPolicy(30_000), creditMs: 90_000 }
    for (let cycle = 0; cycle < 120; cycle += 1) {
      await pass(MINUTE)
      const seen = refreshSeen(house.file, keeper.state(), keeper.due(), now())
      const stepped = step(memory, seen, now(), { policy, muted: false, inhibited: false })
      memory = stepped.memory
      if (stepped.tell) told.push(`${stepped.tell} after ${cycle + 1} min: ${seen.verdict}`)
    }
    expect(told).toEqual(['fired after 8 min: bad', 'resolved after 67 min: ok'])
    expect(keeper.state().renewed?.before).toBe(NOW + 10 * MINUTE)
    keeper.stop()
  })
})

describe('/refresh', () => {
  beforeEach(() => {
    vi.useFakeTimers({ now: NOW })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function createBook(expiresAt: number) {
    const all = createHouse(expiresAt)
    const { claude, keeper, now, deeds, state } = all
    const book = createRefresh({ claude, keeper, now, timeZone: 'Europe/Berlin' })
    const runbooks = createRunbooks({ ...state, deeds, now })
    return {
      ...{ ...all, book },
      findings: async () =>
        (await book.plan(undefined)).findings.map(({ level, text }) => `${level} ${text}`),
      async run() {
        const plan = await book.plan(undefined)
        const { done } = runbooks.start(book, plan, { name: 'Ann (11)' }, 'chat:11')
        const ended = done.catch(() => {})
        await vi.advanceTimersByTimeAsync(5 * SECOND)
        await ended
        const card = state.cards.raisedSince(0).at(-1)?.facts as RunbookCard
        return {
          ...card,
          steps: card.steps.map(({ name, state, note }) => `${name} ${state}: ${note ?? ''}`),
        }
      },
    }
  }

  it('says until when it is fresh and when it renews itself, and runs nothing', async () => {
    const { book, findings, house } = createBook(NOW + 3 * HOUR + 2 * MINUTE)
    expect(await findings()).toEqual(['block fresh until 16:02, renews itself at 15:58'])
    expect((await book.plan(undefined)).context).toEqual({
      before: NOW + 3 * HOUR + 2 * MINUTE,
      renewsAt: NOW + 2 * HOUR + 58 * MINUTE,
    })
    expect(house.begun).toEqual([])
  })

  it('in the CLI’s own window runs it and shows that the end moved', async () => {
    const { findings, run } = createBook(NOW + 5 * MINUTE)
    expect(await findings()).toEqual([
      'ok the Claude CLI on this host is asked to renew it: its token ends in 5 min, at 13:05',
    ])
    const { state, steps } = await run()
    expect(state).toBe('done')
    expect(steps).toEqual(['refresh done: the Claude CLI is done', 'proof done: expiresAt 13:05 → 21:00'])
  })

  it('tells the CLI’s own reason when it fails, and how it stands then', async () => {
    const { house, run, findings } = createBook(NOW - 5 * MINUTE)
    house.outcome = () => failing('account')
    const { state, steps, left, actions } = await run()
    expect([state, steps, left]).toEqual([
      'failed',
      ['refresh failed: It is account.', 'proof waiting: '],
      'The Claude CLI on this host: its token ended 5 min ago.',
    ])
    expect(actions?.map((each) => each.label)).toEqual(['Refresh', 'Sign in', 'Tokens'])
    // By hand it may be tried again, also where the keeper has stopped.
    expect(await findings()).toContainEqual(expect.stringContaining('warn the try'))
  })

  it('does not take the CLI’s word for it: the end in the file has to have moved', async () => {
    const { house, run } = createBook(NOW + MINUTE)
    house.outcome = () => ({ state: 'refreshed', before: NOW + MINUTE, after: NOW + 8 * HOUR })
    const { state, steps } = await run()
    expect([state, steps.at(-1)]).toEqual([
      'failed',
      'proof failed: The end of the token did not move: its token ends in 58 s, at 13:01.',
    ])
  })

  it.each<[string, Partial<ClaudeFile>, string]>([
    [
      'a blanked file',
      { state: 'blanked', why: 'The CLI gave it up.' },
      'block there is no login that could be renewed: The CLI gave it up.',
    ],
    [
      'a container that does not run',
      { state: 'unreadable', why: 'claude-proxy is exited: start it.' },
      'block the login cannot be seen: claude-proxy is exited: start it.',
    ],
    ['no file', { state: 'missing' }, 'block there is no login that could be renewed: missing'],
  ])('with %s is impossible', async (_, change, expected) => {
    const { house, findings } = createBook(NOW)
    Object.assign(house.file, change)
    expect(await findings()).toEqual([expected])
  })

  it('is confirmed for the token that was seen, at any time of the clock', async () => {
    const { book, house } = createBook(NOW + MINUTE)
    const basis = async () => (await book.plan(undefined)).basis
    const first = await basis()
    vi.setSystemTime(NOW + 30 * SECOND)
    expect(await basis()).toBe(first)
    house.file = fileOf(2, NOW + 2 * MINUTE)
    expect(await basis()).not.toBe(first)
  })
})

describe('thirty days of eight-hour tokens', () => {
  it.each([1, 2, 3, 42, 20261120])(
    'with 1 %% failing refreshes (seed %i) no minute is without a token',
    (seed) => {
      const trace = { seed, days: 30, failing: 0.01 }
      const ours = withKeeper(trace)
      expect(ours.expiredMs).toBe(0)
      expect(ours.refreshes).toBeLessThan(100)
      expect(withTimer(trace).expiredMs).toBeGreaterThan(HOUR)
    },
  )
})
