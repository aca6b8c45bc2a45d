// The bot as a whole, wired: inbox → guard → dispatch on the way in, courier and voice on the way out.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Config } from '../config.ts'
import { OpsError } from '../errors.ts'
import { errorFields, type Redact } from '../log.ts'
import type { Ops } from '../ops/index.ts'
import type { JobBoard } from '../ops/jobs.ts'
import { createInbox } from '../ops/state/inbox.ts'
import { createClaim } from './claim.ts'
import { createClock } from './clock.ts'
import { type Command, faultsOf } from './command.ts'
import { listCommands } from './commands/index.ts'
import { openConsole } from './console.ts'
import { createCourier, whereIs } from './courier.ts'
import { createDispatch, type Dispatch } from './dispatch.ts'
import { createDoor, type House, type Request } from './guard.ts'
import { createHandler } from './handle.ts'
import { createPolling } from './inbox.ts'
import { watchPolling } from './lifeline.ts'
import { publishMenus } from './menu.ts'
import { type Client, createClient, createRests, patiently, TelegramError } from './telegram.ts'
import { createSpeech } from './voice.ts'

export interface BotOptions {
  ops: Ops
  jobs: JobBoard
  redact: Redact
  /** Prints a line for whoever started us: the code to claim the bot with. */
  announce: (line: string) => void
  /** Resolves when the first look at everything is done. */
  ready: Promise<void>
  /** Whether to speak with Telegram, when there is a token. */
  online: boolean
  /** What can be said to it. */
  commands?: typeof listCommands
}

export interface Bot {
  /** Opens the console's socket and, with a token, polls Telegram. Ends when stopped. @throws OpsError that ends the process. */
  run(): Promise<void>
  stop(deadlineMs: number): Promise<void>
}

const CALL_SECONDS = 30
const POLL_SECONDS = 45

/** A sentence for the two answers of Telegram's that no retry mends. */
function fatalSentence(error: unknown): OpsError | undefined {
  if (!(error instanceof TelegramError) || error.failure.kind !== 'fatal') return undefined
  const cause =
    error.code === 409
      ? 'Another program polls Telegram with the same TELEGRAM_BOT_TOKEN (409 Conflict), for instance the gateway. The ops bot needs a token of its own: get one from @BotFather.'
      : `Telegram does not accept TELEGRAM_BOT_TOKEN (${error.code}): it is mistyped or was revoked. @BotFather shows the present one.`
  return new OpsError(cause, { cause: error })
}

