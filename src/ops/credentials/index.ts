// The truth about every credential of the deployment: what there is, where, until when, and who has the same one.

import { join } from 'node:path'
import type { ClaudeFile } from '../claude/file.ts'
import type { Container } from '../docker/facts.ts'
import type { ReportedCredential } from '../gateway/credentials.ts'
import type { StateDirLook } from '../gateway/statedir.ts'
import { createEyes, type Eyes } from './eyes.ts'
import { type Ends, enlighten, groupsOf, learn, shownPath } from './kinds.ts'
import { configuredIn, reportedCredential } from './profiles.ts'
import {
  claudeCredential,
  containerCredentials,
  environmentIn,
  ingressCredentials,
  readFileStores,
} from './stores.ts'

export type CredentialKind =
  | 'login'
  | 'access token'
  | 'setup-token'
  | 'api key'
  | 'session ingress token'
  | 'other'

/** What is wrong with the record itself, whatever the clock says. */
export type Fault =
  | 'missing'
  | 'empty'
  | 'blanked'
  | 'unparsable'
  | 'unreadable'
  /** Times stand in it as seconds. */
  | 'seconds'
  /** An oauth profile with `key` where `access` belongs, an api_key with `token` … */
  | 'wrong field'
  /** The field that its kind needs is not there. */
  | 'no token'

/** One credential, without its token. Plain JSON. */
export interface Credential {
  /** Stable and unique: `cli`, `sandbox`, `oauth.json`, `profile/main/anthropic:default`, `.env`, `container`, `ingress`. */
  id: string
  kind: CredentialKind
  provider: string
  /** In words, for people: `.env, ANTHROPIC_OAUTH_TOKEN`. */
  where: string
  /** The agent whose store it is in. */
  agent?: string
  /** First 16 hex digits of the token's SHA-256; absent where the token was not seen. */
  hash?: string
  /** The same of the refresh token beside it. */
  refreshHash?: string
  /** When it ends. UTC milliseconds; absent when nobody knows. */
  expiresAt?: number
  /** It has ended, by the gateway's word, and nobody says when. */
  ended?: true
  /** When a session ingress token was made. UTC milliseconds. */
  issuedAt?: number
  /** When the login behind it ends. UTC milliseconds. */
  loginEndsAt?: number
  /** What renews it, in words: `the Claude CLI`; absent when nothing does. */
  renewedBy?: string
  fault?: Fault
  /** One sentence about the fault. */
  why?: string
  /** The gateway leaves it out for a while, or for good. */
  unusable?: { kind: 'cooldown' | 'disabled'; reason?: string; until?: number }
  /** Of an auth profile: its name as it may be shown, and its type. */
  profile?: string
  type?: 'oauth' | 'token' | 'api_key'
  /** When the gateway last used it: profiles of one type take turns. UTC milliseconds. */
  usedAt?: number
  /** The environment variable that it stands in. */
  variable?: string
  /** Its file was changed after the gateway was started, which reads it only then. */
  unloaded?: true
}

/** An agent, and what its store says besides its profiles. */
export interface AgentStore {
  agent: string
  /** Whether it has an `auth-profiles.json` of its own; without one it has those of `main`. */
  own: boolean
  /** The names of its profiles in the order somebody set, by provider. */
  order?: Record<string, string[]>
}

/** Every credential at one look. */
export interface Truth {
  /** Where the gateway keeps its profiles. */
  store: 'files' | 'sqlite' | 'unknown'
  credentials: Credential[]
  /** Every agent; at least `main`. */
  agents?: AgentStore[]
  /** The profiles that openclaw.json names; where it names some, others are left out. */
  configured?: string[]
  /** Credential files of older versions beside the database of a newer one, by their path: they break every model call. */
  legacy?: string[]
  /** Whether the environment of the gateway's container was seen: else that nothing is there says nothing. */
  environmentSeen?: true
  /** What could not be seen, in sentences: it is never taken for well. */
  unseen: string[]
  /** Hash → `A`, `B` …: which ones are one and the same token. Only hashes that stand there twice or more have a letter of a group. */
  groups: Record<string, string>
  /** UTC milliseconds. */
  at: number
}

/** One step of the order in which the gateway looks for a credential. */
export interface Considered {
  id: string
  where: string
  verdict: 'wins' | 'loses' | 'ignored'
  /** One sentence: why it wins, or why it does not. */
  why: string
}

