// The gateway's config without its secrets: read, flattened, compared, and the last one that it ran well with.

import { createHash } from 'node:crypto'
import type { Redact } from '../../log.ts'

/** Path → JSON of a value that may be shown, else `#` and a short hash of it: secrets are neither shown nor kept. */
export type Flat = Record<string, string>

/** A flattened config as it is remembered. */
export interface Kept {
  /** Of the file's text. */
  hash: string
  flat: Flat
  /** Hash of the entries that there was no room for. */
  rest?: string
  /** When it was taken for good. UTC milliseconds. */
  at: number
}

export interface Change {
  path: string
  /** JSON of the value, or absent where it may not be shown. */
  before?: string
  after?: string
  kind: 'added' | 'removed' | 'changed'
}

export interface ConfigHistory {
  /** The config that the gateway has last been ready with for 10 minutes. */
  good(): Kept | undefined
  /** The good one before that. */
  before(): Kept | undefined
  /**
   * Takes note of the config that the gateway runs with, at each look.
   * @param readySince when it became ready; undefined while it is not, or runs on an older config than this.
   */
  note(config: { hash: string; flat: Flat }, readySince: number | undefined): void
}

/** Two of these are remembered, in 64 kB together. Characters of JSON. */
const KEPT_AT_MOST = 30_000
const PROVEN_MS = 10 * 60_000
const DEEPEST = 24
/** More values than this are told as one: no config has them, and each costs memory. */
const VALUES = 5_000
const SHOWN_AT_MOST = 80
const SECRET_NAME =
  /token|secret|pass|key|credential|auth|cookie|webhook|env|header|args|argv|dsn|private|signing/i
/** Addresses with a password or a query in them, and long words of letters and digits mixed. */
const SECRET_VALUE = /:\/\/[^/]*@|[?&][\w-]+=|(?=\w*\d)(?=\w*[a-z])\w{20,}/i
/** What the gateway writes about itself, at each change of the rest. */
const ITS_OWN = /^meta(\.|$)/
const REST = '(what there was no room for)'

/** The first 16 hex digits of SHA-256: all 64 are a secret's shape and would be blotted out. */
export const shortHash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 16)

/**
 * Strings, comments and names: what JSON5 writes otherwise than JSON. What is not closed goes to the end:
 * no text is gone over twice, however hostile.
 */
const TOKEN =
  /"(?:[^"\\]|\\[\s\S])*"?|'((?:[^'\\]|\\[\s\S])*)'?|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|([A-Za-z_$][\w$]*)(\s*:)?/g
const COMMA_AT_END = /"(?:[^"\\]|\\[\s\S])*"?|,(?=\s*[\]}])/g

function toJson(text: string): string {
  const plain = text.replace(TOKEN, (token, single?: string, name?: string, colon?: string) => {
    if (name !== undefined) return colon === undefined ? token : `"${name}"${colon}`
    if (single !== undefined)
      return `"${single.replace(/\\[\s\S]|"/g, (each) => (each === "\\'" ? "'" : each === '"' ? '\\"' : each))}"`
    return token.startsWith('"') ? token : ' '
  })
  return plain.replace(COMMA_AT_END, (token) => (token === ',' ? '' : token))
}

/**
 * Reads a config as people write it: JSON with comments, commas at ends, single quotes, names without quotes.
 * Rarer things of JSON5 (hexadecimal numbers, strings over several lines) are not read.
 * @returns undefined for what is none. An error's words are never told: they quote the text.
 */
export function parseConfigText(text: string): unknown {
  for (const candidate of [() => text, () => toJson(text.replace(/^\ufeff/, ''))])
    try {
      return JSON.parse(candidate())
    } catch {
      // Not as it stands.
    }
  return undefined
}

/** One part of a path; what is no plain name is quoted, or a hash where it may be a secret itself. */
function partOf(name: string, redact: Redact): string {
  if (name.length > SHOWN_AT_MOST || SECRET_VALUE.test(name) || redact(name) !== name)
    return `#${shortHash(name).slice(0, 8)}`
  return /^[\w-]+$/.test(name) ? name : JSON.stringify(name)
}

/** Whether a value may be shown and kept as it is. */
export function mayShow(path: string, value: unknown, redact: Redact): boolean {
  if (typeof value === 'boolean') return true
  if (SECRET_NAME.test(path)) return false
  if (typeof value !== 'string') return true
  return value.length <= SHOWN_AT_MOST && !SECRET_VALUE.test(value) && redact(value) === value
}

