// Recreate and roll back on a fake engine: what blocks and what only warns, and each step to its end, good or bad.

import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createCompose } from '../../src/ops/compose.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import type { DeploymentOptions, Expected } from '../../src/ops/deployment.ts'
import { EngineError, sha256 } from '../../src/ops/docker/index.ts'
import { createRunbooks, type Runbook, type RunbookCard } from '../../src/ops/runbooks/index.ts'
import { createRecreate } from '../../src/ops/runbooks/recreate.ts'
import { createRollback } from '../../src/ops/runbooks/rollback.ts'
import { createServiceSteps, phaseOf } from '../../src/ops/runbooks/service.ts'
import { createSnapshots } from '../../src/ops/snapshots.ts'
import { type Box, boxOf, composeOf, createFakeEngine, GATEWAY, IMAGE } from '../fixtures/docker/engine.ts'
import { openTestState, T0, tempDir } from './help.ts'

const CLIENT = { PATH: '/usr/bin', DOCKER_HOST: 'unix:///run/docker.sock' }
const ENV = 'TOKEN=one\nNAME=a\n'
const hashed = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name, sha256(value)]))

interface YardOptions {
  deployment?: Partial<DeploymentOptions>
  box?: Partial<Box>
  /** Nothing runs: only what is remembered. */
  gone?: true
}

function createYard({ deployment = {}, box = {}, gone }: YardOptions = {}) {
  let at = T0
  /** Each look at the clock takes a moment, so that a wait comes to its end without one. */
  const clock = { stepMs: 1 }
  const now = () => {
    at += clock.stepMs
    return at
  }
  const home = tempDir()
  const file = (name: string) => join(home, name)
  writeFileSync(file('docker-compose.yml'), 'services: {}\n')
  writeFileSync(file('.env'), ENV)
  const engine = createFakeEngine({ now })
  const gateway = boxOf(GATEWAY, {
    ...{ compose: composeOf(home), environment: hashed({ TOKEN: 'one', NAME: 'a' }) },
    ...{ health: { status: 'healthy' }, startPeriodMs: 1_000 },
    ...box,
  })
  const known: Expected[] = []
  if (gone) known.push({ name: GATEWAY, compose: composeOf(home) })
  else engine.add(gateway)
  engine.compose.services = [GATEWAY, 'db']
  const free = { diskBytes: 50e9, memoryBytes: 4e9, fails: undefined as Error | undefined }
  const down: string[] = []
  const snapshots = createSnapshots(join(tempDir(), 'snapshots'))
  const parts = {
    ...{ docker: engine.docker, compose: createCompose({ run: engine.run, env: CLIENT }), snapshots, now },
    ...{
      deployment: { watched: [], ...deployment },
      known: () => known,
      room: async () => (free.fails ? Promise.reject(free.fails) : free),
    },
    expectDown: (key: string, isDown: boolean) => down.push(`${key} ${isDown ? 'down' : 'up'}`),
  }
  const steps = createServiceSteps(parts)
  const state = openTestState()
  const deeds = createDeeds({ ...state, now })
  const runbooks = createRunbooks({ ...state, deeds, now })
  const recreate = createRecreate(parts, steps)
  const rollback = createRollback(parts, steps)
  return {
    ...{
      engine,
      gateway,
      home,
      file,
      free,
      clock,
      snapshots,
      recreate,
      rollback,
      down,
      known,
      parts,
      runbooks,
      deeds,
    },
    async run<I, C>(book: Runbook<I, C>, input: I): Promise<RunbookCard> {
      const plan = await book.plan(input)
      await runbooks.start(book, plan, { name: 'Ann (11)' }, 'chat:11').done.catch(() => {})
      return state.cards.raisedSince(0).at(-1)?.facts as RunbookCard
    },
    card: () => state.cards.raisedSince(0).at(-1)?.facts as RunbookCard,
    findings: async (input = {}) =>
      (await recreate.plan(input)).findings.map(
        ({ level, text }) => `${level} ${text.replaceAll(home, '~')}`,
      ),
  }
}
type Yard = ReturnType<typeof createYard>
const notes = ({ steps }: RunbookCard) =>
  steps.map(({ name, state, note }) => `${name} ${state}${note ? `: ${note}` : ''}`)

