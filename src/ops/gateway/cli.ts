// The gateway's own CLI: how it is called in this image, and its JSON out of what else it prints.

import { OpsError } from '../../errors.ts'
import type { ExecResult } from '../docker/index.ts'
import type { Inside } from './inside.ts'
import { wasLate } from './inside.ts'

/** How a CLI is called, and which version it is. */
export interface KnownCli {
  argv: string[]
  version: string
}

export interface Cli {
  /** @throws OpsError when there is no OpenClaw CLI in there. */
  known(): Promise<KnownCli>
  /** Runs it. A non-zero exit code is data. @throws OpsError when it cannot be run or is late. */
  run(args: readonly string[], options: { timeoutMs: number; input?: string }): Promise<ExecResult>
  /** Runs it and reads its JSON. @throws OpsError with its own words when it fails or prints none. */
  json(args: readonly string[], options: { timeoutMs: number }): Promise<unknown>
}

export interface CliOptions {
  inside: Inside
  /** What was found in an image is remembered. */
  memory: { get(key: string): KnownCli | undefined; set(key: string, known: KnownCli): void }
}

/** Newer images have it on the PATH; older ones run it from their directory (openclaw.md §8). */
const CANDIDATES = [['openclaw'], ['node', 'dist/index.js'], ['node', 'openclaw.mjs']]
const VERSION_MS = 20_000

/** `OpenClaw 2026.9.6 (eb377ac)` and `2026.2.22` → the version. */
export const versionIn = (text: string): string | undefined =>
  /\b(20\d\d\.\d+\.\d+(?:-[\w.]+)?)/.exec(text)?.[1]

/** `2026.10.1` is newer than `2026.9.6`. @returns < 0, 0 or > 0. */
export function compareVersions(a: string, b: string): number {
  const numbers = (version: string) => version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  const [left, right] = [numbers(a), numbers(b)]
  for (let index = 0; index < 3; index += 1) {
    const by = (left[index] ?? 0) - (right[index] ?? 0)
    if (by !== 0) return by
  }
  return 0
}

/** So many lines may look like the beginning of JSON: each costs a reading of all that follows. */
const MOST_BEGINNINGS = 50

/**
 * The JSON in what a CLI printed: some versions print lines of their own before it.
 * @returns undefined when there is none.
 */
export function jsonIn(text: string): unknown {
  for (const match of text.matchAll(/^[[{]/gm).take(MOST_BEGINNINGS)) {
    try {
      return JSON.parse(text.slice(match.index))
    } catch {
      // A line that only begins like JSON: what follows may be it.
    }
  }
  return undefined
}

const ANSI = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

/** Drawn frames, warnings of Node's, and what newer ones say of a config in the old form at each call (2026.9.6): never the reason. */
const NO_REASON = /^[│◇├╭╰┌└]|^\((?:node:\d|Use `node )|^\[config\] warnings:|^Config \(.*\): /

/** What a failed call said, as one sentence: of JSON the error's message, else its first line that may be the reason. */
export function wordsOf({ stdout, stderr, exitCode }: ExecResult): string {
  const said = jsonIn(stdout) as { error?: { message?: unknown } } | undefined
  if (typeof said?.error?.message === 'string') return said.error.message
  const line = `${stderr}\n${stdout}`
    .replace(ANSI, '')
    .split('\n')
    .map((each) => each.replace(/^\[openclaw\] CLI failed: /, '').trim())
    .find((each) => /\w/.test(each) && !NO_REASON.test(each))
  return line?.slice(0, 300) ?? `it ended with ${exitCode} and said nothing`
}

export function createCli({ inside, memory }: CliOptions): Cli {
  async function find(): Promise<KnownCli> {
    for (const argv of CANDIDATES) {
      const result = await inside.exec([...argv, '--version'], { timeoutMs: VERSION_MS })
      const version = result.exitCode === 0 ? versionIn(result.stdout) : undefined
      if (version) return { argv, version }
    }
    throw new OpsError(
      'No OpenClaw CLI answers there: tried openclaw, node dist/index.js and node openclaw.mjs.',
    )
  }

  async function known(): Promise<KnownCli> {
    const before = memory.get(inside.key)
    if (before) return before
    const found = await find()
    memory.set(inside.key, found)
    return found
  }

  const run: Cli['run'] = async (args, options) => {
    const { argv } = await known()
    const result = await inside.exec([...argv, ...args], options)
    if (wasLate(result))
      throw new OpsError(
        `openclaw ${args.slice(0, 2).join(' ')} did not end within ${options.timeoutMs / 1_000} s.`,
      )
    return result
  }

  return {
    known,
    run,
    async json(args, options) {
      const result = await run(args, options)
      const value = result.exitCode === 0 ? jsonIn(result.stdout) : undefined
      if (value === undefined)
        throw new OpsError(`openclaw ${args.slice(0, 2).join(' ')}: ${wordsOf(result)}`)
      return value
    },
  }
}
