// Words that are no command: the answer to a question, or nothing that anybody waits for.

import { OpsError } from '../errors.ts'
import type { Asking } from './ask.ts'
import { showAgain } from './buttons.ts'
import type { Incoming } from './command.ts'
import { type Answer, answered, type Page, refusal } from './page.ts'

export interface AnsweringOptions {
  asking: Asking
  /** Runs a command line. */
  run(line: string, incoming: Incoming): Promise<Page | Answer>
  apologise(error: unknown, incoming: Incoming): Page
  clean(answer: Answer): Answer
}

const UNASKED = {
  heard: 'I only understand commands.\n/help lists them.',
  lost: 'I was restarted before I could read what you wrote, and I keep no such words.\nIf it was meant for me, send it again.',
  secret:
    'I asked you for no login code or token here, so I used it for nothing.\nA code is for who began the sign-in, in their private chat with me. A token is never for a chat.',
}

const BUSY = 'I am still at what you sent before: wait for its answer.'

/**
 * @returns what answers words; it never throws. Its words are undefined when they were lost with an earlier process;
 * its answer is undefined when nobody asked.
 */
export function createAnswering({ asking, run, apologise, clean }: AnsweringOptions) {
  /** The words were not kept, so the question is asked anew: by itself that changes nothing, however late it is. */
  async function askAgain(line: string, { stale, ...incoming }: Incoming): Promise<Answer> {
    const { page } = answered(await run(line, { ...incoming, addressed: true }))
    const notice = 'I was restarted before I could read your answer, and I keep no such words. I ask again:'
    return { page: { ...page, lines: [notice, ...(page.lines ?? [])] } }
  }

  function unasked(words: string | undefined, { place, secret }: Incoming): Answer | undefined {
    if (secret) return { page: refusal(UNASKED.secret) }
    if (place.kind === 'group') return undefined
    return { page: refusal(UNASKED[words === undefined ? 'lost' : 'heard']) }
  }

  return async (words: string | undefined, incoming: Incoming): Promise<Answer | undefined> => {
    const { person, place, now, secret } = incoming
    // A secret is nothing but the answer to a question for one: any other question goes on waiting.
    const taken =
      secret && !asking.asksSecret(person, place, now) ? undefined : asking.take(person, place, now)
    if (!taken) return unasked(words, incoming)
    const { line } = taken
    if (taken.state === 'busy') return { page: refusal(BUSY) }
    if (taken.state === 'expired')
      return { page: { ...refusal('My question ran out: nothing was done.'), ...showAgain(line) } }
    try {
      if (taken.state !== 'open' || words === undefined) return clean(await askAgain(line, incoming))
      // What is typed to confirm has to be meant now; a code is bound to its question, which has an end of its own.
      if (incoming.stale && !taken.secret) throw new OpsError(incoming.stale)
      // Nor is a code's message marked as begun: after a crash it is asked for again.
      if (!taken.secret) incoming.begin()
      return clean({ page: await taken.answer(words, now) })
    } catch (error) {
      return clean({ page: apologise(error, incoming) })
    } finally {
      if (taken.state === 'open') asking.answered(person, place, now)
    }
  }
}
