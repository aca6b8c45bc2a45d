// Exec approvals of real gateways: asked in the chat, answered there or elsewhere, and seen to have been run or not.

import { afterAll, beforeAll, describe, expect, it, type TestContext, vi } from 'vitest'
import { ANN, BEN, createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import type { ModelApi } from './model-api.ts'
import { createRig, report, secondsSince } from './rig.ts'
import { useStage } from './stage.ts'

const isRoot = process.getuid?.() === 0
/** Command lines of gateways take seconds of a core each, and twice that on a busy machine. */
vi.setConfig({ testTimeout: 300_000 })
const PENDING = /An agent asks to run a command/
let engine: Engine
let model: ModelApi

useStage(['forky'], (stage) => {
  engine = stage.engine
  model = stage.model
})

describe.each(Object.keys(VERSIONS) as Version[])('what agents of the %s version ask', (version) => {
  let gateway: Gateway
  beforeAll(async () => {
    if (isRoot) gateway = await startGateway({ engine, version, model })
  }, PATIENCE_MS)
  afterAll(() => gateway?.down())

  const exists = async (path: string) => (await gateway.exec(['test', '-e', path])).code === 0
  /** An agent's turn, to its end, whatever that is. */
  const asks = (path: string): Promise<string> =>
    gateway.runAgent(`run: /bin/touch ${path}`, 'asking').then(JSON.stringify, String)

  async function sceneFor(context: TestContext) {
    const rig = createRig(context)
    const scene = await createScene(rig, engine, {
      OPENCLAW_GATEWAY_CONTAINER: gateway.container,
      OPENCLAW_DIR: gateway.dir,
    })
    await until('the link', async () => /: running, ready/.test((await scene.ask('/gateway')).text))
    return scene
  }
  /** Switches them on, and waits until the gateway knows. */
  async function switchOn(scene: Scene): Promise<void> {
    const opened = () => scene.process().out().split('the gateway link is open').length
    const before = opened()
    expect((await scene.ask('/approvals on')).text).toContain('Switched on by Ann')
    await until('a new line', () => opened() > before)
  }
  /** A command that waits, and its card. */
  async function cardOf(scene: Scene, path: string) {
    const run = asks(path)
    const card = await scene.reads(new RegExp(`${PENDING.source}\\n.*${path}`), 60_000)
    return { run, card }
  }
  const becomes = (scene: Scene, id: number, words: RegExp, timeoutMs = 20_000) =>
    until(
      `card ${id} that reads ${words}`,
      () => scene.messages().find((each) => each.id === id && words.test(each.text)),
      timeoutMs,
    )

  it('is none of ours while they are off, and comes as a card once they are on', async (context) => {
    const scene = await sceneFor(context)
    const off = asks('/tmp/off')
    if (version === 'new') expect(await off).toContain('Headless runs cannot wait')
    else await until('its end', () => off, 60_000)
    expect(await exists('/tmp/off')).toBe(false)
    scene.telegram.say({ chat: BEN, from: BEN, text: '/approvals on' })
    await scene.reads(/is for the role owner/, 20_000, BEN)

    await switchOn(scene)
    const { run, card } = await cardOf(scene, '/tmp/once')
    expect(card.text).toMatch(/Agent asking in \/home\/node\/\S+ on gateway\nUntil \d\d:\d\d UTC/)
    expect(card.text).toContain(`time for ${version === 'new' ? '30' : '2'} min`)
    expect(card.buttons.flat().map(({ text }) => text)).toEqual(['Allow once', 'Deny'])
    expect((await scene.ask('/approvals')).text).toContain('/bin/touch /tmp/once')
    expect(await exists('/tmp/once')).toBe(false)
    const at = performance.now()
    expect(await scene.press('Allow once', { messageId: card.id })).toContain('allowed once by Ann')
    await until('the command that was allowed', () => exists('/tmp/once'))
    report(`${VERSIONS[version]}: run ${secondsSince(at)} s after the tap`)
    await run
    await becomes(scene, card.id, /allowed once by Ann/)

    const denied = await cardOf(scene, '/tmp/denied')
    expect(await scene.press('Deny', { messageId: denied.card.id })).toContain('denied by Ann')
    await denied.run
    await becomes(scene, denied.card.id, /denied by Ann/)
    expect(await exists('/tmp/denied')).toBe(false)
  })

  it('is answered once, by whoever was first', async (context) => {
    const scene = await sceneFor(context)
    await switchOn(scene)
    const operator = await gateway.operator()
    const elsewhere = cardOf(scene, '/tmp/elsewhere')
    const { id } = await operator.event('exec.approval.requested')
    const { card, run } = await elsewhere
    await operator.call('exec.approval.resolve', { id, decision: 'deny' })
    await becomes(scene, card.id, /denied by \w/)
    expect(await scene.press('Allow once', { messageId: card.id }).catch(String)).not.toContain('allowed')
    await run
    expect(await exists('/tmp/elsewhere')).toBe(false)
    await operator.close()

    const both = await cardOf(scene, '/tmp/both')
    const copy = scene.messages(BEN).findLast(({ text }) => text.includes('/tmp/both'))
    const taps = await Promise.all([
      scene.press('Allow once', { messageId: both.card.id }),
      copy
        ? scene.press('Deny', { from: BEN, messageId: copy.id })
        : scene.press('Deny', { messageId: both.card.id }),
    ])
    await both.run
    const { text } = await becomes(scene, both.card.id, /(allowed once|denied) by/)
    report(
      `${VERSIONS[version]}: two taps were told ${JSON.stringify(taps.map((each) => each.slice(0, 80)))}`,
    )
    expect(taps.filter((each) => /(allowed once|denied) by/.test(each))).toHaveLength(1)
    if (text.includes('allowed')) await until('what was allowed', () => exists('/tmp/both'))
    else expect(await exists('/tmp/both')).toBe(false)
  })

  it('ends with the gateway that asked', async (context) => {
    const scene = await sceneFor(context)
    await switchOn(scene)
    const { card, run } = await cardOf(scene, '/tmp/cut')
    await gateway.restart()
    await gateway.ready()
    await run
    await until(
      'the link again',
      async () => /: running, ready/.test((await scene.ask('/gateway')).text),
      60_000,
    )
    const tapped = await scene.press('Allow once', { messageId: card.id }).catch(String)
    report(`${VERSIONS[version]}: after its restart a tap is told ${tapped.slice(0, 120)}`)
    const { text } = await becomes(scene, card.id, /answered elsewhere or over|nobody answered|by /)
    report(`${VERSIONS[version]}: the card reads ${text.split('\n')[0]}`)
    expect(await exists('/tmp/cut')).toBe(false)
    expect(scene.messages(ANN).filter(({ text: said }) => PENDING.test(said))).toEqual([])
  })
})
