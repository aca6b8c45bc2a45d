// The rig: the whole bot in this process, wired as main does it, against the strict fake Telegram, with a clock to push.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { type BotOptions, createBot } from '../../src/bot/index.ts'
import { dial, type Terminal } from '../../src/bot/terminal.ts'
import { parseConfig } from '../../src/config.ts'
import { createJobs, type Job } from '../../src/jobs/index.ts'
import { listJobs } from '../../src/jobs/list.ts'
import { createLog, createRedact } from '../../src/log.ts'
import type { Check, Observation } from '../../src/ops/checks/index.ts'
import { createOps } from '../../src/ops/index.ts'
import type { FakeEngine } from '../fixtures/docker/engine.ts'
import {
  createFakeTelegram,
  type FakeOptions,
  type FakeTelegram,
  type Saying,
  type Shown,
} from '../telegram/server.ts'

/** One person of each role, one who is nobody, and the group of the alerts. */
export const ANN = 11
export const BEN = 22
export const VIC = 33
export const EVE = 99
export const OPS = -1001234
export const PEOPLE = { owner: ANN, operator: BEN, viewer: VIC } as const

/** How a test is told what to do at its end; one that runs beside others has its own. */
export type After = (tidy: () => void | Promise<void>) => void

export interface RigOptions {
  after?: After
  env?: Record<string, string> | ((telegram: FakeTelegram) => Record<string, string>)
  fake?: FakeOptions
  /** Sets the world up before the bot starts. Without it, everybody of ours has pressed /start. */
  world?: (telegram: FakeTelegram) => void
  commands?: NonNullable<BotOptions['commands']>
  /** Checks beside the one that sees what `see` was told. */
  checks?: readonly Check[]
  jobs?: readonly Job[]
  /** Instead of an engine and its client; without it there is none. */
  engine?: Pick<FakeEngine, 'docker' | 'run'>
  /** Not started yet: the test has something to do before. */
  idle?: true
}

export type Rig = Awaited<ReturnType<typeof createRig>>

const everybody = (telegram: FakeTelegram) => {
  for (const [id, name] of [
    [ANN, 'Ann'],
    [BEN, 'Ben'],
    [VIC, 'Vic'],
    [EVE, 'Eve'],
  ] as const) {
    telegram.user(id, { name })
    telegram.privateChat(id)
  }
  const members = { [ANN]: 'creator', [BEN]: 'member', [VIC]: 'member', [EVE]: 'member' } as const
  telegram.group(OPS, { type: 'supergroup', title: 'Ops', members })
}

