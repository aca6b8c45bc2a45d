// `npm run bench [-- host | docker | gateway | refresh | sync]`: our bot beside what it is to be held against, on the same fake Telegram, in five tables.
//
// How: the bots, and a fake for each, are processes of their own; whatever compares two bots is taken from both in
// turn or at once, so that the noise of the machine hits both, and told as a median or a quantile. Times between two
// processes are told by one clock: the fake's is brought in step with ours, to some tenths of a millisecond.

import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { messageOf } from '../../src/errors.ts'
import { parseMountinfo } from '../../src/ops/mountinfo.ts'
import { measureDocker } from './docker.ts'
import { createFleet } from './fleet.ts'
import { bringUpEngine, measureGateway } from './gateway.ts'
import { measureHost } from './host.ts'
import { measureRefresh } from './refresh.ts'
import { measureSync } from './sync.ts'
import { markdown, type Row } from './table.ts'

const TABLES = ['host', 'docker', 'gateway', 'refresh', 'sync'] as const

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** Exit code 1 when a bound is not met, or there is no engine to measure with. */
    strict: { type: 'boolean', default: false },
    /** Seconds of idling; three cycles of the watch. */
    idle: { type: 'string', default: '93' },
    starts: { type: 'string', default: '9' },
    answers: { type: 'string', default: '400' },
    updates: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '9' },
    alarms: { type: 'string', default: '600' },
    ps: { type: 'string', default: '100' },
    /** Minutes of deaths, 29 in each. */
    windows: { type: 'string', default: '3' },
    events: { type: 'string', default: '10000' },
    recreates: { type: 'string', default: '7' },
    /** Of each gateway's CLI, for each question. */
    asks: { type: 'string', default: '7' },
    restarts: { type: 'string', default: '7' },
    kills: { type: 'string', default: '15' },
    /** Devices that ask to be let in, of each gateway. */
    requests: { type: 'string', default: '10' },
    /** Times that the replayed gateway says that it is not ready. */
    sayings: { type: 'string', default: '40' },
    /** New tokens for each gateway. */
    tokens: { type: 'string', default: '9' },
    /** Of the simulated month of refreshes. */
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    /** Where the state lies meanwhile; a directory on memory would make fsync look free. */
    dir: { type: 'string', default: join(import.meta.dirname, '../../node_modules/.cache') },
  },
})
const stray = positionals.find((name) => !TABLES.some((table) => table === name))
if (stray !== undefined) throw new Error(`There is no table ${stray}; there are: ${TABLES.join(', ')}.`)

const say = (line: string) => process.stderr.write(`${line}\n`)
const count = (name: Exclude<keyof typeof options, 'strict' | 'dir'>) => Number(options[name])

/** The kind of the file system that a directory lies on. */
function fileSystemOf(directory: string): string {
  const holds = (point: string) => directory.startsWith(point === '/' ? '/' : `${point}/`)
  const mounts = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const [mount] = mounts.filter(({ point }) => holds(point)).sort((a, b) => b.point.length - a.point.length)
  return mount?.type ?? 'unknown'
}

/** What a reader has to know of where the figures come from. */
function machineOf(tookSeconds: number, more: readonly string[] = []): string {
  const [cpu] = cpus()
  const machine = [
    `${availableParallelism()} cores (${cpu?.model.trim()})`,
    `Linux ${release()}`,
    `Node ${process.version}`,
    `the state on ${fileSystemOf(directory)}`,
    `${loadBefore.toFixed(1)} of load before it began`,
    ...(existsSync('/run/systemd/system') ? [] : ['no systemd, so no `systemctl` to run each cycle']),
    ...more,
  ]
  return `Measured in ${Math.round(tookSeconds)} s on ${machine.join(', ')}.`
}

interface Table {
  rows: Row[]
  beside: string
  notes: string[]
}

async function hostTable(): Promise<Table> {
  const began = performance.now()
  const { idle, starts, answers, rounds } = options
  const rows = await measureHost(
    directory,
    {
      ...{ idle: count('idle'), starts: count('starts'), answers: count('answers') },
      ...{ updates: count('updates'), rounds: count('rounds'), alarms: count('alarms') },
    },
    say,
  )
  return {
    rows,
    beside: 'bare grammY + runner',
    notes: [
      machineOf((performance.now() - began) / 1_000),
      'Without Docker. Both bots have the compile cache warm and speak over loopback, each with a fake Telegram of its own in another process.',
      `Memory at the end of ${idle} s of idling at the default cycle of 30 s, CPU over all of them with ended children;`,
      `starts: the median of ${starts}; /whoami: ${answers} to each, in turn; draining: the medians of ${rounds} rounds, in turn, and of their ratios;`,
      'the observation is critical and new each time, with its commits flushed to the disk.',
    ],
  }
}

