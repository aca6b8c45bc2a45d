// Where the gateway's programs run: in a container with or without our user and `timeout`, on the host, and kept open.

import { PassThrough } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type Dockerode from 'dockerode'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { openIn, runIn } from '../../src/ops/docker/exec.ts'
import { EngineError, type ExecResult } from '../../src/ops/docker/index.ts'
import { insideContainer, insideHost, NOT_THERE, wasLate } from '../../src/ops/gateway/inside.ts'
import { open, run } from '../../src/ops/run.ts'
import { newId } from '../fixtures/docker/engine.ts'

const result = (exitCode: number, stdout = '', stderr = ''): ExecResult => ({
  ...{ exitCode, stdout, stderr, output: stdout + stderr },
})
const OCI = 'OCI runtime exec failed: exec failed: unable to start container process:'
/** What engine 26.1 printed where there is no such program (recorded); 28.5 ends with 127, and without its last word. */
const notFound = (program: string) =>
  `${OCI} exec: "${program}": executable file not found in $PATH: unknown\r\n`
const DONE = result(0, 'done\n')

interface Exec {
  argv: string
  user: string | undefined
  timeoutMs: number
  input: string | undefined
}

/** A container of an image that nobody has seen before. */
function createYard(answer: (call: Exec) => ExecResult | Error) {
  const calls: Exec[] = []
  const imageId = `sha256:${newId()}`
  const docker = {
    async exec(
      _id: string,
      argv: readonly string[],
      { user, timeoutMs, input }: { user?: string; timeoutMs: number; input?: string },
    ) {
      const call = { argv: argv.join(' '), user, timeoutMs, input }
      calls.push(call)
      const said = answer(call)
      if (said instanceof Error) throw said
      return said
    },
    async open(_id: string, argv: readonly string[], { user }: { user?: string }) {
      const call = { argv: argv.join(' '), user, timeoutMs: 0, input: undefined }
      calls.push(call)
      const said = answer(call)
      if (said instanceof Error) throw said
      return { stream: new PassThrough(), ended: Promise.resolve({ stderr: said.stderr }) }
    },
  }
  return { calls, imageId, inside: () => insideContainer(docker, { id: 'box', imageId }) }
}
const ASK = { timeoutMs: 20_000 }

