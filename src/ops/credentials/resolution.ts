// The order in which the gateway looks for a credential: who wins now, and why the others do not. Pure.

import { ago, duration } from '../words.ts'
import { cliOf, isStaleCopy } from './drift.ts'
import type { Considered, Credential, Truth } from './index.ts'

/** That it has ended, in words without the full stop; undefined while it lasts, and when nobody knows. */
function overSince({ expiresAt, ended, fault }: Credential, now: number): string | undefined {
  if (fault === 'seconds') return 'Its end stands there in seconds, which the gateway takes for 1970'
  if (expiresAt !== undefined && expiresAt <= now) return `It ended ${ago(now - expiresAt)}`
  return ended ? 'It has ended' : undefined
}

const ignored = ({ id, where }: Credential, why: string): Considered => ({
  id,
  where,
  verdict: 'ignored',
  why,
})
const loses = ({ id, where }: Credential, why: string): Considered => ({ id, where, verdict: 'loses', why })
const wins = ({ id, where }: Credential, why: string): Considered => ({ id, where, verdict: 'wins', why })

const RANKS = { oauth: 0, token: 1, api_key: 2 } as const
const rankOf = ({ type }: Credential) => (type === undefined ? 3 : RANKS[type])

/** The profiles that an agent has: its own, and those of main that it has none of the same name of (read in both versions). */
function profilesFor(truth: Truth, agent: string): Credential[] {
  const profiles = truth.credentials.filter(
    ({ id, provider }) => (id.startsWith('profile/') || id === 'oauth.json') && provider === 'anthropic',
  )
  const own = profiles.filter((each) => each.agent === agent)
  const names = new Set(own.map(({ profile }) => profile))
  const inherited = profiles.filter(
    (each) => each.agent === 'main' && each.profile !== undefined && !names.has(each.profile),
  )
  return agent === 'main' ? own : [...own, ...inherited]
}

/** The names of the profiles in the order that somebody set; others are left out then. */
function orderFor({ agents = [] }: Truth, agent: string): string[] | undefined {
  const set = (of: string) => agents.find((each) => each.agent === of)?.order?.anthropic
  return set(agent) ?? set('main')
}

/** Why the gateway leaves a profile out from the start. */
function leftOut(truth: Truth, credential: Credential, agent: string, now: number): string | undefined {
  const { profile = '', type, fault, why = '' } = credential
  if (fault && fault !== 'seconds') return `${why} The gateway leaves it out.`
  const order = orderFor(truth, agent)
  if (order && !order.includes(profile)) return 'It is not in the order of profiles that was set.'
  if (!order && truth.configured?.some(isAnthropics(truth)) && !truth.configured.includes(profile))
    return 'openclaw.json names profiles (auth.profiles), and this is none of them.'
  const over = type === 'token' ? overSince(credential, now) : undefined
  if (over === undefined) return undefined
  const cli = cliOf(truth)
  if (isStaleCopy(truth, credential))
    return `It is an older copy of what the Claude CLI holds for ${duration((cli?.expiresAt ?? now) - now)} more. ${over}, and so it is skipped.`
  return `${over}, and so it is skipped.`
}

const isAnthropics = (truth: Truth) => (name: string) =>
  name.startsWith('anthropic:') ||
  truth.credentials.some(({ profile, provider }) => profile === name && provider === 'anthropic')

function aside({ unusable }: Credential, now: number): string | undefined {
  if (!unusable || (unusable.until !== undefined && unusable.until <= now)) return undefined
  const { kind, reason, until } = unusable
  const left = until === undefined ? '' : ` for ${duration(until - now)} more`
  return `The gateway has set it aside${left} (${kind}${reason ? `: ${reason}` : ''}).`
}

/** The profiles that the gateway tries, the first of them first, and what it leaves out. */
function rank(truth: Truth, agent: string, now: number) {
  const all = profilesFor(truth, agent)
  const out = new Map(all.map((each) => [each, leftOut(truth, each, agent, now)]))
  const names = orderFor(truth, agent)
  const place = ({ profile = '' }: Credential) => names?.indexOf(profile) ?? 0
  const byTurns = (a: Credential, b: Credential) => rankOf(a) - rankOf(b) || (a.usedAt ?? 0) - (b.usedAt ?? 0)
  const eligible = all
    .filter((each) => out.get(each) === undefined)
    .toSorted((a, b) => (names ? place(a) - place(b) : byTurns(a, b)))
  return {
    eligible,
    rest: [...out].flatMap(([each, why]) => (why === undefined ? [] : [ignored(each, why)])),
  }
}

