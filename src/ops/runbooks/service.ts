// The steps by which a compose service is stopped, made anew and proved: what recreate and roll back are made of.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import type { Compose } from '../compose.ts'
import { causeOf } from '../deaths.ts'
import { containerOf, type DeploymentOptions, type Expected, findGateway, keyOf } from '../deployment.ts'
import type { ComposeLabels, Container, Docker } from '../docker/index.ts'
import type { Snapshots } from '../snapshots.ts'
import { duration } from '../words.ts'
import type { Finding, Runbook, Step, StepTools } from './index.ts'

export interface ServiceContext {
  project: ComposeLabels
  name: string
  /** The container before, by its short id; empty when there was none. */
  oldId: string
  argv: string[]
  graceSeconds: number
  startPeriodMs: number
  /** The snapshot to go back to, once there is one. */
  snapshotId?: string
}

export interface ServiceParts {
  docker: Docker
  compose: Compose
  snapshots: Snapshots
  deployment: DeploymentOptions
  /** What was expected to run at the last look: what is gone is made anew from that. */
  known: () => readonly Expected[]
  /** Says that a container is down on purpose while this runs, so that nobody is woken for it. */
  expectDown: (key: string, down: boolean) => void
  room: () => Promise<{ diskBytes: number; memoryBytes: number }>
  /** The gateway from inside; absent where nobody can look. */
  inside?: {
    /** What stopping it would break off or bring to light. */
    findings(): Promise<Finding[]>
    /** Waits until it is ready. @returns a note. @throws OpsError */
    ready(since: number, signal: AbortSignal): Promise<string>
    /** Why it does not come up, from its log; undefined where that gives no reason that is known. @throws OpsError */
    sign?(): Promise<{ why: string; mend: string } | undefined>
  }
  now: () => number
}

/**
 * The gateway drains for up to 315 s (measured) and, when it is killed instead, its successor is refused for five
 * minutes by the owner lease. Docker's own 10 s would do just that.
 */
export const GRACE_SECONDS = 330
const UP_MS = 10 * 60_000
const SLACK_MS = 30_000
const LOOK_MS = 250
/** Without a health check it is well when it has run for so long; one that cannot start is ended by then. */
const STEADY_MS = 3_000
/** One that died so often while it started will go on so. */
const DEATHS = 3
/** What the gateway's log says while it boots, and what to call it. The last line that fits counts. */
const PHASES: readonly [RegExp, (match: RegExpExecArray) => string][] = [
  [/building sandbox image\D*(\d+)\D+(\d+)/i, (m) => `building sandbox image ${m[1]}/${m[2]}`],
  [/(?:waiting for|starting) (?:nested )?dockerd/i, () => 'starting its own Docker'],
  [/installing|migrat/i, () => 'migrating its state'],
  [/\[gateway\].*(?:listening|ready)/i, () => 'listening'],
]

/** The newest boot phase that a log tells of. */
export function phaseOf(log: string): string | undefined {
  for (const line of log.split('\n').toReversed())
    for (const [pattern, name] of PHASES) {
      const match = pattern.exec(line)
      if (match) return name(match)
    }
  return undefined
}

/** In the state a whole id would be taken for a secret. */
export const shortId = (container: Container | undefined): string => container?.id.slice(0, 12) ?? ''

const isOld = (container: Container, { oldId }: ServiceContext) => shortId(container) === oldId

/** The names that a container has another value for than it would be made with now. */
export const driftOf = (environment: Record<string, string>, container: Container): string[] =>
  Object.keys(environment).filter((name) => container.environment[name] !== environment[name])

/** The steps in their order, and what is told of a run that did not end well. */
export interface ServiceSteps extends Pick<Runbook<never, ServiceContext>, 'found' | 'mend'> {
  stop: Step<ServiceContext>
  anew: Step<ServiceContext>[]
}

