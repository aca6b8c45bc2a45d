// The far end of the gateway link: run by `node -e` beside the gateway, it speaks WebSocket with it and JSON lines with us.

// biome-ignore-all lint/style/noProcessEnv: it is the gateway's environment, not ours
// Plain JavaScript for any Node from 22 on: it runs with the gateway's own. The protocol is openclaw.md §1.4 (measured on
// 2026.2.9 to 2026.9.6). The gateway's token is read here and never leaves; what comes back is answers and few events.

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const path = require('node:path')

const CLIENT = { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'backend' }
const SCOPES = ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing']
const RETRY_MS = { down: 250, refused: 5_000 }
const LOOK_MS = 500
/** A gateway that takes longer to say how it is does not work; on two busy cores each version blocks for 5 s at times (measured). */
const STUCK_MS = 10_000
const HANDSHAKE_MS = 10_000
/** Who started us speaks at least every 20 s; when nobody does any more, nobody is there. */
const ALONE_MS = 90_000
/** Longer answers are not passed on, longer events not even read. Characters. */
const LONGEST = 3 << 20
/** With more than this waiting to be read by us, events are dropped: they are only nudges. Bytes. */
const CROWDED = 1 << 20

/** Events of which only the name is of use. */
const NUDGES = ['health', 'presence']

/** What we were told at the start. */
let orders
let socket
/** Where the gateway answers HTTP. */
let base
let open = false
let lastShut = ''
let announced
/** Which of the ways to say who we are is tried. */
let way = 0
let lastCall = 0
let heardAt = Date.now()
/** Calls that wait for the gateway, by their number on its side. */
const waiting = new Map()

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const tell = (method, params) => say({ method, params })

/** JSON5, as the gateway's config is, by the gateway's own reader where it can be found; else JSON. */
function readConfig() {
  const home = process.env.HOME || '/home/node'
  const places = [
    process.env.OPENCLAW_CONFIG_PATH,
    process.env.OPENCLAW_STATE_DIR && path.join(process.env.OPENCLAW_STATE_DIR, 'openclaw.json'),
    path.join(home, '.openclaw/openclaw.json'),
    '/home/node/.openclaw/openclaw.json',
  ].filter(Boolean)
  for (const place of places) {
    try {
      const text = fs.readFileSync(place, 'utf8')
      try {
        return { ...JSON.parse(text), directory: path.dirname(place) }
      } catch {
        return {
          ...require(require.resolve('json5', { paths: [process.cwd()] })).parse(text),
          directory: path.dirname(place),
        }
      }
    } catch {
      // Not there, not ours to read, or no config at all: the environment may do.
    }
  }
  return { directory: path.join(home, '.openclaw') }
}

/** The gateway's own `.env`, which it loads at its start. */
function readDotEnv(directory) {
  try {
    return require('node:util').parseEnv(fs.readFileSync(path.join(directory, '.env'), 'utf8'))
  } catch {
    return {}
  }
}

/** A secret of the config: itself, `${NAME}`, or a reference to the environment. */
function resolveSecret(value, env) {
  if (typeof value === 'string')
    return value.replace(/\$\{(\w+)\}/g, (_, name) => env[name] ?? '') || undefined
  return value && value.source === 'env' ? env[value.id] : undefined
}

/** Every way there is to say who we are, the environment's first. */
function credentials() {
  const config = readConfig()
  const env = { ...readDotEnv(config.directory), ...process.env }
  const auth = config.gateway?.auth ?? {}
  const tokens = [env.OPENCLAW_GATEWAY_TOKEN, resolveSecret(auth.token, env)]
  const passwords = [env.OPENCLAW_GATEWAY_PASSWORD, resolveSecret(auth.password, env)]
  const ways = [
    ...tokens.filter(Boolean).map((token) => ({ token })),
    ...passwords.filter(Boolean).map((password) => ({ password })),
  ]
  const seen = new Set()
  const port = Number(orders.port ?? env.OPENCLAW_GATEWAY_PORT ?? config.gateway?.port ?? 18789)
  return {
    ways: ways.filter((way) => !seen.has(JSON.stringify(way)) && seen.add(JSON.stringify(way))),
    url: orders.url ?? `ws://127.0.0.1:${port}`,
  }
}

