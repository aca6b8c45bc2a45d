// What the engine says, as facts: from recorded inspections, lists, figures, logs and events of a real one (26.1).

import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { EngineError, engineError } from '../../src/ops/docker/errors.ts'
import {
  briefOf,
  type ContainerEvent,
  containerOf,
  demux,
  memoryOf,
  sha256,
  useOf,
} from '../../src/ops/docker/facts.ts'
import { followEvents } from '../../src/ops/docker/follow.ts'
import { createDocker } from '../../src/ops/docker/index.ts'
import { tempDir } from './help.ts'

const recorded = (name: string) => readFileSync(join(import.meta.dirname, '../fixtures/docker', name), 'utf8')
const inspection = (name: string) => JSON.parse(recorded(`${name}.inspect.json`))

describe('a container', () => {
  it('of a compose project has its labels, limits, mounts, health and start period', () => {
    const { labels, environment, ...gateway } = containerOf(inspection('gateway'))
    expect(gateway).toMatchObject({
      ...{ name: 'openclaw-gateway', image: 'example/busybox:1', state: 'running', exitCode: 0 },
      ...{ oomKilled: false, restartCount: 0, restartPolicy: 'unless-stopped', runtime: 'runc', user: '0:0' },
      limits: { memoryBytes: 256 * 2 ** 20, cpus: 1.5, pids: 64 },
      health: { status: 'unhealthy', lastOutput: 'probing' },
      ...{ stopSeconds: 360, startPeriodMs: 2_000 },
      compose: {
        ...{ project: 'openclaw', service: 'openclaw-gateway', workingDir: '/srv/openclaw' },
        ...{ configFiles: ['/srv/openclaw/docker-compose.yml'], environmentFiles: [], dependent: true },
      },
    })
    expect(gateway.tmpfs.toSorted()).toEqual(['/tmp', '/var/log'])
    expect(gateway.mounts.toSorted((a, b) => a.destination.localeCompare(b.destination))).toEqual([
      { source: '/srv/openclaw/state', destination: '/home/node/.openclaw', writable: true },
      { source: '/srv/openclaw/ro', destination: '/ro', writable: false },
    ])
    expect(gateway.id).toMatch(/^[0-9a-f]{64}$/)
    expect(gateway).not.toHaveProperty('finishedAt')
    expect(gateway).not.toHaveProperty('error')
    expect(new Date(gateway.startedAt ?? 0).getUTCFullYear()).toBe(2026)
  })

  it('has its environment by hash alone', () => {
    const { environment } = containerOf(inspection('gateway'))
    expect(environment).toMatchObject({
      TOKEN: sha256('recorded-token-value'),
      EMPTY: sha256(''),
      EQUALS: sha256('a=b'),
    })
    expect(JSON.stringify(containerOf(inspection('gateway')))).not.toContain('recorded-token-value')
  })

  it('shows no value of any environment', () => {
    const base = inspection('gateway')
    const value = fc.string({ minLength: 6 }).filter((text) => !JSON.stringify(base).includes(text))
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[A-Z_]{1,8}$/), value), (environment) => {
        const Env = Object.entries(environment).map((pair) => pair.join('='))
        const facts = containerOf({ ...base, Config: { ...base.Config, Env } })
        const said = JSON.stringify(facts)
        for (const each of Object.values(environment))
          expect(said).not.toContain(JSON.stringify(each).slice(1, -1))
        expect(facts.environment).toEqual(
          Object.fromEntries(Object.entries(environment).map(([name, each]) => [name, sha256(each)])),
        )
      }),
    )
  })

  it.each<[string, object]>([
    ['oom', { state: 'exited', exitCode: 137, oomKilled: true, finishedAt: expect.any(Number) }],
    ['looping', { state: 'restarting', exitCode: 78, restartCount: 6, restartPolicy: 'always' }],
    ['paused', { state: 'paused', exitCode: 0 }],
    ['created', { state: 'created', restartPolicy: 'no' }],
    ['not-started', { state: 'created', exitCode: 127, error: expect.stringContaining('/nowhere') }],
  ])('that is %s says so', (name, facts) => {
    expect(containerOf(inspection(name))).toMatchObject(facts)
  })

  it('that was never started has no times, no health and no project', () => {
    const created = containerOf(inspection('created'))
    for (const field of [
      'startedAt',
      'finishedAt',
      'health',
      'compose',
      'startPeriodMs',
      'stopSeconds',
      'error',
    ])
      expect(created).not.toHaveProperty(field)
    expect(created.limits).toEqual({})
  })

  it('of "docker compose run" belongs to no service', () => {
    const base = inspection('gateway')
    const Labels = { ...base.Config.Labels, 'com.docker.compose.oneoff': 'True' }
    expect(containerOf({ ...base, Config: { ...base.Config, Labels } }).compose).toBeUndefined()
  })

  it('without any labels or environment is read all the same', () => {
    const base = inspection('created')
    const { Labels, Env, ...Config } = base.Config
    expect(containerOf({ ...base, Config })).toMatchObject({ labels: {}, environment: {} })
  })
})

