// Claiming: while there is no owner, a one-time code proves that whoever types it has seen this machine's terminal.

import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { Page } from './page.ts'

export interface Claim {
  /** What `/claim` has to be followed by. */
  code: string
  /** Whether a line is `/claim` with the code, which is still good. */
  fits(line: string): boolean
  /** Uses the code up. @returns the line to add for this person, or undefined when it was used already. */
  redeem(userId: number): Page | undefined
}

export function createClaim(): Claim {
  const code = randomBytes(10).toString('hex')
  let open = true
  return {
    code,
    fits(line) {
      const [, given = ''] = /^\/claim(?:@\w+)?\s+(\S+)\s*$/.exec(line) ?? []
      const [told, wanted] = [Buffer.from(given), Buffer.from(code)]
      return open && told.length === wanted.length && timingSafeEqual(told, wanted)
    },
    redeem(userId) {
      if (!open) return undefined
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
