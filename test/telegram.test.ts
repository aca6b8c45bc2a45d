// The fake Telegram itself: that it is as strict as Telegram, and that grammY's own client takes its answers.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { Api, Bot, type GrammyError, InputFile } from 'grammy'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { faultProxy, type NetworkMode } from './telegram/faults.ts'
import { createFakeTelegram, type FakeOptions, type FakeTelegram, type Mishap } from './telegram/server.ts'

const ANN = 7
const BOB = 8
const OPS = -100500
const FORUM = -100600
const NOT_MODIFIED =
  'Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message'
const TOO_OLD = 'Bad Request: query is too old and response timeout expired or query ID is invalid'
const OTHER_POLLER =
  'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running'

let telegram: FakeTelegram
let api: Api

beforeEach(() => open())
afterEach(() => telegram.close())

async function open(options: FakeOptions = {}) {
  telegram = await createFakeTelegram(options)
  api = clientOf(telegram.apiRoot)
  telegram.privateChat(ANN)
  telegram.user(BOB, { name: 'Bob' })
  telegram.group(OPS, { type: 'supergroup', title: 'Ops', members: { [ANN]: 'creator', [BOB]: 'member' } })
  telegram.group(FORUM, { type: 'supergroup', title: 'Forum', isForum: true, topics: [3] })
}

async function reopen(options: FakeOptions) {
  await telegram.close()
  await open(options)
}

const clientOf = (apiRoot: string, token = telegram.token) => new Api(token, { apiRoot, timeoutSeconds: 5 })