describe('the plan of a recreate', () => {
  it('says what will change, by names, the version, the image, and the exact argv; nothing else is done', async () => {
    const yard = createYard()
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=a\nMORE=1\n')
    const plan = await yard.recreate.plan({})
    expect(plan.findings).toEqual([
      { level: 'ok', text: expect.stringMatching(/^will change: (TOKEN, MORE|MORE, TOKEN)$/) },
      { level: 'ok', text: `Compose 2.40.3, image ${IMAGE}` },
    ])
    expect(plan.target).toBe(GATEWAY)
    expect(plan.commands.map((argv) => argv.join(' ').replaceAll(yard.home, '~'))).toEqual([
      `docker stop -t 330 ${GATEWAY}`,
      `docker compose -p openclaw --project-directory ~ -f ~/docker-compose.yml up -d --force-recreate --no-deps --pull never ${GATEWAY}`,
    ])
    expect(JSON.stringify(plan)).not.toContain('two')
    expect([yard.engine.done, await yard.snapshots.list(), yard.down]).toEqual([[], [], []])
    expect(yard.engine.environments.every((env) => JSON.stringify(env) === JSON.stringify(CLIENT))).toBe(true)
  })

  it.each<[string, (yard: Yard) => unknown, string]>([
    ['nothing changed', () => {}, 'ok the container has the values of .env already'],
    [
      '.env is missing',
      ({ file, engine }) => [rmSync(file('.env')), Object.assign(engine.compose, { environment: {} })],
      'warn .env is missing: every variable is empty',
    ],
    [
      'a value is empty',
      ({ file }) => writeFileSync(file('.env'), 'TOKEN=\nNAME=a\n'),
      'warn .env line 1: TOKEN is empty',
    ],
    [
      'a value has spaces',
      ({ file }) => writeFileSync(file('.env'), 'TOKEN=one\nNAME=a b\n'),
      'warn .env line 2: NAME has spaces and no quotes',
    ],
    [
      'a port is open to the world',
      ({ file }) => writeFileSync(file('.env'), 'GW_BIND=0.0.0.0\n'),
      'warn .env line 1: GW_BIND binds to every address',
    ],
    [
      'the disk is almost full',
      ({ free }) => Object.assign(free, { diskBytes: 499e6 }),
      'warn only 499 MB of disk are free',
    ],
    [
      'memory is short',
      ({ free }) => Object.assign(free, { memoryBytes: 199e6 }),
      'warn only 199 MB of memory are available',
    ],
    [
      'the room cannot be seen',
      ({ free }) => Object.assign(free, { fails: new Error('df hangs') }),
      'warn how much room is left was not seen: df hangs',
    ],
    [
      'Compose before 2.29.3 would recreate it twice',
      ({ engine, gateway }) => [
        Object.assign(engine.compose, { version: '2.26.1-4' }),
        Object.assign(gateway.compose ?? {}, { dependent: true }),
      ],
      'warn the next plain "docker compose up -d" will make it anew once more',
    ],
    [
      'its container is gone',
      ({ engine, known, gateway }) => [
        known.push({ name: GATEWAY, ...(gateway.compose && { compose: gateway.compose }) }),
        engine.remove(GATEWAY),
      ],
      'warn its container is gone',
    ],
    [
      'the image is not here',
      ({ engine }) => engine.images.clear(),
      `block the image ${IMAGE} is not here: build it first`,
    ],
    [
      'the image is not here and cannot be built',
      ({ engine }) => [engine.images.clear(), Object.assign(engine.compose, { built: false })],
      `block the image ${IMAGE} is not here: pull it first`,
    ],
    [
      '.env cannot be read',
      ({ file }) => [rmSync(file('.env')), mkdirSync(file('.env'))],
      'block ~/.env cannot be read (EISDIR)',
    ],
    [
      'the compose file is gone',
      ({ file }) => rmSync(file('docker-compose.yml')),
      'block ~/docker-compose.yml is gone. Set OPENCLAW_DIR to where the project lies now.',
    ],
    [
      'the whole project is gone',
      ({ home }) => rmSync(home, { recursive: true }),
      'block ~/docker-compose.yml is gone.',
    ],
    [
      'the compose files are broken',
      ({ engine }) =>
        Object.assign(engine.compose.fails, { config: 'yaml: line 3: did not find expected key' }),
      'block The compose files are not sound: yaml: line 3',
    ],
    [
      'the service is in the files no more',
      ({ engine }) => Object.assign(engine.compose, { services: ['db'] }),
      `block The compose files have no service "${GATEWAY}" any more.`,
    ],
  ])('when %s', async (_, happen, expected) => {
    const yard = createYard()
    happen(yard)
    const findings = await yard.findings()
    expect(findings).toContainEqual(expect.stringContaining(expected))
    const blocked = findings.filter((line) => line.startsWith('block'))
    expect(blocked.length > 0).toBe(expected.startsWith('block'))
    expect(yard.engine.done).toEqual([])
  })

  it.each(['2.9.0', 'v2.28.1', '2.29.2'])('warns of Compose %s', async (version) => {
    const yard = createYard({ box: { compose: { ...composeOf(tempDir()), dependent: true } } })
    writeFileSync(join(yard.gateway.compose?.workingDir ?? '', 'docker-compose.yml'), '')
    writeFileSync(join(yard.gateway.compose?.workingDir ?? '', '.env'), ENV)
    yard.engine.compose.version = version
    expect((await yard.findings()).filter((line) => line.includes('before 2.29.3'))).toHaveLength(1)
    for (const fine of ['2.29.3', '2.30.0', '2.40.3', '5.0.0']) {
      yard.engine.compose.version = fine
      expect((await yard.findings()).filter((line) => line.includes('before 2.29.3'))).toEqual([])
    }
  })

  it('takes the project where it lies now when it was moved', async () => {
    const yard = createYard({ deployment: { projectDir: '/' } })
    const moved = tempDir()
    rmSync(moved, { recursive: true })
    renameSync(yard.home, moved)
    yard.parts.deployment.projectDir = moved
    const { commands, findings } = await yard.recreate.plan({})
    expect(findings.filter(({ level }) => level === 'block')).toEqual([])
    expect(commands[1]).toEqual(expect.arrayContaining([moved, `${moved}/docker-compose.yml`]))
  })

  it('gives the container the grace that it asks for when that is more than its drain needs', async () => {
    const [, patient] = [createYard(), createYard({ box: { stopSeconds: 600 } })]
    expect((await patient.recreate.plan({})).commands[0]).toEqual(['docker', 'stop', '-t', '600', GATEWAY])
    const hasty = createYard({ box: { stopSeconds: 10 } })
    expect((await hasty.recreate.plan({})).commands[0]?.[3]).toBe('330')
  })

  it.each<[string, YardOptions, string | undefined, string]>([
    [
      'no gateway',
      { box: { name: 'blog', compose: composeOf('/blog', 'blog', 'blog') } },
      undefined,
      'No gateway container is found. Set OPENCLAW_GATEWAY_CONTAINER to its name.',
    ],
    [
      'a service of another project',
      {},
      'blog',
      '"blog" is not a service of this project. It has: openclaw-gateway, db.',
    ],
    ['a service of an endless name', {}, 'x'.repeat(200), `"${'x'.repeat(64)}" is not a service`],
  ])('is a sentence for %s', async (_, options, service, sentence) => {
    const yard = createYard(options)
    yard.engine.add(boxOf('openclaw-db-1', { compose: composeOf(yard.home, 'db') }))
    yard.engine.add(boxOf('blog', { compose: composeOf('/blog', 'blog', 'blog') }))
    await expect(yard.recreate.plan(service ? { service } : {})).rejects.toThrow(sentence)
  })

  it('is a sentence for a container that Compose did not make', async () => {
    const yard = createYard({ gone: true })
    yard.known.length = 0
    yard.engine.add(boxOf(GATEWAY))
    await expect(yard.recreate.plan({})).rejects.toThrow('openclaw-gateway was not made by Compose')
  })

  it('of another service of the project names that, by its service or its container', async () => {
    const yard = createYard()
    yard.engine.add(boxOf('openclaw-db-1', { compose: composeOf(yard.home, 'db') }))
    for (const service of ['db', 'openclaw-db-1'])
      expect(await yard.recreate.plan({ service })).toMatchObject({
        target: 'db',
        context: { name: 'openclaw-db-1' },
      })
  })

  it('has another basis as soon as something that it says has changed', async () => {
    const yard = createYard()
    const { basis } = await yard.recreate.plan({})
    expect((await yard.recreate.plan({})).basis).toBe(basis)
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=a\n')
    const changed = await yard.recreate.plan({})
    expect(changed.basis).not.toBe(basis)
    yard.engine.remove(GATEWAY)
    yard.engine.add({ ...yard.gateway, id: 'f'.repeat(64) })
    expect((await yard.recreate.plan({})).basis).not.toBe(changed.basis)
  })
})

