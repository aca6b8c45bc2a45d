// What /whyauth and /usage show: the order in which the gateway looks for a credential, and the limits of the subscription.

import type { Access } from '../ops/access.ts'
import type { Usage, UsageWindow } from '../ops/claude/index.ts'
import type { Considered, Credential, CredentialKind, Truth } from '../ops/credentials/index.ts'
import { ago, percent } from '../ops/words.ts'
import { dataOf, LONGEST_DATA } from './buttons.ts'
import type { Clock } from './clock.ts'
import { bare, clip, hasOwn, inner, listed } from './credentials.ts'
import type { Button, Page, Text } from './page.ts'

type Order = ReturnType<Access['order']>

const BEARER = 'Authorization: Bearer'
/** Kind → the header that its token goes out in; the kind follows from the token, not from what a profile calls itself (F0-06). */
const HEADERS: Record<CredentialKind, string | undefined> = {
  'api key': 'x-api-key',
  login: BEARER,
  'access token': BEARER,
  'setup-token': BEARER,
  'session ingress token': BEARER,
  other: undefined,
}
/** Of a container's environment only hashes are known; in this variable everything goes out as a bearer (openclaw.md §4). */
const BEARERS_VARIABLE = 'ANTHROPIC_OAUTH_TOKEN'

const headerOf = ({ kind, variable }: Credential) =>
  HEADERS[kind] ?? (variable === BEARERS_VARIABLE ? BEARER : undefined)

function stepLine({ id, where, verdict, why }: Considered, index: number, { credentials }: Truth): Text {
  const credential = credentials.find((each) => each.id === id)
  const kind = credential?.kind === 'other' ? undefined : credential?.kind
  const header = verdict === 'wins' && credential && headerOf(credential)
  return [
    `${index + 1}. `,
    { bold: verdict },
    ` ${clip(where, 100)}${kind ? `, ${kind}` : ''}: ${inner(why)}${header ? `. It goes out as ${header}` : ''}`,
  ]
}

const winnerOf = ({ considered }: Order[number]) => considered.find(({ verdict }) => verdict === 'wins')

/** Agents for which every step is the same stand together. */
const alike = (order: Order): Order[] =>
  Object.values(Object.groupBy(order, ({ considered }) => JSON.stringify(considered))).flatMap((each) =>
    each ? [each] : [],
  )

/** @param isBlind whether something was not seen: it might win. */
function titleOf(order: Order, isBlind: boolean): Pick<Page, 'mark' | 'title'> {
  const [first] = order
  if (!first) return { mark: 'unknown', title: 'No agent was seen, so the order is not known' }
  const without = order.filter((each) => !winnerOf(each))
  const agents = listed(without.map(({ agent }) => clip(agent, 32)))
  if (without.length > 0)
    return without.some(hasOwn)
      ? { mark: isBlind ? 'unknown' : 'bad', title: `Nothing wins for ${agents}` }
      : { mark: 'unknown', title: `The gateway has no credential of its own for ${agents}` }
  const winners = [...new Set(order.map((each) => clip(winnerOf(each)?.where ?? '', 100)))]
  if (winners.length > 1) return { mark: 'ok', title: `Every agent has a credential: ${listed(winners)}` }
  const whom = order.length > 1 ? 'every agent' : clip(first.agent, 32)
  return { mark: 'ok', title: `${winners[0]} wins for ${whom}` }
}

/** The order step by step, for these agents. @param only the one that was asked for. */
export function orderPage(truth: Truth, order: Order, only: string | undefined): Page {
  const again: Button = { label: 'Refresh', run: only ? `whyauth ${only}` : 'whyauth', inPlace: true }
  const fits = Buffer.byteLength(dataOf(again)) <= LONGEST_DATA
  return {
    ...titleOf(order, truth.unseen.length > 0),
    lines: [
      ...truth.unseen.map((each) => `Not seen: ${bare(each)}`),
      ...alike(order).flatMap((same): Text[] => [
        ...(order.length > 1 ? [{ bold: listed(same.map(({ agent }) => clip(agent, 32))) }] : []),
        ...(same[0]?.considered ?? []).map((step, index) => stepLine(step, index, truth)),
      ]),
    ],
    details: [
      'An API key (api03) goes out as x-api-key; a subscription’s token (oat) and a session ingress token (si) as Authorization: Bearer.',
      'A profile comes before the environment; what stands in .env counts only after the container was made anew.',
    ],
    buttons: [[...(fits ? [again] : []), { label: 'Tokens', run: 'tokens' }]],
  }
}

/** `Current session: 42 %, resets 11:30 UTC` */
function windowWords({ name, percent: used, resetsAt }: UsageWindow, clock: Clock, now: number): string {
  const figure = `${clip(name, 60)} ${percent(used)}`
  if (resetsAt === undefined) return figure
  return resetsAt > now ? `${figure}, resets ${clock.at(resetsAt)}` : `${figure}, reset since then`
}

const NEARLY_FULL_PERCENT = 80

/** The limits of the subscription; the fullest one first. */
export function usagePage({ windows, at }: Usage, clock: Clock, now: number): Page {
  const open = windows.filter(({ resetsAt }) => resetsAt === undefined || resetsAt > now)
  const most = Math.max(0, ...open.map((each) => each.percent))
  const [first, ...others] = windows.toSorted((a, b) => b.percent - a.percent)
  return {
    mark: most >= 100 ? 'bad' : most >= NEARLY_FULL_PERCENT ? 'warn' : 'ok',
    title: first ? windowWords(first, clock, now) : 'The Claude CLI shows no limit',
    lines: [...others.map((each) => windowWords(each, clock, now)), `As of ${ago(now - at)}.`],
    buttons: [[{ label: 'Refresh', run: 'usage', inPlace: true }]],
  }
}
