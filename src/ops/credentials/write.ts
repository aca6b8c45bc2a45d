// Files with credentials, replaced as a whole: whoever reads one, whenever we are killed, finds the old text or the new.

import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { OpsError } from '../../errors.ts'
import { shortHash } from '../gateway/config.ts'

/** Whose a file is. */
export interface Owner {
  uid: number
  gid: number
}

export interface ReadFile extends Owner {
  /** Where it really lies, behind every link. */
  path: string
  text: string
  /** First 16 hex digits of the text's SHA-256. */
  hash: string
  mode: number
}

export interface ReplaceOptions {
  /** Of the text that is replaced; undefined when there must be no file yet. */
  expected: string | undefined
  /** Of a file that is not there yet: its owner. Its mode is 0600. */
  owner?: Owner
  /** The old text is kept beside it as `.bak`, readable by its owner alone. */
  backup?: true
  /** Links may not lead out of this directory. */
  within?: string
  /** Asked at the last moment; what it throws leaves the file as it was. */
  still?: () => Promise<unknown>
}

const MOST_BYTES = 4_000_000
const SECRET_MODE = 0o600

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

const TROUBLE: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space',
  EDQUOT: 'the quota of its owner is used up: free some space',
  EFBIG: 'it would be larger than opsbot may write',
  EROFS: 'it lies on a read-only file system',
  EACCES: "opsbot's user may not write there",
  EPERM: "opsbot's user may not give it its owner and mode back",
  EBUSY: 'it is a mount of its own: mount its directory instead',
  EIO: 'the disk fails',
}

/** What a failed write says to people. */
export function writeTrouble(path: string, error: unknown): OpsError {
  if (error instanceof OpsError) return error
  const why = TROUBLE[codeOf(error)] ?? (codeOf(error) || 'the cause is not known')
  return new OpsError(`${path} was not written: ${why}. It is as it was.`, { cause: error })
}

/**
 * Where a path really leads.
 * @returns undefined when nothing is there.
 * @throws OpsError when a link leads out of `within`, or nowhere.
 */
async function placeOf(path: string, within: string | undefined): Promise<string | undefined> {
  const real = await realpath(path).catch((error) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
    throw error
  })
  if (real === undefined) {
    const link = await lstat(path).catch(() => undefined)
    if (link) throw new OpsError(`${path} is a link that leads nowhere: it is left alone.`)
    return undefined
  }
  // The gateway's agents can put links into its state, and we may be root.
  if (within !== undefined && !real.startsWith(`${await realpath(within)}${sep}`))
    throw new OpsError(`${path} is a link that leads out of ${within}: it is left alone.`)
  return real
}

/**
 * A file as it is, behind its links.
 * @returns undefined when there is none.
 * @throws OpsError when it cannot be read, or is none that we would write.
 */
export async function readWhole(
  path: string,
  { within }: Pick<ReplaceOptions, 'within'> = {},
): Promise<ReadFile | undefined> {
  try {
    const real = await placeOf(path, within)
    if (real === undefined) return undefined
    const file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    try {
      const seen = await file.stat()
      const { size, mode, uid, gid, nlink } = seen
      if (!seen.isFile()) throw new OpsError(`${path} is not a file.`)
      if (nlink > 1) throw new OpsError(`${path} has a second name (a hard link): it is left alone.`)
      if (size > MOST_BYTES) throw new OpsError(`${path} is too large to be what it should be.`)
      const bytes = await file.readFile()
      const text = bytes.toString('utf8')
      if (!Buffer.from(text).equals(bytes)) throw new OpsError(`${path} is no UTF-8 text.`)
      return { path: real, text, hash: shortHash(text), mode: mode & 0o777, uid, gid }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof OpsError) throw error
    if (!codeOf(error)) throw error
    if (codeOf(error) === 'ENOENT') return undefined
    throw new OpsError(`${path} cannot be read (${codeOf(error)}).`, { cause: error })
  }
}

async function give(handle: FileHandle, { uid, gid }: Owner): Promise<void> {
  const has = await handle.stat()
  // Who is not root may not even give a file to its own owner.
  if (has.uid !== uid || has.gid !== gid) await handle.chown(uid, gid)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await directory.sync().finally(() => directory.close())
}

/** Ours, of this file; only one of us writes at a time, so one that lies there was left by a kill. */
const tempOf = (path: string) => `.${basename(path)}.opsbot-`

async function sweep(path: string): Promise<void> {
  const names = await readdir(dirname(path))
  const left = names.filter((name) => name.startsWith(tempOf(path)))
  for (const name of left) await rm(join(dirname(path), name), { force: true })
}

/** @param check is called when all is ready; what it throws leaves the file as it was. */
async function place(
  path: string,
  text: string,
  { mode, ...owner }: Owner & { mode: number },
  check: () => Promise<void>,
): Promise<void> {
  const temp = join(dirname(path), `${tempOf(path)}${randomBytes(6).toString('hex')}`)
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  try {
    const handle = await open(temp, flags, SECRET_MODE)
    try {
      await handle.writeFile(text)
      await give(handle, owner)
      await handle.chmod(mode)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await check()
    await rename(temp, path)
  } catch (error) {
    await rm(temp, { force: true }).catch(() => {})
    throw error
  }
}

/**
 * Replaces a file as a whole, with the owner and the mode that it has; a link's target, not the link.
 * @throws OpsError that says why when it is not as it was expected, or was not written; it is as it was then.
 */
export async function replaceFile(path: string, text: string, options: ReplaceOptions): Promise<void> {
  const { expected, owner, backup, within } = options
  async function look(): Promise<ReadFile | undefined> {
    const found = await readWhole(path, options)
    if (found?.hash !== expected)
      throw new OpsError(`${path} was changed by somebody else meanwhile: it was not written.`)
    return found
  }
  let isNew = false
  try {
    const before = await look()
    const real =
      before?.path ?? join((await placeOf(dirname(path), undefined)) ?? dirname(path), basename(path))
    if (!before && within && !real.startsWith(`${await realpath(within)}${sep}`))
      throw new OpsError(`${path} lies behind a link that leads out of ${within}: it is left alone.`)
    const whose = before ?? owner ?? (await stat(dirname(real)))
    await sweep(real)
    const { uid, gid } = whose
    if (backup && before) {
      await sweep(`${real}.bak`)
      await place(`${real}.bak`, before.text, { uid, gid, mode: SECRET_MODE }, async () => {})
    }
    await place(real, text, { uid, gid, mode: before?.mode ?? SECRET_MODE }, async () => {
      await options.still?.()
      await look()
    })
    isNew = true
    await syncDirectory(dirname(real))
  } catch (error) {
    if (!(error instanceof OpsError) && !codeOf(error)) throw error
    if (!isNew) throw writeTrouble(path, error)
    throw new OpsError(
      `${path} has its new text, but a power cut may still take it back (${codeOf(error)}).`,
      {
        cause: error,
      },
    )
  }
}

/** Makes a directory for credentials, if it is not there. @throws OpsError */
export async function makeDirectory(path: string, owner: Owner): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
    await give(directory, owner).finally(() => directory.close())
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw writeTrouble(path, error)
  }
}
