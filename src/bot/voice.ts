// The bot's voice in Telegram: pages and cards as messages, edits, toasts and files.

import { type Api, InputFile } from 'grammy'
import type { InlineKeyboardButton } from 'grammy/types'
import type { Redact } from '../log.ts'
import type { Card } from '../ops/state/cards.ts'
import { dataOf, LONGEST_DATA } from './buttons.ts'
import { pageOfCard, stillRings } from './cards.ts'
import type { Clock } from './clock.ts'
import type { Voice } from './courier.ts'
import type { Button, Page } from './page.ts'
import { cardHtml, harmless, messagesOf } from './render.ts'

export interface Target {
  chatId: number
  threadId?: number
  /** The message that is answered. */
  replyTo?: number
}

export interface Speech extends Voice {
  /** Says a page, in as many messages as it takes, without a sound. */
  say(page: Page, target: Target): Promise<void>
  /** Puts a page in the place of a message. */
  replace(page: Page, chatId: number, messageId: number): Promise<void>
  /** Deletes what somebody else wrote: in private for 48 hours, in a group with an administrator's rights alone. */
  erase(chatId: number, messageId: number): Promise<void>
}

/** With one that is too long Telegram does not take the message either. */
const fits = (button: Button) => 'url' in button || Buffer.byteLength(dataOf(button)) <= LONGEST_DATA

function keyboard(rows: readonly (readonly Button[])[]): { inline_keyboard: InlineKeyboardButton[][] } {
  const key = (button: Button): InlineKeyboardButton =>
    'url' in button
      ? { text: harmless(button.label), url: button.url }
      : { text: harmless(button.label), callback_data: dataOf(button) }
  return { inline_keyboard: rows.map((row) => row.filter(fits).map(key)).filter(({ length }) => length > 0) }
}

/** @param redact the last gate: nothing secret-shaped leaves, whatever was put in. */
export function createSpeech(options: {
  api: Api
  clock: Clock
  redact: Redact
  /** The topic for cards in the alert chat. */
  threadOf: (chatId: number) => number | undefined
}): Speech {
  const { api, clock, redact, threadOf } = options
  const answering = (replyTo: number | undefined) =>
    replyTo !== undefined && { reply_parameters: { message_id: replyTo, allow_sending_without_reply: true } }
  const inThread = (threadId: number | undefined) => threadId !== undefined && { message_thread_id: threadId }
  const dressed = (rows: readonly (readonly Button[])[]) => ({
    parse_mode: 'HTML' as const,
    link_preview_options: { is_disabled: true },
    reply_markup: keyboard(rows),
  })

  return {
    async send(chatId, card: Card, { unseen, replyTo }) {
      const page = pageOfCard(card, unseen, clock)
      const message = await api.sendMessage(chatId, redact(cardHtml(page)), {
        ...dressed(page.buttons ?? []),
        ...answering(replyTo),
        ...inThread(threadOf(chatId)),
        disable_notification: !stillRings(card),
      })
      return message.message_id
    },
    async edit(chatId, messageId, card) {
      const page = pageOfCard(card, false, clock)
      await api.editMessageText(chatId, messageId, redact(cardHtml(page)), dressed(page.buttons ?? []))
    },
    async say(page, { chatId, threadId, replyTo }) {
      const { messages, file } = messagesOf(page)
      for (const { html, buttons } of messages)
        await api.sendMessage(chatId, redact(html), {
          ...dressed(buttons),
          ...answering(replyTo),
          ...inThread(threadId),
          disable_notification: true,
        })
      if (!file) return
      const body = new InputFile(Buffer.from(redact(file.text)), file.name)
      await api.sendDocument(chatId, body, { ...inThread(threadId), disable_notification: true })
    },
    async replace(page, chatId, messageId) {
      await api.editMessageText(chatId, messageId, redact(cardHtml(page)), dressed(page.buttons ?? []))
    },
    async erase(chatId, messageId) {
      await api.deleteMessage(chatId, messageId)
    },
  }
}
