// The test's side of the fake: people who speak and press, chats that change, and what the bot has written.

import type { CallbackQuery, Chat, ChatMember, Message, MessageEntity, User } from 'grammy/types'
import { escapeHtml } from './html.ts'
import type { Params } from './params.ts'
import { bearerOf, dataOf, type Shown, show } from './shown.ts'
import type { NewUpdate, Queue } from './updates.ts'
import { createRoom, currentOf, type Room, secondsOf, store, type World } from './world.ts'

/** What a person says; further fields of a message (a thread, a forward, a document) may be added. */
export type Saying = { chat: number; from: number; text?: string; date?: number; replyTo?: number } & Partial<
  Omit<Message, 'chat' | 'from' | 'text' | 'date'>
>

/** A button pressed: by its label, or with any data at all, as a forged or outdated press would have it. */
export type Press = { chat: number; from: number; messageId?: number } & (
  | { data: string }
  | { button: string }
)

/** A chat to be known; who is not in `members` and never spoke there is not a member. */
export type GroupSpec = {
  type: 'group' | 'supergroup'
  title: string
  username?: string
  isForum?: boolean
  topics?: number[]
  members?: Record<number, ChatMember['status']>
  /** How the bot stands there; only an administrator may delete what others wrote. */
  botIs?: 'administrator' | 'member'
}

