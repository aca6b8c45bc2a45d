// The fake Telegram as a process of its own, for benchmarks and for trying the bot by hand: `node test/telegram/cli.ts`.

import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import type { ChatMember } from 'grammy/types'
import { faultProxy, type NetworkMode } from './faults.ts'
import { createFakeTelegram, type GroupSpec, type Mishap, type Press, type Saying } from './server.ts'
import type { NewUpdate } from './updates.ts'

const { values } = parseArgs({
  options: {
    token: { type: 'string' },
    port: { type: 'string' },
    /** Remember calls; off, so that a long benchmark measures the bot and not our memory. */
    calls: { type: 'boolean', default: false },
  },
})

const telegram = await createFakeTelegram({
  ...(values.token !== undefined && { token: values.token }),
  ...(values.port !== undefined && { port: Number(values.port) }),
  keepCalls: values.calls ? 5000 : 0,
})
const proxy = await faultProxy(telegram.port)

/** Command → its doing; each line of input is one object with one of these as its key, each is answered by one line. */
const COMMANDS: Record<string, (argument: never) => unknown> = {
  user: ({ id, ...known }: { id: number; name?: string; username?: string }) => telegram.user(id, known),
  privateChat: ({ id, ...known }: { id: number; started?: boolean }) => telegram.privateChat(id, known),
  group: ({ id, ...spec }: GroupSpec & { id: number; members?: Record<number, ChatMember['status']> }) =>
    telegram.group(id, spec),
  say: (saying: Saying) => telegram.say(saying),
  press: (press: Press) => telegram.press(press),
  /** A saying, or a raw update of any kind. */
  push: (what: Saying | NewUpdate) =>
    'chat' in what ? telegram.say(what) : telegram.push(what as NewUpdate),
  block: (userId: number) => telegram.block(userId),
  unblock: (userId: number) => telegram.unblock(userId),
  kick: (chatId: number) => telegram.kick(chatId),
  messages: (chatId: number) =>
    telegram.messages(chatId).map(({ raw: _, history: __, document: ___, ...message }) => message),
  fault: (mishap: Mishap) => void telegram.fault(mishap),
  heal: () => telegram.heal(),
  cut: () => telegram.cut(),
  /** What the port named `proxyPort` does to its connections. */
  network: (mode: NetworkMode) => proxy.set(mode),
  calls: () => telegram.calls,
  stats: () => ({
    pending: telegram.pending(),
    confirmedOffset: telegram.confirmedOffset,
    nextUpdateId: telegram.nextUpdateId,
    polling: telegram.polling,
    counts: telegram.counts,
  }),
  close: () => input.close(),
}

async function answer(line: string): Promise<unknown> {
  try {
    const [[name, argument] = ['']] = Object.entries(JSON.parse(line) as Record<string, unknown>)
    const command = COMMANDS[name]
    if (!command) throw new Error(`no such command; there are: ${Object.keys(COMMANDS).join(', ')}`)
    return { [name]: (await command(argument as never)) ?? true }
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) }
  }
}

const say = (value: unknown) => console.log(JSON.stringify(value))

const { token, port, apiRoot } = telegram
say({ port, token, apiRoot, proxyPort: proxy.port })
const input = createInterface({ input: process.stdin })
for await (const line of input) if (line.trim() !== '') say(await answer(line))
await proxy.close() // our input has ended, and so has whoever started us
await telegram.close()
