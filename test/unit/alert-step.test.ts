// The alert machine as a table: what was seen, look by look, and what is told of it.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AlertMemory, defaultPolicy, type Policy, step, type Tell } from '../../src/ops/alerts/step.ts'
import type { Observation } from '../../src/ops/checks/index.ts'

const CYCLE = 30_000
const T0 = Date.UTC(2026, 10, 20, 12)
const HOUR = 3_600_000

const gauge = (value: number) => ({ value, unit: ' %', warn: 90, bad: 97, leave: 85 })
const self = { key: 'memory', area: 'host', title: 'Memory almost full', why: '' }

/** One letter a look: o fine, w warning, b critical, ! critical with proof, ~ between the limits, ? not seen, - gone. */
const SEEN: Record<string, Observation> = {
  o: { ...self, verdict: 'ok', gauge: gauge(50) },
  w: { ...self, verdict: 'warn', gauge: gauge(91) },
  b: { ...self, verdict: 'bad', gauge: gauge(98) },
  '!': { ...self, verdict: 'bad', proof: true },
  '~': { ...self, verdict: 'ok', gauge: gauge(87) },
  '?': { ...self, verdict: 'unknown' },
  '-': { ...self, verdict: 'absent' },
}
/** One letter a tell. */
const TOLD: Record<Tell, string> = {
  fired: 'F',
  worse: 'W',
  stage: 'S',
  unmuted: 'U',
  reminder: 'R',
  resolved: 'E',
}

interface Look {
  letter: string
  /** m muted, i inhibited. */
  around?: string
  /** Milliseconds since the look before. */
  after?: number
}

interface Told {
  letters: string
  memory: AlertMemory | undefined
  at: number
}

function play(looks: readonly Look[], policy: Policy = defaultPolicy(CYCLE)): Told {
  let memory: AlertMemory | undefined
  let at = T0
  let letters = ''
  for (const { letter, around = '.', after = CYCLE } of looks) {
    at += after
    const circumstances = { policy, muted: around === 'm', inhibited: around === 'i' }
    const stepped = step(memory, SEEN[letter] ?? expect.fail(letter), at, circumstances)
    memory = stepped.memory
    letters += stepped.tell ? TOLD[stepped.tell] : '.'
  }
  return { letters, memory, at }
}

const looksOf = (seen: string, around = '', after = CYCLE): Look[] =>
  [...seen].map((letter, index) => ({ letter, around: around[index] ?? '.', after }))

/** `w3 o5` → `wwwooooo`. */
const spell = (short: string) =>
  short
    .split(' ')
    .map((word) => word.charAt(0).repeat(Number(word.slice(1) || 1)))
    .join('')

