// Roll back: a service as it was at a snapshot: its compose files, its `.env` and its image, made anew and proved again.

import { OpsError } from '../../errors.ts'
import { containerOf } from '../deployment.ts'
import type { ComposeLabels } from '../docker/index.ts'
import type { Runbook, RunbookPlan } from './index.ts'
import {
  GRACE_SECONDS,
  type ServiceContext,
  type ServiceParts,
  type ServiceSteps,
  shortId,
} from './service.ts'

export interface RollbackContext extends ServiceContext {
  snapshotId: string
  /** Whether the credentials of the snapshot's `.env` come back too, older as they are. */
  credentials: boolean
}

export interface RollbackInput {
  /** Without it the plan says which there are. */
  snapshotId?: string
  credentials: boolean
}

export function createRollback(
  { docker, compose, snapshots }: ServiceParts,
  { stop, anew, found, mend }: ServiceSteps,
): Runbook<RollbackInput, RollbackContext> {
  async function present(project: ComposeLabels, name: string) {
    const brief = containerOf(await docker.list(), { name, compose: project })
    return brief && (await docker.inspect(brief.id))
  }

  async function pick(id: string | undefined) {
    if (id !== undefined) return await snapshots.find(id)
    const all = await snapshots.list()
    throw new OpsError(
      all.length > 0
        ? `Which snapshot?\n${all.map((each) => `/rollback ${each.id}`).join('\n')}`
        : 'There is no snapshot yet: /recreate takes one before it does anything.',
    )
  }

  async function plan(input: RollbackInput): Promise<RunbookPlan<RollbackContext>> {
    const snapshot = await pick(input.snapshotId)
    const { project, container, files, takenAt, id, faithful } = snapshot
    const now = await present(project, container.name)
    const argv = compose.recreateArgv(project)
    const graceSeconds = Math.max(GRACE_SECONDS, now?.stopSeconds ?? 0)
    const sameImage = now?.imageId === container.imageId
    const shortImage = container.imageId.slice(7, 19)
    const here = await docker.hasImage(container.imageId)
    return {
      target: `${project.service} to ${id}`,
      findings: [
        { level: 'ok', text: `files: ${files.map(({ from }) => from).join(', ')}` },
        ...(faithful
          ? []
          : [
              {
                level: 'warn' as const,
                text: 'its files had been changed since its container was made from them',
              },
            ]),
        here
          ? {
              level: 'ok',
              text: sameImage ? 'the image is the same' : `the image goes back to ${shortImage}`,
            }
          : { level: 'block', text: `the image ${shortImage} of that time is not here any more` },
        input.credentials
          ? { level: 'warn', text: 'credentials go back too: older tokens may be dead' }
          : { level: 'ok', text: 'credentials in .env stay as they are now' },
      ],
      commands: [...(now ? [['docker', 'stop', '-t', `${graceSeconds}`, now.name]] : []), argv],
      basis: JSON.stringify([id, takenAt, now?.id, input.credentials]),
      context: {
        ...{ project, name: container.name, oldId: shortId(now), argv, graceSeconds },
        ...{ snapshotId: id, credentials: input.credentials, startPeriodMs: now?.startPeriodMs ?? 0 },
      },
    }
  }

  return {
    name: 'rollback',
    danger: 'disruptive',
    resource: 'gateway',
    plan,
    steps: [
      stop,
      {
        name: 'put back',
        final: true,
        async run({ snapshotId, credentials }) {
          const snapshot = await snapshots.find(snapshotId)
          const changed = await snapshots.restore(snapshot, { credentials })
          const { imageId, image } = snapshot.container
          await docker.tag(imageId, image).catch((error) => {
            throw new OpsError(
              `The image ${imageId.slice(7, 19)} of that time is gone. The files are back.`,
              { cause: error },
            )
          })
          return changed.length > 0 ? changed.join(', ') : 'the files were the same'
        },
      },
      ...anew,
    ],
    found,
    ...(mend && { mend }),
  }
}
