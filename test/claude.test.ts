// The stand-in of the Claude CLI, held against the same contract as the real ones; and what only it can do.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Manner } from './claude/api.ts'
import { type ClaudeScript, credentialsOf, installCli } from './claude/cli.ts'
import { CALM, claudeContract, PING, VERSIONS, type Version } from './claude/contract.ts'
import { runProgram, startProgram } from './claude/run.ts'

/** How Anthropic answers, as a script of the stand-in. */
function scriptOf({ refresh, messages, login, slowMs }: Manner): ClaudeScript {
  const refreshes = {
    400: 'invalid_grant',
    401: 'invalid_grant',
    429: '429',
    500: '500',
    drop: 'network',
  } as const
  const refusals = { 403: 'account', drop: 'network' } as const
  const words = (of: number | string) => `${of}` as never
  return {
    ...(refresh && { refresh: refreshes[refresh as keyof typeof refreshes] ?? words(refresh) }),
    ...(messages && { messages: refusals[messages as keyof typeof refusals] ?? words(messages) }),
    ...(login && { login: login === 400 || login === 401 ? 'badcode' : words(login) }),
    // Its clock is the contract's, but nobody has to wait for it.
    ...(slowMs && { slowMs: slowMs / 10 }),
  }
}

function environment(home: string) {
  return { PATH: process.env.PATH, HOME: home, ...CALM }
}

for (const version of Object.keys(VERSIONS) as Version[])
  claudeContract(`the stand-in for ${VERSIONS[version]}`, version, async () => {
    const home = mkdtempSync(join(tmpdir(), 'opsbot-claude-'))
    const script = { version: VERSIONS[version], lockWaitMs: 150, graceMs: version === 'new' ? 200 : 0 }
    const cli = installCli(home, script)
    const options = (env = {}) => ({ env: { ...environment(home), ...env } })
    const did = (what: RegExp) =>
      cli.calls().flatMap((call) => call.did.filter((each) => what.test(each))).length
    return {
      ...cli,
      run: (args, env) => runProgram(cli.bin, args, options(env)),
      start: (args, env) => startProgram(cli.bin, args, options(env)),
      be: (manner) => cli.set({ ...script, ...scriptOf(manner) }),
      issue: (leftMs) => credentialsOf(leftMs),
      counts: () => ({ refreshes: did(/^asked$/), messages: did(/^message: /) }),
      approve: (url) => `code#${new URL(url).searchParams.get('state')}`,
      close: async () => rmSync(home, { recursive: true }),
    }
  })

describe('what the stand-in can do that no real one can be made to', () => {
  function install(script: ClaudeScript) {
    const home = mkdtempSync(join(tmpdir(), 'opsbot-claude-'))
    onTestFinished(() => rmSync(home, { recursive: true }))
    const cli = installCli(home, script)
    return { ...cli, options: { env: environment(home) } }
  }

  it('hangs until it is told to end, and has saved nothing', async () => {
    const cli = install({ refresh: 'hang', graceMs: 50 })
    const held = credentialsOf(-1_000)
    cli.write(held)
    const program = startProgram(cli.bin, PING, cli.options)
    await expect.poll(() => cli.calls()[0]?.did).toEqual(['asked'])
    program.kill()
    expect((await program.ended).code).toBe(143)
    expect(cli.read()).toEqual(held)
  })

  it('shows a torn file while an older one writes', async () => {
    const cli = install({ version: '2.1.54', tearMs: 300 })
    cli.write(credentialsOf(-1_000))
    const program = startProgram(cli.bin, PING, cli.options)
    program.eof()
    await expect
      .poll(
        () => {
          try {
            return cli.read() && 'whole'
          } catch {
            return 'torn'
          }
        },
        { interval: 5 },
      )
      .toBe('torn')
    expect((await program.ended).code).toBe(0)
    expect(cli.read().claudeAiOauth.expiresAt).toBeGreaterThan(Date.now())
  })

  it('takes a clock that a test sets', async () => {
    const now = Date.UTC(2030, 0, 1)
    const cli = install({ now, lifeMs: 60_000 })
    cli.write(credentialsOf(-1_000, {}, now))
    await runProgram(cli.bin, PING, cli.options)
    expect(cli.read().claudeAiOauth.expiresAt).toBe(now + 60_000)
    expect(cli.calls()).toMatchObject([
      {
        argv: PING,
        env: expect.arrayContaining(['HOME']),
        did: ['asked', 'refreshed', 'message: ok'],
        code: 0,
      },
    ])
  })
})
