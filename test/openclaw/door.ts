// Who is let into a gateway, as each version does it: requests and how they die, devices with their tokens, who is there.

import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Connect } from './handshake.ts'
import type { Recording, RefusalName } from './recording.ts'

/** What a client asks for; by default it is the Control UI of a browser, as it was recorded. */
export interface Knock {
  deviceId: string
  publicKey: string
  displayName?: string
  platform?: string
  clientId?: string
  clientMode?: string
  browserOrigin?: string
  remoteIp?: string
  role?: string
  scopes?: string[]
}

export interface Pending extends Required<Pick<Knock, 'deviceId' | 'publicKey' | 'role' | 'scopes'>> {
  requestId: string
  roles: string[]
  isRepair: boolean
  silent: boolean
  ts: number
  refreshedAtMs?: number
}

interface Token {
  role: string
  scopes: string[]
  createdAtMs: number
  rotatedAtMs?: number
  revokedAtMs?: number
}

interface Paired {
  deviceId: string
  publicKey: string
  roles: string[]
  scopes: string[]
  approvedAtMs: number
  approvedVia?: string
  connected?: boolean
  lastSeenAtMs?: number
  tokens: Token[]
}

type Params = Record<string, unknown>
export type Said = { payload: unknown } | RefusalName

export interface Door {
  /** A client is at the door. @returns its request; undefined when it may come in. */
  knock(knock: Knock): Pending | undefined
  /** It is in, until `leave` is called. */
  enter(knock: Knock): void
  leave(deviceId: string): void
  /** The token of a device, which nobody but the device may learn. */
  tokenOf(deviceId: string, role?: string): string | undefined
  pending(): Pending[]
  paired(): Paired[]
  /** The same device asks for just the same under another id, as after a restart of its gateway. */
  replace(requestId: string): Pending
  /** The gateway lets it in without asking anybody: only `device.pair.resolved` tells of it. */
  letIn(knock: Knock, via?: string): void
  /** By method; `scopes` are those of who asks. */
  methods: Record<string, (params: Params, scopes: readonly string[]) => Said>
}

/** A device that is always the same for the same name. */
export function deviceNamed(name: string): Pick<Knock, 'deviceId' | 'publicKey'> {
  const raw = createHash('sha256').update(`key of ${name}`).digest()
  return {
    deviceId: createHash('sha256').update(raw).digest('hex'),
    publicKey: raw.toString('base64url'),
  }
}

/** What a client says of itself when it connects. */
export const knockOf = ({ client, device, role, scopes }: Connect, remoteIp?: string): Knock => ({
  ...{ deviceId: device?.id ?? '', publicKey: device?.publicKey ?? '', role, scopes },
  ...{ clientId: client.id, clientMode: client.mode, platform: client.platform },
  ...(client.displayName && { displayName: client.displayName }),
  ...(remoteIp && { remoteIp }),
})

const union = (...lists: readonly (readonly string[])[]) => [...new Set(lists.flat())]
const ADMIN = 'operator.admin'

