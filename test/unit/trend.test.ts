// Where a figure is heading: the line through its last hours.

import { describe, expect, it } from 'vitest'
import { timeToFull } from '../../src/ops/alerts/trend.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const every = (ms: number, values: readonly number[]) =>
  values.map((value, index) => ({ at: T0 + index * ms, value }))

describe('the time until it is full', () => {
  it.each([
    ['10 points left at 10 an hour', every(HOUR, [60, 70, 80, 90]), HOUR],
    ['1 point left at 1 an hour', every(HOUR, [97, 98, 99]), HOUR],
    ['steps of five minutes', every(5 * MINUTE, [80, 81, 82, 83]), 85 * MINUTE],
    ['full already', every(HOUR, [80, 90, 100]), 0],
    ['noise around a rise', every(HOUR, [50, 61, 69, 81, 90]), HOUR],
  ])('%s', (_, samples, ms) => expect(timeToFull(samples, 100)).toBeCloseTo(ms, -5))

  it.each([
    ['no samples', []],
    ['one', every(HOUR, [90])],
    ['two', every(HOUR, [80, 90])],
    ['samples of less than a quarter of an hour', every(5 * MINUTE, [80, 85, 90])],
    ['a figure that stands', every(HOUR, [90, 90, 90, 90])],
    ['a figure that falls', every(HOUR, [90, 80, 70])],
    ['a figure that rises too slowly to matter', every(HOUR, [50, 50.001, 50.002])],
    ['a figure that is beyond full', every(HOUR, [99, 100, 101])],
    ['samples of one moment', [80, 90, 95].map((value) => ({ at: T0, value }))],
  ])('of %s is not known', (_, samples) => expect(timeToFull(samples, 100)).toBeUndefined())
})
