// Single remembered values: the freeze, when we were last alive, what the chat menu was set to.

import type { Store } from './store.ts'

/** Every single value there is, as JSON. */
export interface MetaValues {
  /** Who stopped every change, and when. */
  frozen: { by: string; at: number }
  /** When this process was last known to run. */
  aliveAt: number
  /** Hash of the chat menu that Telegram was last told, by scope. */
  menu: Record<string, string>
  /** The containers that were expected to run at the last look. */
  expected: { name: string; compose?: ComposeProject }[]
  /** Containers that were stopped on purpose, by key. */
  stopped: Record<string, { by: string; at: number }>
}

interface ComposeProject {
  project: string
  service: string
  workingDir: string
  configFiles: string[]
  environmentFiles: string[]
  dependent: boolean
}

export function createMeta(store: Store) {
  return {
    get<K extends keyof MetaValues>(key: K): MetaValues[K] | undefined {
      const row = store.get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key)
      return row && JSON.parse(row.value)
    },
    set<K extends keyof MetaValues>(key: K, value: MetaValues[K]): void {
      store.write(() =>
        store.run('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)', key, JSON.stringify(value)),
      )
    },
    clear(key: keyof MetaValues): void {
      store.write(() => store.run('DELETE FROM meta WHERE key = ?', key))
    },
  }
}
export type Meta = ReturnType<typeof createMeta>
