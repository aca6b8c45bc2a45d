// Recreate: a compose service made anew so that it loads its `.env`, with a snapshot before and a proof after.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import type { Compose } from '../compose.ts'
import { causeOf } from '../deaths.ts'
import { containerOf, type DeploymentOptions, findGateway, keyOf } from '../deployment.ts'
import type { ComposeLabels, Container, Docker } from '../docker/index.ts'
import { driftOf, type EnvironmentFile, readEnvironmentFile } from '../envfile.ts'
import type { Snapshots } from '../snapshots.ts'
import { bytes, duration } from '../words.ts'
import type { Finding, Runbook, RunbookPlan, StepTools } from './index.ts'

export interface RecreateContext {
  project: ComposeLabels
  name: string
  oldId: string
  argv: string[]
  envPath: string
  graceSeconds: number
  startPeriodMs: number
  /** Known once it was taken. */
  snapshotId?: string
}

export interface RecreateParts {
  docker: Docker
  compose: Compose
  snapshots: Snapshots
  deployment: DeploymentOptions
  /** Says that a container is down on purpose while this runs, so that nobody is woken for it. */
  expectDown: (key: string, down: boolean) => void
  room: () => Promise<{ diskBytes: number; memoryBytes: number }>
  now: () => number
}

/**
 * The gateway drains for up to 315 s (measured) and, when it is killed instead, its successor is refused for five
 * minutes by the owner lease. Docker's own 10 s would do just that.
 */
const GRACE_SECONDS = 330
const UP_MS = 10 * 60_000
const SLACK_MS = 30_000
const LOOK_MS = 250
const ROOM = { diskBytes: 500e6, memoryBytes: 200e6 }

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

const envPathOf = ({ workingDir, environmentFiles }: ComposeLabels) =>
  environmentFiles[0] ?? join(workingDir, '.env')

