// The Docker engine: containers as plain facts, their logs and figures, what is done to them, and its events as nudges.

import { existsSync } from 'node:fs'
import type { Readable } from 'node:stream'
import type Dockerode from 'dockerode'
import { EngineError, engineError, NOT_THERE } from './errors.ts'
import {
  type Attached,
  attachIn,
  type ExecOptions,
  type Execution,
  openIn,
  runIn,
  type Session,
} from './exec.ts'
import {
  briefOf,
  type Container,
  type ContainerBrief,
  type ContainerEvent,
  type ContainerUse,
  containerOf,
  demux,
  type Engine,
  type ExecResult,
  executionOf,
  memoryOf,
  useOf,
} from './facts.ts'
import { EVENTS, followEvents } from './follow.ts'
import { loadDockerode } from './load.ts'

export { EngineError } from './errors.ts'
export type { Attached, ExecOptions, Execution, Session } from './exec.ts'
export type {
  ComposeLabels,
  Container,
  ContainerBrief,
  ContainerEvent,
  ContainerUse,
  Engine,
  ExecResult,
} from './facts.ts'
export { sha256 } from './facts.ts'

export interface Docker {
  /** @throws EngineError when the engine is not there, down or does not answer. */
  engine(): Promise<Engine>
  /** The names of the runtimes that it knows. @throws EngineError */
  runtimes(): Promise<string[]>
  /** Every container, stopped ones too. @throws EngineError */
  list(): Promise<ContainerBrief[]>
  /** @returns undefined when it is gone. @throws EngineError */
  inspect(id: string): Promise<Container | undefined>
  /** Memory in use by running containers, largest first. @throws EngineError */
  heaviest(count: number): Promise<{ name: string; memoryBytes: number }[]>
  /** Figures over one second. @throws EngineError */
  use(id: string): Promise<ContainerUse>
  /** The last lines of its output, both streams together, oldest first. @throws EngineError */
  logs(id: string, options: { lines: number; sinceMs?: number }): Promise<string>
  /** Runs a program inside to its end. What does not heed its deadline goes on in there. @throws EngineError */
  exec(id: string, argv: readonly string[], options: ExecOptions): Promise<ExecResult>
  /** Starts a program inside and keeps it open. @throws EngineError */
  open(id: string, argv: readonly string[], options: { user?: string }): Promise<Session>
  /** Starts a program inside that goes on without us. @throws EngineError */
  attach(id: string, argv: readonly string[], options: { user?: string; stdin?: boolean }): Promise<Attached>
  /** How a program stands that was attached. @returns undefined when it is gone, with its container or after a while. @throws EngineError */
  execution(exec: string): Promise<Execution | undefined>
  start(id: string): Promise<void>
  unpause(id: string): Promise<void>
  /** @param graceSeconds how long it may take to end by itself. */
  stop(id: string, graceSeconds: number): Promise<void>
  restart(id: string, graceSeconds: number): Promise<void>
  /** Whether an image is here, by name or id. @throws EngineError */
  hasImage(reference: string): Promise<boolean>
  /** Gives an image that is still here a name again. @throws EngineError when it is gone. */
  tag(imageId: string, reference: string): Promise<void>
  /**
   * Follows the engine's events for ever, connecting again whenever the stream ends. They are hints: some are lost
   * with every restart of the engine.
   * @param onEvent also called without an event after each (re)connect and each loss: look again then.
   * @returns the way to stop.
   */
  follow(onEvent: (event?: ContainerEvent) => void): () => void
}

/** What its types do not say: these calls can be aborted too. What hangs must not be left behind. */
type Client = Dockerode & {
  version(options: { abortSignal: AbortSignal }): Promise<Dockerode.DockerVersion>
  info(options: { abortSignal: AbortSignal }): Promise<{ Runtimes?: object }>
}

/** No call takes longer, but those that wait for a container. */
const CALL_MS = 8_000
/** `unix:///path` or `tcp://host:port` → what dockerode takes. @throws OpsError for anything else. */
function addressOf(dockerHost: string | undefined): { socketPath: string } | { host: string; port: string } {
  if (!dockerHost) return { socketPath: '/var/run/docker.sock' }
  const url = new URL(dockerHost)
  if (url.protocol === 'unix:') return { socketPath: url.pathname }
  return { host: url.hostname, port: url.port || '2375' }
}