/**
 * Every value of a config by its path. The hash of a hidden one is bound to its path and short:
 * it tells that a value changed, and not whether a guess at it is right.
 */
export function flatten(config: unknown, redact: Redact): Flat {
  const entries: [string, string][] = []
  const beyond = createHash('sha256')
  const visit = (value: unknown, path: string, depth: number) => {
    const inner = typeof value === 'object' && value !== null ? Object.entries(value) : []
    if (inner.length > 0 && depth < DEEPEST) {
      for (const [name, each] of inner) {
        const part = partOf(name, redact)
        visit(each, path ? `${path}.${part}` : part, depth + 1)
      }
      return
    }
    // Deeper than any real one: that it is there is all that is told of it.
    const json = inner.length > 0 ? '…' : JSON.stringify(value)
    if (entries.length >= VALUES) {
      beyond.update(json)
      return
    }
    const shown = inner.length === 0 && mayShow(path, value, redact)
    entries.push([path, shown ? json : `#${shortHash(`${path}\n${json}`).slice(0, 8)}`])
  }
  visit(config, '', 0)
  if (entries.length >= VALUES) entries.push([REST, `#${beyond.digest('hex').slice(0, 8)}`])
  return Object.fromEntries(entries)
}

const hashOf = (entries: [string, string][]) => shortHash(JSON.stringify(entries))

/** As much of it as there is room for, the rest as one hash. */
export function kept({ hash, flat }: { hash: string; flat: Flat }, at: number): Kept {
  const entries = Object.entries(flat)
  let room = KEPT_AT_MOST
  const fits = entries.filter(([path, value]) => {
    room -= JSON.stringify([path, value]).length
    return room > 0
  })
  const rest = entries.slice(fits.length)
  return {
    ...{ hash, flat: Object.fromEntries(fits), at },
    ...(rest.length > 0 && { rest: hashOf(rest) }),
  }
}

const visible = (value: string | undefined) => value !== undefined && !value.startsWith('#')

/** What is different now, by path. What the gateway notes about itself is left out. */
export function changesSince(old: Pick<Kept, 'flat' | 'rest'>, now: Flat): Change[] {
  const { flat, rest } = old
  const known = new Map(Object.entries(flat))
  const present = new Map(Object.entries(now))
  // Of an old one that was cut, what is new cannot be told from what there was no room for.
  const beyond = [...present].filter(([path]) => !known.has(path))
  const added = rest === undefined ? beyond : []
  const paths = [...known.keys(), ...added.map(([path]) => path)]
  const changes = paths.flatMap((path): Change[] => {
    const [before, after] = [known.get(path), present.get(path)]
    if (before === after || ITS_OWN.test(path)) return []
    return [
      {
        ...{ path, kind: before === undefined ? 'added' : after === undefined ? 'removed' : 'changed' },
        ...(before !== undefined && visible(before) && { before }),
        ...(after !== undefined && visible(after) && { after }),
      },
    ]
  })
  if (rest !== undefined && hashOf(beyond) !== rest) changes.push({ path: REST, kind: 'changed' })
  return changes
}

export interface ConfigHistoryOptions {
  get: () => { good?: Kept; before?: Kept } | undefined
  set: (value: { good?: Kept; before?: Kept }) => void
  now: () => number
}

export function createConfigHistory({ get, set, now }: ConfigHistoryOptions): ConfigHistory {
  /** The text that is there, and since when we have seen it: it proves itself for as long as that. */
  let seen = { hash: '', since: 0 }
  return {
    good: () => get()?.good,
    before: () => get()?.before,
    note({ hash, flat }, readySince) {
      if (hash !== seen.hash || readySince === undefined) seen = { hash, since: now() }
      if (readySince === undefined || now() - Math.max(readySince, seen.since) < PROVEN_MS) return
      const { good, before } = get() ?? {}
      if (good?.hash === hash) return
      const next = kept({ hash, flat }, now())
      // Other spaces or a newer version of its own: nothing that anybody would want to go back to.
      const same = good && changesSince(good, flat).length === 0
      const last = same ? before : good
      set({ good: next, ...(last && { before: last }) })
    },
  }
}
