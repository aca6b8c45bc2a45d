// The gateway's state directory as it lies there: what is read of it, whose it is, and what cannot be seen.

import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  lchownSync,
  mkdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { clobberedAt, createStateDir, type SeenStateDir } from '../../src/ops/gateway/statedir.ts'
import { tempDir } from './help.ts'

const REAL = new URL('../fixtures/openclaw/openclaw.json', import.meta.url)
const isRoot = process.getuid?.() === 0

function createYard() {
  const root = tempDir()
  const at = (path: string) => join(root, path)
  const put = (path: string, text = '{}') => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), text, { mode: 0o600 })
  }
  copyFileSync(REAL, at('openclaw.json'))
  chmodSync(at('openclaw.json'), 0o600)
  const stateDir = createStateDir({ path: async () => root, redact: (text) => text })
  const see = async (): Promise<SeenStateDir> => {
    const look = await stateDir.look()
    if (look.state !== 'seen') throw new Error(look.why)
    return look.seen
  }
  /** Gives all of it to a user, as the gateway's own is. */
  const give = (uid: number) => execFileSync('chown', ['-hR', `${uid}:${uid}`, root])
  return { root, at, put, stateDir, see, give }
}

describe('openclaw.json', () => {
  it('is seen with its mode, owner, size, hash, values and who wrote it', async () => {
    const yard = createYard()
    const { config } = await yard.see()
    const { size, uid } = statSync(yard.at('openclaw.json'))
    expect(config).toMatchObject({
      ...{ path: yard.at('openclaw.json'), mode: 0o600, uid, bytes: size, touchedBy: '2026.9.6' },
      hash: expect.stringMatching(/^[0-9a-f]{16}$/),
      flat: { 'gateway.bind': '"lan"' },
    })
    chmodSync(yard.at('openclaw.json'), 0o644)
    expect((await yard.see()).config).toMatchObject({ mode: 0o644, hash: config?.hash })
    yard.put('openclaw.json', '{ gateway: { bind: "loopback", }, } // mine')
    const other = (await yard.see()).config
    expect(other?.flat).toEqual({ 'gateway.bind': '"loopback"' })
    expect(other?.hash).not.toBe(config?.hash)
  })

  it.each<[string, string]>([
    ['half of one', '{"gateway":'],
    ['nothing', ''],
    ['HTML', '<html>'],
    ['a number', '17'],
  ])('that is %s is there and has no values', async (_, text) => {
    const yard = createYard()
    yard.put('openclaw.json', text)
    const { config } = await yard.see()
    expect(config?.bytes).toBe(text.length)
    expect(config).not.toHaveProperty('flat')
  })

  it('may be none', async () => {
    const yard = createYard()
    rmSync(yard.at('openclaw.json'))
    expect((await yard.see()).config).toBeUndefined()
  })

  it.each<[string, (path: string) => void, string]>([
    ['a link', (path) => symlinkSync('/etc/hostname', path), 'is a link, which is not followed.'],
    ['a directory', (path) => mkdirSync(path), 'is not a file.'],
    ['a pipe that nobody writes', (path) => execFileSync('mkfifo', [path]), 'is not a file.'],
    ['too large', (path) => writeFileSync(path, Buffer.alloc(1_000_001)), 'is too large to be a config.'],
  ])('that is %s is not seen, and is not waited for', async (_, make, why) => {
    const yard = createYard()
    rmSync(yard.at('openclaw.json'))
    make(yard.at('openclaw.json'))
    expect(await yard.stateDir.look()).toEqual({
      ...{ state: 'unseen', path: yard.root },
      why: `${yard.at('openclaw.json')} ${why}`,
    })
  })
})

describe('a directory that cannot be seen', () => {
  it.each<[string, () => Promise<string | undefined>, object]>([
    [
      'of no known gateway',
      async () => undefined,
      { state: 'unseen', why: 'It is not known where the gateway keeps its state.' },
    ],
    [
      'while the engine is away',
      () => Promise.reject(new OpsError('Docker is hanging.')),
      { state: 'unseen', why: 'Docker is hanging.' },
    ],
    [
      'that is gone',
      async () => '/no/such',
      { state: 'unseen', path: '/no/such', why: '/no/such is not there.' },
    ],
  ])('%s', async (_, path, look) => {
    expect(await createStateDir({ path, redact: String }).look()).toEqual(look)
  })

  it('that hangs is given up, and a second look does not hang beside the first', async () => {
    let asked = 0
    const path = () => {
      asked += 1
      return new Promise<string>(() => {})
    }
    const stateDir = createStateDir({ path, redact: String, timeoutMs: 5 })
    const looks = await Promise.all([stateDir.look(), stateDir.look()])
    expect(looks.map(({ state }) => state)).toEqual(['unseen', 'unseen'])
    expect(asked).toBe(1)
  })

  it('throws what is a bug', async () => {
    const stateDir = createStateDir({ path: () => Promise.reject(new TypeError('x')), redact: String })
    await expect(stateDir.look()).rejects.toThrow(TypeError)
  })

  it('whose files may not be read says so', async () => {
    const yard = createYard()
    yard.put('credentials/oauth.json')
    chmodSync(yard.root, 0o755)
    // Root reads everything: then somebody else looks.
    if (isRoot) yard.give(1234)
    const asNobody = async <T>(look: () => Promise<T>): Promise<T> => {
      if (!isRoot) return await look()
      process.seteuid?.(65534)
      return await look().finally(() => process.seteuid?.(0))
    }
    chmodSync(yard.at('openclaw.json'), isRoot ? 0o644 : 0o600)
    chmodSync(yard.at('credentials'), isRoot ? 0o700 : 0o000)
    const { unread, auth } = await asNobody(yard.see)
    expect(unread).toContain(`${yard.at('credentials')} may not be read by the bot's user.`)
    expect(auth.legacy).toEqual([])
    chmodSync(yard.at('openclaw.json'), isRoot ? 0o600 : 0o000)
    expect(await asNobody(yard.stateDir.look)).toMatchObject({
      state: 'unseen',
      why: `${yard.at('openclaw.json')} may not be read by the bot's user.`,
    })
    chmodSync(yard.at('credentials'), 0o700)
  })
})

