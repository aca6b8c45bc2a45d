// The gateway's auth profiles, from their file or by the gateway's own report, as credentials without tokens. Pure.

import { z } from 'zod'
import { shortHash } from '../gateway/config.ts'
import type { ReportedCredential } from '../gateway/credentials.ts'
import type { AgentStore, Credential, CredentialKind } from './index.ts'
import { shownName, timeOf, tokenFacts } from './kinds.ts'

/** Where each type keeps its token (read in both versions, and run with 2026.2.22). */
const FIELDS = { oauth: 'access', token: 'token', api_key: 'key' } as const
type ProfileType = keyof typeof FIELDS

/** More profiles than any deployment has. */
const PROFILES = 200

const text = z.string().optional().catch(undefined)
const record = <T extends z.ZodType>(value: T) => z.record(z.string(), value).optional().catch(undefined)

/** Of openclaw.md §4. One field of a wrong type does not hide the others. */
const profileSchema = z.looseObject({
  type: z.enum(['oauth', 'token', 'api_key']),
  provider: z.string().default('anthropic').catch('anthropic'),
  ...{ access: text, refresh: text, token: text, key: text },
  expires: z.unknown().optional(),
  /** A token that is kept elsewhere: the name of a variable, a program. */
  keyRef: z.unknown().optional(),
  tokenRef: z.unknown().optional(),
})
const moment = z.number().optional().catch(undefined)
const usage = z.looseObject({
  ...{ lastUsed: moment, cooldownUntil: moment, disabledUntil: moment },
  ...{ cooldownReason: text, disabledReason: text },
})
const store = z.looseObject({
  profiles: z.record(z.string(), z.unknown()),
  order: record(z.array(z.string()).catch([])),
  usageStats: record(usage.optional().catch(undefined)),
})
type Usage = z.output<typeof usage>

const reasonOf = (reason: string | undefined) =>
  reason !== undefined && /^[\w ]{1,24}$/.test(reason) ? { reason } : {}

/** The gateway sets a profile aside after failures (openclaw.md §4). */
function unusableOf(stats: Usage | undefined, now: number): Credential['unusable'] {
  const { cooldownUntil = 0, cooldownReason, disabledUntil = 0, disabledReason } = stats ?? {}
  if (disabledUntil > now) return { kind: 'disabled', until: disabledUntil, ...reasonOf(disabledReason) }
  if (cooldownUntil > now) return { kind: 'cooldown', until: cooldownUntil, ...reasonOf(cooldownReason) }
  return undefined
}

/** The token of a profile as facts, or what is wrong where it should be. */
function contentOf(profile: z.output<typeof profileSchema>): Omit<Credential, 'id' | 'provider' | 'where'> {
  const { type, expires, keyRef, tokenRef } = profile
  const renewable = type === 'oauth' && Boolean(profile.refresh?.trim())
  const field = FIELDS[type]
  const token = profile[field]?.trim()
  const refresh = profile.refresh?.trim()
  const renewed = renewable && refresh ? { renewedBy: 'the gateway', refreshHash: shortHash(refresh) } : {}
  if (token) return { ...tokenFacts(token, expires, renewable), ...renewed }

  const end = timeOf(expires)
  const facts = {
    kind: kindByType(type, end !== undefined),
    ...(end && { expiresAt: end.at }),
    ...renewed,
  }
  if (type !== 'oauth' && (keyRef || tokenRef)) return facts
  const other = Object.values(FIELDS).find((each) => profile[each]?.trim())
  if (other)
    return { ...facts, fault: 'wrong field', why: `It has ${other} where ${field} belongs in type ${type}.` }
  return { ...facts, fault: 'no token', why: `${field}, which type ${type} needs, is missing or empty.` }
}

/** What a profile is by its type alone. */
const kindByType = (type: ProfileType, ends: boolean): CredentialKind =>
  type === 'api_key' ? 'api key' : type === 'oauth' ? 'login' : ends ? 'access token' : 'setup-token'

