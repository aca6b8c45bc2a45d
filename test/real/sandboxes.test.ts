// Sandboxes of real gateways: seen, told of, removed by the gateway's own command, and never "none" when nothing is seen.

import { chownSync, readFileSync, writeFileSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext, vi } from 'vitest'
import { createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import type { ModelApi } from './model-api.ts'
import { createRig, report, secondsSince } from './rig.ts'
import { useStage } from './stage.ts'

const isRoot = process.getuid?.() === 0
/** Command lines of gateways take seconds of a core each, and twice that on a busy machine. */
vi.setConfig({ testTimeout: 300_000 })
const IMAGE = 'openclaw-sandbox:bookworm-slim'
const LIMITS = { pidsLimit: 60, memory: '64m', memorySwap: '64m' }
const AGENTS = [{ id: 'main', default: true }, { id: 'second' }]
let engine: Engine
let model: ModelApi

useStage(['forky'], (stage) => {
  engine = stage.engine
  model = stage.model
})

/** The daemon as the gateway sees it: it can be away while the engine that runs the gateway is not, as a nested one can. */
async function createDaemon(path: string, real: string) {
  const open = new Set<Socket>()
  let server: Server | undefined
  async function start(): Promise<void> {
    server = createServer({ allowHalfOpen: true }, (from) => {
      const to = createConnection({ path: real, allowHalfOpen: true })
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        open.add(one)
        one.pipe(other)
        one.on('error', () => other.destroy()).on('close', () => open.delete(one))
      }
    })
    await new Promise<void>((resolve) => server?.listen(path, resolve))
    // As all of the gateway's state is its user's.
    chownSync(path, 1000, 1000)
  }
  async function stop(): Promise<void> {
    const closed = new Promise((resolve) => server?.close(resolve))
    for (const each of open) each.destroy()
    await closed
  }
  await start()
  return { start, stop }
}

