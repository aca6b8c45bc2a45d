// The guard as a table: every kind of update that there is, and who is let in with it.

import fc from 'fast-check'
import type { Update } from 'grammy/types'
import { describe, expect, it } from 'vitest'
import { admit, createDoor, type House } from '../../src/bot/guard.ts'
import { MINUTE, T0 } from './help.ts'

const [OWNER, VIEWER, STRANGER, GROUP, OLD_GROUP, BOT] = [11, 22, 99, -1001, -7, 555]
const house: House = {
  people: new Map([
    [OWNER, 'owner'],
    [VIEWER, 'viewer'],
  ]),
  chatIds: [GROUP, OLD_GROUP],
  username: 'OpsBot',
  botId: BOT,
  claims: () => false,
}

// Put together here, so that no scanner takes this file for a leak.
const SECRETS = [
  ['aB3_-codeFromThePage', 'boPp'.repeat(10)].join('#'),
  `https://platform.claude.com/oauth/code/callback?code=${'aB3_'.repeat(5)}&state=x`,
  ['sk', 'ant', 'oat01', 'x'.repeat(12)].join('-'),
]

type Loose = Record<string, unknown>
const person = (id: number, more: Loose = {}) => ({ id, is_bot: false, first_name: 'Ann', ...more })
const privateChat = (id: number) => ({ id, type: 'private', first_name: 'Ann' })
const group = (id: number) => ({ id, type: 'supergroup', title: 'Ops' })

const message = (more: Loose = {}): Loose => ({
  message_id: 5,
  date: T0 / 1_000,
  from: person(OWNER),
  chat: privateChat(OWNER),
  text: '/status',
  ...more,
})
const inGroup = (more: Loose = {}) => message({ chat: group(GROUP), ...more })
const press = (more: Loose = {}, shown: Loose = {}): Loose => ({
  id: 'q1',
  from: person(OWNER),
  chat_instance: '1',
  data: 'do:status',
  message: message({ from: person(BOT, { is_bot: true }), ...shown }),
  ...more,
})
const update = (kind: string, what: unknown) => ({ update_id: 1, [kind]: what }) as unknown as Update

