// The courier: keeps every copy of every card at its newest revision, serial per chat, patient with limits.

import { messageOf } from '../errors.ts'
import { errorFields, type Log } from '../log.ts'
import type { Audience, Card, Cards } from '../ops/state/cards.ts'
import type { Chats } from '../ops/state/chats.ts'
import type { Copies, DueCopy } from '../ops/state/copies.ts'
import { type Rests, TelegramError, waitMs } from './telegram.ts'

/** The one voice that the courier speaks with. Each call throws a TelegramError when it fails. */
export interface Voice {
  /** @returns the id of the new message. */
  send(chatId: number, card: Card, options: { unseen: boolean; replyTo?: number }): Promise<number>
  edit(chatId: number, messageId: number, card: Card): Promise<void>
}

export interface CourierOptions {
  cards: Pick<Cards, 'watch'>
  copies: Copies
  chats: Chats
  voice: Voice
  /** The configured alert chat; without one the owners are the audience. */
  chatId?: number
  owners: readonly number[]
  rests: Rests
  now: () => number
  log: Log
}

export interface Courier {
  start(): void
  /** Waits for the calls under way; what is left waits on disk. */
  stop(): Promise<void>
}

/** Follows a group to what it became. */
export function whereIs(chatId: number, known: ReturnType<Chats['list']>): number {
  return known.find(({ id }) => id === chatId)?.movedTo ?? chatId
}

const SLOWEST_LOOK_MS = 30_000
/** Edits of one copy are this far apart: Telegram takes about twenty a minute in a group. */
const EDIT_MS = 1_000

export function createCourier({
  cards,
  copies,
  chats,
  voice,
  chatId,
  owners,
  rests,
  now,
  log,
}: CourierOptions): Courier {
  /** Chats that a call is under way for. */
  const busy = new Map<number, Promise<void>>()
  /** When a copy was last delivered, by card and chat: further revisions wait a moment and become one edit. */
  const deliveredAt = new Map<string, number>()
  let timer: NodeJS.Timeout | undefined
  let stopped = true
  let unwatch = () => {}

  /** The alert chat; the owners in private when there is none, or while it is closed. */
  function alertChats(): readonly number[] {
    if (chatId === undefined) return owners
    return standIns(whereIs(chatId, chats.list()))
  }

  /** A chat, or the owners in private when it is the alert chat and closed. */
  function standIns(chat: number): readonly number[] {
    const known = chats.list()
    const closed = known.find(({ id }) => id === chat)?.closed !== undefined
    return closed && chatId !== undefined && chat === whereIs(chatId, known) ? owners : [chat]
  }

  function chatsFor(audience: Audience): readonly number[] {
    if (audience === 'alerts') return alertChats()
    if (audience === 'owners') return owners
    if (audience === 'everybody') return [...new Set([...alertChats(), ...owners])]
    const chat = Number(audience.slice('chat:'.length))
    return chat === 0 ? [] : [chat]
  }

  /** Chooses the chats of cards that have none yet. With nobody to tell, a card waits. */
  function address(): void {
    for (const { id, audience, dueAt, told } of copies.unaddressed()) {
      // An answer goes to those who were told, or to who stands in for them.
      const targets = told.length > 0 ? [...new Set(told.flatMap(standIns))] : chatsFor(audience)
      if (targets.length > 0 || audience.startsWith('chat:')) copies.address(id, targets, dueAt)
    }
  }

  async function deliver(copy: DueCopy): Promise<void> {
    const { card, chatId: chat, messageId, replyTo } = copy
    if (messageId === undefined) {
      const id = await voice.send(chat, card, {
        unseen: copy.unseen,
        ...(replyTo !== undefined && { replyTo }),
      })
      copies.delivered(copy, id, card.revision)
    } else {
      await voice.edit(chat, messageId, card)
      copies.delivered(copy, messageId, card.revision)
    }
  }

  /** A closed chat's cards go to the owners in private instead, those that wait for it included. */
  function closeChat(chat: number, reason: string): void {
    chats.close(chat, reason, now())
    log.warn('a chat cannot be written to', { chat, reason })
    const home = chatId === undefined ? undefined : whereIs(chatId, chats.list())
    if (chat === home) copies.readdress(chat, owners, now())
  }

  function onFailure(copy: DueCopy, error: unknown): void {
    const { chatId: chat, card, tries } = copy
    const failure = error instanceof TelegramError ? error.failure : { kind: 'rejected' as const }
    const meanings = {
      unchanged: () => copies.delivered(copy, copy.messageId ?? 0, card.revision),
      gone: () => copies.lost(copy),
      closed: () => closeChat(chat, messageOf(error)),
      rejected: () => {
        log.error('a card can not be delivered', { card: card.id, kind: card.kind, ...errorFields(error) })
        copies.bury(copy, messageOf(error))
      },
    }
    if (failure.kind === 'moved') chats.move(chat, failure.to)
    else if (failure.kind === 'later' || failure.kind === 'fatal') {
      const until = now() + waitMs(failure, tries)
      rests.of(chat).begin(until - now())
      copies.postpone(copy, until)
    } else meanings[failure.kind]()
  }

  const keyOf = ({ card, chatId: chat }: DueCopy) => `${card.id}/${chat}`

  async function serve(copy: DueCopy): Promise<void> {
    try {
      await deliver(copy)
      deliveredAt.set(keyOf(copy), now())
    } catch (error) {
      onFailure(copy, error)
    }
  }

  /** One call a chat at a time; when it ends we look again. */
  function look(): void {
    if (stopped) return
    address()
    const at = now()
    for (const [key, time] of deliveredAt) if (at - time > EDIT_MS) deliveredAt.delete(key)
    let next = Math.min(at + SLOWEST_LOOK_MS, copies.nextDue(at) ?? Number.POSITIVE_INFINITY)
    for (const copy of copies.due(at)) {
      const edited = copy.messageId === undefined ? undefined : deliveredAt.get(keyOf(copy))
      const free = Math.max(at + rests.of(copy.chatId).left(), (edited ?? Number.NEGATIVE_INFINITY) + EDIT_MS)
      if (free > at) next = Math.min(next, free)
      if (busy.has(copy.chatId) || free > at) continue
      const call = serve(copy).finally(() => {
        busy.delete(copy.chatId)
        look()
      })
      busy.set(copy.chatId, call)
    }
    clearTimeout(timer)
    timer = setTimeout(look, next - at)
  }

  return {
    start() {
      stopped = false
      // What was closed may have been opened while we were away: one try each start.
      for (const { id, closed } of chats.list()) if (closed) chats.open(id, now())
      unwatch = cards.watch(look)
      look()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      unwatch()
      await Promise.allSettled(busy.values())
    },
  }
}