/** @param why it could not be brought up. */
function withoutEngine(why: string): Table {
  const row = { figure: '**nothing was measured: no Docker engine could be brought up**', ours: '' }
  return {
    rows: [{ ...row, found: '', asked: 'all', ok: false }],
    beside: 'beside it',
    // What the script said last, below the command that failed.
    notes: [why.trim().split('\n').at(-1) ?? ''],
  }
}

async function dockerTable(): Promise<Table> {
  const began = performance.now()
  say('bringing up an engine …')
  const fleet = await createFleet(directory).catch((error) => messageOf(error))
  if (typeof fleet === 'string') return withoutEngine(fleet)
  try {
    const versions = [`Docker ${await fleet.version()}`, `Compose ${await fleet.composeVersion()}`]
    const rows = await measureDocker(
      fleet,
      directory,
      {
        ...{ idle: count('idle'), ps: count('ps'), windows: count('windows') },
        ...{ events: count('events'), recreates: count('recreates') },
      },
      say,
    )
    return {
      rows,
      beside: 'beside it',
      notes: [
        machineOf((performance.now() - began) / 1_000, versions),
        'A real engine and Compose project, a real bot process for each part, the default cycle of 30 s; the idle one beside the bare bot at the same time.',
        'Each death is a SIGKILL from outside to a container that has not died before, one after another; Docker says `die` once it has torn its network down,',
        'and until then `docker ps` says that it runs. The poller runs `docker ps` every 60 s over the same deaths, and its time is without sending anything.',
        'The events are renames and, among them, deaths, starts, stops and pauses of 12 watched containers; memory from before them to half a minute after.',
        `The recreate is the whole runbook with snapshot, health and proof, in turn with the same commands by hand (${options.recreates} each).`,
      ],
    }
  } finally {
    await fleet.close()
  }
}

async function gatewayTable(): Promise<Table> {
  const began = performance.now()
  say('bringing up an engine …')
  const rig = await bringUpEngine().catch((error) => messageOf(error))
  if (typeof rig === 'string') return withoutEngine(rig)
  try {
    const { engine } = rig
    const { asks, idle, kills, sayings } = options
    const versions = [`Docker ${await engine.docker('version', '--format', '{{.Server.Version}}')}`]
    const rows = await measureGateway(
      engine,
      directory,
      {
        ...{ idle: count('idle'), rounds: count('asks'), restarts: count('restarts') },
        ...{ kills: count('kills'), sayings: count('sayings'), requests: count('requests') },
      },
      say,
    )
    return {
      rows,
      beside: 'beside it',
      notes: [
        machineOf((performance.now() - began) / 1_000, versions),
        `Real gateways of both versions, one after the other, in containers as upstream deploys them. Each question by \`docker exec\` and the CLI ${asks} times, in turn with the link.`,
        `A device asks: from the gateway’s own event; it asks for operator.read alone, so that one tap lets it in.`,
        `Not ready, really: the gateway’s process is killed in a container that lives on (${kills} times each), a new bot process with an empty state each time;`,
        `replayed: a recorded 2026.9.6 says 503 on \`/readyz\` at any moment between two looks, which come twice a second (${sayings} times).`,
        'The restarts are `docker restart`; the first answer is the first HTTP answer of any kind on its published port. A newer gateway says 503 at first, and refuses every line until it says 200.',
        `The idle link is asked nothing for ${idle} s; the bot’s part is the CPU of a process that keeps that link and does nothing else.`,
      ],
    }
  } finally {
    await rig.close()
  }
}

const refreshTable = async (): Promise<Table> => ({
  ...measureRefresh(count('seed')),
  beside: 'a timer of 30 min',
})

async function syncTable(): Promise<Table> {
  const began = performance.now()
  say('bringing up an engine …')
  const rig = await bringUpEngine().catch((error) => messageOf(error))
  if (typeof rig === 'string') return withoutEngine(rig)
  try {
    const rows = await measureSync(rig.engine, directory, count('tokens'), say)
    return {
      rows,
      beside: 'beside it',
      notes: [
        machineOf((performance.now() - began) / 1_000),
        'A real bot process beside a real gateway of each version; a newer one is given a token by `models auth paste-token`, by the bot and by hand in turn.',
      ],
    }
  } finally {
    await rig.close()
  }
}

mkdirSync(options.dir, { recursive: true })
const directory = mkdtempSync(join(resolve(options.dir), 'bench-'))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
process.once('exit', () => rmSync(directory, { recursive: true, force: true }))

const [loadBefore = 0] = loadavg()
const wanted = TABLES.filter((name) => positionals.length === 0 || positionals.includes(name))
const measured: Table[] = []
for (const name of wanted)
  measured.push(
    await {
      ...{ host: hostTable, docker: dockerTable, gateway: gatewayTable },
      ...{ refresh: refreshTable, sync: syncTable },
    }[name](),
  )
console.log(
  measured.map(({ rows, beside, notes }) => `${markdown(rows, beside)}\n\n${notes.join('\n')}`).join('\n\n'),
)
if (options.strict && measured.some(({ rows }) => rows.some(({ ok }) => ok === false))) process.exitCode = 1
