// The alert machine: one pure function from what was remembered and what was seen to what is remembered and told.

import type { Observation, Verdict } from '../checks/index.ts'
import { type Daily, isDueToday } from './daily.ts'

export type Severity = 'warning' | 'critical'

/** Why something is told: it fired, got worse, is in another stage, still fires after a mute or after a while, or is over. */
export type Tell = 'fired' | 'worse' | 'stage' | 'unmuted' | 'reminder' | 'resolved'

export interface Firing {
  severity: Severity
  /** When it began to be bad. */
  since: number
  /** When it was bad for long enough. */
  firedAt: number
  /** Whether anybody was told; a mute or an inhibition may have kept it silent. */
  told: boolean
  /** Whether a mute began after it was told. */
  hushed: boolean
  /** Watched time for which it has been critical without a break while only told as a warning. */
  worseForMs?: number
  peak?: number
  ack?: { by: string; at: number }
  /** When it was last told. */
  remindedAt: number
  /** The stage that was told last, and when each was. */
  stage?: string
  stages?: Record<string, number>
  /** It fired because it went bad too often, not because it stayed bad. */
  flapping?: true
  /** What was gathered to explain it when it fired, in lines. */
  evidence?: string[]
}

/** What is remembered of one key. */
export interface AlertMemory {
  area: string
  title: string
  why: string
  mend?: string
  actions?: { label: string; run: string }[]
  verdict: Verdict
  lookedAt: number
  /** Watched time for which it has been bad without a break, good without a break. */
  badForMs: number
  goodForMs: number
  badSince?: number
  zone?: 'bad' | 'between' | 'good'
  firing?: Firing
  /** The last time that it was over. */
  resolved?: { since: number; at: number; severity: Severity; peak?: number }
  /** When it turned bad lately, and when it fired lately. */
  turns: number[]
  fires: number[]
  unit?: string
}

export interface Policy {
  /** How long it must be bad before it fires. */
  badMs: number
  /** How long it must be good before it is over; doubled by each firing within `dampMs`, up to eightfold. */
  goodMs: number
  dampMs: number
  /** The longest stretch between two looks that counts as watched. */
  creditMs: number
  /** Turning bad this often within this time fires it too. */
  flaps: { times: number; withinMs: number }
  /** How long after it was told it is told again while nobody has acknowledged it; absent: never. */
  remindMs?: number
  /** When `daily` ones are told again; absent: never. */
  daily?: Daily
}

/** What else a look depends on: the policy, a mute that somebody set, a bad cause that is told already. */
export interface Circumstances {
  policy: Policy
  muted: boolean
  inhibited: boolean
}

/**
 * The default policy: bad for 3 looks (so 2 cycles apart), good for 5, with a tenth of a cycle for a clock that is early.
 * Source of the figures: anchors of the field, where this pair alone stays silent on all of hovering, steps and spikes.
 */
export function defaultPolicy(cycleMs: number): Policy {
  return {
    badMs: 1.9 * cycleMs,
    goodMs: 3.9 * cycleMs,
    dampMs: 2 * 3_600_000,
    creditMs: 1.5 * cycleMs,
    flaps: { times: 5, withinMs: 20 * cycleMs },
  }
}

/** Bad, good, or in the gap between the two limits where nothing may change. */
type Zone = 'bad' | 'between' | 'good'

function zoneOf({ verdict, gauge }: Observation): Zone {
  if (verdict === 'warn' || verdict === 'bad') return 'bad'
  return verdict === 'ok' && gauge && gauge.value >= gauge.leave ? 'between' : 'good'
}

const recent = (times: readonly number[], now: number, withinMs: number) =>
  times.filter((time) => now - time < withinMs)

function firstSight({ area, title, why, verdict }: Observation, now: number): AlertMemory {
  return { area, title, why, verdict, lookedAt: now, badForMs: 0, goodForMs: 0, turns: [], fires: [] }
}

/** Counts this look into the streaks; `passed` is the watched time since the last one. */
function count(
  memory: AlertMemory,
  seen: Observation,
  zone: Zone,
  now: number,
  passed: number,
  policy: Policy,
) {
  const { title, why, verdict, gauge, mend, actions } = seen
  const streak = (of: Zone, ms: number) => (zone === of && memory.zone === of ? ms + passed : 0)
  const { badSince = now, mend: _mend, actions: _actions, ...rest } = memory
  const turned = zone === 'bad' && memory.zone !== 'bad'
  const next: AlertMemory = {
    ...rest,
    ...{ title, why, verdict, zone, lookedAt: now },
    badForMs: streak('bad', memory.badForMs),
    goodForMs: streak('good', memory.goodForMs),
    turns: [...recent(memory.turns, now, policy.flaps.withinMs), ...(turned ? [now] : [])],
    ...(zone === 'bad' && { badSince }),
    ...(gauge && { unit: gauge.unit }),
    ...(mend && { mend }),
    ...(actions && { actions }),
  }
  return next
}

