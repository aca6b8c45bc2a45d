// The gateway link against gateways of both versions that say what real ones said: the real script, a real socket.

import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { readIdentity } from '../../src/ops/gateway/identity.ts'
import { createGateway, type GatewayError } from '../../src/ops/gateway/index.ts'
import { EVENTS, METHODS } from '../../src/ops/gateway/methods.ts'
import { refusalOf, standingOf } from '../../src/ops/gateway/standing.ts'
import { createLine, type LineOptions } from '../openclaw/line.ts'
import { NEW, OLD, VERSIONS, type Version } from '../openclaw/recording.ts'
import { createReplay, type Replay, type ReplayOptions } from '../openclaw/replay.ts'
import { type After, temporaryDirectory } from '../road/rig.ts'

const TOKEN = 'gateway-token-of-the-test'
/** The environment of a script whose clock runs ten times as fast. */
const FAST = { NODE_OPTIONS: `--require ${join(import.meta.dirname, '../openclaw/fast-clock.cjs')}` }

async function setUp(
  after: After,
  version: Version,
  {
    gateway = {},
    env = { OPENCLAW_GATEWAY_TOKEN: TOKEN },
    ...more
  }: Partial<LineOptions> & {
    gateway?: Partial<ReplayOptions>
  } = {},
) {
  const replay = await createReplay({ version, token: TOKEN, ...gateway })
  const home = more.home ?? temporaryDirectory(after)
  const line = createLine({ url: replay.url, home, env, ...more })
  after(async () => {
    await line.close()
    await replay.close()
  })
  return { replay, line, home }
}

/** What was refused, as it is caught. */
const failure = (call: Promise<unknown>) =>
  call.then(
    () => undefined,
    (error: GatewayError) => error,
  )

afterEach(() => void vi.useRealTimers())

