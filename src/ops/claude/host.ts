// The Claude CLI on this host: as the user whose login it is, in runs that outlive us and are found again in /proc.

import { randomBytes } from 'node:crypto'
import { constants, readFileSync, statSync } from 'node:fs'
import { access, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf, OpsError } from '../../errors.ts'
import { detach, type Identity, type Run, talk } from '../run.ts'
import type { Read } from './file.ts'
import { ASK_MS, type ClaudePlace, EMPTY, MOST_BYTES, MOST_OUTPUT, quoted } from './place.ts'

export interface HostPlaceOptions {
  /** The directory with `.credentials.json`; `~/.claude` when left out. */
  configDir?: string | undefined
  bin?: string | undefined
  /** PATH, HOME and the way out: nothing else of ours reaches the CLI. */
  environment: Record<string, string>
  /** Ours: what a run prints is kept there until it has been read. */
  stateDir: string
  run: Run
  /** Who we are. */
  uid?: number
  /** The text of /etc/passwd. */
  passwd?: () => string
}

const OUTPUT = 'claude-run-'
/** What a run printed that nobody came back for. */
const STALE_MS = 3_600_000

/** A user of this host. */
interface User extends Identity {
  name: string
  home: string
}

function userIn(passwd: string, uid: number): User | undefined {
  const row = passwd
    .split('\n')
    .map((line) => line.split(':'))
    .find((fields) => fields[2] === `${uid}`)
  const [name, , , gid, , home] = row ?? []
  return name && home ? { name, uid, gid: Number(gid), home } : undefined
}

/** Of the directory, or of the nearest one above it that there is. */
function ownerOf(path: string): number {
  try {
    return statSync(path).uid
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || path === '/')
      throw new OpsError(`${path} cannot be seen: ${messageOf(error)}`, { cause: error })
    return ownerOf(dirname(path))
  }
}

/** State and start of a process; undefined when there is none. The name in it may hold anything, brackets too. */
async function procOf(pid: number): Promise<{ state: string; ticks: string } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields && { state: fields[0] ?? '', ticks: fields[19] ?? '' }
}

/** Reads a file as it is: a pipe in its place is not waited for. */
export async function readHostFile(path: string): Promise<Read> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const about = await file.stat()
      if (!about.isFile()) return { path, failed: 'unreadable', why: `${path} is not a file.` }
      if (about.size > MOST_BYTES) return { path, failed: 'unreadable', why: `${path} is too large.` }
      return { path, text: await file.readFile('utf8'), modifiedAt: about.mtimeMs }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'ENOENT' || code === 'ENOTDIR') return { path, failed: 'missing' }
    const isClosed = code === 'EACCES' || code === 'EPERM'
    const why = isClosed ? `${path} may not be read by the bot's user.` : `${path} cannot be read (${code}).`
    return { path, failed: 'unreadable', why }
  }
}

/** Takes away what runs printed that nobody came back for. */
async function sweep(directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const path = join(directory, name)
    const about = name.startsWith(OUTPUT) && (await stat(path).catch(() => undefined))
    if (about && Date.now() - about.mtimeMs > STALE_MS) await rm(path, { force: true })
  }
}

