// Killed at any moment while it writes: whoever reads the file finds the old text or the new one, whole.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { replaceFile } from '../../src/ops/credentials/write.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import { tempDir } from './help.ts'

const KILLS = process.env.SOAK === '1' ? 1_000 : 24
const WRITE = join(import.meta.dirname, '../../src/ops/credentials/write.ts')

/** Replaces a file over and over, each text longer or shorter than the one before, each with its own end. */
const PROGRAM = `
import { readWhole, replaceFile } from ${JSON.stringify(WRITE)}
const [path] = process.argv.slice(-1)
process.stdout.write('ready\\n')
for (let round = 0; ; round += 1) {
  const { hash, text } = await readWhole(path)
  const number = Number(/^(\\d+)/.exec(text)[1]) + 1
  const filling = 'x'.repeat((number * 7919) % 200_000)
  await replaceFile(path, number + ' ' + filling + ' end of ' + number, { expected: hash, backup: true })
}
`
const isWhole = (text: string) => {
  const [, number] = /^(\d+) x* end of \1$/.exec(text) ?? []
  return number !== undefined
}

function start(path: string): ChildProcess {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a writer that is killed', () => {
  it(`leaves a whole file, ${KILLS} times of ${KILLS}`, { timeout: KILLS * 2_000 }, async () => {
    const directory = tempDir()
    const path = join(directory, 'auth-profiles.json')
    writeFileSync(path, '0  end of 0', { mode: 0o640 })
    let wrote = 0
    for (let kill = 0; kill < KILLS; kill += 1) {
      const before = readFileSync(path, 'utf8')
      const child = start(path)
      await once(child.stdout ?? child, 'data')
      // Both ends of a write are met: the loop makes some hundred a second.
      await pause(Math.random() * 40)
      child.kill('SIGKILL')
      await once(child, 'exit')
      const after = readFileSync(path, 'utf8')
      expect(isWhole(after), after.slice(0, 40)).toBe(true)
      expect(statSync(path).mode & 0o777).toBe(0o640)
      const backups = readdirSync(directory).filter((name) => name.endsWith('.bak') && !name.startsWith('.'))
      for (const name of backups) expect(isWhole(readFileSync(join(directory, name), 'utf8'))).toBe(true)
      if (after !== before) wrote += 1
    }
    expect(wrote).toBeGreaterThan(0)
    // What the kills left goes with the next write.
    await replaceFile(path, 'last', { expected: shortHash(readFileSync(path, 'utf8')), backup: true })
    expect(readdirSync(directory).sort()).toEqual(['auth-profiles.json', 'auth-profiles.json.bak'])
  })

  it('that may write no more leaves the file as it was, nothing beside it, and says so', async () => {
    const directory = tempDir()
    const path = join(directory, 'auth-profiles.json')
    writeFileSync(path, '0  end of 0')
    const program = `
import { readWhole, replaceFile } from ${JSON.stringify(WRITE)}
const path = process.argv.at(-1)
const { hash } = await readWhole(path)
await replaceFile(path, 'x'.repeat(100_000), { expected: hash }).catch(({ message }) => console.log(message))
`
    // What a disk without room is to a writer: the beginning fits, the rest does not.
    const child = spawn(
      'sh',
      ['-c', 'ulimit -f 8; exec "$0" --input-type=module -e "$1" "$2"', process.execPath, program, path],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    await once(child, 'close')
    expect(said).toContain('was not written: it would be larger than opsbot may write. It is as it was.')
    expect(readFileSync(path, 'utf8')).toBe('0  end of 0')
    expect(readdirSync(directory)).toEqual(['auth-profiles.json'])
  })
})
