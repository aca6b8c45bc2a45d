// A fake of Anthropic for real CLIs: token endpoint, profile, usage and messages, behind a proxy that leads every host to it.
//
//   api = await createAnthropic()                   // { address } of a bridge, for containers
//   env: HTTPS_PROXY=api.proxyUrl NODE_EXTRA_CA_CERTS=api.caFile
//   api.issue({ lifeMs: 240_000 })                  // what belongs into `.credentials.json`
//   api.be({ refresh: 400, messages: 'usage_limit' })
//   api.approve(url)                                // signs in at the URL of `auth login`, and gives `code#state` to paste
//
// A refresh token works once, and one that was used is refused: what the CLI did not save is lost, as it would be.

import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer as createProxy, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeToken } from './cli.ts'

const HOSTS = ['api.anthropic.com', 'platform.claude.com']
const SCOPES = [
  'user:inference',
  'user:profile',
  'user:sessions:claude_code',
  'user:mcp_servers',
  'user:file_upload',
]
const ACCOUNT = '22222222-2222-4222-8222-222222222222'
const ORGANIZATION = '11111111-1111-4111-8111-111111111111'

/** How it answers from now on; a number is the status that refuses, `drop` ends the connection without a word. */
export interface Manner {
  /** 400 and 401 refuse the refresh token for good, `time_limit` because the login has ended; `slow` takes `slowMs`. */
  refresh?: 'ok' | 'slow' | 'drop' | 'time_limit' | 400 | 401 | 429 | 500
  /** Of a pasted code. */
  login?: 'ok' | 'drop' | 400 | 401 | 429 | 500
  /** `ok` asks for a token that is known and has not ended. */
  messages?: 'ok' | 'drop' | 'usage_limit' | 401 | 403 | 429 | 500 | 529
  /** 3,000. */
  slowMs?: number
  /** Of the access tokens that it gives; 8 hours. */
  lifeMs?: number
}

export interface AnthropicCall {
  method: string
  host: string
  path: string
  status: number
  /** Of a call of the token endpoint. */
  grant?: string
}

export type Anthropic = Awaited<ReturnType<typeof createAnthropic>>

/** A certificate for the hosts, signed by an authority that exists since now. */
function certify(dir: string) {
  const at = (name: string) => join(dir, name)
  const openssl = (...args: string[]) => void execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=opsbot test CA')
  writeFileSync(at('san.cnf'), `subjectAltName=${HOSTS.map((host) => `DNS:${host}`).join(',')}\n`)
  openssl(
    'req',
    ...key.slice(0, -2),
    '-keyout',
    'server.key',
    '-out',
    'server.csr',
    '-subj',
    `/CN=${HOSTS[0]}`,
  )
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'san.cnf']
  openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.pem')
  return { caFile: at('ca.pem'), key: readFileSync(at('server.key')), cert: readFileSync(at('server.pem')) }
}

