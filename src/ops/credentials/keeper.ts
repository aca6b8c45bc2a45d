// The keeper: lets the Claude CLI renew its token shortly before the end, tries again when that fails, and finds what it began again.

import { messageOf, OpsError } from '../../errors.ts'
import { errorFields, type Log } from '../../log.ts'
import { type Outcome, WINDOW_MS } from '../claude/classify.ts'
import type { Claude, ClaudeFile } from '../claude/index.ts'
import type { Deeds } from '../deeds.ts'
import {
  type Due,
  dueAt,
  type Failure,
  failureOf,
  failuresOf,
  type KeeperMemory,
  type Renewed,
  stateOf,
} from './due.ts'

export type { Due, Failure, KeeperMemory, Renewed } from './due.ts'

export interface KeeperState {
  /** Of the file as it was seen last, oldest first. */
  failures: readonly Failure[]
  renewed?: Renewed & { at: number }
  /** Since when a refresh is under way. UTC milliseconds. */
  runningSince?: number
  /** Why a refresh that was due was not begun: changes are frozen, somebody else works on it. */
  refused?: string
  /** There was a login once. */
  had: boolean
}

export interface Keeper {
  /** Notes the file as somebody has just read it, and sets the timer by it. */
  saw(file: ClaudeFile): void
  /** When the next refresh is due, by the file as it was seen last. */
  due(): Due | undefined
  /** At the start: finds a refresh again that an earlier process began, and keeps the token fresh from now on. */
  resume(): Promise<void>
  /** Looks at the file, and renews the token when that is due. Never throws: what went wrong is noted. */
  tick(): Promise<void>
  /**
   * One refresh to its end, within a deed that holds `credentials`; two at once are one.
   * @param signal aborts the waiting alone.
   * @throws OpsError with the CLI's reason.
   */
  refresh(signal: AbortSignal): Promise<Renewed>
  state(): KeeperState
  stop(): void
}

export interface KeeperOptions {
  claude: Pick<Claude, 'file' | 'beginRefresh' | 'awaitRefresh'>
  memory: { get(): KeeperMemory | undefined; set(memory: KeeperMemory): void }
  perform: Deeds['perform']
  now: () => number
  log: Pick<Log, 'warn' | 'error'>
  /** Called when a refresh came to its end, whatever it came to. */
  onEnd?: () => void
}

/** Looked at this often when nobody else looks, so that a file or a clock that changed is noticed. */
const LOOK_MS = 90_000
const SOONEST_MS = 1_000
/** A refresh that could not be begun is tried again after this. */
const REFUSED_MS = 30_000
/** Failures that are remembered: more than an older CLI needs to be given up. */
const KEPT = 40

const ME = { name: 'opsbot' }

export function createKeeper({ claude, memory, perform, now, log, onEnd }: KeeperOptions): Keeper {
  let last: ClaudeFile | undefined
  let refused: { at: number; why: string } | undefined
  let current: Promise<Renewed> | undefined
  let ticking: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let stopped = true

  const recall = (): KeeperMemory => memory.get() ?? { failures: [] }
  const due = () => last && dueAt(last, recall().failures, now())

  function arm(): void {
    clearTimeout(timer)
    if (stopped) return
    const at = Math.max(due()?.at ?? Number.POSITIVE_INFINITY, refused ? refused.at + REFUSED_MS : 0)
    timer = setTimeout(() => void tick(), Math.max(SOONEST_MS, Math.min(at - now(), LOOK_MS)))
    timer.unref()
  }

  function saw(file: ClaudeFile): void {
    last = file
    if (file.state === 'ok' && !recall().had) memory.set({ ...recall(), had: true })
    arm()
  }

  /** Notes how a run ended. @throws OpsError when it renewed nothing. */
  async function settle(outcome: Outcome, before: ClaudeFile): Promise<Renewed> {
    const { run: _, ...rest } = recall()
    const file = await claude.file()
    const { expiresAt = 0 } = file
    if (outcome.state === 'refreshed' || (outcome.state === 'unmoved' && expiresAt - now() > WINDOW_MS)) {
      const { before: from = before.expiresAt, after } =
        outcome.state === 'refreshed' ? outcome : { before: undefined, after: expiresAt }
      const renewed: Renewed = { ...(from !== undefined && { before: from }), after }
      memory.set({ ...rest, failures: [], renewed: { ...renewed, at: now() } })
      last = file
      return renewed
    }
    const earlier = failuresOf(before, rest.failures)
    const failure = failureOf(outcome, earlier, stateOf(before), now())
    memory.set({ ...rest, failures: [...earlier, failure].slice(-KEPT) })
    last = file
    throw new OpsError(failure.why)
  }

  /** @throws OpsError when it is not waited for any longer: its end is still to be seen, by the next process. */
  async function outcomeOf(signal: AbortSignal): Promise<Outcome> {
    try {
      const run = recall().run ?? (await claude.beginRefresh())
      memory.set({ ...recall(), run })
      return await claude.awaitRefresh(run, signal)
    } catch (error) {
      if (signal.aborted) throw error
      return { state: 'failed', kind: 'transient', why: messageOf(error) }
    }
  }

  async function work(signal: AbortSignal): Promise<Renewed> {
    const before = await claude.file()
    return await settle(await outcomeOf(signal), before)
  }

  function refresh(signal: AbortSignal): Promise<Renewed> {
    current ??= work(signal).finally(() => {
      current = undefined
      arm()
      onEnd?.()
    })
    return current
  }

  function begin(): Promise<Renewed> | undefined {
    const deed = { name: 'refresh', detail: 'the Claude CLI’s token', danger: 'safe' as const }
    try {
      const { done } = perform({ ...deed, resource: 'credentials', run: refresh }, ME)
      refused = undefined
      return done
    } catch (error) {
      refused = { at: now(), why: messageOf(error) }
      log.warn('a refresh was not begun', errorFields(error))
      return undefined
    }
  }

  async function look(): Promise<void> {
    saw(await claude.file())
    const next = due()
    if (recall().run === undefined && !(next && next.at <= now())) return
    await begin()?.catch((error) => log.warn('a refresh failed', errorFields(error)))
  }

  function tick(): Promise<void> {
    ticking ??= look()
      .catch((error) => log.error('the keeper could not look', errorFields(error)))
      .finally(() => {
        ticking = undefined
        arm()
      })
    return ticking
  }

  return {
    ...{ saw, due, tick, refresh },
    resume() {
      stopped = false
      return tick()
    },
    state() {
      const { failures, renewed, run, had = false } = recall()
      return {
        ...{ had, failures: last ? failuresOf(last, failures) : [] },
        ...(renewed && { renewed }),
        ...(run && { runningSince: run.at }),
        ...(refused && { refused: refused.why }),
      }
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
