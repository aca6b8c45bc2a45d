// Baselines: a snapshot of each service of the gateway's project while its files still are what its container was made from.

import { errorFields, type Log } from '../log.ts'
import type { ComposeLabels, ContainerBrief, Docker } from './docker/index.ts'
import type { Snapshots } from './snapshots.ts'

export interface BaselinesOptions {
  docker: Pick<Docker, 'inspect'>
  snapshots: Snapshots
  /** The project where it lies now. */
  placeOf: (labels: ComposeLabels) => ComposeLabels
  now: () => number
  log: Log
}

/** Later it would be too late: who asks for a recreate has changed the files already. */
export function createBaselines({ docker, snapshots, placeOf, now, log }: BaselinesOptions) {
  const seen = new Set<string>()

  async function keep({ id, state, compose }: ContainerBrief): Promise<void> {
    if (state !== 'running' || !compose || seen.has(id)) return
    seen.add(id)
    const project = placeOf(compose)
    const [container, known] = await Promise.all([docker.inspect(id), snapshots.of(id)])
    if (!container || known || !(await snapshots.faithful(project, container))) return
    await snapshots.take(project, container, now())
  }

  return {
    /** Takes those that are not taken yet. What cannot be kept now is kept by the next recreate. */
    async keep(containers: readonly ContainerBrief[]): Promise<void> {
      for (const each of containers)
        await keep(each).catch((error) =>
          log.warn('a baseline was not kept', { container: each.name, ...errorFields(error) }),
        )
    },
  }
}
