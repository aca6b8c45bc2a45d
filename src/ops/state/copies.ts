// Copies: a card in one chat, from the choice of its chats to the revision that is shown there.

import type { Audience, Card } from './cards.ts'
import type { Store } from './store.ts'

/** A copy that is behind its card: to be sent when it has no message id yet, else to be edited. */
export interface DueCopy {
  card: Card
  chatId: number
  messageId?: number
  tries: number
  /** No revision of it was ever delivered there. */
  unseen: boolean
  /** The message that this one answers, in the same chat. */
  replyTo?: number
}

interface DueRow extends Omit<Card, 'facts' | 'ring' | 'id'> {
  firstRevision?: number
  cardId: number
  facts: string
  ring: number
  chatId: number
  messageId?: number
  tries: number
  replyTo?: number
}

const JOINED = `
  FROM copies p JOIN cards c ON c.id = p.card_id
  LEFT JOIN copies o ON o.card_id = c.answers_card AND o.chat_id = p.chat_id
  WHERE p.dead IS NULL AND p.revision < c.revision
    AND p.chat_id NOT IN (SELECT id FROM chats WHERE closed IS NOT NULL)`

/**
 * An answer waits for the card it answers, and is dropped where that card was first seen at its end already. Where that
 * card never was to go, it stands in for a chat that was told and cannot be written to any more.
 */
const SPEAKABLE = `AND (c.answers_card IS NULL OR o.first_revision < c.answers_revision OR (o.card_id IS NULL AND EXISTS (
  SELECT 1 FROM copies t WHERE t.card_id = c.answers_card AND t.first_revision < c.answers_revision)))`

/** @param changed is called when copies have become due that were not. */
export function createCopies(store: Store, changed: () => void) {
  return {
    /** Cards that no chat was chosen for yet; an answer with the chats of the card that it answers. */
    unaddressed(): { id: number; audience: Audience; dueAt: number; told: number[] }[] {
      return store
        .all<{ id: number; audience: Audience; dueAt: number; told: string }>(
          `SELECT c.id, c.audience, c.due_at AS dueAt,
                  (SELECT json_group_array(o.chat_id) FROM copies o WHERE o.card_id = c.answers_card AND o.dead IS NULL) AS told
           FROM cards c WHERE c.addressed = 0 ORDER BY c.id`,
        )
        .map(({ told, ...rest }) => ({ ...rest, told: JSON.parse(told) }))
    },
    /** Makes a copy of a card for each chat. */
    address(id: number, chatIds: readonly number[], dueAt: number): void {
      store.write(() => {
        for (const chatId of chatIds)
          store.run(
            'INSERT OR IGNORE INTO copies (card_id, chat_id, due_at) VALUES (?, ?, ?)',
            id,
            chatId,
            dueAt,
          )
        store.run('UPDATE cards SET addressed = 1 WHERE id = ?', id)
      })
    },
    /** Copies behind their card and due now: ringing ones first, then oldest first. */
    due(now: number): DueCopy[] {
      return store
        .all<DueRow>(
          `SELECT c.id AS cardId, c.kind, c.audience, c.revision, c.facts, c.ring, c.created_at AS createdAt,
                  p.chat_id AS chatId, p.message_id AS messageId, p.tries,
                  p.first_revision AS firstRevision, o.message_id AS replyTo
           ${JOINED} ${SPEAKABLE} AND p.due_at <= ? ORDER BY c.ring DESC, c.id`,
          now,
        )
        .map(({ chatId, messageId, tries, replyTo, cardId, facts, ring, firstRevision, ...rest }) => ({
          card: { ...rest, id: cardId, facts: JSON.parse(facts), ring: ring === 1 },
          chatId,
          tries,
          unseen: firstRevision === undefined,
          ...(messageId !== undefined && { messageId }),
          ...(replyTo !== undefined && { replyTo }),
        }))
    },
    /** When the next copy comes due after this moment, or undefined when none waits. */
    nextDue(after: number): number | undefined {
      return store.get<{ at?: number }>(
        `SELECT min(p.due_at) AS at ${JOINED} ${SPEAKABLE} AND p.due_at > ?`,
        after,
      )?.at
    },
    /**
     * The moment since which a card that was due has reached nobody: for the heartbeat. It counts while a copy of it
     * can still be sent, or nobody is known whom to send one.
     */
    overdueSince(): number | undefined {
      return store.get<{ at?: number }>(
        `SELECT min(max(c.due_at, c.created_at)) AS at FROM cards c
         WHERE NOT EXISTS (SELECT 1 FROM copies p WHERE p.card_id = c.id AND p.message_id IS NOT NULL)
           AND (c.addressed = 0 OR EXISTS (
             SELECT 1 FROM copies p LEFT JOIN copies o ON o.card_id = c.answers_card AND o.chat_id = p.chat_id
             WHERE p.card_id = c.id AND p.dead IS NULL ${SPEAKABLE}))`,
      )?.at
    },
    /** Commits that a copy shows a revision. */
    delivered({ card: { id }, chatId }: DueCopy, messageId: number, revision: number): void {
      store.write(() =>
        store.run(
          `UPDATE copies SET message_id = ?1, revision = ?2, first_revision = coalesce(first_revision, ?2), tries = 0
           WHERE card_id = ?3 AND chat_id = ?4`,
          messageId,
          revision,
          id,
          chatId,
        ),
      )
    },
    /** The message of a copy is gone: it is sent anew. */
    lost({ card: { id }, chatId }: DueCopy): void {
      store.write(() =>
        store.run(
          'UPDATE copies SET message_id = NULL, revision = 0 WHERE card_id = ? AND chat_id = ?',
          id,
          chatId,
        ),
      )
    },
    postpone({ card: { id }, chatId }: DueCopy, dueAt: number): void {
      store.write(() =>
        store.run(
          'UPDATE copies SET due_at = ?, tries = tries + 1 WHERE card_id = ? AND chat_id = ?',
          dueAt,
          id,
          chatId,
        ),
      )
    },
    /** What still waits to be sent to a chat is sent to others instead. */
    readdress(chatId: number, others: readonly number[], now: number): void {
      store.write(() => {
        changed()
        for (const other of others.filter((id) => id !== chatId))
          store.run(
            `INSERT OR IGNORE INTO copies (card_id, chat_id, due_at)
             SELECT card_id, ?, max(due_at, ?) FROM copies WHERE chat_id = ? AND message_id IS NULL AND dead IS NULL`,
            other,
            now,
            chatId,
          )
        store.run(
          "UPDATE copies SET dead = 'sent elsewhere' WHERE chat_id = ? AND message_id IS NULL AND dead IS NULL",
          chatId,
        )
      })
    },
    /** This copy can never be delivered. */
    bury({ card: { id }, chatId }: DueCopy, reason: string): void {
      store.write(() =>
        store.run('UPDATE copies SET dead = ? WHERE card_id = ? AND chat_id = ?', reason, id, chatId),
      )
    },
  }
}
export type Copies = ReturnType<typeof createCopies>
