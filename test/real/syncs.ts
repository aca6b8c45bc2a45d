// How the syncs of a running bot came out, by its own audit log.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** @returns one result for each that has ended, the oldest first: `done`, or what it said. */
export function syncsOf(stateDir: string): string[] {
  const db = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true })
  try {
    const rows = db
      .prepare(
        `SELECT outcome.result FROM audit intent JOIN audit outcome ON outcome.intent_id = intent.id
         WHERE intent.action = 'sync' ORDER BY outcome.id`,
      )
      .all() as { result: string }[]
    return rows.map(({ result }) => result)
  } finally {
    db.close()
  }
}
