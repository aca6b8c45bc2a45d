// Alerts on their way to people's phones: what rings, what is edited, and what becomes of a card when Telegram says no.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { pageOfCard } from '../../src/bot/cards.ts'
import { createClock } from '../../src/bot/clock.ts'
import { cardHtml } from '../../src/bot/render.ts'
import type { Mishap } from '../telegram/server.ts'
import { ANN, BEN, createRig, OPS, type Rig, type RigOptions, until, VIC } from './rig.ts'

const inGroup = { env: { TELEGRAM_CHAT_ID: `${OPS}` } }
const critical = { verdict: 'bad' } as const
const texts = ({ telegram }: Rig, chat: number) => telegram.messages(chat).map(({ text }) => text)
const arrives = (rig: Rig, text: string, chat = OPS) =>
  soon(rig, () => rig.telegram.messages(chat).find((message) => message.text.includes(text)))
const callsTo = ({ telegram }: Rig, chat: number) =>
  telegram.calls.filter(({ method, params }) => /^(send|edit)/.test(method) && params.chat_id === chat)

/** Waits for something that the courier does when its time has come, and hurries the time along. */
async function soon<T>(rig: Rig, probe: () => T): Promise<NonNullable<T>> {
  return await until(() => {
    const value = probe()
    if (value) return value
    rig.clock.pass(60)
    rig.ops.cards.nudge()
    return undefined
  })
}

/** Waits until every copy shows its card's newest revision. */
async function delivered(rig: Rig): Promise<void> {
  const { copies } = rig.ops
  await soon(rig, () => copies.unaddressed().length + copies.due(Number.MAX_SAFE_INTEGER).length === 0)
}

describe.concurrent('a card', () => {
  it.for([
    { what: 'a warning', more: {}, mark: '🟡', silent: true },
    { what: 'what is critical', more: critical, mark: '🔴', silent: false },
  ])(
    'of $what is silent: $silent; it has its buttons',
    async ({ more, mark, silent }, { onTestFinished: after }) => {
      const rig = await createRig({ ...inGroup, after })
      await rig.see('a', { ...more, mend: 'Mend it.' })
      const card = await arrives(rig, 'Trouble with a')
      expect(card.text).toMatch(
        new RegExp(`^${mark} Trouble with a\\na is not well\\nsince \\d\\d:\\d\\d UTC\\nMend it.$`),
      )
      expect(card.buttons.map((row) => row.map(({ text }) => text))).toEqual([
        ['Ack', 'Mute 1 h', 'Mute 8 h', 'Details'],
      ])
      expect(card.silent).toBe(silent)
    },
  )

  it('is edited by an ack, which is answered with a toast alone', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a', critical)
    await arrives(rig, 'Trouble')
    expect(await rig.press(BEN, 'Ack', { chat: OPS })).toBe('You look after: Trouble with a')
    const card = await arrives(rig, `Acknowledged by Ben (${BEN}) at`)
    expect(card.buttons.flat().map(({ text }) => text)).not.toContain('Ack')
    await rig.ask(ANN, '/whoami')
    expect(rig.telegram.messages(OPS)).toHaveLength(1)
  })

  it('shows its details in a message of their own', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    const { id } = await arrives(rig, 'Trouble')
    expect(await rig.press(VIC, 'Details', { chat: OPS })).toBe('')
    const details = await arrives(rig, 'key test/a')
    expect(details).toMatchObject({ replyTo: id, silent: true })
  })

  it('says at its end from when to when, and the end is also a silent answer to it', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a', critical)
    const { id } = await arrives(rig, 'Trouble')
    rig.clock.pass(61_000)
    await rig.unsee('a')
    await soon(rig, () => rig.telegram.messages(OPS).length === 2)
    await delivered(rig)
    const [card, end] = rig.telegram.messages(OPS)
    expect(card?.text).toMatch(/^✅ Resolved: Trouble with a\n.*\(1 min\)$/)
    expect(card?.buttons).toEqual([])
    expect(end).toMatchObject({ replyTo: id, silent: true })
    expect(end?.text).toMatch(/^✅ Resolved: Trouble with a/)
  })

  it('gathers the warnings of a storm, and all of them can be acknowledged at once; what is critical rings on its own', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    const first = await arrives(rig, 'Trouble with a')
    for (const name of ['b', 'c', 'd']) await rig.see(name)
    await rig.see('fire', critical)
    const fire = await arrives(rig, 'Trouble with fire')
    expect(fire.silent).toBe(false)
    const storm = await arrives(rig, '4 firing')
    expect(storm).toMatchObject({ id: first.id, silent: true })
    for (const name of ['a', 'b', 'c', 'd']) expect(storm.text).toContain(`🟡 Trouble with ${name}:`)
    expect(await rig.press(ANN, 'Ack all', { chat: OPS })).toContain('Trouble with a, Trouble with b')
    expect(rig.ops.alerts.open(0).flatMap(({ title, ack }) => (ack ? [] : title))).toEqual([
      'Trouble with fire',
    ])
    await rig.unsee('a', 'b', 'c', 'd')
    await arrives(rig, '4 resolved')
    await delivered(rig)
    expect(rig.telegram.messages(OPS)).toHaveLength(3)
    expect(rig.telegram.messages(OPS)[2]).toMatchObject({ replyTo: first.id, silent: true })
  })

  it('is told again when a mute ends while it still fires, once', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    await arrives(rig, 'Trouble')
    expect(await rig.press(ANN, 'Mute 1 h', { chat: OPS })).toContain('Muted until')
    await arrives(rig, 'Muted until')
    rig.clock.pass(59 * 60_000)
    await rig.look()
    expect(rig.telegram.messages(OPS)).toHaveLength(1)
    rig.clock.pass(2 * 60_000)
    for (let look = 0; look < 3; look += 1) await rig.look()
    await arrives(rig, '🟡 Still firing after its mute: Trouble with a')
    await delivered(rig)
    expect(rig.telegram.messages(OPS)).toHaveLength(2)
  })
})

