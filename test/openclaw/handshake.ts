// Who the gateway lets in: the checks on a `connect`, in the gateway's order and as strict. Pure.

import { createHash, createPublicKey, verify } from 'node:crypto'
import type { RefusalName } from './recording.ts'

export interface Connect {
  minProtocol: number
  maxProtocol: number
  client: { id: string; version: string; platform: string; mode: string; displayName?: string }
  role: string
  scopes: string[]
  caps: string[]
  commands?: string[]
  auth?: { token?: string; password?: string }
  device?: { id: string; publicKey: string; signature: string; signedAt: number; nonce: string }
}

/** Both lists are closed (openclaw.md §1.4). */
const CLIENTS = ['gateway-client', 'cli', 'openclaw-control-ui', 'webchat', 'node-host', 'openclaw-probe']
const MODES = ['backend', 'cli', 'ui', 'webchat', 'node', 'probe', 'test']
const PROPERTIES = [
  'minProtocol',
  'maxProtocol',
  'client',
  'role',
  'scopes',
  'caps',
  'commands',
  'auth',
  'device',
]
/** A signature may be so old, and so far ahead. */
const SKEW_MS = 120_000
/** What stands before the 32 raw bytes of an Ed25519 key in SPKI. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex')

function isSigned({ client, role, scopes, auth, device }: Connect): boolean {
  if (!device) return false
  const raw = Buffer.from(device.publicKey, 'base64url')
  const signed = ['v2', device.id, client.id, client.mode, role, scopes.join(',')]
  const text = [...signed, device.signedAt, auth?.token ?? '', device.nonce].join('|')
  const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' })
  return verify(null, Buffer.from(text), key, Buffer.from(device.signature, 'base64url'))
}

const idOf = (publicKey: string) =>
  createHash('sha256').update(Buffer.from(publicKey, 'base64url')).digest('hex')

/** Why it is not let in; undefined when it is. */
export function refusalOf(
  connect: Connect,
  expected: { protocol: number; token: string | undefined; password?: string; nonce: string; now: number },
): RefusalName | undefined {
  const { client, device, auth } = connect
  if (Object.keys(connect).some((name) => !PROPERTIES.includes(name))) return 'property'
  if (!CLIENTS.includes(client.id) || !MODES.includes(client.mode)) return 'client'
  if (connect.maxProtocol < expected.protocol || connect.minProtocol > expected.protocol) return 'protocol'
  if (connect.role !== 'operator' && connect.role !== 'node') return 'role'
  if (!device || device.id !== idOf(device.publicKey)) return 'device'
  if (Math.abs(expected.now - device.signedAt) > SKEW_MS) return 'stale'
  if (device.nonce !== expected.nonce) return 'nonce'
  if (!isSigned(connect)) return 'signature'
  const { token, password } = expected
  if (!auth?.token && !auth?.password) return 'missing'
  const knows = (token && auth?.token === token) || (password && auth?.password === password)
  return knows ? undefined : 'token'
}
