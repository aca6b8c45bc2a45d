// Exec approvals as each version has them: what an agent asks, who is told, and what the second answer gets.

import { randomUUID } from 'node:crypto'
import type { Recording, RefusalName } from './recording.ts'

export interface Request {
  id: string
  request: Record<string, unknown>
  createdAtMs: number
  expiresAtMs: number
}

export interface Resolved {
  id: string
  decision: string
  resolvedBy: string | null
  ts: number
  request: Record<string, unknown>
}

export interface Approvals {
  /** An agent asks. Newer versions never ask a gateway that has no client to answer. */
  ask(request?: Record<string, unknown>, lastsMs?: number): Request
  /** @returns the refusal; undefined when it is answered, or was so before. */
  resolve(id: unknown, decision: unknown, by: string): RefusalName | 'always' | undefined
  /** Those that wait. */
  list(): Request[]
  /** Newer versions say when one ran out; older ones do not. */
  sweep(): void
  /** A gateway that is gone has forgotten them. */
  clear(): void
}

const DECISIONS = ['allow-once', 'allow-always', 'deny']

export function createApprovals(
  { approval, hello }: Recording,
  now: () => number,
  tell: (event: string, payload: Request | Resolved) => void,
): Approvals {
  const waiting = new Map<string, Request>()
  const settled = new Map<string, string>()
  /** Newer versions can list them, remember answers, and say which answers they take. */
  const newer = hello.features.methods.includes('exec.approval.list')

  function settle({ id, request }: Request, decision: string, by: string | null): void {
    waiting.delete(id)
    settled.set(id, decision)
    tell('exec.approval.resolved', { id, decision, resolvedBy: by, ts: now(), request })
  }

  function sweep(): void {
    for (const each of waiting.values()) {
      if (each.expiresAtMs > now()) continue
      if (newer) settle(each, 'deny', null)
      else waiting.delete(each.id)
    }
  }

  return {
    sweep,
    ask(request = {}, lastsMs = approval.lastsMs) {
      const asked = {
        ...(newer && { approvalKind: 'exec' }),
        id: randomUUID(),
        request: { ...approval.request, ...request },
        createdAtMs: now(),
        expiresAtMs: now() + lastsMs,
      }
      waiting.set(asked.id, asked)
      setTimeout(sweep, lastsMs + 1).unref()
      tell('exec.approval.requested', asked)
      return asked
    },
    resolve(id, decision, by) {
      sweep()
      if (!DECISIONS.includes(`${decision}`)) return 'decision'
      const asked = waiting.get(`${id}`)
      if (!asked) {
        const before = settled.get(`${id}`)
        if (before === undefined || !newer) return 'unknown'
        return before === decision ? undefined : 'settled'
      }
      const allowed = asked.request.allowedDecisions
      if (Array.isArray(allowed) && !allowed.includes(decision)) return 'always'
      settle(asked, `${decision}`, by)
      return undefined
    },
    list() {
      sweep()
      return [...waiting.values()]
    },
    clear() {
      waiting.clear()
      settled.clear()
    },
  }
}
