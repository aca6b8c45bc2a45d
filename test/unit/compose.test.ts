// Docker Compose: the exact argv of each call, an environment of its own, and its last words without a value of `.env`.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/config.ts'
import { createCompose, lastWords } from '../../src/ops/compose.ts'
import { type ComposeLabels, sha256 } from '../../src/ops/docker/index.ts'
import type { Run, RunResult } from '../../src/ops/run.ts'
import { composeOf, GATEWAY } from '../fixtures/docker/engine.ts'
import { tempDir } from './help.ts'

const PROJECT: ComposeLabels = composeOf('/srv/openclaw')
const env = { PATH: '/usr/bin', DOCKER_HOST: 'unix:///run/docker.sock' }

/** Compose that answers this, and what it was called with. */
function createYard(answer: Partial<RunResult> = {}, lines: string[] = []) {
  const calls: { argv: string[]; env: unknown; timeoutMs: number }[] = []
  const run: Run = async (file, args, options) => {
    calls.push({ argv: [file, ...args], env: options.env, timeoutMs: options.timeoutMs })
    for (const line of lines) options.onLine?.(line)
    return { exitCode: 0, stdout: '', stderr: '', ...answer }
  }
  return { compose: createCompose({ run, env }), calls }
}
const asked = (project: ComposeLabels) => createYard().compose.recreateArgv(project).join(' ')
const CONFIG = { services: { [GATEWAY]: { image: 'openclaw:local', environment: { A: 'one' } } } }

describe('the argv', () => {
  it('makes one service anew, as its labels say, from any directory', () => {
    expect(asked(PROJECT)).toBe(
      'docker compose -p openclaw --project-directory /srv/openclaw -f /srv/openclaw/docker-compose.yml ' +
        'up -d --force-recreate --no-deps --pull never openclaw-gateway',
    )
  })

  it('has every compose file and every environment file in its order, and spaces stay in one word', () => {
    const argv = createYard().compose.recreateArgv({
      ...PROJECT,
      workingDir: '/srv/open claw',
      configFiles: ['/a.yml', '/b c.yml'],
      environmentFiles: ['/x.env', '/y.env'],
    })
    expect(argv.slice(0, 14)).toEqual([
      ...['docker', 'compose', '-p', 'openclaw', '--project-directory', '/srv/open claw'],
      ...['-f', '/a.yml', '-f', '/b c.yml', '--env-file', '/x.env', '--env-file', '/y.env'],
    ])
  })

  it('reads the configuration with the same files, and asks for the version', async () => {
    const { compose, calls } = createYard({ stdout: JSON.stringify(CONFIG) })
    await compose.service(PROJECT)
    await compose.version()
    expect(calls.map(({ argv }) => argv.join(' '))).toEqual([
      'docker compose -p openclaw --project-directory /srv/openclaw -f /srv/openclaw/docker-compose.yml config --format json',
      'docker compose version --short',
    ])
  })
})

describe('the environment', () => {
  it('of every call is the one of the docker client alone, so that .env wins', async () => {
    const { compose, calls } = createYard({ stdout: JSON.stringify(CONFIG) })
    await compose.version()
    await compose.service(PROJECT)
    await compose.run(compose.recreateArgv(PROJECT), { timeoutMs: 5_000 })
    expect(calls.map((call) => call.env)).toEqual([env, env, env])
    expect(calls.every(({ timeoutMs }) => timeoutMs > 0)).toBe(true)
  })

  it('of the docker client has none of our own keys in it', () => {
    const { docker } = parseConfig({
      ...{ PATH: '/usr/bin', HOME: '/root', DOCKER_CONFIG: '/etc/docker-cli' },
      ...{ DOCKER_HOST: 'unix:///run/x.sock', OPENCLAW_DIR: '/srv', OPENCLAW_GATEWAY_TOKEN: 'ours' },
      TELEGRAM_BOT_TOKEN: ['123456', 'abcdefgh'].join(':'),
    })
    expect(docker.clientEnvironment).toEqual({
      ...{ PATH: '/usr/bin', HOME: '/root', DOCKER_CONFIG: '/etc/docker-cli' },
      DOCKER_HOST: 'unix:///run/x.sock',
    })
  })
})

describe('what a service would be made from', () => {
  const read = (service: object) =>
    createYard({ stdout: JSON.stringify({ services: { [GATEWAY]: service } }) }).compose.service(PROJECT)

  it('is its image and its environment, by hash', async () => {
    expect(
      await read({ image: 'openclaw:local', environment: { A: 'one', N: 5, NONE: null, EMPTY: '' } }),
    ).toEqual({
      image: 'openclaw:local',
      built: false,
      environment: { A: sha256('one'), N: sha256('5'), EMPTY: sha256('') },
    })
  })

  it('has its dollars once: Compose writes them twice', async () => {
    expect((await read({ image: 'x', environment: { A: 'pa$$word$$$$' } })).environment).toEqual({
      A: sha256('pa$word$$'),
    })
  })

  it('that is built is called as Compose calls it', async () => {
    expect(await read({ build: { context: '.' } })).toEqual({
      image: 'openclaw-openclaw-gateway',
      built: true,
      environment: {},
    })
  })

  it('has no value in it, whatever the values are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.constantFrom('A', 'B', 'C'), fc.string({ minLength: 8 })),
        async (environment) => {
          const said = JSON.stringify(await read({ image: 'i', environment }))
          for (const value of Object.values(environment))
            expect(said).not.toContain(JSON.stringify(value).slice(1, -1))
        },
      ),
    )
  })

  it('is refused in words when the files do not have it any more', async () => {
    const { compose } = createYard({ stdout: '{"services":{"db":{}}}' })
    await expect(compose.service(PROJECT)).rejects.toThrow(
      'The compose files have no service "openclaw-gateway" any more.',
    )
  })

  it('is refused in words without Compose', async () => {
    await expect(createYard({ exitCode: 1 }).compose.version()).rejects.toThrow(
      'Docker Compose is not installed here',
    )
  })
})

