// The bot's command lists by scope and language, as setMyCommands keeps them.

import type { BotCommand } from 'grammy/types'
import { listOf, objectOf, type Params, textOf } from './params.ts'
import { badRequest } from './refusal.ts'
import { anyRoomOf, type World } from './world.ts'

const MAX_COMMANDS = 100

/** Scope → which chat or person it names. */
const SCOPES: Record<string, ('chat_id' | 'user_id')[]> = {
  default: [],
  all_private_chats: [],
  all_group_chats: [],
  all_chat_administrators: [],
  chat: ['chat_id'],
  chat_administrators: ['chat_id'],
  chat_member: ['chat_id', 'user_id'],
}

/** The three methods that know command lists, and the lists themselves by `scope[:chat[:user]]/language`. */
export function createCommandLists(world: World) {
  const lists = new Map<string, BotCommand[]>()

  const keyOf = (params: Params): string => {
    const scope = objectOf(params, 'scope') ?? { type: 'default' }
    const type = textOf(scope, 'type')
    const fields = SCOPES[type]
    if (!fields) throw badRequest("can't parse BotCommandScope: unsupported type specified")
    if (fields.includes('chat_id')) anyRoomOf(world, scope)
    const language = textOf(params, 'language_code')
    if (language !== '' && !/^[a-z]{2}$/.test(language)) throw badRequest('invalid language code specified')
    return `${[type, ...fields.map((field) => textOf(scope, field))].join(':')}/${language}`
  }

  return {
    lists,
    set(params: Params): true {
      const key = keyOf(params)
      const commands = (listOf(params, 'commands') ?? []).map(readCommand)
      if (commands.length > MAX_COMMANDS) throw badRequest('BOT_COMMANDS_TOO_MUCH')
      if (commands.length > 0) lists.set(key, commands)
      else lists.delete(key)
      return true
    },
    get: (params: Params): BotCommand[] => lists.get(keyOf(params)) ?? [],
    delete(params: Params): true {
      lists.delete(keyOf(params))
      return true
    },
  }
}

function readCommand(source: unknown): BotCommand {
  if (typeof source !== 'object' || source === null)
    throw badRequest("can't parse BotCommand: expected an Object")
  const command = readField(source as Params, 'command', 'command', 32)
  const description = readField(source as Params, 'description', 'command description', 256)
  if (!/^[a-z0-9_]+$/.test(command)) throw badRequest('BOT_COMMAND_INVALID')
  return { command, description }
}

function readField(source: Params, field: string, name: string, max: number): string {
  if (source[field] === undefined) throw badRequest(`can't parse BotCommand: can't find field "${field}"`)
  const text = textOf(source, field)
    .trim()
    .replace(field === 'command' ? /^\// : '', '')
  if (text === '') throw badRequest(`${name} must be non-empty`)
  if ([...text].length > max) throw badRequest(`${name} length must not exceed ${max}`)
  return text
}
