// What opsbot relies on in the Claude CLI, as tests: run against the stand-in here, and against real ones in test/real.

import { chownSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Manner } from './api.ts'
import type { Outcome, Program } from './run.ts'

export type Version = 'new' | 'feb'
export const VERSIONS = { new: '2.1.328', feb: '2.1.54' } as const satisfies Record<Version, string>

export interface Contracted {
  configDir: string
  /** Its `.credentials.json`. */
  file: string
  /** Runs it with an environment of its own, and more of it. */
  run(args: readonly string[], env?: Record<string, string>): Promise<Outcome>
  start(args: readonly string[], env?: Record<string, string>): Program
  /** What Anthropic answers from now on. */
  be(manner: Manner): void
  /** A login with so much time left, as a file holds it. */
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks at is for it to know
  issue(leftMs: number): any
  /** What lies in the file. */
  write(credentials: unknown): void
  // biome-ignore lint/suspicious/noExplicitAny: what a test looks at is for it to know
  read(): any
  /** How often it has asked for a token by the refresh token, and sent a message, since the beginning. */
  counts(): { refreshes: number; messages: number }
  /** Signs in at a URL. @returns `code#state` */
  approve(url: string): string
  close(): Promise<void>
}

const MINUTE_MS = 60_000
const SETTINGS = JSON.stringify({ env: { ANTHROPIC_BASE_URL: 'https://api.anthropic.com' } })
/** The line that both versions take (claude-cli.md §4). */
export const PING = [
  ...['-p', 'ping', '--model', 'haiku', '--max-turns', '1', '--tools', '', '--no-session-persistence'],
  ...['--output-format', 'stream-json', '--verbose', '--system-prompt', 'Reply with: pong'],
  ...['--strict-mcp-config', '--disable-slash-commands', '--settings', SETTINGS],
]
export const USAGE = ['-p', '/usage', '--output-format', 'json', '--no-session-persistence']
/** What keeps it quick, and quiet. */
export const CALM = {
  ...{
    CLAUDE_CODE_MAX_RETRIES: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    DISABLE_AUTOUPDATER: '1',
  },
  ...{
    CLAUDE_CODE_DISABLE_THINKING: '1',
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: '64',
    BROWSER: '/bin/false',
    TZ: 'UTC',
  },
}
const LOUD = { CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '' }

