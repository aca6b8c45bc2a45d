// Moments as people read them, in the operator's zone.

import { describe, expect, it } from 'vitest'
import { createClock } from '../../src/bot/clock.ts'

const NOW = Date.parse('2026-11-20T12:00:00Z')
const clockOf = (zone: string) => createClock(zone, () => NOW)

describe('a moment', () => {
  it.each([
    ['today', 'UTC', '2026-11-20T00:00:00Z', '00:00 UTC'],
    ['in the operator’s zone', 'Europe/Berlin', '2026-11-20T13:02:59Z', '14:02 CET'],
    ['today over there', 'Pacific/Auckland', '2026-11-20T10:59:00Z', '20 Nov 23:59 GMT+13'],
    ['yesterday', 'UTC', '2026-11-19T23:59:00Z', '19 Nov 23:59 UTC'],
    ['tomorrow', 'UTC', '2026-11-21T00:00:00Z', '21 Nov 00:00 UTC'],
    ['in summer time', 'Europe/Berlin', '2026-07-01T10:00:00Z', '1 Jul 12:00 CEST'],
    ['on this day of last year', 'UTC', '2025-11-20T12:00:00Z', '20 Nov 12:00 UTC'],
  ])('%s', (_, zone, moment, words) => expect(clockOf(zone).at(Date.parse(moment))).toBe(words))
})

describe('a stretch', () => {
  it.each([
    ['within today', 'UTC', '2026-11-20T09:00:00Z', '2026-11-20T09:25:00Z', '09:00–09:25 UTC'],
    ['within a day', 'UTC', '2026-11-19T09:00:00Z', '2026-11-19T09:25:00Z', '19 Nov 09:00–09:25 UTC'],
    ['across midnight', 'UTC', '2026-11-19T23:00:00Z', '2026-11-20T07:00:00Z', '19 Nov 23:00–07:00 UTC'],
    [
      'across two days',
      'UTC',
      '2026-11-17T23:00:00Z',
      '2026-11-19T07:00:00Z',
      '17 Nov 23:00–19 Nov 07:00 UTC',
    ],
    [
      'across a clock change',
      'Europe/Berlin',
      '2026-10-24T22:00:00Z',
      '2026-10-25T06:00:00Z',
      '25 Oct 00:00–07:00 CET',
    ],
  ])('%s', (_, zone, from, to, words) => {
    expect(clockOf(zone).span(Date.parse(from), Date.parse(to))).toBe(words)
  })

  it('the zone has its full name too', () => expect(clockOf('Europe/Berlin').zone).toBe('Europe/Berlin'))
})
