// The gateway's sessions and its work: what is under way, as far as each version says it. Pure.

import type { Session } from './methods.ts'

/** The gateway's own measure of "active" (F0-10). */
const ACTIVE_MS = 10 * 60_000

/** The sessions that say they are at work: newer gateways do. */
export const busyIn = (sessions: readonly Session[]): Session[] =>
  sessions.filter(({ status }) => status === 'running')

/** Those of a version that says nothing, touched just now: their agents may be at work, or have just ended. */
export const touchedIn = (sessions: readonly Session[], now: number): Session[] =>
  sessions.filter(
    ({ status, updatedAt, lastActivityAt }) =>
      status === undefined && now - (lastActivityAt ?? updatedAt ?? 0) < ACTIVE_MS,
  )

/** How many are at work, in words. */
export function workWords({ busy, touched }: { busy: number; touched: number }): string {
  if (busy > 0) return `${busy} at work`
  return touched > 0 ? `${touched} used in the last 10 min` : 'none at work'
}

/**
 * Runs under way, from what a newer gateway counts before a restart. One run stands in several of its counts, and
 * `rootRequests` has our own questions too, so its total says nothing (2026.9.6).
 */
export const runsIn = ({
  embeddedRuns = 0,
  activeTasks = 0,
  cronRuns = 0,
  backgroundExecSessions = 0,
}: Record<string, number>): number => Math.max(embeddedRuns, activeTasks, cronRuns) + backgroundExecSessions