/** What an alert that fires looks like at first. */
function ignite(
  { badSince, turns }: AlertMemory,
  seen: Observation,
  told: boolean,
  flapping: boolean,
  now: number,
) {
  const since = (flapping ? turns[0] : badSince) ?? now
  const firing: Firing = {
    severity: seen.verdict === 'bad' ? 'critical' : 'warning',
    since,
    firedAt: now,
    told,
    hushed: false,
    remindedAt: now,
    ...(told && toldNow({}, seen, now)),
    ...(seen.gauge && { peak: seen.gauge.value }),
    ...(flapping && { flapping }),
  }
  return firing
}

/** Whether it is in a stage other than the one told last. One that comes and goes is not told again and again. */
function isNewStage({ stage: told, stages }: Firing, { stage }: Observation, now: number, policy: Policy) {
  const toldAt = stages?.[stage ?? ''] ?? Number.NEGATIVE_INFINITY
  return stage !== undefined && stage !== told && now - toldAt >= policy.dampMs
}

/** Notes that it was told as it now stands. */
function toldNow({ stages }: Pick<Firing, 'stages'>, { stage }: Observation, now: number): Partial<Firing> {
  const told = { told: true, hushed: false, remindedAt: now }
  return stage === undefined ? told : { ...told, stage, stages: { ...stages, [stage]: now } }
}

/** What there is to say of an alert that goes on firing. While it looks good, that waits: it may be about to end. */
function tellOf(
  firing: Firing,
  seen: Observation,
  now: number,
  { policy, muted, inhibited }: Circumstances,
): Tell | undefined {
  if (muted || inhibited || zoneOf(seen) === 'good') return undefined
  if (!firing.told) return 'fired'
  if (isNewStage(firing, seen, now, policy)) return 'stage'
  if (firing.severity === 'warning' && (firing.worseForMs ?? 0) >= policy.badMs) return 'worse'
  if (firing.hushed) return 'unmuted'
  if (seen.daily && policy.daily && isDueToday(firing.remindedAt, now, policy.daily)) return 'reminder'
  if (policy.remindMs && !firing.ack && now - firing.remindedAt >= policy.remindMs) return 'reminder'
  return undefined
}

/** One look at an alert that fires and is not over. */
function keepFiring(firing: Firing, seen: Observation, now: number, passed: number, around: Circumstances) {
  const critical = seen.verdict === 'bad'
  const { worseForMs, ...rest } = firing
  const longer = seen.proof ? around.policy.badMs : worseForMs === undefined ? 0 : worseForMs + passed
  const held: Firing = {
    ...rest,
    hushed: firing.hushed || (around.muted && firing.told),
    ...(critical && { worseForMs: longer }),
    ...(seen.gauge && { peak: Math.max(firing.peak ?? seen.gauge.value, seen.gauge.value) }),
  }
  const tell = tellOf(held, seen, now, around)
  if (tell) Object.assign(held, toldNow(firing, seen, now))
  if (tell && critical) held.severity = 'critical'
  return { firing: held, tell }
}

/** Whether an alert that fires has been good for long enough (the more often it fired lately, the longer that is), or for certain. */
function isOver(next: AlertMemory, proof: boolean, now: number, { goodMs, dampMs }: Policy): boolean {
  const again = Math.max(0, recent(next.fires, now, dampMs).length - 1)
  const damping = Math.min(8, 2 ** again)
  return next.verdict === 'absent' || (next.zone === 'good' && (proof || next.goodForMs >= goodMs * damping))
}

/**
 * Takes one look into account.
 * @param previous what was remembered; absent at first sight, which is silent when all is well.
 * @param now UTC milliseconds.
 * @returns what is remembered from now on, and why something is to be told, if it is.
 */
export function step(
  previous: AlertMemory | undefined,
  seen: Observation,
  now: number,
  around: Circumstances,
): { memory: AlertMemory; tell?: Tell } {
  const before = previous ?? firstSight(seen, now)
  if (seen.verdict === 'unknown') return { memory: { ...before, verdict: 'unknown', why: seen.why } }

  const { policy } = around
  const zone = around.inhibited && !before.firing ? 'between' : zoneOf(seen)
  // A clock that was set back must not take watched time away.
  const passed = Math.max(0, Math.min(now - before.lookedAt, policy.creditMs))
  const next = count(before, seen, zone, now, passed, policy)

  if (before.firing && isOver(next, seen.proof === true, now, policy)) {
    const { firing, ...memory } = { ...next, firing: before.firing }
    const { since, severity, peak, told } = firing
    memory.resolved = { since, at: now, severity, ...(peak !== undefined && { peak }) }
    return told ? { memory, tell: 'resolved' } : { memory }
  }
  if (before.firing) {
    const { firing, tell } = keepFiring(before.firing, seen, now, passed, around)
    return { memory: { ...next, firing }, ...(tell && { tell }) }
  }
  const flapping = next.turns.length >= policy.flaps.times
  if (zone !== 'bad' || !(seen.proof || flapping || next.badForMs >= policy.badMs)) return { memory: next }
  const firing = ignite(next, seen, !around.muted, flapping && next.badForMs < policy.badMs, now)
  const fires = [...recent(next.fires, now, policy.dampMs), now]
  return { memory: { ...next, firing, fires, turns: [] }, ...(firing.told && { tell: 'fired' }) }
}
