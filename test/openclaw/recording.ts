// What real gateways of two versions said, as files: the replay gateway knows nothing that is not in them.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Refusal {
  error: { code: string; message: string; details?: Record<string, unknown> }
  /** With this code the gateway closes the line behind it. */
  close?: number
}

export interface Recording {
  version: string
  protocol: number
  /** HTTP at `/readyz`: JSON, or the page of the Control UI. */
  readyz: { status: number; type: string; body: unknown }
  hello: Record<string, unknown> & { features: { methods: string[]; events: string[] } }
  /** By method; a method that is not in here is unknown to that version. */
  answers: Record<string, unknown>
  /** What an idle gateway does not say: channels in trouble, a session. */
  samples: { channels?: Record<string, Record<string, unknown>>; session: Record<string, unknown> }
  /** Payloads of `shutdown`: for a restart, and for good. */
  events: { shutdown: object; stop: object }
  refusals: Record<RefusalName, Refusal> & { always?: Refusal; proxy?: { status: number; body: object } }
  /** What an agent asks for, and how long it waits for the answer. Milliseconds. */
  approval: { request: Record<string, unknown>; lastsMs: number }
  /** What a Control UI asks for, and how long a request lives after it was last asked. Milliseconds. */
  pairing: {
    request: { role: string; scopes: string[] } & Record<string, unknown>
    lastsMs: number
  }
}

export type RefusalName =
  | 'first'
  | 'token'
  | 'missing'
  | 'protocol'
  | 'client'
  | 'property'
  | 'role'
  | 'device'
  | 'nonce'
  | 'stale'
  | 'signature'
  | 'pairing'
  | 'starting'
  | 'again'
  | 'method'
  | 'scope'
  | 'decision'
  | 'unknown'
  | 'settled'
  | 'request'
  | 'nobody'
  | 'admin'
  | 'denied'
  | 'rotation'
  | 'sender'

export const OLD = '2026.2.22'
export const NEW = '2026.9.6'
export const VERSIONS = [OLD, NEW] as const
export type Version = (typeof VERSIONS)[number]

const DIRECTORY = join(import.meta.dirname, '../fixtures/openclaw/recordings')

export const readRecording = (version: Version): Recording =>
  JSON.parse(readFileSync(join(DIRECTORY, `${version}.json`), 'utf8'))
