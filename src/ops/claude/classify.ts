// What a run of the Claude CLI came to, from what it printed and what its file holds now; the order is that of claude-cli.md §2.

import type { ClaudeFile } from './file.ts'
import { resetIn } from './resets.ts'
import { sentenceIn } from './words.ts'

/** Why the CLI did not come to a fresh token. */
export type Failing = 'needs re-auth' | 'usage limit' | 'account' | 'network' | 'transient'

export type Outcome =
  /** The token's end moved. */
  | { state: 'refreshed'; before: number | undefined; after: number }
  /** It ran well and left the token as it was: it was not due, or somebody else was faster. */
  | { state: 'unmoved' }
  | {
      state: 'failed'
      kind: Failing
      /** The CLI's own reason in one sentence, without secrets. */
      why: string
      /** When a usage limit ends. UTC milliseconds. */
      until?: number
      /** The token itself was refused, though there is a refresh token: see `isGivenUp`. */
      refused?: true
      /** It ran and said nothing, and the token that is due is as it was. */
      silent?: true
    }

export interface Ran {
  before: Pick<ClaudeFile, 'expiresAt' | 'hash'>
  after: ClaudeFile
  /** What it printed; absent when nobody heard it: of a run in a container that was found again. */
  output?: string
  /** Absent when nobody saw it. */
  exitCode?: number
  /** UTC milliseconds. */
  now: number
}

/** The CLI refreshes from so long before the end on (measured: claude-cli.md §2). */
export const WINDOW_MS = 300_000