const whereOf = (profile: string, agent: string) => `profile ${profile} of agent ${agent}`

/** The profiles in the text of an `auth-profiles.json`, parsed. @returns undefined when it is none. */
export function profilesIn(
  agent: string,
  value: unknown,
  now: number,
): { credentials: Credential[]; agent: AgentStore; left: number } | undefined {
  const parsed = store.safeParse(value)
  if (!parsed.success) return undefined
  const { profiles, order, usageStats } = parsed.data
  const all = Object.entries(profiles)
  const credentials = all.slice(0, PROFILES).map(([name, each]): Credential => {
    const profile = shownName(name)
    const common = { id: `profile/${agent}/${profile}`, where: whereOf(profile, agent), agent, profile }
    const known = profileSchema.safeParse(each)
    if (!known.success)
      return {
        ...{ ...common, kind: 'other', provider: shownName(name.split(':')[0] ?? '') },
        ...{ fault: 'unparsable', why: 'It is of no type that the gateway knows.' },
      }
    const { type, provider } = known.data
    const stats = usageStats?.[name]
    const unusable = unusableOf(stats, now)
    return {
      ...{ ...common, provider: shownName(provider), type, ...contentOf(known.data) },
      ...(stats?.lastUsed !== undefined && { usedAt: stats.lastUsed }),
      ...(unusable && { unusable }),
    }
  })
  const named = Object.entries(order ?? {}).map(([provider, names]) => [provider, names.map(shownName)])
  return {
    credentials,
    agent: { agent, own: true, ...(named.length > 0 && { order: Object.fromEntries(named) }) },
    left: all.length - credentials.length,
  }
}

const oauthFile = z.looseObject({
  anthropic: z.looseObject({ access: text, refresh: text, expires: z.unknown().optional() }),
})

export const OAUTH_FILE = { id: 'oauth.json', provider: 'anthropic', where: 'credentials/oauth.json' }

/** `credentials/oauth.json`, parsed, as a credential: the profile that it becomes. */
export function oauthFileCredential(value: unknown): Credential {
  const line = { ...OAUTH_FILE, agent: 'main', profile: 'anthropic:default', type: 'oauth' } as const
  const parsed = oauthFile.safeParse(value)
  if (!parsed.success)
    return { ...line, kind: 'login', fault: 'no token', why: 'There is nothing for anthropic in it.' }
  return { ...line, ...contentOf(profileSchema.parse({ ...parsed.data.anthropic, type: 'oauth' })) }
}

/** What the gateway reports of its own profiles, where its store is not ours to read. */
export function reportedCredential(reported: ReportedCredential, now: number): Credential {
  const { provider, profileId, type, expiresAt, expired, unusable } = reported
  const agent = shownName(reported.agent ?? 'main')
  const profile = shownName(profileId)
  const known = type in FIELDS ? (type as ProfileType) : undefined
  const aside = unusable && (unusable.until === undefined || unusable.until > now) ? unusable : undefined
  return {
    ...{ id: `profile/${agent}/${profile}`, where: whereOf(profile, agent), agent, profile },
    provider: shownName(provider),
    kind: known ? kindByType(known, expiresAt !== undefined || expired === true) : 'other',
    ...(known && { type: known }),
    ...(known === 'oauth' && { renewedBy: 'the gateway' }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(expired && { ended: true }),
    ...(aside && {
      unusable: {
        ...{ kind: aside.kind, ...reasonOf(aside.reason) },
        ...(aside.until !== undefined && { until: aside.until }),
      },
    }),
  }
}

const NAMED = /^auth\.profiles\.("(?:[^"\\]|\\.)*"|[^.]+)\./

/** The profiles that openclaw.json names. Its values are hidden from us; the names are in the paths. */
export function configuredIn(flat: Record<string, string>): string[] {
  const names = Object.keys(flat).flatMap((path) => NAMED.exec(path)?.[1] ?? [])
  return [...new Set(names)].map((name) => shownName(name.startsWith('"') ? JSON.parse(name) : name))
}