/** Starts it on an address, 127.0.0.1 or one that containers can reach. */
export async function createAnthropic({ address = '127.0.0.1' } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'opsbot-anthropic-'))
  chmodSync(dir, 0o755)
  const { caFile, key, cert } = certify(dir)
  const calls: AnthropicCall[] = []
  /** Access tokens, and when they end. */
  const access = new Map<string, number>()
  const refreshes = new Set<string>()
  /** Codes that were not used yet, and what has to be proven with them. */
  const codes = new Map<string, string>()
  /** Tokens and codes, used or not. */
  const secrets: string[] = []
  let manner: Manner = {}

  function give(lifeMs = manner.lifeMs ?? 8 * 3_600_000) {
    const given = { access: fakeToken(), refresh: fakeToken('ort'), expiresAt: Date.now() + lifeMs }
    access.set(given.access, given.expiresAt)
    refreshes.add(given.refresh)
    secrets.push(given.access, given.refresh)
    return given
  }

  async function tokens(request: IncomingMessage, call: AnthropicCall): Promise<Answer> {
    const body = JSON.parse(await text(request))
    call.grant = body.grant_type
    const signsIn = body.grant_type === 'authorization_code'
    const how = (signsIn ? manner.login : manner.refresh) ?? 'ok'
    if (how === 'drop') return 'drop'
    if (how === 'time_limit') return refusal(400, 'Refresh token expired')
    if (how === 400 || how === 401) return refusal(how, 'Refresh token not found or invalid')
    if (how === 429 || how === 500) return failure(how)
    if (signsIn) {
      const proof = createHash('sha256').update(`${body.code_verifier}`).digest('base64url')
      if (codes.get(body.code) !== proof) return refusal(400, 'Invalid code')
      codes.delete(body.code)
    } else if (!refreshes.delete(body.refresh_token))
      return refusal(400, 'Refresh token not found or invalid')
    // It has been exchanged now, whether the answer arrives or not.
    const given = give()
    if (how === 'slow') await sleep(manner.slowMs ?? 3_000)
    return {
      status: 200,
      body: {
        ...{ token_type: 'Bearer', access_token: given.access, refresh_token: given.refresh },
        ...{ expires_in: Math.round((given.expiresAt - Date.now()) / 1_000), scope: SCOPES.join(' ') },
        account: { uuid: ACCOUNT, email_address: 'admin@example.com' },
        organization: { uuid: ORGANIZATION, name: 'Example' },
      },
    }
  }

  function messages(request: IncomingMessage): Answer {
    const how = manner.messages ?? 'ok'
    if (how === 'drop') return 'drop'
    if (how === 'usage_limit') return { ...failure(429), headers: limits('rejected') }
    if (how === 403)
      return failure(403, 'OAuth authentication is currently not allowed for this organization.')
    if (how !== 'ok' && how !== 401) return failure(how)
    const ends = access.get(`${request.headers.authorization}`.replace('Bearer ', '')) ?? 0
    const known = ends > Date.now() || Boolean(request.headers['x-api-key'])
    return how === 401 || !known ? failure(401) : { status: 200, headers: limits('allowed'), events: PONG }
  }

  async function answer(request: IncomingMessage, call: AnthropicCall): Promise<Answer> {
    switch (`${call.method} ${call.path}`) {
      case 'POST /v1/oauth/token':
        return await tokens(request, call)
      case 'POST /v1/messages':
        await text(request)
        return messages(request)
      case 'GET /api/oauth/profile':
        return { status: 200, body: PROFILE }
      case 'GET /api/oauth/usage':
        return { status: 200, body: usageOf() }
      case 'POST /v1/oauth/token/revoke':
      case 'HEAD /api/hello':
      case 'GET /api/hello':
        return { status: 200, body: {} }
      default:
        return {
          status: 404,
          body: { type: 'error', error: { type: 'not_found_error', message: 'unknown' } },
        }
    }
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers, url = '' } = request
    const call: AnthropicCall = {
      ...{ method, host: `${headers.host}`, path: url.replace(/\?.*/, ''), status: 0 },
    }
    calls.push(call)
    const answered = await answer(request, call)
    if (answered === 'drop') return void response.destroy()
    call.status = answered.status
    if (answered.events) {
      response.writeHead(200, { 'content-type': 'text/event-stream', ...answered.headers })
      for (const event of answered.events)
        response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
      return void response.end()
    }
    response.writeHead(answered.status, { 'content-type': 'application/json', ...answered.headers })
    response.end(method === 'HEAD' ? undefined : JSON.stringify(answered.body))
  }

  const server = createServer(
    { key, cert },
    (request, response) => void serve(request, response).catch(() => response.destroy()),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const sockets = new Set<Socket>()
  const proxy = createProxy((_, response) => void response.writeHead(405).end())
  proxy.on('connect', (_, client: Socket) => {
    const inner = connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      client.pipe(inner).pipe(client)
    })
    for (const [each, other] of [
      [client, inner],
      [inner, client],
    ] as const) {
      sockets.add(each)
      each
        .on('error', () => undefined)
        .on('close', () => {
          sockets.delete(each)
          other.destroy()
        })
    }
  })
  proxy.listen(0, address)
  await once(proxy, 'listening')
  const way = proxy.address() as AddressInfo

  return {
    proxyUrl: `http://${address}:${way.port}`,
    caFile,
    /** Every request so far, without its credentials. */
    calls,
    count: (path: string, grant?: string) =>
      calls.filter((call) => call.path === path && (!grant || call.grant === grant)).length,
    /** All that it ever gave: nobody else may write these down. */
    secrets,
    /** A token that it knows. */
    token: (kind: 'access' | 'refresh' = 'access', lifeMs?: number) => give(lifeMs)[kind],
    /** A new login, as `.credentials.json` holds it: with so much time left for its token, and for itself. */
    issue({ lifeMs = 8 * 3_600_000, loginLifeMs = 30 * 86_400_000 } = {}) {
      const given = give(lifeMs)
      return {
        claudeAiOauth: {
          ...{ accessToken: given.access, refreshToken: given.refresh, expiresAt: given.expiresAt },
          ...{ refreshTokenExpiresAt: Date.now() + loginLifeMs, scopes: SCOPES },
          ...{ subscriptionType: 'max', rateLimitTier: 'default_claude_max_20x' },
        },
      }
    },
    /** Whether this is an access token that works now. */
    knows: (token: string) => (access.get(token) ?? 0) > Date.now(),
    /** From now on; what is left out is well. */
    be(next: Manner): void {
      manner = next
    },
    /** The way to it: while that is down, every connection is refused. */
    async network(state: 'up' | 'down'): Promise<void> {
      const isUp = proxy.listening
      if ((state === 'up') === isUp) return
      if (isUp) {
        for (const socket of sockets) socket.destroy()
        await new Promise((resolve) => proxy.close(resolve))
      } else {
        proxy.listen(way.port, address)
        await once(proxy, 'listening')
      }
    },
    /** What a person does at the URL of `auth login`. @returns what the page shows, to be pasted. */
    approve(url: string): string {
      const asked = new URL(url).searchParams
      const code = randomBytes(16).toString('base64url')
      codes.set(code, `${asked.get('code_challenge')}`)
      secrets.push(code)
      return `${code}#${asked.get('state')}`
    },
    async close(): Promise<void> {
      for (const socket of sockets) socket.destroy()
      server.closeAllConnections()
      await Promise.all([
        new Promise((resolve) => server.close(resolve)),
        new Promise((resolve) => proxy.close(resolve)),
      ])
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

type Answer =
  | 'drop'
  | {
      status: number
      body?: unknown
      headers?: Record<string, string>
      events?: readonly { type: string }[]
    }

const refusal = (status: number, error_description: string): Answer => ({
  status,
  body: { error: 'invalid_grant', error_description },
})

const TYPES: Record<number, [type: string, message: string]> = {
  401: [
    'authentication_error',
    'OAuth token has expired. Please obtain a new token or refresh your existing token.',
  ],
  403: ['permission_error', 'not allowed'],
  429: ['rate_limit_error', 'Number of request tokens has exceeded your per-minute rate limit'],
  500: ['api_error', 'Internal server error'],
  529: ['overloaded_error', 'Overloaded'],
}
function failure(status: number, message?: string) {
  const [type, said] = TYPES[status] ?? ['api_error', `status ${status}`]
  return { status, body: { type: 'error', error: { type, message: message ?? said } } }
}

const HOUR_MS = 3_600_000
const inHours = (hours: number) => `${Math.floor((Date.now() + hours * HOUR_MS) / 1_000)}`
/** The unified limits, as headers: 5 hours and 7 days. */
const limits = (status: 'allowed' | 'rejected'): Record<string, string> =>
  Object.fromEntries(
    Object.entries({
      ...{ status, reset: inHours(2), 'representative-claim': 'five_hour' },
      ...{
        '5h-status': status,
        '5h-reset': inHours(2),
        '5h-utilization': status === 'allowed' ? '0.42' : '1',
      },
      ...{ '7d-status': 'allowed', '7d-reset': inHours(83), '7d-utilization': '0.31' },
      ...{ 'overage-status': 'rejected', 'overage-disabled-reason': 'org_level_disabled' },
    }).map(([name, value]) => [`anthropic-ratelimit-unified-${name}`, value]),
  )

function usageOf() {
  const window = (utilization: number, hours: number) => ({
    ...{ utilization, resets_at: new Date(Date.now() + hours * HOUR_MS).toISOString() },
  })
  return {
    ...{ five_hour: window(42, 2), seven_day: window(31, 83) },
    ...{ seven_day_opus: null, seven_day_sonnet: window(5, 83), extra_usage: { is_enabled: false } },
  }
}

const PROFILE = {
  account: {
    ...{ uuid: ACCOUNT, email: 'admin@example.com', full_name: 'Admin', display_name: 'Admin' },
    ...{ has_claude_max: true, has_claude_pro: false },
  },
  organization: {
    ...{ uuid: ORGANIZATION, name: 'Example', organization_type: 'claude_max' },
    ...{ rate_limit_tier: 'default_claude_max_20x', has_extra_usage_enabled: false },
  },
}

const PONG = [
  {
    type: 'message_start',
    message: {
      ...{ id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku', content: [] },
      ...{ stop_reason: null, stop_sequence: null, usage: { input_tokens: 10, output_tokens: 1 } },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'pong' } },
  { type: 'content_block_stop', index: 0 },
  {
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 2 },
  },
  { type: 'message_stop' },
]
