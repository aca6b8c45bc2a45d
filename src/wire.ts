// Calls as JSON lines over any two-way stream: the console's socket now, later the gateway link and the root helper.

import type { Duplex } from 'node:stream'
import { messageOf, OpsError } from './errors.ts'

/** What one side offers the other. Parameters and results are plain JSON; an OpsError crosses with its sentence. */
export type Handlers = Record<string, (params: never, signal: AbortSignal) => unknown>

export interface Wire {
  /**
   * Calls the other side.
   * @throws OpsError with the other side's sentence, after `timeoutMs`, or when the line is cut.
   */
  call<T>(method: string, params: unknown, options: { timeoutMs: number }): Promise<T>
  /** Tells the other side something that needs no answer. */
  tell(method: string, params: unknown): void
  close(): void
  /** Resolves when the line is cut, from whichever side. */
  readonly closed: Promise<void>
}

interface Line {
  id?: number
  method?: string
  params?: unknown
  result?: unknown
  error?: string
}

/** A line longer than this cuts the connection: nothing that we say is as long. Bytes. */
const LONGEST_LINE = 4 << 20

/** Splits a stream into lines. @throws through `onTooLong` when a line does not end. */
function readLines(stream: Duplex, onLine: (line: string) => void, onTooLong: () => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line && !stream.destroyed) onLine(line)
    if (rest.length > LONGEST_LINE) onTooLong()
  })
}

/** @returns undefined for what nobody who speaks the wire would say. */
function parseLine(text: string): Line | undefined {
  try {
    const line = JSON.parse(text)
    return typeof line === 'object' && line !== null ? line : undefined
  } catch {
    return undefined
  }
}

/** Speaks the wire over a stream; both sides are equal. */
export function createWire(stream: Duplex, handlers: Handlers = {}): Wire {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>()
  const hungUp = new AbortController()
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>()
  let lastId = 0

  const send = (line: Line) => stream.writable && stream.write(`${JSON.stringify(line)}\n`)

  async function answer({ id, method = '', params }: Line): Promise<void> {
    const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined
    try {
      if (!handler) throw new OpsError(`The other side does not know "${method}": is it of another version?`)
      const result = await handler(params as never, hungUp.signal)
      if (id !== undefined) send({ id, result: result ?? null })
    } catch (error) {
      if (id !== undefined) send({ id, error: messageOf(error) })
    }
  }

  readLines(
    stream,
    (text) => {
      const line = parseLine(text)
      if (!line) return void stream.destroy()
      if (line.method !== undefined) return void answer(line)
      const call = waiting.get(line.id ?? -1)
      waiting.delete(line.id ?? -1)
      if (line.error !== undefined) call?.reject(new OpsError(line.error))
      else call?.resolve(line.result)
    },
    () => stream.destroy(),
  )
  stream.on('error', () => stream.destroy())
  stream.on('end', () => stream.end())
  stream.on('close', () => {
    hungUp.abort()
    for (const { reject } of waiting.values()) reject(new OpsError('The connection to opsbot was cut.'))
    waiting.clear()
    onClosed()
  })

  return {
    call: <T>(method: string, params: unknown, { timeoutMs }: { timeoutMs: number }) =>
      new Promise<T>((resolve, reject) => {
        if (stream.destroyed) return reject(new OpsError('The connection to opsbot was cut.'))
        const id = ++lastId
        const timer = setTimeout(() => {
          waiting.delete(id)
          reject(new OpsError(`"${method}" was not answered within ${timeoutMs / 1000} s.`))
        }, timeoutMs)
        const settle =
          <V>(then: (value: V) => void) =>
          (value: V) => {
            clearTimeout(timer)
            then(value)
          }
        waiting.set(id, { resolve: settle((value) => resolve(value as T)), reject: settle(reject) })
        send({ id, method, params })
      }),
    tell: (method, params) => send({ method, params }),
    close: () => stream.end(),
    closed,
  }
}
