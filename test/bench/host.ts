// The host table: our bot beside a bare grammY + runner bot, on a host without Docker.

import { join } from 'node:path'
import { alarmTimes } from './alarm.ts'
import { createContender } from './contender.ts'
import { answerTimes, drainRates, idleUse, type Pair, type Pitch, startTimes } from './figures.ts'
import { median, quantile, type Row, signed, units } from './table.ts'

export interface HostCounts {
  idle: number
  starts: number
  answers: number
  updates: number
  rounds: number
  alarms: number
}

const { ms, mb, times, percent } = units

export const shown = ({ ours, bare }: Pair, unit: (value: number) => string) => ({
  ours: unit(ours),
  beside: unit(bare),
})

async function measureIdle(pitch: Pitch, seconds: number): Promise<Row[]> {
  await Promise.all([pitch.ours.start(), pitch.bare.start()])
  const { rss, pss, cpu } = await idleUse(pitch, seconds)
  const ratio = { rss: rss.ours / rss.bare, pss: pss.ours / pss.bare }
  return [
    {
      figure: 'idle RSS',
      ...shown(rss, mb),
      found: times(ratio.rss),
      asked: '≤ 1.8 ×',
      ok: ratio.rss <= 1.8,
    },
    { figure: 'idle PSS', ...shown(pss, mb), found: times(ratio.pss) },
    {
      figure: 'idle CPU, of a core',
      ...shown(cpu, percent),
      found: percent(cpu.ours),
      asked: '≤ 0.3 %',
      ok: cpu.ours <= 0.3,
    },
  ]
}

async function measureStart(pitch: Pitch, starts: number): Promise<Row> {
  const start = await startTimes(pitch, starts)
  return {
    figure: 'process start → first getUpdates',
    ...shown(start, ms),
    found: ms(start.ours),
    asked: '≤ 400 ms',
    ok: start.ours <= 400,
  }
}

async function measureAnswers(pitch: Pitch, answers: number): Promise<Row> {
  const found = await answerTimes(pitch, answers)
  const p95 = { ours: quantile(found.ours, 0.95), bare: quantile(found.bare, 0.95) }
  const more = p95.ours - p95.bare
  return {
    figure: '/whoami, p95',
    ...shown(p95, ms),
    found: signed(more, ms),
    asked: 'bare + 10 ms',
    ok: more <= 10,
  }
}

async function measureDrain(pitch: Pitch, updates: number, rounds: number): Promise<Row> {
  const rates = await drainRates(pitch, updates, rounds)
  // Of the two of one round, which the same noise hit.
  const ratio = median(rates.ours.map((rate, round) => rate / (rates.bare[round] ?? Number.NaN)))
  return {
    figure: `${updates.toLocaleString('en')} queued updates drained`,
    ...shown({ ours: median(rates.ours), bare: median(rates.bare) }, (rate) => `${rate.toFixed(0)}/s`),
    found: times(ratio),
    asked: '≥ 0.7 ×',
    ok: ratio >= 0.7,
  }
}

async function measureAlarms(alarms: number, directory: string): Promise<Row> {
  const found = await alarmTimes(alarms, directory)
  const p99 = quantile(found, 0.99)
  return {
    figure: `bad observation → sendMessage, p99 of ${found.length}`,
    ours: ms(p99),
    found: ms(p99),
    asked: '≤ 50 ms',
    ok: p99 <= 50,
  }
}

/** @param say told what is done just now. */
export async function measureHost(
  directory: string,
  counts: HostCounts,
  say: (line: string) => void,
): Promise<Row[]> {
  const { idle: seconds, starts, answers: asked, updates, rounds, alarms } = counts
  const state = (name: string) => join(directory, name)
  // An engine that happens to run here belongs to the other table.
  const alone = { DOCKER_HOST: `unix://${state('none.sock')}` }
  const pitch: Pitch = {
    ours: await createContender('ours', state('a'), alone),
    bare: await createContender('bare', state('b')),
  }
  const contenders = [pitch.ours, pitch.bare]
  try {
    say('starting and stopping …')
    const start = await measureStart(pitch, starts)
    say(`idling for ${seconds} s …`)
    const idle = await measureIdle(pitch, seconds)
    say('asking /whoami …')
    const answers = await measureAnswers(pitch, asked)
    await Promise.all(contenders.map((contender) => contender.stop()))
    say(`draining ${updates} updates, ${rounds} rounds …`)
    const drain = await measureDrain(pitch, updates, rounds)
    say('raising alerts …')
    return [...idle, start, answers, drain, await measureAlarms(alarms, state('c'))]
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()))
    await Promise.all(contenders.map(({ telegram }) => telegram.close()))
  }
}
