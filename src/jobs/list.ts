// Every job there is.

import { OpsError } from '../errors.ts'
import { gatherDigest } from '../ops/digest.ts'
import type { Ops } from '../ops/index.ts'
import { heartbeatBlocked } from '../ops/pulse.ts'
import { pruneInbox } from '../ops/state/inbox.ts'
import { fetchStatus } from '../ops/web.ts'
import type { Job } from './index.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS
/** Cards older than this are forgotten; Telegram no longer lets a bot edit messages older than 48 h. */
const CARDS_KEPT_MS = 30 * DAY_MS

/** The jobs that this configuration asks for. */
export function listJobs(ops: Ops): Job[] {
  const { config, now, store, cards, pulse } = ops
  const { heartbeatUrl, digestSchedule, watchMs } = config

  const heartbeat = (url: string): Job => ({
    name: 'heartbeat',
    about: 'Tells the address in HEARTBEAT_URL that polls, checks and deliveries work.',
    schedule: '* * * * *',
    everyHour: true,
    deadlineMs: 30_000,
    async run(signal) {
      const blocked = heartbeatBlocked(pulse.read(), now(), watchMs, config.telegram !== undefined)
      if (blocked) throw new OpsError(`Not sent: ${blocked}.`)
      const status = await fetchStatus(url, { signal, ...(config.proxy && { proxy: config.proxy }) })
      if (status >= 300) throw new OpsError(`The heartbeat address answered ${status}.`)
      return 'sent'
    },
  })

  return [
    ...(heartbeatUrl ? [heartbeat(heartbeatUrl)] : []),
    {
      name: 'digest',
      about: 'Sends what is still open, without a sound.',
      schedule: digestSchedule,
      deadlineMs: MINUTE_MS,
      async run() {
        const facts = gatherDigest(ops, now())
        cards.raise({ kind: 'digest', audience: 'alerts', facts, ring: false }, now())
        return `${facts.open.length} open`
      },
    },
    {
      name: 'housekeeping',
      about: 'Forgets old messages and answered updates.',
      schedule: '17 4 * * *',
      deadlineMs: MINUTE_MS,
      async run() {
        const at = now()
        cards.prune(at - CARDS_KEPT_MS)
        return `${pruneInbox(store, at)} answered updates forgotten`
      },
    },
  ]
}
