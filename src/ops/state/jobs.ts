// When each job ran last and how that went, and when it is due next.

import type { Store } from './store.ts'

export interface JobRow {
  name: string
  /** When it should run next. */
  dueAt?: number
  startedAt?: number
  finishedAt?: number
  result?: 'done' | 'failed'
  message?: string
}

export function createJobLog(store: Store) {
  return {
    list(): JobRow[] {
      return store.all(
        `SELECT name, due_at AS dueAt, started_at AS startedAt, finished_at AS finishedAt, result, message
         FROM jobs ORDER BY name`,
      )
    },
    /** Sets when a job is due next. */
    due(name: string, dueAt: number): void {
      store.write(() =>
        store.run(
          'INSERT INTO jobs (name, due_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET due_at = excluded.due_at',
          name,
          dueAt,
        ),
      )
    },
    started(name: string, now: number): void {
      store.write(() =>
        store.run(
          'INSERT INTO jobs (name, started_at) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET started_at = excluded.started_at, finished_at = NULL',
          name,
          now,
        ),
      )
    },
    finished(name: string, result: 'done' | 'failed', message: string, now: number): void {
      store.write(() =>
        store.run(
          `INSERT INTO jobs (name, finished_at, result, message) VALUES (?, ?, ?, ?)
           ON CONFLICT (name) DO UPDATE SET finished_at = excluded.finished_at, result = excluded.result, message = excluded.message`,
          name,
          now,
          result,
          message,
        ),
      )
    },
    /** Forgets jobs that this version no longer has. */
    keep(names: readonly string[]): void {
      store.write(() =>
        store.run(
          'DELETE FROM jobs WHERE name NOT IN (SELECT value FROM json_each(?))',
          JSON.stringify(names),
        ),
      )
    },
  }
}
export type JobLog = ReturnType<typeof createJobLog>
