// Sending, editing, deleting and reacting: the methods that leave a trace in a chat.

import type { InlineKeyboardMarkup, Message, MessageEntity, Update } from 'grammy/types'
import { escapeHtml, type Formatted, parseHtml, trimmed } from './html.ts'
import { type Markup, readMarkup } from './markup.ts'
import { flagOf, integerOf, listOf, objectOf, type Params, textOf, type Uploads } from './params.ts'
import { badRequest } from './refusal.ts'
import { currentOf, type Room, roomOf, type Stored, secondsOf, store, storedOf, type World } from './world.ts'

const MAX_TEXT = 4096
const MAX_CAPTION = 1024
const MAX_FILE_BYTES = 50 * 1024 * 1024
const DELETABLE_S = 48 * 3600
/** White space and invisible characters alone are no text. */
const VISIBLE = /[^\s\p{Cf}]/u
const NOT_MODIFIED =
  'message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message'
const REACTIONS = new Set([
  ...'👍👎❤🔥🥰👏😁🤔🤯😱🤬😢🎉🤩🤮💩🙏👌🕊🤡🥱🥴😍🐳🌚🌭💯🤣⚡🍌🏆💔🤨😐🍓🍾💋🖕😈😴😭🤓👻👀🎃🙈😇😨🤝✍🤗🫡🎅🎄☃💅🤪🗿🆒💘🙉🦄😘💊🙊😎👾🤷😡',
  '❤‍🔥',
  '👨‍💻',
  '🤷‍♂',
  '🤷‍♀',
])

type Source = Formatted & { html: string }

export function sendMessage(world: World, params: Params): Message.TextMessage {
  const source = readText(params)
  return send(
    world,
    params,
    { text: source.text, ...entitiesAs('entities', source) },
    source.html,
  ) as Message.TextMessage
}

export function sendDocument(world: World, params: Params, uploads: Uploads): Message.DocumentMessage {
  const source = readFormatted(params, 'caption', 'caption_entities')
  if (source.text.length > MAX_CAPTION) throw badRequest('message caption is too long')
  const { fileId, name, bytes } = readFile(world, params, uploads)
  const content: Partial<Message> = {
    document: {
      file_id: fileId,
      file_unique_id: `u${fileId}`,
      file_name: name,
      mime_type: 'application/octet-stream',
      file_size: bytes.length,
    },
    ...(source.text && { caption: source.text, ...entitiesAs('caption_entities', source) }),
  }
  const message = send(world, params, content, source.html, bytes)
  world.files.set(fileId, { name, bytes })
  return message as Message.DocumentMessage
}

export function editText(world: World, params: Params): Update.Edited & Message.TextMessage {
  const source = readText(params)
  const { inline } = readMarkup(params, true)
  const stored = editable(world, params)
  const old = currentOf(stored)
  if (old.text === undefined) throw badRequest('there is no text in the message to edit')
  return edit(
    world,
    stored,
    { text: source.text, ...entitiesAs('entities', source) },
    inline,
    source.html,
  ) as Update.Edited & Message.TextMessage
}

export function editMarkup(world: World, params: Params): Update.Edited & Message {
  const { inline } = readMarkup(params, true)
  const stored = editable(world, params)
  return edit(world, stored, {}, inline)
}

export function deleteMessage(world: World, params: Params): true {
  const room = roomOf(world, params)
  const stored = storedOf(room, params, 'delete')
  const rights =
    stored.mine || room.chat.type === 'private' || room.members.get(world.bot.id) === 'administrator'
  if (!rights) throw badRequest("message can't be deleted")
  // An administrator of a group is the only one who may delete what is old.
  const old = secondsOf(world) - currentOf(stored).date > DELETABLE_S
  if (old && room.members.get(world.bot.id) !== 'administrator') {
    throw badRequest("message can't be deleted for everyone")
  }
  stored.deleted = true
  return true
}

export function setReaction(world: World, params: Params): true {
  const stored = storedOf(roomOf(world, params), params, 'react')
  const emoji = (listOf(params, 'reaction') ?? []).map((reaction) => textOf(reaction as Params, 'emoji'))
  if (emoji.length > 1) throw badRequest('REACTIONS_TOO_MANY')
  if (emoji.some((one) => !REACTIONS.has(one))) throw badRequest('REACTION_INVALID')
  stored.reactions = emoji
  return true
}

function readText(params: Params): Source {
  if (textOf(params, 'text') === '') throw badRequest('message text is empty')
  const source = readFormatted(params, 'text', 'entities')
  if (!VISIBLE.test(source.text)) throw badRequest('text must be non-empty')
  if (source.text.length > MAX_TEXT) throw badRequest('message is too long')
  return source
}

