#!/usr/bin/env node
// A stand-in for the Claude CLI, newer and of February 2026: what it prints, writes and ends with is what the captures say; what happens to it is scripted.
// It is held against the real ones by contract.ts. The script is `claude-script.json` in its config directory, see cli.ts.

const { randomBytes, createHash } = require('node:crypto')
const fs = require('node:fs')
const { homedir } = require('node:os')
const { join } = require('node:path')
const { createInterface } = require('node:readline')
const { setTimeout: sleep } = require('node:timers/promises')

const { env } = process
const argv = process.argv.slice(2)
const DIR = env.CLAUDE_CONFIG_DIR || join(homedir(), '.claude')
const FILE = join(DIR, '.credentials.json')
const NOTES = env.CLAUDE_CONFIG_DIR ? join(DIR, '.claude.json') : join(homedir(), '.claude.json')
const WINDOW_MS = 300_000
const HOUR_MS = 3_600_000

const json = (file) => {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'))
  } catch {
    return undefined
  }
}
const script = {
  ...{ version: '2.1.328', refresh: 'ok', lifeMs: 8 * HOUR_MS, loginLifeMs: 30 * 24 * HOUR_MS, login: 'ok' },
  ...{ slowMs: 300, tearMs: 0, lockWaitMs: 7_800 },
  ...json(join(DIR, 'claude-script.json')),
}
const older = (version) => script.version.localeCompare(version, 'en', { numeric: true }) < 0
const feb = (script.manner ?? (older('2.1.200') ? 'feb' : 'new')) === 'feb'
const clock = () => script.now ?? Date.now()
const token = (kind) => ['sk', 'ant', `${kind}01`, randomBytes(48).toString('base64url')].join('-')

// What it did is noted for the test: one line when it begins, one when it ends.

const did = []
let begun = false
const note = (line) => {
  if (line.pid) begun = true
  // `--version` leaves nothing behind.
  if (begun && fs.existsSync(DIR))
    fs.appendFileSync(join(DIR, 'claude-calls.jsonl'), `${JSON.stringify(line)}\n`)
}
const id = randomBytes(4).toString('hex')
const end = (code) => {
  note({ id, did, code })
  // What is printed into a pipe has to leave first.
  process.stdout.write('', () => process.stderr.write('', () => process.exit(code)))
  return new Promise(() => undefined)
}

// Signals: a newer one waits two seconds for a refresh under way, and then ends with nothing saved; an older one waits for nothing.

let refreshing
const held = []
const stop = (code) => async () => {
  const graceMs = script.graceMs ?? (feb ? 0 : 2_000)
  await Promise.race([feb && graceMs === 0 ? undefined : refreshing, sleep(graceMs)])
  for (const path of held) fs.rmSync(path, { recursive: true, force: true })
  await end(code)
}
process.on('SIGTERM', stop(143)).on('SIGINT', stop(0))

// The file.

const oauth = () => json(FILE)?.claudeAiOauth
function save(next) {
  const text = JSON.stringify({ ...json(FILE), claudeAiOauth: next })
  if (feb) return saveInPlace(text)
  const half = `${FILE}.tmp.${randomBytes(4).toString('hex')}`
  const file = fs.openSync(half, 'wx', 0o600)
  fs.writeSync(file, text)
  fs.fsyncSync(file)
  fs.closeSync(file)
  try {
    fs.renameSync(half, FILE)
  } catch {
    // A single file that is mounted cannot be replaced.
    fs.rmSync(half)
    saveInPlace(text)
  }
}
function saveInPlace(text) {
  const file = fs.openSync(FILE, 'w', 0o600)
  if (script.tearMs > 0) {
    fs.writeSync(file, text.slice(0, 40))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, script.tearMs)
    fs.writeSync(file, text.slice(40))
  } else fs.writeSync(file, text)
  fs.closeSync(file)
  fs.chmodSync(FILE, 0o600)
}

// The refresh: due within five minutes, by one process at a time.

