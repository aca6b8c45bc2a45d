// What the checks of the host say about figures that are known.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { hostChecks } from '../../src/ops/checks/host.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import { cpuUse, createHost, type Memory, parseMeminfo, parseStat } from '../../src/ops/host.ts'
import type { WatchedMount } from '../../src/ops/mountinfo.ts'
import type { Look } from '../../src/ops/mounts.ts'
import type { Clock, FailedUnit } from '../../src/ops/systemd.ts'

const fixture = (path: string) => new URL(`../fixtures/host/${path}`, import.meta.url).pathname
const GB = 1e9

interface Machine {
  memory?: Memory
  load?: [number, number, number]
  stolen?: number
  files?: { allocated: number; max: number }
  mounts?: { mount: Partial<WatchedMount>; look: Look }[]
  missing?: string[]
  failed?: FailedUnit[] | undefined
  clock?: Clock | undefined
  reboot?: { packages: string[] } | undefined
}

const disk = {
  id: '1',
  device: '8:1',
  root: '/',
  point: '/',
  type: 'ext4',
  source: '/dev/sda1',
  state: 'rw',
  local: true,
  lostWrites: false,
} satisfies WatchedMount
const usage = { total: 50 * GB, used: 20 * GB, available: 30 * GB, percent: 40 }

/** Everything that all checks see on a machine: fine but for what is given. */
async function observe(machine: Machine): Promise<Observation[]> {
  const { mounts = [], missing = [], load = [0, 0, 0], stolen = 0 } = machine
  const found = mounts.map(({ mount }, i) => ({ ...disk, id: String(i), ...mount }))
  const checks = hostChecks({
    host: {
      memory: async () => machine.memory ?? { total: 8 * GB, available: 6 * GB, swapTotal: 0, swapFree: 0 },
      load: () => ({ averages: load, cores: 4 }),
      cpu: async () => ({ busy: 0, stolen }),
      files: async () => machine.files ?? { allocated: 1_000, max: 100_000 },
    },
    mounts: {
      watched: async () => ({ found, missing }),
      usage: async ({ id }) => mounts[Number(id)]?.look ?? { state: 'hung' },
    },
    systemd: {
      failedUnits: async () => machine.failed,
      clock: async () => machine.clock,
      rebootWanted: async () => machine.reboot,
    },
    limits: {
      diskPercent: 85,
      inodesPercent: 85,
      memoryPercent: 90,
      swapPercent: 80,
      loadPerCore: 2,
      stealPercent: 20,
      filesPercent: 80,
    },
  })
  const { signal } = new AbortController()
  const seen = await Promise.all(checks.map(async ({ name, look }) => ({ name, all: await look(signal) })))
  for (const { name, all } of seen)
    for (const { key } of all)
      expect(key === name || key.startsWith(`${name}/`), `${key} of ${name}`).toBe(true)
  return seen.flatMap(({ all }) => all)
}

const seen = (percent: number, inodes?: number): Look => ({
  state: 'seen',
  usage: {
    ...usage,
    percent,
    ...(inodes && { inodes: { total: 1000, used: inodes * 10, percent: inodes } }),
  },
})
const memory = (available: number, swapFree = 2 * GB) => ({
  total: 8 * GB,
  available,
  swapTotal: 2 * GB,
  swapFree,
})
const unit = { name: 'backup.service', description: 'Nightly backup', result: 'exit-code' }

