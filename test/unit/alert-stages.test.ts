// Stages, daily reminders and good proof in the alert machine: which are told, how often, and at what hour.

import { describe, expect, it } from 'vitest'
import { isDueToday } from '../../src/ops/alerts/daily.ts'
import { type AlertsCard, createAlerts, type StoredMemory } from '../../src/ops/alerts/index.ts'
import { type AlertMemory, defaultPolicy, type Policy, step, type Tell } from '../../src/ops/alerts/step.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import { createAlertLog } from '../../src/ops/state/alerts.ts'
import { openTestState } from './help.ts'

const CYCLE = 30_000
const MINUTE = 60_000
const HOUR = 3_600_000
const T0 = Date.UTC(2026, 10, 20, 12)
const self = { key: 'credential/cli', area: 'credentials', title: 'The login', why: '' }
const berlin = { hour: 9, timeZone: 'Europe/Berlin' }
const policy: Policy = { ...defaultPolicy(CYCLE), daily: berlin }

interface Look {
  /** A stage: `2 d`, `ended!` is critical, `ok` is good, `renewed` good with proof, `?` not seen. */
  stage: string
  after?: number
  muted?: boolean
  inhibited?: boolean
  daily?: boolean
}

function observationOf({ stage, daily }: Look): Observation {
  if (stage === '?') return { ...self, verdict: 'unknown' }
  if (stage === 'ok') return { ...self, verdict: 'ok' }
  if (stage === 'renewed') return { ...self, verdict: 'ok', proof: true }
  const verdict = stage.endsWith('!') ? 'bad' : 'warn'
  return { ...self, verdict, stage, proof: true, ...(daily && { daily }) }
}

function play(looks: readonly Look[], from = T0, before?: AlertMemory) {
  let memory = before
  let at = from
  const told: string[] = []
  for (const look of looks) {
    at += look.after ?? CYCLE
    const { muted = false, inhibited = false } = look
    const stepped = step(memory, observationOf(look), at, { policy, muted, inhibited })
    // As it is stored: a restart between any two looks changes nothing.
    memory = JSON.parse(JSON.stringify(stepped.memory))
    if (stepped.tell) told.push(`${stepped.tell} ${look.stage}` satisfies `${Tell} ${string}`)
  }
  return { told, memory: memory ?? expect.fail(), at }
}

const many = (count: number, look: Look): Look[] => Array.from({ length: count }, () => look)
const stages = (...all: string[]): Look[] => all.map((stage) => ({ stage }))

describe('a stage', () => {
  it.each<[string, Look[], string[]]>([
    ['is told when it fires', stages('5 d'), ['fired 5 d']],
    ['is told once, however long it lasts', many(5_000, { stage: '5 d' }), ['fired 5 d']],
    [
      'that changes is told at once, one after another',
      stages('5 d', '2 d', '1 d', '2 h', 'ended!'),
      ['fired 5 d', 'stage 2 d', 'stage 1 d', 'stage 2 h', 'stage ended!'],
    ],
    [
      'told a moment ago does not keep the next one back (D19)',
      [{ stage: '2 h' }, { stage: 'ended!', after: 1_000 }],
      ['fired 2 h', 'stage ended!'],
    ],
    [
      'that comes and goes is told once in two hours',
      stages('2 h', 'ended!', '2 h', 'ended!', '2 h', 'ended!'),
      ['fired 2 h', 'stage ended!'],
    ],
    [
      'that is still another one after two hours is told then',
      [...stages('2 h', 'ended!'), ...many(300, { stage: '2 h' })],
      ['fired 2 h', 'stage ended!', 'stage 2 h'],
    ],
    [
      'that changes under a mute is told once when that ends, as it stands then',
      [
        { stage: '5 d' },
        { stage: '2 d', muted: true },
        { stage: '1 d', muted: true },
        ...many(9, { stage: '1 d' }),
      ],
      ['fired 5 d', 'stage 1 d'],
    ],
    [
      'is silent while its cause is told',
      [{ stage: '2 h' }, ...many(9, { stage: 'ended!', inhibited: true }), { stage: 'renewed' }],
      ['fired 2 h', 'resolved renewed'],
    ],
    ['that cannot be seen is not told', [{ stage: '2 h' }, ...many(9, { stage: '?' })], ['fired 2 h']],
    [
      'is told anew in a new alert',
      stages('2 h', 'renewed', '2 h', 'renewed'),
      ['fired 2 h', 'resolved renewed', 'fired 2 h', 'resolved renewed'],
    ],
  ])('%s', (_, looks, told) => {
    expect(play(looks).told).toEqual(told)
  })

  it('that is told again in its change is not also told as worse', () => {
    const { told, memory } = play([{ stage: '2 h' }, ...many(20, { stage: 'ended!' })])
    expect([told, memory.firing?.severity]).toEqual([['fired 2 h', 'stage ended!'], 'critical'])
  })

  it('is told also when somebody has acknowledged the one before', () => {
    const { memory, at } = play(stages('2 d'))
    const firing = { ...(memory.firing ?? expect.fail()), ack: { by: 'Ann', at } }
    expect(play(stages('1 d'), at, { ...memory, firing }).told).toEqual(['stage 1 d'])
  })
})

