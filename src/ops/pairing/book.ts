// The book of requests: each on its card from its first moment to its end, and devices that came in without one.

import { type Redact, redactAll } from '../../log.ts'
import type { Cards } from '../state/cards.ts'
import { beyond, type Device, type PairingRequest, shortDevice } from './devices.ts'
import { type Asked, type Change, reconcile } from './reconcile.ts'

/** The facts of a card of kind `pairing`. */
export interface PairingCard extends PairingRequest {
  /** `gone`: it is over, and the gateway did not say how. */
  state: 'pending' | 'approved' | 'rejected' | 'expired' | 'gone'
  /** How often its client asked, as far as it was seen. */
  tries: number
  /** Who of us answered; absent when it was answered elsewhere. */
  by?: string
  answeredAt?: number
  /** When the approved device was seen connected. */
  connectedAt?: number
  /** Why it was not, or why the approval was taken back, in a sentence. */
  absent?: string
  source: 'link' | 'cli'
}

/** The facts of a card of kind `device`: one that was paired without us. */
export interface DeviceCard extends Omit<Device, 'deviceId'> {
  /** What it had before, when it only has more now. */
  had?: string[]
}

/** What the gateway has at one moment. */
export interface Listed {
  pending: PairingRequest[]
  paired: Device[]
  source: 'link' | 'cli'
  /** UTC milliseconds. */
  at: number
}

export interface BookOptions {
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  memory: {
    asked: { get(): Asked; set(asked: Asked): void }
    /** Devices that are paired, with what they may do; absent before the first look. */
    paired: { get(): Record<string, string[]> | undefined; set(paired: Record<string, string[]>): void }
    /** Devices of which nobody is told, until when. */
    muted: { get(): Record<string, number>; set(muted: Record<string, number>): void }
  }
  /** An approved device is to be waited for. */
  onApproved: (device: string, cardId: number) => void
  /** Commits what is written in it at once, or not at all. */
  together: (work: () => void) => void
  redact: Redact
  now: () => number
}

/** So many different devices in a minute are no people. */
export const STORM = { devices: 5, withinMs: 60_000 }

export function createBook({ cards, memory, onApproved, together, redact, now }: BookOptions) {
  const { asked, muted } = memory
  const arrivals: { device: string; at: number }[] = []

  /** How many different devices asked within the last minute. */
  function arrived(): number {
    while (arrivals[0] && now() - arrivals[0].at >= STORM.withinMs) arrivals.shift()
    return new Set(arrivals.map(({ device }) => device)).size
  }

  const isMuted = (device: string) =>
    Object.entries(muted.get()).some(([word, end]) => end > now() && device.startsWith(word))
  const factsOf = (cardId: number) => cards.card(cardId)?.facts as PairingCard | undefined
  const tell = (kind: 'pairing' | 'device', facts: PairingCard | DeviceCard) =>
    cards.raise({ kind, audience: 'everybody', facts: redactAll(facts, redact), ring: true }, now())

  function raise(key: string, request: PairingRequest, source: Listed['source']): void {
    if (isMuted(request.device)) return
    if (!arrivals.some(({ device }) => device === request.device))
      arrivals.push({ device: request.device, at: now() })
    // In a storm there is one alert instead; /devices lists them all.
    if (arrived() > STORM.devices) return
    const cardId = tell('pairing', { ...request, state: 'pending', tries: 1, source })
    const { requestId, print, askedAt, endsAt } = request
    asked.set({ ...asked.get(), [key]: { cardId, requestId, print, askedAt, endsAt, tries: 1 } })
  }

  function settle(key: string, change: Pick<PairingCard, 'state'> & Partial<PairingCard>): void {
    const { [key]: known, ...others } = asked.get()
    const facts = known && factsOf(known.cardId)
    asked.set(others)
    if (!known || !facts) return
    cards.revise(known.cardId, { ...facts, answeredAt: now(), ...change })
    if (change.state === 'approved') onApproved(facts.device, known.cardId)
  }

  function revise(
    { key, request, tries }: Extract<Change, { do: 'revise' }>,
    source: Listed['source'],
  ): void {
    const known = asked.get()[key]
    const facts = known && factsOf(known.cardId)
    if (!known || !facts) return
    const { requestId, print, askedAt, endsAt } = request
    asked.set({ ...asked.get(), [key]: { ...known, requestId, print, askedAt, endsAt, tries } })
    cards.revise(known.cardId, redactAll({ ...request, state: facts.state, tries, source }, redact))
  }

  function apply(change: Change, source: Listed['source']): void {
    if (change.do === 'raise') raise(change.key, change.request, source)
    else if (change.do === 'revise') revise(change, source)
    else settle(change.key, { state: change.as })
  }

  return {
    arrived,
    /** Ends the card of a request. */
    settle: (key: string, change: Pick<PairingCard, 'state'> & Partial<PairingCard>) =>
      together(() => settle(key, change)),
    /** Puts what the gateway has on cards. @param decided what it said of requests that are over, by their id. */
    enter(listed: Listed, decided: ReadonlyMap<string, string>): void {
      // A card and the memory of it are one: neither is ever without the other.
      for (const change of reconcile(asked.get(), listed, decided, now()))
        together(() => apply(change, listed.source))
    },
    /** When the next request on a card dies, unless its client asks again. UTC milliseconds. */
    nextEnd: () =>
      Object.values(asked.get()).reduce<number | undefined>(
        (first, { endsAt }) => Math.min(first ?? endsAt, endsAt),
        undefined,
      ),
    /** Devices whose request is on a card, with the scopes that it shows. */
    shown: (): [device: string, scopes: readonly string[]][] =>
      Object.entries(asked.get()).map(([key, { cardId }]) => [
        key.split('/')[0] ?? '',
        factsOf(cardId)?.scopes ?? [],
      ]),
    /**
     * Tells of devices that may do more than at the last look.
     * @param expected devices that a card tells of, with the scopes that it shows.
     */
    tellStrangers(paired: readonly Device[], expected: ReadonlyMap<string, readonly string[]>): void {
      const before = memory.paired.get()
      for (const { deviceId, ...device } of before ? paired : []) {
        const had = before?.[device.device]
        const shown = expected.get(device.device)
        const more = beyond(device.scopes, [...(had ?? []), ...(shown ?? [])]).length > 0
        if ((had || shown) && !more) continue
        tell('device', { ...device, ...(had && { had }) })
      }
      // Remembered last: who dies in between tells it again.
      memory.paired.set(Object.fromEntries(paired.map(({ device, scopes }) => [device, scopes])))
    },
    /** @param word a device's id, or the beginning of it. */
    mute(word: string, until: number): void {
      const living = Object.entries(muted.get()).filter(([, end]) => end > now())
      muted.set({ ...Object.fromEntries(living), [shortDevice(word)]: until })
    },
    muted: () => Object.fromEntries(Object.entries(muted.get()).filter(([, end]) => end > now())),
  }
}
