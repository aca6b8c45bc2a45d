// Environment → Config, with every mistake said at once; the only reader of process.env.

import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import querystring from 'node:querystring'
import { parseEnv } from 'node:util'
import { messageOf, OpsError } from './errors.ts'
import { KEYS, type Key, type KeyName, type Values } from './keys.ts'

type Environment = Record<string, string | undefined>

export type Role = 'viewer' | 'operator' | 'owner'

/** What systemd told us at start, when it started us. */
export interface Supervisor {
  notifySocket?: string
  /** How often it wants to hear from us, at the latest. Milliseconds. */
  watchdogMs?: number
}

export interface Config {
  telegram?: { token: string; apiRoot: string; chatId?: number; threadId?: number; proxy?: string }
  /** Numeric user id → role. */
  people: ReadonlyMap<number, Role>
  owners: readonly number[]
  stateDir: string
  timeZone: string
  quietHours?: { from: string; to: string }
  digestSchedule: string
  watchMs: number
  limits: {
    diskPercent: number
    inodesPercent: number
    memoryPercent: number
    swapPercent: number
    loadPerCore: number
    stealPercent: number
    filesPercent: number
    diskMounts: string[] | undefined
  }
  docker: {
    host?: string
    gatewayContainer?: string
    projectDir?: string
    stateDir?: string
    /** Of a gateway on this host, without a container. */
    gatewayUrl?: string
    watched: readonly string[]
    /** What the docker client needs of our environment. */
    clientEnvironment: Record<string, string>
  }
  claude: {
    mode: 'host' | 'container' | 'off'
    container: string
    configDir?: string
    bin?: string
    sandboxDir?: string
    ingressFile?: string
    sync: boolean
    relay: boolean
    /** 0 to 23, in the operator's zone. */
    reminderHour: number
    /** What the CLI on this host needs of our environment: PATH, HOME, the way out. */
    environment: Record<string, string>
  }
  heartbeatUrl?: string
  proxy?: string
  supervisor: Supervisor
  /** Values that must never be seen. */
  secrets: readonly string[]
}

/** A configuration that cannot be used: every mistake in it, one a line. The process exits with 78 (EX_CONFIG). */
export class ConfigError extends OpsError {}

/**
 * The environment, with the `.env` beside the program underneath it. Nothing is written to process.env, so that
 * children never inherit what only we need.
 */