const LOCKS = feb
  ? [{ path: `${DIR}.lock`, staleMs: 10_000 }]
  : [
      { path: join(DIR, '.oauth_refresh.lock'), staleMs: 60_000, strict: true },
      { path: `${DIR}.lock`, staleMs: 10_000 },
    ]

/** @returns nothing when it is ours, else how its holder is taken: of one who gives no sign of life an older one takes it over, and a newer one gives up. */
async function lock({ path, staleMs, strict }) {
  const until = Date.now() + script.lockWaitMs
  let seen
  for (;;) {
    try {
      fs.mkdirSync(path)
      held.push(path)
      return undefined
    } catch {
      const mtimeMs = fs.statSync(path, { throwIfNoEntry: false })?.mtimeMs
      seen ??= mtimeMs
      const waited = Date.now() > until
      if (mtimeMs && Date.now() - mtimeMs > (waited && mtimeMs === seen && !strict ? 0 : staleMs))
        fs.rmSync(path, { recursive: true, force: true })
      else if (waited) return mtimeMs === seen ? 'locked' : 'passed'
      else await sleep(20)
    }
  }
}

const due = () => {
  const now = oauth()
  return Boolean(now?.refreshToken) && clock() + WINDOW_MS >= now.expiresAt
}

/** @returns why it could not, in one word, or nothing. */
async function refresh() {
  if (env.CLAUDE_CODE_OAUTH_TOKEN || !due()) return undefined
  refreshing = takeLocks()
  const outcome = await refreshing
  did.push(outcome ? `refresh: ${outcome}` : 'refreshed')
  return outcome
}
async function takeLocks() {
  if (script.refresh === 'locked') return feb ? 'passed' : 'locked'
  try {
    for (const each of LOCKS) {
      const other = await lock(each)
      if (other) return other
    }
    return due() ? await ask() : undefined
  } finally {
    for (const path of held.splice(0)) fs.rmSync(path, { recursive: true, force: true })
  }
}
async function ask() {
  const before = oauth()
  did.push('asked')
  note({ id, did })
  if (script.refresh === 'hang') {
    setInterval(() => undefined, 1_000)
    await new Promise(() => undefined)
  }
  if (script.refresh === 'slow') await sleep(script.slowMs)
  if (script.refresh === 'invalid_grant' || script.refresh === 'time_limit') {
    if (feb) return 'refused'
    const ended = script.refresh === 'time_limit' ? { loginEnded: 'time_limit' } : {}
    save({ ...before, accessToken: '', refreshToken: '', expiresAt: 0, ...ended })
    return 'blanked'
  }
  if (['network', '500', '429'].includes(script.refresh)) return 'unanswered'
  const { scopes, subscriptionType, rateLimitTier } = before
  const fresh = { accessToken: token('oat'), refreshToken: token('ort'), expiresAt: clock() + script.lifeMs }
  save(feb ? { ...fresh, scopes, subscriptionType, rateLimitTier } : { ...before, ...fresh })
  return undefined
}

// `-p`: what a message came to, as the failure matrix has it (claude-cli.md §2). [text of a newer one, of an older one, error of each, status, api_error]

const EXPIRED = 'OAuth token has expired. Please obtain a new token or refresh your existing token.'
const body = (type, message) => JSON.stringify({ type: 'error', error: { type, message } })
const time = (ms, dated) =>
  new Intl.DateTimeFormat('en-US', {
    ...(dated && { month: 'short', day: 'numeric' }),
    ...{ hour: 'numeric', hour12: true, ...(new Date(ms).getMinutes() && { minute: '2-digit' }) },
  })
    .format(ms)
    .replace(/\s([AP]M)/, (_, half) => half.toLowerCase())
const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone
const usage = () => ({
  ...{ session: 42, week: 31, sonnet: 5 },
  ...{ sessionResetsAt: clock() + 2 * HOUR_MS, weekResetsAt: clock() + 83 * HOUR_MS },
  ...script.usage,
})
const AUTH = 'authentication_failed'
const REAUTH =
  'Run `claude auth login` to sign in again, or use `claude setup-token` and set CLAUDE_CODE_OAUTH_TOKEN for unattended jobs'