/** A call as raw as curl would make it. */
async function raw(method: string, params: object = {}, token = telegram.token) {
  const response = await fetch(`${telegram.apiRoot}/bot${token}/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(params),
  })
  const body = (await response.json()) as { ok: boolean; result?: never; description?: string }
  return { status: response.status, ...body }
}

const descriptionOf = (call: Promise<unknown>) =>
  call.then(
    () => 'ok',
    (error: GrammyError) => error.description,
  )

const keyboard = (...labels: string[]) => ({
  inline_keyboard: [labels.map((text) => ({ text, callback_data: `do:${text.toLowerCase()}` }))],
})

describe('the door', () => {
  it.each(['getMe', 'sendMessage', 'noSuchThing'])('a wrong token is unauthorized for %s', async (method) => {
    expect(await raw(method, {}, '1:wrong')).toMatchObject({
      status: 401,
      ok: false,
      description: 'Unauthorized',
    })
  })

  it('an unknown method is not found, and case does not matter for a known one', async () => {
    expect(await raw('noSuchThing')).toMatchObject({ status: 404, error_code: 404, description: 'Not Found' })
    expect(await raw('GETME')).toMatchObject({ status: 200, result: { id: 1000001, is_bot: true } })
  })

  it('takes parameters from the query, a form and JSON alike', async () => {
    const url = `${telegram.apiRoot}/bot${telegram.token}/sendMessage`
    const reply_markup = JSON.stringify(keyboard('Go'))
    await fetch(`${url}?chat_id=7&text=query`)
    await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ chat_id: '7', text: '{"a":1}', reply_markup }),
    })
    await api.sendMessage(ANN, 'json')
    expect(telegram.messages(ANN).map(({ text }) => text)).toEqual(['query', '{"a":1}', 'json'])
    expect(telegram.messages(ANN)[1]?.buttons).toEqual([[{ text: 'Go', data: 'do:go' }]])
  })
})

describe('formatting', () => {
  it.each([
    [
      'a <b>b</b> &lt;c&gt; &amp; &quot;d&quot; &#65;&#x42; & &nbsp;',
      'a b <c> & "d" AB & &nbsp;',
      ['bold 2 1'],
    ],
    ['<strong>x</strong><i>y</i><em>z</em>', 'xyz', ['bold 0 1', 'italic 1 1', 'italic 2 1']],
    ['<u>x</u><ins>y</ins><s>z</s>', 'xyz', ['underline 0 1', 'underline 1 1', 'strikethrough 2 1']],
    ['<strike>x</strike><del>y</del>', 'xy', ['strikethrough 0 1', 'strikethrough 1 1']],
    ['<tg-spoiler>x</tg-spoiler><span class="tg-spoiler">y</span>', 'xy', ['spoiler 0 1', 'spoiler 1 1']],
    ['<pre><code class="language-sh">ls</code></pre>', 'ls', ['pre 0 2']],
    ['<code>a</code> <pre>b</pre>', 'a b', ['code 0 1', 'pre 2 1']],
    [
      '<blockquote>x</blockquote><blockquote expandable>y</blockquote>',
      'xy',
      ['blockquote 0 1', 'expandable_blockquote 1 1'],
    ],
    ['<b>a <i>b</i></b>', 'a b', ['bold 0 3', 'italic 2 1']],
    ['<B>x</B>', 'x', ['bold 0 1']],
    ['😀<b>x</b>', '😀x', ['bold 2 1']],
    ['  <b> x </b>\n ', 'x', ['bold 0 1']],
    ['a<b></b>', 'a', []],
    ['tab\there\r\nnext', 'tab here\nnext', []],
    ['<a href="https://example.org/?a=1&amp;b=2">x</a><a href="nonsense">y</a>', 'xy', ['text_link 0 1']],
  ])('%j is read as Telegram reads it', async (source, text, entities) => {
    const message = await api.sendMessage(ANN, source, { parse_mode: 'HTML' })
    expect(message.text).toBe(text)
    expect((message.entities ?? []).map(({ type, offset, length }) => `${type} ${offset} ${length}`)).toEqual(
      entities,
    )
  })

  it.each([
    ['ä <x>y</x>', 'Unsupported start tag "x" at byte offset 3'],
    ['a < b', 'Unsupported start tag "" at byte offset 2'],
    ['line<br/>', 'Unsupported start tag "br/" at byte offset 4'],
    ['<b>x', 'Can\'t find end tag corresponding to start tag "b"'],
    ['<b', 'Unclosed start tag at byte offset 0'],
    ['<a href="x', 'Unclosed start tag at byte offset 0'],
    ['<b>x</b', 'Unclosed end tag at byte offset 4'],
    ['x</b>', 'Unexpected end tag at byte offset 1'],
    ['<b><i>x</b></i>', 'Unmatched end tag at byte offset 7, expected "</i>", found "</b>"'],
    ['<span>x</span>', 'Tag "span" must have class "tg-spoiler" at byte offset 0'],
  ])('%j cannot be parsed', async (source, reason) => {
    const call = descriptionOf(api.sendMessage(ANN, source, { parse_mode: 'HTML' }))
    expect(await call).toBe(`Bad Request: can't parse entities: ${reason}`)
  })

  it('counts the length after parsing, in UTF-16 units', async () => {
    const full = `<b>${'x'.repeat(4094)}😀</b>`
    expect(await descriptionOf(api.sendMessage(ANN, full, { parse_mode: 'HTML' }))).toBe('ok')
    expect(await descriptionOf(api.sendMessage(ANN, `${'x'.repeat(4095)}😀`))).toBe(
      'Bad Request: message is too long',
    )
  })

  it('keeps the language of code and the target of links', async () => {
    const source =
      '<pre><code class="language-sh">ls</code></pre><a href="https://example.org/?a=1&amp;b=2">x</a>'
    const { entities } = await api.sendMessage(ANN, source, { parse_mode: 'HTML' })
    expect(entities).toMatchObject([{ language: 'sh' }, { url: 'https://example.org/?a=1&b=2' }])
  })
})

