// The lifeline: sees that polling has stopped, begins it again on a fresh connection, and says when that is no use.

import { OpsError } from '../errors.ts'
import { errorFields, type Log } from '../log.ts'
import { judgePolling, type Pulse } from '../ops/pulse.ts'

export interface LifelineOptions {
  pulse: Pulse
  /** Whether a deed runs that must not be cut. */
  busy: () => boolean
  /** Makes one call on a connection of its own. @throws when Telegram is not reached. */
  probe: () => Promise<void>
  /** Throws the poll's connections away and begins again. */
  rebuild: () => void
  now: () => number
  log: Log
}

const LOOK_MS = 10_000

/** @returns `done`, which rejects when the process should end and be started anew, and the way to stop. */
export function watchPolling({ pulse, busy, probe, rebuild, now, log }: LifelineOptions) {
  const { promise: done, reject } = Promise.withResolvers<never>()
  let rebuiltAt = Number.NEGATIVE_INFINITY

  async function look(): Promise<void> {
    if (judgePolling(pulse.read(), now(), busy()) === 'fine') return
    try {
      await probe()
      pulse.reached()
    } catch (error) {
      log.warn('Telegram is not reached on a fresh connection either', errorFields(error))
    }
    const verdict = judgePolling(pulse.read(), now(), busy())
    if (verdict === 'exit')
      reject(
        new OpsError(
          'Telegram answers on fresh connections, but polling has not worked for two minutes. I end so that I am started anew.',
        ),
      )
    // A new poll has its own deadline of 40 s; it is given that time before the next is tried.
    if (verdict !== 'rebuild' || now() - rebuiltAt < 45_000) return
    rebuiltAt = now()
    log.warn('polling has stalled: beginning again on a fresh connection')
    rebuild()
  }

  const timer = setInterval(() => {
    look().catch((error) => log.error('the lifeline broke', errorFields(error)))
  }, LOOK_MS)
  return { done, stop: () => clearInterval(timer) }
}
