// How near its end a credential is, in stages: what is told, and how often, hangs on a change of stage. Pure.

import { ago, duration } from '../words.ts'
import { cliOf, isSameToken, isStaleCopy } from './drift.ts'
import type { Credential, Truth } from './index.ts'

export interface Stage {
  /** `refresh overdue`, `2 d`, `ended` … stable words; absent where there is nothing to be told of. */
  stage?: string
  verdict: 'ok' | 'warn' | 'bad'
  /** One sentence about it as it stands. */
  why: string
  /** Only a person can mend it: called to mind once a day until it is. */
  daily?: true
}

export interface StageAround {
  /** All that was seen with it: a copy is compared with the Claude CLI's own, which the keeper renews. */
  truth?: Pick<Truth, 'credentials' | 'at'> | undefined
  /** When a setup-token was made, by the one who registered it. UTC milliseconds. */
  registeredAt?: number | undefined
  /** It has had more left than any 8-hour token has. */
  longLived?: boolean | undefined
}

interface Rung {
  /** Reached when this much or less is left. */
  leftMs: number
  stage: string
  verdict: 'warn' | 'bad'
  daily?: true
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** A setup-token lasts for a year (claude-cli.md §3b). */
export const SETUP_TOKEN_MS = 365 * DAY_MS
/** No token that a login gives lasts as long as this. */
export const LONG_MS = 12 * HOUR_MS
/** A session ingress token lasts for four hours (F0-07). */
const INGRESS_MS = 4 * HOUR_MS

const over = (stage: string): Rung => ({ leftMs: 0, stage, verdict: 'bad' })
const soon = (leftMs: number, stage: string): Rung => ({ leftMs, stage, verdict: 'warn' })
const ENDED: Rung = { ...over('ended'), daily: true }
const DAYS = [
  ENDED,
  soon(2 * HOUR_MS, '2 h'),
  soon(DAY_MS, '1 d'),
  soon(2 * DAY_MS, '2 d'),
  soon(5 * DAY_MS, '5 d'),
]

/** By kind, the last rung first. */
const LADDERS = {
  /** The keeper begins four minutes before the end; it has had its chance a minute later. */
  kept: [over('expired'), soon(3 * MINUTE_MS, 'refresh overdue')],
  copy: [over('expired'), soon(20 * MINUTE_MS, '20 min')],
  login: DAYS,
  session: DAYS,
  /** The backend puts a new one there well before the end (F0-04). */
  shortSession: [ENDED, soon(20 * MINUTE_MS, '20 min'), soon(30 * MINUTE_MS, 'not rotated')],
  setupToken: [ENDED, soon(DAY_MS, '1 d'), soon(7 * DAY_MS, '7 d'), soon(30 * DAY_MS, '30 d')],
} satisfies Record<string, readonly Rung[]>

/** What is said behind "It ends in 5 min" and "It ended 5 min ago". */
const CONSEQUENCE: Record<keyof typeof LADDERS, { before: string; after: string }> = {
  kept: { before: 'the Claude CLI has not renewed it yet', after: 'the Claude CLI has not renewed it' },
  copy: { before: 'nothing renews it', after: 'nothing renews it' },
  login: { before: 'then somebody has to sign in again', after: 'somebody has to sign in again' },
  session: { before: 'no newer one is there yet', after: 'no newer one is there' },
  shortSession: { before: 'no newer one is there yet', after: 'no newer one is there' },
  setupToken: { before: 'then a new one has to be made', after: 'a new one has to be made' },
}

const fine = (why: string): Stage => ({ verdict: 'ok', why })

/** @param what begins the sentence: `It`, `Its login`. */
function climb(ladder: keyof typeof LADDERS, what: string, endsAt: number, now: number): Stage {
  const left = endsAt - now
  const rungs: readonly Rung[] = LADDERS[ladder]
  const rung = rungs.find(({ leftMs }) => left <= leftMs)
  if (!rung) return fine(`${what} lasts for ${duration(left)}.`)
  const { leftMs: _, ...stage } = rung
  const { before, after } = CONSEQUENCE[ladder]
  return {
    ...stage,
    why:
      left > 0 ? `${what} ends in ${duration(left)}: ${before}.` : `${what} ended ${ago(-left)}: ${after}.`,
  }
}

const isTwin = (credential: Credential, cli: Credential | undefined): cli is Credential =>
  cli !== undefined && !cli.fault && credential.id !== cli.id && isSameToken(cli, credential)

function ingressStage({ expiresAt, issuedAt }: Credential, now: number): Stage {
  if (expiresAt === undefined) return fine('Nobody knows when it ends.')
  const lifeMs = issuedAt === undefined ? INGRESS_MS : expiresAt - issuedAt
  return climb(lifeMs < DAY_MS ? 'shortSession' : 'session', 'It', expiresAt, now)
}

/** One that no file knows: the gateway's word, the date that somebody noted, or nothing. */
function endlessStage(
  { kind, ended, renewedBy }: Credential,
  { registeredAt }: StageAround,
  now: number,
): Stage {
  if (ended && renewedBy) return fine(`It has ended: ${renewedBy} renews it when it is next used.`)
  if (ended) return { stage: 'expired', verdict: 'bad', why: 'The gateway says that it has ended.' }
  if (kind === 'api key') return fine('It does not end by itself.')
  if (registeredAt !== undefined) return climb('setupToken', 'It', registeredAt + SETUP_TOKEN_MS, now)
  return fine('Nobody knows when it ends: /tokens register notes when it was made.')
}

function endingStage({ id, kind, renewedBy }: Credential, endsAt: number, longLived: boolean, now: number) {
  if (id === 'cli') return climb('kept', 'It', endsAt, now)
  if (renewedBy === undefined) {
    const long = kind === 'setup-token' || longLived || endsAt - now > LONG_MS
    return climb(long ? 'setupToken' : 'copy', 'It', endsAt, now)
  }
  return fine(
    endsAt > now
      ? `It lasts for ${duration(endsAt - now)}; ${renewedBy} renews it.`
      : `It ended ${ago(now - endsAt)}: ${renewedBy} renews it when it is next used.`,
  )
}

/** How near its end the token itself is, or what is wrong with its record. */
export function tokenStage(credential: Credential, now: number, around: StageAround = {}): Stage {
  const { kind, fault, expiresAt } = credential
  const { truth, longLived = false } = around
  if (fault) {
    const why = credential.why ?? `Its record is wrong: ${fault}.`
    return { stage: fault, verdict: 'bad', why, ...(fault === 'blanked' && { daily: true }) }
  }
  if (kind === 'session ingress token') return ingressStage(credential, now)
  const cli = truth && cliOf(truth)
  // The same token: it is renewed, or not, together with the CLI's.
  if (isTwin(credential, cli) && cli.expiresAt !== undefined) return climb('kept', 'It', cli.expiresAt, now)
  if (truth && cli?.expiresAt !== undefined && isStaleCopy(truth, credential)) {
    const fresh = `the Claude CLI has one that lasts for ${duration(cli.expiresAt - now)}`
    const over = credential.ended === true || (expiresAt ?? Number.POSITIVE_INFINITY) <= now
    const why = `It is an older copy${over ? ' that has ended' : ''}: ${fresh}.`
    return { stage: 'stale copy', verdict: over ? 'bad' : 'warn', why }
  }
  return expiresAt === undefined
    ? endlessStage(credential, around, now)
    : endingStage(credential, expiresAt, longLived, now)
}

/** How near its end the login behind a token is; undefined where there is none, or nobody knows. */
export function loginStage({ loginEndsAt }: Credential, now: number): Stage | undefined {
  return loginEndsAt === undefined ? undefined : climb('login', 'Its login', loginEndsAt, now)
}

const PRESSING = { ok: 0, warn: 1, bad: 2 } satisfies Record<Stage['verdict'], number>

/**
 * How it stands with a credential: its token or the login behind it, whichever is more pressing.
 * @param now UTC milliseconds.
 */
export function stageOf(credential: Credential, now: number, around: StageAround = {}): Stage {
  const token = tokenStage(credential, now, around)
  const login = loginStage(credential, now)
  return login && PRESSING[login.verdict] > PRESSING[token.verdict] ? login : token
}
