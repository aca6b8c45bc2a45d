// The terminal's side of the console: connects to the bot of a state directory, reads lines, prints answers.

import { fstatSync } from 'node:fs'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { messageOf, OpsError } from '../errors.ts'
import { createWire } from '../wire.ts'
import { type Reply, type SessionOptions, socketPath } from './console.ts'

/** Longer than the longest command: what takes minutes answers at once and shows its progress on a card. */
const LINE_MS = 120_000

export interface Terminal {
  greeting: string
  /** @throws OpsError when the bot ends meanwhile. */
  line(text: string): Promise<Reply>
  /** Takes what comes unasked, in a conversation that follows the alerts. */
  onShow(print: (text: string) => void): void
  close(): void
  closed: Promise<void>
}

/**
 * Opens a conversation with the bot that runs on this state directory.
 * @returns undefined when none runs.
 * @throws OpsError when one runs and this user may not speak with it.
 */
export async function dial(stateDir: string, options: SessionOptions): Promise<Terminal | undefined> {
  const socket = connect(socketPath(stateDir))
  const failed = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    socket.once('connect', () => resolve(undefined))
    socket.once('error', resolve)
  })
  if (failed?.code === 'EACCES')
    throw new OpsError(
      `You may not open ${socketPath(stateDir)}: use the account that the bot runs as, or root.`,
    )
  if (failed) return undefined
  const early: string[] = []
  let print = (text: string): unknown => early.push(text)
  const wire = createWire(socket, { show: ({ text }: { text: string }) => print(text) })
  const { output } = await wire.call<Reply>('open', options, { timeoutMs: LINE_MS })
  return {
    greeting: output,
    line: (text) => wire.call<Reply>('line', { text }, { timeoutMs: LINE_MS }),
    onShow(listener) {
      print = listener
      for (const text of early.splice(0)) listener(text)
    },
    close: wire.close,
    closed: wire.closed,
  }
}

/** Whether somebody, or something, can write to our standard input: a terminal, a pipe, a file, but not /dev/null. */
export function stdinIsUsable(): boolean {
  try {
    const stdin = fstatSync(0)
    return process.stdin.isTTY || stdin.isFIFO() || stdin.isFile() || stdin.isSocket()
  } catch {
    return false
  }
}

/**
 * Talks until standard input ends or the bot does.
 * @returns the exit code: 1 when a line of a script was not answered as it asked.
 */
export async function converse(terminal: Terminal, interactive: boolean): Promise<number> {
  const print = (text: string) => process.stdout.write(`${text}\n`)
  const input = createInterface({
    input: process.stdin,
    output: process.stdout,
    terminal: interactive,
    prompt: '> ',
  })
  let code = 0
  let cut = false
  void terminal.closed.then(() => {
    cut = true
    input.close()
  })
  // What comes unasked takes the line of the prompt, which follows it with what was typed so far.
  terminal.onShow((text) => {
    process.stdout.write('\r\x1b[K')
    print(text)
    if (!cut) input.prompt(true)
  })
  if (interactive) {
    print(terminal.greeting)
    input.prompt()
  }
  for await (const text of input) {
    if (text.trim()) {
      const reply = await terminal
        .line(text.trim())
        .catch((error) => ({ output: messageOf(error), ok: false }))
      print(reply.output)
      if (!reply.ok && !interactive) code = 1
    }
    if (interactive && !cut) input.prompt()
  }
  terminal.close()
  return code
}
