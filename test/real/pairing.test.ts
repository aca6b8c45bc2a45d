// Device pairing with real gateways of both versions: what asks is a card at once, and what is tapped is what happens, whatever comes between.

import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { createIdentity, type Device, type DeviceOptions } from './device-client.ts'
import { ANN, BEN, bringUp, createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, PATIENCE_MS, startGateway, VERSIONS, type Version } from './gateway.ts'
import { createRig, needsRoot, report } from './rig.ts'

const isRoot = process.getuid?.() === 0
/** The figures that were asked for, on a quiet machine, are for the bench; here they must only be no worse than this. */
const AT_ONCE_MS = 5_000
const ROUNDS = 5
const LIFE_MS = 300_000
/** Time for one look at the list, which is asked for as soon as the link is open. */
const LOOK_MS = 1_500
const IN_TURN = { concurrent: false, timeout: 240_000 }
const READ = ['operator.read']
const ADMIN = ['operator.admin', 'operator.approvals', 'operator.pairing']
const TIME = /\d\d:\d\d:\d\d/.source
let engine: Engine

beforeAll(async () => {
  if (isRoot) engine = await bringUp('trixie', 'pairing')
}, PATIENCE_MS)
afterAll(() => engine?.down())
beforeEach(needsRoot)

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const whole = (values: readonly number[]) => values.map(Math.round).join(', ')

