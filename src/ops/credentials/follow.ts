// Follows the directory of a credentials file: a hint that something changed there, never what; the truth is read again.

import { type FSWatcher, watch } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface FollowOptions {
  /** Undefined while the host cannot see it. Never throws. */
  directory: () => Promise<string | undefined>
  /** Called soon after something changed there, once for what comes together. */
  onChange: () => void
}

/** A rename of the file is three events within milliseconds. */
const SETTLE_MS = 50
/** A directory that was not there, or was put in the place of another, is found so soon. */
const AGAIN_MS = 30_000
/** What the CLI does in its directory that is not about its login (claude-cli.md §2). */
const NOISE = /\.tmp\.|\.lock|^(?:projects|backups|opsbot|statsig|todos|shell-snapshots|debug)$/

/** @returns the way to stop. */
export function follow({ directory, onChange }: FollowOptions): () => void {
  let watcher: FSWatcher | undefined
  /** Which directory it is: another one may have taken its name. */
  let held: string | undefined
  let settle: NodeJS.Timeout | undefined
  let stopped = false

  function letGo(): void {
    watcher?.close()
    watcher = undefined
    held = undefined
  }

  async function hold(): Promise<void> {
    const wanted = await directory()
    const about = wanted === undefined ? undefined : await stat(wanted).catch(() => undefined)
    const which = about && `${wanted} ${about.dev} ${about.ino}`
    if (stopped || (which === held && watcher)) return
    letGo()
    if (wanted === undefined || which === undefined) return
    try {
      watcher = watch(wanted, { persistent: false }, (_, name) => {
        if (name !== null && NOISE.test(name)) return
        clearTimeout(settle)
        settle = setTimeout(onChange, SETTLE_MS)
      })
      held = which
      watcher.on('error', letGo)
      onChange()
    } catch {
      // It is not there: the check of the file says so.
      letGo()
    }
  }

  void hold()
  const timer = setInterval(() => void hold(), AGAIN_MS)
  timer.unref()
  return () => {
    stopped = true
    clearInterval(timer)
    clearTimeout(settle)
    letGo()
  }
}
