// Our link into a real gateway, in this process: what it answers beside the CLI, how it comes back, what it costs at rest.

import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseConfig } from '../../src/config.ts'
import { createLog, createRedact } from '../../src/log.ts'
import { createDocker } from '../../src/ops/docker/index.ts'
import { readIdentity } from '../../src/ops/gateway/identity.ts'
import { insideContainer } from '../../src/ops/gateway/inside.ts'
import { createLink } from '../../src/ops/gateway/link.ts'
import { METHODS, type MethodName } from '../../src/ops/gateway/methods.ts'
import { createOps, type Ops } from '../../src/ops/index.ts'
import type { Engine } from '../real/engine.ts'
import type { Gateway } from '../real/gateway.ts'
import { type Use, useOf } from './contender.ts'

/** The same thing asked in both ways. */
export interface Question {
  what: string
  method: MethodName
  cli: readonly string[]
}

/** How long each took, in milliseconds; without `link` this version has no such method. */
export interface Answers extends Question {
  link: number[] | undefined
  byCli: number[]
}

/** One restart, in milliseconds. */
export interface Reopening {
  /** From the restart's beginning until something answers HTTP again: the gateway's own time. */
  away: number
  /** From that answer until it answers 200: newer ones listen before they let anybody in. */
  starting: number
  /** From the first answer until the link is open, and from the first 200. */
  sinceAnswer: number
  sinceWell: number
}

export interface Rest {
  /** Of the script beside the gateway. */
  script: Pick<Use, 'rssMb' | 'pssMb'> & { cpuPercent: number }
  /** Of a process that does nothing but keep the link. */
  keeperPercent: number
}

const PAIRS: readonly (Omit<Question, 'method'> & { method: string })[] = [
  { what: 'health', method: 'health', cli: ['health', '--json'] },
  { what: 'devices', method: 'device.pair.list', cli: ['devices', 'list', '--json'] },
  { what: 'auth', method: 'models.authStatus', cli: ['models', 'status', '--json'] },
  { what: 'channels', method: 'channels.status', cli: ['channels', 'status', '--json'] },
]

/** What opsbot can ask by now. */
const QUESTIONS = PAIRS.filter((pair): pair is Question => pair.method in METHODS)

const OPEN_MS = 60_000
const CALLS_EACH = 30
const LOOK_MS = 10
const SETTLE_MS = 5_000

const quiet = createLog(createRedact([]), () => {})

/** Looks until it is so. @throws when it is not within a minute. */
async function until<T>(what: string, probe: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = performance.now() + OPEN_MS
  for (;;) {
    const found = await probe()
    if (found !== undefined) return found
    if (performance.now() > end) throw new Error(`not within ${OPEN_MS / 1_000} s: ${what}`)
    await sleep(LOOK_MS)
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

/** Everything that main wires but the bot, on this gateway. */
async function withOps<T>(
  engine: Engine,
  { container }: Gateway,
  stateDir: string,
  work: (ops: Ops) => Promise<T>,
): Promise<T> {
  const config = parseConfig({
    ...engine.env,
    TELEGRAM_BOT_TOKEN: '123456:of-the-bench',
    OPSBOT_OWNERS: '1',
    OPSBOT_STATE_DIR: stateDir,
    OPENCLAW_GATEWAY_CONTAINER: container,
  })
  const ops = createOps({ config, log: quiet, redact: createRedact(config.secrets), now: Date.now })
  ops.start(() => {})
  try {
    await until('the link is open', () => (ops.gateway.link().state === 'open' ? true : undefined))
    return await work(ops)
  } finally {
    await ops.stop(2_000)
  }
}

/** Both ways in turn, so that the noise of the machine hits both; the first round warms both up. */
async function askBoth(
  { gateway: line }: Pick<Ops, 'gateway'>,
  gateway: Gateway,
  question: Question,
  rounds: number,
): Promise<Answers> {
  const { method, cli } = question
  const state = line.link()
  const known = state.state === 'open' && state.methods.includes(method)
  const link: number[] = []
  const byCli: number[] = []
  const byCommand = async () => {
    const { code, stderr } = await gateway.cli(cli)
    if (code !== 0) throw new Error(`openclaw ${cli.join(' ')} ended with ${code}: ${stderr.slice(-500)}`)
  }
  for (let round = 0; round <= rounds; round += 1) {
    const calls: number[] = []
    while (known && calls.length < CALLS_EACH) calls.push(await timed(() => line.call(method)))
    const tookMs = await timed(byCommand)
    if (round === 0) continue
    link.push(...calls)
    byCli.push(tookMs)
  }
  return { ...question, link: known ? link : undefined, byCli }
}

async function restartOnce(
  { gateway: line }: Pick<Ops, 'gateway'>,
  { restart, port }: Gateway,
): Promise<Reopening> {
  const began = Date.now()
  await restart()
  // Docker's proxy takes connections for it long before: only an answer counts.
  async function look() {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(1_000) })
      const at = Date.now()
      await answer.text()
      return { status: answer.status, at }
    } catch {
      return undefined
    }
  }
  const answered = await until('it answers HTTP', look)
  const well = await until('it answers 200', async () => {
    const seen = answered.status === 200 ? answered : await look()
    return seen?.status === 200 ? seen : undefined
  })
  const openAt = await until('the link is open again', () => {
    const link = line.link()
    return link.state === 'open' && link.since > began ? link.since : undefined
  })
  return {
    ...{ away: answered.at - began, starting: well.at - answered.at },
    ...{ sinceAnswer: Math.max(0, openAt - answered.at), sinceWell: Math.max(0, openAt - well.at) },
  }
}

