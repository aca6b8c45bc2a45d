// Recreate: a compose service made anew so that it loads its `.env`, with a snapshot before and a proof after.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, OpsError } from '../../errors.ts'
import { findGateway, projectOf } from '../deployment.ts'
import type { ComposeLabels, Container } from '../docker/index.ts'
import { driftOf, type EnvironmentFile, readEnvironmentFile } from '../envfile.ts'
import { bytes } from '../words.ts'
import type { Finding, Runbook, RunbookPlan } from './index.ts'
import { GRACE_SECONDS, type ServiceContext, type ServiceParts, type ServiceSteps } from './service.ts'

/** docker/compose#12069, mended in 2.29.3: with depends_on, `--no-deps` leaves another hash behind. */
const RECREATES_TWICE = /^v?2\.(\d|1\d|2[0-8]|29\.[0-2])(\D|$)/
const ROOM = { diskBytes: 500e6, memoryBytes: 200e6 }

const envPathOf = ({ workingDir, environmentFiles }: ComposeLabels) =>
  environmentFiles[0] ?? join(workingDir, '.env')

export function createRecreate(
  parts: ServiceParts,
  steps: ServiceSteps,
): Runbook<{ service?: string }, ServiceContext> {
  const { docker, compose, snapshots, deployment, room, now } = parts

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

  /** What the compose files say, and whether it is here. */
  async function composeFindings(project: ComposeLabels): Promise<Finding[]> {
    const gone = [...project.configFiles, project.workingDir].filter((path) => !existsSync(path))
    if (gone.length > 0)
      return [{ level: 'block', text: `${gone[0]} is gone. Set OPENCLAW_DIR to where the project lies now.` }]
    const version = await compose.version()
    const { image, built } = await compose.imageOf(project)
    const here = await docker.hasImage(image)
    return [
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

  /** Findings of a part of the plan; what stops it from being looked at stops the deed. */
  const orBlock = (findings: Promise<Finding[]>): Promise<Finding[]> =>
    findings.catch((error) => [{ level: 'block', text: messageOf(error) }])

  async function plan({ service }: { service?: string }): Promise<RunbookPlan<ServiceContext>> {
    const container = await target(service)
    if (!container.compose)
      throw new OpsError(
        `${container.name} was not made by Compose, so there is nothing to make it anew from.`,
      )
    const project = projectOf(container.compose, deployment)
    const envPath = envPathOf(project)
    const findings = await Promise.all([
      orBlock(composeFindings(project)),
      orBlock(readEnvironmentFile(envPath).then((file) => environmentFindings(file, container))),
      orBlock(roomFindings()),
    ])
    const argv = compose.recreateArgv(project)
    const grace = Math.max(GRACE_SECONDS, container.stopSeconds ?? 0)
    return {
      target: project.service,
      findings: findings.flat(),
      commands: [['docker', 'stop', '-t', `${grace}`, container.name], argv],
      basis: JSON.stringify([container.id, argv]),
      context: {
        ...{ project, name: container.name, oldId: container.id, argv, envPath, graceSeconds: grace },
        startPeriodMs: container.startPeriodMs ?? 0,
      },
    }
  }

  async function snapshot(context: ServiceContext): Promise<string> {
    const container = await docker.inspect(context.oldId)
    if (!container) throw new OpsError('The container is gone, so there is nothing to take a snapshot of.')
    const { id } = await snapshots.take(context.project, container, now())
    context.snapshotId = id
    return id
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
