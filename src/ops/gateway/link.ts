// The gateway link: our script beside the gateway, kept open for ever, and what it says of how the gateway is.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { messageOf, OpsError } from '../../errors.ts'
import { errorFields, type Log } from '../../log.ts'
import { createWire, type Wire } from '../../wire.ts'
import type { Inside } from './inside.ts'
import { NOT_THERE } from './inside.ts'
import { EVENTS, type EventName, METHODS, type MethodName, type Result } from './methods.ts'
import type { Announced, LinkState, OpenLink, Ready, ShutLink } from './standing.ts'

/** The gateway refused a call, or could not be asked. `code` is the gateway's own, or `CLOSED`, `MUTE`, `LATE`, `ABSENT`. */
export class GatewayError extends OpsError {
  readonly code: string
  constructor(message: string, code: string) {
    super(message)
    this.code = code
  }
}

export interface Link {
  start(): void
  stop(): void
  state(): LinkState
  /** How the gateway is over HTTP, as far as it is known. */
  ready(): Ready | undefined
  /** Asks the gateway. @throws GatewayError when it is not reached, refuses or answers in another shape. */
  call<M extends MethodName>(method: M, params?: Record<string, unknown>): Promise<Result<M>>
  /** Tries at once: the gateway's container has just been started. */
  hurry(): void
  /** Opens the line anew, with what we can do by now. */
  reopen(): void
}

export interface LinkOptions {
  /** Where the gateway runs now. @returns undefined when it does not run. @throws OpsError */
  where: () => Promise<Inside | undefined>
  identity: () => Promise<string>
  /** What we tell the gateway that we can do. */
  caps: () => string[]
  /** What is not found out by the script itself: where else it listens. */
  orders: () => Promise<{ port?: number; url?: string }>
  onChange: (now: LinkState, before: LinkState) => void
  onReady: (ready: Ready) => void
  onEvent: (event: EventName, payload: unknown) => void
  now: () => number
  log: Log
}

const BACK_OFF_MS = [250, 500, 1_000, 2_000, 5_000, 15_000]
const HELLO_MS = 10_000
const PING_MS = 20_000
const PING_DEADLINE_MS = 10_000
const MUTE_MS = 1_000

/** The script, as text: it runs with the gateway's Node, beside the gateway. */
const readScript = () => readFileSync(join(import.meta.dirname, 'script.cjs'), 'utf8')