describe.concurrent.each(VERSIONS)('the line into %s', (version) => {
  it('opens, and says what that version says of itself', async ({ onTestFinished: after, expect }) => {
    const { line, replay } = await setUp(after, version)
    const state = await line.opened()
    const { hello } = replay.recording
    expect(state).toMatchObject({ protocol: replay.recording.protocol, uptimeMs: expect.any(Number) })
    expect(state.version).toBe(version === NEW ? NEW : undefined)
    expect(state.methods).toEqual(
      Object.keys(METHODS).filter((method) => hello.features.methods.includes(method)),
    )
    const ready = await line.until(() => line.link.ready())
    expect(ready.answers).toBe(true)
    expect(ready.ready).toBe(version === NEW ? true : undefined)
    expect(replay.client()?.connect).toMatchObject({ caps: [], client: { displayName: 'Telegram Ops Bot' } })
  })

  it('is the same device for ever', async ({ onTestFinished: after, expect }) => {
    const { line, replay, home } = await setUp(after, version)
    await line.opened()
    const first = replay.client()?.connect.device?.id
    replay.cut()
    await line.until(() => replay.counts.lines === 2 && replay.client())
    expect(replay.client()?.connect.device?.id).toBe(first)
    await line.close()
    const again = createLine({ url: replay.url, home, env: { OPENCLAW_GATEWAY_TOKEN: TOKEN } })
    after(() => again.close())
    await again.opened()
    expect(replay.client()?.connect.device?.id).toBe(first)
    expect(statSync(line.identity).mode & 0o777).toBe(0o600)
  })

  it.for<[name: string, breakIt: (replay: Replay) => void | Promise<void>]>([
    ['cut without a word', (replay: Replay) => replay.cut()],
    ['closed for a restart', (replay: Replay) => replay.restart(100)],
    ['half-written JSON', (replay: Replay) => replay.blurt('{"type":"event","event":"hea')],
  ])(
    'is open again soon after it was broken: %s',
    async ([_, breakIt], { onTestFinished: after, expect }) => {
      const { line, replay } = await setUp(after, version)
      await line.opened()
      await breakIt(replay)
      await line.until(() => line.states.at(-1)?.state === 'open' && line.states.length > 1)
      expect(await line.link.call('health')).toMatchObject({ ok: true })
    },
  )

  it('a call in flight fails in words when the line is cut, and the next is answered', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, version)
    await line.opened()
    replay.answer('health', () => new Promise(() => {}))
    const call = failure(line.link.call('health'))
    await line.until(() => replay.asked.length > 0)
    replay.cut()
    expect(await call).toMatchObject({ code: 'CLOSED', message: 'The gateway closed the line.' })
    expect(await failure(line.link.call('health'))).toMatchObject({
      code: 'CLOSED',
      message: 'There is no line into the gateway.',
    })
    replay.answer('health', replay.recording.answers.health)
    await line.again()
    await line.link.call('health')
  })

  it('passes on the events that are listened to, and only those', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, version, { caps: () => ['approvals', 'exec-approvals'] })
    await line.opened()
    await line.until(() => line.events.some(({ event }) => event === 'health'))
    line.events.length = 0
    for (const event of ['tick', 'presence', 'device.pair.requested', 'agent', 'chat']) replay.emit(event, {})
    const { id } = replay.ask()
    replay.answerElsewhere(id, 'deny', 'Ann')
    replay.emit('health', { ok: true, secret: 'not ours' })
    await line.until(() => line.events.length === 5)
    expect(line.events.map(({ event }) => event)).toEqual([
      'presence',
      'device.pair.requested',
      'exec.approval.requested',
      'exec.approval.resolved',
      'health',
    ])
    expect(line.events.every(({ event }) => EVENTS.includes(event))).toBe(true)
    expect(line.events.at(-1)?.payload).toBeUndefined()
  })

  it('tells nobody the token or the key: not by its arguments, its log, its states, its errors', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, version)
    await line.opened()
    const errors = [await failure(line.link.call('exec.approval.resolve', { id: 'none', decision: 'deny' }))]
    replay.trouble({ refuse: 'token' })
    replay.cut()
    await line.shut('AUTH_TOKEN_MISMATCH')
    const key = await readIdentity(line.identity)
    const said = JSON.stringify([
      line.argvs,
      line.logs,
      line.states,
      line.readies,
      line.events,
      errors.map(String),
    ])
    for (const secret of [TOKEN, key, key.slice(20, 50)]) expect(said).not.toContain(secret)
    // It would have been found had it been said.
    expect(said).toContain('AUTH_TOKEN_MISMATCH')
    expect(readFileSync(line.identity, 'utf8')).toContain(key)
  })

  it('announces other abilities when it is opened anew', async ({ onTestFinished: after }) => {
    let caps: string[] = []
    const { line, replay } = await setUp(after, version, { caps: () => caps })
    await line.opened()
    caps = ['approvals', 'exec-approvals']
    line.link.reopen()
    await line.until(() => replay.client()?.connect.caps.length === 2)
  })

  it('stops for good, and its script with it', async ({ onTestFinished: after, expect }) => {
    const { line, replay } = await setUp(after, version)
    await line.opened()
    line.link.stop()
    await Promise.all(line.children.map(({ ended }) => ended))
    await line.until(() => replay.clients().length === 0)
    expect(line.children).toHaveLength(1)
    expect(await failure(line.link.call('health'))).toMatchObject({ code: 'CLOSED' })
  })
})

