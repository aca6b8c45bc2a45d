// Questions that wait for a typed answer: one a person and chat. The answer is never kept, only what was asked.

import type { Person, Place } from './command.ts'
import type { Page } from './page.ts'

export interface Question {
  /** The command line that asks it, to ask it again with. Never a secret. */
  line: string
  /** What happens with the words. */
  answer(words: string, now: number): Promise<Page> | Page
  /** UTC milliseconds. */
  expiresAt: number
}

/** What was asked by whom, kept beyond this process: after a crash it is asked again. */
export type Asked = Record<string, { line: string; expiresAt: number }>
export interface AskedLog {
  get(): Asked
  set(asked: Asked): void
}

/** `open` it waits · `expired` it waited too long · `lost` it was asked by an earlier process. */
export type Taken =
  | { state: 'open'; line: string; answer: Question['answer'] }
  | { state: 'expired' | 'lost'; line: string }

/** So much later than its end a question is still worth asking again. */
const WORTH_MS = 15 * 60_000

export function createAsking(log: AskedLog) {
  const open = new Map<string, Question>()
  const keyOf = (person: Person, place: Place) => `${place.chatId}/${place.threadId ?? 0}/${person.id}`

  function forget(key: string, now: number): void {
    open.delete(key)
    const kept = Object.entries(log.get()).filter(
      ([each, { expiresAt }]) => each !== key && expiresAt + WORTH_MS > now,
    )
    log.set(Object.fromEntries(kept))
  }

  return {
    /** Waits for what this person types next in this chat; a newer question replaces an older one. */
    ask(person: Person, place: Place, question: Question): void {
      const key = keyOf(person, place)
      open.set(key, question)
      log.set({ ...log.get(), [key]: { line: question.line, expiresAt: question.expiresAt } })
    },
    /** Takes the question that these words answer, if one was asked not long ago. */
    take(person: Person, place: Place, now: number): Taken | undefined {
      const key = keyOf(person, place)
      const question = open.get(key)
      const asked = log.get()[key]
      if (!asked) return undefined
      forget(key, now)
      if (asked.expiresAt + WORTH_MS <= now) return undefined
      if (!question) return { state: 'lost', line: asked.line }
      return question.expiresAt > now
        ? { state: 'open', line: asked.line, answer: question.answer }
        : { state: 'expired', line: asked.line }
    },
    waits: (person: Person, place: Place, now: number): boolean =>
      (open.get(keyOf(person, place))?.expiresAt ?? 0) > now,
  }
}
