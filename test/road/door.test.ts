// The door: whoever is not let in gets silence, in every form that an update can have; whoever is, gets an answer to anything.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import type { Message } from 'grammy/types'
import { describe, expect, it } from 'vitest'
import { listCommands } from '../../src/bot/commands/index.ts'
import { seededRandom } from '../telegram/mishaps.ts'
import type { Saying } from '../telegram/server.ts'
import type { NewUpdate } from '../telegram/updates.ts'
import { ANN, BEN, createRig, EVE, OPS, type Rig, type RigOptions, VIC } from './rig.ts'

const inGroup = { env: { TELEGRAM_CHAT_ID: `${OPS}` } }
const OTHER = -1009999

/** Waits until an answer of its own shows that everything before it was taken, then gives what was called besides. */
async function callsBesides(rig: Rig): Promise<string[]> {
  await rig.ask(ANN, '/whoami')
  const own = rig.telegram.messages(ANN).at(-1)?.id
  return rig
    .spoken()
    .filter(({ returned }) => (returned as { message_id?: number })?.message_id !== own)
    .map(({ method, params }) => `${method} ${JSON.stringify(params)}`)
}

describe.concurrent('who is not let in', () => {
  const person = { id: ANN, is_bot: false, first_name: 'Ann' }
  const origin = { type: 'user', sender_user: person, date: 1 }
  const oddities: [what: string, said: Saying | ((rig: Rig) => void)][] = [
    ['a stranger in private', { chat: EVE, from: EVE, text: '/status' }],
    ['a stranger in the group', { chat: OPS, from: EVE, text: '/status' }],
    ['a stranger who names the bot', { chat: OPS, from: EVE, text: '/status@fake_ops_bot' }],
    ['an owner in another group', { chat: OTHER, from: ANN, text: '/status' }],
    [
      'an anonymous administrator of the group',
      { chat: OPS, from: ANN, text: '/status', sender_chat: { id: OPS, type: 'supergroup', title: 'Ops' } },
    ],
    ['what an owner forwards', { chat: ANN, from: ANN, text: '/status', forward_origin: origin } as Saying],
    [
      'what an owner sends through an inline bot',
      { chat: ANN, from: ANN, text: '/status', via_bot: person } as Saying,
    ],
    [
      'a post that the group was given from its channel',
      { chat: OPS, from: ANN, text: '/status', is_automatic_forward: true },
    ],
    ['a business message', { chat: ANN, from: ANN, text: '/status', business_connection_id: 'b' }],
    [
      'a bot',
      ({ telegram }) =>
        telegram.push(messageOf(telegram.said(ANN)[0]?.raw, { from: { ...person, is_bot: true } })),
    ],
    [
      "what an owner's account writes in somebody else's private chat",
      ({ telegram }) =>
        telegram.push(
          messageOf(telegram.said(ANN)[0]?.raw, { chat: { id: EVE, type: 'private', first_name: 'Eve' } }),
        ),
    ],
    ['a command for another bot', { chat: OPS, from: ANN, text: '/status@gateway_bot' }],
    ['a photo', { chat: ANN, from: ANN, caption: '/status', photo: [] }],
    ['an edited message', ({ telegram }) => telegram.reword({ chat: ANN, messageId: 1, text: '/freeze' })],
    [
      'a stranger who presses a button',
      ({ telegram }) => telegram.press({ chat: OPS, from: EVE, data: 'do:status' }),
    ],
    [
      'an owner who presses a button of another bot',
      ({ telegram }) => telegram.press({ chat: OPS, from: ANN, messageId: 1, data: 'do:status' }),
    ],
    [
      'an owner who presses a button in another group',
      ({ telegram }) => telegram.press({ chat: OTHER, from: ANN, messageId: 1, data: 'do:status' }),
    ],
  ]
  const messageOf = (message: Message | undefined, more: object) =>
    ({ message: { ...message, text: '/status', ...more } }) as NewUpdate

  it.for(oddities)(
    '%s gets silence, and is not remembered but for a line in the audit',
    async ([, said], { onTestFinished: after }) => {
      const rig = await createRig({ after, ...inGroup, idle: true })
      rig.telegram.group(OTHER, { type: 'supergroup', title: 'Other', members: { [ANN]: 'creator' } })
      rig.telegram.say({ chat: ANN, from: ANN, text: '/help' })
      for (const chat of [OPS, OTHER]) rig.telegram.say({ chat, from: EVE, text: 'hello' })
      await rig.start()
      await rig.telegram.waitFor((fake) => fake.messages(ANN).length === 1)
      rig.telegram.clearCalls()
      const rows = rig.inbox().length
      if (typeof said === 'function') said(rig)
      else rig.telegram.say(said)
      expect(await callsBesides(rig)).toEqual([])
      expect(rig.inbox()).toHaveLength(rows + 1)
    },
  )

  it('many refusals are one line of the audit, and the next line comes after ten minutes with their number', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    const knock = async (times: number) => {
      for (let time = 0; time < times; time += 1)
        rig.telegram.say({ chat: EVE, from: EVE, text: `/status ${time}` })
      await rig.ask(ANN, '/whoami')
    }
    const lines = () => rig.audited().filter((line) => line.startsWith('strangers'))
    await knock(20)
    expect(lines()).toEqual([
      `strangers: refused 1 refused without an answer, the last from ${EVE} (stranger)`,
    ])
    rig.clock.pass(10 * 60_000)
    await knock(1)
    expect(lines()).toHaveLength(2)
    expect(lines()[0]).toBe(
      `strangers: refused 20 refused without an answer, the last from ${EVE} (stranger)`,
    )
  })
})

