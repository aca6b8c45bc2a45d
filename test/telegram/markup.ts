// Checks reply markup as Telegram does: shape, labels, exactly one action a button, 64 bytes of callback data.

import type { InlineKeyboardButton, InlineKeyboardMarkup } from 'grammy/types'
import { objectOf, type Params } from './params.ts'
import { badRequest } from './refusal.ts'

/** What hangs below a message: an inline keyboard, or one of the kinds that make the message uneditable. */
export type Markup = { inline?: InlineKeyboardMarkup; other: boolean }

const MAX_BUTTONS = 100
const MAX_ROW = 8
const MAX_DATA_BYTES = 64

/** Field → what is wrong with its value, if anything. A button has exactly one of these. */
const ACTIONS: Record<string, (value: unknown) => string | undefined> = {
  callback_data: (value) => {
    if (typeof value !== 'string')
      return `can't parse inline keyboard button: field "callback_data" must be of type String`
    const bytes = Buffer.byteLength(value)
    return bytes < 1 || bytes > MAX_DATA_BYTES ? 'BUTTON_DATA_INVALID' : undefined
  },
  url: (value) => (/^(https?|tg|ton):\/\/\S+$/i.test(String(value)) ? undefined : 'BUTTON_URL_INVALID'),
  copy_text: (value) => {
    const text = (value as { text?: unknown } | null)?.text
    return typeof text === 'string' && text.length >= 1 && text.length <= 256
      ? undefined
      : 'BUTTON_COPY_TEXT_INVALID'
  },
  login_url: () => undefined,
  web_app: () => undefined,
  switch_inline_query: () => undefined,
  switch_inline_query_current_chat: () => undefined,
  switch_inline_query_chosen_chat: () => undefined,
}

const OTHER_KINDS = ['keyboard', 'remove_keyboard', 'force_reply']

/** The call's reply markup, checked; `inlineOnly` for edits, which take nothing else. */
export function readMarkup(params: Params, inlineOnly = false): Markup {
  const source = objectOf(params, 'reply_markup')
  if (!source) return { other: false }
  if (OTHER_KINDS.some((kind) => source[kind])) {
    if (inlineOnly) throw badRequest('inline keyboard expected')
    return { other: true }
  }
  if (source.inline_keyboard === undefined) {
    if (Object.keys(source).length === 0) return { other: false }
    throw badRequest("can't parse reply keyboard markup JSON object")
  }
  const rows = readRows(source.inline_keyboard)
  return rows.length === 0 ? { other: false } : { inline: { inline_keyboard: rows }, other: false }
}

function readRows(source: unknown): InlineKeyboardButton[][] {
  if (!Array.isArray(source))
    throw badRequest('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array')
  const rows = source.map((row: unknown) => {
    if (!Array.isArray(row))
      throw badRequest('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
    if (row.length > MAX_ROW) throw badRequest('reply markup is too long')
    return row.map(readButton)
  })
  if (rows.flat().length > MAX_BUTTONS) throw badRequest('reply markup is too long')
  return rows.filter((row) => row.length > 0)
}

function readButton(source: unknown): InlineKeyboardButton {
  if (typeof source !== 'object' || source === null) {
    throw badRequest("can't parse inline keyboard button: InlineKeyboardButton must be an Object")
  }
  const button = source as Record<string, unknown>
  if (typeof button.text !== 'string') {
    throw badRequest('can\'t parse inline keyboard button: can\'t find field "text"')
  }
  if (!button.text.isWellFormed()) throw badRequest('inline keyboard button text must be encoded in UTF-8')
  if (button.text.trim() === '') throw badRequest('inline keyboard button text must be non-empty')
  const actions = Object.keys(ACTIONS).filter((field) => button[field] !== undefined)
  const [action] = actions
  if (action === undefined) throw badRequest('text buttons are unallowed in the inline keyboard')
  if (actions.length > 1) throw badRequest("can't parse inline keyboard button: more than one action")
  const fault = ACTIONS[action]?.(button[action])
  if (fault) throw badRequest(fault)
  return button as unknown as InlineKeyboardButton
}
