// The replay gateway is as strict as the real ones: whom it lets in, and what it says to the others (all measured).

import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type Connect, refusalOf } from './openclaw/handshake.ts'
import { NEW, OLD, type RefusalName, readRecording, VERSIONS } from './openclaw/recording.ts'

const NOW = 1_795_184_600_000
const TOKEN = 'token'
const NONCE = 'nonce'

const { publicKey, privateKey } = generateKeyPairSync('ed25519')
const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(12)

/** What the link sends; `change` is made before it is signed. */
function connectOf(change: (connect: Connect) => void = () => {}): Connect {
  const device = {
    id: createHash('sha256').update(raw).digest('hex'),
    ...{ publicKey: raw.toString('base64url'), signature: '', signedAt: NOW, nonce: NONCE },
  }
  const connect: Connect & { device: typeof device } = {
    ...{ minProtocol: 3, maxProtocol: 4, role: 'operator', scopes: ['operator.read'], caps: [] },
    client: { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'backend' },
    ...{ auth: { token: TOKEN }, device },
  }
  change(connect)
  const { client, role, scopes, auth } = connect
  const text = ['v2', device.id, client.id, client.mode, role, scopes.join(',')]
  const signed = [...text, device.signedAt, auth?.token ?? '', device.nonce].join('|')
  device.signature = sign(null, Buffer.from(signed), privateKey).toString('base64url')
  return connect
}

const refusal = (connect: Connect, protocol: number) =>
  refusalOf(connect, { protocol, token: TOKEN, nonce: NONCE, now: NOW })

describe.each(VERSIONS)('whom %s lets in', (version) => {
  const { protocol, refusals } = readRecording(version)

  it.each<[who: string, connect: Connect, refused: RefusalName | undefined]>([
    ['one who is in order', connectOf(), undefined],
    [
      'a protocol that it does not speak',
      connectOf((connect) => Object.assign(connect, { minProtocol: 5, maxProtocol: 6 })),
      'protocol',
    ],
    [
      'a client that is not on the list',
      connectOf(({ client }) => Object.assign(client, { id: 'opsbot' })),
      'client',
    ],
    ['a property that there is not', { ...connectOf(), ...{ bogus: 1 } }, 'property'],
    ['a role that there is not', connectOf((connect) => Object.assign(connect, { role: 'king' })), 'role'],
    ['no token', connectOf((connect) => delete connect.auth), 'missing'],
    ['a wrong token', connectOf((connect) => Object.assign(connect, { auth: { token: 'x' } })), 'token'],
    [
      'an old signature',
      connectOf(({ device }) => Object.assign(device ?? {}, { signedAt: NOW - 600_000 })),
      'stale',
    ],
    ['another nonce', connectOf(({ device }) => Object.assign(device ?? {}, { nonce: 'x' })), 'nonce'],
    [
      "somebody else's id",
      connectOf(({ device }) => Object.assign(device ?? {}, { id: 'ab'.repeat(32) })),
      'device',
    ],
    ['scopes that were not signed', { ...connectOf(), scopes: ['operator.admin'] }, 'signature'],
    ['a token that was not signed', { ...connectOf(), auth: { token: 'x' } }, 'signature'],
  ])('%s', (_, connect, refused) => {
    expect(refusal(connect, protocol)).toBe(refused)
    if (refused) expect(refusals[refused].close).toBe(refused === 'protocol' ? 1002 : 1008)
  })
})

describe('the recordings', () => {
  it.each(VERSIONS)('hold no secrets: %s', (version) => {
    const text = JSON.stringify(readRecording(version))
    expect(text).not.toMatch(/"(deviceToken|recoveryScope|raw|publicKey)"|sk-ant-|\d{6,12}:[\w-]{30,}/)
  })

  it('are of the two versions whose protocols the link speaks', () => {
    expect([readRecording(OLD).protocol, readRecording(NEW).protocol]).toEqual([3, 4])
  })
})