describe('who is let in', () => {
  it.each<[string, string, Loose, Loose]>([
    [
      'a command in private',
      'message',
      message(),
      {
        kind: 'command',
        userId: OWNER,
        chatId: OWNER,
        group: false,
        text: '/status',
        messageId: 5,
        sentAt: T0,
        userName: 'Ann',
      },
    ],
    [
      'a viewer too: what they may do is decided later',
      'message',
      message({ from: person(VIEWER), chat: privateChat(VIEWER) }),
      { userId: VIEWER },
    ],
    ['a command in the alert group', 'message', inGroup(), { kind: 'command', chatId: GROUP, group: true }],
    [
      'a command in the group under its old id',
      'message',
      message({ chat: group(OLD_GROUP) }),
      { chatId: OLD_GROUP },
    ],
    [
      'a command that names us',
      'message',
      inGroup({ text: '/freeze@opsbot now' }),
      { text: '/freeze now', addressed: true },
    ],
    [
      'a command that names us, in private',
      'message',
      message({ text: '/freeze@OPSBOT' }),
      { text: '/freeze', addressed: true },
    ],
    ['words in private', 'message', message({ text: 'yes, really' }), { kind: 'text', text: '' }],
    ...SECRETS.flatMap((secret): [string, string, Loose, Loose][] => [
      ['a secret in words', 'message', message({ text: secret }), { kind: 'text', text: '', secret: true }],
      [
        'a secret behind a command',
        'message',
        message({ text: `/reauth@OpsBot ${secret}` }),
        { kind: 'text', text: '', secret: true },
      ],
      [
        'a secret in the group',
        'message',
        inGroup({ text: secret }),
        { kind: 'text', secret: true, group: true },
      ],
    ]),
    ['a reply', 'message', message({ reply_to_message: message() }), { kind: 'command' }],
    [
      'a command in a topic',
      'message',
      inGroup({ message_thread_id: 42, is_topic_message: true }),
      { threadId: 42 },
    ],
    [
      'a person with a long name',
      'message',
      message({ from: person(OWNER, { first_name: 'A'.repeat(99) }) }),
      { userName: 'A'.repeat(64) },
    ],
    [
      'a person without a name',
      'message',
      message({ from: person(OWNER, { first_name: '', username: 'ann' }) }),
      { userName: 'ann' },
    ],
    [
      'a pressed button',
      'callback_query',
      press(),
      { kind: 'button', text: 'do:status', queryId: 'q1', userId: OWNER, messageId: 5, group: false },
    ],
    [
      'a press on a message so old that Telegram only tells where it is',
      'callback_query',
      press({ message: { message_id: 5, date: 0, chat: privateChat(OWNER) } }),
      { kind: 'button', chatId: OWNER, messageId: 5, group: false },
    ],
    [
      'an owner who asks for the ids of a group that is not ours yet',
      'message',
      message({ chat: group(-5), text: '/whoami@OpsBot' }),
      { kind: 'command', text: '/whoami', chatId: -5, group: true },
    ],
    [
      'a button pressed in the group',
      'callback_query',
      press({}, { chat: group(GROUP) }),
      { group: true, chatId: GROUP },
    ],
  ])('%s', (_, kind, what, expected) => {
    expect(admit(update(kind, what), house)).toMatchObject({ request: expected })
  })

  it('a reply outside topics has no topic, although Telegram gives it a thread', () => {
    const admission = admit(update('message', inGroup({ message_thread_id: 42 })), house)
    expect(admission).toMatchObject({ request: { chatId: GROUP } })
    expect(admission).not.toHaveProperty('request.threadId')
  })

  it('a press has no time: when it was sent is not known', () => {
    expect(admit(update('callback_query', press()), house)).not.toHaveProperty('request.sentAt')
  })

  it.each([
    'https://docs.example.com/a-page-about-many-things#of-which-this-is-one',
    'https://docs.example.com/?page=a-page-about-many-things#of-which-this-is-one',
    'see issue#1234567890123456 and owner/repository-of-mine#12',
    '/alerts 12',
    'short#code',
  ])('%s is no secret', (text) => {
    expect(admit(update('message', message({ text })), house)).not.toHaveProperty('request.secret')
  })

  it.each(SECRETS)('of %s nothing is stored', (secret) => {
    const { words, ...stored } = admit(update('message', message({ text: `/ack ${secret}` })), house) as Loose
    expect(words).toBe(`/ack ${secret}`)
    expect(JSON.stringify(stored)).not.toContain(secret.slice(-12))
  })

  it('what is stored of words is nothing but that there were some', () => {
    const admission = admit(update('message', message({ text: 'my secret' })), house)
    expect(admission).toMatchObject({ words: 'my secret' })
    expect(JSON.stringify({ ...admission, words: undefined })).not.toContain('secret')
  })
})

