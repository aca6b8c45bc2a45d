// The Claude CLI on this host: its file read while it is written, its refresh that outlives us, and what never reaches it.

import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createClaude, type HostPlaceOptions, hashOf, hostPlace } from '../../src/ops/claude/index.ts'
import { run } from '../../src/ops/run.ts'
import { type ClaudeScript, credentialsOf, installCli } from '../claude/cli.ts'

let home: string
let stateDir: string
let cli: ReturnType<typeof installCli>
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opsbot-claude-'))
  stateDir = join(home, 'state')
  mkdirSync(stateDir)
  cli = installCli(home)
})
afterEach(() => {
  vi.unstubAllEnvs()
  // One that a test left behind may still write.
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
})

const PATIENCE = { timeoutMs: 10_000, graceMs: 5_000, pollMs: 10 }
const claudeOf = (more: Partial<HostPlaceOptions> = {}, patience = PATIENCE) =>
  createClaude({
    place: hostPlace({
      ...{ stateDir, run, environment: { PATH: `${home}/bin:/usr/bin:/bin`, HOME: home } },
      ...more,
    }),
    ...{ now: Date.now, patience },
  })
const script = (next: ClaudeScript) => cli.set(next)
const outputs = () => readdirSync(stateDir)
async function until(isSo: () => boolean): Promise<void> {
  for (const limit = Date.now() + 10_000; !isSo(); await sleep(10))
    if (Date.now() > limit) throw new Error('it did not come to that')
}

describe('the file', () => {
  it('is never seen torn while an older CLI writes it in place', async () => {
    const text = JSON.stringify(credentialsOf(3_600_000))
    const state = { isDone: false, writes: 0 }
    async function write(): Promise<void> {
      while (!state.isDone) {
        writeFileSync(cli.file, '')
        await sleep(10)
        writeFileSync(cli.file, text.slice(0, 100))
        await sleep(10)
        writeFileSync(cli.file, text)
        state.writes += 1
        await sleep(200)
      }
    }
    const writer = write()
    const claude = claudeOf()
    const seen = []
    while (state.writes < 6) {
      seen.push((await claude.file()).state)
      await sleep(3)
    }
    state.isDone = true
    await writer
    expect(seen.length).toBeGreaterThan(20)
    expect(new Set(seen)).toEqual(new Set(['ok']))
  })

  it('is followed through a rename, a link and its end', async () => {
    const claude = claudeOf()
    expect((await claude.file()).state).toBe('missing')
    const [first, second] = [credentialsOf(1e6), credentialsOf(2e6)]
    const elsewhere = join(home, 'elsewhere.json')
    writeFileSync(elsewhere, JSON.stringify(first))
    symlinkSync(elsewhere, cli.file)
    expect((await claude.file()).hash).toBe(hashOf(first.claudeAiOauth.accessToken))
    writeFileSync(`${cli.file}.tmp`, JSON.stringify(second))
    renameSync(`${cli.file}.tmp`, cli.file)
    expect((await claude.token())?.hash).toBe(hashOf(second.claudeAiOauth.accessToken))
    rmSync(cli.file)
    expect(await claude.token()).toBeUndefined()
  })

  it.each<[string, () => void, RegExp]>([
    ['a directory', () => mkdirSync(cli.file), /is not a file/],
    ['endless', () => writeFileSync(cli.file, 'x'.repeat(5 << 20)), /too large/],
  ])('that is %s is unreadable, and says why', async (_, make, why) => {
    make()
    expect(await claudeOf().file()).toMatchObject({ state: 'unreadable', why: expect.stringMatching(why) })
  })
})

