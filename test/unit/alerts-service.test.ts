// Alerts on a real state: which cards they raise, join, hold back and revise, across restarts and a disk that is full.

import { describe, expect, it } from 'vitest'
import {
  type AlertFacts,
  type AlertsCard,
  type AlertsOptions,
  createAlerts,
  type StoredMemory,
} from '../../src/ops/alerts/index.ts'
import type { Observation, Verdict } from '../../src/ops/checks/index.ts'
import { createAlertLog } from '../../src/ops/state/alerts.ts'
import type { DueCopy } from '../../src/ops/state/copies.ts'
import { HOUR, MINUTE, openTestState, SECOND, type State, T0, tempDir } from './help.ts'

const CYCLE = 30 * SECOND
const CHAT = -100

type Seen = Record<string, Verdict | Partial<Observation>>

const observations = (seen: Seen): Observation[] =>
  Object.entries(seen).map(([key, what]) => ({
    ...{ key, area: 'host', title: `Trouble with ${key}`, why: 'It is so.', verdict: 'ok' },
    ...(typeof what === 'string' ? { verdict: what } : what),
  }))

/** Alerts over a real state, a clock that is moved by hand, and a chat that gets everything that is due. */
function createHouse(options: Partial<AlertsOptions> = {}) {
  const directory = tempDir()
  let state: State = openTestState(directory)
  const begin = (now: number, more: Partial<AlertsOptions> = {}) =>
    createAlerts({
      ...{ store: state.store, log: createAlertLog<StoredMemory>(state.store), cards: state.cards },
      ...{ cycleMs: CYCLE, timeZone: 'UTC', now, ...options, ...more },
    })
  let alerts = begin(T0)
  const house = {
    now: T0,
    get state() {
      return state
    },
    get alerts() {
      return alerts
    },
    /** Looks once, this long after the look before. */
    look(seen: Seen, after = CYCLE, check = 'test') {
      house.now += after
      alerts.observe({ name: check }, observations(seen), house.now)
    },
    /** Looks as often as it takes to fire. */
    fire(seen: Seen, check = 'test') {
      for (let times = 0; times < 3; times++) house.look(seen, CYCLE, check)
    },
    /** Looks as often as it takes to be over, the first time. */
    end(seen: Seen, check = 'test') {
      for (let times = 0; times < 5; times++) house.look(seen, CYCLE, check)
    },
    restart(more: Partial<AlertsOptions> = {}) {
      state.store.close()
      state = openTestState(directory)
      alerts = begin(house.now, more)
    },
    cards: () => state.cards.raisedSince(0).map((card) => ({ ...card, facts: card.facts as AlertsCard })),
    /** `fired disk firing` for each entry of each card. */
    story: () =>
      house
        .cards()
        .map(({ facts }) => facts.entries.map(({ reason, key, phase }) => `${reason} ${key} ${phase}`)),
    due(): DueCopy[] {
      for (const { id, dueAt } of state.copies.unaddressed()) state.copies.address(id, [CHAT], dueAt)
      return state.copies.due(house.now)
    },
    /** Brings everything that is due to the chat. @returns what each call did. */
    deliver(): string[] {
      const calls: string[] = []
      for (let due = house.due(); due[0]; due = house.due()) {
        const [copy] = due
        const answering = copy.replyTo === undefined ? '' : ` answering ${copy.replyTo}`
        calls.push(copy.messageId === undefined ? `send ${copy.card.id}${answering}` : `edit ${copy.card.id}`)
        state.copies.delivered(copy, copy.messageId ?? 1000 + copy.card.id, copy.card.revision)
      }
      return calls
    },
  }
  return house
}
type House = ReturnType<typeof createHouse>

const entry = (house: House, card = 0, index = 0) =>
  house.cards()[card]?.facts.entries[index] ?? expect.fail('there is no such card')

