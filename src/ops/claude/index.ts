// The Claude CLI, on this host or in a container: its login as facts, its refresh, its usage, its sign-in.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import { classify, type Outcome, saidIn } from './classify.ts'
import { type ClaudeFile, factsOf, type Read, tokenIn } from './file.ts'
import { LOGIN_SINCE, type SignIn, signIn } from './login.ts'
import { type ClaudePlace, PING, type RunHandle, USAGE } from './place.ts'
import { awaitEnd, PATIENCE, type Patience } from './refresh.ts'
import { notedUsage, type Usage, windowsIn } from './usage.ts'
import { sentenceIn } from './words.ts'

export { type Failing, isGivenUp, type Outcome, WINDOW_MS } from './classify.ts'
export { type ContainerPlaceOptions, containerPlace } from './container.ts'
export { type ClaudeFile, factsOf, hashOf, type Read } from './file.ts'
export { type HostPlaceOptions, hostPlace } from './host.ts'
export type { SignIn } from './login.ts'
export type { ClaudePlace } from './place.ts'
export type { Usage, UsageWindow } from './usage.ts'

/** A refresh that was begun: plain JSON, by which a later process of ours finds it again. */
export type RefreshRun = { at: number; before?: number; beforeHash?: string } & RunHandle

export interface Claude {
  /** In words: `on this host`, `in claude-proxy`. */
  where: string
  /** The host's directory that holds `.credentials.json`, to be watched; undefined when the host cannot see it. */
  directory(): Promise<string | undefined>
  /** The CLI's version, `2.1.328`. @throws OpsError that says why there is none, and what to do. */
  version(): Promise<string>
  /** Reads the file; what is half-written is read again, 3 times in 150 ms. Never throws. */
  file(): Promise<ClaudeFile>
  /**
   * The access token itself, for the one who copies it; undefined when there is none or it is empty.
   * Nobody else may ask.
   */
  token(): Promise<{ value: string; expiresAt: number; hash: string } | undefined>
  /** Begins a refresh that outlives us. One that still runs is not begun again. @throws OpsError when the CLI cannot be started. */
  beginRefresh(): Promise<RefreshRun>
  /**
   * Waits for it: 3 min, then SIGTERM and 20 s more; it is never killed, for that loses the rotated token.
   * @param signal aborts the waiting alone; the run goes on.
   * @throws OpsError when it was aborted.
   */
  awaitRefresh(run: RefreshRun, signal?: AbortSignal): Promise<Outcome>
  /** Session and weekly limits, by the CLI where its version can, else as it last noted them; undefined when neither knows. */
  usage(): Promise<Usage | undefined>
  /** Begins a sign-in. @throws OpsError when the CLI is too old (< 2.1.126), missing, or shows no URL within 20 s. */
  signIn(): Promise<SignIn>
  /** The exact command for a person on the host: what `/reauth` shows when the relay is off. @throws OpsError as `version`. */
  signInCommand(): string
}

export interface ClaudeOptions {
  place: ClaudePlace
  now: () => number
  /** For tests. */
  patience?: Patience
}

/** It is upgraded in place: it is asked again after so long. */
const VERSION_MS = 10 * 60_000
/** What is half-written now is whole in a moment. */
const READS = 3
const READ_AGAIN_MS = 50

const isSince = (version: string, since: string): boolean =>
  version.localeCompare(since, 'en', { numeric: true }) >= 0

