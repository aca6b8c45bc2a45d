// Claiming: while there is no owner, a one-time code proves that whoever types it has seen this machine's terminal.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Page } from './page.ts'

export interface Claim {
  /** What `/claim` has to be followed by. */
  code: string
  /** Whether the code is still good. */
  open(): boolean
  /** @returns the line to add for this person, or undefined for a wrong or used code. */
  redeem(text: string, userId: number): Page | undefined
}

export function createClaim(): Claim {
  const code = randomBytes(10).toString('hex')
  let open = true
  return {
    code,
    open: () => open,
    redeem(text, userId) {
      const given = Buffer.from(text.split(/\s+/)[1] ?? '')
      const wanted = Buffer.from(code)
      if (!open || given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined
      open = false
      return {
        mark: 'ok',
        title: `Your numeric id is ${userId}`,
        lines: [
          'Add this line to the configuration and start me again:',
          { code: `OPSBOT_OWNERS=${userId}` },
          'Until then I answer nobody, and this code is used up.',
        ],
      }
    },
  }
}
