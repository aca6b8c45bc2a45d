// Clockwork: on time, alone, against a deadline, noted; made up for what was missed; and the real node-cron across clock changes.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createJobs, type Job } from '../../src/jobs/index.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import { HOUR, keptLog, MINUTE, openTestState, type State, T0 } from './help.ts'

// What hangs on the event loop stays real: only the clock is ours.
beforeEach(() => void vi.useFakeTimers({ now: T0, toFake: ['Date', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

interface Setting {
  state?: State
  schedule?: string
  timeZone?: string
  deadlineMs?: number
  run?: Job['run']
  everyHour?: true
}

function createWorks({
  state = openTestState(),
  schedule = '0 * * * *',
  timeZone = 'UTC',
  deadlineMs = MINUTE,
  run,
  everyHour,
}: Setting) {
  const { log, lines } = keptLog()
  const runs: number[] = []
  const job: Job = {
    ...{ name: 'work', about: 'Works.', schedule, deadlineMs, ...(everyHour && { everyHour }) },
    run: async (signal) => {
      runs.push(Date.now())
      return run ? await run(signal) : 'worked'
    },
  }
  const { store, audit, meta, jobs: jobLog } = state
  const deeds = createDeeds({ store, audit, meta, now: Date.now })
  const jobs = createJobs({ jobs: [job], jobLog, deeds, timeZone, now: Date.now, log })
  return { jobs, runs, lines, state, row: () => jobLog.list().find(({ name }) => name === 'work') }
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const at = (moment: string) => void vi.setSystemTime(Date.parse(moment))
const iso = (runs: readonly number[]) => runs.map((run) => new Date(run).toISOString().slice(0, 16))

describe('a job', () => {
  it('runs on time, and is noted with its result, its end and its next turn', async () => {
    const { jobs, runs, row } = createWorks({})
    jobs.start()
    expect(row()).toEqual({ name: 'work', dueAt: T0 + HOUR })
    await pass(2 * HOUR + MINUTE)
    expect(iso(runs)).toEqual(['2026-11-20T13:00', '2026-11-20T14:00'])
    expect(row()).toMatchObject({
      result: 'done',
      message: 'worked',
      startedAt: T0 + 2 * HOUR,
      dueAt: T0 + 3 * HOUR,
    })
    expect(jobs.list()).toMatchObject([
      { name: 'work', about: 'Works.', schedule: '0 * * * *', running: false },
    ])
    jobs.stop()
  })

  it('that fails is noted with why, and runs again at its next turn', async () => {
    const { jobs, runs, row, lines } = createWorks({ run: () => Promise.reject(new Error('no disk')) })
    jobs.start()
    await pass(HOUR + MINUTE)
    expect(row()).toMatchObject({ result: 'failed', message: 'no disk' })
    expect(lines).toEqual(['warn a job failed'])
    await pass(HOUR)
    expect(runs).toHaveLength(2)
    jobs.stop()
  })

  it('never runs twice at a time: a turn that comes while it runs is left out', async () => {
    const gate = Promise.withResolvers<string>()
    const { jobs, runs, row, lines } = createWorks({ deadlineMs: 9 * HOUR, run: () => gate.promise })
    jobs.start()
    await pass(3 * HOUR + MINUTE)
    expect([runs.length, jobs.list()[0]?.running]).toEqual([1, true])
    expect(lines).toEqual([
      'warn a job is still running at its next time',
      'warn a job is still running at its next time',
    ])
    expect(() => jobs.runNow('work', { name: 'Ann' })).not.toThrow()
    gate.resolve('at last')
    await pass(1)
    expect(row()).toMatchObject({ result: 'done', message: 'at last' })
    await pass(HOUR)
    expect(runs).toHaveLength(2)
    jobs.stop()
  })

  it('that takes too long is told to stop, is left behind and has failed', async () => {
    let told = false
    const { jobs, row } = createWorks({
      deadlineMs: 20,
      run: (signal) => {
        signal.addEventListener('abort', () => {
          told = true
        })
        return new Promise(() => {})
      },
    })
    jobs.start()
    await pass(HOUR)
    // The deadline is the kernel's own clock.
    vi.useRealTimers()
    await expect.poll(() => row()?.message, { interval: 5 }).toBe('work was not done within 0.02 s')
    expect([told, row()?.result, jobs.list()[0]?.running]).toEqual([true, 'failed', false])
    jobs.stop()
  })

  it('that is cut by the stop of the process has neither failed nor ended', async () => {
    const { jobs, row } = createWorks({ run: () => new Promise(() => {}) })
    jobs.start()
    await pass(HOUR)
    jobs.stop()
    await pass(HOUR)
    expect(row()).toEqual({ name: 'work', dueAt: T0 + 2 * HOUR, startedAt: T0 + HOUR })
  })

  it('is forgotten when there is none of its name any more', () => {
    const { jobs, state } = createWorks({})
    state.jobs.finished('old', 'failed', 'long ago', T0)
    jobs.start()
    expect(state.jobs.list().map(({ name }) => name)).toEqual(['work'])
    jobs.stop()
  })
})

describe('a turn that was missed', () => {
  it('while the bot was down is made up for at the start', async () => {
    const state = openTestState()
    state.jobs.due('work', T0 - MINUTE)
    const { jobs, runs, row } = createWorks({ state })
    jobs.start()
    await pass(0)
    expect(runs).toEqual([T0])
    expect(row()).toMatchObject({ result: 'done', startedAt: T0, dueAt: T0 + HOUR })
    jobs.stop()
  })

  it.each([
    ['that is still to come', (state: State) => state.jobs.due('work', T0 + 1)],
    [
      'that was run',
      (state: State) => {
        state.jobs.due('work', T0 - HOUR)
        state.jobs.started('work', T0 - HOUR + 5)
      },
    ],
    ['of which nothing is known', () => {}],
  ])('is none if it is one %s', async (_, prepare) => {
    const state = openTestState()
    prepare(state)
    const { jobs, runs } = createWorks({ state })
    jobs.start()
    await pass(MINUTE)
    expect(runs).toEqual([])
    jobs.stop()
  })

  it('while the machine slept is made up for once, however many there were', async () => {
    const { jobs, runs, lines } = createWorks({ schedule: '* * * * *' })
    jobs.start()
    await pass(MINUTE)
    expect(runs).toHaveLength(1)
    // Asleep for eight hours: the clock goes on, no timer does.
    vi.setSystemTime(T0 + 8 * HOUR + 30_000)
    await pass(MINUTE)
    expect(runs.length).toBeGreaterThanOrEqual(2)
    expect(runs.length).toBeLessThanOrEqual(3)
    expect(lines).toEqual([])
    jobs.stop()
  })
})

describe('run now', () => {
  it('is a deed: in the audit, with its outcome', async () => {
    const { jobs, runs, state } = createWorks({})
    const { id, done } = jobs.runNow('work', { name: 'Ann (11)' })
    await done
    expect(runs).toHaveLength(1)
    expect(state.audit.list(1)).toMatchObject([
      { id, actor: 'Ann (11)', action: 'run job', detail: 'work', result: 'done' },
    ])
  })

  it('fails with what the job says, or that it runs already, or that there is none', async () => {
    const gate = Promise.withResolvers<string>()
    const { jobs } = createWorks({ run: () => gate.promise })
    const first = jobs.runNow('work', { name: 'Ann' })
    expect(() => jobs.runNow('work', { name: 'Bob' })).toThrow('Ann is already at it: run job work')
    gate.reject(new Error('no disk'))
    await expect(first.done).rejects.toThrow('no disk')
    expect(() => jobs.runNow('nap', { name: 'Bob' })).toThrow('There is no job "nap". The jobs: work.')
  })
})

describe('the real clock of node-cron', () => {
  it.each([
    [
      'Berlin springs forward, a time that is there',
      'Europe/Berlin',
      '0 9 * * *',
      '2026-03-28T12:00Z',
      ['2026-03-29T07:00', '2026-03-30T07:00'],
    ],
    [
      'Berlin springs forward, the first minute after',
      'Europe/Berlin',
      '0 3 * * *',
      '2026-03-28T12:00Z',
      ['2026-03-29T01:00', '2026-03-30T01:00'],
    ],
    // 02:30 does not exist on the 29th.
    [
      'Berlin springs forward, a time that is skipped',
      'Europe/Berlin',
      '30 2 * * *',
      '2026-03-27T12:00Z',
      ['2026-03-28T01:30', '2026-03-30T00:30'],
    ],
    [
      'Berlin falls back, a time that is there',
      'Europe/Berlin',
      '0 9 * * *',
      '2026-10-24T12:00Z',
      ['2026-10-25T08:00', '2026-10-26T08:00'],
    ],
    // 02:30 comes twice on the 25th.
    [
      'Berlin falls back, a time that comes twice',
      'Europe/Berlin',
      '30 2 * * *',
      '2026-10-24T12:00Z',
      ['2026-10-25T01:30', '2026-10-26T01:30'],
    ],
    [
      'New York springs forward',
      'America/New_York',
      '30 3 * * *',
      '2026-03-07T12:00Z',
      ['2026-03-08T07:30', '2026-03-09T07:30'],
    ],
    [
      'New York falls back',
      'America/New_York',
      '30 3 * * *',
      '2026-10-31T12:00Z',
      ['2026-11-01T08:30', '2026-11-02T08:30'],
    ],
  ])('%s', async (_, timeZone, schedule, from, turns) => {
    at(from)
    const { jobs, runs, row } = createWorks({ schedule, timeZone })
    jobs.start()
    const first = row()?.dueAt
    await pass(Date.parse(`${turns[1]}Z`) - Date.parse(from) + MINUTE)
    expect(iso(runs)).toEqual(turns)
    expect(new Date(first ?? 0).toISOString().slice(0, 16)).toBe(turns[0])
    jobs.stop()
  })

  it.each([
    ['springs forward', '2026-03-28T20:00Z'],
    ['falls back', '2026-10-24T20:00Z'],
  ])('what runs every minute or hour has no hole when Berlin %s', async (_, from) => {
    at(from)
    const hourly = createWorks({ schedule: '0 * * * *', timeZone: 'Europe/Berlin', everyHour: true })
    const minutely = createWorks({ schedule: '* * * * *', timeZone: 'Europe/Berlin', everyHour: true })
    for (const { jobs } of [hourly, minutely]) jobs.start()
    await pass(12 * HOUR)
    const since = (runs: readonly number[]) => runs.map((run) => run - Date.parse(from))
    expect(since(hourly.runs)).toEqual(Array.from({ length: 12 }, (_, hour) => (hour + 1) * HOUR))
    expect(since(minutely.runs)).toEqual(Array.from({ length: 720 }, (_, minute) => (minute + 1) * MINUTE))
    for (const { jobs } of [hourly, minutely]) jobs.stop()
  })
})
