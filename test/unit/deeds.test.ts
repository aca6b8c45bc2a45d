// Deeds: what has to hold before one begins, what is written of it, and what becomes of it when the process stops.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createDeeds, type Deed } from '../../src/ops/deeds.ts'
import { openTestState, T0, tempDir } from './help.ts'

const ann = { name: 'Ann (11)' }
const bob = { name: 'Bob (22)' }

function createHouse(directory = tempDir()) {
  const state = openTestState(directory)
  let now = T0
  const deeds = createDeeds({ ...state, now: () => now++ })
  return {
    ...state,
    deeds,
    rows: () => state.audit.list(99).map(({ action, detail, result }) => [action, detail, result]),
  }
}
const deed = <T>(run: Deed<T>['run'], more: Partial<Deed<T>> = {}): Deed<T> => ({
  ...{ name: 'recreate', detail: 'gateway', danger: 'disruptive', run },
  ...more,
})

describe('a deed', () => {
  it('is an intent before it runs and an outcome after it', async () => {
    const { deeds, audit, rows } = createHouse()
    const { id, done } = deeds.perform(
      deed(() => {
        expect(rows()).toEqual([['recreate', 'gateway', undefined]])
        return 'done so'
      }),
      ann,
    )
    expect(await done).toBe('done so')
    expect(audit.list(9)).toEqual([
      {
        id,
        at: T0,
        actor: 'Ann (11)',
        action: 'recreate',
        detail: 'gateway',
        result: 'done',
        endedAt: T0 + 1,
      },
    ])
  })

  it.each<[string, () => unknown]>([
    [
      'at once',
      () => {
        throw new Error('no such container')
      },
    ],
    ['later', () => Promise.reject(new Error('no such container'))],
  ])('that fails %s has failed in the audit too', async (_, run) => {
    const { deeds, rows, store } = createHouse()
    await expect(deeds.perform(deed(run), ann).done).rejects.toThrow('no such container')
    expect(rows()).toEqual([['recreate', 'gateway', 'failed']])
    expect(store.get("SELECT detail FROM audit WHERE phase = 'outcome'")).toEqual({
      detail: 'no such container',
    })
    expect(deeds.running()).toBe(0)
  })

  it('that nobody waits for may fail without harm', async () => {
    const { deeds, rows } = createHouse()
    deeds.perform(
      deed(() => Promise.reject(new Error('unheard'))),
      ann,
    )
    await new Promise(setImmediate)
    expect(rows()).toEqual([['recreate', 'gateway', 'failed']])
  })

  it('has its resource for itself, until it ended, whatever the end', async () => {
    const { deeds } = createHouse()
    const gate = Promise.withResolvers<void>()
    const first = deeds.perform(
      deed(() => gate.promise, { resource: 'gateway' }),
      ann,
    )
    const again = () =>
      deeds.perform(
        deed(() => 'mine', { resource: 'gateway' }),
        bob,
      )
    expect(again).toThrow(new OpsError('Ann (11) is already at it: recreate gateway'))
    expect(
      await deeds.perform(
        deed(() => 'other', { resource: 'backup' }),
        bob,
      ).done,
    ).toBe('other')
    gate.reject(new Error('failed'))
    await expect(first.done).rejects.toThrow('failed')
    expect(await again().done).toBe('mine')
  })
})

describe('a freeze', () => {
  it('stops every change but its own end, in words, and leaves no row', async () => {
    const { deeds, meta, rows } = createHouse()
    meta.set('frozen', { by: 'Ann (11)', at: T0 })
    expect(() =>
      deeds.perform(
        deed(() => expect.fail('it ran'), { danger: 'safe' }),
        bob,
      ),
    ).toThrow(
      new OpsError(
        'Changes are frozen by Ann (11): recreate was not done. An owner ends that with /unfreeze.',
      ),
    )
    expect(rows()).toEqual([])
    await deeds.perform(
      deed(() => meta.clear('frozen'), { thaws: true }),
      bob,
    ).done
    expect(
      await deeds.perform(
        deed(() => 'thawed'),
        bob,
      ).done,
    ).toBe('thawed')
  })

  it('outlives a restart', () => {
    const directory = tempDir()
    const before = createHouse(directory)
    before.meta.set('frozen', { by: 'Ann', at: T0 })
    before.store.close()
    expect(() =>
      createHouse(directory).deeds.perform(
        deed(() => 1),
        bob,
      ),
    ).toThrow('Changes are frozen by Ann')
  })
})