/** The half of the bot that speaks with Telegram. */
function connect(
  options: BotOptions,
  telegram: NonNullable<Config['telegram']>,
  { commands, dispatch }: { commands: readonly Command[]; dispatch: Dispatch },
) {
  const { ops, redact, announce } = options
  const { config, now, log, pulse, deeds, chats, cards, copies, meta, audit, store } = ops
  const { token, apiRoot, proxy, chatId, threadId } = telegram
  const reach = { token, apiRoot, ...(proxy && { proxy }) }
  const newPoll = () => createClient({ ...reach, timeoutSeconds: POLL_SECONDS })
  const calls = createClient({ ...reach, timeoutSeconds: CALL_SECONDS })
  let poll: Client = newPoll()
  const stopping = new AbortController()
  const rests = createRests(now)

  const home = () => (chatId === undefined ? undefined : whereIs(chatId, chats.list()))
  const claim = config.owners.length === 0 ? createClaim() : undefined
  let me: { id: number; username: string } | undefined
  const house = (): House => ({
    people: config.people,
    chatIds: chatId === undefined ? [] : [chatId, home() ?? chatId],
    claims: (line) => claim?.fits(line) ?? false,
    ...(threadId !== undefined && { threadId }),
    ...(me && { username: me.username, botId: me.id }),
  })

  const clock = createClock(config.timeZone, now)
  const threadOf = (chat: number) => (chat === home() ? threadId : undefined)
  const speech = createSpeech({ api: calls.api, clock, redact, threadOf })
  const courier = createCourier({
    ...{ cards, copies, chats, voice: speech, owners: config.owners, rests, now, log },
    ...(chatId !== undefined && { chatId }),
  })
  const inbox = createInbox<Request>(store)
  const note = (actor: string, action: string, detail: string) => audit.note(actor, action, detail, now())
  const door = createDoor((detail) => note('strangers', 'refused', detail))
  const polling = createPolling({
    ...{ inbox, pulse, house, now, log },
    getUpdates: (query, signal) =>
      poll.api
        .getUpdates({ ...query, allowed_updates: ['message', 'callback_query'] }, signal as never)
        .catch((error) => {
          // One network carries both: what idles beside a poll that failed is not to be trusted.
          calls.refresh()
          throw error
        }),
    onRefused: (refused, who) => door(refused, who, now()),
    onSpoken(chat) {
      chats.open(chat, now())
      // Somebody who starts the bot later than we did has no menu yet.
      if (config.people.has(chat) && !(`${chat}` in (meta.get('menu') ?? {}))) void publish()
    },
    onMoved(chat, to) {
      if (chat === home()) chats.move(chat, to)
    },
    handle: createHandler({
      ...{ speech, inbox, people: config.people, claim, note, rests, now, log },
      dispatch,
      toast: (queryId, text) => calls.api.answerCallbackQuery(queryId, text ? { text } : {}),
      stopping: stopping.signal,
    }),
  })
  const rebuild = () => {
    poll.close()
    poll = newPoll()
    polling.interrupt()
  }
  const lifeline = watchPolling({
    ...{ pulse, rebuild, now, log },
    busy: () => deeds.running() > 0,
    async probe() {
      const fresh = createClient({ ...reach, timeoutSeconds: 10 })
      await fresh.api.getMe().finally(fresh.close)
    },
  })

  /** Learns who we are; nothing else waits for it but the polls, which need our name. */
  async function introduce(): Promise<void> {
    me = await patiently(() => calls.api.getMe(), stopping.signal)
    log.info('polling Telegram', { bot: me.username, owners: config.owners.length })
    if (claim)
      announce(`No owner is set. Send this to @${me.username} in a private chat: /claim ${claim.code}`)
  }

  async function publish(): Promise<void> {
    const group = home()
    const groupId = group !== undefined && group < 0 ? { groupId: group } : {}
    const menus = { api: calls.api, meta, commands, people: config.people, ...groupId }
    await patiently(() => publishMenus(menus), stopping.signal).catch((error) => {
      if (!stopping.signal.aborted) log.warn('the chat menu was not set', errorFields(error))
    })
  }

  return {
    async run(): Promise<void> {
      courier.start()
      try {
        await introduce()
        void publish()
        await Promise.race([polling.run(), lifeline.done])
      } catch (error) {
        if (!stopping.signal.aborted) throw fatalSentence(error) ?? error
      }
    },
    async stop(deadlineMs: number): Promise<void> {
      lifeline.stop()
      stopping.abort()
      await Promise.race([Promise.all([polling.stop(deadlineMs), courier.stop()]), sleep(deadlineMs)])
      poll.close()
      calls.close()
    },
  }
}

/** Wires the bot. Without a token there is only the console. */
export function createBot(options: BotOptions): Bot {
  const { ops, jobs } = options
  const { config, audit, cards, copies, meta, log, now } = ops
  const clock = createClock(config.timeZone, now)
  const commands = (options.commands ?? listCommands)({ ops, jobs, clock })
  const faults = faultsOf(commands)
  if (faults.length > 0) throw new Error(`the commands are not sound: ${faults.join('; ')}`)
  const dispatch = createDispatch({
    ...{ commands, audit, log, redact: options.redact },
    asked: { get: () => meta.get('asked') ?? {}, set: (asked) => meta.set('asked', asked) },
  })

  const terminal = openConsole({ ...options, dispatch, clock })
  const telegram =
    options.online && config.telegram && connect(options, config.telegram, { commands, dispatch })
  // Without a token nobody ever waits for a card: what the console did not show is told by the next digest.
  const settle = () => {
    for (const { id, dueAt } of copies.unaddressed()) copies.address(id, [], dueAt)
  }
  if (!config.telegram) cards.watch(settle)
  const stopped = Promise.withResolvers<void>()
  return {
    async run() {
      await terminal.listen()
      await (telegram ? telegram.run() : stopped.promise)
    },
    async stop(deadlineMs) {
      stopped.resolve()
      await terminal.close()
      if (telegram) await telegram.stop(deadlineMs)
    },
  }
}