describe.concurrent('quiet hours', () => {
  it('hold warnings back until they end and then tell them in one message; what is critical rings at once', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({
      after,
      env: { ...inGroup.env, OPSBOT_QUIET_HOURS: '23:00-07:00' },
      idle: true,
    })
    rig.clock.to(Date.parse('2030-01-15T23:30:00Z'))
    await rig.start()
    await rig.see('a')
    await rig.see('fire', critical)
    await rig.see('b')
    await arrives(rig, 'Trouble with fire')
    rig.clock.to(Date.parse('2030-01-16T06:59:00Z'))
    await rig.unsee('b')
    await rig.ask(ANN, '/whoami')
    expect(texts(rig, OPS)).toHaveLength(1)
    rig.clock.to(Date.parse('2030-01-16T07:00:01Z'))
    rig.ops.cards.nudge()
    const digest = await arrives(rig, 'Quiet hours')
    expect(digest.text).toContain('1 firing, 1 resolved')
    expect(digest.text).toContain('Trouble with a')
    expect(digest.silent).toBe(true)
    expect(texts(rig, OPS)).toHaveLength(2)
  })
})

describe.concurrent('a restart', () => {
  it('neither repeats nor forgets: what fires is not told again, and its end is an answer to the first message', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a', critical)
    const { id } = await arrives(rig, 'Trouble')
    await delivered(rig)
    await rig.stop()
    await rig.start()
    await rig.look()
    await rig.ask(ANN, '/whoami')
    expect(rig.telegram.messages(OPS)).toHaveLength(1)
    await rig.unsee('a')
    const end = await rig.telegram.waitFor((fake) => fake.messages(OPS)[1])
    expect(end).toMatchObject({ replyTo: id })
  })

  it('after a long absence tells in one message what began meanwhile', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.stop()
    rig.clock.pass(2 * 3_600_000)
    await rig.start()
    await rig.see('a')
    await rig.see('b')
    const card = await arrives(rig, '2 firing')
    expect(card.text).toMatch(/While I was away \S+–\S+ UTC: 2 firing/)
    expect(rig.telegram.messages(OPS)).toHaveLength(1)
  })
})

