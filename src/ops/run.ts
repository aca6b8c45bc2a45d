// Child processes: the only place that starts one, with fixed argv, a small environment, a deadline and an output limit.

import { OpsError } from '../errors.ts'

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
  /** Takes each line of stdout and stderr as it comes. */
  onLine?: (line: string) => void
}

/** Runs a program and waits for it. */
export type Run = (file: string, args: readonly string[], options: RunOptions) => Promise<RunResult>

/**
 * Runs a program without a shell. A non-zero exit code is data, not an error.
 * @throws OpsError when it cannot be started, exceeds its deadline or its output limit, or is aborted.
 */
export const run: Run = async (
  file,
  args,
  { timeoutMs, signal, input = '', maxBytes = 1 << 20, env, onLine },
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
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/',
      LC_ALL: 'C',
      ...env,
    },
    stripFinalNewline: false,
    ...(signal && { cancelSignal: signal }),
  })
  if (onLine) for await (const line of child.iterable({ from: 'all' })) onLine(line)
  const result = await child
  if (result.timedOut) throw new OpsError(`${file} did not finish within ${timeoutMs / 1000} s`)
  if (result.isCanceled) throw new OpsError(`${file} was stopped`)
  if (result.isMaxBuffer) throw new OpsError(`${file} printed more than ${maxBytes} bytes`)
  if (result.exitCode === undefined && result.signal === undefined)
    throw new OpsError(`${file} could not be started: ${result.code ?? 'unknown cause'}`)
  return { exitCode: result.exitCode ?? null, stdout: result.stdout, stderr: result.stderr }
}
