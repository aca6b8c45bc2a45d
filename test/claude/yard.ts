// The whole bot with model access: the stand-in CLI, a gateway of either version that keeps what it is told, and what was told of it.

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Docker, ExecResult } from '../../src/ops/docker/index.ts'
import { sha256 } from '../../src/ops/docker/index.ts'
import { boxOf, composeOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { createYard } from '../openclaw/yard.ts'
import {
  type After,
  bytesOf,
  createRig,
  OPS,
  type Rig,
  temporaryDirectory,
  until as untilSoon,
} from '../road/rig.ts'
import { type ClaudeScript, credentialsOf, installCli } from './cli.ts'

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

/** Looks until it is true; programs take their time. */
export const until = <T>(probe: () => T) => untilSoon(probe, 30_000)

/** In the bot's own environment, where sessions of the CLI and careless hosts leave them: none of it may reach the CLI. */
export const HOSTILE = {
  CLAUDECODE: '1',
  ANTHROPIC_API_KEY: ['sk-ant', 'api03-OfTheBotsOwnEnvironment'].join('-'),
  CLAUDE_CODE_OAUTH_TOKEN: ['sk-ant', 'oat01-OfTheBotsOwnEnvironment'].join('-'),
  ANTHROPIC_BASE_URL: 'http://127.0.0.1:1',
}

export interface AccessOptions {
  /** `container`: an older gateway in a compose project; else one on this host, of this version. */
  gateway?: 'container' | '2026.2.22' | '2026.9.6'
  script?: ClaudeScript
  /** What the CLI's file holds, by the time that is left; `none` for no file. Milliseconds. */
  leftMs?: number | 'none'
  loginLeftMs?: number
  /** What lies where before the bot starts, by its path in the home; tokens in it are the CLI's where it asks for them. */
  files?: (token: { access: string; expiresAt: number }) => Record<string, unknown>
  /** The variables of the gateway's container. */
  environment?: Record<string, string>
  env?: Record<string, string>
  /** Called before anything lies in its home. */
  mount?: (home: string) => void
  /** What the gateway's CLI says that it is. */
  version?: string
}

const PROFILES = '.openclaw/agents/main/agent/auth-profiles.json'
const DATABASE = '.openclaw/state/openclaw.sqlite'

/** A profile as older gateways keep it. */
export const profileOf = (access: string, expires: number, more: object = {}) => ({
  ...{ type: 'oauth', provider: 'anthropic', access, refresh: '', expires },
  ...more,
})
export const profilesOf = (profiles: object) => ({ [PROFILES]: { version: 1, profiles } })

/** Puts files into a home, as JSON unless they are text. */
function fill(home: string, files: Record<string, unknown>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(home, path)), { recursive: true })
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    writeFileSync(join(home, path), text, { mode: 0o600 })
  }
}

/** The gateway's own CLI: older ones read the file at each run, newer ones keep what was pasted. */
function createGatewayCli(home: () => string, version: string, now: () => number) {
  const pasted = new Map<string, { expiresAt: number; hash: string }>()
  const argvs: string[][] = []
  const hold: { paste?: () => Promise<void> } = {}

  function fileProfiles(): [string, number][] {
    const path = join(home(), PROFILES)
    if (!existsSync(path)) return []
    const { profiles } = JSON.parse(readFileSync(path, 'utf8'))
    return Object.entries<{ expires: number }>(profiles).map(([id, { expires }]) => [id, expires])
  }
  const known = (): [string, number][] =>
    version !== '2026.9.6'
      ? fileProfiles()
      : [...pasted].map(([id, { expiresAt }]) => [id, expiresAt] as [string, number])
  const status = () => ({
    agentDir: '~/.openclaw/agents/main/agent',
    auth: {
      unusableProfiles: [],
      oauth: {
        profiles: known().map(([profileId, expiresAt]) => ({
          ...{ profileId, provider: 'anthropic', type: 'token', status: 'ok', expiresAt },
        })),
      },
    },
  })
  return {
    ...{ pasted, argvs, hold },
    authStatus: () => ({
      providers: [
        {
          provider: 'anthropic',
          profiles: known().map(([profileId, at]) => ({
            ...{ profileId, type: 'token', status: at > now() ? 'ok' : 'expired', expiry: { at } },
          })),
        },
      ],
    }),
    async say(args: readonly string[], input?: string): Promise<string | undefined> {
      argvs.push([...args])
      const line = args.join(' ')
      if (line === '--version') return `OpenClaw ${version}`
      if (line === 'models status --json') return JSON.stringify(status())
      if (!line.startsWith('models auth paste-token')) return undefined
      await hold.paste?.()
      const behind = (option: string) => args[args.indexOf(option) + 1] ?? ''
      const lifeMs = Number.parseInt(behind('--expires-in'), 10) * SECOND
      pasted.set(behind('--profile-id'), { expiresAt: now() + lifeMs, hash: sha256(input ?? '') })
      return 'Updated'
    },
  }
}