describe('one alert', () => {
  it('is one card, silent for a warning and ringing for something critical', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.fire({ memory: 'bad' }, 'other')
    expect(house.story()).toEqual([['fired disk firing'], ['fired memory firing']])
    expect(house.cards().map(({ ring }) => ring)).toEqual([false, true])
  })

  it('says since when, what and how bad, and goes on saying nothing more', () => {
    const house = createHouse()
    const gauge = { value: 91, unit: ' %', warn: 85, bad: 95, leave: 80 }
    const disk = { verdict: 'warn' as const, gauge, why: '91 % used', mend: 'Delete something.' }
    for (let times = 0; times < 100; times++) house.look({ disk })
    expect(house.cards()).toHaveLength(1)
    expect(entry(house)).toMatchObject({
      ...{
        key: 'disk',
        area: 'host',
        title: 'Trouble with disk',
        why: '91 % used',
        mend: 'Delete something.',
      },
      ...{ severity: 'warning', phase: 'firing', since: T0 + CYCLE, peak: 91, unit: ' %' },
    })
  })

  it('is edited when its figures change, at most every five minutes', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    for (let times = 0; times < 60; times++) house.look({ disk: { verdict: 'warn', why: `look ${times}` } })
    const [card] = house.cards()
    expect([card?.revision, house.cards().length]).toEqual([1 + 6, 1])
  })

  it('is edited when it is acknowledged: whose it is does not change after that', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.alerts.ack('disk', 'Ann', house.now)
    house.alerts.ack('all', 'Bob', house.now + 1)
    expect(entry(house).ack).toEqual({ by: 'Ann', at: house.now })
    expect(house.cards().map(({ revision }) => revision)).toEqual([2])
    house.end({ disk: 'ok' })
    expect(entry(house)).toMatchObject({ phase: 'resolved', ack: { by: 'Ann' } })
  })

  it('is edited when what helps against it is no longer known', () => {
    const house = createHouse()
    house.fire({ disk: { verdict: 'warn', mend: 'Delete something.' } })
    expect(entry(house).mend).toBe('Delete something.')
    for (let times = 0; times < 20; times++)
      house.look({ disk: { verdict: 'warn', why: 'It is otherwise.' } })
    expect(entry(house)).toMatchObject({ why: 'It is otherwise.' })
    expect(entry(house)).not.toHaveProperty('mend')
  })

  it('is edited when it is muted and when the mute ends, and says nothing meanwhile', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    const until = house.now + HOUR
    expect(house.alerts.mute('disk', until, 'Ann', house.now)).toEqual(['disk'])
    expect(entry(house).mutedUntil).toBe(until)
    house.fire({ disk: 'bad' })
    expect(house.cards()).toHaveLength(1)
    house.alerts.unmute('disk', house.now)
    expect(entry(house)).not.toHaveProperty('mutedUntil')
  })

  it('tells once when its mute has ended and it still fires, on a new card', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.alerts.mute('disk', house.now + 5 * CYCLE, 'Ann', house.now)
    for (let times = 0; times < 20; times++) house.look({ disk: 'warn' })
    expect(house.story()).toEqual([['fired disk moved'], ['unmuted disk firing']])
  })

  it('gets a card that rings when it gets worse, and the old one points there', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.fire({ disk: 'bad' })
    house.end({ disk: 'ok' })
    expect(house.story()).toEqual([['fired disk moved'], ['worse disk resolved'], ['resolved disk resolved']])
    expect(house.cards().map(({ ring }) => ring)).toEqual([false, true, false])
  })

  it('is resolved on its own card, with its end, and by a silent new card that answers it', () => {
    const house = createHouse()
    house.fire({ disk: 'bad' })
    expect(house.deliver()).toEqual(['send 1'])
    house.end({ disk: 'ok' })
    expect(house.story()).toEqual([['fired disk resolved'], ['resolved disk resolved']])
    expect(entry(house)).toMatchObject({ since: T0 + CYCLE, endedAt: house.now, severity: 'critical' })
    expect(house.cards()[1]?.ring).toBe(false)
    expect(house.deliver()).toEqual(['edit 1', 'send 2 answering 1001'])
  })

  it('has no resolution told where nobody saw it fire', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.end({ disk: 'ok' })
    expect(house.deliver()).toEqual(['send 1'])
    expect(house.state.copies.overdueSince()).toBeUndefined()
  })

  it('gets a new card when it fires again, and the old card keeps its last words', () => {
    const house = createHouse()
    house.fire({ disk: { verdict: 'warn', why: 'the first time' } })
    house.end({ disk: 'ok' })
    const [before] = house.cards()
    house.fire({ disk: { verdict: 'warn', why: 'the second time' } })
    expect(house.cards()[0]).toEqual(before)
    expect(house.story()).toEqual([
      ['fired disk resolved'],
      ['resolved disk resolved'],
      ['fired disk firing'],
    ])
    expect(entry(house, 2).id).toBe(entry(house, 0).id)
  })

  it('ends when what it is about vanishes, and others of its check do not', () => {
    const house = createHouse()
    house.fire({ 'disk//a': 'warn', 'disk//b': 'warn' })
    house.look({ 'disk//b': 'warn' })
    expect(house.story()).toEqual([
      ['fired disk//a resolved', 'fired disk//b firing'],
      ['resolved disk//a resolved'],
    ])
    expect(house.alerts.open(house.now).map(({ key }) => key)).toEqual(['disk//b'])
  })

  it('does not end because another check saw nothing of it', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    house.look({ memory: 'ok' }, CYCLE, 'other')
    house.look({}, CYCLE, 'a third')
    expect(house.story()).toEqual([['fired disk firing']])
  })

  it('ends when this version no longer has its check, and others go on', () => {
    const house = createHouse()
    house.fire({ disk: 'warn' }, 'gone')
    house.fire({ memory: 'warn' }, 'kept')
    house.fire({ 'check/kept': 'bad' }, 'check/kept')
    house.restart()
    house.alerts.retire(['kept'], house.now)
    expect(house.alerts.open(house.now).map(({ key }) => key)).toEqual(['check/kept', 'memory'])
  })

  it('says when the disk will be full at this rate, once there is a rate', () => {
    const house = createHouse()
    const fills = (value: number) => ({
      value,
      unit: ' %',
      warn: 85,
      bad: 95,
      leave: 80,
      fills: true as const,
    })
    for (let minute = 0; minute <= 60; minute++)
      house.look({ disk: { verdict: 'warn', gauge: fills(85 + minute / 10), why: `${minute}` } }, MINUTE)
    // 9 points are left at 6 points an hour.
    expect(house.alerts.open(house.now)[0]?.fullInMs).toBeCloseTo(1.5 * HOUR, -6)
    expect(entry(house).fullInMs).toBeGreaterThan(HOUR)
  })
})