describe.concurrent('in the group', () => {
  it('reading works bare, changing only with the name of the bot behind it, and answers are replies', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    const inOps = (from: number, text: string) => rig.ask(from, text, { chat: OPS })
    expect((await inOps(VIC, '/alerts')).text).toContain('No alert is firing')
    const refused = await inOps(BEN, '/mute all 1h')
    expect(refused.text).toContain('only when I am named.\nWrite /mute@… with my name behind it')
    expect(refused.replyTo).toBe(rig.telegram.said(OPS).at(-1)?.id)
    expect(rig.ops.alerts.mutes(0)).toEqual([])
    expect((await inOps(BEN, '/mute@fake_ops_bot all 1h')).text).toContain('Muted until')
    expect((await inOps(BEN, '/unmute@FAKE_OPS_BOT all')).text).toContain('No longer muted')
  })

  it('an owner learns the ids of a group that is not ours yet, and nothing else there', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    rig.telegram.say({ chat: OPS, from: ANN, text: '/status@fake_ops_bot' })
    expect((await rig.ask(ANN, '/whoami@fake_ops_bot', { chat: OPS })).text).toContain(
      `Chat id ${OPS} (group)`,
    )
    expect(rig.telegram.messages(OPS)).toHaveLength(1)
  })

  it('talk among people is left alone', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...inGroup, after })
    rig.telegram.say({ chat: OPS, from: ANN, text: 'the disk again?' })
    // The gateway's own bot has commands too.
    for (const text of ['/model opus', '/', '/😀']) rig.telegram.say({ chat: OPS, from: ANN, text })
    expect(await callsBesides(rig)).toEqual([])
  })

  it('a reply outside any topic is answered where it was written, though Telegram gives it a thread', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    rig.telegram.say({ chat: OPS, from: EVE, text: 'look at this' })
    const { thread } = await rig.ask(ANN, '/alerts', { chat: OPS, replyTo: 1, message_thread_id: 1 })
    expect(thread).toBeUndefined()
  })

  it('with a topic configured, other topics are left alone, and cards go to it', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({
      after,
      env: { ...inGroup.env, TELEGRAM_THREAD_ID: '7' },
      world: (telegram) => {
        telegram.privateChat(ANN)
        telegram.group(OPS, {
          type: 'supergroup',
          title: 'Ops',
          isForum: true,
          topics: [7, 8],
          members: { [ANN]: 'creator' },
        })
      },
    })
    rig.telegram.say({ chat: OPS, from: ANN, text: '/alerts', message_thread_id: 8, is_topic_message: true })
    rig.telegram.say({ chat: OPS, from: ANN, text: '/alerts' })
    expect(await callsBesides(rig)).toEqual([])
    await rig.see('a')
    const card = await rig.telegram.waitFor((fake) => fake.messages(OPS)[0])
    expect(card.thread).toBe(7)
    expect(await rig.press(ANN, 'Ack', { chat: OPS })).toContain('You look after')
  })
})

