// One admitted update from Telegram: who it is, whether it is fresh, what it is answered, and getting the answer there.

import type { Role } from '../config.ts'
import { errorFields, type Log } from '../log.ts'
import type { Inbox } from '../ops/state/inbox.ts'
import { toastOf } from './buttons.ts'
import type { Claim } from './claim.ts'
import type { Incoming, Person, Place } from './command.ts'
import type { Dispatch } from './dispatch.ts'
import type { Request } from './guard.ts'
import type { Arrival } from './inbox.ts'
import type { Answer } from './page.ts'
import { patiently, type Rests, TelegramError } from './telegram.ts'
import type { Speech } from './voice.ts'

/** A change that was sent longer ago than this is not made. */
const FRESH_MS = 60_000

const EXPIRED = 'Expired: nothing was done. Send it again.'

/** What became of a message with a secret in it. */
const ERASED = 'I have deleted your message.'
const NOT_ERASED = 'I could not delete your message: delete it yourself.'

/** Why a change must not be made any more, in words. A press has no time: the inbox tells whether it may have waited. */
export function staleness({ request, recovered }: Arrival, now: number): string | undefined {
  const { kind, sentAt, late } = request
  if (kind === 'button') return late || recovered ? EXPIRED : undefined
  if (sentAt !== undefined && now - sentAt <= FRESH_MS) return undefined
  return `${EXPIRED}\nIt was sent more than a minute ago. If you sent it just now, the clock of this host is wrong.`
}

export interface HandlerOptions {
  dispatch: Dispatch
  speech: Speech
  toast: (queryId: string, text: string) => Promise<unknown>
  people: ReadonlyMap<number, Role>
  claim: Claim | undefined
  inbox: Pick<Inbox<Request>, 'started'>
  note: (actor: string, action: string, detail: string) => void
  rests: Rests
  now: () => number
  log: Log
  /** Aborts when the process stops: an answer that is still undelivered then is given after the next start. */
  stopping: AbortSignal
}

export function createHandler(options: HandlerOptions) {
  const { dispatch, speech, toast, people, claim, inbox, note, rests, now, log, stopping } = options

  /** Delivers one thing; what Telegram will never take is logged. @returns whether it was delivered. */
  async function deliver(what: string, chatId: number, call: () => Promise<unknown>): Promise<boolean> {
    try {
      await patiently(call, stopping, rests.of(chatId))
      return true
    } catch (error) {
      if (stopping.aborted || !(error instanceof TelegramError)) throw error
      if (error.failure.kind !== 'unchanged') log.warn(`${what} was not delivered`, errorFields(error))
      return false
    }
  }

  async function give({ page, inPlace }: Answer, request: Request): Promise<void> {
    const { chatId, threadId, messageId, queryId } = request
    const target = { chatId, ...(threadId !== undefined && { threadId }) }
    // The button stops spinning at once. A press that is too old for that is answered with a message.
    const toasted =
      queryId && (await deliver('a toast', chatId, () => toast(queryId, page.brief ? toastOf(page) : '')))
    if (toasted && page.brief) return
    if (queryId && inPlace) {
      await deliver('an edit', chatId, () => speech.replace(page, chatId, messageId))
      return
    }
    const replyTo = request.group || queryId ? messageId : undefined
    await deliver('an answer', chatId, () =>
      speech.say(page, { ...target, ...(replyTo !== undefined && { replyTo }) }),
    )
  }

  /** What nobody else should read goes out of the chat at once. @returns what became of it. */
  async function erase({ chatId, messageId }: Request): Promise<string> {
    const already = (error: unknown) => {
      if (!(error instanceof TelegramError) || error.failure.kind !== 'gone') throw error
    }
    const gone = await deliver('a deletion', chatId, () => speech.erase(chatId, messageId).catch(already))
    return gone ? ERASED : NOT_ERASED
  }

  /** Words: the answer to a question, or not. Those of a secret are deleted meanwhile, not after. */
  async function hear(
    { request, recovered, words }: Arrival,
    incoming: Incoming,
  ): Promise<Answer | undefined> {
    const secret = request.secret || dispatch.asksSecret(incoming.person, incoming.place, incoming.now)
    const [erased, answer] = await Promise.all([
      secret ? erase(request) : undefined,
      dispatch.hear(recovered ? undefined : words, incoming),
    ])
    if (!answer || !erased) return answer
    return { ...answer, page: { ...answer.page, lines: [...(answer.page.lines ?? []), erased] } }
  }

  async function answerClaim({ userId, userName, chatId }: Request): Promise<void> {
    const page = claim?.redeem(userId)
    if (!page) return
    note(`${userName} (${userId})`, 'claim', 'the code was right')
    await deliver('the claim', chatId, () => speech.say(page, { chatId }))
  }

  function incomingOf(arrival: Arrival, person: Person): Incoming {
    const { request, updateId } = arrival
    const { chatId, threadId, group, text, kind, secret, addressed = false } = request
    const place: Place = {
      chatId,
      kind: group ? 'group' : 'private',
      ...(threadId !== undefined && { threadId }),
    }
    const stale = staleness(arrival, now())
    return {
      ...{ person, place, text, addressed, button: kind === 'button', now: now() },
      begin: () => inbox.started(updateId),
      ...(secret && { secret }),
      ...(stale !== undefined && { stale }),
    }
  }

  /** Handles one arrival to its end. @throws when the answer could not be given before the process stopped. */
  return async (arrival: Arrival): Promise<void> => {
    const { request, state } = arrival
    if (request.kind === 'claim') return await answerClaim(request)
    const role = people.get(request.userId)
    if (!role) return
    const person = { id: request.userId, name: `${request.userName} (${request.userId})`, role }
    if (state === 'started') {
      if (request.secret) await erase(request)
      const lines = ['It is not done a second time. /audit shows how far it came.']
      return await give(
        {
          page: {
            mark: 'unknown',
            title: `I was stopped while at this: ${request.text || 'what you wrote'}`,
            lines,
          },
        },
        request,
      )
    }
    const incoming = incomingOf(arrival, person)
    const answer = request.kind === 'text' ? await hear(arrival, incoming) : await dispatch.handle(incoming)
    if (answer) await give(answer, request)
  }
}