describe('what is meant by a reference', () => {
  const ids = (facts: readonly AlertFacts[]) => facts.map(({ key }) => key)

  it.each([
    ['an alert’s key', 'disk', ['disk']],
    ['its number', '1', ['disk']],
    ['all of one card', 'card:1', ['disk', 'memory']],
    ['all that fire', 'all', ['disk', 'memory', 'load']],
  ])('%s', (_, reference, meant) => {
    const house = createHouse()
    house.fire({ disk: 'warn', memory: 'warn' })
    house.fire({ load: 'warn' }, 'other')
    expect(ids(house.alerts.find(reference, house.now))).toEqual(meant)
    expect(ids(house.alerts.ack(reference, 'Ann', house.now))).toEqual(meant)
    expect(house.alerts.mute(reference, house.now + HOUR, 'Ann', house.now)).toEqual(
      reference === 'all' ? ['all'] : meant,
    )
  })

  it.each([
    ['nothing', 'No firing alert is meant by "nothing". /alerts lists them.'],
    ['card:99', 'No firing alert is meant by "card:99". /alerts lists them.'],
    ['', 'No firing alert is meant by "". /alerts lists them.'],
  ])('"%s" is refused in words', (reference, sentence) => {
    const house = createHouse()
    house.fire({ disk: 'warn' })
    expect(() => house.alerts.ack(reference, 'Ann', house.now)).toThrow(sentence)
    expect(() => house.alerts.mute(reference, house.now, 'Ann', house.now)).toThrow(sentence)
  })

  it('"all" of nothing is refused in words too', () => {
    const { alerts, now } = createHouse()
    expect(() => alerts.ack('all', 'Ann', now)).toThrow('No alert is firing.')
    expect(() => alerts.unmute('all', now)).toThrow('Nothing is muted.')
  })

  it('an area can be muted, before anything in it fires', () => {
    const house = createHouse()
    house.look({ disk: 'ok' })
    expect(house.alerts.mute('host', house.now + HOUR, 'Ann', house.now)).toEqual(['host'])
    house.fire({ disk: 'bad' })
    expect(house.cards()).toEqual([])
    expect(() => house.alerts.unmute('disk', house.now)).toThrow('"disk" is not muted. Muted: host.')
    expect(house.alerts.unmute('all', house.now)).toEqual(['host'])
    house.look({ disk: 'bad' })
    expect(house.story()).toEqual([['fired disk firing']])
  })
})

