// The closed list of what is asked of the gateway, with the shape of each answer and the CLI call that stands in for it.

import { z } from 'zod'
import { deviceList } from '../pairing/devices.ts'

const anything = z.looseObject({})
const at = z.number().nullish()

/** One account of a channel (captured from 2026.9.6; older versions say less). */
const account = z.looseObject({
  accountId: z.string(),
  enabled: z.boolean().optional(),
  configured: z.boolean().optional(),
  running: z.boolean().optional(),
  connected: z.boolean().optional(),
  lifecycle: z.string().optional(),
  healthState: z.string().optional(),
  restartPending: z.boolean().optional(),
  reconnectAttempts: z.number().optional(),
  lastStartAt: at,
  lastInboundAt: at,
  lastError: z.string().nullish(),
})

const session = z.looseObject({
  key: z.string(),
  agentId: z.string().optional(),
  displayName: z.string().optional(),
  kind: z.string().optional(),
  updatedAt: at,
  lastActivityAt: at,
  status: z.string().optional(),
  model: z.string().nullish(),
  totalTokens: z.number().nullish(),
  contextTokens: z.number().nullish(),
})

const eventLoop = z.looseObject({
  degraded: z.boolean(),
  reasons: z.array(z.string()).default([]),
  delayP99Ms: z.number().optional(),
  utilization: z.number().optional(),
})

const issue = z.looseObject({ path: z.string().default(''), message: z.string() })

/** A device's or an exec's request is read by who shows it. */
const records = z.array(anything)

/** The work that a restart would wait for or break off. */
const preflight = z.looseObject({
  safe: z.boolean(),
  counts: z.record(z.string(), z.number()).default({}),
  summary: z.string().optional(),
})

/** Only these fields are kept: some versions answer with the device's tokens in plain text (openclaw.md §1). */
const answered = z.object({ requestId: z.string() })
const done = z.object({ deviceId: z.string() })

/** A node's second stage: what it may be asked to run (newer gateways). */
const node = z.object({
  requestId: z.string(),
  nodeId: z.string(),
  displayName: z.string().optional(),
  platform: z.string().optional(),
  remoteIp: z.string().optional(),
  caps: z.array(z.string()).default([]),
  commands: z.array(z.string()).default([]),
  ts: z.number().optional(),
})

/** Somebody who wrote to a channel and waits to be let in (2026.9.6). */
const sender = z.object({
  requestId: z.string(),
  channel: z.string(),
  accountId: z.string().default('default'),
  senderId: z.string(),
  metadata: z.record(z.string(), z.unknown()).optional(),
  createdAt: z.string().optional(),
  expiresAt: z.string().optional(),
})

export interface Method {
  result: z.ZodType
  timeoutMs: number
  /** Asks the same of the CLI, where the link cannot: its arguments, and the way from its JSON to the result. */
  cli?: { args: readonly string[]; timeoutMs: number }
}