/** Every question both ways, then restarts under the open link. */
export const linkTimes = (
  engine: Engine,
  gateway: Gateway,
  stateDir: string,
  { rounds, restarts }: { rounds: number; restarts: number },
) =>
  withOps(engine, gateway, stateDir, async (ops) => {
    const answers: Answers[] = []
    for (const question of QUESTIONS) answers.push(await askBoth(ops, gateway, question, rounds))
    const reopenings: Reopening[] = []
    for (let count = 0; count < restarts; count += 1) {
      reopenings.push(await restartOnce(ops, gateway))
      await gateway.ready()
      await sleep(SETTLE_MS)
    }
    return { answers, reopenings }
  })

/** The processes of a container, on this host, whose command line fits. */
export async function pidsOf(engine: Engine, container: string, fits: RegExp): Promise<number[]> {
  const lines = (await engine.docker('top', container, '-eo', 'pid,args')).split('\n')
  return lines.flatMap((line) => {
    const [, pid = '', argv = ''] = /^\s*(\d+)\s+(.*)/.exec(line) ?? []
    return fits.test(argv) ? [Number(pid)] : []
  })
}

/** The link alone, open and asked nothing: this process does nothing else meanwhile. */
export async function restOf(
  engine: Engine,
  { container }: Gateway,
  directory: string,
  seconds: number,
): Promise<Rest> {
  const docker = createDocker({ dockerHost: `${engine.env.DOCKER_HOST}` })
  const link = createLink({
    async where() {
      const found = await docker.inspect(container)
      return found && insideContainer(docker, found)
    },
    identity: () => readIdentity(join(directory, 'identity')),
    ...{ caps: () => [], orders: async () => ({}), now: Date.now, log: quiet },
    ...{ onChange: () => {}, onReady: () => {}, onEvent: () => {} },
  })
  link.start()
  try {
    await until('the link is open', () => (link.state().state === 'open' ? true : undefined))
    await sleep(SETTLE_MS)
    const [pid] = await pidsOf(engine, container, /^node -e \/\/ The far end of the gateway link/)
    if (pid === undefined) throw new Error('the script of the link was not found in the container')
    const [before, ours, began] = [useOf(pid), process.cpuUsage(), performance.now()]
    await sleep(seconds * 1_000)
    const [after, { user, system }, passedMs] = [
      useOf(pid),
      process.cpuUsage(ours),
      performance.now() - began,
    ]
    return {
      script: { ...after, cpuPercent: (100 * (after.cpuMs - before.cpuMs)) / passedMs },
      keeperPercent: (user + system) / 10 / passedMs,
    }
  } finally {
    link.stop()
  }
}