describe.concurrent('the way in', () => {
  const version = NEW

  it.for<[name: string, options: Partial<LineOptions>]>([
    ['the environment', { env: { OPENCLAW_GATEWAY_TOKEN: TOKEN } }],
    ['the config', { files: { 'openclaw.json': JSON.stringify({ gateway: { auth: { token: TOKEN } } }) } }],
    [
      'a variable that the config names',
      {
        env: { SOME_TOKEN: TOKEN },
        files: { 'openclaw.json': `{"gateway":{"auth":{"token":"\${SOME_TOKEN}"}}}` },
      },
    ],
    [
      "a secret reference in the config to the gateway's own .env",
      {
        files: {
          'openclaw.json': '{"gateway":{"auth":{"token":{"source":"env","id":"SOME_TOKEN"}}}}',
          '.env': `# ours\nSOME_TOKEN="${TOKEN}"\n`,
        },
      },
    ],
    ["the gateway's own .env", { files: { '.env': `OPENCLAW_GATEWAY_TOKEN=${TOKEN}\n` } }],
  ])('finds the token in %s', async ([_, options], { onTestFinished: after }) => {
    const { line } = await setUp(after, version, { env: {}, ...options })
    await line.opened()
  })

  it('tries the token of the config when that of the environment is refused', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, version, {
      env: { OPENCLAW_GATEWAY_TOKEN: 'an-older-one' },
      files: { 'openclaw.json': JSON.stringify({ gateway: { auth: { token: TOKEN } } }) },
    })
    await line.opened()
    expect(line.states.map((state) => state.state === 'shut' && state.code)).toContain('AUTH_TOKEN_MISMATCH')
    expect(replay.counts.lines).toBe(2)
  })

  it('comes in by a password too', async ({ onTestFinished: after }) => {
    const { line } = await setUp(after, version, {
      gateway: { password: 'open sesame' },
      env: { OPENCLAW_GATEWAY_TOKEN: 'an-older-one', OPENCLAW_GATEWAY_PASSWORD: 'open sesame' },
    })
    await line.opened()
  })

  it.for<[name: string, env: Record<string, string>, code: string, why: string]>([
    ['none', {}, 'AUTH_TOKEN_MISSING', 'neither its environment nor its config'],
    ['a wrong one', { OPENCLAW_GATEWAY_TOKEN: 'wrong' }, 'AUTH_TOKEN_MISMATCH', 'started with another one'],
  ])(
    'says so when there is no way in: %s',
    async ([_, env, code, why], { onTestFinished: after, expect }) => {
      const { line } = await setUp(after, version, { env })
      line.link.start()
      const state = await line.shut(code)
      expect(refusalOf(state, { answers: true })).toMatchObject({ why: expect.stringContaining(why) })
    },
  )
})

describe.concurrent('what a gateway should not say', () => {
  const version = NEW

  it.for([
    ['nothing', null],
    ['another shape', { ok: 'yes', agents: 'many' }],
    ['a text', 'OK'],
  ])(
    'an answer that is %s is an error, not a fact',
    async ([_, answer], { onTestFinished: after, expect }) => {
      const { line, replay } = await setUp(after, version)
      await line.opened()
      replay.answer('health', answer)
      expect(await failure(line.link.call('health'))).toMatchObject({ code: 'SHAPE' })
    },
  )

  it('outlives an event of 10 MB, an answer of 10 MB and a flood of 50,000 events', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, version)
    await line.opened()
    replay.emit('health', { text: 'x'.repeat(10 << 20) })
    replay.answer('status', { text: 'x'.repeat(10 << 20) })
    expect(await failure(line.link.call('status'))).toMatchObject({ code: 'TOO_LONG' })
    const before = line.events.length
    for (let index = 0; index < 50_000; index += 1) replay.emit('health', { index })
    expect(await line.link.call('health')).toMatchObject({ ok: true })
    expect(line.events.length - before).toBeGreaterThan(0)
    expect(line.states.map(({ state }) => state)).toEqual(['open'])
  })
})

