// Thirty days of eight-hour tokens, simulated: how long the token was expired with the keeper's decision, and with a blind timer.

import type { ClaudeFile } from '../../src/ops/claude/file.ts'
import { dueAt, type Failure, failureOf, stateOf } from '../../src/ops/credentials/due.ts'
import type { Row } from './table.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const LIFE = 8 * HOUR
/** The CLI refreshes in the last five minutes alone. */
const WINDOW = 5 * MINUTE
const TIMER = 30 * MINUTE
/** systemd starts what is due within this (AccuracySec, by default). */
const ACCURACY = MINUTE

export interface Trace {
  seed: number
  days: number
  /** Share of the refreshes that fail, 0 to 1. */
  failing: number
}

export interface Simulated {
  expiredMs: number
  refreshes: number
  failures: number
}

/** 0 to 1, the same for one seed and one number (splitmix32). */
function chance(seed: number, number: number): number {
  let mixed = (seed + Math.imul(number + 1, 0x9e3779b9)) | 0
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
  return ((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32
}

/** Whether a refresh that begins then works, and how long it takes: the same for everybody who tries in those ten seconds. */
function attempt({ seed, failing }: Trace, at: number): { fails: boolean; tookMs: number } {
  const slot = Math.floor(at / (10 * SECOND))
  const fails = chance(seed, slot) < failing
  // A failure is told at once, after the CLI's own wait for a lock, or only at our deadline.
  const slow = [2 * SECOND, 9 * SECOND, 62 * SECOND]
  const tookMs = fails ? (slow[Math.floor(chance(seed ^ 0x5bd1e995, slot) * slow.length)] ?? 0) : 2 * SECOND
  return { fails, tookMs }
}

const fileOf = (generation: number, expiresAt: number): ClaudeFile => ({
  ...{ state: 'ok', path: '', hash: `${generation}`, refreshHash: `${generation}`, expiresAt },
})

/** With the keeper's own decision of when to try. */
export function withKeeper(trace: Trace): Simulated {
  const end = trace.days * DAY
  const count: Simulated = { expiredMs: 0, refreshes: 0, failures: 0 }
  let file = fileOf(0, LIFE)
  let failures: Failure[] = []
  let now = 0
  while (now < end) {
    const due = dueAt(file, failures, now)
    if (!due) throw new Error('the keeper gave up')
    // A timer is never early, and a look takes its time.
    const began = Math.max(now, due.at) + SECOND
    const { fails, tookMs } = attempt(trace, began)
    now = began + tookMs
    count.refreshes += 1
    if (fails) {
      count.failures += 1
      const failed = { state: 'failed', kind: 'transient', why: 'It failed.' } as const
      failures = [...failures, failureOf(failed, failures, stateOf(file), now)]
      continue
    }
    count.expiredMs += Math.max(0, now - (file.expiresAt ?? 0))
    file = fileOf(count.refreshes, now + LIFE)
    failures = []
  }
  return count
}

/** With a timer that starts the CLI every thirty minutes, whatever the token is like. */
export function withTimer(trace: Trace): Simulated {
  const end = trace.days * DAY
  const count: Simulated = { expiredMs: 0, refreshes: 0, failures: 0 }
  let expiresAt = LIFE
  let now = 0
  for (let run = 0; now < end; run += 1) {
    now += TIMER + chance(trace.seed ^ 0x27d4eb2f, run) * ACCURACY
    if (now + WINDOW < expiresAt) continue
    const { fails, tookMs } = attempt(trace, now)
    now += tookMs
    count.refreshes += 1
    if (fails) count.failures += 1
    else {
      count.expiredMs += Math.max(0, now - expiresAt)
      expiresAt = now + LIFE
    }
  }
  return count
}

const minutes = (ms: number) => `${(ms / MINUTE).toFixed(ms === 0 ? 0 : 1)} min`

/** The rows of the table, and where they come from. */
export function measureRefresh(seed: number): { rows: Row[]; notes: string[] } {
  const trace: Trace = { seed, days: 30, failing: 0.01 }
  const [ours, timer] = [withKeeper(trace), withTimer(trace)]
  const harder: Trace = { ...trace, failing: 0.2 }
  const [oursHarder, timerHarder] = [withKeeper(harder), withTimer(harder)]
  return {
    rows: [
      {
        figure: 'expired token in 30 days, 1 % of the refreshes failing',
        ...{
          ours: minutes(ours.expiredMs),
          beside: minutes(timer.expiredMs),
          found: minutes(ours.expiredMs),
        },
        ...{ asked: '0 min', ok: ours.expiredMs === 0 },
      },
      {
        figure: 'refreshes in that time (of these failed)',
        ours: `${ours.refreshes} (${ours.failures})`,
        beside: `${timer.refreshes} (${timer.failures})`,
        found: `${ours.refreshes - timer.refreshes} more`,
      },
      {
        figure: 'the same with 20 % failing',
        ours: minutes(oursHarder.expiredMs),
        beside: minutes(timerHarder.expiredMs),
        found: minutes(oursHarder.expiredMs),
      },
    ],
    notes: [
      `Simulated, with the keeper’s real decision (\`dueAt\`) and seed ${seed}; whether a refresh fails hangs on the moment alone, the same for both.`,
      'Tokens of 8 h, which the CLI renews in the last 5 min; a refresh takes 2 s, one that fails 2, 9 or 62 s.',
      'The timer starts every 30 min, as systemd does: within a minute of when it is due.',
    ],
  }
}
