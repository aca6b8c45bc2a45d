// Sandboxes: the containers that agents work in, on the Docker that the gateway uses, and what the gateway knows of them.

import { messageOf, OpsError } from '../../errors.ts'
import type { Cli } from './cli.ts'
import type { Inside } from './inside.ts'
import type { Ask } from './methods.ts'
import { DOWN, lookAtDaemon, type SandboxLook } from './sandbox-daemon.ts'
import { entriesOf, policyIn, type Registry, type SandboxPolicy } from './sandbox-registry.ts'

export type RegistryLook = ({ state: 'seen' } & Registry) | { state: 'unknown'; why: string }

export interface Sandboxes {
  /** Looks at the daemon: 0.3 s, and 2 s more when any runs. @param images looked up besides those in use. */
  list(images?: readonly string[]): Promise<SandboxLook>
  /**
   * The gateway's own registry: it takes seconds, so what was read is kept.
   * @param maxAgeMs what is older is read again.
   * @param withinMs how long to wait for that; when it takes longer, what there is, or `unknown`.
   */
  registry(wish: { maxAgeMs: number; withinMs: number }): Promise<RegistryLook>
  /** Forgets the registry: it was changed. */
  forget(): void
  /** What the gateway's config says of them; undefined when it cannot be had. */
  policy(): Promise<SandboxPolicy | undefined>
}

export interface SandboxesOptions {
  /** Where the gateway's programs run; undefined while it does not. */
  inside: () => Promise<Inside | undefined>
  cli: () => Promise<Cli | undefined>
  ask: Ask
  now: () => number
}

/** Newer ones take 7 s on a machine that has nothing else to do (measured), and read every plugin for it. */
const REGISTRY_MS = 60_000
const POLICY_MS = 3_000
/** What failed is tried again sooner than what was read is read again: after this part of its age. */
const RETRY_PART = 0.2

/** @returns undefined when it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

export function createSandboxes({ inside, cli, ask, now }: SandboxesOptions): Sandboxes {
  let kept: Registry | undefined
  /** The read that is under way, or the last one, when that failed. */
  let reading: Promise<RegistryLook> | undefined
  let failedAt: number | undefined
  let generation = 0

  /** Browsers are listed by a call of their own (measured); one after the other, for each of them fills a core. */
  async function read(): Promise<RegistryLook> {
    const askedAt = now()
    const mine = generation
    try {
      const program = await cli()
      if (!program) throw new OpsError(DOWN)
      const entries = []
      for (const more of [[], ['--browser']])
        entries.push(
          ...entriesOf(
            await program.json(['sandbox', 'list', ...more, '--json'], { timeoutMs: REGISTRY_MS }),
          ),
        )
      if (mine === generation) {
        kept = { askedAt, entries }
        reading = undefined
      }
      return { state: 'seen', askedAt, entries }
    } catch (error) {
      if (mine === generation) failedAt = now()
      return { state: 'unknown', why: messageOf(error) }
    }
  }

  async function registry({
    maxAgeMs,
    withinMs,
  }: Parameters<Sandboxes['registry']>[0]): Promise<RegistryLook> {
    if (kept && now() - kept.askedAt <= maxAgeMs) return { state: 'seen', ...kept }
    if (failedAt !== undefined && now() - failedAt > maxAgeMs * RETRY_PART) {
      failedAt = undefined
      reading = undefined
    }
    reading ??= read()
    const answer = await within(withinMs, reading)
    if (answer?.state === 'seen') return answer
    if (kept) return { state: 'seen', ...kept }
    return (
      answer ?? { state: 'unknown', why: 'It is being read, which takes seconds. Ask again in a moment.' }
    )
  }

  return {
    list: (images = []) => lookAtDaemon(inside, images),
    registry,
    forget() {
      generation += 1
      kept = undefined
      reading = undefined
      failedAt = undefined
    },
    async policy() {
      const answer = await within(
        POLICY_MS,
        ask('config.get').catch(() => undefined),
      )
      try {
        return answer && policyIn(answer.value)
      } catch (error) {
        // A config that is refused says nothing of sandboxes; the check of the config tells of it.
        if (!(error instanceof OpsError)) throw error
        return undefined
      }
    },
  }
}