describe('good proof', () => {
  it.each<[string, Look[], string[]]>([
    ['ends an alert at once', stages('ended!', 'renewed'), ['fired ended!', 'resolved renewed']],
    [
      'without proof a good look has to last',
      [{ stage: 'ended!' }, ...many(4, { stage: 'ok' })],
      ['fired ended!'],
    ],
    [
      'ends at once also one that fired often of late',
      stages('2 h', 'renewed', '2 h', 'renewed', '2 h', 'renewed'),
      ['fired 2 h', 'resolved renewed', 'fired 2 h', 'resolved renewed', 'fired 2 h', 'resolved renewed'],
    ],
    ['of what never fired is silent', many(9, { stage: 'renewed' }), []],
  ])('%s', (_, looks, told) => {
    expect(play(looks).told).toEqual(told)
  })
})

describe('the daily reminder', () => {
  const at = (iso: string) => Date.parse(iso)
  /** Looks every 10 minutes from one moment to another, and when it was told, on the wall clock of Berlin. */
  function reminders(from: string, to: string, around: Partial<Look> = {}, acked = false): string[] {
    let memory: AlertMemory | undefined
    const told: string[] = []
    for (let now = at(from); now <= at(to); now += 10 * MINUTE) {
      const look = { stage: 'ended!', daily: true, ...around }
      const stepped = step(memory, observationOf(look), now, {
        policy,
        muted: look.muted ?? false,
        inhibited: false,
      })
      memory = stepped.memory
      if (acked && memory.firing) memory.firing.ack ??= { by: 'Ann', at: now }
      if (stepped.tell)
        told.push(
          `${stepped.tell} ${new Date(now).toLocaleString('sv-SE', { timeZone: 'Europe/Berlin' }).slice(5, 16)}`,
        )
    }
    return told
  }

  it.each<[string, string, string, string[]]>([
    [
      'comes at the hour of each next day',
      '2026-11-20T12:00Z',
      '2026-11-23T12:00Z',
      ['fired 11-20 13:00', 'reminder 11-21 09:00', 'reminder 11-22 09:00', 'reminder 11-23 09:00'],
    ],
    [
      'does not come on the day on which it fired, not even before the hour',
      '2026-11-20T05:00Z',
      '2026-11-21T07:50Z',
      ['fired 11-20 06:00'],
    ],
    [
      'comes in the morning after it fired at night',
      '2026-11-20T22:50Z',
      '2026-11-21T12:00Z',
      ['fired 11-20 23:50', 'reminder 11-21 09:00'],
    ],
    [
      'comes once a day across the end of summer time',
      '2026-10-24T12:00Z',
      '2026-10-26T12:00Z',
      ['fired 10-24 14:00', 'reminder 10-25 09:00', 'reminder 10-26 09:00'],
    ],
    [
      'comes once a day across its beginning',
      '2027-03-27T12:00Z',
      '2027-03-29T12:00Z',
      ['fired 03-27 13:00', 'reminder 03-28 09:00', 'reminder 03-29 09:00'],
    ],
  ])('%s', (_, from, to, told) => {
    expect(reminders(from, to)).toEqual(told)
  })

  it('comes also when somebody has acknowledged it', () => {
    expect(reminders('2026-11-20T12:00Z', '2026-11-21T12:00Z', {}, true)).toHaveLength(2)
  })

  it('does not come under a mute, nor of what does not ask for it', () => {
    expect(reminders('2026-11-20T12:00Z', '2026-11-25T12:00Z', { muted: true })).toEqual([])
    expect(reminders('2026-11-20T12:00Z', '2026-11-25T12:00Z', { daily: false })).toHaveLength(1)
  })

  it('comes late when nobody looked at the hour, and not twice', () => {
    const looks = [
      { stage: 'ended!', daily: true },
      { stage: 'ended!', daily: true, after: 34 * HOUR },
      { stage: 'ended!', daily: true },
    ]
    expect(play(looks).told).toEqual(['fired ended!', 'reminder ended!'])
  })

  it.each([
    ['an hour that is skipped comes late', 2, '2027-03-27T20:00Z', '2027-03-28T01:00Z', true],
    ['an hour that comes twice is told once', 2, '2026-10-25T00:00Z', '2026-10-25T01:00Z', false],
    ['midnight is an hour', 0, '2026-11-20T12:00Z', '2026-11-20T23:00Z', true],
    ['midnight is before the ninth hour', 9, '2026-11-20T12:00Z', '2026-11-20T23:00Z', false],
    ['a clock that went back a day tells nothing', 9, '2026-11-20T12:00Z', '2026-11-19T12:00Z', false],
  ])('%s', (_, hour, told, now, due) => {
    expect(isDueToday(at(told), at(now), { hour, timeZone: 'Europe/Berlin' })).toBe(due)
  })
})

describe('on cards', () => {
  it('each stage, each reminder at the operator’s hour and the end is a card of its own', () => {
    const { store, cards } = openTestState()
    const log = createAlertLog<StoredMemory>(store)
    const alerts = createAlerts({
      ...{ store, log, cards, cycleMs: CYCLE, timeZone: 'Europe/Berlin', reminderHour: 7, now: T0 },
    })
    const look = (stage: string, at: number) =>
      alerts.observe({ name: 'credentials' }, [observationOf({ stage, daily: true })], at)
    look('2 h', T0)
    look('ended!', T0 + 2 * HOUR)
    alerts.ack('all', 'Ann', T0 + 2 * HOUR)
    // 6:50 and 7:00 in Berlin.
    look('ended!', T0 + 17 * HOUR + 50 * MINUTE)
    look('ended!', T0 + 18 * HOUR)
    look('renewed', T0 + 19 * HOUR)
    const entries = cards.raisedSince(0).flatMap(({ facts }) => (facts as AlertsCard).entries)
    expect(entries.map(({ reason, phase }) => `${reason} ${phase}`)).toEqual([
      ...['fired moved', 'stage moved', 'reminder resolved', 'resolved resolved'],
    ])
  })
})
