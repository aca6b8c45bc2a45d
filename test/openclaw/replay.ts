// A gateway for tests that says what real ones of two versions said, as strict as they are, and breaks on command.

import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApprovals, type Request, type Resolved } from './approvals.ts'
import { createDoor, type Knock, knockOf, type Said } from './door.ts'
import { type Frames, speakFrames } from './frames.ts'
import { type Connect, refusalOf } from './handshake.ts'
import { type Recording, type Refusal, type RefusalName, readRecording, type Version } from './recording.ts'
import { createWaitingRoom } from './waiting.ts'

export interface ReplayOptions {
  version: Version
  /** What it takes; undefined is a gateway whose own token nobody knows. */
  token?: string
  password?: string
  now?: () => number
}

/** One who has come in. */
export interface Client {
  connect: Connect
  frames: Frames
}

/** Clients of this mode need no pairing with a signed device on the gateway's own host (measured, both versions). */
const UNPAIRED = 'backend'

export interface Asked {
  method: string
  params: Record<string, unknown>
}

/** How it fails until told otherwise. */
export interface Trouble {
  /** Everybody is refused with this. */
  refuse?: RefusalName
  /** It answers every HTTP request, upgrades too, with this. */
  http?: { status: number; body: object }
  /** It takes connections: `mute` says nothing on a line, `stuck` answers no HTTP at all. */
  mute?: true
  stuck?: true
  /** Who comes in from now on has no other scopes than these. */
  scopes?: string[]
}

export type Replay = Awaited<ReturnType<typeof createReplay>>

/** Scopes that a method wants; what is not in here wants none, or only that to read. */
const SCOPES: Record<string, string> = {
  'exec.approval.list': 'operator.approvals',
  'exec.approval.resolve': 'operator.approvals',
  'gateway.restart.request': 'operator.admin',
  'device.pair.list': 'operator.pairing',
  'device.pair.approve': 'operator.pairing',
  'device.pair.reject': 'operator.pairing',
  'device.pair.remove': 'operator.pairing',
  'device.token.rotate': 'operator.pairing',
  'device.token.revoke': 'operator.pairing',
  'node.pair.list': 'operator.pairing',
  'channels.pairing.list': 'operator.pairing',
  'channels.pairing.approve': 'operator.pairing',
}

/** Events that go only to those who may. */
const EVENT_SCOPES: Record<string, string> = {
  'exec.approval.requested': 'operator.approvals',
  'exec.approval.resolved': 'operator.approvals',
  'device.pair.requested': 'operator.pairing',
  'device.pair.resolved': 'operator.pairing',
  'device.pair.changed': 'operator.pairing',
  'node.pair.requested': 'operator.pairing',
  'node.pair.resolved': 'operator.pairing',
}

/** A refusal with its words filled in. */
const fill = (refusal: Refusal, word: string): Refusal['error'] =>
  JSON.parse(JSON.stringify(refusal.error).replaceAll(/\{\w+\}/g, word))

