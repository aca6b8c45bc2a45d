// The Claude CLI's `.credentials.json` as facts: when its token and its login end, and what is wrong with it. Never a token.

import { createHash } from 'node:crypto'
import { z } from 'zod'

/** What lies in `.credentials.json`. */
export interface ClaudeFile {
  /**
   * `ok` there is a token, whether it has ended or not · `missing` no file · `empty` nothing in it, also while the CLI rewrites
   * it in place · `blanked` the CLI gave the login up and emptied its tokens (claude-cli.md §1) · `unparsable` no JSON, or no
   * login in it · `unreadable` it may not be read.
   */
  state: 'ok' | 'missing' | 'empty' | 'blanked' | 'unparsable' | 'unreadable'
  /** One sentence, for every state but `ok`. */
  why?: string
  path: string
  /** First 16 hex digits of the access token's SHA-256. */
  hash?: string
  /** The same of the refresh token; absent where there is none. */
  refreshHash?: string
  /** When the access token ends. UTC milliseconds. */
  expiresAt?: number
  /** When the login ends and somebody has to sign in again. UTC milliseconds; older CLIs do not say it. */
  loginEndsAt?: number
  /** The CLI noted that the login reached its time limit. */
  loginEnded?: string
  /** Times stand in it as seconds, which the CLI takes for 1970. */
  seconds?: true
  /** `max`, `pro` … */
  plan?: string
  /** Of the file. UTC milliseconds. */
  modifiedAt?: number
}

/** What came of reading it. */
export type Read =
  | { path: string; text: string /** UTC milliseconds. */; modifiedAt?: number }
  | { path: string; failed: 'missing' }
  | { path: string; failed: 'unreadable'; why: string }

/** By which tokens are compared: the first 16 hex digits of the SHA-256. */
export const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex').slice(0, 16)

/** A time below this can only be seconds: as milliseconds it would lie in 1973. */
const SECONDS_BELOW = 1e11
/** The last moment that a Date can hold. */
const LAST = 8.64e15

const text = z.string().optional().catch(undefined)
const time = z.number().positive().max(LAST).optional().catch(undefined)
const word = z
  .string()
  .regex(/^[\w-]{1,40}$/)
  .optional()
  .catch(undefined)
const shape = z.looseObject({
  claudeAiOauth: z.looseObject({
    ...{ accessToken: text, refreshToken: text },
    ...{ expiresAt: time, refreshTokenExpiresAt: time },
    ...{ loginEnded: word, subscriptionType: word },
  }),
})

const milliseconds = (at: number): number => (at < SECONDS_BELOW ? at * 1_000 : at)

/** One word that can be seen: what has a line break in it would be more than a value wherever it is copied to. */
const isToken = (value: string): boolean => /^[\x21-\x7e]{1,10000}$/.test(value)

/** @returns the login, or why there is none. */
function loginIn(path: string, content: string) {
  let value: unknown
  try {
    value = JSON.parse(content.replace(/^\uFEFF/, ''))
  } catch {
    return `${path} is not JSON.`
  }
  const parsed = shape.safeParse(value)
  if (!parsed.success) return `There is no login in ${path}.`
  const { accessToken } = parsed.data.claudeAiOauth
  if (accessToken === undefined || (accessToken !== '' && !isToken(accessToken)))
    return `The login in ${path} has no token that could be one.`
  return { ...parsed.data.claudeAiOauth, accessToken }
}

const blankedWhy = (ended: string | undefined): string =>
  ended === 'time_limit'
    ? 'The login reached its time limit, and the Claude CLI emptied its tokens.'
    : 'The login was refused, and the Claude CLI emptied its tokens.'

/** What was read → facts. */
export function factsOf(read: Read): ClaudeFile {
  const { path } = read
  if ('failed' in read)
    return read.failed === 'missing'
      ? { state: 'missing', why: `Nobody is signed in: ${path} is not there.`, path }
      : { state: 'unreadable', why: read.why, path }
  const about = { path, ...(read.modifiedAt !== undefined && { modifiedAt: read.modifiedAt }) }
  if (read.text.replace(/^\uFEFF/, '').trim() === '')
    return { state: 'empty', why: `${path} is empty.`, ...about }
  const login = loginIn(path, read.text)
  if (typeof login === 'string') return { state: 'unparsable', why: login, ...about }
  const { accessToken, refreshToken, expiresAt, refreshTokenExpiresAt, loginEnded, subscriptionType } = login
  const said = {
    ...(refreshTokenExpiresAt && { loginEndsAt: milliseconds(refreshTokenExpiresAt) }),
    ...(loginEnded && { loginEnded }),
    ...(subscriptionType && { plan: subscriptionType }),
    ...about,
  }
  if (accessToken === '') return { state: 'blanked', why: blankedWhy(loginEnded), ...said }
  return {
    ...{ state: 'ok', hash: hashOf(accessToken), ...said },
    ...(refreshToken && { refreshHash: hashOf(refreshToken) }),
    ...(expiresAt && { expiresAt: milliseconds(expiresAt) }),
    ...(expiresAt && expiresAt < SECONDS_BELOW && { seconds: true }),
  }
}

/** The access token itself, for the one who copies it; undefined when there is none that could be copied. */
export function tokenIn(read: Read): { value: string; expiresAt: number; hash: string } | undefined {
  if ('failed' in read) return undefined
  const login = loginIn(read.path, read.text)
  if (typeof login === 'string' || login.accessToken === '' || !login.expiresAt) return undefined
  const { accessToken: value, expiresAt } = login
  return { value, expiresAt: milliseconds(expiresAt), hash: hashOf(value) }
}
