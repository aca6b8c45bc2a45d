// The docker table: our bot on a real engine, beside what each figure is to be held against.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Contender, createContender, PEOPLE } from './contender.ts'
import { deathTimes, EXPECTED } from './deaths.ts'
import { idleUse } from './figures.ts'
import type { Fleet } from './fleet.ts'
import { recreateTimes } from './recreate.ts'
import { stormOf } from './storm.ts'
import { median, quantile, type Row, signed, units } from './table.ts'

export interface DockerCounts {
  idle: number
  ps: number
  windows: number
  events: number
  recreates: number
}

const { ms, seconds, mb, times, percent } = units
const UNASKED = { ours: '', found: '' }
const WARM_UP = 5
const WARM_UP_MS = 5_000
/** Between two questions: longer than an answer takes. */
const GAP_MS = 250

const services = Array.from({ length: EXPECTED - 1 }, (_, index) => `service-${100 + index}`)

/** Runs something with a bot of its own. */
async function withBot<T>(fleet: Fleet, stateDir: string, work: (bot: Contender) => Promise<T>): Promise<T> {
  const bot = await createContender('ours', stateDir, fleet.env)
  try {
    return await work(bot)
  } finally {
    await bot.stop()
    await bot.telegram.close()
  }
}

async function measureIdle(ours: Contender, stateDir: string, idle: number): Promise<Row[]> {
  const bare = await createContender('bare', stateDir)
  try {
    // Once before, so that whatever each loads, now or at its first look, is in the compile cache.
    await Promise.all([ours.start(), bare.start()])
    await sleep(WARM_UP_MS)
    await Promise.all([ours.stop(), bare.stop()])
    await Promise.all([ours.start(), bare.start()])
    const { rss, cpu } = await idleUse({ ours, bare }, idle)
    const ratio = rss.ours / rss.bare
    return [
      {
        figure: `idle RSS with ${EXPECTED} containers watched`,
        ...{ ours: mb(rss.ours), beside: `${mb(rss.bare)} (bare grammY + runner)` },
        ...{ found: times(ratio), asked: '≤ 2.1 ×', ok: ratio <= 2.1 },
      },
      {
        figure: 'idle CPU of a core with them',
        ...{ ours: percent(cpu.ours), beside: `${percent(cpu.bare)} (bare)`, found: percent(cpu.ours) },
      },
    ]
  } finally {
    await bare.stop()
    await bare.telegram.close()
  }
}

/** Update pushed → sendMessage request at the fake. */
async function measurePs({ telegram }: Contender, samples: number): Promise<Row> {
  const [person] = PEOPLE
  const began = performance.now()
  const asked: number[] = []
  for (let sample = 0; sample < WARM_UP + samples; sample += 1) {
    asked.push(telegram.say(person, '/ps'))
    await sleep(GAP_MS)
  }
  await sleep(1_000)
  const sent = await telegram.sentTo(person, began)
  const whole = sent.every(({ text }) => services.every((name) => text.includes(name)))
  if (sent.length !== asked.length || !whole)
    throw new Error(`${sent.length} answers to ${asked.length} times /ps${whole ? '' : ', some not whole'}`)
  const p95 = quantile(sent.map(({ at }, index) => at - (asked[index] ?? 0)).slice(WARM_UP), 0.95)
  return {
    figure: `/ps with ${EXPECTED} containers, p95 of ${samples}`,
    ...{ ours: ms(p95), found: ms(p95), asked: '≤ 300 ms', ok: p95 <= 300 },
  }
}