describe('a recreate', () => {
  it('keeps a snapshot, stops with patience, makes it anew, waits until it is healthy and proves it', async () => {
    const yard = createYard()
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=a\n')
    const card = await yard.run(yard.recreate, {})
    const [snapshot] = await yard.snapshots.list()
    expect(notes(card)).toEqual([
      `snapshot done: ${snapshot?.id}`,
      expect.stringMatching(/^stop done: ended in /),
      'make anew done',
      expect.stringMatching(/^boot done: healthy, /),
      expect.stringMatching(/^proof done: container [0-9a-f]{12} with the values of \.env$/),
    ])
    expect(card.state).toBe('done')
    expect(yard.engine.done).toEqual([
      `stop ${GATEWAY} 330`,
      expect.stringContaining(`up -d --force-recreate --no-deps --pull never ${GATEWAY}`),
    ])
    expect(yard.engine.find(GATEWAY).environment).toEqual(hashed({ TOKEN: 'two', NAME: 'a' }))
    // Nobody is woken for what a runbook does.
    expect(yard.down[0]).toBe(`${GATEWAY} down`)
    expect(yard.down.at(-1)).toBe(`${GATEWAY} up`)
  })

  it('of a gateway that has ended works as well', async () => {
    const yard = createYard({ box: { state: 'exited', exitCode: 1 } })
    expect((await yard.run(yard.recreate, {})).state).toBe('done')
  })

  it('of a container that is gone makes it from the files alone', async () => {
    const yard = createYard({ gone: true })
    yard.clock.stepMs = 500
    const plan = await yard.recreate.plan({})
    expect(plan.commands).toHaveLength(1)
    const card = await yard.run(yard.recreate, {})
    expect(notes(card).slice(0, 2)).toEqual([
      'snapshot done: there is no container to go back to',
      'stop done: there is no container to stop',
    ])
    expect(card.state).toBe('done')
    expect(yard.engine.find(GATEWAY).state).toBe('running')
  })

  it('without a health check is well when it has run for a while', async () => {
    const yard = createYard()
    delete yard.gateway.health
    yard.clock.stepMs = 500
    expect(notes(await yard.run(yard.recreate, {}))[3]).toMatch(/^boot done: runs, /)
  })

  it.each<[string, Partial<Box>, string]>([
    [
      'ends',
      { state: 'exited', exitCode: 78 },
      'It refused its configuration or state (exit 78) while starting.',
    ],
    [
      'is killed for its memory',
      { state: 'exited', exitCode: 137, oomKilled: true },
      'It was killed because it ran out of memory while starting.',
    ],
    [
      'cannot be started',
      { state: 'created', exitCode: 127, error: 'not found' },
      'It did not find its command (exit 127) while starting.',
    ],
    [
      'keeps dying',
      { state: 'restarting', restartCount: 3, exitCode: 1 },
      'It ended with an error while starting.',
    ],
    [
      'is unhealthy',
      { health: { status: 'unhealthy' }, startPeriodMs: 1_000 },
      'It runs, and its health check fails.',
    ],
    ['never becomes healthy', { health: { status: 'starting' } }, 'It was not healthy within 1 min.'],
  ])('whose new container %s fails, says so and offers the way back', async (_, fate, why) => {
    const yard = createYard()
    yard.engine.compose.born = (box) => {
      if (fate.health?.status === 'starting') yard.clock.stepMs = 10_000
      Object.assign(box, fate)
    }
    const card = await yard.run(yard.recreate, {})
    expect(notes(card)[3]).toBe(`boot failed: ${why}`)
    expect(notes(card)[4]).toBe('proof waiting')
    const [snapshot] = await yard.snapshots.list()
    expect(card).toMatchObject({
      state: 'failed',
      left: expect.stringMatching(/^openclaw-gateway is a new container, /),
      actions: [
        { label: 'Roll back', run: `rollback ${snapshot?.id}` },
        { label: 'Recreate again', run: `recreate ${GATEWAY}` },
      ],
    })
    // What it now is may be told again.
    expect(yard.down.at(-1)).toBe(`${GATEWAY} up`)
  })

  it('dies twice while it starts and then is well: that is no failure', async () => {
    const yard = createYard()
    yard.engine.compose.born = (box) => {
      Object.assign(box, { state: 'restarting', restartCount: 2, exitCode: 1 })
      setTimeout(() => Object.assign(box, { state: 'running', health: { status: 'healthy' } }), 100)
    }
    expect((await yard.run(yard.recreate, {})).state).toBe('done')
  })

  it('waits as long as the new container asks, although the old one asked for less', async () => {
    const yard = createYard()
    yard.engine.compose.born = (box) => {
      Object.assign(box, { health: { status: 'starting' }, startPeriodMs: 600_000 })
      yard.clock.stepMs = 20_000
      setTimeout(() => Object.assign(box, { health: { status: 'healthy' } }), 100)
    }
    expect((await yard.run(yard.recreate, {})).state).toBe('done')
  })

  it('shows the phases of its boot from its log', async () => {
    const yard = createYard()
    const phases: string[] = []
    yard.engine.compose.born = (box) => {
      Object.assign(box, {
        health: { status: 'starting' },
        log: 'x\n[sandbox] building sandbox image 2 of 4',
      })
      setTimeout(() => {
        phases.push(yard.card().steps[3]?.note ?? '')
        Object.assign(box, { health: { status: 'healthy' } })
      }, 100)
    }
    await yard.run(yard.recreate, {})
    expect(phases[0]).toMatch(/^building sandbox image 2\/4, /)
  })

  it('that leaves another value in the container than .env has is no success', async () => {
    const yard = createYard()
    yard.engine.compose.born = (box) =>
      Object.assign(box, { environment: hashed({ TOKEN: 'zero', NAME: 'a' }) })
    expect(notes(await yard.run(yard.recreate, {}))[4]).toBe(
      'proof failed: It still has other values than .env for: TOKEN.',
    )
  })

  it('that leaves the old container is no success', async () => {
    const yard = createYard()
    yard.engine.compose.born = (box) => Object.assign(box, { id: yard.gateway.id })
    expect(notes(await yard.run(yard.recreate, {}))[4]).toBe('proof failed: It is still the old container.')
  })

  it('that Compose refuses says so in its words, without a value', async () => {
    const yard = createYard()
    yard.engine.compose.fails.up = 'Invalid hostPort: hunter2'
    const card = await yard.run(yard.recreate, {})
    expect(notes(card)[2]).toBe('make anew failed: Compose failed (exit 1): Invalid hostPort')
    expect(card.left).toBe(`${GATEWAY} is the old container, exited, healthy.`)
  })

  it('whose container cannot be stopped says so, and it still runs', async () => {
    const yard = createYard()
    yard.engine.faults.stop = () =>
      Promise.reject(new EngineError('Docker did not answer within 350 s.', 'hanging'))
    const card = await yard.run(yard.recreate, {})
    expect(notes(card)[1]).toBe('stop failed: Docker did not answer within 350 s.')
    expect(card).toMatchObject({
      state: 'failed',
      left: `${GATEWAY} is the old container, running, healthy.`,
    })
  })

  it('that is cancelled while it stops starts the old container again', async () => {
    const yard = createYard()
    const gate = Promise.withResolvers<void>()
    yard.engine.faults.stop = () => gate.promise
    const plan = await yard.recreate.plan({})
    const { id, done } = yard.runbooks.start(yard.recreate, plan, { name: 'Ann' }, 'chat:11')
    await expect.poll(() => yard.card().steps[1]?.state).toBe('running')
    yard.runbooks.cancel(id)
    gate.resolve()
    await expect(done).rejects.toThrow('It was cancelled.')
    expect(yard.engine.done).toEqual([`stop ${GATEWAY} 330`, `start ${GATEWAY}`])
    expect(yard.card()).toMatchObject({
      state: 'cancelled',
      left: `${GATEWAY} is the old container, running, healthy.`,
    })
    expect(notes(yard.card())[1]).toBe('stop undone: started again')
  })
})

