// When a limit resets, as the Claude CLI prints it for people: `11:30am (UTC)`, `Nov 23, 8:21pm (Europe/Berlin)`.

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const PRINTED =
  /resets\s+(?:([A-Z][a-z]{2})[a-z]*\.?\s+(\d{1,2})(?:,\s*|\s+at\s+|\s+))?(\d{1,2})(?::(\d\d))?\s*([ap])m\s*\(([\w/+-]+)\)/i
const DAY_MS = 86_400_000
/** It prints minutes: a reset of this very minute is not one of tomorrow. */
const MINUTE_MS = 60_000

/** What a clock in the zone shows at a moment, as if it were UTC. @throws RangeError for a zone that nobody knows. */
function shownAt(at: number, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  }).formatToParts(at)
  const part = (type: string) => Number(parts.find((each) => each.type === type)?.value)
  return Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
}

/** The moment at which a clock in the zone shows this. Twice is enough: the first step may cross a change of the clocks. */
function momentOf(shown: number, zone: string): number {
  const first = shown - (shownAt(shown, zone) - shown)
  return first - (shownAt(first, zone) - shown)
}

/** @returns UTC milliseconds, the next such moment from now on; undefined when it says none. */
export function resetIn(text: string, now: number): number | undefined {
  const [found, month, day, hour = '', minute = '0', half = '', zone = ''] = PRINTED.exec(text) ?? []
  if (!found) return undefined
  const hours = (Number(hour) % 12) + (half.toLowerCase() === 'p' ? 12 : 0)
  const time = hours * 3_600_000 + Number(minute) * MINUTE_MS
  try {
    const today = new Date(shownAt(now, zone))
    if (!month) {
      const midnight = Date.UTC(today.getUTCFullYear(), today.getUTCMonth(), today.getUTCDate())
      const at = momentOf(midnight + time, zone)
      return at >= now - MINUTE_MS ? at : momentOf(midnight + DAY_MS + time, zone)
    }
    const index = MONTHS.indexOf(month.toLowerCase())
    if (index < 0) return undefined
    const inYear = (year: number) => momentOf(Date.UTC(year, index, Number(day)) + time, zone)
    const at = inYear(today.getUTCFullYear())
    // Of a day that has passed it speaks for at most some hours.
    return at >= now - DAY_MS ? at : inYear(today.getUTCFullYear() + 1)
  } catch {
    return undefined
  }
}
