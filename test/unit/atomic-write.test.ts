// Files with credentials are replaced as a whole, keep their owner and mode, and are left alone when they are not what was expected.

import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { withLock } from '../../src/ops/credentials/lock.ts'
import { makeDirectory, readWhole, replaceFile, writeTrouble } from '../../src/ops/credentials/write.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import { tempDir } from './help.ts'

const isRoot = process.getuid?.() === 0

let directory = ''
let path = ''
const expected = () => shortHash(readFileSync(path, 'utf8'))
const modeOf = (file: string) => statSync(file).mode & 0o777

beforeEach(() => {
  directory = tempDir()
  path = join(directory, 'store.json')
  writeFileSync(path, 'old')
})

describe('a file that is replaced', () => {
  it('has the new text, another inode, and nothing is left beside it', async () => {
    const { ino } = statSync(path)
    await replaceFile(path, 'new', { expected: expected() })
    expect(readFileSync(path, 'utf8')).toBe('new')
    expect(statSync(path).ino).not.toBe(ino)
    expect(readdirSync(directory)).toEqual(['store.json'])
  })

  it.each([0o600, 0o640, 0o644, 0o400])('keeps its mode %o', async (mode) => {
    chmodSync(path, mode)
    await replaceFile(path, 'new', { expected: expected() })
    expect(modeOf(path)).toBe(mode)
  })

  it.runIf(isRoot)('keeps its owner, and so does its backup', async () => {
    chownSync(path, 1000, 1001)
    await replaceFile(path, 'new', { expected: expected(), backup: true })
    for (const file of [path, `${path}.bak`]) expect(statSync(file)).toMatchObject({ uid: 1000, gid: 1001 })
  })

  it('has its old text beside it where that is asked for, for its owner alone', async () => {
    chmodSync(path, 0o644)
    await replaceFile(path, 'new', { expected: expected(), backup: true })
    await replaceFile(path, 'newer', { expected: expected(), backup: true })
    expect(readFileSync(`${path}.bak`, 'utf8')).toBe('new')
    expect(modeOf(`${path}.bak`)).toBe(0o600)
  })

  it('is left alone when somebody else wrote it meanwhile', async () => {
    const before = expected()
    writeFileSync(path, 'theirs')
    await expect(replaceFile(path, 'new', { expected: before })).rejects.toThrow('changed by somebody else')
    expect(readFileSync(path, 'utf8')).toBe('theirs')
    expect(readdirSync(directory)).toEqual(['store.json'])
  })

  it('is left alone when at the last moment it must not be written any more', async () => {
    const still = () => Promise.reject(new OpsError('It moved to SQLite.'))
    await expect(replaceFile(path, 'new', { expected: expected(), still })).rejects.toThrow('moved to SQLite')
    expect([readFileSync(path, 'utf8'), readdirSync(directory)]).toEqual(['old', ['store.json']])
  })

  it('takes away what a kill left, and nothing else', async () => {
    for (const name of ['.store.json.opsbot-0123456789ab', '.other.json.opsbot-0123456789ab'])
      writeFileSync(join(directory, name), 'half')
    await replaceFile(path, 'new', { expected: expected() })
    expect(readdirSync(directory).sort()).toEqual(['.other.json.opsbot-0123456789ab', 'store.json'])
  })
})

describe('a file that is not there', () => {
  it('is made for its owner alone', async () => {
    const fresh = join(directory, 'fresh.json')
    const { uid, gid } = statSync(directory)
    await replaceFile(fresh, 'new', { expected: undefined, owner: { uid, gid } })
    expect([readFileSync(fresh, 'utf8'), modeOf(fresh)]).toEqual(['new', 0o600])
  })

  it('is not made over one that came meanwhile', async () => {
    await expect(replaceFile(path, 'new', { expected: undefined })).rejects.toThrow(
      'changed by somebody else',
    )
  })

  it('is not made where it was expected', async () => {
    await expect(replaceFile(join(directory, 'gone'), 'new', { expected: 'x' })).rejects.toBeInstanceOf(
      OpsError,
    )
  })

  it('gets a directory of its own, which is not touched when it is there', async () => {
    const { uid, gid } = statSync(directory)
    const made = join(directory, 'credentials')
    await makeDirectory(made, { uid, gid })
    expect(modeOf(made)).toBe(0o700)
    chmodSync(made, 0o755)
    await makeDirectory(made, { uid, gid })
    expect(modeOf(made)).toBe(0o755)
  })
})

