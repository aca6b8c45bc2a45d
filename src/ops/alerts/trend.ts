// Where a figure is heading: the line through its last hours, and when that line reaches the top.

import type { Sample } from '../state/alerts.ts'

/** Less than this says nothing about a rate. */
const SHORTEST_MS = 15 * 60_000
/** Further away than this is not worth a word. */
const FARTHEST_MS = 30 * 86_400_000

/**
 * The least-squares line through the samples.
 * @param full the value at which it is full, in the samples' unit.
 * @returns milliseconds until then at the present rate, or undefined when it is not on its way there.
 */
export function timeToFull(samples: readonly Sample[], full: number): number | undefined {
  const [first, last] = [samples[0], samples.at(-1)]
  if (!first || !last || samples.length < 3 || last.at - first.at < SHORTEST_MS) return undefined
  const meanAt = samples.reduce((sum, { at }) => sum + at - first.at, 0) / samples.length
  const mean = samples.reduce((sum, { value }) => sum + value, 0) / samples.length
  let [over, under] = [0, 0]
  for (const { at, value } of samples) {
    const x = at - first.at - meanAt
    over += x * (value - mean)
    under += x * x
  }
  const rate = over / under
  const left = (full - last.value) / rate
  return rate > 0 && left >= 0 && left < FARTHEST_MS ? left : undefined
}