const server = (status, text, type) => ({
  new: [
    `API Error: ${status} ${text}. This is a server-side issue, usually temporary — try again in a moment. If it persists, check https://status.claude.com.`,
    'server_error',
    { api_error_status: status },
  ],
  feb: [`API Error: ${status} ${body(type, text)}`, 'unknown'],
})
const REPLIES = {
  none: {
    new: ['Not logged in · Please run /login', AUTH],
    feb: ['Not logged in · Please run /login', AUTH],
  },
  dead: { new: ['Failed to authenticate: OAuth session expired and could not be refreshed', AUTH] },
  time_limit: {
    new: [`Failed to authenticate: this login reached its time limit and cannot be renewed. ${REAUTH}`, AUTH],
  },
  401: {
    new: [`Failed to authenticate. API Error: 401 ${EXPIRED}`, AUTH, { api_error_status: 401 }],
    feb: [`Failed to authenticate. API Error: 401 ${body('authentication_error', EXPIRED)}`, AUTH],
  },
  locked: {
    new: [
      'Failed to refresh OAuth token: another Claude Code process is refreshing it or exited mid-refresh. This is usually transient; retry in a minute, and if it persists close other Claude Code processes or sign in again',
      'server_error',
    ],
  },
  network: {
    new: [
      "API Error: Can't reach the API server — check your internet or DNS (EAI_AGAIN)",
      'server_error',
      { api_error: 'connection_failed' },
    ],
    feb: ['API Error: Unable to connect to API (EAI_AGAIN)', 'unknown'],
  },
  refused: {
    new: [
      'API Error: Connection refused — a firewall or proxy may be blocking it (ECONNREFUSED)',
      'server_error',
      { api_error: 'connection_failed' },
    ],
    feb: ['API Error: Unable to connect to API. Check your internet connection', 'unknown'],
  },
  usage_limit: {
    new: [
      () => `You've hit your 5-hour limit · resets ${time(usage().sessionResetsAt)} (${zone()})`,
      'rate_limit',
      { api_error_status: 429, api_error: 'usage_limit_reached' },
    ],
    feb: [() => `You've hit your limit · resets ${time(usage().sessionResetsAt)} (${zone()})`, 'rate_limit'],
  },
  429: {
    new: [
      'API Error: Server is temporarily limiting requests (not your usage limit) · Number of request tokens has exceeded your per-minute rate limit',
      'rate_limit',
      { api_error_status: 429 },
    ],
    feb: ['API Error: Rate limit reached', 'rate_limit'],
  },
  500: server(500, 'Internal server error', 'api_error'),
  529: server(529, 'Overloaded', 'overloaded_error'),
  account: {
    new: [
      "Claude Code can't use your Claude subscription, usually because a payment is past due · Pay or renew at https://claude.ai/settings/billing (if you just paid, try again shortly), or use an Anthropic API key instead",
      'oauth_org_not_allowed',
      { api_error_status: 403 },
    ],
    feb: [
      'Your organization does not have access to Claude. Please login again or contact your administrator.',
      AUTH,
    ],
  },
}

/** Where messages go: what the command line sets beats the settings file, which beats the environment. */
function elsewhere() {
  const at = argv.indexOf('--settings')
  const set = at < 0 ? undefined : JSON.parse(argv[at + 1]).env?.ANTHROPIC_BASE_URL
  const base = set ?? json(join(DIR, 'settings.json'))?.env?.ANTHROPIC_BASE_URL ?? env.ANTHROPIC_BASE_URL
  return Boolean(base) && !base.startsWith('https://api.anthropic.com')
}

