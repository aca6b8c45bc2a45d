// Sandboxes as they are seen: on the gateway's daemon, beside its registry and its config; blind is never "none".

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { SandboxLook } from '../../src/ops/gateway/sandbox-daemon.ts'
import { agentOf, figuresOf, idsOf, imageOf, sizeIn } from '../../src/ops/gateway/sandbox-facts.ts'
import { entriesOf, goneOf, policyIn, viewsOf } from '../../src/ops/gateway/sandbox-registry.ts'
import {
  createYard,
  gatewayBoxes,
  NOW,
  recorded,
  recordedBoxes,
  result,
} from '../fixtures/openclaw/sandbox-yard.ts'
import { HOUR, MINUTE } from './help.ts'

type Yard = ReturnType<typeof createYard>['yard']
const DAY = 24 * HOUR

async function seen(house = createYard()) {
  const look = await house.sandboxes.list()
  if (look.state !== 'seen') throw new Error(look.why)
  return look
}

describe('what Docker says', () => {
  it.each<[string, string | undefined, string | undefined]>([
    ['the older gateway’s', 'agent:main', 'main'],
    ['the newer gateway’s', 'agent:main:workspace:cddce8bd7eebfe25e3f3e5cf0f37a082', 'main'],
    ['shared', 'shared', undefined],
    ['absent', undefined, undefined],
    ['an option in disguise', 'agent:--all:x', undefined],
    ['empty behind its name', 'agent:', undefined],
    ['with markup', 'agent:<b>:x', undefined],
  ])('a session key that is %s names its agent', (_, session, agent) => {
    expect(agentOf(session)).toBe(agent)
  })

  it.each<[string, number | undefined]>([
    ['468KiB / 64MiB', 479_232],
    ['1.5GiB / 2GiB', 1_610_612_736],
    ['12B / 0B', 12],
    ['3.2MB / 1GB', 3_200_000],
    ['-- / --', undefined],
    ['', undefined],
    ['12XiB', undefined],
  ])('%j is a size of %s', (text, size) => {
    expect(sizeIn(text)).toBe(size)
  })

  it('of figures that it did not get is none', () => {
    const line = JSON.stringify({ ID: 'a'.repeat(64), CPUPerc: '--', MemUsage: '-- / --', PIDs: '--' })
    expect(figuresOf(`${line}\n`)).toEqual(new Map([['a'.repeat(12), {}]]))
  })

  it('recorded on a real engine is read whole', () => {
    expect(idsOf(recorded('sandbox-ps.jsonl'))).toEqual(recordedBoxes().map(({ Id }) => Id))
    expect(figuresOf(recorded('sandbox-stats.jsonl')).get('3e071bfc74d4')).toEqual({
      ...{ cpuPercent: 0, pids: 1 },
      memoryBytes: expect.any(Number),
    })
  })

  it.each<[string, Parameters<typeof imageOf>[0], ReturnType<typeof imageOf>]>([
    [
      'a build date',
      result(
        '{"Id":"sha256:aabbccddeeff00","Created":"2020-01-01T00:00:00Z","Labels":{"openclaw.build-date":"2026-10-01T08:00:00Z"}}',
      ),
      { state: 'here', id: 'aabbccddeeff', builtAt: Date.UTC(2026, 9, 1, 8) },
    ],
    [
      'no labels',
      result('{"Id":"sha256:aabbccddeeff00","Created":"2026-10-02T00:00:00Z","Labels":null}'),
      { state: 'here', id: 'aabbccddeeff', builtAt: Date.UTC(2026, 9, 2) },
    ],
    [
      'a date that is none, for it is the same each time',
      result('{"Id":"sha256:aabbccddeeff00","Created":"1980-01-01T00:00:00Z"}'),
      { state: 'here', id: 'aabbccddeeff' },
    ],
    [
      'a name that nothing has',
      result('\n', 1, 'Error response from daemon: No such image: x:1\n'),
      { state: 'missing' },
    ],
    [
      'a daemon that is down',
      result('', 1, 'Cannot connect to the Docker daemon\n'),
      { state: 'unknown', why: 'Cannot connect to the Docker daemon' },
    ],
    [
      'half an answer',
      result('{"Id":"sha2'),
      { state: 'unknown', why: 'docker image inspect said something that is not understood.' },
    ],
  ])('an image with %s', (_, answer, image) => {
    expect(imageOf(answer)).toEqual(image)
  })
})