describe('refusals', () => {
  const send = (params: object) => ['sendMessage', { chat_id: ANN, text: 'x', ...params }] as const
  const markup = (button: unknown) => rows([[button]])
  const button = { text: 'x', callback_data: 'x' }
  const rows = (inline_keyboard: unknown) => send({ reply_markup: { inline_keyboard } })
  const command = (command: string, description: string) => [
    'setMyCommands',
    { commands: [{ command, description }] },
  ]

  it.each([
    ['no text', send({ text: '' }), 'message text is empty'],
    ['only white space', send({ text: ' \n ' }), 'text must be non-empty'],
    ['nothing visible', send({ text: '<b>\u200b</b>', parse_mode: 'HTML' }), 'text must be non-empty'],
    ['half an emoji', send({ text: 'x\ud83d' }), 'strings must be encoded in UTF-8'],
    ['an unknown parse mode', send({ parse_mode: 'BBCode' }), 'unsupported parse_mode'],
    ['no chat', send({ chat_id: undefined }), 'chat_id is empty'],
    ['an unknown chat', send({ chat_id: 4711 }), 'chat not found'],
    ['an unknown thread', send({ message_thread_id: 9 }), 'message thread not found'],
    ['a thread of another chat', send({ chat_id: FORUM, message_thread_id: 4 }), 'message thread not found'],
    ['a reply to nothing', send({ reply_parameters: { message_id: 99 } }), 'message to be replied not found'],
    ['no callback data', markup({ ...button, callback_data: '' }), 'BUTTON_DATA_INVALID'],
    ['65 bytes of data', markup({ ...button, callback_data: `x${'ä'.repeat(32)}` }), 'BUTTON_DATA_INVALID'],
    ['a relative URL', markup({ text: 'x', url: '/x' }), 'BUTTON_URL_INVALID'],
    ['an empty label', markup({ ...button, text: ' ' }), 'inline keyboard button text must be non-empty'],
    ['a button without action', markup({ text: 'x' }), 'text buttons are unallowed in the inline keyboard'],
    [
      'a button in no row',
      rows([button]),
      'field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays',
    ],
    ['nine in a row', rows([Array(9).fill(button)]), 'reply markup is too long'],
    ['101 buttons', rows(Array(101).fill([button])), 'reply markup is too long'],
    [
      'an edit of nothing',
      ['editMessageText', { chat_id: ANN, message_id: 99, text: 'x' }],
      'message to edit not found',
    ],
    [
      'a delete of nothing',
      ['deleteMessage', { chat_id: ANN, message_id: 99 }],
      'message to delete not found',
    ],
    [
      'a reaction to nothing',
      ['setMessageReaction', { chat_id: ANN, message_id: 99 }],
      'message to react not found',
    ],
    ['an answer to nothing', ['answerCallbackQuery', { callback_query_id: '1' }], TOO_OLD.slice(13)],
    [
      'a strange action',
      ['sendChatAction', { chat_id: ANN, action: 'dancing' }],
      'wrong parameter action in request',
    ],
    ['a document that is none', ['sendDocument', { chat_id: ANN }], 'there is no document in the request'],
    ['a member nobody knows', ['getChatMember', { chat_id: OPS, user_id: 4711 }], 'user not found'],
    ['a command in capitals', command('Help', 'x'), 'BOT_COMMAND_INVALID'],
    ['a command of 33', command('x'.repeat(33), 'x'), 'command length must not exceed 32'],
    ['no description', command('help', ' '), 'command description must be non-empty'],
    [
      '257 of description',
      command('help', 'x'.repeat(257)),
      'command description length must not exceed 256',
    ],
  ] as [string, [string, object], string][])('%s', async (_, [method, params], reason) => {
    expect(await raw(method, params)).toMatchObject({ status: 400, description: `Bad Request: ${reason}` })
  })

  it('64 bytes of callback data, eight in a row and 100 in all are taken', async () => {
    const full = { text: 'x', callback_data: 'ä'.repeat(32) }
    const inline_keyboard = [...Array(12).fill(Array(8).fill(full)), Array(4).fill(full)]
    expect(await descriptionOf(api.sendMessage(ANN, 'x', { reply_markup: { inline_keyboard } }))).toBe('ok')
  })
})

describe('chats', () => {
  it('a person who never pressed start cannot be written to, until they say something', async () => {
    expect(await raw('sendMessage', { chat_id: BOB, text: 'x' })).toMatchObject({
      status: 403,
      description: "Forbidden: bot can't initiate conversation with a user",
    })
    telegram.say({ chat: BOB, from: BOB, text: '/start' })
    expect(await descriptionOf(api.sendMessage(BOB, 'welcome'))).toBe('ok')
  })

  it('one who has blocked the bot gets nothing and can unblock it', async () => {
    telegram.block(ANN)
    expect(await descriptionOf(api.sendMessage(ANN, 'x'))).toBe('Forbidden: bot was blocked by the user')
    telegram.unblock(ANN)
    expect(await descriptionOf(api.sendMessage(ANN, 'x'))).toBe('ok')
    const updates = await api.getUpdates()
    expect(updates.map((update) => update.my_chat_member?.new_chat_member.status)).toEqual([
      'kicked',
      'member',
    ])
  })

  it('a group that has kicked the bot is closed to it', async () => {
    telegram.kick(OPS)
    expect(await descriptionOf(api.sendMessage(OPS, 'x'))).toBe(
      'Forbidden: bot was kicked from the supergroup chat',
    )
  })

  it('a group that was upgraded says where it went', async () => {
    telegram.group(-5, { type: 'group', title: 'Small', members: { [ANN]: 'creator' } })
    telegram.migrate(-5, -1005)
    expect(await raw('sendMessage', { chat_id: -5, text: 'x' })).toMatchObject({
      status: 400,
      description: 'Bad Request: group chat was upgraded to a supergroup chat',
      parameters: { migrate_to_chat_id: -1005 },
    })
    expect((await api.sendMessage(-1005, 'x')).chat).toMatchObject({ type: 'supergroup', title: 'Small' })
    const [left, came] = (await api.getUpdates()).map((update) => update.message)
    expect([left?.migrate_to_chat_id, came?.migrate_from_chat_id]).toEqual([-1005, -5])
  })

  it('says who is who', async () => {
    expect(await api.getChat(OPS)).toMatchObject({ id: OPS, type: 'supergroup', title: 'Ops' })
    expect(await api.getChatMember(OPS, ANN)).toMatchObject({ status: 'creator', user: { id: ANN } })
    expect(await api.getChatMember(FORUM, BOB)).toMatchObject({ status: 'left' })
  })
})

