// Confirmations: one-time, two minutes long, bound to the person, the chat and the plan that was shown; memory only.

import { randomBytes } from 'node:crypto'
import type { Command, Person, Place } from './command.ts'

export const CONFIRM_MS = 2 * 60_000

export interface Pending {
  command: Command
  args: Record<string, unknown>
  /** The line that would show the plan again. */
  line: string
  /** The plan's basis: it must be the same at the second tap. */
  basis: string
  personId: number
  chatId: number
  expiresAt: number
}

export type Confirmations = ReturnType<typeof createConfirmations>

export function createConfirmations() {
  const pending = new Map<string, Pending>()

  return {
    /** @returns the nonce (128 bits) that the button carries. */
    issue(plan: Omit<Pending, 'expiresAt'>, now: number): string {
      for (const [nonce, { expiresAt }] of pending) if (expiresAt < now - CONFIRM_MS) pending.delete(nonce)
      const nonce = randomBytes(16).toString('base64url')
      pending.set(nonce, { ...plan, expiresAt: now + CONFIRM_MS })
      return nonce
    },
    /**
     * Uses a nonce up, unless another person pressed: that leaves it as it was.
     * `expired` still says what it was for, so that it can be shown again.
     */
    redeem(nonce: string, person: Person, place: Place, now: number) {
      const found = pending.get(nonce)
      if (!found) return { state: 'unknown' as const }
      if (found.personId !== person.id || found.chatId !== place.chatId) return { state: 'foreign' as const }
      pending.delete(nonce)
      return { state: found.expiresAt >= now ? ('good' as const) : ('expired' as const), pending: found }
    },
  }
}
