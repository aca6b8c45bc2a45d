// What a token says of itself: its kind by its first letters, the times in a session ingress token, and who has the same one. Pure.

import { z } from 'zod'
import { shortHash } from '../gateway/config.ts'
import type { Credential, CredentialKind, Fault } from './index.ts'

/** What stands in the place of a token and is none, by how it looks. The first that fits counts. */
const NO_TOKENS: { looks: RegExp; why: string }[] = [
  { looks: /^sk-ant-ort/, why: 'It holds a refresh token where an access token belongs.' },
  { looks: /^bearer\s/i, why: 'It begins with "Bearer", which is no part of a token.' },
  { looks: /\s/, why: 'There is a space or a line break inside the token.' },
  { looks: /#/, why: 'It holds the code of a sign-in (code#state), which is no token.' },
]

/** Numbers below this are seconds: as milliseconds they would be before 1973. */
const SECONDS_BELOW = 1e11
/** The last moment that a Date can hold. */
const LATEST = 8.64e15

/**
 * A time as it stands in a file.
 * @returns undefined for what is none; 0 is the gateway's "never". `at` is UTC milliseconds.
 */
export function timeOf(value: unknown): { at: number; seconds?: true } | undefined {
  if (typeof value !== 'number' || !(value > 0 && value <= LATEST)) return undefined
  return value < SECONDS_BELOW ? { at: value * 1_000, seconds: true } : { at: value }
}

const claims = z.looseObject({ exp: z.number(), iat: z.number().optional() })

/**
 * When a session ingress token was made and when it ends, by its own word: it is decoded, not verified (claude-cli.md §6).
 * Whose it is stands in it as well and is not taken out. UTC milliseconds.
 * @returns undefined when it is not one.
 */
export function ingressTimes(token: string): { issuedAt?: number; expiresAt: number } | undefined {
  const [, payload, ...rest] = token.replace(/^sk-ant-si-/, '').split('.')
  if (payload === undefined || rest.length !== 1) return undefined
  try {
    const { exp, iat } = claims.parse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')))
    const [end, start] = [timeOf(exp), timeOf(iat)]
    return end && { expiresAt: end.at, ...(start && { issuedAt: start.at }) }
  } catch {
    return undefined
  }
}

function kindOf(token: string, { renewable, ends }: { renewable: boolean; ends: boolean }): CredentialKind {
  if (token.startsWith('sk-ant-si-')) return 'session ingress token'
  if (token.startsWith('sk-ant-api')) return 'api key'
  if (!token.startsWith('sk-ant-oat')) return 'other'
  if (renewable) return 'login'
  // One without an end was pasted: `claude setup-token` makes such, and nobody knows better.
  return ends ? 'access token' : 'setup-token'
}

type Told = Pick<Credential, 'kind' | 'hash' | 'expiresAt' | 'issuedAt' | 'fault' | 'why'>

const wrong = (fault: Fault, why: string): Pick<Credential, 'fault' | 'why'> => ({ fault, why })

/**
 * All that is told of a token that was read.
 * @param expires as it stands beside it, if it does.
 * @param renewable whether there is a refresh token beside it.
 */
export function tokenFacts(token: string, expires?: unknown, renewable = false): Told {
  const trimmed = token.trim()
  const isIngress = trimmed.startsWith('sk-ant-si-')
  const times = isIngress ? ingressTimes(trimmed) : undefined
  const end = timeOf(expires)
  const expiresAt = times?.expiresAt ?? end?.at
  const misplaced = NO_TOKENS.find(({ looks }) => looks.test(trimmed))
  return {
    kind: kindOf(trimmed, { renewable, ends: expiresAt !== undefined }),
    hash: shortHash(trimmed),
    ...times,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(end?.seconds && wrong('seconds', 'Its end stands there in seconds, which is taken for 1970.')),
    ...(isIngress && !times && wrong('unparsable', 'It is a session ingress token that cannot be decoded.')),
    ...(misplaced && wrong('wrong field', misplaced.why)),
  }
}

/** `A`, `B` … `Z`, `AA` … */
function letter(index: number): string {
  const last = String.fromCharCode(65 + (index % 26))
  return index < 26 ? last : letter(Math.floor(index / 26) - 1) + last
}

/** A letter for each token that stands in two places or more, in the order of the credentials. */
export function groupsOf(credentials: readonly Pick<Credential, 'hash'>[]): Record<string, string> {
  const counts = new Map<string, number>()
  for (const { hash } of credentials) if (hash) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  const shared = [...counts].filter(([, count]) => count > 1)
  return Object.fromEntries(shared.map(([hash], index) => [hash, letter(index)]))
}

/** When tokens end, by their hash: a copy does not say it, and one that was replaced is still known by it. UTC milliseconds. */
export type Ends = Record<string, number>

/** More than all stores together go through in some days. */
const ENDS = 40

/** What is known of a token is known of its copies: they are the same one. */
export function enlighten(credentials: readonly Credential[], ends: Ends): Credential[] {
  const known: Ends = { ...ends, ...endsOf(credentials) }
  const kinds = new Map(
    credentials.flatMap(({ hash, kind }) => (hash && kind !== 'other' ? [[hash, kind]] : [])),
  )
  return credentials.map((each) => {
    const { hash, kind } = each
    const at = each.expiresAt ?? (hash === undefined ? undefined : known[hash])
    const end = at === undefined ? {} : { expiresAt: at }
    if (hash === undefined || (kind !== 'other' && kind !== 'setup-token')) return { ...each, ...end }
    return { ...each, ...end, kind: at === undefined ? (kinds.get(hash) ?? kind) : 'access token' }
  })
}

function endsOf(credentials: readonly Credential[]): Ends {
  const told = credentials.flatMap(({ hash, expiresAt, fault }) =>
    hash && expiresAt !== undefined && fault === undefined ? [[hash, expiresAt] as const] : [],
  )
  return Object.fromEntries(told)
}

/** What was known, and what is seen now; the ones that end last are kept. */
export function learn(known: Ends, credentials: readonly Credential[]): Ends {
  const all = Object.entries({ ...known, ...endsOf(credentials) })
  return Object.fromEntries(all.toSorted((a, b) => b[1] - a[1]).slice(0, ENDS))
}

const PLAIN_NAME = /^[\w.:-]{1,60}$/
const SECRET_NAME = /sk-|eyJ|[\w-]{24,}/

/**
 * A name that people gave a profile, an agent, a provider, as it may be shown: the gateway names profiles by the e-mail
 * address of their account, and anything may stand there. What is no plain name is a short hash.
 */
export function shownName(name: string): string {
  if (PLAIN_NAME.test(name) && !SECRET_NAME.test(name)) return name
  const [before = ''] = name.split(':')
  const provider = name.includes(':') && /^[a-z][a-z-]{0,30}$/.test(before) ? `${before}:` : ''
  return `${provider}#${shortHash(name).slice(0, 8)}`
}

/** The same of a path, part by part. */
export const shownPath = (path: string) => path.split('/').map(shownName).join('/')
