// A Bot API server for tests, as strict as Telegram: real HTTP, real long polling, faults on command.

import type { UserFromGetMe } from 'grammy/types'
import { createCallLog, createWatch } from './calls.ts'
import { createBotApi, listen } from './http.ts'
import { createMethods } from './methods.ts'
import { createFloodGate, createMishaps, type Limits, type Mishap, seededRandom } from './mishaps.ts'
import { createScript } from './script.ts'
import { createQueue } from './updates.ts'
import { createWorld } from './world.ts'

export type { Call } from './calls.ts'
export type { Mishap } from './mishaps.ts'
export type { GroupSpec, Press, Saying } from './script.ts'
export type { Shown } from './shown.ts'

/** All optional; the default is a bot that is hurried by nobody. */
export type FakeOptions = {
  token?: string
  port?: number
  botId?: number
  username?: string
  /** The time in ms that dates of messages and the age of presses are taken from. */
  now?: () => number
  /** For faults that hit by chance. */
  seed?: number
  limits?: Limits
  /** How long a press can be answered. */
  queryLifetimeMs?: number
  /** How many calls are remembered, the newest; 0 turns it off (for benchmarks). */
  keepCalls?: number
}

/** The running fake: what a test says to it, does to it and asks of it. */
export type FakeTelegram = Surface & {
  /**
   * Resolves with what `predicate` gives as soon as that is truthy; looks again whenever anything happens, and
   * rejects with the last calls when nothing comes of it.
   */
  waitFor<T>(predicate: (fake: FakeTelegram) => T, timeoutMs?: number): Promise<NonNullable<T>>
}

type Surface = Awaited<ReturnType<typeof start>>['surface']

/** Starts the fake on a port of 127.0.0.1. */
export async function createFakeTelegram(options: FakeOptions = {}): Promise<FakeTelegram> {
  const { surface, until } = await start(options)
  const fake: FakeTelegram = Object.assign(surface, {
    waitFor: <T>(predicate: (fake: FakeTelegram) => T, timeoutMs = 5000) =>
      until(() => predicate(fake), timeoutMs, String(predicate)),
  })
  return fake
}

async function start(options: FakeOptions) {
  const { token = '1000001:fake-token', now = Date.now, queryLifetimeMs = 30_000, keepCalls = 5000 } = options
  const log = createCallLog(keepCalls)
  const { changed, until } = createWatch(log.dump)
  const me = profileOf(options)
  const { id, is_bot, first_name, username } = me
  const world = createWorld({ id, is_bot, first_name, username }, now, queryLifetimeMs)
  const queue = createQueue(changed)
  const mishaps = createMishaps(seededRandom(options.seed ?? 1))
  const server = createBotApi({
    token,
    methods: createMethods(world, queue, me),
    mishapOf: mishaps.take,
    floodGate: createFloodGate(options.limits ?? {}),
    record: log.record,
    changed,
  })
  const port = await listen(server, options.port ?? 0)

  const { state } = queue
  const surface = {
    token,
    port,
    apiRoot: `http://127.0.0.1:${port}`,
    me,
    ...createScript(world, queue),

    /** The newest calls, oldest first; long polls too. */
    calls: log.calls,
    /** How often each method was called, also when calls are not remembered. */
    counts: log.counts,
    clearCalls: log.clear,
    /** Turns remembering calls on or off. */
    keepCalls: log.switch,

    /** How many updates nobody has confirmed. */
    pending: () => state.pending.length,
    get confirmedOffset() {
      return state.confirmed
    },
    get nextUpdateId() {
      return state.nextId
    },
    set nextUpdateId(updateId: number) {
      state.nextId = updateId
    },
    /** Whether a long poll is being held right now. */
    get polling() {
      return queue.polling()
    },

    /** Makes calls go wrong until the function that is returned is called. */
    fault: (mishap: Mishap) => mishaps.add(mishap),
    /** Ends all faults. */
    heal: () => mishaps.clear(),
    /** Breaks every open connection, long polls too, as a network that goes away does. */
    cut: () => server.closeAllConnections(),
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve))
      server.closeAllConnections()
      await closed
    },
  }
  return { surface, until }
}

const profileOf = ({ botId = 1000001, username = 'fake_ops_bot' }: FakeOptions): UserFromGetMe => ({
  id: botId,
  is_bot: true,
  first_name: 'Fake Ops',
  username,
  can_join_groups: true,
  can_read_all_group_messages: true,
  supports_inline_queries: false,
  can_connect_to_business: false,
  has_main_web_app: false,
  has_topics_enabled: false,
  allows_users_to_create_topics: false,
  can_manage_bots: false,
  supports_join_request_queries: false,
})