describe('a bad cause', () => {
  it('keeps what it explains silent, until it is good again for the full time', () => {
    const house = createHouse()
    const child = { verdict: 'bad' as const, because: 'engine' }
    for (let times = 0; times < 9; times++) house.look({ engine: 'bad', container: child })
    expect(house.story()).toEqual([['fired engine firing']])
    house.end({ engine: 'ok', container: child })
    house.fire({ engine: 'ok', container: child })
    expect(house.story().slice(2)).toEqual([['fired container firing']])
  })
})

describe('a storm', () => {
  it('is one card: the first at once, further warnings within ten seconds join it', () => {
    const house = createHouse()
    house.look({ a: 'warn', b: 'warn' })
    house.look({ a: 'warn', b: 'warn' })
    house.look({ c: 'warn' }, 0, 'other')
    house.look({ c: 'warn' }, CYCLE - 5 * SECOND, 'other')
    house.look({ a: 'warn', b: 'warn' }, 5 * SECOND)
    expect(house.story()).toEqual([['fired a firing', 'fired b firing']])
    house.look({ c: 'warn' }, 10 * SECOND, 'other')
    expect(house.story()).toEqual([['fired a firing', 'fired b firing']])
    house.look({ c: 'warn' }, 20 * SECOND, 'other')
    expect(house.story()).toEqual([['fired a firing', 'fired b firing'], ['fired c firing']])
  })

  it('that goes on for longer than ten seconds takes a second card', () => {
    const house = createHouse()
    for (const [name, after] of [
      ['a', 0],
      ['b', 9],
      ['c', 2],
    ] as const) {
      house.look({ [name]: { verdict: 'warn', proof: true } }, after * SECOND, name)
    }
    expect(house.story()).toEqual([['fired a firing', 'fired b firing'], ['fired c firing']])
  })

  it('gives everything critical a card of its own, that rings', () => {
    const house = createHouse()
    house.fire({ a: 'warn', b: 'bad', c: 'warn', d: 'bad' })
    expect(house.cards().filter(({ ring }) => ring)).toHaveLength(2)
    expect(house.story().flat().sort()).toEqual(['a', 'b', 'c', 'd'].map((key) => `fired ${key} firing`))
    for (const { ring, facts } of house.cards()) if (ring) expect(facts.entries[0]?.severity).toBe('critical')
  })

  it('that is over is one answer', () => {
    const house = createHouse()
    house.fire({ a: 'warn', b: 'warn', c: 'warn' })
    house.deliver()
    house.end({ a: 'ok', b: 'ok', c: 'ok' })
    expect(house.story()).toEqual([
      ['a', 'b', 'c'].map((key) => `fired ${key} resolved`),
      ['a', 'b', 'c'].map((key) => `resolved ${key} resolved`),
    ])
    expect(house.deliver()).toEqual(['edit 1', 'send 2 answering 1001'])
  })

  it('that is over one by one is an answer each', () => {
    const house = createHouse()
    house.fire({ a: 'warn', b: 'warn' })
    house.end({ a: 'ok', b: 'warn' })
    house.end({ a: 'ok', b: 'ok' })
    expect(house.story().slice(1)).toEqual([['resolved a resolved'], ['resolved b resolved']])
  })
})

