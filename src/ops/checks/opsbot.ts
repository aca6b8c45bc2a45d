// Checks on ourselves: can we remember, do the jobs run, can the alert chat be written to?

import type { Chats } from '../state/chats.ts'
import type { JobLog, JobRow } from '../state/jobs.ts'
import type { Store } from '../state/store.ts'
import type { Check, Observation } from './index.ts'

/** A job that has not started this long after it was due was missed. */
const MISSED_MS = 5 * 60_000

function observeJob({ name, dueAt, startedAt = 0, result, message }: JobRow, now: number): Observation {
  const self = { key: `job/${name}`, area: 'opsbot', title: `Job "${name}" does not work` }
  const mend = `/jobs shows it; its button runs it now.`
  if (result === 'failed') return { ...self, verdict: 'warn', why: `Its last run failed: ${message}`, mend }
  if (dueAt !== undefined && now - dueAt > MISSED_MS && startedAt < dueAt)
    return { ...self, verdict: 'warn', why: 'It was due and did not start.', mend }
  return { ...self, verdict: 'ok', why: 'It runs on time.' }
}

export function opsbotChecks(options: {
  store: Store
  jobs: JobLog
  chats: Chats
  now: () => number
}): Check[] {
  const { store, jobs, chats, now } = options
  return [
    {
      name: 'state',
      look: async () => [
        {
          key: 'state',
          area: 'opsbot',
          title: 'opsbot cannot save what it knows',
          ...(store.durable()
            ? { verdict: 'ok', why: 'Everything is on disk.' }
            : {
                verdict: 'bad',
                proof: true,
                why: 'The disk of the state directory takes no writes. Alerts go on from memory; changes that need a record are refused.',
                mend: 'Free some space on that disk; nothing else is needed.',
              }),
        },
      ],
    },
    { name: 'jobs', look: async () => jobs.list().map((job) => observeJob(job, now())) },
    {
      name: 'chats',
      look: async () =>
        chats.list().map(({ id, closed }) => ({
          key: `chat/${id}`,
          area: 'opsbot',
          title: `Chat ${id} cannot be written to`,
          verdict: closed ? 'warn' : 'ok',
          why: closed ? `Telegram says: ${closed}. Its messages go to the owners.` : 'It can be written to.',
          ...(closed && { mend: 'Start the bot in that chat, or correct TELEGRAM_CHAT_ID.' }),
        })),
    },
  ]
}