describe('messages', () => {
  it('come back as Telegram would tell them', async () => {
    await reopen({ now: () => 1_700_000_000_999 })
    telegram.say({ chat: OPS, from: BOB, text: '/status now' })
    const options = { reply_parameters: { message_id: 1 }, disable_notification: true }
    const message = await api.sendMessage(OPS, 'fine', options)
    expect(message).toMatchObject({
      message_id: 2,
      date: 1_700_000_000,
      from: { id: telegram.me.id, is_bot: true },
      chat: { id: OPS, type: 'supergroup' },
      reply_to_message: { text: '/status now', entities: [{ type: 'bot_command', offset: 0, length: 7 }] },
    })
    expect(telegram.messages(OPS)).toMatchObject([
      { id: 2, text: 'fine', silent: true, replyTo: 1, deleted: false },
    ])
    expect(telegram.said(OPS)).toMatchObject([{ id: 1, from: BOB }])
  })

  it('in a topic stay there; a reply to nothing is sent if that is allowed', async () => {
    const options = {
      message_thread_id: 3,
      reply_parameters: { message_id: 99, allow_sending_without_reply: true },
    }
    expect(await api.sendMessage(FORUM, 'x', options)).toMatchObject({
      message_thread_id: 3,
      is_topic_message: true,
    })
    expect(telegram.messages(FORUM)[0]).toMatchObject({ thread: 3 })
  })

  it('keep their history; an edit without a keyboard takes it away', async () => {
    const { message_id: id } = await api.sendMessage(ANN, 'one', { reply_markup: keyboard('Go') })
    await api.editMessageText(ANN, id, '<b>two</b>', { parse_mode: 'HTML' })
    const [message] = telegram.messages(ANN)
    expect(message).toMatchObject({ text: 'two', html: '<b>two</b>', buttons: [] })
    expect(message?.history.map(({ text, buttons }) => [text, buttons.flat().length])).toEqual([
      ['one', 1],
      ['two', 0],
    ])
    await api.editMessageReplyMarkup(ANN, id, { reply_markup: keyboard('Stop') })
    expect(telegram.messages(ANN)[0]).toMatchObject({
      text: 'two',
      entities: [{ type: 'bold' }],
      buttons: [[{ text: 'Stop' }]],
    })
  })

  it('are not modified by the same text and keyboard, however it is written', async () => {
    const { message_id: id } = await api.sendMessage(ANN, 'a & b', { reply_markup: keyboard('Go') })
    const same = { parse_mode: 'HTML', reply_markup: keyboard('Go') } as const
    expect(await descriptionOf(api.editMessageText(ANN, id, 'a &amp; b ', same))).toBe(NOT_MODIFIED)
    expect(await descriptionOf(api.editMessageReplyMarkup(ANN, id, same))).toBe(NOT_MODIFIED)
    expect(await descriptionOf(api.editMessageText(ANN, id, 'a & b'))).toBe('ok')
  })

  it('of others, and those with a reply keyboard, cannot be edited', async () => {
    telegram.say({ chat: ANN, from: ANN, text: 'mine' })
    const { message_id: asked } = await api.sendMessage(ANN, 'name?', { reply_markup: { force_reply: true } })
    for (const id of [1, asked]) {
      expect(await descriptionOf(api.editMessageText(ANN, id, 'x'))).toBe(
        "Bad Request: message can't be edited",
      )
    }
  })

  it('are deleted once, and not by everyone', async () => {
    await reopen({})
    telegram.group(-9, { type: 'supergroup', title: 'Plain', botIs: 'member' })
    telegram.say({ chat: -9, from: ANN, text: 'mine' })
    expect(await descriptionOf(api.deleteMessage(-9, 1))).toBe("Bad Request: message can't be deleted")
    telegram.say({ chat: ANN, from: ANN, text: 'a secret' })
    await api.deleteMessage(ANN, 1)
    expect(telegram.said(ANN)).toMatchObject([{ deleted: true }])
    expect(await descriptionOf(api.deleteMessage(ANN, 1))).toBe('Bad Request: message to delete not found')
    expect(await descriptionOf(api.editMessageText(ANN, 1, 'x'))).toBe(
      'Bad Request: message to edit not found',
    )
  })

  it('cannot be deleted from a private chat after two days', async () => {
    let now = 1_700_000_000_000
    await reopen({ now: () => now })
    const { message_id: id } = await api.sendMessage(ANN, 'old')
    now += 49 * 3600 * 1000
    expect(await descriptionOf(api.deleteMessage(ANN, id))).toBe(
      "Bad Request: message can't be deleted for everyone",
    )
  })

  it('can be documents, uploaded by grammY and sent again by id', async () => {
    const file = new InputFile(Buffer.from('line\r\nline\n'), 'log 1.txt')
    const message = await api.sendDocument(ANN, file, { caption: '<i>log</i>', parse_mode: 'HTML' })
    expect(message).toMatchObject({ document: { file_name: 'log 1.txt', file_size: 11 }, caption: 'log' })
    expect(Buffer.from(telegram.messages(ANN)[0]?.document?.bytes ?? []).toString()).toBe('line\r\nline\n')
    expect(await api.sendDocument(ANN, message.document.file_id)).toMatchObject({
      document: message.document,
    })
    const caption = 'x'.repeat(1025)
    expect(await descriptionOf(api.sendDocument(ANN, file, { caption }))).toBe(
      'Bad Request: message caption is too long',
    )
    expect(await descriptionOf(api.editMessageText(ANN, 1, 'x'))).toBe(
      'Bad Request: there is no text in the message to edit',
    )
  })

  it('take reactions that Telegram has', async () => {
    await api.sendMessage(ANN, 'x')
    await api.setMessageReaction(ANN, 1, [{ type: 'emoji', emoji: '👍' }])
    expect(telegram.messages(ANN)[0]?.reactions).toEqual(['👍'])
    const strange = [{ type: 'emoji', emoji: '🧨' }]
    expect(await raw('setMessageReaction', { chat_id: ANN, message_id: 1, reaction: strange })).toMatchObject(
      {
        description: 'Bad Request: REACTION_INVALID',
      },
    )
    expect(await api.sendChatAction(ANN, 'typing')).toBe(true)
  })
})

