// Quiet hours across midnight and across every kind of clock change.

import { describe, expect, it } from 'vitest'
import { quietUntil } from '../../src/ops/quiet.ts'
import { HOUR } from './help.ts'

const NIGHT = { from: '23:00', to: '07:00' }
const DAY = { from: '12:00', to: '14:30' }

describe('when quiet hours end', () => {
  it.each([
    ['before a night', NIGHT, 'UTC', '2026-11-20T22:59:59Z', undefined],
    ['at its first minute', NIGHT, 'UTC', '2026-11-20T23:00:00Z', '2026-11-21T07:00:00Z'],
    ['in the middle of a minute', NIGHT, 'UTC', '2026-11-20T23:30:45.678Z', '2026-11-21T07:00:00Z'],
    ['at midnight', NIGHT, 'UTC', '2026-11-21T00:00:00Z', '2026-11-21T07:00:00Z'],
    ['after midnight', NIGHT, 'UTC', '2026-11-21T03:00:00Z', '2026-11-21T07:00:00Z'],
    ['at the last minute', NIGHT, 'UTC', '2026-11-21T06:59:59Z', '2026-11-21T07:00:00Z'],
    ['at its end', NIGHT, 'UTC', '2026-11-21T07:00:00Z', undefined],
    ['at middle', NIGHT, 'UTC', '2026-11-21T12:00:00Z', undefined],
    ['within a day', DAY, 'UTC', '2026-11-20T12:00:00Z', '2026-11-20T14:30:00Z'],
    ['before a day', DAY, 'UTC', '2026-11-20T11:59:00Z', undefined],
    ['after a day', DAY, 'UTC', '2026-11-20T14:30:00Z', undefined],
    ['until midnight', { from: '20:00', to: '00:00' }, 'UTC', '2026-11-20T23:00:00Z', '2026-11-21T00:00:00Z'],
    ['from midnight', { from: '00:00', to: '06:00' }, 'UTC', '2026-11-21T00:00:00Z', '2026-11-21T06:00:00Z'],
    ['nearly all day', { from: '07:01', to: '07:00' }, 'UTC', '2026-11-20T07:01:00Z', '2026-11-21T07:00:00Z'],
    ['in the operator’s zone', NIGHT, 'Europe/Berlin', '2026-11-20T22:30:00Z', '2026-11-21T06:00:00Z'],
    ['in a zone of half an hour', NIGHT, 'Asia/Kolkata', '2026-11-20T18:00:00Z', '2026-11-21T01:30:00Z'],
    ['in a zone of three quarters', NIGHT, 'Asia/Kathmandu', '2026-11-20T18:00:00Z', '2026-11-21T01:15:00Z'],

    ['Berlin springs forward', NIGHT, 'Europe/Berlin', '2026-03-28T22:30:00Z', '2026-03-29T05:00:00Z'],
    ['Berlin has sprung forward', NIGHT, 'Europe/Berlin', '2026-03-29T01:30:00Z', '2026-03-29T05:00:00Z'],
    ['Berlin falls back', NIGHT, 'Europe/Berlin', '2026-10-24T21:30:00Z', '2026-10-25T06:00:00Z'],
    ['Berlin has fallen back', NIGHT, 'Europe/Berlin', '2026-10-25T01:30:00Z', '2026-10-25T06:00:00Z'],
    ['New York springs forward', NIGHT, 'America/New_York', '2026-03-08T04:30:00Z', '2026-03-08T11:00:00Z'],
    ['New York falls back', NIGHT, 'America/New_York', '2026-11-01T03:30:00Z', '2026-11-01T12:00:00Z'],
    [
      'Lord Howe springs forward by half an hour',
      NIGHT,
      'Australia/Lord_Howe',
      '2026-10-03T12:45:00Z',
      '2026-10-03T20:00:00Z',
    ],
    [
      'Lord Howe falls back by half an hour',
      NIGHT,
      'Australia/Lord_Howe',
      '2026-04-04T12:15:00Z',
      '2026-04-04T20:30:00Z',
    ],

    // 02:30 does not exist that night: at 03:00 it has passed.
    [
      'they end at a time that Berlin skips',
      { from: '23:00', to: '02:30' },
      'Europe/Berlin',
      '2026-03-28T22:30:00Z',
      '2026-03-29T01:00:00Z',
    ],
    [
      'they begin at a time that Berlin skips',
      { from: '02:30', to: '07:00' },
      'Europe/Berlin',
      '2026-03-29T01:00:00Z',
      '2026-03-29T05:00:00Z',
    ],
    // 02:30 comes twice that night.
    [
      'they end at a time that Berlin has twice',
      { from: '23:00', to: '02:30' },
      'Europe/Berlin',
      '2026-10-24T21:30:00Z',
      '2026-10-25T00:30:00Z',
    ],
    [
      'the second time round',
      { from: '23:00', to: '02:30' },
      'Europe/Berlin',
      '2026-10-25T01:15:00Z',
      '2026-10-25T01:30:00Z',
    ],
  ])('%s', (_, hours, zone, now, end) => {
    const until = quietUntil(Date.parse(now), hours, zone)
    expect(until === undefined ? undefined : new Date(until).toISOString().replace('.000', '')).toBe(end)
  })

  it('without quiet hours there are none', () => {
    expect(quietUntil(Date.parse('2026-11-20T03:00:00Z'), undefined, 'UTC')).toBeUndefined()
  })

  it.each([
    ['Europe/Berlin', '2026-03-29', '2026-10-25'],
    ['America/New_York', '2026-03-08', '2026-11-01'],
    ['Australia/Lord_Howe', '2026-04-05', '2026-10-04'],
    ['Pacific/Chatham', '2026-04-05', '2026-09-27'],
  ])('in %s a night has one end all through, on %s and on %s too', (zone, ...changes) => {
    for (const change of changes) {
      const ends: (number | undefined)[] = []
      const middle = Date.parse(change)
      for (let now = middle - 48 * HOUR; now < middle + 48 * HOUR; now += HOUR / 2) {
        const until = quietUntil(now, NIGHT, zone)
        expect(until ?? now + 1).toBeGreaterThan(now)
        if (until !== undefined) expect(quietUntil(until, NIGHT, zone)).toBeUndefined()
        if (until !== ends.at(-1)) ends.push(until)
      }
      // Four or five nights, and the days between them.
      expect(new Set(ends).size).toBeGreaterThanOrEqual(4)
      expect(ends.filter((end) => end !== undefined)).toHaveLength(new Set(ends).size - 1)
    }
  })
})
