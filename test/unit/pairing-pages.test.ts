// What people see of pairing: cards, /devices and /device, within Telegram's limits whatever a client calls itself.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dataOf, LONGEST_DATA } from '../../src/bot/buttons.ts'
import { stillRings } from '../../src/bot/cards.ts'
import { createClock } from '../../src/bot/clock.ts'
import { faultsOf } from '../../src/bot/command.ts'
import type { Page } from '../../src/bot/page.ts'
import { cardHtml, messagesOf } from '../../src/bot/render.ts'
import { devicePaired, pairingPage } from '../../src/bot/requests.ts'
import type { DeviceCard, PairingCard } from '../../src/ops/pairing/book.ts'
import { deviceList, deviceOf, requestOf } from '../../src/ops/pairing/devices.ts'
import { ANN, buttonOf, createDevicesYard, idOf, shortOf, textOf } from '../fixtures/openclaw/devices-yard.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const clock = createClock('Etc/UTC', () => T0)
const CARD: PairingCard = {
  ...{ requestId: 'c4b0a607-7924-40ef-968d-f670c39962e8', device: '1cea26b72170', print: '0123456789ab' },
  ...{
    name: 'Control UI',
    client: 'Control UI',
    platform: 'Linux x86_64',
    address: '192.0.2.2',
    roles: ['operator'],
  },
  ...{ scopes: ['operator.admin', 'operator.pairing'], kind: 'new', askedAt: T0, endsAt: T0 + 5 * MINUTE },
  ...{ state: 'pending', tries: 1, source: 'link' },
}
const DEVICE: DeviceCard = {
  ...{
    device: '1cea26b72170',
    name: 'Control UI',
    roles: ['operator'],
    scopes: ['operator.admin'],
    via: 'silent',
  },
}

function fits(page: Page): void {
  for (const button of page.buttons?.flat() ?? [])
    if (!('url' in button)) expect(Buffer.byteLength(dataOf(button))).toBeLessThanOrEqual(LONGEST_DATA)
  const html = cardHtml(page)
  expect(html.length).toBeLessThanOrEqual(4096)
  expect(html.replace(/<\/?(?:b|code|blockquote(?: expandable)?)>/g, '')).not.toMatch(/[<>]/)
  expect(html).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u200b]/)
  for (const message of messagesOf(page).messages) expect(message.html.length).toBeLessThanOrEqual(4096)
}

describe('the card of a request', () => {
  it('says who asks for what, with its danger, and until when', () => {
    expect(textOf(pairingPage(CARD, clock))).toBe(
      [
        '❓ Control UI wants to be let in',
        'New: Control UI, Linux x86_64, 192.0.2.2',
        'admin: can change everything and run code on this machine',
        'pairing: can let other devices in',
        'Asked at 12:00 UTC, until 12:05 UTC',
        'Device 1cea26b72170, request c4b0a607',
      ].join('\n'),
    )
    expect(cardHtml(pairingPage(CARD, clock))).toContain('<b>admin: can change everything')
  })

  it('says of an upgrade what it has and what it wants besides', () => {
    const upgrade = { ...CARD, kind: 'upgrade' as const, has: ['operator.pairing'] }
    expect(textOf(pairingPage(upgrade, clock))).toMatch(
      /Paired, and wants more than it has: .*\nHas: operator\.pairing\nWants besides:\nadmin: [^\n]*\nAsked at/,
    )
  })

  it('has no lines that a scope of its device made up', () => {
    const upgrade = { ...CARD, kind: 'upgrade' as const, has: ['x\nWants besides: nothing'] }
    expect(textOf(pairingPage(upgrade, clock))).toContain('Has: x Wants besides: nothing\nWants besides:')
  })

  it.each<[string, Partial<PairingCard>, RegExp]>([
    ['retries', { tries: 42 }, /Asked 42 times/],
    ['the CLI', { source: 'cli' }, /Seen by the gateway’s CLI: the link is shut/],
    ['a page', { origin: 'https://claw.example.com' }, /From the page https:\/\/claw\.example\.com/],
    ['a node', { roles: ['node'], scopes: [] }, /as a node: agents may run commands on it/],
    ['a known one', { kind: 'repair', has: [] }, /Known before, asks anew: .*\n(?:.*\n)*Now has: nothing/],
    [
      'an approval',
      { state: 'approved', by: 'Ann', answeredAt: T0 },
      /^✅ Control UI: approved by Ann 12:00:00$/m,
    ],
    [
      'an approval with its proof',
      { state: 'approved', by: 'Ann', answeredAt: T0, connectedAt: T0 + MINUTE },
      /^✅ Control UI: approved by Ann 12:00:00, connected 12:01:00$/m,
    ],
    [
      'an approval without it',
      { state: 'approved', by: 'Ann', absent: 'It did not come back.' },
      /^🟡 .*\nIt did not/,
    ],
    [
      'one that was taken back',
      { state: 'rejected', by: 'Ann', absent: 'It asked for more.' },
      /^🟡 .*removed again\nIt/,
    ],
    [
      'a rejection',
      { state: 'rejected', by: 'Ann', answeredAt: T0 },
      /^ℹ️ Control UI: rejected by Ann 12:00:00$/m,
    ],
    ['an answer from elsewhere', { state: 'approved' }, /approved by somebody else/],
    ['its end', { state: 'expired' }, /^ℹ️ Control UI: expired\n/],
    ['nobody knows what', { state: 'gone' }, /answered elsewhere, or taken back/],
  ])('tells of %s', (_, more, text) => {
    expect(textOf(pairingPage({ ...CARD, ...more }, clock))).toMatch(text)
  })

  it.each(['approved', 'rejected', 'expired', 'gone'] as const)(
    'that is %s has no buttons and rings nobody',
    (state) => {
      const card = { ...CARD, state }
      expect(pairingPage(card, clock).buttons?.flat() ?? []).toEqual([])
      expect(stillRings({ kind: 'pairing', ring: true, facts: card })).toBe(false)
      expect(stillRings({ kind: 'pairing', ring: true, facts: CARD })).toBe(true)
    },
  )

  it('tells what the tap would let in, and nothing shorter: the whole id and the print', () => {
    expect(buttonOf(pairingPage(CARD, clock), 'Approve')).toEqual({
      ...{ label: 'Approve', run: `approve ${CARD.requestId} ${CARD.print}` },
    })
  })
})