describe('the list', () => {
  it('has what real gateways of both versions made', async () => {
    const { sandboxes } = await seen(createYard(gatewayBoxes()))
    expect(sandboxes).toMatchObject([
      { name: 'openclaw-sbx-agent-main-f331f052', session: 'agent:main', agent: 'main', browser: false },
      {
        name: 'openclaw-sbx-workspace-eb9d37a6c621e2e1f238273cb9e0d535',
        session: 'agent:main:workspace:cddce8bd7eebfe25e3f3e5cf0f37a082',
        ...{ agent: 'main', running: true, limits: { memoryBytes: 2 ** 30, cpus: 1, pids: 256 } },
      },
    ])
    // Their image is not the one that the reference means here.
    expect(sandboxes.map(({ imageMatch }) => imageMatch)).toEqual(['other', 'other'])
  })

  it('has all that was recorded: killed, ran out of memory, a browser, and one without a session', async () => {
    const { sandboxes } = await seen()
    const facts = sandboxes.map(({ id, agent, state, exitCode, oomKilled, browser }) => [
      ...[id, agent, state, exitCode, oomKilled, browser],
    ])
    expect(facts).toEqual([
      ['d5f74aab76f0', undefined, 'created', 0, false, false],
      ['8a8c8babd6eb', 'work', 'running', 0, true, false],
      ['3c3807e989dd', 'work', 'exited', 137, true, false],
      ['167a19705ec3', 'main', 'running', 0, false, true],
      ['3e071bfc74d4', 'main', 'running', 0, false, false],
    ])
    expect(sandboxes[4]?.use).toEqual({ cpuPercent: 0.71, memoryBytes: 479_232, pids: 1 })
    expect(sandboxes[2]?.use).toEqual({})
  })

  it('reads no environment, and asks for running ones’ figures alone', async () => {
    const house = createYard()
    await house.sandboxes.list()
    const [ps, inspect] = house.yard.argvs
    expect(ps).toBe('docker ps -a --no-trunc --filter label=openclaw.sandbox=1 --format {{json .}}')
    expect(inspect).not.toContain('Env')
    const stats = house.yard.argvs.find((argv) => argv.startsWith('docker stats'))
    expect(stats?.match(/[0-9a-f]{64}/g)?.length).toBe(3)
  })

  it.each<[string, (yard: Yard) => unknown, SandboxLook]>([
    [
      'the gateway does not run',
      (yard) => Object.assign(yard, { down: true }),
      { state: 'unknown', why: 'The gateway does not run.', told: true },
    ],
    [
      'there is no docker inside',
      ({ instead }) => Object.assign(instead, { ps: result('', 126, 'exec: "docker": not found') }),
      { state: 'absent', why: 'The gateway has no Docker, so it has no sandboxes.' },
    ],
    [
      'timeout does not find docker',
      ({ instead }) => Object.assign(instead, { ps: result('', 127, 'timeout: failed to run command') }),
      { state: 'absent', why: 'The gateway has no Docker, so it has no sandboxes.' },
    ],
    [
      'its daemon is down',
      ({ instead }) =>
        Object.assign(instead, { ps: result('', 1, 'Cannot connect to the Docker daemon at unix:///x.\n') }),
      { state: 'unknown', why: 'docker ps: Cannot connect to the Docker daemon at unix:///x.', told: true },
    ],
    [
      'its daemon hangs',
      ({ instead }) => Object.assign(instead, { ps: result('', 124) }),
      { state: 'unknown', why: 'docker ps did not end within 5 s.', told: false },
    ],
    [
      'its daemon dies in between',
      ({ instead }) => Object.assign(instead, { inspect: result('', 1, 'Cannot connect') }),
      { state: 'unknown', why: 'docker inspect left sandboxes out.', told: false },
    ],
    [
      'its socket is not for the user node',
      ({ instead }) =>
        Object.assign(instead, {
          ps: result('', 1, 'permission denied while trying to connect to the Docker daemon socket\n'),
        }),
      {
        ...{ state: 'unknown', told: false },
        why: 'docker ps: permission denied while trying to connect to the Docker daemon socket',
      },
    ],
    [
      'it fails without a word',
      ({ instead }) => Object.assign(instead, { ps: result('', 1) }),
      { state: 'unknown', why: 'docker ps: It did not say why.', told: false },
    ],
    [
      'the engine of the host is away',
      ({ instead }) => Object.assign(instead, { ps: new OpsError('Docker is down.') }),
      { state: 'unknown', why: 'Docker is down.', told: true },
    ],
    [
      'something else answers',
      ({ instead }) => Object.assign(instead, { ps: result('<html>\n') }),
      { state: 'unknown', why: 'docker ps said something that is not understood.', told: false },
    ],
  ])('says why there is none when %s', async (_, happen, look) => {
    const { yard, sandboxes } = createYard()
    happen(yard)
    expect(await sandboxes.list()).toEqual(look)
  })

  it('is empty when the daemon has none, and only then', async () => {
    expect(await createYard([]).sandboxes.list()).toEqual({
      state: 'seen',
      sandboxes: [],
      images: {},
      gaps: [],
    })
  })

  it('does without one that has gone since it was listed', async () => {
    const house = createYard()
    const [, ...others] = recordedBoxes()
    const answer = others.map((each) => JSON.stringify(each)).join('\n')
    house.yard.instead.inspect = result(answer, 1, 'Error response from daemon: No such container: d5f7\n')
    expect((await seen(house)).sandboxes).toHaveLength(4)
  })

  it('without figures says that they are missing, and is a list all the same', async () => {
    const house = createYard()
    house.yard.instead.stats = result('', 1, 'Error response from daemon: No such container: x')
    const { sandboxes, gaps } = await seen(house)
    expect(sandboxes.map(({ use }) => use)).toEqual([{}, {}, {}, {}, {}])
    expect(gaps[0]).toContain('CPU, memory and pids were not seen.')
  })

  it('looks up the images that are wanted besides, once each and not too many', async () => {
    const house = createYard()
    const many = Array.from({ length: 40 }, (_, index) => `image:${index}`)
    const look = await house.sandboxes.list([...many, 'constructor'])
    if (look.state !== 'seen') throw new Error(look.why)
    expect(house.yard.argvs.filter((argv) => argv.startsWith('docker image'))).toHaveLength(16)
    expect(look.images['image:0']).toEqual({ state: 'missing' })
    expect(look.sandboxes.map(({ imageMatch }) => imageMatch)).toEqual(Array(5).fill('unknown'))
  })

  it('tells a bug from what an operator should read', async () => {
    const { yard, sandboxes } = createYard()
    yard.instead.ps = new TypeError('a bug')
    await expect(sandboxes.list()).rejects.toThrow('a bug')
  })
})

