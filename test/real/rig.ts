// What the real suites share: bots as processes of their own, small file systems, seeds, and an end to all of it.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import { seededRandom } from '../telegram/mishaps.ts'
import { createFakeTelegram, type FakeOptions, type FakeTelegram } from '../telegram/server.ts'

export const ROOT = join(import.meta.dirname, '../..')
export const SOAK = process.env.SOAK === '1'

/** Given by SEED to repeat a run, else another one each time; it is printed, so that it can be given. */
export const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

export const sh = (file: string, ...args: string[]) =>
  execFileSync(file, args, { encoding: 'utf8', stdio: 'pipe' })

export const there = (path: string) => {
  try {
    accessSync(path)
    return true
  } catch {
    return false
  }
}

/** Without what it needs a test is skipped and says why; on CI it fails, because there nobody reads of skips. */
export function needs(context: TestContext, met: boolean, why: string): void {
  if (met) return
  if (process.env.CI === 'true') throw new Error(why)
  context.skip(why)
}

export const needsRoot = (context: TestContext) =>
  needs(context, process.getuid?.() === 0, 'processes are killed and file systems mounted here: needs root')

/** Prints figures that a run measured, whatever the reporter thinks of them. */
export const report = (line: string) => process.stdout.write(`    ${line}\n`)

/** Looks until `probe` is truthy. */
export async function until<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeoutMs = 20_000,
  everyMs = 25,
): Promise<T> {
  const end = performance.now() + timeoutMs
  for (;;) {
    const value = await probe()
    if (value) return value
    if (performance.now() > end) throw new Error(`not within ${timeoutMs / 1_000} s: ${what}`)
    await sleep(everyMs)
  }
}

export const secondsSince = (at: number) => Math.round((performance.now() - at) / 100) / 10

/** Chance that can be repeated. */
export function createChance(seed: number) {
  const random = seededRandom(seed)
  const between = (low: number, high: number) => low + random() * (high - low)
  return {
    random,
    between,
    whole: (low: number, high: number) => Math.floor(between(low, high + 1)),
    pick: <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T,
  }
}
export type Chance = ReturnType<typeof createChance>

/** A bot that runs, or ran. */
export interface Bot {
  pid: number
  /** `null` for the code when a signal ended it. */
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  alive(): boolean
  kill(signal: NodeJS.Signals): void
  out(): string
  err(): string
}

export interface SpawnOptions {
  /** Another program, with the bot's own command behind it: `unshare`, say. */
  through?: readonly string[]
  args?: readonly string[]
  /** What is written to its standard input, which is otherwise /dev/null. */
  input?: string
}

export type Rig = ReturnType<typeof createRig>

