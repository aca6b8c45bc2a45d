// The Claude CLI's token on its way into real gateways of both versions: their agents use the new one, and nothing is restarted for it.

import { randomBytes } from 'node:crypto'
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, type TestContext, vi } from 'vitest'
import { fakeToken } from '../claude/cli.ts'
import { createLogin } from '../claude/login.ts'
import { createScene, type Engine, type Scene, until } from './engine.ts'
import { type Gateway, type GatewayOptions, PATIENCE_MS, startGateway, VERSIONS } from './gateway.ts'
import type { ModelApi } from './model-api.ts'
import { createChance, createRig, report, SEED, secondsSince, tells } from './rig.ts'
import { useStage } from './stage.ts'
import { isSyncing, syncsOf } from './syncs.ts'

const isRoot = process.getuid?.() === 0
/** Command lines of gateways take seconds of a core each, and twice that on a busy machine. */
vi.setConfig({ testTimeout: 240_000 })
const ONE_AGENT = { agents: { list: [{ id: 'main', default: true }] } }
/** The figures that were asked for, on a quiet machine, are for the bench; here they must only be no worse than this. */
const AT_ONCE_MS = 5_000
const KILLS = 5
const HOUR_MS = 3_600_000
const OWN = 'agents/main/agent/auth-profiles.json'
const OAUTH = 'credentials/oauth.json'
let engine: Engine
let model: ModelApi

useStage(['trixie', 'sync'], (stage) => {
  engine = stage.engine
  model = stage.model
})

/** Whatever has "auth-profiles" or "oauth" in its name, below a directory. */
const legacyIn = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /(^|\/)(auth-profiles|oauth)\.json/.test(name),
  )

function useGateway(options: Omit<GatewayOptions, 'engine' | 'model'>) {
  const found = {} as { gateway: Gateway }
  beforeAll(async () => {
    if (isRoot) found.gateway = await startGateway({ engine, model, config: ONE_AGENT, ...options })
  }, PATIENCE_MS)
  afterAll(() => found.gateway?.down())

  const stateFile = (path: string) => join(found.gateway.stateDir, path)
  return {
    found,
    stateFile,
    /** One turn of its agent. @returns the tokens that its model was asked with. */
    async turn(): Promise<string[]> {
      const word = randomBytes(6).toString('hex')
      await found.gateway.runAgent(`hello ${word}`).catch(String)
      const calls = model.calls.filter(({ said }) => said.includes(word))
      return calls.map(({ credential }) => credential.replace(/^Bearer /, ''))
    },
    /** That it was neither made anew nor started again. */
    life: () =>
      engine.docker(
        'inspect',
        '-f',
        '{{.Id}} {{.RestartCount}} {{.State.StartedAt}}',
        found.gateway.container,
      ),
    /** A file of the gateway's own, as its user writes it. */
    put(path: string, content: object): void {
      const file = stateFile(path)
      mkdirSync(dirname(file), { recursive: true })
      for (let at = dirname(path); at !== '.'; at = dirname(at)) chownSync(stateFile(at), 1000, 1000)
      writeFileSync(file, JSON.stringify(content), { mode: 0o600 })
      chownSync(file, 1000, 1000)
    },
    /** A bot that copies, beside a login whose first token it knows. */
    async scene(context: TestContext) {
      const rig = createRig(context)
      const login = createLogin(join(rig.dir(), '.claude'))
      const first = login.renew('new')
      const scene = await createScene(rig, engine, {
        ...{ OPENCLAW_GATEWAY_CONTAINER: found.gateway.container, OPENCLAW_DIR: found.gateway.dir },
        ...{ CLAUDE_MODE: 'host', CREDENTIAL_SYNC: 'on', CLAUDE_CONFIG_DIR: login.configDir },
      })
      return {
        ...{ login, first, scene },
        /** Waits until so many syncs came to their end, the proof as well. @returns how each came out. */
        synced: (count: number) =>
          until(
            `${count} syncs`,
            () => {
              const results = syncsOf(scene.stateDir)
              return results.length >= count ? results : undefined
            },
            120_000,
          ),
      }
    },
  }
}

/** Waits for an alert to fire, or to be over. */
const alert = (scene: Scene, how: keyof typeof tells, title: string, timeoutMs = 150_000) =>
  until(
    `${title}: ${how}`,
    () => scene.messages().find(({ history }) => history.some(({ text }) => tells[how](text, title))),
    timeoutMs,
  )

