// Real Claude CLIs, on this host as nobody or in a container, that speak with a fake of Anthropic alone.
//
//   api = await createAnthropic()                                     // in a container: { address: await addressOf(engine) }
//   claude = await startClaude({ version: 'new', api, where: 'host' })
//   claude.write(api.issue({ lifeMs: 240_000 }))                       // its `.credentials.json`, owned by whom it runs as
//   await claude.run(['-p', '/usage'])                                 // to its end; `start` to drive it
//   claude.bin, claude.home, claude.configDir                          // for CLAUDE_BIN; the wrapper knows the way to the fake
//   claude.container, claude.composeFile                               // where: { engine }
//   await claude.down()

import { execFile } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Anthropic } from '../claude/api.ts'
import { readLogin } from '../claude/cli.ts'
import { CALM, VERSIONS, type Version } from '../claude/contract.ts'
import { runProgram, startProgram } from '../claude/run.ts'
import type { Engine } from './engine.ts'

const exec = promisify(execFile)
const SCRIPT = join(import.meta.dirname, 'claude.sh')
/** Whom it runs as on this host; in a container it is `node`. */
const NOBODY = 65_534
const NODE_USER = 1_000

export interface ClaudeOptions {
  version: Version
  api: Anthropic
  where:
    | 'host'
    | {
        engine: Engine
        name?: string
        env?: Record<string, string>
        /** What of its directory is mounted; a file has to be there before. */
        mount?: 'directory' | 'file'
        /** What the file holds then. */
        credentials?: unknown
      }
}
export type RealClaude = Awaited<ReturnType<typeof startClaude>>

/** claude.sh; fetching takes a minute once. */
async function script(env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  return (await exec(SCRIPT, args, { env, timeout: 300_000 })).stdout.trim()
}

/** Fetches it, and makes it ready to run. */
export async function startClaude({ version, api, where }: ClaudeOptions) {
  const real = await script(process.env, 'packages', VERSIONS[version])
  const home = mkdtempSync(join(tmpdir(), 'opsbot-claude-'))
  const configDir = join(home, '.claude')
  const file = join(configDir, '.credentials.json')
  const bin = join(home, 'bin', 'claude')
  const uid = where === 'host' ? (process.getuid?.() === 0 ? NOBODY : undefined) : NODE_USER
  const own = (path: string) => uid !== undefined && chownSync(path, uid, uid)
  for (const path of [configDir, join(home, 'bin')]) mkdirSync(path)
  chmodSync(home, 0o755)
  for (const path of [home, configDir]) own(path)

  const caFile = where === 'host' ? api.caFile : '/opt/ca.pem'
  const program =
    where === 'host' ? [...(version === 'feb' ? [process.execPath] : []), real] : CONTAINED[version]
  writeFileSync(
    bin,
    `#!/bin/sh\nexport HTTPS_PROXY=${api.proxyUrl} NODE_EXTRA_CA_CERTS=${caFile}\nexec ${program.join(' ')} "$@"\n`,
    { mode: 0o755 },
  )
  const itself = {
    ...{ version, bin, home, configDir, file },
    /** Writes its credentials, as its own user would. */
    write(credentials: unknown): void {
      writeFileSync(file, typeof credentials === 'string' ? credentials : JSON.stringify(credentials), {
        mode: 0o600,
      })
      own(file)
    },
    read: () => readLogin(file),
  }

  if (where === 'host') {
    const options = (env: Record<string, string> = {}) => ({
      ...(uid !== undefined && { uid, gid: uid }),
      cwd: home,
      env: { PATH: process.env.PATH, HOME: home, ...CALM, ...env },
    })
    return {
      ...itself,
      container: '',
      composeFile: '',
      run: (args: readonly string[], env?: Record<string, string>) => runProgram(bin, args, options(env)),
      start: (args: readonly string[], env?: Record<string, string>) => startProgram(bin, args, options(env)),
      down: async () => rmSync(home, { recursive: true, force: true }),
    }
  }

  const { engine, name = 'claude-proxy', env = {}, mount = 'directory' } = where
  if (where.credentials !== undefined) itself.write(where.credentials)
  const [shared, seen] = mount === 'file' ? [file, '/.credentials.json'] : [configDir, '']
  // The newer one's binary says which libraries are needed, beside Node's.
  await script(engine.env, 'image', VERSIONS.new)
  const dir = join(home, 'project')
  mkdirSync(dir)
  const composeFile = join(dir, 'docker-compose.yml')
  writeFileSync(
    composeFile,
    `services:
  claude:
    image: opsbot/claude
    container_name: ${name}
    init: true
    restart: unless-stopped
    environment: ${JSON.stringify({ HOME: '/home/node', ...env })}
    volumes:
      - ${shared}:/home/node/.claude${seen}
      - ${bin}:/usr/local/bin/claude:ro
      - ${real}:${CONTAINED[version].at(-1)}:ro
      - ${api.caFile}:/opt/ca.pem:ro
`,
  )
  const compose = (...args: string[]) =>
    engine.docker('compose', '--project-directory', dir, '-f', composeFile, ...args)
  await compose('up', '-d')
  const argv = (args: readonly string[], more: Record<string, string> = {}) => [
    ...[
      'exec',
      '-i',
      ...Object.entries({ ...CALM, ...more }).flatMap(([key, value]) => ['-e', `${key}=${value}`]),
    ],
    ...[name, 'claude', ...args],
  ]
  return {
    ...itself,
    container: name,
    composeFile,
    run: (args: readonly string[], more?: Record<string, string>) =>
      runProgram('docker', argv(args, more), { env: engine.env }),
    /** Signals reach the client of Docker alone, never the CLI. */
    start: (args: readonly string[], more?: Record<string, string>) =>
      startProgram('docker', argv(args, more), { env: engine.env }),
    async down(): Promise<void> {
      await compose('down', '-t', '0', '-v').catch(() => engine.docker('rm', '-fv', name))
      rmSync(home, { recursive: true, force: true })
    },
  }
}

/** What runs inside. */
const CONTAINED: Record<Version, readonly string[]> = {
  new: ['/opt/claude'],
  feb: ['node', '/opt/cli.js'],
}