describe('a stop', () => {
  it('asks what runs to end, waits for it and takes nothing new', async () => {
    const { deeds, rows } = createHouse()
    const { done } = deeds.perform(
      deed(
        (signal) =>
          new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
      ),
      ann,
    )
    expect(deeds.running()).toBe(1)
    const drained = deeds.drain(60_000)
    expect(() =>
      deeds.perform(
        deed(() => 1),
        bob,
      ),
    ).toThrow(new OpsError('opsbot is stopping: send it again in a minute.'))
    await drained
    await expect(done).rejects.toThrow('stopped')
    expect([rows(), deeds.running()]).toEqual([[['recreate', 'gateway', 'interrupted']], 0])
  })

  it('lets what comes to its end in time end well', async () => {
    const { deeds, rows } = createHouse()
    deeds.perform(
      deed(() => new Promise(setImmediate)),
      ann,
    )
    await deeds.drain(60_000)
    expect(rows()).toEqual([['recreate', 'gateway', 'done']])
  })

  it('does not wait for ever: what is left is settled at the next start, and told', async () => {
    const directory = tempDir()
    const before = createHouse(directory)
    const { id } = before.deeds.perform(
      deed(() => new Promise(() => {}), { resource: 'gateway' }),
      ann,
    )
    await before.deeds.perform(
      deed(() => 1, { name: 'mute' }),
      bob,
    ).done
    await before.deeds.drain(10)
    before.store.close()

    const { deeds, audit } = createHouse(directory)
    expect(() =>
      deeds.perform(
        deed(() => 1, { resource: 'gateway' }),
        bob,
      ),
    ).toThrow('Ann (11) is already at it')
    expect(deeds.settleInterrupted()).toMatchObject([
      { id, actor: 'Ann (11)', action: 'recreate', detail: 'gateway' },
    ])
    expect(deeds.settleInterrupted()).toEqual([])
    expect(audit.list(9).map(({ result }) => result)).toEqual(['done', 'interrupted'])
    expect(
      await deeds.perform(
        deed(() => 'free', { resource: 'gateway' }),
        bob,
      ).done,
    ).toBe('free')
  })

  it('with nothing to wait for is at once', async () => {
    await createHouse().deeds.drain(60_000)
  })
})

describe('a disk that takes no writes', () => {
  function full() {
    const house = createHouse()
    const pages = house.store.get<{ page_count: number }>('PRAGMA page_count')?.page_count
    house.store.get(`PRAGMA max_page_count = ${pages}`)
    house.audit.note('opsbot', 'fill', 'x'.repeat(100_000), T0)
    expect(house.store.durable()).toBe(false)
    return house
  }

  it.each(['disruptive', 'destructive'] as const)('refuses what is %s, and frees its resource', (danger) => {
    const { deeds, rows } = full()
    for (let times = 0; times < 2; times++)
      expect(() =>
        deeds.perform(
          deed(() => expect.fail('it ran'), { danger, resource: 'gateway' }),
          ann,
        ),
      ).toThrow(
        'The disk of the state directory takes no writes, so this could not be recorded and was not done. Free some space, then send it again.',
      )
    expect(rows().slice(0, 2)).toEqual(Array(2).fill(['recreate', 'gateway', 'failed']))
  })

  it('lets what is safe be done', async () => {
    expect(
      await full().deeds.perform(
        deed(() => 'muted', { danger: 'safe' }),
        ann,
      ).done,
    ).toBe('muted')
  })

  it('is noticed by the very deed that finds it so', () => {
    const house = createHouse()
    const pages = house.store.get<{ page_count: number }>('PRAGMA page_count')?.page_count
    house.store.get(`PRAGMA max_page_count = ${pages}`)
    const detail = 'x'.repeat(100_000)
    expect(() =>
      house.deeds.perform(
        deed(() => expect.fail('it ran'), { detail }),
        ann,
      ),
    ).toThrow('takes no writes')
  })
})
