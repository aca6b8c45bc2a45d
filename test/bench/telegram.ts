// The fake Telegram as a process of its own, told what to do by lines, and its clock brought in step with ours.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from '../telegram/server.ts'

export type Telegram = Awaited<ReturnType<typeof startTelegram>>

interface Stats {
  pending: number
  polling: boolean
  counts: Record<string, number>
}

/** Round trips that the two clocks are compared by; the quickest one counts. */
const COMPARISONS = 50

/** Starts a fake with these private chats, and a group for alerts. */
export async function startTelegram(people: readonly number[], groupId: number) {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../telegram/cli.ts'), '--calls'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const answer = async () => {
    const { value, done } = await lines.next()
    if (done) throw new Error('the fake Telegram ended')
    return JSON.parse(value)
  }
  const { token, apiRoot } = (await answer()) as { token: string; apiRoot: string }
  let turn: Promise<unknown> = Promise.resolve()
  let refused: Error | undefined

  /** Sends one command at once; its answer comes in turn. */
  function ask<T>(name: string, argument: unknown = {}): Promise<T> {
    child.stdin.write(`${JSON.stringify({ [name]: argument })}\n`)
    const mine = turn.then(async () => {
      const said = await answer()
      if ('error' in said) throw new Error(`the fake Telegram refused ${name}: ${said.error}`)
      return said[name] as T
    })
    turn = mine.catch(() => {})
    return mine
  }

  const stats = () => ask<Stats>('stats')

  /** The calls of one method since a moment, each with the moment at which it came; both by our own clock. */
  async function callsSince(from: number, method: string): Promise<{ at: number; params: Call['params'] }[]> {
    const all = await ask<Call[]>('calls')
    return all
      .filter((call) => call.method === method && call.at + ahead > from)
      .map(({ at, params }) => ({ at: at + ahead, params }))
  }

  /** Milliseconds that our `performance.now()` is ahead of the fake's. */
  async function compareClocks(): Promise<number> {
    const agent = new Agent({ keepAlive: true })
    const trips: { sentAt: number; tookMs: number }[] = []
    for (let trip = 0; trip < COMPARISONS; trip += 1) {
      const sentAt = performance.now()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      get(`${apiRoot}/bot${token}/getMe`, { agent }, (response) => response.resume().on('end', resolve)).on(
        'error',
        reject,
      )
      await promise
      trips.push({ sentAt, tookMs: performance.now() - sentAt })
    }
    agent.destroy()
    const heard = (await ask<Call[]>('calls')).filter(({ method }) => method === 'getMe')
    const [quickest] = trips
      .map(({ sentAt, tookMs }, index) => ({ tookMs, ahead: sentAt + tookMs / 2 - (heard[index]?.at ?? 0) }))
      .sort((a, b) => a.tookMs - b.tookMs)
    return quickest?.ahead ?? 0
  }

  let ahead = 0
  for (const id of people) {
    await ask('user', { id, name: `Person ${id}` })
    await ask('privateChat', { id })
  }
  const members = Object.fromEntries(people.map((id) => [id, 'member']))
  await ask('group', { id: groupId, type: 'supergroup', title: 'Alerts', members })
  ahead = await compareClocks()

  return {
    ...{ token, apiRoot, stats, callsSince },
    /** When each message was asked to be sent to a chat since a moment, and its text. */
    async sentTo(chatId: number, from: number): Promise<{ at: number; text: string }[]> {
      const sent = await callsSince(from, 'sendMessage')
      return sent
        .filter(({ params }) => Number(params.chat_id) === chatId)
        .map(({ at, params }) => ({ at, text: `${params.text}` }))
    },
    /** Somebody writes in their private chat. @returns the moment by our clock. */
    say(from: number, text: string): number {
      const at = performance.now()
      ask('say', { chat: from, from, text }).catch((error) => (refused ??= error))
      return at
    },
    /** Somebody presses the newest button of that name in their private chat. */
    press: (from: number, button: string) => ask('press', { chat: from, from, button }),
    /** What stands in a chat now. */
    messages: (chatId: number) => ask<{ text: string }[]>('messages', chatId),
    /** Waits until the fake's figures fit. */
    async until(what: string, fits: (stats: Stats) => boolean, timeoutMs = 60_000): Promise<void> {
      const end = performance.now() + timeoutMs
      while (!fits(await stats())) {
        if (performance.now() > end) throw new Error(`not within ${timeoutMs / 1_000} s: ${what}`)
        await sleep(50)
      }
    },
    /** Waits until everything said so far has arrived. */
    async settled(): Promise<void> {
      await turn
      if (refused) throw refused
    },
    async close(): Promise<void> {
      const ended = once(child, 'exit')
      child.stdin.end()
      await ended
    },
  }
}