export function createServiceSteps(parts: ServiceParts): ServiceSteps {
  const { docker, compose, expectDown, inside, now } = parts

  /** The container that the service has now. */
  const current = async ({ project, name }: Pick<ServiceContext, 'project' | 'name'>) => {
    const brief = containerOf(await docker.list(), { name, compose: project })
    return brief && (await docker.inspect(brief.id))
  }

  async function stop({ oldId, graceSeconds, project, name }: ServiceContext, { progress }: StepTools) {
    if (!oldId) return 'there is no container to stop'
    expectDown(keyOf({ name, compose: project }), true)
    const began = now()
    const timer = setInterval(() => progress(`ending its work, ${duration(now() - began)}`), 1_000)
    try {
      await docker.stop(oldId, graceSeconds)
    } finally {
      clearInterval(timer)
    }
    return `ended in ${duration(now() - began)}`
  }

  const hasFailed = ({ state, restartCount, error }: Container) =>
    state === 'exited' ||
    state === 'dead' ||
    (state === 'created' && error !== undefined) ||
    (state === 'restarting' && restartCount >= DEATHS)

  /** The reason that the gateway's log gives, if this is the gateway. */
  async function reason({ id }: Container): Promise<string> {
    const gateway = findGateway(await docker.list(), parts.deployment)
    const sign = gateway?.id === id ? await inside?.sign?.().catch(() => undefined) : undefined
    return sign ? ` ${sign.why} ${sign.mend}` : ''
  }

  /** Waits until it runs and is healthy, within its own start period, and shows what its log says meanwhile. */
  async function boot(context: ServiceContext, { progress, signal }: StepTools): Promise<string> {
    const began = now()
    let limit = Math.max(context.startPeriodMs, SLACK_MS) + SLACK_MS
    let steady = { startedAt: 0, since: began }
    while (now() - began < limit) {
      if (signal.aborted) throw new OpsError('opsbot was stopped while it was starting.')
      const container = await current(context)
      const { state, health, startedAt = 0 } = container ?? {}
      if (state !== 'running' || startedAt !== steady.startedAt) steady = { startedAt, since: now() }
      if (state === 'running' && (health ? health.status === 'healthy' : now() - steady.since >= STEADY_MS))
        return `${health ? 'healthy' : 'runs'}, ${duration(now() - began)}`
      if (container && hasFailed(container))
        throw new OpsError(
          `It ${causeOf({ exitCode: container.exitCode, oom: container.oomKilled })} while starting.${await reason(container)}`,
        )
      const period = container?.startPeriodMs ?? 0
      // The compose files may give the new one more time than the old one had.
      limit = Math.max(limit, period + SLACK_MS)
      if (health?.status === 'unhealthy' && (period > 0 || now() - began > SLACK_MS))
        throw new OpsError('It runs, and its health check fails.')
      if (container) {
        const phase = phaseOf(await docker.logs(container.id, { lines: 50 }).catch(() => ''))
        progress(`${phase ?? health?.status ?? state}, ${duration(now() - began)}`)
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {})
    }
    throw new OpsError(`It was not healthy within ${duration(limit)}.`)
  }

  async function prove(context: ServiceContext, { progress, signal }: StepTools): Promise<string> {
    const container = await current(context)
    if (!container || isOld(container, context)) throw new OpsError('It is still the old container.')
    const drift = driftOf((await compose.service(context.project)).environment, container)
    if (drift.length > 0) throw new OpsError(`It still has other values than .env for: ${drift.join(', ')}.`)
    expectDown(keyOf({ name: context.name, compose: context.project }), false)
    const made = `container ${container.id.slice(0, 12)} with the values of .env`
    if (!inside || findGateway(await docker.list(), parts.deployment)?.id !== container.id) return made
    progress('asking it whether it is ready')
    const ready = await inside.ready(container.startedAt ?? 0, signal)
    return ready ? `${made}, ${ready}` : made
  }

  return {
    stop: {
      name: 'stop',
      run: stop,
      async undo({ oldId, name, project }) {
        if (oldId) await docker.start(oldId)
        expectDown(keyOf({ name, compose: project }), false)
        return oldId ? 'started again' : 'there was nothing to start'
      },
    },
    anew: [
      {
        name: 'make anew',
        final: true,
        async run({ argv, project, name }, { progress }) {
          await compose.run(argv, { timeoutMs: UP_MS, onLine: progress })
          expectDown(keyOf({ name, compose: project }), false)
          return undefined
        },
      },
      { name: 'boot', run: boot },
      { name: 'proof', run: prove },
    ],
    async found(context) {
      expectDown(keyOf({ name: context.name, compose: context.project }), false)
      const container = await current(context)
      if (!container) return `${context.project.service} has no container now.`
      const which = isOld(container, context) ? 'the old container' : 'a new container'
      const health = container.health ? `, ${container.health.status}` : ''
      return `${context.project.service} is ${which}, ${container.state}${health}.`
    },
    mend: ({ snapshotId, project }) => [
      ...(snapshotId ? [{ label: 'Roll back', run: `rollback ${snapshotId}` }] : []),
      { label: 'Recreate again', run: `recreate ${project.service}` },
    ],
  }
}