describe('what lies beside it', () => {
  it('are configs that were set aside, newest first', async () => {
    const yard = createYard()
    for (const name of [
      'clobbered.2026-09-05T02-19-39-699Z',
      'clobbered',
      'clobbered.2026-11-01T00-00-00-000Z',
      'bak',
      'clobber.lock',
    ])
      yard.put(`openclaw.json.${name}`)
    utimesSync(yard.at('openclaw.json.clobbered'), 1_000, 1_000)
    expect((await yard.see()).clobbered).toEqual([
      { name: 'openclaw.json.clobbered.2026-11-01T00-00-00-000Z', at: Date.UTC(2026, 10, 1) },
      { name: 'openclaw.json.clobbered.2026-09-05T02-19-39-699Z', at: Date.UTC(2026, 8, 5, 2, 19, 39) },
      { name: 'openclaw.json.clobbered', at: 1_000_000 },
    ])
  })

  it.each([
    ['openclaw.json.clobbered.9999-99-99T99-99-99', 5],
    ['openclaw.json.clobbered.\u202e\n<b>', 5],
    ['', 5],
  ])('%o has the time of the file, as its name has none', (name, at) => {
    expect(clobberedAt(name, 5)).toBe(at)
  })

  it.each<[string, string[], SeenStateDir['auth']]>([
    ['nothing', [], { legacy: [], sqlite: false }],
    [
      'an older gateway',
      ['agents/main/agent/auth-profiles.json', 'agents/main/agent/auth.json', 'credentials/oauth.json'],
      { legacy: ['agents/main/agent/auth-profiles.json', 'credentials/oauth.json'], sqlite: false },
    ],
    [
      'a newer one after its migration',
      [
        'agents/main/agent/auth-profiles.json.migrated-2026-11-20T09-28-29.202Z-ff7d9dbd',
        ...[
          'agents/main/agent/openclaw-agent.sqlite',
          'state/openclaw.sqlite',
          'credentials/oauth.json.migrated',
        ],
      ],
      { legacy: [], sqlite: true },
    ],
    [
      'a newer one that somebody gave an old file',
      ['agents/b/agent/auth-profiles.json', 'state/openclaw.sqlite'],
      { legacy: ['agents/b/agent/auth-profiles.json'], sqlite: true },
    ],
    ['a file where the agents should be', ['agents'], { legacy: [], sqlite: false }],
  ])('are the credentials of %s', async (_, paths, auth) => {
    const yard = createYard()
    for (const path of paths) yard.put(path)
    const seen = await yard.see()
    expect(seen.auth).toEqual(auth)
  })
})

describe.runIf(isRoot)('whose it is', () => {
  it.each<[string, number, string[], number, string[]]>([
    ['the one that the directory belongs to', 4321, [], 4321, []],
    [
      'that one, and what root left there is a stranger',
      4321,
      ['agents/main/agent/x.json'],
      4321,
      ['agents/main/agent/x.json'],
    ],
    [
      'that one, and what agents and caches do is none of it',
      4321,
      ['workspace/a', 'workspace-b/c', 'sandboxes/d', 'media/e', 'cache/f', 'tmp/g', 'srv/node_modules/h'],
      4321,
      [],
    ],
    ['root, where all is', 0, [], 0, []],
  ])('is %s', async (_, uid, strangers, owner, found) => {
    const yard = createYard()
    for (const path of ['agents/main/agent/models.json', 'srv/y']) yard.put(path)
    yard.give(uid)
    for (const path of strangers) yard.put(path)
    for (const path of ['workspace', 'workspace-b', 'sandboxes', 'media', 'cache', 'tmp', 'srv/node_modules'])
      if (strangers.some((each) => each.startsWith(`${path}/`))) chownSync(yard.at(path), 0, 0)
    expect((await yard.see()).owner).toEqual({ uid: owner, gid: owner, strangers: found, complete: true })
  })

  it('is upstream’s user 1000 where root holds the directory and not all that is in it', async () => {
    const yard = createYard()
    yard.put('mine')
    chownSync(yard.at('openclaw.json'), 1000, 1000)
    expect((await yard.see()).owner).toEqual({ uid: 1000, gid: 1000, strangers: ['mine'], complete: true })
  })

  it('is asked of a link itself, and never of where it leads', async () => {
    const yard = createYard()
    symlinkSync('/', yard.at('everything'))
    yard.give(4321)
    expect((await yard.see()).owner.strangers).toEqual([])
    lchownSync(yard.at('everything'), 0, 0)
    expect((await yard.see()).owner.strangers).toEqual(['everything'])
  })

  it('is looked through to 2,000 files and no further', async () => {
    const yard = createYard()
    mkdirSync(yard.at('srv'))
    for (let index = 0; index < 2_050; index += 1) writeFileSync(yard.at(`srv/${index}`), '')
    yard.give(4321)
    expect((await yard.see()).owner).toMatchObject({ strangers: [], complete: false })
  })
})