describe('a program in the container', () => {
  it('runs as the gateway, is ended in there, and has time to obey before we give up', async () => {
    const yard = createYard(() => DONE)
    expect(await yard.inside().exec(['openclaw', 'health'], { ...ASK, input: 'y' })).toEqual(DONE)
    expect(yard.calls).toEqual([
      { argv: 'timeout -k 5 20 openclaw health', user: 'node', timeoutMs: 30_000, input: 'y' },
    ])
    expect(yard.inside().key).toBe(yard.imageId.slice(7, 19))
  })

  it('is given whole seconds: not every `timeout` knows parts of one', async () => {
    const yard = createYard(() => DONE)
    await yard.inside().exec(['true'], { timeoutMs: 300 })
    expect(yard.calls[0]?.argv).toBe('timeout -k 5 1 true')
  })

  const NO_USER = 'unable to find user node: no matching entries in passwd file'
  it.each<[string, (call: Exec) => ExecResult | Error]>([
    ['as output (26.1, recorded)', ({ user }) => (user ? result(126, `${NO_USER}\r\n`) : DONE)],
    [
      'as a refusal (28.5, recorded)',
      ({ user }) => (user ? new EngineError(`Docker refused: ${NO_USER} (400).`, 'refused') : DONE),
    ],
  ])(
    'runs as who the container is, where the engine says %s that there is no such user',
    async (_, answer) => {
      const yard = createYard(answer)
      expect(await yard.inside().exec(['a'], ASK)).toEqual(DONE)
      expect(await yard.inside().exec(['b'], ASK)).toEqual(DONE)
      await yard.inside().open(['c'])
      expect(yard.calls.map(({ user }) => user)).toEqual(['node', undefined, undefined, undefined])
    },
  )

  it.each<[string, ExecResult | Error]>([
    ['an engine that is down', new EngineError('Docker is down (ECONNREFUSED).', 'down')],
    ['another refusal', new EngineError('Docker refused: container is paused (409).', 'refused')],
  ])('is not tried again as somebody else after %s', async (_, said) => {
    const yard = createYard(() => said)
    await expect(yard.inside().exec(['a'], ASK)).rejects.toBe(said)
    await expect(yard.inside().open(['a'])).rejects.toBe(said)
    expect(yard.calls.map(({ user }) => user)).toEqual(['node', 'node'])
  })

  it('that prints those words itself is no container without the user', async () => {
    const yard = createYard(() => result(1, NO_USER))
    expect((await yard.inside().exec(['a'], ASK)).exitCode).toBe(1)
    expect(yard.calls).toHaveLength(1)
  })

  it.each<[string, number, string]>([
    ['runc', 126, notFound('timeout')],
    ['runc of engine 28', 127, notFound('timeout').replace(': unknown', '')],
    ['runc that may not run it', 126, `${OCI} exec: "timeout": permission denied: unknown\r\n`],
    [
      'runc of older ones',
      126,
      'OCI runtime exec failed: exec failed: container_linux.go:380: starting container process caused: exec: "timeout": executable file not found in $PATH: unknown',
    ],
    [
      'crun',
      127,
      'OCI runtime exec failed: executable file `timeout` not found in $PATH: No such file or directory',
    ],
  ])('runs without a `timeout` that is not there, by the words of %s', async (_, exitCode, words) => {
    const yard = createYard(({ argv }) => (argv.startsWith('timeout') ? result(exitCode, words) : DONE))
    expect(await yard.inside().exec(['a', 'b'], ASK)).toEqual(DONE)
    expect(await yard.inside().exec(['c'], ASK)).toEqual(DONE)
    expect(yard.calls.map(({ argv }) => argv)).toEqual(['timeout -k 5 20 a b', 'a b', 'c'])
    // Nobody ends it in there then: we give up when its time is over.
    expect(yard.calls.at(-1)?.timeoutMs).toBe(30_000)
  })

  it.each<[string, number, string]>([
    ['of coreutils', 127, 'timeout: failed to run command ‘openclaw’: No such file or directory\n'],
    [
      'of coreutils, in plain letters',
      127,
      "timeout: failed to run command 'openclaw': No such file or directory\n",
    ],
    ['of busybox (recorded)', 127, "timeout: can't execute 'openclaw': No such file or directory\n"],
    [
      'over a program that may not be run',
      126,
      "timeout: failed to run command 'openclaw': Permission denied\n",
    ],
    ['over a shell that finds none', 127, 'sh: 1: openclaw: not found\n'],
    ['over a config that has such a key', 127, '{"timeout": 20, `timeout`: "timeout"}'],
    ['over a program that misses another', 127, notFound('docker')],
  ])('that is itself not there stays so under the `timeout` %s', async (_, exitCode, words) => {
    const yard = createYard(() => result(exitCode, '', words))
    const seen = await yard.inside().exec(['openclaw'], ASK)
    expect(NOT_THERE).toContain(seen.exitCode)
    expect(yard.calls).toHaveLength(1)
    await yard.inside().exec(['openclaw'], ASK)
    expect(yard.calls.at(-1)?.argv).toMatch(/^timeout /)
  })

  it('without user and `timeout` is reached at last', async () => {
    const yard = createYard(({ user, argv }) => {
      if (user) return result(126, `${NO_USER}\r\n`)
      return argv.startsWith('timeout') ? result(126, notFound('timeout')) : DONE
    })
    expect(await yard.inside().exec(['a'], ASK)).toEqual(DONE)
    expect(yard.calls.map(({ user, argv }) => [user, argv])).toEqual([
      ['node', 'timeout -k 5 20 a'],
      [undefined, 'timeout -k 5 20 a'],
      [undefined, 'a'],
    ])
  })

  it.each([
    [0, false],
    [1, false],
    [126, false],
    [127, false],
    [124, true],
    [137, true],
    [143, true],
  ])('that ended with %i was late: %s', (exitCode, late) => expect(wasLate({ exitCode })).toBe(late))
})

