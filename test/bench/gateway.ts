// The gateway table: our link into real gateways of both versions, beside their own command line.

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { bringUp, type Engine } from '../real/engine.ts'
import { type Gateway, startGateway, VERSIONS, type Version } from '../real/gateway.ts'
import { type Answers, linkTimes, type Reopening, type Rest, restOf } from './link.ts'
import { type PairingTimes, pairingTimes } from './pairing.ts'
import { median, type Row, units } from './table.ts'
import { killTimes, looped, sayingTimes } from './unready.ts'

export interface GatewayCounts {
  /** Seconds. */
  idle: number
  /** Of one call of the CLI for each question, and some over the link. */
  rounds: number
  restarts: number
  kills: number
  /** Devices that ask to be let in. */
  requests: number
  sayings: number
}

const { ms, seconds, mb, percent } = units
const SUITE = 'trixie'
const SCRIPT = join(import.meta.dirname, '../real/engine.sh')
/** What is asked of these answers by the link: so many times faster than the CLI. */
const ASKED = { questions: ['health', 'devices', 'auth'], times: 100 }

const worst = (samples: readonly number[]) => Math.max(...samples)

function answerRow({ what, cli, link, byCli }: Answers, version: string): Row {
  const figure = `${what} over the open link, ${version}, median of ${link?.length ?? 0}`
  const beside = `${seconds(median(byCli))} (openclaw ${cli.join(' ')})`
  if (!link) return { figure: `${what}, ${version}`, ours: 'no such method', beside, found: '' }
  const times = median(byCli) / median(link)
  return {
    ...{ figure, ours: ms(median(link)), beside, found: `${times.toFixed(0)} ×` },
    ...(ASKED.questions.includes(what) && { asked: `≥ ${ASKED.times} ×`, ok: times >= ASKED.times }),
  }
}

function reopeningRow(figure: string, found: readonly number[], beside: string): Row {
  return {
    figure: `${figure} → link open, median and worst of ${found.length}`,
    ...{ ours: seconds(median(found)), beside, found: `${seconds(worst(found))} at worst` },
    ...{ asked: '≤ 2 s', ok: worst(found) <= 2_000 },
  }
}

function reopeningRows(found: readonly Reopening[], version: string): Row[] {
  const of = (part: keyof Reopening) => found.map((each) => each[part])
  const [away, starting] = [seconds(median(of('away'))), seconds(median(of('starting')))]
  return [
    reopeningRow(`${version} restarted, its first answer`, of('sinceAnswer'), `${away} (restart → answer)`),
    reopeningRow(
      `${version} restarted, its first 200 on /readyz`,
      of('sinceWell'),
      `${starting} (answer → 200)`,
    ),
  ]
}

function unreadyRow(figure: string, found: readonly number[]): Row {
  return {
    figure: `${figure} → sendMessage, median of ${found.length}`,
    ...{ ours: ms(median(found)), beside: `${ms(worst(found))} (the slowest)`, found: ms(median(found)) },
    ...{ asked: '≤ 500 ms', ok: median(found) <= 500 },
  }
}

function pairingRows({ shown, approved, byCli }: PairingTimes, version: string): Row[] {
  const found = (samples: readonly number[], most: number) => ({
    ...{ ours: ms(median(samples)), found: ms(median(samples)) },
    ...{ asked: `≤ ${most} ms`, ok: median(samples) <= most },
  })
  return [
    {
      figure: `a device asks → sendMessage, ${version}, median of ${shown.length}`,
      ...{ ...found(shown, 150), beside: `${ms(worst(shown))} (the slowest)` },
    },
    {
      figure: `tap → approved at the gateway, ${version}, median of ${approved.length}`,
      ...{ ...found(approved, 100), beside: `${seconds(median(byCli))} (openclaw devices approve)` },
    },
  ]
}

const restRows = ({ script, keeperPercent }: Rest, version: string): Row[] => [
  {
    figure: `the idle link’s script beside the gateway, ${version}: RSS`,
    ...{ ours: mb(script.rssMb), beside: `${mb(script.pssMb)} (PSS)`, found: mb(script.rssMb) },
  },
  {
    figure: `the idle link’s CPU of a core, ${version}: the script, and the bot because of it`,
    ours: percent(script.cpuPercent),
    beside: `${percent(keeperPercent)} (the bot)`,
    found: percent(script.cpuPercent + keeperPercent),
  },
]

/** One real gateway, deployed for this and gone afterwards. */
async function measureVersion(
  engine: Engine,
  version: Version,
  directory: string,
  { idle, rounds, restarts, kills, requests }: GatewayCounts,
  say: (line: string) => void,
) {
  const name = VERSIONS[version]
  const state = (part: string) => join(directory, `${part}-${version}`)
  say(`starting OpenClaw ${name} …`)
  const gateway: Gateway = await startGateway({ engine, version })
  try {
    say(`asking it over the link and by its CLI, restarting it ${restarts} times …`)
    const { answers, reopenings } = await linkTimes(engine, gateway, state('link'), { rounds, restarts })
    say(`having ${requests} devices ask to be let in …`)
    const paired = await pairingTimes(engine, gateway, state('pairing'), { rounds: requests, byCli: rounds })
    say(`idling with it for ${idle} s …`)
    const madeAt = await looped(gateway)
    const rest = await restOf(engine, gateway, state('link'), idle)
    say(`killing it ${kills} times …`)
    const killed = await killTimes(engine, gateway, state('bot'), { samples: kills, madeAt })
    return {
      answers: answers.map((each) => answerRow(each, name)),
      killed: unreadyRow(`gateway’s process killed in its container, ${name}`, killed),
      paired: pairingRows(paired, name),
      reopened: reopeningRows(reopenings, name),
      rest: restRows(rest, name),
    }
  } finally {
    await gateway.down()
  }
}

/** An engine for real gateways. @throws when none can be brought up here. */
export async function bringUpEngine() {
  const engine = await bringUp(SUITE)
  // However this process ends, it leaves no engine behind.
  let up = true
  process.once('exit', () => up && spawnSync(SCRIPT, ['gc', SUITE], { stdio: 'ignore' }))
  return {
    engine,
    async close(): Promise<void> {
      await engine.down()
      up = false
    },
  }
}

/** @param say told what is done just now. */
export async function measureGateway(
  engine: Engine,
  directory: string,
  counts: GatewayCounts,
  say: (line: string) => void,
): Promise<Row[]> {
  const found: Awaited<ReturnType<typeof measureVersion>>[] = []
  for (const version of Object.keys(VERSIONS) as Version[])
    found.push(await measureVersion(engine, version, directory, counts, say))
  say(`having a replayed one say ${counts.sayings} times that it is not ready …`)
  const said = await sayingTimes(join(directory, 'replayed'), counts.sayings)
  return [
    ...found.flatMap(({ answers }) => answers),
    ...found.map(({ killed }) => killed),
    unreadyRow('/readyz turns to 503, replayed', said),
    ...found.flatMap(({ paired }) => paired),
    ...found.flatMap(({ reopened }) => reopened),
    ...found.flatMap(({ rest }) => rest),
  ]
}
