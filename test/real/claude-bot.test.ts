// The whole bot beside real Claude CLIs, on this host and in a container: refresh, what keeps it from that, kills, sign-in.

import { chownSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { type Anthropic, createAnthropic } from '../claude/api.ts'
import { fakeToken } from '../claude/cli.ts'
import { PING, VERSIONS, type Version } from '../claude/contract.ts'
import { type ClaudeOptions, startClaude } from './claude.ts'
import { bringUp, createScene, type Engine, until } from './engine.ts'
import { addressOf, PATIENCE_MS } from './gateway.ts'
import { createRig, needsRoot, ROOT, report, secondsSince, sh } from './rig.ts'

const BOTH = Object.keys(VERSIONS) as Version[]
const NOBODY = 65_534
const MINUTE_MS = 60_000
/** Within what the CLI renews, and before the keeper does. */
const DUE_MS = 280_000
/** The moment in which the keeper begins. */
const KEEPERS_MS = 240_000

const NOT_RENEWED = 'The Claude CLI’s token is not renewed'
const NO_LOGIN = 'The Claude CLI has no login that it can use'

/** What leads the CLI astray, wherever it stands. */
const ASTRAY = {
  ...{ ANTHROPIC_BASE_URL: 'http://127.0.0.1:9', CLAUDECODE: '1' },
  ...{ ANTHROPIC_API_KEY: fakeToken('ort'), CLAUDE_CODE_OAUTH_TOKEN: fakeToken() },
}

/** Where the bot's clock runs faster, a run of the CLI takes minutes by it: alerts are as much slower. */
const PATIENT = { WATCH_SECONDS: '100' }

beforeEach(needsRoot)

let engine: Engine
let api: Anthropic
beforeAll(async () => {
  if (process.getuid?.() !== 0) return
  engine = await bringUp('trixie', 'claude')
  api = await createAnthropic({ address: await addressOf(engine) })
}, PATIENCE_MS)
afterAll(async () => {
  await api?.close()
  await engine?.down()
})
beforeEach(async () => {
  await api?.network('up')
  api?.be({})
})

interface StandOptions {
  version?: Version
  where?: 'host' | 'container'
  /** How long its token lasts; no file when it is left out. */
  lifeMs?: number
  env?: Record<string, string>
  container?: Omit<Exclude<ClaudeOptions['where'], 'host'>, 'engine'>
  /** How many times faster the bot's clock runs. */
  faster?: number
}
type Stand = Awaited<ReturnType<typeof createStand>>

/** A CLI with a login, and the bot that keeps it. */
async function createStand(context: TestContext, options: StandOptions = {}) {
  const { version = 'new', where = 'host', lifeMs, env = {}, container = {}, faster } = options
  const rig = createRig(context)
  const isHost = where === 'host'
  const claude = await startClaude({ version, api, where: isHost ? 'host' : { engine, ...container } })
  rig.defer(() => claude.down())
  if (lifeMs !== undefined) claude.write(api.issue({ lifeMs }))
  const scene = await createScene(
    rig,
    isHost ? undefined : engine,
    {
      ...ASTRAY,
      CLAUDE_MODE: where,
      ...(isHost && { CLAUDE_CONFIG_DIR: claude.configDir, CLAUDE_BIN: claude.bin }),
      ...(faster && {
        ...{ NODE_OPTIONS: `--require ${join(ROOT, 'test/openclaw/fast-clock.cjs')}`, FASTER: `${faster}` },
      }),
      ...env,
    },
    { idle: true },
  )
  return { rig, claude, scene }
}

/** When its token ends; 0 while an older one writes it in place. UTC milliseconds. */
function endOf({ claude }: Stand): number {
  try {
    return claude.read()?.claudeAiOauth?.expiresAt ?? 0
  } catch {
    return 0
  }
}
const refreshes = () => api.count('/v1/oauth/token', 'refresh_token')
const messagesSent = () => api.count('/v1/messages')

/** Waits until its token has another end, hours away, and is one that works. */
async function renewed(stand: Stand, timeoutMs?: number): Promise<void> {
  await until('a new token', () => endOf(stand) > Date.now() + 60 * MINUTE_MS, timeoutMs)
  expect(api.knows(stand.claude.read().claudeAiOauth.accessToken)).toBe(true)
}

/** Waits until the bot says so. */
const fresh = ({ scene }: Stand) =>
  until('it is fresh', async () => /^✅ Fresh until/.test((await scene.ask('/refresh')).text))

/** Waits until the bot has seen the end of what it began on this host: it goes on for a moment after the new token. */
const ended = ({ scene }: Stand) =>
  until(
    'the end of the run',
    () => !readdirSync(scene.stateDir).some((name) => name.startsWith('claude-run-')),
  )

/** Alerts that fired, by the first line of what was sent. */
const fired = ({ scene }: Stand) =>
  scene
    .messages()
    .flatMap(({ history }) => (/^(🔴|🟡) /.test(history[0]?.text ?? '') ? [`${history[0]?.text}`] : []))
const firstLines = (stand: Stand) =>
  fired(stand)
    .map((text) => text.split('\n').slice(0, 2).join(' '))
    .join(' | ')
const over = ({ scene }: Stand, title: string) =>
  scene.messages().filter(({ history }) => history[0]?.text.startsWith(`✅ Resolved: ${title}`))
const buttons = (message: { buttons: { text: string; url?: string }[][] }) => message.buttons.flat()

/** Every file below a directory, as text. */
function textsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((each) => each.isFile())
    .map((each) => readFileSync(join(each.parentPath, each.name), 'latin1'))
}

