// A bot under measurement: our own or the bare one, as a real process with a fake Telegram of its own.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endsWithUs } from './children.ts'
import { startTelegram } from './telegram.ts'

export type Contender = Awaited<ReturnType<typeof createContender>>

const ROOT = join(import.meta.dirname, '../..')
const PROGRAMS = { ours: join(ROOT, 'src/main.ts'), bare: join(import.meta.dirname, 'bare.ts') }
/** Linux counts the time of processes in hundredths of a second (USER_HZ). */
const TICK_MS = 10

/** Who writes to the bots; in ours they are owners. */
export const PEOPLE = [11, 12, 13, 14, 15] as const
/** Where our alerts go, so that what this host happens to suffer from is not taken for an answer. */
export const GROUP = -1001

/** What the kernel says of a process. */
export interface Use {
  rssMb: number
  /** Pages shared with other processes count in part. */
  pssMb: number
  /** With children that have ended. */
  cpuMs: number
}

/** @throws when there is no such process. */
export function useOf(pid: number): Use {
  const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8')
  const megabytes = (text: string, name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024
  const stat = read('stat')
  // The name in brackets may hold anything; utime, stime, cutime and cstime are fields 14 to 17 (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return {
    rssMb: megabytes(read('status'), 'VmRSS'),
    pssMb: megabytes(read('smaps_rollup'), 'Pss'),
    cpuMs: ticks * TICK_MS,
  }
}

/**
 * @param directory where it may keep its state.
 * @param more what is set for it besides.
 */
export async function createContender(
  name: keyof typeof PROGRAMS,
  directory: string,
  more: Record<string, string> = {},
) {
  const telegram = await startTelegram(PEOPLE, GROUP)
  let child: ChildProcess | undefined
  const env = {
    PATH: process.env.PATH,
    // Both have it, as `npm start` gives it to ours: without, each would also carry the compiler that strips types.
    NODE_COMPILE_CACHE: join(ROOT, 'node_modules/.cache/opsbot'),
    TELEGRAM_BOT_TOKEN: telegram.token,
    TELEGRAM_API_ROOT: telegram.apiRoot,
    ...(name === 'ours' && {
      TELEGRAM_CHAT_ID: `${GROUP}`,
      OPSBOT_OWNERS: PEOPLE.join(),
      OPSBOT_STATE_DIR: directory,
      OPSBOT_ENV_FILE: '/dev/null',
    }),
    ...more,
  }

  return {
    name,
    telegram,
    /** Starts the process and waits for its first poll. @returns how long that took. */
    async start(): Promise<number> {
      const polls = (await telegram.stats()).counts.getUpdates ?? 0
      const startedAt = performance.now()
      const fresh = endsWithUs(
        spawn(process.execPath, [PROGRAMS[name]], { env, cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] }),
      )
      child = fresh
      fresh.once('exit', (code) => {
        if (child === fresh) throw new Error(`${name} ended by itself with exit code ${code}`)
      })
      await telegram.until(`the first poll of ${name}`, ({ counts }) => (counts.getUpdates ?? 0) > polls)
      const [first] = await telegram.callsSince(startedAt, 'getUpdates')
      if (!first) throw new Error(`the first poll of ${name} was not remembered`)
      return first.at - startedAt
    },
    use: () => useOf(child?.pid ?? 0),
    async stop(): Promise<void> {
      const running = child
      child = undefined
      if (running?.exitCode !== null) return
      const ended = once(running, 'exit')
      running.kill('SIGTERM')
      await ended
    },
  }
}