async function measureDeaths(fleet: Fleet, bot: Contender, windows: number): Promise<Row[]> {
  await bot.start()
  const found = await deathTimes(fleet, bot, windows)
  const of = (figure: keyof (typeof found)[number], share: number) =>
    quantile(
      found.map((each) => each[figure]),
      share,
    )
  const p99 = of('killed', 0.99)
  return [
    {
      figure: `container dies → sendMessage, median of ${found.length}`,
      ...{ ours: ms(of('docker', 0.5)), beside: `${seconds(of('poller', 0.5))} (poller of 60 s)` },
      ...{ found: ms(of('docker', 0.5)), asked: '≤ 100 ms', ok: of('docker', 0.5) <= 100 },
    },
    {
      figure: 'the same from the end of its process, before Docker has noticed',
      ...{ ours: ms(of('killed', 0.5)), beside: `${ms(of('engine', 0.5))} (Docker’s own part)` },
      found: ms(of('killed', 0.5)),
    },
    {
      figure: `container dies → sendMessage, p99 of ${found.length}, from the end of its process`,
      ...{ ours: ms(p99), beside: `${seconds(of('poller', 0.99))} (poller of 60 s)` },
      ...{ found: ms(p99), asked: '≤ 1 s', ok: p99 <= 1_000 },
    },
    { figure: 'the cron script that it replaces, at worst', ...UNASKED, beside: '900 s (as documented)' },
  ]
}

async function measureStorm(fleet: Fleet, bot: Contender, stateDir: string, events: number): Promise<Row[]> {
  const {
    events: seen,
    tookMs,
    rssMb,
    cpuPercent,
    wrong,
    states,
  } = await stormOf(fleet, bot, stateDir, events)
  const grown = rssMb.peak - rssMb.before
  const storm = `${seen.toLocaleString('en')} events in ${seconds(tookMs)}`
  const ended = [...Map.groupBy(states, (state) => state)].map(([state, all]) => `${all.length} ${state}`)
  const lost = wrong.length === 0 ? 'none' : wrong.join('; ')
  return [
    {
      figure: `${storm}: verdicts other than docker inspect (${ended.join(', ')})`,
      ...{ ours: `${wrong.length} of ${states.length}`, found: lost, asked: 'none', ok: wrong.length === 0 },
    },
    {
      figure: `${storm}: RSS growth at its highest`,
      ...{ ours: `${mb(rssMb.before)} → ${mb(rssMb.peak)}`, found: signed(grown, mb) },
      ...{ asked: '≤ 20 MB', ok: grown <= 20 },
    },
    {
      figure: 'its CPU meanwhile, of a core',
      ours: `${cpuPercent.toFixed(0)} %`,
      found: `${cpuPercent.toFixed(0)} %`,
    },
  ]
}

async function measureRecreate(
  fleet: Fleet,
  bot: Contender,
  stateDir: string,
  rounds: number,
): Promise<Row[]> {
  const found = await recreateTimes(fleet, bot, stateDir, rounds)
  const [ours, byHand, healthy] = [found.ours, found.byHand, found.byHandHealthy].map(median) as [
    number,
    number,
    number,
  ]
  return [
    {
      figure: `recreate with proof, median of ${rounds}`,
      ...{ ours: seconds(ours), beside: `${seconds(byHand)} (docker stop + compose up)` },
      ...{ found: signed(ours - byHand, seconds), asked: '≤ + 1 s', ok: ours - byHand <= 1_000 },
    },
    {
      figure: 'the same, with Compose waiting for health too',
      ...{ ours: seconds(ours), beside: `${seconds(healthy)} (compose up --wait)` },
      found: signed(ours - healthy, seconds),
    },
  ]
}

/** @param say told what is done just now. */
export async function measureDocker(
  fleet: Fleet,
  directory: string,
  { idle, ps, windows, events, recreates }: DockerCounts,
  say: (line: string) => void,
): Promise<Row[]> {
  const state = (name: string) => join(directory, name)
  say(`idling with an engine for ${idle} s …`)
  await fleet.deploy(services)
  const rows = await withBot(fleet, state('d'), async (bot) => {
    const resting = await measureIdle(bot, state('e'), idle)
    say('asking /ps …')
    return [...resting, await measurePs(bot, ps)]
  })
  say(`killing containers for ${windows} minutes …`)
  const deaths = await withBot(fleet, state('f'), (bot) => measureDeaths(fleet, bot, windows))
  say(`making ${events} events …`)
  const storm = await withBot(fleet, state('g'), (bot) => measureStorm(fleet, bot, state('g'), events))
  say('recreating …')
  const recreate = await withBot(fleet, state('h'), (bot) =>
    measureRecreate(fleet, bot, state('h'), recreates),
  )
  return [...deaths, ...rows, ...storm, ...recreate]
}
