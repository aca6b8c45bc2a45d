// Checks inside the gateway's container: tmpfs mounts, its own Docker, its runtime, and what is not seen while it does not run.

import { describe, expect, it } from 'vitest'
import type { Observation } from '../../src/ops/checks/index.ts'
import { insideChecks, parseDf } from '../../src/ops/checks/inside.ts'
import { findGateway } from '../../src/ops/deployment.ts'
import { type Box, boxOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { T0 } from './help.ts'

const HEAD = 'Filesystem           1024-blocks    Used Available Capacity Mounted on\n'

describe('df', () => {
  it.each<[string, string, unknown[]]>([
    [
      'of busybox (recorded), with a mount that is not there',
      `${HEAD}tmpfs                 12342040         0  12342040   0% /tmp\ntmpfs                 12342040     10000  12332040   0% /var/log\ndf: /nope: can't find mount point\n`,
      [
        { point: '/tmp', used: 0, available: 12342040 * 1024 },
        { point: '/var/log', used: 10000 * 1024, available: 12332040 * 1024 },
      ],
    ],
    [
      'of coreutils',
      `${HEAD}tmpfs 65536 65536 0 100% /tmp\n`,
      [{ point: '/tmp', used: 65536 * 1024, available: 0 }],
    ],
    [
      'of a mount with a space in it',
      `${HEAD}tmpfs 10 5 5 50% /a b\n`,
      [{ point: '/a b', used: 5120, available: 5120 }],
    ],
    ['that is not there', 'OCI runtime exec failed: exec: "df": executable file not found', []],
    ['that says nothing', '', []],
  ])('%s', (_, output, figures) => {
    expect(parseDf(output)).toEqual(figures)
  })
})

function createYard(box: Partial<Box> = {}) {
  const engine = createFakeEngine({ now: () => T0 })
  const gateway = engine.add(boxOf(GATEWAY, box))
  const answers: Record<string, { exitCode: number; output: string }> = {}
  const argvs: string[] = []
  const exec = async (id: string, argv: readonly string[]) => {
    argvs.push(argv.join(' '))
    await engine.docker.exec(id, argv, { timeoutMs: 1 })
    const none = { exitCode: 126, output: `OCI runtime exec failed: "${argv[0]}" not found` }
    const answer = answers[argv[0] ?? ''] ?? none
    return { ...answer, stdout: answer.output, stderr: '' }
  }
  const checks = insideChecks({
    docker: { ...engine.docker, exec },
    findGateway: async () => findGateway(await engine.docker.list(), { watched: [] }),
  })
  const look = async (name: string): Promise<Observation[]> =>
    (await checks.find((each) => each.name === name)?.look(new AbortController().signal)) ?? []
  return { engine, gateway, answers, argvs, look }
}

describe('a tmpfs inside', () => {
  it.each<[number, number, string, string]>([
    [0, 1000, 'ok', '0 % used, 1.0 MB free.'],
    [890, 110, 'ok', '89 % used'],
    [910, 90, 'warn', '91 % used'],
    [970, 30, 'bad', '97 % used'],
    [1000, 0, 'bad', '100 % used, 0 B free.'],
  ])('with %i kB used and %i free is %s', async (used, free, verdict, why) => {
    const yard = createYard({ tmpfs: ['/tmp'] })
    yard.answers.df = { exitCode: 0, output: `${HEAD}tmpfs 1000 ${used} ${free} 1% /tmp\n` }
    const [seen] = await yard.look('tmpfs')
    expect(seen).toMatchObject({ key: 'tmpfs//tmp', area: 'gateway', verdict, gauge: { fills: true } })
    expect(seen?.why).toContain(why)
  })

  it('is asked for by its mount points alone, and /var/log says what is at stake', async () => {
    const yard = createYard({ tmpfs: ['/tmp', '/var/log'] })
    yard.answers.df = { exitCode: 1, output: `${HEAD}tmpfs 10 1 9 1% /tmp\ntmpfs 10 1 9 1% /var/log\n` }
    const seen = await yard.look('tmpfs')
    expect(yard.argvs).toEqual(['df -kP /tmp /var/log'])
    expect(seen.map(({ key }) => key)).toEqual(['tmpfs//tmp', 'tmpfs//var/log'])
    expect(seen[1]?.mend).toContain('dockerd.log')
  })

  it('is not looked for where there is none', async () => {
    const yard = createYard()
    expect(await yard.look('tmpfs')).toEqual([])
    expect(yard.argvs).toEqual([])
  })
})

describe('the Docker inside', () => {
  it.each<[string, { exitCode: number; output: string } | undefined, string, string]>([
    ['answers', { exitCode: 0, output: '27.0.1\n' }, 'ok', 'Docker 27.0.1 answers inside.'],
    ['is not there', undefined, 'absent', 'It has none.'],
    [
      'is not there for a shell',
      { exitCode: 127, output: 'sh: docker: not found' },
      'absent',
      'It has none.',
    ],
    [
      'is down',
      { exitCode: 1, output: '\nERROR: Cannot connect to the Docker daemon\nerrors pretty printing info' },
      'bad',
      'Sandboxes cannot be started. errors pretty printing info',
    ],
    ['is down and silent', { exitCode: 1, output: '' }, 'bad', 'Sandboxes cannot be started.'],
  ])('%s', async (_, answer, verdict, why) => {
    const yard = createYard()
    if (answer) yard.answers.docker = answer
    expect(await yard.look('nested')).toEqual([expect.objectContaining({ key: 'nested', verdict, why })])
  })
})

describe('the runtime', () => {
  it('that the engine knows is well, another is missing', async () => {
    expect((await createYard().look('runtime'))[0]).toMatchObject({ key: 'runtime', verdict: 'ok' })
    expect((await createYard({ runtime: 'sysbox-runc' }).look('runtime'))[0]).toMatchObject({
      ...{ verdict: 'bad', title: 'The runtime sysbox-runc is missing' },
      why: 'Docker does not know it: the gateway cannot be started again.',
    })
  })

  it('is missed most when the gateway could not be started for want of it', async () => {
    const [seen] = await createYard({ runtime: 'sysbox-runc', state: 'exited' }).look('runtime')
    expect(seen?.verdict).toBe('bad')
  })

  it('that was never named is the usual one', async () => {
    expect(await createYard({ runtime: '' }).look('runtime')).toEqual([])
  })
})

describe('what cannot be seen', () => {
  async function seenBefore() {
    const yard = createYard({ tmpfs: ['/tmp'] })
    yard.answers.df = { exitCode: 0, output: `${HEAD}tmpfs 1000 970 30 97% /tmp\n` }
    yard.answers.docker = { exitCode: 1, output: 'down' }
    for (const name of ['tmpfs', 'nested']) expect((await yard.look(name))[0]?.verdict).toBe('bad')
    return yard
  }
  type Yard = Awaited<ReturnType<typeof seenBefore>>

  it.each<[string, (yard: Yard) => unknown, string]>([
    [
      'the gateway does not run',
      ({ gateway }) => Object.assign(gateway, { state: 'exited' }),
      'The gateway does not run.',
    ],
    [
      'the gateway is paused',
      ({ gateway }) => Object.assign(gateway, { state: 'paused' }),
      'The gateway does not run.',
    ],
    ['the gateway is gone', ({ engine }) => engine.remove(GATEWAY), 'The gateway does not run.'],
    ['the engine hangs', ({ engine }) => engine.goAway('hanging'), 'Docker is hanging.'],
    [
      'it is not clear which one is the gateway',
      ({ engine }) =>
        ['a', 'b'].map((project) =>
          engine.add(
            boxOf(project, {
              compose: {
                project,
                service: GATEWAY,
                workingDir: '/',
                configFiles: [],
                environmentFiles: [],
                dependent: false,
              },
            }),
          ),
        ),
      'Several containers may be the gateway',
    ],
  ])('stays as it was, unknown, while %s', async (_, happen, why) => {
    const yard = await seenBefore()
    happen(yard)
    for (const [name, key] of [
      ['tmpfs', 'tmpfs//tmp'],
      ['nested', 'nested'],
    ] as const) {
      const [seen, ...more] = await yard.look(name)
      expect(seen).toMatchObject({ key, verdict: 'unknown', why: expect.stringContaining(why) })
      expect(more).toEqual([])
    }
  })

  it('is unknown, and not nothing, where nothing was ever seen: an alert from before our start lives on', async () => {
    const yard = createYard({ state: 'exited' })
    for (const name of ['tmpfs', 'nested'])
      expect(await yard.look(name)).toMatchObject([{ key: name, verdict: 'unknown' }])
  })

  it('is seen again when it runs again', async () => {
    const yard = await seenBefore()
    yard.gateway.state = 'exited'
    await yard.look('nested')
    yard.gateway.state = 'running'
    yard.answers.docker = { exitCode: 0, output: '27' }
    expect((await yard.look('nested'))[0]?.verdict).toBe('ok')
  })
})
