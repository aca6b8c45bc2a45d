// Mounted file systems: which ones count, how full they are, and which directories fill them.

import { readFileSync } from 'node:fs'
import { readFile, statfs as statfsOfNode } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../errors.ts'
import { type Largest, largestDirectories } from './largest.ts'
import { chooseMounts, type Mount, parseFstab, parseMountinfo, type WatchedMount } from './mountinfo.ts'
import type { Run } from './run.ts'

export interface Mounts {
  /** What is to be watched: the mount points named, else every real, writable, local file system once. */
  watched(named?: readonly string[]): Promise<{ found: WatchedMount[]; missing: string[] }>
  /**
   * Waits for the kernel no longer than the deadline (default 2 s), in turn with other looks. Never fills
   * Node's thread pool: a second look at a hung mount says so at once, and with two hung no more are risked.
   */
  usage(mount: Mount, options?: { deadlineMs?: number }): Promise<Look>
  /**
   * What fills a file system: its largest directories, at most three levels deep. Takes up to 20 s.
   * @throws OpsError when the file system does not answer.
   */
  largestDirectories(mount: Mount, options?: { signal?: AbortSignal; deadlineMs?: number }): Promise<Largest>
  /** Looks that have not come back. While there are any, `process.exit` hangs too: only SIGKILL ends us. */
  pending(): number
}

export type Look =
  | { state: 'seen'; usage: Usage }
  /** No answer within the deadline, and none since. */
  | { state: 'hung' }
  /** The file system answers with an error, such as ENOTCONN when a FUSE daemon has died. */
  | { state: 'broken'; error: string }
  /** We could not look; it may be fine. */
  | { state: 'unseen'; why: string }

export interface Usage {
  /** Bytes: the whole, what is taken, and what an ordinary user may still write. */
  total: number
  used: number
  available: number
  /** df's figure, used / (used + available), not rounded: blocks reserved for root count as full. */
  percent: number
  /** Not there for file systems without a fixed number of them (btrfs, vfat). */
  inodes?: { total: number; used: number; percent: number }
}

/** What statfs(2) says. Blocks are counted in units of `frsize`; `bsize` is how it likes to be read. */
export interface StatFs {
  bsize: number
  frsize?: number
  blocks: number
  bfree: number
  bavail: number
  files: number
  ffree: number
}

export function usageOf({ bsize, frsize = bsize, blocks, bfree, bavail, files, ffree }: StatFs): Usage {
  const share = (part: number, whole: number) => (whole > 0 ? (100 * part) / whole : 0)
  const used = blocks - bfree
  return {
    total: blocks * frsize,
    used: used * frsize,
    available: bavail * frsize,
    percent: share(used, used + bavail),
    ...(files > 0 && { inodes: { total: files, used: files - ffree, percent: share(files - ffree, files) } }),
  }
}

/** Node has four threads for files and names. So many may be lost to calls that do not come back. */
const STUCK_LIMIT = { local: 3, other: 2 }

export interface MountsOptions {
  run: Run
  /** Where procfs is mounted, and where fstab is. */
  procRoot?: string
  etcRoot?: string
  /** The call that may hang. */
  statfs?: (point: string) => Promise<StatFs>
}

export function createMounts(options: MountsOptions): Mounts {
  const { run, procRoot = '/proc', etcRoot = '/etc', statfs = statfsOfNode } = options
  // Synchronous: the kernel answers from memory, and the thread pool may be what is in trouble.
  const table = () => parseMountinfo(readFileSync(`${procRoot}/self/mountinfo`, 'utf8'))
  const seenWritable = new Set<string>()
  /** Mounts whose statfs(2) has not come back, by id. */
  const pending = new Set<string>()
  let turn: Promise<unknown> = Promise.resolve()

  async function watched(named?: readonly string[]) {
    const mounts = table()
    const fstab = mounts.some(({ state, local }) => local && state === 'ro')
      ? parseFstab(await readFile(`${etcRoot}/fstab`, 'utf8').catch(() => ''))
      : []
    const key = ({ device, point }: Mount) => `${device} ${point}`
    const expected = (mount: Mount) => seenWritable.has(key(mount)) || fstab.includes(mount.point)
    const found = chooseMounts(mounts, named, expected)
    for (const mount of found) if (mount.state === 'rw') seenWritable.add(key(mount))
    const missing = named?.filter((point) => !found.some((mount) => mount.point === point)) ?? []
    return { found, missing }
  }

  async function look({ id, point, local }: Mount, deadlineMs: number): Promise<Look> {
    if (pending.has(id)) return { state: 'hung' }
    if (pending.size >= STUCK_LIMIT[local ? 'local' : 'other'])
      return { state: 'unseen', why: `not looked at while ${pending.size} other file systems do not answer` }
    pending.add(id)
    const call = statfs(point)
      .then<Look, Look>((figures) => ({ state: 'seen', usage: usageOf(figures) }), lookOf)
      .finally(() => pending.delete(id))
    const timer = new AbortController()
    const late = sleep<Look>(deadlineMs, { state: 'hung' }, { signal: timer.signal })
    return Promise.race([call, late]).finally(() => timer.abort())
  }

  function usage(mount: Mount, { deadlineMs = 2_000 } = {}): Promise<Look> {
    // In turn: calls side by side could all hang before the first of them is known to.
    const answer = turn.then(() => look(mount, deadlineMs))
    turn = answer.catch(() => {})
    return answer
  }

  return {
    watched,
    usage,
    pending: () => pending.size,
    async largestDirectories(mount, { signal, deadlineMs = 20_000 } = {}) {
      const answer = await usage(mount)
      if (answer.state !== 'seen')
        throw new OpsError(`${mount.point} does not answer, so its directories cannot be read`)
      const foreign = new Set(table().map(({ point }) => point))
      return largestDirectories(mount.point, { run, foreign, deadlineMs, ...(signal && { signal }) })
    },
  }
}

/** An error of statfs(2): our own lack of rights says nothing about the file system. */
function lookOf(error: NodeJS.ErrnoException): Look {
  if (error.code === 'EACCES' || error.code === 'ENOENT')
    return { state: 'unseen', why: `statfs: ${error.code}` }
  return { state: 'broken', error: error.code ?? error.message }
}
