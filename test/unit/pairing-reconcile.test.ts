// From one listing to what is to be done with the cards: one table, without a clock.

import { describe, expect, it } from 'vitest'
import type { Device, PairingRequest } from '../../src/ops/pairing/devices.ts'
import { type Asked, type Change, keyOf, reconcile } from '../../src/ops/pairing/reconcile.ts'
import { MINUTE, SECOND, T0 } from './help.ts'

const KEY = 'laptop/operator'
const request = (more: Partial<PairingRequest> = {}): PairingRequest => ({
  ...{
    requestId: 'r1',
    device: 'laptop',
    print: 'p1',
    name: 'Laptop',
    roles: ['operator'],
    scopes: ['operator.read'],
  },
  ...{ kind: 'new', askedAt: T0, endsAt: T0 + 5 * MINUTE, ...more },
})
const device = (more: Partial<Device> = {}): Device => ({
  ...{
    device: 'laptop',
    deviceId: 'laptop-and-more',
    name: 'Laptop',
    roles: ['operator'],
    scopes: [],
    ...more,
  },
})
const KNOWN: Asked = {
  [KEY]: { cardId: 7, requestId: 'r1', print: 'p1', askedAt: T0, endsAt: T0 + 5 * MINUTE, tries: 2 },
}
const raise = (each: PairingRequest): Change => ({ do: 'raise', key: keyOf(each), request: each })
const revise = (each: PairingRequest, anew: boolean): Change => ({
  ...{ do: 'revise', key: keyOf(each), request: each, tries: 3, anew },
})
const settle = (as: Extract<Change, { do: 'settle' }>['as']): Change => ({ do: 'settle', key: KEY, as })

interface Row {
  asked?: Asked
  pending?: PairingRequest[]
  paired?: Device[]
  decided?: [string, string][]
  now?: number
  does: Change[]
}
const later = T0 + 10 * SECOND

describe('a listing', () => {
  it.each<[string, Row]>([
    ['with nothing in it', { does: [] }],
    ['with a request that is on no card', { pending: [request()], does: [raise(request())] }],
    ['with one that is on its card', { asked: KNOWN, pending: [request()], does: [] }],
    [
      'with one that was asked again: its end slides (older ones)',
      {
        ...{ asked: KNOWN, pending: [request({ askedAt: later, endsAt: later + 5 * MINUTE })] },
        does: [revise(request({ askedAt: later, endsAt: later + 5 * MINUTE }), false)],
      },
    ],
    [
      'with one that was asked again: only its end slides (newer ones)',
      {
        ...{ asked: KNOWN, pending: [request({ endsAt: later + 5 * MINUTE })] },
        does: [revise(request({ endsAt: later + 5 * MINUTE }), false)],
      },
    ],
    [
      'with other scopes under its id',
      { asked: KNOWN, pending: [request({ print: 'p2' })], does: [revise(request({ print: 'p2' }), true)] },
    ],
    [
      'with another id for the same',
      {
        asked: KNOWN,
        pending: [request({ requestId: 'r2' })],
        does: [revise(request({ requestId: 'r2' }), true)],
      },
    ],
    [
      'with two of one device: the newer counts, wherever it stands',
      {
        asked: KNOWN,
        pending: [request({ requestId: 'r2', askedAt: later }), request()],
        does: [revise(request({ requestId: 'r2', askedAt: later }), true)],
      },
    ],
    [
      'with another role of the same device: that is another card',
      {
        asked: KNOWN,
        pending: [request(), request({ requestId: 'r2', roles: ['node'] })],
        does: [raise(request({ requestId: 'r2', roles: ['node'] }))],
      },
    ],
    [
      'with a dead row that older ones keep',
      { asked: KNOWN, pending: [request()], now: T0 + 5 * MINUTE, does: [settle('expired')] },
    ],
    ['with a dead row that was never on a card', { pending: [request()], now: T0 + 5 * MINUTE, does: [] }],
    [
      'without it, a moment before its end',
      { asked: KNOWN, now: T0 + 5 * MINUTE - 1, does: [settle('gone')] },
    ],
    ['without it, after its end', { asked: KNOWN, now: T0 + 6 * MINUTE, does: [settle('expired')] }],
    [
      'without it: the gateway said rejected',
      { asked: KNOWN, decided: [['r1', 'rejected']], does: [settle('rejected')] },
    ],
    [
      'without it: the gateway said approved',
      { asked: KNOWN, decided: [['r1', 'approved']], does: [settle('approved')] },
    ],
    [
      'without it: what was said of another',
      { asked: KNOWN, decided: [['r2', 'approved']], does: [settle('gone')] },
    ],
    [
      'without it, its device paired since: the event was lost',
      { asked: KNOWN, paired: [device({ approvedAt: later })], does: [settle('approved')] },
    ],
    [
      'without it, its device paired before it asked',
      { asked: KNOWN, paired: [device({ approvedAt: T0 - 1 })], does: [settle('gone')] },
    ],
    [
      'without it, its device paired since in another role',
      { asked: KNOWN, paired: [device({ approvedAt: later, roles: ['node'] })], does: [settle('gone')] },
    ],
    [
      'without it, another device paired whose id begins alike',
      { asked: KNOWN, paired: [device({ device: 'lap', approvedAt: later })], does: [settle('gone')] },
    ],
    [
      'after its end, but approved before',
      {
        asked: KNOWN,
        paired: [device({ approvedAt: later })],
        now: T0 + 9 * MINUTE,
        does: [settle('approved')],
      },
    ],
  ])('%s', (_, { asked = {}, pending = [], paired = [], decided = [], now = later, does }) => {
    expect(reconcile(asked, { pending, paired }, new Map(decided), now)).toEqual(does)
  })

  it('is read a second time in vain', () => {
    const pending = [request(), request({ device: 'phone', requestId: 'r3' })]
    const asked: Asked = Object.fromEntries(
      pending.map(({ requestId, print, askedAt, endsAt, ...rest }) => [
        keyOf({ ...rest }),
        { cardId: 1, requestId, print, askedAt, endsAt, tries: 1 },
      ]),
    )
    expect(reconcile(asked, { pending, paired: [] }, new Map(), later)).toEqual([])
  })
})
