// Checks of file systems: full, out of inodes, not answering, not mounted, no longer taking writes.

import type { WatchedMount } from '../mountinfo.ts'
import type { Look, Mounts } from '../mounts.ts'
import { bytes, percent } from '../words.ts'
import { type Check, type Observation, percentGauge, verdictOf } from './index.ts'

export interface MountLimits {
  diskPercent: number
  inodesPercent: number
  /** The mount points to watch; undefined: every real, writable, local file system. */
  diskMounts?: readonly string[] | undefined
}

/** What one check says of one file system: nothing, when it does not apply to it. */
type See = (mount: WatchedMount, look: Look, limits: MountLimits) => Observation[]

export function mountChecks(parts: {
  mounts: Pick<Mounts, 'watched' | 'usage'>
  limits: MountLimits
}): Check[] {
  const { mounts, limits } = parts
  const check = (name: string, see: See, notFound: (point: string) => Observation[] = () => []): Check => ({
    name,
    async look() {
      const { found, missing } = await mounts.watched(limits.diskMounts)
      const seen = found.map(async (mount) => see(mount, await mounts.usage(mount), limits))
      return [...(await Promise.all(seen)).flat(), ...missing.flatMap((point) => notFound(point))]
    },
  })
  return [
    check('disk', disk),
    check('inodes', inodes),
    check('mount', answers, (point) => [notMounted(point)]),
    check('readonly', takesWrites),
  ]
}

/** Why there are no figures. The mount's own alert explains it, when there is one. */
function unseen(point: string, look: Exclude<Look, { state: 'seen' }>) {
  const why = look.state === 'unseen' ? look.why : 'no figures, because the file system does not answer'
  return { verdict: 'unknown', why, because: `mount/${point}` } as const
}

const disk: See = ({ point }, look, { diskPercent }) => {
  const subject = { key: `disk/${point}`, area: 'host', title: `Disk ${point} almost full` }
  if (look.state !== 'seen') return [{ ...subject, ...unseen(point, look) }]
  const { total, available, percent: value } = look.usage
  const gauge = { ...percentGauge(value, diskPercent), fills: true as const }
  return [
    {
      ...subject,
      verdict: verdictOf(gauge),
      why: `${percent(value)} used, ${bytes(available)} free of ${bytes(total)}`,
      gauge,
      mend: 'Delete or move what is not needed: look at old container images and logs first.',
    },
  ]
}

const inodes: See = ({ point }, look, { inodesPercent }) => {
  const subject = { key: `inodes/${point}`, area: 'host', title: `Disk ${point} almost out of inodes` }
  if (look.state !== 'seen') return [{ ...subject, ...unseen(point, look) }]
  const { inodes } = look.usage
  if (!inodes) return []
  const gauge = { ...percentGauge(inodes.percent, inodesPercent), fills: true as const }
  const left = (inodes.total - inodes.used).toLocaleString('en')
  return [
    {
      ...subject,
      verdict: verdictOf(gauge),
      why: `${percent(inodes.percent)} of inodes used, room for ${left} more files`,
      gauge,
      mend: 'Look for a directory with very many small files (caches, sessions, mail queues) and empty it.',
    },
  ]
}

const answers: See = ({ point, source, type }, look) => {
  const subject = { key: `mount/${point}`, area: 'host', title: `File system ${point} not available` }
  const what = `${source} (${type})`
  switch (look.state) {
    case 'seen':
      return [{ ...subject, verdict: 'ok', why: `${what} answers` }]
    case 'unseen':
      return [{ ...subject, verdict: 'unknown', why: look.why }]
    case 'hung':
    case 'broken':
      return [
        {
          ...subject,
          verdict: 'bad',
          why: look.state === 'hung' ? `${what} does not answer` : `${what} answers with ${look.error}`,
          mend: 'Check its server, daemon or disk, then unmount it (umount -l) and mount it again.',
        },
      ]
  }
}

function notMounted(point: string): Observation {
  return {
    key: `mount/${point}`,
    area: 'host',
    verdict: 'bad',
    title: `File system ${point} not available`,
    why: `DISK_MOUNTS names ${point}, and nothing is mounted there`,
    mend: 'Mount it, or take it out of DISK_MOUNTS.',
  }
}

const takesWrites: See = ({ point, source, type, state, lostWrites }) => {
  // Read-only by intent, and only watched because somebody named it.
  if (state !== 'rw' && !lostWrites) return []
  const subject = { key: `readonly/${point}`, area: 'host', title: `File system ${point} read-only` }
  const what = `${source} (${type})`
  if (!lostWrites) return [{ ...subject, verdict: 'ok', why: `${what} takes writes` }]
  return [
    {
      ...subject,
      verdict: 'bad',
      why: `${what} was writable and takes no writes any more${state === 'failed' ? ' after an error' : ''}`,
      mend: 'The disk may be failing: read the kernel log, save what matters, then run fsck on it.',
      proof: true,
    },
  ]
}
