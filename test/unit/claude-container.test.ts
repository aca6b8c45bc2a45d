// The Claude CLI in a container: its inside found out, its environment cleared, its runs found again and ended in there.

import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import type Dockerode from 'dockerode'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type ContainerPlaceOptions, containerPlace, createClaude } from '../../src/ops/claude/index.ts'
import { across, lineOf, probe } from '../../src/ops/claude/probe.ts'
import { attachIn } from '../../src/ops/docker/exec.ts'
import { EngineError } from '../../src/ops/docker/index.ts'
import { type ClaudeScript, credentialsOf, installCli } from '../claude/cli.ts'
import { createBox } from '../fixtures/claude/box.ts'

let home: string
let cli: ReturnType<typeof installCli>
let yard: ReturnType<typeof createBox>
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'opsbot-box-'))
  cli = installCli(home)
  yard = createBox({ HOME: home, PATH: `${home}/bin:/usr/bin:/bin` })
})
afterEach(() => rmSync(home, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

const PATIENCE = { timeoutMs: 10_000, graceMs: 5_000, pollMs: 10 }
const claudeOf = (more: Partial<ContainerPlaceOptions> = {}, patience = PATIENCE) =>
  createClaude({
    place: containerPlace({
      name: 'claude-proxy',
      docker: yard.docker,
      findContainer: yard.findContainer,
      ...more,
    }),
    ...{ now: Date.now, patience },
  })
async function sleepUntilEnded(): Promise<void> {
  while (cli.calls().every(({ code }) => code === undefined)) await sleep(10)
}
const script = (next: ClaudeScript) => cli.set(next)

describe('its file', () => {
  it('is read in there, with its time', async () => {
    cli.write(credentialsOf(3_600_000))
    const claude = claudeOf()
    const file = await claude.file()
    expect(file).toMatchObject({ state: 'ok', path: cli.file })
    expect(Math.abs(Date.now() - (file.modifiedAt ?? 0))).toBeLessThan(5_000)
    expect((await claude.token())?.hash).toBe(file.hash)
    expect(claude.where).toBe('in claude-proxy')
  })

  it.each<[string, () => void, string]>([
    ['missing', () => rmSync(cli.file, { force: true }), 'missing'],
    ['empty', () => cli.write(''), 'empty'],
    ['a directory', () => mkdirSync(cli.file), 'unreadable'],
  ])('that is %s is said to be', async (_, make, state) => {
    make()
    expect((await claudeOf().file()).state).toBe(state)
  })

  it('is read on the host while the container is stopped, where the host can see it', async () => {
    cli.write(credentialsOf(3_600_000))
    yard.found.mounts.push({ source: home, destination: home, writable: true })
    const claude = claudeOf()
    expect(await claude.directory()).toBe(cli.configDir)
    yard.found.state = 'exited'
    expect((await claude.file()).state).toBe('ok')
    await expect(claude.beginRefresh()).rejects.toThrow('claude-proxy is exited: start it.')
  })

  it('is unseen while it is stopped and nothing is mounted', async () => {
    yard.found.state = 'exited'
    const claude = claudeOf()
    expect(await claude.file()).toMatchObject({
      state: 'unreadable',
      why: 'claude-proxy is exited: start it.',
    })
    expect(await claude.directory()).toBeUndefined()
  })

  it('is looked for where the operator says it is on the host', async () => {
    const moved = join(home, 'config')
    mkdirSync(moved)
    writeFileSync(join(moved, '.credentials.json'), JSON.stringify(credentialsOf(1e6)))
    yard.found.mounts.push({ source: '/srv/claude', destination: moved, writable: true })
    expect(await claudeOf({ configDir: '/srv/claude' }).file()).toMatchObject({ state: 'ok' })
    expect(await claudeOf({ configDir: '/srv/other' }).file()).toMatchObject({
      ...{ state: 'unreadable', why: 'CLAUDE_CONFIG_DIR is /srv/other, which claude-proxy has not mounted.' },
    })
  })

  it.each<[string, 'source' | 'destination', string | undefined]>([
    ['/data/home/.claude', 'source', '/root/.claude'],
    ['/data/home', 'source', '/root'],
    ['/data/homework', 'source', undefined],
    ['/root/.claude/x', 'destination', '/srv/deep/x'],
    ['/etc', 'destination', undefined],
  ])('%s is, from its %s, %s', (path, from, to) => {
    const mounts = [
      { source: '/data/home', destination: '/root', writable: true },
      { source: '/srv/deep', destination: '/root/.claude', writable: true },
    ]
    expect(across(mounts, path, from)).toBe(to)
  })
})

describe('a refresh in there', () => {
  it.each(['2.1.328', '2.1.54'])('of %s moves the end, whatever the container sets', async (version) => {
    script({ version })
    Object.assign(yard.environment, {
      ...{ CLAUDECODE: '1', ANTHROPIC_API_KEY: 'x', CLAUDE_CODE_OAUTH_TOKEN: 'x', ANTHROPIC_AUTH_TOKEN: 'x' },
      ...{ ANTHROPIC_BASE_URL: 'http://127.0.0.1:9', CLAUDE_CODE_SIMPLE: '1', CLAUDE_CODE_USE_BEDROCK: '1' },
      ...{ CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', KEPT: 'yes' },
    })
    writeFileSync(join(cli.configDir, 'settings.json'), '{"env":{"ANTHROPIC_BASE_URL":"http://127.0.0.1:9"}}')
    cli.write(credentialsOf(60_000))
    const claude = claudeOf()
    const begun = await claude.beginRefresh()
    expect(begun).toMatchObject({ where: 'container', pid: expect.any(Number) })
    expect(JSON.stringify(begun)).not.toMatch(/sk-ant/)
    expect(await claude.awaitRefresh(begun)).toMatchObject({ state: 'refreshed' })
    const [call] = cli.calls()
    expect(call?.env).toContain('KEPT')
    const unwanted = /CLAUDECODE|API_KEY|_TOKEN$|BASE_URL|SIMPLE|BEDROCK/
    expect(call?.env.filter((each) => unwanted.test(each))).toEqual([])
    expect(call?.env.includes('CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC')).toBe(version === '2.1.54')
    expect(call?.did).not.toContain('message: refused')
    expect(JSON.stringify(yard.calls)).not.toMatch(/sk-ant-/)
  })

  it('says what it failed of', async () => {
    script({ version: '2.1.54', refresh: 'network' })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf()
    expect(await claude.awaitRefresh(await claude.beginRefresh())).toMatchObject({ kind: 'network' })
  })

  it('that hangs is ended in there by its PID', async () => {
    script({ refresh: 'hang', graceMs: 50 })
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf({}, { ...PATIENCE, timeoutMs: 1_000 })
    const begun = await claude.beginRefresh()
    expect(await claude.awaitRefresh(begun)).toMatchObject({ state: 'failed', kind: 'transient' })
    expect(cli.calls()[0]).toMatchObject({ code: 143, pid: 'pid' in begun && begun.pid })
  })

  it('that cannot be seen to its end says so, and is nobody’s fault', async () => {
    cli.write(credentialsOf(-1_000))
    const claude = claudeOf({}, { timeoutMs: 50, graceMs: 50, pollMs: 10 })
    const begun = await claude.beginRefresh()
    yard.docker.execution = async () => {
      throw new EngineError('Docker is down (ECONNREFUSED).', 'down')
    }
    await sleepUntilEnded()
    cli.write(credentialsOf(-1_000_000))
    expect(await claude.awaitRefresh(begun)).toEqual({
      ...{ state: 'failed', kind: 'transient' },
      why: 'Whether the refresh has ended cannot be seen: Docker is down (ECONNREFUSED).',
    })
  })

  it('is found again by its exec, and judged by the file', async () => {
    script({ refresh: 'slow', slowMs: 500 })
    cli.write(credentialsOf(-1_000))
    const begun = await claudeOf().beginRefresh()
    expect(await claudeOf().awaitRefresh(JSON.parse(JSON.stringify(begun)))).toMatchObject({
      state: 'refreshed',
    })
  })

  it('whose container is gone by now has ended', async () => {
    cli.write(credentialsOf(3_600_000))
    const claude = claudeOf()
    const { expiresAt = 0, hash = '' } = await claude.file()
    const gone = { where: 'container' as const, container: 'x', exec: 'y', pid: 1, at: Date.now() }
    expect(await claude.awaitRefresh({ ...gone, before: expiresAt, beforeHash: hash })).toEqual({
      state: 'unmoved',
    })
  })
})

describe('what is in there', () => {
  it('may be no CLI, or no container', async () => {
    rmSync(cli.bin)
    await expect(claudeOf().version()).rejects.toThrow(/no Claude CLI in claude-proxy/)
    yard.box.found = undefined
    await expect(claudeOf().version()).rejects.toThrow(/no container claude-proxy/)
  })

  it.each<[string, string[], object, string[]]>([
    [
      'root, and the login is somebody’s: as they',
      ['/root', '/home/claude/.claude', '0', '1000:1000', '/bin/claude', '/bin/timeout', ''],
      { home: '/home/claude', user: '1000:1000', hasTimeout: true },
      ['HOME=/home/claude'],
    ],
    [
      'somebody already',
      ['/home/node', '/config', '1000', '1000:1000', '/bin/claude', '', ''],
      { home: '/home/node', hasTimeout: false },
      ['HOME=/home/node', 'CLAUDE_CONFIG_DIR=/config'],
    ],
    [
      'root, as is the login',
      ['/root', '/root/.claude', '0', '0:0', '/bin/claude', '', ''],
      { home: '/root' },
      ['HOME=/root'],
    ],
  ])('is called as who it should be: %s', async (_, said, facts, settings) => {
    const stdout = said.join('\n')
    const docker = { exec: async () => ({ exitCode: 0, stdout, stderr: '', output: stdout }) }
    const known = await probe(docker, yard.found, undefined)
    expect(known).toMatchObject(facts)
    expect('user' in known).toBe('user' in facts)
    const line = lineOf({ known, bin: '/bin/claude', args: ['-p', 'x'] })
    expect(line.slice(line.lastIndexOf('-u') + 2)).toEqual([...settings, '/bin/claude', '-p', 'x'])
  })

  it('is told why it cannot be found out', async () => {
    const stderr = 'exec: "sh": executable file not found in $PATH'
    const docker = { exec: async () => ({ exitCode: 127, stdout: '', stderr, output: stderr }) }
    await expect(probe(docker, yard.found, undefined)).rejects.toThrow(
      /claude-proxy cannot be looked into: exec: "sh"/,
    )
  })

  it('is found out once, and again in the next container', async () => {
    const claude = claudeOf()
    await claude.file()
    await claude.file()
    const probes = () => yard.calls.filter(({ argv }) => argv.join(' ').includes('command -v claude')).length
    expect(probes()).toBe(1)
    yard.found.id = 'another'
    await claude.file()
    expect(probes()).toBe(2)
  })

  it('says its version without its PID', async () => {
    expect(await claudeOf().version()).toBe('2.1.328')
    expect(claudeOf().signInCommand()).toBe('docker exec -it claude-proxy claude auth login')
    expect(existsSync(join(cli.configDir, 'opsbot'))).toBe(true)
  })
})

describe('an exec that goes on without us', () => {
  it('has both its streams, and its id', async () => {
    const socket = new PassThrough()
    const container = {
      exec: async () => ({ id: 'e1', start: async () => socket }),
      modem: {
        demuxStream(from: PassThrough, stdout: PassThrough, stderr: PassThrough) {
          from.on('data', (chunk: Buffer) => (chunk[0] === 2 ? stderr : stdout).write(chunk.subarray(8)))
        },
      },
    } as unknown as Dockerode.Container
    const attached = await attachIn(
      container,
      ['ls'],
      { user: undefined, stdin: false },
      new AbortController().signal,
    )
    socket.write(Buffer.from('\u0001\0\0\0\0\0\0\u0001a'))
    socket.write(Buffer.from('\u0002\0\0\0\0\0\0\u0001b'))
    socket.end()
    expect([attached.exec, await text(attached.stdout), await text(attached.stderr)]).toEqual([
      'e1',
      'a',
      'b',
    ])
  })
})
