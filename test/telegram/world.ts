// What the fake Telegram knows: people, chats, and every message with its history.

import type { Chat, ChatMember, Message, User } from 'grammy/types'
import { integerOf, type Params, textOf } from './params.ts'
import { badRequest, forbidden, refusal } from './refusal.ts'

/** What a message said at one time; `at` is a `performance.now()`, for measuring. */
export type Revision = { message: Message; html: string; at: number }

/** A message and what Telegram does not tell about it. */
export type Stored = {
  /** First what was sent, last what is shown. */
  history: [Revision, ...Revision[]]
  mine: boolean
  silent: boolean
  deleted: boolean
  /** Sent with a keyboard of the kind that makes a message uneditable. */
  fixed: boolean
  reactions: string[]
  bytes?: Uint8Array
}

/** A chat and how the bot stands in it. */
export type Room = {
  chat: Chat
  started: boolean
  blocked: boolean
  kicked: boolean
  migratedTo?: number
  topics: Set<number>
  members: Map<number, ChatMember['status']>
  messages: Map<number, Stored>
  lastId: number
}

/** A button pressed and not answered yet, or answered. */
export type Query = { pushedAt: number; answer?: Params }

export type World = {
  bot: User
  users: Map<number, User>
  rooms: Map<number, Room>
  queries: Map<string, Query>
  /** Files by their id, to be sent again without an upload. */
  files: Map<string, { name: string; bytes: Uint8Array }>
  queryLifetimeMs: number
  now: () => number
}

export function createWorld(bot: User, now: () => number, queryLifetimeMs: number): World {
  const users = new Map<number, User>([[bot.id, bot]])
  return { bot, users, rooms: new Map(), queries: new Map(), files: new Map(), queryLifetimeMs, now }
}

export const createRoom = (chat: Chat, known: Partial<Room> = {}): Room => ({
  chat,
  started: true,
  blocked: false,
  kicked: false,
  topics: new Set(),
  members: new Map(),
  messages: new Map(),
  lastId: 0,
  ...known,
})

/** The time as Telegram stamps it: whole seconds. */
export const secondsOf = (world: World) => Math.floor(world.now() / 1000)

export const currentOf = (stored: Stored): Message => (stored.history.at(-1) ?? stored.history[0]).message

/** Where the bot may not write, and what it is told then; the first that is true counts. */
const CLOSED: [when: (room: Room) => boolean, refuse: (room: Room) => Error][] = [
  [
    (room) => room.migratedTo !== undefined,
    (room) =>
      refusal(400, 'Bad Request: group chat was upgraded to a supergroup chat', {
        ...(room.migratedTo !== undefined && { migrate_to_chat_id: room.migratedTo }),
      }),
  ],
  [(room) => room.kicked, (room) => forbidden(`bot was kicked from the ${nameOf(room.chat)} chat`)],
  [(room) => room.blocked, () => forbidden('bot was blocked by the user')],
  [(room) => !room.started, () => forbidden("bot can't initiate conversation with a user")],
]

const nameOf = (chat: Chat) => (chat.type === 'group' ? 'group' : chat.type)

/** The chat that a call names, if the bot may do anything there. */
export function roomOf(world: World, params: Params): Room {
  const room = anyRoomOf(world, params)
  for (const [when, refuse] of CLOSED) if (when(room)) throw refuse(room)
  return room
}

/** The chat that a call names, however the bot stands in it. */
export function anyRoomOf(world: World, params: Params): Room {
  const name = textOf(params, 'chat_id')
  if (name === '') throw badRequest('chat_id is empty')
  if (name.startsWith('@')) {
    const room = [...world.rooms.values()].find(
      ({ chat }) => `@${chat.username}`.toLowerCase() === name.toLowerCase(),
    )
    if (!room || room.chat.type === 'private') throw badRequest('chat not found')
    return room
  }
  const id = integerOf(params, 'chat_id') ?? 0
  const room = world.rooms.get(id)
  if (room) return room
  throw world.users.has(id)
    ? forbidden("bot can't initiate conversation with a user")
    : badRequest('chat not found')
}

/** The message that a call names, unless it is gone. */
export function storedOf(room: Room, params: Params, purpose: string): Stored {
  const id = integerOf(params, 'message_id')
  if (id === undefined) throw badRequest('message identifier is not specified')
  const stored = room.messages.get(id)
  if (!stored || stored.deleted) throw badRequest(`message to ${purpose} not found`)
  return stored
}

/** Puts a new message into its chat. */
export function store(room: Room, message: Message, known: Partial<Stored> & { html: string }): Stored {
  const { html, ...rest } = known
  const stored: Stored = {
    history: [{ message, html, at: performance.now() }],
    mine: false,
    silent: false,
    deleted: false,
    fixed: false,
    reactions: [],
    ...rest,
  }
  room.messages.set(message.message_id, stored)
  room.lastId = Math.max(room.lastId, message.message_id)
  return stored
}
