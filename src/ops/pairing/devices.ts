// Devices and their pairing requests, as facts to show and to compare: pure.

import { z } from 'zod'
import { sha256 } from '../docker/index.ts'
import { harmless } from './words.ts'

/** A request, as both versions list it (openclaw.md §1.1). */
const pendingRecord = z.object({
  requestId: z.string(),
  deviceId: z.string(),
  publicKey: z.string(),
  displayName: z.string().optional(),
  platform: z.string().optional(),
  deviceFamily: z.string().optional(),
  clientId: z.string().optional(),
  clientMode: z.string().optional(),
  browserOrigin: z.string().optional(),
  role: z.string().optional(),
  roles: z.array(z.string()).optional(),
  scopes: z.array(z.string()).default([]),
  remoteIp: z.string().optional(),
  isRepair: z.boolean().optional(),
  ts: z.number(),
  refreshedAtMs: z.number().optional(),
})

/** A token of a device, without the token: older gateways list a map by role, newer ones a list. */
const tokenRecord = z.object({
  role: z.string(),
  scopes: z.array(z.string()).default([]),
  lastUsedAtMs: z.number().optional(),
  revokedAtMs: z.number().optional(),
})

const pairedRecord = z.object({
  deviceId: z.string(),
  publicKey: z.string().default(''),
  displayName: z.string().optional(),
  operatorLabel: z.string().optional(),
  platform: z.string().optional(),
  clientId: z.string().optional(),
  clientMode: z.string().optional(),
  role: z.string().optional(),
  roles: z.array(z.string()).optional(),
  scopes: z.array(z.string()).default([]),
  remoteIp: z.string().optional(),
  approvedVia: z.string().optional(),
  approvedAtMs: z.number().optional(),
  connected: z.boolean().optional(),
  lastSeenAtMs: z.number().optional(),
  tokens: z
    .union([
      z.array(tokenRecord),
      z.record(z.string(), tokenRecord).transform(Object.values<z.output<typeof tokenRecord>>),
    ])
    .default([]),
})

/** The answer to `device.pair.list`, without what nobody needs and without any token. */
export const deviceList = z.object({
  pending: z.array(pendingRecord).default([]),
  paired: z.array(pairedRecord).default([]),
})
export type DeviceList = z.output<typeof deviceList>
type Pending = DeviceList['pending'][number]
type Paired = DeviceList['paired'][number]

/** A request lives for so long after its client last asked (both versions). */
export const REQUEST_MS = 300_000

/** A request as it is shown and compared. */
export interface PairingRequest {
  requestId: string
  /** The first 12 characters of the device's id. */
  device: string
  /** Of everything that an approval would grant, and to whom: device, key, roles, scopes. */
  print: string
  name: string
  platform?: string
  client?: string
  address?: string
  origin?: string
  roles: string[]
  scopes: string[]
  /** `upgrade`: it is paired and wants more than it has. */
  kind: 'new' | 'repair' | 'upgrade'
  /** What a paired device has now. */
  has?: string[]
  askedAt: number
  /** It dies then, unless the client asks again. */
  endsAt: number
}

export const shortDevice = (deviceId: string): string => deviceId.slice(0, 12)

/** Each once, without the blanks around them: the gateway grants them without, so that none may hide behind one. */
const sorted = (words: readonly string[]) => [...new Set(words.map((word) => word.trim()))].sort()

const rolesOf = ({ role, roles }: Pick<Pending, 'role' | 'roles'>): string[] =>
  sorted([...(roles ?? []), ...(role ? [role] : [])])

/** Of everything that an approval grants: when any of it changes, what was shown does not hold any more. */
export const printOf = (
  record: Pick<Pending, 'deviceId' | 'publicKey' | 'role' | 'roles' | 'scopes'>,
): string =>
  sha256(JSON.stringify([record.deviceId, record.publicKey, rolesOf(record), sorted(record.scopes)])).slice(
    0,
    12,
  )

/** What a paired device may do now: what its living tokens say, else its record. */
export function grantsOf({ scopes, tokens }: Paired): string[] {
  const living = tokens.filter(({ revokedAtMs }) => revokedAtMs === undefined)
  return sorted(living.length > 0 ? living.flatMap((token) => token.scopes) : scopes)
}

