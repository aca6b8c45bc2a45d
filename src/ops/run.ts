// Child processes: the only place that starts one, with fixed argv, a small environment, a deadline and an output limit.

import { open as openFile } from 'node:fs/promises'
import { Duplex, type Readable, type Writable } from 'node:stream'
import { OpsError } from '../errors.ts'

/** A user by its numbers; it has no other groups. */
export interface Identity {
  uid: number
  gid: number
}

export interface RunResult {
  /** The exit code, or null when a signal ended it. */
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  /** The call is ended with SIGTERM after this many milliseconds, and with SIGKILL 2 s later. */
  timeoutMs: number
  signal?: AbortSignal
  /** Written to stdin, which is otherwise empty. */
  input?: string
  /** More output than this ends the call. Bytes, default 1 MiB. */
  maxBytes?: number
  /** Added to PATH, HOME and LC_ALL=C. */
  env?: Record<string, string>
  /** Whose program it is, for us as root; ours when left out. */
  as?: Identity | undefined
  /** Takes each line of stdout and stderr as it comes. */
  onLine?: (line: string) => void
}

const ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/',
  LC_ALL: 'C',
}

const notStarted = (file: string, code: string | undefined) =>
  new OpsError(`${file} could not be started: ${code ?? 'unknown cause'}`)

/** Runs a program and waits for it. */
export type Run = (file: string, args: readonly string[], options: RunOptions) => Promise<RunResult>

/**
 * Runs a program without a shell. A non-zero exit code is data, not an error.
 * @throws OpsError when it cannot be started, exceeds its deadline or its output limit, or is aborted.
 */
export const run: Run = async (
  file,
  args,
  { timeoutMs, signal, input = '', maxBytes = 1 << 20, env, as, onLine },
) => {
  const { execa } = await import('execa')
  const child = execa(file, args, {
    all: onLine !== undefined,
    input,
    reject: false,
    timeout: timeoutMs,
    forceKillAfterDelay: 2_000,
    maxBuffer: maxBytes,
    extendEnv: false,
    env: { ...ENVIRONMENT, ...env },
    ...as,
    stripFinalNewline: false,
    ...(signal && { cancelSignal: signal }),
  })
  if (onLine) for await (const line of child.iterable({ from: 'all' })) onLine(line)
  const result = await child
  if (result.timedOut) throw new OpsError(`${file} did not finish within ${timeoutMs / 1000} s`)
  if (result.isCanceled) throw new OpsError(`${file} was stopped`)
  if (result.isMaxBuffer) throw new OpsError(`${file} printed more than ${maxBytes} bytes`)
  if (result.exitCode === undefined && result.signal === undefined) throw notStarted(file, result.code)
  return { exitCode: result.exitCode ?? null, stdout: result.stdout, stderr: result.stderr }
}

/**
 * Starts a program and keeps it open; it ends with its stream, and with us.
 * @returns its stdin and stdout as one stream, and what it said last on stderr when it ended.
 */
export async function open(
  [file = '', ...args]: readonly string[],
  env: Record<string, string>,
): Promise<{ stream: Duplex; ended: Promise<{ stderr: string }> }> {
  const { execa } = await import('execa')
  const child = execa(file, args, {
    ...{ reject: false, extendEnv: false, env: { ...ENVIRONMENT, ...env } },
    // What it prints is a stream that may last for months: nothing of it is kept.
    ...{ buffer: { stdout: false, stderr: true }, maxBuffer: { stderr: 1 << 20 } },
  })
  // Not execa's own, which waits for the program: one that neither reads nor prints would not notice that its stream is gone.
  const stream = Duplex.from({ readable: child.stdout, writable: child.stdin })
  stream.on('error', () => child.kill())
  stream.on('close', () => child.kill())
  const ended = child.then(({ stderr }) => ({ stderr: (stderr ?? '').slice(-2_000).trim() }))
  void ended.then(() => stream.destroy())
  return { stream, ended }
}

export interface LooseOptions {
  env: Record<string, string>
  cwd: string
  as?: Identity | undefined
}

/**
 * Starts a program in a session of its own, which outlives us: no deadline of ours ends it, and no death.
 * @param output a new file that takes its stdout and stderr; it is made, readable to us alone.
 * @returns its pid.
 * @throws OpsError when it cannot be started.
 */
export async function detach(
  [file = '', ...args]: readonly string[],
  { env, output, cwd, as }: LooseOptions & { output: string },
): Promise<number> {
  const { execa } = await import('execa')
  // The file itself and no pipe of ours: what is said after our death is not lost, and does not end it.
  const taker = await openFile(output, 'wx', 0o600)
  // Its types know the first few descriptors alone.
  const fd = taker.fd as 3
  try {
    const child = execa(file, args, {
      ...{ detached: true, cleanup: false, reject: false, buffer: false, cwd },
      ...{ stdio: ['ignore', fd, fd], extendEnv: false, env: { ...ENVIRONMENT, ...env }, ...as },
    })
    if (child.pid === undefined) throw notStarted(file, (await child).code)
    child.nodeChildProcess.unref()
    return child.pid
  } finally {
    await taker.close()
  }
}

/** A program that is spoken with. */
export interface Talk {
  stdin: Writable
  stdout: Readable
  stderr: Readable
  /** Asks it to end, with SIGTERM; it is never killed. */
  terminate(): void
  ended: Promise<{ exitCode: number | null }>
}

/** Starts a program and speaks with it; it ends with us. @throws OpsError when it cannot be started. */
export async function talk(
  [file = '', ...args]: readonly string[],
  { env, cwd, as }: LooseOptions,
): Promise<Talk> {
  const { execa } = await import('execa')
  const child = execa(file, args, {
    ...{ reject: false, buffer: false, cwd, forceKillAfterDelay: false },
    ...{ extendEnv: false, env: { ...ENVIRONMENT, ...env }, ...as },
  })
  if (child.pid === undefined) throw notStarted(file, (await child).code)
  // It may have ended before it is told anything.
  child.stdin.on('error', () => undefined)
  return {
    ...{ stdin: child.stdin, stdout: child.stdout, stderr: child.stderr },
    terminate: () => void child.kill('SIGTERM'),
    ended: child.then(({ exitCode }) => ({ exitCode: exitCode ?? null })),
  }
}
