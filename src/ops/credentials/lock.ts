// The lock that older gateways take around every change of a file of credentials, taken by us too.

import { lstat, open, realpath, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import { writeTrouble } from './write.ts'

/** The gateway's own: it takes a lock that is older for one that was left behind (read in 2026.2.22). */
const STALE_MS = 30_000
const LOCK_MS = 5_000

/** @throws when somebody else has it, or the disk is full: then nothing of it is left. */
async function take(lock: string): Promise<void> {
  const handle = await open(lock, 'wx', 0o600)
  try {
    // Without a pid: ours means nothing in the gateway's container.
    await handle.writeFile(JSON.stringify({ createdAt: new Date().toISOString() }))
  } catch (error) {
    await rm(lock, { force: true })
    throw error
  } finally {
    await handle.close()
  }
}

/**
 * Holds the lock that older gateways take around every change of `auth-profiles.json`, so that neither side loses what the
 * other wrote. Wall clock on purpose: it is compared with the time of a file.
 * @throws OpsError when somebody else keeps it.
 */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${join(await realpath(dirname(path)), basename(path))}.lock`
  const until = performance.now() + LOCK_MS
  for (;;) {
    try {
      await take(lock)
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeTrouble(path, error)
      const held = await lstat(lock).catch(() => undefined)
      if (held && Date.now() - held.mtimeMs > STALE_MS) await rm(lock, { force: true })
      if (performance.now() > until)
        throw new OpsError(`${path} is locked by the gateway and was not written. It is as it was.`, {
          cause: error,
        })
      await sleep(25)
    }
  }
  return await work().finally(() => rm(lock, { force: true }))
}