export async function createReplay({ version, token, password, now = Date.now }: ReplayOptions) {
  const recording: Recording = readRecording(version)
  const clients = new Set<Client>()
  const lines = new Set<Frames>()
  const asked: Asked[] = []
  const answers = new Map<string, unknown>(Object.entries(recording.answers))
  let readyz = recording.readyz
  let trouble: Trouble = {}
  let seq = 0
  let port = 0
  const counts = { http: 0, lines: 0 }

  const isTold = ({ connect }: Client, event: string) => {
    const scope = EVENT_SCOPES[event]
    if (!scope) return true
    // Of approvals newer versions tell only those who say that they can answer (measured).
    const picky = recording.protocol > 3 && event.startsWith('exec.approval.')
    const able = !picky || connect.caps.some((cap) => /approvals$/.test(cap))
    return able && connect.scopes.includes(scope)
  }

  function emit(event: string, payload: unknown): void {
    const text = JSON.stringify({ type: 'event', event, payload, seq: ++seq })
    for (const client of clients) if (isTold(client, event)) client.frames.send(text)
  }

  const approvals = createApprovals(recording, now, (event: string, payload: Request | Resolved) =>
    emit(event, payload),
  )
  const hangUp = (deviceId: string, code: number, reason: string) => {
    for (const { connect, frames } of clients) if (connect.device?.id === deviceId) frames.close(code, reason)
  }
  const door = createDoor(recording, now, emit, hangUp)
  const waiting = createWaitingRoom(recording, now, emit)
  const pairing = { ...door.methods, ...waiting.methods }

  /** What a method answers; a refusal by its name. */
  function answerTo({ connect }: Client, { method, params }: Asked): Said | 'always' {
    if (method === 'connect') return 'again'
    if (!recording.hello.features.methods.includes(method)) return 'method'
    if (SCOPES[method] && !connect.scopes.includes(SCOPES[method])) return 'scope'
    const answer = answers.get(method)
    if (typeof answer === 'function') return { payload: answer(params) }
    if (pairing[method]) return pairing[method](params, connect.scopes)
    if (method === 'exec.approval.list') return { payload: approvals.list() }
    if (method !== 'exec.approval.resolve') return { payload: answer }
    const by = connect.client.displayName ?? connect.client.id
    return approvals.resolve(params.id, params.decision, by) ?? { payload: { ok: true } }
  }

  function onCall(client: Client, { id, method, params = {} }: Asked & { id: string }): void {
    asked.push({ method, params })
    const answer = answerTo(client, { method, params })
    if (typeof answer === 'string') {
      const error = fill(recording.refusals[answer] ?? recording.refusals.method, SCOPES[method] ?? method)
      client.frames.send(JSON.stringify({ type: 'res', id, ok: false, error }))
      return
    }
    // An answer that never comes is a promise that nobody resolves.
    Promise.resolve(answer.payload)
      .then((payload) => client.frames.send(JSON.stringify({ type: 'res', id, ok: true, payload })))
      .catch(() => client.frames.destroy())
  }

  /** One line, from its challenge to its end. */
  function onUpgrade(request: IncomingMessage, socket: Duplex): void {
    counts.lines += 1
    if (trouble.stuck) return
    if (trouble.http) return void socket.end(`HTTP/1.1 ${trouble.http.status} Refused\r\n\r\n`)
    const nonce = randomUUID()
    let client: Client | undefined
    const frames = speakFrames(request, socket, {
      onText: (text) => onFrame(text),
      onEnd() {
        lines.delete(frames)
        if (!client) return
        clients.delete(client)
        door.leave(client.connect.device?.id ?? '')
      },
    })
    lines.add(frames)
    const refuse = (id: string, name: RefusalName, details = {}) => {
      const { error, close } = recording.refusals[name]
      const said = { ...error, ...(error.details && { details: { ...error.details, ...details } }) }
      frames.send(JSON.stringify({ type: 'res', id, ok: false, error: said }))
      if (close) frames.close(close, error.message)
    }
    /** Newer versions let in who comes from their own host; who comes through a proxy has to ask (measured). */
    function pairs(knock: Knock) {
      if (knock.clientMode === UNPAIRED) return undefined
      if (
        recording.protocol > 3 &&
        !knock.remoteIp &&
        !door.paired().some(({ deviceId }) => deviceId === knock.deviceId)
      )
        door.letIn(knock)
      return door.knock(knock)
    }
    function onFrame(text: string): void {
      if (trouble.mute) return
      let frame: { id: string; method: string; params: Connect & Record<string, unknown> }
      try {
        frame = JSON.parse(text)
      } catch {
        frames.close(1000, '')
        return
      }
      if (client) onCall(client, frame)
      else if (frame.method !== 'connect') refuse(frame.id, 'first')
      else greet(frame.id, frame.params)
    }
    function greet(id: string, connect: Connect): void {
      const expected = {
        protocol: recording.protocol,
        token,
        now: now(),
        nonce,
        ...(password && { password }),
      }
      const refusal = trouble.refuse ?? refusalOf(connect, expected)
      if (refusal) {
        refuse(id, refusal)
        return
      }
      const from = `${request.headers['x-forwarded-for'] ?? ''}`
      const knock = knockOf(connect, from)
      const asks = pairs(knock)
      if (asks) {
        refuse(id, 'pairing', { requestId: asks.requestId })
        return
      }
      const scopes = connect.scopes.filter((each) => trouble.scopes?.includes(each) ?? true)
      client = { connect: { ...connect, scopes }, frames }
      clients.add(client)
      frames.send(JSON.stringify({ type: 'res', id, ok: true, payload: recording.hello }))
      door.enter(knock)
      const { caps, commands = [], client: by, device } = connect
      if (connect.role === 'node')
        waiting.nodeAsks({ nodeId: device?.id ?? '', displayName: by.displayName ?? by.id, caps, commands })
      // It comes within a minute of itself; here at once.
      emit('health', recording.answers.health)
    }
    if (!trouble.mute)
      frames.send(
        JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce, ts: now() } }),
      )
  }

  function onRequest(_: IncomingMessage, response: ServerResponse): void {
    counts.http += 1
    if (trouble.stuck) return
    const { status, body } = trouble.http ?? readyz
    const type = trouble.http ? 'application/json' : readyz.type
    response.writeHead(status, { 'content-type': type })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }

  let server: Server

  async function up(): Promise<void> {
    server = createServer(onRequest).on('upgrade', onUpgrade)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    server.once('error', reject).listen(port, '127.0.0.1', resolve)
    await promise
    port = (server.address() as AddressInfo).port
  }

  /** Nobody listens any more; all lines are cut without a word. */
  async function down(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    server.close(() => resolve())
    server.closeAllConnections()
    for (const line of lines) line.destroy()
    await promise
  }

  await up()
  const url = `ws://127.0.0.1:${port}`
  return {
    ...{ version, recording, url, asked, counts, emit, up, down, door, waiting },
    clients: () => [...clients],
    /** The client that came last. */
    client: () => [...clients].at(-1),
    /** How it fails from now on; `{}` ends it. */
    trouble(next: Trouble): void {
      trouble = next
    },
    /** What a method answers from now on; a function may give a promise that never ends. */
    answer: (method: string, answer: unknown) => void answers.set(method, answer),
    /** What it says of itself over HTTP from now on, where its version says anything. */
    say(body: Record<string, unknown>): void {
      const before = recording.readyz.body as object
      readyz = { ...readyz, status: body.ready === false ? 503 : 200, body: { ...before, ...body } }
    },
    ...{ ask: approvals.ask, sweep: approvals.sweep, pending: approvals.list },
    /** Somebody else answers, in the Control UI say. */
    answerElsewhere: (id: string, decision: string, by: string) => approvals.resolve(id, decision, by),
    /** Text on every line, as it is. */
    blurt(text: string): void {
      for (const line of lines) line.send(text)
    },
    /** Breaks every line without a word. */
    cut(): void {
      for (const line of lines) line.destroy()
    },
    /** Tells of it, closes its lines, is away for so long, and has forgotten what agents asked. */
    async restart(downMs: number): Promise<void> {
      emit('shutdown', recording.events.shutdown)
      for (const { frames } of clients) frames.close(1012, 'service restart')
      approvals.clear()
      await sleep(20)
      await down()
      await sleep(downMs)
      await up()
    },
    async close(): Promise<void> {
      if (server.listening) await down()
    },
  }
}
