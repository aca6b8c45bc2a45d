// The watch: what fails is itself seen, what is nudged is looked at once, and nobody waits for a neighbour.

import { describe, expect, it, onTestFinished } from 'vitest'
import { createAlerts, type StoredMemory } from '../../src/ops/alerts/index.ts'
import type { Check, Observation } from '../../src/ops/checks/index.ts'
import { createAlertLog } from '../../src/ops/state/alerts.ts'
import { createWatch } from '../../src/ops/watch.ts'
import { keptLog, openTestState, T0 } from './help.ts'

const CYCLE = 30_000
const seen = (verdict: Observation['verdict'], key = 'disk'): Observation => ({
  ...{ key, area: 'host', title: `Trouble with ${key}`, why: 'so it is', verdict },
})

/** A watch over real alerts; its clock goes on by a cycle at each cycle. */
function createHouse(checks: Check[], cycleMs = CYCLE) {
  const { store, cards } = openTestState()
  const { log, lines } = keptLog()
  let now = T0
  let cycles = 0
  const alerts = createAlerts({
    ...{ store, log: createAlertLog<StoredMemory>(store), cards, cycleMs: CYCLE, timeZone: 'UTC', now: T0 },
  })
  const watch = createWatch({ checks, alerts, cycleMs, now: () => now, log, onCycle: () => void cycles++ })
  onTestFinished(watch.stop)
  return {
    ...{ watch, alerts, lines },
    cycles: () => cycles,
    async cycle(times = 1): Promise<void> {
      for (let time = 0; time < times; time++) {
        await watch.cycle()
        now += CYCLE
      }
    },
    open: () => alerts.open(now).map(({ key, why }) => [key, why]),
    verdicts: () => Object.fromEntries([...alerts.seen()].map(([key, { memory }]) => [key, memory.verdict])),
  }
}
type Look = Check['look']
const check = (name: string, look: Look, more: Partial<Check> = {}): Check => ({ name, look, ...more })
const never: Look = () => new Promise(() => {})

describe('a check that does not work', () => {
  it.each<[string, Look, Partial<Check>, string]>([
    [
      'throws',
      () => {
        throw new Error('no df')
      },
      {},
      'no df',
    ],
    ['fails later', () => Promise.reject(new Error('no df')), {}, 'no df'],
    ['hangs', never, { deadlineMs: 5 }, 'disk was not seen within 0.005 s'],
  ])(
    'because it %s is itself something bad, and leaves its alerts as they were',
    async (_, broken, more, why) => {
      let look: Look = async () => [seen('warn')]
      const house = createHouse([check('disk', (signal) => look(signal), more)])
      await house.cycle(3)
      expect(house.open()).toEqual([['disk', 'so it is']])
      look = broken
      await house.cycle(20)
      expect(house.open()).toEqual([
        ['check/disk', `${why}. What it watches is not seen while this lasts.`],
        ['disk', 'so it is'],
      ])
      expect(house.lines).toHaveLength(20)
      expect(house.cycles()).toBe(23)
      look = async () => [seen('ok')]
      await house.cycle(5)
      expect(house.open()).toEqual([])
    },
  )

  it('is told that its time is over', async () => {
    const told = Promise.withResolvers<string>()
    const slow: Look = (signal) => {
      signal.addEventListener('abort', () => told.resolve(signal.reason.message))
      return never(signal)
    }
    await createHouse([check('disk', slow, { deadlineMs: 5 })]).cycle()
    expect(await told.promise).toBe('disk was not seen within 0.005 s')
  })

  it('and answers after its time is not heard', async () => {
    const late = Promise.withResolvers<Observation[]>()
    const house = createHouse([check('disk', () => late.promise, { deadlineMs: 5 })])
    await house.cycle()
    late.resolve([seen('bad')])
    await new Promise(setImmediate)
    expect(house.verdicts()).toEqual({ 'check/disk': 'bad' })
  })

  it('for a moment says nothing', async () => {
    let times = 0
    const house = createHouse([
      check('disk', async () => {
        if (times++ % 5 < 2) throw new Error('for a moment')
        return [seen('ok')]
      }),
    ])
    await house.cycle(10)
    expect(house.open()).toEqual([])
  })

  it('does not stop the others', async () => {
    const gate = Promise.withResolvers<Observation[]>()
    const house = createHouse([check('slow', () => gate.promise), check('disk', async () => [seen('ok')])])
    const cycle = house.cycle()
    await new Promise(setImmediate)
    expect([house.verdicts().disk, house.cycles()]).toEqual(['ok', 0])
    house.watch.nudge('disk')
    gate.resolve([seen('ok', 'slow')])
    await cycle
    expect([house.verdicts().slow, house.cycles()]).toEqual(['ok', 1])
  })
})

