// The proof of an approval: the device is seen connected, in each version's way, or it is said why it is not.

import { describe, expect, it } from 'vitest'
import { GatewayError } from '../../src/ops/gateway/index.ts'
import { buttonOf, createDevicesYard, idOf, textOf, type Version } from '../fixtures/openclaw/devices-yard.ts'
import { MINUTE, SECOND } from './help.ts'

/** A bot that has just approved a laptop. */
async function approved(version: Version) {
  const house = createDevicesYard(version)
  await house.look()
  house.gateway.ask('laptop', ['operator.read'])
  await house.look()
  await house.tap(buttonOf(house.page(1), 'Approve'))
  house.yard.at += 2 * SECOND
  return house
}

describe('an approved device', () => {
  it('of newer gateways is seen in the list', async () => {
    const house = await approved('new')
    await house.look()
    expect(house.facts(1)).not.toHaveProperty('connectedAt')
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'approved', connectedAt: house.yard.at })
    expect(textOf(house.page(1))).toMatch(/approved by Ann .*, connected /)
    expect(house.kept.memory.waits.get()).toEqual({})
  })

  it('of older gateways is seen by its presence', async () => {
    const house = await approved('old')
    house.rig.presence = [{ deviceId: idOf('laptop'), ts: house.yard.at }]
    await house.look()
    expect(house.facts(1)).toMatchObject({ connectedAt: house.yard.at })
  })

  it.each<[string, { deviceId?: string; ts?: number }]>([
    ['was here before it was approved', { deviceId: idOf('laptop'), ts: 1 }],
    ['is another one', { deviceId: idOf('phone'), ts: 9e15 }],
    ['has no id', { ts: 9e15 }],
    ['has no time', { deviceId: idOf('laptop') }],
  ])('is not taken for one that %s', async (_, presence) => {
    const house = await approved('old')
    house.rig.presence = [presence]
    await house.look()
    expect(house.facts(1)).not.toHaveProperty('connectedAt')
  })

  it('is waited for over a restart of ours', async () => {
    const house = await approved('new')
    house.restart()
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.facts(1)).toHaveProperty('connectedAt')
  })

  it('that was approved elsewhere is waited for too', async () => {
    const house = createDevicesYard('new')
    await house.look()
    const id = house.gateway.ask('laptop', ['operator.read']) ?? ''
    await house.look()
    house.gateway.approve(id, 'others')
    house.gateway.ask('laptop', ['operator.read'])
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'approved', connectedAt: house.yard.at })
    expect(textOf(house.page(1))).toContain('approved by somebody else')
  })

  it.each<[string, string, RegExp]>([
    ['the log says nothing', '', /Reload the page; if it still asks, look at \/logs/],
    [
      'its device token is old',
      'closed: device_token_mismatch',
      /old device token: open the address with the gateway token/,
    ],
    ['its device token is old, in newer words', '{"code":"AUTH_DEVICE_TOKEN_MISMATCH"}', /old device token/],
    [
      'it has another gateway token (recorded)',
      'unauthorized: gateway token mismatch (set gateway.remote.token to match gateway.auth.token)',
      /another gateway token/,
    ],
    ['its origin is not allowed', 'CONTROL_UI_ORIGIN_NOT_ALLOWED', /gateway\.controlUi\.allowedOrigins/],
  ])('that is not back within a minute, and %s', async (_, log, why) => {
    const house = await approved('new')
    house.rig.log = log
    house.yard.at += MINUTE - 3 * SECOND
    await house.look()
    expect(house.facts(1)).not.toHaveProperty('absent')
    house.yard.at += SECOND
    await house.look()
    expect(house.facts(1).absent).toMatch(/^It did not come back\. /)
    expect(textOf(house.page(1))).toMatch(why)
    expect(house.kept.memory.waits.get()).toEqual({})
  })

  it('whose log cannot be read is said to be absent all the same', async () => {
    const house = await approved('new')
    house.options.logSince = async () => {
      throw new Error('no engine')
    }
    house.restart()
    house.yard.at += MINUTE
    await house.look()
    expect(house.facts(1).absent).toContain('It did not come back.')
  })

  it('is waited for, and nobody else has to wait: a presence that fails is no failure', async () => {
    const house = await approved('old')
    house.rig.instead = (what) =>
      what === 'system-presence' ? new GatewayError('It did not answer within 5 s.', 'LATE') : undefined
    house.gateway.ask('phone', ['operator.read'])
    await house.look()
    await house.tap(buttonOf(house.page(2), 'Approve'))
    expect(house.facts(2)).toMatchObject({ state: 'approved' })
  })

  it('is asked about over the link alone, and only while somebody is waited for', async () => {
    const house = await approved('old')
    await house.look()
    expect(house.calls.filter((each) => each.includes('presence')).length).toBeGreaterThan(0)
    house.calls.length = 0
    house.rig.link = 'shut'
    await house.look()
    expect(house.calls).toEqual(['cli device.pair.list'])
    house.rig.link = 'open'
    house.yard.at += MINUTE
    await house.look()
    house.calls.length = 0
    await house.look()
    expect(house.calls).toEqual(['link device.pair.list'])
  })

  it('makes presence worth a look, as long as it is waited for', async () => {
    const house = await approved('old')
    const note = () => house.bot().pairing.note('presence', undefined)
    expect(note()).toBe(true)
    house.yard.at += MINUTE
    await house.look()
    expect(note()).toBe(false)
  })
})

it.each<[string, unknown, boolean]>([
  ['device.pair.requested', { requestId: 'r' }, true],
  ['device.pair.resolved', { requestId: 'r', decision: 'approved' }, true],
  ['device.pair.changed', {}, true],
  ['device.pair.changed', null, true],
  ['device.pair.resolved', undefined, true],
  ['node.pair.requested', {}, false],
  ['health', undefined, false],
])('the event %s with %o: whether it is worth a look', (event, payload, worth) => {
  const { bot } = createDevicesYard('new')
  expect(bot().pairing.note(event as 'health', payload)).toBe(worth)
})
