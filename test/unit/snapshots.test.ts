// Snapshots: kept as files for us alone, pruned, put back whole, and newer credentials stay newer.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { parseEnv } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/ops/docker/index.ts'
import { createSnapshots, keepCredentials } from '../../src/ops/snapshots.ts'
import { boxOf, composeOf, GATEWAY } from '../fixtures/docker/engine.ts'
import { SECOND, T0, tempDir } from './help.ts'

const ENV = 'TOKEN=one\nNAME=a\n'
const YAML = 'services: {}\n'

function createYard(more: Partial<ReturnType<typeof composeOf>> & { environmentFiles?: never[] } = {}) {
  const home = tempDir()
  const directory = join(tempDir(), 'snapshots')
  const project = { ...composeOf(home), ...more }
  const file = (name: string) => join(home, name)
  writeFileSync(file('docker-compose.yml'), YAML, { mode: 0o644 })
  writeFileSync(file('.env'), ENV, { mode: 0o640 })
  const snapshots = createSnapshots(directory)
  const box = boxOf(GATEWAY, { createdAt: Date.now() + 60 * SECOND, environment: { TOKEN: sha256('one') } })
  return {
    ...{ home, directory, project, snapshots, file, box },
    take: (now = T0, service = GATEWAY) => snapshots.take({ ...project, service }, box, now),
    read: (name: string) => readFileSync(file(name), 'utf8'),
  }
}
const modeOf = (path: string) => statSync(path).mode & 0o777

describe('a snapshot', () => {
  it('has the compose file, .env and the image, each file for us alone', async () => {
    const yard = createYard()
    const { id, files, container } = await yard.take()
    expect(id).toBe('20261120-120000-openclaw-gateway')
    expect(files.map(({ from }) => from)).toEqual([yard.file('docker-compose.yml'), yard.file('.env')])
    expect(container).toMatchObject({ name: GATEWAY, image: 'openclaw:local', imageId: yard.box.imageId })
    const place = join(yard.directory, id)
    expect([modeOf(yard.directory), modeOf(place)]).toEqual([0o700, 0o700])
    expect(readdirSync(place).toSorted()).toEqual(['0-docker-compose.yml', '1-.env', 'snapshot.json'])
    for (const name of readdirSync(place)) expect([name, modeOf(join(place, name))]).toEqual([name, 0o600])
    expect(readFileSync(join(place, '1-.env'), 'utf8')).toBe(ENV)
  })

  it('has no value of .env in its description', async () => {
    const yard = createYard()
    const secret = ['recorded', 'value'].join('-')
    writeFileSync(yard.file('.env'), `TOKEN=${secret}\n`)
    const { id } = await yard.take()
    expect(readFileSync(join(yard.directory, id, 'snapshot.json'), 'utf8')).not.toContain(secret)
  })

  it('has two files of one name apart', async () => {
    const yard = createYard()
    mkdirSync(yard.file('more'))
    writeFileSync(yard.file('more/docker-compose.yml'), 'more')
    const configFiles = [yard.file('docker-compose.yml'), yard.file('more/docker-compose.yml')]
    const { id, files } = await yard.snapshots.take({ ...yard.project, configFiles }, yard.box, T0)
    expect(files.map(({ copy }) => readFileSync(join(yard.directory, id, copy), 'utf8'))).toEqual([
      YAML,
      'more',
      ENV,
    ])
  })

  it('has the environment files that the project was started with', async () => {
    const yard = createYard()
    writeFileSync(yard.file('prod.env'), 'A=1')
    const { files } = await yard.snapshots.take(
      { ...yard.project, environmentFiles: [yard.file('prod.env')] },
      yard.box,
      T0,
    )
    expect(files.map(({ from }) => from)).toEqual([yard.file('docker-compose.yml'), yard.file('prod.env')])
  })

  it('of a project without .env is one, without its compose file is none', async () => {
    const yard = createYard()
    rmSync(yard.file('.env'))
    expect((await yard.take()).files).toHaveLength(1)
    rmSync(yard.file('docker-compose.yml'))
    await expect(yard.take(T0 + SECOND)).rejects.toThrow(
      `${yard.file('docker-compose.yml')} could not be kept in the snapshot.`,
    )
    // What was begun and not described counts as none.
    expect(await yard.snapshots.list()).toHaveLength(1)
  })

  it('of the same second stands beside the first', async () => {
    const yard = createYard()
    expect([(await yard.take()).id, (await yard.take()).id]).toEqual([
      '20261120-120000-openclaw-gateway',
      '20261120-120000-openclaw-gateway-2',
    ])
  })

  it('is one of ten: the oldest goes, of each service for itself', async () => {
    const yard = createYard()
    await yard.take(T0 - SECOND, 'db')
    for (let n = 0; n < 12; n += 1) await yard.take(T0 + n * SECOND)
    const list = await yard.snapshots.list()
    expect(list.map(({ takenAt }) => (takenAt - T0) / SECOND)).toEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, -1])
    expect(readdirSync(yard.directory)).toHaveLength(11)
  })

  it('is found by its name; another name is answered in a sentence of a fair length', async () => {
    const yard = createYard()
    const { id } = await yard.take()
    expect((await yard.snapshots.find(id)).container.id).toBe(yard.box.id)
    await expect(yard.snapshots.find('nope')).rejects.toThrow(
      'There is no snapshot "nope". /rollback lists them.',
    )
    await expect(yard.snapshots.find('x'.repeat(999))).rejects.toThrow(`"${'x'.repeat(64)}"`)
    await expect(yard.snapshots.find('../..')).rejects.toThrow('There is no snapshot')
  })

  it('that is damaged does not hide the others', async () => {
    const yard = createYard()
    await yard.take()
    mkdirSync(join(yard.directory, 'broken'))
    writeFileSync(join(yard.directory, 'broken/snapshot.json'), '{')
    writeFileSync(join(yard.directory, 'a-file'), '')
    expect(await yard.snapshots.list()).toHaveLength(1)
    expect(await createSnapshots('/nowhere/at/all').list()).toEqual([])
  })

  it('is faithful while no file was touched since its container was made', async () => {
    const yard = createYard()
    expect((await yard.take()).faithful).toBe(true)
    expect((await yard.snapshots.of(yard.box.id))?.takenAt).toBe(T0)
    const old = { ...yard.box, createdAt: Date.now() - 60 * SECOND }
    expect(await yard.snapshots.faithful(yard.project, old)).toBe(false)
    // Also a file that only looks old.
    utimesSync(yard.file('.env'), 1, 1)
    expect(await yard.snapshots.faithful(yard.project, old)).toBe(false)
    expect(await yard.snapshots.of('another')).toBeUndefined()
  })
})

