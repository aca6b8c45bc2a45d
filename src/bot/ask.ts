// Questions that wait for a typed answer: one a person and chat. The answer is never kept, only what was asked.

import type { Person, Place, Question } from './command.ts'

/** What was asked by whom, kept beyond this process: after a crash it is asked again. */
export type Asked = Record<string, { line: string; expiresAt: number; secret?: true }>
export interface AskedLog {
  get(): Asked
  set(asked: Asked): void
}

/** A question, and the command line that asks it, to ask it again with. Never a secret. */
type Open = Question & { line: string }

/** `open` it waits · `busy` it has its answer already · `expired` it waited too long · `lost` an earlier process asked it. */
export type Taken =
  | { state: 'open'; line: string; answer: Question['answer']; secret?: true }
  | { state: 'busy' | 'expired' | 'lost'; line: string }

/** So much later than its end a question is still worth asking again. */
const WORTH_MS = 15 * 60_000

export type Asking = ReturnType<typeof createAsking>

export function createAsking(log: AskedLog) {
  const open = new Map<string, Open>()
  /** Secrets that are being made use of: asked for again only after a crash. */
  const heard = new Set<string>()
  const keyOf = (person: Person, place: Place) => `${place.chatId}/${place.threadId ?? 0}/${person.id}`

  function forget(key: string, now: number): void {
    open.delete(key)
    const kept = Object.entries(log.get()).filter(
      ([each, { expiresAt }]) => each !== key && expiresAt + WORTH_MS > now,
    )
    log.set(Object.fromEntries(kept))
  }

  function ask(key: string, question: Open): void {
    const { line, expiresAt, secret } = question
    open.set(key, question)
    log.set({ ...log.get(), [key]: { line, expiresAt, ...(secret && { secret }) } })
  }

  return {
    /** Waits for what this person types next in this chat; a newer question replaces an older one. */
    ask(person: Person, place: Place, question: Open): void {
      ask(keyOf(person, place), question)
    },
    /** Waits no longer. */
    withdraw(person: Person, place: Place, now: number): void {
      forget(keyOf(person, place), now)
    },
    /** Takes the question that these words answer, if one was asked not long ago. Tell when it is `answered`. */
    take(person: Person, place: Place, now: number): Taken | undefined {
      const key = keyOf(person, place)
      const question = open.get(key)
      const asked = log.get()[key]
      if (!asked) return undefined
      if (heard.has(key)) return { state: 'busy', line: asked.line }
      const fresh = question !== undefined && question.expiresAt > now
      if (fresh && question.secret) {
        const { line, answer, secret } = question
        open.delete(key)
        heard.add(key)
        return { state: 'open', line, answer, secret }
      }
      forget(key, now)
      if (asked.expiresAt + WORTH_MS <= now) return undefined
      if (fresh) return { state: 'open', line: question.line, answer: question.answer }
      return { state: question ? 'expired' : 'lost', line: asked.line }
    },
    /** The words of a question that was taken have done their work. */
    answered(person: Person, place: Place, now: number): void {
      const key = keyOf(person, place)
      if (heard.delete(key) && !open.has(key)) forget(key, now)
    },
    waits: (person: Person, place: Place, now: number): boolean =>
      (open.get(keyOf(person, place))?.expiresAt ?? 0) > now,
    /** Whether a secret was asked for not long ago. */
    asksSecret(person: Person, place: Place, now: number): boolean {
      const { secret, expiresAt = 0 } = log.get()[keyOf(person, place)] ?? {}
      return secret === true && expiresAt + WORTH_MS > now
    },
  }
}
