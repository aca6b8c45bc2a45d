// What goes wrong with real gateways, and what is said of it: odd deployments, upgrades, configs, leases, channels.

import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { bringUp, createProject, createScene, type Engine, until } from './engine.ts'
import { type Gateway, type GatewayOptions, PATIENCE_MS, startGateway, VERSIONS } from './gateway.ts'
import { createWatch } from './link.ts'
import { createRig, needsRoot, report, secondsSince } from './rig.ts'

const isRoot = process.getuid?.() === 0
let engine: Engine

// Gateways that do not come up take their time at it.
vi.setConfig({ testTimeout: PATIENCE_MS })

beforeAll(async () => {
  if (isRoot) engine = await bringUp('trixie', 'openclaw')
}, PATIENCE_MS)
afterAll(() => engine?.down())
beforeEach(needsRoot)

/** Whatever a gateway takes to come up on a busy machine. */
const UP_MS = 120_000
const OTHER_PORT = '"19001"'

/** Makes its container anew by another compose file. */
async function redeploy(gateway: Gateway, edit: (compose: string) => string): Promise<void> {
  const [file = ''] = gateway.composeFiles
  writeFileSync(file, edit(readFileSync(file, 'utf8')))
  await gateway.compose('up', '-d', '-t', '60')
}

/** A gateway with this port and these arguments on its command line. */
async function deploy(options: Omit<GatewayOptions, 'engine'>, ...more: string[]): Promise<Gateway> {
  const gateway = await startGateway({ engine, ...options, idle: true })
  if (more.length > 0)
    await redeploy(gateway, (text) => text.replace('--port, "18789"', ['--port', ...more].join(', ')))
  return gateway
}

type Config = { gateway: Record<string, unknown>; [key: string]: unknown }
function change(gateway: Gateway, edit: (config: Config) => void): void {
  const config = JSON.parse(readFileSync(gateway.configFile, 'utf8'))
  edit(config)
  writeFileSync(gateway.configFile, JSON.stringify(config, null, 2))
}

/** Credentials as older versions keep them, put there as by the gateway itself. */
function dropLegacy({ stateDir }: Gateway): void {
  const path = join(stateDir, 'agents/main/agent/auth-profiles.json')
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, LEGACY, { mode: 0o600 })
  for (let each = path; each !== stateDir; each = dirname(each)) chownSync(each, 1000, 1000)
}

const LEGACY = JSON.stringify({
  version: 1,
  profiles: {
    'anthropic:default': { type: 'api_key', provider: 'anthropic', key: `sk-${'ant'}-api03-none` },
  },
})

it('an old one without a user node, under a base path, on its loopback and another port', async (context) => {
  const gateway = await deploy(
    { version: 'old', name: 'odd', nodeUser: false, basePath: '/chat', bind: 'loopback' },
    OTHER_PORT,
  )
  context.onTestFinished(() => gateway.down())
  const { scene, opened, told } = await createWatch(context, engine, gateway)
  await opened()
  expect((await scene.ask('/gateway')).text).toMatch(/^✅ odd-gateway: running, ready\n/)
  expect(told()).toEqual([])
})

it('an image without Node is no gateway, and no alert', async (context) => {
  const rig = createRig(context)
  rig.defer(() => engine.clear())
  await createProject(engine, rig, { env: '' })
  const scene = await createScene(rig, engine)
  await until('NO_NODE', () => scene.process().out().includes('"code":"NO_NODE"'))
  const { text } = await scene.ask('/gateway')
  expect(text).toMatch(/^✅ openclaw-gateway: running\n/)
  await sleep(4_000)
  expect(scene.messages().filter(({ text }) => /^(🔴|🟡)/u.test(text))).toEqual([])
})

it.for(['old', 'new'] as const)(
  '%s that was started with a token of its own: there is no line, and why',
  async (version, context) => {
    const gateway = await deploy({ version }, '"18789"', '--token', 'another-token-of-its-own')
    context.onTestFinished(() => gateway.down())
    const { scene } = await createWatch(context, engine, gateway)
    const { text } = await scene.reads(/There is no line into the gateway/, UP_MS)
    expect(text).toContain('It refuses the token of its own environment and config')
    expect(scene.told('The gateway is not ready')).toEqual([])
  },
)

describe('a new one behind proxies, on another port, with a channel that does not work', () => {
  let gateway: Gateway
  beforeAll(async () => {
    if (!isRoot) return
    const bridge = '10.243.128.0/17'
    const telegram = { enabled: true, botToken: `123456789:${'A'.repeat(35)}` }
    gateway = await deploy(
      {
        version: 'new',
        name: 'odd',
        basePath: '/chat',
        // Its own loopback among them is no hindrance: 2026.9.6 lets that in all the same (measured).
        trustedProxies: [bridge, '127.0.0.1'],
        config: { channels: { telegram } },
      },
      OTHER_PORT,
    )
  }, PATIENCE_MS)
  afterAll(() => gateway?.down())

  it('is on the line, not ready, and says which channel it is', async (context) => {
    const { scene, opened } = await createWatch(context, engine, gateway)
    await opened()
    // It gives a channel two minutes to connect before it says so.
    const { text } = await scene.reads(/The gateway is not ready/, 2 * UP_MS)
    expect(text).toContain('telegram')
    expect((await scene.ask('/gateway')).text).toMatch(/^🔴 odd-gateway: running, not ready\n/)
  })
})

