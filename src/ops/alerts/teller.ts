// The teller: puts alerts on cards, together where they come together, and keeps those cards true.

import { isDeepStrictEqual } from 'node:util'
import type { Gauge } from '../checks/index.ts'
import { type QuietHours, quietUntil } from '../quiet.ts'
import type { AlertLog, Mute } from '../state/alerts.ts'
import type { Card, Cards } from '../state/cards.ts'
import type { AlertMemory, Severity, Tell } from './step.ts'
import { timeToFull } from './trend.ts'

/** One alert as it stands: what a card's entry and `/alerts` are made of. */
export interface AlertFacts {
  id: number
  key: string
  area: string
  title: string
  why: string
  mend?: string
  /** Commands that may mend it, as buttons. */
  actions?: { label: string; run: string }[]
  /** What was gathered to explain it when it fired. */
  evidence?: string[]
  severity: Severity
  /** `moved`: a newer card tells of it from now on. */
  phase: 'firing' | 'resolved' | 'moved'
  since: number
  endedAt?: number
  peak?: number
  unit?: string
  ack?: { by: string; at: number }
  mutedUntil?: number
  flapping?: true
  /** Milliseconds until it is full at the present rate. */
  fullInMs?: number
}

/** The facts of a card of kind `alerts`. */
export interface AlertsCard {
  /** Why its entries come together: they waited for the quiet hours to end, or for us to run again. */
  heading?: { kind: 'quiet' | 'startup'; from: number; to: number }
  entries: (AlertFacts & { reason: Tell })[]
}

export type StoredMemory = AlertMemory & { check: string }

/** What the process knows of one key. */
export interface Known {
  id?: number
  cardId?: number
  memory: StoredMemory
  gauge?: Gauge
  /** When its card was last given new figures. */
  shownAt?: number
}

export interface TellerOptions {
  log: AlertLog<StoredMemory>
  cards: Cards
  cycleMs: number
  quietHours?: QuietHours
  timeZone: string
  /** When the process before this one was last known to run. */
  aliveAt?: number
  /** When this one started. */
  now: number
}

/** Warnings this close together share a card; so do resolutions of one card. */
const JOIN_MS = 10_000
const TREND_MS = 6 * 3_600_000

/** The mute that silences an alert the longest. */
export const muteOf = (key: string, area: string, mutes: readonly Mute[]) =>
  mutes.filter(({ subject }) => [key, area, 'all'].includes(subject)).sort((a, b) => b.until - a.until)[0]

/** An entry with new facts. Who looked after it, and what explained it, still stands there when it is over. */
function lasting(entry: AlertsCard['entries'][number], facts: AlertFacts) {
  const { reason, ack, flapping, evidence } = entry
  if (facts.phase !== 'resolved') return { reason, ...facts }
  return {
    reason,
    ...facts,
    ...(ack && { ack }),
    ...(flapping && { flapping }),
    ...(evidence && { evidence }),
  }
}

export function createTeller(options: TellerOptions) {
  const { log, cards, cycleMs, quietHours, timeZone, aliveAt } = options
  const gap =
    aliveAt !== undefined && options.now - aliveAt > Math.max(3 * cycleMs, 60_000)
      ? { kind: 'startup' as const, from: aliveAt, to: options.now }
      : undefined
  const startupUntil = gap ? options.now + 7 * cycleMs : 0

  function factsOf(key: string, { id = 0, memory, gauge }: Known, now: number): AlertFacts | undefined {
    const { firing, resolved, area, title, why, mend, unit, actions } = memory
    const episode = firing ?? resolved
    if (!episode) return undefined
    const mutedUntil = firing && muteOf(key, area, log.mutes(now))?.until
    const fullInMs = firing && gauge?.fills ? timeToFull(log.samples(key, now - TREND_MS), 100) : undefined
    return {
      ...{ id, key, area, title, why, severity: episode.severity, since: episode.since },
      phase: firing ? 'firing' : 'resolved',
      ...(mend && { mend }),
      ...(firing && actions && { actions }),
      ...(firing?.evidence && { evidence: firing.evidence }),
      ...(!firing && resolved && { endedAt: resolved.at }),
      ...(episode.peak !== undefined && { peak: episode.peak }),
      ...(unit && { unit }),
      ...(firing?.ack && { ack: firing.ack }),
      ...(firing?.flapping && { flapping: true }),
      ...(mutedUntil && { mutedUntil }),
      ...(fullInMs !== undefined && { fullInMs }),
    }
  }

  /**
   * Brings the living entry of an alert on its card up to date; copies that people hold are edited by that.
   * @returns the card's new revision, or undefined when there was nothing to change.
   */
  function refresh(
    key: string,
    alert: Known,
    now: number,
    patch: Partial<AlertFacts> = {},
  ): number | undefined {
    const facts = factsOf(key, alert, now)
    const card = alert.cardId === undefined ? undefined : cards.card(alert.cardId)
    if (!facts || !card) return undefined
    alert.shownAt = now
    const { entries, ...rest } = card.facts as AlertsCard
    const lives = (entry: AlertFacts) => entry.key === key && entry.phase === 'firing'
    const renewed = entries.map((entry) => (lives(entry) ? { ...lasting(entry, facts), ...patch } : entry))
    if (isDeepStrictEqual(renewed, entries)) return undefined
    return cards.revise(card.id, { ...rest, entries: renewed } satisfies AlertsCard)
  }

  /** Where facts of this kind may come together, and the card that waits for them if there is one. */
  function gathering(alert: Known, reason: Tell, critical: boolean, now: number) {
    const quiet = critical ? undefined : quietUntil(now, quietHours, timeZone)
    const place = quiet
      ? { key: 'held', until: quiet, heading: { kind: 'quiet' as const, from: now, to: quiet }, dueAt: quiet }
      : now < startupUntil && gap && !critical
        ? { key: 'startup', until: startupUntil, heading: gap }
        : { key: reason === 'resolved' ? `resolved/${alert.cardId}` : 'storm', until: now + JOIN_MS }
    return { ...place, card: critical ? undefined : cards.joinable(place.key, now) }
  }

  /** Puts an alert on a card: on one that gathers just now, else on one of its own. */
  function tell(key: string, alert: Known, reason: Tell, now: number): void {
    const over = reason === 'resolved'
    const origin = alert.cardId
    const shownOver = over ? refresh(key, alert, now) : refresh(key, alert, now, { phase: 'moved' })
    const facts = factsOf(key, alert, now)
    if (!facts) return
    const critical = !over && facts.severity === 'critical'
    const { card, heading, dueAt, key: joinKey, until } = gathering(alert, reason, critical, now)
    if (over && card && card.id === origin) return
    const entry = { ...facts, reason }
    const home = card
      ? join(card, entry)
      : cards.raise(
          {
            kind: 'alerts',
            audience: 'alerts',
            facts: { ...(heading && { heading }), entries: [entry] } satisfies AlertsCard,
            ring: critical,
            join: { key: joinKey, until },
            ...(dueAt && { dueAt }),
            ...(over &&
              !heading &&
              origin &&
              shownOver && { answers: { card: origin, revision: shownOver } }),
          },
          now,
        )
    if (over) return
    alert.cardId = home
    alert.shownAt = now
    if (alert.id !== undefined) log.moveTo(alert.id, home)
  }

  function join(card: Card, entry: AlertsCard['entries'][number]): number {
    const { entries, ...rest } = card.facts as AlertsCard
    cards.revise(card.id, { ...rest, entries: [...entries, entry] } satisfies AlertsCard)
    return card.id
  }

  return { factsOf, refresh, tell }
}