describe('strangers in their thousands', () => {
  it('10,000 updates of every kind from strangers make no call but getUpdates, no row and no heap', async () => {
    const rig = await createRig({ ...inGroup, fake: { keepCalls: 20 } })
    await rig.ask(ANN, '/whoami')
    await rig.telegram.waitFor((fake) => fake.counts.setMyCommands === 6)
    const random = seededRandom(7)
    const before = { ...rig.telegram.counts }
    const rows = rig.inbox().length
    let ids = rig.telegram.nextUpdateId
    const send = async (count: number) => {
      for (let sent = 0; sent < count; sent += 500) {
        for (let each = 0; each < 500; each += 1)
          rig.telegram.push({ update_id: ids++, ...strange(random) } as NewUpdate)
        await rig.telegram.waitFor((fake) => fake.pending() === 0, 10_000)
      }
    }
    await send(2_000)
    const collect = collector()
    collect()
    const heap = process.memoryUsage().heapUsed
    await send(8_000)
    collect()
    const { getUpdates } = rig.telegram.counts
    expect(rig.telegram.counts).toEqual({ ...before, getUpdates })
    expect(rig.inbox()).toHaveLength(rows)
    expect(rig.audited().filter((line) => line.startsWith('strangers'))).toHaveLength(1)
    expect(process.memoryUsage().heapUsed - heap).toBeLessThan(4 << 20)
  }, 30_000)
})

/** The garbage collector, which Node shows only to those who ask. */
function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

/** One update of a random kind from somebody who is nobody, as Telegram would send it if it were asked for every kind. */
function strange(random: () => number): object {
  const pick = <T>(...from: T[]) => from[Math.floor(random() * from.length)] as T
  const id = 1_000 + Math.floor(random() * 1e9)
  const from = { id, is_bot: pick(true, false, false), first_name: pick('x', '\u202eAnn', 'a'.repeat(64)) }
  const chat = pick<object>(
    { id, type: 'private', first_name: 'x' },
    { id: OPS, type: 'supergroup', title: 'Ops' },
    { id: -id, type: 'group', title: 'x' },
    { id: ANN, type: 'private', first_name: 'Ann' },
  )
  const text = pick(
    '/status',
    '/freeze',
    '/claim 0',
    '/start',
    'x',
    'y'.repeat(4_096),
    '/whoami@fake_ops_bot',
    `/ack ${id}`,
  )
  const plain = { message_id: id, from, chat, date: Math.floor(Date.now() / 1_000), text }
  const message = pick<object>(
    plain,
    { ...plain, sender_chat: chat },
    { ...plain, forward_origin: { type: 'hidden_user', sender_user_name: 'x', date: 1 } },
    { ...plain, text: undefined, photo: [], caption: text },
    { ...plain, from: undefined },
    { ...plain, text: undefined, migrate_to_chat_id: -1 },
    { ...plain, new_chat_members: [from] },
  )
  const press = { id: `${id}`, from, chat_instance: 'c' }
  return pick<object>(
    { message },
    { message },
    { edited_message: message },
    { channel_post: message },
    { business_message: message },
    { guest_message: message },
    { callback_query: { ...press, message: plain, data: pick('do:freeze', 'ok:x', 'x') } },
    { callback_query: { ...press, inline_message_id: 'i', data: 'do:status' } },
    { callback_query: { ...press, message: { chat, message_id: 1, date: 0 }, game_short_name: 'g' } },
    { inline_query: { id: `${id}`, from, query: text, offset: '' } },
    { chosen_inline_result: { result_id: '1', from, query: text } },
    { my_chat_member: { chat, from, date: 1, old_chat_member: {}, new_chat_member: {} } },
    { chat_join_request: { chat, from, user_chat_id: id, date: 1 } },
    { message_reaction: { chat, message_id: 1, user: from, date: 1, old_reaction: [], new_reaction: [] } },
    { poll_answer: { poll_id: '1', user: from, option_ids: [0] } },
    { pre_checkout_query: { id: `${id}`, from, currency: 'EUR', total_amount: 1, invoice_payload: 'x' } },
    { some_kind_of_2030: { from } },
    {},
  )
}

