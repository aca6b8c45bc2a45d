// The durable inbox: what Telegram handed us, kept until it is answered and remembered for 48 h after.

import type { Store } from './store.ts'

/** An update stays known this long, so that a second delivery is recognised. Telegram itself keeps them 24 h. */
const REMEMBERED_MS = 48 * 3_600_000

/** `started` is committed before a change begins: such a row is never run again. */
export type InboxState = 'waiting' | 'started' | 'done'

export interface InboxRow<Request> {
  updateId: number
  receivedAt: number
  state: InboxState
  request: Request
}

export function createInbox<Request>(store: Store) {
  let finished: number[] = []
  let flushing: NodeJS.Timeout | undefined

  function flush(): void {
    clearTimeout(flushing)
    flushing = undefined
    if (finished.length === 0) return
    const ids = JSON.stringify(finished)
    finished = []
    store.write(() =>
      store.run("UPDATE inbox SET state = 'done' WHERE update_id IN (SELECT value FROM json_each(?))", ids),
    )
  }

  return {
    /**
     * Stores a batch in one commit.
     * @returns the rows that are new; an update id already known is left out.
     */
    add(batch: readonly { updateId: number; request: Request }[], now: number): InboxRow<Request>[] {
      return store.write(() =>
        batch.flatMap(({ updateId, request }) => {
          const { changes } = store.run(
            "INSERT OR IGNORE INTO inbox (update_id, received_at, state, request) VALUES (?, ?, 'waiting', ?)",
            updateId,
            now,
            JSON.stringify(request),
          )
          return changes ? [{ updateId, receivedAt: now, state: 'waiting' as const, request }] : []
        }),
      )
    },
    /** What an earlier process left, oldest first. */
    unfinished(): InboxRow<Request>[] {
      return store
        .all<InboxRow<string>>(
          `SELECT update_id AS updateId, received_at AS receivedAt, state, request
           FROM inbox WHERE state <> 'done' ORDER BY update_id`,
        )
        .map((row) => ({ ...row, request: JSON.parse(row.request) }))
    },
    /** Commits that a change begins now. */
    started(updateId: number): void {
      store.write(() => store.run("UPDATE inbox SET state = 'started' WHERE update_id = ?", updateId))
    },
    /** Notes an answer that was given; committed together with others within 50 ms. */
    done(updateId: number): void {
      finished.push(updateId)
      flushing ??= setTimeout(flush, 50)
    },
    flush,
  }
}
export type Inbox<Request> = ReturnType<typeof createInbox<Request>>

/** Forgets what is answered and older than 48 h. @returns how many. */
export function pruneInbox(store: Store, now: number): number {
  return store.write(
    () =>
      store.run("DELETE FROM inbox WHERE state = 'done' AND received_at < ?", now - REMEMBERED_MS).changes,
  )
}
