// Docker Compose: the exact argv of each call, run with an environment of its own so that `.env` always wins.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import { OpsError } from '../errors.ts'
import { type ComposeLabels, sha256 } from './docker/index.ts'
import type { Run } from './run.ts'

export interface Compose {
  /** @throws OpsError when there is no Compose. */
  version(): Promise<string>
  /** The argv that makes a service anew: the least disruptive one that loads a changed `.env` (measured). */
  recreateArgv(project: ComposeLabels): string[]
  /**
   * What a service would be made from, as the compose files and `.env` say now.
   * @throws OpsError with Compose's own words when the files are not sound or have no such service.
   */
  service(project: ComposeLabels): Promise<ServicePlan>
  /** Runs an argv of ours. @throws OpsError with Compose's own last words. */
  run(argv: readonly string[], options: { timeoutMs: number; onLine?: (line: string) => void }): Promise<void>
}

export interface ServicePlan {
  image: string
  built: boolean
  /** Name → SHA-256 of the value that Compose makes of `.env`, its defaults and `env_file`. */
  environment: Record<string, string>
}

export interface ComposeOptions {
  run: Run
  /** What the docker client itself needs: PATH, HOME, DOCKER_HOST, DOCKER_CONFIG. Nothing of ours may win over `.env`. */
  env: Record<string, string>
}

/** `docker compose` with the project exactly as its labels describe it, from any directory. */
function projectArgv({ project, workingDir, configFiles, environmentFiles }: ComposeLabels): string[] {
  return [
    ...['docker', 'compose', '-p', project, '--project-directory', workingDir],
    ...configFiles.flatMap((file) => ['-f', file]),
    ...environmentFiles.flatMap((file) => ['--env-file', file]),
  ]
}

/** The argv that runs a program once in a container of its own, made like a service's; nothing else is started for it. */
export const runOnceArgv = (project: ComposeLabels, [program = '', ...args]: readonly string[]): string[] => [
  ...projectArgv(project),
  ...['run', '--rm', '--no-deps', '-T', '--entrypoint', program, project.service, ...args],
]

/** What Compose says of a `.env` may go on with a value from it, or with the rest of the file. */
const OF_ENVIRONMENT = /failed to read [^\n]*?: line \d+: [^"'\n]*/
/** Behind these words a value follows, or a piece of one (measured with 2.26 and 2.40). */
const QUOTES_VALUES =
  /(\binvalid (?!mount)[\w ]*\w|parsing|unexpected character|unterminated quoted value|missing a value)(?:(?=["'`])|: | (?=["'`]))[\s\S]*/i
const SHORTEST_VALUE = 4

/**
 * Compose prints its progress and its errors on stderr; the error is the last thing that it says.
 * @param values that must not be said.
 */
export function lastWords(stderr: string, values: readonly string[] = []): string {
  const ofEnvironment = OF_ENVIRONMENT.exec(stderr)
  let said = ofEnvironment ? ofEnvironment[0] : stderr.replace(QUOTES_VALUES, '$1')
  for (const value of values.toSorted((a, b) => b.length - a.length))
    if (value.length >= SHORTEST_VALUE) said = said.replaceAll(value, '…')
  const lines = said
    .trim()
    .split('\n')
    .filter((line) => line && !line.includes('level=warning'))
  return lines.slice(-2).join(' ').slice(0, 400) || 'it said nothing'
}

/** The values of a project's `.env`, but those that its own paths and names are made of. */
async function valuesOf({ project, service, workingDir, configFiles, environmentFiles }: ComposeLabels) {
  const files = environmentFiles.length > 0 ? environmentFiles : [join(workingDir, '.env')]
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
  const open = [project, service, workingDir, ...configFiles, ...files]
  return texts
    .flatMap((text) => Object.values(parseEnv(text)))
    .flatMap((value) => (value && !open.some((each) => each.includes(value)) ? [value] : []))
}

/** In its own output Compose writes a dollar twice. What has no value is not given to the container. */
const environmentOf = (values: Record<string, string | null> = {}): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === null ? [] : [[name, sha256(`${value}`.replaceAll('$$', '$'))]],
    ),
  )

export function createCompose({ run, env }: ComposeOptions): Compose {
  return {
    async version() {
      const { exitCode, stdout } = await run('docker', ['compose', 'version', '--short'], {
        timeoutMs: 10_000,
        env,
      })
      if (exitCode !== 0)
        throw new OpsError('Docker Compose is not installed here ("docker compose version" fails).')
      return stdout.trim()
    },
    async service(project) {
      const argv = [...projectArgv(project), 'config', '--format', 'json']
      const { exitCode, stdout, stderr } = await run('docker', argv.slice(1), { timeoutMs: 20_000, env })
      if (exitCode !== 0)
        throw new OpsError(`The compose files are not sound: ${lastWords(stderr, await valuesOf(project))}`)
      const service = JSON.parse(stdout).services?.[project.service]
      if (!service) throw new OpsError(`The compose files have no service "${project.service}" any more.`)
      return {
        image: service.image ?? `${project.project}-${project.service}`,
        built: service.build !== undefined,
        environment: environmentOf(service.environment),
      }
    },
    recreateArgv: (project) => [
      ...projectArgv(project),
      ...['up', '-d', '--force-recreate', '--no-deps', '--pull', 'never', project.service],
    ],
    async run([file = '', ...args], { timeoutMs, onLine }) {
      const { exitCode, stderr } = await run(file, args, { timeoutMs, env, ...(onLine && { onLine }) })
      if (exitCode !== 0) throw new OpsError(`Compose failed (exit ${exitCode}): ${lastWords(stderr)}`)
    },
  }
}