const answered = (said: string | undefined): ExecResult => {
  const stderr = said === undefined ? 'no such command' : ''
  return { exitCode: stderr ? 1 : 0, output: `${said ?? ''}${stderr}`, stdout: said ?? '', stderr }
}

export type AccessYard = Awaited<ReturnType<typeof createAccessYard>>

export async function createAccessYard(after: After, options: AccessOptions = {}) {
  const { gateway = 'container', script = {}, leftMs = 6 * HOUR, loginLeftMs = 20 * DAY } = options
  const version = options.version ?? (gateway === 'container' ? '2026.2.22' : gateway)
  const place: { home: string; rig?: Rig } = { home: '' }
  const now = () => place.rig?.clock.now() ?? Date.now()
  const own = createGatewayCli(() => place.home, version, now)
  let cli = undefined as unknown as ReturnType<typeof installCli>
  /** Every token that ever was anywhere: none of it may be written elsewhere. */
  const tokens = new Set<string>(Object.values(HOSTILE).filter((value) => value.startsWith('sk-')))
  function collect(): void {
    for (const path of [cli.file, join(place.home, PROFILES), join(place.home, 'compose/.env')])
      if (existsSync(path))
        for (const [token] of readFileSync(path, 'utf8').matchAll(/sk-ant-[\w-]{20,}/g)) tokens.add(token)
  }
  const loginOf = (left: number, more: Record<string, unknown> = {}) =>
    credentialsOf(left, { refreshTokenExpiresAt: now() + loginLeftMs, ...more }, now())

  function prepare(home: string): Record<string, string> {
    place.home = home
    options.mount?.(home)
    cli = installCli(home, script)
    const login = loginOf(leftMs === 'none' ? HOUR : leftMs)
    if (leftMs !== 'none') cli.write(login)
    const { accessToken: access, expiresAt } = login.claudeAiOauth
    fill(home, { ...(version === '2026.9.6' && { [DATABASE]: 'a database that nobody opens' }) })
    fill(home, options.files?.({ access, expiresAt }) ?? {})
    collect()
    const { CLAUDE_MODE = 'host', ...env } = options.env ?? {}
    return {
      ...{
        WATCH_SECONDS: '60',
        HOME: home,
        TELEGRAM_CHAT_ID: `${OPS}`,
        OPENCLAW_CONFIG_DIR: join(home, '.openclaw'),
        CLAUDE_MODE,
      },
      ...(CLAUDE_MODE === 'host' && { CLAUDE_BIN: cli.bin, CLAUDE_CONFIG_DIR: cli.configDir }),
      ...HOSTILE,
      ...env,
    }
  }

  async function inContainer() {
    const home = temporaryDirectory(after)
    const compose = join(home, 'compose')
    fill(home, { '.openclaw/openclaw.json': {}, 'compose/docker-compose.yml': 'services: {}\n' })
    const env = prepare(home)
    const engine = createFakeEngine({ now })
    const environment = Object.fromEntries(
      Object.entries(options.environment ?? {}).map(([name, value]) => [name, sha256(value)]),
    )
    const facts = { environment, compose: composeOf(compose), startedAt: now(), createdAt: now() }
    engine.add(boxOf(GATEWAY, { ...facts, health: { status: 'healthy' }, startPeriodMs: SECOND }))
    const exec: Docker['exec'] = async (id, argv, how) => {
      // `timeout` stands before it.
      const at = argv.indexOf('openclaw')
      if (at < 0) return await engine.docker.exec(id, argv, how)
      return answered(await own.say(argv.slice(at + 1), how.input))
    }
    const docker = { ...engine.docker, exec }
    const rig = await createRig({ after, env, engine: { docker, run: engine.run } })
    return Object.assign(rig, { engine })
  }
  async function onHost(of: '2026.2.22' | '2026.9.6') {
    const rig = await createYard(after, of, { prepare, cli: (args, _, input) => own.say(args, input) })
    if (of === '2026.9.6') rig.replay.answer('models.authStatus', own.authStatus)
    return Object.assign(rig, { engine: undefined })
  }
  const rig = gateway === 'container' ? await inContainer() : await onHost(gateway)
  place.rig = rig
  const { telegram } = rig

  const yard = Object.assign(rig, {
    ...{ cli, own, home: place.home, tokens, collect, loginOf },
    /** The newest login, with this much time left, as somebody else's program would put it there. */
    login(left: number, more: Record<string, unknown> = {}) {
      const fresh = loginOf(left, more)
      collect()
      cli.write(fresh)
      collect()
      return fresh.claudeAiOauth
    },
    /** Lets time pass, for the stand-in too, and looks at everything. */
    async pass(ms: number): Promise<void> {
      await yard.settle()
      rig.clock.pass(ms)
      cli.set({ ...script, ...yard.scripted, now: rig.clock.now() })
      await yard.glance()
    },
    /** Until nothing is under way any more: time that is pushed waits for no work. */
    async settle(): Promise<void> {
      for (let quiet = 0; quiet < 3; quiet = rig.ops.deeds.running() > 0 ? 0 : quiet + 1) await sleep(30)
    },
    scripted: {} as ClaudeScript,
    /** From its next start, with the bot's own time. */
    set(next: ClaudeScript): void {
      yard.scripted = next
      cli.set({ ...script, ...next, now: rig.clock.now() })
    },
    /** Two cycles: what is looked at in every second one, too. */
    async glance(): Promise<void> {
      await rig.look()
      await rig.look()
    },
    read: (path: string) => readFileSync(join(place.home, path), 'utf8'),
    put: (path: string, content: unknown) => fill(place.home, { [path]: content }),
    add: (path: string, text: string) => appendFileSync(join(place.home, path), text),
    remove: (path: string) => rmSync(join(place.home, path), { force: true }),
    profile: (id = 'anthropic:default') =>
      JSON.parse(readFileSync(join(place.home, PROFILES), 'utf8')).profiles[id],
    /** Everything about credentials that the group was told, oldest first: what it reads now. */
    alerts: () => telegram.messages(OPS).map(({ text }) => text),
    firing: () =>
      [...rig.ops.alerts.seen()].flatMap(([key, { memory }]) =>
        memory.firing && key.startsWith('credential/') ? [key] : [],
      ),
    shown: (chat: number, text: string | RegExp) =>
      telegram.waitFor((fake) => fake.messages(chat).findLast((message) => message.text.match(text))),
    /** Where a token is found that has no business there. */
    async leaks(): Promise<string[]> {
      collect()
      const places = () => ({
        chats: JSON.stringify(
          telegram.calls.flatMap(({ method, params }) => (method === 'getUpdates' ? [] : [params])),
        ),
        log: rig.lines.join('\n'),
        files: bytesOf(rig.directory),
      })
      const all: Record<string, string> = {
        ...places(),
        audit: rig.audited().join('\n'),
        argv: JSON.stringify([own.argvs, cli.calls().map(({ argv }) => argv)]),
      }
      await rig.stop()
      all['files after'] = bytesOf(rig.directory)
      const parts = [...tokens].map((token) => token.slice(14, 40))
      return Object.entries(all).flatMap(([name, text]) =>
        parts.some((part) => text.includes(part)) ? [name] : [],
      )
    },
  })
  return yard
}

/** The command lines of every process, while something is done. @returns what was seen. */
export async function commandLines(during: Promise<unknown>): Promise<string> {
  const seen = new Set<string>()
  let over = false
  void during.finally(() => {
    over = true
  })
  const look = () => {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '))
      } catch {
        // It has ended in this moment.
      }
    return over
  }
  await until(look)
  return [...seen].join('\n')
}
