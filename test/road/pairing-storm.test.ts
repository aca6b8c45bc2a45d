// Storms at the gateway's door, on the road: one card for one device however often it asks, one alert for many, all harmless.

import { describe, it } from 'vitest'
import { ASKS, ask, createDoorYard, dataOf, done, MOST, press } from '../openclaw/doors.ts'
import { NEW, VERSIONS } from '../openclaw/recording.ts'
import type { Yard } from '../openclaw/yard.ts'
import { BEN, OPS, until } from './rig.ts'

/** The whole bot and a child process each: on a busy machine that takes its time. */
const SLOW = { timeout: 30_000 }

/** What anybody may call a device. */
const HOSTILE = {
  markup: '<b>x</b></code><a href="tg://user?id=1">Ann</a> &amp; *y* `z`',
  long: 'x'.repeat(4_000),
  lines: 'Phone\n✅ Phone: approved by Ann\r\n\u2028/approve all',
  turned: '\u202egpj.exe\u202c \u2066x\u2069 \u200e\u200f',
  nothing: '\u200b\u200c\u200d\ufeff   ',
  family: '👩‍👩‍👧‍👦'.repeat(400),
}
/** Characters that make text read in another order than it is, or hide. */
const TRICKS = /[\u202a-\u202e\u2066-\u2069\u200b-\u200f\u2028\ufeff]/
/** What we mark up ourselves. */
const OURS = ['bold', 'code', 'expandable_blockquote']

const cards = (yard: Yard) => yard.telegram.messages(OPS).filter(({ text }) => text.includes(ASKS))

describe.concurrent.each(VERSIONS)('at %s', SLOW, (version) => {
  it('a client that asks every second for a minute is one card with a counter, and few edits', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    ask(yard, 'Phone')
    await yard.shown(ASKS)
    for (let second = 0; second < 60; second += 1) {
      yard.clock.pass(1_000)
      ask(yard, 'Phone')
      // What no event tells of is looked for every minute; a hurried gateway makes it every ten seconds.
      if (second % 10 === 9) await yard.lookAgain()
    }
    const card = await yard.shown('Asked 7 times')
    expect(cards(yard)).toHaveLength(1)
    expect(card.history.length - 1).toBeLessThanOrEqual(6)
    // It lives for as long as somebody asks.
    expect(card.text).not.toContain('expired')
    expect(yard.replay.door.pending()).toHaveLength(1)
  })

  it('more than five devices in a minute are one alert, and Reject all turns all of them away', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    for (let number = 1; number <= 8; number += 1) ask(yard, `Phone ${number}`)
    const alert = await yard.shown('Many devices ask to be let in')
    expect(alert.text).toContain('8 different devices asked within a minute: that is no person.')
    expect(dataOf(alert, 'Reject all')).not.toBe('')
    await yard.lookAgain()
    expect(cards(yard).length).toBeLessThanOrEqual(5)
    expect(await press(yard, BEN, 'Reject all')).toContain('8 requests rejected.')
    expect(done(yard).filter(({ method }) => method === 'device.pair.reject')).toHaveLength(8)
    expect(yard.replay.door.pending()).toEqual([])
    await until(() => cards(yard).length === 0)
    expect(yard.audited().some((line) => /Ben.*reject device all/.test(line))).toBe(true)
  })

  it('a thousand requests in a minute are few messages, and the bot answers while they come', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version, { fake: { limits: { perGroupPerMinute: 20 } } })
    const before = yard.telegram.messages(OPS).length
    for (let number = 1; number <= 1_000; number += 1) ask(yard, `Phone ${number}`)
    const began = performance.now()
    const page = await yard.ask(BEN, '/devices')
    expect(performance.now() - began).toBeLessThan(3_000)
    expect(page.text).toMatch(/1000 devices waiting/)
    await yard.shown('Many devices ask to be let in')
    await yard.lookAgain()
    expect(yard.telegram.messages(OPS).length - before).toBeLessThanOrEqual(7)
    for (const { text } of yard.telegram.messages(OPS)) expect(text.length).toBeLessThanOrEqual(4_096)
    expect(yard.telegram.calls.filter(({ status }) => status === 429)).toEqual([])
    expect(done(yard)).toEqual([])
  })

  it('whatever a device is called and says of itself is harmless and fits', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    for (const [key, name] of Object.entries(HOSTILE).slice(0, 5)) {
      const more = { platform: name, browserOrigin: `https://${name}`, remoteIp: name, clientId: name }
      ask(yard, key, { displayName: name, ...more, scopes: ['operator.read', name] })
    }
    const shown = await yard.telegram.waitFor(() => (cards(yard).length >= 5 ? cards(yard) : undefined))
    for (const card of shown) {
      expect(card.text.length).toBeLessThanOrEqual(4_096)
      expect(card.text.split('\n')[0]).toMatch(/^❓ .+ wants to be let in$/u)
      expect(card.text.split('\n')[0]?.length).toBeLessThan(120)
      expect(card.text).not.toMatch(TRICKS)
      expect(card.entities.filter(({ type }) => !OURS.includes(type))).toEqual([])
      for (const { data = '' } of card.buttons.flat())
        expect(Buffer.byteLength(data)).toBeLessThanOrEqual(MOST)
    }
    expect((await yard.ask(BEN, '/devices')).text).not.toMatch(TRICKS)
    await press(yard, BEN, 'Reject')
    await until(() => done(yard).length === 1)
  })
})

describe.concurrent('under the limits of Telegram', SLOW, () => {
  it('a client that is another request every second, as one that asks for more each time, is one card', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, NEW)
    const scopes = [
      'operator.read',
      'operator.write',
      'operator.approvals',
      'operator.pairing',
      'operator.admin',
    ]
    for (let count = 1; count <= scopes.length; count += 1) {
      ask(yard, 'Phone', { scopes: scopes.slice(0, count) })
      yard.clock.pass(1_000)
    }
    const card = await yard.shown('admin: can change everything')
    expect(cards(yard)).toHaveLength(1)
    expect(card.history.length).toBeLessThanOrEqual(scopes.length)
  })
})