function readFormatted(params: Params, field: string, entitiesField: string): Source {
  const raw = cleaned(textOf(params, field))
  const mode = textOf(params, 'parse_mode').toLowerCase()
  if (mode === 'html') return { ...parseHtml(raw), html: raw }
  if (mode !== '' && mode !== 'none') throw badRequest('unsupported parse_mode')
  const entities = (listOf(params, entitiesField) ?? []) as MessageEntity[]
  return { ...trimmed({ text: raw, entities }), html: escapeHtml(raw) }
}

/** As TDLib's clean_input_string: some characters are dropped, all other controls (tabs too) become spaces. */
const cleaned = (text: string) =>
  text
    .replace(/[\r\u2028-\u202e]/g, '')
    .replace(/(?!\n)\p{Cc}/gu, (character) => (character < ' ' ? ' ' : character))

const entitiesAs = (field: 'entities' | 'caption_entities', { entities }: Formatted): Partial<Message> =>
  entities.length > 0 ? { [field]: entities } : {}

function readFile(world: World, params: Params, uploads: Uploads) {
  const given = textOf(params, 'document')
  const known = world.files.get(given)
  if (known) return { fileId: given, ...known }
  const upload = uploads.get(given.startsWith('attach://') ? given.slice('attach://'.length) : 'document')
  if (!upload) {
    throw badRequest(
      given === '' ? 'there is no document in the request' : 'wrong file identifier/HTTP URL specified',
    )
  }
  if (upload.bytes.length === 0) throw badRequest('file must be non-empty')
  if (upload.bytes.length > MAX_FILE_BYTES) throw badRequest('file is too big')
  return { fileId: `file${world.files.size + 1}`, ...upload }
}

function send(
  world: World,
  params: Params,
  content: Partial<Message>,
  html: string,
  bytes?: Uint8Array,
): Message {
  const markup: Markup = readMarkup(params)
  const room = roomOf(world, params)
  const thread = integerOf(params, 'message_thread_id')
  if (thread !== undefined && !room.topics.has(thread)) throw badRequest('message thread not found')
  const replied = readReply(room, params)
  const message = {
    message_id: room.lastId + 1,
    from: world.bot,
    chat: room.chat,
    date: secondsOf(world),
    ...(thread !== undefined && { message_thread_id: thread, is_topic_message: true }),
    ...(replied && { reply_to_message: withoutReply(currentOf(replied)) }),
    ...content,
    ...(flagOf(params, 'protect_content') && { has_protected_content: true }),
    ...(markup.inline && { reply_markup: markup.inline }),
  } as Message
  store(room, message, {
    html,
    mine: true,
    silent: flagOf(params, 'disable_notification'),
    fixed: markup.other,
    ...(bytes && { bytes }),
  })
  return message
}

function readReply(room: Room, params: Params): Stored | undefined {
  const reply =
    objectOf(params, 'reply_parameters') ??
    (params.reply_to_message_id === undefined
      ? undefined
      : { ...params, message_id: params.reply_to_message_id })
  if (!reply) return undefined
  const replied = room.messages.get(integerOf(reply, 'message_id') ?? 0)
  if (replied && !replied.deleted) return replied
  if (flagOf(reply, 'allow_sending_without_reply')) return undefined
  throw badRequest('message to be replied not found')
}

/** Telegram shows one level of replies only. */
function withoutReply({ reply_to_message: _, ...message }: Message): Message {
  return message
}

function editable(world: World, params: Params): Stored {
  const stored = storedOf(roomOf(world, params), params, 'edit')
  if (!stored.mine || stored.fixed) throw badRequest("message can't be edited")
  return stored
}

/** An edit without a keyboard takes the old one away; one that changes nothing is refused. */
function edit(
  world: World,
  stored: Stored,
  content: Partial<Message>,
  inline: InlineKeyboardMarkup | undefined,
  html = stored.history.at(-1)?.html ?? '',
): Update.Edited & Message {
  const old = currentOf(stored)
  const { reply_markup: _, entities, ...kept } = old
  const message = {
    ...kept,
    ...(content.text === undefined && entities && { entities }),
    ...content,
    edit_date: secondsOf(world),
    ...(inline && { reply_markup: inline }),
  } as Update.Edited & Message
  if (shownBy(message) === shownBy(old)) throw badRequest(NOT_MODIFIED)
  stored.history.push({ message, html, at: performance.now() })
  return message
}

/** All that a reader could see of a message, to tell whether an edit changes anything. */
const shownBy = ({ text, entities, reply_markup }: Message) =>
  JSON.stringify([text, entities ?? [], reply_markup ?? {}])
