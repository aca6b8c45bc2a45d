// The HTTP side of the fake: reads a call, lets faults have their way, decides it, writes the answer.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ApiError, ApiResponse } from 'grammy/types'
import type { Call } from './calls.ts'
import type { Methods } from './methods.ts'
import { answerOf, type Mishap } from './mishaps.ts'
import { type Params, readParams, type Uploads } from './params.ts'
import { isRefusal, refusal } from './refusal.ts'

type Body = ApiResponse<unknown>
type Read = { params: Params; uploads: Uploads; failure?: unknown }

/** What the server asks of the rest. */
export type Backstage = {
  token: string
  methods: Methods
  /** The fault that hits this call, if any. */
  mishapOf: (method: string) => Mishap | undefined
  /** Throws when a call comes too fast. */
  floodGate: (method: string, params: Params) => void
  record: (call: Call) => void
  changed: () => void
}

/** A server that is not listening yet. */
export function createBotApi({ token, methods, mishapOf, floodGate, record, changed }: Backstage): Server {
  const known = new Map(Object.entries(methods).map(([name, run]) => [name.toLowerCase(), { name, run }]))

  /** Decides a call that no fault keeps from taking effect. */
  const decide = async (path: Path, { params, uploads, failure }: Read, gone: AbortSignal): Promise<Body> => {
    try {
      if (path.token !== token) throw refusal(401, 'Unauthorized')
      const method = known.get(path.method.toLowerCase())
      if (!method) throw refusal(404, 'Not Found')
      if (failure) throw failure
      floodGate(method.name, params)
      return { ok: true, result: await method.run({ params, uploads, gone }) }
    } catch (error) {
      return errorBody(error)
    }
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const at = performance.now()
    const gone = goneSignal(response)
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const path = readPath(url)
    if (!path) return write(response, errorBody(refusal(404, 'Not Found')))
    const read: Read = await readParams(request, url.searchParams).catch((failure: unknown) => ({
      params: {},
      uploads: new Map(),
      failure,
    }))
    const method = known.get(path.method.toLowerCase())?.name ?? path.method
    const call: Call = { method, params: read.params, at, status: 0 }
    record(call)
    changed()
    const mishap = mishapOf(method)
    if (mishap?.kind === 'hang') return
    if (mishap?.kind === 'reset') return reset(response)
    if (mishap?.kind === 'delay') await sleep(mishap.delayMs ?? 0)
    const body = mishap?.kind === 'status' ? answerOf(mishap) : await decide(path, read, gone)
    call.status = body.ok ? 200 : body.error_code
    call.returned = structuredClone(body.ok ? body.result : body)
    if (mishap?.kind === 'drop-after-ok') reset(response)
    else if (!gone.aborted) {
      await write(response, body, mishap?.body)
      call.answeredAt = performance.now()
    }
    changed()
  }

  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy())
  })
  // A client may keep its connections for ever; when they break is for faults to say, not for Node's housekeeping.
  return Object.assign(server, { keepAliveTimeout: 0, requestTimeout: 0, headersTimeout: 0 })
}

/** Listens on a port of 127.0.0.1, any if 0, and says which. */
export function listen(server: Server, port: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  server.once('error', reject)
  server.listen(port, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  return promise
}

type Path = { token: string; method: string }

function readPath(url: URL): Path | undefined {
  const [, token, method] = /^\/bot([^/]+)\/(?:test\/)?(\w+)$/.exec(decodeURIComponent(url.pathname)) ?? []
  return token && method ? { token, method } : undefined
}

function errorBody(error: unknown): ApiError {
  // A bug of the fake must not look like an answer of Telegram.
  if (!isRefusal(error))
    return { ok: false, error_code: 500, description: `bug in the fake Telegram: ${stackOf(error)}` }
  const { status, message, parameters } = error
  return { ok: false, error_code: status, description: message, ...(parameters && { parameters }) }
}

const stackOf = (error: unknown) => (error instanceof Error ? error.stack : String(error))

function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => response.writableFinished || controller.abort())
  return controller.signal
}

const reset = (response: ServerResponse): void => void response.socket?.resetAndDestroy()

function write(response: ServerResponse, body: Body, instead?: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('close', resolve)
  response.writeHead(body.ok ? 200 : body.error_code, {
    'content-type': instead ? 'text/html' : 'application/json',
  })
  response.end(instead ?? JSON.stringify(body), resolve)
  return promise
}