/** Everything that one test makes; all of it is gone when the test is over, however it ends. */
export function createRig(context: TestContext) {
  const cleanups: (() => unknown)[] = []
  const bots: Bot[] = []
  context.onTestFailed(() => {
    for (const { pid, out, err } of bots.slice(-2)) report(`bot ${pid} said:\n${out().slice(-3_000)}${err()}`)
  })
  context.onTestFinished(async () => {
    const failures: unknown[] = []
    // What one of them cannot clean up keeps the others from nothing.
    for (const clean of cleanups.reverse())
      try {
        await clean()
      } catch (error) {
        failures.push(error)
      }
    if (failures.length > 0) throw new AggregateError(failures, 'not everything could be cleaned up')
  })
  const defer = (clean: () => unknown) => void cleanups.push(clean)

  function dir(): string {
    const path = mkdtempSync(join(tmpdir(), 'opsbot-real-'))
    defer(() => rmSync(path, { recursive: true, force: true }))
    return path
  }

  /** A directory to mount something on, unmounted and removed at the end. */
  function mountPoint(): string {
    const point = dir()
    defer(() => {
      while (readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${point} `)) sh('umount', '-l', point)
    })
    return point
  }

  function tmpfs(options: string): string {
    const point = mountPoint()
    sh('mount', '-t', 'tmpfs', '-o', options, 'opsbot-real', point)
    return point
  }

  /** A loop device with ext4, mounted; gone at the end. */
  function ext4(): string {
    needs(context, there('/dev/loop-control'), 'no loop devices here (/dev/loop-control)')
    const image = join(dir(), 'image')
    sh('truncate', '-s', '64M', image)
    sh('mkfs.ext4', '-q', '-e', 'remount-ro', image)
    const point = mountPoint()
    sh('mount', '-o', 'loop', image, point)
    return point
  }

  /** Mounts a FUSE file system whose daemon has opened the device and never answers. @returns what ends the daemon. */
  async function silent(point: string): Promise<() => Promise<unknown>> {
    needs(context, there('/dev/fuse'), 'no FUSE here (/dev/fuse)')
    const options = 'fd=3,rootmode=40000,user_id=0,group_id=0'
    const script = `exec 3<>/dev/fuse; mount -i -t fuse -o ${options} silent "$0" && echo mounted; exec sleep 300`
    const daemon = spawn('bash', ['-c', script, point], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(daemon, 'exit')
    const end = () => {
      daemon.kill('SIGKILL')
      return ended
    }
    defer(end)
    await once(daemon.stdout, 'data')
    return end
  }

  async function telegram(options: FakeOptions = {}): Promise<FakeTelegram> {
    const fake = await createFakeTelegram({ keepCalls: 1_000_000, ...options })
    defer(fake.close)
    context.onTestFailed(() => {
      const sent = fake.calls.filter(({ method }) => /^(send|edit|answer)/.test(method)).slice(-5)
      for (const { method, status, params } of sent)
        report(`${method} ${status} ${JSON.stringify(params).slice(0, 400)}`)
    })
    return fake
  }

  const home = dir()
  const noFile = join(home, 'env')
  writeFileSync(noFile, '')

  /** Starts a real bot with this environment and nothing of ours. */
  function bot(env: Record<string, string>, { through = [], args = [], input }: SpawnOptions = {}): Bot {
    // It is in a group of its own, and dies with us even when nobody can clean up.
    const argv = ['--pdeathsig', 'KILL', ...through, process.execPath, join(ROOT, 'src/main.ts'), ...args]
    const child = spawn('setpriv', argv, {
      cwd: home,
      env: { PATH: process.env.PATH, HOME: home, OPSBOT_ENV_FILE: noFile, OPSBOT_TIME_ZONE: 'UTC', ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    if (input !== undefined) child.stdin?.end(input)
    const said = { out: '', err: '' }
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said.out += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said.err += text
    })
    const exited = once(child, 'close').then(([code, signal]) => ({ code, signal }))
    const { pid = 0 } = child
    const alive = () => child.exitCode === null && child.signalCode === null
    const kill = (signal: NodeJS.Signals) => {
      if (alive()) process.kill(-pid, signal)
    }
    defer(async () => {
      kill('SIGKILL')
      await exited
    })
    const itself: Bot = { pid, exited, alive, kill, out: () => said.out, err: () => said.err }
    bots.push(itself)
    return itself
  }

  /** One line to the bot of a state directory, as a script says it. */
  async function ask(stateDir: string, line: string): Promise<{ text: string; code: number | null }> {
    const asked = bot({ OPSBOT_STATE_DIR: stateDir }, { args: ['run', line] })
    const { code } = await asked.exited
    return { text: asked.out() + asked.err(), code }
  }

  /** Rows of a state file, read from a copy: of a bot that does not run. */
  function rows<Row>(stateDir: string, sql: string): Row[] {
    const copy = dir()
    for (const name of ['state.db', 'state.db-wal'])
      if (existsSync(join(stateDir, name))) cpSync(join(stateDir, name), join(copy, name))
    const db = new DatabaseSync(join(copy, 'state.db'))
    try {
      return db.prepare(sql).all() as Row[]
    } finally {
      db.close()
    }
  }

  return { defer, dir, mountPoint, tmpfs, ext4, silent, telegram, bot, ask, rows }
}

/** The environment of a bot that speaks with a fake, at the quickest clock there is. */
export const envOf = (telegram: Pick<FakeTelegram, 'token' | 'apiRoot'>, stateDir: string) => ({
  TELEGRAM_BOT_TOKEN: telegram.token,
  TELEGRAM_API_ROOT: telegram.apiRoot,
  OPSBOT_STATE_DIR: stateDir,
  OPSBOT_OWNERS: '11',
  WATCH_SECONDS: '1',
  // What this machine does meanwhile is not what is tested.
  ALERT_LOAD_PER_CORE: '100',
  ALERT_MEMORY_PERCENT: '99',
  ALERT_SWAP_PERCENT: '99',
  ALERT_STEAL_PERCENT: '99',
})

/** Fills a file system, as `df` counts, to about this many percent. 0 empties it. */
export function fill(point: string, percent: number, bytes: number): void {
  const file = join(point, 'filler')
  rmSync(file, { force: true })
  if (percent > 0) writeFileSync(file, Buffer.alloc(Math.floor((bytes * percent) / 100)))
}

const PREFIX = '(?:Worse: |Still firing: |Still firing after its mute: )?'
const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Whether a message says that this alert fires, or that it is over. */
export const tells = {
  firing: (text: string, title: string) =>
    new RegExp(`^(?:🔴|🟡) ${PREFIX}${escaped(title)}`, 'm').test(text),
  over: (text: string, title: string) =>
    new RegExp(`✅ (?:Resolved|Came and went): ${escaped(title)}`).test(text),
}