describe.concurrent('a limit', () => {
  const twoOwners = { env: { OPSBOT_OWNERS: `${ANN},${BEN}`, OPSBOT_OPERATORS: '' } }

  it('is heeded to the end for the chat that it is for, and other chats go on', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...twoOwners, after })
    rig.telegram.fault({ method: 'sendMessage', kind: 'status', retryAfter: 90, times: 1 })
    await rig.see('a')
    await rig.telegram.waitFor((fake) => fake.messages(ANN).length + fake.messages(BEN).length === 1)
    const [limited, free] = rig.telegram.messages(ANN).length === 0 ? [ANN, BEN] : [BEN, ANN]
    await until(() => rig.ops.copies.nextDue(rig.clock.now()))
    rig.clock.pass(80_000)
    await rig.see('fire', critical)
    await arrives(rig, 'Trouble with fire', free)
    expect(callsTo(rig, limited)).toHaveLength(1)
    rig.clock.pass(11_000)
    await arrives(rig, 'Trouble with fire', limited)
    await arrives(rig, 'Trouble with a', limited)
    expect(callsTo(rig, limited).map(({ status }) => status)).toEqual([429, 200, 200])
  })

  it('of a second is over after a second, without anybody looking', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    rig.telegram.fault({ method: 'sendMessage', kind: 'status', retryAfter: 1, times: 1 })
    await rig.see('a')
    await rig.telegram.waitFor((fake) => fake.messages(OPS)[0])
    const [refused, sent] = callsTo(rig, OPS)
    expect((sent?.at ?? 0) - (refused?.answeredAt ?? 0)).toBeGreaterThan(990)
  })
})

describe.concurrent('a fault', () => {
  const faults: [string, Mishap, boolean][] = [
    ['an inner error of Telegram', { kind: 'status', status: 500 }, false],
    ['an answer that is no JSON', { kind: 'status', status: 502, body: '<html>Bad Gateway</html>' }, false],
    ['a connection that is reset', { kind: 'reset' }, false],
    ['a call that is never answered until the network is cut', { kind: 'hang' }, true],
    ['an answer that is lost', { kind: 'drop-after-ok' }, false],
  ]

  it.for(faults)(
    '%s while a card is sent, edited and answered: in the end it is all there',
    async ([, mishap, cut], { onTestFinished: after }) => {
      const rig = await createRig({ ...inGroup, after })
      const strike = async (method: string, act: () => Promise<unknown>, shown: () => unknown) => {
        const before = rig.telegram.counts[method] ?? 0
        rig.telegram.fault({ ...mishap, method, times: 1 })
        await act()
        await soon(rig, () => (rig.telegram.counts[method] ?? 0) > before)
        if (cut) rig.telegram.cut()
        await soon(rig, shown)
      }
      const last = () => rig.telegram.messages(OPS).at(-1)
      await strike(
        'sendMessage',
        () => rig.see('a'),
        () => last()?.text.includes('Trouble'),
      )
      await delivered(rig)
      const first = last()?.id
      await strike(
        'editMessageText',
        async () => rig.ops.alerts.ack('all', 'Ann', rig.clock.now()),
        () => last()?.text.includes('Acknowledged'),
      )
      await delivered(rig)
      await strike(
        'sendMessage',
        () => rig.unsee('a'),
        () => last()?.replyTo === first,
      )
      await delivered(rig)
      expect(rig.telegram.messages(OPS).find(({ id }) => id === first)?.text).toContain('✅ Resolved')
      // Twice only where the answer to a sending was lost.
      expect(rig.telegram.messages(OPS)).toHaveLength(mishap.kind === 'drop-after-ok' ? 4 : 2)
    },
  )

  it('of any kind at any time: in the end every card is shown once, at its newest', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after, ...inGroup, fake: { seed: 5 } })
    const { telegram, ops, clock } = rig
    telegram.fault({ method: /^(send|edit)/, kind: 'status', status: 500, probability: 0.2 })
    telegram.fault({ method: /^(send|edit)/, kind: 'reset', probability: 0.2 })
    telegram.fault({ method: /^(send|edit)/, kind: 'status', retryAfter: 5, probability: 0.1 })
    for (let round = 0; round < 30; round += 1) {
      const name = `n${round % 4}`
      if (round % 3 === 2) await rig.unsee(name)
      else await rig.see(name, round % 2 ? critical : {})
      if (round % 5 === 0 && ops.alerts.open(0).length > 0) ops.alerts.ack('all', 'Ann', clock.now())
      clock.pass(6_000)
      ops.cards.nudge()
      await sleep(10)
      if (round === 15) telegram.cut()
    }
    telegram.heal()
    clock.pass(60_000)
    ops.cards.nudge()
    await delivered(rig)
    const clockOf = createClock('UTC', clock.now)
    const copies = ops.store.all<{ id: number; messageId: number; kind: string; facts: string }>(
      'SELECT c.id, p.message_id AS messageId, c.kind, c.facts FROM copies p JOIN cards c ON c.id = p.card_id WHERE p.message_id IS NOT NULL',
    )
    expect(copies.length).toBeGreaterThan(5)
    for (const { messageId, facts, ...card } of copies) {
      const page = (unseen: boolean) =>
        cardHtml(pageOfCard({ ...card, facts: JSON.parse(facts) }, unseen, clockOf))
      expect([page(true), page(false)]).toContain(
        telegram.messages(OPS).find(({ id }) => id === messageId)?.html,
      )
    }
    expect(telegram.messages(OPS)).toHaveLength(copies.length)
    expect(ops.pulse.read().overdueSince).toBeUndefined()
  })

  it('"not modified" is success: it is not tried again', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    await arrives(rig, 'Trouble')
    rig.telegram.fault({
      method: 'editMessageText',
      kind: 'status',
      status: 400,
      description: 'Bad Request: message is not modified: specified new message content',
    })
    rig.ops.alerts.ack('all', 'Ann', rig.clock.now())
    await soon(rig, () => rig.telegram.counts.editMessageText === 1)
    await delivered(rig)
    rig.clock.pass(60_000)
    rig.ops.cards.nudge()
    await rig.ask(ANN, '/whoami')
    expect(rig.telegram.counts.editMessageText).toBe(1)
  })

  it('"message to edit not found" sends the card anew, at its newest', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    await arrives(rig, 'Trouble')
    rig.telegram.fault({
      method: 'editMessageText',
      kind: 'status',
      status: 400,
      description: 'Bad Request: message to edit not found',
    })
    rig.ops.alerts.ack('all', 'Ann', rig.clock.now())
    await soon(rig, () => rig.telegram.messages(OPS)[1]?.text.includes('Acknowledged by Ann'))
    rig.telegram.heal()
    await rig.unsee('a')
    await delivered(rig)
    expect(rig.telegram.messages(OPS)[2]).toMatchObject({ replyTo: rig.telegram.messages(OPS)[1]?.id })
  })

  it('that Telegram will never take buries that card alone, is logged, and is not overdue for ever', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    rig.telegram.fault({
      method: 'sendMessage',
      kind: 'status',
      status: 400,
      description: 'Bad Request: message is too odd',
      times: 1,
    })
    await rig.see('fire', critical)
    await until(() => rig.lines.some((line) => line.includes('message is too odd')))
    await rig.see('b', critical)
    await arrives(rig, 'Trouble with b')
    await delivered(rig)
    expect(rig.ops.pulse.read().overdueSince).toBeUndefined()
  })
})