describe('the phases of a boot', () => {
  it.each<[string, string | undefined]>([
    ['', undefined],
    ['hello\nworld', undefined],
    ['Building sandbox image (1/4)', 'building sandbox image 1/4'],
    ['building sandbox image 1 of 4\nBuilding sandbox image [4/4] x', 'building sandbox image 4/4'],
    ['waiting for dockerd', 'starting its own Docker'],
    ['starting nested dockerd\nbuilding sandbox image 1/2', 'building sandbox image 1/2'],
    ['migrating state to 12', 'migrating its state'],
    ['x\n[gateway] listening on ws://0.0.0.0:18789\nmore', 'listening'],
  ])('%j are %s', (log, phase) => {
    expect(phaseOf(log)).toBe(phase)
  })
})

/** A recreate has been, and .env was changed for it. */
async function createRecreated() {
  const yard = createYard()
  const { id } = await yard.snapshots.take(composeOf(yard.home), yard.gateway, T0)
  writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=broken\n')
  await yard.run(yard.recreate, {})
  yard.engine.done.length = 0
  return { yard, id }
}

describe('the plan of a roll back', () => {
  it('says which files, which image and whose credentials, and the exact argv', async () => {
    const { yard, id } = await createRecreated()
    const plan = await yard.rollback.plan({ snapshotId: id, credentials: false })
    expect(plan.target).toBe(`${GATEWAY} to ${id}`)
    expect(plan.findings.map(({ level, text }) => `${level} ${text.replaceAll(yard.home, '~')}`)).toEqual(
      expect.arrayContaining([
        'ok files: ~/docker-compose.yml, ~/.env',
        'ok the image is the same',
        'ok credentials in .env stay as they are now',
      ]),
    )
    expect(plan.commands.map(([, word]) => word)).toEqual(['stop', 'compose'])
    expect(yard.engine.done).toEqual([])
  })

  it('warns when credentials go back too, and is another plan then', async () => {
    const { yard, id } = await createRecreated()
    const without = await yard.rollback.plan({ snapshotId: id, credentials: false })
    const plan = await yard.rollback.plan({ snapshotId: id, credentials: true })
    expect(plan.findings).toContainEqual({
      level: 'warn',
      text: 'credentials go back too: older tokens may be dead',
    })
    expect(plan.basis).not.toBe(without.basis)
  })

  it('says when the image goes back, and blocks when that is gone: nothing would start again', async () => {
    const { yard, id } = await createRecreated()
    yard.engine.find(GATEWAY).imageId = `sha256:${sha256('newer')}`
    const findings = async () => (await yard.rollback.plan({ snapshotId: id, credentials: false })).findings
    const short = yard.gateway.imageId.slice(7, 19)
    expect(await findings()).toContainEqual({ level: 'ok', text: `the image goes back to ${short}` })
    yard.engine.images.delete(yard.gateway.imageId)
    expect(await findings()).toContainEqual({
      level: 'block',
      text: `the image ${short} of that time is not here any more`,
    })
  })

  it('without a name lists the snapshots, or says how one comes to be', async () => {
    const yard = createYard()
    const plan = () => yard.rollback.plan({ credentials: false })
    await expect(plan()).rejects.toThrow(
      'There is no snapshot yet: /recreate takes one before it does anything.',
    )
    const { id } = await yard.snapshots.take(composeOf(yard.home), yard.gateway, T0)
    await expect(plan()).rejects.toThrow(`Which snapshot?\n/rollback ${id}`)
    await expect(yard.rollback.plan({ snapshotId: 'nope', credentials: false })).rejects.toThrow(
      'There is no snapshot "nope".',
    )
  })
})

