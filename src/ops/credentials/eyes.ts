// One look at many places: each part by itself, so that what fails or hangs hides nothing else.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'

const nameOf = (error: unknown) => (error instanceof Error ? error.name : typeof error)

export type Eyes = ReturnType<typeof createEyes>

/** What was not seen is kept in sentences. @param timeoutMs what answers later is not waited for. */
export function createEyes(timeoutMs: number) {
  const unseen: string[] = []
  return {
    unseen,
    async see<T>(what: string, look: () => Promise<T>): Promise<T | undefined> {
      const timer = new AbortController()
      const late = sleep(timeoutMs, undefined, { signal: timer.signal }).then(() => {
        throw new OpsError(`it did not answer within ${timeoutMs / 1_000} s.`)
      })
      try {
        return await Promise.race([look(), late])
      } catch (error) {
        // What an unexpected error says may quote what was read.
        const why = error instanceof OpsError ? error.message : `of a fault in the bot (${nameOf(error)}).`
        unseen.push(`${what} was not seen: ${why}`)
        return undefined
      } finally {
        timer.abort()
        late.catch(() => {})
      }
    },
  }
}