export interface CredentialsOptions {
  /** Undefined where there is no Claude CLI. */
  claudeFile: () => Promise<ClaudeFile | undefined>
  /** The sandboxes' own login; undefined where there is none. */
  sandboxFile: () => Promise<ClaudeFile | undefined>
  /** `expected` when somebody said that there is one. */
  ingressFile: { path: string; expected: boolean }
  stateDir: () => Promise<StateDirLook>
  /** The compose project's `.env`; undefined where there is none. */
  envPath: () => Promise<string | undefined>
  /** Left out for a gateway without one, whose environment nobody sees. */
  gatewayContainer?: () => Promise<Pick<Container, 'environment' | 'startedAt'> | undefined>
  report: () => Promise<ReportedCredential[]>
  /** Outlives us: so yesterday's token in a container is known to be yesterday's. */
  ends: { get(): Ends | undefined; set(ends: Ends): void }
  now: () => number
  /** What answers later is not waited for. */
  timeoutMs?: number
}

export interface Credentials {
  /** Two at once are one. Never throws: what could not be seen is said in it. */
  truth(): Promise<Truth>
}

type Stores = Pick<Truth, 'store' | 'credentials' | 'agents' | 'configured' | 'legacy' | 'unseen'>

/** The profiles: from the files of an older gateway, or as a newer one reports them; its database is never opened. */
async function profilesOf(
  look: StateDirLook | undefined,
  { see }: Eyes,
  { report, now }: Pick<CredentialsOptions, 'report' | 'now'>,
): Promise<Stores> {
  const seen = look?.state === 'seen' ? look.seen : undefined
  const names = configuredIn(seen?.config?.flat ?? {})
  const common = { ...(names.length > 0 && { configured: names }), credentials: [], unseen: [] }
  if (seen && !seen.auth.sqlite) {
    const found = await see('What the files of the gateway hold', () => readFileStores(seen.path, now()))
    return { ...common, store: 'files', ...found }
  }
  const reported = (await see('What credentials the gateway has', report)) ?? []
  const credentials = reported.map((each) => reportedCredential(each, now()))
  const agents = new Set(credentials.flatMap(({ agent }) => agent ?? []))
  const legacy = seen?.auth.legacy ?? []
  return {
    ...{ ...common, store: seen ? 'sqlite' : 'unknown', credentials },
    agents: [...(agents.size > 0 ? agents : ['main'])].map((agent) => ({ agent, own: true })),
    ...(legacy.length > 0 && { legacy: legacy.map(shownPath) }),
  }
}

export function createCredentials(options: CredentialsOptions): Credentials {
  const { claudeFile, sandboxFile, ingressFile, stateDir, envPath, gatewayContainer } = options
  const { ends, now, timeoutMs = 15_000 } = options

  async function lookOnce(): Promise<Truth> {
    const eyes = createEyes(timeoutMs)
    const { see, unseen } = eyes
    const [cli, sandbox, look, container, env, ingress] = await Promise.all([
      see('The login of the Claude CLI', claudeFile),
      see('The login of the sandboxes', sandboxFile),
      see('The state directory of the gateway', stateDir),
      gatewayContainer &&
        see('The container of the gateway', async () => ({ found: await gatewayContainer() })),
      see('.env', async () => {
        const path = await envPath()
        return path === undefined ? [] : await environmentIn('.env', path)
      }),
      see('The session ingress token', () => ingressCredentials(ingressFile.path, ingressFile.expected)),
    ])
    if (look?.state === 'unseen') unseen.push(look.why)
    if (container && !container.found)
      unseen.push('The gateway has no container that is known: its environment was not seen.')
    const [stores, loaded] = await Promise.all([
      profilesOf(look, eyes, options),
      see('.env of the state directory', async () =>
        look?.state === 'seen'
          ? await environmentIn('state/.env', join(look.seen.path, '.env'), container?.found?.startedAt)
          : [],
      ),
    ])
    const known = ends.get() ?? {}
    const all = enlighten(
      [
        ...(cli ? [claudeCredential('cli', 'the login of the Claude CLI', cli)] : []),
        ...stores.credentials,
        ...(container?.found ? containerCredentials(container.found) : []),
        ...(env ?? []),
        ...(loaded ?? []),
        ...(ingress ?? []),
        ...(sandbox ? [claudeCredential('sandbox', 'the login of the sandboxes', sandbox)] : []),
      ],
      known,
    )
    const learnt = learn(known, all)
    if (JSON.stringify(learnt) !== JSON.stringify(known)) ends.set(learnt)
    return {
      ...stores,
      ...(container?.found && { environmentSeen: true }),
      credentials: all,
      groups: groupsOf(all),
      unseen: [...unseen, ...stores.unseen],
      at: now(),
    }
  }

  let underWay: Promise<Truth> | undefined
  return {
    truth() {
      underWay ??= lookOnce().finally(() => {
        underWay = undefined
      })
      return underWay
    },
  }
}