describe('a link', () => {
  it('stays, and its target is replaced', async () => {
    const link = join(directory, 'link.json')
    symlinkSync(path, link)
    await replaceFile(link, 'new', { expected: expected(), within: directory })
    expect(lstatSync(link).isSymbolicLink()).toBe(true)
    expect(readFileSync(path, 'utf8')).toBe('new')
  })

  it('that leads out of the state directory is not followed', async () => {
    const inside = join(directory, 'state')
    mkdirSync(inside)
    const link = join(inside, 'link.json')
    symlinkSync(path, link)
    await expect(readWhole(link, { within: inside })).rejects.toThrow('leads out of')
    await expect(replaceFile(link, 'new', { expected: expected(), within: inside })).rejects.toThrow(
      'leads out',
    )
    expect(readFileSync(path, 'utf8')).toBe('old')
  })

  it('of a directory leads nowhere else either', async () => {
    const inside = join(directory, 'state')
    const outside = join(directory, 'outside')
    mkdirSync(inside)
    mkdirSync(outside)
    symlinkSync(outside, join(inside, 'credentials'))
    const through = join(inside, 'credentials', 'oauth.json')
    await expect(replaceFile(through, 'new', { expected: undefined, within: inside })).rejects.toThrow(
      'leads out',
    )
    expect(readdirSync(outside)).toEqual([])
  })

  it('that leads nowhere is left alone', async () => {
    const link = join(directory, 'link.json')
    symlinkSync(join(directory, 'gone'), link)
    await expect(readWhole(link)).rejects.toThrow('leads nowhere')
  })

  it('that is a second name of the file is not broken off', async () => {
    linkSync(path, join(directory, 'second'))
    await expect(readWhole(path)).rejects.toThrow('hard link')
  })
})

describe('what is no such file', () => {
  it.each<[string, () => void, string]>([
    ['a directory', () => mkdirSync(join(directory, 'x')), 'not a file'],
    ['what is not UTF-8', () => writeFileSync(join(directory, 'x'), Buffer.from([0xc3, 0x28])), 'no UTF-8'],
    [
      'what is far too large',
      () => {
        writeFileSync(join(directory, 'x'), '')
        truncateSync(join(directory, 'x'), 1e9)
      },
      'too large',
    ],
  ])('%s is left alone', async (_, make, why) => {
    make()
    await expect(readWhole(join(directory, 'x'))).rejects.toThrow(why)
  })

  it('a file that is missing is undefined, also where its directory is', async () => {
    expect(await readWhole(join(directory, 'a', 'b'))).toBeUndefined()
    expect(await readWhole(join(path, 'b'))).toBeUndefined()
  })
})

describe('the words for a failed write', () => {
  it.each([
    ['ENOSPC', 'the disk is full: free some space'],
    ['EACCES', "opsbot's user may not write there"],
    ['EPERM', "opsbot's user may not give it its owner and mode back"],
    ['EROFS', 'it lies on a read-only file system'],
    ['EBUSY', 'it is a mount of its own: mount its directory instead'],
    ['EWEIRD', 'EWEIRD'],
  ])('%s: %s', (code, why) => {
    const { message } = writeTrouble('/x/.env', Object.assign(new Error('raw'), { code }))
    expect(message).toBe(`/x/.env was not written: ${why}. It is as it was.`)
  })
})

describe('the lock of older gateways', () => {
  it('is held while the work is done, and given up when it fails', async () => {
    const seen: string[][] = []
    await withLock(path, async () => seen.push(readdirSync(directory)))
    await expect(withLock(path, () => Promise.reject(new OpsError('no')))).rejects.toThrow('no')
    expect(seen).toEqual([['store.json', 'store.json.lock']])
    expect(readdirSync(directory)).toEqual(['store.json'])
  })

  it('of two is held by one at a time', async () => {
    let inside = 0
    const work = async () => {
      inside += 1
      expect(inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
    }
    await Promise.all([withLock(path, work), withLock(path, work), withLock(path, work)])
  })

  it('that was left behind is taken over', async () => {
    writeFileSync(`${path}.lock`, '{}')
    const long = new Date(Date.now() - 60_000)
    utimesSync(`${path}.lock`, long, long)
    expect(await withLock(path, async () => 'done')).toBe('done')
  })
})