/** Everything a test does to the world. */
export function createScript(world: World, queue: Queue) {
  const room = (id: number): Room => {
    const known = world.rooms.get(id)
    if (!known) throw new Error(`chat ${id} is not known to the fake Telegram: declare it first`)
    return known
  }

  const user = (
    id: number,
    { name = `User ${id}`, username }: { name?: string; username?: string } = {},
  ): User => {
    const known: User = {
      id,
      is_bot: false,
      first_name: name,
      ...(username && { username }),
      language_code: 'en',
    }
    world.users.set(id, known)
    return known
  }

  const someone = (id: number) => world.users.get(id) ?? user(id)

  const privateChat = (userId: number, { started = true, topics = [] as number[] } = {}): void => {
    const { first_name, username } = someone(userId)
    const chat: Chat = { id: userId, type: 'private', first_name, ...(username && { username }) }
    world.rooms.set(
      userId,
      createRoom(chat, { started, topics: new Set(topics), members: new Map([[userId, 'member']]) }),
    )
  }

  const group = (id: number, spec: GroupSpec): void => {
    const members = new Map(
      Object.entries(spec.members ?? {}).map(([member, status]) => [Number(member), status]),
    )
    for (const member of members.keys()) someone(member)
    members.set(world.bot.id, spec.botIs ?? 'administrator')
    const { type, title, username, isForum } = spec
    const chat = {
      id,
      type,
      title,
      ...(username && { username }),
      ...(isForum && { is_forum: true }),
    } as Chat
    world.rooms.set(id, createRoom(chat, { members, topics: new Set(spec.topics) }))
  }

  /** A chat in which `from` speaks: a person who writes to the bot has thereby started their chat. */
  const entered = (chat: number, from: number): Room => {
    const person = someone(from)
    if (chat === from && !world.rooms.has(chat)) privateChat(chat)
    const entered = room(chat)
    if (chat === from) entered.started = true
    if (!entered.members.has(person.id)) entered.members.set(person.id, 'member')
    return entered
  }

  const say = ({ chat, from, text, date, replyTo, ...rest }: Saying): number => {
    const where = entered(chat, from)
    const replied = replyTo === undefined ? undefined : where.messages.get(replyTo)
    const entities = commandsIn(text ?? '')
    const message = {
      message_id: where.lastId + 1,
      from: someone(from),
      chat: where.chat,
      date: date ?? secondsOf(world),
      ...(replied && { reply_to_message: currentOf(replied) }),
      ...(text !== undefined && { text }),
      ...(entities.length > 0 && { entities }),
      ...rest,
    } as Message
    store(where, message, { html: escapeHtml(text ?? '') })
    return queue.push({ message } as NewUpdate)
  }

  /** A person changes what they said before. */
  const reword = ({ chat, messageId, text }: { chat: number; messageId: number; text: string }): number => {
    const stored = room(chat).messages.get(messageId)
    if (!stored || stored.mine) throw new Error(`nobody said message ${messageId} in chat ${chat}`)
    const { entities: _, ...old } = currentOf(stored)
    const entities = commandsIn(text)
    const message = {
      ...old,
      text,
      edit_date: secondsOf(world),
      ...(entities.length > 0 && { entities }),
    } as Message
    stored.history.push({ message, html: escapeHtml(text), at: performance.now() })
    return queue.push({ edited_message: message } as NewUpdate)
  }

  const press = ({ chat, from, messageId, ...what }: Press): number => {
    const where = entered(chat, from)
    const stored = messageId === undefined ? bearerOf(where, what) : where.messages.get(messageId)
    const data = 'data' in what ? what.data : dataOf(stored, what.button)
    const id = String(1_000_000_000_000_000 + queue.state.nextId)
    const message =
      stored && !stored.deleted
        ? currentOf(stored)
        : { chat: where.chat, message_id: messageId ?? 0, date: 0 as const }
    world.queries.set(id, { pushedAt: world.now() })
    const callback_query = {
      id,
      from: someone(from),
      message,
      chat_instance: `c${chat}`,
      data,
    } as CallbackQuery
    return queue.push({ callback_query })
  }

  const membership = (id: number, old: ChatMember['status'], now: ChatMember['status'], by: number): void => {
    const member = (status: ChatMember['status']) => ({ user: world.bot, status }) as ChatMember
    const { chat } = room(id)
    const change = { chat, from: someone(by), date: secondsOf(world) }
    queue.push({
      my_chat_member: { ...change, old_chat_member: member(old), new_chat_member: member(now) },
    } as NewUpdate)
  }

  const block = (userId: number): void => {
    room(userId).blocked = true
    membership(userId, 'member', 'kicked', userId)
  }

  const unblock = (userId: number): void => {
    room(userId).blocked = false
    membership(userId, 'kicked', 'member', userId)
  }

  const kick = (chatId: number, by = anyMember(room(chatId), world.bot.id)): void => {
    const where = room(chatId)
    where.kicked = true
    membership(chatId, where.members.get(world.bot.id) ?? 'member', 'kicked', by)
    where.members.set(world.bot.id, 'kicked')
  }

  /** Upgrades a group: the old chat refuses everything from now on and names the new one. */
  const migrate = (oldId: number, newId: number): void => {
    const old = room(oldId)
    const title = old.chat.title ?? ''
    const from = anyMember(old, world.bot.id)
    group(newId, { type: 'supergroup', title, members: Object.fromEntries(old.members) })
    say({ chat: oldId, from, migrate_to_chat_id: newId })
    old.migratedTo = newId
    say({ chat: newId, from, migrate_from_chat_id: oldId })
  }

  const shown = (id: number, mine: boolean): Shown[] =>
    [...(world.rooms.get(id)?.messages.values() ?? [])].filter((stored) => stored.mine === mine).map(show)

  return {
    user,
    privateChat,
    group,
    block,
    unblock,
    kick,
    migrate,
    say,
    reword,
    press,
    push: queue.push,
    /** Adds a forum topic (or a topic of a private chat). */
    topic: (chatId: number, threadId: number): void => void room(chatId).topics.add(threadId),
    /** What the bot wrote in a chat, in order; deleted messages too, marked. */
    messages: (chatId: number): Shown[] => shown(chatId, true),
    /** What people wrote in a chat. */
    said: (chatId: number): Shown[] => shown(chatId, false),
    /** How the bot answered the press that made this update, once it has. */
    answerTo: (updateId: number): Params | undefined =>
      world.queries.get(String(1_000_000_000_000_000 + updateId))?.answer,
  }
}

const anyMember = (room: Room, except: number) =>
  [...room.members.keys()].find((id) => id !== except) ?? except

const COMMAND = /(?<![\w/<>])\/\w{1,64}(?:@\w{3,32})?(?![\w/<>@])/g

const commandsIn = (text: string): MessageEntity[] =>
  [...text.matchAll(COMMAND)].map((match) => ({
    type: 'bot_command',
    offset: match.index,
    length: match[0].length,
  }))