describe.concurrent('a chat that is closed', () => {
  const statusOf = async (rig: Rig) => (await rig.ask(VIC, '/status')).text
  const reopen = (rig: Rig) =>
    rig.telegram.group(OPS, { type: 'supergroup', title: 'Ops', members: { [ANN]: 'creator' } })

  it.for<[string, RigOptions, (rig: Rig) => void, string]>([
    [
      'that the bot was thrown out of',
      inGroup,
      ({ telegram }) => telegram.kick(OPS),
      'bot was kicked from the supergroup chat',
    ],
    ['that does not exist', { env: { TELEGRAM_CHAT_ID: '-100777' } }, () => {}, 'chat not found'],
  ])(
    '%s: its cards go to the owners in private, and /status says so',
    async ([, options, close, reason], { onTestFinished: after }) => {
      const rig = await createRig({ ...options, after })
      close(rig)
      await rig.see('fire', critical)
      const card = await arrives(rig, 'Trouble with fire', ANN)
      expect(card.silent).toBe(false)
      expect(await statusOf(rig)).toContain(`The alert chat cannot be written to`)
      expect(await statusOf(rig)).toContain(reason)
      await rig.see('b', critical)
      await arrives(rig, 'Trouble with b', ANN)
      await rig.unsee('fire', 'b')
      await rig.telegram.waitFor((fake) => fake.messages(ANN).filter(({ replyTo }) => replyTo).length === 2)
      expect(rig.telegram.messages(BEN)).toEqual([])
      await delivered(rig)
      expect(rig.ops.pulse.read().overdueSince).toBeUndefined()
    },
  )

  it('gets its cards again once somebody of ours speaks there', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    rig.telegram.kick(OPS)
    await rig.see('a', critical)
    await arrives(rig, 'Trouble with a', ANN)
    reopen(rig)
    rig.telegram.say({ chat: OPS, from: ANN, text: 'welcome back' })
    await until(() => rig.ops.chats.list().every(({ closed }) => !closed))
    expect(await statusOf(rig)).not.toContain('cannot be written to')
    await rig.see('b', critical)
    await arrives(rig, 'Trouble with b')
    expect(texts(rig, ANN).some((text) => text.includes('Trouble with b'))).toBe(false)
  })

  it('after an alert was told there: its end is not lost, and nothing is overdue meanwhile', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a', critical)
    const { id } = await arrives(rig, 'Trouble with a')
    await delivered(rig)
    rig.telegram.kick(OPS)
    await rig.unsee('a')
    await until(() => rig.ops.chats.list().some(({ closed }) => closed))
    await arrives(rig, 'Resolved: Trouble with a', ANN)
    await until(() => rig.ops.pulse.read().overdueSince === undefined)
    expect(rig.telegram.messages(OPS).find((message) => message.id === id)?.text).toContain('🔴 Trouble')
  })

  it('that became a supergroup is followed there, in cards and in commands, and /status says which number to write down', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({
      after,
      env: { TELEGRAM_CHAT_ID: '-55' },
      world: (telegram) => {
        for (const id of [ANN, VIC]) telegram.privateChat(id)
        telegram.group(-55, { type: 'group', title: 'Ops', members: { [ANN]: 'creator' } })
      },
    })
    await rig.see('a', critical)
    await arrives(rig, 'Trouble with a', -55)
    rig.telegram.migrate(-55, OPS)
    await rig.see('b', critical)
    await arrives(rig, 'Trouble with b')
    expect((await rig.ask(ANN, '/whoami', { chat: OPS })).text).toContain(`Chat id ${OPS} (group)`)
    expect(await statusOf(rig)).toContain(`The alert chat is now ${OPS}: put that into TELEGRAM_CHAT_ID`)
    await rig.unsee('a', 'b')
    await rig.telegram.waitFor(
      (fake) =>
        fake.messages(OPS).filter(({ text }) => text.includes('Resolved: Trouble with b')).length === 2,
    )
    await arrives(rig, 'Resolved: Trouble with a')
    await delivered(rig)
    expect(rig.ops.pulse.read().overdueSince).toBeUndefined()
  })
})

