// Telegram's API, made safe: every call has a deadline, no error carries the token, and each failure has one meaning.

import type { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { Api, GrammyError } from 'grammy'
import { OpsError } from '../errors.ts'
import { newAgent } from '../ops/web.ts'

/** What a failed call means for whoever made it. */
export type Failure =
  /** Try again after this many milliseconds (absent: when it suits). */
  | { kind: 'later'; afterMs?: number }
  /** This token cannot be used by us: the process must end. */
  | { kind: 'fatal' }
  /** Nothing can be sent to this chat. */
  | { kind: 'closed' }
  | { kind: 'moved'; to: number }
  /** An edit that would change nothing: as good as done. */
  | { kind: 'unchanged' }
  /** The message that was meant is gone. */
  | { kind: 'gone' }
  /** Telegram will never take this call as it is. */
  | { kind: 'rejected' }

/** An error of Telegram's or of the way there. Its text is safe to log; the request it came from is not in it. */
export class TelegramError extends OpsError {
  readonly failure: Failure
  /** Telegram's error_code, when it answered at all. */
  readonly code: number | undefined
  constructor(message: string, failure: Failure, code?: number) {
    super(message)
    this.failure = failure
    this.code = code
  }
}

/** Description → meaning; the first that fits counts. Texts as the Bot API server of 2026 writes them. */
const MEANINGS: readonly [RegExp, Failure][] = [
  [/message is not modified/, { kind: 'unchanged' }],
  [/message to (edit|delete) not found|message can't be edited|MESSAGE_ID_INVALID/, { kind: 'gone' }],
  [/query is too old|query ID is invalid/, { kind: 'rejected' }],
  [
    /chat not found|bot was (blocked|kicked)|user is deactivated|can't initiate conversation|not a member/,
    { kind: 'closed' },
  ],
  [
    /not enough rights|have no rights|need administrator rights|CHAT_WRITE_FORBIDDEN|TOPIC_(CLOSED|DELETED)/,
    { kind: 'closed' },
  ],
  [/message thread not found/, { kind: 'closed' }],
]

/** What Telegram's answer means. Pure. */
export function meaningOf(error: {
  error_code: number
  description: string
  parameters?: { retry_after?: number; migrate_to_chat_id?: number }
}): Failure {
  const { error_code, description, parameters } = error
  if (parameters?.migrate_to_chat_id) return { kind: 'moved', to: parameters.migrate_to_chat_id }
  if (error_code === 429) return { kind: 'later', afterMs: (parameters?.retry_after ?? 1) * 1_000 }
  if (error_code >= 500) return { kind: 'later' }
  if (error_code === 401 || error_code === 404 || error_code === 409) return { kind: 'fatal' }
  const known = MEANINGS.find(([pattern]) => pattern.test(description))
  return known?.[1] ?? { kind: error_code === 403 ? 'closed' : 'rejected' }
}

/** Turns whatever a call threw into an error that holds no secret: grammY's own carries the address with the token. */
export function safeError(method: string, thrown: unknown): TelegramError {
  if (thrown instanceof TelegramError) return thrown
  if (thrown instanceof GrammyError)
    return new TelegramError(
      `Telegram refused ${method}: ${thrown.error_code} ${thrown.description}`,
      meaningOf(thrown),
      thrown.error_code,
    )
  const inner = thrown instanceof Error && 'error' in thrown ? thrown.error : thrown
  const code = inner instanceof Error && 'code' in inner ? ` (${inner.code})` : ''
  return new TelegramError(`Telegram was not reached for ${method}${code}`, { kind: 'later' })
}

export interface Client {
  api: Api
  /** Gives idle connections up: one that died without a word would cost the next call its whole deadline. */
  refresh(): void
  /** Closes its connections. */
  close(): void
}

export interface ClientOptions {
  token: string
  apiRoot: string
  proxy?: string
  /** No call takes longer. Seconds. */
  timeoutSeconds: number
}

/** A client with connections of its own, so that a stalled one can be thrown away whole. */
export function createClient({ token, apiRoot, proxy, timeoutSeconds }: ClientOptions): Client {
  const agent: Agent = newAgent(apiRoot, proxy)
  const api = new Api(token, { apiRoot, timeoutSeconds, baseFetchConfig: { agent, compress: true } })
  api.config.use(async (call, method, payload, signal) => {
    try {
      const answer = await call(method, payload, signal)
      if (!answer.ok) throw safeError(method, new GrammyError(method, answer, method, {}))
      return answer
    } catch (error) {
      throw safeError(method, error)
    }
  })
  const refresh = () => {
    for (const idle of Object.values(agent.freeSockets)) for (const socket of idle ?? []) socket.destroy()
  }
  return { api, refresh, close: () => agent.destroy() }
}

/** The longest wait that nobody asked for: so soon is the first message there once the network is back. */
const LONGEST_WAIT_MS = 10_000

/** How long to wait before the next try: as long as Telegram asks for, else doubling from half a second to 10 s. */
export function waitMs(failure: Failure, tries: number): number {
  const asked = failure.kind === 'later' ? failure.afterMs : undefined
  return asked ?? Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(tries, 5))
}

/** Chats that Telegram has asked us to leave alone for a while. Everybody who writes to one heeds it. */
export interface Rests {
  of(chatId: number): Rest
}
export interface Rest {
  /** Milliseconds until the chat may be written to again; 0 for now. */
  left(): number
  begin(ms: number): void
}

export function createRests(now: () => number): Rests {
  const until = new Map<number, number>()
  return {
    of: (chatId) => ({
      left: () => Math.max(0, (until.get(chatId) ?? 0) - now()),
      begin: (ms) => until.set(chatId, now() + ms),
    }),
  }
}

/**
 * Makes a call until it succeeds or can never succeed.
 * @throws TelegramError when it never will, or the signal ends the waiting.
 */
export async function patiently<T>(call: () => Promise<T>, signal: AbortSignal, rest?: Rest): Promise<T> {
  const wait = (ms: number) => sleep(ms, undefined, { signal }).catch(() => {})
  for (let tries = 0; ; tries += 1) {
    const left = rest?.left() ?? 0
    if (left > 0) await wait(left)
    try {
      return await call()
    } catch (error) {
      const failure = error instanceof TelegramError ? error.failure : undefined
      if (failure?.kind !== 'later' || signal.aborted) throw error
      const ms = waitMs(failure, tries)
      if (failure.afterMs !== undefined) rest?.begin(ms)
      await wait(ms)
    }
  }
}