describe('quiet hours', () => {
  const NIGHT = { from: '12:00', to: '18:00' }
  const MORNING = T0 + 6 * HOUR

  it('hold what is not critical back until they end, on one card', () => {
    const house = createHouse({ quietHours: NIGHT })
    house.fire({ disk: 'warn' })
    house.fire({ load: 'warn' }, 'other')
    expect(house.deliver()).toEqual([])
    expect(house.story()).toEqual([['fired disk firing', 'fired load firing']])
    expect(house.cards()[0]?.facts.heading).toEqual({ kind: 'quiet', from: T0 + 3 * CYCLE, to: MORNING })
    house.now = MORNING - 1
    expect(house.deliver()).toEqual([])
    house.now = MORNING
    expect(house.deliver()).toEqual(['send 1'])
  })

  it('show on that card what was over meanwhile, without another', () => {
    const house = createHouse({ quietHours: NIGHT })
    house.fire({ disk: 'warn', load: 'warn' })
    house.end({ disk: 'ok', load: 'warn' })
    expect(house.story()).toEqual([['fired disk resolved', 'fired load firing']])
    house.now = MORNING
    expect(house.deliver()).toEqual(['send 1'])
  })

  it('hold the end of what was told before them back too', () => {
    const house = createHouse({ quietHours: { from: '12:02', to: '18:00' } })
    house.fire({ disk: 'warn' })
    expect(house.deliver()).toEqual(['send 1'])
    house.end({ disk: 'ok' })
    expect(house.story()).toEqual([['fired disk resolved'], ['resolved disk resolved']])
    expect(house.deliver()).toEqual(['edit 1'])
    house.now = MORNING
    expect(house.deliver()).toEqual(['send 2'])
  })

  it('do not hold anything critical back', () => {
    const house = createHouse({ quietHours: NIGHT })
    house.fire({ disk: 'warn', memory: 'bad' })
    expect(house.deliver()).toEqual(['send 2'])
    expect(house.cards().map(({ ring }) => ring)).toEqual([false, true])
  })

  it('let what was held back ring when it turns critical', () => {
    const house = createHouse({ quietHours: NIGHT })
    house.fire({ disk: 'warn' })
    house.fire({ disk: 'bad' })
    expect(house.story()).toEqual([['fired disk moved'], ['worse disk firing']])
    expect(house.deliver()).toEqual(['send 2'])
  })

  it('that hold something back are no reason to stop the heartbeat', () => {
    const house = createHouse({ quietHours: NIGHT })
    house.fire({ disk: 'warn' })
    house.due()
    expect(house.state.copies.overdueSince()).toBe(MORNING)
  })
})

