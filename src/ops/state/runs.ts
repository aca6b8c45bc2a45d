// Runbooks on their way, step by step: what a later start needs to say how far one came.

import type { Store } from './store.ts'

export type StepState = 'waiting' | 'running' | 'done' | 'failed' | 'undone'

export interface StepRow {
  name: string
  state: StepState
  note?: string
  startedAt?: number
  endedAt?: number
}

export interface RunRow {
  deedId: number
  cardId: number
  runbook: string
  /** What the plan found, as plain JSON; never a secret. */
  context: unknown
}

export function createRuns(store: Store) {
  return {
    begin({ deedId, cardId, runbook, context }: RunRow, steps: readonly string[]): void {
      store.write(() => {
        store.run(
          'INSERT INTO runs (deed_id, card_id, runbook, context) VALUES (?, ?, ?, ?)',
          deedId,
          cardId,
          runbook,
          JSON.stringify(context),
        )
        for (const [position, name] of steps.entries())
          store.run(
            "INSERT INTO steps (deed_id, position, name, state) VALUES (?, ?, ?, 'waiting')",
            deedId,
            position,
            name,
          )
      })
    },
    step(deedId: number, position: number, { state, note, startedAt, endedAt }: Omit<StepRow, 'name'>): void {
      store.write(() =>
        store.run(
          'UPDATE steps SET state = ?, note = ?, started_at = ?, ended_at = ? WHERE deed_id = ? AND position = ?',
          state,
          note ?? null,
          startedAt ?? null,
          endedAt ?? null,
          deedId,
          position,
        ),
      )
    },
    /** Keeps what a step has added to the context. */
    remember(deedId: number, context: unknown): void {
      store.write(() =>
        store.run('UPDATE runs SET context = ? WHERE deed_id = ?', JSON.stringify(context), deedId),
      )
    },
    steps(deedId: number): StepRow[] {
      return store.all(
        `SELECT name, state, note, started_at AS startedAt, ended_at AS endedAt
         FROM steps WHERE deed_id = ? ORDER BY position`,
        deedId,
      )
    },
    end(deedId: number, now: number): void {
      store.write(() => store.run('UPDATE runs SET ended_at = ? WHERE deed_id = ?', now, deedId))
    },
    /** Those that have begun and not ended. */
    open(): RunRow[] {
      return store
        .all<RunRow & { context: string }>(
          `SELECT deed_id AS deedId, card_id AS cardId, runbook, context FROM runs WHERE ended_at IS NULL`,
        )
        .map((row) => ({ ...row, context: JSON.parse(row.context) }))
    },
  }
}
export type Runs = ReturnType<typeof createRuns>
