// Deaths of containers: from the engine's events and from restart counts, who asked for them, and their causes in words.

import { constants } from 'node:os'
import type { Container, ContainerEvent } from './docker/index.ts'

export interface Death {
  at: number
  /** Absent when only the restart count told of it. */
  exitCode?: number
  oom: boolean
}

/** Exit codes that mean something by themselves. */
const CODES: Record<number, string> = {
  0: 'ended without an error (exit 0)',
  1: 'ended with an error',
  78: 'refused its configuration or state (exit 78)',
  125: 'could not be started by Docker',
  126: 'could not run its command (exit 126)',
  127: 'did not find its command (exit 127)',
}

/** An exit code as a sentence's end: "was killed (SIGKILL, exit 137)". */
export function causeOf({ exitCode, oom }: Omit<Death, 'at'>): string {
  if (oom) return 'was killed because it ran out of memory'
  if (exitCode === undefined) return 'died'
  const signal = Object.entries(constants.signals).find(([, number]) => number === exitCode - 128)?.[0]
  return (
    CODES[exitCode] ??
    (signal ? `was ended by ${signal} (exit ${exitCode})` : `ended with exit code ${exitCode}`)
  )
}

/** Signals by which somebody asks a container to end. */
const ENDING = ['2', '3', '9', '15', 'SIGINT', 'SIGQUIT', 'SIGKILL', 'SIGTERM']
/** Who was asked to end and has not within this time goes on; the longest grace that we give is 330 s. */
const ASKED_MS = 400_000
/** An OOM event comes just before the death that it causes. */
const OOM_MS = 10_000

export type Deaths = ReturnType<typeof createDeaths>

/** In the state a whole id would be taken for a secret. */
const short = (id: string) => id.slice(0, 12)

/** More deaths than this say nothing more. */
const MOST = 100

/** Restart counts by container, kept beyond this process. */
export interface Restarts {
  get(): Record<string, number>
  set(counts: Record<string, number>): void
}

/** Keeps the deaths that nobody asked for, for as long as a crash loop is looked for. */
export function createDeaths(keptMs: number, restarts: Restarts) {
  const asked = new Map<string, number>()
  const outOfMemory = new Map<string, number>()
  const counts = new Map(Object.entries(restarts.get()))
  const deaths = new Map<string, (Death & { number: number })[]>()
  let noted = 0
  /** Deaths that events told of and that the restart count does not show yet. */
  const told = new Map<string, number>()

  function add(id: string, death: Death): void {
    noted += 1
    deaths.set(id, [...(deaths.get(id) ?? []).slice(1 - MOST), { ...death, number: noted }])
  }

  function count(id: string, restartCount: number): void {
    if (counts.get(id) === restartCount) return
    counts.set(id, restartCount)
    restarts.set(Object.fromEntries(counts))
  }

  /** A death that the restart count told of before its event came: the event says more of it. */
  function countedBefore(id: string, at: number) {
    return deaths.get(id)?.find((death) => death.exitCode === undefined && death.at >= at)
  }

  return {
    note({ id: longId, action, at, exitCode, signal }: ContainerEvent): void {
      const id = short(longId)
      if (action === 'kill' && ENDING.includes(signal ?? '')) asked.set(id, at)
      if (action === 'start') asked.delete(id)
      if (action === 'oom') outOfMemory.set(id, at)
      if (action === 'destroy') for (const each of [asked, outOfMemory, counts, deaths, told]) each.delete(id)
      if (action !== 'die') return
      const oom = at - (outOfMemory.get(id) ?? Number.NEGATIVE_INFINITY) < OOM_MS
      outOfMemory.delete(id)
      if (at - (asked.get(id) ?? Number.NEGATIVE_INFINITY) < ASKED_MS && !oom) return
      const counted = countedBefore(id, at)
      if (counted)
        deaths.set(
          id,
          (deaths.get(id) ?? []).filter((death) => death !== counted),
        )
      else told.set(id, (told.get(id) ?? 0) + 1)
      if (exitCode !== 0) add(id, { at, oom, ...(exitCode !== undefined && { exitCode }) })
    },
    /** Reads the restart count: what it has beyond the events are deaths that no event told of. */
    read({ id: longId, restartCount, restartPolicy, state, oomKilled }: Container, now: number): void {
      const id = short(longId)
      const known = counts.get(id) ?? restartCount
      count(id, restartCount)
      // Somebody started it by hand, or the engine was started: its count began anew.
      const before = restartCount < known ? 0 : known
      const missed = Math.min(restartCount - before - (told.get(id) ?? 0), MOST)
      // An event may be ahead of its count, but not of a restart that will never be.
      if (missed < 0 && restartPolicy !== 'no' && state !== 'exited') told.set(id, -missed)
      else told.delete(id)
      for (let n = 0; n < missed; n += 1) add(id, { at: now, oom: oomKilled })
    },
    /** The deaths of a container since a moment, oldest first. */
    since(id: string, from: number): Death[] {
      return (deaths.get(short(id)) ?? []).filter(({ at }) => at >= from)
    },
    /** How many deaths were noted so far. */
    noted: () => noted,
    /** The deaths of a container after so many were noted: an event may come later than the look that it belongs to. */
    after(id: string, number: number): Death[] {
      return (deaths.get(short(id)) ?? []).filter((death) => death.number > number)
    },
    /** @param ids of all containers that there are. */
    forget(now: number, ids: readonly string[]): void {
      const present = new Set(ids.map(short))
      for (const each of [counts, told]) for (const id of each.keys()) if (!present.has(id)) each.delete(id)
      // The list may be older than the newest events.
      for (const each of [asked, outOfMemory])
        for (const [id, at] of each) if (!present.has(id) && now - at >= keptMs) each.delete(id)
      for (const [id, all] of deaths) {
        const kept = all.filter(({ at }) => now - at < keptMs)
        if (kept.length > 0) deaths.set(id, kept)
        else deaths.delete(id)
      }
    },
  }
}
