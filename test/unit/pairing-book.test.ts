// The book of requests: one card a device, an alert instead of a storm, mutes, and devices that came in without us.

import { describe, expect, it } from 'vitest'
import { createDevicesYard, idOf, shortOf, type Version } from '../fixtures/openclaw/devices-yard.ts'
import { HOUR, MINUTE, SECOND } from './help.ts'

const VERSIONS: Version[] = ['old', 'new']

describe.each(VERSIONS)('before a gateway of the %s version', (version) => {
  it('a storm of retries is one card with a counter, for everybody, and rings once', async () => {
    const house = createDevicesYard(version)
    await house.look()
    for (let each = 0; each < 100; each += 1) {
      house.gateway.ask('laptop', ['operator.read'])
      await house.look()
      house.yard.at += SECOND
    }
    expect(house.cards()).toMatchObject([{ audience: 'everybody', ring: true }])
    expect(house.facts(1)).toMatchObject({
      tries: 100,
      state: 'pending',
      endsAt: house.yard.at - SECOND + 5 * MINUTE,
    })
  })

  it('a retry that was not seen is not counted, and shown at the next look', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    await house.look()
    expect(house.cards()[0]?.revisions).toHaveLength(1)
  })

  it('a card is followed by its device over a restart of ours', async () => {
    const house = createDevicesYard(version)
    await house.look()
    const id = house.gateway.ask('laptop', ['operator.read']) ?? ''
    await house.look()
    house.restart()
    const anew = house.gateway.replace(id)
    await house.look()
    expect(house.cards()).toHaveLength(1)
    expect(house.facts(1)).toMatchObject({ requestId: anew, tries: 2, state: 'pending' })
  })

  it('what a replaced request no longer says is not kept from the one before', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('laptop', ['operator.read'], { displayName: 'Ann', remoteIp: '203.0.113.7' })
    await house.look()
    for (const each of house.yard.pending)
      Object.assign(each, { displayName: undefined, platform: undefined, ts: each.ts + 1 })
    await house.look()
    expect(house.facts(1)).not.toHaveProperty('platform')
    expect(house.facts(1).name).toBe('Control UI')
  })

  it('a request that dies takes its card with it', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.bot().pairing.nextLook()).toBe(house.yard.at + 5 * MINUTE)
    house.yard.at += 5 * MINUTE
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'expired', answeredAt: house.yard.at })
    expect(house.bot().pairing.nextLook()).toBeUndefined()
  })

  it('asked anew before we saw its end, it stays on its card', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    house.yard.at += 5 * MINUTE
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.cards()).toHaveLength(1)
    expect(house.facts(1)).toMatchObject({ state: 'pending', endsAt: house.yard.at + 5 * MINUTE })
  })

  it('asked anew after we saw its end, it is another card', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    house.yard.at += 5 * MINUTE
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.cards().map(({ id }) => house.facts(id).state)).toEqual(['expired', 'pending'])
  })
})

describe('a storm of devices', () => {
  async function storm(count: number) {
    const house = createDevicesYard('new')
    await house.look()
    for (let each = 0; each < count; each += 1) {
      house.gateway.ask(`device ${each}`, ['operator.read'])
      await house.look()
    }
    return house
  }

  it.each([
    [5, 5, false],
    [6, 5, true],
    [40, 5, true],
  ])('of %i within a minute makes %i cards; whether it is one: %s', async (count, cards, isStorm) => {
    const house = await storm(count)
    expect(house.cards()).toHaveLength(cards)
    expect(house.storm()).toBe(isStorm)
    expect(house.bot().pairing.arrived()).toBe(count)
  })

  it('of 1,000 at one look is five cards', async () => {
    const house = createDevicesYard('new')
    await house.look()
    for (let each = 0; each < 1_000; each += 1) house.gateway.ask(`device ${each}`, ['operator.read'])
    await house.look()
    expect([house.cards().length, house.bot().pairing.arrived()]).toEqual([5, 1_000])
  })

  it('is over a minute later, and who still asks gets a card', async () => {
    const house = await storm(7)
    house.yard.at += MINUTE
    expect(house.storm()).toBe(false)
    await house.look()
    expect(house.cards()).toHaveLength(7)
  })

  it('is none when one device asks a hundred times, under new ids too', async () => {
    const house = createDevicesYard('new')
    await house.look()
    for (let each = 0; each < 100; each += 1) {
      const id = house.gateway.ask('laptop', ['operator.read']) ?? ''
      house.gateway.replace(id)
      await house.look()
    }
    expect([house.cards().length, house.storm()]).toEqual([1, false])
  })
})