describe('a roll back', () => {
  it.each<[boolean, Record<string, string>]>([
    [false, { TOKEN: 'two', NAME: 'a' }],
    [true, { TOKEN: 'one', NAME: 'a' }],
  ])('with credentials %s puts the files and the image back and proves it', async (credentials, values) => {
    const { yard, id } = await createRecreated()
    const card = await yard.run(yard.rollback, { snapshotId: id, credentials })
    expect(notes(card)).toEqual([
      expect.stringMatching(/^stop done/),
      `put back done: ${yard.file('.env')}`,
      'make anew done',
      expect.stringMatching(/^boot done: healthy/),
      expect.stringMatching(/^proof done/),
    ])
    expect(card.state).toBe('done')
    expect(yard.engine.find(GATEWAY).environment).toEqual(hashed(values))
    expect(yard.engine.done).toEqual([
      `stop ${GATEWAY} 330`,
      `tag ${IMAGE}`,
      expect.stringContaining('--force-recreate'),
    ])
  })

  it('after a recreate that failed heals it by its button', async () => {
    const yard = createYard()
    await yard.snapshots.take(composeOf(yard.home), yard.gateway, T0)
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=broken\n')
    yard.engine.compose.born = (box) => Object.assign(box, { state: 'exited', exitCode: 78 })
    const failed = await yard.run(yard.recreate, {})
    yard.engine.compose.born = (box) => Object.assign(box, { health: { status: 'healthy' } })
    const snapshotId = failed.actions?.[0]?.run.replace('rollback ', '') ?? ''
    expect((await yard.run(yard.rollback, { snapshotId, credentials: false })).state).toBe('done')
    expect(yard.engine.find(GATEWAY).state).toBe('running')
  })

  it('whose image has gone meanwhile says so, with the files back', async () => {
    const { yard, id } = await createRecreated()
    yard.engine.faults.tag = () =>
      Promise.reject(new EngineError('Docker refused: no such image (404).', 'refused'))
    const card = await yard.run(yard.rollback, { snapshotId: id, credentials: false })
    expect(notes(card)[1]).toMatch(
      /^put back failed: The image [0-9a-f]{12} of that time is gone\. The files are back\.$/,
    )
    expect(card.left).toContain('exited')
    expect(card.actions?.[0]?.run).toBe(`rollback ${id}`)
  })
})