describe('a hostile or half answer', () => {
  const whole = { ps: recorded('sandbox-ps.jsonl'), inspect: recorded('sandbox-inspect.jsonl') }

  it.each(['ps', 'inspect'] as const)('of docker %s, cut anywhere, is never "none"', async (command) => {
    for (let length = 1; length < whole[command].length; length += 7) {
      const { yard, sandboxes } = createYard()
      yard.instead[command] = result(whole[command].slice(0, length))
      const look = await sandboxes.list()
      expect(look.state === 'unknown' || (look.state === 'seen' && look.sandboxes.length > 0)).toBe(true)
    }
  })

  const NASTY = [
    'null',
    '[]',
    '{}',
    '""',
    '0',
    '{"ID":1}',
    '{"ID":"<b>"}',
    '{"ID":"--all"}',
    '\u202e',
    ' ',
    '\r',
    '{"ID":"../../etc"}',
    'x'.repeat(1e6),
    '{"__proto__":{"ID":"a"}}',
  ]
  it.each(NASTY.map((text) => [text.slice(0, 30), text]))('%j is unknown', async (_, text) => {
    for (const command of ['ps', 'inspect']) {
      const { yard, sandboxes } = createYard()
      yard.instead[command] = result(`${text}\n`)
      expect(await sandboxes.list()).toMatchObject({ state: 'unknown' })
    }
    expect(() => entriesOf(text)).toThrow(OpsError)
  })

  it('of the image’s and the figures’ calls costs only what it is about', async () => {
    for (const text of NASTY) {
      const house = createYard()
      Object.assign(house.yard.instead, { stats: result(text), image: result(text) })
      const { sandboxes } = await seen(house)
      expect(sandboxes.map(({ imageMatch }) => imageMatch)).toEqual(Array(5).fill('unknown'))
    }
  })
})

