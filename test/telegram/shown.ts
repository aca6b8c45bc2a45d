// What the bot wrote, as a reader sees it: texts, histories, and the buttons there are to press.

import type { InlineKeyboardButton, Message, MessageEntity } from 'grammy/types'
import { currentOf, type Room, type Stored } from './world.ts'

export type ShownButton = { text: string; data?: string; url?: string }
export type Said = { text: string; html: string; buttons: ShownButton[][]; at: number }

/** A message as a reader sees it now, and all that it said before. */
export type Shown = Said & {
  id: number
  chat: number
  from: number
  date: number
  entities: MessageEntity[]
  silent: boolean
  deleted: boolean
  replyTo?: number
  thread?: number
  document?: { name: string; bytes: Uint8Array }
  reactions: string[]
  /** First what was sent, last what is shown; `history.length - 1` edits. `at` is a `performance.now()`. */
  history: Said[]
  /** The message as the Bot API tells it. */
  raw: Message
}

const keyboardOf = (message: Message): InlineKeyboardButton[][] => message.reply_markup?.inline_keyboard ?? []

const showButton = (button: InlineKeyboardButton): ShownButton => ({
  text: button.text,
  ...('callback_data' in button && { data: button.callback_data }),
  ...('url' in button && { url: button.url }),
})

/** A message as a test asks for it. */
export function show(stored: Stored): Shown {
  const raw = currentOf(stored)
  const history = stored.history.map(({ message, html, at }) => ({
    text: message.text ?? message.caption ?? '',
    html,
    buttons: keyboardOf(message).map((row) => row.map(showButton)),
    at,
  }))
  return {
    ...(history.at(-1) as Said),
    id: raw.message_id,
    chat: raw.chat.id,
    from: raw.from?.id ?? 0,
    date: raw.date,
    entities: raw.entities ?? raw.caption_entities ?? [],
    silent: stored.silent,
    deleted: stored.deleted,
    ...(raw.reply_to_message && { replyTo: raw.reply_to_message.message_id }),
    ...(raw.message_thread_id !== undefined && { thread: raw.message_thread_id }),
    ...(raw.document && {
      document: { name: raw.document.file_name ?? '', bytes: stored.bytes ?? new Uint8Array() },
    }),
    reactions: stored.reactions,
    history,
    raw,
  }
}

/** The newest message that still has such a button. */
export function bearerOf(room: Room, what: { data: string } | { button: string }): Stored | undefined {
  const bears = (button: InlineKeyboardButton) =>
    'button' in what
      ? button.text === what.button
      : 'callback_data' in button && button.callback_data === what.data
  return [...room.messages.values()].findLast(
    (stored) => !stored.deleted && keyboardOf(currentOf(stored)).flat().some(bears),
  )
}

/** What a button of this label would send. */
export function dataOf(stored: Stored | undefined, label: string): string {
  const buttons = stored && !stored.deleted ? keyboardOf(currentOf(stored)).flat() : []
  const button = buttons.find((one) => one.text === label)
  if (button && 'callback_data' in button) return button.callback_data
  const labels = buttons.map((one) => JSON.stringify(one.text)).join(', ') || 'none'
  throw new Error(`no button ${JSON.stringify(label)} to press; there is: ${labels}`)
}