describe.concurrent('a gateway that does not let us in', () => {
  it.for([
    ['wants to be asked first', OLD, 'pairing', 'PAIRING_REQUIRED'],
    ['wants to be asked first', NEW, 'pairing', 'PAIRING_REQUIRED'],
    ['speaks a protocol that we do not know', NEW, 'protocol', 'PROTOCOL_MISMATCH'],
    ['has only just begun', NEW, 'starting', 'UNAVAILABLE'],
  ] as const)(
    '%s (%s): the line is shut for that reason, and opens once it is over',
    async ([_, version, refuse, code], { onTestFinished: after, expect }) => {
      const { line, replay } = await setUp(after, version, {
        env: { OPENCLAW_GATEWAY_TOKEN: TOKEN, ...FAST },
      })
      replay.trouble({ refuse })
      line.link.start()
      const state = await line.shut(code)
      expect(refusalOf(state, { answers: true }) === undefined).toBe(code === 'UNAVAILABLE')
      replay.trouble({})
      await line.again()
    },
  )

  it('takes its own loopback for a proxy: said with what to do about it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, NEW)
    const { proxy } = replay.recording.refusals
    if (!proxy) throw new Error('not recorded')
    replay.trouble({ http: proxy })
    line.link.start()
    await line.until(() => line.link.ready()?.error)
    expect(refusalOf(line.link.state(), line.link.ready())?.mend).toContain('gateway.trustedProxies')
  })

  it('takes the line and says nothing: it is given up and tried anew', async ({ onTestFinished: after }) => {
    const { line, replay } = await setUp(after, NEW, { env: { OPENCLAW_GATEWAY_TOKEN: TOKEN, ...FAST } })
    replay.trouble({ mute: true })
    line.link.start()
    await line.shut('SILENT')
    await line.until(() => replay.counts.lines > 1)
    replay.trouble({})
    await line.again()
  })

  it('answers nothing at all: its event loop is stuck, and that is why it is not ready', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, NEW, { env: { OPENCLAW_GATEWAY_TOKEN: TOKEN, ...FAST } })
    await line.opened()
    replay.trouble({ stuck: true })
    await line.until(() => line.link.ready()?.stuck)
    const seen = { link: line.link.state(), ready: line.link.ready(), startedAt: undefined, now: Date.now() }
    expect(standingOf(seen)).toMatchObject({ state: 'not ready', why: expect.stringContaining('stuck') })
  })

  it('does not listen: it is looked for again and again, and found', async ({ onTestFinished: after }) => {
    const { line, replay } = await setUp(after, OLD)
    await replay.down()
    line.link.start()
    await line.shut('DOWN')
    await replay.up()
    await line.again()
  })

  it('tells of its restart before it goes: the shut line knows it until it is back', async ({
    onTestFinished: after,
    expect,
  }) => {
    const { line, replay } = await setUp(after, NEW)
    await line.opened()
    await replay.restart(300)
    await line.until(() => line.states.length >= 3 && line.link.state().state === 'open')
    const shut = line.states.filter((state) => state.state === 'shut')
    expect(shut.map(({ announced }) => announced)).toEqual(
      shut.map(() => ({ reason: 'gateway restarting', restartExpectedMs: 1500, at: expect.any(Number) })),
    )
  })
})

describe.concurrent('a config with comments', () => {
  const files = { 'openclaw.json': `{\n  // ours\n  gateway: { auth: { token: '${TOKEN}' } },\n}` }

  it("is read by the gateway's own reader where there is one", async ({ onTestFinished: after }) => {
    const modules = temporaryDirectory(after)
    mkdirSync(join(modules, 'json5'))
    writeFileSync(
      join(modules, 'json5/index.js'),
      "exports.parse = (text) => new Function('return (' + text + ')')()",
    )
    const { line } = await setUp(after, NEW, { env: { NODE_PATH: modules }, files })
    await line.opened()
  })

  it('is passed over where there is none, and the missing token is said', async ({
    onTestFinished: after,
  }) => {
    const { line } = await setUp(after, NEW, { env: {}, files })
    line.link.start()
    await line.shut('AUTH_TOKEN_MISSING')
  })
})

describe.concurrent('the script', () => {
  it('ends when its input does', async ({ onTestFinished: after }) => {
    const { line } = await setUp(after, NEW)
    await line.opened()
    line.children[0]?.stream.end()
    await line.children[0]?.ended
    await line.until(() => line.states.some((state) => state.state === 'shut' && state.code === 'CLOSED'))
    // And the link begins another.
    await line.until(() => line.children.length === 2 && line.link.state().state === 'open')
  })

  it('ends when nobody speaks with it for 90 seconds', async ({ onTestFinished: after, expect }) => {
    const { line } = await setUp(after, NEW, { env: { ...FAST, FASTER: '50' } })
    const script = readFileSync(join(import.meta.dirname, '../../src/ops/gateway/script.cjs'), 'utf8')
    const child = await line.inside.open([line.inside.node, '-e', script])
    child.stream.write(`${JSON.stringify({ id: 1, method: 'ping' })}\n`)
    child.stream.resume()
    const began = performance.now()
    await child.ended
    expect(performance.now() - began).toBeGreaterThan(90_000 / 50)
  })
})