describe('a refresh', () => {
  it.each<[string, string | undefined, string]>([
    ['newer', '2.1.328', '/usage'],
    ['first with the usage call', '2.1.200', '/usage'],
    ['older', '2.1.54', 'ping'],
  ])('of the %s CLI moves the end, and leaves nothing behind', async (_, version, asked) => {
    script({ ...(version && { version }) })
    cli.write(credentialsOf(60_000))
    const claude = claudeOf()
    const before = await claude.file()
    const begun = await claude.beginRefresh()
    const outcome = await claude.awaitRefresh(begun)
    const after = await claude.file()
    expect(outcome).toEqual({ state: 'refreshed', before: before.expiresAt, after: after.expiresAt })
    expect(after.hash).not.toBe(before.hash)
    expect(begun).toMatchObject({ before: before.expiresAt, beforeHash: before.hash, where: 'host' })
    expect(JSON.stringify(begun)).not.toMatch(/sk-ant/)
    expect(cli.calls().map(({ argv }) => argv[1])).toEqual([asked])
    expect(outputs()).toEqual([])
  })

  it('that is not due leaves everything as it is', async () => {
    cli.write(credentialsOf(3_600_000))
    const claude = claudeOf()
    expect(await claude.awaitRefresh(await claude.beginRefresh())).toEqual({ state: 'unmoved' })
    expect(cli.calls()[0]?.did).toEqual([])
  })

  it('begun twice at once is one; two bots at once ask once', async () => {
    script({ refresh: 'slow', slowMs: 300 })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf()
    const [first, again] = await Promise.all([claude.beginRefresh(), claude.beginRefresh()])
    expect(again).toEqual(first)
    const other = claudeOf()
    const second = await other.beginRefresh()
    const outcomes = await Promise.all([claude.awaitRefresh(first), other.awaitRefresh(second)])
    expect(outcomes.map(({ state }) => state)).toEqual(['refreshed', 'refreshed'])
    expect(
      cli
        .calls()
        .flatMap(({ did }) => did)
        .filter((each) => each === 'asked'),
    ).toHaveLength(1)
  })

  it('gives nothing of our environment away, and runs where there is nothing', async () => {
    for (const name of ['CLAUDECODE', 'ANTHROPIC_API_KEY', 'CLAUDE_CODE_OAUTH_TOKEN', 'TELEGRAM_BOT_TOKEN'])
      vi.stubEnv(name, 'secret')
    cli.write(credentialsOf(60_000))
    const claude = claudeOf()
    await claude.awaitRefresh(await claude.beginRefresh())
    script({ version: '2.1.54' })
    cli.write(credentialsOf(60_000))
    const older = claudeOf()
    await older.awaitRefresh(await older.beginRefresh())
    const [usage, ping] = cli.calls()
    const basic = ['CLAUDE_CODE_MAX_RETRIES', 'DISABLE_AUTOUPDATER', 'HOME', 'LC_ALL', 'PATH']
    // A shell that wraps it adds its own.
    const own = (names: string[] | undefined) => names?.filter((each) => !/^(PWD|SHLVL|_|OLDPWD)$/.test(each))
    expect(own(usage?.env)).toEqual(basic)
    expect(own(ping?.env)).toEqual(
      [
        ...basic,
        ...['CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC', 'CLAUDE_CODE_DISABLE_THINKING'],
        'CLAUDE_CODE_MAX_OUTPUT_TOKENS',
      ].sort(),
    )
    expect(ping?.argv).toContain('{"env":{"ANTHROPIC_BASE_URL":"https://api.anthropic.com"}}')
    expect(readdirSync(join(cli.configDir, 'opsbot'))).toEqual([])
  })

  it('that hangs is asked to end, and says so; nobody kills it', async () => {
    script({ refresh: 'hang', graceMs: 50 })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf({}, { ...PATIENCE, timeoutMs: 1_000 })
    const outcome = await claude.awaitRefresh(await claude.beginRefresh())
    expect(outcome).toMatchObject({ state: 'failed', kind: 'transient' })
    // It came to its own end.
    await until(() => cli.calls()[0]?.code === 143)
  })

  it('that is asked to end in the middle saves what a newer CLI still gets', async () => {
    script({ refresh: 'slow', slowMs: 1_500 })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf({}, { ...PATIENCE, timeoutMs: 700 })
    expect(await claude.awaitRefresh(await claude.beginRefresh())).toMatchObject({ state: 'refreshed' })
  })

  it('that heeds no signal is left alone, and told of', async () => {
    const bin = join(home, 'deaf')
    writeFileSync(
      bin,
      '#!/bin/sh\ntrap "" TERM\n[ "$1" = --version ] && echo 2.1.328 && exit\nfor i in 1 2 3 4; do sleep 0.3; done\n',
    )
    chmodSync(bin, 0o755)
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf({ bin }, { timeoutMs: 200, graceMs: 200, pollMs: 10 })
    const begun = await claude.beginRefresh()
    const outcome = await claude.awaitRefresh(begun)
    expect(outcome).toMatchObject({
      state: 'failed',
      kind: 'transient',
      why: expect.stringMatching(/still runs/),
    })
    expect(begun.where === 'host' && statSync(`/proc/${begun.pid}`).isDirectory()).toBe(true)
    await until(() => begun.where === 'host' && !readFileSyncOr(`/proc/${begun.pid}/stat`))
  })

  it('that was begun before we died is found again, and heard', async () => {
    script({ refresh: 'slow', slowMs: 800 })
    cli.write(credentialsOf(-1_000))
    // A bot of its own, killed while the CLI is at work.
    const program = `
      const { createClaude, hostPlace } = await import('${process.cwd()}/src/ops/claude/index.ts')
      const { run } = await import('${process.cwd()}/src/ops/run.ts')
      const place = hostPlace({ stateDir: '${stateDir}', run, environment: { PATH: '${home}/bin:/usr/bin:/bin', HOME: '${home}' } })
      console.log(JSON.stringify(await createClaude({ place, now: Date.now }).beginRefresh()))
      process.kill(process.pid, 'SIGKILL')`
    const bot = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let said = ''
    for await (const chunk of bot.stdout) said += chunk
    const begun = JSON.parse(said)
    expect(cli.read().claudeAiOauth.expiresAt).toBe(begun.before)
    expect(await claudeOf().awaitRefresh(begun)).toMatchObject({ state: 'refreshed', before: begun.before })
    expect(outputs()).toEqual([])
  })

  it('whose pid is somebody else’s by now has ended', async () => {
    cli.write(credentialsOf(3_600_000))
    const claude = claudeOf()
    const { expiresAt = 0, hash = '' } = await claude.file()
    const output = join(stateDir, 'claude-run-x')
    const stranger = { where: 'host' as const, pid: process.pid, ticks: '1', output, at: Date.now() }
    expect(await claude.awaitRefresh({ ...stranger, before: expiresAt, beforeHash: hash })).toEqual({
      state: 'unmoved',
    })
  })

  it('goes on when nobody waits for it any longer', async () => {
    script({ refresh: 'slow', slowMs: 500 })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf()
    const begun = await claude.beginRefresh()
    await expect(claude.awaitRefresh(begun, AbortSignal.timeout(50))).rejects.toThrow(/goes on by itself/)
    expect(await claude.awaitRefresh(begun)).toMatchObject({ state: 'refreshed' })
  })

  it('that failed without a word is tried again by a message, which says why', async () => {
    script({ refresh: 'network' })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf()
    const once = async () => await claude.awaitRefresh(await claude.beginRefresh())
    expect(await once()).toMatchObject({ kind: 'transient', silent: true })
    expect(await once()).toMatchObject({ kind: 'network' })
    script({ refresh: 'ok' })
    expect(await once()).toMatchObject({ state: 'refreshed' })
    expect(cli.calls().map(({ argv }) => argv[1])).toEqual(['/usage', 'ping', '/usage'])
  })

  it.each<[ClaudeScript['refresh'] & string, string, RegExp]>([
    ['invalid_grant', 'needs re-auth', /emptied its tokens/],
    ['time_limit', 'needs re-auth', /time limit/],
  ])('that came to %s says: %s', async (refresh, kind, why) => {
    script({ refresh })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf()
    expect(await claude.awaitRefresh(await claude.beginRefresh())).toMatchObject({
      ...{ state: 'failed', kind, why: expect.stringMatching(why) },
    })
  })
})