describe('a nudge', () => {
  it('is a look at once; those that come during a look are one more after it', async () => {
    const gates: PromiseWithResolvers<Observation[]>[] = []
    const house = createHouse([
      check('disk', () => {
        const gate = Promise.withResolvers<Observation[]>()
        gates.push(gate)
        return gate.promise
      }),
    ])
    house.watch.nudge('disk')
    expect(gates).toHaveLength(1)
    for (let times = 0; times < 100; times++) house.watch.nudge('disk')
    expect(gates).toHaveLength(1)
    gates[0]?.resolve([seen('ok')])
    await new Promise(setImmediate)
    expect(gates).toHaveLength(2)
    gates[1]?.resolve([seen('ok')])
    await new Promise(setImmediate)
    expect(gates).toHaveLength(2)
  })

  it('of what nobody watches, or after the stop, is nothing', async () => {
    let looks = 0
    const house = createHouse([
      check('disk', async () => {
        looks += 1
        return []
      }),
    ])
    house.watch.nudge('nobody')
    house.watch.stop()
    house.watch.nudge('disk')
    await new Promise(setImmediate)
    expect(looks).toBe(0)
  })

  it('is no sample: a storm of them does not make an alert', async () => {
    const house = createHouse([check('disk', async () => [seen('warn')])])
    for (let times = 0; times < 50; times++) {
      house.watch.nudge('disk')
      await new Promise(setImmediate)
    }
    expect([house.verdicts().disk, house.open()]).toEqual(['warn', []])
  })
})

describe('the clock of the watch', () => {
  it('looks at some things only in every n-th cycle', async () => {
    const looks: Record<string, number> = {}
    const count = (name: string, every: number) =>
      check(
        name,
        async () => {
          looks[name] = (looks[name] ?? 0) + 1
          return []
        },
        { every },
      )
    await createHouse([count('each', 1), count('third', 3), count('tenth', 10)]).cycle(12)
    expect(looks).toEqual({ each: 12, third: 4, tenth: 2 })
  })

  it('begins at once and goes on until it is stopped, also when something breaks', async () => {
    const third = Promise.withResolvers<void>()
    let looks = 0
    const house = createHouse(
      [
        check('disk', async () => {
          looks += 1
          if (looks === 3) third.resolve()
          throw new Error('broken')
        }),
      ],
      1,
    )
    house.watch.start()
    expect(looks).toBe(1)
    await third.promise
    house.watch.stop()
    await new Promise(setImmediate)
    const then = looks
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(looks).toBe(then)
  })

  it('after the stop hears nothing more', async () => {
    const gate = Promise.withResolvers<Observation[]>()
    const house = createHouse([check('disk', () => gate.promise)])
    const cycle = house.cycle()
    house.watch.stop()
    gate.resolve([seen('bad')])
    await cycle
    expect([house.verdicts(), house.cycles()]).toEqual([{}, 0])
  })
})

describe('evidence', () => {
  it('is gathered when an alert fires, follows by edit, and may fail without harm', async () => {
    const asked: string[] = []
    const evidence = async (key: string) => {
      asked.push(key)
      if (key === 'b') throw new Error('no log')
      return ['the last line of its log']
    }
    const look: Look = async () => [seen('warn', 'a'), seen('warn', 'b'), seen('ok', 'c')]
    const house = createHouse([check('disk', look, { evidence })])
    await house.cycle(6)
    await new Promise(setImmediate)
    expect(asked).toEqual(['a', 'b'])
    expect(house.alerts.open(T0).map(({ key, evidence: lines }) => [key, lines])).toEqual([
      ['a', ['the last line of its log']],
      ['b', undefined],
    ])
    expect(house.lines).toEqual(['warn an alert was not explained'])
  })
})