describe.concurrent('an owner who types and presses nonsense', () => {
  const names = (rig: Rig) =>
    listCommands({
      ops: rig.ops,
      jobs: { list: () => [], runNow: () => ({ id: 0, done: Promise.resolve() }) },
      clock: {} as never,
    }).map(({ name }) => name)
  const noise = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 300 }),
    fc.string({ maxLength: 4_000 }),
    fc.constantFrom(
      'all',
      '1',
      'card:1',
      '-1',
      '__proto__',
      'constructor',
      '1h',
      '99999999d',
      '<b>',
      '&lt;',
      '\u202e',
      '\u0000',
      '😀'.repeat(40),
      '/',
      'host',
      '1e9',
      '0',
    ),
  )
  // What Telegram hands on is well-formed, trimmed, and no longer than a message.
  const asTelegram = (text: string) =>
    text.toWellFormed().replace(/\r/g, '').trim().slice(0, 4_096).toWellFormed()
  const settings: RigOptions = { ...inGroup, fake: { keepCalls: 200 } }

  it('any words behind any command get an answer, and break nothing', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...settings, after })
    await rig.see('a')
    const name = fc.constantFrom(...names(rig), 'x'.repeat(32))
    await fc.assert(
      fc.asyncProperty(name, fc.array(noise, { minLength: 1, maxLength: 3 }), async (command, words) => {
        // In the group, where an answer names what it answers.
        const text = asTelegram(`/${command}@fake_ops_bot ${words.join(' ')}`)
        rig.telegram.say({ chat: OPS, from: ANN, text })
        const asked = rig.telegram.said(OPS).at(-1)?.id
        const answer = await rig.telegram.waitFor((fake) =>
          fake.messages(OPS).find(({ replyTo }) => replyTo === asked),
        )
        expect(answer.text).not.toContain('Something broke')
      }),
      { numRuns: 150, endOnFailure: true },
    )
    expect(rig.lines.filter((logged) => /"level":"error"|was not delivered/.test(logged))).toEqual([])
  })

  it('any data behind a button gets a toast or an answer, and breaks nothing', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...settings, after })
    await rig.see('a')
    await rig.ask(ANN, '/status')
    const messageId = rig.telegram.messages(ANN)[0]?.id ?? 0
    const prefix = fc.constantFrom(
      'do:',
      'up:',
      'ok:',
      '',
      'do:/',
      'up:up:',
      ...names(rig).map((name) => `do:${name} `),
      ...names(rig).map((name) => `up:${name} `),
    )
    await fc.assert(
      fc.asyncProperty(prefix, noise, async (start, words) => {
        const data =
          Buffer.from(`${start}${words}`.toWellFormed())
            .subarray(0, 64)
            .toString()
            .replaceAll('\ufffd', '') || 'x'
        const update = rig.telegram.press({ chat: ANN, from: ANN, messageId, data })
        const toast = await rig.telegram.waitFor((fake) => fake.answerTo(update))
        expect(`${toast.text ?? ''}`).not.toContain('Something broke')
      }),
      { numRuns: 150, endOnFailure: true },
    )
    await rig.ask(ANN, '/whoami')
    expect(rig.lines.filter((logged) => /"level":"error"|was not delivered/.test(logged))).toEqual([])
  })

  it('anything typed without a slash gets an answer in private', async ({ onTestFinished: after }) => {
    const rig = await createRig({ ...settings, after })
    await fc.assert(
      fc.asyncProperty(noise, async (words) => {
        const text = asTelegram(words).replace(/^\/+/, '')
        if (text !== '') expect((await rig.ask(ANN, text)).text).toContain('I only understand commands')
      }),
      { numRuns: 50, endOnFailure: true },
    )
  })
})
