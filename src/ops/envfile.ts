// A compose project's `.env`: what is wrong with it, by line and name, never by value.

import { readFile } from 'node:fs/promises'
import { OpsError } from '../errors.ts'

/** A variable, over as many lines as its quotes take, or a line that is none. */
export interface Entry {
  line: number
  /** Its lines as they stand there. */
  text: string
  name?: string
  /** What stands behind the `=`, in quotes when it is quoted. */
  value: string
  /** What stands behind the closing quote; absent when it never comes. */
  tail?: string
}

const ASSIGNMENT = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=/
const QUOTED = /^(["'])(?:\\[\s\S]|(?!\1)[^\\])*\1/

/** The entries of a `.env`; their texts, joined by line breaks, are the file. */
export function entriesOf(text: string): Entry[] {
  const lines = text.split('\n')
  const entries: Entry[] = []
  for (let at = 0; at < lines.length; ) {
    const [line = '', ...after] = lines.slice(at)
    const [before = '', name] = ASSIGNMENT.exec(line) ?? []
    const rest = name ? line.slice(before.length).trimStart() : ''
    const isQuoted = /^["']/.test(rest)
    const whole = [rest, ...after].join('\n')
    const [quoted] = (isQuoted && QUOTED.exec(whole)) || []
    const value = isQuoted ? (quoted ?? whole) : name ? line.slice(before.length) : ''
    const taken = isQuoted ? value.split('\n').length : 1
    const tail = quoted === undefined ? {} : { tail: whole.slice(quoted.length).split('\n')[0]?.trim() ?? '' }
    entries.push({
      ...{ line: at + 1, text: lines.slice(at, at + taken).join('\n'), value },
      ...(name !== undefined && { name }),
      ...tail,
    })
    at += taken
  }
  return entries
}

/** What a variable comes to: without its quotes, without the remark behind it. */
export const bareValueOf = ({ value, tail }: Entry): string =>
  /^["']/.test(value)
    ? value.slice(1, tail === undefined ? undefined : -1)
    : value.replace(/\s+#[\s\S]*$/, '').trim()

/** What needs neither quotes nor escapes, in whatever quotes it is put. */
const PLAIN = /^[\w.~+/=:@%,-]+$/

/**
 * A `.env` with one value changed where it stands; all else is kept as it is. Of a name that stands there twice the last one
 * is changed: it is the one that counts.
 * @returns undefined when it has no such name.
 * @throws OpsError when the value would need quotes, or those that it stands in do not end.
 */
export function withValue(text: string, name: string, value: string): string | undefined {
  const entries = entriesOf(text)
  const at = entries.findLastIndex((entry) => entry.name === name)
  const entry = entries[at]
  if (!entry) return undefined
  if (!PLAIN.test(value))
    throw new OpsError(`The new value of ${name} has characters that a .env may misread.`)
  const isQuoted = /^["']/.test(entry.value)
  if (isQuoted && entry.tail === undefined)
    throw new OpsError(`.env line ${entry.line}: ${name} has a quote that does not end.`)
  const [before = ''] = ASSIGNMENT.exec(entry.text) ?? []
  const rest = entry.text.slice(before.length)
  const space = /^[ \t]*/.exec(isQuoted ? rest : '')?.[0] ?? ''
  const quote = isQuoted ? entry.value.charAt(0) : ''
  const [behind = ''] = isQuoted
    ? [rest.slice(space.length + entry.value.length)]
    : (/(?:[ \t]+#[^\n]*|[ \t\r]*)$/.exec(rest) ?? [])
  const changed = `${before}${space}${quote}${value}${quote}${behind}`
  return entries.map((each, index) => (index === at ? changed : each.text)).join('\n')
}

/** A name that looks like one. What is written in small and capital letters may be a piece of a key, as its last line. */
const shown = (name: string) => (/[a-z]/.test(name) && /[A-Z]/.test(name) ? 'its variable' : name)

/** What is wrong with one entry, if something is. */
function complaint(entry: Entry): string | undefined {
  const { text, name, value, tail } = entry
  if (!name) return /^\s*(#|$)/.test(text) ? undefined : 'is not a NAME=value'
  const isQuoted = /^["']/.test(value)
  if (isQuoted && tail === undefined) return `${shown(name)} has a quote that does not end`
  if (isQuoted && !/^(#|$)/.test(tail ?? ''))
    return value.includes('\n')
      ? `${shown(name)} has a quote that does not end`
      : `${shown(name)} goes on behind its quotes`
  const bare = bareValueOf(entry)
  if (bare === '') return `${shown(name)} is empty`
  if (!isQuoted && /\s/.test(bare)) return `${shown(name)} has spaces and no quotes`
  if (/(PORT|BIND)$/.test(name) && /^(0\.0\.0\.0|\[::\]|\*)(:|$)/.test(bare))
    return `${shown(name)} binds to every address: Docker opens it past the firewall`
  return undefined
}

/** Every entry's complaint, and names that stand there twice. */
export function lintEnvironment(text: string): string[] {
  const seen = new Map<string, number>()
  return entriesOf(text).flatMap((entry) => {
    const { line, name } = entry
    const before = name && seen.get(name)
    if (name) seen.set(name, line)
    const wrong = complaint(entry)
    return [
      ...(wrong ? [`line ${line}: ${wrong}`] : []),
      ...(name && before
        ? [`line ${line}: ${shown(name)} stands in line ${before} already; the last one counts`]
        : []),
    ]
  })
}

/**
 * What is wrong with a `.env`. One that is not there is a finding too.
 * @throws OpsError when it cannot be read.
 */
export async function lintEnvironmentFile(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT') return undefined
    throw new OpsError(`${path} cannot be read (${error.code})`, { cause: error })
  })
  return text === undefined ? ['is missing: every variable is empty'] : lintEnvironment(text)
}