describe('one look a cycle', () => {
  it.each([
    ['the first sight of a healthy thing is silent', 'o3', '.3'],
    ['a thing that is not there is never told of', '-3', '.3'],
    ['it fires at the third bad look', 'w5', '.2 F .2'],
    ['two bad looks are a spike and say nothing', 'w2 o9 w2 o9 w2', '.24'],
    ['a good look starts the count anew', 'w2 o1 w2 o1 w3', '.8 F'],
    ['a look between the limits starts the count anew too', 'w2 ~1 w3', '.5 F'],
    ['it is over at the fifth good look', 'w3 o6', '.2 F .4 E .1'],
    ['a bad look starts the way out anew', 'w3 o4 w1 o5', '.2 F .9 E'],
    ['between the limits it stays as it is, for however long', 'w3 ~500', '.2 F .500'],
    ['a look between the limits starts the way out anew', 'w3 o4 ~1 o5', '.2 F .9 E'],
    ['a fall from firing to between and back says nothing', 'w3 ~3 w3 ~3 w3', '.2 F .12'],
    ['proof fires at once', '!1', 'F'],
    ['proof fires amid good looks', 'o3 !1', '.3 F'],
    ['a firing of proof ends like every other', '!1 o5', 'F .4 E'],
    ['it fires as critical at the third look too', 'b5', '.2 F .2'],
    ['a warning that turned critical is told after its time', 'w3 b4', '.2 F .2 W .1'],
    ['a warning that is critical now and then is not', 'w3 b2 w1 b2 w1 b2', '.2 F .8'],
    ['a warning that proof makes critical is told at once', 'w3 !1', '.2 F W'],
    ['critical that eases to a warning says nothing, nor when it is critical again', 'b3 w9 b9', '.2 F .18'],
    ['what is gone ends at once', 'w3 -1', '.2 F E'],
    ['what is gone before it fired says nothing, and begins anew', 'w2 -1 w3', '.5 F'],
    ['what cannot be seen stays as it was, for however long', 'w3 ?500', '.2 F .500'],
    ['what cannot be seen does not fire', 'w2 ?500', '.502'],
    ['what was never seen does not fire', '?9', '.9'],
    ['the way out goes on where it was before it could not be seen', 'w3 o3 ?9 o2', '.2 F .13 E'],
    ['turning bad five times within 20 cycles fires', 'w1 o1 w1 o1 w1 o1 w1 o1 w1', '.8 F'],
    ['turning bad four times does not', 'w1 o1 w1 o1 w1 o1 w1 o9', '.16'],
    [
      'turning bad five times in more than 20 cycles does not',
      'w1 o5 w1 o5 w1 o5 w1 o5 w1 o5 w1 o5 w1',
      '.37',
    ],
    ['flapping that goes on says nothing more', 'w1 o1 w1 o1 w1 o1 w1 o1 w1 o1 w1 o1 w1 o1 w1 o1', '.8 F .7'],
    ['flapping is over after five good looks', 'w1 o1 w1 o1 w1 o1 w1 o1 w1 o5', '.8 F .4 E'],
    ['the second firing within two hours needs nine good looks', 'w3 o5 w3 o9', '.2 F .4 E .2 F .8 E'],
    [
      'the fourth needs 33, and so does the fifth',
      'w3 o5 w3 o9 w3 o17 w3 o33 w3 o33',
      '.2 F .4 E .2 F .8 E .2 F .16 E .2 F .32 E .2 F .32 E',
    ],
    ['a firing of more than two hours still needs five good looks', 'w250 o5', '.2 F .247 .4 E'],
    ['after two quiet hours five are enough again', 'w3 o5 o245 w3 o5', '.2 F .4 E .245 .2 F .4 E'],
  ])('%s', (_, seen, told) => {
    expect(play(looksOf(spell(seen))).letters).toBe(spell(told))
  })
})

describe('one look a cycle, with mutes (m) and a bad cause (i)', () => {
  it.each([
    ['a mute keeps a firing silent', 'w9', 'm9', '.9'],
    ['a firing that nobody was told of is told when its mute ends', 'w6', 'm4 .2', '.4 F .1'],
    ['it is told as it then stands, once', 'w3 b6', 'm6 .3', '.6 F .2'],
    ['a firing that a mute hushed is told once when that ends', 'w9', '.3 m3 .3', '.2 F .3 U .2'],
    ['a second mute is told of again', 'w9', '.3 m1 .1 m1 .3', '.2 F .1 U .1 U .2'],
    ['what nobody was told of ends without a word', 'w3 o9', 'm12', '.12'],
    ['what was told before the mute is told to be over', 'w3 o5', '.3 m5', '.2 F .4 E'],
    ['a mute does not stop the watching', 'w2 w1', 'm2 .1', '.2 F'],
    ['what got worse under a mute is told as worse, and no second time', 'w3 b6', '.3 m4 .2', '.2 F .4 W .1'],
    ['proof under a mute waits for its end', '!3', 'm2 .1', '.2 F'],
    ['a mute that ends while all looks good waits for what comes', 'w3 o3 w1', 'm4 .3', '.6 F'],
    ['and is not told of when that is the end', 'w3 o6', 'm4 .5', '.9'],
    ['nor is what was told before it', 'w3 o5', '.3 m2 .3', '.2 F .4 E'],
    ['while its cause is bad nothing fires', 'w9', 'i9', '.9'],
    ['not even with proof', '!9', 'i9', '.9'],
    ['after its cause is good again it needs its full time', 'w7', 'i4 .3', '.6 F'],
    ['what fired before its cause did goes on firing and says nothing', 'w3 b9', '.3 i9', '.2 F .9'],
    ['and is told to be over', 'w3 o5', '.3 i5', '.2 F .4 E'],
    ['a mute that ends while its cause is bad says nothing until that ends', 'w8', 'm3 i3 .2', '.6 F .1'],
  ])('%s', (_, seen, around, told) => {
    expect(play(looksOf(spell(seen), spell(around))).letters).toBe(spell(told))
  })
})