/** What the gateway is shown of us: one key pair for ever, so that no version makes a new device of each connection. */
function introduce({ nonce, ts }, auth) {
  const key = crypto.createPrivateKey({
    key: Buffer.from(orders.key, 'base64'),
    format: 'der',
    type: 'pkcs8',
  })
  const raw = crypto.createPublicKey(key).export({ type: 'spki', format: 'der' }).subarray(12)
  const id = crypto.createHash('sha256').update(raw).digest('hex')
  const signedAt = ts || Date.now()
  const signed = [
    'v2',
    id,
    CLIENT.id,
    CLIENT.mode,
    'operator',
    SCOPES.join(','),
    signedAt,
    auth.token ?? '',
    nonce,
  ]
  const signature = crypto.sign(null, Buffer.from(signed.join('|')), key).toString('base64url')
  return {
    ...{ minProtocol: 3, maxProtocol: 4, role: 'operator', scopes: SCOPES, caps: orders.caps, auth },
    client: { ...CLIENT, displayName: 'Telegram Ops Bot' },
    device: { id, publicKey: raw.toString('base64url'), signature, signedAt, nonce },
  }
}

function shut(code, message) {
  const was = open
  open = false
  for (const { id } of waiting.values())
    say({ id, result: { ok: false, error: { code: 'CLOSED', message: 'The gateway closed the line.' } } })
  waiting.clear()
  if (!was && code === lastShut) return
  lastShut = code
  tell('state', { open: false, code, message, ...(announced && { announced }) })
}

function onHello({ protocol, server = {}, features = {}, snapshot = {}, auth }) {
  open = true
  lastShut = ''
  announced = undefined
  tell('state', {
    ...{ open: true, protocol, scopes: auth?.scopes, uptimeMs: snapshot.uptimeMs },
    ...(server.version && server.version !== 'dev' && { version: server.version }),
    methods: orders.methods.filter((name) => features.methods?.includes(name)),
  })
}

function onEvent({ event, payload }) {
  if (event === 'shutdown')
    announced = {
      reason: String(payload?.reason ?? ''),
      restartExpectedMs: payload?.restartExpectedMs ?? null,
      at: Date.now(),
    }
  if (!orders.events.includes(event) || process.stdout.writableLength > CROWDED) return
  tell('event', { event, payload: NUDGES.includes(event) ? undefined : payload })
}

/** Some versions answer with the tokens of devices: they stay in here. */
const withoutTokens = (key, value) => (key === 'token' || key === 'deviceToken' ? undefined : value)

function onAnswer(frame) {
  const call = waiting.get(frame.id)
  if (!call) return
  waiting.delete(frame.id)
  const result = frame.ok
    ? { ok: true, payload: frame.payload ?? null }
    : { ok: false, error: frame.error ?? {} }
  const text = JSON.stringify({ id: call.id, result }, withoutTokens)
  if (text.length < LONGEST) process.stdout.write(`${text}\n`)
  else
    say({
      id: call.id,
      result: {
        ok: false,
        error: { code: 'TOO_LONG', message: `The gateway's answer is ${text.length} characters long.` },
      },
    })
}

