// Words for what devices are called and may do: what others chose made harmless, scopes with their danger. Pure.

/** Control characters, line breaks, and what turns the direction of a text: in a name nobody needs them. */
const TRICKS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu
const LONGEST = 64

/** A name that anybody may have chosen, made harmless: one line, no tricks, not long. */
export function harmless(text: string | undefined): string | undefined {
  const clean = text?.replace(TRICKS, ' ').replace(/\s+/g, ' ').trim()
  if (!clean) return undefined
  const letters = [...clean]
  return letters.length > LONGEST ? `${letters.slice(0, LONGEST).join('')}…` : clean
}

/** What the scopes mean, most dangerous first (openclaw.md §1.3, F2-61). */
const MEANINGS: readonly [scope: string, words: string][] = [
  ['operator.admin', 'admin: can change everything and run code on this machine'],
  ['operator.approvals', 'approvals: can allow commands that agents ask to run'],
  ['operator.questions', 'questions: can answer what agents ask people'],
  ['operator.pairing', 'pairing: can let other devices in'],
  ['operator.write', 'write: can speak to agents and make them act'],
  ['operator.read', 'read: can read sessions and what agents said'],
]

/** Scopes in words, most dangerous first. */
export function scopeWords(scopes: readonly string[]): string[] {
  const known = MEANINGS.filter(([scope]) => scopes.includes(scope)).map(([, words]) => words)
  const others = scopes.filter((scope) => !MEANINGS.some(([each]) => each === scope))
  return [...known, ...others.flatMap((scope) => harmless(scope) ?? [])]
}
