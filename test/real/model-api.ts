// The Messages API of a model's provider, for agents of real gateways: it streams what a message asks for.
//   "run: id -u"      the answer is a call of the tool exec with that command, then what the tool said
//   anything else     the answer is "The model heard: …"

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

interface Block {
  type: string
  text?: string
  content?: unknown
}
interface Request {
  model: string
  stream?: boolean
  messages: { role: string; content: string | Block[] }[]
}

/** `ok` answers; a number is the status that refuses; `hang` never answers. */
export type Mood = 'ok' | 401 | 429 | 529 | 'hang'

export interface ModelCall {
  model: string
  /** What it was asked last. */
  said: string
  /** Which header had the credential, and the credential. */
  credential: string
}

const REFUSALS = { 401: 'authentication_error', 429: 'rate_limit_error', 529: 'overloaded_error' }
const USAGE = {
  input_tokens: 10,
  output_tokens: 5,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
}

/** Starts it on an address, 127.0.0.1 or one that containers can reach. */
export async function createModelApi(address = '127.0.0.1') {
  const calls: ModelCall[] = []
  const hanging = new Set<ServerResponse>()
  const revoked = new Set<string>()
  let mood: Mood = 'ok'
  const server = createServer(
    (request, response) => void serve(request, response).catch(() => response.destroy()),
  )

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body: Request = JSON.parse((await text(request)) || '{}')
    const messages = body.messages ?? []
    // What came since it last spoke: newer gateways add a message of their own behind a person's.
    const asked = messages.slice(messages.findLastIndex(({ role }) => role === 'assistant') + 1)
    const blocks = asked.flatMap(({ content }) =>
      typeof content === 'string' ? [{ type: 'text', text: content }] : content,
    )
    const said = blocks.flatMap(({ text: each }) => each ?? []).join('\n')
    const { authorization, 'x-api-key': key } = request.headers
    const credential = authorization ?? `x-api-key ${key}`
    calls.push({ model: body.model, said, credential })
    if (mood === 'hang') return void hanging.add(response)
    const refusal = mood === 'ok' && revoked.has(credential.replace(/^\S+ /, '')) ? 401 : mood
    if (refusal !== 'ok')
      return json(response, refusal, {
        type: 'error',
        error: { type: REFUSALS[refusal], message: 'so it was told' },
      })
    const content = answerTo(blocks, said)
    const message = {
      id: `msg_${calls.length}`,
      type: 'message',
      role: 'assistant',
      model: body.model,
      usage: USAGE,
    }
    const stop = { stop_reason: content.type === 'tool_use' ? 'tool_use' : 'end_turn', stop_sequence: null }
    if (body.stream) stream(response, message, content, stop)
    else json(response, 200, { ...message, ...stop, content: [content] })
  }

  await new Promise<void>((resolve) => server.listen(0, address, resolve))
  return {
    url: `http://${address}:${(server.address() as AddressInfo).port}`,
    /** Every request so far. */
    calls,
    /** Tokens that get 401, whatever its mood. */
    revoked,
    /** From now on; who was kept waiting is cut off. */
    be(next: Mood): void {
      mood = next
      for (const response of hanging) response.destroy()
      hanging.clear()
    },
    close(): Promise<void> {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}
export type ModelApi = Awaited<ReturnType<typeof createModelApi>>

function answerTo(blocks: Block[], said: string) {
  const result = blocks.find(({ type }) => type === 'tool_result')
  if (result) return { type: 'text', text: `The tool said: ${JSON.stringify(result.content)}` } as const
  const command = /run: (.+)/.exec(said)?.[1]
  if (!command) return { type: 'text', text: `The model heard: ${said.slice(-200)}` } as const
  return { type: 'tool_use', id: `toolu_${Date.now()}`, name: 'exec', input: { command } } as const
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

function stream(
  response: ServerResponse,
  message: object,
  content: ReturnType<typeof answerTo>,
  stop: object,
): void {
  const [begun, delta] =
    content.type === 'text'
      ? [
          { ...content, text: '' },
          { type: 'text_delta', text: content.text },
        ]
      : [
          { ...content, input: {} },
          { type: 'input_json_delta', partial_json: JSON.stringify(content.input) },
        ]
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of [
    { type: 'message_start', message: { ...message, content: [], stop_reason: null, stop_sequence: null } },
    { type: 'content_block_start', index: 0, content_block: begun },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: stop, usage: USAGE },
    { type: 'message_stop' },
  ])
    response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
  response.end()
}
