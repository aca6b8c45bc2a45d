// A link of ours to a gateway on this host, with everything that it says kept: the real script as a real child process.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createLog } from '../../src/log.ts'
import { readIdentity } from '../../src/ops/gateway/identity.ts'
import { insideHost } from '../../src/ops/gateway/inside.ts'
import { createLink, type LinkOptions } from '../../src/ops/gateway/link.ts'
import type { EventName } from '../../src/ops/gateway/methods.ts'
import type { LinkState, OpenLink, Ready, ShutLink } from '../../src/ops/gateway/standing.ts'
import { open, run } from '../../src/ops/run.ts'

export interface LineOptions {
  url: string
  /** The gateway's home: its state directory, and our key beside it, are made in here. */
  home: string
  env?: Record<string, string>
  caps?: () => string[]
  /** Files of the gateway's state directory. */
  files?: Record<string, string>
  where?: LinkOptions['where']
}

export type Line = ReturnType<typeof createLine>

/** A link that has not been started. */
export function createLine({ url, home, env = {}, files = {}, ...more }: LineOptions) {
  const states: LinkState[] = []
  const readies: Ready[] = []
  const events: { event: EventName; payload: unknown }[] = []
  const logs: string[] = []
  const argvs: (readonly string[])[] = []
  const children: { stream: Duplex; ended: Promise<{ stderr: string }> }[] = []
  const stateDir = join(home, '.openclaw')
  mkdirSync(stateDir, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(stateDir, name), text)

  const inside = insideHost({
    run,
    async open(argv, environment) {
      argvs.push(argv)
      const child = await open(argv, environment)
      children.push(child)
      return child
    },
    env: { PATH: process.env.PATH ?? '', HOME: home, ...env },
  })
  const identity = join(home, 'gateway-identity')
  const link = createLink({
    where: more.where ?? (async () => inside),
    identity: () => readIdentity(identity),
    caps: more.caps ?? (() => []),
    orders: async () => ({ url }),
    onChange: (state) => void states.push(state),
    onReady: (ready) => void readies.push(ready),
    onEvent: (event, payload) => void events.push({ event, payload }),
    now: Date.now,
    // Nothing is blotted out here: what must not be said must not be said in the first place.
    log: createLog(
      (text) => text,
      (line) => logs.push(line),
    ),
  })

  /** Looks until it is true. */
  async function until<T>(probe: () => T, timeoutMs = 5_000): Promise<NonNullable<T>> {
    const end = performance.now() + timeoutMs
    for (;;) {
      const value = probe()
      if (value) return value
      if (performance.now() > end)
        throw new Error(`not within ${timeoutMs} ms: ${probe}; it is ${JSON.stringify(link.state())}`)
      await sleep(5)
    }
  }

  /** Waits until it is open. */
  const opened = () =>
    until((): OpenLink | undefined => {
      const state = link.state()
      return state.state === 'open' ? state : undefined
    })

  return {
    ...{ link, inside, identity, states, readies, events, logs, argvs, children, until },
    opened() {
      link.start()
      return opened()
    },
    again: opened,
    /** Waits until it is shut for this reason. */
    shut: (code: string, timeoutMs?: number) =>
      until((): ShutLink | undefined => {
        const state = link.state()
        return state.state === 'shut' && state.code === code ? state : undefined
      }, timeoutMs),
    async close() {
      link.stop()
      await Promise.all(children.map(({ ended }) => ended))
    },
  }
}