describe('the gateway’s registry', () => {
  it('is read in two calls, and kept', async () => {
    const { yard, sandboxes } = createYard()
    const wish = { maxAgeMs: 5 * MINUTE, withinMs: 1_000 }
    const first = await sandboxes.registry(wish)
    if (first.state !== 'seen') throw new Error(first.why)
    expect(first.entries.map(({ browser }) => browser)).toEqual([false, false, false, false, true])
    yard.at += 5 * MINUTE
    expect(await sandboxes.registry(wish)).toEqual(first)
    expect(yard.argvs).toEqual(['openclaw sandbox list --json', 'openclaw sandbox list --browser --json'])
    yard.at += 1
    expect(await sandboxes.registry(wish)).toMatchObject({ askedAt: yard.at })
    expect(yard.argvs).toHaveLength(4)
  })

  it('that takes too long is unknown, is read once for all who ask, and is there at the next try', async () => {
    const { yard, parts, sandboxes } = createYard()
    expect(await sandboxes.registry({ maxAgeMs: HOUR, withinMs: 0 })).toMatchObject({ state: 'seen' })
    sandboxes.forget()
    const gate = Promise.withResolvers<unknown>()
    const cli = await parts.cli()
    if (cli)
      cli.json = async () => {
        yard.argvs.push('sandbox list')
        return await gate.promise
      }
    const before = yard.argvs.length
    const late = { state: 'unknown', why: 'It is being read, which takes seconds. Ask again in a moment.' }
    const wish = { maxAgeMs: HOUR, withinMs: 1 }
    expect(await Promise.all([sandboxes.registry(wish), sandboxes.registry(wish)])).toEqual([late, late])
    gate.resolve({ containers: [], browsers: [] })
    expect(await sandboxes.registry({ maxAgeMs: HOUR, withinMs: 1_000 })).toEqual({
      ...{ state: 'seen', askedAt: yard.at, entries: [] },
    })
    expect(yard.argvs.slice(before)).toEqual(['sandbox list', 'sandbox list'])
  })

  it('that was read before sandboxes were recreated is not kept', async () => {
    const { parts, sandboxes } = createYard()
    const gate = Promise.withResolvers<unknown>()
    const cli = await parts.cli()
    if (!cli) throw new Error('no cli')
    const { json } = cli
    cli.json = async () => await gate.promise
    await sandboxes.registry({ maxAgeMs: HOUR, withinMs: 1 })
    sandboxes.forget()
    cli.json = json
    gate.resolve({ containers: [], browsers: [] })
    // The read of before comes to its end.
    await new Promise(setImmediate)
    const look = await sandboxes.registry({ maxAgeMs: HOUR, withinMs: 1_000 })
    expect(look.state === 'seen' && look.entries).toHaveLength(5)
  })

  it.each<[string, (yard: Yard) => unknown, string]>([
    ['the gateway does not run', (yard) => Object.assign(yard, { down: true }), 'The gateway does not run.'],
    ['its CLI fails', (yard) => Object.assign(yard, { mute: new OpsError('It said no.') }), 'It said no.'],
    [
      'its CLI says something else',
      (yard) => Object.assign(yard.registry, { containers: 'none' }),
      'openclaw sandbox list said something that is not understood.',
    ],
  ])('is unknown when %s, and what was read before stays', async (_, happen, why) => {
    const { yard, sandboxes } = createYard()
    const fresh = createYard()
    happen(fresh.yard)
    const wish = { maxAgeMs: 0, withinMs: 1_000 }
    expect(await fresh.sandboxes.registry(wish)).toEqual({ state: 'unknown', why })
    const before = await sandboxes.registry(wish)
    happen(yard)
    yard.at += HOUR
    expect(await sandboxes.registry(wish)).toEqual(before)
  })

  it('that failed is tried again, but not by each who asks', async () => {
    const { yard, sandboxes } = createYard()
    const wish = { maxAgeMs: 5 * MINUTE, withinMs: 1_000 }
    yard.mute = new OpsError('It said no.')
    for (const _ of [1, 2]) expect(await sandboxes.registry(wish)).toMatchObject({ why: 'It said no.' })
    expect(yard.argvs).toHaveLength(1)
    yard.mute = undefined
    yard.at += MINUTE + 1
    expect((await sandboxes.registry(wish)).state).toBe('seen')
  })

  it('of the newer gateway is read as it was captured', () => {
    expect(entriesOf(JSON.parse(recorded('sandbox-list-new.json')))).toEqual([
      {
        name: 'openclaw-sbx-workspace-eb9d37a6c621e2e1f238273cb9e0d535',
        session: 'agent:main:workspace:cddce8bd7eebfe25e3f3e5cf0f37a082',
        ...{ browser: false, backend: 'docker', createdAt: 1795166350268, lastUsedAt: 1795166350661 },
      },
    ])
  })
})