describe('who is refused', () => {
  it.each<[string, string, Loose, string]>([
    [
      'a stranger in private',
      'message',
      message({ from: person(STRANGER), chat: privateChat(STRANGER) }),
      'stranger',
    ],
    ['a stranger in our group', 'message', inGroup({ from: person(STRANGER) }), 'stranger'],
    [
      'a stranger who claims while there is an owner',
      'message',
      message({ from: person(STRANGER), chat: privateChat(STRANGER), text: '/claim 123' }),
      'stranger',
    ],
    ['an owner in another group', 'message', message({ chat: group(-5) }), 'another chat'],
    [
      'an owner who asks in another group without naming us',
      'message',
      message({ chat: group(-5), text: '/whoami' }),
      'another chat',
    ],
    [
      'a viewer who asks for the ids of another group',
      'message',
      message({ from: person(VIEWER), chat: group(-5), text: '/whoami@OpsBot' }),
      'another chat',
    ],
    [
      "an owner in somebody else's private chat",
      'message',
      message({ chat: privateChat(VIEWER) }),
      "somebody else's private chat",
    ],
    [
      'an anonymous admin',
      'message',
      inGroup({ from: person(1087968824, { is_bot: true }), sender_chat: group(GROUP) }),
      'not sent by a person',
    ],
    [
      'a channel that speaks in the group',
      'message',
      inGroup({ from: person(OWNER), sender_chat: { id: -9, type: 'channel' } }),
      'not sent by a person',
    ],
    ['another bot', 'message', inGroup({ from: person(OWNER, { is_bot: true }) }), 'not sent by a person'],
    ['a message of nobody', 'message', message({ from: undefined }), 'not sent by a person'],
    [
      'a forward of our own command',
      'message',
      message({ forward_origin: { type: 'user', date: 1, sender_user: person(OWNER) } }),
      'forwarded',
    ],
    ['a forward by a channel', 'message', inGroup({ is_automatic_forward: true }), 'sent through another'],
    [
      'what was sent through an inline bot',
      'message',
      message({ via_bot: person(77, { is_bot: true }) }),
      'sent through another',
    ],
    ['a business message', 'message', message({ business_connection_id: 'b1' }), 'business'],
    [
      'a photo, whatever is written below it',
      'message',
      message({ text: undefined, photo: [], caption: '/freeze' }),
      'no text',
    ],
    [
      'a group that became another',
      'message',
      inGroup({ text: undefined, migrate_to_chat_id: -1002 }),
      'no text',
    ],
    ['a command for another bot', 'message', inGroup({ text: '/freeze@gatewaybot' }), 'for another bot'],
    [
      'a command for a bot whose name begins like ours',
      'message',
      inGroup({ text: '/freeze@opsbot2' }),
      'for another bot',
    ],
    [
      'a command for another bot, in private',
      'message',
      message({ text: '/freeze@gatewaybot' }),
      'for another bot',
    ],
    ['a stranger who presses our button', 'callback_query', press({ from: person(STRANGER) }), 'stranger'],
    ['a press in a group that is not ours', 'callback_query', press({}, { chat: group(-5) }), 'another chat'],
    [
      "a press in somebody else's private chat",
      'callback_query',
      press({}, { chat: privateChat(VIEWER) }),
      "somebody else's private chat",
    ],
    [
      "a press of another bot's button",
      'callback_query',
      press({}, { from: person(77, { is_bot: true }) }),
      'a button that is not ours',
    ],
    [
      'a press in an inline message',
      'callback_query',
      press({ message: undefined, inline_message_id: 'i1' }),
      'a button without its message',
    ],
    [
      'a press of a game',
      'callback_query',
      press({ data: undefined, game_short_name: 'g' }),
      'a button without its message',
    ],
    ...[
      ...[
        'edited_message',
        'channel_post',
        'edited_channel_post',
        'business_message',
        'edited_business_message',
      ],
      ...['business_connection', 'deleted_business_messages', 'inline_query', 'chosen_inline_result'],
      ...['shipping_query', 'pre_checkout_query', 'poll', 'poll_answer', 'my_chat_member', 'chat_member'],
      ...[
        'chat_join_request',
        'chat_boost',
        'removed_chat_boost',
        'message_reaction',
        'message_reaction_count',
      ],
      ...['purchased_paid_media', 'guest_message', 'something_new'],
    ].map((kind): [string, string, Loose, string] => [`a ${kind} of an owner`, kind, message(), kind]),
  ])('%s', (_, kind, what, reason) => {
    expect(admit(update(kind, what), house)).toMatchObject({ refused: reason })
  })

  it('an update with nothing in it', () => {
    expect(admit({ update_id: 1 }, house)).toEqual({ refused: 'empty' })
  })

  it('whatever comes from strangers, and nothing is thrown', () => {
    const id = fc.constantFrom(STRANGER, GROUP, OWNER + 1, 0, -1)
    const chat = fc.record({
      id: fc.constantFrom(STRANGER, GROUP, OWNER, -5),
      type: fc.constantFrom('private', 'group', 'supergroup', 'channel'),
    })
    const text = fc.oneof(fc.string(), fc.constantFrom('/claim 1', '/start', '/freeze@OpsBot'))
    const from = fc.option(fc.record({ id, is_bot: fc.boolean(), first_name: fc.string() }), {
      nil: undefined,
    })
    const said = fc.record(
      { message_id: fc.nat(), date: fc.nat(), from, chat, text },
      { requiredKeys: ['chat'] },
    )
    const pressed = fc.record({
      id: fc.string(),
      from: from.map((who) => who ?? person(STRANGER)),
      message: said,
      data: text,
    })
    const any = fc.oneof(
      said.map((what) => update('message', what)),
      pressed.map((what) => update('callback_query', what)),
    )
    fc.assert(fc.property(any, (each) => 'refused' in admit(each, house)))
  })
})

