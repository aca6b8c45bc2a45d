// What /tokens shows: the verdict, every credential in a line, what is worst first, and only the buttons that help.

import { WINDOW_MS } from '../ops/claude/index.ts'
import type { Credential, Fault, Truth } from '../ops/credentials/index.ts'
import { plural } from '../ops/words.ts'
import type { Clock } from './clock.ts'
import {
  bare,
  clip,
  hasOwn,
  lineOf,
  listed,
  type Standing,
  standingOf,
  type TokensView,
  worstFirst,
} from './credentials.ts'
import type { Button, Mark, Page } from './page.ts'

/** What /authfix can mend, in a file. */
const FIXABLE: readonly Fault[] = ['seconds', 'wrong field', 'no token']
/** What only a new sign-in mends. */
const SIGNED_OUT: readonly Fault[] = ['missing', 'empty', 'blanked', 'unparsable']

/** A login that ends is called to mind from here on. */
const REMINDED_MS = 5 * 86_400_000

const STORES: Record<Truth['store'], string> = {
  files: 'The gateway keeps its profiles in files.',
  sqlite: 'The gateway keeps its profiles in SQLite: they are seen by its own report.',
  unknown: 'Where the gateway keeps its profiles is not known.',
}

/** That all is well, and for how long. */
function fineUntil(winners: readonly Standing[], clock: Clock): string {
  const ends = winners.flatMap(({ endsAt }) => endsAt ?? [])
  if (ends.length > 0) return `Model access is fine until ${clock.at(Math.min(...ends))}`
  const renewer = winners.map((each) => each.renewer).find(Boolean)
  return renewer ? `Model access is fine, renewed by ${renewer}` : 'Model access is fine'
}

/** The title: what somebody must know who reads no further. */
function verdictOf(
  view: TokensView,
  standings: readonly Standing[],
  clock: Clock,
): { mark: Mark; title: string } {
  const { truth, order, drift, pressing = drift } = view
  const winners = worstFirst(standings.filter(({ wins }) => wins))
  const [first] = winners
  const without = order.filter(({ considered }) => !considered.some(({ verdict }) => verdict === 'wins'))
  const blind = truth.unseen.length > 0
  if (truth.legacy?.length)
    return {
      mark: 'bad',
      title: 'Every call of a model fails: credential files of an older version are there',
    }
  if (without.length > 0) {
    const agents = listed(without.map(({ agent }) => clip(agent, 32)))
    if (blind)
      return {
        mark: 'unknown',
        title: `No credential that works was seen for ${agents}, but not everything was seen`,
      }
    // Its Claude CLI backend needs none: it runs the CLI, with the CLI's own login.
    const cli = standings.find(({ credential }) => credential.id === 'cli')
    return cli?.mark === 'ok' && !without.some(hasOwn)
      ? {
          mark: 'unknown',
          title: `The gateway has no credential of its own for ${agents}: it may run the Claude CLI`,
        }
      : { mark: 'bad', title: `There is no credential that works for ${agents}` }
  }
  if (pressing[0] !== undefined)
    return { mark: first?.mark === 'bad' ? 'bad' : 'warn', title: bare(pressing[0]) }
  const who = clip(first?.credential.where ?? '', 100)
  if (first?.mark === 'bad') return { mark: 'bad', title: `Model access is down (${who}): ${first.words}` }
  if (first?.mark === 'warn')
    return { mark: 'warn', title: `Model access is at risk (${who}): ${first.words}` }
  const ill = standings.filter(({ mark, wins }) => !wins && (mark === 'bad' || mark === 'warn')).length
  const care = ill > 0 ? `, but ${plural(ill, 'other credential needs', 'other credentials need')} care` : ''
  if (!first)
    return standings.length === 0
      ? { mark: 'unknown', title: 'No credential was found' }
      : { mark: ill > 0 ? 'warn' : 'unknown', title: `Which credential the gateway uses was not seen${care}` }
  if (blind && ill === 0)
    return { mark: 'unknown', title: `${fineUntil(winners, clock)}, as far as it was seen` }
  return { mark: ill > 0 ? 'warn' : first.mark, title: `${fineUntil(winners, clock)}${care}` }
}

/** Only a new sign-in mends it. */
const isSignedOut = (found: Standing | undefined, now: number) =>
  found !== undefined &&
  (SIGNED_OUT.includes(found.credential.fault ?? 'no token') ||
    (found.mark !== 'ok' && (found.credential.loginEndsAt ?? Number.POSITIVE_INFINITY) < now + REMINDED_MS))

