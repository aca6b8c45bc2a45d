// What the alert machine remembers of each key, the mutes, and the figures of the last day.

import type { Store } from './store.ts'

export interface AlertRow<Memory> {
  id: number
  key: string
  /** The card that tells of it. */
  cardId?: number
  memory: Memory
}

export interface Mute {
  /** An alert's key, an area, or `all`. */
  subject: string
  until: number
  by: string
}

export interface Sample {
  at: number
  value: number
}

/** Figures are kept at this grain, for a day. */
const SAMPLE_EVERY_MS = 5 * 60_000
const SAMPLES_KEPT_MS = 24 * 3_600_000

export function createAlertLog<Memory>(store: Store) {
  return {
    list(): AlertRow<Memory>[] {
      return store
        .all<AlertRow<string>>('SELECT id, key, card_id AS cardId, memory FROM alerts ORDER BY id')
        .map((row) => ({ ...row, memory: JSON.parse(row.memory) }))
    },
    /** @returns the alert's id, the same for ever for one key. */
    save(key: string, memory: Memory): number {
      return store.write(() => {
        store.run(
          'INSERT INTO alerts (key, memory) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET memory = excluded.memory',
          key,
          JSON.stringify(memory),
        )
        return store.get<{ id: number }>('SELECT id FROM alerts WHERE key = ?', key)?.id ?? 0
      })
    },
    moveTo(id: number, cardId: number): void {
      store.write(() => store.run('UPDATE alerts SET card_id = ? WHERE id = ?', cardId, id))
    },

    mutes(now: number): Mute[] {
      return store.all('SELECT subject, until, by FROM mutes WHERE until > ? ORDER BY until', now)
    },
    mute({ subject, until, by }: Mute): void {
      store.write(() =>
        store.run('INSERT OR REPLACE INTO mutes (subject, until, by) VALUES (?, ?, ?)', subject, until, by),
      )
    },
    /** @returns whether there was such a mute. */
    unmute(subject: string): boolean {
      return store.write(() => store.run('DELETE FROM mutes WHERE subject = ?', subject).changes > 0)
    },

    /** Remembers figures, one each five minutes; the caller says which keys are due. */
    sample(values: readonly { key: string; value: number }[], now: number): void {
      const at = now - (now % SAMPLE_EVERY_MS)
      store.write(() => {
        for (const { key, value } of values)
          store.run('INSERT OR IGNORE INTO samples (key, at, value) VALUES (?, ?, ?)', key, at, value)
        store.run('DELETE FROM samples WHERE at < ?', now - SAMPLES_KEPT_MS)
      })
    },
    samples(key: string, since: number): Sample[] {
      return store.all('SELECT at, value FROM samples WHERE key = ? AND at >= ? ORDER BY at', key, since)
    },
  }
}
export type AlertLog<Memory> = ReturnType<typeof createAlertLog<Memory>>
