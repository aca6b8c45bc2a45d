// What systemd's programs print, of new and old versions, and what becomes of it.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import type { Run, RunOptions } from '../../src/ops/run.ts'
import { createSystemd, parseUnits } from '../../src/ops/systemd.ts'

function machine({ booted = true, ...outputs }: { booted?: boolean; [program: string]: unknown }) {
  const root = mkdtempSync(join(tmpdir(), 'opsbot-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'run'))
  if (booted) mkdirSync(join(root, 'run/systemd/system'), { recursive: true })
  const calls: { line: string; options: RunOptions }[] = []
  const run: Run = async (file, args, options) => {
    calls.push({ line: [file, ...args].join(' '), options })
    const stdout = outputs[`${file} ${args[0]}`]
    return typeof stdout === 'string'
      ? { exitCode: 0, stdout, stderr: '' }
      : { exitCode: 1, stdout: '', stderr: 'Failed to connect to bus: Host is down\n' }
  }
  return { root, calls, run, systemd: createSystemd({ run, root }) }
}

const UNITS = [
  { name: 'backup.service', description: 'Nightly backup' },
  { name: 'mnt-my\\x20disk.mount', description: '/mnt/my disk' },
]

it('reads failed units as JSON, and from the columns of a systemd before 246', () => {
  const json = `[{"unit":"backup.service","load":"loaded","active":"failed","sub":"failed","description":"Nightly backup"},
    {"unit":"mnt-my\\\\x20disk.mount","load":"loaded","active":"failed","sub":"failed","description":"/mnt/my disk"}]`
  const columns = `backup.service         loaded failed failed Nightly backup
mnt-my\\x20disk.mount  loaded failed failed /mnt/my disk
`
  expect(parseUnits(json)).toEqual(UNITS)
  expect(parseUnits(columns)).toEqual(UNITS)
  expect([...parseUnits('[]'), ...parseUnits('')]).toEqual([])
})

it('says of each failed unit why it failed, and asks only when one has', async () => {
  const { systemd } = machine({
    'systemctl list-units':
      'backup.service loaded failed failed Nightly backup\nx.timer loaded failed failed X\n',
    'systemctl show': 'Id=x.timer\nResult=resources\n\nResult=oom-kill\nId=backup.service\n',
  })
  expect((await systemd.failedUnits())?.map(({ name, result }) => [name, result])).toEqual([
    ['backup.service', 'oom-kill'],
    ['x.timer', 'resources'],
  ])
  const healthy = machine({ 'systemctl list-units': '[]' })
  expect(await healthy.systemd.failedUnits()).toEqual([])
  expect(healthy.calls).toHaveLength(1)
})

it('has no answer without systemd, and an error, never a good word, when systemd does not answer', async () => {
  const other = machine({ booted: false })
  expect([await other.systemd.failedUnits(), await other.systemd.clock()]).toEqual([undefined, undefined])
  expect(other.calls).toEqual([])
  const down = machine({})
  await expect(down.systemd.failedUnits()).rejects.toThrow('systemctl failed: Failed to connect to bus')
  await expect(down.systemd.clock()).rejects.toThrow('timedatectl failed: Failed to connect to bus')
  await expect(machine({ 'timedatectl show': 'NTP=no\n' }).systemd.clock()).rejects.toThrow('does not say')
})

it('reads the clock in whatever order it is printed', async () => {
  const { systemd } = machine({ 'timedatectl show': 'NTP=yes\nNTPSynchronized=no\n' })
  expect(await systemd.clock()).toEqual({ synchronised: false, service: true })
})

it('reads who asked for a reboot, each package once', async () => {
  const { systemd, root } = machine({})
  expect(await systemd.rebootWanted()).toBeUndefined()
  writeFileSync(join(root, 'run/reboot-required'), '*** System restart required ***\n')
  expect(await systemd.rebootWanted()).toEqual({ packages: [] })
  writeFileSync(join(root, 'run/reboot-required.pkgs'), 'libc6\nlinux-base\nlinux-base\n')
  expect(await systemd.rebootWanted()).toEqual({ packages: ['libc6', 'linux-base'] })
})

it('tells systemd that it lives, and only when systemd asked for it', async () => {
  const { run, calls } = machine({ 'systemd-notify WATCHDOG=1': '' })
  await createSystemd({ run }).notify('WATCHDOG=1')
  expect(calls).toEqual([])
  await createSystemd({ run, notifySocket: '/run/systemd/notify' }).notify('WATCHDOG=1')
  expect(calls[0]).toMatchObject({
    line: 'systemd-notify WATCHDOG=1',
    options: { env: { NOTIFY_SOCKET: '/run/systemd/notify' } },
  })
})
