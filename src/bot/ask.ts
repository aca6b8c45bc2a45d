// Questions that wait for a typed answer: in memory only, one a person and chat, gone with the process.

import type { Person, Place } from './command.ts'
import type { Page } from './page.ts'

export interface Question {
  /** What happens with the words. */
  answer(words: string): Promise<Page> | Page
  /** UTC milliseconds. */
  expiresAt: number
}

export type Asking = ReturnType<typeof createAsking>

export function createAsking() {
  const open = new Map<string, Question>()
  const keyOf = (person: Person, place: Place) => `${place.chatId}/${place.threadId ?? 0}/${person.id}`

  return {
    /** Waits for what this person types next in this chat; a newer question replaces an older one. */
    ask(person: Person, place: Place, question: Question): void {
      open.set(keyOf(person, place), question)
    },
    /** Takes the question that these words answer, if one waits. */
    take(person: Person, place: Place, now: number): Question | undefined {
      const key = keyOf(person, place)
      const question = open.get(key)
      open.delete(key)
      return question && question.expiresAt > now ? question : undefined
    },
    waits: (person: Person, place: Place, now: number): boolean =>
      (open.get(keyOf(person, place))?.expiresAt ?? 0) > now,
    drop: (person: Person, place: Place): boolean => open.delete(keyOf(person, place)),
  }
}