export function readEnvironment(): Environment {
  const file = process.env.OPSBOT_ENV_FILE ?? join(import.meta.dirname, '..', '.env')
  try {
    return { ...parseEnv(readFileSync(file, 'utf8')), ...process.env }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT' && !process.env.OPSBOT_ENV_FILE)
      return process.env
    throw new ConfigError(`The environment file ${file} cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** systemd's credential of a secret key, which wins over the environment. @throws Error when it cannot be read. */
function credential(env: Environment, name: string): string | undefined {
  const file = env.CREDENTIALS_DIRECTORY && join(env.CREDENTIALS_DIRECTORY, name.toLowerCase())
  return file && existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined
}

function parseKeys(env: Environment): { values: Values; mistakes: string[] } {
  const mistakes: string[] = []
  const values: Record<string, unknown> = {}
  for (const [name, key] of Object.entries<Key>(KEYS)) {
    try {
      const given = (key.secret && credential(env, name)) || env[name]?.trim() || undefined
      const parsed = key.schema.safeParse(given)
      const shown = key.secret || !given ? '' : `, not "${given}"`
      if (parsed.success) values[name] = parsed.data
      else mistakes.push(...parsed.error.issues.map(({ message }) => `${name} ${message}${shown}`))
    } catch (error) {
      mistakes.push(`${name} has a credential that cannot be read: ${messageOf(error)}`)
    }
  }
  return { values: values as Values, mistakes }
}

/** Keys that are ours by their first word and that nobody reads: most likely a slip of the pen. */
function strayKeys(env: Environment): string[] {
  return Object.keys(env)
    .filter((name) => /^(OPSBOT|ALERT)_/.test(name) && !(name in KEYS) && name !== 'OPSBOT_ENV_FILE')
    .map((name) => `${name} is not a key that opsbot knows`)
}

function rolesOf(values: Values, mistakes: string[]): Map<number, Role> {
  const people = new Map<number, Role>()
  const lists = [
    ['owner', values.OPSBOT_OWNERS],
    ['operator', values.OPSBOT_OPERATORS],
    ['viewer', values.OPSBOT_VIEWERS],
  ] as const
  for (const [role, members = []] of lists)
    for (const id of members) {
      if (people.has(id)) mistakes.push(`${id} is listed twice: as ${people.get(id)} and as ${role}`)
      people.set(id, people.get(id) ?? role)
    }
  return people
}

/** A secret; of an address also what is secret in it: the password, and what is too long in its path to be a word. */
function partsOf(secret: string): string[] {
  if (!URL.canParse(secret)) return [secret]
  const { password, pathname } = new URL(secret)
  const keys = pathname.split('/').filter((part) => part.length >= 16)
  return [secret, ...keys, ...(password ? [password, querystring.unescape(password)] : [])]
}

/** What a program needs of our environment; nothing else of it is passed on. */
const passed = (env: Environment, names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.flatMap((name) => (env[name] ? [[name, env[name]]] : [])))

function claudeOf(values: Values, env: Environment): Config['claude'] {
  return {
    mode: values.CLAUDE_MODE,
    container: values.CLAUDE_CONTAINER,
    sync: values.CREDENTIAL_SYNC === 'on',
    relay: values.REAUTH === 'relay',
    reminderHour: values.REMINDER_HOUR,
    environment: passed({ ...env, HTTPS_PROXY: values.HTTPS_PROXY }, [
      ...['PATH', 'HOME', 'HTTPS_PROXY', 'NO_PROXY', 'NODE_EXTRA_CA_CERTS'],
    ]),
    ...(values.CLAUDE_CONFIG_DIR && { configDir: values.CLAUDE_CONFIG_DIR }),
    ...(values.CLAUDE_BIN && { bin: values.CLAUDE_BIN }),
    ...(values.CLAUDE_SANDBOX_CONFIG_DIR && { sandboxDir: values.CLAUDE_SANDBOX_CONFIG_DIR }),
    ...(values.CLAUDE_SESSION_INGRESS_TOKEN_FILE && {
      ingressFile: values.CLAUDE_SESSION_INGRESS_TOKEN_FILE,
    }),
  }
}

/**
 * Checks the environment and gives the configuration.
 * @throws ConfigError that lists every mistake with its key's name.
 */
export function parseConfig(env: Environment): Config {
  const { values, mistakes } = parseKeys(env)
  const people = rolesOf(values, mistakes)
  if (values.TELEGRAM_THREAD_ID && !values.TELEGRAM_CHAT_ID)
    mistakes.push('TELEGRAM_THREAD_ID needs TELEGRAM_CHAT_ID: a topic belongs to a chat')
  mistakes.push(...strayKeys(env))
  if (mistakes.length > 0)
    throw new ConfigError(`The configuration cannot be used:\n  ${mistakes.join('\n  ')}`)

  const [from, to] = values.OPSBOT_QUIET_HOURS?.split('-') ?? []
  const token = values.TELEGRAM_BOT_TOKEN
  const watchdogUsec = Number(env.WATCHDOG_USEC)
  const secrets = Object.entries<Key>(KEYS)
    .filter(([, key]) => key.secret)
    .flatMap(([name]) => values[name as KeyName] ?? [])
    .map(String)
    .flatMap(partsOf)
  return {
    ...(token && {
      telegram: {
        token,
        apiRoot: values.TELEGRAM_API_ROOT,
        ...(values.TELEGRAM_CHAT_ID !== undefined && { chatId: values.TELEGRAM_CHAT_ID }),
        ...(values.TELEGRAM_THREAD_ID !== undefined && { threadId: values.TELEGRAM_THREAD_ID }),
        ...(values.HTTPS_PROXY && { proxy: values.HTTPS_PROXY }),
      },
    }),
    people,
    owners: values.OPSBOT_OWNERS,
    stateDir:
      values.OPSBOT_STATE_DIR ??
      env.STATE_DIRECTORY?.split(':')[0] ??
      join(env.XDG_STATE_HOME || join(env.HOME || homedir(), '.local/state'), 'opsbot'),
    timeZone: values.OPSBOT_TIME_ZONE ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
    ...(from && to && { quietHours: { from, to } }),
    digestSchedule: values.DIGEST_SCHEDULE,
    watchMs: values.WATCH_SECONDS * 1_000,
    limits: {
      diskPercent: values.ALERT_DISK_PERCENT,
      inodesPercent: values.ALERT_INODES_PERCENT,
      memoryPercent: values.ALERT_MEMORY_PERCENT,
      swapPercent: values.ALERT_SWAP_PERCENT,
      loadPerCore: values.ALERT_LOAD_PER_CORE,
      stealPercent: values.ALERT_STEAL_PERCENT,
      filesPercent: values.ALERT_FILES_PERCENT,
      diskMounts: values.DISK_MOUNTS,
    },
    docker: {
      watched: values.WATCH_CONTAINERS,
      // PATH, HOME and DOCKER_CONFIG lead the docker client to itself and its plugins.
      clientEnvironment: {
        ...passed(env, ['PATH', 'HOME', 'DOCKER_CONFIG']),
        ...(values.DOCKER_HOST && { DOCKER_HOST: values.DOCKER_HOST }),
      },
      ...(values.DOCKER_HOST && { host: values.DOCKER_HOST }),
      ...(values.OPENCLAW_GATEWAY_CONTAINER && { gatewayContainer: values.OPENCLAW_GATEWAY_CONTAINER }),
      ...(values.OPENCLAW_DIR && { projectDir: values.OPENCLAW_DIR }),
      ...(values.OPENCLAW_CONFIG_DIR && { stateDir: values.OPENCLAW_CONFIG_DIR }),
      ...(values.OPENCLAW_GATEWAY_URL && { gatewayUrl: values.OPENCLAW_GATEWAY_URL }),
    },
    claude: claudeOf(values, env),
    ...(values.HEARTBEAT_URL && { heartbeatUrl: values.HEARTBEAT_URL }),
    ...(values.HTTPS_PROXY && { proxy: values.HTTPS_PROXY }),
    supervisor: {
      ...(env.NOTIFY_SOCKET && { notifySocket: env.NOTIFY_SOCKET }),
      ...(watchdogUsec > 0 && { watchdogMs: watchdogUsec / 1_000 }),
    },
    secrets,
  }
}
