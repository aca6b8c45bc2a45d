// Deaths of containers: their causes in words, which of them somebody asked for, and each told once however events and looks interleave.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { causeOf, createDeaths, type Restarts } from '../../src/ops/deaths.ts'
import type { ContainerEvent } from '../../src/ops/docker/index.ts'
import { boxOf, newId } from '../fixtures/docker/engine.ts'
import { MINUTE, T0 } from './help.ts'

const ID = newId()
const KEPT = 10 * MINUTE
const event = (action: string, at: number, more: Partial<ContainerEvent> = {}): ContainerEvent => ({
  ...{ id: ID, name: 'gateway', action, at },
  ...more,
})
const dies = (at: number, exitCode = 1, id = ID) => event('die', at, { exitCode, id })

/** What is kept of restarts beyond a process. */
function shelf(): Restarts & { counts: Record<string, number> } {
  const kept = {
    counts: {} as Record<string, number>,
    get: () => kept.counts,
    set: (counts: Record<string, number>) => {
      kept.counts = structuredClone(counts)
    },
  }
  return kept
}

function createYard(restarts = shelf()) {
  const deaths = createDeaths(KEPT, restarts)
  return {
    ...{ deaths, restarts },
    read: (restartCount: number, now = T0, more: Parameters<typeof boxOf>[1] = {}) =>
      deaths.read(boxOf('gateway', { id: ID, restartCount, ...more }), now),
    all: () => deaths.since(ID, 0).map(({ at, exitCode, oom }) => [at, exitCode, oom]),
  }
}

describe('the cause of a death', () => {
  it.each<[number | undefined, boolean, string]>([
    [0, false, 'ended without an error (exit 0)'],
    [1, false, 'ended with an error'],
    [2, false, 'ended with exit code 2'],
    [78, false, 'refused its configuration or state (exit 78)'],
    [125, false, 'could not be started by Docker'],
    [126, false, 'could not run its command (exit 126)'],
    [127, false, 'did not find its command (exit 127)'],
    [128, false, 'ended with exit code 128'],
    [130, false, 'was ended by SIGINT (exit 130)'],
    [134, false, 'was ended by SIGABRT (exit 134)'],
    [137, false, 'was ended by SIGKILL (exit 137)'],
    [139, false, 'was ended by SIGSEGV (exit 139)'],
    [143, false, 'was ended by SIGTERM (exit 143)'],
    [255, false, 'ended with exit code 255'],
    [137, true, 'was killed because it ran out of memory'],
    [1, true, 'was killed because it ran out of memory'],
    [undefined, false, 'died'],
    [undefined, true, 'was killed because it ran out of memory'],
  ])('with exit code %s and out of memory %s it %s', (exitCode, oom, words) => {
    expect(causeOf({ oom, ...(exitCode !== undefined && { exitCode }) })).toBe(words)
  })
})