describe('an exec of the engine', () => {
  const frame = (stream: number, text: string) => {
    const head = Buffer.alloc(8)
    head[0] = stream
    head.writeUInt32BE(Buffer.byteLength(text), 4)
    return Buffer.concat([head, Buffer.from(text)])
  }

  /** A container of dockerode's with one exec, whose far end the test holds. */
  function createFar(exitCode: number | null = 0) {
    const socket = new PassThrough()
    const typed: string[] = []
    const asked: Record<string, unknown>[] = []
    const far = Object.assign(socket, {
      end: (text?: string) => {
        if (text !== undefined) typed.push(text)
        return socket
      },
    })
    const container = {
      exec: async (options: Record<string, unknown>) => {
        asked.push(options)
        return { start: async () => far, inspect: async () => ({ ExitCode: exitCode }) }
      },
      modem: {
        demuxStream(from: PassThrough, stdout: PassThrough, stderr: PassThrough) {
          from.on('data', (chunk: Buffer) => (chunk[0] === 2 ? stderr : stdout).write(chunk.subarray(8)))
        },
      },
    }
    return {
      ...{ asked, typed, socket },
      container: container as unknown as Dockerode.Container,
      say: (...frames: Buffer[]) => frames.forEach((each) => void socket.push(each)),
      hangUp: () => void socket.push(null),
    }
  }
  const never = new AbortController().signal

  it('gives both streams apart and together, and its exit code', async () => {
    const far = createFar(3)
    const ran = runIn(far.container, ['ls', '-l'], { user: 'node', input: 'yes' }, never)
    far.say(frame(1, 'out\n'), frame(2, 'err\n'), frame(1, 'more\n'))
    far.hangUp()
    expect(await ran).toEqual({
      exitCode: 3,
      output: 'out\nerr\nmore\n',
      stdout: 'out\nmore\n',
      stderr: 'err\n',
    })
    expect(far.asked).toMatchObject([{ Cmd: ['ls', '-l'], User: 'node', AttachStdin: true }])
    expect(far.typed).toEqual(['yes'])
  })

  it('without words for it has no stdin, and no user but its own', async () => {
    const far = createFar(null)
    const ran = runIn(far.container, ['true'], {}, never)
    far.hangUp()
    expect((await ran).exitCode).toBe(-1)
    expect(far.asked[0]).toMatchObject({ AttachStdin: false })
    expect(far.asked[0]).not.toHaveProperty('User')
  })

  it('that floods us is cut, and still ends', async () => {
    const far = createFar()
    const ran = runIn(far.container, ['yes'], {}, never)
    const chunk = frame(1, 'y'.repeat(1 << 20))
    for (let count = 0; count < 20; count += 1) {
      await sleep(0)
      far.say(chunk)
    }
    far.hangUp()
    const { stdout, exitCode } = await ran
    expect(exitCode).toBe(0)
    expect(stdout.length).toBe(15 << 20)
  })

  it('that is aborted ends at once', async () => {
    const far = createFar()
    const abort = new AbortController()
    const ran = runIn(far.container, ['sleep'], {}, abort.signal)
    await sleep(0)
    abort.abort()
    await expect(ran).rejects.toThrow()
    expect(far.socket.destroyed).toBe(true)
  })

  it('that is kept open ends with its last words, and its stdout is what is read', async () => {
    const far = createFar()
    const { stream, ended } = await openIn(far.container, ['cat'], undefined, never)
    let read = ''
    stream.on('data', (chunk: Buffer) => {
      read += chunk
    })
    far.say(
      frame(1, 'one\n'),
      frame(2, `${'x'.repeat(5_000)}\n`),
      frame(2, 'last words\n'),
      frame(1, 'two\n'),
    )
    far.hangUp()
    await sleep(0)
    far.socket.destroy()
    const { stderr } = await ended
    expect(stderr).toMatch(/^x+\nlast words$/)
    expect(stderr.length).toBeLessThanOrEqual(2_000)
    expect(read).toBe('one\ntwo\n')
  })

  it('that is kept open is hung up with its stream', async () => {
    const far = createFar()
    const { stream, ended } = await openIn(far.container, ['cat'], undefined, never)
    stream.on('error', () => {})
    stream.destroy()
    await ended
    expect(far.socket.destroyed).toBe(true)
  })
})

