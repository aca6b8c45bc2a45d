// Figures in words: sizes, percentages, durations and counts, as in every sentence that people read.

const SIZES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** A size in decimal units, as disks are sold and `df -H` prints: `512 B`, `4.1 GB`, `50 GB`. */
export function bytes(count: number): string {
  let value = count
  let step = 0
  // From 999.5 on three digits would round to "1000", which belongs to the next unit.
  while (value >= 999.5 && step < SIZES.length - 1) {
    value /= 1000
    step += 1
  }
  return `${step > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} ${SIZES[step]}`
}

/** `91 %`, with one decimal where it tells something: under 10, and over 99 so that "100 %" means full. */
export function percent(value: number): string {
  const tells = (value >= 0.1 && value < 10) || (value > 99 && value < 100)
  return `${tells ? (Math.floor(value * 10) / 10).toFixed(1) : Math.round(value)} %`
}

const SPANS = [
  { unit: 'd', ms: 86_400_000 },
  { unit: 'h', ms: 3_600_000 },
  { unit: 'min', ms: 60_000 },
  { unit: 's', ms: 1_000 },
] as const

/** A length of time in its two largest units, from minutes down in one: `2 d 4 h`, `23 min`, `45 s`. */
export function duration(ms: number): string {
  const index = SPANS.findIndex((span) => ms >= span.ms)
  const large = SPANS[index]
  if (!large) return `${Math.max(0, Math.floor(ms))} ms`
  const whole = `${Math.floor(ms / large.ms)} ${large.unit}`
  const small = large.ms > 60_000 ? SPANS[index + 1] : undefined
  const rest = small ? Math.floor((ms % large.ms) / small.ms) : 0
  return small && rest > 0 ? `${whole} ${rest} ${small.unit}` : whole
}

/** How long ago something was: `just now`, `45 s ago`. */
export function ago(ms: number): string {
  return ms < 1_000 ? 'just now' : `${duration(ms)} ago`
}

/** `1 file`, `3 files`, `2 directories` (where an added s is wrong, give the plural). */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
