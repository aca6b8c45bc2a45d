// The audit log: append only; a deed is an intent row and, once it ended, the outcome row that names it.

import { OpsError } from '../../errors.ts'
import type { Store } from './store.ts'

/** How a deed ended; `interrupted` is written at the next start for one that the process did not outlive. */
export type Outcome = 'done' | 'failed' | 'interrupted'

export interface AuditEntry {
  id: number
  at: number
  actor: string
  /** The name of the deed, or what was noticed: `refused`, `stranger`, `claim`. */
  action: string
  detail: string
  /** Absent on a note, and on a deed that still runs. */
  result?: string
  endedAt?: number
}

const ENTRIES = `
  SELECT a.id, a.at, a.actor, a.action, a.detail, o.result, o.at AS endedAt
  FROM audit a LEFT JOIN audit o ON o.intent_id = a.id WHERE a.phase <> 'outcome'`

export function createAudit(store: Store) {
  const insert = (now: number, actor: string, phase: string, action: string, detail: string) =>
    store.run(
      'INSERT INTO audit (at, actor, phase, action, detail) VALUES (?, ?, ?, ?, ?)',
      now,
      actor,
      phase,
      action,
      detail,
    ).id

  const holder = (resource: string) =>
    store.get<AuditEntry>(`${ENTRIES} AND a.phase = 'intent' AND o.id IS NULL AND a.resource = ?`, resource)

  return {
    /** Writes down something that is not a deed: a refusal, a stranger at the door. */
    note(actor: string, action: string, detail: string, now: number): void {
      store.write(() => insert(now, actor, 'note', action, detail))
    },
    /**
     * Commits that a deed begins, and takes the resource that it works on.
     * @throws OpsError when another deed holds the resource.
     */
    begin(actor: string, action: string, detail: string, resource: string | undefined, now: number): number {
      return store.write(() => {
        const held = resource && holder(resource)
        if (held) throw new OpsError(`${held.actor} is already at it: ${held.action} ${held.detail}`.trim())
        const id = insert(now, actor, 'intent', action, detail)
        if (resource) store.run('UPDATE audit SET resource = ? WHERE id = ?', resource, id)
        return id
      })
    },
    /** Commits how a deed ended; its resource is free again. */
    end(intent: number, result: Outcome, message: string, now: number): void {
      store.write(() =>
        store.run(
          `INSERT INTO audit (at, actor, phase, action, detail, intent_id, result)
           SELECT ?, actor, 'outcome', action, ?, id, ? FROM audit WHERE id = ?`,
          now,
          message,
          result,
          intent,
        ),
      )
    },
    /** The deeds that have begun and not ended. */
    running(): AuditEntry[] {
      return store.all(`${ENTRIES} AND a.phase = 'intent' AND o.id IS NULL ORDER BY a.id`)
    },
    /** The newest entries first, a deed with its outcome as one. */
    list(limit: number, actor?: string): AuditEntry[] {
      return store.all(
        `${ENTRIES} AND (?1 IS NULL OR a.actor = ?1) ORDER BY a.id DESC LIMIT ?2`,
        actor ?? null,
        limit,
      )
    },
  }
}
export type Audit = ReturnType<typeof createAudit>
