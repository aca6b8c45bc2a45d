// Which file systems count, how full they are, and that one which hangs takes nothing else down.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { largestDirectories, meaningful, parseDu } from '../../src/ops/largest.ts'
import { chooseMounts, type Mount, parseFstab, parseMountinfo } from '../../src/ops/mountinfo.ts'
import { createMounts, type Usage, usageOf } from '../../src/ops/mounts.ts'
import { type Run, run } from '../../src/ops/run.ts'

const recorded = (name: string) =>
  parseMountinfo(readFileSync(new URL(`../fixtures/host/${name}.mountinfo`, import.meta.url), 'utf8'))
const points = (mounts: Mount[]) => mounts.map(({ point }) => point)
const never: Run = () => Promise.reject(new Error('nothing is to be started'))

describe('the mount table', () => {
  it.each([
    ['plain', ['/', '/boot/efi'], 'a plain server: no snap, no CD, no pseudo file system'],
    ['docker', ['/', '/data'], 'Docker: overlays and bind mounts are the same disks once more'],
    ['sandbox', ['/', '/home'], "systemd's sandbox: read-only to us, writable in truth"],
    ['btrfs', ['/', '/boot', '/tank'], 'btrfs and ZFS: subvolumes and datasets share one space'],
    ['lvm-nfs', ['/', '/var'], 'LVM with network and FUSE mounts, and one that is read-only by intent'],
    ['container', ['/', '/state'], 'inside a container: the overlay root, and no file mounts'],
  ])('%s: watches %j by default (%s)', (name, expected) => {
    expect(points(chooseMounts(recorded(name)))).toEqual(expected)
  })

  it('watches exactly the mounts that are named, whatever they are, and of two on one point the reachable', () => {
    const named = chooseMounts(recorded('lvm-nfs'), ['/mnt/nas', '/mnt/pictures', '/tmp', '/nowhere'])
    expect(named.map(({ point, type, local }) => [point, type, local])).toEqual([
      ['/tmp', 'tmpfs', false],
      ['/mnt/nas', 'nfs4', false],
      ['/mnt/pictures', 'fuse.sshfs', false],
    ])
  })

  it('reads escaped names, optional fields and the options of the file system, not of the mount', () => {
    const [mount] = recorded('sandbox').filter(({ point }) => point.startsWith('/srv'))
    expect(mount).toEqual({
      id: '406',
      device: '8:17',
      root: '/backup of photos',
      point: '/srv/backup of photos',
      type: 'ext4',
      source: '/dev/sdb1',
      state: 'rw',
      local: true,
    })
    expect(points(recorded('lvm-nfs'))).toContain('/srv/read\\only by intent')
    expect(parseMountinfo('nonsense\n\n36 - ext4\n')).toEqual([])
  })

  it.each([
    ['rw', false, 'rw', false],
    ['ro', false, undefined, undefined],
    ['ro', true, 'ro', true],
    ['rw,emergency_ro', false, 'failed', true],
    ['rw,errors=remount-ro', true, 'rw', false],
  ])('options %s, expected writable: %s → %s, writes lost: %s', (options, expected, state, lostWrites) => {
    const table = parseMountinfo(`30 28 8:3 / /data rw,relatime - ext4 /dev/sda3 ${options}`)
    const [mount] = chooseMounts(table, undefined, () => expected)
    expect([mount?.state, mount?.lostWrites]).toEqual([state, lostWrites])
  })

  it('reads from fstab which mounts are meant to be writable', () => {
    const fstab = `# /etc/fstab
UUID=0a-1b  /            ext4  errors=remount-ro  0 1
/dev/sdb1 /srv/my\\040data\text4 defaults,noatime 0 2
/dev/sr0  /media/cdrom0  udf   ro,user,noauto 0 0
#/dev/sdc1 /old ext4 defaults 0 0
/swapfile none swap sw 0 0`
    expect(parseFstab(fstab)).toEqual(['/', '/srv/my data'])
  })
})

