// The proof of a sync: the running gateway shows the token's own end, and every file was read again.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import type { ReportedCredential } from '../gateway/credentials.ts'
import { duration } from '../words.ts'
import type { Copies } from './copies.ts'
import { SAME_MS } from './pasting.ts'
import type { Source, SyncTarget } from './sync.ts'

export interface ProofOptions {
  copies: Pick<Copies, 'plan'>
  /** What the running gateway reports. @throws OpsError */
  report: () => Promise<ReportedCredential[]>
  /** Whether the container's environment wins now, and the hash of its token. @throws OpsError */
  environment: () => Promise<{ wins: boolean; hash?: string }>
  /** Whether the gateway runs. @throws OpsError */
  runs: () => Promise<boolean>
  now: () => number
}

interface Synced {
  source: Source
  /** Who got it, or has it; of a gateway's own store its default agent first. */
  targets: readonly SyncTarget[]
  store: 'files' | 'sqlite' | 'unknown'
}

/** The gateway takes what was pasted at once; a busy one a little later. */
const TRIES = 4
const PAUSE_MS = 2_000

/** The profiles that the report is about: that of newer gateways names no agent, and is about the default one. */
function profilesOf({ targets, store }: Synced, reported: readonly ReportedCredential[]): string[] {
  const first = store === 'sqlite' ? targets.find(({ profile }) => profile !== undefined)?.agent : 'main'
  const about = reported.find(({ agent }) => agent !== undefined)?.agent ?? first
  return targets.flatMap(({ profile, agent }) => (profile !== undefined && agent === about ? [profile] : []))
}

export function createProof({ copies, report, environment, runs, now }: ProofOptions) {
  async function proveProfiles(synced: Synced, signal: AbortSignal): Promise<string | undefined> {
    const { expiresAt } = synced.source
    for (let tries = 1; ; tries += 1) {
      const reported = await report()
      const shows = (profile: string) =>
        reported.some(
          (each) => each.profileId === profile && Math.abs((each.expiresAt ?? 0) - expiresAt) <= SAME_MS,
        )
      const profiles = profilesOf(synced, reported)
      const missing = profiles.filter((profile) => !shows(profile))
      if (profiles.length === 0) return undefined
      if (missing.length === 0)
        return `the running gateway has it in ${profiles.join(', ')}, ${duration(expiresAt - now())} left`
      if (tries >= TRIES || signal.aborted)
        throw new OpsError(
          `It is written, and the running gateway does not show it in ${missing.join(', ')}. A file that is mounted by itself stays the old one in the container: /recreate.`,
        )
      await sleep(PAUSE_MS, undefined, { signal }).catch(() => {})
    }
  }

  /** @returns a note. @throws OpsError that says who is still without it. */
  return async (synced: Synced, signal: AbortSignal): Promise<string> => {
    const { targets } = await copies.plan(synced.source)
    const left = targets.filter(({ action }) => action === 'write').map(({ where }) => where)
    if (left.length > 0) throw new OpsError(`Still without it: ${left.join(', ')}.`)
    if (!(await runs())) return 'the gateway does not run: it finds it when it starts'
    // A file that was read again shows who has it; what is behind the gateway's command only the gateway does.
    const holders = synced.store === 'sqlite' ? synced.targets : targets.filter(({ has }) => has)
    const isShown = holders.some(({ profile }) => profile !== undefined)
    const shown = isShown && (await proveProfiles({ ...synced, targets: holders }, signal))
    if (shown) return shown
    const { wins, hash } = await environment()
    if (wins && hash !== synced.source.hash)
      throw new OpsError('The gateway’s container still has another token. /recreate loads .env.')
    return wins ? 'the running container has it' : 'read again: everything that can take it has it'
  }
}
