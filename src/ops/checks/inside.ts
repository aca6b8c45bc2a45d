// Checks inside the gateway's container: its tmpfs mounts, the Docker of its own, the runtime that it needs.

import { OpsError } from '../../errors.ts'
import type { Container, ContainerBrief, Docker } from '../docker/index.ts'
import { bytes, percent } from '../words.ts'
import { type Check, type Observation, percentGauge, verdictOf } from './index.ts'

export interface InsideOptions {
  docker: Pick<Docker, 'inspect' | 'exec' | 'runtimes'>
  findGateway: () => Promise<ContainerBrief | undefined>
}

const EXEC_MS = 5_000
const TMPFS_PERCENT = 90
/** Exit codes of an exec whose program is not there (measured: text on the stream and 126; a shell says 127). */
const NOT_THERE = [126, 127]

/** `df -kP` → figures by mount point. */
export function parseDf(output: string): { point: string; used: number; available: number }[] {
  return [...output.matchAll(/^\S+\s+\d+\s+(\d+)\s+(\d+)\s+\S+\s+(\/.*)$/gm)].map(
    ([, used, free, point = '']) => ({
      point,
      used: Number(used) * 1024,
      available: Number(free) * 1024,
    }),
  )
}

export function insideChecks({ docker, findGateway }: InsideOptions): Check[] {
  /**
   * A check of the running gateway. With the engine away, or the gateway not running, what was seen last is unknown:
   * another alert tells why.
   */
  function check(name: string, look: (gateway: Container) => Promise<Observation[]>, running = true): Check {
    let last: Observation[] = []
    const itself = { key: name, area: 'gateway', title: `Inside the gateway: ${name}` }
    const unseen = (why: string) =>
      (last.length > 0 ? last : [itself]).map((seen): Observation => ({ ...seen, verdict: 'unknown', why }))
    return {
      name,
      every: 4,
      async look() {
        try {
          const brief = await findGateway()
          const gateway = brief && (await docker.inspect(brief.id))
          if (!gateway || (running && gateway.state !== 'running')) return unseen('The gateway does not run.')
          last = await look(gateway)
          return last
        } catch (error) {
          // Also when it is not clear which one is the gateway: the check of the containers says so.
          if (error instanceof OpsError) return unseen(error.message)
          throw error
        }
      },
    }
  }

  async function tmpfs({ id, tmpfs: points }: Container): Promise<Observation[]> {
    if (points.length === 0) return []
    const { output } = await docker.exec(id, ['df', '-kP', ...points], { timeoutMs: EXEC_MS })
    return parseDf(output).map(({ point, used, available }) => {
      const gauge = {
        ...percentGauge((100 * used) / Math.max(1, used + available), TMPFS_PERCENT),
        fills: true as const,
      }
      return {
        key: `tmpfs/${point}`,
        area: 'gateway',
        title: `${point} inside the gateway almost full`,
        verdict: verdictOf(gauge),
        why: `${percent(gauge.value)} used, ${bytes(available)} free.`,
        gauge,
        mend:
          point === '/var/log'
            ? 'When it is full the Docker inside dies: empty dockerd.log in there.'
            : 'It is emptied by a restart.',
      }
    })
  }

  async function nested({ id }: Container): Promise<Observation[]> {
    const argv = ['docker', 'info', '--format', '{{.ServerVersion}}']
    const { exitCode, output } = await docker.exec(id, argv, { timeoutMs: EXEC_MS })
    const self = { key: 'nested', area: 'gateway', title: 'The Docker inside the gateway does not work' }
    if (NOT_THERE.includes(exitCode)) return [{ ...self, verdict: 'absent', why: 'It has none.' }]
    if (exitCode === 0) return [{ ...self, verdict: 'ok', why: `Docker ${output.trim()} answers inside.` }]
    const why = `Sandboxes cannot be started. ${output.trim().split('\n').at(-1)?.slice(0, 200) ?? ''}`.trim()
    return [{ ...self, verdict: 'bad', why, mend: '/recreate starts it anew.' }]
  }

  async function runtime({ runtime: wanted }: Container): Promise<Observation[]> {
    // Engines before 1.12 named none.
    if (!wanted) return []
    const runtimes = await docker.runtimes()
    const self = { key: 'runtime', area: 'docker', title: `The runtime ${wanted} is missing` }
    return runtimes.includes(wanted)
      ? [{ ...self, verdict: 'ok', why: 'Docker knows it.' }]
      : [{ ...self, verdict: 'bad', why: 'Docker does not know it: the gateway cannot be started again.' }]
  }

  return [check('tmpfs', tmpfs), check('nested', nested), check('runtime', runtime, false)]
}