describe.each(Object.keys(VERSIONS) as Version[])('sandboxes of the %s version', (version) => {
  let gateway: Gateway
  let daemon: Awaited<ReturnType<typeof createDaemon>>
  beforeAll(async () => {
    if (!isRoot) return
    gateway = await startGateway({
      ...{ engine, version, model, sandbox: true },
      dockerHost: 'unix:///home/node/.openclaw/docker.sock',
      config: { agents: { defaults: { sandbox: { docker: LIMITS } }, list: AGENTS } },
    })
    const real = `${engine.env.DOCKER_HOST}`.replace('unix://', '')
    daemon = await createDaemon(join(gateway.stateDir, 'docker.sock'), real)
  }, PATIENCE_MS)
  afterAll(async () => {
    await gateway?.down()
    await daemon?.stop()
  })

  const sceneFor = (context: TestContext): Promise<Scene> =>
    createScene(createRig(context), engine, {
      OPENCLAW_GATEWAY_CONTAINER: gateway.container,
      OPENCLAW_DIR: gateway.dir,
    })
  /** Short ids of the sandboxes, by agent, from the engine itself. */
  async function made(): Promise<Record<string, string>> {
    const format = '{{.ID}} {{.Label "openclaw.sessionKey"}}'
    const listed = await engine.docker('ps', '-a', '--filter', 'label=openclaw.sandbox=1', '--format', format)
    return Object.fromEntries(
      listed.split('\n').flatMap((line) => {
        const [, id = '', agent = ''] = /^(\w+) agent:(\w+)/.exec(line) ?? []
        return id ? [[agent, id]] : []
      }),
    )
  }
  const run = (command: string, agent = 'main') => gateway.runAgent(`run: ${command}`, agent)
  /** Asks until the answer has these words. */
  const shows = (scene: Scene, line: string, words: RegExp) =>
    until(
      `${line} that shows ${words}`,
      async () => {
        const { text } = await scene.ask(line)
        return words.test(text) ? text : undefined
      },
      60_000,
    )

  it('are shown with agent, image, use against limits, idleness and next prune, and tell of what is short', async (context) => {
    await run('hostname')
    const scene = await sceneFor(context)
    const { main = '' } = await made()
    const list = await shows(scene, '/sandboxes', /, idle /)
    expect(list).toMatch(/^✅ 1 sandbox, 1 running/)
    expect(list).toMatch(new RegExp(`✅ main \\S* ?${main}: runs, image matches, made .* ago, idle `))
    expect(list).toMatch(/of 67 MB, \d+ of 60 pids, pruned in 23 h \d+ min at the earliest/)
    const one = await shows(scene, '/sandbox main', /last used/)
    for (const words of ['Sandbox of main: runs', 'image matches', 'Session agent:main', 'openclaw-sbx-'])
      expect(one).toContain(words)

    // The third redirection lets the tool's call end.
    await run('i=0; while [ $i -lt 50 ]; do sleep 3000 > /dev/null 2>&1 & i=$((i+1)); done')
    const pids = await scene.reads(/Sandbox openclaw-sbx-\S+ almost out of processes/, 40_000)
    expect(pids.text).toMatch(/5\d of 60 are in use/)
    await engine
      .docker('exec', main, 'sh', '-c', 'tail -c 200000000 /dev/zero | tail > /dev/null')
      .catch(() => undefined)
    await scene.reads(/Sandbox openclaw-sbx-\S+ was out of memory/, 40_000)
    expect((await scene.ask('/sandbox main')).text).toMatch(/out of memory[\s\S]*almost out of pids/)
  })

  it('are removed by the gateway: those that do not match, an agent that is named, all; the next run makes another', async (context) => {
    await run('hostname')
    await engine.docker('create', '--name', 'mould', 'opsbot/busybox')
    await engine.docker('commit', 'mould', IMAGE)
    await engine.docker('rm', 'mould')
    await run('hostname', 'second')
    const before = await made()
    const scene = await sceneFor(context)
    await shows(scene, '/sandboxes', /main [^\n]*older image[\s\S]*second [^\n]*image matches/)

    async function recreate(which: string) {
      const asked = (await scene.ask(`/sandboxes recreate ${which}`)).text
      const at = performance.now()
      await scene.press('Do it')
      const end = await scene.reads(new RegExp(`sandboxes recreate ${which}: (done|failed)`), 90_000)
      report(`${VERSIONS[version]}: sandboxes recreate ${which} took ${secondsSince(at)} s`)
      return { asked, end: end.text }
    }
    const mismatched = await recreate('mismatched')
    expect(mismatched.asked).toMatch(/sandbox recreate --session agent:main\S* --force/)
    expect(mismatched.end).toMatch(/✓ sandboxes: 1 removed[\s\S]*✓ proof: 1 old container gone/)
    expect(await made()).toEqual({ second: before.second })

    expect((await scene.ask('/sandboxes recreate mismatched')).text).toContain('there is nothing to recreate')
    expect((await recreate('second')).end).toContain('✓ proof: 1 old container gone')
    expect(await made()).toEqual({})
    const { result } = await run('hostname')
    const { main = '' } = await made()
    expect(main).not.toBe(before.main)
    expect(JSON.stringify(result.payloads)).toContain(main)
    expect((await recreate('all')).end).toMatch(/✓ browsers: there are none\n✓ proof: 1 old container gone/)
    expect(await made()).toEqual({})
  })

  it('are orphans when their agent is gone, and unknown, never none, while their daemon or the gateway is away', async (context) => {
    await run('hostname', 'second')
    const scene = await sceneFor(context)
    const config = readFileSync(gateway.configFile, 'utf8')
    const { agents, ...others } = JSON.parse(config)
    writeFileSync(
      gateway.configFile,
      JSON.stringify({ ...others, agents: { ...agents, list: [{ id: 'main', default: true }] } }),
    )
    const orphan = await scene.reads(/Sandboxes that nobody uses any more/, 40_000)
    expect(orphan.text).toMatch(/openclaw-sbx-\S+: there is no agent "second" any more/)

    await daemon.stop()
    const away = await shows(scene, '/sandboxes', /cannot be seen/)
    expect(away).toContain('Cannot connect to the Docker daemon')
    expect((await scene.ask('/sandbox second')).text).toContain('The sandboxes cannot be seen.')
    expect((await scene.ask('/sandboxes recreate all')).text).toMatch(
      /^🔴[\s\S]*Cannot connect to the Docker/,
    )
    await scene.reads(/The Docker inside the gateway does not work/, 40_000)
    // What was seen before is not taken for over.
    expect(scene.withWords(/Resolved: Sandboxes that nobody/)).toBeUndefined()
    await daemon.start()
    await shows(scene, '/sandboxes', /there is no agent "second" any more/)

    writeFileSync(gateway.configFile, config)
    await scene.reads(/Resolved: Sandboxes that nobody uses any more/, 40_000)
    await gateway.stop()
    expect(await shows(scene, '/sandboxes', /cannot be seen/)).toContain('The gateway does not run.')
    await gateway.start()
    await gateway.ready()
    await shows(scene, '/sandboxes', /1 sandbox, 1 running/)
  })
})
