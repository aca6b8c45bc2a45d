// Session and weekly limits: what `/usage` prints, in the zone it prints, and what the Claude CLI notes of it.

import { describe, expect, it } from 'vitest'
import { resetIn } from '../../src/ops/claude/resets.ts'
import { notedUsage, windowsIn } from '../../src/ops/claude/usage.ts'

const NOW = Date.UTC(2026, 10, 20, 10)

describe('a reset', () => {
  it.each<[string, number | undefined, number?]>([
    ['resets Nov 20, 11:30am (UTC)', Date.UTC(2026, 10, 20, 11, 30)],
    ['resets Nov 23, 8:21pm (UTC)', Date.UTC(2026, 10, 23, 20, 21)],
    ['resets 11:01am (UTC)', Date.UTC(2026, 10, 20, 11, 1)],
    ['resets 9am (UTC)', Date.UTC(2026, 10, 21, 9)],
    ['resets 10am (UTC)', NOW],
    ['resets 12am (UTC)', Date.UTC(2026, 10, 21)],
    ['resets 12pm (UTC)', Date.UTC(2026, 10, 20, 12)],
    ['resets 3pm (Europe/Berlin)', Date.UTC(2026, 10, 20, 14)],
    ['resets 1am (Asia/Kolkata)', Date.UTC(2026, 10, 20, 19, 30)],
    ['resets 8am (America/New_York)', Date.UTC(2026, 10, 20, 13)],
    ['resets Jan 2, 6am (UTC)', Date.UTC(2027, 0, 2, 6)],
    ['resets Nov 20 at 9:30am (UTC)', Date.UTC(2026, 10, 20, 9, 30)],
    // The clocks go back in the night in between.
    ['resets Nov 1, 3am (America/New_York)', Date.UTC(2026, 10, 1, 8), Date.UTC(2026, 9, 31, 12)],
    ['resets Mar 29, 3am (Europe/Berlin)', Date.UTC(2026, 2, 29, 1), Date.UTC(2026, 2, 28, 12)],
    ['resets Foo 3, 6am (UTC)', undefined],
    ['resets 11am (Moon/Sea)', undefined],
    ['resets soon', undefined],
    ['', undefined],
  ])('%s', (text, at, now = NOW) => {
    expect(resetIn(text, now)).toBe(at)
  })
})

describe('limits', () => {
  it('are read from what is printed (captured from 2.1.328)', () => {
    const printed =
      'You are currently using your subscription to power your Claude Code usage\n\nCurrent session: 42% used · resets Nov 20, 11:30am (UTC)\nCurrent week (all models): 31% used · resets Nov 23, 8:50pm (UTC)\nCurrent week (Sonnet only): 5% used'
    expect(windowsIn(printed, NOW)).toEqual([
      { name: 'Current session', percent: 42, resetsAt: Date.UTC(2026, 10, 20, 11, 30) },
      { name: 'Current week (all models)', percent: 31, resetsAt: Date.UTC(2026, 10, 23, 20, 50) },
      { name: 'Current week (Sonnet only)', percent: 5 },
    ])
  })

  it.each([
    'Estimated cost:        $0.0000\nUsage:                 0 input, 0 output',
    'Unknown skill: usage',
    '<b>x</b>: many% used',
    '',
  ])('are none in %s', (printed) => {
    expect(windowsIn(printed, NOW)).toEqual([])
  })

  const noted = (utilization: unknown, more: object = {}) =>
    JSON.stringify({
      oauthAccount: { emailAddress: 'a@b.example' },
      cachedUsageUtilization: { fetchedAtMs: NOW, utilization, ...more },
    })

  it('are read from the notes', () => {
    const resets_at = '2026-11-20T11:30:00Z'
    expect(
      notedUsage(
        noted({
          five_hour: { utilization: 42, resets_at },
          seven_day: { utilization: 131 },
          seven_day_opus: null,
        }),
      ),
    ).toEqual({
      at: NOW,
      windows: [
        { name: 'Current session', percent: 42, resetsAt: Date.UTC(2026, 10, 20, 11, 30) },
        { name: 'Current week (all models)', percent: 100 },
      ],
    })
  })

  it.each<[string, string]>([
    ['torn', '{"cachedUsage'],
    ['without them', '{}'],
    ['null', 'null'],
    ['without a time', noted({ five_hour: { utilization: 4 } }, { fetchedAtMs: 'x' })],
    ['with other types', noted({ five_hour: 'much', seven_day: { utilization: '4' } })],
    ['with none', noted({})],
  ])('are unknown from notes that are %s', (_, text) => {
    expect(notedUsage(text)).toBeUndefined()
  })
})