describe('presses', () => {
  it('are found by label on the current keyboard, and answered once', async () => {
    await api.sendMessage(ANN, 'sure?', { reply_markup: keyboard('Yes', 'No') })
    expect(() => telegram.press({ chat: ANN, from: ANN, button: 'Maybe' })).toThrow('there is: none')
    expect(() => telegram.press({ chat: ANN, from: ANN, messageId: 1, button: 'Maybe' })).toThrow(
      '"Yes", "No"',
    )
    const pressed = telegram.press({ chat: ANN, from: ANN, button: 'Yes' })
    const [update] = await api.getUpdates()
    const query = update?.callback_query
    expect(query).toMatchObject({
      data: 'do:yes',
      from: { id: ANN },
      message: { message_id: 1, text: 'sure?' },
    })
    await api.answerCallbackQuery(query?.id ?? '', { text: 'done' })
    expect(telegram.answerTo(pressed)).toMatchObject({ text: 'done' })
    expect(await descriptionOf(api.answerCallbackQuery(query?.id ?? ''))).toBe(TOO_OLD)
  })

  it('are too old after a while, and their answers are short', async () => {
    let now = 1_700_000_000_000
    await reopen({ now: () => now })
    telegram.press({ chat: ANN, from: ANN, messageId: 12, data: 'forged' })
    const [update] = await api.getUpdates()
    expect(update?.callback_query).toMatchObject({ data: 'forged', message: { message_id: 12, date: 0 } })
    const id = update?.callback_query?.id ?? ''
    expect(await descriptionOf(api.answerCallbackQuery(id, { text: 'x'.repeat(201) }))).toBe(
      'Bad Request: MESSAGE_TOO_LONG',
    )
    now += 31_000
    expect(await descriptionOf(api.answerCallbackQuery(id))).toBe(TOO_OLD)
  })
})

