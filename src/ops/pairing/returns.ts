// Whether approved devices come back: the proof of an approval, or why there is none.

import type { Gateway } from '../gateway/index.ts'
import type { Cards } from '../state/cards.ts'
import type { PairingCard } from './book.ts'
import type { Device } from './devices.ts'

/** Approved devices that were not seen connected yet, by their short id. */
export type Waits = Record<string, { cardId: number; approvedAt: number }>

export interface ReturnsOptions {
  gateway: Pick<Gateway, 'call' | 'link'>
  cards: Pick<Cards, 'revise' | 'card'>
  waits: { get(): Waits; set(waits: Waits): void }
  logSince: (at: number) => Promise<string>
  now: () => number
}

/** A browser tries again every few seconds; who has not come by then does not. */
const WAIT_MS = 60_000
/** Older gateways tell of nobody who comes (measured): who is waited for is looked for so often, by link and by CLI. */
const LOOK_MS = { open: 2_000, shut: 15_000 }

/** What the gateway's log says of clients that it turns away, and what to do (openclaw.md §1, F2-63). */
const REASONS: readonly [says: RegExp, why: string][] = [
  [
    /device[_ ]token[_ ]mismatch|AUTH_DEVICE_TOKEN_MISMATCH/i,
    'It shows an old device token: open the address with the gateway token in it once more.',
  ],
  [
    /AUTH_TOKEN_MISMATCH|token[_ ]mismatch|unauthorized/i,
    'It shows another gateway token than this gateway has.',
  ],
  [
    /origin not allowed|CONTROL_UI_ORIGIN_NOT_ALLOWED/i,
    'Its address is not in gateway.controlUi.allowedOrigins.',
  ],
]

export function createReturns({ gateway, cards, waits, logSince, now }: ReturnsOptions) {
  const factsOf = (cardId: number) => cards.card(cardId)?.facts as PairingCard | undefined

  /** Who is connected, as versions say it that do not say it in the list. */
  async function present(): Promise<{ deviceId?: string | undefined; ts?: number | undefined }[]> {
    const link = gateway.link()
    if (link.state !== 'open' || !link.methods.includes('system-presence')) return []
    // Not worth failing for: who approves the next device should not have to wait for it.
    return await gateway.call('system-presence').catch(() => [])
  }

  async function whyAbsent(approvedAt: number): Promise<string> {
    const log = await logSince(approvedAt).catch(() => '')
    const reason = REASONS.find(([says]) => says.test(log))?.[1]
    return `It did not come back. ${reason ?? 'Reload the page; if it still asks, look at /logs.'}`
  }

  function end(device: string, change: Partial<PairingCard>): void {
    const { [device]: wait, ...others } = waits.get()
    const facts = wait && factsOf(wait.cardId)
    if (wait && facts) cards.revise(wait.cardId, { ...facts, ...change })
    waits.set(others)
  }

  return {
    /** Devices that are waited for, with the scopes that were approved. */
    shown: (): [device: string, scopes: readonly string[]][] =>
      Object.entries(waits.get()).map(([device, { cardId }]) => [device, factsOf(cardId)?.scopes ?? []]),
    expect(device: string, cardId: number): void {
      waits.set({ ...waits.get(), [device]: { cardId, approvedAt: now() } })
    },
    /** When to look for those who are waited for, or at `other` when that is before. UTC milliseconds. */
    nextLook(other?: number): number | undefined {
      if (Object.keys(waits.get()).length === 0) return other
      return Math.min(now() + LOOK_MS[gateway.link().state], other ?? Number.POSITIVE_INFINITY)
    },
    async look(paired: readonly Device[]): Promise<void> {
      const open = Object.entries(waits.get())
      if (open.length === 0) return
      const here = await present()
      for (const [device, { approvedAt }] of open) {
        const found = paired.find((each) => each.device === device)
        const seen = here.some(({ deviceId, ts = 0 }) => deviceId?.startsWith(device) && ts >= approvedAt)
        if (seen || found?.connected || (found?.lastSeenAt ?? 0) > approvedAt)
          end(device, { connectedAt: now() })
        else if (now() - approvedAt >= WAIT_MS) end(device, { absent: await whyAbsent(approvedAt) })
      }
    },
  }
}