describe('a program on the host', () => {
  const inside = insideHost({ run, open, env: { MARK: 'seen' } })

  it.each<[string, string[], string | undefined, Partial<ExecResult>]>([
    [
      'ends',
      ['sh', '-c', 'echo out; echo err >&2; exit 3'],
      undefined,
      { exitCode: 3, stdout: 'out\n', stderr: 'err\n' },
    ],
    ['reads', ['cat'], 'in', { exitCode: 0, stdout: 'in' }],
    ['has its environment', ['sh', '-c', 'echo $MARK$VITEST'], undefined, { stdout: 'seen\n' }],
    ['is not there', ['no-such-program'], undefined, { exitCode: 127 }],
    ['is killed', ['sh', '-c', 'kill -9 $$'], undefined, { exitCode: 137 }],
  ])('%s', async (_, argv, input, seen) => {
    expect(await inside.exec(argv, { timeoutMs: 5_000, ...(input && { input }) })).toMatchObject(seen)
  })

  it('that is late is said so', async () => {
    await expect(inside.exec(['sleep', '5'], { timeoutMs: 50 })).rejects.toThrow(
      new OpsError('sleep did not finish within 0.05 s'),
    )
  })

  it('that is kept open speaks, and ends with what it said last on stderr', async () => {
    const { stream, ended } = await inside.open(['sh', '-c', 'cat; echo "$MARK at last" >&2'])
    let read = ''
    stream.on('data', (chunk: Buffer) => {
      read += chunk
    })
    stream.end('to and fro\n')
    expect(await ended).toEqual({ stderr: 'seen at last' })
    expect(read).toBe('to and fro\n')
  })

  it('that neither reads nor prints ends with its stream all the same', async () => {
    const { stream, ended } = await inside.open(['sleep', '60'])
    stream.on('error', () => {})
    stream.destroy()
    expect(await Promise.race([ended, sleep(4_000, 'it runs on')])).toEqual({ stderr: '' })
  })

  it('that runs on when both ends of its stream are closed is ended', async () => {
    const { stream, ended } = await inside.open(['sh', '-c', 'exec >&-; exec sleep 60'])
    stream.resume().end()
    expect(await Promise.race([ended, sleep(4_000, 'it runs on')])).toEqual({ stderr: '' })
  })

  it('that is not there ends at once', async () => {
    const { stream, ended } = await inside.open(['no-such-program'])
    stream.on('error', () => {})
    expect(await ended).toEqual({ stderr: '' })
    expect(stream.destroyed).toBe(true)
  })

  it('that is kept open ends with us', async () => {
    const source = `
      const { open } = await import(${JSON.stringify(new URL('../../src/ops/run.ts', import.meta.url).href)})
      const { stream } = await open(['sh', '-c', 'echo $$; exec sleep 60'], {})
      stream.once('data', (pid) => { process.stdout.write(pid, () => process.exit()) })`
    const us = await run(process.execPath, ['--input-type=module', '-e', source], { timeoutMs: 10_000 })
    const pid = Number(us.stdout)
    expect(pid).toBeGreaterThan(1)
    const alive = () => {
      try {
        return process.kill(pid, 0)
      } catch {
        return false
      }
    }
    for (let tries = 0; alive() && tries < 100; tries += 1) await sleep(20)
    expect(alive()).toBe(false)
  })
})
