// A device as the gateway knows them: an identity of its own, the real handshake, requests and events over a WebSocket.
// It has no imports of the project, because gateway.ts also runs it inside containers.

import { createHash, createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'

/** An Ed25519 key as PEM; who keeps it comes back as the same device. */
export type Identity = string

export interface DeviceOptions {
  /** `ws://127.0.0.1:PORT` for a published port. */
  url: string
  /** The gateway's token, or one that a device was given. */
  token: string
  /** Made anew when it is left out. */
  identity?: Identity
  clientId?: string
  mode?: string
  role?: string
  scopes?: string[]
  caps?: string[]
  /** What a node may be told to run. */
  commands?: string[]
  /** What a newer gateway's own page sends; it must be the gateway's. */
  buildId?: string
  /** `origin` is what a browser sends, `x-forwarded-for` what a proxy adds. */
  headers?: Record<string, string>
  timeoutMs?: number
}

export interface GatewayEvent {
  event: string
  // biome-ignore lint/suspicious/noExplicitAny: each test knows what its events carry
  payload: any
  /** When it came, a `performance.now()`. */
  at: number
}
export interface GatewayError {
  code: string
  message: string
  details?: { code?: string; requestId?: string; [more: string]: unknown }
}
export type Device = Awaited<ReturnType<typeof connectDevice>>

export const ALL_SCOPES = ['admin', 'read', 'write', 'approvals', 'pairing'].map((each) => `operator.${each}`)

export const createIdentity = (): Identity =>
  generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

/** The public half, and the id that is its hash. */
function publicOf(identity: Identity) {
  const { x = '' } = createPrivateKey(identity).export({ format: 'jwk' })
  return { publicKey: x, id: createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex') }
}
export const deviceIdOf = (identity: Identity) => publicOf(identity).id

/** Connects and says who it is. Being refused is a result too: then there is an `error`; it never throws. */
export async function connectDevice(options: DeviceOptions) {
  const { token, identity = createIdentity(), clientId = 'cli', mode = 'cli', role = 'operator' } = options
  const { url, scopes = ALL_SCOPES, caps = [], commands, buildId, headers = {}, timeoutMs = 10_000 } = options
  const { id: deviceId, publicKey } = publicOf(identity)
  const socket = new WebSocket(url, { headers })
  const events: GatewayEvent[] = []
  // biome-ignore lint/suspicious/noExplicitAny: what a method answers is for its caller to know
  const waiting = new Map<string, (frame: any) => void>()
  const closed = Promise.withResolvers<{ code: number; reason: string }>()
  let last = 0

  // biome-ignore lint/suspicious/noExplicitAny: as above
  const request = (method: string, params: unknown): Promise<any> =>
    new Promise((resolve) => {
      const id = `${++last}`
      waiting.set(id, resolve)
      socket.send(JSON.stringify({ type: 'req', id, method, params }))
    })

  function connect({ nonce, ts }: { nonce: string; ts?: number }) {
    const signedAt = ts ?? Date.now()
    const said = ['v2', deviceId, clientId, mode, role, scopes.join(','), signedAt, token, nonce].join('|')
    const signature = sign(null, Buffer.from(said), createPrivateKey(identity)).toString('base64url')
    return request('connect', {
      minProtocol: 3,
      maxProtocol: 4,
      client: { id: clientId, version: '1.0.0', platform: 'linux', mode, ...(buildId && { buildId }) },
      auth: { token },
      device: { id: deviceId, publicKey, signature, signedAt, nonce },
      ...{ role, scopes, caps, ...(commands && { commands }) },
    })
  }

  type Answer = { ok: boolean; payload?: Record<string, unknown>; error?: GatewayError }
  const late = setTimeout(() => socket.close(), timeoutMs)
  const answer = await new Promise<Answer>((resolve) => {
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(`${data}`)
      if (frame.event === 'connect.challenge') void connect(frame.payload).then(resolve)
      else if (frame.type === 'event') events.push({ ...frame, at: performance.now() })
      // A run is answered twice: when it was accepted, and when it is over.
      else if (frame.payload?.status !== 'accepted') {
        waiting.get(frame.id)?.(frame)
        waiting.delete(frame.id)
      }
    }
    // Also after an error: a server that refuses WebSockets, or none.
    socket.onclose = ({ code, reason }) => {
      const error = { code: 'CLOSED', message: `closed: ${code} ${reason}` }
      for (const end of [...waiting.values(), resolve]) end({ ok: false, error })
      waiting.clear()
      closed.resolve({ code, reason })
    }
  })
  clearTimeout(late)

  return {
    ...{ deviceId, identity, events, error: answer.error, result: answer.payload },
    /** The pairing request that the gateway made of being asked. */
    requestId: answer.error?.details?.requestId,
    /** When the socket is closed, and why. */
    closed: closed.promise,
    close() {
      socket.close()
      return closed.promise
    },
    /** Calls a method. @throws with the gateway's code and message. */
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async call(method: string, params: unknown = {}): Promise<any> {
      const { ok, payload, error } = await request(method, params)
      if (!ok) throw new Error(`${error?.code}: ${error?.message}`, { cause: error })
      return payload
    },
    /** Waits for an event, also one that came before. */
    // biome-ignore lint/suspicious/noExplicitAny: as above
    async event(name: string, waitMs = 20_000): Promise<any> {
      const end = Date.now() + waitMs
      for (;;) {
        const found = events.find(({ event }) => event === name)
        if (found) return found.payload
        if (Date.now() > end) throw new Error(`no ${name} within ${waitMs / 1_000} s`)
        await new Promise((resolve) => setTimeout(resolve, 25))
      }
    },
  }
}
