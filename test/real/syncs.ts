// How the syncs of a running bot came out, by its own audit log.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** Every one that was begun, the oldest first: `done`, what it said instead, or null while it runs. */
function rowsOf(stateDir: string): (string | null)[] {
  const db = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true })
  try {
    const rows = db
      .prepare(
        `SELECT outcome.result FROM audit intent LEFT JOIN audit outcome ON outcome.intent_id = intent.id
         WHERE intent.action = 'sync' AND intent.phase = 'intent' ORDER BY intent.id`,
      )
      .all() as { result: string | null }[]
    return rows.map(({ result }) => result)
  } finally {
    db.close()
  }
}

/** @returns one result for each that has ended. */
export const syncsOf = (stateDir: string): string[] => rowsOf(stateDir).filter((result) => result !== null)

export const isSyncing = (stateDir: string): boolean => rowsOf(stateDir).includes(null)
