// The gateway's sessions: which of them are at work. Pure.

import type { Session } from './methods.ts'

/** The gateway's own measure of "active" (F0-10). */
const ACTIVE_MS = 10 * 60_000

/** The sessions at work: those that say so, and where a version says nothing, those that were touched just now. */
export function busyIn(sessions: readonly Session[], now: number): Session[] {
  return sessions.filter(({ status, updatedAt, lastActivityAt }) =>
    status === undefined ? now - (lastActivityAt ?? updatedAt ?? 0) < ACTIVE_MS : status === 'running',
  )
}
