// The digest: what is still open, what is muted and what does not run, as facts for a card.

import type { AlertFacts, Alerts } from './alerts/index.ts'
import type { Meta } from './meta.ts'
import type { Mute } from './state/alerts.ts'
import type { JobLog, JobRow } from './state/jobs.ts'

/** The facts of a card of kind `digest`. */
export interface Digest {
  open: AlertFacts[]
  mutes: Mute[]
  failedJobs: JobRow[]
  frozen?: { by: string; at: number }
  /** How many things were looked at and found well. */
  well: number
}

export function gatherDigest(from: { alerts: Alerts; jobs: JobLog; meta: Meta }, now: number): Digest {
  const { alerts, jobs, meta } = from
  const frozen = meta.get('frozen')
  return {
    open: alerts.open(now),
    mutes: alerts.mutes(now),
    failedJobs: jobs.list().filter(({ result }) => result === 'failed'),
    ...(frozen && { frozen }),
    well: [...alerts.seen().values()].filter(({ memory }) => memory.verdict === 'ok' && !memory.firing)
      .length,
  }
}