describe('what is put back', () => {
  it('is each file that changed, whole, with its own mode, and nothing is left beside it', async () => {
    const yard = createYard()
    const snapshot = await yard.take()
    writeFileSync(yard.file('docker-compose.yml'), 'services: {broken\n')
    writeFileSync(yard.file('.env'), 'NAME=b\n')
    chmodSync(yard.file('.env'), 0o640)
    const inode = statSync(yard.file('.env')).ino
    expect(await yard.snapshots.restore(snapshot, { credentials: true })).toEqual([
      yard.file('docker-compose.yml'),
      yard.file('.env'),
    ])
    expect([yard.read('docker-compose.yml'), yard.read('.env')]).toEqual([YAML, ENV])
    expect([modeOf(yard.file('docker-compose.yml')), modeOf(yard.file('.env'))]).toEqual([0o644, 0o640])
    // One rename: who reads meanwhile has the old or the new file.
    expect(statSync(yard.file('.env')).ino).not.toBe(inode)
    expect(readdirSync(yard.home).toSorted()).toEqual(['.env', 'docker-compose.yml'])
  })

  it('keeps the owner', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('only root may give a file away')
    const yard = createYard()
    const snapshot = await yard.take()
    writeFileSync(yard.file('.env'), 'NAME=b\n')
    const { chownSync } = await import('node:fs')
    chownSync(yard.file('.env'), 1000, 1001)
    await yard.snapshots.restore(snapshot, { credentials: true })
    const { uid, gid } = statSync(yard.file('.env'))
    expect([uid, gid]).toEqual([1000, 1001])
  })

  it('is nothing when nothing changed', async () => {
    const yard = createYard()
    const snapshot = await yard.take()
    const { ino } = statSync(yard.file('.env'))
    expect(await yard.snapshots.restore(snapshot, { credentials: false })).toEqual([])
    expect(statSync(yard.file('.env')).ino).toBe(ino)
  })

  it('is there again, for us alone, when it was gone', async () => {
    const yard = createYard()
    const snapshot = await yard.take()
    rmSync(yard.file('.env'))
    expect(await yard.snapshots.restore(snapshot, { credentials: false })).toEqual([yard.file('.env')])
    expect(yard.read('.env')).toBe(ENV)
    expect(modeOf(yard.file('.env'))).toBe(0o600)
  })

  it('leaves newer credentials as they are, unless they are asked for too', async () => {
    const yard = createYard()
    const snapshot = await yard.take()
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=b\n')
    await yard.snapshots.restore(snapshot, { credentials: false })
    expect(yard.read('.env')).toBe('TOKEN=two\nNAME=a\n')
    await yard.snapshots.restore(snapshot, { credentials: true })
    expect(yard.read('.env')).toBe(ENV)
  })

  it('does not take a compose file for a .env', async () => {
    const yard = createYard()
    writeFileSync(yard.file('docker-compose.yml'), 'MY_TOKEN=old\n')
    const snapshot = await yard.take()
    writeFileSync(yard.file('docker-compose.yml'), 'MY_TOKEN=new\n')
    await yard.snapshots.restore(snapshot, { credentials: false })
    expect(yard.read('docker-compose.yml')).toBe('MY_TOKEN=old\n')
  })

  it('is refused by a file system in words, with the file as it was', async () => {
    const yard = createYard()
    const snapshot = await yard.take()
    rmSync(yard.home, { recursive: true })
    await expect(yard.snapshots.restore(snapshot, { credentials: false })).rejects.toThrow('ENOENT')
    expect(existsSync(yard.home)).toBe(false)
  })
})

