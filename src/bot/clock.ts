// Moments in the operator's zone, with its name where the day is not clear.

export interface Clock {
  /** `14:02` today, `20 Nov 14:02` on another day, the zone's name behind it. */
  at(moment: number): string
  /** `14:02:11`, for what is measured in seconds. */
  exact(moment: number): string
  /** `14:02–14:25`. */
  span(from: number, to: number): string
  /** The zone's name: `Europe/Berlin`. */
  zone: string
}

/** @param now tells what today is. */
export function createClock(timeZone: string, now: () => number): Clock {
  const time = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' })
  const second = new Intl.DateTimeFormat('en-GB', { timeZone, timeStyle: 'medium' })
  const day = new Intl.DateTimeFormat('en-GB', { timeZone, day: 'numeric', month: 'short' })
  const date = new Intl.DateTimeFormat('en-GB', { timeZone, dateStyle: 'short' })
  const name = new Intl.DateTimeFormat('en-GB', { timeZone, timeZoneName: 'short' })
  const zoneAt = (moment: number) =>
    name.formatToParts(moment).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  const bare = (moment: number) =>
    date.format(moment) === date.format(now())
      ? time.format(moment)
      : `${day.format(moment)} ${time.format(moment)}`
  return {
    at: (moment) => `${bare(moment)} ${zoneAt(moment)}`.trim(),
    exact: (moment) => second.format(moment),
    span: (from, to) => {
      const end = date.format(from) === date.format(to) ? time.format(to) : bare(to)
      return `${bare(from)}–${end} ${zoneAt(to)}`.trim()
    },
    zone: timeZone,
  }
}
