// The state file: opened once, written in transactions, set aside when damaged, and held in memory while the disk is full.

import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { copyTables, loadFile, migrate, noRoom, openFile, openOrSetAside } from './sqlite.ts'

type Value = string | number | null

export interface Store {
  /**
   * Runs `work` in one transaction that is on disk (fsync) when this returns; a call inside another joins it.
   * `work` only reads and writes the state: on a full disk it is run a second time.
   */
  write<T>(work: () => T): T
  /** Runs one statement. Strings are stripped of secrets on their way in. */
  run(sql: string, ...values: Value[]): { changes: number; id: number }
  /** The rows of a query, as plain objects without their NULL columns. */
  all<Row>(sql: string, ...values: Value[]): Row[]
  /** Its first row. */
  get<Row>(sql: string, ...values: Value[]): Row | undefined
  /** False while the disk takes no writes: what is remembered then is lost with the process. */
  durable(): boolean
  /** While not durable: tries to bring everything back to the disk. */
  heal(): void
  /** What an operator has to know about how the file was found, in sentences. */
  readonly findings: readonly string[]
  close(): void
}

export interface StoreOptions {
  directory: string
  /** Takes secrets out of a text; every string written passes it. */
  redact: (text: string) => string
  now: number
}

/** Given up when the disk is full, so that the next few writes still fit. Bytes. */
const BALLAST_BYTES = 1 << 20

const present = (row: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null))

/**
 * Opens `state.db` in the directory. The caller holds its lock (`lockDirectory`).
 * @throws OpsError when a newer opsbot wrote it or the directory is not usable at all.
 */
export function openStore({ directory, redact, now }: StoreOptions): Store {
  const file = join(directory, 'state.db')
  const ballast = join(directory, 'ballast')
  const findings: string[] = []
  let memory: DatabaseSync | undefined
  let disk: DatabaseSync | undefined
  let statements = new Map<string, StatementSync>()

  const fillBallast = () => {
    if (existsSync(ballast)) return
    // Where hardly more is left, to take it would fill the disk.
    const { bavail, bsize } = statfsSync(directory)
    if (bavail * bsize < 1.25 * BALLAST_BYTES) return
    writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES, 1), { mode: 0o600 })
  }
  const toMemory = () => {
    memory = new DatabaseSync(':memory:')
    migrate(memory, 'memory')
    if (disk) copyTables(disk, memory)
    statements = new Map()
  }
  const prepare = (sql: string) => {
    let statement = statements.get(sql)
    if (!statement) {
      const db = memory ?? disk
      if (!db) throw new Error('the state is closed')
      statement = db.prepare(sql)
      statements.set(sql, statement)
    }
    return statement
  }
  const clean = (values: Value[]): SQLInputValue[] =>
    values.map((value) => (typeof value === 'string' ? redact(value) : value))

  let depth = 0
  function transact<T>(work: () => T): T {
    prepare('BEGIN IMMEDIATE').run()
    depth = 1
    try {
      const result = work()
      prepare('COMMIT').run()
      return result
    } catch (error) {
      const db = memory ?? disk
      if (db?.isTransaction) db.exec('ROLLBACK')
      throw error
    } finally {
      depth = 0
    }
  }
  function write<T>(work: () => T): T {
    if (depth > 0) return work()
    try {
      return transact(work)
    } catch (error) {
      if (memory || !noRoom(error)) throw error
      if (existsSync(ballast)) {
        rmSync(ballast)
        return write(work)
      }
      toMemory()
      return transact(work)
    }
  }
  function heal(): void {
    try {
      if (memory) {
        disk ??= openFile(file)
        copyTables(memory, disk)
        memory.close()
        memory = undefined
        statements = new Map()
      }
      fillBallast()
    } catch (error) {
      if (!noRoom(error) && !isFullDisk(error)) throw error
      rmSync(ballast, { force: true })
    }
  }

  /** Opens the file; on a full disk its ballast makes the room that this takes, else all of it goes to memory. */
  function open(): void {
    try {
      disk = openOrSetAside(file, now, findings)
    } catch (error) {
      if (!noRoom(error)) throw error
      if (!existsSync(ballast)) {
        memory = loadFile(file)
        return
      }
      rmSync(ballast)
      open()
    }
  }
  open()
  heal()

  return {
    write,
    run: (sql, ...values) => {
      const { changes, lastInsertRowid } = prepare(sql).run(...clean(values))
      return { changes: Number(changes), id: Number(lastInsertRowid) }
    },
    all: <Row>(sql: string, ...values: Value[]) =>
      prepare(sql)
        .all(...values)
        .map(present) as Row[],
    get: <Row>(sql: string, ...values: Value[]) => {
      const row = prepare(sql).get(...values)
      return row && (present(row) as Row)
    },
    durable: () => !memory,
    heal,
    findings,
    close: () => {
      memory?.close()
      disk?.close()
      memory = disk = undefined
    },
  }
}

/** Whether a call of the file system failed for want of room. */
function isFullDisk(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    ['ENOSPC', 'EDQUOT', 'EROFS', 'EIO'].includes(`${error.code}`)
  )
}
