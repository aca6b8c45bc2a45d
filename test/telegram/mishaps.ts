// Faults of single API calls, made on command: refused, reset, never answered, lost on the way back, late.

import type { ApiError } from 'grammy/types'
import { integerOf, type Params } from './params.ts'
import { tooManyRequests } from './refusal.ts'

/** What goes wrong with the calls that it fits. */
export type Mishap = {
  /** Which calls; all without it. */
  method?: string | RegExp
  /** How many of them; all without it. */
  times?: number
  /** How likely each of them is hit, 0 to 1. */
  probability?: number
  /**
   * - `status`: answered with `status` and without effect
   * - `reset`: the connection is reset, without effect
   * - `hang`: never answered, without effect
   * - `drop-after-ok`: takes effect, then the connection is reset instead of an answer
   * - `delay`: takes effect and is answered after `delayMs`
   */
  kind: 'status' | 'reset' | 'hang' | 'drop-after-ok' | 'delay'
  status?: number
  description?: string
  retryAfter?: number
  /** An answer that is no JSON, as from a broken gateway in between. */
  body?: string
  delayMs?: number
}

/** Flood limits as Telegram is known to have them. */
export type Limits = { perChatPerSecond?: number; perGroupPerMinute?: number }

const DESCRIPTIONS: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  409: 'Conflict: terminated by other getUpdates request; make sure that only one bot instance is running',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}

/** What the client is told for a mishap of kind `status`. */
export function answerOf(mishap: Mishap): ApiError {
  const { status = mishap.retryAfter === undefined ? 500 : 429, retryAfter } = mishap
  const flood = status === 429 ? tooManyRequests(retryAfter ?? 1) : undefined
  const description = mishap.description ?? flood?.message ?? DESCRIPTIONS[status] ?? `Error ${status}`
  return {
    ok: false,
    error_code: status,
    description,
    ...(flood?.parameters && { parameters: flood.parameters }),
  }
}

/** The faults in force; which calls are hit by chance is decided by `random`. */
export function createMishaps(random: () => number) {
  const active = new Map<Mishap, { left: number }>()

  const fits = (mishap: Mishap, method: string) =>
    mishap.method === undefined ||
    (typeof mishap.method === 'string' ? mishap.method === method : new RegExp(mishap.method).test(method))

  return {
    /** Puts a fault into force; the function that is returned ends it. */
    add(mishap: Mishap): () => void {
      const own = { ...mishap }
      active.set(own, { left: mishap.times ?? Number.POSITIVE_INFINITY })
      return () => void active.delete(own)
    },
    /** The fault that hits this call, if any; the oldest first. */
    take(method: string): Mishap | undefined {
      for (const [mishap, count] of active) {
        if (!fits(mishap, method) || random() >= (mishap.probability ?? 1)) continue
        count.left -= 1
        if (count.left <= 0) active.delete(mishap)
        return mishap
      }
      return undefined
    },
    clear: () => active.clear(),
  }
}

/** Small seeded randomness (mulberry32), so that a run can be repeated. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const LIMITED = /^(send(?!ChatAction)|edit)/

/** Refuses what comes too fast into one chat. Sliding windows; refused calls do not count. */
export function createFloodGate(limits: Limits) {
  const windows: [limit: number | undefined, spanMs: number, groupsOnly: boolean][] = [
    [limits.perChatPerSecond, 1000, false],
    [limits.perGroupPerMinute, 60_000, true],
  ]
  const seen = new Map<number, number[]>()

  return (method: string, params: Params) => {
    if (!LIMITED.test(method)) return
    const chat = integerOf(params, 'chat_id') ?? 0
    const at = performance.now()
    const times = (seen.get(chat) ?? []).filter((time) => time > at - 60_000)
    for (const [limit, spanMs, groupsOnly] of windows) {
      if (limit === undefined || (groupsOnly && chat > 0)) continue
      const within = times.filter((time) => time > at - spanMs)
      const oldest = within.at(-limit)
      if (within.length >= limit && oldest !== undefined) {
        throw tooManyRequests(Math.max(1, Math.ceil((oldest + spanMs - at) / 1000)))
      }
    }
    seen.set(chat, [...times, at])
  }
}