describe('where it is looked for', () => {
  /** A link whose gateway is nowhere, looked for by hand. */
  async function setUpNowhere() {
    const looks: ReturnType<typeof Promise.withResolvers<undefined>>[] = []
    const where = () => {
      const look = Promise.withResolvers<undefined>()
      looks.push(look)
      return look.promise
    }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { line } = await setUp(onTestFinished, NEW, { where })
    line.link.start()
    const settled = () => vi.advanceTimersByTimeAsync(0)
    return { line, looks, settled }
  }

  it('waits longer from look to look, and looks at once when it is told to hurry', async () => {
    const { line, looks, settled } = await setUpNowhere()
    looks[0]?.resolve(undefined)
    await settled()
    expect(line.link.state()).toMatchObject({ state: 'shut', code: 'NOT_RUNNING' })
    await vi.advanceTimersByTimeAsync(249)
    expect(looks).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(looks).toHaveLength(2)
    looks[1]?.resolve(undefined)
    await settled()
    line.link.hurry()
    await settled()
    expect(looks).toHaveLength(3)
  })

  it('a hurry while it looks is not lost: it looks once more at once', async () => {
    const { line, looks, settled } = await setUpNowhere()
    line.link.hurry()
    looks[0]?.resolve(undefined)
    await settled()
    expect(looks).toHaveLength(2)
  })

  it('an engine that does not answer is the reason, in its words', async () => {
    const { line, looks, settled } = await setUpNowhere()
    looks[0]?.reject(new Error('connect ENOENT docker.sock'))
    await settled()
    expect(line.link.state()).toMatchObject({ code: 'ENGINE', why: 'connect ENOENT docker.sock' })
  })
})

describe('what is asked of the gateway', () => {
  const shape = { ok: true, channels: {}, agents: [{ agentId: 'main' }] }

  /** A gateway whose link is never opened, with a CLI that answers this. */
  function createShut(answers: Record<string, string>) {
    const argvs: (readonly string[])[] = []
    const inside = {
      key: 'image',
      node: 'node',
      async exec(argv: readonly string[]) {
        argvs.push(argv)
        const stdout = argv.includes('--version')
          ? `OpenClaw ${NEW}`
          : (answers[argv.slice(1).join(' ')] ?? '')
        return {
          exitCode: stdout ? 0 : 1,
          output: stdout,
          stdout,
          stderr: stdout ? '' : 'Gateway not reachable',
        }
      },
      open: () => Promise.reject(new Error('no')),
    }
    const gateway = createGateway({
      where: async () => ({ inside }),
      identity: async () => '',
      caps: () => [],
      orders: async () => ({}),
      onChange: () => {},
      onEvent: () => {},
      onStanding: () => {},
      memory: { get: () => undefined, set: () => {} },
      now: () => 1_000,
      log: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    })
    return { gateway, argvs }
  }

  it('is asked of its CLI when there is no line, and says so', async () => {
    const { gateway } = createShut({ 'gateway call health --json': `Pending: 0\n${JSON.stringify(shape)}` })
    expect(await gateway.ask('health')).toMatchObject({ value: shape, source: 'cli', at: 1_000 })
  })

  it.each([
    ['nothing to ask the CLI', 'models.authStatus', {}, 'There is no line into the gateway.'],
    ['a CLI that fails', 'health', {}, 'openclaw gateway call: Gateway not reachable'],
    [
      'a CLI that answers unlike any version',
      'health',
      { 'gateway call health --json': '{"ok":"yes"}' },
      'openclaw gateway call health --json answered unlike any version that is known.',
    ],
  ] as const)('fails in words when there is %s', async (_, method, answers, message) => {
    const { gateway } = createShut(answers)
    await expect(gateway.ask(method)).rejects.toThrow(message)
  })

  it('what changes something is never handed to the CLI', async () => {
    const { gateway, argvs } = createShut({})
    await expect(gateway.call('gateway.restart.request', {})).rejects.toThrow('There is no line')
    expect(argvs).toEqual([])
  })

  it.each(VERSIONS)('a call that %s never answers fails at its deadline', async (version) => {
    const { line, replay } = await setUp(onTestFinished, version)
    await line.opened()
    replay.answer('health', () => new Promise(() => {}))
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const call = failure(line.link.call('health'))
    await vi.advanceTimersByTimeAsync(METHODS.health.timeoutMs)
    expect(await call).toMatchObject({
      code: 'LATE',
      message: 'The gateway did not answer health within 5 s.',
    })
  })

  it('a method that its version lacks is absent, and never sent', async () => {
    const { line, replay } = await setUp(onTestFinished, OLD)
    await line.opened()
    expect(await failure(line.link.call('models.authStatus'))).toMatchObject({ code: 'ABSENT' })
    expect(replay.asked).toEqual([])
  })
})
