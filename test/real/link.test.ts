// The gateway link with real gateways of both versions: opened, used, cut in every way, and nothing of it left behind.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDocker } from '../../src/ops/docker/index.ts'
import { insideContainer } from '../../src/ops/gateway/inside.ts'
import { gatewayContract } from '../contract.ts'
import { createLine } from '../openclaw/line.ts'
import { type Engine, titles, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import { argvsIn, createWatch, oursIn, processOf } from './link.ts'
import type { ModelApi } from './model-api.ts'
import { report, secondsSince } from './rig.ts'
import { useStage } from './stage.ts'

const isRoot = process.getuid?.() === 0
/** The figure that was asked for, on a quiet machine. */
const REOPENED_MS = 2_000
let engine: Engine
let model: ModelApi

useStage(['trixie', 'openclaw'], (stage) => {
  engine = stage.engine
  model = stage.model
})

/** The agent `main` asks before every command; there is no other. */
const AGENTS = {
  list: [
    {
      ...{ id: 'main', default: true, sandbox: { mode: 'off' } },
      tools: { exec: { host: 'gateway', security: 'allowlist', ask: 'always' } },
    },
  ],
}

/** Writes openclaw.json anew. */
function change(gateway: Gateway, edit: (config: { gateway: { controlUi: object } }) => void): void {
  const config = JSON.parse(readFileSync(gateway.configFile, 'utf8'))
  edit(config)
  writeFileSync(gateway.configFile, JSON.stringify(config, null, 2))
}

describe.each(Object.keys(VERSIONS) as Version[])('with a gateway of the %s version', (version) => {
  let gateway: Gateway
  let startedAt: number
  /** Has it restart by itself: a path of its config that it does not apply while it runs. */
  const restartItself = () =>
    change(gateway, ({ gateway: { controlUi } }) =>
      Object.assign(controlUi, { basePath: `/at${Date.now()}` }),
    )

  beforeAll(async () => {
    if (!isRoot) return
    const at = performance.now()
    gateway = await startGateway({ engine, version, model, config: { agents: AGENTS } })
    startedAt = Date.now()
    report(`openclaw ${VERSIONS[version]} was up and well after ${secondsSince(at)} s`)
  }, PATIENCE_MS)
  afterAll(() => gateway?.down())

  it('shows the gateway, and leaves nothing in its container, however it ends', async (context) => {
    const { scene, opened, told } = await createWatch(context, engine, gateway)
    const { at } = await opened()
    const { time } = JSON.parse(scene.process().out().split('\n')[0] ?? '')
    report(`the link was open ${at - Date.parse(time)} ms after the bot's first line`)
    await gateway.runAgent('Good morning')

    const page = await until('its version', async () => {
      const { text } = await scene.ask('/gateway')
      return text.includes(`OpenClaw ${VERSIONS[version]}`) && text
    })
    expect(page).toMatch(/^✅ openclaw-gateway: running, ready\n/)
    for (const words of ['No channel is switched on', '1 session', 'Agents: main', 'Seen over the link'])
      expect(page).toContain(words)
    expect((await scene.ask('/sessions')).text).toContain('main · main')
    expect((await scene.ask('/config')).text).toMatch(/^✅ The gateway finds its config valid/)
    expect(told()).toEqual([])

    const key = readFileSync(join(scene.stateDir, 'gateway-identity'), 'utf8').trim()
    expect(await oursIn(gateway)).toHaveLength(1)
    const seen = (await argvsIn(gateway)) + scene.process().out() + scene.process().err()
    for (const secret of [gateway.token, key]) expect(seen).not.toContain(secret)

    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      if (signal === 'SIGTERM') await scene.start()
      await until('our script', async () => (await oursIn(gateway)).length === 1)
      const killed = performance.now()
      await scene.kill(signal)
      await until('an end of our script', async () => (await oursIn(gateway)).length === 0)
      report(`${signal}: none of our script ${Math.round(performance.now() - killed)} ms later`)
    }
  })

  gatewayContract(`a real ${VERSIONS[version]}`, VERSIONS[version], async () => {
    const docker = createDocker({ dockerHost: engine.env.DOCKER_HOST ?? '' })
    const found = await docker.inspect(await engine.field(gateway.container, '.Id'))
    if (!found) throw new Error('there is no gateway')
    const home = mkdtempSync(join(tmpdir(), 'opsbot-contract-'))
    const line = createLine({
      ...{ url: 'ws://127.0.0.1:18789', home, caps: () => ['approvals', 'exec-approvals'] },
      where: async () => {
        const now = await docker.inspect(found.id)
        return now?.state === 'running' ? insideContainer(docker, now) : undefined
      },
    })
    line.link.start()
    await line.until(() => line.link.state().state === 'open', 30_000)
    // Newer ones are at work on their own page for some seconds after they are ready.
    if (version === 'new')
      await until(
        'an idle gateway',
        async () => (await line.link.call('gateway.restart.preflight')).safe,
        60_000,
      )
    return {
      line,
      async ask(command, lastsMs) {
        const asked = lastsMs
          ? gateway.call('exec.approval.request', {
              ...{ command, commandArgv: command.split(' '), cwd: '/tmp', host: 'gateway' },
              ...{ agentId: 'main', sessionKey: 'agent:main:main', timeoutMs: lastsMs },
            })
          : gateway.runAgent(`run: ${command}`)
        asked.catch((error) => report(`what was asked ended with: ${error.message}`))
      },
      knock: (options) => gateway.stranger(options),
      async restart() {
        if (version === 'old') restartItself()
      },
      async close() {
        line.link.stop()
        await sleep(200)
        rmSync(home, { recursive: true })
      },
    }
  })

  it('tells of its own restart as one quiet notice, and is back on the line at once', async (context) => {
    await gateway.ready()
    const { scene, told, reopens, opened } = await createWatch(context, engine, gateway)
    await opened()
    const took = await reopens(async () => restartItself())
    report(`open ${took} ms after it let devices in again`)
    expect(took).toBeLessThan(REOPENED_MS)
    const notice = await scene.reads(/^ℹ️ The gateway restarted itself\nIt said: /)
    expect(notice.silent).toBe(true)
    await sleep(5_000)
    expect(told()).toHaveLength(1)
  })

  // The container's state and the event loop are alike in both: each is done with one of them.
  if (version === 'old')
    it('paused, it is the container that is told, and the line lives on', async (context) => {
      await gateway.ready()
      const { scene, told, links, opened } = await createWatch(context, engine, gateway)
      await opened()
      await gateway.pause()
      // Calls that are under way in there have their deadlines first.
      await scene.reads(/Container openclaw-gateway does not run well\nIt is paused/, 60_000)
      // Longer than the script may be silent.
      await sleep(15_000)
      const at = Date.now()
      await gateway.unpause()
      await until('the line', () => links().at(-1)?.state === 'open')
      report(`open ${Math.max(0, (links().at(-1)?.at ?? 0) - at)} ms after it went on`)
      await scene.reads(/Resolved: Container openclaw-gateway/)
      expect(told().filter((text) => !text.includes(titles.well('openclaw-gateway')))).toEqual([])
    })

  if (version === 'new')
    it('stuck, it is not ready: told once, and its end', async (context) => {
      // What has just been started may take its time.
      await sleep(Math.max(0, startedAt + 125_000 - Date.now()))
      const { scene, opened } = await createWatch(context, engine, gateway)
      await opened()
      const pid = await processOf(engine, gateway)
      const at = performance.now()
      process.kill(pid, 'SIGSTOP')
      const alert = await scene.reads(/The gateway is not ready\n.* its event loop is stuck/, 30_000)
      report(`told ${Math.round((alert.history[0]?.at ?? 0) - at)} ms after it stopped`)
      await sleep(10_000)
      process.kill(pid, 'SIGCONT')
      await scene.reads(/Resolved: The gateway is not ready/, 30_000)
      // Afterwards a newer one calls its event loop slow, and it was.
      // Messages, not their texts: what it says of itself as it comes round may change the alert that there is.
      const messages = scene.messages().map(({ history }) => history[0]?.text ?? '')
      expect(messages.filter((text) => text.includes('is not ready'))).toEqual([
        expect.stringContaining('its event loop is stuck'),
        expect.stringContaining('Resolved: The gateway is not ready'),
      ])
    }, 240_000)

  it.for(['restart', 'recreate'] as const)(
    'is back on the line after a %s by Docker',
    async (how, context) => {
      await gateway.ready()
      const { told, reopens, opened } = await createWatch(context, engine, gateway)
      await opened()
      const took = await reopens(() =>
        how === 'restart' ? gateway.restart() : gateway.compose('up', '-d', '-t', '60', '--force-recreate'),
      )
      startedAt = Date.now()
      report(`open ${took} ms after it let devices in again`)
      expect(took).toBeLessThan(REOPENED_MS)
      await sleep(5_000)
      expect(
        told().filter((text) => text.includes('gateway is not ready') || text.includes('no line')),
      ).toEqual([])
    },
  )

  it('a crash is told as the death of its container, and nothing else', async (context) => {
    await gateway.ready()
    const { scene, told, reopens, opened } = await createWatch(context, engine, gateway)
    await opened()
    const took = await reopens(async () => process.kill(await processOf(engine, gateway), 'SIGKILL'))
    report(`open ${took} ms after it let devices in again`)
    expect(took).toBeLessThan(REOPENED_MS)
    await scene.reads(new RegExp(`Resolved: ${titles.well('openclaw-gateway')}`), 30_000)
    expect(told().filter((text) => !text.includes(titles.well('openclaw-gateway')))).toEqual([])
  })
})
