// The checks of the host against a real kernel: disks that fill up, fail, turn read-only and hang.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { mountChecks } from '../../src/ops/checks/mounts.ts'
import { createMounts } from '../../src/ops/mounts.ts'
import { run } from '../../src/ops/run.ts'
import { createSystemd } from '../../src/ops/systemd.ts'
import { createRig, needs, needsRoot, sh, there } from './rig.ts'

beforeEach(needsRoot)

/** What the checks say of one mount point, as `{ disk: 'ok', … }`. */
function watcher(point: string, diskMounts?: string[]) {
  const mounts = createMounts({ run })
  const checks = mountChecks({ mounts, limits: { diskPercent: 85, inodesPercent: 85, diskMounts } })
  const observe = async () => {
    const looks = await Promise.all(checks.map(({ look }) => look(new AbortController().signal)))
    return looks.flat().filter(({ key }) => key.endsWith(`/${point}`))
  }
  const verdicts = async () =>
    Object.fromEntries((await observe()).map(({ key, verdict }) => [key.slice(0, key.indexOf('/')), verdict]))
  return { mounts, observe, verdicts }
}

const FINE = { disk: 'ok', inodes: 'ok', mount: 'ok', readonly: 'ok' }

it('sees a disk fill up and empty again, and says what fills it', async (context) => {
  const point = createRig(context).ext4()
  const { mounts, verdicts } = watcher(point)
  expect(await verdicts()).toEqual(FINE)
  mkdirSync(join(point, 'logs/old'), { recursive: true })
  const file = join(point, 'logs/old/huge.log')
  writeFileSync(file, Buffer.alloc(45 << 20))
  sh('sync', '-f', point)
  expect(await verdicts()).toEqual({ ...FINE, disk: 'warn' })
  const [mount] = (await mounts.watched([point])).found
  const look = mount && (await mounts.usage(mount))
  const df = Number(sh('df', '--output=pcent', point).match(/(\d+)%/)?.[1])
  expect(look).toMatchObject({ state: 'seen' })
  if (look?.state === 'seen') expect(Math.ceil(look.usage.percent)).toBe(df)
  const largest = mount && (await mounts.largestDirectories(mount))
  expect(largest).toMatchObject({ complete: true, directories: [{ path: join(point, 'logs/old') }, {}] })
  rmSync(file)
  sh('sync', '-f', point)
  expect(await verdicts()).toEqual(FINE)
})

it('sees the last blocks, which only root may use, as full', async (context) => {
  const point = createRig(context).ext4()
  const { verdicts } = watcher(point)
  expect(() => sh('dd', 'if=/dev/zero', `of=${point}/huge`, 'bs=1M')).toThrow('No space left')
  expect((await verdicts()).disk).toBe('bad')
})

it('sees inodes run out and come back', async (context) => {
  const point = createRig(context).tmpfs('nr_inodes=100,size=4M')
  const { verdicts } = watcher(point, [point])
  expect(await verdicts()).toEqual(FINE)
  for (let i = 0; i < 98; i++) writeFileSync(join(point, `${i}`), '')
  expect(await verdicts()).toEqual({ ...FINE, inodes: 'bad' })
  for (let i = 0; i < 98; i++) rmSync(join(point, `${i}`))
  expect(await verdicts()).toEqual(FINE)
})

it('sees a file system that was writable turn read-only, and writable again', async (context) => {
  const point = createRig(context).ext4()
  const { observe, verdicts } = watcher(point)
  expect(await verdicts()).toEqual(FINE)
  sh('mount', '-o', 'remount,ro', point)
  expect(await verdicts()).toEqual({ ...FINE, readonly: 'bad' })
  expect((await observe()).find(({ key }) => key.startsWith('readonly/'))?.proof).toBe(true)
  sh('mount', '-o', 'remount,rw', point)
  expect(await verdicts()).toEqual(FINE)
})

it('sees that the kernel ended all writes after an error, even one before our time', async (context) => {
  const point = createRig(context).ext4()
  const device = sh('findmnt', '-no', 'SOURCE', point).trim().slice('/dev/'.length)
  const trigger = `/sys/fs/ext4/${device}/trigger_fs_error`
  needs(context, there(trigger), `this kernel cannot be told to fail (${trigger})`)
  const { verdicts } = watcher(point)
  expect(await verdicts()).toEqual(FINE)
  writeFileSync(trigger, 'opsbot')
  expect(() => writeFileSync(join(point, 'file'), '')).toThrow('EROFS')
  expect(await verdicts()).toEqual({ ...FINE, readonly: 'bad' })
  // Before Linux 6.12 the table says only `ro`, which a process that starts now cannot tell from intent.
  if (readFileSync('/proc/self/mountinfo', 'utf8').includes('emergency_ro'))
    expect(await watcher(point).verdicts()).toEqual({ ...FINE, readonly: 'bad' })
})

