// The chat menu: each person sees the commands of their role, nobody else sees any.

import { createHash } from 'node:crypto'
import type { Api } from 'grammy'
import type { BotCommand, BotCommandScope } from 'grammy/types'
import type { Role } from '../config.ts'
import type { Meta } from '../ops/meta.ts'
import type { Command } from './command.ts'
import { menuOf } from './derive.ts'
import { TelegramError } from './telegram.ts'

interface MenuOptions {
  api: Api
  meta: Meta
  commands: readonly Command[]
  people: ReadonlyMap<number, Role>
  /** The group of the alerts, if it is one. */
  groupId?: number
}

interface Menu {
  name: string
  scope: BotCommandScope
  entries: BotCommand[]
}

/** Every menu there is to be. A person's private chat has the id of the person. */
function menusFor({ commands, people, groupId }: MenuOptions): Menu[] {
  const personal = [...people].flatMap(([id, role]): Menu[] => {
    const entries = menuOf(commands, role)
    const inGroup = { type: 'chat_member', chat_id: groupId ?? 0, user_id: id } as const
    return [
      { name: `${id}`, scope: { type: 'chat', chat_id: id }, entries },
      ...(groupId === undefined ? [] : [{ name: `${groupId}/${id}`, scope: inGroup, entries }]),
    ]
  })
  return [{ name: 'default', scope: { type: 'default' }, entries: [] }, ...personal]
}

/**
 * Tells Telegram the menus that it does not know yet; a chat that does not exist yet is left for the next start.
 * @throws TelegramError when Telegram is not reached or refuses for another reason.
 */
export async function publishMenus(options: MenuOptions): Promise<void> {
  const { api, meta } = options
  for (const { name, scope, entries } of menusFor(options)) {
    const digest = createHash('sha256').update(JSON.stringify(entries)).digest('base64url')
    const known = meta.get('menu') ?? {}
    if (known[name] === digest) continue
    try {
      await (entries.length > 0 ? api.setMyCommands(entries, { scope }) : api.deleteMyCommands({ scope }))
      meta.set('menu', { ...known, [name]: digest })
    } catch (error) {
      if (!(error instanceof TelegramError) || error.failure.kind !== 'closed') throw error
    }
  }
}