describe('the figures', () => {
  const block = { bsize: 4096, frsize: 4096 }
  it.each([
    {
      name: "a disk with root's reserve, by df's formula",
      figures: { ...block, blocks: 1000, bfree: 300, bavail: 100, files: 500, ffree: 125 },
      percent: 87.5,
      inodes: 75,
    },
    {
      name: 'a disk of which only the reserve is left',
      figures: { ...block, blocks: 1000, bfree: 50, bavail: 0, files: 500, ffree: 500 },
      percent: 100,
      inodes: 0,
    },
    {
      name: 'btrfs, which has no fixed number of inodes',
      figures: { ...block, blocks: 1000, bfree: 750, bavail: 750, files: 0, ffree: 0 },
      percent: 25,
      inodes: undefined,
    },
    {
      name: 'a file system of size nought',
      figures: { ...block, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 },
      percent: 0,
      inodes: undefined,
    },
  ])('are right for $name', ({ figures, percent, inodes }) => {
    const usage = usageOf(figures)
    expect([usage.percent, usage.inodes?.percent]).toEqual([percent, inodes])
  })

  it('count in fragments, not in the block size that a network file system prefers', () => {
    const figures = {
      bsize: 1 << 20,
      frsize: 4096,
      blocks: 1000,
      bfree: 500,
      bavail: 500,
      files: 0,
      ffree: 0,
    }
    expect(usageOf(figures)).toMatchObject({ total: 4_096_000, available: 2_048_000 })
  })

  it('are those of df on this very machine', async () => {
    const mounts = createMounts({ run: never })
    const { found } = await mounts.watched()
    expect(points(found)).toContain('/')
    for (const mount of found) {
      const look = await mounts.usage(mount)
      const usage = look.state === 'seen' ? look.usage : ({} as Usage)
      const df = (flags: string) => {
        const lines = execFileSync('df', [flags, mount.point], { encoding: 'utf8' }).trim().split('\n')
        return lines[1]?.split(/\s+/).slice(1, 5).map(Number.parseFloat) ?? []
      }
      const [total, used, available, percent = 0] = df('-P')
      expect(usage.total / 1024).toBe(total)
      // Others write to this disk while we look: 64 MiB apart is the same figure.
      expect(Math.abs(usage.used / 1024 - (used ?? 0))).toBeLessThan(65_536)
      expect(Math.abs(usage.available / 1024 - (available ?? 0))).toBeLessThan(65_536)
      expect(Math.abs(Math.ceil(usage.percent) - percent)).toBeLessThanOrEqual(1)
      const [inodes, , , inodesPercent = 0] = df('-iP')
      expect(usage.inodes?.total ?? 0).toBe(inodes)
      expect(Math.abs(Math.ceil(usage.inodes?.percent ?? 0) - inodesPercent)).toBeLessThanOrEqual(1)
    }
  })

  it('are unknown when the mount point has gone, and are not mistaken for a broken disk', async () => {
    const [mount] = recorded('plain').filter(({ type }) => type === 'ext4')
    const look = await createMounts({ run: never }).usage({ ...(mount as Mount), point: '/no/such/place' })
    expect(look).toEqual({ state: 'unseen', why: 'statfs: ENOENT' })
  })
})

describe('a mount that hangs', () => {
  const figures = { bsize: 1, blocks: 4, bfree: 2, bavail: 2, files: 0, ffree: 0 }
  const mount = (point: string, local = false) =>
    ({ ...(recorded('plain')[0] as Mount), id: point, point, local }) satisfies Mount

  it('costs one deadline, then says so at once, and is seen again as soon as it answers', async () => {
    const stuck = Promise.withResolvers<typeof figures>()
    let calls = 0
    const statfs = () => {
      calls += 1
      return stuck.promise
    }
    const mounts = createMounts({ run: never, statfs })
    expect(await mounts.usage(mount('/nas'), { deadlineMs: 20 })).toEqual({ state: 'hung' })
    expect(await mounts.usage(mount('/nas'), { deadlineMs: 60_000 })).toEqual({ state: 'hung' })
    expect([calls, mounts.pending()]).toEqual([1, 1])
    stuck.resolve(figures)
    await stuck.promise
    expect(await mounts.usage(mount('/nas'))).toMatchObject({ state: 'seen', usage: { percent: 50 } })
    expect(mounts.pending()).toBe(0)
  })

  it('leaves a thread free, whatever else hangs, and never stops a look at the local disk', async () => {
    let waiting = 0
    const statfs = (point: string) => {
      if (point === '/') return Promise.resolve(figures)
      waiting += 1
      return new Promise<never>(() => {})
    }
    const mounts = createMounts({ run: never, statfs })
    const all = ['/a', '/b', '/c', '/d'].map((point) => mount(point))
    const disks = ['/', '/disk1', '/disk2', '/'].map((point) => mount(point, true))
    const looks = [...all, ...disks].map((each) => mounts.usage(each, { deadlineMs: 20 }))
    expect((await Promise.all(looks)).map(({ state }) => state)).toEqual([
      ...['hung', 'hung', 'unseen', 'unseen'],
      ...['seen', 'hung', 'unseen', 'unseen'],
    ])
    expect(waiting).toBe(3)
  })

  it('is told from one that answers with an error', async () => {
    const statfs = () => Promise.reject(Object.assign(new Error('gone'), { code: 'ENOTCONN' }))
    const look = await createMounts({ run: never, statfs }).usage(mount('/fuse'))
    expect(look).toEqual({ state: 'broken', error: 'ENOTCONN' })
  })

  it('is not searched for large directories', async () => {
    const mounts = createMounts({ run: never, statfs: () => Promise.reject(new Error('EIO')) })
    await expect(mounts.largestDirectories(mount('/fuse'))).rejects.toThrow('/fuse does not answer')
  })
})

