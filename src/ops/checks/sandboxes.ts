// Checks of the sandboxes: their images, their processes against the limit, deaths for want of memory, and orphans.

import { OpsError } from '../../errors.ts'
import type { SandboxLook } from '../gateway/sandbox-daemon.ts'
import type { Image, Sandbox } from '../gateway/sandbox-facts.ts'
import { type SandboxPolicy, type SandboxView, viewsOf } from '../gateway/sandbox-registry.ts'
import type { Sandboxes } from '../gateway/sandboxes.ts'
import { duration, plural } from '../words.ts'
import { type Check, type Observation, percentGauge, verdictOf } from './index.ts'

export interface SandboxCheckOptions {
  sandboxes: Pick<Sandboxes, 'list' | 'registry' | 'policy'>
  now: () => number
}

const PIDS_PERCENT = 80
const OLD_MS = 30 * 24 * 3_600_000
/** The registry costs the gateway seconds of a core: it is read this often at most, and never waited for. */
const REGISTRY = { maxAgeMs: 3_600_000, withinMs: 0 }
const AREA = 'gateway'
const SELF = { key: 'sandboxes', area: AREA, title: 'Sandboxes that nobody uses any more' }

/** @param wanted the gateway makes sandboxes from it: then it must be there. */
function imageSeen(reference: string, image: Image, wanted: boolean, now: number): Observation {
  const self = {
    key: `sandbox-image/${reference}`,
    area: AREA,
    title: `Sandbox image ${reference} missing or old`,
  }
  switch (image.state) {
    case 'unknown':
      return { ...self, verdict: 'unknown', why: image.why }
    case 'missing':
      return {
        ...{ ...self, verdict: wanted ? 'bad' : 'warn', why: 'It is not there.' },
        mend: wanted
          ? 'No sandbox can be made from it: build it again, on the Docker that the gateway uses.'
          : 'What was made from it cannot be made again: /sandboxes shows which.',
      }
    case 'here': {
      const ageMs = image.builtAt === undefined ? undefined : now - image.builtAt
      if (ageMs === undefined) return { ...self, verdict: 'ok', why: 'It is there.' }
      const why = `Built ${duration(ageMs)} ago.`
      return ageMs > OLD_MS
        ? { ...self, verdict: 'warn', why, mend: 'Build it again, then /sandboxes recreate mismatched.' }
        : { ...self, verdict: 'ok', why }
    }
  }
}

function pidsSeen({ name, use, limits }: Sandbox): Observation[] {
  if (use.pids === undefined || limits.pids === undefined) return []
  const gauge = percentGauge((100 * use.pids) / limits.pids, PIDS_PERCENT)
  return [
    {
      ...{ key: `sandbox-pids/${name}`, area: AREA, title: `Sandbox ${name} almost out of processes` },
      ...{ verdict: verdictOf(gauge), why: `${use.pids} of ${limits.pids} are in use.`, gauge },
      mend: 'At the limit nothing can be started in it: /sandboxes recreate ends what runs in there.',
      actions: [{ label: 'Details', run: `sandbox ${name}`.slice(0, 60) }],
    },
  ]
}

function memorySeen({ id, name, oomKilled, running }: Sandbox): Observation {
  const self = { key: `sandbox-oom/${name}`, area: AREA, title: `Sandbox ${name} was out of memory` }
  if (!oomKilled) return { ...self, verdict: 'ok', why: 'Nothing was killed in it.' }
  return {
    ...{ ...self, proof: true, verdict: running ? 'warn' : 'bad' },
    why: running
      ? 'A process in it was killed for want of memory; it runs on.'
      : 'It was killed for want of memory and does not run.',
    mend: 'Its limit is agents.defaults.sandbox.docker.memory; a sandbox made anew is rid of this alert.',
    actions: [{ label: 'Details', run: `sandbox ${id}` }],
  }
}

function orphansSeen(views: readonly SandboxView[]): Observation {
  const orphans = views.flatMap(({ name, orphan }) => (orphan === undefined ? [] : [`${name}: ${orphan}`]))
  if (orphans.length === 0)
    return { ...SELF, verdict: 'ok', why: `${plural(views.length, 'sandbox', 'sandboxes')}, all in use.` }
  const more = orphans.length > 3 ? ` And ${orphans.length - 3} more.` : ''
  return {
    ...{ ...SELF, verdict: 'warn', why: `${orphans.slice(0, 3).join('; ')}.${more}` },
    mend: 'The gateway may never remove them: docker rm -f on its Docker does, and nothing is lost.',
    actions: [{ label: 'Sandboxes', run: 'sandboxes' }],
  }
}

export function sandboxChecks({ sandboxes, now }: SandboxCheckOptions): Check[] {
  let last: Observation[] = []

  async function known(policy: SandboxPolicy | undefined) {
    const registry = await sandboxes.registry(REGISTRY)
    return { policy, registry: registry.state === 'seen' ? registry : undefined }
  }

  /** @throws OpsError when nothing else tells why nothing is seen. */
  function unseen(seen: Exclude<SandboxLook, { state: 'seen' }>): Observation[] {
    const { state, why } = seen
    if (state === 'absent') last = []
    else if (!seen.told) throw new OpsError(why)
    const before = last.length > 0 ? last : [{ ...SELF, verdict: state, why }]
    return before.map(({ proof: _, ...each }): Observation => ({ ...each, verdict: state, why }))
  }

  async function look(): Promise<Observation[]> {
    const policy = await sandboxes.policy()
    const seen = await sandboxes.list(policy?.images)
    if (seen.state !== 'seen') return unseen(seen)
    const views = viewsOf(seen.sandboxes, seen.sandboxes.length > 0 ? await known(policy) : {}, now())
    const wanted = (reference: string) => policy === undefined || policy.images.includes(reference)
    last = [
      orphansSeen(views),
      ...Object.entries(seen.images).map(([reference, image]) =>
        imageSeen(reference, image, wanted(reference), now()),
      ),
      ...views.flatMap((each) => [memorySeen(each), ...pidsSeen(each)]),
    ]
    return last
  }

  return [{ name: 'sandboxes', every: 4, deadlineMs: 30_000, look }]
}
