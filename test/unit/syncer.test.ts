// The syncer: when a look at the login becomes a sync, and when nothing to do is believed.

import { describe, expect, it } from 'vitest'
import type { ClaudeFile } from '../../src/ops/claude/index.ts'
import { createSyncer } from '../../src/ops/credentials/syncer.ts'
import type { Deed } from '../../src/ops/deeds.ts'

const MINUTE = 60_000
const file = (hash: string): ClaudeFile => ({ state: 'ok', path: '/x', hash, expiresAt: 9e12 })

function createHouse() {
  const house = { now: 0, due: true, settled: true, looks: 0, syncs: 0, fails: false }
  const perform = <T>({ run }: Deed<T>) => ({
    id: 1,
    done: Promise.resolve().then(() => run(new AbortController().signal)),
  })
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  const syncer = createSyncer({
    sync: {
      async isDue() {
        house.looks += 1
        return house.due
      },
      async quietly() {
        house.syncs += 1
        if (house.fails) throw new Error('no room')
        return 'done'
      },
    },
    ...{ perform, log, now: () => house.now, settled: () => house.settled, onEnd() {} },
  })
  /** One look at the login, to its end. */
  async function look(hash = 'a') {
    syncer.consider(file(hash))
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
  }
  return { house, syncer, look }
}

describe('the syncer', () => {
  it('copies a token once, and looks at the copies again after ten minutes', async () => {
    const { house, look } = createHouse()
    await look()
    house.due = false
    await look()
    expect(house).toMatchObject({ syncs: 1, looks: 1 })
    house.now = 10 * MINUTE
    await look()
    expect(house).toMatchObject({ syncs: 1, looks: 2 })
  })

  it('copies another token at once', async () => {
    const { house, look } = createHouse()
    await look('a')
    await look('b')
    expect(house.syncs).toBe(2)
  })

  it.each([
    ['is believed when the gateway is up', true, 1],
    ['is looked at again as long as the gateway is not up', false, 2],
  ])('that there is nothing to do %s', async (_, settled, looks) => {
    const { house, look } = createHouse()
    Object.assign(house, { due: false, settled })
    await look()
    await look()
    expect(house).toMatchObject({ syncs: 0, looks })
  })

  it('says why it did not work, until it did', async () => {
    const { house, syncer, look } = createHouse()
    house.fails = true
    await look()
    expect(syncer.trouble()).toBe('no room')
    Object.assign(house, { fails: false, now: MINUTE })
    await look()
    expect(syncer.trouble()).toBeUndefined()
  })

  it('copies nothing from a login that is not whole', async () => {
    const { house, syncer } = createHouse()
    syncer.consider({ state: 'blanked', path: '/x' })
    syncer.consider({ state: 'ok', path: '/x' })
    expect(house.looks).toBe(0)
  })
})