describe('a restart', () => {
  it('repeats nothing and forgets nothing', () => {
    const house = createHouse()
    house.fire({ disk: 'warn', load: 'bad' })
    house.deliver()
    house.alerts.ack('disk', 'Ann', house.now)
    house.restart()
    house.look({ disk: 'warn', load: 'bad' })
    expect(house.cards()).toHaveLength(2)
    expect(house.alerts.open(house.now).map(({ key, ack }) => [key, ack?.by])).toEqual([
      ['load', undefined],
      ['disk', 'Ann'],
    ])
    house.end({ disk: 'ok', load: 'bad' })
    expect(house.story().at(-1)).toEqual(['resolved disk resolved'])
    expect(house.deliver()).toEqual(['edit 1', 'send 3 answering 1001'])
  })

  it('after every look tells the same as none', () => {
    const script = [...'wwoowwwwoobbbbwoooooooooowwww-wwwooooooooooooooo'].map(
      (letter) => ({ w: 'warn', o: 'ok', b: 'bad', '-': 'absent' })[letter] as Verdict,
    )
    const [steady, shaken] = [createHouse(), createHouse()]
    for (const verdict of script) {
      steady.look({ disk: verdict })
      shaken.look({ disk: verdict })
      shaken.restart()
    }
    expect(steady.story().length).toBeGreaterThan(4)
    expect(shaken.cards()).toEqual(steady.cards())
  })

  it('after a while away tells on one card what fired and what ended meanwhile', () => {
    const house = createHouse()
    house.fire({ disk: 'warn', load: 'ok', swap: 'ok' })
    house.deliver()
    const from = house.now
    house.now += HOUR
    const to = house.now
    house.restart({ aliveAt: from })
    for (let times = 0; times < 5; times++) house.look({ disk: 'ok', load: 'warn', swap: 'warn' })
    expect(house.story().slice(1)).toEqual([
      ['fired load firing', 'fired swap firing', 'resolved disk resolved'],
    ])
    expect(house.cards()[1]?.facts.heading).toEqual({ kind: 'startup', from, to })
    expect(house.deliver()).toEqual(['edit 1', 'send 2'])
    // Later news stand alone again.
    for (let times = 0; times < 20; times++) house.look({ disk: 'ok', load: 'ok', swap: 'warn' })
    expect(house.story().slice(2)).toEqual([['resolved load resolved']])
  })

  it('after a while away gives something critical its own card all the same', () => {
    const house = createHouse({ aliveAt: T0 - HOUR })
    house.fire({ disk: 'bad', load: 'warn' })
    expect(house.cards().map(({ ring, facts }) => [ring, facts.heading?.kind])).toEqual([
      [true, undefined],
      [false, 'startup'],
    ])
  })

  it('after a minute away has no heading', () => {
    const house = createHouse({ aliveAt: T0 - MINUTE })
    house.fire({ disk: 'warn' })
    expect(house.cards()[0]?.facts.heading).toBeUndefined()
  })

  it('does not remember what was always well', () => {
    const house = createHouse()
    for (let times = 0; times < 9; times++) house.look({ disk: 'ok', load: 'ok' })
    expect(createAlertLog(house.state.store).list()).toEqual([])
  })
})

describe('a state that fails in the middle', () => {
  it('neither loses nor doubles a tell when the disk is full and the work is done again in memory', () => {
    const house = createHouse()
    house.look({ disk: 'warn' })
    house.look({ disk: 'warn' })
    const pages = house.state.store.get<{ page_count: number }>('PRAGMA page_count')?.page_count
    house.state.store.get(`PRAGMA max_page_count = ${pages}`)
    // Too much for the pages that there are.
    const long = { verdict: 'warn' as const, why: 'x'.repeat(50_000) }
    house.look({ disk: long, load: 'ok' })
    expect(house.state.store.durable()).toBe(false)
    expect(house.story()).toEqual([['fired disk firing']])
    house.look({ disk: long, load: 'ok' })
    house.end({ disk: 'ok', load: 'ok' })
    expect(house.story()).toEqual([['fired disk resolved'], ['resolved disk resolved']])
  })

  it('tells at the next look what could not be written at this one', () => {
    const state = openTestState()
    let broken = true
    const cards: State['cards'] = {
      ...state.cards,
      raise(spec, now) {
        const id = state.cards.raise(spec, now)
        if (broken) throw new Error('the second half fails')
        return id
      },
    }
    const log = createAlertLog<StoredMemory>(state.store)
    const alerts = createAlerts({ store: state.store, log, cards, cycleMs: CYCLE, timeZone: 'UTC', now: T0 })
    const look = (at: number) =>
      alerts.observe({ name: 'test' }, observations({ disk: { verdict: 'warn', proof: true } }), at)
    expect(() => look(T0)).toThrow('the second half fails')
    expect([state.cards.raisedSince(0), log.list(), alerts.open(T0)]).toEqual([[], [], []])
    broken = false
    look(T0 + CYCLE)
    look(T0 + 2 * CYCLE)
    expect(state.cards.raisedSince(0)).toHaveLength(1)
  })
})
