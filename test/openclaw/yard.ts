// The whole bot beside a gateway on its own host: the rig, a replay gateway, and the link between them, open.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Run, run as runHere } from '../../src/ops/run.ts'
import { boxOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { connectDevice, type DeviceOptions } from '../real/device-client.ts'
import {
  type After,
  createRig,
  OPS,
  type Rig,
  type RigOptions,
  temporaryDirectory,
  until,
} from '../road/rig.ts'
import type { Version } from './recording.ts'
import { createReplay, type Replay } from './replay.ts'

export const TOKEN = 'gateway-token-of-the-test'

export interface YardOptions {
  /** What the gateway's config says its token is. */
  configured?: string
  /** What its CLI prints, by its arguments; without it there is no CLI. */
  cli?: Record<string, string> | Cli
  /** What the gateway's container has printed; without it there is no container. */
  log?: string
  fake?: RigOptions['fake']
  /** Sets its home up before the bot starts. @returns what stands in the bot's environment besides. */
  prepare?: (home: string) => Record<string, string>
}

/** A CLI that knows its gateway. @returns what it prints; undefined when it fails. */
export type Cli = (
  args: readonly string[],
  replay: Replay,
  input: string | undefined,
) => string | undefined | Promise<string | undefined>

/** What is run on this host: a docker without sandboxes, a CLI that is called as newer versions' is, and programs by their path. */
const runWith =
  (printed: Record<string, string> | Cli, replay: Replay): Run =>
  async (file, args, options) => {
    if (file.startsWith('/')) return await runHere(file, args, options)
    const ask =
      typeof printed === 'function' ? printed : (words: readonly string[]) => printed[words.join(' ')]
    const said = await ask(args, replay, options.input)
    const stdout = file === 'openclaw' ? (said ?? '') : ''
    const well = stdout || file === 'docker'
    return { exitCode: well ? 0 : 1, stdout, stderr: well ? '' : 'no such command' }
  }

export type Yard = Awaited<ReturnType<typeof createYard>>

export async function createYard(
  after: After,
  version: Version,
  { configured = TOKEN, cli = {}, log, fake = {}, prepare }: YardOptions = {},
) {
  // The gateway goes by the bot's clock, which is made after it.
  const time: { rig?: Rig } = {}
  const now = () => time.rig?.clock.now() ?? Date.now()
  const replay = await createReplay({ version, token: TOKEN, now })
  after(() => replay.close())
  const home = temporaryDirectory(after)
  mkdirSync(join(home, '.openclaw'))
  const config = { gateway: { auth: { token: configured } } }
  writeFileSync(join(home, '.openclaw/openclaw.json'), JSON.stringify(config), { mode: 0o600 })
  const engine = createFakeEngine({ now: Date.now })
  if (log !== undefined) engine.boxes.push(boxOf(GATEWAY, { log }))
  const rig = await createRig({
    ...{ after, fake },
    engine: { docker: engine.docker, run: runWith(cli, replay) },
    env: {
      ...{ TELEGRAM_CHAT_ID: `${OPS}`, OPENCLAW_GATEWAY_URL: replay.url, HOME: home },
      OPENCLAW_CONFIG_DIR: join(home, '.openclaw'),
      ...prepare?.(home),
    },
  })
  time.rig = rig
  const opened = () => until(() => rig.ops.gateway.link().state === 'open')
  if (configured === TOKEN) await opened()
  return Object.assign(rig, {
    ...{ replay, opened, home },
    /** A browser behind a proxy that wants in, or whatever else it says it is: being refused is a result too. */
    async browse(options: Omit<DeviceOptions, 'url' | 'token'> = {}) {
      const device = await connectDevice({
        ...{ url: replay.url, token: TOKEN, clientId: 'openclaw-control-ui', mode: 'webchat' },
        ...{ headers: { 'x-forwarded-for': '203.0.113.7' }, ...options },
      })
      after(() => void device.close())
      return device
    },
    /** Looks at pairing now, as after an event. */
    lookAgain: () => rig.ops.pairing.look(),
    /** Looks as often as it takes until nothing is held back for a time of bad or good any more. */
    async lookLong(): Promise<void> {
      // Seven, for what is looked at only in every second cycle, and once before it can be seen.
      for (let count = 0; count < 6; count += 1) {
        await rig.look()
        rig.clock.pass(601_000)
      }
      await rig.look()
    },
    /** What the group was told, oldest first: what it reads now. */
    told: () => rig.telegram.messages(OPS).map(({ text }) => text),
    /** The newest message in the group that has this text now. */
    shown: (text: string | RegExp) =>
      rig.telegram.waitFor((fake) =>
        fake
          .messages(OPS)
          .findLast((message) =>
            typeof text === 'string' ? message.text.includes(text) : text.test(message.text),
          ),
      ),
  })
}
