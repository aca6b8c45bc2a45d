// Device pairing on the road: what asks to be let in becomes a card, which approves what it shows and nothing else, in both versions.

import { describe, it } from 'vitest'
import { deviceNamed } from '../openclaw/door.ts'
import {
  ADMIN,
  ASKS,
  ask,
  createDoorYard,
  dataOf,
  devicesCli,
  done,
  labels,
  MOST,
  press,
  READ,
} from '../openclaw/doors.ts'
import { VERSIONS } from '../openclaw/recording.ts'
import { createIdentity } from '../real/device-client.ts'
import { ANN, BEN, EVE, OPS, until, VIC } from './rig.ts'

/** The whole bot and a child process each: on a busy machine that takes its time. */
const SLOW = { timeout: 30_000 }
/** From the gateway to Telegram. The bench has the figure; on a busy machine it must only be no worse than this. */
const AT_ONCE_MS = 2_000

const TIME = /\d\d:\d\d:\d\d/.source

describe.concurrent.each(VERSIONS)('a request at %s', SLOW, (version) => {
  it('is a card for the alert chat and the owners at once, with what has to be known', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const { deviceId } = await yard.browse({ scopes: ADMIN })
    const card = await yard.shown(ASKS)
    const { ts = 0 } = yard.replay.door.pending()[0] ?? {}
    expect(performance.timeOrigin + (card.history[0]?.at ?? 0) - ts).toBeLessThan(AT_ONCE_MS)
    const pieces = [
      ...['Control UI wants to be let in', 'New: Control UI, linux, 203.0.113.7', deviceId.slice(0, 12)],
      ...['admin: can change everything and run code on this machine', 'pairing: can let other devices in'],
      ...['Asked at', 'until'],
    ]
    for (const piece of pieces) expect(card.text).toContain(piece)
    expect(labels(card)).toEqual(['Approve', 'Reject', 'Details'])
    expect(card.silent).toBe(false)
    for (const { data = '' } of card.buttons.flat()) expect(Buffer.byteLength(data)).toBeLessThanOrEqual(MOST)
    const owner = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find(({ text }) => text.includes(ASKS)),
    )
    expect(owner.text).toBe(card.text)
  })

  it('for little is approved with one tap, and the card says when it was connected', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const identity = createIdentity()
    const { requestId, deviceId } = await yard.browse({ identity, scopes: READ })
    await yard.shown(ASKS)
    expect(await press(yard, BEN, 'Approve')).toContain('Control UI is let in.')
    expect(done(yard)).toEqual([{ method: 'device.pair.approve', params: { requestId } }])
    await yard.shown(new RegExp(`Control UI: approved by Ben \\(${BEN}\\) ${TIME}`))
    expect((await yard.browse({ identity, scopes: READ })).error).toBeUndefined()
    const card = await yard.shown(new RegExp(`approved by Ben \\(${BEN}\\) ${TIME}, connected ${TIME}`))
    expect(labels(card)).toEqual([])
    const audited = yard.audited().find((line) => line.includes('approve device'))
    for (const piece of [`Ben (${BEN})`, deviceId.slice(0, 12), 'read']) expect(audited).toContain(piece)
  })

  it('for everything needs a second tap, which only who tapped first may give', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const { requestId } = await yard.browse({ scopes: ADMIN })
    await yard.shown(ASKS)
    await press(yard, BEN, 'Approve')
    const plan = await yard.shown('Let Control UI in?')
    expect(plan.text).toContain('admin: can change everything')
    expect(done(yard)).toEqual([])
    expect(await press(yard, ANN, 'Do it')).toContain('Only who asked can confirm it.')
    expect(await press(yard, BEN, 'Do it')).toContain('is let in.')
    expect(done(yard)).toEqual([{ method: 'device.pair.approve', params: { requestId } }])
    await yard.shown(`approved by Ben (${BEN})`)
  })

  it('of a paired device that wants more shows what it has and what it wants besides, and needs a second tap', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    await yard.shown(ASKS)
    await press(yard, BEN, 'Approve')
    await yard.shown('Phone: approved')
    ask(yard, 'Phone', { scopes: ['operator.read', 'operator.write'] })
    const card = await yard.shown(ASKS)
    expect(card.text).toMatch(
      /Paired, and wants more than it has.*\nHas: operator\.read\nWants besides:\nwrite: /,
    )
    await press(yard, BEN, 'Approve')
    await yard.shown('Let Phone in?')
    expect(yard.replay.door.paired()[0]?.scopes).toEqual(READ)
    await press(yard, BEN, 'Do it')
    await until(() => yard.replay.door.paired()[0]?.scopes.includes('operator.write'))
  })

  it('is rejected, and looked at before', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    const { requestId } = ask(yard, 'Phone')
    await yard.shown(ASKS)
    await press(yard, BEN, 'Details')
    await until(() => yard.told().filter((text) => text.includes(ASKS)).length === 2)
    expect(await press(yard, BEN, 'Reject')).toContain('1 request rejected.')
    await yard.shown(new RegExp(`Phone: rejected by Ben \\(${BEN}\\) ${TIME}`))
    expect(done(yard)).toEqual([{ method: 'device.pair.reject', params: { requestId } }])
    expect(yard.audited().some((line) => /Ben.*reject device/.test(line))).toBe(true)
  })

  it('that ran out says so on its card, and so does a tap after it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    const { id, buttons } = await yard.shown(ASKS)
    yard.clock.pass(300_001)
    // A press that may have waited as long is refused for that alone.
    await yard.ask(VIC, '/help')
    const data = dataOf({ buttons }, 'Approve')
    const late = yard.telegram.press({ chat: OPS, from: BEN, messageId: id, data })
    const toast = await yard.telegram.waitFor((fake) => fake.answerTo(late))
    expect(toast.text).toContain('That request is over')
    const card = await yard.shown('Phone: expired')
    expect(card.text).toContain('Reload the page to ask again.')
    expect(labels(card)).toEqual([])
    expect(yard.replay.door.paired()).toEqual([])
  })

  it('that was replaced by another for just the same is followed on its card, by an old button too', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const asked = ask(yard, 'Phone', { scopes: READ })
    const { id, buttons } = await yard.shown(ASKS)
    const anew = yard.replay.door.replace(asked.requestId)
    yard.telegram.press({ chat: OPS, from: BEN, messageId: id, data: dataOf({ buttons }, 'Approve') })
    await yard.shown('Phone: approved by Ben')
    expect(done(yard)).toEqual([{ method: 'device.pair.approve', params: { requestId: anew.requestId } }])
    expect(yard.told().filter((text) => text.includes('Phone'))).toHaveLength(1)
  })

  it('that asks for more by now is not approved, and its card shows what it asks for', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    const { id, buttons } = await yard.shown(ASKS)
    ask(yard, 'Phone', { scopes: ADMIN })
    const tap = yard.telegram.press({
      chat: OPS,
      from: BEN,
      messageId: id,
      data: dataOf({ buttons }, 'Approve'),
    })
    const toast = await yard.telegram.waitFor((fake) => fake.answerTo(tap))
    expect(toast.text).toMatch(/nothing was approved|It was replaced by another/)
    const card = await yard.shown('admin: can change everything')
    expect(card.id).toBe(id)
    expect(done(yard)).toEqual([])
  })

  it('two admins at once: one lets it in, the other is told by whom', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    const { id: messageId } = await yard.shown(ASKS)
    const taps = [ANN, BEN].map((from) =>
      yard.telegram.press({ chat: OPS, from, button: 'Approve', messageId }),
    )
    const toasts = await Promise.all(
      taps.map((tap) => yard.telegram.waitFor((fake) => fake.answerTo(tap)).then(({ text }) => `${text}`)),
    )
    expect(done(yard)).toHaveLength(1)
    expect(toasts.filter((text) => text.includes('Phone is let in.'))).toHaveLength(1)
    const card = await yard.shown('Phone: approved by')
    const winner = /approved by (Ann|Ben)/.exec(card.text)?.[1]
    expect(toasts.find((text) => !text.includes('let in'))).toContain(`It was approved by ${winner}`)
  })

  it('outlives a restart of its gateway', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    await yard.shown(ASKS)
    await yard.replay.restart(100)
    await until(() => yard.replay.counts.lines >= 2)
    await yard.opened()
    expect(await press(yard, BEN, 'Approve')).toContain('Phone is let in.')
    await yard.shown('Phone: approved by Ben')
  })

  it('outlives a restart of the bot, but a confirmation that waits does not', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone')
    await yard.shown(ASKS)
    await press(yard, BEN, 'Approve')
    const { id: messageId } = await yard.shown('Let Phone in?')
    await yard.stop()
    await yard.start()
    await yard.opened()
    expect(await yard.press(BEN, 'Do it', { chat: OPS, messageId })).toContain('older than my last start')
    expect(done(yard)).toEqual([])
    const card = yard.telegram.messages(OPS).find(({ text }) => text.includes(ASKS))
    await yard.press(BEN, 'Approve', { chat: OPS, messageId: card?.id ?? 0 })
    await until(() => yard.told().filter((text) => text.includes('Let Phone in?')).length === 2)
    await press(yard, BEN, 'Do it')
    await yard.shown('Phone: approved by Ben')
    expect(yard.told().filter((text) => text.includes(ASKS))).toEqual([])
  })

  it('that is approved elsewhere ends its card', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    const { requestId } = ask(yard, 'Phone')
    await yard.shown(ASKS)
    yard.replay.door.methods['device.pair.approve']?.({ requestId }, ADMIN)
    const card = await yard.shown('Phone: approved by somebody else')
    expect(labels(card)).toEqual([])
    // That is told already.
    expect(yard.told().filter((text) => text.includes('not by opsbot'))).toEqual([])
  })

  it('that cannot be answered because the gateway is gone says so, and the card still works after it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    await yard.shown(ASKS)
    await yard.replay.down()
    await until(() => yard.ops.gateway.link().state === 'shut')
    expect(await press(yard, BEN, 'Approve')).toMatch(
      /no line into the gateway|No OpenClaw CLI answers|closed the line/,
    )
    await yard.replay.up()
    await yard.opened()
    expect(await press(yard, BEN, 'Approve')).toContain('Phone is let in.')
  })

  it('is read and answered by the CLI while the link is shut, and the card says so', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version, { cli: devicesCli(version) })
    yard.replay.trouble({ refuse: 'token' })
    yard.replay.cut()
    await until(() => yard.ops.gateway.link().state === 'shut')
    ask(yard, 'Phone', { scopes: READ })
    await yard.lookAgain()
    const card = await yard.shown(ASKS)
    expect(card.text).toContain('Seen by the gateway’s CLI: the link is shut')
    expect(await press(yard, BEN, 'Approve')).toContain('Phone is let in.')
    await yard.shown('Phone: approved by Ben')
    expect(yard.replay.door.paired()).toMatchObject([{ deviceId: deviceNamed('Phone').deviceId }])
  })

  it('is none of a viewer’s and none of a stranger’s, and a tap of a day ago does nothing: all is audited', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone', { scopes: READ })
    const card = await yard.shown(ASKS)
    expect(await press(yard, VIC, 'Approve')).toContain('/approve is for the role operator; yours is viewer.')
    yard.telegram.press({ chat: OPS, from: EVE, button: 'Approve', messageId: card.id })
    await until(() => yard.audited().some((line) => /strangers: refused.*99/.test(line)))
    expect(yard.audited().some((line) => /Vic.*refused.*\/approve/.test(line))).toBe(true)
    await yard.stop()
    const data = dataOf(card, 'Approve')
    const stale = yard.telegram.press({ chat: OPS, from: BEN, messageId: card.id, data })
    yard.clock.pass(86_400_000)
    await yard.start()
    await yard.opened()
    await until(() => yard.inbox().some(({ updateId, state }) => updateId === stale && state === 'done'))
    expect(done(yard)).toEqual([])
    expect(yard.replay.door.paired()).toEqual([])
    expect(yard.audited().some((line) => /Ben.*refused \/approve .*it came too late/.test(line))).toBe(true)
    // The bot is there again, and the card is a day old.
    const { id: messageId } = await yard.shown('Phone: expired')
    const old = yard.telegram.press({ chat: OPS, from: BEN, messageId, data })
    const answer = await yard.telegram.waitFor((fake) => fake.answerTo(old))
    expect(answer.text).toContain('That request is over')
    expect(yard.audited().some((line) => /Ben.*refused \/approve .*That request is over/.test(line))).toBe(
      true,
    )
  })

  it('is answered by typing its beginning, and then always with a second tap', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const { requestId } = ask(yard, 'Phone', { scopes: READ })
    ask(yard, 'Tablet')
    await yard.shown(`Tablet ${ASKS}`)
    expect((await yard.ask(BEN, '/approve')).text).toContain('id')
    expect(labels(await yard.ask(BEN, `/approve ${requestId.slice(0, 8)}`))).toEqual(['Do it'])
    expect(await press(yard, BEN, 'Do it', BEN)).toBeDefined()
    await yard.shown('Phone: approved by Ben')
    const { deviceId } = deviceNamed('Tablet')
    await yard.ask(BEN, `/reject ${deviceId.slice(0, 12)}`)
    await yard.shown('Tablet: rejected by Ben')
    expect((await yard.ask(BEN, `/approve ${deviceId.slice(0, 12)}`)).text).toContain(
      'It was rejected by Ben',
    )
    expect(done(yard)).toHaveLength(2)
  })
})