/** One connection, from its opening to its end; then the next. */
function connect() {
  const { ways, url } = credentials()
  base = url.replace(/^ws/, 'http')
  const auth = ways[way] ?? {}
  const Socket = globalThis.WebSocket ?? require(require.resolve('ws', { paths: [process.cwd()] }))
  const line = new Socket(url)
  socket = line
  let over = false
  const late = setTimeout(() => end('SILENT', 'It takes the connection and says nothing.'), HANDSHAKE_MS)
  function end(code, message, retryMs = RETRY_MS.down) {
    if (over) return
    over = true
    clearTimeout(late)
    line.close()
    shut(code, message)
    setTimeout(connect, retryMs)
  }
  /** It does not let us in: soon again while it only starts, or when there is another way to say who we are. */
  function refused({ code, message = 'It gives no reason.', details } = {}) {
    const reason = details?.code ?? code ?? 'REFUSED'
    if (reason === 'UNAVAILABLE') return end(reason, message)
    way = (way + 1) % Math.max(1, ways.length)
    end(reason, message, way === 0 ? RETRY_MS.refused : RETRY_MS.down)
  }
  line.onmessage = ({ data }) => {
    if (over) return
    if (data.length > LONGEST && data.startsWith('{"type":"event"')) return
    let frame
    try {
      frame = JSON.parse(data)
    } catch {
      return end('NONSENSE', 'What it says is no JSON.')
    }
    if (frame.event === 'connect.challenge')
      line.send(
        JSON.stringify({
          type: 'req',
          id: 'connect',
          method: 'connect',
          params: introduce(frame.payload, auth),
        }),
      )
    else if (frame.id === 'connect' && frame.ok) {
      clearTimeout(late)
      onHello(frame.payload)
    } else if (frame.id === 'connect') refused(frame.error)
    else if (frame.type === 'event') onEvent(frame)
    else onAnswer(frame)
  }
  line.onclose = ({ code, reason }) =>
    end(open ? 'CLOSED' : 'DOWN', open ? `It closed the line (${code} ${reason}).` : 'Nobody listens there.')
  line.onerror = () => end(open ? 'CLOSED' : 'DOWN', open ? 'The line broke.' : 'Nobody listens there.')
}

let lastLook = ''
let agent

/** Asks the gateway over HTTP how it is, and tells what changed: newer versions say it in JSON, older ones only answer. */
function look() {
  agent ??= new http.Agent({ keepAlive: true, maxSockets: 1 })
  const began = Date.now()
  const done = (seen) => {
    const { uptimeMs, eventLoop = {}, ...rest } = seen
    const text = JSON.stringify([rest, eventLoop.degraded, eventLoop.reasons])
    if (text !== lastLook) tell('ready', seen)
    lastLook = text
    setTimeout(look, Math.max(0, LOOK_MS - (Date.now() - began)))
  }
  const request = http.get(new URL('/readyz', base), { agent, timeout: STUCK_MS }, (response) => {
    let body = ''
    response.setEncoding('utf8')
    response.on('data', (text) => {
      if (body.length < 10_000) body += text
    })
    response.on('error', () => done({ answers: false }))
    response.on('end', () => {
      let json
      try {
        json = JSON.parse(body)
      } catch {
        // The page of the Control UI: older versions answer everything with it.
      }
      if (typeof json?.ready !== 'boolean')
        return done({ answers: true, status: response.statusCode, error: json?.error?.type })
      const { ready, failing = [], suppressed = [], uptimeMs, eventLoop } = json
      done({ answers: true, ready, failing, suppressed, uptimeMs, eventLoop })
    })
  })
  let stuck = false
  request.on('timeout', () => {
    stuck = true
    request.destroy()
  })
  request.on('error', () => done(stuck ? { answers: false, stuck: true } : { answers: false }))
}

const HANDLERS = {
  hello(id, params) {
    orders = params
    connect()
    look()
    say({ id, result: true })
  },
  ping: (id) => say({ id, result: true }),
  rpc(id, { method, params }) {
    if (!open || !orders.methods.includes(method))
      return say({
        id,
        result: { ok: false, error: { code: 'CLOSED', message: 'There is no line into the gateway.' } },
      })
    lastCall += 1
    waiting.set(`${lastCall}`, { id })
    socket.send(JSON.stringify({ type: 'req', id: `${lastCall}`, method, params }))
  },
}

let rest = ''
process.stdin.setEncoding('utf8')
process.stdin.on('data', (chunk) => {
  heardAt = Date.now()
  const lines = (rest + chunk).split('\n')
  rest = lines.pop()
  for (const text of lines) {
    const { id, method, params } = JSON.parse(text)
    HANDLERS[method]?.(id, params)
  }
})
process.stdin.on('end', () => process.exit(0))
process.stdin.on('error', () => process.exit(0))
process.stdout.on('error', () => process.exit(0))
setInterval(() => Date.now() - heardAt > ALONE_MS && process.exit(0), 10_000)
