// A program that a test drives: its output as it comes, lines into it, signals to it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Outcome {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: NodeJS.ProcessEnv
  cwd?: string
  uid?: number
  gid?: number
}

/** Starts it; it is killed after a minute, which no test takes. */
export function startProgram(file: string, args: readonly string[], options: RunOptions) {
  const child = spawn(file, args, { ...options, timeout: 60_000, killSignal: 'SIGKILL' })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  child.stdin.on('error', () => undefined)
  const ended = once(child, 'close').then(([code, signal]): Outcome => ({ code, signal, ...said }))
  return {
    ended,
    running: () => child.exitCode === null && child.signalCode === null,
    kill: (signal: NodeJS.Signals = 'SIGTERM') => child.kill(signal),
    write: (text: string) => void child.stdin.write(text),
    eof: () => void child.stdin.end(),
    /** Waits until it has said this, on either stream. @returns what matched. */
    async says(words: RegExp, timeoutMs = 20_000): Promise<string> {
      for (const end = performance.now() + timeoutMs; performance.now() < end; await sleep(10)) {
        const found = words.exec(said.stdout) ?? words.exec(said.stderr)
        if (found) return found[0]
      }
      throw new Error(`it did not say ${words}, but: ${said.stdout}${said.stderr}`)
    },
  }
}
export type Program = ReturnType<typeof startProgram>

/** Runs it to its end, with nothing to read. */
export async function runProgram(
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<Outcome> {
  const program = startProgram(file, args, options)
  program.eof()
  return await program.ended
}
