// Clockwork: what a job is, and the runner that starts each one on time, alone, with a deadline, and notes how it went.

import { createTask, type ScheduledTask } from 'node-cron'
import { messageOf, OpsError } from '../errors.ts'
import { errorFields, type Log } from '../log.ts'
import type { Actor, Deeds, Started } from '../ops/deeds.ts'
import type { JobBoard } from '../ops/jobs.ts'
import type { JobLog } from '../ops/state/jobs.ts'

export interface Job {
  name: string
  /** One line for `/jobs`. */
  about: string
  /** A cron expression, in the operator's zone. */
  schedule: string
  /** Its schedule is in UTC: for what runs every so often, because an hour that a zone has twice has turns only once. */
  everyHour?: true
  deadlineMs: number
  /** @returns a line about what was done, for `/jobs`. */
  run(signal: AbortSignal): Promise<string>
}

export interface JobsOptions {
  jobs: readonly Job[]
  jobLog: JobLog
  deeds: Pick<Deeds, 'perform'>
  timeZone: string
  now: () => number
  log: Log
}

export interface Jobs extends JobBoard {
  start(): void
  stop(): void
}

/** Runs a job against its deadline. A job that ignores the signal is left behind and counts as failed. */
async function runOnce({ name, deadlineMs, run }: Job, outer: AbortSignal): Promise<string> {
  const late = AbortSignal.timeout(deadlineMs)
  const signal = AbortSignal.any([late, outer])
  const cut = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () =>
      reject(
        new OpsError(
          late.aborted ? `${name} was not done within ${deadlineMs / 1_000} s` : 'opsbot was stopped',
        ),
      ),
    )
  })
  return await Promise.race([run(signal), cut])
}

export function createJobs({ jobs, jobLog, deeds, timeZone, now, log }: JobsOptions): Jobs {
  const tasks = new Map<string, ScheduledTask>()
  const running = new Set<string>()
  const stopping = new AbortController()

  /** One run. @throws what the job throws, after it was noted. */
  async function begin(job: Job, signal: AbortSignal): Promise<void> {
    if (running.has(job.name)) throw new OpsError(`${job.name} is running already.`)
    running.add(job.name)
    jobLog.started(job.name, now())
    try {
      jobLog.finished(job.name, 'done', await runOnce(job, signal), now())
    } catch (error) {
      if (!stopping.signal.aborted) jobLog.finished(job.name, 'failed', messageOf(error), now())
      throw error
    } finally {
      running.delete(job.name)
    }
  }

  async function onTime(job: Job): Promise<void> {
    noteNext(job)
    if (running.has(job.name)) return log.warn('a job is still running at its next time', { job: job.name })
    await begin(job, stopping.signal).catch((error) =>
      log.warn('a job failed', { job: job.name, ...errorFields(error) }),
    )
  }

  function noteNext({ name }: Job): void {
    const next = tasks.get(name)?.getNextRun()
    if (next) jobLog.due(name, next.getTime())
  }

  function find(name: string): Job {
    const job = jobs.find((candidate) => candidate.name === name)
    if (!job)
      throw new OpsError(`There is no job "${name}". The jobs: ${jobs.map((each) => each.name).join(', ')}.`)
    return job
  }

  return {
    start() {
      const before = new Map(jobLog.list().map((row) => [row.name, row]))
      jobLog.keep(jobs.map(({ name }) => name))
      for (const job of jobs) {
        const task = createTask(job.schedule, () => onTime(job), {
          name: job.name,
          timezone: job.everyHour ? 'UTC' : timeZone,
          suppressMissedWarning: true,
        })
        // Turns that the process slept through (suspended, stopped for a while) are made up for at once, by one run.
        task.on('execution:missed', () => {
          if (!running.has(job.name)) void onTime(job)
        })
        tasks.set(job.name, task)
        void task.start()
        const { dueAt, startedAt = 0 } = before.get(job.name) ?? {}
        if (dueAt !== undefined && dueAt < now() && startedAt < dueAt) void onTime(job)
        else noteNext(job)
      }
    },
    stop() {
      stopping.abort()
      for (const task of tasks.values()) void task.destroy()
    },
    list() {
      const rows = new Map(jobLog.list().map((row) => [row.name, row]))
      return jobs.map(({ name, about, schedule }) => ({
        ...rows.get(name),
        ...{ name, about, schedule, running: running.has(name) },
      }))
    },
    runNow(name: string, actor: Actor): Started<void> {
      const job = find(name)
      return deeds.perform(
        {
          name: 'run job',
          detail: name,
          danger: 'safe',
          resource: `job/${name}`,
          run: (signal) => begin(job, signal),
        },
        actor,
      )
    },
  }
}