/** What it printed, as far as it counts. */
interface Said {
  text: string
  /** The assistant message's typed error: both versions have it. */
  error: string | undefined
  apiError: string | undefined
  /** The API's answer; null when there was none, undefined when the version does not say. */
  status: number | null | undefined
  failed: boolean
  resetsAt: number | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: what a program printed is looked at field by field
type Line = Record<string, any>

const word = (value: unknown) => (typeof value === 'string' ? value : undefined)

/** Its JSON: one value, a list of them, or one a line. */
function linesIn(output: string): Line[] {
  return output.split('\n').flatMap((line): Line[] => {
    if (!/^\s*[[{]/.test(line)) return []
    try {
      const value = JSON.parse(line)
      return (Array.isArray(value) ? value : [value]).filter(
        (each) => each !== null && typeof each === 'object',
      )
    } catch {
      return []
    }
  })
}

/** What it printed → what it said. */
export function saidIn(output: string): Said {
  const lines = linesIn(output)
  const result = lines.findLast(({ type }) => type === 'result')
  const assistant = lines.findLast(({ type }) => type === 'assistant')
  const limits = lines.findLast(({ type }) => type === 'rate_limit_event')
  const resets = limits?.rate_limit_info?.resetsAt
  const status = result?.api_error_status
  return {
    text: word(result?.result) ?? (lines.length === 0 ? output : ''),
    error: word(assistant?.error),
    apiError: word(result?.api_error),
    status: typeof status === 'number' || status === null ? status : undefined,
    // One that did not come to a result was broken off.
    failed: result === undefined || result.is_error === true,
    resetsAt: typeof resets === 'number' ? resets * 1_000 : undefined,
  }
}

const LOCKED = /another Claude Code process/
const ACCOUNT = ['oauth_org_not_allowed', 'billing_error', 'account_on_hold', 'verification_required']
const HIT = /hit your .*limit/i

/** In this order: the first that holds is it. */
const KINDS: [Failing, (said: Said) => boolean][] = [
  ['needs re-auth', ({ text }) => /could not be refreshed|reached its time limit|Not logged in/.test(text)],
  [
    'account',
    ({ text, error = '', apiError }) =>
      ACCOUNT.includes(error) ||
      apiError === 'org_disabled_credential' ||
      // As older ones say the same, with the error of a token that was refused.
      /organization does not have access|can't use your Claude subscription|Credit balance/.test(text),
  ],
  [
    'usage limit',
    ({ text, error, apiError }) =>
      apiError === 'usage_limit_reached' || (['rate_limit', undefined].includes(error) && HIT.test(text)),
  ],
  ['transient', ({ text }) => LOCKED.test(text)],
  [
    'network',
    ({ text, error, apiError = '', status, failed }) =>
      /^(connection_failed|network_edge_blocked|tls_.*)$/.test(apiError) ||
      /Unable to connect|Can't reach|\((ECONN\w+|EAI_AGAIN|ENOTFOUND|ETIMEDOUT)\)/.test(text) ||
      (failed && status === null && error !== 'authentication_failed'),
  ],
]

/** Without a word of the CLI's: the file alone says it. */
function ofFile({ state, why, refreshHash, expiresAt }: ClaudeFile, now: number): string | undefined {
  if (state !== 'ok') return state === 'unreadable' ? undefined : why
  const isDue = expiresAt !== undefined && expiresAt <= now + WINDOW_MS
  return isDue && !refreshHash ? 'The login has no refresh token: nothing can renew it.' : undefined
}

/** The token's end, if it moved. */
function movedTo({ before, after }: Ran): number | undefined {
  if (after.state !== 'ok' || after.expiresAt === undefined) return undefined
  const isNew =
    before.expiresAt === undefined ? after.hash !== before.hash : after.expiresAt > before.expiresAt
  return isNew ? after.expiresAt : undefined
}

function failureOf({ after, now, exitCode }: Ran, said: Said): Outcome {
  const why = sentenceIn(said.text)
  const kind = KINDS.find(([, holds]) => holds(said))?.[0]
  const gone = ofFile(after, now)
  if (gone || kind === 'needs re-auth')
    return {
      state: 'failed',
      kind: 'needs re-auth',
      why: after.state === 'ok' ? why || (gone ?? '') : (gone ?? why),
    }
  const until = kind === 'usage limit' ? (said.resetsAt ?? resetIn(said.text, now)) : undefined
  const isRefused = said.error === 'authentication_failed' || /^Failed to authenticate/.test(said.text)
  return {
    ...{ state: 'failed', kind: kind ?? 'transient' },
    why: why || `The Claude CLI ended${exitCode === undefined ? '' : ` with ${exitCode}`} and said nothing.`,
    ...(until !== undefined && { until }),
    ...(kind === undefined && isRefused && { refused: true }),
  }
}

/**
 * Judged by the token's end, never by exit 0: the CLI sends an expired token too, and a good answer to that proves nothing.
 * @param ran all times in it are UTC milliseconds.
 */
export function classify(ran: Ran): Outcome {
  const { after, output, exitCode, now } = ran
  const end = movedTo(ran)
  if (end !== undefined) return { state: 'refreshed', before: ran.before.expiresAt, after: end }
  if (after.state === 'unreadable')
    return { state: 'failed', kind: 'transient', why: after.why ?? 'Its file cannot be read.' }
  const said = saidIn(output ?? '')
  const badly = output === undefined ? Boolean(exitCode) : said.failed || Boolean(exitCode)
  if (badly || ofFile(after, now) || KINDS[0]?.[1](said)) return failureOf(ran, said)
  if (after.expiresAt === undefined || after.expiresAt > now + WINDOW_MS) return { state: 'unmoved' }
  return {
    ...{ state: 'failed', kind: 'transient', silent: true },
    why: 'The Claude CLI ran and left the token as it was; it does not say why.',
  }
}

/** So often must a token be refused, over more than so long, before only a new sign-in helps: older CLIs give no other sign. */
const REFUSALS = 3
const REFUSED_FOR_MS = 10 * 60_000

/**
 * Whether a login that looks whole is at its end.
 * @param refusedAt when its token was refused (`refused` of a failure) since it last was renewed. UTC milliseconds, in order.
 */
export function isGivenUp(refusedAt: readonly number[]): boolean {
  const [first, last] = [refusedAt[0], refusedAt.at(-1)]
  if (first === undefined || last === undefined) return false
  return refusedAt.length >= REFUSALS && last - first > REFUSED_FOR_MS
}
