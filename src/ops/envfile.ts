// A compose project's `.env`: what is wrong with it, by line and name, never by value.

import { readFile } from 'node:fs/promises'
import { OpsError } from '../errors.ts'

/** What is wrong with one line, if something is. */
function complaint(line: string): string | undefined {
  if (/^\s*(#|$)/.test(line)) return undefined
  const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=(.*)$/.exec(line)
  if (!match) return 'is not a NAME=value'
  const [, name = '', raw = ''] = match
  const value = raw.trim()
  if (value === '') return `${name} is empty`
  if (/^["']/.test(value))
    return value.length > 1 && value.endsWith(value.charAt(0))
      ? undefined
      : `${name} has a quote that does not end`
  if (/\s/.test(value.replace(/\s+#.*$/, ''))) return `${name} has spaces and no quotes`
  if (/(PORT|BIND)$/.test(name) && /^(0\.0\.0\.0|\[::\]|\*)(:|$)/.test(value))
    return `${name} binds to every address: Docker opens it past the firewall`
  return undefined
}

/** Every line's complaint, and names that stand there twice. */
export function lintEnvironment(text: string): string[] {
  const seen = new Map<string, number>()
  return text.split('\n').flatMap((line, index) => {
    const at = index + 1
    const name = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=/.exec(line)?.[1]
    const before = name && seen.get(name)
    if (name) seen.set(name, at)
    const wrong = complaint(line)
    return [
      ...(wrong ? [`line ${at}: ${wrong}`] : []),
      ...(before ? [`line ${at}: ${name} stands in line ${before} already; the last one counts`] : []),
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
