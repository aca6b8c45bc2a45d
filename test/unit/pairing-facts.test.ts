// Devices and requests as facts: both versions' records, names that strangers chose, and what a request would change.

import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { deviceOf as deviceOfKey } from '../../src/ops/gateway/identity.ts'
import {
  beyond,
  deviceList,
  deviceOf,
  grantsOf,
  isGrave,
  type PairingRequest,
  printOf,
  REQUEST_MS,
  requestOf,
  withImplied,
} from '../../src/ops/pairing/devices.ts'
import { harmless, scopeWords } from '../../src/ops/pairing/words.ts'

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/openclaw/${name}`, import.meta.url), 'utf8'))

const RECORD = {
  ...{ requestId: 'c4b0a607-7924-40ef-968d-f670c39962e8', deviceId: 'ab'.repeat(32), publicKey: 'key' },
  ...{ role: 'operator', roles: ['operator'], scopes: ['operator.read'], ts: 1_000 },
}
const PAIRED = { deviceId: RECORD.deviceId, publicKey: 'key', roles: ['operator'], scopes: ['operator.read'] }
const parse = (pending: object, paired?: object) => {
  const list = deviceList.parse({ pending: [pending], paired: paired ? [paired] : [] })
  const [record] = list.pending
  if (!record) throw new Error('there is one')
  return { record, list, request: requestOf(record, list.paired) }
}

describe('the records of', () => {
  it('2026.2.22: two browsers ask for admin, one of them for more the second time, under its id', () => {
    const { asked, retried, final } = fixture('devices-old.json')
    const [before, after] = [asked, retried].map((each) =>
      deviceList.parse(each).pending.map((one) => requestOf(one, [])),
    )
    expect(before?.[0]).toEqual({
      ...{ requestId: 'c4b0a607-7924-40ef-968d-f670c39962e8', device: '1cea26b72170', kind: 'new' },
      ...{ print: expect.stringMatching(/^[0-9a-f]{12}$/), name: 'Control UI', client: 'Control UI' },
      ...{ platform: 'Linux x86_64', address: '192.0.2.2', roles: ['operator'] },
      scopes: ['operator.admin', 'operator.approvals', 'operator.pairing'],
      ...{ askedAt: 1795164992753, endsAt: 1795164992753 + REQUEST_MS },
    })
    expect(after?.[0]).toMatchObject({
      requestId: before?.[0]?.requestId,
      scopes: ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.read'],
      endsAt: 1795164993370 + REQUEST_MS,
    })
    expect(after?.[0]?.print).not.toBe(before?.[0]?.print)
    expect(after?.[1]?.print).toBe(before?.[1]?.print)
    expect(deviceList.parse(final).paired.map(deviceOf)).toEqual([
      expect.objectContaining({ device: '1cea26b72170', approvedAt: 1795164993678, roles: ['operator'] }),
    ])
  })

  it('2026.2.22 in its file: a map of tokens, of which none gets through', () => {
    const { pending, paired } = fixture('devices-old-store.json')
    const list = deviceList.parse({ pending: Object.values(pending), paired: Object.values(paired) })
    expect(JSON.stringify(list)).not.toContain('the-token-of-this-device')
    expect(JSON.stringify(list.paired.map(deviceOf))).not.toContain('the-token-of-this-device')
    expect(list.paired.map((each) => grantsOf(each))).toEqual([
      ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.read'],
    ])
  })

  it('2026.9.6: who let it in, whether it is connected, and a token with more in it than was asked', () => {
    const { asked, final } = fixture('devices-new.json')
    expect(deviceList.parse(asked).paired.map(deviceOf)[0]).toMatchObject({
      ...{ device: '46802b43081d', via: 'silent', connected: false, client: 'command line' },
      ...{ scopes: ['operator.read'], lastSeenAt: 1795164952661 },
    })
    const [request] = deviceList.parse(asked).pending.map((each) => requestOf(each, []))
    const device = deviceList
      .parse(final)
      .paired.map(deviceOf)
      .find((each) => each.device === request?.device)
    expect(device?.scopes).toEqual(expect.arrayContaining(['operator.read', 'operator.write']))
    expect(request?.scopes).not.toContain('operator.read')
    expect(beyond(device?.scopes ?? [], request?.scopes ?? [])).toEqual([])
  })

  it.each(['old', 'new'])(
    'a node of the %s version: no scopes, a role of its own, a name of its own',
    (version) => {
      const { pending, approved } = fixture('devices-nodes.json')[version]
      const [node] = deviceList.parse({ pending }).pending.map((each) => requestOf(each, []))
      expect(node).toMatchObject({
        name: 'Build Box',
        client: 'node',
        roles: ['node'],
        scopes: [],
        kind: 'new',
      })
      expect(node && isGrave(node)).toBe(true)
      expect(deviceList.parse({ paired: [approved.device] }).paired.map(deviceOf)[0]?.roles).toEqual(['node'])
    },
  )
})

describe('a name that a stranger chose', () => {
  it.each<[string, string, string | undefined]>([
    ['HTML, which render.ts escapes', '<b>Ann</b>', '<b>Ann</b>'],
    ['line breaks', 'Ann\n\r\nApproved by Bob\u2028ok', 'Ann Approved by Bob ok'],
    ['text turned around', 'Ann \u202egnp.exe\u2066x\u2069', 'Ann gnp.exe x'],
    ['nothing that can be seen', '\u200b\u200d\ufeff \u00ad', undefined],
    ['letters without width in it', 'ad\u200bmin', 'ad min'],
    ['tags and private letters', 'a\u{e0041}\ue000b', 'a b'],
    ['an emoji', '📱 phone', '📱 phone'],
    ['Hebrew, which is no trick', 'הטלפון', 'הטלפון'],
    ['a zero byte', 'a\u0000b', 'a b'],
    ['64 letters', 'x'.repeat(64), 'x'.repeat(64)],
    ['4,000 letters', 'x'.repeat(4_000), `${'x'.repeat(64)}…`],
    ['4,000 emoji, of which none is cut in half', '📱'.repeat(4_000), `${'📱'.repeat(64)}…`],
    ['nothing', '', undefined],
  ])('with %s', (_, name, shown) => {
    expect(harmless(name)).toBe(shown)
    const { request } = parse({
      ...RECORD,
      displayName: name,
      platform: name,
      remoteIp: name,
      browserOrigin: name,
    })
    expect(request.name).toBe(shown ?? 'A device')
    expect([request.platform, request.address, request.origin]).toEqual([shown, shown, shown])
  })

  it.each(['toString', 'constructor', '__proto__'])('that JavaScript knows, %s, is only a name', (word) => {
    const hostile = { ...RECORD, clientId: word, clientMode: word, scopes: [word], roles: [word] }
    const { request, list } = parse(hostile, { ...PAIRED, clientId: word, scopes: [word], approvedVia: word })
    expect(request).toMatchObject({ client: word, scopes: [word] })
    expect(list.paired.map(deviceOf)).toMatchObject([{ client: word, scopes: [word], via: word }])
    expect(beyond([word], [])).toEqual([word])
    expect(scopeWords([word])).toEqual([word])
  })

  it('is not needed', () => {
    expect(parse({ ...RECORD, clientId: 'webchat' }).request.name).toBe('web chat')
    expect(parse({ ...RECORD, clientMode: 'ui' }).request).toMatchObject({ name: 'ui', client: 'ui' })
    expect(parse(RECORD).request).toMatchObject({ name: 'A device', kind: 'new' })
  })
})

describe('what it asks for', () => {
  it.each<[string, object, object | undefined, Partial<PairingRequest>]>([
    ['nothing was known', {}, undefined, { kind: 'new' }],
    ['the gateway says that it was known', { isRepair: true }, undefined, { kind: 'repair' }],
    ['what it has', {}, PAIRED, { kind: 'repair', has: ['operator.read'] }],
    [
      'more than it has',
      { scopes: ['operator.read', 'operator.write'] },
      PAIRED,
      { kind: 'upgrade', has: ['operator.read'], scopes: ['operator.read', 'operator.write'] },
    ],
    ['less than it has', { scopes: [] }, PAIRED, { kind: 'repair' }],
    ['what write lets it do already', {}, { ...PAIRED, scopes: ['operator.write'] }, { kind: 'repair' }],
    ['another role', { role: 'node', roles: ['node'], scopes: [] }, PAIRED, { kind: 'upgrade' }],
    [
      'to be an operator, as a node',
      {},
      { ...PAIRED, roles: ['node'], scopes: [], tokens: [{ role: 'node' }] },
      { kind: 'upgrade', has: [] },
    ],
    [
      'what a revoked token had',
      { scopes: ['operator.write'] },
      {
        ...PAIRED,
        tokens: [
          { role: 'operator', scopes: ['operator.write'], revokedAtMs: 5 },
          { role: 'operator', scopes: ['operator.read'] },
        ],
      },
      { kind: 'upgrade', has: ['operator.read'] },
    ],
    [
      'what its only token had, which is revoked: its record still has it',
      {},
      { ...PAIRED, tokens: { operator: { role: 'operator', scopes: ['operator.write'], revokedAtMs: 5 } } },
      { kind: 'repair', has: ['operator.read'] },
    ],
  ])('%s', (_, more, paired, expected) => {
    expect(parse({ ...RECORD, ...more }, paired).request).toMatchObject(expected)
  })

  it.each<[string, object, object | undefined, boolean]>([
    ['to read', {}, undefined, false],
    ['to write and to pair', { scopes: ['operator.write', 'operator.pairing'] }, undefined, false],
    ['admin', { scopes: ['operator.read', 'operator.admin'] }, undefined, true],
    ['admin, hidden behind a blank', { scopes: [' operator.admin\n'] }, undefined, true],
    ['to be a node', { role: 'node', roles: undefined, scopes: [] }, undefined, true],
    ['again', { isRepair: true }, PAIRED, false],
    ['more', { scopes: ['operator.write'] }, PAIRED, true],
  ])('%s: whether that needs a second look', (_, more, paired, grave) => {
    expect(isGrave(parse({ ...RECORD, ...more }, paired).request)).toBe(grave)
  })

  it('is over five minutes after it last asked, not after it first did', () => {
    expect(parse(RECORD).request.endsAt).toBe(1_000 + REQUEST_MS)
    expect(parse({ ...RECORD, refreshedAtMs: 61_000 }).request).toMatchObject({
      askedAt: 1_000,
      endsAt: 61_000 + REQUEST_MS,
    })
  })
})

describe('the print', () => {
  const print = (more: object) => printOf(parse({ ...RECORD, ...more }).record)

  it.each<[string, object]>([
    ['another device', { deviceId: 'cd'.repeat(32) }],
    ['another device of the same short id', { deviceId: `${'ab'.repeat(31)}cd` }],
    ['another key', { publicKey: 'other' }],
    ['another role', { role: 'node', roles: ['node'] }],
    ['one role more', { roles: ['operator', 'node'] }],
    ['one scope more', { scopes: ['operator.read', 'operator.write'] }],
    ['one scope less', { scopes: [] }],
    ['two scopes drawn together', { scopes: ['operator.read,operator.write'] }],
  ])('differs for %s', (_, more) => {
    expect(print(more)).not.toBe(print({}))
  })

  it.each<[string, object]>([
    ['another name', { displayName: 'Ann' }],
    ['another id of the request, at another time', { requestId: 'else', ts: 2, refreshedAtMs: 3 }],
    ['the role said once or twice', { roles: undefined }],
    ['a scope said twice', { scopes: ['operator.read', 'operator.read'] }],
  ])('is the same for %s', (_, more) => {
    expect(print(more)).toBe(print({}))
  })

  it('does not hang on the order of the scopes', () => {
    expect(print({ scopes: ['b', 'a'] })).toBe(print({ scopes: ['a', 'b'] }))
  })
})

describe('scopes in words', () => {
  it('have the worst first, and what nobody knows last and harmless', () => {
    const words = scopeWords(['zoo\n\u202ekeeper', 'operator.read', 'operator.pairing', 'operator.admin'])
    expect(words).toEqual([
      'admin: can change everything and run code on this machine',
      'pairing: can let other devices in',
      'read: can read sessions and what agents said',
      'zoo keeper',
    ])
    expect(scopeWords(['\u200b'])).toEqual([])
  })

  it('let do what is implied in them, and no more', () => {
    expect(withImplied(['operator.admin'])).toEqual(['operator.admin', 'operator.read', 'operator.write'])
    expect(withImplied(['operator.pairing', 'operator.write'])).toEqual([
      ...['operator.pairing', 'operator.read', 'operator.write'],
    ])
    expect(beyond(['operator.admin', 'operator.read'], ['operator.write'])).toEqual(['operator.admin'])
  })
})

it.each<[string, unknown]>([
  ['no lists', {}],
  ['fields that nobody knows', { pending: [{ ...RECORD, silent: 'x', more: { a: 1 } }], paired: [], v: 9 }],
])('a listing with %s is read', (_, listing) => {
  expect(deviceList.safeParse(listing).success).toBe(true)
})

it.each<[string, unknown]>([
  ['no id', { pending: [{ ...RECORD, requestId: undefined }] }],
  ['no device', { pending: [{ ...RECORD, deviceId: undefined }] }],
  ['no key', { pending: [{ ...RECORD, publicKey: undefined }] }],
  ['no time', { pending: [{ ...RECORD, ts: 'now' }] }],
])('a request with %s is not guessed at', (_, listing) => {
  expect(deviceList.safeParse(listing).success).toBe(false)
})

it('our own device is named as the gateway names it: by the hash of the raw public key', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const { x = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const id = createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex')
  const key = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
  expect(deviceOfKey(key)).toBe(id.slice(0, 12))
})
