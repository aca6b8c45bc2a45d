// What the Claude CLI's login and its refreshes look like to the alerts. Pure.

import type { Failing } from '../claude/classify.ts'
import type { ClaudeFile } from '../claude/index.ts'
import type { KeeperState } from '../credentials/keeper.ts'
import { ago, duration, plural } from '../words.ts'
import type { Observation } from './index.ts'

export const AREA = 'credentials'

export const BUTTONS = {
  refresh: { label: 'Refresh', run: 'refresh' },
  signIn: { label: 'Sign in', run: 'reauth' },
  signInSandbox: { label: 'Sign in', run: 'reauth sandbox' },
  tokens: { label: 'Tokens', run: 'tokens' },
  fix: { label: 'Fix', run: 'authfix' },
  sync: { label: 'Sync', run: 'sync' },
}

export const FILE = {
  key: 'credential/cli/file',
  area: AREA,
  title: 'The Claude CLI has no login that it can use',
}
export const REFRESH = {
  key: 'credential/cli/refresh',
  area: AREA,
  title: 'The Claude CLI’s token is not renewed',
}

type Kind = Pick<Observation, 'stage' | 'proof' | 'daily' | 'mend' | 'actions'>

const SIGN_IN = {
  mend: 'Somebody has to sign in: /reauth.',
  actions: [BUTTONS.signIn, BUTTONS.tokens],
}

/** By the state of the file. Without proof it has to last: a CLI may be writing it just now. */
const FILES: Record<Exclude<ClaudeFile['state'], 'ok'>, Kind> = {
  missing: { ...SIGN_IN, stage: 'missing', daily: true },
  empty: { ...SIGN_IN, stage: 'empty', daily: true },
  blanked: { ...SIGN_IN, stage: 'needs re-auth', daily: true, proof: true },
  unparsable: { ...SIGN_IN, stage: 'unparsable', daily: true },
  unreadable: { stage: 'unreadable', actions: [BUTTONS.tokens] },
}

/** How the file of the Claude CLI stands. @param had there was a login in it once. */
export function fileSeen({ state, why }: ClaudeFile, had: boolean): Observation {
  if (state === 'ok') return { ...FILE, verdict: 'ok', proof: true, why: 'There is a login.' }
  const vanished = state === 'missing' && had
  return {
    ...{ ...FILE, ...FILES[state], verdict: 'bad' },
    ...(vanished && { stage: 'vanished' }),
    why: `${why ?? `Its file is ${state}.`}${vanished ? ' There was one before.' : ''}`,
  }
}

/** What each kind of failure means for the operator. */
const FAILURES: Record<Failing, Kind & Pick<Observation, 'verdict'>> = {
  'needs re-auth': { ...SIGN_IN, verdict: 'bad', stage: 'needs re-auth', proof: true, daily: true },
  account: {
    ...{ verdict: 'bad', stage: 'account', proof: true },
    mend: 'Settle that with Anthropic; it is not tried again by itself before the login changes. /refresh tries.',
    actions: [BUTTONS.refresh, BUTTONS.tokens],
  },
  'usage limit': { verdict: 'warn', stage: 'usage limit', actions: [BUTTONS.tokens] },
  network: { verdict: 'bad', stage: 'failing', actions: [BUTTONS.refresh, BUTTONS.tokens] },
  transient: { verdict: 'bad', stage: 'failing', actions: [BUTTONS.refresh, BUTTONS.tokens] },
}

const left = (endsAt: number, now: number) =>
  endsAt > now ? `ends in ${duration(endsAt - now)}` : `ended ${ago(now - endsAt)}`

/** How the refreshes of the token went of late. */
export function refreshSeen(
  { state, expiresAt }: ClaudeFile,
  { failures }: Pick<KeeperState, 'failures'>,
  due: { at: number } | undefined,
  now: number,
): Observation {
  if (state !== 'ok') return { ...REFRESH, verdict: 'unknown', why: 'There is no token to renew.' }
  // A run without a word takes nothing from what another one said.
  const [first, last] = [failures[0], failures.findLast(({ silent }) => !silent) ?? failures.at(-1)]
  if (!first || !last) {
    // Over for certain only with a fresh token: failures also go when somebody puts another file there.
    const fresh = expiresAt !== undefined && expiresAt > now
    return { ...REFRESH, verdict: 'ok', why: 'It was renewed.', ...(fresh && { proof: true }) }
  }
  const until = last.until === undefined ? '' : ` (for another ${duration(Math.max(0, last.until - now))})`
  const why = [
    `${last.kind === 'usage limit' ? `usage limit${until}` : last.kind}: ${last.why}`,
    `${plural(failures.length, 'failure')} since ${ago(now - first.at)}${expiresAt === undefined ? '' : `; the token ${left(expiresAt, now)}`}.`,
    ...(due ? [`Tried again ${due.at > now ? `in ${duration(due.at - now)}` : 'now'}.`] : []),
  ].join(' ')
  return { ...REFRESH, ...FAILURES[last.kind], ...(last.silent && { stage: 'unmoved' }), why }
}

const SYNC = { key: 'credential/sync', area: AREA, title: 'A new token does not reach the gateway' }

/** @param trouble why the last copying did not work. */
export const copyingSeen = (trouble: string | undefined): Observation =>
  trouble === undefined
    ? { ...SYNC, verdict: 'ok', why: 'The last copying worked.' }
    : { ...SYNC, verdict: 'warn', why: trouble, actions: [BUTTONS.sync, BUTTONS.tokens] }
