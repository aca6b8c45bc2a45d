// Every configuration key, as a table: what it checks, and what README and `.env.example` say of it.

import { validate as isCron } from 'node-cron'
import { z } from 'zod'

const text = (pattern: RegExp, complaint: string) => z.string().regex(pattern, complaint)
const number = (low: number, high: number) =>
  text(/^\d+(\.\d+)?$/, 'must be a number')
    .transform(Number)
    .refine((value) => value >= low && value <= high, `must be from ${low} to ${high}`)
const percent = (fallback: number) => number(1, 99).default(fallback)
const ids = text(/^\d+(\s*,\s*\d+)*$/, 'must be numeric Telegram user ids with commas between them')
  .transform((list) => list.split(',').map(Number))
  .default([])
const url = z.url({ protocol: /^https?$/, error: 'must be an http:// or https:// address' })
const list = z.string().transform((value) =>
  value
    .split(',')
    .map((item) => item.trim().replace(/(?<=.)\/+$/, ''))
    .filter(Boolean),
)

function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return name === 'UTC' || name.includes('/')
  } catch {
    return false
  }
}

/** One key. */
export interface Key {
  about: string
  schema: z.ZodType
  /** Shown as the value in `.env.example`. */
  example: string
  /** May come as a systemd credential, is blotted out everywhere. */
  secret?: true
  /** What holds when the key is not set, in words; for keys whose schema has no default. */
  unset?: string
}