/** What was told in the chat, without what was asked. */
const shows = (scene: Scene, line: string, words: RegExp, timeoutMs = 60_000) =>
  until(
    `${line} says ${words}`,
    async () => {
      const { text } = await scene.ask(line)
      if (words.test(text)) return text
      await sleep(500)
      return undefined
    },
    timeoutMs,
  )

describe('a gateway that keeps its profiles in files', () => {
  const { old } = VERSIONS
  const BEFORE = fakeToken()
  const {
    found,
    stateFile,
    turn,
    life,
    put,
    scene: sceneFor,
  } = useGateway({
    ...{ version: 'old', name: 'old', env: { ANTHROPIC_OAUTH_TOKEN: BEFORE } },
  })
  const read = () => JSON.parse(readFileSync(stateFile(OWN), 'utf8'))
  const holds = (path: string, token: string) => {
    const file = stateFile(path)
    return existsSync(file) && readFileSync(file, 'utf8').includes(token)
  }
  /** @returns how long that took, in milliseconds. */
  async function arrives(token: string, ...paths: string[]): Promise<number> {
    const at = performance.now()
    const anywhere = paths.length > 0 ? paths : [OWN]
    while (!anywhere.some((path) => holds(path, token))) {
      if (performance.now() - at > 60_000) throw new Error(`not within 60 s: the new token in ${anywhere}`)
      await sleep(2)
    }
    return Math.round(performance.now() - at)
  }

  it('without any takes it by oauth.json, which it imports itself', async (context) => {
    const before = await life()
    const { login, first, scene, synced } = await sceneFor(context)
    await arrives(first.token, OAUTH)
    const { uid, mode } = statSync(stateFile(OAUTH))
    expect([uid, mode & 0o777]).toEqual([1000, 0o600])
    await synced(1)
    const { token, expiresAt } = login.renew('feb')
    // The first of its programs that looks imports it: from then on the profile is renewed instead.
    const tookMs = await arrives(token, OAUTH, OWN)
    report(`${old}: a new token is there after ${tookMs} ms`)

    const { stdout } = await found.gateway.cli(['models', 'status', '--json'])
    const listed = JSON.parse(stdout.slice(stdout.indexOf('{'))).auth.oauth.profiles
    expect(listed).toContainEqual(
      expect.objectContaining({ profileId: 'anthropic:default', type: 'oauth', expiresAt }),
    )
    await shows(scene, '/whyauth', /profile anthropic:default of agent main wins for main/)
    expect(await life()).toBe(before)
  })

  it('has it in them at once, used at the next run, with nothing restarted', async (context) => {
    const before = await life()
    const expires = Date.now() + HOUR_MS
    const other = { type: 'api_key', provider: 'openai', key: randomBytes(16).toString('hex') }
    const older = fakeToken()
    const mine = { type: 'token', provider: 'anthropic', token: older, expires }
    const usageStats = { 'openai:default': { lastUsed: 1, errorCount: 2 } }
    rmSync(stateFile(OAUTH), { force: true })
    put(OWN, { version: 1, profiles: { 'anthropic:default': mine, 'openai:default': other }, usageStats })
    expect(await turn()).toEqual([older])

    const { login, first, scene, synced } = await sceneFor(context)
    await arrives(first.token)
    expect(await turn()).toEqual([first.token])
    const took: number[] = []
    let last = first
    for (const manner of ['feb', 'new', 'feb'] as const) {
      await synced(took.length + 1)
      last = login.renew(manner)
      took.push(await arrives(last.token))
      model.revoked.add(first.token)
      expect(await turn()).toEqual([last.token])
    }
    report(`${old}: a new token is in auth-profiles.json after ${took.join(', ')} ms`)
    expect(Math.max(...took)).toBeLessThan(AT_ONCE_MS)

    const { uid, gid, mode } = statSync(stateFile(OWN))
    expect([uid, gid, mode & 0o777]).toEqual([1000, 1000, 0o600])
    const { profiles, usageStats: stats } = read()
    expect(profiles).toEqual({
      'anthropic:default': { ...mine, token: last.token, expires: last.expiresAt },
      'openai:default': other,
    })
    expect(stats['openai:default']).toEqual(usageStats['openai:default'])
    expect(existsSync(stateFile(OAUTH))).toBe(false)
    await shows(scene, '/tokens', /profile anthropic:default of agent main \(access token, A, wins\)/)
    await shows(scene, '/whyauth', /profile anthropic:default of agent main wins for main/)
    expect(await life()).toBe(before)

    // Somebody puts an older one back: that is for a person to see, and to mend.
    expect(await synced(took.length + 1)).toEqual(Array(took.length + 1).fill('done'))
    put(OWN, { version: 1, profiles: { 'anthropic:default': mine, 'openai:default': other } })
    const plan = (await scene.ask('/sync --plan')).text
    expect(plan).toMatch(/main's profile anthropic:default gets it: its token ends [\d hmin]+ earlier/)
    expect(plan).toMatch(/\.env, ANTHROPIC_OAUTH_TOKEN is left alone: its end is not known/)
    expect(read().profiles['anthropic:default']).toEqual(mine)
    await scene.ask('/sync')
    await scene.press('Do it')
    const { text } = await scene.reads(/sync model access: (done|failed)/, 60_000)
    expect(text).toMatch(/✓ proof: the running gateway has it in anthropic:default, [\d hmin]+ left/)
    expect(await turn()).toEqual([last.token])
    expect(JSON.stringify(scene.messages())).not.toContain(last.token)
  })

  it('with an empty file and a variable gets a profile, one key of .env, and a recreate when it is told to', async (context) => {
    rmSync(stateFile('credentials/oauth.json'), { force: true })
    put(OWN, { version: 1, profiles: {} })
    const { gateway } = found
    const env = () => readFileSync(gateway.envFile, 'utf8')
    expect(await turn()).toEqual([BEFORE])
    const { login, first, scene, synced } = await sceneFor(context)
    await arrives(first.token)
    await synced(1)
    expect(await turn()).toEqual([first.token])
    const before = await life()

    // What it holds came from the CLI: then it may be renewed, and so it is.
    writeFileSync(gateway.envFile, env().replace(BEFORE, first.token))
    const said = env()
    await shows(scene, '/tokens', /\.env, ANTHROPIC_OAUTH_TOKEN \(access token, A\)/)
    const { token } = login.renew('new')
    await arrives(token)
    await until('.env has it', () => env() === said.replace(first.token, token))
    expect(readFileSync(`${gateway.envFile}.bak`, 'utf8')).toBe(said)
    expect(statSync(gateway.envFile).mode & 0o777).toBe(0o600)
    expect(await turn()).toEqual([token])
    expect(await life()).toBe(before)

    // The profile serves, so nobody is alarmed; who asks is told.
    const apart = /The container runs .*\.env has/
    await shows(scene, '/tokens', apart)
    expect(scene.told('Credentials have drifted apart')).toEqual([])
    const at = performance.now()
    await scene.ask('/recreate')
    await scene.press('Do it')
    const { text } = await scene.reads(/recreate openclaw-gateway: (done|failed)/, 120_000)
    expect(text).toContain('done')
    report(`${old}: made anew with the .env after ${secondsSince(at)} s`)
    expect((await scene.ask('/tokens')).text).not.toMatch(apart)
    expect(await turn()).toEqual([token])
  })

  it('has whole files whenever the bot is killed, and the next one goes on', async (context) => {
    const { login, first, scene } = await sceneFor(context)
    await arrives(first.token)
    const chance = createChance(SEED)
    const ends: string[] = []
    let [before, after] = [first, first]
    await until('a quiet bot', () => !isSyncing(scene.stateDir), 60_000)
    for (let round = 0; round < KILLS; round += 1) {
      ;[before, after] = [after, login.renew(chance.pick(['feb', 'new']))]
      await sleep(chance.between(40, 400))
      await scene.kill()
      const { token } = read().profiles['anthropic:default']
      expect([before.token, after.token]).toContain(token)
      ends.push(token === after.token ? 'new' : 'old')
      expect(await turn()).toEqual([token])
      await scene.start()
      await arrives(after.token)
      // A token that comes while the one before is proved waits for that: it would be the old one each time.
      await until('a quiet bot', () => !isSyncing(scene.stateDir), 60_000)
    }
    report(`${old}: killed ${KILLS} times (SEED=${SEED}), the file was the ${ends.join(', ')} one, whole`)
    const left = readdirSync(dirname(stateFile(OWN))).filter((name) => name.includes('.opsbot-'))
    expect(left).toEqual([])
    expect(await turn()).toEqual([after.token])
  })
})

describe('a gateway that keeps its profiles in SQLite', () => {
  const newer = VERSIONS.new
  const { found, turn, life, put, scene: sceneFor } = useGateway({ version: 'new', name: 'new' })
  /** When the gateway's profiles end, by its own word. */
  async function ends(): Promise<Record<string, number>> {
    const { providers } = await found.gateway.call('models.authStatus')
    const profiles = providers.flatMap((each: { profiles?: object[] }) => each.profiles ?? [])
    return Object.fromEntries(
      profiles.map((each: { profileId: string; expiry?: { at: number } }) => [
        each.profileId,
        each.expiry?.at,
      ]),
    )
  }
  it('takes it by its own command, used at the next run, with nothing restarted', async (context) => {
    const before = await life()
    const { login, first, scene, synced } = await sceneFor(context)
    expect(await synced(1)).toEqual(['done'])
    expect(Object.keys(await ends())).toEqual(['anthropic:opsbot'])
    expect(await turn()).toEqual([first.token])
    const at = performance.now()
    const next = login.renew('feb')
    expect(await synced(2)).toEqual(['done', 'done'])
    report(`${newer}: a new token is in, and proved, after ${secondsSince(at)} s`)
    expect(await turn()).toEqual([next.token])
    expect(legacyIn(found.gateway.stateDir)).toEqual([])
    await shows(scene, '/tokens', /anthropic:opsbot[^\n]*wins\)/)
    await shows(scene, '/whyauth', /anthropic:opsbot[^\n]* wins for main/)
    expect(await life()).toBe(before)
    expect(JSON.stringify(scene.messages())).not.toContain(next.token)

    // Refused, it is set aside, and whatever is pasted into the same profile is too.
    model.revoked.add(next.token)
    await turn()
    await turn()
    const again = login.renew('new')
    await synced(3)
    const [profile = ''] = Object.keys(await ends()).filter((id) => id !== 'anthropic:opsbot')
    report(`${newer}: with a profile set aside the new token went to ${profile}`)
    expect(profile).toMatch(/^anthropic:opsbot-\d$/)
    // On a slow machine the other's first time aside is over by now: it is tried, refused, and this one serves.
    expect((await turn()).at(-1)).toBe(again.token)
    expect(legacyIn(found.gateway.stateDir)).toEqual([])
    expect(await life()).toBe(before)
  })

  it('has it after a bot that was killed while it was pasted', async (context) => {
    const { login, scene, synced } = await sceneFor(context)
    await synced(1)
    const next = login.renew('new')
    await sleep(createChance(SEED).between(200, 3_000))
    await scene.kill()
    const before = syncsOf(scene.stateDir).filter((result) => result === 'done').length
    await scene.start()
    await until(
      'a sync of the next bot',
      () => syncsOf(scene.stateDir).filter((result) => result === 'done').length > before,
      120_000,
    )
    expect(await turn()).toEqual([next.token])
    expect(legacyIn(found.gateway.stateDir)).toEqual([])
  })

  it('is mended of a file of an older version, which breaks every run', async (context) => {
    const { first, scene, synced } = await sceneFor(context)
    await synced(1)
    expect(await turn()).toEqual([first.token])
    const profile = {
      type: 'token',
      provider: 'anthropic',
      token: fakeToken(),
      expires: Date.now() + HOUR_MS,
    }
    put(OWN, { version: 1, profiles: { 'anthropic:old': profile } })
    expect(await turn()).toEqual([])
    await alert(scene, 'firing', 'Old credential files break all model calls')
    const at = performance.now()
    const plan = (await scene.ask('/authfix')).text
    expect(plan).toContain('doctor --fix --non-interactive')
    await scene.press('Do it')
    const { text } = await scene.reads(/migrate credentials: (done|failed)/, 180_000)
    report(`${newer}: migrated after ${secondsSince(at)} s`)
    expect(text).toMatch(/✓ stop[\s\S]*✓ doctor[\s\S]*✓ start[\s\S]*✓ proof: .*no credential file is left/)
    await alert(scene, 'over', 'Old credential files break all model calls')
    expect(await turn()).not.toEqual([])
    expect(legacyIn(found.gateway.stateDir).filter((name) => name.endsWith('.json'))).toEqual([])
  })
})
