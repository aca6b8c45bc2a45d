// The engine's events, followed for ever: each connection until it ends, and then the next.

import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ContainerEvent, NANOS } from './facts.ts'

/** The events that change what a look would see. */
export const EVENTS = [
  'create',
  'start',
  'die',
  'oom',
  'kill',
  'stop',
  'pause',
  'unpause',
  'health_status',
  'destroy',
  'rename',
]

const RECONNECT_MS = [200, 500, 1_000, 2_000, 5_000]

/** One line of the event stream. @throws SyntaxError when it is cut. */
function eventOf(line: string): ContainerEvent | undefined {
  const { Action, Actor, timeNano } = JSON.parse(line)
  const { name = '', exitCode, signal } = Actor?.Attributes ?? {}
  return {
    at: timeNano / NANOS,
    action: Action,
    id: Actor?.ID ?? '',
    name,
    ...(exitCode !== undefined && { exitCode: Number(exitCode) }),
    ...(signal !== undefined && { signal }),
  }
}

/** The events of one connection, until it ends. */
async function* eventsOf(stream: Readable): AsyncGenerator<ContainerEvent> {
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const event = line && eventOf(line)
      if (event) yield event
    }
  }
}

/**
 * @param open one connection to the event stream. @throws when there is none to be had.
 * @param onEvent also called without an event after each connection and each loss of one: look again then.
 * @returns the way to stop.
 */
export function followEvents(
  open: (signal: AbortSignal) => Promise<Readable>,
  onEvent: (event?: ContainerEvent) => void,
): () => void {
  const stop = new AbortController()
  const { signal } = stop
  let tries = 0

  async function once(): Promise<void> {
    const stream = await open(signal)
    tries = 0
    onEvent()
    try {
      for await (const event of eventsOf(stream)) onEvent(event)
    } finally {
      if (!signal.aborted) onEvent()
    }
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      // A lost connection is no news: the check of the engine says what is wrong with it.
      await once().catch(() => {})
      const waitMs = RECONNECT_MS[Math.min(tries, RECONNECT_MS.length - 1)]
      tries += 1
      await sleep(waitMs, undefined, { signal }).catch(() => {})
    }
  }

  void run()
  return () => stop.abort()
}