export function createDoor(
  { pairing, protocol }: Recording,
  now: () => number,
  tell: (event: string, payload: unknown) => void,
  /** Closes the lines of a device. */
  hangUp: (deviceId: string, code: number, reason: string) => void,
): Door {
  let pending: Pending[] = []
  let paired: Paired[] = []
  const tokens = new Map<string, string>()
  const presence = new Map<string, object>()
  const newer = protocol > 3

  /** Newer versions write into a token what its scopes let do besides (captured). */
  const expanded = (scopes: readonly string[]) =>
    newer && scopes.includes(ADMIN) ? union(scopes, ['operator.read', 'operator.write']).sort() : [...scopes]
  const deviceOf = (deviceId: unknown) => paired.find((each) => each.deviceId === deviceId)
  /** Older versions keep the dead until the next write. */
  function sweep(): void {
    pending = pending.filter(({ ts, refreshedAtMs }) => (refreshedAtMs ?? ts) + pairing.lastsMs > now())
  }

  const requestOf = (knock: Knock): Pending => ({
    ...{ requestId: randomUUID(), ...pairing.request, ...knock },
    ...{ role: knock.role ?? pairing.request.role, scopes: [...(knock.scopes ?? pairing.request.scopes)] },
    ...{ roles: [knock.role ?? pairing.request.role], silent: false },
    ...{ isRepair: deviceOf(knock.deviceId) !== undefined, ts: now() },
  })

  function ask(knock: Knock): Pending {
    const request = requestOf(knock)
    pending = [request, ...pending]
    tell('device.pair.requested', request)
    return request
  }

  /** A client that asks again: under its old request where it asks for no more. */
  function askAgain(open: Pending, knock: Knock): Pending {
    const { role = open.role, scopes = open.scopes } = knock
    if (!newer) {
      open.scopes = union(open.scopes, scopes)
      open.roles = union(open.roles, [role])
      open.ts = now()
      return open
    }
    const same = open.role === role && open.publicKey === knock.publicKey
    if (same && scopes.every((each) => open.scopes.includes(each))) {
      open.refreshedAtMs = now()
      return open
    }
    pending = pending.filter((each) => each !== open)
    return ask(knock)
  }

  function knock(asks: Knock): Pending | undefined {
    const { deviceId, role = pairing.request.role, scopes = pairing.request.scopes } = asks
    const device = deviceOf(deviceId)
    const token = device?.tokens.find((each) => each.role === role)
    if (device?.publicKey === asks.publicKey && token && !token.revokedAtMs)
      if (scopes.every((each) => token.scopes.includes(each))) return undefined
    sweep()
    const open = pending.find((each) => each.deviceId === deviceId)
    return open ? askAgain(open, asks) : ask(asks)
  }

  function admit(asked: Pending, via: string): Paired {
    const { requestId, silent, isRepair, ts, refreshedAtMs, ...record } = asked
    const before = deviceOf(asked.deviceId)
    const scopes = union(before?.scopes ?? [], asked.scopes)
    const others = before?.tokens.filter(({ role }) => role !== asked.role) ?? []
    const at = now()
    const device: Paired = {
      ...{ ...record, scopes, roles: union(before?.roles ?? [], asked.roles) },
      ...{ createdAtMs: at, approvedAtMs: at },
      ...(newer && { approvedVia: via, connected: false }),
      tokens: [...others, { role: asked.role, scopes: expanded(scopes), createdAtMs: at }],
    }
    tokens.set(`${asked.deviceId}/${asked.role}`, randomBytes(32).toString('base64url'))
    paired = [...paired.filter((each) => each !== before), device]
    return device
  }

  /** Takes a request off the list. */
  function settle({ requestId, deviceId }: Pending, decision: string): void {
    pending = pending.filter((each) => each.requestId !== requestId)
    tell('device.pair.resolved', { requestId, deviceId, decision, ts: now() })
  }

  const presenceList = () => [...presence.values()]
  const closed = (deviceId: string) => newer && hangUp(deviceId, 4001, 'device removed')

  /** Changes a token of a device, as it is asked for by its device and role. */
  const onToken =
    (change: (token: Token, key: string) => object) =>
    ({ deviceId, role }: Params): Said => {
      const token = deviceOf(deviceId)?.tokens.find((each) => each.role === role)
      if (!token) return 'rotation'
      const payload = { deviceId, role, ...change(token, `${deviceId}/${role}`) }
      closed(`${deviceId}`)
      return { payload }
    }

  const methods: Door['methods'] = {
    'device.pair.list'() {
      if (newer) sweep()
      return { payload: structuredClone({ pending, paired }) }
    },
    'device.pair.approve'({ requestId }, scopes) {
      sweep()
      const asked = pending.find((each) => each.requestId === requestId)
      const admin = !newer || scopes.includes(ADMIN)
      if (!asked) return admin ? 'request' : 'denied'
      if (!admin && asked.roles.some((role) => role !== 'operator')) return 'denied'
      if (!admin && asked.scopes.includes(ADMIN)) return 'admin'
      const device = admit(asked, 'owner')
      settle(asked, 'approved')
      return { payload: structuredClone({ requestId, device }) }
    },
    'device.pair.reject'({ requestId }) {
      sweep()
      const asked = pending.find((each) => each.requestId === requestId)
      if (!asked) return 'request'
      settle(asked, 'rejected')
      return { payload: { requestId, deviceId: asked.deviceId } }
    },
    'device.pair.remove'({ deviceId }) {
      if (!deviceOf(deviceId)) return 'nobody'
      paired = paired.filter((each) => each.deviceId !== deviceId)
      closed(`${deviceId}`)
      return { payload: { deviceId } }
    },
    'device.pair.rename'({ deviceId, label }) {
      const device = deviceOf(deviceId)
      if (!device) return 'nobody'
      Object.assign(device, { operatorLabel: label })
      tell('device.pair.changed', {})
      return { payload: { deviceId, label } }
    },
    'device.token.rotate': onToken((token, key) => {
      const rotatedAtMs = now()
      Object.assign(token, { rotatedAtMs })
      const secret = randomBytes(32).toString('base64url')
      tokens.set(key, secret)
      const handed = newer ? { tokenDelivery: 'withheld-cross-device' } : { token: secret }
      return { scopes: token.scopes, rotatedAtMs, ...handed }
    }),
    'device.token.revoke': onToken((token, key) => {
      const revokedAtMs = now()
      Object.assign(token, { revokedAtMs })
      tokens.delete(key)
      return { revokedAtMs }
    }),
    'system-presence': () => ({ payload: presenceList() }),
  }

  return {
    ...{ knock, methods },
    enter({ deviceId, clientId, clientMode, role = 'operator', scopes = [] }) {
      const device = deviceOf(deviceId)
      if (device && newer) Object.assign(device, { connected: true, lastSeenAtMs: now() })
      const entry = { host: clientId, mode: clientMode, deviceId, roles: [role], scopes }
      presence.set(deviceId, { ...entry, instanceId: deviceId, reason: 'connect', ts: now() })
      // Older versions tell of it only when somebody leaves (read in both, and captured).
      if (newer) tell('presence', { presence: presenceList() })
    },
    leave(deviceId) {
      const device = deviceOf(deviceId)
      if (device && newer) device.connected = false
      const entry = presence.get(deviceId)
      if (entry) presence.set(deviceId, { ...entry, reason: 'disconnect', ts: now() })
      tell('presence', { presence: presenceList() })
    },
    tokenOf: (deviceId, role = 'operator') => tokens.get(`${deviceId}/${role}`),
    pending: () => pending,
    paired: () => paired,
    replace(requestId) {
      const open = pending.find((each) => each.requestId === requestId)
      if (!open) throw new Error(`no request ${requestId}`)
      const anew = { ...open, requestId: randomUUID(), ts: now() }
      pending = pending.map((each) => (each === open ? anew : each))
      tell('device.pair.requested', anew)
      return anew
    },
    letIn(asks, via = 'silent') {
      const asked = requestOf(asks)
      admit(asked, via)
      settle(asked, 'approved')
    },
  }
}
