// The single values that we remember: the freeze, when we were last alive, the chat menu, what should run.

import type { Expected } from './deployment.ts'
import type { createMeta } from './state/meta.ts'

/** Every single value there is, as JSON. */
export interface MetaValues {
  /** Who stopped every change, and when. */
  frozen: { by: string; at: number }
  /** When this process was last known to run. */
  aliveAt: number
  /** What was asked of whom, by chat and person: the command line that asks, never an answer. */
  asked: Record<string, { line: string; expiresAt: number }>
  /** Hash of the chat menu that Telegram was last told, by scope. */
  menu: Record<string, string>
  /** The containers that were expected to run at the last look. */
  expected: Expected[]
  /** Containers that were stopped on purpose, by key. */
  stopped: Record<string, { by: string; at: number }>
  /** How often Docker had restarted each expected container, by id, and when that last changed. */
  restarts: { at: number; counts: Record<string, number> }
}

export type Meta = ReturnType<typeof createMeta<MetaValues>>