describe('a muted device', () => {
  it.each([
    ['its short id', shortOf('laptop')],
    ['its whole id', idOf('laptop')],
    ['the beginning of its id', shortOf('laptop').slice(0, 6)],
  ])('by %s has no card until the mute ends, and is no part of a storm', async (_, word) => {
    const house = createDevicesYard('new')
    await house.look()
    house.bot().pairing.mute(word, house.yard.at + HOUR)
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect([house.cards().length, house.bot().pairing.arrived()]).toEqual([0, 0])
    house.restart()
    house.yard.at += HOUR
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.cards()).toHaveLength(1)
    expect(house.bot().pairing.muted()).toEqual({})
  })

  it('is not another one', async () => {
    const house = createDevicesYard('new')
    await house.look()
    house.bot().pairing.mute(shortOf('phone'), house.yard.at + HOUR)
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.cards()).toHaveLength(1)
    expect(Object.keys(house.bot().pairing.muted())).toEqual([shortOf('phone')])
  })
})

describe('a device that is paired without us', () => {
  /** Somebody else lets it in before we see that it asks. */
  const letIn = ({ gateway }: ReturnType<typeof createDevicesYard>, name: string, scopes: string[]) =>
    gateway.approve(gateway.ask(name, scopes) ?? '', 'others')

  it('is told once, with who let it in where the version says it', async () => {
    const house = createDevicesYard('new')
    await house.look()
    letIn(house, 'laptop', ['operator.admin'])
    await house.look()
    house.restart()
    await house.look()
    expect(house.cards('device')).toMatchObject([{ audience: 'everybody', ring: true }])
    expect(house.facts(1)).toMatchObject({ device: shortOf('laptop'), via: 'owner' })
    expect(JSON.stringify(house.cards('device'))).not.toContain(idOf('laptop'))
  })

  it('is not told at the first look: it was there before us', async () => {
    const house = createDevicesYard('new')
    letIn(house, 'laptop', ['operator.admin'])
    await house.look()
    await house.look()
    expect(house.cards('device')).toEqual([])
  })

  it('is not told when it is our own', async () => {
    const house = createDevicesYard('new')
    await house.look()
    letIn(house, 'opsbot', ['operator.admin'])
    await house.look()
    expect(house.cards('device')).toEqual([])
  })

  it('is not told when its request was on a card: that says it', async () => {
    const house = createDevicesYard('new')
    await house.look()
    const id = house.gateway.ask('laptop', ['operator.admin']) ?? ''
    await house.look()
    house.gateway.approve(id, 'others')
    await house.look()
    await house.look()
    expect(house.cards('device')).toEqual([])
    expect(house.facts(1)).toMatchObject({ state: 'approved' })
    expect(house.facts(1)).not.toHaveProperty('by')
  })

  it('is told although it was on a card when it got more than that showed', async () => {
    const house = createDevicesYard('old')
    await house.look()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    const id = house.gateway.ask('laptop', ['operator.admin']) ?? ''
    house.gateway.approve(id, 'others')
    await house.look()
    expect(house.cards('device')).toHaveLength(1)
    expect(house.facts(2).scopes).toContain('operator.admin')
  })

  it('is told again when it may do more, and not when it may do less', async () => {
    const house = createDevicesYard('new')
    await house.look()
    letIn(house, 'laptop', ['operator.read'])
    await house.look()
    letIn(house, 'laptop', ['operator.pairing'])
    await house.look()
    expect(house.facts(2)).toMatchObject({
      had: ['operator.read'],
      scopes: ['operator.pairing', 'operator.read'],
    })
    for (const each of house.yard.paired) Object.assign(each, { scopes: [], tokens: [] })
    await house.look()
    expect(house.cards('device')).toHaveLength(2)
  })

  it('is told again when it was removed and comes back', async () => {
    const house = createDevicesYard('new')
    await house.look()
    letIn(house, 'laptop', ['operator.read'])
    await house.look()
    house.gateway.remove(idOf('laptop'))
    await house.look()
    letIn(house, 'laptop', ['operator.read'])
    await house.look()
    expect(house.cards('device')).toHaveLength(2)
  })

  it('is told by the next process when this one dies in the telling', async () => {
    const house = createDevicesYard('new')
    await house.look()
    letIn(house, 'laptop', ['operator.read'])
    const { raise } = house.kept.store
    house.kept.store.raise = () => {
      throw new Error('killed')
    }
    await expect(house.look()).rejects.toThrow('killed')
    house.kept.store.raise = raise
    house.restart()
    await house.look()
    expect(house.cards('device')).toHaveLength(1)
  })
})

it('a card that could not be ended is ended by the next process', async () => {
  const house = createDevicesYard('old')
  await house.look()
  house.gateway.ask('laptop', ['operator.read'])
  await house.look()
  house.yard.at += 5 * MINUTE
  const { revise } = house.kept.store
  house.kept.store.revise = () => {
    throw new Error('killed')
  }
  await expect(house.look()).rejects.toThrow('killed')
  house.kept.store.revise = revise
  house.restart()
  await house.look()
  expect(house.facts(1).state).toBe('expired')
})
