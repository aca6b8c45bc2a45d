// How one credential stands, in words and with a mark: its fault, its time left, who renews it, for whom it wins.

import type { Config } from '../config.ts'
import type { Access } from '../ops/access.ts'
import type { Credential, Truth } from '../ops/credentials/index.ts'
import type { Registered } from '../ops/credentials/register.ts'
import { SETUP_TOKEN_MS, type Stage } from '../ops/credentials/stages.ts'
import { ago, duration } from '../ops/words.ts'
import type { Clock } from './clock.ts'
import { MARKS, type Mark, type Text } from './page.ts'

/** A setup-token, or anything else that says nothing of its own end, by the day on which it was made. */
/** All that is known of the credentials at one look. */
export interface TokensView {
  truth: Truth
  order: ReturnType<Access['order']>
  /** Where the same credential differs between two places, in sentences. */
  drift: readonly string[]
  /** Those of them that make a difference now; all of them when left out. */
  pressing?: readonly string[]
  stageOf(credential: Credential): Stage
  registered: readonly Registered[]
  /** The next refresh; UTC milliseconds. */
  due: { at: number; why: string } | undefined
  config: Pick<Config['claude'], 'sync'>
}

export interface Standing {
  credential: Credential
  mark: Mark
  /** How it stands, as a part of a sentence. */
  words: string
  /** For which agents it wins; undefined when for none. */
  wins: string | undefined
  /** When it ends and nothing renews it. UTC milliseconds. */
  endsAt: number | undefined
  /** Who renews it, in words. */
  renewer: string | undefined
}

const WORST_FIRST: readonly Mark[] = ['bad', 'warn', 'unknown', 'ok']

export const clip = (text: string, most: number) =>
  text.length > most ? `${text.slice(0, most - 1)}…` : text

/** A sentence without its full stop. */
export const bare = (sentence: string) => clip(sentence.trim(), 300).replace(/\.$/, '')

/** A sentence as the end of a longer one. */
export const inner = (sentence: string) =>
  bare(sentence).replace(/^(?:Its?|The|There|Nobody|No|An?)\b/, (word) => word.toLowerCase())

/** `a`, `a and b`, `a, b, c and 9 more` */
export const listed = (names: readonly string[]) =>
  names.length > 4
    ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more`
    : names.join(names.length === 2 ? ' and ' : ', ')

/** Whether the gateway has anything of its own to try for an agent. */
export const hasOwn = ({ considered }: TokensView['order'][number]) =>
  considered.some(({ verdict }) => verdict !== 'ignored')

function winsOf(id: string, order: TokensView['order']): string | undefined {
  const won = order.filter(({ considered }) =>
    considered.some((each) => each.id === id && each.verdict === 'wins'),
  )
  if (won.length === 0) return undefined
  return won.length === order.length ? 'wins' : `wins for ${listed(won.map(({ agent }) => clip(agent, 32)))}`
}

/** What its own record leaves out, by the other copies of the same token and the day that was registered. */
function lifeSpanOf(credential: Credential, { truth, registered, config }: TokensView) {
  const { id, hash } = credential
  const same = truth.credentials.filter((each) => hash !== undefined && each.hash === hash)
  const renewer = same.find((each) => each.renewedBy)?.renewedBy
  const born = registered.find(({ name }) => name === id)?.createdAt
  return {
    end: credential.expiresAt ?? (born === undefined ? undefined : born + SETUP_TOKEN_MS),
    loginEnd:
      credential.loginEndsAt ?? same.find(({ loginEndsAt }) => loginEndsAt !== undefined)?.loginEndsAt,
    // A copy follows its original only while copying is on.
    renewer: credential.renewedBy ?? (config.sync && renewer ? `${renewer} and copied` : undefined),
  }
}
type LifeSpan = ReturnType<typeof lifeSpanOf>

function leftWords({ kind, ended }: Credential, end: number | undefined, now: number): string {
  if (ended) return 'it has ended'
  if (end !== undefined) return end > now ? `${duration(end - now)} left` : `ended ${ago(now - end)}`
  return kind === 'api key' ? 'does not end by itself' : 'when it ends is not known'
}

/** How long it lasts and what renews it: `6 h 12 min left, renewed by the Claude CLI at 15:58 UTC`. */
function lifeWords(credential: Credential, span: LifeSpan, view: TokensView, clock: Clock, now: number) {
  const { loginEndsAt } = credential
  const due = credential.id === 'cli' && view.due ? ` at ${clock.at(view.due.at)}` : ''
  const login =
    loginEndsAt === undefined
      ? undefined
      : loginEndsAt > now
        ? `its login ends ${clock.at(loginEndsAt)}`
        : 'its login has ended'
  const renewed = span.renewer && `renewed by ${span.renewer}${due}`
  return [leftWords(credential, span.end, now), renewed, login].filter(Boolean).join(', ')
}

function asideWords({ kind, reason, until }: NonNullable<Credential['unusable']>, clock: Clock): string {
  const what = kind === 'disabled' ? 'the gateway has disabled it' : 'the gateway leaves it out'
  const end = until === undefined ? '' : ` until ${clock.at(until)}`
  return `${what}${end}${reason ? ` (${clip(reason, 60)})` : ''}`
}

export function standingOf(credential: Credential, view: TokensView, clock: Clock, now: number): Standing {
  const { id, unusable } = credential
  const { verdict, why } = view.stageOf(credential)
  const span = lifeSpanOf(credential, view)
  const life = verdict === 'ok' ? lifeWords(credential, span, view, clock, now) : inner(why)
  return {
    credential,
    mark: unusable && verdict === 'ok' ? 'warn' : verdict,
    words: [...(unusable ? [asideWords(unusable, clock)] : []), life].join('; '),
    wins: winsOf(id, view.order),
    endsAt: span.renewer ? span.loginEnd : span.end,
    renewer: span.renewer,
  }
}

const rank = ({ mark }: Standing) => WORST_FIRST.indexOf(mark)
/** What is worst first, and what wins before what does not. */
export const worstFirst = (standings: readonly Standing[]) =>
  standings.toSorted(
    (a, b) => rank(a) - rank(b) || Number(b.wins !== undefined) - Number(a.wins !== undefined),
  )

/** Of a token only the letter of its group is shown, never its hash. */
export function lineOf({ credential, mark, words, wins }: Standing, { groups }: Truth): Text {
  const { where, kind, hash } = credential
  const letter = hash === undefined ? undefined : groups[hash]
  const facts = [kind, letter, wins].filter(Boolean).join(', ')
  return [`${MARKS[mark]} `, { bold: clip(where, 100) }, ` (${facts}): ${words}`]
}
