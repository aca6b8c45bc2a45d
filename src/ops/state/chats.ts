// What is known of each chat: whether it can be written to, and what became of it.

import type { Store } from './store.ts'

export interface ChatState {
  id: number
  /** The supergroup that this group became. */
  movedTo?: number
  /** Why nothing can be sent there: blocked, not found. */
  closed?: string
  closedAt?: number
}

/** @param changed is called when copies that waited for a chat have become due. */
export function createChats(store: Store, changed: () => void) {
  return {
    list(): ChatState[] {
      return store.all('SELECT id, moved_to AS movedTo, closed, closed_at AS closedAt FROM chats')
    },
    /** Nothing can be sent to this chat: its waiting copies wait on, new cards go elsewhere. */
    close(id: number, reason: string, now: number): void {
      store.write(() =>
        store.run(
          `INSERT INTO chats (id, closed, closed_at) VALUES (?1, ?2, ?3)
           ON CONFLICT (id) DO UPDATE SET closed = ?2, closed_at = coalesce(closed_at, ?3)`,
          id,
          reason,
          now,
        ),
      )
    },
    /** The chat can be written to again: what waited for it is due. */
    open(id: number, now: number): void {
      const known = store.get('SELECT 1 FROM chats WHERE id = ? AND closed IS NOT NULL', id)
      if (!known) return
      store.write(() => {
        changed()
        store.run('UPDATE chats SET closed = NULL, closed_at = NULL WHERE id = ?', id)
        store.run('UPDATE copies SET due_at = min(due_at, ?) WHERE chat_id = ? AND dead IS NULL', now, id)
      })
    },
    /** A group became a supergroup: its copies go there, as new messages. */
    move(id: number, movedTo: number): void {
      store.write(() => {
        changed()
        store.run(
          'INSERT INTO chats (id, moved_to) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET moved_to = ?2',
          id,
          movedTo,
        )
        store.run(
          'UPDATE OR IGNORE copies SET chat_id = ?, message_id = NULL WHERE chat_id = ? AND dead IS NULL',
          movedTo,
          id,
        )
      })
    },
  }
}
export type Chats = ReturnType<typeof createChats>
