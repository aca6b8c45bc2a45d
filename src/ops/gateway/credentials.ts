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

/** `models status --json` of all of them (captured from 2026.2.22). */
const byCli = z.looseObject({
  auth: z.looseObject({
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

/** Reads either report. @throws ZodError when it is neither. */
export function credentialsIn(report: unknown): ReportedCredential[] {
  const linked = byLink.safeParse(report)
  if (linked.success)
    return linked.data.providers.flatMap(({ provider, profiles }) =>
      profiles.map((profile) => credential(provider, profile, profile.expiry?.at)),
    )
  return byCli
    .parse(report)
    .auth.oauth.profiles.map((profile) => credential(profile.provider, profile, profile.expiresAt))
}

/**
 * What the gateway reports. Older ones know it by their CLI alone.
 * @throws OpsError when neither says it.
 */
export async function readCredentials({
  call,
  cli,
}: Pick<Gateway, 'call'> & { cli: () => Promise<Cli | undefined> }): Promise<ReportedCredential[]> {
  try {
    return credentialsIn(await call('models.authStatus'))
  } catch (error) {
    const program = error instanceof GatewayError ? await cli() : undefined
    if (!program) throw error
    return credentialsIn(await program.json(['models', 'status', '--json'], { timeoutMs: MODELS_MS }))
  }
}