/** Which of the replies a message gets; `ok` is none of them. */
function replyTo(outcome) {
  const now = oauth()
  if (env.CLAUDE_CODE_SIMPLE && !feb && !env.ANTHROPIC_API_KEY) return 'none'
  if (outcome === 'blanked') return script.refresh === 'time_limit' ? 'time_limit' : 'dead'
  if (outcome === 'locked') return 'locked'
  if (elsewhere()) return 'refused'
  if (script.messages) return script.messages
  if (script.refresh === 'network') return 'network'
  if (['usage_limit', 'account'].includes(script.refresh)) return script.refresh
  if (env.ANTHROPIC_API_KEY || env.ANTHROPIC_AUTH_TOKEN || env.CLAUDE_CODE_OAUTH_TOKEN) return 'ok'
  // One that was blanked before says it in the same words, as does one with no login at all.
  if (now?.loginEnded) return 'time_limit'
  if (now && now.refreshToken === '' && !feb) return 'dead'
  if (!now?.accessToken) return 'none'
  return now.expiresAt > clock() ? 'ok' : '401'
}

const session_id = 'c76d0b24-a81d-4268-88af-704a5082e3ef'
const uuid = '26f8a3df-0150-4e2b-ad63-2aee0176eb19'

function limits(reply) {
  const { session, week, sessionResetsAt, weekResetsAt } = usage()
  const status = reply === 'usage_limit' ? 'rejected' : 'allowed'
  const resetsAt = Math.floor(sessionResetsAt / 1_000)
  const five_hour = { utilization: status === 'rejected' ? 1 : session / 100, resetsAt, status }
  const seven_day = { utilization: week / 100, resetsAt: Math.floor(weekResetsAt / 1_000), status: 'allowed' }
  return {
    type: 'rate_limit_event',
    rate_limit_info: {
      ...{ status, resetsAt, rateLimitType: 'five_hour', overageStatus: 'rejected' },
      ...{ overageDisabledReason: 'org_level_disabled', isUsingOverage: false },
      ...(!feb && { unifiedWindows: { five_hour, seven_day } }),
    },
    ...{ uuid, session_id },
  }
}

/** Prints lines in the format that was asked for. A newer one's `type` does not come first. */
function print(lines, text) {
  const at = argv.indexOf('--output-format')
  const format = at < 0 ? 'text' : argv[at + 1]
  const line = ({ type, ...rest }) => `${JSON.stringify(feb ? { type, ...rest } : { ...rest, type })}\n`
  if (format === 'text') process.stdout.write(`${text}\n`)
  else process.stdout.write(format === 'json' ? line(lines.at(-1)) : lines.map(line).join(''))
}
const result = (text, failed, more = {}) => ({
  ...{ type: 'result', subtype: 'success', is_error: failed, duration_ms: 5, num_turns: 1, result: text },
  ...{ stop_reason: null, session_id, total_cost_usd: 0, ...more, uuid },
})
const init = () => ({
  ...{ type: 'system', subtype: 'init', cwd: process.cwd(), session_id, tools: [], model: 'claude-haiku' },
  ...{
    apiKeySource: env.ANTHROPIC_API_KEY ? 'ANTHROPIC_API_KEY' : 'none',
    claude_code_version: script.version,
  },
})

async function ping() {
  const reply = replyTo(await refresh())
  did.push(`message: ${reply}`)
  const row = REPLIES[reply] && (REPLIES[reply][feb ? 'feb' : 'new'] ?? REPLIES[reply].new)
  const [said = 'pong', error, more] = row ?? []
  const text = typeof said === 'function' ? said() : said
  const failed = row !== undefined
  const message = { role: 'assistant', content: [{ type: 'text', text }] }
  const assistant = {
    ...{ type: 'assistant', message, parent_tool_use_id: null, session_id, uuid },
    ...(failed && { error, ...(!feb && { is_api_error_message: true, ...more }) }),
  }
  const limited = reply === 'ok' || reply === 'usage_limit' ? [limits(reply)] : []
  const both = reply === 'usage_limit' ? [...limited, assistant] : [assistant, ...limited]
  const status = { api_error_status: null, ...more, terminal_reason: failed ? 'api_error' : 'completed' }
  print([init(), ...both, result(text, failed, feb ? {} : status)], text)
  return failed ? 1 : 0
}