/** @param dockerHost as DOCKER_HOST: a unix socket or plain TCP; default the usual socket. */
export function createDocker({ dockerHost }: { dockerHost?: string }): Docker {
  const address = addressOf(dockerHost)
  let client: Promise<Client> | undefined

  /** dockerode is loaded when there is an engine to speak with. */
  function connect(): Promise<Client> {
    if ('socketPath' in address && !existsSync(address.socketPath)) throw new EngineError(NOT_THERE, 'absent')
    client ??= loadDockerode().then((Engine) => new Engine({ ...address, protocol: 'http' }))
    return client
  }

  /** One call with its deadline, its failure put into words. */
  async function ask<T>(
    call: (engine: Client, signal: AbortSignal) => Promise<T>,
    timeoutMs = CALL_MS,
  ): Promise<T> {
    // Not AbortSignal.timeout: until its time it would hold on to every answer, thousands of them in a storm.
    const deadline = new AbortController()
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      deadline.abort()
      late.reject(new Error('late'))
    }, timeoutMs)
    try {
      return await Promise.race([connect().then((engine) => call(engine, deadline.signal)), late.promise])
    } catch (error) {
      throw engineError(error, deadline.signal.aborted, timeoutMs)
    } finally {
      clearTimeout(timer)
    }
  }

  /** The engine may accept the connection and say nothing while it boots: the answer has a deadline, the stream none. */
  async function openEvents(signal: AbortSignal): Promise<Readable> {
    const late = new AbortController()
    const abortSignal = AbortSignal.any([signal, late.signal])
    const filters = { type: ['container' as const], event: EVENTS }
    try {
      return (await ask((engine) => engine.getEvents({ filters, abortSignal }), 15_000)) as Readable
    } catch (error) {
      late.abort()
      throw error
    }
  }

  const unlessGone = (error: unknown): undefined => {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error
  }
  /** What is asked for is so already: nothing is wrong with that. */
  const unlessSo = (error: unknown) => {
    if ((error as { statusCode?: number }).statusCode !== 304) throw error
  }

  return {
    engine: () =>
      ask(async (engine, abortSignal) => {
        const { Version, ApiVersion } = await engine.version({ abortSignal })
        return { version: Version, apiVersion: ApiVersion }
      }),
    runtimes: () =>
      ask(async (engine, abortSignal) => Object.keys((await engine.info({ abortSignal })).Runtimes ?? {})),
    list: () =>
      ask(async (engine, abortSignal) =>
        (await engine.listContainers({ all: true, abortSignal })).map(briefOf),
      ),
    inspect: (id) =>
      ask(async (engine, abortSignal) => {
        const found = await engine.getContainer(id).inspect({ abortSignal }).catch(unlessGone)
        return found && containerOf(found)
      }),
    heaviest: (count) =>
      ask(async (engine, abortSignal) => {
        const running = await engine.listContainers({ abortSignal })
        const figures = running.map(async (info) => {
          const options = { stream: false as const, 'one-shot': true, abortSignal }
          const { memory_stats } = await engine.getContainer(info.Id).stats(options)
          return { name: briefOf(info).name, memoryBytes: memoryOf(memory_stats) }
        })
        const seen = (await Promise.allSettled(figures)).flatMap((each) =>
          each.status === 'fulfilled' ? each.value : [],
        )
        return seen.sort((a, b) => b.memoryBytes - a.memoryBytes).slice(0, count)
      }),
    use: (id) =>
      ask(async (engine, abortSignal) => {
        const options = { stream: false as const, abortSignal }
        return useOf(await engine.getContainer(id).stats(options))
      }),
    logs: (id, { lines, sinceMs }) =>
      ask(async (engine, abortSignal) => {
        const container = engine.getContainer(id)
        const { Config } = await container.inspect({ abortSignal })
        const since = sinceMs === undefined ? {} : { since: sinceMs / 1_000 }
        const raw = await container.logs({ stdout: true, stderr: true, tail: lines, abortSignal, ...since })
        return Config.Tty ? raw.toString('utf8') : demux(raw).output
      }),
    exec: (id, argv, { timeoutMs, ...how }) =>
      ask((engine, signal) => runIn(engine.getContainer(id), argv, how, signal), timeoutMs),
    open: (id, argv, { user }) =>
      ask((engine, signal) => openIn(engine.getContainer(id), argv, user, signal)),
    attach: (id, argv, { user, stdin = false }) =>
      ask((engine, signal) => attachIn(engine.getContainer(id), argv, { user, stdin }, signal)),
    execution: (exec) =>
      ask(async (engine, abortSignal) => {
        const found = await engine.getExec(exec).inspect({ abortSignal }).catch(unlessGone)
        return found && executionOf(found)
      }),
    start: (id) =>
      ask(
        async (engine, abortSignal) =>
          void (await engine.getContainer(id).start({ abortSignal }).catch(unlessSo)),
        60_000,
      ),
    unpause: (id) =>
      ask(async (engine, abortSignal) => void (await engine.getContainer(id).unpause({ abortSignal }))),
    stop: (id, graceSeconds) =>
      ask(
        async (engine, abortSignal) =>
          void (await engine.getContainer(id).stop({ t: graceSeconds, abortSignal }).catch(unlessSo)),
        graceSeconds * 1_000 + 20_000,
      ),
    restart: (id, graceSeconds) =>
      ask(
        async (engine, abortSignal) =>
          void (await engine.getContainer(id).restart({ t: graceSeconds, abortSignal })),
        graceSeconds * 1_000 + 60_000,
      ),
    hasImage: (reference) =>
      ask(async (engine) => {
        return (await engine.getImage(reference).inspect().catch(unlessGone)) !== undefined
      }),
    tag: (imageId, reference) =>
      ask(async (engine, abortSignal) => {
        const colon = reference.lastIndexOf(':')
        const [repo, tag] =
          colon > reference.lastIndexOf('/')
            ? [reference.slice(0, colon), reference.slice(colon + 1)]
            : [reference, 'latest']
        await engine.getImage(imageId).tag({ repo, tag, abortSignal })
      }),
    follow: (onEvent) => followEvents(openEvents, onEvent),
  }
}