describe('the list', () => {
  const briefs = JSON.parse(recorded('list.json')).map(briefOf) as ReturnType<typeof briefOf>[]

  it('has each container by its name, with its state in words', () => {
    expect(Object.fromEntries(briefs.map(({ name, state }) => [name, state]))).toEqual({
      ...{ tty: 'running', broken: 'created', fresh: 'created', quiet: 'paused', loop: 'restarting' },
      ...{ oom: 'exited', 'openclaw-gateway': 'running', 'openclaw-db-1': 'running' },
    })
    expect(briefs.find(({ name }) => name === 'openclaw-gateway')).toMatchObject({
      status: expect.stringContaining('(unhealthy)'),
      compose: { project: 'openclaw', service: 'openclaw-gateway', dependent: true },
    })
    expect(briefs.every(({ createdAt }) => new Date(createdAt).getUTCFullYear() === 2026)).toBe(true)
  })

  it('has several environment files of a project', () => {
    const [info] = JSON.parse(recorded('list.json'))
    const Labels = {
      ...{ 'com.docker.compose.project': 'p', 'com.docker.compose.service': 's' },
      'com.docker.compose.project.environment_file': '/a.env,/b.env',
    }
    expect(briefOf({ ...info, Labels }).compose).toEqual({
      ...{ project: 'p', service: 's', workingDir: '', configFiles: [], dependent: false },
      environmentFiles: ['/a.env', '/b.env'],
    })
  })

  it('calls one without a name by its short id', () => {
    const [info] = JSON.parse(recorded('list.json'))
    expect(briefOf({ ...info, Names: [] }).name).toBe(info.Id.slice(0, 12))
  })
})

describe('figures', () => {
  const stats = JSON.parse(recorded('stats.json'))

  it('are CPU in percent of a core, memory without its cache, and processes', () => {
    const use = useOf(stats)
    // 14.3 ms of work in 1.93 s of the machine's two cores.
    expect(use.cpuPercent).toBeCloseTo(1.48, 1)
    expect(use).toMatchObject({ memoryBytes: 974848 - stats.memory_stats.stats.total_inactive_file, pids: 2 })
  })

  it.each<[string, object, number]>([
    ['of cgroup v1', { usage: 100, stats: { total_inactive_file: 30, inactive_file: 20 } }, 70],
    ['of cgroup v2', { usage: 100, stats: { inactive_file: 20 } }, 80],
    ['without details', { usage: 100 }, 100],
    ['of a container that ended meanwhile', {}, 0],
    ['that do not fit together', { usage: 10, stats: { inactive_file: 20 } }, 0],
  ])('%s are no guess', (_, memory, bytes) => {
    expect(memoryOf(memory as never)).toBe(bytes)
  })

  it('of a first second, which has none before it, are no number out of this world', () => {
    const use = useOf({ ...stats, precpu_stats: { cpu_usage: { total_usage: 0 } } })
    expect(use.cpuPercent).toBeLessThan(100)
    expect(useOf({ ...stats, precpu_stats: stats.cpu_stats }).cpuPercent).toBe(0)
  })
})

/** Output as the engine frames it. */
const frame = (stream: 1 | 2, text: string) => {
  const body = Buffer.from(text)
  const head = Buffer.alloc(8)
  head[0] = stream
  head.writeUInt32BE(body.length, 4)
  return Buffer.concat([head, body])
}

