// Who gets the CLI's token, and why the others do not: pure, and the only place that decides it.

import { duration } from '../words.ts'
import { type GatewayStore, pasteTarget } from './pasting.ts'
import type { Holding } from './targets.ts'

/** The CLI's token as facts. */
export interface Source {
  hash: string
  /** UTC milliseconds. */
  expiresAt: number
  refreshHash?: string
}

/** Tokens that the CLI was seen with: hash → when each ends, in UTC milliseconds. */
export type Seen = Readonly<Record<string, number>>

export interface SyncTarget {
  id: string
  where: string
  action: 'write' | 'paste' | 'none'
  /** One sentence without its end. */
  why: string
  /** Nothing is done because it holds the CLI's token. */
  has?: true
  /** Of a profile. */
  agent?: string
  profile?: string
}

/** Whether something has to be done for it. */
export const isDue = ({ action }: Pick<SyncTarget, 'action'>): boolean => action !== 'none'

export interface SyncPlan {
  source: Source
  /** When tokens end, by all that was seen: the first that is overwritten may be the only one that says it. */
  ends: Seen
  targets: SyncTarget[]
  /** The gateway has to be made anew before it takes the token. */
  recreate: boolean
  why: string
}

export interface SyncInput {
  source: Source
  now: number
  seen: Seen
  /** When other tokens end that were seen anywhere; of a `.env` only that tells which is the newer one. */
  ends?: Seen
  /** By agent: the profiles of each file. Empty when the gateway keeps none. */
  profiles: readonly { agent: string; holdings: readonly Holding[] }[]
  /** Places of their own: oauth.json, .env. */
  others: readonly Holding[]
  /** What cannot be read, and so is left alone. */
  refused: readonly { id: string; where: string; why: string }[]
  gateway?: GatewayStore
  /** The container's environment wins now; its token's hash. */
  environment?: { wins: boolean; hash?: string }
}

interface Verdict {
  write: boolean
  why: string
  has?: true
}
const keep = (why: string): Verdict => ({ write: false, why })
const HAS = { write: false, why: 'has it already', has: true } satisfies Verdict
const write = (why: string): Verdict => ({ write: true, why })

/** When a token ends, by its place and by what we saw of it: the later counts, for it must never be overwritten too early. */
function endKnown({ hash, expiresAt }: Holding, ends: Seen): number | undefined {
  const seen = hash === undefined ? undefined : ends[hash]
  if (seen === undefined || expiresAt === undefined) return seen ?? expiresAt
  return Math.max(seen, expiresAt)
}

/** Whether this token came from the CLI. */
const isCopy = ({ hash, refreshHash }: Holding, source: Source, seen: Seen): boolean =>
  (hash !== undefined && (hash === source.hash || seen[hash] !== undefined)) ||
  (refreshHash !== undefined && refreshHash === source.refreshHash)

/**
 * Whether the source may take a place: never over a newer one, over one of unknown age, or over a login that is not the CLI's.
 * @param ends of every token whose end is known from anywhere.
 */
export function mayTake(source: Source, held: Holding, seen: Seen, ends: Seen): Verdict {
  if (held.kept) return keep(held.kept)
  if (held.hash === source.hash) {
    const isSo = held.expiresAt === source.expiresAt || !(held.profile ?? held.id === 'oauth.json')
    if (isSo && !held.refreshHash) return HAS
    return write(
      isSo ? 'has it already, and a refresh token that is the CLI’s alone' : 'has it with another end',
    )
  }
  if (held.refreshHash !== undefined && !isCopy(held, source, seen))
    return keep('has a login of its own, which the gateway renews itself')
  if (held.hash === undefined) return write('holds none')
  const end = endKnown(held, ends)
  if (end === undefined)
    return keep(
      'its end is not known, so it may be a newer one or a setup-token: take it away there to have it filled',
    )
  if (end >= source.expiresAt) return keep('has a newer one')
  return write(`its token ends ${duration(source.expiresAt - end)} earlier`)
}

/** The profiles of one agent: those that hold a copy; else the one that is taken for it. */
function profileTargets(
  agent: string,
  holdings: readonly Holding[],
  input: SyncInput,
  ends: Seen,
): SyncTarget[] {
  const { source, seen } = input
  const looked = holdings.map((held) => ({ held, ...mayTake(source, held, seen, ends) }))
  const copies = looked.filter(({ held }) => isCopy(held, source, seen))
  const open = looked.filter(({ write }) => write)
  const meant =
    copies.length > 0
      ? copies
      : [
          open.find(({ held }) => held.profile === 'anthropic:default') ??
            (open.length === 1 ? open[0] : undefined),
        ]
  return looked.map((each) => {
    const { id, where, profile } = each.held
    const isMeant = meant.includes(each)
    return {
      ...{ id, where, agent, ...(profile !== undefined && { profile }) },
      action: each.write && isMeant ? 'write' : 'none',
      why: each.write && !isMeant ? 'is not known to hold the CLI’s token' : each.why,
      ...(each.has && { has: true as const }),
    }
  })
}

/** Whether the gateway has to be made anew: only its environment wins, and that is read when it is made. */
function mustRecreate({ source, environment, others }: SyncInput, targets: readonly SyncTarget[]) {
  const hasProfile = targets.some(
    ({ profile, action, has }) => profile !== undefined && (action !== 'none' || has),
  )
  if (!environment?.wins || hasProfile)
    return { recreate: false, why: 'the gateway takes it without a recreate' }
  const env = targets.find(({ id }) => id === '.env')
  const after = env?.action === 'write' ? source.hash : others.find(({ id }) => id === '.env')?.hash
  if (after !== source.hash)
    return { recreate: false, why: '.env does not get it, so a recreate would not help' }
  if (after === environment.hash)
    return { recreate: false, why: 'its container has the token of .env already' }
  return { recreate: true, why: 'only its environment counts, and that is read when its container is made' }
}

/** What has to be done so that everybody has the CLI's token. */
export function planSync(input: SyncInput): SyncPlan {
  const { source, now, seen, profiles, others, refused, gateway } = input
  const all = [...profiles.flatMap(({ holdings }) => holdings), ...others]
  const ends = { ...input.ends, ...seen }
  for (const { hash, expiresAt } of all)
    if (hash !== undefined && expiresAt !== undefined) ends[hash] = Math.max(ends[hash] ?? 0, expiresAt)
  const targets: SyncTarget[] = [
    ...profiles.flatMap(({ agent, holdings }) => profileTargets(agent, holdings, input, ends)),
    ...others.map((held): SyncTarget => {
      const { write, ...said } = mayTake(source, held, seen, ends)
      return { id: held.id, where: held.where, action: write ? 'write' : 'none', ...said }
    }),
    ...(gateway
      ? gateway.agents.map((agent, index) => pasteTarget(agent, index === 0, source, gateway))
      : []),
    ...refused.map((each): SyncTarget => ({ ...each, action: 'none' })),
  ]
  // A token that has ended helps nobody; an end that is none is not compared with anything.
  if (!(source.expiresAt > now))
    return {
      ...{ source, ends },
      targets: targets.map((target) => ({ ...target, action: 'none', why: 'the CLI’s token has ended' })),
      ...{ recreate: false, why: 'the CLI’s token has ended: /refresh first' },
    }
  return { source, ends, targets, ...mustRecreate(input, targets) }
}

export const isIdle = ({ targets, recreate }: SyncPlan) => !recreate && !targets.some(isDue)
