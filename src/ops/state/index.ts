// What we remember, in one SQLite file: it knows no outside system and never sends anything.

import { createAudit } from './audit.ts'
import { createCards } from './cards.ts'
import { createChats } from './chats.ts'
import { createCopies } from './copies.ts'
import { createJobLog } from './jobs.ts'
import { createRuns } from './runs.ts'
import { openStore, type StoreOptions } from './store.ts'

/**
 * Opens everything that is remembered. The inbox, the alert log and the single values are made on the store by those who know what is
 * in them.
 * @throws OpsError when a newer opsbot wrote the file or the directory is not usable.
 */
export function openState(options: StoreOptions) {
  const store = openStore(options)
  const cards = createCards(store)
  return {
    store,
    cards,
    copies: createCopies(store, cards.nudge),
    chats: createChats(store, cards.nudge),
    audit: createAudit(store),
    jobs: createJobLog(store),
    runs: createRuns(store),
  }
}
export type State = ReturnType<typeof openState>