describe('a device that was let in without us', () => {
  it.each<[string, Partial<DeviceCard>, RegExp]>([
    [
      'silently',
      {},
      /was let in, and not by opsbot\n.*\nBy the gateway itself, without asking anybody\nMay only admin/,
    ],
    ['by an owner', { via: 'owner' }, /By an owner, by the CLI or the Control UI/],
    ['in a way that is not known', { via: 'moon' }, /By moon/],
    [
      'with more than before',
      { had: ['operator.read'] },
      /may do more than before[\s\S]*Had: operator\.read/,
    ],
  ])('%s', (_, more, text) => {
    expect(textOf(devicePaired({ ...DEVICE, ...more }, clock))).toMatch(text)
  })

  it('by a version that does not say by whom', () => {
    const { via, ...unsaid } = DEVICE
    expect(textOf(devicePaired(unsaid, clock))).toContain('this version does not say who')
  })

  it('has Remove', () => {
    expect(buttonOf(devicePaired(DEVICE, clock), 'Remove')).toMatchObject({
      run: 'device remove 1cea26b72170',
    })
  })
})

describe('whatever a client calls itself', () => {
  const nasty = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom(
      '<b>x</b>',
      '</blockquote><b>',
      '&lt;',
      '\u202eadmin\u2066',
      'a\nb\r\u2028c',
      '\u200b',
      '📱'.repeat(2_000),
    ),
    fc.constant('x'.repeat(4_000)),
    fc.constantFrom('toString', '__proto__'),
  )
  const record = fc.record({
    ...{ displayName: nasty, platform: nasty, clientId: nasty, clientMode: nasty, remoteIp: nasty },
    ...{
      browserOrigin: nasty,
      scopes: fc.array(nasty, { maxLength: 60 }),
      roles: fc.array(nasty, { maxLength: 3 }),
    },
  })

  it('the card, the list and the page of a device are harmless and fit', () => {
    fc.assert(
      fc.property(record, fc.constantFrom('pending', 'approved', 'gone' as const), (hostile, state) => {
        const base = {
          requestId: CARD.requestId,
          deviceId: 'ab'.repeat(32),
          publicKey: 'k',
          ts: T0,
          ...hostile,
        }
        const { pending, paired } = deviceList.parse({
          pending: [base],
          paired: [{ ...base, scopes: hostile.roles, approvedVia: hostile.platform }],
        })
        for (const each of pending)
          for (const known of [[], paired]) {
            const card = {
              ...requestOf(each, known),
              state,
              tries: 2,
              source: 'link',
              by: 'Ann',
            } as PairingCard
            fits(pairingPage(card, clock))
          }
        for (const each of paired) {
          const { deviceId, ...device } = deviceOf(each)
          fits(devicePaired({ ...device, had: hostile.scopes }, clock))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('/device and /devices do too, with a role that no gateway should have', async () => {
    const house = createDevicesYard('new')
    house.gateway.ask('laptop', ['<i>', 'x'.repeat(4_000)], {
      displayName: '<script>\u202e\n',
      requestId: 'r'.repeat(36),
    })
    house.yard.paired = [
      {
        ...{
          deviceId: idOf('phone'),
          publicKey: 'k',
          role: 'operator',
          scopes: ['<b>'],
          approvedAtMs: T0,
          tokens: [],
        },
        roles: ['operator', 'node', '<b>\nevil', 'x'.repeat(4_000)],
      },
    ]
    for (const line of ['/devices', `/device ${shortOf('laptop')}`, `/device ${shortOf('phone')}`])
      fits(await house.type(line))
    const labels = (await house.type(`/device ${shortOf('phone')}`)).buttons?.flat().map(({ label }) => label)
    expect(labels).toEqual(['Remove', 'Revoke node', 'Rotate node', 'Revoke operator', 'Rotate operator'])
  })
})

describe('the commands', () => {
  it('are sound', () => {
    expect(faultsOf(createDevicesYard('new').bot().commands)).toEqual([])
  })

  it('/devices has who waits first, then who is paired, the one seen last before the others', async () => {
    const house = createDevicesYard('new')
    for (const name of ['phone', 'desk'])
      house.gateway.approve(house.gateway.ask(name, ['operator.read']) ?? '', 'others')
    house.yard.at += HOUR
    house.gateway.ask('desk', ['operator.read'])
    house.gateway.ask('laptop', ['operator.admin'])
    house.rig.refused = ['https://claw.example.com']
    const lines = textOf(await house.type('/devices')).split('\n')
    expect(lines).toEqual([
      '❓ 1 device waiting, 2 paired',
      expect.stringMatching(/^[0-9a-f]{8} Control UI asks until 13:05 UTC$/),
      'A Control UI at https://claw.example.com was turned away before it could ask: its address is not in gateway.controlUi.allowedOrigins',
      `${shortOf('desk')} A device, read, connected`,
      `${shortOf('phone')} A device, read, not seen yet`,
    ])
  })

  it('/devices of 1,000 that ask comes as a file', async () => {
    const house = createDevicesYard('new')
    for (let each = 0; each < 1_000; each += 1) house.gateway.ask(`device ${each}`, ['operator.read'])
    const page = await house.type('/devices')
    fits(page)
    expect(messagesOf(page).file?.text.match(/asks until/g)).toHaveLength(1_000)
  })

  it('/devices says which are muted, and does not list the dead', async () => {
    const house = createDevicesYard('old')
    house.gateway.ask('dead', ['operator.read'])
    house.yard.at += 6 * MINUTE
    await house.type(`/device mute ${shortOf('laptop')} 1h`)
    Object.assign(house.rig, { link: 'shut' })
    expect(textOf(await house.type('/devices'))).toBe(
      `ℹ️ 0 paired\nRead by the gateway’s CLI: the link is shut.\nMuted: ${shortOf('laptop')}`,
    )
  })

  it.each<[string, string, RegExp]>([
    ['remove', 'device.pair.remove', /It has to ask anew/],
    ['revoke', 'device.token.revoke', /worth nothing/],
    ['rotate', 'device.token.rotate', /The new token lies with the gateway alone/],
  ])('/device %s is confirmed, done to the whole id, and says what follows', async (verb, method, text) => {
    const house = createDevicesYard('old')
    house.gateway.approve(house.gateway.ask('phone', ['operator.read']) ?? '', 'others')
    const secret = { deviceId: idOf('phone'), token: 'a-token-in-plain-text' }
    house.rig.instead = (what) => (what.startsWith('device.token') ? secret : undefined)
    const role = verb === 'remove' ? '' : ' operator'
    const plan = await house.type(`/device ${verb} ${shortOf('phone').slice(0, 6)}${role}`)
    expect(house.calls.filter((each) => each.includes(method))).toEqual([])
    const done = await house.tap(buttonOf(plan, 'Do it'))
    expect(textOf(done)).toMatch(text)
    expect(house.calls).toContain(`link ${method} ${idOf('phone')}`)
    expect(JSON.stringify([plan, done, house.audit])).not.toContain('a-token-in-plain-text')
  })

  it('/device of nobody says where to look', async () => {
    expect(textOf(await createDevicesYard('new').type('/device abcd', ANN))).toContain(
      'No paired device begins with abcd: /devices lists them.',
    )
  })
})
