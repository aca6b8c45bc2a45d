// What the gateway itself knows of its sandboxes, its registry and its config, and what follows from both for each container. Pure.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { Sandbox } from './sandbox-facts.ts'

/** A row of the gateway's registry. Times are UTC milliseconds. */
export interface RegistryEntry {
  name: string
  session: string
  browser: boolean
  /** Newer gateways keep sandboxes elsewhere than in Docker too. */
  backend: string
  createdAt: number
  lastUsedAt: number
}

export interface Registry {
  /** When it was asked for: what was made later cannot be in it. UTC milliseconds. */
  askedAt: number
  entries: RegistryEntry[]
}

/** When the gateway removes a sandbox that is not used, or old; 0 is never. */
export interface Prune {
  idleHours: number
  maxAgeDays: number
}

type OwnPrune = { [K in keyof Prune]?: Prune[K] | undefined }

export interface SandboxPolicy {
  agents: string[]
  prune: Prune
  /** Only what an agent has of its own. */
  agentPrune: Record<string, OwnPrune>
  /** The images that sandboxes are made from. */
  images: string[]
}

/** A sandbox with what the gateway knows of it. */
export interface SandboxView extends Sandbox {
  lastUsedAt?: number
  /** The gateway removes it then at the earliest: it does so only when an agent uses a sandbox. */
  pruneAt?: number
  /** Why nobody uses it any more. */
  orphan?: string
}

const HOUR_MS = 3_600_000
/** A registry that is older says nothing of what it lacks. */
const FRESH_MS = 1.5 * HOUR_MS
/** A container is there for a moment before it is registered. */
const SLACK_MS = 60_000

/** Both versions' rows (captured); a browser's has its ports besides. */
const row = z.object({
  containerName: z.string().min(1),
  sessionKey: z.string(),
  createdAtMs: z.number(),
  lastUsedAtMs: z.number(),
  backendId: z.string().default('docker'),
})
const listing = z.object({ containers: z.array(row), browsers: z.array(row) })

/** `sandbox list --json`, with or without `--browser` → its rows. @throws OpsError */
export function entriesOf(answer: unknown): RegistryEntry[] {
  const { success, data } = listing.safeParse(answer)
  if (!success) throw new OpsError('openclaw sandbox list said something that is not understood.')
  const entry = (browser: boolean) => (each: z.output<typeof row>) => ({
    ...{ name: each.containerName, session: each.sessionKey, browser, backend: each.backendId },
    ...{ createdAt: each.createdAtMs, lastUsedAt: each.lastUsedAtMs },
  })
  return [...data.containers.map(entry(false)), ...data.browsers.map(entry(true))]
}

/** The gateway's own defaults (read in both versions). */
const DEFAULTS = {
  prune: { idleHours: 24, maxAgeDays: 7 },
  image: 'openclaw-sandbox:bookworm-slim',
  browserImage: 'openclaw-sandbox-browser:bookworm-slim',
}

const hours = z.number().nonnegative().optional()
const section = z.object({
  mode: z.string().optional(),
  scope: z.string().optional(),
  backend: z.string().optional(),
  docker: z.object({ image: z.string().optional() }).optional(),
  browser: z.object({ enabled: z.boolean().optional(), image: z.string().optional() }).optional(),
  prune: z.object({ idleHours: hours, maxAgeDays: hours }).optional(),
})
type Section = z.output<typeof section>
const agent = z.object({ id: z.string().optional(), sandbox: section.optional() })
const config = z.object({
  agents: z
    .object({
      defaults: z.object({ sandbox: section.optional() }).optional(),
      // Older gateways have a list, newer ones a table.
      list: z.array(agent).optional(),
      entries: z.record(z.string(), agent).optional(),
    })
    .optional(),
})
const snapshot = z.object({
  valid: z.boolean().optional(),
  resolved: z.unknown().optional(),
  config: z.unknown().optional(),
  parsed: z.unknown().optional(),
})

/** As the gateway writes an agent's id into a session's key. */
const normal = (id: string) =>
  id
    .trim()
    .toLowerCase()
    .replaceAll(/[^\w-]+/g, '-')

/** The images that one section asks for: none while it has no sandboxes, or has them elsewhere. */
function imagesIn({ mode = 'off', backend = 'docker', docker, browser }: Section): string[] {
  if (mode === 'off' || backend !== 'docker') return []
  return [
    docker?.image ?? DEFAULTS.image,
    ...(browser?.enabled ? [browser.image ?? DEFAULTS.browserImage] : []),
  ]
}