describe('a death', () => {
  it.each<[string, ContainerEvent[], unknown[]]>([
    ['that nobody asked for counts', [dies(T0, 137)], [[T0, 137, false]]],
    ['without an error is an end of its own', [dies(T0, 0)], []],
    ['of hunger for memory says so', [event('oom', T0 - 50), dies(T0, 137)], [[T0, 137, true]]],
    [
      'long after an OOM kill of one of its processes has another cause',
      [event('oom', T0 - 11_000), dies(T0, 1)],
      [[T0, 1, false]],
    ],
    [
      'soon after another of hunger has its own cause',
      [event('oom', T0), dies(T0, 137), event('start', T0 + 100), dies(T0 + 900, 1)],
      [
        [T0, 137, true],
        [T0 + 900, 1, false],
      ],
    ],
    ...['15', '9', '2', '3', 'SIGTERM', 'SIGKILL'].map((signal): [string, ContainerEvent[], unknown[]] => [
      `that was asked for by signal ${signal} does not count`,
      [event('kill', T0 - 5_000, { signal }), dies(T0, 137)],
      [],
    ]),
    [
      'after a signal that only tells something counts',
      [event('kill', T0 - 9, { signal: '1' }), dies(T0)],
      [[T0, 1, false]],
    ],
    [
      'long after it was asked to end, and did not, counts',
      [event('kill', T0 - 400_000, { signal: '15' }), dies(T0)],
      [[T0, 1, false]],
    ],
    [
      'of hunger counts although somebody had asked',
      [event('kill', T0 - 9, { signal: '15' }), event('oom', T0 - 5), dies(T0, 137)],
      [[T0, 137, true]],
    ],
    [
      'after a restart by hand counts again',
      [event('kill', T0, { signal: '15' }), dies(T0, 143), event('start', T0 + 1), dies(T0 + 2)],
      [[T0 + 2, 1, false]],
    ],
    ['of another container is not its own', [dies(T0, 1, newId())], []],
    ['of a container that was removed is forgotten', [dies(T0), event('destroy', T0 + 1)], []],
    [
      'is not seen in health checks, pauses and renames',
      [event('health_status: unhealthy', T0), event('pause', T0), event('rename', T0)],
      [],
    ],
  ])('%s', (_, events, expected) => {
    const { deaths, all } = createYard()
    for (const each of events) deaths.note(each)
    expect(all()).toEqual(expected)
  })
})

describe('a restart count', () => {
  it('tells of deaths that no event told of, without their exit codes', () => {
    const { read, all } = createYard()
    read(0)
    read(2, T0 + 9, { oomKilled: true })
    expect(all()).toEqual([
      [T0 + 9, undefined, true],
      [T0 + 9, undefined, true],
    ])
  })

  it('says nothing at first sight: whoever died before we came is no news', () => {
    const { read, all } = createYard()
    read(40)
    expect(all()).toEqual([])
  })

  it.each<[string, (yard: ReturnType<typeof createYard>) => void]>([
    ['after the event', ({ deaths, read }) => [deaths.note(dies(T0)), read(1, T0 + 1)]],
    [
      'after the event, with a look that was on its way when it came',
      ({ deaths, read }) => [deaths.note(dies(T0)), read(0, T0 + 1), read(1, T0 + 2)],
    ],
    [
      'before the event, which was still on its way',
      ({ deaths, read }) => [read(1, T0 + 1), deaths.note(dies(T0)), read(1, T0 + 2)],
    ],
  ])('that is seen %s is the same death', (_, happen) => {
    const yard = createYard()
    yard.read(0, T0 - 1)
    happen(yard)
    yard.read(1, T0 + 9)
    expect(yard.all()).toEqual([[T0, 1, false]])
  })

  it('that a late event shows to be an end without an error is taken back', () => {
    const { deaths, read, all } = createYard()
    read(0)
    read(1, T0 + 1)
    deaths.note(dies(T0, 0))
    expect(all()).toEqual([])
  })

  it('begins anew when somebody starts it by hand', () => {
    const { read, all } = createYard()
    read(7)
    read(0)
    expect(all()).toEqual([])
    read(1, T0 + 5)
    expect(all()).toEqual([[T0 + 5, undefined, false]])
  })

  it('does not wait for a restart that never comes', () => {
    for (const more of [{ restartPolicy: 'no' }, { restartPolicy: 'on-failure', state: 'exited' }]) {
      const { deaths, read, all } = createYard()
      read(0)
      deaths.note(dies(T0))
      read(0, T0 + 1, more)
      // Started again by hand; the event of its next death is lost.
      read(1, T0 + MINUTE)
      expect(all()).toEqual([
        [T0, 1, false],
        [T0 + MINUTE, undefined, false],
      ])
    }
  })

  it('outlives the bot: what died while it was away is told, and only that', () => {
    const restarts = shelf()
    const before = createYard(restarts)
    before.read(3)
    before.deaths.note(dies(T0))
    before.read(4, T0 + 1)
    const after = createYard(restarts)
    after.read(6, T0 + MINUTE)
    expect(after.all()).toHaveLength(2)
    expect(createYard(restarts).all()).toEqual([])
  })

  it('is kept under a short id: a whole one would be taken for a secret', () => {
    const { restarts, read } = createYard()
    read(3)
    expect(Object.keys(restarts.counts)).toEqual([ID.slice(0, 12)])
  })

  it('is written only when it changes', () => {
    const restarts = shelf()
    const { set } = restarts
    let written = 0
    restarts.set = (counts) => {
      written += 1
      set(counts)
    }
    const { read } = createYard(restarts)
    for (const count of [1, 1, 1, 2, 2]) read(count)
    expect(written).toBe(2)
  })
})