/** Every key there is. The order is the README's. */
export const KEYS = {
  TELEGRAM_BOT_TOKEN: {
    about: 'The token that @BotFather gave this bot. It must be its own: never the one the gateway uses.',
    schema: text(/^\d{3,}:[\w-]{8,}$/, 'must look like 123456:ABC-def, as @BotFather gives it').optional(),
    example: '123456:ABC-def',
    secret: true,
    unset: 'the console opens instead of Telegram',
  },
  OPSBOT_OWNERS: {
    about: 'Who may do everything: numeric user ids. Without one the bot prints a code for `/claim`.',
    schema: ids,
    example: '11111111',
    unset: 'nobody',
  },
  OPSBOT_OPERATORS: {
    about: 'Who may see and act.',
    schema: ids,
    example: '22222222,33333333',
    unset: 'nobody',
  },
  OPSBOT_VIEWERS: { about: 'Who may only see.', schema: ids, example: '44444444', unset: 'nobody' },
  TELEGRAM_CHAT_ID: {
    about: 'The chat that alerts go to: a user, a group or a channel-like supergroup.',
    schema: text(/^-?\d+$/, 'must be a number such as -1001234567890; /whoami in that chat shows it')
      .transform(Number)
      .optional(),
    example: '-1001234567890',
    unset: "the owners' private chats",
  },
  TELEGRAM_THREAD_ID: {
    about: 'The topic of that chat that alerts go to.',
    schema: text(/^\d+$/, 'must be a number; /whoami in that topic shows it').transform(Number).optional(),
    example: '42',
    unset: 'no topic',
  },
  TELEGRAM_API_ROOT: {
    about: 'A self-hosted Bot API server.',
    schema: url.transform((root) => root.replace(/\/+$/, '')).default('https://api.telegram.org'),
    example: 'https://api.telegram.org',
  },
  HTTPS_PROXY: {
    about: 'A proxy on the way to Telegram and to the heartbeat address.',
    schema: url.optional(),
    example: 'http://proxy.example:3128',
    secret: true,
    unset: 'none',
  },
  OPSBOT_STATE_DIR: {
    about: 'Where the bot remembers things. One bot a directory.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/var/lib/opsbot',
    unset: '`$STATE_DIRECTORY`, else `$XDG_STATE_HOME/opsbot`, else `~/.local/state/opsbot`',
  },
  OPSBOT_TIME_ZONE: {
    about: 'The zone in which times are shown and schedules run.',
    schema: z.string().refine(isZone, 'must be an IANA name such as Europe/Berlin, or UTC').optional(),
    example: 'Europe/Berlin',
    unset: "the host's zone",
  },
  OPSBOT_QUIET_HOURS: {
    about: 'Alerts that are not critical wait until these hours end and come as one digest.',
    schema: text(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'must look like 23:00-07:00')
      .refine((hours) => hours.slice(0, 5) !== hours.slice(6), 'must not begin and end at the same minute')
      .optional(),
    example: '23:00-07:00',
    unset: 'none',
  },
  DIGEST_SCHEDULE: {
    about: 'When the daily digest comes, as a cron expression.',
    schema: z.string().refine(isCron, 'must be a cron expression such as 0 9 * * *').default('0 9 * * *'),
    example: '0 9 * * *',
  },
  WATCH_SECONDS: {
    about: 'How often everything is looked at.',
    schema: number(1, 3600).default(30),
    example: '30',
  },
  ALERT_DISK_PERCENT: {
    about: 'A file system fuller than this is a warning.',
    schema: percent(85),
    example: '85',
  },
  ALERT_INODES_PERCENT: {
    about: 'A file system with more of its inodes in use is a warning.',
    schema: percent(85),
    example: '85',
  },
  ALERT_MEMORY_PERCENT: {
    about: 'More memory in use (all that is not MemAvailable) is a warning.',
    schema: percent(90),
    example: '90',
  },
  ALERT_SWAP_PERCENT: { about: 'More swap in use is a warning.', schema: percent(80), example: '80' },
  ALERT_LOAD_PER_CORE: {
    about: 'A higher 5-minute load for each core is a warning.',
    schema: number(0.1, 100).default(2),
    example: '2',
  },
  ALERT_STEAL_PERCENT: {
    about: 'More CPU time taken by other guests of the hypervisor is a warning.',
    schema: percent(20),
    example: '20',
  },
  ALERT_FILES_PERCENT: {
    about: 'More of the file descriptors of the kernel in use is a warning.',
    schema: percent(80),
    example: '80',
  },
  DISK_MOUNTS: {
    about: 'The mount points to watch, with commas between them.',
    schema: list
      .refine((mounts) => mounts.every((mount) => mount.startsWith('/')), 'must be absolute paths')
      .optional(),
    example: '/,/var',
    unset: 'every real, writable, local file system, once a device',
  },
  DOCKER_HOST: {
    about: 'The Docker engine: unix:///path or tcp://host:port.',
    schema: text(/^(unix:\/\/\/|tcp:\/\/)/, 'must begin with unix:/// or tcp://').optional(),
    example: 'unix:///var/run/docker.sock',
    unset: '`/var/run/docker.sock`',
  },
  OPENCLAW_GATEWAY_CONTAINER: {
    about: "The name of the gateway's container.",
    schema: z.string().optional(),
    example: 'openclaw-gateway',
    unset: 'found by its Compose service, then by its usual names',
  },
  OPENCLAW_DIR: {
    about: 'The directory of the compose project, where there are several.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/openclaw/openclaw',
    unset: "the labels of the gateway's container",
  },
  OPENCLAW_CONFIG_DIR: {
    about: "The host's side of the gateway's state directory.",
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/openclaw/.openclaw',
    unset: "the mount of the gateway's container",
  },
  OPENCLAW_GATEWAY_URL: {
    about: 'The address of a gateway that runs on this host without Docker: ws://127.0.0.1:18789.',
    schema: z.url({ protocol: /^wss?$/, error: 'must be a ws:// or wss:// address' }).optional(),
    example: 'ws://127.0.0.1:18789',
    unset: "the gateway's container",
  },
  WATCH_CONTAINERS: {
    about: "Containers that should run besides those of the gateway's project, with commas between them.",
    schema: list.default([]),
    example: 'cloudflared,uptime',
    unset: 'none',
  },
  CLAUDE_MODE: {
    about: 'Where the Claude CLI is that keeps the gateway’s model access fresh: host, container or off.',
    schema: z.enum(['host', 'container', 'off'], 'must be host, container or off').default('off'),
    example: 'container',
  },
  CLAUDE_CONTAINER: {
    about: 'The container that holds the Claude CLI, by its Compose service or its name.',
    schema: z.string().default('claude-proxy'),
    example: 'claude-proxy',
  },
  CLAUDE_CONFIG_DIR: {
    about: 'The directory on this host where the Claude CLI keeps `.credentials.json`.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/openclaw/.claude',
    unset: '`~/.claude`, or the mount of its container',
  },
  CLAUDE_BIN: {
    about: 'The Claude CLI on this host.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/openclaw/.local/bin/claude',
    unset: 'found in `PATH`, then in `~/.local/bin`',
  },
  CLAUDE_SANDBOX_CONFIG_DIR: {
    about: 'The directory with the login of the sandboxes.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/openclaw/.claude-sandbox',
    unset: '`.claude-sandbox` beside or in the gateway’s state directory, where there is one',
  },
  CLAUDE_SESSION_INGRESS_TOKEN_FILE: {
    about: 'The file with the session ingress token.',
    schema: text(/^\//, 'must be an absolute path').optional(),
    example: '/home/claude/.claude/remote/.session_ingress_token',
    unset: '`/home/claude/.claude/remote/.session_ingress_token`, where there is one',
  },
  CREDENTIAL_SYNC: {
    about:
      'Whether the Claude CLI’s token is copied to the gateway: on or off. Anthropic’s terms do not allow it for subscriptions; see "Model access".',
    schema: z.enum(['on', 'off'], 'must be on or off').default('off'),
    example: 'off',
  },
  REAUTH: {
    about:
      'How /reauth signs in: relay passes Anthropic’s page and the pasted code on to the CLI, prompt shows the command to run on the host.',
    schema: z.enum(['relay', 'prompt'], 'must be relay or prompt').default('relay'),
    example: 'prompt',
  },
  REMINDER_HOUR: {
    about: 'The hour of the day at which a sign-in that is due is called to mind again.',
    schema: number(0, 23).refine(Number.isInteger, 'must be a whole hour').default(9),
    example: '9',
  },
  HEARTBEAT_URL: {
    about:
      'Fetched every minute while the bot polls, checks and delivers: a dead man’s switch such as healthchecks.io.',
    schema: url.optional(),
    example: 'https://hc.example/ping/1234',
    secret: true,
    unset: 'none',
  },
} as const satisfies Record<string, Key>

export type KeyName = keyof typeof KEYS

/** What the keys' schemas make of a good environment. */
export type Values = { [K in KeyName]: z.output<(typeof KEYS)[K]['schema']> }

const fallbackOf = ({ schema, unset }: Key): string => unset ?? `\`${schema.parse(undefined)}\``

/** The README's table of keys. */
export function keyTable(): string {
  const rows = Object.entries<Key>(KEYS).map(
    ([name, key]) => `| \`${name}\` | ${key.about}${key.secret ? ' Secret.' : ''} | ${fallbackOf(key)} |`,
  )
  return ['| Key | What it is | When it is not set |', '| --- | --- | --- |', ...rows].join('\n')
}

/** `.env.example`: every key, each switched off. */
export function envExample(): string {
  const blocks = Object.entries<Key>(KEYS).map(
    ([name, key]) =>
      `# ${key.about}\n# Not set: ${fallbackOf(key).replaceAll('`', '')}.\n#${name}=${key.example}\n`,
  )
  return `# Copy this file to .env and take the # away from what you set.\n\n${blocks.join('\n')}`
}