describe('looks at odd times', () => {
  it.each<[string, Look[], string]>([
    ['a hundred nudges within a second are no time', looksOf(spell('w100'), '', 10), spell('.100')],
    [
      'a hundred nudges do not end it either',
      [...looksOf('www'), ...looksOf(spell('o100'), '', 10)],
      spell('.2 F .100'),
    ],
    [
      'nudges that fill two cycles fire when that time has passed',
      looksOf(spell('w60'), '', 1_000),
      spell('.57 F .2'),
    ],
    [
      'an hour in which nobody looked counts as a cycle and a half',
      [...looksOf('w'), { letter: 'w', after: HOUR }, { letter: 'w' }],
      '..F',
    ],
    [
      'an hour in which nobody looked does not end it',
      [...looksOf('wwwo'), { letter: 'o', after: HOUR }, ...looksOf('ooo')],
      spell('.2 F .4 E'),
    ],
    [
      'an hour in which it could not be seen counts as a cycle and a half',
      [...looksOf('w'), { letter: '?', after: HOUR }, { letter: 'w' }, { letter: 'w' }],
      '...F',
    ],
    [
      'a clock that goes back does no harm',
      [...looksOf('w'), { letter: 'w', after: -HOUR }, ...looksOf('www')],
      '...F.',
    ],
    ['a cycle that comes a little early still counts', looksOf('www', '', CYCLE * 0.96), '..F'],
  ])('%s', (_, looks, told) => {
    expect(play(looks).letters).toBe(told)
  })
})

describe('what is remembered', () => {
  it('a firing knows since when it is bad, when it fired and how bad it was', () => {
    const { memory } = play(looksOf('owwwbw'))
    expect(memory?.firing).toMatchObject({
      since: T0 + 2 * CYCLE,
      firedAt: T0 + 4 * CYCLE,
      peak: 98,
      severity: 'warning',
      told: true,
    })
  })

  it('a flapping alert is bad since it first turned bad', () => {
    const { memory } = play(looksOf('wowowowow'))
    expect(memory?.firing).toMatchObject({ since: T0 + CYCLE, flapping: true })
  })

  it('what is over knows its beginning, its end, its severity and its peak', () => {
    const { memory, at } = play(looksOf('bbbooooo'))
    expect(memory?.firing).toBeUndefined()
    expect(memory?.resolved).toEqual({ since: T0 + CYCLE, at, severity: 'critical', peak: 98 })
  })

  it('what is not seen keeps all that it was, and says so', () => {
    const before = play(looksOf('www')).memory ?? expect.fail()
    const blind: Observation = { ...self, verdict: 'unknown', why: 'It hangs.' }
    const { memory, tell } = step(before, blind, T0 + HOUR, {
      policy: defaultPolicy(CYCLE),
      muted: false,
      inhibited: false,
    })
    expect({ memory, tell }).toEqual({
      memory: { ...before, verdict: 'unknown', why: 'It hangs.' },
      tell: undefined,
    })
  })
})