/** Buttons that would help as things stand, and no others; what has drifted apart names its own command. */
function mendingButtons(view: TokensView, standings: readonly Standing[], now: number): Button[] {
  const { truth, drift, config } = view
  const [cli, sandbox] = ['cli', 'sandbox'].map((id) => standings.find((each) => each.credential.id === id))
  const cliEnd = cli?.credential.fault ? undefined : cli?.credential.expiresAt
  const isDue = cliEnd !== undefined && cliEnd <= now + WINDOW_MS
  const isFixable = truth.credentials.some(
    ({ profile, id, fault, unusable }) =>
      (profile !== undefined || id === 'oauth.json') &&
      (unusable !== undefined || (fault !== undefined && FIXABLE.includes(fault))),
  )
  const names = (line: string) => drift.some((sentence) => sentence.includes(`/${line}`))
  const offers: [boolean, Button][] = [
    [isDue && !isSignedOut(cli, now), { label: 'Refresh the token', run: 'refresh' }],
    [isSignedOut(cli, now), { label: 'Sign in', run: 'reauth' }],
    [isSignedOut(sandbox, now), { label: 'Sign in (sandboxes)', run: 'reauth sandbox' }],
    [config.sync && names('sync'), { label: 'Sync', run: 'sync' }],
    [names('authfix') || (truth.store === 'files' && isFixable), { label: 'Fix', run: 'authfix' }],
    [names('recreate'), { label: 'Recreate', run: 'recreate' }],
  ]
  return offers.flatMap(([helps, button]) => (helps ? [button] : []))
}

/** Which places hold one and the same token: `A: .env; oauth.json`. */
function groupLines({ credentials, groups }: Truth): string[] {
  const letters = [...new Set(Object.values(groups))].sort()
  return letters.flatMap((letter) => {
    const same = credentials.filter(({ hash }) => hash !== undefined && groups[hash] === letter)
    const places = same.map(({ where }) => clip(where, 100)).join('; ')
    return same.length > 1 ? [`${letter} is one token in: ${places}`] : []
  })
}

/** Setup-tokens that were registered under a name of their own: nothing else shows them. */
const unseenSetupTokens = ({ truth, registered }: TokensView): Credential[] =>
  registered
    .filter(({ name }) => !truth.credentials.some(({ id }) => id === name))
    .map(({ name, kind }) => ({ id: name, kind, provider: 'anthropic', where: `registered as ${name}` }))

/** What a setup-token may be registered as: no address of anybody's, and short enough for a line. */
export const REGISTERED_NAME = /^[\w.:/#-]{1,64}$/
const nameable = (id: string) => (REGISTERED_NAME.test(id) ? id : '<name>')

/** A setup-token tells nobody its end, so its day of birth has to be told to us. */
function registerHint({ truth, registered }: TokensView): string[] {
  const nameless = truth.credentials.find(
    ({ id, kind, expiresAt }) =>
      kind === 'setup-token' && expiresAt === undefined && !registered.some(({ name }) => name === id),
  )
  return nameless
    ? [
        `/tokens register ${nameable(nameless.id)} 2026-01-31 notes when a setup-token was made: it ends after a year.`,
      ]
    : []
}

/** Every credential at one look, without any token. */
export function tokensPage(view: TokensView, clock: Clock, now: number): Page {
  const { truth, drift, due, config } = view
  const credentials = [...truth.credentials, ...unseenSetupTokens(view)]
  const standings = worstFirst(credentials.map((each) => standingOf(each, view, clock, now)))
  const { mark, title } = verdictOf(view, standings, clock)
  const mending = mendingButtons(view, standings, now)
  return {
    mark,
    title,
    lines: [
      ...drift.map(bare).filter((each) => each !== title),
      ...truth.unseen.map((each) => `Not seen: ${bare(each)}`),
      ...standings.map((each) => lineOf(each, truth)),
    ],
    details: [
      ...groupLines(truth),
      ...(due ? [`Next refresh ${clock.at(due.at)}: ${bare(due.why)}`] : []),
      STORES[truth.store],
      ...(config.sync ? [] : ['CREDENTIAL_SYNC is off: a new token is not copied to the gateway.']),
      ...registerHint(view),
      `As seen at ${clock.at(truth.at)}`,
    ],
    buttons: [
      ...(mending.length > 0 ? [mending] : []),
      [
        { label: 'Refresh', run: 'tokens', inPlace: true },
        { label: 'Why', run: 'whyauth' },
      ],
    ],
  }
}
