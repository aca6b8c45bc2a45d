// A program that is not there, inside a container and on the host: an answer, told apart from a `timeout` that is not there.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { insideContainer, insideHost } from '../../src/ops/gateway/inside.ts'
import { result } from '../fixtures/openclaw/sandbox-yard.ts'

const CONTAINER = { id: 'a'.repeat(64), startedAt: 1 }
const argv = ['docker', 'ps']

describe('docker that is not in the container', () => {
  it.each<[string, string, string[]]>([
    [
      'coreutils',
      'timeout: failed to run command ‘docker’: No such file or directory\n',
      ['timeout', 'timeout'],
    ],
    ['busybox', "timeout: can't execute 'docker': No such file or directory\n", ['timeout', 'timeout']],
    [
      'no timeout at all',
      'OCI runtime exec failed: exec: "timeout": executable file not found in $PATH',
      ['timeout', 'docker', 'docker'],
    ],
  ])('with %s keeps or loses its deadline for what comes later', async (imageId, said, programs) => {
    const asked: (string | undefined)[] = []
    const exec = async (_: string, [program]: readonly string[]) => {
      asked.push(program)
      return result('', 127, said)
    }
    const inside = insideContainer(
      { exec, open: () => Promise.reject(new Error()) },
      { ...CONTAINER, imageId },
    )
    for (const _ of [1, 2]) expect((await inside.exec(argv, { timeoutMs: 1_000 })).exitCode).toBe(127)
    expect(asked).toEqual(programs)
  })
})

describe('docker that is not on the host', () => {
  const failing = (message: string) =>
    insideHost({
      run: () => Promise.reject(new OpsError(message)),
      open: () => Promise.reject(new Error()),
      env: {},
    }).exec(argv, { timeoutMs: 1_000 })

  it('says 127, as a shell does', async () => {
    expect((await failing('docker could not be started: ENOENT')).exitCode).toBe(127)
  })

  it('is told apart from one that is late', async () => {
    await expect(failing('docker did not finish within 1 s')).rejects.toThrow('did not finish')
  })
})
