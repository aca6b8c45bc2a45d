// Once a day: whether the hour of a new day has come since something was told.

export interface Daily {
  /** 0 to 23, in the zone. */
  hour: number
  timeZone: string
}

const dateAt = (at: number, timeZone: string) => new Date(at).toLocaleDateString('en-CA', { timeZone })
const hourAt = (at: number, timeZone: string) =>
  Number(new Date(at).toLocaleTimeString('en-GB', { timeZone, hour: '2-digit' }))

/**
 * By the calendar, not by 24 hours: so it comes once on every day, also on one that is longer or shorter, and one
 * whose hour was missed (by a change of clocks, or because nobody looked) comes late rather than not at all.
 * @param toldAt when it was last told. UTC milliseconds, as `now`.
 */
export function isDueToday(toldAt: number, now: number, { hour, timeZone }: Daily): boolean {
  if (now <= toldAt || dateAt(now, timeZone) === dateAt(toldAt, timeZone)) return false
  return hourAt(now, timeZone) >= hour
}