describe('updates', () => {
  const texts = async (params: Parameters<Api['getUpdates']>[0] = {}) =>
    (await api.getUpdates(params)).map((update) => update.message?.text)
  const sayAll = (...said: string[]) => said.map((text) => telegram.say({ chat: ANN, from: ANN, text }))

  it('come at once to a held poll, and again until they are confirmed', async () => {
    const poll = texts({ timeout: 5 })
    await telegram.waitFor((fake) => fake.polling)
    sayAll('a')
    expect(await poll).toEqual(['a'])
    expect(await texts({ offset: 1 })).toEqual(['a'])
    sayAll('b')
    expect(await texts({ offset: 2 })).toEqual(['b'])
    expect(await texts({ offset: 0 })).toEqual(['b'])
    expect([telegram.confirmedOffset, telegram.pending()]).toEqual([2, 1])
  })

  it('a poll ends empty when its time is over', async () => {
    const began = performance.now()
    expect(await texts({ timeout: 1 })).toEqual([])
    expect(performance.now() - began).toBeGreaterThan(990)
  })

  it('are limited, counted from the end by a negative offset, and forgotten before it', async () => {
    sayAll('a', 'b', 'c', 'd')
    expect(await texts({ limit: 2 })).toEqual(['a', 'b'])
    expect(await texts({ offset: -2 })).toEqual(['c', 'd'])
    expect(await texts()).toEqual(['c', 'd'])
  })

  it('are filtered when they are made, by what was allowed last', async () => {
    await api.getUpdates({ allowed_updates: ['callback_query'] })
    sayAll('dropped')
    await api.getUpdates({})
    sayAll('dropped too')
    await api.getUpdates({ allowed_updates: [] })
    sayAll('kept')
    expect(await texts()).toEqual(['kept'])
    expect((await api.getWebhookInfo()).pending_update_count).toBe(1)
  })

  it('take any kind and any id', async () => {
    telegram.nextUpdateId = 500
    expect(sayAll('a')).toEqual([500])
    telegram.push({ edited_message: { text: 'b' } as never, update_id: 900 })
    telegram.reword({ chat: ANN, messageId: 1, text: '/c' })
    const updates = await api.getUpdates()
    expect(updates.map((update) => update.update_id)).toEqual([500, 900, 901])
    expect(updates[2]?.edited_message).toMatchObject({ text: '/c', entities: [{ type: 'bot_command' }] })
  })

  it('go to one poller: the newer ends the older', async () => {
    const older = descriptionOf(api.getUpdates({ timeout: 5 }))
    await telegram.waitFor((fake) => fake.polling)
    const newer = texts({ timeout: 5 })
    expect(await older).toBe(OTHER_POLLER)
    sayAll('a')
    expect(await newer).toEqual(['a'])
  })

  it('go to nobody while a webhook is set', async () => {
    await api.setWebhook('https://example.org/hook')
    expect(await descriptionOf(api.getUpdates())).toMatch(
      /^Conflict: can't use getUpdates method while webhook is active/,
    )
    sayAll('a')
    await api.deleteWebhook({ drop_pending_updates: true })
    expect(await texts()).toEqual([])
  })

  it('survive a poller that hangs up', async () => {
    const controller = new AbortController()
    const poll = api.getUpdates({ timeout: 5 }, controller.signal as never)
    await telegram.waitFor((fake) => fake.polling)
    controller.abort()
    await expect(poll).rejects.toThrow()
    await expect.poll(() => telegram.polling).toBe(false)
    sayAll('a')
    expect(await texts()).toEqual(['a'])
  })
})

describe('command lists', () => {
  it('are kept by scope and language', async () => {
    const commands = [{ command: 'help', description: 'what I can do' }]
    const scope = { type: 'chat', chat_id: OPS } as const
    await api.setMyCommands(commands, { scope, language_code: 'de' })
    expect(await api.getMyCommands()).toEqual([])
    expect(await api.getMyCommands({ scope })).toEqual([])
    expect(await api.getMyCommands({ scope, language_code: 'de' })).toEqual(commands)
    await api.deleteMyCommands({ scope, language_code: 'de' })
    expect(await api.getMyCommands({ scope, language_code: 'de' })).toEqual([])
    const nowhere = { type: 'chat', chat_id: 4711 } as const
    expect(await descriptionOf(api.setMyCommands(commands, { scope: nowhere }))).toBe(
      'Bad Request: chat not found',
    )
    const many = Array.from({ length: 101 }, (_, index) => ({ command: `c${index}`, description: 'x' }))
    expect(await descriptionOf(api.setMyCommands(many))).toBe('Bad Request: BOT_COMMANDS_TOO_MUCH')
  })
})

