// When the Claude CLI's token is to be renewed next, and what a refresh that failed is noted as. Pure.

import { type Failing, isGivenUp, type Outcome } from '../claude/classify.ts'
import type { ClaudeFile } from '../claude/file.ts'
import type { RefreshRun } from '../claude/index.ts'
import { duration, plural } from '../words.ts'

/** A refresh that did not come to a fresh token. */
export interface Failure {
  /** UTC milliseconds. */
  at: number
  kind: Failing
  /** One sentence, without secrets. */
  why: string
  /** When a usage limit ends. UTC milliseconds. */
  until?: number
  /** The token was refused, while the CLI still holds on to its refresh token. */
  refused?: true
  /** The CLI ran without a word, and the token ends when it did. */
  silent?: true
  /** The state of the file that it happened to: with another one all begins anew. */
  of: string
}

/** A token with a new end. UTC milliseconds. */
export interface Renewed {
  before?: number
  after: number
}

/** What is remembered from one process to the next. Plain JSON, no token in it. */
export interface KeeperMemory {
  /** A refresh that was begun and whose end nobody has seen. */
  run?: RefreshRun
  failures: Failure[]
  /** The last time that the end of the token moved. */
  renewed?: Renewed & { at: number }
  /** There was a login once. */
  had?: true
}

export interface Due {
  /** UTC milliseconds. */
  at: number
  /** In words: `4 min before its end`, `after 2 failures`. */
  why: string
}

const MINUTE_MS = 60_000
const EARLY_MS = 4 * MINUTE_MS
const RETRY_MS = [30_000, MINUTE_MS, MINUTE_MS, 2 * MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS]
/** What trying again does not mend. */
const STOPS: readonly Failing[] = ['needs re-auth', 'account']

/** What tells one state of the file from another. Not its time: the CLI also writes it without a new token. */
export const stateOf = ({ hash, refreshHash, expiresAt }: ClaudeFile) =>
  [hash, refreshHash, expiresAt].join('/')

/** The failures that happened to the file as it is. */
export const failuresOf = (file: ClaudeFile, failures: readonly Failure[]) =>
  failures.filter(({ of }) => of === stateOf(file))

/**
 * When the token is to be renewed next. It may lie in the past: then now.
 * @param now UTC milliseconds.
 * @returns undefined when there is nothing to renew, or trying is no use until the file changes.
 */
export function dueAt(file: ClaudeFile, failures: readonly Failure[], now: number): Due | undefined {
  const { state, expiresAt, refreshHash, seconds } = file
  if (state !== 'ok' || expiresAt === undefined || refreshHash === undefined) return undefined
  const tries = failuresOf(file, failures)
  const last = tries.at(-1)
  // The CLI takes seconds for 1970: it renews the token at once and writes the file anew.
  if (!last && seconds) return { at: now, why: 'its end stands there in seconds' }
  if (!last) return { at: expiresAt - EARLY_MS, why: `${duration(EARLY_MS)} before its end` }
  if (STOPS.includes(last.kind)) return undefined
  const why = `after ${plural(tries.length, 'failure')}`
  // A clock that was set back must not make it wait.
  if (last.at > now) return { at: now, why }
  const waitMs = RETRY_MS[Math.min(tries.length, RETRY_MS.length) - 1] ?? MINUTE_MS
  // Once it has ended, every minute counts (D18).
  return { at: Math.min(last.at + waitMs, Math.max(last.at, expiresAt) + MINUTE_MS), why }
}

const SILENT = {
  kind: 'transient',
  silent: true,
  why: 'The Claude CLI ran and left the token as it was; it does not say why.',
} satisfies Partial<Failure>

/**
 * What a run that renewed nothing is noted as. Older CLIs never say that a login is over: it is when the server goes on
 * refusing it.
 * @param before the failures before it that happened to the same state of the file.
 */
export function failureOf(
  outcome: Exclude<Outcome, { state: 'refreshed' }>,
  before: readonly Failure[],
  of: string,
  now: number,
): Failure {
  if (outcome.state === 'unmoved') return { at: now, of, ...SILENT }
  const { state: _, ...failure } = outcome
  const refusedAt = [...before, { at: now, ...failure }].flatMap(({ at, refused }) => (refused ? [at] : []))
  return { at: now, of, ...failure, ...(isGivenUp(refusedAt) && { kind: 'needs re-auth' }) }
}
