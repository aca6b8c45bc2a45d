// Checks of Docker: the engine, the containers that should run, and how often they die.

import { uptime } from 'node:os'
import { causeOf, createDeaths, type Restarts } from '../deaths.ts'
import { containerOf, type DeploymentOptions, type Expected, expectedOf, keyOf } from '../deployment.ts'
import { type Container, type ContainerBrief, type Docker, EngineError } from '../docker/index.ts'
import { ago, bytes, duration, plural } from '../words.ts'
import type { Check, Observation } from './index.ts'

const LOOP = { deaths: 3, withinMs: 10 * 60_000 }
const LOG_LINES = 12
const ENGINE = { key: 'docker', area: 'docker', title: 'Docker does not work' }

export interface DockerCheckOptions {
  docker: Docker
  deployment: DeploymentOptions
  /** What was expected at the last look, kept beyond this process: a container that is gone is missed. */
  expected: { get(): Expected[]; set(expected: Expected[]): void }
  /** Containers that somebody of ours has stopped, by key, with who and when. */
  stopped: () => Record<string, { by: string; at: number }>
  /** One of them was started again, by whomever. */
  started: (key: string) => void
  restarts: Restarts
  /** Takes note of the containers of the gateway's project, after a look. */
  onSeen: (containers: ContainerBrief[]) => void
  now: () => number
}

/** What is wrong with a container as it stands, if something is. */
function troubleOf(
  container: Container,
  now: number,
  bootedAt: number,
): { why: string; verdict: 'warn' | 'bad' } | undefined {
  const { state, exitCode, oomKilled, health, error, finishedAt } = container
  const since = finishedAt === undefined ? '' : `, ${ago(now - finishedAt)}`
  if (error && state !== 'running') return { verdict: 'bad', why: `Docker could not start it: ${error}` }
  switch (state) {
    case 'running':
      return health?.status === 'unhealthy'
        ? { verdict: 'bad', why: 'It runs, and its health check fails.' }
        : undefined
    case 'paused':
      return { verdict: 'warn', why: 'It is paused: it does nothing until somebody unpauses it.' }
    case 'created':
      return { verdict: 'bad', why: 'It was made and never started.' }
    case 'restarting':
      return {
        verdict: 'bad',
        why: `It ${causeOf({ exitCode, oom: oomKilled })} and Docker starts it again and again.`,
      }
    default:
      if (finishedAt !== undefined && finishedAt < bootedAt)
        return {
          verdict: 'bad',
          why: `It did not come back after the host was started ${ago(now - bootedAt)}.`,
        }
      return { verdict: 'bad', why: `It ${causeOf({ exitCode, oom: oomKilled })}${since} and does not run.` }
  }
}

