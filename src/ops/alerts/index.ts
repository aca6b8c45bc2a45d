// Alerts: runs the machine over what the checks saw, remembers it, and raises or revises the cards that tell of it.

import { OpsError } from '../../errors.ts'
import type { Check, Gauge, Observation } from '../checks/index.ts'
import type { Mute } from '../state/alerts.ts'
import type { Store } from '../state/store.ts'
import { type AlertMemory, defaultPolicy, type Policy, step, type Tell } from './step.ts'
import {
  type AlertFacts,
  createTeller,
  type Known,
  muteOf,
  type StoredMemory,
  type TellerOptions,
} from './teller.ts'

export type { AlertFacts, AlertsCard, StoredMemory } from './teller.ts'

export interface AlertsOptions extends TellerOptions {
  store: Store
  /** The hour of the day, in the zone, at which `daily` alerts are called to mind. */
  reminderHour?: number
}

/** The figures on a card are renewed this often, and kept for the trend. */
const RENEW_MS = 5 * 60_000

/** The check that looked, and in every how many cycles it does. */
type Looked = Pick<Check, 'name' | 'every'>

export type Alerts = ReturnType<typeof createAlerts>

export function createAlerts(options: AlertsOptions) {
  const { store, log } = options
  const { reminderHour: hour = 9, timeZone } = options
  const policy: Policy = { ...defaultPolicy(options.cycleMs), daily: { hour, timeZone } }
  const { factsOf, refresh, tell } = createTeller(options)
  let known = new Map<string, Known>(log.list().map(({ key, ...row }) => [key, row]))
  let sampledAt = 0

  function remember(key: string, alert: Known, before: StoredMemory | undefined): void {
    const idle = (memory: StoredMemory | undefined) => !memory || (!memory.firing && memory.zone !== 'bad')
    if (idle(before) && idle(alert.memory) && alert.memory.turns.length === 0) return
    alert.id = log.save(key, alert.memory)
  }

  /** @returns why it was told, if it was. */
  function look(check: Looked, seen: Observation, mutes: readonly Mute[], now: number): Tell | undefined {
    const alert = known.get(seen.key)
    const before = alert?.memory
    const cause = seen.because === undefined ? undefined : known.get(seen.because)?.memory
    const inhibited = cause?.firing !== undefined || cause?.zone === 'bad'
    const muted = muteOf(seen.key, seen.area, mutes) !== undefined
    const creditMs = policy.creditMs * (check.every ?? 1)
    const stepped = step(before, seen, now, { policy: { ...policy, creditMs }, muted, inhibited })
    const next: Known = {
      ...alert,
      memory: { ...stepped.memory, check: check.name },
      ...(seen.gauge && { gauge: seen.gauge }),
    }
    known.set(seen.key, next)
    remember(seen.key, next, before)
    if (stepped.tell) tell(seen.key, next, stepped.tell, now)
    else if (next.memory.firing && now - (next.shownAt ?? 0) >= RENEW_MS) refresh(seen.key, next, now)
    else if (before?.firing && !next.memory.firing) refresh(seen.key, next, now)
    return stepped.tell
  }

  /** Ends the alerts whose subject is not there any more; a look that saw nothing ends nothing. */
  function gone(check: Looked, seen: readonly Observation[], mutes: readonly Mute[], now: number): void {
    if (seen.length > 0 && seen.every(({ verdict }) => verdict === 'unknown')) return
    const keys = new Set(seen.map(({ key }) => key))
    for (const [key, { memory }] of known) {
      if (memory.check !== check.name || keys.has(key)) continue
      const { area, title } = memory
      look(check, { key, area, title, verdict: 'absent', why: 'It is no longer there.' }, mutes, now)
      if (!known.get(key)?.memory.firing) known.delete(key)
    }
  }

  function sample(seen: readonly Observation[], now: number): void {
    const values = seen.flatMap(({ key, gauge }) => (gauge?.fills ? [{ key, value: gauge.value }] : []))
    if (values.length === 0 || now - sampledAt < RENEW_MS) return
    sampledAt = now
    log.sample(values, now)
  }

  const firing = () => [...known].filter(([, { memory }]) => memory.firing)

  /**
   * @param reference an alert's number or key, `card:<number>` for all on a card, or `all`.
   * @throws OpsError when nothing that fires is meant by it.
   */
  function find(reference: string): [string, Known][] {
    const onCard = /^card:(\d+)$/.exec(reference)?.[1]
    const found = firing().filter(
      ([key, { id, cardId }]) =>
        reference === 'all' || reference === key || reference === `${id}` || Number(onCard) === cardId,
    )
    if (found.length === 0)
      throw new OpsError(
        reference === 'all'
          ? 'No alert is firing.'
          : `No firing alert is meant by "${reference}". /alerts lists them.`,
      )
    return found
  }

  return {
    /**
     * Takes what one check saw into account, in one transaction. Alerts whose subject is gone end.
     * @returns the keys of the alerts that were told just now, except as over.
     */
    observe(check: Looked, seen: readonly Observation[], now: number): string[] {
      const committed = known
      const work = () => {
        known = new Map(committed)
        const mutes = log.mutes(now)
        const told = seen.filter((each) => ![undefined, 'resolved'].includes(look(check, each, mutes, now)))
        gone(check, seen, mutes, now)
        sample(seen, now)
        return told.map(({ key }) => key)
      }
      try {
        return store.write(work)
      } catch (error) {
        known = committed
        throw error
      }
    },
    /** Ends the alerts of checks that this version no longer has. @param checks the names of those it has. */
    retire(checks: readonly string[], now: number): void {
      const gone = [...known].filter(
        ([, { memory }]) => !checks.includes(memory.check.replace(/^check\//, '')),
      )
      store.write(() => {
        for (const [key, { memory }] of gone) {
          const { area, title, check } = memory
          look(
            { name: check },
            { key, area, title, verdict: 'absent', why: 'It is no longer watched.' },
            [],
            now,
          )
        }
      })
    },
    /** Puts what was gathered to explain an alert on its card. */
    explain(key: string, evidence: string[], now: number): void {
      const alert = known.get(key)
      if (!alert?.memory.firing || evidence.length === 0) return
      alert.memory.firing.evidence = evidence
      store.write(() => {
        log.save(key, alert.memory)
        refresh(key, alert, now)
      })
    },
    /** What fires now, critical first, then oldest first. */
    open(now: number): AlertFacts[] {
      return firing()
        .flatMap(([key, alert]) => factsOf(key, alert, now) ?? [])
        .sort((a, b) => a.severity.localeCompare(b.severity) || a.since - b.since)
    },
    /** What was last seen of everything: the latest gauges and verdicts by key. */
    seen(): ReadonlyMap<string, { memory: AlertMemory; gauge?: Gauge }> {
      return known
    },
    find: (reference: string, now: number): AlertFacts[] =>
      find(reference).flatMap(([key, alert]) => factsOf(key, alert, now) ?? []),
    /** Notes who looks after it. @returns the alerts meant, as they now stand. @throws OpsError */
    ack(reference: string, by: string, now: number): AlertFacts[] {
      return store.write(() =>
        find(reference).flatMap(([key, alert]) => {
          if (alert.memory.firing) alert.memory.firing.ack ??= { by, at: now }
          alert.id = log.save(key, alert.memory)
          refresh(key, alert, now)
          return factsOf(key, alert, now) ?? []
        }),
      )
    },
    /** Silences alerts, a whole area or `all` until a moment; what still fires then is told once. @throws OpsError */
    mute(subject: string, until: number, by: string, now: number): string[] {
      const areas = new Set([...known.values()].map(({ memory }) => memory.area))
      const meant = subject === 'all' || areas.has(subject) ? [subject] : find(subject).map(([key]) => key)
      store.write(() => {
        for (const name of meant) log.mute({ subject: name, until, by })
        for (const [key, alert] of firing())
          if ([key, alert.memory.area, 'all'].some((name) => meant.includes(name))) refresh(key, alert, now)
      })
      return meant
    },
    /** Ends a mute. @throws OpsError when there is none of that name. */
    unmute(subject: string, now: number): string[] {
      const mutes = log.mutes(now).map((mute) => mute.subject)
      const key = firing().find(([, { id }]) => `${id}` === subject)?.[0] ?? subject
      const meant = key === 'all' ? mutes : mutes.filter((name) => name === key)
      if (meant.length === 0)
        throw new OpsError(
          mutes.length ? `"${subject}" is not muted. Muted: ${mutes.join(', ')}.` : 'Nothing is muted.',
        )
      store.write(() => {
        for (const name of meant) log.unmute(name)
        for (const [name, alert] of firing()) refresh(name, alert, now)
      })
      return meant
    },
    mutes: (now: number): Mute[] => log.mutes(now),
  }
}
