// The guard: who may speak, where, and as what. It is asked before anything is stored; everybody else gets silence.

import type { CallbackQuery, Message, Update } from 'grammy/types'
import type { Role } from '../config.ts'

/** An update that was let in, without anything of it that we do not need. It is what the inbox stores. */
export interface Request {
  /**
   * `command` a text that begins with a slash · `button` a pressed button · `text` any other text, whose words are
   * never stored · `claim` somebody who says that the bot is theirs.
   */
  kind: 'command' | 'button' | 'text' | 'claim'
  userId: number
  userName: string
  chatId: number
  group: boolean
  threadId?: number
  /** The message that was written, or that has the button. */
  messageId: number
  /** The command line, or the button's data. Empty for `text`. */
  text: string
  /** A `text` with a login code or a token in it, also behind a command. */
  secret?: true
  /** A command in a group that named this bot. */
  addressed?: boolean
  /** When Telegram took the message. UTC milliseconds. A button press has no such time. */
  sentAt?: number
  /** A button press that may have waited in Telegram's queue. */
  late?: boolean
  queryId?: string
}

export interface House {
  people: ReadonlyMap<number, Role>
  /** The chat of the alerts, under every id that it has had. */
  chatIds: readonly number[]
  threadId?: number
  /** Without the `@`, once Telegram has told us. */
  username?: string
  botId?: number
  /** Whether a line claims the bot with the right code: only while there is no owner. */
  claims: (line: string) => boolean
}

/** @property words what a `text` said: kept in memory only. @property refused why nobody answers. */
export type Admission = { request: Request; words?: string } | { refused: string; who?: number }

/** A login code (`code#state`, but not the end of an address), an address with one in it, an Anthropic token. */
const SECRET = /(?<![\w.=%~+-]|[\w/.]\/)[\w-]{16,}#[\w-]{16,}|[?&]code=[\w-]{16,}|sk-ant-[\w-]{6,}/
export const holdsSecret = (text: string): boolean => SECRET.test(text)

const nameOf = ({ first_name, last_name, username }: Message['from'] & object) =>
  [first_name, last_name].filter(Boolean).join(' ').slice(0, 64) || username || 'somebody'

/** The topic that a message is in. Outside topics Telegram gives replies a thread too, which nothing can be sent to. */
const topicOf = ({ is_topic_message, message_thread_id }: Message) =>
  is_topic_message && message_thread_id !== undefined ? { threadId: message_thread_id } : {}

/** Why a message is not a plain one that a person typed just now, if it is not. */
function oddity(message: Message): string | undefined {
  if (!message.from || message.from.is_bot || message.sender_chat) return 'not sent by a person'
  if (message.forward_origin) return 'forwarded'
  if (message.via_bot || message.is_automatic_forward) return 'sent through another'
  if (message.business_connection_id) return 'business'
  return undefined
}

function wrongPlace({ chat, message_thread_id }: Message, userId: number, house: House): string | undefined {
  if (chat.type === 'private') return chat.id === userId ? undefined : "somebody else's private chat"
  if (!house.chatIds.includes(chat.id)) return 'another chat'
  if (house.threadId !== undefined && message_thread_id !== house.threadId) return 'another topic'
  return undefined
}

/** `/cmd@bot rest` → whether it is for us, and the line without the name. */
function addressing(text: string, username: string | undefined) {
  const match = /^\/(\w+)@(\w+)/.exec(text)
  if (!match) return { addressed: false, line: text }
  if (username && match[2]?.toLowerCase() !== username.toLowerCase()) return undefined
  return { addressed: true, line: `/${match[1]}${text.slice(match[0].length)}` }
}

/** An owner who asks for the ids of a group, to make it the chat of the alerts: the one thing answered elsewhere. */
function asksWhere({ from, chat }: Message, call: ReturnType<typeof addressing>, house: House): boolean {
  const owner = from !== undefined && house.people.get(from.id) === 'owner'
  return owner && chat.type !== 'private' && call?.addressed === true && call.line.trim() === '/whoami'
}

function admitMessage(message: Message, house: House): Admission {
  const who = message.from?.id
  const refuse = (refused: string): Admission => ({ refused, ...(who !== undefined && { who }) })
  const odd = oddity(message)
  if (odd || !message.from) return refuse(odd ?? 'nobody')
  const userId = message.from.id
  const text = message.text ?? ''
  const isPrivate = message.chat.type === 'private' && message.chat.id === userId
  const claims = isPrivate && house.claims(text)
  if (!claims && !house.people.has(userId)) return refuse('stranger')
  const call = addressing(text, house.username)
  const misplaced = wrongPlace(message, userId, house)
  if (misplaced && !asksWhere(message, call, house)) return refuse(misplaced)
  if (!text) return refuse('no text')
  if (!call) return refuse('for another bot')
  const secret = !claims && holdsSecret(text)
  const kind = claims ? 'claim' : call.line.startsWith('/') && !secret ? 'command' : 'text'
  const request: Request = {
    kind,
    userId,
    userName: nameOf(message.from),
    chatId: message.chat.id,
    group: !isPrivate,
    messageId: message.message_id,
    text: kind === 'text' ? '' : call.line,
    sentAt: message.date * 1_000,
    ...(secret && { secret }),
    ...(call.addressed && { addressed: true }),
    ...topicOf(message),
  }
  return kind === 'text' ? { request, words: text } : { request }
}

function admitPress(query: CallbackQuery, house: House): Admission {
  const { id, from, message, data } = query
  const refuse = (refused: string): Admission => ({ refused, who: from.id })
  if (!house.people.has(from.id)) return refuse('stranger')
  if (!message || !data) return refuse('a button without its message')
  // Of a message from more than two days ago Telegram tells only where it is; buttons are never another bot's.
  const shown = message as Message
  if (shown.from && house.botId !== undefined && shown.from.id !== house.botId)
    return refuse('a button that is not ours')
  const misplaced = wrongPlace(shown, from.id, house)
  if (misplaced) return refuse(misplaced)
  return {
    request: {
      kind: 'button',
      userId: from.id,
      userName: nameOf(from),
      chatId: shown.chat.id,
      group: shown.chat.type !== 'private',
      messageId: shown.message_id,
      text: data,
      queryId: id,
      ...topicOf(shown),
    },
  }
}

/** Decides about one update. Only what a person of ours typed or pressed, in private or in the alert chat, comes in. */
export function admit(update: Update, house: House): Admission {
  if (update.message) return admitMessage(update.message, house)
  if (update.callback_query) return admitPress(update.callback_query, house)
  return { refused: Object.keys(update).find((key) => key !== 'update_id') ?? 'empty' }
}

/** At most one audit line in this time, however many knock. */
const DOOR_EVERY_MS = 10 * 60_000

/** Counts those who were refused and says so now and then. Its memory does not grow with their number. */
export function createDoor(note: (detail: string) => void) {
  let [count, notedAt] = [0, Number.NEGATIVE_INFINITY]
  return (refused: string, who: number | undefined, now: number): void => {
    count += 1
    if (now - notedAt < DOOR_EVERY_MS) return
    note(
      `${count} refused without an answer, the last ${who === undefined ? '' : `from ${who} `}(${refused})`,
    )
    ;[count, notedAt] = [0, now]
  }
}
