// The real Control UI in a real browser: let in from the chat, and where it is turned away before it can ask, told why.

import { afterAll, beforeAll, beforeEach, expect, it, type TestContext } from 'vitest'
import { type Browser, type Page, startBrowser } from './browser.ts'
import { ANN, bringUp, createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import { createRig, needsRoot, report } from './rig.ts'

const isRoot = process.getuid?.() === 0
/** The browser itself takes this for an address of this host, and a gateway does not take it for its own loopback. */
const HOST = 'chat.localhost'
const OTHER = 'other.localhost'
const PORTS = { old: 41_862, new: 41_861 }
const TIME = /\d\d:\d\d:\d\d/.source
let engine: Engine
let browser: Browser
const gateways: Partial<Record<Version, Gateway>> = {}

beforeAll(async () => {
  if (!isRoot) return
  engine = await bringUp('trixie', 'pairing')
  const start = async (version: Version) => {
    const port = PORTS[version]
    const controlUi = { allowedOrigins: [`http://${HOST}:${port}`] }
    gateways[version] = await startGateway({
      ...{ engine, version, name: version, port },
      config: { gateway: { controlUi } },
    })
  }
  ;[browser] = await Promise.all([startBrowser(), start('old'), start('new')])
}, PATIENCE_MS)
afterAll(async () => {
  await browser?.close()
  for (const gateway of Object.values(gateways)) await gateway.down()
  await engine?.down()
})
beforeEach(needsRoot)

function gatewayOf(version: Version): Gateway {
  const gateway = gateways[version]
  if (!gateway) throw new Error(`there is no gateway of the ${version} version`)
  return gateway
}
const addressOf = (version: Version, host = HOST) =>
  `http://${host}:${PORTS[version]}/#token=${gatewayOf(version).token}`

async function sceneFor(context: TestContext, version: Version): Promise<Scene> {
  const { container, dir } = gatewayOf(version)
  const scene = await createScene(createRig(context), engine, {
    ...{ OPENCLAW_GATEWAY_CONTAINER: container, OPENCLAW_DIR: dir },
  })
  await until('the link', async () => /: running, ready/.test((await scene.ask('/gateway')).text), 60_000)
  return scene
}
const reads = (page: Page, words: RegExp) =>
  until(`a page that reads ${words}`, async () => words.test(await page.text()), 60_000).catch(
    async (error) => {
      throw new Error(`${error.message}; it reads:\n${(await page.text()).slice(0, 2_000)}`)
    },
  )
/** What only a page that is connected says. */
const IN = { new: /^Connected$/m, old: /Health\s+OK/ }
/** What /devices says. */
async function devices(scene: Scene): Promise<string> {
  const before = scene.messages().length
  scene.telegram.say({ chat: ANN, from: ANN, text: '/devices' })
  const page = await until('the devices', () =>
    scene
      .messages()
      .slice(before)
      .find(({ text }) => / paired/.test(text)),
  )
  return page.text
}

it.for(['new', 'old'] as const)(
  'of the %s version asks, is let in by the chat with a second tap, and is seen connected',
  async (version, context) => {
    const scene = await sceneFor(context, version)
    const opened = performance.now()
    const page = await browser.open(addressOf(version))
    const card = await scene.reads(/Control UI wants to be let in/, 60_000)
    report(
      `${VERSIONS[version]}: opened → card ${Math.round((card.history[0]?.at ?? 0) - opened)} ms, with its page loaded`,
    )
    expect(card.text).toContain('admin: can change everything and run code on this machine')
    await reads(page, version === 'new' ? /Approve this browser/ : /pairing required/)

    await scene.press('Approve', { messageId: card.id })
    await scene.reads(/Let Control UI in\?/)
    const tapped = performance.now()
    await scene.press('Do it')
    const end = await scene.reads(
      new RegExp(`Control UI: approved by Ann .*${TIME}, connected ${TIME}`),
      90_000,
    )
    expect(end.id).toBe(card.id)
    report(
      `${VERSIONS[version]}: tap → the card says connected ${Math.round((end.history.at(-1)?.at ?? 0) - tapped)} ms`,
    )
    await reads(page, IN[version])
    await page.close()
  },
)

it.for(['new', 'old'] as const)(
  'of the %s version, opened at an address that is not allowed, makes no request, and /devices says why',
  async (version, context) => {
    const scene = await sceneFor(context, version)
    const origin = `http://${OTHER}:${PORTS[version]}`
    expect(await devices(scene)).not.toContain(origin)
    // An older one allows the Control UI that it has served itself: there a page asks it under another of its names.
    const page = await browser.open(version === 'new' ? addressOf(version, OTHER) : `${origin}/favicon.svg`)
    if (version === 'new') await reads(page, /Browser origin not allowed/)
    else await until('a refusal', () => page.run(KNOCK(PORTS.old)).catch(() => ''), 60_000)
    await until('the words', async () =>
      (await devices(scene)).includes(
        `A Control UI at ${origin} was turned away before it could ask: its address is not in gateway.controlUi.allowedOrigins`,
      ),
    )
    const { pending } = await gatewayOf(version).call('device.pair.list')
    expect(pending).toEqual([])
    await page.close()
  },
)

/** What a Control UI says first, said by the page to this port under its number. */
const KNOCK = (port: number) => `new Promise((resolve) => {
  const socket = new WebSocket('ws://127.0.0.1:${port}')
  const client = { id: 'openclaw-control-ui', version: '1', platform: 'web', mode: 'webchat' }
  const params = { minProtocol: 3, maxProtocol: 3, client, role: 'operator', scopes: [] }
  socket.onmessage = () => socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
  socket.onclose = ({ reason }) => resolve(reason)
})`
