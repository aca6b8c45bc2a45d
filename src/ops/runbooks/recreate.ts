// Recreate: a compose service made anew so that it loads its `.env`, with a snapshot before and a proof after.

import { existsSync } from 'node:fs'
import { messageOf, OpsError } from '../../errors.ts'
import type { ServicePlan } from '../compose.ts'
import {
  containerOf,
  type Expected,
  envPathOf,
  findGateway,
  projectOf,
  rememberedGateway,
} from '../deployment.ts'
import { type ComposeLabels, type Container, sha256 } from '../docker/index.ts'
import { lintEnvironmentFile } from '../envfile.ts'
import { bytes } from '../words.ts'
import type { Finding, Runbook, RunbookPlan } from './index.ts'
import {
  driftOf,
  GRACE_SECONDS,
  type ServiceContext,
  type ServiceParts,
  type ServiceSteps,
  shortId,
} from './service.ts'

/** docker/compose#12069, mended in 2.29.3: with depends_on, `--no-deps` leaves another hash behind. */
const RECREATES_TWICE = /^v?2\.(\d|1\d|2[0-8]|29\.[0-2])(\D|$)/
const ROOM = { diskBytes: 500e6, memoryBytes: 200e6 }

export function createRecreate(
  parts: ServiceParts,
  steps: ServiceSteps,
): Runbook<{ service?: string }, ServiceContext> {
  const { docker, compose, snapshots, deployment, known, room, now } = parts

  /** The service that is meant: of the gateway's project, the gateway itself when none is named. */
  async function target(service: string | undefined): Promise<Expected & { container?: Container }> {
    const all = await docker.list()
    const gateway = findGateway(all, deployment) ?? rememberedGateway(known(), deployment)
    if (!gateway)
      throw new OpsError('No gateway container is found. Set OPENCLAW_GATEWAY_CONTAINER to its name.')
    const project = [...all, ...known()].filter(
      ({ compose }) => compose && compose.project === gateway.compose?.project,
    )
    const meant = service
      ? project.find(({ name, compose }) => [name, compose?.service].includes(service))
      : gateway
    if (!meant) {
      const names = [...new Set(project.map(({ compose }) => compose?.service))].join(', ')
      throw new OpsError(
        `"${service?.slice(0, 64)}" is not a service of this project. It has: ${names || 'none'}.`,
      )
    }
    const brief = containerOf(all, meant)
    const container = brief && (await docker.inspect(brief.id))
    return container ? { ...meant, name: container.name, container } : meant
  }

  async function roomFindings(): Promise<Finding[]> {
    const free = await room().catch(messageOf)
    if (typeof free === 'string')
      return [{ level: 'warn', text: `how much room is left was not seen: ${free}` }]
    const { diskBytes, memoryBytes } = free
    return [
      ...(diskBytes < ROOM.diskBytes
        ? [{ level: 'warn' as const, text: `only ${bytes(diskBytes)} of disk are free` }]
        : []),
      ...(memoryBytes < ROOM.memoryBytes
        ? [{ level: 'warn' as const, text: `only ${bytes(memoryBytes)} of memory are available` }]
        : []),
    ]
  }

  async function environmentFindings(path: string): Promise<Finding[]> {
    return (await lintEnvironmentFile(path)).map((text) => ({ level: 'warn', text: `.env ${text}` }))
  }

  /** What the compose files and `.env` come to. @throws OpsError with Compose's own words when they are not sound. */
  async function read(project: ComposeLabels): Promise<ServicePlan> {
    const gone = [...project.configFiles, project.workingDir].find((path) => !existsSync(path))
    if (gone) throw new OpsError(`${gone} is gone. Set OPENCLAW_DIR to where the project lies now.`)
    return await compose.service(project)
  }

  async function composeFindings(
    project: ComposeLabels,
    { image, built, environment }: ServicePlan,
    container: Container | undefined,
  ): Promise<Finding[]> {
    const [version, here] = await Promise.all([compose.version(), docker.hasImage(image)])
    const drift = container && driftOf(environment, container)
    return [
      drift === undefined
        ? { level: 'warn', text: 'its container is gone: it is made anew from the compose files alone' }
        : drift.length > 0
          ? { level: 'ok', text: `will change: ${drift.join(', ')}` }
          : { level: 'ok', text: 'the container has the values of .env already' },
      { level: 'ok', text: `Compose ${version}, image ${image}` },
      ...(here
        ? []
        : [
            {
              level: 'block' as const,
              text: `the image ${image} is not here: ${built ? 'build' : 'pull'} it first`,
            },
          ]),
      ...(project.dependent && RECREATES_TWICE.test(version)
        ? [
            {
              level: 'warn' as const,
              text: `the next plain "docker compose up -d" will make it anew once more (a fault of Compose before 2.29.3)`,
            },
          ]
        : []),
    ]
  }

  /** Of the gateway itself: what it is doing, and whether it would come back well. */
  async function gatewayFindings(container: Container | undefined): Promise<Finding[]> {
    const gateway = findGateway(await docker.list(), deployment)
    return container && gateway?.id === container.id ? ((await parts.inside?.findings()) ?? []) : []
  }

  /** Findings of a part of the plan; what stops it from being looked at stops the deed. */
  const orBlock = (findings: Promise<Finding[]>): Promise<Finding[]> =>
    findings.catch((error) => [{ level: 'block', text: messageOf(error) }])

  async function plan(input: { service?: string }): Promise<RunbookPlan<ServiceContext>> {
    const { name, compose: labels, container } = await target(input.service)
    if (!labels)
      throw new OpsError(`${name} was not made by Compose, so there is nothing to make it anew from.`)
    const project = projectOf(labels, deployment)
    const service = read(project)
    const findings = await Promise.all([
      orBlock(service.then((made) => composeFindings(project, made, container))),
      orBlock(environmentFindings(envPathOf(project))),
      roomFindings(),
      gatewayFindings(container),
    ])
    const made = await service.catch(() => undefined)
    const argv = compose.recreateArgv(project)
    const grace = Math.max(GRACE_SECONDS, container?.stopSeconds ?? 0)
    return {
      target: project.service,
      findings: findings.flat(),
      commands: [...(container ? [['docker', 'stop', '-t', `${grace}`, name]] : []), argv],
      basis: sha256(JSON.stringify([container?.id, argv, made])),
      context: {
        ...{ project, name, oldId: shortId(container), argv, graceSeconds: grace },
        startPeriodMs: container?.startPeriodMs ?? 0,
      },
    }
  }

  async function snapshot(context: ServiceContext): Promise<string> {
    if (!context.oldId) return 'there is no container to go back to'
    const container = await docker.inspect(context.oldId)
    if (!container) throw new OpsError('The container is gone, so there is nothing to take a snapshot of.')
    const [before, present] = [
      await snapshots.of(container.id),
      await snapshots.take(context.project, container, now()),
    ]
    // Back means to what the old container was made from, not to what was changed for the new one.
    context.snapshotId = before?.id ?? present.id
    return context.snapshotId
  }

  const { stop, anew, found, mend } = steps
  return {
    name: 'recreate',
    danger: 'disruptive',
    resource: 'gateway',
    plan,
    steps: [{ name: 'snapshot', run: snapshot }, stop, ...anew],
    found,
    ...(mend && { mend }),
  }
}
