// `npm run bench`: our bot beside a bare grammY + runner bot on the same fake Telegram, in one table.
//
// How: the bots, and a fake for each, are processes of their own; whatever compares two bots is taken from both in
// turn or at once, so that the noise of the machine hits both, and told as a median or a quantile. Times between two
// processes are told by one clock: the fake's is brought in step with ours, to some tenths of a millisecond.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { parseMountinfo } from '../../src/ops/mountinfo.ts'
import { alarmTimes } from './alarm.ts'
import { createContender } from './contender.ts'
import { answerTimes, drainRates, idleUse, type Pair, type Pitch, startTimes } from './figures.ts'
import { markdown, median, quantile, type Row } from './table.ts'

const { values: options } = parseArgs({
  options: {
    /** Exit code 1 when a bound is not met. */
    strict: { type: 'boolean', default: false },
    /** Seconds of idling; three cycles of the watch. */
    idle: { type: 'string', default: '93' },
    starts: { type: 'string', default: '9' },
    answers: { type: 'string', default: '400' },
    updates: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '9' },
    alarms: { type: 'string', default: '600' },
    /** Where the state lies meanwhile; a directory on memory would make fsync look free. */
    dir: { type: 'string', default: join(import.meta.dirname, '../../node_modules/.cache') },
  },
})

const say = (line: string) => process.stderr.write(`${line}\n`)
const ms = (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`
const mb = (value: number) => `${value.toFixed(1)} MB`
const times = (value: number) => `${value.toFixed(2)} ×`
const percent = (value: number) => `${value.toFixed(3)} %`

/** The kind of the file system that a directory lies on. */
function fileSystemOf(directory: string): string {
  const holds = (point: string) => directory.startsWith(point === '/' ? '/' : `${point}/`)
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const [mount] = mounts.filter(({ point }) => holds(point)).sort((a, b) => b.point.length - a.point.length)
  return mount?.type ?? 'unknown'
}

const shown = ({ ours, bare }: Pair, unit: (value: number) => string) => ({
  ours: unit(ours),
  bare: unit(bare),
})

async function measureIdle(pitch: Pitch): Promise<Row[]> {
  const seconds = Number(options.idle)
  say(`idling for ${seconds} s …`)
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

async function measureStart(pitch: Pitch): Promise<Row> {
  say('starting and stopping …')
  const start = await startTimes(pitch, Number(options.starts))
  return {
    figure: 'process start → first getUpdates',
    ...shown(start, ms),
    found: ms(start.ours),
    asked: '≤ 400 ms',
    ok: start.ours <= 400,
  }
}

async function measureAnswers(pitch: Pitch): Promise<Row> {
  say('asking /whoami …')
  const found = await answerTimes(pitch, Number(options.answers))
  const p95 = { ours: quantile(found.ours, 0.95), bare: quantile(found.bare, 0.95) }
  const more = p95.ours - p95.bare
  return {
    figure: '/whoami, p95',
    ...shown(p95, ms),
    found: `${more < 0 ? '−' : '+'} ${ms(Math.abs(more))}`,
    asked: 'bare + 10 ms',
    ok: more <= 10,
  }
}

async function measureDrain(pitch: Pitch): Promise<Row> {
  const updates = Number(options.updates)
  say(`draining ${updates} updates, ${options.rounds} rounds …`)
  const rates = await drainRates(pitch, updates, Number(options.rounds))
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

async function measureAlarms(directory: string): Promise<Row> {
  say('raising alerts …')
  const found = await alarmTimes(Number(options.alarms), directory)
  const p99 = quantile(found, 0.99)
  return {
    figure: `bad observation → sendMessage, p99 of ${found.length}`,
    ours: ms(p99),
    found: ms(p99),
    asked: '≤ 50 ms',
    ok: p99 <= 50,
  }
}

async function measure(directory: string): Promise<Row[]> {
  const state = (name: string) => join(directory, name)
  const pitch: Pitch = {
    ours: await createContender('ours', state('a')),
    bare: await createContender('bare', state('b')),
  }
  const contenders = [pitch.ours, pitch.bare]
  try {
    const start = await measureStart(pitch)
    const idle = await measureIdle(pitch)
    const answers = await measureAnswers(pitch)
    await Promise.all(contenders.map((contender) => contender.stop()))
    const drain = await measureDrain(pitch)
    return [...idle, start, answers, drain, await measureAlarms(state('c'))]
  } finally {
    await Promise.all(contenders.map((contender) => contender.stop()))
    await Promise.all(contenders.map(({ telegram }) => telegram.close()))
  }
}

/** What a reader has to know of how the figures came about. */
function notes(tookSeconds: number): string {
  const [cpu] = cpus()
  const machine = [
    `${availableParallelism()} cores (${cpu?.model.trim()})`,
    `Linux ${release()}`,
    `Node ${process.version}`,
    `the state on ${fileSystemOf(directory)}`,
    `${loadBefore.toFixed(1)} of load before it began`,
    ...(existsSync('/run/systemd/system') ? [] : ['no systemd, so no `systemctl` to run each cycle']),
    ...(existsSync('/var/run/docker.sock') ? [] : ['no Docker']),
  ]
  const { idle, starts, answers, rounds } = options
  return [
    `Measured in ${Math.round(tookSeconds)} s on ${machine.join(', ')}.`,
    'Both bots have the compile cache warm and speak over loopback, each with a fake Telegram of its own in another process.',
    `Memory at the end of ${idle} s of idling at the default cycle of 30 s, CPU over all of them with ended children;`,
    `starts: the median of ${starts}; /whoami: ${answers} to each, in turn; draining: the medians of ${rounds} rounds, in turn, and of their ratios;`,
    'the observation is critical and new each time, with its commits flushed to the disk.',
  ].join('\n')
}

mkdirSync(options.dir, { recursive: true })
const directory = mkdtempSync(join(resolve(options.dir), 'bench-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))

const [loadBefore = 0] = loadavg()
const began = performance.now()
const rows = await measure(directory)
console.log(`${markdown(rows)}\n\n${notes((performance.now() - began) / 1_000)}`)
if (options.strict && rows.some(({ ok }) => ok === false)) process.exitCode = 1