/** Ends the bot, and looks through all that it ever wrote. */
async function expectNoSecret({ scene }: Stand, logs: string[] = []): Promise<void> {
  const { exited, kill } = scene.process()
  kill('SIGTERM')
  await exited
  const said = scene.telegram.calls.filter(({ method }) => method !== 'getUpdates')
  const places = {
    log: [...logs, scene.process().out() + scene.process().err()],
    state: textsIn(scene.stateDir),
    chat: said.map(({ params }) => JSON.stringify(params)),
  }
  const secrets = [
    ...api.secrets,
    ASTRAY.ANTHROPIC_API_KEY,
    ASTRAY.CLAUDE_CODE_OAUTH_TOKEN,
    'admin@example.com',
  ]
  for (const [place, texts] of Object.entries(places)) {
    expect(texts.join('').length, place).toBeGreaterThan(100)
    for (const secret of secrets)
      expect(
        texts.some((text) => text.includes(secret)),
        `${secret.slice(0, 12)}… in the ${place}`,
      ).toBe(false)
  }
}

describe.each(BOTH)('the %s version on this host', (version) => {
  it('is refreshed in time by itself, by hand when it is due, and not when it is fresh', async (context) => {
    const stand = await createStand(context, { version, lifeMs: KEEPERS_MS + 4_000 })
    const { claude, scene } = stand
    const before = { refreshes: refreshes(), messages: messagesSent() }
    const began = performance.now()
    await scene.start()
    await renewed(stand)
    report(`${version}: renewed by itself ${secondsSince(began)} s after the bot's start, due after 4 s`)
    const { uid, mode } = statSync(claude.file)
    expect({ uid, mode: mode & 0o777 }).toEqual({ uid: NOBODY, mode: 0o600 })
    expect((await scene.ask('/refresh')).text).toMatch(
      /^✅ Fresh until .*\d\d:\d\d UTC, renews itself at .*\d\d:\d\d UTC\./,
    )

    await ended(stand)
    claude.write(api.issue({ lifeMs: DUE_MS }))
    await scene.ask('/refresh')
    const card = await scene.reads(/refresh .*: done[\s\S]*expiresAt \d\d:\d\d → \d\d:\d\d/)
    expect(card.text).not.toMatch(/❌/)
    await renewed(stand)
    expect(refreshes() - before.refreshes).toBe(2)
    // The newer one is asked for its limits instead, which costs nothing.
    expect(messagesSent() - before.messages).toBe(version === 'new' ? 0 : 2)
    const usage = await scene.ask('/usage')
    expect(usage.text).toMatch(version === 'new' ? /42 ?%/ : /is 2\.1\.54; it tells its limits from/)
    expect(fired(stand)).toEqual([])
    await expectNoSecret(stand)
  })

  it('needs re-auth when its refresh token is refused', async (context) => {
    // An older one says only that it was refused: that is believed after ten minutes.
    const isOld = version === 'feb'
    const stand = await createStand(context, {
      ...{ version, lifeMs: KEEPERS_MS - 1_000 },
      ...(isOld && { faster: 20, env: PATIENT }),
    })
    const { claude, scene } = stand
    api.be({ refresh: 400, messages: 401 })
    await scene.start()
    const title = isOld ? NOT_RENEWED : NO_LOGIN
    const alert = await until(
      'the alert',
      () => scene.told(title).find((each) => buttons(each).some(({ text }) => text === 'Sign in')),
      80_000,
    )
    expect(alert.text).toMatch(isOld ? /needs re-auth: Failed to authenticate/ : /The login was refused/)
    const tokens = claude.read().claudeAiOauth
    expect(tokens.refreshToken === '').toBe(!isOld)
    const asked = refreshes()
    await sleep(4_000)
    report(`${version}: ${fired(stand).length} messages of it: ${firstLines(stand)}`)
    // Nobody tries on, and nothing else is said of it.
    expect(refreshes()).toBe(asked)
    expect(fired(stand)).toHaveLength(isOld ? 2 : 1)
    await expectNoSecret(stand)
  })

  it('recovers from a network that was away when its token ended, with one alert and its end', async (context) => {
    const stand = await createStand(context, { version, lifeMs: 6_000, faster: 20, env: PATIENT })
    const { scene } = stand
    await api.network('down')
    await scene.start()
    await until('the alert', () => scene.told(NOT_RENEWED).length > 0, 40_000)
    await until('its token has ended', () => endOf(stand) < Date.now())
    await sleep(2_000)
    await api.network('up')
    await renewed(stand, 40_000)
    await until('the end of the alert', () => over(stand, NOT_RENEWED).length > 0)
    await sleep(2_000)
    report(`${version}: ${firstLines(stand)}`)
    expect(fired(stand)).toHaveLength(1)
    expect(over(stand, NOT_RENEWED)).toHaveLength(1)
    await expectNoSecret(stand)
  })
})