describe('faults', () => {
  const send = () => raw('sendMessage', { chat_id: ANN, text: 'x' })
  const outcome = () =>
    send().then(
      ({ status }) => status,
      () => 'broken' as const,
    )

  it.each([
    [
      { kind: 'status', status: 502 },
      { status: 502, error_code: 502, description: 'Bad Gateway' },
    ],
    [
      { kind: 'status', status: 429, retryAfter: 3 },
      { description: 'Too Many Requests: retry after 3', parameters: { retry_after: 3 } },
    ],
    [
      { kind: 'status', status: 400, description: 'Bad Request: odd' },
      { status: 400, description: 'Bad Request: odd' },
    ],
  ] as [Mishap, object][])('%j is answered without effect', async (mishap, answer) => {
    telegram.fault({ ...mishap, method: 'sendMessage', times: 1 })
    expect(await send()).toMatchObject({ ok: false, ...answer })
    expect(telegram.messages(ANN)).toEqual([])
    expect(await outcome()).toBe(200)
  })

  it('a reset has no effect, a lost answer has', async () => {
    telegram.fault({ method: /^send/, kind: 'reset', times: 1 })
    expect(await outcome()).toBe('broken')
    expect(telegram.messages(ANN)).toHaveLength(0)
    telegram.fault({ method: /^send/, kind: 'drop-after-ok', times: 1 })
    expect(await outcome()).toBe('broken')
    expect(telegram.messages(ANN)).toHaveLength(1)
    expect(telegram.calls.map(({ status, answeredAt }) => [status, answeredAt])).toEqual([
      [0, undefined],
      [200, undefined],
    ])
  })

  it('a call that hangs is never answered, one that is late is', async () => {
    const undo = telegram.fault({ kind: 'hang' })
    const call = outcome()
    expect(await Promise.race([call, new Promise((resolve) => setTimeout(resolve, 50, 'silence'))])).toBe(
      'silence',
    )
    undo()
    telegram.cut()
    expect(await call).toBe('broken')
    telegram.fault({ kind: 'delay', delayMs: 60 })
    const began = performance.now()
    expect(await outcome()).toBe(200)
    expect(performance.now() - began).toBeGreaterThan(55)
    telegram.heal()
  })

  it('chance is the same for the same seed', async () => {
    const draw = async (seed: number) => {
      await reopen({ seed })
      telegram.fault({ kind: 'status', status: 500, probability: 0.5 })
      const outcomes: unknown[] = []
      for (let count = 0; count < 12; count += 1) outcomes.push(await outcome())
      return outcomes
    }
    const first = await draw(1)
    expect(new Set(first)).toEqual(new Set([200, 500]))
    expect(await draw(1)).toEqual(first)
    expect(await draw(2)).not.toEqual(first)
  })

  it('floods are refused where limits are set', async () => {
    await reopen({ limits: { perChatPerSecond: 2, perGroupPerMinute: 1 } })
    expect([await outcome(), await outcome(), await outcome()]).toEqual([200, 200, 429])
    await api.sendMessage(OPS, 'x')
    expect(await raw('sendMessage', { chat_id: OPS, text: 'x' })).toMatchObject({
      status: 429,
      parameters: { retry_after: 60 },
    })
  })
})

describe('waiting', () => {
  it('resolves with what was waited for', async () => {
    setTimeout(() => void api.sendMessage(ANN, 'late'), 20)
    expect(await telegram.waitFor((fake) => fake.messages(ANN)[0])).toMatchObject({ text: 'late' })
  })

  it('rejects with the last calls, or with what the question threw', async () => {
    await api.sendMessage(ANN, 'only this')
    await expect(telegram.waitFor(() => false, 20)).rejects.toThrow(
      /not within 20 ms[\s\S]*sendMessage[\s\S]*only this/,
    )
    const broken = () => {
      throw new Error('bad question')
    }
    await expect(telegram.waitFor(broken)).rejects.toThrow('bad question')
  })

  it('remembers as many calls as it is told to', async () => {
    await reopen({ keepCalls: 2 })
    for (const text of ['a', 'b', 'c']) await api.sendMessage(ANN, text)
    expect(telegram.calls.map(({ params }) => params.text)).toEqual(['b', 'c'])
    telegram.keepCalls(false)
    telegram.clearCalls()
    await api.sendMessage(ANN, 'd')
    expect([telegram.calls.length, telegram.counts]).toEqual([0, { sendMessage: 4 }])
  })
})