async function showUsage() {
  if (feb) {
    print([init(), result('Unknown skill: usage', false, { num_turns: 0 })], 'Unknown skill: usage')
    return 0
  }
  await refresh()
  const { session, week, sonnet, sessionResetsAt, weekResetsAt } = usage()
  const row = (name, percent, ms) => `${name}: ${percent}% used · resets ${time(ms, true)} (${zone()})`
  const numbers =
    script.usage === null || env.CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC
      ? []
      : [
          '',
          row('Current session', session, sessionResetsAt),
          row('Current week (all models)', week, weekResetsAt),
          row('Current week (Sonnet only)', sonnet, weekResetsAt),
        ]
  const text = oauth()?.accessToken
    ? ['You are currently using your subscription to power your Claude Code usage', ...numbers].join('\n')
    : 'Estimated cost:        $0.0000\nTotal duration (API):  0s\nTotal duration (wall): 0s\nTotal code changes:    0 lines added, 0 lines removed\nUsage:                 0 input, 0 output, 0 cache read, 0 cache write'
  if (oauth()?.accessToken && numbers.length > 0) {
    const window = (utilization, ms) => ({ utilization, resets_at: new Date(ms).toISOString() })
    const utilization = {
      ...{ five_hour: window(session, sessionResetsAt), seven_day: window(week, weekResetsAt) },
      ...{ seven_day_opus: null, seven_day_sonnet: window(sonnet, weekResetsAt) },
    }
    const cachedUsageUtilization = { fetchedAtMs: clock(), accountUuid: uuid, utilization }
    fs.writeFileSync(NOTES, JSON.stringify({ ...json(NOTES), cachedUsageUtilization }))
  }
  print([init(), result(text, false, { num_turns: 0, api_error_status: null })], text)
  return 0
}

// `auth`.

