// Where the CLI's token may be copied to, as facts: what each place holds now, and its text with the new token in it.

import { OpsError } from '../../errors.ts'
import { bareValueOf, entriesOf, withValue } from '../envfile.ts'
import { shortHash } from '../gateway/config.ts'
import { shownName, timeOf } from './kinds.ts'

/** What a place holds now, without its token. */
export interface Holding {
  /** As in `Truth`: `profile/main/anthropic:default`, `oauth.json`, `.env`. */
  id: string
  where: string
  /** Of a profile: its id. */
  profile?: string
  /** First 16 hex digits of the token's SHA-256; absent when there is none. */
  hash?: string
  refreshHash?: string
  /** When it ends. UTC milliseconds; absent when it does not say so. */
  expiresAt?: number
  /** Why it is left alone, whatever it holds. */
  kept?: string
}

/** The token that is copied. It never leaves the step that copies it. */
export interface Token {
  value: string
  /** UTC milliseconds. */
  expiresAt: number
}

const VARIABLE = 'ANTHROPIC_OAUTH_TOKEN'
const PROVIDER = 'anthropic'
/** What the CLI's tokens begin with, and setup-tokens. */
const OAUTH = 'sk-ant-oat'
const DEFAULT = `${PROVIDER}:default`

type Json = Record<string, unknown>

export const isRecord = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '')

/** An end as milliseconds, whatever it was written as: what looks like an old token must not be a newer one. */
export const endOf = (value: unknown): number | undefined =>
  timeOf(typeof value === 'string' && value.trim() !== '' ? Number(value) : value)?.at

/** Reads JSON as the gateway would, but for the mark at its beginning. @throws OpsError without a word of the text. */
export function readJson(text: string, where: string): Json {
  try {
    const value: unknown = JSON.parse(text.replace(/^\uFEFF/, ''))
    if (isRecord(value)) return value
  } catch {
    // What JSON.parse says of it may quote it.
  }
  throw new OpsError(`${where} is not what it should be (no JSON object): it is left alone.`)
}