describe('a real grammY bot', () => {
  it('polls, replies, edits and answers', async () => {
    const bot = new Bot(telegram.token, { client: { apiRoot: telegram.apiRoot } })
    bot.command('go', (context) => context.reply('go?', { reply_markup: keyboard('Yes') }))
    bot.callbackQuery('do:yes', async (context) => {
      await context.editMessageText('gone')
      await context.answerCallbackQuery('on it')
    })
    const done = bot.start()
    telegram.say({ chat: OPS, from: ANN, text: '/go@fake_ops_bot' })
    await telegram.waitFor((fake) => fake.messages(OPS)[0])
    const pressed = telegram.press({ chat: OPS, from: BOB, button: 'Yes' })
    expect(await telegram.waitFor((fake) => fake.answerTo(pressed))).toMatchObject({ text: 'on it' })
    expect(telegram.messages(OPS)).toMatchObject([{ text: 'gone', buttons: [] }])
    await bot.stop()
    await done
    expect(telegram.pending()).toBe(0)
  })
})

describe('the network in between', () => {
  const attempt = (port: number) =>
    fetch(`http://127.0.0.1:${port}/bot${telegram.token}/getMe`, { signal: AbortSignal.timeout(150) })
      .then((response) => response.json())
      .then(() => 'ok')
      .catch((error: Error) => (error.name === 'TimeoutError' ? 'silence' : 'broken'))

  it.each([
    ['pass', 'ok'],
    ['refuse', 'broken'],
    ['hang', 'silence'],
    ['reset', 'broken'],
    ['cut', 'broken'],
    ['slow', 'ok'],
  ] as [NetworkMode, string][])('%s: a call is %s, and all is well afterwards', async (mode, fate) => {
    const proxy = await faultProxy(telegram.port, { delayMs: 50 })
    onTestFinished(() => proxy.close())
    await proxy.set(mode)
    const began = performance.now()
    expect(await attempt(proxy.port)).toBe(fate)
    if (mode === 'slow') expect(performance.now() - began).toBeGreaterThan(45)
    await proxy.set('pass')
    expect(await attempt(proxy.port)).toBe('ok')
  })

  it.each(['refuse', 'reset', 'cut'] as const)('%s breaks a held poll', async (mode) => {
    const proxy = await faultProxy(telegram.port)
    onTestFinished(() => proxy.close())
    const poll = clientOf(proxy.url).getUpdates({ timeout: 5 })
    await telegram.waitFor((fake) => fake.polling)
    await Promise.all([expect(poll).rejects.toThrow(), proxy.set(mode)])
  })

  it('a half-open connection swallows the answer, which is sent again afterwards', async () => {
    const proxy = await faultProxy(telegram.port)
    onTestFinished(() => proxy.close())
    const deaf = clientOf(proxy.url).getUpdates({ timeout: 5 })
    await telegram.waitFor((fake) => fake.polling)
    await proxy.set('hang')
    telegram.say({ chat: ANN, from: ANN, text: 'hello?' })
    const silence = new Promise((resolve) => setTimeout(resolve, 100, 'silence'))
    expect(await Promise.race([deaf, silence])).toBe('silence')
    await Promise.all([expect(deaf).rejects.toThrow(), proxy.set('pass')])
    expect(await clientOf(proxy.url).getUpdates()).toMatchObject([{ message: { text: 'hello?' } }])
  })
})

describe('as a process', () => {
  let child: ChildProcess | undefined
  afterEach(() => void child?.kill())

  it('says where it listens, takes commands as lines and ends with its input', async () => {
    child = spawn(process.execPath, ['test/telegram/cli.ts'], { stdio: ['pipe', 'pipe', 'inherit'] })
    const { stdin, stdout } = child
    if (!stdin || !stdout) throw new Error('no pipes')
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
    const next = async () => JSON.parse((await lines.next()).value ?? 'null') as Record<string, unknown>
    const tell = (command: object) => {
      stdin.write(`${JSON.stringify(command)}\n`)
      return next()
    }
    const { apiRoot, token } = await next()
    expect(await tell({ push: { chat: 7, from: 7, text: '/hi' } })).toEqual({ push: 1 })
    const [update] = await clientOf(String(apiRoot), String(token)).getUpdates()
    expect(update?.message?.text).toBe('/hi')
    expect(await tell({ stats: true })).toMatchObject({ stats: { pending: 1, counts: { getUpdates: 1 } } })
    expect(await tell({ nonsense: true })).toMatchObject({ error: expect.stringContaining('there are: ') })
    const ended = once(child, 'exit')
    stdin.end()
    expect(await ended).toEqual([0, null])
  })
})
