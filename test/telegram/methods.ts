// The Bot API methods that the fake knows, each as strict as Telegram itself.

import type { ApiMethods, ChatFullInfo, ChatMember, Update, UserFromGetMe } from 'grammy/types'
import { createCommandLists } from './commands.ts'
import { deleteMessage, editMarkup, editText, sendDocument, sendMessage, setReaction } from './messages.ts'
import { integerOf, type Params, textOf, type Uploads } from './params.ts'
import { badRequest } from './refusal.ts'
import type { Queue } from './updates.ts'
import { anyRoomOf, type Room, roomOf, type World } from './world.ts'

/** One call, read; `gone` fires when the client hangs up. */
export type Call = { params: Params; uploads: Uploads; gone: AbortSignal }

type Supported =
  | 'answerCallbackQuery'
  | 'deleteMessage'
  | 'deleteMyCommands'
  | 'deleteWebhook'
  | 'editMessageReplyMarkup'
  | 'editMessageText'
  | 'getChat'
  | 'getChatMember'
  | 'getMe'
  | 'getMyCommands'
  | 'getUpdates'
  | 'getWebhookInfo'
  | 'sendChatAction'
  | 'sendDocument'
  | 'sendMessage'
  | 'setMessageReaction'
  | 'setMyCommands'
  | 'setWebhook'

type Answer<M extends keyof ApiMethods> = ReturnType<ApiMethods[M]>

/** Method → its doing; what it returns is what grammY expects of it. */
export type Methods = { [M in Supported]: (call: Call) => Answer<M> | Promise<Answer<M>> }

const ACTIONS = new Set([
  'typing',
  'upload_photo',
  'record_video',
  'upload_video',
  'record_voice',
  'upload_voice',
  'upload_document',
  'choose_sticker',
  'find_location',
  'record_video_note',
  'upload_video_note',
])

const QUERY_TOO_OLD = 'query is too old and response timeout expired or query ID is invalid'
const MAX_ANSWER = 200

/** All methods over one world and its queue. */
export function createMethods(world: World, queue: Queue, me: UserFromGetMe): Methods {
  const commands = createCommandLists(world)
  return {
    getMe: () => me,
    getUpdates: ({ params, gone }): Promise<Update[]> => queue.getUpdates(params, gone),
    setWebhook: ({ params }) => queue.setWebhook(params),
    deleteWebhook: ({ params }) => queue.deleteWebhook(params),
    getWebhookInfo: () => ({
      url: queue.state.webhook,
      has_custom_certificate: false,
      pending_update_count: queue.state.pending.length,
      ...(queue.state.allowed && {
        allowed_updates: queue.state.allowed as Exclude<keyof Update, 'update_id'>[],
      }),
    }),

    sendMessage: ({ params }) => sendMessage(world, params),
    sendDocument: ({ params, uploads }) => sendDocument(world, params, uploads),
    editMessageText: ({ params }) => editText(world, params),
    editMessageReplyMarkup: ({ params }) => editMarkup(world, params),
    deleteMessage: ({ params }) => deleteMessage(world, params),
    setMessageReaction: ({ params }) => setReaction(world, params),
    sendChatAction: ({ params }) => {
      roomOf(world, params)
      if (!ACTIONS.has(textOf(params, 'action'))) throw badRequest('wrong parameter action in request')
      return true
    },
    answerCallbackQuery: ({ params }) => answerQuery(world, params),

    setMyCommands: ({ params }) => commands.set(params),
    getMyCommands: ({ params }) => commands.get(params),
    deleteMyCommands: ({ params }) => commands.delete(params),

    getChat: ({ params }) => fullInfoOf(reachable(world, params)),
    getChatMember: ({ params }) => memberOf(world, reachable(world, params), integerOf(params, 'user_id')),
  }
}

/** A person who has blocked the bot can still be looked at. */
function reachable(world: World, params: Params): Room {
  const room = anyRoomOf(world, params)
  return room.blocked ? room : roomOf(world, params)
}

const fullInfoOf = ({ chat }: Room): ChatFullInfo =>
  ({
    ...chat,
    accent_color_id: 0,
    max_reaction_count: 11,
    accepted_gift_types: {
      unlimited_gifts: false,
      limited_gifts: false,
      unique_gifts: false,
      premium_subscription: false,
      gifts_from_channels: false,
    },
    ...(chat.type !== 'private' && { permissions: { can_send_messages: true } }),
  }) as ChatFullInfo

function memberOf(world: World, room: Room, userId: number | undefined): ChatMember {
  const user = world.users.get(userId ?? 0)
  if (!user) throw badRequest('user not found')
  return { user, status: room.members.get(user.id) ?? 'left' } as ChatMember
}

function answerQuery(world: World, params: Params): true {
  const query = world.queries.get(textOf(params, 'callback_query_id'))
  const tooOld = !query || query.answer || world.now() - query.pushedAt > world.queryLifetimeMs
  if (tooOld) throw badRequest(QUERY_TOO_OLD)
  if (textOf(params, 'text').length > MAX_ANSWER) throw badRequest('MESSAGE_TOO_LONG')
  query.answer = params
  return true
}