/** What Compose 2.26 and 2.40 have said of a broken project, with this value in it (recorded). */
const SAID: [string, (value: string) => string, string][] = [
  ['a bad port', (value) => `Invalid hostPort: ${value}`, 'Invalid hostPort'],
  [
    'a bad size',
    (value) =>
      `decoding failed due to the following error(s):\n\nerror decoding 'services[gw].mem_limit': invalid size: '${value}'`,
    "decoding failed due to the following error(s): error decoding 'services[gw].mem_limit': invalid size",
  ],
  [
    'a bad size, a piece of it',
    (value) =>
      `decoding failed due to the following error(s):\n\n'services[gw].mem_limit' strconv.ParseFloat: parsing "${value.slice(0, 6)}": invalid syntax`,
    "decoding failed due to the following error(s): 'services[gw].mem_limit' strconv.ParseFloat: parsing",
  ],
  [
    'an open single quote',
    (value) => `failed to read /srv/.env: line 4: unterminated quoted value '${value} more`,
    'failed to read /srv/.env: line 4: unterminated quoted value',
  ],
  [
    'an open double quote',
    (value) => `failed to read /srv/.env: line 4: unterminated quoted value "${value} more`,
    'failed to read /srv/.env: line 4: unterminated quoted value',
  ],
  [
    'a bad template',
    (value) => `failed to read /srv/.env: Invalid template: "\${${value}"`,
    'failed to read /srv/.env: Invalid template',
  ],
  [
    'a bad name',
    (value) => `failed to read /srv/.env: line 2: unexpected character "-" in variable name "${value}"`,
    'failed to read /srv/.env: line 2: unexpected character',
  ],
  [
    'a variable that must be there',
    (value) => `required variable B is missing a value: ${value}`,
    'required variable B is missing a value',
  ],
]
const SECRET = ['hunter2', 'secret', 'value'].join('/')

describe('the last words', () => {
  it.each(SAID)('of %s say where, and not what', (_, said, expected) => {
    expect(lastWords(said(SECRET))).toBe(expected)
    expect(lastWords(`time="x" level=warning msg="something"\n${said(SECRET)}\n`)).toBe(expected)
  })

  it.each([
    ['no such service: nope', 'no such service: nope'],
    [
      'a\nb\nc\nfailed to solve: process did not complete\nexit code 2',
      'failed to solve: process did not complete exit code 2',
    ],
    [
      'time="x" level=warning msg="The \\"TOKEN\\" variable is not set."\nunable to get image: Cannot connect',
      'unable to get image: Cannot connect',
    ],
    [
      'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/x',
      'Error response from daemon: invalid mount config for type "bind": bind source path does not exist: /srv/x',
    ],
    ['container openclaw-gateway is unhealthy', 'container openclaw-gateway is unhealthy'],
    ['', 'it said nothing'],
  ])('keep what helps: %j', (said, expected) => {
    expect(lastWords(said)).toBe(expected)
  })

  it('are short', () => {
    expect(lastWords('x'.repeat(9_999))).toHaveLength(400)
  })

  it('never have a value that is known, wherever it stands', () => {
    const word = fc.string({ unit: fc.constantFrom(...'ZQ7x%/+='), minLength: 4, maxLength: 20 })
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(...SAID),
        (values, [, said]) => {
          const words = lastWords(
            `services.gw: ${values.join(' and ')} is wrong\n${said(values[0] ?? '')}`,
            values,
          )
          for (const value of values) expect(words).not.toContain(value)
        },
      ),
    )
  })

  it('of a project are cleaned of the values in its .env, and keep its paths', async () => {
    const directory = tempDir()
    writeFileSync(join(directory, '.env'), `TOKEN=${SECRET}\nNAME=openclaw\nDIR=${directory}\nSHORT=abc\n`)
    const stderr = `service "openclaw-gateway" refers to ${SECRET} in ${directory}/docker-compose.yml abc`
    const { compose } = createYard({ exitCode: 1, stderr })
    await expect(compose.service(composeOf(directory))).rejects.toThrow(
      `The compose files are not sound: service "openclaw-gateway" refers to … in ${directory}/docker-compose.yml abc`,
    )
  })

  it('tell how a run failed, with its lines shown on the way', async () => {
    const { compose } = createYard(
      { exitCode: 1, stderr: ' Container x  Recreate\ncontainer x is unhealthy' },
      ['one', 'two'],
    )
    const lines: string[] = []
    const running = compose.run(['docker', 'compose', 'up'], {
      timeoutMs: 9,
      onLine: (line) => lines.push(line),
    })
    await expect(running).rejects.toThrow(
      'Compose failed (exit 1): Container x  Recreate container x is unhealthy',
    )
    expect(lines).toEqual(['one', 'two'])
  })
})
