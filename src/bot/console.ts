// The console: the same bot on a terminal, always through the running bot's 0600 socket, with the rights of an owner.

import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { messageOf, OpsError } from '../errors.ts'
import { errorFields, type Redact } from '../log.ts'
import { gatherDigest } from '../ops/digest.ts'
import type { Ops } from '../ops/index.ts'
import { createWire, type Wire } from '../wire.ts'
import { dataOf } from './buttons.ts'
import { digestPage, pageOfCard } from './cards.ts'
import type { Clock } from './clock.ts'
import type { Incoming, Person, Place } from './command.ts'
import type { Dispatch } from './dispatch.ts'
import { holdsSecret } from './guard.ts'
import type { Button, Page } from './page.ts'
import { terminal } from './render.ts'

export const socketPath = (stateDir: string): string => join(stateDir, 'console.sock')

/** What the console says of a line: the text to print, and whether it did what was asked. */
export interface Reply {
  output: string
  ok: boolean
}

const OWNER: Person = { id: 0, name: 'console', role: 'owner' }
const PLACE: Place = { chatId: 0, kind: 'console' }

export interface ConsoleOptions {
  ops: Ops
  dispatch: Dispatch
  clock: Clock
  redact: Redact
  /** Resolves when the first look at everything is done, so that the first answer has figures. */
  ready: Promise<void>
}

export interface SessionOptions {
  colour: boolean
  /** Print alerts as they come. */
  follow: boolean
}

/** One terminal's conversation: its numbered buttons, and the alerts that it was shown. */
function createSession(
  options: ConsoleOptions,
  { colour, follow }: SessionOptions,
  print: (text: string) => void,
) {
  const { ops, dispatch, clock, redact } = options
  const { cards, now } = ops
  const since = now()
  const shown = new Map<number, number>()
  const buttons: Button[] = []

  function render(page: Page): string {
    const text = terminal(page, { colour, firstNumber: buttons.length + 1 })
    buttons.push(...(page.buttons ?? []).flat())
    return redact(text)
  }

  function showNews(): void {
    for (const card of cards.raisedSince(since)) {
      if ((shown.get(card.id) ?? 0) >= card.revision) continue
      const unseen = !shown.has(card.id)
      shown.set(card.id, card.revision)
      print(render(pageOfCard(card, unseen, clock)))
    }
  }

  function incoming(text: string, button: boolean): Incoming {
    const secret = !button && holdsSecret(text) && { secret: true as const }
    return {
      ...{ person: OWNER, place: PLACE, text, button, addressed: true, now: now(), begin() {} },
      ...secret,
    }
  }

  const unwatch = follow ? cards.watch(showNews) : () => {}
  return {
    greet(): string {
      const digest = gatherDigest(ops, now())
      return [
        'opsbot console. /help lists the commands; a number presses a button; Ctrl-D leaves.',
        ...(digest.open.length > 0 ? [render(digestPage(digest, clock))] : []),
      ].join('\n')
    },
    async line(text: string): Promise<Reply> {
      await options.ready
      const pressed = /^\d+$/.test(text) ? buttons[Number(text) - 1] : undefined
      if (pressed && 'url' in pressed) return { output: pressed.url, ok: true }
      const call = pressed ? incoming(dataOf(pressed), true) : incoming(text, false)
      const words = !pressed && !text.startsWith('/')
      const asked = call.secret || (words && dispatch.waits(OWNER, PLACE, now()))
      const answer = asked ? await dispatch.hear(text, call) : await dispatch.handle(call)
      const page = answer?.page ?? { title: '' }
      return { output: render(page), ok: page.failed !== true }
    },
    end: unwatch,
  }
}

/** Listens on the socket of this state directory. The caller holds its lock, so a socket that lies there is dead. */
export function openConsole(options: ConsoleOptions) {
  const path = socketPath(options.ops.config.stateDir)
  const connections = new Map<Socket, Wire>()
  const server: Server = createServer((socket) => {
    let session: ReturnType<typeof createSession> | undefined
    const wire: Wire = createWire(socket, {
      open(params: SessionOptions) {
        session ??= createSession(options, params, (text) => wire.tell('show', { text }))
        return { output: session.greet(), ok: true } satisfies Reply
      },
      async line({ text }: { text: string }): Promise<Reply> {
        if (!session) throw new OpsError('The console was not opened.')
        return await session.line(text)
      },
    })
    connections.set(socket, wire)
    void wire.closed.then(() => {
      session?.end()
      connections.delete(socket)
    })
  })
  server.on('error', (error) => options.ops.log.error('the console socket broke', errorFields(error)))

  return {
    async listen(): Promise<void> {
      rmSync(path, { force: true })
      try {
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        server.once('error', reject)
        server.listen(path, resolve)
        await promise
        chmodSync(path, 0o600)
      } catch (error) {
        throw new OpsError(
          `The console socket ${path} cannot be made: ${messageOf(error)}. A shorter OPSBOT_STATE_DIR may help.`,
          { cause: error },
        )
      }
    },
    async close(): Promise<void> {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of connections.keys()) socket.destroy()
      // The conversations too, or one of them would yet look for news in a state that is closed.
      await Promise.all([closed, ...[...connections.values()].map((wire) => wire.closed)])
    },
  }
}
