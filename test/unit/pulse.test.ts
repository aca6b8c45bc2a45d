// The pulse as tables: what stops the heartbeat, what feeds the watchdog, and what becomes of a poll loop that is silent.

import { describe, expect, it } from 'vitest'
import { createPulse, heartbeatBlocked, judgePolling, type Vitals, watchdogFed } from '../../src/ops/pulse.ts'
import { HOUR, MINUTE, SECOND, T0 } from './help.ts'

const CYCLE = 30 * SECOND
const ago = (ms: number) => T0 - ms
const vitals = (more: Partial<Vitals> = {}): Vitals => ({
  ...{ startedAt: ago(HOUR), polledAt: ago(SECOND), checkedAt: ago(SECOND) },
  ...more,
})
const without = (name: keyof Vitals): Vitals => {
  const { [name]: _, ...rest } = vitals()
  return rest as Vitals
}

describe('the heartbeat', () => {
  it.each<[string, Vitals, boolean, string | undefined]>([
    ['goes when all works', vitals(), true, undefined],
    ['goes up to a minute after a poll', vitals({ polledAt: ago(MINUTE) }), true, undefined],
    ['stops after that', vitals({ polledAt: ago(MINUTE + 1) }), true, 'no getUpdates completed lately'],
    ['does not begin before the first poll', without('polledAt'), true, 'no getUpdates completed lately'],
    ['asks for no poll where nobody polls', without('polledAt'), false, undefined],
    ['does not begin before the first cycle', without('checkedAt'), true, 'the checks do not come to an end'],
    ['goes up to three cycles after the checks', vitals({ checkedAt: ago(100 * SECOND) }), true, undefined],
    [
      'stops after that',
      vitals({ checkedAt: ago(100 * SECOND + 1) }),
      true,
      'the checks do not come to an end',
    ],
    [
      'goes while something is due for five minutes',
      vitals({ overdueSince: ago(5 * MINUTE) }),
      true,
      undefined,
    ],
    ['stops after that', vitals({ overdueSince: ago(5 * MINUTE + 1) }), true, 'a message is overdue'],
    ['goes for what is due later', vitals({ overdueSince: T0 + HOUR }), true, undefined],
    ['goes on a console, where nothing is delivered', vitals({ overdueSince: ago(HOUR) }), false, undefined],
    [
      'is not fooled by fresh connections',
      vitals({ polledAt: ago(HOUR), reachedAt: T0 }),
      true,
      'no getUpdates completed lately',
    ],
  ])('%s', (_, seen, polls, why) => expect(heartbeatBlocked(seen, T0, CYCLE, polls)).toBe(why))
})

describe('the watchdog', () => {
  it.each<[string, Vitals, boolean]>([
    ['is fed while the checks end', vitals(), true],
    ['is fed up to three cycles and half a minute after', vitals({ checkedAt: ago(2 * MINUTE) }), true],
    ['is starved after that', vitals({ checkedAt: ago(2 * MINUTE + 1) }), false],
    ['is fed at the start, before the first checks', { startedAt: ago(2 * MINUTE) }, true],
    ['is starved when these never end', { startedAt: ago(2 * MINUTE + 1) }, false],
    ['asks for no poll: Telegram may be away', without('polledAt'), true],
  ])('%s', (_, seen, fed) => expect(watchdogFed(seen, T0, CYCLE)).toBe(fed))
})

describe('a poll loop', () => {
  it.each<[string, Partial<Vitals>, boolean, string]>([
    ['that polled lately is fine', {}, false, 'fine'],
    ['that is silent for a minute is fine', { polledAt: ago(MINUTE) }, false, 'fine'],
    ['that is silent for longer gets a fresh connection', { polledAt: ago(MINUTE + 1) }, false, 'rebuild'],
    ['that never polled has a minute', { startedAt: ago(MINUTE) }, false, 'fine'],
    ['that still never polled gets a fresh connection', { startedAt: ago(MINUTE + 1) }, false, 'rebuild'],
    [
      'that is silent for long while nothing reaches Telegram goes on trying',
      { polledAt: ago(HOUR) },
      false,
      'rebuild',
    ],
    [
      'that is silent for long while fresh connections work ends the process',
      { polledAt: ago(2 * MINUTE + 1), reachedAt: ago(SECOND) },
      false,
      'exit',
    ],
    ['but not before two minutes', { polledAt: ago(2 * MINUTE), reachedAt: T0 }, false, 'rebuild'],
    ['nor amid a deed', { polledAt: ago(HOUR), reachedAt: ago(SECOND) }, true, 'rebuild'],
    [
      'nor when the last fresh connection is long ago',
      { polledAt: ago(HOUR), reachedAt: ago(MINUTE) },
      false,
      'rebuild',
    ],
    [
      'nor when polls have had no time since',
      { polledAt: ago(3 * MINUTE), reachedAt: ago(2 * MINUTE) },
      false,
      'rebuild',
    ],
  ])('%s', (_, seen, busy, verdict) => {
    const { polledAt: _polled, ...never } = vitals()
    expect(judgePolling({ ...('startedAt' in seen ? never : vitals()), ...seen }, T0, busy)).toBe(verdict)
  })
})

it('the pulse of a process is what was last noted', () => {
  let [now, overdue] = [T0, undefined as number | undefined]
  const pulse = createPulse(
    () => overdue,
    () => now,
  )
  expect(pulse.read()).toEqual({ startedAt: T0 })
  for (const note of [pulse.polled, pulse.checked, pulse.reached]) {
    now += SECOND
    note()
  }
  overdue = T0 + 5
  expect(pulse.read()).toEqual({
    ...{ startedAt: T0, polledAt: T0 + SECOND, checkedAt: T0 + 2 * SECOND, reachedAt: T0 + 3 * SECOND },
    overdueSince: T0 + 5,
  })
})
