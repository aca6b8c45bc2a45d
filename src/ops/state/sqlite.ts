// SQLite files: opened, migrated, set aside when damaged, copied, and the lock that makes a directory ours.

import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { messageOf, OpsError } from '../../errors.ts'
import { MIGRATIONS } from './schema.ts'

// SQLite's primary result codes (https://www.sqlite.org/rescode.html), in `errcode` with the extended bits above.
const [BUSY, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB] = [5, 8, 10, 11, 13, 14, 26]
const codeOf = (error: unknown) =>
  typeof error === 'object' && error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : 0
/** Whether a call failed because the disk takes no writes. */
export const noRoom = (error: unknown) => [READONLY, IOERR, FULL, CANTOPEN].includes(codeOf(error))
const damaged = (error: unknown) => [CORRUPT, NOTADB].includes(codeOf(error))

/** The locks of this process: one that nothing refers to any more would be collected as garbage, and be free. */
const held = new Set<DatabaseSync>()

/**
 * Takes the state directory for this process; the operating system frees it however the process dies.
 * @returns the function that gives it up.
 * @throws OpsError when another process holds it or the directory cannot be made.
 */
export function lockDirectory(directory: string): () => void {
  const file = join(directory, 'lock.db')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const lock = new DatabaseSync(file)
    // Nothing is ever written to it, so that it can be taken on a full disk too.
    lock.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')
    held.add(lock)
    return () => {
      held.delete(lock)
      lock.close()
    }
  } catch (error) {
    if (codeOf(error) === BUSY)
      throw new OpsError(
        `Another opsbot is running on the state directory ${directory}. Stop it first, or talk to it with "npm run console".`,
        { cause: error },
      )
    // It holds nothing: what lies there in its place is none of ours.
    if (damaged(error)) {
      rmSync(file)
      return lockDirectory(directory)
    }
    throw new OpsError(
      `The state directory ${directory} cannot be used: ${messageOf(error)}. Set OPSBOT_STATE_DIR to a directory that this user may write.`,
      { cause: error },
    )
  }
}

function versionOf(db: DatabaseSync, file: string): number {
  const version = Number(db.prepare('PRAGMA user_version').get()?.user_version)
  if (version > MIGRATIONS.length)
    throw new OpsError(
      `${file} was written by a newer opsbot (schema ${version}, this one knows ${MIGRATIONS.length}). Run that version, or move the file away.`,
    )
  return version
}

/** Brings a file, or an empty database, to the newest schema in one transaction. */
export function migrate(db: DatabaseSync, file: string): void {
  const version = versionOf(db, file)
  if (version === MIGRATIONS.length) return
  const steps = MIGRATIONS.slice(version).join('')
  db.exec(`BEGIN IMMEDIATE; ${steps} PRAGMA user_version = ${MIGRATIONS.length}; COMMIT`)
}

const hasContent = (file: string) => existsSync(file) && statSync(file).size > 0

/** Looks whether a file is sound, and writes nothing: a damaged one has to stay as it is, its log included. */
function inspect(file: string): void {
  const db = new DatabaseSync(file, { readOnly: true })
  try {
    const check = db.prepare('PRAGMA quick_check(1)').get()?.quick_check
    if (check !== 'ok') throw Object.assign(new Error(String(check)), { errcode: CORRUPT })
  } finally {
    db.close()
  }
}

/** Opens a sound file for writing and brings it to the newest schema. */
export function openFile(file: string): DatabaseSync {
  const db = new DatabaseSync(file)
  try {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 256')
    migrate(db, file)
    return db
  } catch (error) {
    db.close()
    throw error
  }
}

/** Opens the file; a damaged one is renamed out of the way, never deleted, and a new one begun. */
export function openOrSetAside(file: string, now: number, findings: string[]): DatabaseSync {
  try {
    if (hasContent(file)) inspect(file)
  } catch (error) {
    if (!damaged(error)) throw error
    const aside = `${file}.damaged-${new Date(now).toISOString().replaceAll(':', '-')}`
    for (const suffix of ['', '-wal', '-shm'])
      if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix)
    findings.push(
      `The state file was damaged (${messageOf(error).replaceAll('\n', ' ')}) and lies now at ${aside}. I started with an empty one: alerts that are still firing will fire again.`,
    )
  }
  return openFile(file)
}

/** All that a file holds, in memory and in the newest schema. It takes no room on the disk. */
export function loadFile(file: string): DatabaseSync {
  const memory = new DatabaseSync(':memory:')
  if (hasContent(file)) {
    const disk = new DatabaseSync(file)
    try {
      // Alone with its file, SQLite keeps the index of the log in memory instead of beside it.
      disk.exec('PRAGMA locking_mode = EXCLUSIVE')
      const version = versionOf(disk, file)
      memory.exec(`${MIGRATIONS.slice(0, version).join('')} PRAGMA user_version = ${version}`)
      copyTables(disk, memory)
    } finally {
      disk.close()
    }
  }
  migrate(memory, file)
  return memory
}

/** Makes the tables of `to` equal to those of `from`, in one transaction. Both have the same schema. */
export function copyTables(from: DatabaseSync, to: DatabaseSync): void {
  const tables = from.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all()
  to.exec('PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE')
  try {
    for (const { name } of tables) {
      to.exec(`DELETE FROM ${name}`)
      for (const row of from.prepare(`SELECT * FROM ${name}`).iterate()) {
        const values = Object.values(row)
        to.prepare(`INSERT INTO ${name} VALUES (${values.map(() => '?')})`).run(...values)
      }
    }
    to.exec('COMMIT')
  } catch (error) {
    if (to.isTransaction) to.exec('ROLLBACK')
    throw error
  } finally {
    to.exec('PRAGMA foreign_keys = ON')
  }
}
