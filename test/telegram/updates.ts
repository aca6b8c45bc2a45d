// The queue of updates and getUpdates: real long polling, confirmation by offset, one poller at a time.

import type { Update } from 'grammy/types'
import { flagOf, integerOf, listOf, type Params, textOf } from './params.ts'
import { conflict } from './refusal.ts'

const MAX_TIMEOUT_S = 50
const MAX_UPDATES = 100
/** Sent only to those who ask for them by name. */
const ON_REQUEST = new Set(['chat_member', 'message_reaction', 'message_reaction_count'])

/** An update of any kind; its id is given by the queue unless it brings one. */
export type NewUpdate = Omit<Update, 'update_id'> & { update_id?: number }

export type Queue = ReturnType<typeof createQueue>

/** A queue as one bot has it; `changed` is called whenever something happened to it. */
export function createQueue(changed: () => void) {
  const state = {
    pending: [] as Update[],
    nextId: 1,
    confirmed: 0,
    webhook: '',
    allowed: undefined as string[] | undefined,
  }
  let held: { wake: () => void; end: (error: Error) => void } | undefined

  const wanted = (update: Update) => {
    const kind = Object.keys(update).find((key) => key !== 'update_id') ?? ''
    return state.allowed?.length ? state.allowed.includes(kind) : !ON_REQUEST.has(kind)
  }

  /** Queues an update and returns its id, even when nobody asked for its kind and it is dropped. */
  const push = (fresh: NewUpdate): number => {
    const update: Update = { ...structuredClone(fresh), update_id: fresh.update_id ?? state.nextId }
    state.nextId = Math.max(state.nextId, update.update_id + 1)
    if (wanted(update)) {
      state.pending.push(update)
      state.pending.sort((a, b) => a.update_id - b.update_id)
      held?.wake()
    }
    changed()
    return update.update_id
  }

  const confirm = (offset: number) => {
    if (offset === 0) return
    // A negative offset counts from the end of the queue, and forgets all that lies before.
    const from =
      offset > 0 ? offset : (state.pending.at(offset)?.update_id ?? state.pending[0]?.update_id ?? 0)
    state.pending = state.pending.filter((update) => update.update_id >= from)
    state.confirmed = Math.max(state.confirmed, from)
    changed()
  }

  const getUpdates = async (params: Params, gone: AbortSignal): Promise<Update[]> => {
    if (state.webhook) {
      throw conflict(
        "can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first",
      )
    }
    held?.end(
      conflict('terminated by other getUpdates request; make sure that only one bot instance is running'),
    )
    state.allowed = (listOf(params, 'allowed_updates') as string[] | undefined) ?? state.allowed
    confirm(integerOf(params, 'offset') ?? 0)
    const limit = integerOf(params, 'limit') ?? MAX_UPDATES
    const timeoutMs = Math.min(integerOf(params, 'timeout') ?? 0, MAX_TIMEOUT_S) * 1000
    if (state.pending.length === 0 && timeoutMs > 0) await hold(timeoutMs, gone)
    return state.pending.slice(0, limit >= 1 && limit <= MAX_UPDATES ? limit : MAX_UPDATES)
  }

  const hold = async (timeoutMs: number, gone: AbortSignal) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const mine = { wake: resolve, end: reject }
    const timer = setTimeout(resolve, timeoutMs)
    const leave = () => resolve()
    gone.addEventListener('abort', leave, { once: true })
    held = mine
    changed()
    try {
      await promise
    } finally {
      if (held === mine) held = undefined
      clearTimeout(timer)
      gone.removeEventListener('abort', leave)
    }
  }

  const setWebhook = (params: Params): true => {
    state.webhook = textOf(params, 'url')
    if (state.webhook) held?.end(conflict('terminated by setWebhook request'))
    return dropIfAsked(params)
  }

  const dropIfAsked = (params: Params): true => {
    if (flagOf(params, 'drop_pending_updates')) state.pending = []
    changed()
    return true
  }

  const deleteWebhook = (params: Params): true => {
    state.webhook = ''
    return dropIfAsked(params)
  }

  return { state, push, getUpdates, setWebhook, deleteWebhook, polling: () => held !== undefined }
}
