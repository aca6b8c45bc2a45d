// The watch: runs the checks on its clock, and at once when nudged, and hands what they saw to the alerts.

import { messageOf, OpsError } from '../errors.ts'
import { errorFields, type Log } from '../log.ts'
import type { Alerts } from './alerts/index.ts'
import type { Check } from './checks/index.ts'

export interface Watch {
  /** Looks at everything now, then on the clock. */
  start(): void
  /** Looks at one thing at once, because an event hints that it changed. Doubled nudges are one look. */
  nudge(name: string): void
  /** One cycle by hand; resolves when every check of it came to its end. */
  cycle(): Promise<void>
  stop(): void
}

export interface WatchOptions {
  checks: readonly Check[]
  alerts: Pick<Alerts, 'observe' | 'explain'>
  cycleMs: number
  now: () => number
  log: Log
  /** Called after each cycle whose checks all came to an end, with a result or at their deadline. */
  onCycle: () => void
}

const DEADLINE_MS = 10_000
const EVIDENCE_MS = 3_000

/** Runs something against its deadline; what ignores the signal is left behind. */
async function withDeadline<T>(
  deadlineMs: number,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new OpsError(`${what} was not seen within ${deadlineMs / 1_000} s`)
      deadline.abort(error)
      reject(error)
    }, deadlineMs)
  })
  try {
    return await Promise.race([work(deadline.signal), late])
  } finally {
    clearTimeout(timer)
  }
}

export function createWatch({ checks, alerts, cycleMs, now, log, onCycle }: WatchOptions): Watch {
  const busy = new Map<string, Promise<void>>()
  const again = new Set<string>()
  let cycles = 0
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  /** The card is out already; what explains it follows by edit, or not at all. */
  async function explain({ name, evidence }: Check, key: string): Promise<void> {
    if (!evidence) return
    try {
      const lines = await withDeadline(EVIDENCE_MS, `the evidence for ${key}`, () => evidence(key))
      if (!stopped) alerts.explain(key, lines, now())
    } catch (error) {
      log.warn('an alert was not explained', { check: name, key, ...errorFields(error) })
    }
  }

  /** A check that fails leaves its alerts as they were and is itself something bad that was observed. */
  async function look(check: Check): Promise<void> {
    const key = `check/${check.name}`
    const self = { key, area: 'opsbot', title: `Check "${check.name}" does not work` }
    const itself = { ...check, name: key }
    try {
      const { name, deadlineMs = DEADLINE_MS } = check
      const seen = await withDeadline(deadlineMs, name, check.look)
      if (stopped) return
      for (const key of alerts.observe(check, seen, now())) void explain(check, key)
      alerts.observe(itself, [{ ...self, verdict: 'ok', why: 'It sees again.' }], now())
    } catch (error) {
      if (stopped) return
      log.warn('a check failed', { check: check.name, ...errorFields(error) })
      const why = `${messageOf(error)}. What it watches is not seen while this lasts.`
      alerts.observe(itself, [{ ...self, verdict: 'bad', why }], now())
    }
  }

  /** Starts a look unless one is under way; a nudge meanwhile makes it look once more after. */
  function begin(check: Check): Promise<void> {
    const current = busy.get(check.name)
    if (current !== undefined) return current
    const run = look(check).finally(() => {
      busy.delete(check.name)
      if (again.delete(check.name) && !stopped) void begin(check)
    })
    busy.set(check.name, run)
    return run
  }

  async function cycle(): Promise<void> {
    const due = checks.filter(({ every = 1 }) => cycles % every === 0)
    cycles += 1
    await Promise.all(due.map(begin))
    if (!stopped) onCycle()
  }

  function onClock(): void {
    const startedAt = now()
    cycle()
      .catch((error) => log.error('a watch cycle failed', errorFields(error)))
      .finally(() => {
        if (!stopped) timer = setTimeout(onClock, Math.max(0, startedAt + cycleMs - now()))
      })
  }

  return {
    start: onClock,
    nudge(name) {
      const check = checks.find((candidate) => candidate.name === name)
      if (!check || stopped) return
      if (busy.has(name)) again.add(name)
      else void begin(check)
    },
    cycle,
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
