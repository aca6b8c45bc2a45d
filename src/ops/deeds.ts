// Deeds: everything that changes something goes through perform: freeze → lock → intent row → run → outcome row.

import { messageOf, OpsError } from '../errors.ts'
import type { Meta } from './meta.ts'
import type { Audit, AuditEntry } from './state/audit.ts'
import type { Store } from './state/store.ts'

/** Who does it, as the audit names them: `Ann (11111111)`, `console`, `opsbot`. */
export interface Actor {
  name: string
}

/** safe: at once · disruptive: a button confirms it · destructive: the name is typed. */
export type Danger = 'safe' | 'disruptive' | 'destructive'

export interface Deed<T> {
  /** A verb for the audit: `mute`, `run job`. */
  name: string
  /** What it is done to, in words. Never a secret. */
  detail: string
  danger: Danger
  /** What it works on alone: two deeds never hold one resource at a time. */
  resource?: string
  /** It may be done while changes are frozen: only what ends the freeze. */
  thaws?: true
  /** @param signal aborts when the process is stopping. */
  run(signal: AbortSignal): Promise<T> | T
}

export interface Started<T> {
  /** The number of its intent row. */
  id: number
  /** @throws what `run` throws; the audit has it already. */
  done: Promise<T>
}

export type Deeds = ReturnType<typeof createDeeds>

export function createDeeds(options: { store: Store; audit: Audit; meta: Meta; now: () => number }) {
  const { store, audit, meta, now } = options
  const stopping = new AbortController()
  const running = new Map<number, Promise<unknown>>()

  async function finish<T>(id: number, deed: Deed<T>): Promise<T> {
    try {
      const result = await deed.run(stopping.signal)
      audit.end(id, 'done', '', now())
      return result
    } catch (error) {
      const cut = stopping.signal.aborted
      audit.end(id, cut ? 'interrupted' : 'failed', messageOf(error), now())
      if (!cut) throw error
      throw new OpsError(`I was stopped in the middle of this: ${deed.name}. /audit shows it.`, {
        cause: error,
      })
    }
  }

  return {
    /**
     * Begins a deed; its intent is on disk when this returns.
     * @throws OpsError when changes are frozen, its resource is taken, we are stopping, or it could not be recorded.
     */
    perform<T>(deed: Deed<T>, actor: Actor): Started<T> {
      const frozen = meta.get('frozen')
      if (frozen && !deed.thaws)
        throw new OpsError(
          `Changes are frozen by ${frozen.by}: ${deed.name} was not done. An owner ends that with /unfreeze.`,
        )
      if (stopping.signal.aborted) throw new OpsError('opsbot is stopping: send it again in a minute.')
      const id = audit.begin(actor.name, deed.name, deed.detail, deed.resource, now())
      if (!store.durable() && deed.danger !== 'safe') {
        audit.end(id, 'failed', 'not recorded on disk', now())
        throw new OpsError(
          'The disk of the state directory takes no writes, so this could not be recorded and was not done. Free some space, then send it again.',
        )
      }
      const done = finish(id, deed)
      running.set(id, done)
      const ended = () => running.delete(id)
      done.then(ended, ended)
      return { id, done }
    },
    /** How many deeds run just now. */
    running: () => running.size,
    /**
     * Ends the story of deeds that an earlier process did not outlive.
     * @returns them, to be told of; nothing is resumed.
     */
    settleInterrupted(): AuditEntry[] {
      const cut = audit.running()
      for (const { id } of cut) audit.end(id, 'interrupted', 'opsbot was stopped in the middle', now())
      return cut
    },
    /** Asks running deeds to end, and begins no more. */
    halt: () => stopping.abort(),
    /** Asks running deeds to end and waits for them, for this long at most. Those left are settled at the next start. */
    async drain(timeoutMs: number): Promise<void> {
      stopping.abort()
      const settled = Promise.allSettled(running.values())
      await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, timeoutMs).unref())])
    },
  }
}