describe('framed output', () => {
  it('is put together from both streams in their order', () => {
    expect(
      demux(Buffer.concat([frame(1, 'out\n'), frame(2, 'err\n'), frame(1, ''), frame(1, 'ümläut\n')])),
    ).toEqual({ output: 'out\nerr\nümläut\n', stdout: 'out\nümläut\n', stderr: 'err\n' })
    // Recorded: `echo listening`.
    expect(demux(Buffer.from('010000000000000a6c697374656e696e670a', 'hex')).output).toBe('listening\n')
  })

  it.each<[string, Buffer, string]>([
    ['empty', Buffer.alloc(0), ''],
    ['cut in a head', Buffer.concat([frame(1, 'a'), Buffer.from([1, 0, 0])]), 'a'],
    ['cut in a body', frame(1, 'abcdef').subarray(0, 11), 'abc'],
  ])('that is %s gives what there is', (_, raw, text) => {
    expect(demux(raw).output).toBe(text)
  })

  it('of a letter that two frames share is whole', () => {
    const [a, b] = [Buffer.from('ü').subarray(0, 1), Buffer.from('ü').subarray(1)]
    const half = (part: Buffer) => Buffer.concat([Buffer.from([1, 0, 0, 0, 0, 0, 0, 1]), part])
    expect(demux(Buffer.concat([half(a), half(b)])).output).toBe('ü')
  })
})

/** What is heard of one connection whose bytes come in these pieces. */
async function hear(pieces: readonly (string | Buffer)[]): Promise<ContainerEvent[]> {
  const heard: ContainerEvent[] = []
  const ended = Promise.withResolvers<void>()
  let calls = 0
  const stop = followEvents(
    async () => Readable.from(pieces.map((piece) => Buffer.from(piece))),
    (event) => {
      if (event) heard.push(event)
      else calls += 1
      if (calls === 2) ended.resolve()
    },
  )
  await ended.promise
  stop()
  return heard
}

describe('events', () => {
  const text = recorded('events.jsonl')

  it('are read with their exit codes, names and moments', async () => {
    const events = await hear([text])
    expect(events).toHaveLength(29)
    expect(
      events.filter(({ name }) => name === 'oom').map(({ action, exitCode }) => [action, exitCode]),
    ).toEqual([
      ['create', undefined],
      ['start', undefined],
      ['oom', undefined],
      ['die', 137],
    ])
    expect(events.find(({ action }) => action === 'health_status: unhealthy')?.name).toBe('openclaw-gateway')
    expect(events.map(({ at }) => at)).toEqual(events.map(({ at }) => at).toSorted((a, b) => a - b))
    expect(new Date(events[0]?.at ?? 0).getUTCFullYear()).toBe(2026)
  })

  it('are the same in whatever pieces they come', async () => {
    const whole = await hear([text])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(text.length), { maxLength: 30 }), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        expect(await hear(at.slice(1).map((end, index) => text.slice(at[index], end)))).toEqual(whole)
      }),
      { numRuns: 25 },
    )
  })

  it('have the signal of a kill', async () => {
    const line = {
      Action: 'kill',
      Actor: { ID: 'x', Attributes: { name: 'a', signal: '15' } },
      timeNano: 2e6,
    }
    expect(await hear([`${JSON.stringify(line)}\n`])).toEqual([
      { at: 2, action: 'kill', id: 'x', name: 'a', signal: '15' },
    ])
  })

  it('that are cut off or no JSON end their connection, and those before them count', async () => {
    const [first = ''] = text.split('\n')
    expect(await hear([`${first}\n{"Action":"di`])).toHaveLength(1)
    expect(await hear([`${first}\n<html>\n${first}\n`])).toHaveLength(1)
  })

  it('are asked for again when their stream ends or cannot be had, with a look after each gap, until they are stopped', async () => {
    const streams: PassThrough[] = []
    let tries = 0
    let looks = 0
    const stop = followEvents(
      async () => {
        tries += 1
        if (tries === 2) throw new Error('no engine')
        streams.push(new PassThrough())
        return streams.at(-1) as PassThrough
      },
      (event) => {
        if (!event) looks += 1
      },
    )
    onTestFinished(stop)
    await expect.poll(() => [streams.length, looks]).toEqual([1, 1])
    streams[0]?.end()
    await expect.poll(() => [tries, streams.length, looks], { timeout: 3_000 }).toEqual([3, 2, 3])
    stop()
    streams[1]?.end()
    await expect.poll(() => streams[1]?.readableEnded || streams[1]?.destroyed).toBe(true)
    await new Promise((resolve) => setTimeout(resolve, 250))
    expect([tries, looks]).toEqual([3, 3])
  })
})

