// Checks of Docker: a verdict for each state of a container, deaths with their causes, crash loops, and an engine that is away.

import { uptime } from 'node:os'
import { describe, expect, it } from 'vitest'
import { createDockerChecks, type DockerCheckOptions } from '../../src/ops/checks/docker.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import type { Expected } from '../../src/ops/deployment.ts'
import { EngineError } from '../../src/ops/docker/index.ts'
import { type Box, boxOf, composeOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { HOUR, MINUTE, SECOND } from './help.ts'

/** The time of this host counts: when it was started is part of a verdict. */
const T = Date.now()
const HOME = '/srv/openclaw'

function createYard(more: Partial<DockerCheckOptions> = {}) {
  let at = T
  const now = () => at
  const engine = createFakeEngine({ now })
  const memory = {
    expected: [] as Expected[],
    stopped: {} as Record<string, { by: string; at: number }>,
    counts: {},
  }
  const seen: string[][] = []
  const { checks, note } = createDockerChecks({
    ...{ docker: engine.docker, deployment: { watched: [] }, now },
    expected: {
      get: () => memory.expected,
      set: (expected) => {
        memory.expected = expected
      },
    },
    stopped: () => memory.stopped,
    started: (key) => {
      delete memory.stopped[key]
    },
    restarts: { get: () => memory.counts, set: (counts) => Object.assign(memory, { counts }) },
    onSeen: (containers) => seen.push(containers.map(({ name }) => name)),
    ...more,
  })
  engine.docker.follow((event) => event && note(event))
  const [docker, containers] = checks
  const look = async (): Promise<Record<string, Observation>> => {
    const all = (await containers?.look(new AbortController().signal)) ?? []
    return Object.fromEntries(all.map((each) => [each.key, each]))
  }
  return {
    ...{ engine, memory, seen, look },
    pass: (ms: number) => {
      at += ms
    },
    now,
    lookAtEngine: async () => (await docker?.look(new AbortController().signal))?.[0],
    evidence: async (key: string) => await containers?.evidence?.(key),
    gateway: (box: Partial<Box> = {}) =>
      engine.add(boxOf(GATEWAY, { compose: composeOf(HOME), startedAt: T - 3 * HOUR, ...box })),
  }
}
const KEY = `container/${GATEWAY}`
const LOOP = `crashloop/${GATEWAY}`

describe('the verdict on a container', () => {
  it.each<[string, Partial<Box>, Observation['verdict'], string]>([
    ['that runs', {}, 'ok', 'running, up 3 h'],
    ['that is healthy', { health: { status: 'healthy' } }, 'ok', 'healthy, up 3 h'],
    ['that starts', { health: { status: 'starting' } }, 'ok', 'starting, up 3 h'],
    ['that is unhealthy', { health: { status: 'unhealthy' } }, 'bad', 'It runs, and its health check fails.'],
    [
      'that is paused',
      { state: 'paused' },
      'warn',
      'It is paused: it does nothing until somebody unpauses it.',
    ],
    ['that was never started', { state: 'created' }, 'bad', 'It was made and never started.'],
    [
      'that could not be started',
      { state: 'created', exitCode: 127, error: 'no such file' },
      'bad',
      'Docker could not start it: no such file',
    ],
    [
      'that restarts',
      { state: 'restarting', exitCode: 78 },
      'bad',
      'It refused its configuration or state (exit 78) and Docker starts it again and again.',
    ],
    [
      'that ended',
      { state: 'exited', exitCode: 1, finishedAt: T - 90 * SECOND },
      'bad',
      'It ended with an error, 1 min ago and does not run.',
    ],
    [
      'that was killed for its memory',
      { state: 'exited', exitCode: 137, oomKilled: true, finishedAt: T - 5 * SECOND },
      'bad',
      'It was killed because it ran out of memory, 5 s ago and does not run.',
    ],
    [
      'that is dead',
      { state: 'dead', exitCode: 143 },
      'bad',
      'It was ended by SIGTERM (exit 143) and does not run.',
    ],
    [
      'that is not back after a reboot',
      { state: 'exited', exitCode: 0, finishedAt: T - uptime() * 1_000 - HOUR },
      'bad',
      'It did not come back after the host was started',
    ],
  ])('%s', async (_, box, verdict, why) => {
    const yard = createYard()
    yard.gateway(box)
    const { [KEY]: seen, [LOOP]: loop } = await yard.look()
    expect(seen).toMatchObject({
      verdict,
      area: 'docker',
      title: `Container ${GATEWAY} does not run well`,
      because: 'docker',
    })
    expect(seen?.why).toContain(why)
    expect(seen).not.toHaveProperty('proof')
    expect(loop).toMatchObject({ verdict: 'ok' })
  })

  it('that is gone says so, and offers to make it anew', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.remove(GATEWAY)
    const seen = await yard.look()
    expect(seen).toEqual({
      [KEY]: expect.objectContaining({
        ...{ verdict: 'bad', why: 'It is not there any more.' },
        actions: [{ label: 'Recreate', run: `recreate ${GATEWAY}` }],
      }),
    })
  })

  it('in trouble has buttons that mend it, with its own name and its service', async () => {
    const yard = createYard({ deployment: { watched: ['tunnel'] } })
    yard.gateway({ name: 'by-hand', state: 'paused' })
    yard.engine.add(boxOf('tunnel', { state: 'paused' }))
    const seen = await yard.look()
    expect(seen[KEY]).toMatchObject({
      title: 'Container by-hand does not run well',
      actions: [
        { label: 'Logs', run: 'logs by-hand' },
        { label: 'Restart', run: 'restart by-hand' },
        { label: 'Recreate', run: `recreate ${GATEWAY}` },
      ],
    })
    expect(seen['container/tunnel']?.actions?.map(({ label }) => label)).toEqual(['Logs', 'Restart'])
  })

  it('that runs well has no buttons', async () => {
    const yard = createYard()
    yard.gateway()
    expect((await yard.look())[KEY]).not.toHaveProperty('actions')
  })

  it('of another project is nobody’s business', async () => {
    const yard = createYard()
    yard.gateway()
    yard.engine.add(boxOf('blog', { state: 'exited', compose: composeOf('/blog', 'blog', 'blog') }))
    expect(Object.keys(await yard.look())).toEqual([KEY, LOOP])
    expect(yard.seen).toEqual([[GATEWAY]])
  })
})

