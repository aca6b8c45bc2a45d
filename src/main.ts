// The composition root: config → ops → jobs and bot; what was asked for on the command line, signals, the exit code.

import { enableCompileCache, flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

// All that we ever write is for us alone.
process.umask(0o077)
// Before anything large is loaded: a warm cache halves the start and saves a fifth of the memory.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/opsbot'))

const { ConfigError, parseConfig, readEnvironment } = await import('./config.ts')
const { messageOf, OpsError } = await import('./errors.ts')
const { createLog, createRedact, errorFields } = await import('./log.ts')

type Config = ReturnType<typeof parseConfig>

/** sysexits.h: a configuration that no restart mends. systemd is told not to try (RestartPreventExitStatus). */
const EX_CONFIG = 78
const STOP_MS = 4_000
/** A look at a file system that is under way when we stop comes back within this time, or hangs. */
const LAST_LOOK_MS = 500

/** Whether a file system does not answer: it would hold the exit up for as long as that lasts. */
let hung = false

/** Ends the process; past a file system that hangs only SIGKILL leads. */
function leave(code: number): void {
  if (hung) process.kill(process.pid, 'SIGKILL')
  process.exit(code)
}

/** The bot with everything it needs, in this process. */
async function host(config: Config, options: { onTerminal: boolean; clockwork: boolean }) {
  const { createOps } = await import('./ops/index.ts')
  const { createJobs } = await import('./jobs/index.ts')
  const { listJobs } = await import('./jobs/list.ts')
  const { feedWatchdog } = await import('./jobs/watchdog.ts')
  const { createBot } = await import('./bot/index.ts')
  const now = Date.now
  const redact = createRedact(config.secrets)
  // A terminal is for the conversation: only what broke is worth interrupting it for.
  const log = options.onTerminal
    ? {
        ...createLog(redact, () => {}),
        error: createLog(redact, (line) => process.stderr.write(`${line}\n`)).error,
      }
    : createLog(redact, (line) => process.stdout.write(`${line}\n`))
  const crash = (error: unknown) => {
    createLog(redact, (line) => process.stderr.write(`${line}\n`)).error('opsbot crashed', errorFields(error))
    process.exit(1)
  }
  process.on('uncaughtException', crash).on('unhandledRejection', crash)

  const ops = createOps({ config, log, redact, now })
  const jobs = createJobs({ ...ops, jobs: listJobs(ops), jobLog: ops.jobs, timeZone: config.timeZone })
  const ready = Promise.withResolvers<void>()
  const announce = (line: string) => process.stderr.write(`${line}\n`)
  const bot = createBot({ ops, jobs, redact, announce, ready: ready.promise, online: !options.onTerminal })
  const fed = feedWatchdog(ops)

  return {
    /** Ends when stopped. @throws OpsError that ends the process. */
    async run(): Promise<void> {
      const speaking = bot.run()
      ops.start(() => ready.resolve())
      if (options.clockwork) jobs.start()
      fed.start()
      flushCompileCache()
      await speaking
    },
    async stop(): Promise<void> {
      ops.deeds.halt()
      jobs.stop()
      fed.stop()
      await bot.stop(STOP_MS / 2)
      await ops.stop(STOP_MS / 2)
      const until = now() + LAST_LOOK_MS
      while (ops.mounts.pending() > 0 && now() < until) await sleep(10)
      hung = ops.mounts.pending() > 0
    },
  }
}

/** The service: runs until it is told to stop. @returns the exit code. */
async function serve(config: Config): Promise<number> {
  const bot = await host(config, { onTerminal: false, clockwork: true })
  const { promise: signalled, resolve } = Promise.withResolvers<void>()
  process.once('SIGTERM', resolve).once('SIGINT', resolve)
  try {
    await Promise.race([bot.run(), signalled])
    return 0
  } finally {
    await bot.stop()
  }
}

/** One conversation with the bot of this state directory: the running one, else one that lives as long as it. */
async function talk(config: Config, line: string | undefined): Promise<number> {
  const { converse, dial } = await import('./bot/terminal.ts')
  const interactive = line === undefined && process.stdin.isTTY === true
  const session = { colour: process.stdout.isTTY === true, follow: interactive }
  const print = (text: string) => process.stdout.write(`${text}\n`)
  const speak = async (terminal: NonNullable<Awaited<ReturnType<typeof dial>>>) => {
    if (line === undefined) return await converse(terminal, interactive)
    const { output, ok } = await terminal.line(line)
    print(output)
    terminal.close()
    return ok ? 0 : 1
  }
  const running = await dial(config.stateDir, session)
  if (running) return await speak(running)

  const bot = await host(config, { onTerminal: true, clockwork: interactive })
  const ended = bot.run()
  try {
    const own = await dial(config.stateDir, session)
    if (!own) throw new OpsError('The console of this process does not answer.')
    return await Promise.race([speak(own), ended.then(() => 1)])
  } finally {
    await bot.stop()
  }
}

async function main(args: readonly string[]): Promise<number> {
  const [verb, ...words] = args
  const config = parseConfig(readEnvironment())
  if (verb === 'run' && words.length > 0) return await talk(config, words.join(' '))
  if (verb === 'console' && words.length === 0) return await talk(config, undefined)
  if (verb !== undefined) throw new ConfigError('Usage: npm start [-- run "/status"] or npm run console')
  if (config.telegram) return await serve(config)
  const { stdinIsUsable } = await import('./bot/terminal.ts')
  if (stdinIsUsable()) return await talk(config, undefined)
  throw new ConfigError(
    'TELEGRAM_BOT_TOKEN is not set, and there is no terminal to open the console on. Set it in the environment or in .env; @BotFather gives you one.',
  )
}

try {
  leave(await main(process.argv.slice(2)))
} catch (error) {
  if (!(error instanceof OpsError)) throw error
  // A secret may stand behind the wrong key.
  process.stderr.write(`${createRedact([])(messageOf(error))}\n`)
  leave(error instanceof ConfigError ? EX_CONFIG : 1)
}
