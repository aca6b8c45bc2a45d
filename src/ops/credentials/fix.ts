// What can be put right in a file of credentials without a new token: pure, each fault as one line without a value.

import { timeOf } from './kinds.ts'
import { isRecord, profilesIn, readJson, textOf, writeJson } from './targets.ts'

export interface Fixed {
  /** `main, anthropic:default: "key" → "access"`: never a value. */
  lines: string[]
  text: string
}

type Json = Record<string, unknown>
interface Repair {
  lines: string[]
  /** Undefined: it holds nothing, and goes. */
  entry: Json | undefined
}

/** Where each type keeps its token. */
const FIELDS: Readonly<Record<string, string>> = { token: 'token', oauth: 'access', api_key: 'key' }
const ALL_FIELDS = Object.values(FIELDS)
/** The longest that a token of the CLI lasts. */
const LIFE_MS = 8 * 3_600_000

const without = (entry: Json, name: string): Json =>
  Object.fromEntries(Object.entries(entry).filter(([each]) => each !== name))

/** What the token itself is beats what the type says, where the gateway could not use it otherwise. */
function typeFor(type: string, token: string): string {
  if (token.startsWith('sk-ant-api')) return 'api_key'
  if (token.startsWith('sk-ant-oat') && type === 'api_key') return 'token'
  return type
}

/** The token in the field that its type wants. */
function fixField(before: Json, lines: string[]): Json | undefined {
  const type = textOf(before.type)
  const field = FIELDS[type]
  // Some have it elsewhere altogether: a reference to an environment variable or a secret.
  if (!field || 'keyRef' in before || 'tokenRef' in before) return before
  const at = [field, ...ALL_FIELDS].find((name) => textOf(before[name]))
  if (!at) return textOf(before.refresh) ? before : undefined
  const raw = before[at]
  const token = textOf(raw)
  let entry = before
  if (raw !== token) {
    lines.push(`"${at}": white space around it goes`)
    entry = { ...entry, [at]: token }
  }
  const right = typeFor(type, token)
  const to = FIELDS[right] ?? field
  if (right !== type) {
    lines.push(`"type": ${type} → ${right}`)
    entry = { ...entry, type: right }
  }
  if (to !== at) {
    lines.push(`"${at}" → "${to}"`)
    entry = { ...without(entry, at), [to]: token }
  }
  if (right === 'oauth' && to !== at && typeof entry.refresh !== 'string') entry = { ...entry, refresh: '' }
  return entry
}

function fixTimes(entry: Json, lines: string[]): Json {
  const { expires } = entry
  const number = typeof expires === 'string' && expires.trim() !== '' ? Number(expires) : expires
  const time = timeOf(number)
  if (time?.seconds) lines.push('"expires": seconds → milliseconds')
  else if (time && typeof expires === 'string') lines.push('"expires": text → number')
  else return entry
  return { ...entry, expires: time.at }
}

/** One entry of a file. */
function repair(before: Json): Repair {
  const lines: string[] = []
  const entry = fixField(before, lines)
  return { lines, entry: entry && fixTimes(entry, lines) }
}

/** What keeps a profile out although it need not: an end that is past, or a failure of an older token. */
function fixStats(stats: Json, { expires }: Json, now: number): { lines: string[]; stats: Json } {
  const lines: string[] = []
  let after = stats
  const failedAt = timeOf(stats.lastFailureAt)?.at
  const end = timeOf(expires)?.at
  const isNewer = failedAt !== undefined && end !== undefined && end > now && end - LIFE_MS > failedAt
  for (const name of ['cooldownUntil', 'disabledUntil']) {
    const until = timeOf(stats[name])?.at
    if (until === undefined) continue
    const isOver = until <= now
    // Who is out for the money stays out until that is over.
    const isMended = isNewer && (name === 'cooldownUntil' || stats.disabledReason === 'auth')
    if (!isOver && !isMended) continue
    lines.push(`"${name}": goes, ${isOver ? 'it is over' : 'the token is newer than the failure'}`)
    after = without(after, name)
    if (name === 'disabledUntil') after = without(after, 'disabledReason')
  }
  if (lines.length > 0) after = { ...without(after, 'failureCounts'), errorCount: 0 }
  return { lines, stats: after }
}

/** Names a profile that is gone no more. */
function forget(store: Json, ids: readonly string[]): Json {
  const isLeft = (id: unknown) => !ids.includes(`${id}`)
  const { order, lastGood, usageStats } = store
  const left = (record: Json, keep: (name: string, value: unknown) => boolean) =>
    Object.fromEntries(Object.entries(record).filter(([name, value]) => keep(name, value)))
  const kept = (value: unknown) => (Array.isArray(value) ? value.filter(isLeft) : value)
  return {
    ...store,
    ...(isRecord(order) && {
      order: Object.fromEntries(Object.entries(order).map(([provider, list]) => [provider, kept(list)])),
    }),
    ...(isRecord(lastGood) && { lastGood: left(lastGood, (_, id) => isLeft(id)) }),
    ...(isRecord(usageStats) && { usageStats: left(usageStats, isLeft) }),
  }
}

const marked = (text: string) =>
  text.startsWith('\uFEFF') ? ['the mark at its beginning goes: the gateway cannot read past it'] : []

/**
 * An agent's `auth-profiles.json`, put right; Anthropic's profiles alone are looked at.
 * @param name how an id is shown.
 * @throws OpsError when it cannot be read as one.
 */
export function fixProfiles(text: string, where: string, name: (id: string) => string, now: number): Fixed {
  const store = readJson(text, where)
  const lines = marked(text)
  const profiles: Json = isRecord(store.profiles) ? { ...store.profiles } : {}
  const stats: Json = isRecord(store.usageStats) ? { ...store.usageStats } : {}
  const gone: string[] = []
  for (const [id, before] of profilesIn(store)) {
    const { lines: said, entry } = repair(before)
    if (!entry) {
      gone.push(id)
      delete profiles[id]
      lines.push(`${name(id)}: goes, it holds nothing`)
      continue
    }
    profiles[id] = entry
    const of = stats[id]
    const freed = isRecord(of) ? fixStats(of, entry, now) : undefined
    if (freed) stats[id] = freed.stats
    lines.push(...[...said, ...(freed?.lines ?? [])].map((line) => `${name(id)}: ${line}`))
  }
  if (lines.length === 0) return { lines, text }
  const fixed = { ...store, profiles, ...(isRecord(store.usageStats) && { usageStats: stats }) }
  return { lines, text: writeJson(gone.length > 0 ? forget(fixed, gone) : fixed, text) }
}

/** `credentials/oauth.json`, put right. @throws OpsError when it cannot be read as one. */
export function fixOauth(text: string): Fixed {
  const file = readJson(text, 'credentials/oauth.json')
  const lines = marked(text)
  const before = file.anthropic
  if (!isRecord(before)) return { lines, text: lines.length > 0 ? writeJson(file, text) : text }
  const { lines: said, entry } = repair({ ...before, type: 'oauth' })
  const type = entry?.type
  // An API key does not belong in there at all; what holds nothing is nobody's trouble.
  if (!entry || type !== 'oauth') return { lines, text: lines.length > 0 ? writeJson(file, text) : text }
  lines.push(...said.map((line) => `anthropic: ${line}`))
  const fixed = 'type' in before ? entry : without(entry, 'type')
  return { lines, text: lines.length > 0 ? writeJson({ ...file, anthropic: fixed }, text) : text }
}
