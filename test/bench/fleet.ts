// A real engine for the docker table, with the gateway's compose project on it: as many services as a figure needs.

import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { bringUp, composeFile } from '../real/engine.ts'
import { endsWithUs } from './children.ts'

export type Fleet = Awaited<ReturnType<typeof createFleet>>

/** What `docker inspect` says of a container, as far as it is used here. */
export interface Inspection {
  Id: string
  Name: string
  State: { Status: string; Pid: number }
}

const ENGINE = ['trixie', 'bench'] as const
const SCRIPT = join(import.meta.dirname, '../real/engine.sh')
const GATEWAY = 'openclaw-gateway'
/** Asked so often that waiting for the health check is no part of what a recreate takes. */
const HEALTH = `    healthcheck:
      test: ["CMD", "test", "-e", "/tmp/well"]
      interval: 1s
      start_period: 20s
      start_interval: 100ms
`
const serviceOf = (name: string) => `  ${name}:
    image: opsbot/busybox
    container_name: ${name}
    command: [sleep, "1000000"]
`

/** `docker events` and clocks give the time of day: what is to be added to it for our own `performance.now()`. */
export function clockOffset(): number {
  const from = Date.now()
  let now = from
  // At its tick a clock of whole milliseconds is exact.
  while (now === from) now = Date.now()
  return performance.now() - now
}

/** @param parent where the project's directory is made. @throws when no engine can be brought up here. */
export async function createFleet(parent: string) {
  const engine = await bringUp(...ENGINE)
  // However this process ends, it leaves no engine behind.
  let up = true
  process.once('exit', () => up && spawnSync(SCRIPT, ['gc', ...ENGINE], { stdio: 'ignore' }))
  mkdirSync(parent, { recursive: true })
  const directory = mkdtempSync(join(parent, 'project-'))
  const file = join(directory, 'docker-compose.yml')
  const agent = new Agent({ keepAlive: true, maxSockets: 8 })
  const socketPath = engine.env.DOCKER_HOST?.replace('unix://', '')
  await engine.clear()
  writeFileSync(join(directory, '.env'), 'TOKEN=one\n')

  /** What Compose prints on both streams. */
  const compose = (...args: string[]) =>
    engine.docker('compose', '-p', 'bench', '--project-directory', directory, '-f', file, ...args)

  /** One call to the engine's API. @returns the body; what the engine refuses is no error. */
  async function call(method: 'GET' | 'POST' | 'DELETE', path: string): Promise<string> {
    const asked = request({ agent, socketPath, method, path, headers: { 'content-length': 0 } }).end()
    const [response] = await once(asked, 'response')
    let body = ''
    for await (const chunk of response) body += chunk
    return body
  }

  return {
    ...{ engine, gateway: GATEWAY, compose, call },
    version: () => engine.docker('version', '--format', '{{.Server.Version}}'),
    composeVersion: () => engine.docker('compose', 'version', '--short'),
    /** What a bot needs to find it. */
    env: { ...engine.env, ALERT_LOAD_PER_CORE: '100' },
    /** Makes the project be the gateway and these services; what was there before is gone. */
    async deploy(names: readonly string[]): Promise<void> {
      const more = names.map(serviceOf).join('')
      writeFileSync(file, composeFile({ gateway: HEALTH, more, env: '' }))
      await compose('up', '-d', '--remove-orphans')
    },
    inspect: async (...names: string[]): Promise<Inspection[]> =>
      JSON.parse(await engine.docker('inspect', ...names)),
    /** Follows the engine's events as another client than the bot. @returns the way to stop. */
    async follow(
      format: string,
      filters: readonly string[],
      onLine: (line: string) => void,
    ): Promise<() => void> {
      const args = [...['events', '--format', format], ...filters.flatMap((filter) => ['--filter', filter])]
      const child = endsWithUs(
        spawn('docker', args, { env: engine.env, stdio: ['ignore', 'pipe', 'inherit'] }),
      )
      createInterface({ input: child.stdout }).on('line', onLine)
      await once(child, 'spawn')
      return () => child.kill()
    },
    async close(): Promise<void> {
      agent.destroy()
      await engine.down()
      up = false
    },
  }
}
