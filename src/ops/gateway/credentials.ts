// The gateway's model credentials, by its own report: which there are and when they end. Never the credentials themselves.

import { z } from 'zod'
import type { Cli } from './cli.ts'
import type { Gateway } from './index.ts'
import { GatewayError } from './link.ts'

/** One credential, as the gateway reports it. */
export interface ReportedCredential {
  provider: string
  profileId: string
  type: string
  /** UTC milliseconds; absent for one whose end nobody knows. */
  expiresAt?: number
  /** It has ended, by the gateway's word: newer ones then leave out when (captured). */
  expired?: true
  /** Whose store it was read from; only their CLI says it. */
  agent?: string
  /** The gateway leaves it out, for a while (after 401 or 429) or for good; only their CLI says it. `until` is UTC milliseconds. */
  unusable?: { kind: 'cooldown' | 'disabled'; reason?: string; until?: number }
}

const MODELS_MS = 30_000

/** `models.authStatus` of newer gateways (captured from 2026.9.6). */
const byLink = z.looseObject({
  providers: z.array(
    z.looseObject({
      provider: z.string(),
      profiles: z
        .array(
          z.looseObject({
            profileId: z.string(),
            type: z.string(),
            status: z.string().optional(),
            expiry: z.looseObject({ at: z.number() }).optional(),
          }),
        )
        .default([]),
    }),
  ),
})

/** `models status --json` of all of them (captured from 2026.2.22 and 2026.9.6). */
const byCli = z.looseObject({
  agentDir: z.string().optional(),
  auth: z.looseObject({
    unusableProfiles: z
      .array(
        z.looseObject({
          profileId: z.string(),
          kind: z.enum(['cooldown', 'disabled']),
          reason: z.string().optional(),
          until: z.number().optional(),
        }),
      )
      .default([]),
    oauth: z.looseObject({
      profiles: z
        .array(
          z.looseObject({
            profileId: z.string(),
            provider: z.string(),
            type: z.string(),
            status: z.string().optional(),
            expiresAt: z.number().optional(),
          }),
        )
        .default([]),
    }),
  }),
})

interface Profile {
  profileId: string
  type: string
  status?: string | undefined
}

const credential = (
  provider: string,
  { profileId, type, status }: Profile,
  at?: number,
): ReportedCredential => ({
  ...{ provider, profileId, type },
  ...(at !== undefined && { expiresAt: at }),
  ...(status === 'expired' && { expired: true }),
})

/** `~/.openclaw/agents/main/agent` → `main`. */
const agentOf = (directory: string | undefined) => /([^/]+)\/agent\/*$/.exec(directory ?? '')?.[1]

function credentialsByCli(report: unknown): ReportedCredential[] {
  const { agentDir, auth } = byCli.parse(report)
  const agent = agentOf(agentDir)
  return auth.oauth.profiles.map((profile) => {
    const found = auth.unusableProfiles.find(({ profileId }) => profileId === profile.profileId)
    return {
      ...credential(profile.provider, profile, profile.expiresAt),
      ...(agent !== undefined && { agent }),
      ...(found && {
        unusable: {
          kind: found.kind,
          ...(found.reason !== undefined && { reason: found.reason }),
          ...(found.until !== undefined && { until: found.until }),
        },
      }),
    }
  })
}

/** Reads either report. @throws ZodError when it is neither. */
export function credentialsIn(report: unknown): ReportedCredential[] {
  const linked = byLink.safeParse(report)
  if (!linked.success) return credentialsByCli(report)
  return linked.data.providers.flatMap(({ provider, profiles }) =>
    profiles.map((profile) => credential(provider, profile, profile.expiry?.at)),
  )
}

interface Asked extends Pick<Gateway, 'call'> {
  cli: () => Promise<Cli | undefined>
  /** Also who is in cooldown: that is in the CLI's report alone, which takes newer gateways 5 to 7 s. */
  thorough?: boolean
}

/**
 * What the gateway reports. Older ones know it by their CLI alone.
 * @throws OpsError when neither says it.
 */
export async function readCredentials({ call, cli, thorough }: Asked): Promise<ReportedCredential[]> {
  const ask = (program: Cli) => program.json(['models', 'status', '--json'], { timeoutMs: MODELS_MS })
  if (thorough) {
    const program = await cli()
    if (program) return credentialsIn(await ask(program))
  }
  try {
    return credentialsIn(await call('models.authStatus'))
  } catch (error) {
    const program = error instanceof GatewayError ? await cli() : undefined
    if (!program) throw error
    return credentialsIn(await ask(program))
  }
}

/** How the gateways of both versions write in their log that a model refused their credential (captured; F1-25). */
export const isRefusal = (line: string): boolean =>
  /rawError=401\b|HTTP 401\b|authentication_error|OAuth token has expired/.test(line)
