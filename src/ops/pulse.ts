// The pulse: when polling, checks and delivery last worked, and what follows for heartbeat, watchdog and poll loop.

/** Everything of one process that shows whether it lives. UTC milliseconds. */
export interface Vitals {
  startedAt: number
  /** The last getUpdates that completed (an empty answer counts; another API call does not). */
  polledAt?: number
  /** The last watch cycle in which every check came to its end. */
  checkedAt?: number
  /** When a fresh connection last reached Telegram. */
  reachedAt?: number
  /** Since when something due has reached nobody. */
  overdueSince?: number
}

/** A poll takes up to 25 s and is given up after 40 s. */
const POLL_FRESH_MS = 60_000
const DEAF_MS = 120_000
const OVERDUE_MS = 5 * 60_000

/** Whether the heartbeat may be sent: polls, checks and deliveries all work. @returns why not, or undefined. */
export function heartbeatBlocked(
  vitals: Vitals,
  now: number,
  cycleMs: number,
  polls: boolean,
): string | undefined {
  const { polledAt, checkedAt, overdueSince } = vitals
  if (polls && (polledAt === undefined || now - polledAt > POLL_FRESH_MS))
    return 'no getUpdates completed lately'
  if (checkedAt === undefined || now - checkedAt > 3 * cycleMs + 10_000)
    return 'the checks do not come to an end'
  if (polls && overdueSince !== undefined && now - overdueSince > OVERDUE_MS) return 'a message is overdue'
  return undefined
}

/** Whether systemd's watchdog may be fed: the event loop got here, so only the checks are asked. */
export function watchdogFed(
  { startedAt, checkedAt = startedAt }: Vitals,
  now: number,
  cycleMs: number,
): boolean {
  return now - checkedAt <= 3 * cycleMs + 30_000
}

/**
 * What to do about the poll loop: nothing, begin again on a fresh connection, or end the process so that it is
 * started anew. It ends only when fresh connections work and polling still does not, and never amid a deed.
 */
export function judgePolling(vitals: Vitals, now: number, busy: boolean): 'fine' | 'rebuild' | 'exit' {
  const { startedAt, polledAt = startedAt, reachedAt } = vitals
  const silentMs = now - polledAt
  if (silentMs <= POLL_FRESH_MS) return 'fine'
  const reachable =
    reachedAt !== undefined && now - reachedAt < POLL_FRESH_MS && reachedAt - polledAt > POLL_FRESH_MS
  return silentMs > DEAF_MS && reachable && !busy ? 'exit' : 'rebuild'
}

export type Pulse = ReturnType<typeof createPulse>

/** Keeps the vitals of this process. */
export function createPulse(overdueSince: () => number | undefined, now: () => number) {
  const vitals: Vitals = { startedAt: now() }
  return {
    polled: () => {
      vitals.polledAt = now()
    },
    checked: () => {
      vitals.checkedAt = now()
    },
    reached: () => {
      vitals.reachedAt = now()
    },
    read: (): Vitals => {
      const since = overdueSince()
      return { ...vitals, ...(since !== undefined && { overdueSince: since }) }
    },
  }
}