export function createRecreate(parts: RecreateParts): Runbook<{ service?: string }, RecreateContext> {
  const { docker, compose, snapshots, deployment, expectDown, room, now } = parts

  /** The service that is meant: of the gateway's project, the gateway itself when none is named. */
  async function target(service: string | undefined): Promise<Container> {
    const all = await docker.list()
    const gateway = findGateway(all, deployment)
    if (!gateway)
      throw new OpsError('No gateway container is found. Set OPENCLAW_GATEWAY_CONTAINER to its name.')
    const project = all.filter((each) => each.compose && each.compose.project === gateway.compose?.project)
    const brief = service
      ? project.find(({ name, compose }) => [name, compose?.service].includes(service))
      : gateway
    if (!brief) {
      const names = project.map(({ compose }) => compose?.service).join(', ')
      throw new OpsError(
        `"${service?.slice(0, 64)}" is not a service of this project. It has: ${names || 'none'}.`,
      )
    }
    const container = await docker.inspect(brief.id)
    if (!container) throw new OpsError(`${brief.name} has just gone.`)
    return container
  }

  async function roomFindings(): Promise<Finding[]> {
    const { diskBytes, memoryBytes } = await room()
    return [
      ...(diskBytes < ROOM.diskBytes
        ? [{ level: 'warn' as const, text: `only ${bytes(diskBytes)} of disk are free` }]
        : []),
      ...(memoryBytes < ROOM.memoryBytes
        ? [{ level: 'warn' as const, text: `only ${bytes(memoryBytes)} of memory are available` }]
        : []),
    ]
  }

  function environmentFindings(file: EnvironmentFile, container: Container): Finding[] {
    const drift = driftOf(file, container.environment)
    return [
      ...file.findings.map((text) => ({ level: 'warn' as const, text: `.env ${text}` })),
      drift.length > 0
        ? { level: 'ok', text: `will change: ${drift.join(', ')}` }
        : { level: 'ok', text: 'the container has the values of .env already' },
    ]
  }

  async function plan({ service }: { service?: string }): Promise<RunbookPlan<RecreateContext>> {
    const container = await target(service)
    const findings: Finding[] = []
    const { compose: project } = container
    if (!project)
      throw new OpsError(
        `${container.name} was not made by Compose, so there is nothing to make it anew from.`,
      )
    const envPath = envPathOf(project)
    const [version, file] = await Promise.allSettled([compose.version(), readEnvironmentFile(envPath)])
    if (version.status === 'fulfilled') findings.push({ level: 'ok', text: `Compose ${version.value}` })
    else findings.push({ level: 'block', text: messageOf(version.reason) })
    if (file.status === 'fulfilled') findings.push(...environmentFindings(file.value, container))
    else findings.push({ level: 'block', text: messageOf(file.reason) })
    findings.push(...(await roomFindings()))
    const argv = compose.recreateArgv(project)
    const grace = Math.max(GRACE_SECONDS, container.stopSeconds ?? 0)
    return {
      target: project.service,
      findings,
      commands: [['docker', 'stop', '-t', `${grace}`, container.name], argv],
      basis: JSON.stringify([container.id, argv]),
      context: {
        ...{ project, name: container.name, oldId: container.id, argv, envPath, graceSeconds: grace },
        startPeriodMs: container.startPeriodMs ?? 0,
      },
    }
  }

  /** The container that the service has now. */
  const current = async ({ project, name }: Pick<RecreateContext, 'project' | 'name'>) => {
    const brief = containerOf(await docker.list(), { name, compose: project })
    return brief && (await docker.inspect(brief.id))
  }

  async function snapshot(context: RecreateContext): Promise<string> {
    const container = await docker.inspect(context.oldId)
    if (!container) throw new OpsError('The container is gone, so there is nothing to take a snapshot of.')
    const { id } = await snapshots.take(context.project, container, now())
    context.snapshotId = id
    return id
  }

  async function stop({ oldId, graceSeconds, project, name }: RecreateContext, { progress }: StepTools) {
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

  /** Waits until it runs and is healthy, within its own start period, and shows what its log says meanwhile. */
  async function boot(context: RecreateContext, { progress, signal }: StepTools): Promise<string> {
    const began = now()
    const limit = Math.max(context.startPeriodMs, SLACK_MS) + SLACK_MS
    while (now() - began < limit) {
      if (signal.aborted) throw new OpsError('opsbot was stopped while it was starting.')
      const container = await current(context)
      const { state, health } = container ?? {}
      if (container && state === 'running' && (!health || health.status === 'healthy'))
        return `healthy in ${duration(now() - began)}`
      if (container && (state === 'exited' || state === 'dead'))
        throw new OpsError(
          `It ${causeOf({ exitCode: container.exitCode, oom: container.oomKilled })} while starting.`,
        )
      if (container) {
        const phase = phaseOf(await docker.logs(container.id, { lines: 50 }).catch(() => ''))
        progress(`${phase ?? health?.status ?? state}, ${duration(now() - began)}`)
      }
      await sleep(LOOK_MS, undefined, { signal }).catch(() => {})
    }
    throw new OpsError(`It was not healthy within ${duration(limit)}.`)
  }

  async function prove(context: RecreateContext): Promise<string> {
    const container = await current(context)
    if (!container || container.id === context.oldId) throw new OpsError('It is still the old container.')
    const drift = driftOf(await readEnvironmentFile(context.envPath), container.environment)
    if (drift.length > 0) throw new OpsError(`It still has other values than .env for: ${drift.join(', ')}.`)
    expectDown(keyOf({ name: context.name, compose: context.project }), false)
    return `container ${container.id.slice(0, 12)} with the values of .env`
  }

  return {
    name: 'recreate',
    danger: 'disruptive',
    resource: 'gateway',
    plan,
    steps: [
      { name: 'snapshot', run: snapshot },
      {
        name: 'stop',
        run: stop,
        async undo({ oldId, name, project }) {
          await docker.start(oldId)
          expectDown(keyOf({ name, compose: project }), false)
          return 'started again'
        },
      },
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
      const which = container.id === context.oldId ? 'the old container' : 'a new container'
      const health = container.health ? `, ${container.health.status}` : ''
      return `${context.project.service} is ${which}, ${container.state}${health}.`
    },
    mend: ({ snapshotId, project }) => [
      ...(snapshotId ? [{ label: 'Roll back', run: `rollback ${snapshotId}` }] : []),
      { label: 'Recreate again', run: `recreate ${project.service}` },
    ],
  }
}