describe('reminders', () => {
  const policy = { ...defaultPolicy(CYCLE), remindMs: 10 * CYCLE }

  it('it is told again every so often while nobody has acknowledged it', () => {
    expect(play(looksOf(spell('w25')), policy).letters).toBe(spell('.2 F .9 R .9 R .2'))
  })

  it('by default never', () => {
    expect(play(looksOf(spell('w5000'))).letters).toBe(spell('.2 F .4997'))
  })

  it('no more once somebody has acknowledged it', () => {
    const before = play(looksOf('www'), policy).memory ?? expect.fail()
    const firing = { ...(before.firing ?? expect.fail()), ack: { by: 'Ann', at: T0 } }
    const around = { policy, muted: false, inhibited: false }
    const { memory, tell } = step({ ...before, firing }, SEEN.w ?? expect.fail(), T0 + HOUR, around)
    expect([tell, memory.firing?.ack?.by]).toEqual([undefined, 'Ann'])
  })
})

describe('whatever is seen', () => {
  const look = (arounds: string) =>
    fc.record({
      letter: fc.constantFrom(...'owwb!~?-oow'),
      around: fc.constantFrom(...arounds),
      after: fc.oneof({ weight: 4, arbitrary: fc.constant(CYCLE) }, fc.integer({ min: 0, max: 3 * CYCLE })),
    })
  const looks = (arounds = '.....mi') => fc.array(look(arounds), { maxLength: 120 })
  const holds = (property: (looks: Look[], told: string[]) => void, arounds?: string) =>
    fc.assert(
      fc.property(looks(arounds), (all) => property(all, [...play(all).letters])),
      { numRuns: 400 },
    )

  it('it never fires twice without an end between, and is never told to be over more often than it fired', () => {
    holds((_, told) => {
      // An end that nobody was told of follows a firing that nobody was told of, so these two alternate.
      const turns = told.filter((letter) => letter === 'F' || letter === 'E').join('')
      expect(turns).toMatch(/^(FE)*F?$/)
    })
  })

  it('it gets worse, is reminded of and unmuted only between firing and end', () => {
    holds((_, told) => {
      expect(told.filter((letter) => letter !== '.').join('')).toMatch(/^(F[WUR]*E)*(F[WUR]*)?$/)
    })
  })

  it('nothing but an end is told under a mute or a bad cause, and nothing at all of what cannot be seen', () => {
    holds((all, told) => {
      for (const [index, { letter, around }] of all.entries()) {
        if (letter === '?') expect(told[index]).toBe('.')
        if (around !== '.') expect(told[index]).toMatch(/[.E]/)
      }
    })
  })

  // Without mutes: these put the telling off, so that the look in which it is told says nothing of when it fired.
  it('without proof or flapping it never fires on less than its time', () => {
    const { badMs, flaps } = defaultPolicy(CYCLE)
    holds((all, told) => {
      let [at, badSince, proof] = [T0, undefined as number | undefined, false]
      let wasBad = false
      const turns: number[] = []
      for (const [index, { letter, around, after = CYCLE }] of all.entries()) {
        at += after
        if (letter === '?') continue
        const bad = 'wb!'.includes(letter)
        if (!bad || around === 'i') [badSince, proof] = [undefined, false]
        else {
          badSince ??= at
          proof ||= letter === '!'
          if (!wasBad) turns.push(at)
        }
        wasBad = bad && around !== 'i'
        if (told[index] !== 'F' || proof) continue
        const lately = turns.filter((turn) => at - turn < flaps.withinMs).length
        if (lately < flaps.times) expect(at - (badSince ?? at)).toBeGreaterThanOrEqual(badMs)
      }
    }, '.....i')
  })

  it('a doubled look changes nothing', () => {
    holds((all, told) => {
      const doubled = play(all.flatMap((each) => [each, { ...each, after: 0 }])).letters
      expect([...doubled].filter((_, index) => index % 2 === 0)).toEqual(told)
    })
  })

  it('a restart between any two looks changes nothing', () => {
    const policy = defaultPolicy(CYCLE)
    fc.assert(
      fc.property(look('.'), looks(), (last, all) => {
        const { memory, at } = play(all)
        const stored: AlertMemory | undefined = memory && JSON.parse(JSON.stringify(memory))
        const around = { policy, muted: false, inhibited: false }
        const seen = SEEN[last.letter] ?? expect.fail()
        expect(step(stored, seen, at + CYCLE, around)).toEqual(step(memory, seen, at + CYCLE, around))
      }),
    )
  })
})