export function createDockerChecks(options: DockerCheckOptions) {
  const { docker, deployment, expected, stopped, now } = options
  const deaths = createDeaths(LOOP.withinMs, options.restarts)
  let accounted = 0
  let engine: EngineError | undefined

  const loop = (each: Expected) => ({
    key: `crashloop/${keyOf(each)}`,
    area: 'docker',
    title: `Container ${each.name} keeps dying`,
    because: ENGINE.key,
  })
  const subject = (each: Expected) => ({
    key: `container/${keyOf(each)}`,
    area: 'docker',
    title: `Container ${each.name} does not run well`,
    because: ENGINE.key,
  })
  const recreate = ({ compose }: Expected) =>
    compose ? [{ label: 'Recreate', run: `recreate ${compose.service}` }] : []
  const actionsFor = (each: Expected) => [
    { label: 'Logs', run: `logs ${each.name}` },
    { label: 'Restart', run: `restart ${each.name}` },
    ...recreate(each),
  ]

  /** Who stopped it on purpose, if it has not been started since. */
  function stopperOf(each: Expected, { state, startedAt = 0 }: Container) {
    const asked = stopped()[keyOf(each)]
    if (state !== 'running') return asked
    if (asked && startedAt > asked.at) options.started(keyOf(each))
    return undefined
  }

  function observe(each: Expected, container: Container, from: number): Observation {
    const self = subject(each)
    const actions = actionsFor(each)
    // Whoever stopped it has it back with this look.
    const expectedDeath = stopped()[keyOf(each)] !== undefined
    const asked = stopperOf(each, container)
    if (asked) return { ...self, verdict: 'absent', why: `Stopped by ${asked.by} ${ago(now() - asked.at)}.` }
    const death = expectedDeath ? undefined : deaths.after(container.id, from).at(-1)
    // The engine may tell of hunger after the death that it caused; the inspection knows.
    const starved = container.oomKilled && container.state !== 'running'
    const last = death && { ...death, oom: death.oom || starved }
    const trouble = troubleOf(container, now(), now() - uptime() * 1_000)
    if (last) {
      const after = trouble ? '' : ' It runs again.'
      // Without its exit code it may have been a restart of its own.
      const verdict = trouble || last.oom || last.exitCode !== undefined ? 'bad' : 'warn'
      // The engine has just told of it, whatever it was like before.
      const { because, ...free } = self
      return { ...free, verdict, proof: true, why: `It ${causeOf(last)}.${after}`, actions }
    }
    if (trouble) return { ...self, ...trouble, actions }
    const up = container.startedAt === undefined ? '' : `, up ${duration(now() - container.startedAt)}`
    return { ...self, verdict: 'ok', why: `${container.health?.status ?? 'running'}${up}` }
  }

  function observeLoop(each: Expected, container: Container): Observation {
    const recent = deaths.since(container.id, now() - LOOP.withinMs)
    const self = loop(each)
    const last = recent.at(-1)
    if (!last || recent.length < LOOP.deaths) return { ...self, verdict: 'ok', why: 'It does not die often.' }
    const why = `${plural(recent.length, 'death')} in ${duration(LOOP.withinMs)}; the last time it ${causeOf(last)}.`
    return { ...self, verdict: 'bad', proof: true, why, actions: actionsFor(each) }
  }

  async function lookAt(
    each: Expected,
    all: readonly ContainerBrief[],
    from: number,
  ): Promise<Observation[]> {
    const brief = containerOf(all, each)
    const container = brief && (await docker.inspect(brief.id))
    if (!container) {
      const asked = stopped()[keyOf(each)]
      const gone = { ...subject(each), actions: recreate(each) }
      return [
        asked
          ? { ...gone, verdict: 'absent', why: `Taken down by ${asked.by}.` }
          : { ...gone, verdict: 'bad', why: 'It is not there any more.' },
      ]
    }
    deaths.read(container, now())
    return [observe({ ...each, name: container.name }, container, from), observeLoop(each, container)]
  }

  /** Without the engine nothing is known of the containers. */
  async function containers(): Promise<Observation[]> {
    const from = accounted
    const noted = deaths.noted()
    const before = expected.get()
    try {
      const all = await docker.list()
      const wanted = expectedOf(all, before, deployment)
      if (JSON.stringify(wanted) !== JSON.stringify(before)) expected.set(wanted)
      deaths.forget(
        now(),
        all.map(({ id }) => id),
      )
      const seen = await Promise.all(wanted.map((each) => lookAt(each, all, from)))
      accounted = noted
      options.onSeen(wanted.flatMap((each) => (each.compose && containerOf(all, each)) ?? []))
      return seen.flat()
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return before
        .flatMap((each) => [subject(each), loop(each)])
        .map((each) => ({ ...each, verdict: 'unknown', why: error.message }))
    }
  }

  async function look(): Promise<Observation[]> {
    try {
      const { version } = await docker.engine()
      engine = undefined
      return [{ ...ENGINE, verdict: 'ok', why: `Docker ${version} answers.` }]
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      engine = error
      // With nothing ever seen and nothing configured there is no Docker here, and nothing to watch.
      const { gatewayContainer, watched } = deployment
      const wanted = expected.get().length + watched.length > 0 || gatewayContainer !== undefined
      if (error.state === 'absent' && !wanted)
        return [{ ...ENGINE, verdict: 'absent', why: 'Docker is not installed here.' }]
      return [
        { ...ENGINE, verdict: 'bad', why: `${error.message} Its containers are not seen while this lasts.` },
      ]
    }
  }

  async function evidence(key: string): Promise<string[]> {
    const name = key.slice(key.indexOf('/') + 1)
    const each = expected.get().find((one) => keyOf(one) === name)
    const brief = each && containerOf(await docker.list(), each)
    if (!brief) return []
    // What cannot be had (its log driver may keep nothing) does not cost the rest.
    const [container, log, heaviest] = await Promise.all([
      docker.inspect(brief.id).catch(() => undefined),
      docker.logs(brief.id, { lines: LOG_LINES }).catch(() => ''),
      docker.heaviest(3).catch(() => []),
    ])
    const health = container?.health?.lastOutput
    return [
      ...(health ? [`Health check: ${health.slice(0, 300)}`] : []),
      ...(log.trim()
        ? [
            'Last lines:',
            ...log
              .trimEnd()
              .split('\n')
              .map((line) => line.slice(0, 300)),
          ]
        : []),
      ...(heaviest.length > 0
        ? [`Most memory: ${heaviest.map((one) => `${one.name} ${bytes(one.memoryBytes)}`).join(', ')}`]
        : []),
    ]
  }

  const checks: Check[] = [
    { name: 'docker', look },
    { name: 'containers', look: containers, evidence },
  ]
  return { checks, note: deaths.note, engine: () => engine }
}