const pruneOf = (own: OwnPrune | undefined, common: Prune): Prune => ({
  idleHours: own?.idleHours ?? common.idleHours,
  maxAgeDays: own?.maxAgeDays ?? common.maxAgeDays,
})

/**
 * What `config.get` says about sandboxes.
 * @throws OpsError when the config is refused or not understood: nothing follows from that.
 */
export function policyIn(answer: unknown): SandboxPolicy {
  const said = snapshot.safeParse(answer).data
  if (said?.valid === false) throw new OpsError('The gateway refuses its config.')
  const { success, data } = config.safeParse(said?.resolved ?? said?.config ?? said?.parsed)
  if (!success) throw new OpsError("The gateway's config was not understood.")
  const { defaults, list = [], entries = {} } = data.agents ?? {}
  const base = defaults?.sandbox ?? {}
  const own: [string, Section][] = [
    ...list.flatMap((each): [string, Section][] => (each.id ? [[normal(each.id), each.sandbox ?? {}]] : [])),
    ...Object.entries(entries).map(([id, each]): [string, Section] => [normal(id), each.sandbox ?? {}]),
  ]
  const merged = own.map(
    ([, each]): Section => ({
      ...{ ...base, ...each },
      ...{ docker: { ...base.docker, ...each.docker }, browser: { ...base.browser, ...each.browser } },
    }),
  )
  return {
    agents: own.length > 0 ? [...new Set(own.map(([id]) => id))] : ['main'],
    prune: pruneOf(base.prune, DEFAULTS.prune),
    // What is shared is pruned by the common rule.
    agentPrune: Object.fromEntries(
      own.flatMap(([id, each]) => (each.prune && base.scope !== 'shared' ? [[id, each.prune]] : [])),
    ),
    images: [...new Set((merged.length > 0 ? merged : [base]).flatMap(imagesIn))],
  }
}

/** The first of the two ends, by not being used and by age; undefined while the first is not known. */
function pruneAt(
  { createdAt, agent: id = '' }: Sandbox,
  lastUsedAt: number | undefined,
  policy: SandboxPolicy,
): number | undefined {
  const { idleHours, maxAgeDays } = pruneOf(policy.agentPrune[id], policy.prune)
  if (idleHours > 0 && lastUsedAt === undefined) return undefined
  const ends = [
    ...(idleHours > 0 && lastUsedAt !== undefined ? [lastUsedAt + idleHours * HOUR_MS] : []),
    ...(maxAgeDays > 0 ? [createdAt + maxAgeDays * 24 * HOUR_MS] : []),
  ]
  return ends.length > 0 ? Math.min(...ends) : undefined
}

/**
 * Why nobody uses a sandbox any more, if so. An empty registry proves nothing: older gateways say that of any error.
 */
function orphanOf(
  sandbox: Sandbox,
  registry: Registry | undefined,
  policy: SandboxPolicy | undefined,
  now: number,
): string | undefined {
  const { agent: id, browser, name, createdAt } = sandbox
  if (id !== undefined && policy && !policy.agents.includes(normal(id)))
    return `there is no agent "${id}" any more`
  if (!registry || now - registry.askedAt > FRESH_MS || createdAt > registry.askedAt - SLACK_MS)
    return undefined
  const alike = registry.entries.filter((each) => each.browser === browser)
  return alike.length > 0 && !alike.some((each) => each.name === name)
    ? "the gateway's registry does not know it"
    : undefined
}

/** What the gateway knows of each sandbox, beside what Docker does. */
export function viewsOf(
  sandboxes: readonly Sandbox[],
  known: { registry?: Registry | undefined; policy?: SandboxPolicy | undefined },
  now: number,
): SandboxView[] {
  const { registry, policy } = known
  return sandboxes.map((sandbox) => {
    const lastUsedAt = registry?.entries.find(({ name }) => name === sandbox.name)?.lastUsedAt
    const end = policy && pruneAt(sandbox, lastUsedAt, policy)
    const orphan = orphanOf(sandbox, registry, policy, now)
    return {
      ...sandbox,
      ...(lastUsedAt !== undefined && { lastUsedAt }),
      ...(end !== undefined && { pruneAt: end }),
      ...(orphan !== undefined && { orphan }),
    }
  })
}

/** What is in the registry alone: its container is gone, until the gateway makes it anew. */
export const goneOf = (sandboxes: readonly Sandbox[], { entries }: Registry): RegistryEntry[] =>
  entries.filter(({ name, backend }) => backend === 'docker' && !sandboxes.some((each) => each.name === name))