describe('the checks of the host', () => {
  it.each<[key: string, verdict: string, why: string, machine: Machine]>([
    ['memory', 'ok', '85 % used, 1.2 GB available of 8.0 GB', { memory: memory(1.2 * GB) }],
    ['memory', 'warn', '91 % used, 720 MB available of 8.0 GB', { memory: memory(0.72 * GB) }],
    ['memory', 'bad', '99 % used, 80 MB available of 8.0 GB', { memory: memory(0.08 * GB) }],
    ['swap', 'absent', 'this host has no swap', {}],
    ['swap', 'ok', '50 % used, 1.0 GB free of 2.0 GB', { memory: memory(6 * GB, GB) }],
    ['swap', 'warn', '100 % used, 0 B free of 2.0 GB', { memory: memory(6 * GB, 0) }],
    ['load', 'ok', '1.90 per core (load 20.00, 7.60, 4.00 on 4 cores)', { load: [20, 7.6, 4] }],
    ['load', 'warn', '2.00 per core (load 1.00, 8.00, 8.00 on 4 cores)', { load: [1, 8, 8] }],
    ['load', 'bad', '4.00 per core (load 16.00, 16.00, 9.00 on 4 cores)', { load: [16, 16, 9] }],
    ['steal', 'ok', '2.5 % of processor time went to other machines on the same hardware', { stolen: 2.5 }],
    ['steal', 'warn', '30 % of processor time went to other machines on the same hardware', { stolen: 30 }],
    ['files', 'ok', '1,000 open on the whole host, 1.0 % of what the kernel allows', {}],
    [
      'files',
      'bad',
      '99,000 open on the whole host, 99 % of what the kernel allows',
      { files: { allocated: 99_000, max: 100_000 } },
    ],
    ['disk//', 'ok', '84 % used, 30 GB free of 50 GB', { mounts: [{ mount: {}, look: seen(84.4) }] }],
    ['disk//', 'warn', '85 % used, 30 GB free of 50 GB', { mounts: [{ mount: {}, look: seen(85) }] }],
    ['disk//', 'bad', '95 % used, 30 GB free of 50 GB', { mounts: [{ mount: {}, look: seen(95) }] }],
    [
      'inodes//',
      'ok',
      '5.0 % of inodes used, room for 950 more files',
      { mounts: [{ mount: {}, look: seen(1, 5) }] },
    ],
    [
      'inodes//',
      'bad',
      '97 % of inodes used, room for 30 more files',
      { mounts: [{ mount: {}, look: seen(1, 97) }] },
    ],
    ['mount//', 'ok', '/dev/sda1 (ext4) answers', { mounts: [{ mount: {}, look: seen(1) }] }],
    [
      'mount//nas',
      'bad',
      'nas:/export (nfs4) does not answer',
      {
        mounts: [{ mount: { point: '/nas', type: 'nfs4', source: 'nas:/export' }, look: { state: 'hung' } }],
      },
    ],
    [
      'mount//',
      'bad',
      '/dev/sda1 (ext4) answers with EIO',
      { mounts: [{ mount: {}, look: { state: 'broken', error: 'EIO' } }] },
    ],
    ['mount//nas', 'bad', 'DISK_MOUNTS names /nas, and nothing is mounted there', { missing: ['/nas'] }],
    ['readonly//', 'ok', '/dev/sda1 (ext4) takes writes', { mounts: [{ mount: {}, look: seen(1) }] }],
    [
      'readonly//',
      'bad',
      '/dev/sda1 (ext4) was writable and takes no writes any more',
      { mounts: [{ mount: { state: 'ro', lostWrites: true }, look: seen(1) }] },
    ],
    [
      'readonly//',
      'bad',
      '/dev/sda1 (ext4) was writable and takes no writes any more after an error',
      { mounts: [{ mount: { state: 'failed', lostWrites: true }, look: seen(1) }] },
    ],
    ['unit', 'absent', 'systemd does not run here', {}],
    ['unit', 'ok', 'no systemd unit has failed', { failed: [] }],
    ['unit/backup.service', 'warn', 'Nightly backup failed: exit-code', { failed: [unit] }],
    ['clock', 'absent', 'systemd does not run here', {}],
    ['clock', 'ok', 'kept by a time server', { clock: { synchronised: true, service: false } }],
    ['clock', 'warn', 'time synchronisation is off', { clock: { synchronised: false, service: false } }],
    ['reboot', 'ok', 'no package has asked for a reboot', {}],
    [
      'reboot',
      'warn',
      'asked for by 2 packages: linux-image-6.1, libc6',
      { reboot: { packages: ['linux-image-6.1', 'libc6'] } },
    ],
  ])('%s is %s: %s', async (key, verdict, why, machine) => {
    const found = (await observe(machine)).find((observation) => observation.key === key)
    expect([found?.verdict, found?.why]).toEqual([verdict, why])
  })

  it('say nothing about inodes where there are none, nor of writes where nobody expects them', async () => {
    const mount = { state: 'ro' } as const
    const keys = (await observe({ mounts: [{ mount, look: seen(1) }] })).map(({ key }) => key)
    expect(keys.filter((key) => key.endsWith('//'))).toEqual(['disk//', 'mount//'])
  })

  it('tell a hung mount from its figures: those are unknown, and the mount itself is why', async () => {
    const observations = await observe({ mounts: [{ mount: {}, look: { state: 'hung' } }] })
    const verdicts = observations
      .filter(({ key }) => key.endsWith('//'))
      .map(({ key, verdict, because }) => [key, verdict, because])
    expect(verdicts).toEqual([
      ['disk//', 'unknown', 'mount//'],
      ['inodes//', 'unknown', 'mount//'],
      ['mount//', 'bad', undefined],
      ['readonly//', 'ok', undefined],
    ])
  })

  it('have a proof only for writes that are lost, and no figure in a title', async () => {
    const look = seen(99, 99)
    const observations = await observe({
      memory: memory(0, 0),
      load: [99, 99, 99],
      mounts: [{ mount: { state: 'failed', lostWrites: true }, look }],
      failed: [unit],
      reboot: { packages: [] },
    })
    expect(observations.filter(({ proof }) => proof).map(({ key }) => key)).toEqual(['readonly//'])
    for (const { title, verdict, mend, key } of observations) {
      expect(title, key).not.toMatch(/\d/)
      if (verdict === 'warn' || verdict === 'bad') expect(mend, key).toMatch(/^[A-Z].*\.$/)
    }
  })
})

