// Cards: facts and a revision, raised by whoever has something to tell.

import type { Store } from './store.ts'

/**
 * Who is to see a card: `alerts` the alert chat (else the owners), `owners` each owner in private,
 * `everybody` both, or one chat by its id.
 */
export type Audience = 'alerts' | 'owners' | 'everybody' | `chat:${number}`

export interface NewCard {
  kind: string
  audience: Audience
  facts: unknown
  /** Whether the phone rings when a copy is first delivered. */
  ring: boolean
  /** Not sent before this moment (quiet hours). Default: at once. */
  dueAt?: number
  /** Later facts of the same key may join this card until then. */
  join?: { key: string; until: number }
  /** A card and the revision from which this one is its answer: sent only where that card was seen before it. */
  answers?: { card: number; revision: number }
}

export interface Card {
  id: number
  kind: string
  audience: Audience
  revision: number
  facts: unknown
  ring: boolean
  createdAt: number
}

export function createCards(store: Store) {
  const listeners = new Set<() => void>()
  const nudge = () =>
    setImmediate(() => {
      for (const listener of listeners) listener()
    })

  const card = (id: number): Card | undefined => {
    const row = store.get<Omit<Card, 'facts' | 'ring'> & { facts: string; ring: number }>(
      'SELECT id, kind, audience, revision, facts, ring, created_at AS createdAt FROM cards WHERE id = ?',
      id,
    )
    return row && { ...row, ring: row.ring === 1, facts: JSON.parse(row.facts) }
  }

  return {
    /** Calls `listener` after each change that may leave a copy behind its card. @returns the way to stop that. */
    watch(listener: () => void): () => void {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    nudge,
    card,
    raise(spec: NewCard, now: number): number {
      return store.write(() => {
        nudge()
        return store.run(
          `INSERT INTO cards (kind, audience, facts, ring, created_at, due_at, join_key, join_until, answers_card, answers_revision)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
          spec.kind,
          spec.audience,
          JSON.stringify(spec.facts),
          spec.ring ? 1 : 0,
          now,
          spec.dueAt ?? now,
          spec.join?.key ?? null,
          spec.join?.until ?? null,
          spec.answers?.card ?? null,
          spec.answers?.revision ?? null,
        ).id
      })
    },
    /** Gives a card new facts; every copy of it is edited to them. @returns the new revision. */
    revise(id: number, facts: unknown): number {
      return store.write(() => {
        nudge()
        store.run(
          'UPDATE cards SET facts = ?, revision = revision + 1 WHERE id = ?',
          JSON.stringify(facts),
          id,
        )
        return card(id)?.revision ?? 0
      })
    },
    /** The card that facts of this key may still join. */
    joinable(key: string, now: number): Card | undefined {
      const row = store.get<{ id: number }>(
        'SELECT id FROM cards WHERE join_key = ? AND join_until >= ? ORDER BY id DESC LIMIT 1',
        key,
        now,
      )
      return row && card(row.id)
    },

    /** The cards that were raised since a moment, oldest first. */
    raisedSince(at: number): Card[] {
      return store
        .all<{ id: number }>('SELECT id FROM cards WHERE created_at >= ? ORDER BY id', at)
        .flatMap(({ id }) => card(id) ?? [])
    },

    /** Forgets cards made before this moment, delivered or not, unless an alert still lives on them. */
    prune(before: number): void {
      store.write(() =>
        store.run(
          'DELETE FROM cards WHERE created_at < ? AND id NOT IN (SELECT card_id FROM alerts WHERE card_id IS NOT NULL)',
          before,
        ),
      )
    },
  }
}
export type Cards = ReturnType<typeof createCards>
