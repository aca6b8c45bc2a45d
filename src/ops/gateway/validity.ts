// Whether the gateway takes its config, by its own word: over the link, else by the CLI of newer versions.

import { messageOf, OpsError } from '../../errors.ts'
import type { Cli } from './cli.ts'
import { jsonIn, wordsOf } from './cli.ts'
import { type Asked, METHODS, type Result } from './methods.ts'

export type Validity =
  | {
      state: 'valid' | 'refused'
      /** What is wrong, with its path and without any value. */
      issues: string[]
      source: 'link' | 'cli'
      /** UTC milliseconds. */
      at: number
    }
  | { state: 'unknown'; why: string }

export interface ValidityOptions {
  ask: (method: 'config.get') => Promise<Asked<Result<'config.get'>>>
  /** Undefined when the gateway does not run. @throws OpsError */
  cli: () => Promise<Cli | undefined>
  now: () => number
}

const VALIDATE_MS = 15_000
const ISSUES = 20
const WORDS = 200

/** A message with what it may quote of the config left out: what was received, and whatever is too long for a name. */
export function wordsOnly(message: string): string {
  return message
    .replace(/\b(received|got|value)(:?\s+)("[^"]*"|'[^']*'|`[^`]*`)/gi, '$1$2…')
    .replace(/"[^"]{33,}"|'[^']{33,}'|`[^`]{33,}`/g, '"…"')
    .replace(/,? *(\.{3})?"[\s\S]*" is not valid JSON/, ' (not valid JSON)')
    .replaceAll(/\s+/g, ' ')
    .slice(0, WORDS)
}

const said = (answer: Pick<Result<'config.get'>, 'valid' | 'issues'>) => ({
  state: answer.valid === true ? ('valid' as const) : ('refused' as const),
  issues: answer.issues
    .slice(0, ISSUES)
    .map(({ path, message }) => `${path.slice(0, WORDS) || '<root>'}: ${wordsOnly(message)}`),
})

/**
 * Tells it of the config with this hash, and asks for no text twice of the same version.
 * Never throws: why it is not known is an answer.
 */
export function createValidity({ ask, cli, now }: ValidityOptions) {
  let known: { key: string; validity: Validity } | undefined
  /** The version whose CLI has no such call: it is not called again. */
  let lacking: string | undefined

  async function byLink(): Promise<Validity | undefined> {
    try {
      const { value, source, at } = await ask('config.get')
      return value.valid === undefined ? undefined : { ...said(value), source, at }
    } catch (error) {
      if (error instanceof OpsError) return undefined
      throw error
    }
  }

  async function byCli(version: string): Promise<Validity> {
    if (lacking === version)
      return { state: 'unknown', why: 'The link is shut, and this version has no other way to tell.' }
    const program = await cli()
    if (!program) return { state: 'unknown', why: 'The gateway does not run.' }
    const result = await program.run(['config', 'validate', '--json'], { timeoutMs: VALIDATE_MS })
    const parsed = METHODS['config.get'].result.safeParse(jsonIn(result.stdout))
    if (parsed.success && parsed.data.valid !== undefined)
      return { ...said(parsed.data), source: 'cli', at: now() }
    // Older ones know neither the word nor its option (measured).
    if (/unknown (option|command)|too many arguments/i.test(result.stderr)) lacking = version
    return { state: 'unknown', why: `openclaw config validate: ${wordsOnly(wordsOf(result))}` }
  }

  return async function validityOf(hash: string, version = ''): Promise<Validity> {
    const key = `${hash} ${version}`
    if (known?.key === key) return known.validity
    try {
      const validity = (await byLink()) ?? (await byCli(version))
      if (validity.state !== 'unknown') known = { key, validity }
      return validity
    } catch (error) {
      if (error instanceof OpsError) return { state: 'unknown', why: wordsOnly(messageOf(error)) }
      throw error
    }
  }
}