/** What else a scope lets do: newer gateways write it into the token besides (captured from 2026.9.6). */
const IMPLIED: ReadonlyMap<string, readonly string[]> = new Map([
  ['operator.admin', ['operator.read', 'operator.write']],
  ['operator.write', ['operator.read']],
])

/** Scopes with all that they let do. */
export const withImplied = (scopes: readonly string[]): string[] =>
  sorted(scopes.flatMap((scope) => [scope, ...(IMPLIED.get(scope) ?? [])]))

/** Those of them that are more than was known of. */
export function beyond(scopes: readonly string[], known: readonly string[]): string[] {
  const all = withImplied(known)
  return scopes.filter((scope) => !all.includes(scope))
}

/** Short names of the clients that there are (openclaw.md §1.4). No object: a client may call itself `toString`. */
const CLIENTS: ReadonlyMap<string, string> = new Map([
  ['openclaw-control-ui', 'Control UI'],
  ['webchat', 'web chat'],
  ['cli', 'command line'],
  ['gateway-client', 'program'],
  ['node-host', 'node'],
])

/** A record → the request as it is shown. */
export function requestOf(record: Pending, paired: readonly Paired[]): PairingRequest {
  const {
    requestId,
    deviceId,
    displayName,
    platform,
    deviceFamily,
    clientId,
    clientMode,
    remoteIp,
    browserOrigin,
  } = record
  const before = paired.find((each) => each.deviceId === deviceId)
  const has = before && grantsOf(before)
  const scopes = sorted(record.scopes)
  const roles = rolesOf(record)
  const more =
    before !== undefined &&
    (beyond(scopes, has ?? []).length > 0 || roles.some((role) => !rolesOf(before).includes(role)))
  const client = harmless(CLIENTS.get(clientId ?? '') ?? clientId ?? clientMode)
  const shown = {
    platform: harmless(platform ?? deviceFamily),
    client,
    address: harmless(remoteIp),
    origin: harmless(browserOrigin),
  }
  return {
    requestId,
    device: shortDevice(deviceId),
    print: printOf(record),
    name: harmless(displayName) ?? client ?? 'A device',
    ...(shown.platform && { platform: shown.platform }),
    ...(client && { client }),
    ...(shown.address && { address: shown.address }),
    ...(shown.origin && { origin: shown.origin }),
    ...{ roles, scopes },
    kind: more ? 'upgrade' : before || record.isRepair ? 'repair' : 'new',
    ...(has && { has }),
    askedAt: record.ts,
    endsAt: (record.refreshedAtMs ?? record.ts) + REQUEST_MS,
  }
}

/** Whether approving it needs a second look: it may run code, or a device gets more than it had. */
export const isGrave = ({
  scopes,
  kind,
  roles,
}: Pick<PairingRequest, 'scopes' | 'kind' | 'roles'>): boolean =>
  kind === 'upgrade' || scopes.includes('operator.admin') || roles.includes('node')

/** A paired device as it is shown. */
export interface Device {
  device: string
  deviceId: string
  name: string
  platform?: string
  client?: string
  address?: string
  roles: string[]
  scopes: string[]
  /** Who let it in, where the version says it: `owner`, `silent` … */
  via?: string
  approvedAt?: number
  connected?: boolean
  lastSeenAt?: number
}

export function deviceOf(record: Paired): Device {
  const {
    deviceId,
    displayName,
    operatorLabel,
    platform,
    clientId,
    clientMode,
    remoteIp,
    approvedVia,
    approvedAtMs,
    connected,
    lastSeenAtMs,
    tokens,
  } = record
  const client = harmless(CLIENTS.get(clientId ?? '') ?? clientId ?? clientMode)
  const used = Math.max(lastSeenAtMs ?? 0, ...tokens.map(({ lastUsedAtMs = 0 }) => lastUsedAtMs))
  const [shownPlatform, address] = [harmless(platform), harmless(remoteIp)]
  return {
    device: shortDevice(deviceId),
    deviceId,
    name: harmless(operatorLabel) ?? harmless(displayName) ?? client ?? 'A device',
    ...(shownPlatform && { platform: shownPlatform }),
    ...(client && { client }),
    ...(address && { address }),
    roles: rolesOf(record),
    scopes: grantsOf(record),
    ...(approvedVia && { via: approvedVia }),
    ...(approvedAtMs !== undefined && { approvedAt: approvedAtMs }),
    ...(connected !== undefined && { connected }),
    ...(used > 0 && { lastSeenAt: used }),
  }
}