describe('a house with a topic', () => {
  const topic: House = { ...house, threadId: 42 }
  it.each<[string, Loose, string | undefined]>([
    ['its own topic', inGroup({ message_thread_id: 42, is_topic_message: true }), undefined],
    ['another topic', inGroup({ message_thread_id: 43, is_topic_message: true }), 'another topic'],
    ['the general topic', inGroup(), 'another topic'],
    ['private', message(), undefined],
  ])('%s', (_, what, reason) => {
    const said = admit(update('message', what), topic)
    const pressed = admit(update('callback_query', press({}, what)), { ...topic, botId: OWNER })
    for (const admission of [said, pressed])
      expect('refused' in admission ? admission.refused : undefined).toBe(reason)
  })
})

describe('a house without an owner', () => {
  const empty: House = {
    people: new Map(),
    chatIds: [],
    claims: (line) => /^\/claim(@\w+)? abc$/.test(line),
    username: 'OpsBot',
  }
  const said = (text: string, more: Loose = {}) =>
    admit(
      update('message', message({ from: person(STRANGER), chat: privateChat(STRANGER), text, ...more })),
      empty,
    )

  it.each([
    ['/claim abc', '/claim abc'],
    ['/claim@OpsBot abc', '/claim abc'],
  ])('listens to %s in private', (text, line) => {
    expect(said(text)).toMatchObject({ request: { kind: 'claim', userId: STRANGER, text: line } })
  })

  it.each<[string, string, Loose, string]>([
    ['a claim without a code', '/claim', {}, 'stranger'],
    ['another command', '/claims abc', {}, 'stranger'],
    ['a claim in a group', '/claim abc', { chat: group(GROUP) }, 'stranger'],
    ['a claim for another bot', '/claim@otherbot abc', {}, 'for another bot'],
    ['a forwarded claim', '/claim abc', { forward_origin: {} }, 'forwarded'],
    ['a button', 'hello', {}, 'stranger'],
  ])('but not to %s', (_, text, more, reason) => {
    expect(said(text, more)).toMatchObject({ refused: reason, who: STRANGER })
  })
})

describe('the door', () => {
  it('says at most every ten minutes how many knocked, and who was the last', () => {
    const notes: string[] = []
    const refuse = createDoor((detail) => notes.push(detail))
    refuse('stranger', 99, T0)
    for (let knock = 0; knock < 10_000; knock++) refuse('stranger', knock, T0 + knock)
    expect(notes).toEqual(['1 refused without an answer, the last from 99 (stranger)'])
    refuse('poll', undefined, T0 + 10 * MINUTE)
    expect(notes[1]).toBe('10001 refused without an answer, the last (poll)')
    refuse('stranger', 1, T0 + 11 * MINUTE)
    expect(notes).toHaveLength(2)
  })
})
