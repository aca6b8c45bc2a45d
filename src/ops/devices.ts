// Devices, wired: their pairing, the people and nodes that wait, and who is turned away before they can ask.

import type { Redact } from '../log.ts'
import { pairingCheck } from './checks/pairing.ts'
import type { Containers } from './containers.ts'
import { deviceOf } from './gateway/identity.ts'
import type { Gateway } from './gateway/index.ts'
import type { EventName } from './gateway/methods.ts'
import type { Meta } from './meta.ts'
import { createPairing } from './pairing/index.ts'
import { createSenders } from './pairing/senders.ts'
import { harmless } from './pairing/words.ts'
import type { Cards } from './state/cards.ts'
import type { Store } from './state/store.ts'

export interface DevicesOptions {
  gateway: Gateway
  containers: Pick<Containers, 'docker' | 'findGateway'>
  meta: Meta
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  store: Pick<Store, 'write'>
  /** Our private key at the gateway. */
  identity: () => Promise<string>
  /** Has the check of pairing look again. */
  nudge: () => void
  redact: Redact
  now: () => number
}

const LOG_LINES = 400
/** Clocks that are asked to the millisecond answer a moment early. */
const SLACK_MS = 200
/** Who was turned away longer ago than this has given up. */
const RECENT_MS = 15 * 60_000
/**
 * How the log says it, in one line with the origin (captured from both): newer ones by themselves, older ones only as
 * the reason of a close that the browser repeats.
 */
const REFUSED = /closed before connect .*(?:reason="?origin not allowed|cause=origin-mismatch)/
const ORIGIN = / origin=(https?:\/\/\S+)/

/** The origins of Control UIs that the gateway's log says it turned away. */
export function originsIn(log: string): string[] {
  const lines = log.split('\n').filter((line) => REFUSED.test(line))
  return [
    ...new Set(lines.map((line) => harmless(ORIGIN.exec(line)?.[1]) ?? 'an address that it does not name')),
  ]
}

export function createDevices(options: DevicesOptions) {
  const { gateway, containers, meta, cards, store, identity, nudge, redact, now } = options
  const { docker, findGateway } = containers

  /** What the gateway's container has printed since; nothing for a gateway without one. */
  async function logSince(at: number): Promise<string> {
    const found = await findGateway()
    return found ? await docker.logs(found.id, { lines: LOG_LINES, sinceMs: at }) : ''
  }

  const pairing = createPairing({
    ...{ gateway, cards, logSince, redact, now },
    together: (work) => store.write(work),
    ownDevice: async () => deviceOf(await identity()),
    memory: {
      asked: { get: () => meta.get('pairing') ?? {}, set: (asked) => meta.set('pairing', asked) },
      waits: { get: () => meta.get('pairingWaits') ?? {}, set: (waits) => meta.set('pairingWaits', waits) },
      paired: { get: () => meta.get('paired'), set: (paired) => meta.set('paired', paired) },
      muted: { get: () => meta.get('mutedDevices') ?? {}, set: (muted) => meta.set('mutedDevices', muted) },
    },
  })

  /** A paired node that waits for its second stage: /pairing shows what it may be told to run, and has its buttons. */
  function tellNode(payload: unknown): void {
    const { displayName } = (payload ?? {}) as { displayName?: unknown }
    const name = typeof displayName === 'string' ? harmless(displayName) : undefined
    const facts = {
      title: `${redact(name ?? 'A node')} asks what agents may run on it`,
      lines: ['It is paired, and waits for its second stage: /pairing shows what it offers.'],
    }
    cards.raise({ kind: 'notice', audience: 'everybody', facts, ring: true }, now())
  }

  let timer: NodeJS.Timeout | undefined
  function lookAt(at: number): void {
    clearTimeout(timer)
    timer = setTimeout(nudge, Math.max(0, at - now()) + SLACK_MS).unref()
  }

  return {
    pairing,
    /** Takes an event of the link. @returns whether pairing is worth a look. */
    note(event: EventName, payload: unknown): boolean {
      if (event === 'node.pair.requested') tellNode(payload)
      return pairing.note(event, payload)
    },
    senders: createSenders({ gateway }),
    pairingCheck: pairingCheck({ pairing, link: gateway.link, lookAt }),
    /** Addresses of Control UIs that were turned away lately. They make no request: only the log tells of them. */
    refusedOrigins: async () => originsIn(await logSince(now() - RECENT_MS).catch(() => '')),
  }
}