// Both at once.
describe.concurrent.each(Object.keys(VERSIONS) as Version[])('at a gateway of the %s version', (version) => {
  const newer = version === 'new'
  let gateway: Gateway
  /** Another admin's device: it hears what the gateway tells, and answers what is not to be answered by us. */
  let admin: Device
  const identity = createIdentity()

  beforeAll(async () => {
    if (!isRoot) return
    gateway = await startGateway({ engine, version, name: version })
    admin = await gateway.operator({ identity })
  }, PATIENCE_MS)
  afterAll(async () => {
    await admin?.close()
    await gateway?.down()
  })

  /** A bot that has looked at the gateway's devices once. */
  async function sceneFor(context: TestContext): Promise<Scene> {
    const rig = createRig(context)
    const scene = await createScene(rig, engine, {
      ...{ OPENCLAW_GATEWAY_CONTAINER: gateway.container, OPENCLAW_DIR: gateway.dir },
      ...{ OPSBOT_OWNERS: `${ANN},${BEN}`, OPSBOT_OPERATORS: '' },
    })
    await linked(scene)
    return scene
  }
  /** Waits until the gateway is spoken with, and its devices were looked at. */
  async function linked(scene: Scene): Promise<void> {
    await until(
      'the link',
      () =>
        scene
          .process()
          .out()
          .split('\n')
          .findLast((line) => line.includes('"the gateway link is '))
          ?.includes('is open"'),
      60_000,
    )
    await sleep(LOOK_MS)
  }

  /** A device that has to ask; it is refused, and its request waits. */
  const asks = async (more: Partial<DeviceOptions> = {}) => {
    const device = await gateway.stranger({ scopes: READ, ...more })
    expect(device.requestId, JSON.stringify(device.error)).toBeDefined()
    return { ...device, requestId: device.requestId ?? '', short: device.deviceId.slice(0, 12) }
  }
  type Asking = Awaited<ReturnType<typeof asks>>
  const back = ({ identity: same }: Asking, more: Partial<DeviceOptions> = {}) =>
    gateway.stranger({ scopes: READ, identity: same, ...more })

  /** The card of a device, once it reads so. */
  const card = ({ short }: Asking, scene: Scene, words: RegExp, timeoutMs = 30_000, chat = ANN) =>
    until(
      `a card of ${short} that reads ${words}`,
      () => scene.messages(chat).findLast(({ text }) => text.includes(short) && words.test(text)),
      timeoutMs,
    ).catch((error) => {
      const all = scene.messages(chat).map(({ text }) => text)
      throw new Error(`${error.message}; there is:\n${all.join('\n---\n').slice(-3_000)}`)
    })
  const asking = (device: Asking, scene: Scene, chat = ANN) =>
    card(device, scene, /wants to be let in/, 30_000, chat)
  /** Taps the button of a device's card, and then the one that confirms it. */
  async function confirm(scene: Scene, label: string, messageId: number): Promise<string> {
    const before = scene.messages().length
    await scene.press(label, { messageId })
    const plan = await until('its plan', () =>
      scene
        .messages()
        .slice(before)
        .find(({ buttons }) => buttons.flat().some(({ text }) => text === 'Do it')),
    )
    return await scene.press('Do it', { messageId: plan.id })
  }

  const listed = async ({ deviceId }: Pick<Device, 'deviceId'>) => {
    const { pending, paired } = await admin.call('device.pair.list')
    const mine = (each: Pick<Device, 'deviceId'>) => each.deviceId === deviceId
    return { pending: pending.filter(mine), paired: paired.find(mine) }
  }
  const isPaired = async (device: Asking) => (await listed(device)).paired !== undefined
  const heard = (event: string, requestId: string) =>
    until(`${event} of ${requestId}`, () =>
      admin.events.find((each) => each.event === event && each.payload.requestId === requestId),
    )

  // Tests inherit `concurrent`; these follow one another, beside what takes five minutes.
  describe('one after the other', () => {
    it(
      'is a card at once, is let in with one tap where it asks for little, and is seen to come back',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const shown: number[] = []
        const told: number[] = []
        const decided: number[] = []
        const returned: number[] = []
        const key = createIdentity()
        for (let round = 0; round < ROUNDS; round += 1) {
          const device = await asks({ identity: key })
          const requested = await heard('device.pair.requested', device.requestId)
          const { id, history, text, buttons } = await asking(device, scene)
          shown.push((history[0]?.at ?? 0) - requested.at)
          expect(text).toContain(newer ? 'command line wants to be let in' : 'Control UI wants to be let in')
          expect(buttons.flat().map((each) => each.text)).toEqual(['Approve', 'Reject', 'Details'])
          const tapped = performance.now()
          expect(await scene.press('Approve', { messageId: id })).toContain('is let in')
          told.push(performance.now() - tapped)
          const resolved = await heard('device.pair.resolved', device.requestId)
          expect(resolved.payload.decision).toBe('approved')
          decided.push(resolved.at - tapped)
          const came = performance.now()
          const here = await back(device)
          expect(here.error).toBeUndefined()
          const words = new RegExp(`approved by Ann .*${TIME}, connected ${TIME}`)
          const end = await until('the card of a device that is back', () =>
            scene.messages().find((each) => each.id === id && words.test(each.text)),
          )
          returned.push((end.history.at(-1)?.at ?? 0) - came)
          await here.close()
          await admin.call('device.pair.remove', { deviceId: device.deviceId })
          await until('it is forgotten', async () => !(await isPaired(device)))
        }
        report(`${VERSIONS[version]}: event → sendMessage ${Math.round(median(shown))} ms (${whole(shown)})`)
        report(
          `${VERSIONS[version]}: tap → approved ${Math.round(median(decided))} ms (${whole(decided)}), told ${Math.round(median(told))} ms`,
        )
        report(`${VERSIONS[version]}: back → card says so ${whole(returned)} ms`)
        expect(median(shown)).toBeLessThan(AT_ONCE_MS)
        expect(median(decided)).toBeLessThan(AT_ONCE_MS)

        const { requestId, deviceId } = await asks({ identity: key })
        const at = performance.now()
        expect((await gateway.cli(['devices', 'approve', requestId])).code).toBe(0)
        report(`${VERSIONS[version]}: its own CLI needs ${Math.round(performance.now() - at)} ms to approve`)
        await admin.call('device.pair.remove', { deviceId })
      },
    )

    it(
      'that asks for admin is let in with a second tap alone, and turned away with one',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const device = await asks({ scopes: ADMIN })
        const { id, text } = await asking(device, scene)
        expect(text).toContain('admin: can change everything and run code on this machine')
        await scene.press('Approve', { messageId: id })
        await scene.reads(/Let .* in\?/)
        expect(await isPaired(device)).toBe(false)
        await scene.press('Do it')
        await card(device, scene, /approved by Ann/)
        expect((await listed(device)).paired.scopes).toEqual(expect.arrayContaining(ADMIN))

        const other = await asks()
        const { id: second } = await asking(other, scene)
        expect(await scene.press('Reject', { messageId: second })).toContain('1 request rejected')
        expect((await heard('device.pair.resolved', other.requestId)).payload.decision).toBe('rejected')
        const end = await card(other, scene, /rejected by Ann/)
        expect(end.id).toBe(second)
        expect(end.buttons.flat()).toEqual([])
        expect(await listed(other)).toEqual({ pending: [], paired: undefined })
      },
    )

    it(
      'that is paired and wants more shows what it has and what it wants, and takes a second tap',
      IN_TURN,
      async (context) => {
        const device = await asks()
        await admin.call('device.pair.approve', { requestId: device.requestId })
        const scene = await sceneFor(context)
        const more = { ...device, ...(await asks({ identity: device.identity, scopes: ADMIN })) }
        const { id, text } = await asking(more, scene)
        expect(text).toMatch(
          /Paired, and wants more than it has.*\nHas: operator\.read\nWants besides:\nadmin: /,
        )
        await confirm(scene, 'Approve', id)
        await card(more, scene, /approved by Ann/)
        expect((await listed(device)).paired.scopes).toEqual(expect.arrayContaining([...READ, ...ADMIN]))
        expect((await back(more, { scopes: ADMIN })).error).toBeUndefined()
      },
    )

    it(
      'that asks for more between the card and the tap gets nothing by that tap, and is shown anew',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const first = await asks()
        const { id, buttons } = await asking(first, scene)
        const data = buttons.flat().find(({ text }) => text === 'Approve')?.data ?? ''
        const again = { ...first, ...(await asks({ identity: first.identity, scopes: ADMIN })) }
        // An older one asks for more under the same id, a newer one replaces it.
        expect(again.requestId === first.requestId).toBe(!newer)
        const update = scene.telegram.press({ chat: ANN, from: ANN, messageId: id, data })
        const toast = await until('an answer', () => scene.telegram.answerTo(update))
        expect(`${toast.text}`).toMatch(/nothing was approved|replaced by another one/)
        expect(await isPaired(first)).toBe(false)
        const anew = await card(again, scene, /wants to be let in[\s\S]*admin: can change everything/)
        expect(anew.id).toBe(id)
        await confirm(scene, 'Approve', id)
        await card(again, scene, /approved by Ann/)
        expect((await listed(first)).paired.scopes).toEqual(expect.arrayContaining(ADMIN))
      },
    )

    it('is let in once when two tap at once, and the other is told by whom', IN_TURN, async (context) => {
      const scene = await sceneFor(context)
      const device = await asks()
      const [ann, ben] = [await asking(device, scene), await asking(device, scene, BEN)]
      const answers = await Promise.all([
        scene.press('Approve', { messageId: ann.id }),
        scene.press('Approve', { from: BEN, messageId: ben.id }),
      ])
      const won = answers.findIndex((answer) => answer.includes('is let in'))
      expect(won, answers.join('; ')).not.toBe(-1)
      expect(answers[1 - won]).toContain(`approved by ${['Ann', 'Ben'][won]}`)
      const decisions = admin.events.filter(
        ({ event, payload }) => event === 'device.pair.resolved' && payload.requestId === device.requestId,
      )
      expect(decisions).toHaveLength(1)
      for (const chat of [ANN, BEN])
        await card(device, scene, new RegExp(`approved by ${['Ann', 'Ben'][won]}`), 20_000, chat)
    })

    it('is let in by its card after the bot, and after the gateway, began anew', IN_TURN, async (context) => {
      const scene = await sceneFor(context)
      const [device, other] = [await asks(), await asks()]
      const [{ id }, { id: second }] = [await asking(device, scene), await asking(other, scene)]
      await scene.kill()
      await scene.start()
      await linked(scene)
      expect(await scene.press('Approve', { messageId: id })).toContain('is let in')
      await card(device, scene, /approved by Ann/)
      expect((await back(device)).error).toBeUndefined()

      await gateway.restart()
      await gateway.ready()
      admin = await gateway.operator({ identity })
      await linked(scene)
      const answer = await scene.press('Approve', { messageId: second })
      expect(answer).toContain('is let in')
      expect(await isPaired(other)).toBe(true)
      await card(other, scene, /approved by Ann/)
    })

    it(
      'approved elsewhere ends its card; paired without us it is told, and can be removed',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const device = await asks()
        await asking(device, scene)
        expect((await gateway.cli(['devices', 'approve', device.requestId])).code).toBe(0)
        await card(device, scene, /approved by somebody else/)

        // A newer one lets a client on its own loopback in and asks nobody; with an older one it happens while we are away.
        const key = createIdentity()
        let silent: Asking
        if (newer) {
          await gateway.call('health', {}, { identity: key, clientId: 'cli', mode: 'cli', scopes: READ })
          const { paired } = await admin.call('device.pair.list')
          const mine = await gateway.stranger({ identity: key })
          expect(paired.find(({ deviceId }: Device) => deviceId === mine.deviceId)?.approvedVia).toBe(
            'silent',
          )
          silent = { ...mine, requestId: '', short: mine.deviceId.slice(0, 12) }
        } else {
          await scene.kill()
          silent = await asks({ identity: key })
          await admin.call('device.pair.approve', { requestId: silent.requestId })
          await scene.start()
        }
        const told = await card(silent, scene, /was let in, and not by opsbot/)
        expect(told.text).toContain(
          newer ? 'By the gateway itself, without asking anybody' : 'does not say who',
        )
        await confirm(scene, 'Remove', told.id)
        await until('it is removed', async () => !(await isPaired(silent)))
        expect((await back(silent)).requestId).toBeDefined()
      },
    )

    it(
      "gets its token revoked and rotated, and no token is in the chat, the bot's log or its state",
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const device = await asks()
        const { id } = await asking(device, scene)
        await scene.press('Approve', { messageId: id })
        await card(device, scene, /approved by Ann/)
        const here = await back(device)
        const tokens = new Set<string>()
        const keep = ({ result }: Pick<Device, 'result'>) => {
          const token = (result?.auth as { deviceToken?: string } | undefined)?.deviceToken
          if (token) tokens.add(token)
        }
        keep(here)

        const onDevice = async (button: string) => {
          scene.telegram.say({ chat: ANN, from: ANN, text: `/device ${device.short}` })
          const page = await card(device, scene, /Roles: operator/)
          return await confirm(scene, button, page.id)
        }
        const tokenOf = async () => (await listed(device)).paired.tokens[0]
        await onDevice('Rotate operator')
        await until('a new token', async () => (await tokenOf()).rotatedAtMs)
        if (newer) expect(await here.closed).toMatchObject({ code: 4001 })
        keep(await back(device))
        await onDevice('Revoke operator')
        await until('no token', async () => (await tokenOf())?.revokedAtMs)
        if (!newer)
          for (const each of Object.values<{ tokens: Record<string, { token: string }> }>(
            JSON.parse(readFileSync(join(gateway.stateDir, 'devices/paired.json'), 'utf8')),
          ))
            for (const { token } of Object.values(each.tokens)) tokens.add(token)

        expect(tokens.size).toBeGreaterThan(1)
        const files = readdirSync(scene.stateDir, { recursive: true })
          .map((name) => join(scene.stateDir, `${name}`))
          .filter((path) => statSync(path).isFile())
        const everything = [
          ...scene.messages().flatMap(({ history }) => history.map(({ text }) => text)),
          ...[scene.process().out(), scene.process().err()],
          ...files.map((path) => readFileSync(path, 'latin1')),
        ].join('\n')
        for (const token of tokens) expect(everything.includes(token), 'a token was told').toBe(false)
      },
    )

    it(
      'as a node is let in with two taps, and in a second stage where there is one',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        const node = {
          ...{ clientId: 'node-host', mode: 'node', role: 'node', scopes: [], headers: {} },
          ...{ caps: ['system'], commands: ['system.run'] },
        }
        const device = await asks(node)
        const { id, text } = await asking(device, scene)
        expect(text).toContain('as a node: agents may run commands on it')
        await confirm(scene, 'Approve', id)
        await card(device, scene, /approved by Ann/)
        const here = await back(device, node)
        expect(here.error).toBeUndefined()
        await card(device, scene, new RegExp(`connected ${TIME}`))

        scene.telegram.say({ chat: ANN, from: ANN, text: '/pairing' })
        if (newer) {
          const page = await scene.reads(/1 request to be let in[\s\S]*may be told to run system\.run/)
          const label = page.buttons.flat().find((each) => each.text.startsWith('Approve'))?.text ?? ''
          await confirm(scene, label, page.id)
          await until('its second stage', async () => {
            const { pending, paired } = await admin.call('node.pair.list')
            return pending.length === 0 && paired.length === 1
          })
        } else await scene.reads(/Nobody waits at the channels/)
        await here.close()
      },
    )

    it(
      'is listed and let in by the CLI, with its exact id, where the link is shut',
      IN_TURN,
      async (context) => {
        const scene = await sceneFor(context)
        // Our script does not start any more, the gateway's own programs do.
        const [path, real] = ['/usr/local/bin/node', '/usr/local/real/node']
        const wrapper = `#!/bin/sh\n[ "$1" = -e ] && exit 1\nexec ${real} "$@"\n`
        const root = (script: string) => gateway.exec(['sh', '-c', script], { user: 'root' })
        context.onTestFinished(async () => void (await root(`mv -f ${real} ${path}`)))
        const swap = `mkdir -p /usr/local/real && mv ${path} ${real} && printf '%s' '${wrapper}' > ${path} && chmod 755 ${path}`
        const end = `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline | grep -q '^node -e ' && kill -9 \${p#/proc/}; done; true`
        expect((await root(`${swap}; ${end}`)).stderr).toBe('')

        const [device, newest] = [await asks(), await asks()]
        const { id, text } = await card(
          device,
          scene,
          /wants to be let in[\s\S]*Seen by the gateway’s CLI: the link is shut/,
          90_000,
        )
        expect(text).toContain(device.short)
        const at = performance.now()
        scene.telegram.press({ chat: ANN, from: ANN, button: 'Approve', messageId: id })
        await card(device, scene, /approved by Ann/, 90_000)
        report(`${VERSIONS[version]}: tap → approved by the CLI ${Math.round(performance.now() - at)} ms`)
        expect((await heard('device.pair.resolved', device.requestId)).payload.decision).toBe('approved')
        // Without an id an older one would have let the newest in.
        expect(await isPaired(newest)).toBe(false)
        await admin.call('device.pair.reject', { requestId: newest.requestId })
      },
    )
  })

  it('that nobody answers is over after five minutes: its card says so, and a tap says so too', async (context) => {
    const scene = await sceneFor(context)
    const device = await asks()
    const asked = Date.now()
    const { id, buttons } = await asking(device, scene)
    const data = buttons.flat().find(({ text }) => text === 'Approve')?.data ?? ''
    const end = await card(device, scene, /: expired\nReload the page to ask again/, LIFE_MS + 60_000)
    expect(end.id).toBe(id)
    const late = Date.now() - asked - LIFE_MS
    report(`${VERSIONS[version]}: the card said so ${late} ms after the end`)
    expect(Math.abs(late)).toBeLessThan(30_000)
    const update = scene.telegram.press({ chat: ANN, from: ANN, messageId: id, data })
    const toast = await until('an answer', () => scene.telegram.answerTo(update))
    expect(`${toast.text}`).toMatch(/it ran out|expired/)
    expect(await isPaired(device)).toBe(false)
  }, 480_000)
})