export function hostPlace(options: HostPlaceOptions): ClaudePlace {
  const { configDir, bin, environment, stateDir, run } = options
  const { uid: me = process.getuid?.() ?? 0, passwd = () => readFileSync('/etc/passwd', 'utf8') } = options
  const user = (uid: number) => userIn(passwd(), uid)
  const ownHome = () => environment.HOME ?? user(me)?.home ?? '/'
  const configured = () => configDir ?? join(ownHome(), '.claude')

  /** Whose login it is, and where that person is at home. @throws OpsError when we cannot act for them. */
  function whose(): { home: string; name?: string; as?: Identity } {
    const directory = configured()
    const owner = ownerOf(directory)
    if (owner === me) return { home: ownHome() }
    const other = user(owner)
    const name = other?.name ?? `user ${owner}`
    if (me !== 0)
      throw new OpsError(
        `${directory} belongs to ${name}, and what the bot makes the Claude CLI write there would belong to the bot's user: run the bot as ${name} or as root.`,
      )
    if (!other) throw new OpsError(`${directory} belongs to ${name}, who is not in /etc/passwd.`)
    return { home: other.home, name, as: { uid: other.uid, gid: other.gid } }
  }

  /** Said to the CLI only when it is another than its own: with it, it keeps `.claude.json` in there too. */
  const isOwn = (home: string) => configured() === join(home, '.claude')

  /** Where it keeps `.claude.json`. */
  function notesDir(): string {
    try {
      const { home } = whose()
      return isOwn(home) ? home : configured()
    } catch {
      return configured()
    }
  }

  async function findBin(home: string): Promise<string> {
    const path = (environment.PATH ?? '').split(':').filter(Boolean)
    const usual = [...path.map((each) => join(each, 'claude')), join(home, '.local/bin/claude')]
    for (const each of bin ? [bin] : [...usual, join(home, '.claude/local/claude')])
      if (
        await access(each, constants.X_OK).then(
          () => true,
          () => false,
        )
      )
        return each
    throw new OpsError(
      bin
        ? `CLAUDE_BIN is ${bin}, and there is no program there that may be run.`
        : 'There is no Claude CLI on this host: install it, or set CLAUDE_BIN to where it is.',
    )
  }

  /** How it is called. */
  async function call(env: Record<string, string> = {}) {
    const { home, as } = whose()
    const own = { ...environment, HOME: home, ...(!isOwn(home) && { CLAUDE_CONFIG_DIR: configured() }) }
    return { file: await findBin(home), how: { env: { ...own, ...env }, as } }
  }

  /** A directory that is ours and not theirs: the CLI cannot put anything into it. */
  async function emptyDir(): Promise<string> {
    const path = join(configured(), EMPTY)
    const isThere = await mkdir(path).then(
      () => true,
      (error) => error.code === 'EEXIST',
    )
    return isThere ? path : '/'
  }

  return {
    where: 'on this host',
    directory: async () => configured(),
    read: (name) => readHostFile(join(name === '.claude.json' ? notesDir() : configured(), name)),
    async ask(args) {
      const { file, how } = await call()
      const { exitCode, stdout, stderr } = await run(file, args, {
        timeoutMs: ASK_MS,
        env: how.env,
        as: how.as,
      })
      return { exitCode: exitCode ?? 137, stdout, stderr, output: stdout + stderr }
    },
    async begin(args, env) {
      const { file, how } = await call(env)
      await sweep(stateDir)
      const output = join(stateDir, `${OUTPUT}${randomBytes(6).toString('hex')}`)
      const pid = await detach([file, ...args], { ...how, cwd: await emptyDir(), output })
      return { where: 'host', pid, ticks: (await procOf(pid))?.ticks ?? '', output }
    },
    async look(handle) {
      if (handle.where !== 'host') return { running: false }
      const proc = await procOf(handle.pid)
      if (proc && proc.ticks === handle.ticks && !/[ZX]/.test(proc.state)) return { running: true }
      const read = await readHostFile(handle.output)
      return { running: false, ...('text' in read && { output: read.text.slice(0, MOST_OUTPUT) }) }
    },
    async terminate(handle) {
      if (handle.where !== 'host' || (await procOf(handle.pid))?.ticks !== handle.ticks) return
      try {
        process.kill(handle.pid, 'SIGTERM')
      } catch {
        // It has ended in this moment.
      }
    },
    async forget(handle) {
      if (handle.where === 'host') await rm(handle.output, { force: true })
    },
    async talk(args, env, timeoutMs) {
      const { file, how } = await call(env)
      // It goes on when its stdin ends (claude-cli.md §3a): so it has an end of its own, should we be killed.
      const limit = ['timeout', '-k', '10', `${Math.ceil(timeoutMs / 1_000)}`]
      return await talk([...limit, file, ...args], { ...how, cwd: await emptyDir() })
    },
    command(args) {
      const { home, name } = whose()
      const setting = isOwn(home) ? [] : ['env', `CLAUDE_CONFIG_DIR=${configured()}`]
      return [...(name ? ['sudo', '-iu', name] : []), ...setting, bin ?? 'claude', ...args]
        .map(quoted)
        .join(' ')
    },
  }
}
