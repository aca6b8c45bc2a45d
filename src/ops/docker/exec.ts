// Programs run inside a container: once with their output, or kept open with their stdin and stdout as a stream.

import { Duplex, PassThrough, type Readable, type Writable } from 'node:stream'
import type Dockerode from 'dockerode'
import { demux, type ExecResult } from './facts.ts'

export interface ExecOptions {
  timeoutMs: number
  /** A user of the container; its own default when left out. */
  user?: string
  /** Written to stdin, which is otherwise closed. */
  input?: string
}

/** A program that is kept open. */
export interface Session {
  /** What is written goes to its stdin, what is read is its stdout. Destroying it closes both. */
  stream: Duplex
  /** Resolves when it ended, with what it said last on stderr. */
  ended: Promise<{ stderr: string }>
}

/** A program that was started inside and goes on whatever becomes of us. It can be found again by its exec's id. */
export interface Attached {
  /** The exec's id. */
  exec: string
  stdin: Writable
  stdout: Readable
  stderr: Readable
}

/** How a program stands that was started inside. */
export interface Execution {
  running: boolean
  /** Once it has ended. */
  exitCode?: number
}

/** So much of what a program says on stderr is kept. Characters. */
const STDERR_KEPT = 2_000

/** More output than this is cut. Bytes. */
const MOST_OUTPUT = 16 << 20

interface Shape {
  argv: readonly string[]
  user?: string | undefined
  stdin: boolean
  signal: AbortSignal
}

/** Makes an exec and starts it. */
async function begin(container: Dockerode.Container, { argv, user, stdin, signal }: Shape) {
  const exec = await container.exec({
    ...{ Cmd: [...argv], AttachStdout: true, AttachStderr: true, AttachStdin: stdin, abortSignal: signal },
    ...(user && { User: user }),
  })
  return { exec, stream: await exec.start({ hijack: true, stdin, abortSignal: signal }) }
}

/** Runs a program to its end. */
export async function runIn(
  container: Dockerode.Container,
  argv: readonly string[],
  { user, input }: Pick<ExecOptions, 'user' | 'input'>,
  signal: AbortSignal,
): Promise<ExecResult> {
  const { exec, stream } = await begin(container, { argv, user, stdin: input !== undefined, signal })
  const cut = () => stream.destroy()
  signal.addEventListener('abort', cut)
  if (input !== undefined) stream.end(input)
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of stream) {
      length += chunk.length
      if (length <= MOST_OUTPUT) chunks.push(chunk)
    }
  } finally {
    signal.removeEventListener('abort', cut)
  }
  const { ExitCode } = await exec.inspect({ abortSignal: signal })
  return { exitCode: ExitCode ?? -1, ...demux(Buffer.concat(chunks)) }
}

/** Starts a program and keeps it open. */
export async function openIn(
  container: Dockerode.Container,
  argv: readonly string[],
  user: string | undefined,
  signal: AbortSignal,
): Promise<Session> {
  const { stream: socket } = await begin(container, { argv, user, stdin: true, signal })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  container.modem.demuxStream(socket, stdout, stderr)
  let said = ''
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-STDERR_KEPT)
  })
  const stream = Duplex.from({ readable: stdout, writable: socket })
  const ended = new Promise<{ stderr: string }>((resolve) => {
    socket.on('close', () => {
      stdout.end()
      resolve({ stderr: said.trim() })
    })
  })
  socket.on('end', () => stdout.end())
  socket.on('error', () => stream.destroy())
  stream.on('error', () => socket.destroy())
  stream.on('close', () => socket.destroy())
  return { stream, ended }
}

/** Starts a program and stays with its output for as long as we live; it does not end with us. */
export async function attachIn(
  container: Dockerode.Container,
  argv: readonly string[],
  { user, stdin }: Pick<Shape, 'user' | 'stdin'>,
  signal: AbortSignal,
): Promise<Attached> {
  const { exec, stream: socket } = await begin(container, { argv, user, stdin, signal })
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  container.modem.demuxStream(socket, stdout, stderr)
  // A connection that is lost is the end of what we hear, not of the program.
  socket.on('error', () => socket.destroy())
  socket.on('close', () => {
    stdout.end()
    stderr.end()
  })
  socket.on('end', () => {
    stdout.end()
    stderr.end()
  })
  return { exec: exec.id, stdin: socket, stdout, stderr }
}