describe('a death', () => {
  it.each<[string, number, { oom?: boolean; again?: boolean }, string]>([
    [
      'of a container that is started again',
      137,
      { again: true },
      'It was ended by SIGKILL (exit 137). It runs again.',
    ],
    ['of a container that stays down', 78, {}, 'It refused its configuration or state (exit 78).'],
    [
      'of hunger',
      137,
      { oom: true, again: true },
      'It was killed because it ran out of memory. It runs again.',
    ],
  ])('%s is told at once, with its cause', async (_, exitCode, how, why) => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.die(GATEWAY, exitCode, how)
    const { [KEY]: seen } = await yard.look()
    expect(seen).toMatchObject({ verdict: 'bad', proof: true, why })
    // The engine has just spoken: an alert about it explains nothing.
    expect(seen).not.toHaveProperty('because')
    expect(seen?.actions).toHaveLength(3)
  })

  it('is told by one look, and the next ones say how it is now', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.die(GATEWAY, 1, { again: true })
    expect((await yard.look())[KEY]).toMatchObject({ proof: true })
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'ok' })
    expect((await yard.look())[KEY]).not.toHaveProperty('proof')
  })

  it('that comes while a look is under way is told by the next', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.faults.list = () => {
      yard.engine.faults.list = () => {}
      yard.engine.die(GATEWAY, 1)
      yard.engine.find(GATEWAY).state = 'running'
    }
    await yard.look()
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('whose look failed is told when the engine answers again', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.die(GATEWAY, 1, { again: true })
    yard.engine.goAway('hanging')
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'unknown' })
    yard.engine.goAway()
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('that no event told of is a warning: it may have been a restart of its own', async () => {
    const yard = createYard()
    const box = yard.gateway()
    await yard.look()
    box.restartCount = 1
    expect((await yard.look())[KEY]).toMatchObject({
      verdict: 'warn',
      proof: true,
      why: 'It died. It runs again.',
    })
  })

  it('of hunger is known by the inspection when its event is late', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.die(GATEWAY, 137)
    yard.engine.find(GATEWAY).oomKilled = true
    expect((await yard.look())[KEY]?.why).toBe('It was killed because it ran out of memory.')
  })

  it('that somebody asked for is no proof of anything', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    await yard.engine.docker.restart(GATEWAY, 10)
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'ok' })
    await yard.engine.docker.stop(GATEWAY, 10)
    const { [KEY]: seen } = await yard.look()
    expect(seen).toMatchObject({
      verdict: 'bad',
      why: 'It ended without an error (exit 0), just now and does not run.',
    })
    expect(seen).not.toHaveProperty('proof')
  })

  it('by its own will, as an agent restarts its gateway, is silent', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.die(GATEWAY, 0, { again: true })
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'ok' })
    expect((await yard.look())[LOOP]).toMatchObject({ verdict: 'ok' })
  })
})

