// Which profile of a newer gateway takes the token, by its own report and by what we pasted before. Pure.

import { shownName } from './kinds.ts'
import type { Source, SyncTarget } from './sync.ts'

/** A profile of ours, as the gateway reports it. */
export interface Reported {
  profileId: string
  expiresAt?: number
  expired?: true
  /** It is left out for a while, or for good. */
  unusable: boolean
}

/** What was pasted last, by agent; `untold`: it is in the store, and the running gateway did not hear of it. */
export type Pasted = Readonly<
  Record<string, { profile: string; hash: string; expiresAt: number; untold?: true }>
>

/** A store behind the gateway's own command. */
export interface GatewayStore {
  /** Ids of the agents that have a store of their own; the first is the one that the report is about. */
  agents: readonly string[]
  reported: readonly Reported[]
  pasted: Pasted
}

/** What the gateway makes of a lifetime is its own clock's: ends this near are the same. */
export const SAME_MS = 60_000
const OWN = 'anthropic:opsbot'
const OURS = /^anthropic:opsbot(-\d+)?$/

/** One whose end the gateway does not know, and not we: it may be a setup-token that somebody put there. */
const isForeign = ({ profileId, expiresAt, expired }: Reported, ours: string | undefined) =>
  expiresAt === undefined && !expired && profileId !== ours

/** An id of ours that the gateway would use now; a fresh one when all are in cooldown, for a new token does not end that. */
function freeId(ours: readonly Reported[], last: string | undefined): string {
  const usable = ours.find((each) => !each.unusable && !isForeign(each, last))
  if (usable) return usable.profileId
  const ids = ours.map(({ profileId }) => profileId)
  for (let number = 1; ; number += 1) {
    const id = number === 1 ? OWN : `${OWN}-${number}`
    if (!ids.includes(id)) return id
  }
}

/** Whether an agent is given the token by the gateway's own command, and under which id. */
export function pasteTarget(
  agent: string,
  isReported: boolean,
  source: Source,
  gateway: GatewayStore,
): SyncTarget {
  const last = gateway.pasted[agent]
  const ours = gateway.reported.filter(({ profileId }) => OURS.test(profileId))
  /** What the gateway makes of a lifetime is near what we gave it: then ours is the exact one. */
  const isOf = (pasted: Pasted[string], { profileId, expired, expiresAt = 0 }: Reported) =>
    profileId === pasted.profile && !expired && Math.abs(expiresAt - pasted.expiresAt) <= SAME_MS
  function endOf(each: Reported): number {
    const known = Object.values(gateway.pasted).find((pasted) => isOf(pasted, each))
    if (known?.hash === source.hash) return 0
    return (known ?? each).expiresAt ?? 0
  }
  const named = (profile: string) => ({
    ...{
      id: `profile/${agent}/${profile}`,
      where: `${shownName(agent)}'s profile ${profile}`,
      profile,
      agent,
    },
  })
  // The report is about one agent: of the others we know what we pasted. Some stores are shared: what is newer counts for all.
  const isThere = last !== undefined && (!isReported || ours.some((each) => isOf(last, each)))
  if (isThere && last.hash === source.hash && !last.untold)
    return { ...named(last.profile), action: 'none', why: 'has it already', has: true }
  const known = isThere && last.hash !== source.hash ? last.expiresAt : 0
  const newest = Math.max(known, ...ours.map(endOf))
  const base = named(freeId(ours, last?.profile))
  if (newest >= source.expiresAt) return { ...base, action: 'none', why: 'has a newer one' }
  return { ...base, action: 'paste', why: isThere ? 'has an older one' : 'does not have it' }
}