export function createLink(options: LinkOptions): Link {
  const { where, onChange, now, log } = options
  let state: LinkState = {
    state: 'shut',
    since: now(),
    seenAt: 0,
    code: 'NOT_RUNNING',
    why: 'It was not looked for yet.',
  }
  let ready: Ready | undefined
  let wire: Wire | undefined
  let wake = () => {}
  let stopped = false
  let hurried = false

  function become(next: OpenLink | ShutLink): void {
    const before = state
    if (before.state === 'shut' && next.state === 'shut' && before.code === next.code) {
      state = { ...before, seenAt: now() }
      return
    }
    state = next
    log.info(
      `the gateway link is ${next.state}`,
      next.state === 'shut' ? { code: next.code, why: next.why } : {},
    )
    onChange(next, before)
  }

  const shut = (code: string, why: string, announced?: Announced) =>
    become({ state: 'shut', since: now(), seenAt: now(), code, why, ...(announced && { announced }) })

  const handlers = {
    state({
      open,
      ...said
    }: { open: boolean } & Omit<OpenLink, 'state' | 'since'> & {
        code: string
        message: string
        announced?: Announced
      }) {
      if (open) become({ ...said, state: 'open', since: now() })
      else shut(said.code, said.message, said.announced)
    },
    ready(seen: Ready) {
      ready = seen
      options.onReady(seen)
    },
    event: ({ event, payload }: { event: EventName; payload: unknown }) => options.onEvent(event, payload),
  }

  /** Why a script ended that never spoke. */
  async function diagnose(inside: Inside, stderr: string): Promise<void> {
    const { exitCode } = await inside
      .exec([inside.node, '--version'], { timeoutMs: 5_000 })
      .catch(() => ({ exitCode: 0 }))
    if (NOT_THERE.includes(exitCode))
      shut('NO_NODE', 'There is no Node in its container, so it is no OpenClaw gateway.')
    else
      shut(
        'BROKEN',
        stderr
          .split('\n')
          .findLast((line) => /\w/.test(line))
          ?.slice(0, 200) ?? 'The script ended and said nothing.',
      )
  }

  /** One session of the script, from its start to its end. @returns whether it ever worked. */
  async function session(inside: Inside): Promise<boolean> {
    const { stream, ended } = await inside.open([inside.node, '-e', readScript()])
    const line = createWire(stream, handlers)
    // Its first word may be that it is open, and who hears of that asks at once.
    wire = line
    let greeted = false
    const pulse = setInterval(() => {
      line.call('ping', {}, { timeoutMs: PING_DEADLINE_MS }).catch(() => stream.destroy())
    }, PING_MS)
    try {
      const [key, orders] = [await options.identity(), await options.orders()]
      const methods = Object.keys(METHODS)
      await line.call(
        'hello',
        { ...orders, key, caps: options.caps(), methods, events: EVENTS },
        { timeoutMs: HELLO_MS },
      )
      greeted = true
      if (stopped) line.close()
      await line.closed
      return true
    } catch (error) {
      if (greeted) throw error
      stream.destroy()
      return false
    } finally {
      clearInterval(pulse)
      wire = undefined
      ready = undefined
      const { stderr } = await ended
      if (greeted) shut('CLOSED', 'Its script ended.')
      else if (!stopped) await diagnose(inside, stderr)
    }
  }

  async function run(): Promise<void> {
    let tries = 0
    while (!stopped) {
      try {
        const inside = await where()
        if (!inside) shut('NOT_RUNNING', 'The gateway does not run.')
        else if (await session(inside)) tries = 0
      } catch (error) {
        shut('ENGINE', messageOf(error))
        log.debug('the gateway link was not opened', errorFields(error))
      }
      if (stopped) return
      await rest(BACK_OFF_MS[Math.min(tries, BACK_OFF_MS.length - 1)] ?? 0)
      tries = hurried ? 0 : tries + 1
      hurried = false
    }
  }

  /** Waits, unless somebody is in a hurry. */
  async function rest(ms: number): Promise<void> {
    if (hurried) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    wake = resolve
    await promise
    clearTimeout(timer)
  }

  async function call<M extends MethodName>(
    method: M,
    params: Record<string, unknown> = {},
  ): Promise<Result<M>> {
    if (!wire || state.state !== 'open')
      throw new GatewayError('There is no line into the gateway.', 'CLOSED')
    if (!state.methods.includes(method))
      throw new GatewayError(`This gateway does not know ${method}.`, 'ABSENT')
    const { timeoutMs, result } = METHODS[method]
    type Said = { ok: true; payload: unknown } | { ok: false; error: { code?: string; message?: string } }
    const said = await wire.call<Said>('rpc', { method, params }, { timeoutMs }).catch(async () => {
      if (!wire) throw new GatewayError('The line into the gateway was cut.', 'CLOSED')
      // In a container that is paused not even our own script answers.
      await wire.call('ping', {}, { timeoutMs: MUTE_MS }).catch(() => {
        throw new GatewayError('Nothing is heard on the line into the gateway.', 'MUTE')
      })
      throw new GatewayError(`The gateway did not answer ${method} within ${timeoutMs / 1_000} s.`, 'LATE')
    })
    if (!said.ok)
      throw new GatewayError(said.error.message ?? 'The gateway refused.', said.error.code ?? 'REFUSED')
    const parsed = result.safeParse(said.payload)
    if (parsed.success) return parsed.data as Result<M>
    const [issue] = parsed.error.issues
    throw new GatewayError(
      `The gateway's answer to ${method} is unlike any that is known: ${issue?.path.join('.')} ${issue?.message}.`,
      'SHAPE',
    )
  }

  return {
    start: () => void run().catch((error) => log.error('the gateway link broke', errorFields(error))),
    stop() {
      stopped = true
      wake()
      wire?.close()
    },
    state: () => state,
    ready: () => ready,
    call,
    hurry() {
      hurried = true
      wake()
    },
    reopen: () => wire?.close(),
  }
}