describe('the gateway’s config', () => {
  const sandbox = { mode: 'all', prune: { idleHours: 168, maxAgeDays: 60 } }
  it.each<[string, unknown, Partial<ReturnType<typeof policyIn>>]>([
    ['nothing', { resolved: {} }, { agents: ['main'], prune: { idleHours: 24, maxAgeDays: 7 }, images: [] }],
    [
      'the newer gateway’s table of agents',
      { parsed: {}, resolved: { agents: { defaults: { sandbox }, entries: { main: {}, Work: {} } } } },
      {
        agents: ['main', 'work'],
        prune: { idleHours: 168, maxAgeDays: 60 },
        images: ['openclaw-sandbox:bookworm-slim'],
      },
    ],
    [
      'the older gateway’s list of agents',
      {
        config: {
          agents: {
            list: [{ id: 'main' }, { id: 'Ops Two', sandbox: { mode: 'all', prune: { idleHours: 0 } } }],
          },
        },
      },
      {
        agents: ['main', 'ops-two'],
        agentPrune: { 'ops-two': { idleHours: 0 } },
        images: ['openclaw-sandbox:bookworm-slim'],
      },
    ],
    [
      'one prune figure alone',
      { parsed: { agents: { defaults: { sandbox: { prune: { maxAgeDays: 0 } } } } } },
      { prune: { idleHours: 24, maxAgeDays: 0 } },
    ],
    [
      'images and a browser',
      {
        parsed: {
          agents: {
            defaults: { sandbox: { mode: 'non-main', docker: { image: 'a:1' }, browser: { enabled: true } } },
          },
        },
      },
      { images: ['a:1', 'openclaw-sandbox-browser:bookworm-slim'] },
    ],
    [
      'sandboxes that are not in Docker',
      { parsed: { agents: { defaults: { sandbox: { mode: 'all', backend: 'ssh' } } } } },
      { images: [] },
    ],
    [
      'what is shared, which no agent prunes by its own rule',
      {
        parsed: {
          agents: {
            defaults: { sandbox: { scope: 'shared' } },
            list: [{ id: 'a', sandbox: { prune: { idleHours: 1 } } }],
          },
        },
      },
      { agentPrune: {} },
    ],
  ])('with %s', (_, answer, policy) => {
    expect(policyIn(answer)).toMatchObject(policy)
  })

  it.each<[string, unknown]>([
    ['refused', { valid: false, resolved: {} }],
    ['missing', undefined],
    ['without any part', {}],
    ['no config', { resolved: { agents: { defaults: { sandbox: 'all' } } } }],
    ['hostile', { resolved: { agents: { list: [{ id: 7 }] } } }],
  ])('that is %s tells nothing', async (_, answer) => {
    expect(() => policyIn(answer)).toThrow(OpsError)
    const { yard, sandboxes } = createYard()
    yard.config = answer
    expect(await sandboxes.policy()).toBeUndefined()
  })

  it('that cannot be asked for is not known', async () => {
    const { yard, sandboxes } = createYard()
    yard.config = new OpsError('shut')
    expect(await sandboxes.policy()).toBeUndefined()
  })
})