const readFileSyncOr = (path: string): string => {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

describe('whose it is', () => {
  const PASSWD = 'root:x:0:0:root:/root:/bin/sh\nalice:x:4242:4243::/home/alice:/bin/sh\n'

  it('is said when we can only do harm', async () => {
    // To the test, we are who owns nothing here.
    const claude = claudeOf({ uid: 4242, passwd: () => PASSWD.replace(':0:0:', `:${process.getuid?.()}:0:`) })
    cli.write(credentialsOf(-1_000))
    await expect(claude.beginRefresh()).rejects.toThrow(/belongs to root.*run the bot as root or as root/)
    expect((await claude.file()).state).toBe('ok')
  })

  it.skipIf(process.getuid?.() !== 0)(
    'is theirs when we are root: nothing of root’s is left behind',
    async () => {
      script({})
      cli.write(credentialsOf(-1_000))
      for (const each of ['.credentials.json', 'claude-script.json', '.'])
        chownSync(join(cli.configDir, each), 4242, 4243)
      chmodSync(home, 0o755)
      chownSync(home, 4242, 4243)
      const claude = claudeOf({
        configDir: cli.configDir,
        environment: { PATH: `${home}/bin:/usr/bin:/bin`, HOME: '/root' },
        passwd: () => PASSWD.replace('/home/alice', home),
      })
      expect(await claude.awaitRefresh(await claude.beginRefresh())).toMatchObject({ state: 'refreshed' })
      expect(statSync(cli.file)).toMatchObject({ uid: 4242, gid: 4243 })
      // Their home is known: the CLI finds its directory by itself.
      expect(cli.calls()[0]?.env).not.toContain('CLAUDE_CONFIG_DIR')
      expect(claude.signInCommand()).toBe('sudo -iu alice claude auth login')
    },
  )

  it('is another directory when one is named', async () => {
    cli.write(credentialsOf(-1_000))
    const named = claudeOf({
      ...{ configDir: cli.configDir, bin: cli.bin },
      environment: { PATH: '/usr/bin:/bin', HOME: stateDir },
    })
    expect(await named.directory()).toBe(cli.configDir)
    expect(await named.awaitRefresh(await named.beginRefresh())).toMatchObject({ state: 'refreshed' })
    expect(cli.calls()[0]?.env).toContain('CLAUDE_CONFIG_DIR')
    expect(named.signInCommand()).toBe(`env CLAUDE_CONFIG_DIR=${cli.configDir} ${cli.bin} auth login`)
  })
})

describe('the CLI itself', () => {
  it('says its version', async () => {
    expect(await claudeOf().version()).toBe('2.1.328')
  })

  it.each<[string, Partial<HostPlaceOptions>, RegExp]>([
    [
      'nowhere',
      { environment: { PATH: '/usr/bin:/bin', HOME: '/' } },
      /no Claude CLI on this host.*CLAUDE_BIN/,
    ],
    ['not where it was said to be', { bin: '/nowhere/claude' }, /CLAUDE_BIN is \/nowhere\/claude/],
  ])('that is %s is missed in one sentence', async (_, more, why) => {
    await expect(claudeOf(more).version()).rejects.toThrow(why)
    await expect(claudeOf(more).beginRefresh()).rejects.toThrow(why)
  })

  it('is found where its installer puts it', async () => {
    const bin = join(home, '.local/bin')
    mkdirSync(bin, { recursive: true })
    renameSync(cli.bin, join(bin, 'claude'))
    expect(await claudeOf().version()).toBe('2.1.328')
  })
})

describe('usage', () => {
  const resetsAt = Math.ceil(Date.now() / 3_600_000) * 3_600_000 + 7_200_000

  it('is what the CLI says, at no cost', async () => {
    script({ usage: { session: 42, week: 31, sonnet: 5, sessionResetsAt: resetsAt, weekResetsAt: resetsAt } })
    cli.write(credentialsOf(3_600_000))
    const usage = await claudeOf().usage()
    expect(usage?.windows[0]).toEqual({ name: 'Current session', percent: 42, resetsAt })
    expect(usage?.windows).toHaveLength(3)
    expect(Math.abs(Date.now() - (usage?.at ?? 0))).toBeLessThan(5_000)
    expect(outputs()).toEqual([])
  })

  it('is what it last noted where it cannot say it', async () => {
    cli.write(credentialsOf(3_600_000))
    await claudeOf().usage()
    script({ version: '2.1.54' })
    const calls = cli.calls().length
    expect((await claudeOf().usage())?.windows).toHaveLength(3)
    expect(cli.calls()).toHaveLength(calls)
  })

  it('is unknown when nobody is signed in', async () => {
    expect(await claudeOf().usage()).toBeUndefined()
  })
})
