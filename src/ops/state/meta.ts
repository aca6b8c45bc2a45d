// Single remembered values, by name.

import type { Store } from './store.ts'

/** @typeParam Values every single value there is, by name; each is stored as JSON. */
export function createMeta<Values extends object>(store: Store) {
  return {
    get<K extends keyof Values & string>(key: K): Values[K] | undefined {
      const row = store.get<{ value: string }>('SELECT value FROM meta WHERE key = ?', key)
      return row && JSON.parse(row.value)
    },
    set<K extends keyof Values & string>(key: K, value: Values[K]): void {
      store.write(() =>
        store.run('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)', key, JSON.stringify(value)),
      )
    },
    clear(key: keyof Values & string): void {
      store.write(() => store.run('DELETE FROM meta WHERE key = ?', key))
    },
  }
}