export function createClaude({ place, now, patience = PATIENCE }: ClaudeOptions): Claude {
  let known: { version: string; at: number } | undefined
  let current: Promise<RefreshRun> | undefined
  /** The usage call gave no reason the last time: the next try is by a message, which does. */
  let wasSilent = false

  async function version(): Promise<string> {
    if (known && now() - known.at < VERSION_MS) return known.version
    const { stdout, output, exitCode } = await place.ask(['--version'])
    const [found] = /^\d+\.\d+\.\d+/.exec(stdout) ?? []
    if (exitCode !== 0 || !found)
      throw new OpsError(`The Claude CLI ${place.where} does not say its version: ${sentenceIn(output)}`)
    known = { version: found, at: now() }
    return found
  }

  async function read(): Promise<{ read: Read; facts: ClaudeFile }> {
    for (let tries = 1; ; tries += 1) {
      const found = await place.read('.credentials.json')
      const facts = factsOf(found)
      const isHalf = facts.state === 'empty' || facts.state === 'unparsable'
      if (!isHalf || tries >= READS) return { read: found, facts }
      await sleep(READ_AGAIN_MS)
    }
  }
  const file = async () => (await read()).facts

  async function begin(): Promise<RefreshRun> {
    const { expiresAt: before, hash: beforeHash } = await file()
    const by = isSince(await version(), USAGE.since) && !wasSilent ? USAGE : PING
    const at = now()
    const run = await place.begin(by.args, by.env)
    return { at, ...(before !== undefined && { before }), ...(beforeHash && { beforeHash }), ...run }
  }

  /** The run itself, if it still runs. */
  async function unlessEnded(run: RefreshRun | undefined): Promise<RefreshRun | undefined> {
    const state = run && (await place.look(run).catch(() => undefined))
    return state?.running ? run : undefined
  }

  async function outcomeOf(run: RefreshRun, signal: AbortSignal | undefined): Promise<Outcome> {
    const ended = await awaitEnd(place, { run, at: run.at, patience, now, signal })
    const before = {
      ...(run.before !== undefined && { expiresAt: run.before }),
      ...(run.beforeHash && { hash: run.beforeHash }),
    }
    const outcome = classify({ before, after: await file(), now: now(), ...(ended ?? {}) })
    if (ended) await place.forget(run)
    if (ended || outcome.state === 'refreshed') return outcome
    const why = await place.look(run).then(
      () => stillRuns(patience),
      (error) => `Whether the refresh has ended cannot be seen: ${messageOf(error)}`,
    )
    return { state: 'failed', kind: 'transient', why }
  }

  /** What `/usage` prints; undefined when it does not come to that. */
  async function askUsage(): Promise<string | undefined> {
    if (!isSince(await version(), USAGE.since)) return undefined
    const at = now()
    const run = await place.begin(USAGE.args, USAGE.env)
    const ended = await awaitEnd(place, { run, at, patience, now })
    if (ended) await place.forget(run)
    return ended?.output === undefined ? undefined : saidIn(ended.output).text
  }

  return {
    where: place.where,
    directory: () => place.directory(),
    ...{ version, file },
    token: async () => tokenIn((await read()).read),
    beginRefresh() {
      const last = current?.catch(() => undefined)
      current = Promise.resolve(last).then(async (before) => (await unlessEnded(before)) ?? (await begin()))
      return current
    },
    async awaitRefresh(run, signal) {
      const outcome = await outcomeOf(run, signal)
      wasSilent = outcome.state === 'failed' && outcome.silent === true
      return outcome
    },
    async usage() {
      const text = await askUsage().catch(() => undefined)
      const notes = await place.read('.claude.json')
      const noted = 'text' in notes ? notedUsage(notes.text) : undefined
      const windows = windowsIn(text ?? '', now())
      // It answers from its notes for a while: they say how old that is.
      return windows.length > 0 ? { windows, at: noted?.at ?? now() } : noted
    },
    async signIn() {
      const found = await version()
      if (!isSince(found, LOGIN_SINCE))
        throw new OpsError(
          `The Claude CLI ${place.where} is ${found}, which takes no code from a chat: upgrade it to ${LOGIN_SINCE} or newer.`,
        )
      return await signIn(place)
    },
    signInCommand: () => place.command(['auth', 'login']),
  }
}

const stillRuns = ({ timeoutMs, graceMs }: Patience): string =>
  `The Claude CLI still runs after ${(timeoutMs + graceMs) / 1_000} s, though it was asked to end; it is not killed, for that would lose a new token.`