describe('one that is upgraded in place', () => {
  let gateway: Gateway
  const swap = (from: 'old' | 'new', to: 'old' | 'new') =>
    redeploy(gateway, (text) =>
      text
        .replace(`opsbot/openclaw:${from}`, `opsbot/openclaw:${to}`)
        .replaceAll(`openclaw-${VERSIONS[from]}-1/node_modules`, `openclaw-${VERSIONS[to]}-1/node_modules`),
    )
  /** As the alert says it, and waited for as long as it takes. */
  async function doctor(): Promise<void> {
    const run = ['run', '-d', '--no-deps', '-T', '--name', 'doctor', 'openclaw-gateway']
    await gateway.compose(...run, 'node', 'dist/index.js', 'doctor', '--fix', '--non-interactive')
    await until('an end', async () => (await engine.field('doctor', '.State.Status')) === 'exited', UP_MS)
    await engine.docker('rm', 'doctor')
  }

  beforeAll(async () => {
    if (!isRoot) return
    gateway = await startGateway({ engine, version: 'old' })
    dropLegacy(gateway)
  }, PATIENCE_MS)
  afterAll(() => gateway?.down())

  /** A config that no version takes, at its start: said with the way to see what is wrong. */
  async function refusedAtStart(context: Parameters<typeof createRig>[0]) {
    const { scene } = await createWatch(context, engine, gateway)
    change(gateway, (config) => Object.assign(config, { bogusKey: 1 }))
    await gateway.restart()
    const { text } = await scene.reads(/The gateway does not come up\nIt refuses its config\./, UP_MS)
    expect(text).toContain('/config shows what is wrong')
    change(gateway, (config) => Reflect.deleteProperty(config, 'bogusKey'))
    await scene.reads(/Resolved: The gateway does not come up/, UP_MS)
  }

  it('old: refuses its config at its start', (context) => refusedAtStart(context))

  it('does not come up with credentials of the older one, says so, and does after its doctor', async (context) => {
    const { scene, opened } = await createWatch(context, engine, gateway)
    await opened()
    await swap('old', 'new')
    const { text } = await scene.reads(/The gateway does not come up\nCredentials of an older version/, UP_MS)
    expect(text).toContain('doctor --fix --non-interactive')
    await gateway.compose('stop', '-t', '60')
    const at = performance.now()
    await doctor()
    report(`its doctor took ${secondsSince(at)} s`)
    const from = Date.now()
    await gateway.compose('up', '-d')
    await opened(from)
    await scene.reads(/Resolved: The gateway does not come up/, UP_MS)
  })

  it('new: tells of a config that it refuses while it runs, and of one that others may read', async (context) => {
    const { scene, opened } = await createWatch(context, engine, gateway)
    await opened()
    change(gateway, (config) => Object.assign(config, { bogusKey: 1 }))
    const { text } = await scene.reads(/The gateway's config is refused/, 30_000)
    expect(text).toMatch(/bogusKey/)
    change(gateway, (config) => Reflect.deleteProperty(config, 'bogusKey'))
    await scene.reads(/Resolved: The gateway's config is refused/, 30_000)
    chmodSync(gateway.configFile, 0o644)
    // It may come in one message with the end of the other.
    await scene.reads(/The gateway's config has the wrong permissions/, 30_000)
    chmodSync(gateway.configFile, 0o600)
    await scene.reads(/Resolved: The gateway's config has the wrong permissions/, 30_000)
  })

  it('new: refuses its config at its start', (context) => refusedAtStart(context))

  it('new: killed and made anew, it waits for the lease of the one before', async (context) => {
    const { scene, opened } = await createWatch(context, engine, gateway)
    await opened()
    await gateway.kill()
    await gateway.compose('up', '-d', '--force-recreate')
    const { text } = await scene.reads(/The gateway does not come up\nThe one before it was killed/, UP_MS)
    expect(text).toContain('Leave it alone')
  })

  it('tells of old credential files beside a new one; an older one does not know the keys of its config', async (context) => {
    const { scene } = await createWatch(context, engine, gateway)
    dropLegacy(gateway)
    await scene.reads(/Old credential files break all model calls/, 30_000)
    await swap('new', 'old')
    const { text } = await scene.reads(/The gateway does not come up\nIt refuses its config/, UP_MS)
    expect(text).toContain('those of a newer version')
  })
})