async function status() {
  // An older one only looks; a newer one refreshes, and says afterwards what it knew before.
  const before = oauth()?.accessToken
  if (!feb) await refresh()
  const { subscriptionType, refreshTokenExpiresAt: ends } = oauth() ?? {}
  const source = env.ANTHROPIC_API_KEY ? 'api_key' : env.CLAUDE_CODE_OAUTH_TOKEN ? 'oauth_token' : undefined
  const authMethod = source ?? (before ? 'claude.ai' : 'none')
  const loggedIn = authMethod !== 'none'
  if (argv.includes('--text'))
    process.stdout.write(
      loggedIn
        ? 'Login method: Claude Max account\n'
        : 'Not logged in. Run claude auth login to authenticate.\n',
    )
  else {
    const whose = { email: 'admin@example.com', orgId: uuid, orgName: null, subscriptionType }
    const loginExpiresAt = ends ? new Date(ends).toISOString() : null
    const facts = {
      ...{ loggedIn, authMethod, apiProvider: 'firstParty' },
      ...(!feb && { configDirectory: DIR, loginExpiresAt }),
      ...(authMethod === 'claude.ai' && { ...whose, ...(!feb && { storedClaudeAiLogin: true }) }),
    }
    process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`)
  }
  return loggedIn ? 0 : 1
}

const HELP = `Usage: claude auth login [options]\n\nSign in to your Anthropic account\n\nOptions:\n${older('2.1.126') ? '' : '  --claudeai       Use Claude subscription (default)\n'}  --email <email>  Pre-populate email address on the login page\n  -h, --help       Display help for command\n  --sso            Force SSO login flow\n`
const SCOPES = [
  'user:inference',
  'user:profile',
  'user:sessions:claude_code',
  'user:mcp_servers',
  'user:file_upload',
]
const PARTIAL = [
  [
    /^https?:\/\/(localhost|127\.)/,
    'That address only works in a browser on this machine. Copy the code from the page instead.',
  ],
  [/^https?:\/\//, "That's a web address, not the code. Copy the code from the page instead."],
  [
    /^\d{4,10}$/,
    'That looks like a verification code. Enter it on the page, then copy the code it shows you.',
  ],
  [/^[^#]*$|^#|#$/, "That doesn't look like the full code. Copy all of it, including the # in the middle."],
]
const REFUSALS = {
  badcode:
    "That code wasn't accepted. It may be incomplete, expired, already used, or from an earlier sign-in attempt. Sign in again to get a new code.",
  500: 'Request failed with status code 500',
  429: 'Request failed with status code 429',
  drop: 'socket hang up',
}

async function login() {
  if (argv.includes('--help')) return void process.stdout.write(HELP) ?? 0
  if (argv.includes('--claudeai') && older('2.1.126')) {
    process.stderr.write("error: unknown option '--claudeai'\n")
    return 1
  }
  if (!feb) await refresh()
  // It has no end of its own, and the end of its input is none either.
  setInterval(() => undefined, 1_000)
  if (script.login === 'silent') await new Promise(() => undefined)
  const state = randomBytes(32).toString('base64url')
  const url = new URL(
    older('2.1.126') ? 'https://claude.ai/oauth/authorize' : 'https://claude.com/cai/oauth/authorize',
  )
  url.search = new URLSearchParams({
    ...{ code: 'true', client_id: '9d1c250a-e61b-44d9-88ed-5944d1962f5e', response_type: 'code' },
    ...{ redirect_uri: 'https://platform.claude.com/oauth/code/callback', scope: SCOPES.join(' ') },
    ...{
      code_challenge: createHash('sha256').update(state).digest('base64url'),
      code_challenge_method: 'S256',
      state,
    },
  })
  process.stdout.write(`Opening browser to sign in…\nIf the browser didn't open, visit: ${url}\n`)
  if (older('2.1.126')) await new Promise(() => undefined)
  process.stdout.write('Paste code here if prompted > ')
  for await (const line of createInterface({ input: process.stdin })) {
    const said = line.trim()
    if (!said) continue
    const partial = PARTIAL.find(([shape]) => shape.test(said))
    if (!partial) return await exchange()
    did.push('code: partial')
    process.stderr.write(`${partial[1]}\n`)
  }
  await new Promise(() => undefined)
  return 1
}
async function exchange() {
  // It may have been told otherwise since it began.
  const { login: outcome } = { ...script, ...json(join(DIR, 'claude-script.json')) }
  if (outcome === 'slow') await sleep(script.slowMs)
  if (outcome === 'hang') await new Promise(() => undefined)
  const refusal = REFUSALS[outcome]
  did.push(refusal ? 'code: refused' : 'signed in')
  if (refusal) {
    process.stderr.write(`Couldn't log in: ${refusal}\n`)
    return 1
  }
  fs.mkdirSync(DIR, { recursive: true })
  save({
    ...{ accessToken: token('oat'), refreshToken: token('ort'), expiresAt: clock() + script.lifeMs },
    ...{ refreshTokenExpiresAt: clock() + script.loginLifeMs, scopes: SCOPES, subscriptionType: 'max' },
    ...{ subscriptionTypeSource: 'sign_in', rateLimitTier: 'default_claude_max_20x' },
  })
  process.stdout.write('Login successful.\n')
  return 0
}

const at = argv.findIndex((each) => each === '-p' || each === '--print')
const words = argv.filter((each) => !each.startsWith('-')).join(' ')
async function main() {
  if (argv.includes('--version')) return void process.stdout.write(`${script.version} (Claude Code)\n`) ?? 0
  note({ id, pid: process.pid, argv, env: Object.keys(env).sort() })
  if (at >= 0 && env.CLAUDECODE && feb) {
    process.stderr.write('Error: Claude Code cannot be launched inside another Claude Code session.\n')
    return 1
  }
  if (at >= 0) return argv[at + 1] === '/usage' ? await showUsage() : await ping()
  if (words.startsWith('auth status')) return await status()
  if (words.startsWith('auth login')) return await login()
  process.stderr.write(`error: the stand-in does not know: ${argv.join(' ')}\n`)
  return 1
}
void main().then((code) => end(code))
