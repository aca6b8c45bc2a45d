// Real OpenClaw gateways in containers, deployed as an operator does it: a Compose project, its .env, a state directory.
//
//   engine = await bringUp('trixie')
//   model = await createModelApi(await addressOf(engine))            // what its agents talk to, in this process
//   gateway = await startGateway({ engine, version: 'new', model })  // up and well: old 4 s (31 s at first), new 13 s; on a busy machine twice that
//   await gateway.call('device.pair.list')                           // any method, over a WebSocket inside the container
//   await gateway.cli(['devices', 'list', '--json'])                 // the command line inside it
//   await gateway.runAgent('run: id -u')                             // a real run: see model-api.ts for what it understands
//   await gateway.stranger()                                         // a device through the published port, pending
//   await gateway.operator()                                         // one that is let in, and hears of approvals
//   await gateway.down()                                             // the project, its sandboxes, its directory
//
// The agent `main` works in sandboxes with `sandbox: true`; the agent `asking` has none, and asks before every command.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectDevice, createIdentity, type Device, type DeviceOptions } from './device-client.ts'
import type { Engine } from './engine.ts'
import type { ModelApi } from './model-api.ts'

export const VERSIONS = { old: '2026.2.22', new: '2026.9.6' } as const
export type Version = keyof typeof VERSIONS

export interface GatewayOptions {
  engine: Engine
  version: Version
  /** What the agents talk to; without it there are no agents' runs. */
  model?: ModelApi
  /** Of the project; the container is NAME-gateway. */
  name?: string
  /** Published on 127.0.0.1; a free one when it is left out. */
  port?: number
  token?: string
  bind?: 'lan' | 'loopback'
  basePath?: string
  trustedProxies?: string[]
  /** Merged into openclaw.json; lists are replaced. */
  config?: Record<string, unknown>
  /** More lines of .env, which are also the container's environment. */
  env?: Record<string, string>
  /** `false` for an image that has no user `node`, where everything runs as root. */
  nodeUser?: boolean
  /** The agent `main` works in containers on the same engine. */
  sandbox?: boolean
  /** Where its Docker is, as seen inside; left out, it is the engine's socket. Compose would fill in its own DOCKER_HOST. */
  dockerHost?: string
  /** Do not wait until it is up. */
  idle?: true
}
export type Gateway = Awaited<ReturnType<typeof startGateway>>

export interface Outcome {
  code: number
  stdout: string
  stderr: string
}

const HERE = import.meta.dirname
const STATE = '/home/node/.openclaw'
const PORT = 18789
/** Newer gateways send approvals only to who says that it can handle them. */
const CAPS = ['approvals', 'exec-approvals', 'plugin-approvals']

/** For hooks that start gateways: what has to be fetched and compiled once takes its time. */
export const PATIENCE_MS = 480_000

/** Where containers of an engine reach this process. */
export const addressOf = (engine: Engine) =>
  engine.docker('network', 'inspect', 'bridge', '-f', '{{(index .IPAM.Config 0).Gateway}}')

/** Runs a program to its end. @returns its exit code and output, never throws for a code. */
async function run(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  input = '',
  timeout = 120_000,
): Promise<Outcome> {
  const [file = '', ...args] = argv
  const child = spawn(file, args, { env, timeout, killSignal: 'SIGKILL' })
  child.stdin.on('error', () => undefined).end(input)
  const code = new Promise<number>((resolve, reject) => {
    child.on('error', reject).on('close', (status) => resolve(status ?? -1))
  })
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, stdout, stderr }
}

