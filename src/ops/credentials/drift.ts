// What has drifted apart: a container that runs another token than its file has, copies that are older than their source. Pure.

import type { Credential, Truth } from './index.ts'

/** The Claude CLI's login, of which the others may be copies. */
export const cliOf = ({ credentials }: Pick<Truth, 'credentials'>) =>
  credentials.find(({ id }) => id === 'cli')

/**
 * Whether it is an older copy of what the Claude CLI holds: then no credential has ended, it has only not been copied
 * again. What renews itself, setup-tokens and keys are none.
 */
export function isStaleCopy(truth: Pick<Truth, 'credentials' | 'at'>, credential: Credential): boolean {
  const cli = cliOf(truth)
  const { id, kind, hash, provider, expiresAt, ended, renewedBy, fault } = credential
  if (!cli?.hash || cli.fault || cli.expiresAt === undefined || cli.expiresAt <= truth.at) return false
  if (id === 'sandbox' || kind !== 'access token' || provider !== 'anthropic' || renewedBy || fault)
    return false
  if (hash === cli.hash) return false
  return ended === true || (expiresAt !== undefined && expiresAt < cli.expiresAt)
}

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

function older({ agent, profile, where }: Credential): string {
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

/** What does not agree, in sentences. What could not be seen is not judged. */
export function drift(truth: Truth): string[] {
  const { credentials, legacy = [] } = truth
  const refresh = cliOf(truth)?.refreshHash
  return [
    ...legacy.map((path) => `${path} ${LEGACY}`),
    ...VARIABLES.flatMap((variable) => apart(truth, variable) ?? []),
    ...credentials.filter((each) => isStaleCopy(truth, each)).map(older),
    ...credentials
      .filter(({ id, refreshHash }) => id.startsWith('profile/') && refresh && refreshHash === refresh)
      .map(shared),
    ...credentials.filter((each) => each.unloaded).map(unloaded),
  ]
}
