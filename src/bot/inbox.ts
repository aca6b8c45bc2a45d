// The way in: long polling whose every update is guarded, on disk and only then confirmed, and handled at least once.

import { setTimeout as sleep } from 'node:timers/promises'
import { createConcurrentSink, createRunner, createSource, type RunnerHandle } from '@grammyjs/runner'
import type { Update } from 'grammy/types'
import { errorFields, type Log } from '../log.ts'
import type { Pulse } from '../ops/pulse.ts'
import type { Inbox, InboxRow } from '../ops/state/inbox.ts'
import { type Admission, admit, type House, type Request } from './guard.ts'
import { TelegramError } from './telegram.ts'

/** An admitted update on its way to its handler. */
export interface Arrival extends InboxRow<Request> {
  /** What a `text` said; lost with the process that heard it. */
  words?: string
  /** An earlier process left it. */
  recovered: boolean
}

export interface InboxOptions {
  inbox: Inbox<Request>
  pulse: Pick<Pulse, 'polled' | 'read'>
  /** The poll client of the moment; it may be another after a stall. */
  getUpdates: (
    query: { offset: number; limit: number; timeout: number },
    signal: AbortSignal,
  ) => Promise<Update[]>
  house: () => House
  onRefused: (refused: string, who: number | undefined) => void
  /** A chat that is spoken in can be written to. */
  onSpoken: (chatId: number) => void
  /** A group became a supergroup. */
  onMoved: (chatId: number, to: number) => void
  handle: (arrival: Arrival) => Promise<void>
  now: () => number
  log: Log
}

export interface Polling {
  /** Ends when it was stopped. @throws TelegramError when this token can no longer be polled. */
  run(): Promise<void>
  /** Gives up the poll under way, so that the next one starts on a fresh connection. */
  interrupt(): void
  /** Takes no more and waits for the handlers, for this long at most. */
  stop(deadlineMs: number): Promise<void>
}

const POLL_SECONDS = 25
const POLL_DEADLINE_MS = 40_000
const RETRY_MS = 1_500
/** Updates asked for at a time, Telegram's most: every batch costs a poll and a commit, however small it is. */
const BATCH = 100
/** With more handlers under way there is no poll; the batch of the last one comes on top of them. */
const CONCURRENCY = 128
/** A press that came first after a silence as long as this may have waited in Telegram's queue. */
const LATE_MS = 60_000
/** Another poller's 409 is believed when it comes again: a poll of our own last process may still be open at Telegram. */
const CONFLICTS_BELIEVED = 3
/** It comes again within this time, though we win a poll in between: two pollers cut one another off in turn. */
const CONFLICTS_WITHIN_MS = 120_000

export function createPolling(options: InboxOptions): Polling {
  const { inbox, pulse, getUpdates, house, onRefused, onSpoken, onMoved, handle, now, log } = options
  let offset = 0
  let recovering = true
  let conflicts: number[] = []
  /** Ask without waiting: what lies in Telegram's queue is told apart from what comes live. */
  let catchingUp = true
  /** What comes now may have waited in that queue for longer than `LATE_MS`. */
  let late = false
  let poll = new AbortController()
  let runner: RunnerHandle | undefined
  let closed = false

  function admitAll(updates: readonly Update[]): Arrival[] {
    const { polledAt = Number.NEGATIVE_INFINITY } = pulse.read()
    late ||= now() - polledAt > LATE_MS
    const words = new Map<number, string>()
    for (const { message } of updates)
      if (message?.migrate_to_chat_id) onMoved(message.chat.id, message.migrate_to_chat_id)
    const admitted = updates.flatMap((update) => {
      const admission: Admission = admit(update, house())
      if ('refused' in admission) {
        onRefused(admission.refused, admission.who)
        return []
      }
      const { request } = admission
      if (admission.words !== undefined) words.set(update.update_id, admission.words)
      return [
        {
          updateId: update.update_id,
          request: request.kind === 'button' && late ? { ...request, late } : request,
        },
      ]
    })
    if (admitted.length === 0) return []
    for (const { request } of admitted) onSpoken(request.chatId)
    return inbox.add(admitted, now()).map((row) => {
      const said = words.get(row.updateId)
      return { ...row, recovered: false, ...(said !== undefined && { words: said }) }
    })
  }

  /** One poll: the offset moves on only after everything it brought is on disk. */
  async function pollOnce(): Promise<Arrival[]> {
    poll = new AbortController()
    const deadline = setTimeout(() => poll.abort(), POLL_DEADLINE_MS)
    try {
      const timeout = catchingUp ? 0 : POLL_SECONDS
      const updates = await getUpdates({ offset, limit: BATCH, timeout }, poll.signal)
      const arrivals = admitAll(updates)
      offset = (updates.at(-1)?.update_id ?? offset - 1) + 1
      catchingUp = updates.length === BATCH
      late &&= catchingUp
      pulse.polled()
      return arrivals
    } finally {
      clearTimeout(deadline)
    }
  }

  async function onPollFailed(error: unknown, stopped: AbortSignal): Promise<void> {
    if (!(error instanceof TelegramError)) throw error
    const { failure, code } = error
    if (code === 409) conflicts = [...conflicts.filter((at) => now() - at < CONFLICTS_WITHIN_MS), now()]
    if (failure.kind === 'fatal' && (code !== 409 || conflicts.length >= CONFLICTS_BELIEVED)) throw error
    catchingUp = true
    log.warn('a poll failed', errorFields(error))
    const asked = failure.kind === 'later' ? failure.afterMs : undefined
    await sleep(Math.max(asked ?? 0, RETRY_MS), undefined, { signal: stopped }).catch(() => {})
  }

  /** What the runner calls for more: first what an earlier process left, then polls until one succeeds. */
  async function supply(stopped: AbortSignal): Promise<Arrival[]> {
    if (recovering) {
      recovering = false
      const left = inbox.unfinished()
      if (left.length > 0) return left.map((row) => ({ ...row, recovered: true }))
    }
    stopped.addEventListener('abort', () => poll.abort(), { once: true })
    while (!stopped.aborted) {
      try {
        return await pollOnce()
      } catch (error) {
        if (!stopped.aborted) await onPollFailed(error, stopped)
      }
    }
    throw new Error('stopped')
  }

  const consumer = {
    async consume(arrival: Arrival): Promise<void> {
      await handle(arrival)
      // What ends after we have stopped waiting for it is told of at the next start.
      if (!closed) inbox.done(arrival.updateId)
    },
  }

  return {
    async run() {
      const source = createSource<Arrival>({
        supply: (_, signal) => supply(signal as AbortSignal),
      })
      const sink = createConcurrentSink<Arrival>(
        consumer,
        async (error) => log.error('an update was not handled', errorFields(error)),
        { concurrency: CONCURRENCY },
      )
      runner = createRunner(source, sink)
      runner.start()
      await runner.task()
    },
    interrupt: () => poll.abort(),
    async stop(deadlineMs) {
      if (!runner) return
      const until = now() + deadlineMs
      if (runner.isRunning()) void runner.stop()
      while (runner.size() > 0 && now() < until) await sleep(20)
      closed = true
      inbox.flush()
    },
  }
}