/** gateway.sh; fetching the packages takes a minute once. */
async function script(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run([join(HERE, 'gateway.sh'), ...args], env, '', 300_000)
  if (code !== 0) throw new Error(`gateway.sh ${args.join(' ')}: ${stderr.trim() || 'ended after 5 minutes'}`)
  return stdout.trim()
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

type Tree = Record<string, unknown>
const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
function merge(base: Tree, more: Tree): Tree {
  const merged = { ...base }
  for (const [key, value] of Object.entries(more)) {
    const old = merged[key]
    merged[key] = isTree(old) && isTree(value) ? merge(old, value) : value
  }
  return merged
}

const COST = { input: 5, output: 25, cacheRead: 0.5, cacheWrite: 6.25 }
const MODEL = { id: 'claude-opus-4-6', name: 'Claude Opus 4.6', contextWindow: 200_000, maxTokens: 8_192 }

/** openclaw.json, with keys that both versions know. */
function configOf(
  { model, bind = 'lan', basePath, trustedProxies, sandbox }: GatewayOptions,
  port: number,
  sandboxes: string,
) {
  return {
    gateway: {
      mode: 'local',
      bind,
      ...(trustedProxies && { trustedProxies }),
      controlUi: { ...(basePath && { basePath }), allowedOrigins: [`http://127.0.0.1:${port}`] },
    },
    ...(model && {
      models: {
        providers: {
          anthropic: {
            baseUrl: model.url,
            api: 'anthropic-messages',
            models: [{ ...MODEL, input: ['text'], reasoning: false, cost: COST }],
          },
        },
      },
    }),
    agents: {
      defaults: {
        model: { primary: `anthropic/${MODEL.id}` },
        ...(sandbox && {
          // The engine mounts by the host's paths: this one is the same inside and outside.
          sandbox: { mode: 'all', scope: 'agent', workspaceRoot: sandboxes },
        }),
      },
      list: [
        { id: 'main', default: true },
        {
          id: 'asking',
          sandbox: { mode: 'off' },
          tools: { exec: { host: 'gateway', security: 'allowlist', ask: 'always' } },
        },
      ],
    },
  }
}

/** Deploys a gateway and waits until it is well. */
export async function startGateway(options: GatewayOptions) {
  const { engine, version, name = 'openclaw', bind = 'lan', nodeUser = true, sandbox = false } = options
  const modules = await script(process.env, 'packages', VERSIONS[version])
  await script(engine.env, 'images')
  const port = options.port ?? (await freePort())
  const token = options.token ?? randomBytes(32).toString('hex')

  const base = mkdtempSync(join(tmpdir(), 'opsbot-gateway-'))
  const dir = join(base, name)
  const stateDir = join(base, 'state')
  const sandboxes = join(stateDir, 'sandboxes')
  const configFile = join(stateDir, 'openclaw.json')
  const envFile = join(dir, '.env')
  const composeFile = join(dir, 'docker-compose.yml')
  const container = `${name}-gateway`
  for (const path of [base, dir, stateDir, sandboxes]) mkdirSync(path, { recursive: true })
  chmodSync(base, 0o755)

  const config = merge(configOf(options, port, sandboxes), options.config ?? {})
  writeFileSync(configFile, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 })
  if (nodeUser) for (const path of [stateDir, sandboxes, configFile]) chownSync(path, 1000, 1000)

  const env = {
    OPENCLAW_CONFIG_DIR: stateDir,
    OPENCLAW_GATEWAY_PORT: `${port}`,
    OPENCLAW_GATEWAY_BIND: bind,
    OPENCLAW_GATEWAY_TOKEN: token,
    ANTHROPIC_API_KEY: `sk-ant-api03-${randomBytes(32).toString('hex')}`,
    ...options.env,
  }
  writeFileSync(
    envFile,
    Object.entries(env)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
    { mode: 0o600 },
  )

  const volumes = [
    `\${OPENCLAW_CONFIG_DIR}:${STATE}`,
    `${modules}/openclaw:/app:ro`,
    `${modules}:/node_modules:ro`,
    // The older one compiles its plugins for half a minute if it does not find them compiled here.
    ...(version === 'old' ? [`${dirname(modules)}/jiti:/tmp/jiti`] : []),
  ]
  const socket = `${engine.env.DOCKER_HOST}`.replace('unix://', '')
  if (sandbox) volumes.push(`${socket}:/var/run/docker.sock`, `${sandboxes}:${sandboxes}`)
  const passed = Object.keys(env).filter((key) => !/^OPENCLAW_(CONFIG_DIR|GATEWAY_(PORT|BIND))$/.test(key))
  writeFileSync(
    composeFile,
    `services:
  openclaw-gateway:
    image: opsbot/openclaw:${nodeUser ? version : 'nouser'}
    container_name: ${container}
    init: true
    restart: unless-stopped
    environment:
      HOME: /home/node
      TERM: xterm-256color
${options.dockerHost ? `      DOCKER_HOST: ${options.dockerHost}\n` : ''}${passed.map((key) => `      ${key}: \${${key}}`).join('\n')}
    volumes:
${volumes.map((each) => `      - ${each}`).join('\n')}
    ports: ["127.0.0.1:\${OPENCLAW_GATEWAY_PORT}:${PORT}"]
    ${sandbox ? `group_add: ["${statSync(socket).gid}"]` : ''}
    command: [node, dist/index.js, gateway, --bind, "\${OPENCLAW_GATEWAY_BIND}", --port, "${PORT}"]
`,
  )

  const compose = (...args: string[]) =>
    engine.docker('compose', '--project-directory', dir, '-f', composeFile, ...args)
  const docker = (...args: string[]) => engine.docker(...args, container)

  /** Runs a program inside the container; what Docker itself has to say, with code 126, is on the standard output. */
  const exec = (argv: readonly string[], { input = '', user = '' } = {}) =>
    run(['docker', 'exec', '-i', ...(user ? ['--user', user] : []), container, ...argv], engine.env, input)

  const device: DeviceOptions = {
    ...{ url: `ws://127.0.0.1:${PORT}`, token, identity: createIdentity() },
    ...{ clientId: 'gateway-client', mode: 'backend' },
  }
  /** The token goes in by standard input, where nobody else sees it. */
  const ask = (input: object) =>
    exec(['node', '--input-type=module-typescript', '-e', CALLER], {
      input: JSON.stringify(input),
      user: nodeUser ? 'node' : 'root',
    })
  /** Calls a method as a backend client inside the container. */
  // biome-ignore lint/suspicious/noExplicitAny: what a method answers is for its caller to know
  async function call(method: string, params: unknown = {}, as: Partial<DeviceOptions> = {}): Promise<any> {
    const { code, stdout, stderr } = await ask({ device: { ...device, ...as }, method, params })
    if (code !== 0) throw new Error(stderr.trim().slice(-1_000) || `docker exec ended with ${code}`)
    return JSON.parse(stdout)
  }

  /** Waits until it is up and well. One process inside looks again and again: many would slow its start down. */
  async function ready(timeoutMs = 120_000): Promise<void> {
    const end = performance.now() + timeoutMs
    let last: Outcome | undefined
    while (performance.now() < end) {
      last = await ask({ device, method: 'health', untilMs: end - performance.now() })
      if (last.code === 0) return
      // It was not up, or went down with this very process in it.
      await sleep(250)
    }
    const logs = await docker('logs', '--tail', '20').catch(() => '')
    throw new Error(
      `the gateway was not well within ${timeoutMs / 1_000} s: ${last?.stderr}\n${logs.slice(-3_000)}`,
    )
  }

  const url = `ws://127.0.0.1:${port}${options.basePath ?? ''}`
  /** A device comes through the published port that has to ask first: the older one asks about browsers only. */
  const stranger = (as: Partial<DeviceOptions> = {}) =>
    connectDevice({
      ...{ url, token },
      ...(version === 'old' && {
        ...{ clientId: 'openclaw-control-ui', mode: 'webchat' },
        headers: { origin: `http://127.0.0.1:${port}` },
      }),
      ...as,
    })

  /** A device that may do everything and hears of everything, let in by the command line where it has to ask. */
  async function operator(as: Partial<DeviceOptions> = {}): Promise<Device> {
    const asked = await connectDevice({ url, token, caps: CAPS, ...as })
    if (!asked.requestId) return asked
    await exec(['node', 'dist/index.js', 'devices', 'approve', asked.requestId])
    return await connectDevice({ url, token, caps: CAPS, ...as, identity: asked.identity })
  }

  /** Removes what it made: also the sandboxes, which Compose does not know. */
  async function down(): Promise<void> {
    await compose('down', '-t', '0', '-v').catch(() => engine.docker('rm', '-fv', container))
    const left = await engine.docker('ps', '-aq', '--filter', 'label=openclaw.sandbox=1')
    if (left) await engine.docker('rm', '-fv', ...left.split('\n'))
    rmSync(base, { recursive: true, force: true })
  }

  await compose('up', '-d')
  if (!options.idle)
    await ready().catch(async (error) => {
      await down()
      throw error
    })

  return {
    ...{ version, project: name, container, dir, stateDir, configFile, envFile, composeFiles: [composeFile] },
    ...{ port, token, url, env },
    ...{ exec, call, stranger, operator, ready, compose, down },
    /** The gateway's own command line. */
    cli: (argv: readonly string[], input = '') => exec(['node', 'dist/index.js', ...argv], { input }),
    /** One turn of an agent, to its end. */
    runAgent: (message: string, agent = 'main') =>
      call('agent', { message, agentId: agent, idempotencyKey: randomBytes(8).toString('hex') }),
    logs: () => docker('logs'),
    // It waits for a request of an agent's for longer than this; killed, the same container comes back at once (openclaw.md §6).
    restart: () => docker('restart', '-t', '20'),
    stop: () => docker('stop', '-t', '60'),
    start: () => docker('start'),
    kill: () => docker('kill'),
    pause: () => docker('pause'),
    unpause: () => docker('unpause'),
  }
}

/** What runs inside: the device itself, and one request, asked again until it is answered if there is time for that. */
const CALLER = `${readFileSync(join(HERE, 'device-client.ts'), 'utf8')}
const { device, method, params, untilMs = 0 } = JSON.parse(await new Response(process.stdin).text())
const end = performance.now() + untilMs
for (;;) {
  // A newer one answers before it is ready, and an older one does not know this address.
  const { ready = true } = await fetch('http://127.0.0.1:${PORT}/readyz').then((answer) => answer.json()).catch(() => ({}))
  const client = await connectDevice(device)
  const well = untilMs === 0 || (ready && !client.error)
  if (well && client.error) throw new Error(client.error.code + ': ' + client.error.message)
  if (well) {
    console.log(JSON.stringify(await client.call(method, params) ?? null))
    process.exit(0)
  }
  if (performance.now() > end) throw new Error(client.error?.message ?? 'not ready')
  void client.close()
  await new Promise((resolve) => setTimeout(resolve, 200))
}
`