/** Why a profile that could be taken is not, with the one that is. */
function beaten(credential: Credential, winner: Credential | undefined, now: number, set: boolean): string {
  const why = aside(credential, now)
  if (why !== undefined) return why
  const over = overSince(credential, now)
  if (over !== undefined && !credential.renewedBy) return `${over}, and there is nothing to renew it with.`
  if (!winner || set) return 'Another one stands before it in the order of profiles.'
  if (rankOf(winner) < rankOf(credential)) return `Type ${credential.type} comes behind type ${winner.type}.`
  return `It takes turns with ${winner.profile}.`
}

function winning(credential: Credential, now: number): string {
  const over = overSince(credential, now)
  const { expiresAt, renewedBy } = credential
  if (over !== undefined && renewedBy) return `${over}. The gateway renews it itself when it uses it next.`
  if (over !== undefined) return `${over}, and the gateway does not see that: every call of a model fails.`
  const left = expiresAt === undefined ? '' : ` It lasts for ${duration(expiresAt - now)} more.`
  if (credential.id === 'oauth.json')
    return `There is no auth-profiles.json, and so it is imported as one.${left}`
  return credential.profile === undefined
    ? `There is no profile that could be tried, and so the environment counts.${left}`
    : `It is the first profile that can be used.${left}`
}

/** What the gateway reads of its environment, what comes first first; a third one is for the Claude CLI. */
const HEARD = ['ANTHROPIC_OAUTH_TOKEN', 'ANTHROPIC_API_KEY']

/** The environment, which counts only where there is no profile at all that could be tried (run with 2026.2.22). */
function environment(truth: Truth, hasProfiles: boolean, now: number): Considered[] {
  const from = (place: string) =>
    truth.credentials.filter(({ id }) => id === place || id.startsWith(`${place}/`))
  const container = from('container')
  const named = new Set(container.map(({ variable }) => variable))
  const loaded = from('state/.env')
  const place = ({ variable = '' }: Credential) => HEARD.indexOf(variable)
  const heard = [...container, ...loaded.filter(({ variable }) => !named.has(variable))]
    .filter((each) => place(each) >= 0 && !each.fault)
    .toSorted((a, b) => place(a) - place(b))
  const winner = hasProfiles ? undefined : heard[0]
  return [
    ...heard.map((each) => {
      if (each === winner) return wins(each, winning(each, now))
      return loses(
        each,
        hasProfiles ? 'There are profiles, and these come first.' : `${HEARD[0]} comes before it.`,
      )
    }),
    ...[...container, ...loaded]
      .filter((each) => !heard.includes(each))
      .map((each) => ignored(each, unheard(each))),
    ...from('.env').map((each) => ignored(each, ofFile(each, container))),
  ]
}

function unheard({ variable, fault, why = '' }: Credential): string {
  if (fault) return why
  if (!HEARD.includes(variable ?? ''))
    return `The gateway does not read ${variable}: it is for the Claude CLI.`
  return 'The environment of the container comes before it.'
}

/** `.env` counts for nothing but the next container. */
function ofFile(credential: Credential, container: readonly Credential[]): string {
  const { variable, fault, why = '', hash } = credential
  if (fault) return why
  const running = container.find((each) => each.variable === variable)
  if (running && running.hash === hash) return 'The container was made with it: see there.'
  return 'It counts for the next container: /recreate makes one with it.'
}

const OTHERS: Record<string, string> = {
  cli: 'The gateway does not read it: it has copies, or runs the Claude CLI.',
  sandbox: 'It is for the Claude CLI in the sandboxes.',
  ingress: 'It is no step of the order: a gateway that uses one reads it again by itself.',
}

/**
 * What an agent of the gateway considers for a call of an anthropic model, in its order. The order of both versions is
 * one and the same, as run with 2026.2.22 and read in both; only where profiles lie is different.
 */
export function considered(truth: Truth, agent: string, now: number): Considered[] {
  const { eligible, rest } = rank(truth, agent, now)
  const usable = eligible.filter(
    (each) => !aside(each, now) && (overSince(each, now) === undefined || each.renewedBy),
  )
  const [winner] = usable
  const set = orderFor(truth, agent) !== undefined
  const profiles = eligible.map((each) =>
    each === winner ? wins(each, winning(each, now)) : loses(each, beaten(each, winner, now, set)),
  )
  const others = truth.credentials.filter(({ id }) => id in OTHERS)
  return [
    ...profiles,
    ...environment(truth, eligible.length > 0, now),
    ...rest,
    ...others.map((each) => ignored(each, OTHERS[each.id] ?? '')),
  ]
}

/** The same for every agent. */
export const orders = (truth: Truth, now: number): { agent: string; considered: Considered[] }[] =>
  (truth.agents ?? [{ agent: 'main' }]).map(({ agent }) => ({
    agent,
    considered: considered(truth, agent, now),
  }))
