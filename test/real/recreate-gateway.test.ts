// A real gateway read in the chat, made anew with a proof from inside, and restarted the way its version does best.

import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, type TestContext, vi } from 'vitest'
import { createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import type { ModelApi } from './model-api.ts'
import { createRig, report, secondsSince } from './rig.ts'
import { useStage } from './stage.ts'

const isRoot = process.getuid?.() === 0
/** Command lines of gateways take seconds of a core each, and twice that on a busy machine. */
vi.setConfig({ testTimeout: 300_000 })
const TOKEN = `sk-ant-oat01-${'x'.repeat(90)}`
const FIVE_HOURS_MS = 5 * 3_600_000
/** What both versions work with; no test needs sandboxes here. */
const ONE_AGENT = { agents: { list: [{ id: 'main', default: true }] } }
let engine: Engine
let model: ModelApi

useStage(['forky'], (stage) => {
  engine = stage.engine
  model = stage.model
})

/** A credential that ends in five hours, where each version has it. */
async function giveCredential(gateway: Gateway): Promise<void> {
  if (gateway.version === 'new') {
    const paste = ['models', 'auth', 'paste-token', '--provider', 'anthropic', '--expires-in', '5h']
    const { code, stderr } = await gateway.cli(paste, TOKEN)
    if (code !== 0) throw new Error(stderr)
    return
  }
  const agent = join(gateway.stateDir, 'agents/main/agent')
  const file = join(agent, 'auth-profiles.json')
  mkdirSync(agent, { recursive: true })
  const profile = { type: 'token', provider: 'anthropic', token: TOKEN, expires: Date.now() + FIVE_HOURS_MS }
  const profiles = { 'anthropic:default': profile }
  writeFileSync(file, JSON.stringify({ version: 1, profiles }), { mode: 0o600 })
  for (const path of ['agents', 'agents/main', 'agents/main/agent'])
    chownSync(join(gateway.stateDir, path), 1000, 1000)
  chownSync(file, 1000, 1000)
}

describe.each(Object.keys(VERSIONS) as Version[])('a gateway of the %s version', (version) => {
  let gateway: Gateway
  beforeAll(async () => {
    if (!isRoot) return
    gateway = await startGateway({ engine, version, model, config: ONE_AGENT })
    await giveCredential(gateway)
  }, PATIENCE_MS)
  beforeEach(() => model.be('ok'))
  afterAll(() => gateway?.down())

  /** A bot that sees the gateway as ready. */
  async function sceneFor(context: TestContext): Promise<Scene> {
    const scene = await createScene(createRig(context), engine, {
      OPENCLAW_GATEWAY_CONTAINER: gateway.container,
      OPENCLAW_DIR: gateway.dir,
    })
    await until(
      'it is ready',
      async () => /: running, ready/.test((await scene.ask('/gateway')).text),
      60_000,
    )
    return scene
  }
  /** Asks for a plan until it has these words: what a busy machine does not see in time is not in it. */
  const planned = (scene: Scene, words: RegExp, line = '/recreate') =>
    until(
      `a plan with ${words}`,
      async () => {
        const { text } = await scene.ask(line)
        return words.test(text) ? text : undefined
      },
      90_000,
    )
  const startedAt = () => engine.field(gateway.container, '.State.StartedAt')
  /** Messages of trouble: none is expected where the operator did it. */
  const alarms = (scene: Scene) =>
    scene
      .messages()
      .filter(({ history }) =>
        history.some(({ text }) => /^(🔴|🟡) (Container|The gateway|There is no line)/.test(text)),
      )

  it('is read in the chat as it is', async (context) => {
    await gateway.runAgent('hello')
    const scene = await sceneFor(context)
    // An older one says its version by its command line alone, which a busy machine does not always wait for.
    const page = await until(
      'all of it',
      async () => {
        const { text } = await scene.ask('/gateway')
        return text.includes('Not seen') ? undefined : text
      },
      60_000,
    )
    for (const words of [
      `${gateway.container}: running, ready`,
      '0 restarts by Docker',
      'No channel is switched on',
      version === 'new' ? '1 session, none at work' : '1 session, 1 used in the last 10 min',
      `OpenClaw ${VERSIONS[version]}`,
      'Agents: main',
      'Seen over the link, open for',
    ])
      expect(page).toContain(words)
    const sessions = (await scene.ask('/sessions')).text
    expect(sessions).toMatch(/main · main: (done, )?claude-opus-4-6, 10 of 200k tokens \(0 %\)/)
    const config = (await scene.ask('/config')).text
    expect(config).toMatch(/^✅ The gateway finds its config valid/)
    expect(config).toContain('mode 600, owner 1000:1000')
    expect(config).toContain('Its own word, over the link')

    model.be('hang')
    const run = gateway.runAgent('hello').catch(String)
    const busy = version === 'new' ? /agents are at work \(1 run\)/ : /may be at work \(1 session used/
    await planned(scene, busy, '/recreate --plan')
    model.be('ok')
    await run
  })

  it('is made anew with a plan from inside, and a proof over the link', async (context) => {
    const scene = await sceneFor(context)
    writeFileSync(gateway.envFile, `${readFileSync(gateway.envFile, 'utf8')}OPENCLAW_UNUSED=1\n`)
    const plan = await planned(scene, /its model credential \S+ lasts for 4 h/)
    expect(plan).toContain('✅ the gateway finds its config valid')
    expect(plan).toMatch(version === 'new' ? /✅ its agents are idle/ : /may be at work/)
    expect(plan).not.toContain(TOKEN)
    const [before, at] = [await engine.field(gateway.container, '.Id'), performance.now()]
    await scene.press('Do it')
    const { text } = await scene.reads(/recreate openclaw-gateway: (done|failed)/, 200_000)
    report(`${VERSIONS[version]}: made anew and proved ready after ${secondsSince(at)} s`)
    expect(text).toMatch(/✓ snapshot: [\s\S]*✓ stop: ended in [\s\S]*✓ make anew[\s\S]*✓ boot: /)
    expect(text).toMatch(/✓ proof: container \w+ with the values of \.env, ready over the link after/)
    expect(await engine.field(gateway.container, '.Id')).not.toBe(before)
    expect(alarms(scene)).toEqual([])
  })

  it('is restarted by itself where it can, else by Docker, and its end is told', async (context) => {
    const scene = await sceneFor(context)
    const before = await startedAt()
    const asked = (await scene.ask('/restart gateway')).text
    expect(asked).toContain(version === 'new' ? 'agents to end their work; they are idle' : 'docker restart')
    const at = performance.now()
    await scene.press('Do it')
    await scene.reads(new RegExp(`${gateway.container} was restarted`), 120_000)
    if (version === 'new') await scene.reads(/It is ready again after/)
    report(`${VERSIONS[version]}: restarted after ${secondsSince(at)} s`)
    const same = (await startedAt()) === before
    report(`its container ${same ? 'was not started anew' : 'was started anew'}`)
    if (version === 'old') expect(same).toBe(false)
    await gateway.ready()
    await until(
      'it is ready',
      async () => /: running, ready/.test((await scene.ask('/gateway')).text),
      60_000,
    )
    expect(alarms(scene)).toEqual([])
  })

  it('fails its proof with a config that it refuses, and can be rolled back', async (context) => {
    const scene = await sceneFor(context)
    const good = readFileSync(gateway.configFile, 'utf8')
    writeFileSync(gateway.configFile, JSON.stringify({ ...JSON.parse(good), bogus: true }))
    await planned(scene, /🟡 the gateway refuses its config \([^)]*bogus[^)]*\): it will not start with it/)
    const at = performance.now()
    await scene.press('Do it')
    const card = await scene.reads(/recreate openclaw-gateway: (done|failed)/, 240_000)
    report(`${VERSIONS[version]}: given up after ${secondsSince(at)} s: ${/✗ .*/.exec(card.text)?.[0]}`)
    expect(card.text).toMatch(/✗ (boot|proof): .*config/)
    expect(card.buttons.flat().map(({ text }) => text)).toContain('Roll back')
    writeFileSync(gateway.configFile, good)
    await gateway.ready()
  })
})