describe('credentials', () => {
  it.each<[string, string, string, string]>([
    ['are those of now', 'A=1\nTOKEN=old\nB=2\n', 'TOKEN=new\n', 'A=1\nTOKEN=new\nB=2\n'],
    [
      'are known by their names',
      'X_KEY=o\nX_SECRET=o\nX_PASSWORD=o\nX_TOKENS=o\n',
      'X_KEY=n\nX_SECRET=n\nX_PASSWORD=n\nX_TOKENS=n\n',
      'X_KEY=n\nX_SECRET=n\nX_PASSWORD=n\nX_TOKENS=o\n',
    ],
    ['that came since stay', 'A=1\n', 'A=2\nNEW_KEY=n\n', 'A=1\nNEW_KEY=n\n'],
    ['that came since stay behind a file without a last line end', 'A=1', 'NEW_KEY=n', 'A=1\nNEW_KEY=n\n'],
    ['that are gone now come back', 'TOKEN=old\n', 'A=1\n', 'TOKEN=old\n'],
    ['with export and spaces are known too', 'export  TOKEN = old\n', 'TOKEN=new\n', 'TOKEN=new\n'],
    ['of several lines are put back whole', 'KEY="a\nb\nc"\nA=1\n', 'A=2\nKEY="x\ny"\n', 'KEY="x\ny"\nA=1\n'],
    ['in a remark are none', '# TOKEN=old\nA=1\n', 'A=2\n', '# TOKEN=old\nA=1\n'],
    ['of an empty file are none', 'TOKEN=old\n', '', 'TOKEN=old\n'],
  ])('%s', (_, old, present, expected) => {
    expect(keepCredentials(old, present)).toBe(expected)
  })

  it('are never older than now, and everything else is as it was', () => {
    const name = fc.constantFrom('A', 'B', 'A_TOKEN', 'B_KEY', 'C_SECRET')
    const environment = fc.dictionary(name, fc.stringMatching(/^[a-z0-9]{1,6}$/))
    const text = (values: Record<string, string>) =>
      Object.entries(values)
        .map((pair) => `${pair.join('=')}\n`)
        .join('')
    fc.assert(
      fc.property(environment, environment, (old, present) => {
        const now = parseEnv(keepCredentials(text(old), text(present)))
        const credentials = Object.entries(present).filter(([key]) => /_/.test(key))
        expect(now).toEqual({ ...old, ...Object.fromEntries(credentials) })
      }),
    )
  })
})
