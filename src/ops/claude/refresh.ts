// One run of the Claude CLI that may refresh its login: begun, waited for, asked to end when it is late, and never killed.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import type { ClaudePlace, RunHandle, RunState } from './place.ts'

/** Of a run. */
export interface Patience {
  /** After so long it is asked to end. */
  timeoutMs: number
  /** So long it may take for that. */
  graceMs: number
  pollMs: number
}

/**
 * A CLI that waits for a lock takes 32 s, and SIGTERM may lose the token that is on its way: newer ones save what comes
 * within 2 s after it, older ones nothing (measured). So it comes long after any answer could.
 */
export const PATIENCE: Patience = { timeoutMs: 180_000, graceMs: 20_000, pollMs: 200 }

export interface Awaited {
  run: RunHandle
  /** When it began. UTC milliseconds. */
  at: number
  patience: Patience
  now: () => number
  signal?: AbortSignal | undefined
}

/**
 * Waits for its end: SIGTERM when it is so late that no answer can come any more.
 * @param awaited its signal ends the waiting alone.
 * @returns undefined when it still runs after all that.
 * @throws OpsError when it was not waited for.
 */
export async function awaitEnd(
  place: Pick<ClaudePlace, 'look' | 'terminate'>,
  { run, at, patience, now, signal }: Awaited,
): Promise<Extract<RunState, { running: false }> | undefined> {
  /** What cannot be seen now, as when the engine restarts, may be seen in a moment. */
  async function endBy(moment: number) {
    for (;;) {
      const state = await place.look(run).catch((): RunState => ({ running: true }))
      if (!state.running) return state
      if (signal?.aborted) throw new OpsError('It was not waited for any longer; it goes on by itself.')
      if (now() >= moment) return undefined
      await sleep(patience.pollMs, undefined, signal && { signal }).catch(() => undefined)
    }
  }
  const inTime = await endBy(at + patience.timeoutMs)
  if (inTime) return inTime
  await place.terminate(run)
  return await endBy(now() + patience.graceMs)
}
