// Containers, wired: the engine, Compose, the checks on both, what is expected to run, and the runbooks that mend it.

import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import { createBaselines } from './baselines.ts'
import { createDockerChecks } from './checks/docker.ts'
import { insideChecks } from './checks/inside.ts'
import { createCompose } from './compose.ts'
import {
  containerOf,
  type DeploymentOptions,
  type Expected,
  expectedOf,
  findGateway,
  keyOf,
  projectOf,
} from './deployment.ts'
import { type ContainerEvent, createDocker, type Docker } from './docker/index.ts'
import type { Host } from './host.ts'
import type { Meta } from './meta.ts'
import type { Mounts } from './mounts.ts'
import type { Run } from './run.ts'
import { createRecreate } from './runbooks/recreate.ts'
import { createRollback } from './runbooks/rollback.ts'
import { createServiceSteps, type ServiceParts } from './runbooks/service.ts'
import { createSnapshots } from './snapshots.ts'

export interface ContainersOptions {
  config: Pick<Config, 'docker' | 'stateDir'>
  run: Run
  host: Pick<Host, 'memory'>
  mounts: Pick<Mounts, 'watched' | 'usage'>
  meta: Meta
  now: () => number
  log: Log
  /** The gateway from inside, for plans and proofs. */
  inside: NonNullable<ServiceParts['inside']>
  /** Spoken with instead of the engine: for tests. */
  docker?: Docker
}

/** Restarts that happened while we were away for longer say nothing of a crash loop now. */
const FRESH_MS = 10 * 60_000

/** Looks that events ask for begin this far apart at least: what comes between is one look at its end. */
const LOOK_GAP_MS = 200

/** Calls at once; what asks again within the gap is called once, when that is over. */
function spaced(call: () => void, gapMs: number): () => void {
  let resting = false
  let again = false
  return function ask() {
    if (resting) {
      again = true
      return
    }
    resting = true
    call()
    setTimeout(() => {
      resting = false
      if (again) ask()
    }, gapMs).unref()
    again = false
  }
}

export type Containers = ReturnType<typeof createContainers>

export function createContainers(options: ContainersOptions) {
  const { config, run, host, mounts, meta, now } = options
  const { host: dockerHost, clientEnvironment, ...deployment } = config.docker
  const docker = options.docker ?? createDocker(dockerHost === undefined ? {} : { dockerHost })
  const compose = createCompose({ run, env: clientEnvironment })
  const snapshots = createSnapshots(`${config.stateDir}/snapshots`)

  /** What somebody of ours has stopped: its absence is no alert. */
  const stopped = {
    all: () => meta.get('stopped') ?? {},
    set: (key: string, by: string) => meta.set('stopped', { ...stopped.all(), [key]: { by, at: now() } }),
    clear: (key: string) => {
      const { [key]: gone, ...rest } = stopped.all()
      if (gone) meta.set('stopped', rest)
    },
  }

  /** The disk of the state directory's host and its memory: the least of all watched file systems. */
  async function room() {
    const [{ found }, { available }] = await Promise.all([mounts.watched(), host.memory()])
    const looks = await Promise.all(found.map((mount) => mounts.usage(mount)))
    const free = looks.flatMap((look) => (look.state === 'seen' ? look.usage.available : []))
    return { diskBytes: Math.min(...free), memoryBytes: available }
  }

  const expected = {
    get: () => meta.get('expected') ?? [],
    set: (known: Expected[]) => meta.set('expected', known),
  }
  const parts = {
    ...{
      known: expected.get,
      docker,
      compose,
      snapshots,
      deployment: deployment as DeploymentOptions,
      room,
      now,
      inside: options.inside,
    },
    expectDown: (key: string, down: boolean) => (down ? stopped.set(key, 'a runbook') : stopped.clear(key)),
  }
  const steps = createServiceSteps(parts)
  const recreate = createRecreate(parts, steps)
  const rollback = createRollback(parts, steps)
  const baselines = createBaselines({
    ...{ docker, snapshots, now, log: options.log },
    placeOf: (labels) => projectOf(labels, parts.deployment),
  })
  const { checks, note } = createDockerChecks({
    ...{ docker, deployment: parts.deployment, now, expected, stopped: stopped.all, started: stopped.clear },
    onSeen: (containers) => void baselines.keep(containers),
    restarts: {
      get: () => {
        const { at, counts } = meta.get('restarts') ?? { at: 0, counts: {} }
        return now() - Math.max(at, meta.get('aliveAt') ?? 0) < FRESH_MS ? counts : {}
      },
      set: (counts) => meta.set('restarts', { at: now(), counts }),
    },
  })

  const gateway = async () => findGateway(await docker.list(), parts.deployment)
  return {
    ...{ docker, compose, snapshots, stopped, recreate, rollback },
    ...{ deployment: parts.deployment, expectDown: parts.expectDown },
    checks: [...checks, ...insideChecks({ docker, findGateway: gateway })],
    findGateway: gateway,
    /** What should run, with the containers of it that there are. @throws OpsError */
    async expected() {
      const all = await docker.list()
      return expectedOf(all, expected.get(), parts.deployment).map((each) => ({
        ...{ key: keyOf(each), name: each.name },
        id: containerOf(all, each)?.id,
      }))
    },
    /**
     * Follows the engine's events.
     * @param nudge looks at what may have changed.
     * @param hear takes each event.
     * @returns the way to stop.
     */
    follow(nudge: (check: string) => void, hear: (event: ContainerEvent) => void) {
      const look = spaced(() => nudge('containers'), LOOK_GAP_MS)
      return docker.follow((event) => {
        if (event) {
          note(event)
          hear(event)
        } else nudge('docker')
        look()
      })
    },
  }
}