describe('a call that failed', () => {
  const failure = (fields: object) => Object.assign(new Error('said so'), fields)

  it.each<[string, unknown, boolean, EngineError['state'], string]>([
    [
      'no socket',
      failure({ code: 'ENOENT' }),
      false,
      'absent',
      'Docker is not configured here: there is no socket. DOCKER_HOST says where it is.',
    ],
    ['nobody listens', failure({ code: 'ECONNREFUSED' }), false, 'down', 'Docker is down (ECONNREFUSED).'],
    [
      'a connection that broke',
      failure({ code: 'ECONNRESET' }),
      false,
      'down',
      'Docker is down (ECONNRESET).',
    ],
    ['a hang', new Error('late'), true, 'hanging', 'Docker did not answer within 8 s.'],
    ['no right', failure({ code: 'EACCES' }), false, 'refused', 'This user may not speak with Docker.'],
    [
      'a refusal',
      failure({ statusCode: 404, reason: 'no such container' }),
      false,
      'refused',
      'Docker refused: no such container (404).',
    ],
    [
      'a refusal without a reason',
      failure({ statusCode: 409 }),
      false,
      'refused',
      'Docker refused: said so (409).',
    ],
    ['something else', new Error('said so'), false, 'down', 'Docker is down (said so).'],
    ['what is known already', new EngineError('x', 'absent'), true, 'absent', 'x'],
  ])('for %s is said in words', (_, error, timedOut, state, message) => {
    expect(engineError(error, timedOut, 8_000)).toMatchObject({ state, message })
  })

  it('says "not configured" where there is no socket, without loading a client', async () => {
    const docker = createDocker({ dockerHost: `unix://${tempDir()}/none.sock` })
    for (const call of [docker.engine(), docker.list(), docker.logs('x', { lines: 1 }), docker.stop('x', 1)])
      await expect(call).rejects.toMatchObject({
        state: 'absent',
        message: expect.stringContaining('not configured'),
      })
  })
})

/** An engine that gives these answers: a status, a body. */
async function answering(answers: Record<string, [number, string]>) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const { pathname, search } = new URL(request.url ?? '', 'http://docker')
    asked.push(`${request.method} ${pathname}${search}`)
    const [status, body] = answers[pathname] ?? [404, '{"message":"no such container"}']
    response.writeHead(status, { 'content-type': 'application/json' }).end(status === 304 ? undefined : body)
  })
  const socket = `${tempDir()}/d.sock`
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  onTestFinished(() => void server.close())
  return { docker: createDocker({ dockerHost: `unix://${socket}` }), asked }
}

describe('a call', () => {
  it('for what is so already is done: a stop of what has ended, a start of what runs', async () => {
    const { docker, asked } = await answering({
      '/containers/x/stop': [304, ''],
      '/containers/x/start': [304, ''],
    })
    await docker.stop('x', 330)
    await docker.start('x')
    expect(asked).toEqual(['POST /containers/x/stop?t=330', 'POST /containers/x/start'])
  })

  it('for what is gone finds nothing, or says so', async () => {
    const { docker } = await answering({})
    expect(await docker.inspect('x')).toBeUndefined()
    expect(await docker.hasImage('x')).toBe(false)
    for (const call of [docker.stop('x', 1), docker.start('x'), docker.logs('x', { lines: 1 })])
      await expect(call).rejects.toThrow('Docker refused: no such container (404).')
  })

  it.each<[string, string]>([
    ['openclaw:local', 'repo=openclaw&tag=local'],
    ['openclaw', 'repo=openclaw&tag=latest'],
    ['registry.example:5000/openclaw', 'repo=registry.example%3A5000%2Fopenclaw&tag=latest'],
    ['registry.example:5000/openclaw:2', 'repo=registry.example%3A5000%2Fopenclaw&tag=2'],
  ])('gives an image its name %s again', async (reference, query) => {
    const { docker, asked } = await answering({ '/images/sha256:x/tag': [201, ''] })
    await docker.tag('sha256:x', reference)
    expect(asked).toEqual([`POST /images/sha256:x/tag?${query}`])
  })
})
