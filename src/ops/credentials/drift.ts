// What has drifted apart: a container that runs another token than its file has, copies that are older than their source. Pure.

import type { Considered, Credential, Truth } from './index.ts'
import { SAME_MS } from './pasting.ts'

/** The Claude CLI's login, of which the others may be copies. */
export const cliOf = ({ credentials }: Pick<Truth, 'credentials'>) =>
  credentials.find(({ id }) => id === 'cli')

/** Whether it is the Claude CLI's very token. Of one that a gateway only reports its end tells, which is a little off. */
export function isSameToken(
  { hash, expiresAt = Number.NaN }: Credential,
  { kind, provider, renewedBy, ...copy }: Credential,
): boolean {
  if (copy.hash !== undefined) return copy.hash === hash
  const isPlain = kind === 'access token' && provider === 'anthropic' && renewedBy === undefined
  return isPlain && Math.abs((copy.expiresAt ?? Number.NaN) - expiresAt) <= SAME_MS
}

/**
 * Whether it is an older copy of what the Claude CLI holds: then no credential has ended, it has only not been copied
 * again. What renews itself, setup-tokens and keys are none.
 */
export function isStaleCopy(truth: Pick<Truth, 'credentials' | 'at'>, credential: Credential): boolean {
  const cli = cliOf(truth)
  const { id, kind, provider, expiresAt, ended, renewedBy, fault } = credential
  if (!cli?.hash || cli.fault || cli.expiresAt === undefined || cli.expiresAt <= truth.at) return false
  if (id === 'sandbox' || kind !== 'access token' || provider !== 'anthropic' || renewedBy || fault)
    return false
  if (isSameToken(cli, credential)) return false
  return ended === true || (expiresAt !== undefined && expiresAt < cli.expiresAt)
}

/** Who wins now, by agent. */
type Order = readonly { considered: readonly Considered[] }[]

const VARIABLES = ['ANTHROPIC_OAUTH_TOKEN', 'ANTHROPIC_API_KEY']

/** What `.env` has is in the container only once that is made anew. */
function apart(truth: Truth, variable: string): string | undefined {
  const find = (place: string) =>
    truth.credentials.find(
      (each) => each.variable === variable && (each.id === place || each.id.startsWith(`${place}/`)),
    )
  const [running, file] = [find('container'), find('.env')]
  if (!file?.hash || file.fault || running?.hash === file.hash) return undefined
  if (!running)
    return truth.environmentSeen
      ? `.env has ${variable} and the container has not: /recreate loads it, where the compose file passes it on.`
      : undefined
  const [there, here] = [running.hash && truth.groups[running.hash], truth.groups[file.hash]]
  if (there && here) return `The container runs ${there}, .env has ${here}: /recreate loads it.`
  return `The container runs another ${variable} than .env has${here ? ` (${here})` : ''}: /recreate loads it.`
}

/** Its container's environment changes only when it is made anew: with .env that is told as such. */
const isLoaded = ({ credentials }: Truth, { id, variable }: Credential) =>
  id.startsWith('container') &&
  credentials.some((each) => each.variable === variable && each.id.startsWith('.env'))

function older({ id, agent, profile, where }: Credential): string {
  if (id.startsWith('container'))
    return `The container runs an older copy of the Claude CLI's token (${where}), which is not from .env: change it where it is from, then /recreate.`
  const holder = agent && profile ? `Agent ${agent} has` : `There is`
  const place = agent && profile ? profile : where
  return `${holder} an older copy of the Claude CLI's token (${place}): /sync renews it.`
}

const shared = ({ agent, profile }: Credential) =>
  `Agent ${agent} has the Claude CLI's own refresh token (${profile}): when the gateway uses it, the CLI's login ends. /sync takes it out.`

const unloaded = ({ where }: Credential) =>
  `${where}, was changed after the gateway was started, which reads it only then: /recreate loads it.`

const LEGACY =
  'lies beside the database of this version, and every call of a model fails for it: /authfix mends that.'

const isOfEnvironment = ({ id, verdict }: Considered) =>
  verdict === 'wins' && /^(?:container|\.env|state\/\.env)/.test(id)

/** Whether somebody goes by the environment now, or has nothing else to go by. */
const needsEnvironment = (order: Order) =>
  order.length === 0 ||
  order.some(
    ({ considered }) =>
      considered.some(isOfEnvironment) || !considered.some(({ verdict }) => verdict === 'wins'),
  )

/**
 * What does not agree, in sentences. What could not be seen is not judged.
 * @param order leaves out what makes no difference to anybody now: an environment that loses.
 */
export function drift(truth: Truth, order: Order = []): string[] {
  const { credentials, legacy = [] } = truth
  const refresh = cliOf(truth)?.refreshHash
  const isEnvironmentUsed = needsEnvironment(order)
  const stale = credentials.filter((each) => isStaleCopy(truth, each) && !isLoaded(truth, each))
  return [
    ...legacy.map((path) => `${path} ${LEGACY}`),
    ...(isEnvironmentUsed ? VARIABLES : []).flatMap((variable) => apart(truth, variable) ?? []),
    ...stale.filter(({ id }) => isEnvironmentUsed || !id.startsWith('container')).map(older),
    ...credentials
      .filter(({ id, refreshHash }) => id.startsWith('profile/') && refresh && refreshHash === refresh)
      .map(shared),
    ...credentials.filter((each) => each.unloaded).map(unloaded),
  ]
}
