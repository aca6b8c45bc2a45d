// Quiet hours: whether a moment lies in them, and when they end, in the operator's zone and across clock changes.

const MINUTE_MS = 60_000
const DAY = 24 * 60

export interface QuietHours {
  /** `HH:MM` in the zone; the hours may cross midnight. */
  from: string
  to: string
}

const minutesOf = (clock: string) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3, 5))

/** Minutes since midnight on the zone's wall clock. */
function wallClock(at: number, timeZone: string): number {
  return minutesOf(new Date(at).toLocaleTimeString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' }))
}

/**
 * @param now UTC milliseconds.
 * @returns when the quiet hours end that `now` lies in (UTC milliseconds, on a whole minute), else undefined.
 */
export function quietUntil(now: number, quiet: QuietHours | undefined, timeZone: string): number | undefined {
  if (!quiet) return undefined
  const [from, to] = [minutesOf(quiet.from), minutesOf(quiet.to)]
  const clock = wallClock(now, timeZone)
  const inside = (at: number) => (from < to ? at >= from && at < to : at >= from || at < to)
  if (!inside(clock)) return undefined
  const start = now - (now % MINUTE_MS)
  const end = start + ((to - clock + DAY) % DAY) * MINUTE_MS
  // Where the clocks change in between, the plain sum is off by the change: up to half a day either way is put right.
  const off = ((to - wallClock(end, timeZone) + DAY + DAY / 2) % DAY) - DAY / 2
  let ends = end + off * MINUTE_MS
  // Where the clocks jump over that minute, they end when it would have passed.
  while (inside(wallClock(ends, timeZone))) ends += MINUTE_MS
  return ends
}