/** Every method there is. What is not in here is never sent. */
export const METHODS = {
  health: {
    result: z.looseObject({
      ok: z.boolean(),
      channels: z.record(z.string(), anything).default({}),
      defaultAgentId: z.string().optional(),
      agents: z
        .array(
          z.looseObject({ agentId: z.string(), sessions: z.looseObject({ count: z.number() }).optional() }),
        )
        .default([]),
      plugins: z.looseObject({ errors: z.array(z.unknown()).default([]) }).optional(),
      configReload: z.looseObject({ hotReloadStatus: z.string().optional() }).optional(),
      eventLoop: eventLoop.optional(),
    }),
    timeoutMs: 5_000,
    // `health --json` of newer versions waits for a minute when the gateway is down; this does not (openclaw.md §2).
    cli: { args: ['gateway', 'call', 'health', '--json'], timeoutMs: 20_000 },
  },
  status: {
    result: z.looseObject({
      runtimeVersion: z.string().optional(),
      processMemory: z.looseObject({ rssBytes: z.number() }).optional(),
    }),
    timeoutMs: 10_000,
  },
  'channels.status': {
    result: z.looseObject({
      channelLabels: z.record(z.string(), z.string()).default({}),
      channelAccounts: z.record(z.string(), z.array(account)).default({}),
    }),
    timeoutMs: 10_000,
    cli: { args: ['channels', 'status', '--json'], timeoutMs: 30_000 },
  },
  'sessions.list': {
    result: z.looseObject({
      count: z.number().default(0),
      // Newer ones count only what they were asked for, and say this besides.
      totalCount: z.number().optional(),
      sessions: z.array(session).default([]),
    }),
    timeoutMs: 10_000,
    cli: { args: ['sessions', '--json'], timeoutMs: 30_000 },
  },
  'config.get': {
    result: z.looseObject({
      exists: z.boolean().default(true),
      valid: z.boolean().optional(),
      issues: z.array(issue).default([]),
      warnings: z.array(issue).default([]),
    }),
    timeoutMs: 10_000,
  },
  'models.authStatus': {
    result: z.looseObject({
      providers: z
        .array(
          z.looseObject({
            provider: z.string(),
            status: z.string(),
            expiry: z.looseObject({ at: z.number() }).optional(),
          }),
        )
        .default([]),
    }),
    timeoutMs: 10_000,
  },
  'gateway.restart.preflight': { result: preflight, timeoutMs: 10_000 },
  'gateway.restart.request': {
    result: z.looseObject({ ok: z.boolean(), status: z.string().optional() }),
    timeoutMs: 10_000,
  },
  'exec.approval.list': { result: records, timeoutMs: 5_000 },
  'exec.approval.resolve': { result: z.looseObject({ ok: z.boolean() }), timeoutMs: 10_000 },
  'device.pair.list': {
    result: deviceList,
    timeoutMs: 5_000,
    cli: { args: ['devices', 'list', '--json'], timeoutMs: 20_000 },
  },
  'device.pair.approve': { result: answered, timeoutMs: 10_000 },
  'device.pair.reject': { result: answered, timeoutMs: 10_000 },
  'device.pair.remove': { result: done, timeoutMs: 10_000 },
  'device.token.revoke': { result: done, timeoutMs: 10_000 },
  'device.token.rotate': { result: done, timeoutMs: 10_000 },
  'node.pair.list': { result: z.object({ pending: z.array(node).default([]) }), timeoutMs: 5_000 },
  'node.pair.approve': { result: answered, timeoutMs: 10_000 },
  'node.pair.reject': { result: answered, timeoutMs: 10_000 },
  'channels.pairing.list': {
    result: z.object({
      requests: z.array(sender).default([]),
      commandOwnerConfigured: z.boolean().optional(),
    }),
    timeoutMs: 10_000,
  },
  'channels.pairing.approve': { result: answered, timeoutMs: 15_000 },
  'system-presence': {
    result: z.array(z.object({ deviceId: z.string().optional(), ts: z.number().optional() })),
    timeoutMs: 5_000,
  },
} as const satisfies Record<string, Method>

export type MethodName = keyof typeof METHODS
export type Result<M extends MethodName> = z.output<(typeof METHODS)[M]['result']>
export type Account = z.output<typeof account>
export type Session = z.output<typeof session>

/** The events that are listened to; all others end inside. Each is only a nudge, but for those that carry a request. */
export const EVENTS = [
  'shutdown',
  'health',
  'presence',
  'device.pair.requested',
  'device.pair.resolved',
  'device.pair.changed',
  'node.pair.requested',
  'node.pair.resolved',
  'exec.approval.requested',
  'exec.approval.resolved',
] as const
export type EventName = (typeof EVENTS)[number]

/** What is said on the line: where a fact comes from, and from when it is. */
export interface Asked<T> {
  value: T
  source: 'link' | 'cli'
  /** UTC milliseconds. */
  at: number
}

/** Asks the gateway: over the link, else by its CLI where there is a call for it. @throws OpsError when neither answers. */
export type Ask = <M extends MethodName>(
  method: M,
  params?: Record<string, unknown>,
) => Promise<Asked<Result<M>>>