describe('a crash loop', () => {
  it('is three deaths in ten minutes, and over when they are past', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    for (const count of [1, 2, 3]) {
      yard.engine.die(GATEWAY, 78, { again: true })
      const { [LOOP]: loop } = await yard.look()
      expect(loop?.verdict).toBe(count < 3 ? 'ok' : 'bad')
      yard.pass(MINUTE)
    }
    const { [LOOP]: loop } = await yard.look()
    expect(loop).toMatchObject({
      ...{ proof: true, because: 'docker', title: `Container ${GATEWAY} keeps dying` },
      why: '3 deaths in 10 min; the last time it refused its configuration or state (exit 78).',
    })
    expect(loop?.actions).toHaveLength(3)
    yard.pass(8 * MINUTE)
    expect((await yard.look())[LOOP]?.verdict).toBe('ok')
  })

  it('is seen by restart counts alone, also over a restart of the bot', async () => {
    const before = createYard()
    const box = before.gateway({ restartCount: 4 })
    await before.look()
    const after = createYard({ restarts: { get: () => before.memory.counts, set: () => {} } })
    after.engine.add({ ...box, restartCount: 7, state: 'restarting', exitCode: 78 })
    const seen = await after.look()
    expect(seen[LOOP]).toMatchObject({ verdict: 'bad', why: '3 deaths in 10 min; the last time it died.' })
    expect(seen[KEY]).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('of before we came is no news by itself', async () => {
    const yard = createYard()
    yard.gateway({ restartCount: 40 })
    expect((await yard.look())[LOOP]?.verdict).toBe('ok')
  })
})

describe('what was stopped by us', () => {
  const at = T - MINUTE
  const stopped = { [GATEWAY]: { by: 'Ann (11)', at } }

  it('is not missed, whatever state that left', async () => {
    for (const box of [{ state: 'exited', exitCode: 137 }, { state: 'created' }]) {
      const yard = createYard({ stopped: () => stopped })
      yard.gateway({ ...box, startedAt: T - HOUR })
      expect((await yard.look())[KEY]).toMatchObject({
        verdict: 'absent',
        why: 'Stopped by Ann (11) 1 min ago.',
      })
    }
  })

  it('and taken away is not missed either', async () => {
    const yard = createYard({ stopped: () => stopped })
    yard.memory.expected = [{ name: GATEWAY, compose: composeOf(HOME) }]
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'absent', why: 'Taken down by Ann (11).' })
  })

  it('and started by whomever counts again', async () => {
    const yard = createYard()
    const box = yard.gateway({ state: 'exited', startedAt: T - HOUR })
    yard.memory.stopped = { ...stopped }
    await yard.look()
    Object.assign(box, { state: 'running', startedAt: T })
    expect((await yard.look())[KEY]?.verdict).toBe('ok')
    expect(yard.memory.stopped).toEqual({})
    yard.engine.die(GATEWAY, 1)
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('and ended and back between two looks is no death', async () => {
    const yard = createYard()
    yard.gateway({ startedAt: T - HOUR })
    await yard.look()
    yard.memory.stopped = { ...stopped }
    yard.engine.die(GATEWAY, 1, { again: true })
    expect((await yard.look())[KEY]?.verdict).toBe('ok')
    expect(yard.memory.stopped).toEqual({})
    yard.engine.die(GATEWAY, 1, { again: true })
    expect((await yard.look())[KEY]).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('and still on its way down is left alone', async () => {
    const yard = createYard()
    yard.gateway({ startedAt: T - HOUR })
    yard.memory.stopped = { ...stopped }
    expect((await yard.look())[KEY]?.verdict).toBe('ok')
    expect(yard.memory.stopped).toEqual(stopped)
  })
})

describe('an engine', () => {
  it('that answers says its version', async () => {
    expect(await createYard().lookAtEngine()).toMatchObject({
      key: 'docker',
      verdict: 'ok',
      why: 'Docker 28.5.2 answers.',
    })
  })

  it.each(['down', 'hanging', 'refused'] as const)(
    'that is %s is one alert, and everything of it unknown',
    async (state) => {
      const yard = createYard({ deployment: { watched: ['tunnel'] } })
      yard.gateway()
      yard.engine.add(boxOf('tunnel'))
      const before = Object.keys(await yard.look())
      yard.engine.goAway(state)
      expect(await yard.lookAtEngine()).toMatchObject({
        ...{ verdict: 'bad', title: 'Docker does not work' },
        why: `Docker is ${state}. Its containers are not seen while this lasts.`,
      })
      const seen = await yard.look()
      // None of them is over: a crash loop goes on being one.
      expect(Object.keys(seen).toSorted()).toEqual(before.toSorted())
      expect(Object.values(seen).map(({ verdict }) => verdict)).toEqual(before.map(() => 'unknown'))
      expect(Object.values(seen).every(({ because }) => because === 'docker')).toBe(true)
      yard.engine.goAway()
      expect((await yard.lookAtEngine())?.verdict).toBe('ok')
      expect(Object.keys(await yard.look()).toSorted()).toEqual(before.toSorted())
    },
  )

  it('that is not there at all is no alert where nothing was ever expected', async () => {
    const yard = createYard()
    yard.engine.goAway('absent')
    expect(await yard.lookAtEngine()).toMatchObject({
      verdict: 'absent',
      why: 'Docker is not installed here.',
    })
    expect(await yard.look()).toEqual({})
  })

  it.each<[string, Partial<DockerCheckOptions>, Expected[]]>([
    ['something ran in it before', {}, [{ name: GATEWAY }]],
    ['WATCH_CONTAINERS names something', { deployment: { watched: ['tunnel'] } }, []],
    [
      'OPENCLAW_GATEWAY_CONTAINER names the gateway',
      { deployment: { watched: [], gatewayContainer: 'x' } },
      [],
    ],
  ])('that is not there at all is an alert where %s', async (_, more, expected) => {
    const yard = createYard(more)
    yard.memory.expected = expected
    yard.engine.goAway('absent')
    expect((await yard.lookAtEngine())?.verdict).toBe('bad')
  })

  it('is not blamed for a fault of our own', async () => {
    const yard = createYard()
    yard.engine.faults.engine = () => Promise.reject(new TypeError('a bug'))
    yard.engine.faults.list = () => Promise.reject(new TypeError('a bug'))
    await expect(yard.lookAtEngine()).rejects.toThrow('a bug')
    await expect(yard.look()).rejects.toThrow('a bug')
  })

  it('with two gateways fails the look in words that say what to set', async () => {
    const yard = createYard()
    yard.gateway()
    yard.engine.add(boxOf('b', { compose: composeOf('/two', GATEWAY, 'two') }))
    await expect(yard.look()).rejects.toThrow('Set OPENCLAW_GATEWAY_CONTAINER.')
  })
})

describe('the evidence', () => {
  it('is the health check’s output, the end of the log and the heaviest containers', async () => {
    const yard = createYard()
    yard.gateway({
      health: { status: 'unhealthy', lastOutput: 'connection refused' },
      log: `${'old\n'.repeat(20)}one\ntwo\n`,
    })
    await yard.look()
    const lines = await yard.evidence(KEY)
    expect(lines?.[0]).toBe('Health check: connection refused')
    expect(lines?.[1]).toBe('Last lines:')
    expect(lines?.slice(-3)).toEqual(['one', 'two', `Most memory: ${GATEWAY} 1.0 GB`])
    expect(lines?.length).toBeLessThanOrEqual(15)
    expect(await yard.evidence(LOOP)).toEqual(lines)
  })

  it('has no long lines', async () => {
    const yard = createYard()
    yard.gateway({ log: 'x'.repeat(9_999), health: { status: 'unhealthy', lastOutput: 'y'.repeat(9_999) } })
    await yard.look()
    for (const line of (await yard.evidence(KEY)) ?? []) expect(line.length).toBeLessThan(320)
  })

  it('of what cannot be had does not cost the rest', async () => {
    const yard = createYard()
    yard.gateway({ health: { status: 'unhealthy', lastOutput: 'no' }, log: 'one' })
    await yard.look()
    const broken = () => Promise.reject(new EngineError('the log driver keeps nothing', 'refused'))
    yard.engine.faults.logs = broken
    expect(await yard.evidence(KEY)).toEqual(['Health check: no', `Most memory: ${GATEWAY} 1.0 GB`])
    yard.engine.faults.heaviest = broken
    expect(await yard.evidence(KEY)).toEqual(['Health check: no'])
  })

  it('of a container that is gone is nothing', async () => {
    const yard = createYard()
    yard.gateway()
    await yard.look()
    yard.engine.remove(GATEWAY)
    expect(await yard.evidence(KEY)).toEqual([])
    expect(await yard.evidence('container/nobody')).toEqual([])
  })
})