it('is not misled by a read-only view of a writable file system, and counts the disk once', async (context) => {
  const { ext4, mountPoint } = createRig(context)
  const point = ext4()
  mkdirSync(join(point, 'part'))
  const view = mountPoint()
  sh('mount', '--bind', join(point, 'part'), view)
  sh('mount', '-o', 'remount,ro,bind', view)
  expect(await watcher(view).observe()).toEqual([])
  expect(await watcher(point).verdicts()).toEqual(FINE)
  expect(await watcher(view, [view]).verdicts()).toEqual(FINE)
})

it('says that a mount hangs, goes on watching the others, and sees it come back', async (context) => {
  const { mountPoint, silent } = createRig(context)
  const points = [mountPoint(), mountPoint(), mountPoint()] as const
  const ends = [await silent(points[0]), await silent(points[1]), await silent(points[2])]
  const [point] = points
  const { mounts, verdicts, observe } = watcher(point, ['/', ...points])
  const started = performance.now()
  expect(await verdicts()).toEqual({ disk: 'unknown', inodes: 'unknown', mount: 'bad', readonly: 'ok' })
  // Two deadlines of 2 s for four checks of three hung mounts: the third is not risked.
  expect(performance.now() - started).toBeLessThan(4_800)
  expect(mounts.pending()).toBe(2)
  const again = performance.now()
  expect((await observe()).find(({ key }) => key.startsWith('mount/'))?.why).toBe(
    'silent (fuse) does not answer',
  )
  expect(performance.now() - again).toBeLessThan(100)
  // The disk and the thread pool are none the worse for it.
  const { found } = await mounts.watched(['/'])
  expect(found[0] && (await mounts.usage(found[0]))).toMatchObject({ state: 'seen' })
  await readFile('/etc/hostname')
  expect(performance.now() - again).toBeLessThan(200)

  await Promise.all(ends.map((end) => end()))
  await sleep(100)
  expect(mounts.pending()).toBe(0)
  expect(await verdicts()).toEqual({ disk: 'unknown', inodes: 'unknown', mount: 'bad', readonly: 'ok' })
  expect((await observe()).find(({ key }) => key.startsWith('mount/'))?.why).toBe(
    'silent (fuse) answers with ENOTCONN',
  )
  sh('umount', '-l', point)
  expect(await verdicts()).toEqual({ mount: 'bad' })
  sh('mount', '-t', 'tmpfs', 'new', point)
  expect(await verdicts()).toEqual(FINE)
})

it('ends by SIGKILL alone while a mount hangs: what stops us has to know', async (context) => {
  const { mountPoint, silent } = createRig(context)
  const point = mountPoint()
  await silent(point)
  const script = 'fs.promises.statfs(process.argv[1]); setTimeout(() => process.exit(0), 200)'
  const child = spawn(process.execPath, ['-e', script, point])
  const exit = once(child, 'exit')
  expect(await Promise.race([exit, sleep(1_500, 'hangs')])).toBe('hangs')
  child.kill('SIGKILL')
  expect(await Promise.race([exit, sleep(1_500, 'hangs')])).toEqual([null, 'SIGKILL'])
})

it('says what is large within its deadline, true as far as it goes', async () => {
  const mounts = createMounts({ run })
  const { found } = await mounts.watched(['/'])
  const started = performance.now()
  const largest = found[0] && (await mounts.largestDirectories(found[0], { deadlineMs: 400 }))
  expect(performance.now() - started).toBeLessThan(2_500)
  expect(largest?.complete).toBe(largest?.unread.length === 0)
})

it("gives systemd's socket the sign of life", async (context) => {
  needs(
    context,
    there('/usr/bin/systemd-notify') && there('/usr/bin/python3'),
    'needs systemd-notify and python3',
  )
  const socket = join(createRig(context).dir(), 'notify')
  const script = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print('bound', flush=True)
while True: print(s.recv(100).decode(), flush=True)`
  const python = spawn('/usr/bin/python3', ['-c', script, socket], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void python.kill())
  const lines: string[] = []
  for await (const line of createInterface(python.stdout)) {
    lines.push(line)
    if (line !== 'bound') break
    await createSystemd({ run, notifySocket: socket }).notify('WATCHDOG=1')
  }
  expect(lines).toContain('WATCHDOG=1')
})
