// The single values that we remember: the freeze, when we were last alive, the chat menu, what should run.

import type { KeeperMemory } from './credentials/due.ts'
import type { Ends } from './credentials/kinds.ts'
import type { Pasted } from './credentials/pasting.ts'
import type { Registered } from './credentials/register.ts'
import type { Expected } from './deployment.ts'
import type { OpenApprovals } from './gateway/approvals.ts'
import type { KnownCli } from './gateway/cli.ts'
import type { Kept } from './gateway/config.ts'
import type { Asked } from './pairing/reconcile.ts'
import type { Waits } from './pairing/returns.ts'
import type { createMeta } from './state/meta.ts'

/** Every single value there is, as JSON. */
export interface MetaValues {
  /** Who stopped every change, and when. */
  frozen: { by: string; at: number }
  /** When this process was last known to run. */
  aliveAt: number
  /** What was asked of whom, by chat and person: the command line that asks, never an answer. */
  asked: Record<string, { line: string; expiresAt: number; secret?: true }>
  /** Hash of the chat menu that Telegram was last told, by scope. */
  menu: Record<string, string>
  /** The containers that were expected to run at the last look. */
  expected: Expected[]
  /** Containers that were stopped on purpose, by key. */
  stopped: Record<string, { by: string; at: number }>
  /** The gateway's CLI as it was found in the image that ran last, by the image's id. */
  cli: Record<string, KnownCli>
  /** The gateway's config when it was last good, and the good one before. */
  config: { good?: Kept; before?: Kept }
  /** Device pairing: requests on cards, approved devices that are waited for, devices and their scopes, mutes. */
  pairing: Asked
  pairingWaits: Waits
  paired: Record<string, string[]>
  mutedDevices: Record<string, number>
  /** Who switched exec approvals on, and when; absent while they are off. */
  approvals: { by: string; at: number }
  /** Exec approvals that wait for an answer. */
  openApprovals: OpenApprovals
  /** The refreshes of the Claude CLI's token: one under way, those that failed, the last that did not. */
  refresh: KeeperMemory
  /** Hash → end of tokens that were seen anywhere, and of those that the Claude CLI had. */
  tokenEnds: Ends
  cliTokens: Ends
  /** What was given to the gateway's own store last, by agent. */
  pasted: Pasted
  /** When setup-tokens were made. */
  registered: Registered[]
  /** How often Docker had restarted each expected container, by id, and when that last changed. */
  restarts: { at: number; counts: Record<string, number> }
}

export type Meta = ReturnType<typeof createMeta<MetaValues>>