describe('what is remembered', () => {
  it('ends when a crash loop is no longer looked for', () => {
    const { deaths, all } = createYard()
    deaths.note(dies(T0))
    deaths.forget(T0 + KEPT - 1, [ID])
    expect(all()).toHaveLength(1)
    deaths.forget(T0 + KEPT, [ID])
    expect(all()).toEqual([])
  })

  it('stays small: a hundred deaths of one container, whatever its count or its events say', () => {
    const { deaths, read } = createYard()
    read(0)
    read(1_000_000)
    expect(deaths.since(ID, 0)).toHaveLength(100)
    for (let n = 0; n < 500; n += 1) deaths.note(dies(T0 + n))
    expect(deaths.since(ID, 0)).toHaveLength(100)
  })

  it('does not grow with containers whose end nobody told of', () => {
    const { deaths, restarts } = createYard()
    const kinds = ['kill', 'oom', 'die'] as const
    for (let n = 0; n < 300; n += 1) {
      const id = newId()
      for (const action of kinds) deaths.note(event(action, T0, { id, signal: '15', exitCode: 0 }))
      deaths.read(boxOf('gone', { id, restartCount: 1 }), T0)
      deaths.forget(T0 + KEPT, [])
    }
    expect(Object.keys(restarts.counts).length).toBeLessThanOrEqual(1)
    // An id that comes back was not asked to end any more.
    deaths.note(event('kill', T0, { signal: '15' }))
    deaths.forget(T0 + KEPT, [])
    deaths.note(dies(T0 + KEPT))
    expect(deaths.since(ID, 0)).toHaveLength(1)
  })

  it('that somebody asked for an end holds although the list is older than the newest container', () => {
    const { deaths, all } = createYard()
    deaths.note(event('kill', T0, { signal: '15' }))
    deaths.forget(T0 + 1, [])
    deaths.note(dies(T0 + 2, 143))
    expect(all()).toEqual([])
  })
})

/**
 * An engine that restarts a container whenever it dies. Each look takes a picture and reads it later; each event comes
 * in its order but late, or never.
 */
const happening = fc.constantFrom('dies', 'dies unheard', 'picture', 'read', 'hear', 'restarted by hand')

describe('whatever the interleaving of events and looks', () => {
  it('each death that nobody asked for is told exactly once', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 40 }), (happenings) => {
        const { deaths, read } = createYard()
        let [now, count, unasked] = [T0, 0, 0]
        let picture: number | undefined
        const pipe: ContainerEvent[] = []
        const hear = () => {
          const next = pipe.shift()
          if (next) deaths.note(next)
        }
        const look = () => {
          while (pipe.length > 0) hear()
          picture = undefined
          read(count, now)
        }
        look()
        for (const each of happenings) {
          now += 100
          if (each === 'picture') picture = count
          if (each === 'read' && picture !== undefined) {
            read(picture, now)
            picture = undefined
          }
          if (each === 'hear') hear()
          if (each === 'restarted by hand') {
            // Every event nudges a look, so that there is one before and one after.
            look()
            pipe.push(event('kill', now, { signal: '15' }), dies(now, 143), event('start', now))
            count = 0
            look()
          }
          if (each.startsWith('dies')) {
            unasked += 1
            count += 1
            if (each === 'dies') pipe.push(dies(now))
          }
        }
        now += 100
        look()
        look()
        expect(deaths.since(ID, 0)).toHaveLength(unasked)
      }),
      { numRuns: 500 },
    )
  })
})
