// Syncs by itself: when the CLI has a new token everybody gets it, and what failed is tried again.

import { messageOf } from '../../errors.ts'
import { errorFields, type Log } from '../../log.ts'
import type { ClaudeFile } from '../claude/index.ts'
import type { Deeds } from '../deeds.ts'
import type { Sync } from '../runbooks/sync.ts'

export interface Syncer {
  /** Takes note of the file as it was just read, and begins a sync where one is needed. Never throws. */
  consider(file: ClaudeFile): void
  /** Why the last one did not work; undefined when it did. */
  trouble(): string | undefined
}

export interface SyncerOptions {
  sync: Pick<Sync, 'isDue' | 'quietly'>
  perform: Deeds['perform']
  now: () => number
  log: Log
  /** Whether the gateway is up: only then is it known for sure that there is nothing to do. */
  settled: () => boolean
  /** Called when one came to its end. */
  onEnd: () => void
}

/** Whoever else writes to the copies is noticed so soon; a new token at once. */
const LOOK_MS = 10 * 60_000
const AGAIN_MS = 60_000
/** A refresh may hold the credentials for a while when its token is there already: so soon it is tried again first. */
const SOON_MS = [300, 1_000, 3_000]
const ME = { name: 'opsbot' }

export function createSyncer({ sync, perform, settled, now, log, onEnd }: SyncerOptions): Syncer {
  let last: { hash: string; at: number; why?: string } | undefined
  let running = false
  let newest: ClaudeFile | undefined
  /** Tries of one token that did not work. */
  let failed: { hash: string; tries: number } | undefined

  /** @returns why it did not work, and whether there was nothing to do. */
  async function run(): Promise<{ why?: string; idle?: true }> {
    try {
      if (!(await sync.isDue())) return { idle: true }
      const deed = { name: 'sync', detail: 'a new token', danger: 'safe' as const, resource: 'credentials' }
      await perform({ ...deed, run: (signal) => sync.quietly(signal) }, ME).done
      onEnd()
      return {}
    } catch (error) {
      log.warn('a sync did not work', errorFields(error))
      return { why: messageOf(error) }
    }
  }

  function trySoon(hash: string): void {
    const tries = failed?.hash === hash ? failed.tries : 0
    failed = { hash, tries: tries + 1 }
    const waitMs = SOON_MS[tries]
    if (waitMs === undefined) return
    const again = () => {
      if (last) last.at = Number.NEGATIVE_INFINITY
      if (newest) consider(newest)
    }
    setTimeout(again, waitMs).unref()
  }

  function consider(file: ClaudeFile): void {
    newest = file
    const { state, hash } = file
    if (state !== 'ok' || hash === undefined || running) return
    const rest = last?.why === undefined ? LOOK_MS : AGAIN_MS
    if (last && last.hash === hash && now() - last.at < rest) return
    running = true
    const sure = settled()
    void run().then(({ why, idle }) => {
      running = false
      // What a gateway that is not up yet leaves unknown is looked at again by the next who looks.
      last = idle && !sure ? undefined : { hash, at: now(), ...(why !== undefined && { why }) }
      // Another one came while this one was copied.
      if (newest && newest.hash !== hash) consider(newest)
      else if (why !== undefined) trySoon(hash)
    })
  }

  return { consider, trouble: () => last?.why }
}
