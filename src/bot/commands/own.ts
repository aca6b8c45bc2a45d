// The bot itself: /audit, /jobs, /run, /freeze, /unfreeze.

import { z } from 'zod'
import type { Ops } from '../../ops/index.ts'
import type { JobBoard, JobView } from '../../ops/jobs.ts'
import type { AuditEntry } from '../../ops/state/audit.ts'
import { duration } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Command, command } from '../command.ts'
import type { Page, Text } from '../page.ts'

type OwnOps = Pick<Ops, 'audit' | 'deeds' | 'meta'>

const count = z
  .string()
  .regex(/^[1-9]\d{0,3}$/, 'must be a number from 1 to 9999')
  .transform(Number)

function auditLine({ at, actor, action, detail, result, endedAt }: AuditEntry, clock: Clock): Text {
  const took = endedAt !== undefined && endedAt - at >= 1_000 ? ` after ${duration(endedAt - at)}` : ''
  return [`${clock.at(at)} `, { bold: action }, ` ${detail} · ${actor}${result ? ` · ${result}${took}` : ''}`]
}

function jobLines(
  { name, about, running, startedAt, finishedAt, result, message, dueAt }: JobView,
  clock: Clock,
): Text {
  const took =
    startedAt !== undefined && finishedAt !== undefined ? ` in ${duration(finishedAt - startedAt)}` : ''
  const last = running
    ? 'runs now'
    : result
      ? `${result}${took} ${finishedAt ? clock.at(finishedAt) : ''}${message ? ` (${message})` : ''}`
      : 'never run'
  return [{ bold: name }, `: ${last}${dueAt === undefined ? '' : ` · next ${clock.at(dueAt)}`}\n${about}`]
}

export function ownCommands(ops: OwnOps, jobs: JobBoard, clock: Clock): Command[] {
  const { audit, deeds, meta } = ops

  function jobsPage(): Page {
    const all = jobs.list()
    const failed = all.filter(({ result, running }) => result === 'failed' && !running)
    return {
      mark: failed.length > 0 ? 'warn' : 'ok',
      title: failed.length > 0 ? `${failed.length} of ${all.length} jobs failed` : `${all.length} jobs`,
      lines: all.map((job) => jobLines(job, clock)),
      buttons: all.map(({ name }) => [{ label: `Run now: ${name}`, run: `run ${name}` }]),
    }
  }

  return [
    command({
      name: 'jobs',
      role: 'viewer',
      about: 'The scheduled jobs: last run, next run, how it went.',
      menu: true,
      args: z.object({}),
      run: jobsPage,
    }),
    command({
      name: 'run',
      role: 'operator',
      about: 'Runs a job now.',
      danger: 'safe',
      args: z.object({ job: z.string().describe('its name, as /jobs shows it') }),
      async run({ args, person }) {
        const started = jobs.runNow(args.job, person)
        const quick = await Promise.race([
          started.done.then(() => true),
          new Promise<false>((resolve) => setTimeout(resolve, 2_000, false)),
        ])
        return {
          mark: 'ok',
          title: quick ? `${args.job} is done.` : `${args.job} is running; /jobs shows how it goes.`,
        }
      },
    }),
    command({
      name: 'audit',
      role: 'operator',
      about: 'Who did what: the newest entries of the audit log.',
      args: z.object({ count: count.default(15).describe('how many, 15 when left out') }),
      run({ args }) {
        const entries = audit.list(args.count)
        return {
          mark: 'info',
          title: entries.length > 0 ? `The last ${entries.length} entries` : 'Nothing was done yet',
          lines: entries.map((entry) => auditLine(entry, clock)),
        }
      },
    }),
    command({
      name: 'freeze',
      role: 'owner',
      about: 'Stops every change until /unfreeze; reading still works.',
      menu: true,
      danger: 'safe',
      args: z.object({}),
      async run({ person, now }) {
        const run = () => meta.set('frozen', { by: person.name, at: now })
        await deeds.perform({ name: 'freeze', detail: '', danger: 'safe', run }, person).done
        return { mark: 'muted', title: 'Frozen: nothing is changed until an owner sends /unfreeze.' }
      },
    }),
    command({
      name: 'unfreeze',
      role: 'owner',
      about: 'Allows changes again.',
      danger: 'safe',
      args: z.object({}),
      async run({ person }) {
        if (!meta.get('frozen')) return { mark: 'info', title: 'Nothing was frozen.' }
        const run = () => meta.clear('frozen')
        await deeds.perform({ name: 'unfreeze', detail: '', danger: 'safe', thaws: true, run }, person).done
        return { mark: 'ok', title: 'Changes are allowed again.' }
      },
    }),
  ]
}