describe('memory', () => {
  it('does not count the page cache as used', async () => {
    const { total, available } = await createHost({ procRoot: fixture('page-cache') }).memory()
    expect(100 * (1 - available / total)).toBeCloseTo(6.9, 1)
  })

  it('is all gone when the kernel says so, whatever caches there are', async () => {
    const { available } = await createHost({ procRoot: fixture('in-need') }).memory()
    expect(available).toBe(0)
  })

  it('is an error, not a guess, when the kernel does not say', () => {
    expect(() => parseMeminfo('MemTotal: 1 kB\nMemFree: 1 kB\n')).toThrow('/proc/meminfo has no MemAvailable')
  })

  it('is that of this very machine', async () => {
    const kib = readFileSync('/proc/meminfo', 'utf8').match(/^MemAvailable: +(\d+) kB$/m)?.[1]
    const { available } = await createHost().memory()
    expect(Math.abs(available / 1024 - Number(kib))).toBeLessThan(256 * 1024)
  })
})

describe('the processor', () => {
  it.each([
    ['cpu  100 0 100 700 100 0 0 0 0 0', 'cpu  150 0 150 800 200 0 0 0 0 0', { busy: 100 / 3, stolen: 0 }],
    ['cpu  100 0 100 700 100 0 0 0 0 0', 'cpu  120 0 100 750 100 0 0 30 20 0', { busy: 50, stolen: 30 }],
    ['cpu  100 0 100 700 100 0 0 9 0 0', 'cpu  100 0 100 700 100 0 0 9 0 0', { busy: 0, stolen: 0 }],
    ['cpu  100 0 100 700', 'cpu  200 0 100 700', { busy: 100, stolen: 0 }],
  ])('between "%s" and "%s" was %o', (before, after, use) => {
    expect(cpuUse(parseStat(before), parseStat(after))).toEqual(use)
  })

  it('is an error when the kernel does not say', () => {
    expect(() => parseStat('intr 1 2 3')).toThrow('/proc/stat')
  })

  it('gives all who ask in a short while the same figures', async () => {
    const host = createHost()
    const [first, second] = await Promise.all([host.cpu(), host.cpu()])
    expect(second).toEqual(first)
    expect(await host.cpu()).toEqual(first)
    expect(first.busy).toBeGreaterThanOrEqual(0)
  })
})

it('the host says who it is, how many files it has open and which processes are largest', async () => {
  const host = createHost()
  const identity = await host.identity()
  expect(identity.os).toMatch(/\S/)
  expect(identity.cores).toBeGreaterThan(0)
  expect((await host.files()).allocated).toBeGreaterThan(0)
  const [largest, next] = await host.largestProcesses(2)
  expect(largest?.rssBytes).toBeGreaterThanOrEqual(next?.rssBytes ?? 0)
})