describe.concurrent('an owner who has not pressed /start', () => {
  const unstarted = {
    world: (telegram: Rig['telegram']) => {
      telegram.user(ANN, { name: 'Ann' })
      telegram.privateChat(ANN, { started: false })
    },
  }

  it('finds what waited, once they do: what fires rings, what came and went is one silent line', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...unstarted, after })
    await rig.see('a', critical)
    await until(() => rig.ops.chats.list().some(({ closed }) => closed))
    rig.clock.pass(11_000)
    await rig.see('b', critical)
    await rig.unsee('b')
    expect(rig.telegram.messages(ANN)).toEqual([])
    rig.telegram.say({ chat: ANN, from: ANN, text: '/start' })
    const fire = await arrives(rig, '🔴 Trouble with a', ANN)
    expect(fire.silent).toBe(false)
    const gone = await arrives(rig, '✅ Came and went: Trouble with b', ANN)
    expect(gone.silent).toBe(true)
    await delivered(rig)
    expect(texts(rig, ANN).filter((text) => text.includes('Trouble with b'))).toHaveLength(1)
    expect(rig.ops.pulse.read().overdueSince).toBeUndefined()
  })

  it('keeps what waited through a restart', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...unstarted, after })
    await rig.see('a', critical)
    await until(() => rig.ops.chats.list().some(({ closed }) => closed))
    await rig.stop()
    rig.telegram.privateChat(ANN)
    await rig.start()
    await arrives(rig, '🔴 Trouble with a', ANN)
  })
})