describe('beside each other', () => {
  const policy = policyIn({ resolved: { agents: { list: [{ id: 'main' }, { id: 'work' }] } } })
  const main = async () => (await seen()).sandboxes.filter(({ id }) => id === '3e071bfc74d4')
  const entry = {
    name: 'openclaw-sbx-agent-main-f331f052',
    session: 'agent:main',
    browser: false,
    backend: 'docker',
    createdAt: 0,
    lastUsedAt: NOW - HOUR,
  }

  it.each<[string, Partial<typeof policy>, number | undefined, number | undefined]>([
    ['not used for so long', {}, NOW - HOUR, NOW + 23 * HOUR],
    [
      'of such an age, when that comes first',
      { prune: { idleHours: 999, maxAgeDays: 1 } },
      NOW,
      Date.parse('2026-11-20T14:07:38.641Z') + DAY,
    ],
    ['not known to be, while its use is not known', {}, undefined, undefined],
    [
      'of such an age alone, when its use does not count',
      { prune: { idleHours: 0, maxAgeDays: 7 } },
      undefined,
      Date.parse('2026-11-20T14:07:38.641Z') + 7 * DAY,
    ],
    ['by its agent’s own rule', { agentPrune: { main: { idleHours: 2 } } }, NOW - HOUR, NOW + HOUR],
    ['never', { prune: { idleHours: 0, maxAgeDays: 0 } }, NOW, undefined],
  ])('one is pruned when it is %s', async (_, more, lastUsedAt, pruneAt) => {
    const entries = lastUsedAt === undefined ? [] : [{ ...entry, lastUsedAt }]
    const known = { registry: { askedAt: NOW, entries }, policy: { ...policy, ...more } }
    expect(viewsOf(await main(), known, NOW)[0]?.pruneAt).toBe(pruneAt)
  })

  const other = { ...entry, name: 'another' }
  it.each<[string, Parameters<typeof viewsOf>[1], string | undefined]>([
    ['neither is known', {}, undefined],
    ['its agent is configured', { policy }, undefined],
    [
      'its agent is not configured',
      { policy: { ...policy, agents: ['work'] } },
      'there is no agent "main" any more',
    ],
    ['the registry has it', { registry: { askedAt: NOW, entries: [entry] } }, undefined],
    [
      'the registry has others alone',
      { registry: { askedAt: NOW, entries: [other] } },
      "the gateway's registry does not know it",
    ],
    [
      'the registry is empty, as it is after any error',
      { registry: { askedAt: NOW, entries: [] } },
      undefined,
    ],
    [
      'the registry has browsers alone',
      { registry: { askedAt: NOW, entries: [{ ...other, browser: true }] } },
      undefined,
    ],
    ['the registry is old', { registry: { askedAt: NOW - 2 * HOUR, entries: [other] } }, undefined],
    [
      'it was made after the registry was read',
      { registry: { askedAt: Date.UTC(2026, 10, 20, 14, 8), entries: [other] } },
      undefined,
    ],
  ])('one is an orphan or not when %s', async (_, known, orphan) => {
    expect(viewsOf(await main(), known, NOW)[0]?.orphan).toBe(orphan)
  })

  it('what is in the registry alone is gone, but for what is elsewhere', async () => {
    const entries = [entry, other, { ...other, name: 'far', backend: 'ssh' }]
    expect(goneOf(await main(), { askedAt: NOW, entries })).toEqual([other])
  })
})
