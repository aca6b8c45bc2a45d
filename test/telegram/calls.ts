// What was asked of the fake and what it answered, and waiting for something to happen.

import type { Params } from './params.ts'

/** One call as it was made, and how it went. */
export type Call = {
  method: string
  params: Params
  /** When it came, a `performance.now()`. */
  at: number
  /** What it was decided to be: 0 while nothing is decided, or when a fault kept it from having any effect. */
  status: number
  /** The result, or the whole error body. */
  returned?: unknown
  /** When the answer was written, if it ever was. */
  answeredAt?: number
}

/** The newest `keep` calls, and how often each method was called. */
export function createCallLog(keep: number) {
  const calls: Call[] = []
  const counts: Record<string, number> = {}
  let on = keep > 0
  return {
    calls,
    counts,
    record(call: Call): void {
      counts[call.method] = (counts[call.method] ?? 0) + 1
      if (!on) return
      calls.push(call)
      if (calls.length > keep) calls.splice(0, calls.length - keep)
    },
    clear: () => void calls.splice(0),
    switch: (to: boolean) => {
      on = to
    },
    /** The last calls in a form to be read in a failed test. */
    dump: () => calls.slice(-12).map(lineOf).join('\n') || '  none',
  }
}

const lineOf = ({ method, params, status, returned }: Call) =>
  `  ${method} ${JSON.stringify({ status, params, returned }).slice(0, 400)}`

/** Waiting without polling: whoever waits looks again whenever something has changed. */
export function createWatch(dump: () => string) {
  const watchers = new Set<() => void>()
  return {
    changed: () => {
      for (const look of watchers) look()
    },
    /** Resolves with what `probe` gives as soon as that is truthy. */
    until<T>(probe: () => T, timeoutMs: number, what: string): Promise<NonNullable<T>> {
      const { promise, resolve, reject } = Promise.withResolvers<NonNullable<T>>()
      const look = () => {
        try {
          const value = probe()
          if (value) resolve(value)
        } catch (error) {
          reject(error)
        }
      }
      const late = () => reject(new Error(`not within ${timeoutMs} ms: ${what}\nlast calls:\n${dump()}`))
      const timer = setTimeout(late, timeoutMs)
      watchers.add(look)
      look()
      return promise.finally(() => {
        watchers.delete(look)
        clearTimeout(timer)
      })
    },
  }
}