/** A directory that is gone after the test. */
export function temporaryDirectory(after: After = onTestFinished): string {
  const directory = mkdtempSync(join(tmpdir(), 'opsbot-road-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A fake with everybody in it, closed after the test. */
export async function createTelegram(
  options: FakeOptions = {},
  world = everybody,
  after: After = onTestFinished,
): Promise<FakeTelegram> {
  const telegram = await createFakeTelegram(options)
  after(() => telegram.close())
  world(telegram)
  return telegram
}

export const peopleEnv = {
  OPSBOT_OWNERS: `${ANN}`,
  OPSBOT_OPERATORS: `${BEN}`,
  OPSBOT_VIEWERS: `${VIC}`,
  OPSBOT_TIME_ZONE: 'UTC',
}

const MAIN = join(import.meta.dirname, '../../src/main.ts')

export interface SpawnOptions {
  after?: After
  env?: Record<string, string>
  args?: readonly string[]
  /** What it reads, to its end; without it, standard input is /dev/null. */
  input?: string
  /** Further options of Node's. */
  node?: readonly string[]
}

/** The bot as a process of its own, killed after the test if it still runs. */
export function spawnBot({ env = {}, args = [], input, node = [], after = onTestFinished }: SpawnOptions) {
  const child: ChildProcess = spawn(process.execPath, [...node, MAIN, ...args], {
    // Nothing of this machine's own configuration may reach it.
    env: { PATH: process.env.PATH, OPSBOT_ENV_FILE: '/dev/null', OPSBOT_TIME_ZONE: 'UTC', ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  })
  const said = { out: '', err: '' }
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    said.out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    said.err += text
  })
  child.stdin?.end(input)
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => resolve(code))
  })
  after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  return { said, ended, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

/** Every file of a state directory, as one text: also what SQLite has not overwritten yet. Snapshots are directories: they keep a `.env`. */
export const bytesOf = (directory: string): string =>
  readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'))
    .join('\n')

/** Looks until it is true: for what only our own process knows. Telegram's side has `waitFor`. */
export async function until<T>(probe: () => T, timeoutMs = 5_000): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const value = probe()
    if (value) return value
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${probe}`)
    await sleep(3)
  }
}

/** A clock that goes on by itself and can be pushed. */
function createSkewed() {
  let skew = 0
  return {
    now: () => Date.now() + skew,
    pass: (ms: number) => {
      skew += ms
    },
    /** Pushes it to this moment. */
    to: (moment: number) => {
      skew = moment - Date.now()
    },
  }
}

/** One life of the bot, wired as `host` in main.ts does it. */
function embody(
  options: RigOptions,
  config: ReturnType<typeof parseConfig>,
  now: () => number,
  lines: string[],
  seen: ReadonlyMap<string, Observation>,
) {
  const redact = createRedact(config.secrets)
  const log = createLog(redact, (line) => lines.push(line))
  const eye: Check = { name: 'test', look: async () => [...seen.values()] }
  const ops = createOps({
    ...{ config, log, redact, now, checks: [eye, ...(options.checks ?? [])] },
    ...(options.engine && { docker: options.engine.docker, run: options.engine.run }),
  })
  const list = [...listJobs(ops), ...(options.jobs ?? [])]
  const jobs = createJobs({ ...ops, jobs: list, jobLog: ops.jobs, timeZone: config.timeZone })
  const ready = Promise.withResolvers<void>()
  const announced: string[] = []
  const announce = (line: string) => announced.push(line)
  const commands = options.commands && { commands: options.commands }
  const bot = createBot({ ops, jobs, redact, announce, ready: ready.promise, online: true, ...commands })
  let running: Promise<void> | undefined
  return {
    ops,
    announced,
    run(): Promise<void> {
      running = bot.run()
      running.catch(() => {})
      ops.start(() => ready.resolve())
      return running
    },
    async stop(): Promise<void> {
      jobs.stop()
      await bot.stop(2_000)
      await ops.stop(2_000)
      await running?.catch(() => {})
    },
  }
}

const observation = (name: string, more: Partial<Observation>): Observation => ({
  key: `test/${name}`,
  area: 'host',
  verdict: 'warn',
  title: `Trouble with ${name}`,
  why: `${name} is not well`,
  proof: true,
  ...more,
})

export async function createRig(options: RigOptions = {}) {
  const clock = createSkewed()
  const after = options.after ?? onTestFinished
  const telegram = await createTelegram({ now: clock.now, ...options.fake }, options.world, after)
  const directory = temporaryDirectory(after)
  const lines: string[] = []
  /** What there is to be seen outlives the bot. */
  const seen = new Map<string, Observation>()
  let life: ReturnType<typeof embody> | undefined
  const alive = () => {
    if (!life) throw new Error('the bot does not run')
    return life
  }

  const config = () =>
    parseConfig({
      TELEGRAM_BOT_TOKEN: telegram.token,
      TELEGRAM_API_ROOT: telegram.apiRoot,
      OPSBOT_STATE_DIR: directory,
      // So that only the cycles that a test asks for take place.
      WATCH_SECONDS: '600',
      // Whatever this machine has is none of ours.
      DOCKER_HOST: `unix://${directory}/no-engine.sock`,
      ...peopleEnv,
      ...(typeof options.env === 'function' ? options.env(telegram) : options.env),
    })

  /** Starts it, and waits until it polls. */
  async function start({ polls = true } = {}) {
    life = embody(options, config(), clock.now, lines, seen)
    const ended = life.run()
    if (polls) await telegram.waitFor((fake) => fake.polling)
    return { ended }
  }
  async function stop(): Promise<void> {
    const ending = life
    life = undefined
    await ending?.stop()
  }
  after(stop)
  if (!options.idle) await start()

  const rig = {
    ...{ telegram, directory, lines, clock, start, stop },
    get ops() {
      return alive().ops
    },
    get announced() {
      return alive().announced
    },
    /** Makes something be seen (a warning with proof unless said otherwise), and looks. */
    async see(name: string, more: Partial<Observation> = {}): Promise<void> {
      seen.set(name, observation(name, more))
      await rig.look()
    },
    /** Makes things be gone, so that their alerts end, and looks. */
    async unsee(...names: string[]): Promise<void> {
      for (const name of names) seen.delete(name)
      await rig.look()
    },
    look: () => alive().ops.watch.cycle(),
    /** What a person is answered to a line in private: the first message after it. */
    async ask(from: number, text: string, more: Partial<Saying> = {}): Promise<Shown> {
      const chat = more.chat ?? from
      const before = telegram.messages(chat).length
      telegram.say({ chat, from, text, ...more })
      return await telegram.waitFor((fake) => fake.messages(chat)[before])
    },
    /** Presses a button and gives the toast; waits for the answer to the press. */
    async press(from: number, button: string, more: { chat?: number; messageId?: number } = {}) {
      const update = telegram.press({ chat: from, from, button, ...more })
      const answer = await telegram.waitFor((fake) => fake.answerTo(update))
      return `${answer.text ?? ''}`
    },
    /** The calls that say something: no polls, no menus, no introduction. */
    spoken: () =>
      telegram.calls.filter(
        ({ method }) => !/^(getUpdates|getMe|setMyCommands|deleteMyCommands)$/.test(method),
      ),
    audited: () =>
      alive()
        .ops.audit.list(100)
        .map(({ actor, action, detail }) => `${actor}: ${action} ${detail}`),
    inbox: () =>
      alive().ops.store.all<{ updateId: number; state: string; request: string }>(
        'SELECT update_id AS updateId, state, request FROM inbox ORDER BY update_id',
      ),
    async dial(follow = false): Promise<Terminal & { shown: string[] }> {
      const shown: string[] = []
      const terminal = await dial(directory, { colour: false, follow })
      terminal?.onShow((text) => shown.push(text))
      if (!terminal) throw new Error('no console')
      return { ...terminal, shown }
    },
  }
  return rig
}
