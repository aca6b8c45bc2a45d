// Signing in by the Claude CLI: its address, good and bad codes, cancelling, and what is never seen of a code.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { containerPlace, createClaude, hostPlace, type SignIn } from '../../src/ops/claude/index.ts'
import { signIn } from '../../src/ops/claude/login.ts'
import { run } from '../../src/ops/run.ts'
import { installCli } from '../claude/cli.ts'
import { createBox } from '../fixtures/claude/box.ts'

let home: string
let cli: ReturnType<typeof installCli>
let open: SignIn[]
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opsbot-login-'))
  cli = installCli(home)
  open = []
})
afterEach(async () => {
  await Promise.all(open.map((each) => each.cancel()))
  rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
})

const onHost = () =>
  hostPlace({ stateDir: home, run, environment: { PATH: `${home}/bin:/usr/bin:/bin`, HOME: home } })
function inContainer() {
  const { docker, findContainer } = createBox({ HOME: home, PATH: `${home}/bin:/usr/bin:/bin` })
  return containerPlace({ name: 'claude-proxy', docker, findContainer })
}
async function begin(place = onHost()): Promise<SignIn> {
  const begun = await createClaude({ place, now: Date.now }).signIn()
  open.push(begun)
  return begun
}
const stateOf = ({ url }: SignIn) => new URL(url).searchParams.get('state') ?? ''
const CODE = 'Zm9vYmFyYmF6cXV4'

/** Every command line of this machine. */
const commandLines = () =>
  readdirSync('/proc')
    .filter((each) => /^\d+$/.test(each))
    .map((each) => {
      try {
        return readFileSync(`/proc/${each}/cmdline`, 'utf8')
      } catch {
        return ''
      }
    })
    .join('\n')
const isRunning = (pid: number | undefined) => existsSync(`/proc/${pid}`)
async function until(isSo: () => boolean): Promise<void> {
  for (const limit = Date.now() + 10_000; !isSo(); await sleep(10))
    if (Date.now() > limit) throw new Error('it did not come to that')
}

describe.each([
  ['on this host', onHost],
  ['in a container', inContainer],
])('a sign-in %s', (_, placeOf) => {
  it('shows Anthropic’s page, takes the code, and is done', async () => {
    const begun = await begin(placeOf())
    expect(new URL(begun.url).hostname).toBe('claude.com')
    const code = `${CODE}#${stateOf(begun)}`
    expect(begun.matches(code)).toBe(true)
    expect(begun.matches(`${CODE}#another`)).toBe(false)
    expect(begun.matches(CODE)).toBe(false)
    const answered = begun.answer(` ${code} `)
    expect(commandLines()).not.toContain(CODE)
    expect(await answered).toEqual({ done: true })
    await begun.ended
    expect(cli.read().claudeAiOauth.expiresAt).toBeGreaterThan(Date.now())
    const call = cli.calls().find(({ argv }) => !argv.includes('--help'))
    expect(call?.argv).toEqual(['auth', 'login', '--claudeai'])
    expect(call?.env).toContain('BROWSER')
    expect(await begun.answer(code)).toMatchObject({ done: false, why: /ended/ })
  })

  it('waits on after a code that is not whole', async () => {
    const begun = await begin(placeOf())
    expect(await begun.answer(CODE)).toEqual({
      ...{ done: false, again: true },
      why: "That doesn't look like the full code. Copy all of it, including the # in the middle.",
    })
    expect(await begun.answer(`${CODE}#${stateOf(begun)}`)).toEqual({ done: true })
  })

  it.each([
    ['badcode', /That code wasn't accepted/],
    ['500', /Request failed with status code 500/],
    ['drop', /socket hang up/],
  ] as const)('that comes to %s says why, and is over', async (login, why) => {
    cli.set({ login })
    const begun = await begin(placeOf())
    const answer = await begun.answer(`${CODE}#${stateOf(begun)}`)
    expect(answer).toEqual({ done: false, why: expect.stringMatching(why) })
    await begun.ended
    expect(cli.read()).toBeUndefined()
  })

  it('that is cancelled leaves nothing running', async () => {
    const begun = await begin(placeOf())
    const pid = cli.calls().at(-1)?.pid
    expect(isRunning(pid)).toBe(true)
    await begun.cancel()
    await begun.ended
    await until(() => !isRunning(pid))
    await begun.cancel()
    expect(cli.read()).toBeUndefined()
  })

  it('that shows nothing in time is ended', async () => {
    cli.set({ login: 'silent' })
    await expect(signIn(placeOf(), 1_500)).rejects.toThrow(/showed no address.*within 1.5 s/)
    const pid = cli.calls().at(-1)?.pid
    await until(() => !isRunning(pid))
  })
})

describe('a sign-in', () => {
  it('needs a CLI that takes codes from a pipe', async () => {
    cli.set({ version: '2.1.123' })
    await expect(begin()).rejects.toThrow(/is 2\.1\.123.*upgrade it to 2\.1\.126/)
    expect(cli.calls()).toEqual([])
  })

  it.each(['', 'a\nb', 'x'.repeat(5_000)])('gives nothing on that is no line of a code: %j', async (code) => {
    const begun = await begin()
    expect(await begun.answer(code)).toMatchObject({ done: false, again: true })
    expect(cli.calls().at(-1)?.did).toEqual([])
  })

  it.each([
    ['somebody else’s', 'https://claude.com.evil.example/authorize?state=x'],
    ['not closed', 'http://claude.com/authorize?state=x'],
    ['without a state', 'https://claude.com/authorize'],
  ])('does not show an address that is %s', async (_, url) => {
    writeFileSync(
      cli.bin,
      `#!/bin/sh\n[ "$1" = --version ] && echo 2.1.328 && exit\n[ "$3" = --help ] && exit\necho "visit: ${url}"\nexec sleep 3\n`,
    )
    await expect(signIn(onHost(), 1_000)).rejects.toThrow(/not Anthropic's|showed no address/)
  })

  it('never repeats a code, whatever the CLI says of it', async () => {
    writeFileSync(
      cli.bin,
      `#!/bin/sh\n[ "$1" = --version ] && echo 2.1.328 && exit\n[ "$3" = --help ] && exit\necho "visit: https://claude.com/a?state=st4te "\nread line\necho "Couldn't log in: bad $line, \${line%%#*}" >&2\nexit 1\n`,
    )
    const answer = await (await begin()).answer(`${CODE}#st4te`)
    expect(answer).toEqual({ done: false, why: "Couldn't log in: bad …, …" })
  })

  it('is not done by exit 0 alone', async () => {
    writeFileSync(
      cli.bin,
      '#!/bin/sh\n[ "$1" = --version ] && echo 2.1.328 && exit\n[ "$3" = --help ] && exit\necho "visit: https://claude.com/a?state=x "\nread line\nexit 0\n',
    )
    expect(await (await begin()).answer('code#x')).toEqual({
      ...{ done: false, why: 'The Claude CLI ended without signing in.' },
    })
  })
})