// biome-ignore lint/suspicious/noExplicitAny: lines of another program
const linesOf = ({ stdout }: Outcome): any[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
/** What a ping came to, in the fields that are read. */
function cameTo(outcome: Outcome) {
  const lines = linesOf(outcome)
  const of = (type: string) => lines.findLast((line) => line.type === type)
  return {
    ...{ code: outcome.code, stderr: outcome.stderr, error: of('assistant')?.error },
    ...{ limit: of('rate_limit_event')?.rate_limit_info, result: of('result') },
  }
}

/** The contract, as a suite of tests. @param open a CLI of that version, with a directory that is its alone. */
export function claudeContract(name: string, version: Version, open: () => Promise<Contracted>): void {
  describe(`the contract with ${name}`, { timeout: 60_000 }, () => {
    const newer = version === 'new'
    // Nothing is skipped: what an older one does not do is no test of it.
    const ifNewer = newer ? it : (Object.assign(() => {}, { each: () => () => {} }) as unknown as typeof it)
    let cli: Contracted
    beforeAll(async () => {
      cli = await open()
    }, 300_000)
    afterAll(() => cli?.close())
    beforeEach(() => {
      cli.be({})
      rmSync(cli.file, { force: true })
      rmSync(join(cli.configDir, 'settings.json'), { force: true })
    })

    const ping = async (env: Record<string, string> = {}) => cameTo(await cli.run(PING, env))
    const login = () => cli.read().claudeAiOauth
    /** Writes a login with so much time left. */
    function holds(leftMs: number, more: object = {}) {
      const credentials = cli.issue(leftMs)
      cli.write({ ...credentials, ...more })
      return credentials.claudeAiOauth
    }
    /** How often it asked during this, and sent messages. */
    async function during<Result>(run: () => Promise<Result>) {
      const before = cli.counts()
      const result = await run()
      const after = cli.counts()
      return {
        ...{ result, refreshes: after.refreshes - before.refreshes },
        messages: after.messages - before.messages,
      }
    }

    it('says its version, and leaves no file', async () => {
      const before = readdirSync(cli.configDir)
      expect(await cli.run(['--version'])).toMatchObject({
        code: 0,
        stdout: `${VERSIONS[version]} (Claude Code)\n`,
        stderr: '',
      })
      expect(readdirSync(cli.configDir)).toEqual(before)
    })

    it('refreshes by a ping with 4 minutes left: another token, 8 hours, the same end of the login', async () => {
      const before = holds(4 * MINUTE_MS, { other: { kept: true } })
      const { result, refreshes, messages } = await during(ping)
      expect(result).toMatchObject({ code: 0, stderr: '', error: undefined, result: { result: 'pong' } })
      expect({ refreshes, messages }).toEqual({ refreshes: 1, messages: 1 })
      const after = login()
      expect(after.accessToken).not.toBe(before.accessToken)
      expect(after.refreshToken).not.toBe(before.refreshToken)
      expect(after.expiresAt - before.expiresAt).toBeGreaterThan(7 * 60 * MINUTE_MS)
      expect(after.refreshTokenExpiresAt).toBe(newer ? before.refreshTokenExpiresAt : undefined)
      expect(cli.read().other).toEqual({ kept: true })
    })

    it('does not with 6 minutes left', async () => {
      const before = holds(6 * MINUTE_MS)
      const { result, refreshes } = await during(ping)
      expect({ code: result.code, refreshes }).toEqual({ code: 0, refreshes: 0 })
      expect(login()).toMatchObject({ accessToken: before.accessToken, expiresAt: before.expiresAt })
    })

    it('writes another file for a newer one, the same one for an older, for its owner alone', async () => {
      holds(-MINUTE_MS)
      const { ino } = statSync(cli.file)
      await ping()
      const after = statSync(cli.file)
      expect(after.ino !== ino).toBe(newer)
      expect(after.mode & 0o777).toBe(0o600)
      expect(readdirSync(cli.configDir).filter((each) => each.startsWith('.credentials.json.'))).toEqual([])
    })

    it('two at once ask once', async () => {
      holds(-MINUTE_MS)
      const { result, refreshes } = await during(() => Promise.all([ping(), ping()]))
      expect(result.map(({ code }) => code)).toEqual([0, 0])
      expect(refreshes).toBe(1)
      expect(login().expiresAt).toBeGreaterThan(Date.now())
    })

    it.each([
      ['with 4 minutes left', 4 * MINUTE_MS, 1],
      ['not with 6 minutes left', 6 * MINUTE_MS, 0],
    ])('/usage refreshes %s, without a message; an older one does not know it', async (_, leftMs, due) => {
      const before = holds(leftMs)
      const { result, refreshes, messages } = await during(() => cli.run(USAGE, LOUD))
      expect(result).toMatchObject({ code: 0, stderr: '' })
      const [said] = linesOf(result)
      expect(said).toMatchObject({ type: 'result', is_error: false })
      expect(said.result).toMatch(
        newer
          ? /^Current session: 42% used · resets [A-Z][a-z]{2} \d+, .*(am|pm) \(UTC\)\nCurrent week \(all models\): 31% used · resets /m
          : /^Unknown skill: usage$/,
      )
      expect(messages).toBe(0)
      if (newer) expect(refreshes).toBe(due)
      if (newer) expect(login().expiresAt > before.expiresAt).toBe(due === 1)
    })

    ifNewer('/usage has no figures when it may not ask for them, and refreshes all the same', async () => {
      holds(MINUTE_MS)
      const { result, refreshes } = await during(() => cli.run(USAGE))
      expect(linesOf(result)[0].result).toBe(
        'You are currently using your subscription to power your Claude Code usage',
      )
      expect(refreshes).toBe(1)
    })

    ifNewer('/usage ends with 0 when nobody is signed in', async () => {
      expect(await cli.run(USAGE, LOUD)).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('Estimated cost'),
      })
    })

    it('a refresh token that is refused: a newer one blanks the file, an older one leaves it', async () => {
      const before = holds(-MINUTE_MS)
      cli.be({ refresh: 400 })
      const { code, error, result } = await ping()
      expect({ code, error, is_error: result.is_error }).toEqual({
        ...{ code: 1, error: 'authentication_failed', is_error: true },
      })
      if (newer) {
        expect(login()).toMatchObject({
          accessToken: '',
          refreshToken: '',
          expiresAt: 0,
          subscriptionType: 'max',
        })
        expect(result.result).toBe('Failed to authenticate: OAuth session expired and could not be refreshed')
        // And from now on without asking.
        const again = await during(ping)
        expect(again).toMatchObject({ refreshes: 0, result: { code: 1, error: 'authentication_failed' } })
        expect(again.result.result.result).toMatch(/could not be refreshed|Not logged in/)
      } else {
        expect(login()).toEqual(before)
        expect(result.result).toContain('Failed to authenticate. API Error: 401')
      }
    })

    ifNewer('notes that the login has reached its time limit', async () => {
      holds(-MINUTE_MS)
      cli.be({ refresh: 'time_limit' })
      const { error, result } = await ping()
      expect(error).toBe('authentication_failed')
      expect(result.result).toMatch(/this login reached its time limit and cannot be renewed/)
      expect(login()).toMatchObject({ accessToken: '', expiresAt: 0, loginEnded: 'time_limit' })
    })

    it.each([429, 500] as const)(
      'a token endpoint that answers %i leaves the file as it is',
      async (status) => {
        const before = holds(-MINUTE_MS)
        cli.be({ refresh: status })
        const { code, error, result } = await ping()
        expect({ code, error }).toEqual({ code: 1, error: 'authentication_failed' })
        expect(result.result).toMatch(/^Failed to authenticate\. API Error: 401 .*OAuth token has expired/)
        expect(result.api_error_status).toBe(newer ? 401 : undefined)
        expect(login()).toMatchObject(before)
      },
    )

    it('answers well with a token that has not ended, though it could not be refreshed', async () => {
      const before = holds(4 * MINUTE_MS)
      cli.be({ refresh: 500 })
      expect((await ping()).code).toBe(0)
      expect(login()).toMatchObject(before)
    })

    it('says that nobody is signed in', async () => {
      const { code, result } = await ping()
      expect(code).toBe(1)
      expect(result.result).toBe('Not logged in · Please run /login')
    })

    it.each([
      [
        'usage_limit',
        'rate_limit',
        'rate_limit',
        { api_error: 'usage_limit_reached', api_error_status: 429 },
        /^You've hit your .*limit · resets \d.*[ap]m \(UTC\)$/,
      ],
      [
        403,
        'oauth_org_not_allowed',
        'authentication_failed',
        { api_error_status: 403 },
        /subscription, usually because a payment|does not have access to Claude/,
      ],
      [429, 'rate_limit', 'rate_limit', { api_error_status: 429 }, /not your usage limit|Rate limit reached/],
      [500, 'server_error', 'unknown', { api_error_status: 500 }, /^API Error: 500 /],
      [529, 'server_error', 'unknown', { api_error_status: 529 }, /^API Error: 529 /],
      [
        'drop',
        'server_error',
        'unknown',
        { api_error: 'connection_failed', api_error_status: null },
        /Unable to connect|Connection dropped|Can't reach/,
      ],
    ] as const)(
      'a message that is refused, %s: types what it was',
      async (messages, error, older, more, words) => {
        const before = holds(60 * MINUTE_MS)
        cli.be({ messages })
        const told = await ping()
        expect({ code: told.code, stderr: told.stderr, error: told.error }).toEqual({
          ...{ code: 1, stderr: '', error: newer ? error : older },
        })
        expect(told.result).toMatchObject({ is_error: true, subtype: 'success', ...(newer && more) })
        expect(told.result.result).toMatch(words)
        if (messages === 'usage_limit') {
          expect(told.limit).toMatchObject({ status: 'rejected', rateLimitType: 'five_hour' })
          expect(told.limit.resetsAt).toBeGreaterThan(Date.now() / 1_000)
        }
        expect(login()).toMatchObject({ accessToken: before.accessToken })
      },
    )

    it('auth status: an older one only looks, a newer one may refresh', async () => {
      const before = holds(-MINUTE_MS)
      const { result, refreshes } = await during(() => cli.run(['auth', 'status']))
      expect(result).toMatchObject({ code: 0, stderr: '' })
      expect(JSON.parse(result.stdout)).toMatchObject({ loggedIn: true, authMethod: 'claude.ai' })
      // The real one does so in half of all runs.
      if (refreshes === 0) expect(login()).toMatchObject({ accessToken: before.accessToken })
      else
        expect({ newer, moved: login().expiresAt > before.expiresAt }).toEqual({ newer: true, moved: true })
    })

    it('auth status ends with 1 when nobody is signed in', async () => {
      const { code, stdout } = await cli.run(['auth', 'status'])
      expect(code).toBe(1)
      expect(JSON.parse(stdout)).toMatchObject({ loggedIn: false, authMethod: 'none' })
    })

    it.each([
      ['SIGTERM', 143, 1_000, newer],
      ['SIGINT', 0, 1_000, newer],
      // A newer one waits two seconds, and what is answered later is lost, with the login.
      ['SIGTERM', 143, 4_000, false],
    ] as const)(
      '%s in a refresh ends it with %i; answered %i ms later it is saved: %s',
      async (signal, code, slowMs, saved) => {
        const before = holds(-MINUTE_MS)
        cli.be({ refresh: 'slow', slowMs })
        const asked = cli.counts().refreshes
        const program = cli.start(PING)
        program.eof()
        await expect.poll(() => cli.counts().refreshes, { timeout: 20_000, interval: 5 }).toBe(asked + 1)
        program.kill(signal)
        expect((await program.ended).code).toBe(code)
        expect(login().expiresAt > before.expiresAt).toBe(saved)
        expect(readdirSync(cli.configDir)).not.toContain('.oauth_refresh.lock')
      },
    )

    const LOCK = () => (newer ? join(cli.configDir, '.oauth_refresh.lock') : `${cli.configDir}.lock`)
    it.each([
      ['that lives', 'goes on with the token that it has', true],
      ['that is dead', 'gives up, when it is a newer one, or takes it over', false],
    ])('waits 8 seconds or more for the lock of another %s, and %s', async (_, __, lives) => {
      const before = holds(lives ? 4 * MINUTE_MS : -MINUTE_MS)
      const lock = LOCK()
      mkdirSync(lock)
      const { uid, gid } = statSync(cli.configDir)
      chownSync(lock, uid, gid)
      const alive = setInterval(() => lives && utimesSync(lock, new Date(), new Date()), 50)
      try {
        const { refreshes, result: told } = await during(ping)
        const takenOver = !lives && !newer
        expect({ code: told.code, refreshes }).toEqual({
          code: lives || takenOver ? 0 : 1,
          refreshes: takenOver ? 1 : 0,
        })
        if (!takenOver) expect(login()).toMatchObject(before)
        if (lives || takenOver) return
        expect(told.error).toBe('server_error')
        expect(told.result.result).toMatch(/^Failed to refresh OAuth token: another Claude Code process/)
      } finally {
        clearInterval(alive)
        rmSync(lock, { recursive: true, force: true })
      }
    })

    it.each([
      ['the environment', { ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' }],
      ['settings.json', {}],
    ])('is led elsewhere by %s, but not past --settings', async (where, more) => {
      const env = { ...more, NO_PROXY: '127.0.0.1' }
      holds(60 * MINUTE_MS)
      if (where === 'settings.json')
        writeFileSync(
          join(cli.configDir, 'settings.json'),
          JSON.stringify({ env: { ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' } }),
          { mode: 0o644 },
        )
      expect((await ping(env)).code).toBe(0)
      const led = cameTo(await cli.run(PING.slice(0, -2), env))
      expect(led.code).toBe(1)
      expect(led.result.result).toMatch(/Connection refused|Unable to connect/)
    })

    it('does not refresh the file while the environment has a token', async () => {
      const before = holds(-MINUTE_MS)
      const { refreshes } = await during(() =>
        ping({ CLAUDE_CODE_OAUTH_TOKEN: cli.issue(60_000).claudeAiOauth.accessToken }),
      )
      expect(refreshes).toBe(0)
      expect(login()).toMatchObject(before)
    })

    it('an older one refuses to run inside another', async () => {
      holds(60 * MINUTE_MS)
      const { code, stderr } = await cli.run(PING, { CLAUDECODE: '1' })
      expect(code).toBe(newer ? 0 : 1)
      if (!newer) expect(stderr).toContain('cannot be launched inside another Claude Code session')
    })

    it('knows the flag of the subscription, when it is a newer one', async () => {
      const { code, stdout } = await cli.run(['auth', 'login', '--help'])
      expect(code).toBe(0)
      expect(stdout.includes('--claudeai')).toBe(newer)
    })

    const URL_LINE = /https:\S+\/authorize\?\S+&state=[\w-]{20,}(?=\s)/
    const signIn = async () => {
      const program = cli.start(newer ? ['auth', 'login', '--claudeai'] : ['auth', 'login'])
      const url = await program.says(URL_LINE)
      return { program, url }
    }

    ifNewer('signs in over pipes: a URL, a prompt, the code', async () => {
      const before = Date.now()
      const { program, url } = await signIn()
      await program.says(/Paste code here if prompted > $/)
      program.write(`${cli.approve(url)}\n`)
      const { code, stdout } = await program.ended
      expect(code).toBe(0)
      expect(stdout).toMatch(/Paste code here if prompted > Login successful\.\n$/)
      const { expiresAt, refreshTokenExpiresAt, scopes } = login()
      expect(expiresAt).toBeGreaterThan(before)
      expect(refreshTokenExpiresAt).toBeGreaterThan(before + 29 * 24 * 60 * MINUTE_MS)
      expect(scopes).toContain('user:inference')
      expect(statSync(cli.file).mode & 0o777).toBe(0o600)
    })

    ifNewer.each([
      ['no #', 'JUSTACODE', /^That doesn't look like the full code\./m],
      ['a verification code', '123456', /^That looks like a verification code\./m],
      ['a web address', 'https://claude.ai/somewhere?x=1', /^That's a web address, not the code\./m],
      [
        'an address of this machine',
        'http://localhost:4545/callback?code=a&state=b',
        /^That address only works in a browser on this machine\./m,
      ],
    ])('takes another try after %s', async (_, pasted, words) => {
      const { program, url } = await signIn()
      await program.says(/> $/)
      program.write(`${pasted}\n`)
      await program.says(words)
      expect(program.running()).toBe(true)
      program.write(`  ${cli.approve(url)}  \n`)
      expect((await program.ended).code).toBe(0)
    })

    ifNewer.each([
      [400, /^Couldn't log in: That code wasn't accepted\./m],
      [500, /^Couldn't log in: Request failed with status code 500$/m],
      ['drop', /^Couldn't log in: /m],
    ] as const)(
      'ends with 1 and the reason when the code is refused, %s, and keeps the old login',
      async (refused, words) => {
        const before = holds(60 * MINUTE_MS)
        const { program, url } = await signIn()
        cli.be({ login: refused })
        program.write(`${cli.approve(url)}\n`)
        const { code, stdout, stderr } = await program.ended
        expect(code).toBe(1)
        expect(stderr).toMatch(words)
        expect(stdout).not.toContain('Login successful.')
        expect(login()).toMatchObject(before)
      },
    )

    ifNewer.each([
      ['SIGTERM', 143],
      // Which is why an exit code alone proves nothing.
      ['SIGINT', 0],
    ] as const)('a sign-in that gets %s ends with %i, signed in nowhere', async (signal, code) => {
      const { program } = await signIn()
      await program.says(/> $/)
      program.kill(signal)
      const outcome = await program.ended
      expect(outcome.code).toBe(code)
      expect(outcome.stdout).not.toContain('Login successful.')
      expect(cli.read()).toBeUndefined()
    })

    it('a sign-in goes on after the end of its input', async () => {
      const { program } = await signIn()
      program.eof()
      await new Promise((resolve) => setTimeout(resolve, 200))
      expect(program.running()).toBe(true)
      program.kill()
      expect((await program.ended).code).toBe(143)
    })
  })
}