/** Begins a sign-in. @returns its page and where it leads. */
async function openPage({ scene }: Stand, line = '/reauth') {
  const page = await scene.ask(line)
  return { page, url: addressIn(page) }
}
const addressIn = (message: Parameters<typeof buttons>[0]) =>
  `${buttons(message).find(({ text }) => text === 'Sign in')?.url}`

/** What runs in its container besides what keeps it up. */
const inside = async () =>
  (await engine.docker('top', 'claude-proxy', '-eo', 'pid,args'))
    .split('\n')
    .filter((line) => /claude|cli\.js/.test(line))

describe.each(['host', 'container'] as const)('signing in (%s)', (where) => {
  it('goes from the button to a later end, past codes that are wrong', async (context) => {
    const stand = await createStand(context, { where, lifeMs: -MINUTE_MS })
    const { claude, scene } = stand
    api.be({ refresh: 400, messages: 401 })
    await scene.start()
    // It has noticed that nobody is signed in.
    await until('the alert', () => scene.told(NO_LOGIN).length > 0, 30_000)
    const { page, url } = await openPage(stand)
    expect(page.text).toContain(`Sign in to Claude ${where === 'host' ? 'on this host' : 'in claude-proxy'}`)
    expect(url).toMatch(/^https:\/\/claude\.(com|ai)\//)

    const partial = await scene.ask(api.approve(url).split('#')[0] ?? '')
    expect(partial.text).toContain('Copy all of it, including the # in the middle.')
    expect(partial.text).toContain('The page from before still holds')
    const foreign = await scene.ask(api.approve(url).replace(/#.*/, '#another'))
    expect(foreign.text).toContain('That code belongs to another sign-in')
    const second = addressIn(foreign)
    expect(second).not.toBe(url)
    const used = await scene.ask(`wrong${api.approve(second)}`)
    expect(used.text).toContain('That code wasn')
    const third = addressIn(used)

    const began = performance.now()
    const done = await scene.ask(api.approve(third))
    expect(done.text).toContain('Signed in to Claude')
    report(`${where}: signed in ${secondsSince(began)} s after the code`)
    await renewed(stand)
    expect(claude.read().claudeAiOauth.refreshTokenExpiresAt).toBeGreaterThan(Date.now() + 29 * 86_400_000)
    expect(scene.telegram.calls.filter(({ method }) => method === 'deleteMessage')).toHaveLength(4)
    await until('the end of the alert', () => over(stand, NO_LOGIN).length > 0)
    const { uid, mode } = statSync(claude.file)
    expect({ uid, mode: mode & 0o777 }).toEqual({ uid: where === 'host' ? NOBODY : 1_000, mode: 0o600 })
    await expectNoSecret(stand)
  })

  it('is cancelled with nothing left running', async (context) => {
    const stand = await createStand(context, { where, lifeMs: 60 * MINUTE_MS })
    const { claude, scene } = stand
    const running = async () =>
      where === 'container'
        ? await inside()
        : sh('ps', '-eo', 'args')
            .split('\n')
            .filter((line) => /auth login/.test(line))
    await scene.start()
    const before = claude.read()
    await openPage(stand)
    expect((await running()).join()).toContain('auth login')
    await scene.press('Cancel')
    await scene.reads(/The sign-in is cancelled/)
    await until('nothing is left', async () => (await running()).length === 0)
    expect(claude.read().claudeAiOauth.accessToken).toBe(before.claudeAiOauth.accessToken)
    await expectNoSecret(stand)
  })

  it('is for newer versions alone', async (context) => {
    const stand = await createStand(context, { where, version: 'feb', lifeMs: 60 * MINUTE_MS })
    await stand.scene.start()
    const { text } = await stand.scene.ask('/reauth')
    expect(text).toMatch(/is 2\.1\.54, which takes no code from a chat: upgrade it to 2\.1\.126 or newer/)
  })
})

describe('a slow refresh', () => {
  it.for([
    ['new', 'host', 'SIGKILL'],
    ['new', 'host', 'SIGTERM'],
    ['new', 'container', 'SIGKILL'],
    ['new', 'container', 'SIGTERM'],
    ['feb', 'host', 'SIGKILL'],
    ['feb', 'host', 'SIGTERM'],
    ['feb', 'container', 'SIGKILL'],
  ] as const)(
    'outlives the bot and is found again: %s, %s, %s',
    async ([version, where, signal], context) => {
      const stand = await createStand(context, { version, where, lifeMs: KEEPERS_MS - 1_000 })
      const { scene } = stand
      const before = { count: refreshes(), end: endOf(stand) }
      api.be({ refresh: 'slow', slowMs: 2_500 })
      await scene.start()
      await until('the refresh is under way', () => refreshes() > before.count)
      await sleep(300)
      const first = scene.process()
      await scene.kill(signal)
      expect(endOf(stand)).toBe(before.end)
      await scene.start()
      await renewed(stand)
      await sleep(1_500)
      expect(refreshes() - before.count).toBe(1)
      expect(fired(stand)).toEqual([])
      await fresh(stand)
      await expectNoSecret(stand, [first.out() + first.err()])
    },
  )
})

describe.each(BOTH)('the %s version in a container', (version) => {
  it('is refreshed past settings and variables that lead it astray', async (context) => {
    const stand = await createStand(context, { version, where: 'container', container: { env: ASTRAY } })
    const { claude, scene } = stand
    const settings = join(claude.configDir, 'settings.json')
    writeFileSync(settings, JSON.stringify({ env: { ANTHROPIC_BASE_URL: ASTRAY.ANTHROPIC_BASE_URL } }))
    chownSync(settings, 1_000, 1_000)
    claude.write(api.issue({ lifeMs: KEEPERS_MS - 1_000 }))
    await scene.start()
    await renewed(stand)
    await sleep(1_500)
    claude.write(api.issue({ lifeMs: DUE_MS }))
    await scene.ask('/refresh')
    await scene.reads(/refresh .*: done[\s\S]*expiresAt .* → /)
    const { uid, mode } = statSync(claude.file)
    expect({ uid, mode: mode & 0o777 }).toEqual({ uid: 1_000, mode: 0o600 })
    expect(fired(stand)).toEqual([])
    await expectNoSecret(stand)
  })

  it('and another one at once ask for one token', async (context) => {
    const stand = await createStand(context, { version, where: 'container', lifeMs: KEEPERS_MS - 1_000 })
    const { claude, scene } = stand
    const before = refreshes()
    api.be({ refresh: 'slow', slowMs: 1_500 })
    const other = claude.run(PING)
    await scene.start()
    await renewed(stand)
    await other
    await sleep(2_000)
    expect(refreshes() - before).toBe(1)
    expect(fired(stand)).toEqual([])
    await fresh(stand)
    await expectNoSecret(stand)
  })

  it('is seen through a mount of one file whose inode is another by now, and after a stop and a start', async (context) => {
    const credentials = api.issue({ lifeMs: DUE_MS })
    const stand = await createStand(context, {
      ...{ version, where: 'container', container: { mount: 'file', credentials } },
    })
    const { claude, scene } = stand
    // As an editor does it on the host: the container goes on with the file from before.
    const other = `${claude.file}.new`
    writeFileSync(other, JSON.stringify(api.issue({ lifeMs: 60 * MINUTE_MS })), { mode: 0o600 })
    chownSync(other, 1_000, 1_000)
    renameSync(other, claude.file)
    await scene.start()
    await scene.ask('/refresh')
    await scene.reads(/refresh .*: done[\s\S]*expiresAt .* → /)
    const seen = JSON.parse(
      await engine.docker('exec', claude.container, 'cat', '/home/node/.claude/.credentials.json'),
    )
    expect(seen.claudeAiOauth.accessToken).not.toBe(credentials.claudeAiOauth.accessToken)
    expect(api.knows(seen.claudeAiOauth.accessToken)).toBe(true)

    await engine.docker('stop', '-t', '1', claude.container)
    const refused = await scene.ask('/refresh')
    expect(refused.text).toContain('the login cannot be seen: claude-proxy is exited: start it')
    await engine.docker('start', claude.container)
    // It begins with the file that the host has now.
    await fresh(stand)
    await expectNoSecret(stand)
  })
})