/** Writes JSON with the indent that it had. */
export function writeJson(value: Json, before: string): string {
  const indent =
    /^[[{]\s*\n([ \t]+)/.exec(before.replace(/^\uFEFF/, ''))?.[1] ?? (before.includes('\n') ? 2 : 0)
  return JSON.stringify(value, undefined, before === '' ? 2 : indent) + (/\n$|^$/.test(before) ? '\n' : '')
}

/** What an OAuth token says of itself, and its ends. */
function factsOf(token: string, refresh: unknown, end: unknown): Partial<Holding> {
  const expiresAt = endOf(end)
  return {
    ...(token && { hash: shortHash(token) }),
    ...(textOf(refresh) && { refreshHash: shortHash(textOf(refresh)) }),
    ...(expiresAt !== undefined && { expiresAt }),
  }
}

function holdingOf(agent: string, profile: string, entry: Json): Holding {
  const { type } = entry
  const base = {
    id: `profile/${agent}/${profile}`,
    where: `${shownName(agent)}'s profile ${shownName(profile)}`,
    profile,
  }
  if (type === 'token') {
    const token = textOf(entry.token)
    if (token && !token.startsWith(OAUTH))
      return { ...base, ...factsOf(token, '', entry.expires), kept: 'it is no OAuth token' }
    return { ...base, ...factsOf(token, '', entry.expires) }
  }
  if (type === 'oauth')
    return { ...base, ...factsOf(textOf(entry.access) || textOf(entry.key), entry.refresh, entry.expires) }
  const kept = type === 'api_key' ? 'it is an API key' : 'it is of a kind that is not known'
  return { ...base, kept }
}

/** The gateway's own provider; some hands leave the word out. */
const isOurs = (id: string, entry: Json) =>
  entry.provider === PROVIDER || (entry.provider === undefined && id.startsWith(`${PROVIDER}:`))

export const profilesIn = (store: Json): [string, Json][] =>
  Object.entries(isRecord(store.profiles) ? store.profiles : {}).flatMap(([id, entry]) =>
    isRecord(entry) && isOurs(id, entry) ? [[id, entry] as [string, Json]] : [],
  )

/**
 * The Anthropic profiles of an agent's `auth-profiles.json`; one that is to be added when it has none.
 * @throws OpsError when it cannot be read as one.
 */
export function profileHoldings(text: string, agent: string): Holding[] {
  const where = `${agent}'s auth-profiles.json`
  const store = readJson(text, where)
  if (store.profiles !== undefined && !isRecord(store.profiles))
    throw new OpsError(`${where} is not what it should be (no profiles): it is left alone.`)
  const found = profilesIn(store).map(([id, entry]) => holdingOf(agent, id, entry))
  const isFree = !(isRecord(store.profiles) && DEFAULT in store.profiles)
  return found.length > 0 || !isFree ? found : [holdingOf(agent, DEFAULT, { type: 'token' })]
}

/** `credentials/oauth.json`; without a text, as it is to be made. @throws OpsError */
export function oauthHolding(text: string | undefined): Holding {
  const base = { id: 'oauth.json', where: 'credentials/oauth.json' }
  const entry = text === undefined ? undefined : readJson(text, base.where)[PROVIDER]
  if (!isRecord(entry)) return base
  return { ...base, ...factsOf(textOf(entry.access) || textOf(entry.key), entry.refresh, entry.expires) }
}

/** The key of a `.env`; undefined when it is not in there. A `.env` never says when its token ends. */
export function envHolding(text: string): Holding | undefined {
  const entry = entriesOf(text).findLast(({ name }) => name === VARIABLE)
  if (!entry) return undefined
  const token = bareValueOf(entry)
  const base = { id: '.env', where: `.env, ${VARIABLE}`, ...factsOf(token, '', undefined) }
  return token && !token.startsWith(OAUTH) ? { ...base, kept: 'it is no OAuth token' } : base
}

/** What an entry becomes. The refresh token stays with the CLI: the gateway would use it up (claude-cli.md §2). */
function renewed(entry: Json, { value, expiresAt }: Token): Json {
  if (entry.type === 'token') return { ...entry, token: value, expires: expiresAt }
  const { key, ...rest } = entry
  return { ...rest, access: value, refresh: '', expires: expiresAt }
}

/** What an older token had to answer for. Who is out for the money is not let in by a new one. */
const FAILURES = ['cooldownUntil', 'errorCount', 'failureCounts', 'lastFailureAt']
const DISABLED = ['disabledUntil', 'disabledReason']

function forgiven(stats: Json): Json {
  const gone = stats.disabledReason === 'billing' ? FAILURES : [...FAILURES, ...DISABLED]
  return Object.fromEntries(Object.entries(stats).filter(([name]) => !gone.includes(name)))
}

/** `auth-profiles.json` with the token in these profiles; all else as it was. @throws OpsError */
export function withProfiles(text: string, agent: string, ids: readonly string[], token: Token): string {
  const store = readJson(text, `${agent}'s auth-profiles.json`)
  const before = isRecord(store.profiles) ? store.profiles : {}
  const profiles = { ...before }
  const stats = isRecord(store.usageStats) ? { ...store.usageStats } : undefined
  for (const id of ids) {
    const entry = before[id]
    profiles[id] = renewed(isRecord(entry) ? entry : { type: 'token', provider: PROVIDER }, token)
    if (isRecord(stats?.[id])) stats[id] = forgiven(stats[id])
  }
  return writeJson({ version: 1, ...store, profiles, ...(stats && { usageStats: stats }) }, text)
}

/** `oauth.json` with the token; other providers as they were. @throws OpsError */
export function withOauth(text: string | undefined, token: Token): string {
  const file = text === undefined ? {} : readJson(text, 'credentials/oauth.json')
  const entry = isRecord(file[PROVIDER]) ? file[PROVIDER] : {}
  return writeJson({ ...file, [PROVIDER]: renewed(entry, token) }, text ?? '')
}

/** `.env` with the token. @throws OpsError */
export function withVariable(text: string, token: Token): string {
  return withValue(text, VARIABLE, token.value) ?? text
}