describe('a mount that was writable', () => {
  it('has lost its writes when this process saw them, or fstab wants them, and only then', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'opsbot-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    const show = (options: string) =>
      writeFileSync(join(dir, 'self/mountinfo'), `30 28 8:3 / /data rw - ext4 /dev/sda3 ${options}\n`)
    mkdirSync(join(dir, 'self'))
    const look = async (mounts: ReturnType<typeof createMounts>) =>
      (await mounts.watched()).found.map(({ lostWrites }) => lostWrites)
    const options = { run: never, procRoot: dir, etcRoot: dir }

    show('ro')
    expect(await look(createMounts(options))).toEqual([])
    const mounts = createMounts(options)
    show('rw')
    expect(await look(mounts)).toEqual([false])
    show('ro')
    expect(await look(mounts)).toEqual([true])
    writeFileSync(join(dir, 'fstab'), '/dev/sda3 /data ext4 defaults 0 2\n')
    expect(await look(createMounts(options))).toEqual([true])
  })
})

describe('the largest directories', () => {
  const sizes = (entries: Record<string, number>) =>
    Object.entries(entries).map(([path, bytes]) => ({ path, bytes }))

  it.each([
    { tree: { '/var': 100, '/var/lib': 95, '/var/lib/docker': 90 }, shown: ['/var/lib/docker'] },
    { tree: { '/opt': 100, '/opt/a': 45, '/opt/b': 40, '/opt/c': 15 }, shown: ['/opt/a', '/opt/b'] },
    { tree: { '/usr': 100, '/usr/lib': 60, '/usr/share': 10 }, shown: ['/usr'] },
    { tree: { '/home/a': 30, '/home/b': 50, '/usr': 40 }, shown: ['/home/b', '/usr', '/home/a'] },
    { tree: {}, shown: [] },
  ])('of $tree are $shown, none inside another', ({ tree, shown }) => {
    expect(meaningful(sizes(tree)).map(({ path }) => path)).toEqual(shown)
  })

  it('are read from du', () => {
    expect(parseDu('4\t/a b\nnoise\n12\t/c\n')).toEqual(sizes({ '/a b': 4096, '/c': 12_288 }))
  })

  it('are true but not complete when time or permission ends the reading', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'opsbot-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    for (const name of ['closed', 'fast', 'foreign', 'gone', 'huge']) mkdirSync(join(dir, name))
    const answers: Record<string, [exitCode: number, stdout: string, stderr: string]> = {
      closed: [1, `8\t${dir}/closed\n`, "du: cannot read directory 'x': Permission denied"],
      fast: [0, `16\t${dir}/fast\n`, ''],
      gone: [1, `4\t${dir}/gone\n`, "du: cannot access 'x': No such file or directory"],
      huge: [124, `32\t${dir}/huge/part\n`, ''],
    }
    const fake: Run = async (_file, args) => {
      const [exitCode, stdout, stderr] = answers[args.at(-1)?.split('/').at(-1) ?? ''] ?? [0, '', '']
      return { exitCode, stdout, stderr }
    }
    const foreign = new Set([join(dir, 'foreign')])
    const largest = await largestDirectories(dir, { run: fake, foreign, deadlineMs: 5_000 })
    expect(largest.directories.map(({ path }) => path.slice(dir.length))).toEqual([
      '/huge/part',
      '/fast',
      '/closed',
      '/gone',
    ])
    expect([largest.complete, largest.unread]).toEqual([false, [join(dir, 'closed'), join(dir, 'huge')]])
  })

  it('are measured by the real du', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'opsbot-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    mkdirSync(join(dir, 'logs/old'), { recursive: true })
    writeFileSync(join(dir, 'logs/old/a.log'), Buffer.alloc(1 << 20))
    const largest = await largestDirectories(dir, { run, foreign: new Set(), deadlineMs: 5_000 })
    expect(largest.complete).toBe(true)
    expect(largest.directories[0]?.path).toBe(join(dir, 'logs/old'))
    expect(largest.directories[0]?.bytes).toBeGreaterThanOrEqual(1 << 20)
  })
})
