// The host as a system: memory, load, processor, file descriptors and what machine it is.

import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { availableParallelism, hostname, loadavg, release, uptime } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../errors.ts'

export interface Host {
  memory(): Promise<Memory>
  load(): Load
  /** The processor since the last call, at least half a second (the first call waits that long). */
  cpu(): Promise<CpuUse>
  /** Open file handles of the whole host. @throws OpsError when the kernel's figures cannot be read. */
  files(): Promise<{ allocated: number; max: number }>
  identity(): Promise<Identity>
  /** The processes that hold most memory, largest first. Names only: arguments may hold secrets. */
  largestProcesses(count: number): Promise<Process[]>
}

/** All in bytes. `available` is what could still be given to programs without swapping. */
export interface Memory {
  total: number
  available: number
  swapTotal: number
  swapFree: number
}

export interface Load {
  /** Load averages over 1, 5 and 15 minutes, of the whole host. */
  averages: [number, number, number]
  cores: number
}

/** Percent of all cores together. Waiting for disks is not busy; stolen time is. */
export interface CpuUse {
  busy: number
  stolen: number
}

export interface Identity {
  hostname: string
  /** As in /etc/os-release: `Debian GNU/Linux 12 (bookworm)`. */
  os: string
  kernel: string
  cpu: string
  cores: number
  uptimeMs: number
}

export interface Process {
  pid: number
  name: string
  rssBytes: number
  cpuPercent: number
}

/** /proc/meminfo → bytes. @throws OpsError when a line is missing: no figure is better than a wrong one. */
export function parseMeminfo(text: string): Memory {
  const figure = (name: string) => {
    const kib = text.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1]
    if (kib === undefined) throw new OpsError(`/proc/meminfo has no ${name}`)
    return Number(kib) * 1024
  }
  return {
    total: figure('MemTotal'),
    available: figure('MemAvailable'),
    swapTotal: figure('SwapTotal'),
    swapFree: figure('SwapFree'),
  }
}

/** Clock ticks of all cores together since boot: one tick is 10 ms (proc_stat(5), USER_HZ). */
export interface CpuTicks {
  total: number
  idle: number
  stolen: number
}

/** The first line of /proc/stat → ticks. `guest` is left out: the kernel counts it in `user` already. */
export function parseStat(text: string): CpuTicks {
  const ticks =
    text
      .match(/^cpu +(.+)$/m)?.[1]
      ?.split(' ')
      .map(Number) ?? []
  const [user, nice, system, idle, iowait = 0, irq = 0, softirq = 0, stolen = 0] = ticks
  if (user === undefined || nice === undefined || system === undefined || idle === undefined)
    throw new OpsError('/proc/stat has no line for the processor')
  return {
    total: user + nice + system + idle + iowait + irq + softirq + stolen,
    idle: idle + iowait,
    stolen,
  }
}

export function cpuUse(before: CpuTicks, after: CpuTicks): CpuUse {
  const total = after.total - before.total
  const share = (ticks: number) => (total > 0 ? Math.min(100, Math.max(0, (100 * ticks) / total)) : 0)
  return { busy: share(total - (after.idle - before.idle)), stolen: share(after.stolen - before.stolen) }
}

/** @param procRoot where procfs is mounted. */
export function createHost({ procRoot = '/proc' }: { procRoot?: string } = {}): Host {
  // Synchronous: the kernel answers from memory, at a tenth of the cost of a thread's errand.
  const read = (path: string) => readFileSync(`${procRoot}/${path}`, 'utf8')
  const information = async () => (await import('systeminformation')).default

  // One window for all callers: two looks in quick succession share the same figures, because a window of
  // a few ticks says nothing. Time is counted in the ticks themselves, so that a stopped clock cannot lie.
  let since: CpuTicks | undefined
  let latest: CpuUse | undefined
  let asked: Promise<CpuUse> | undefined
  let model: string | undefined
  const sample = () => parseStat(read('stat'))

  async function measure(): Promise<CpuUse> {
    const before = since ?? (await sleep(550, sample()))
    const now = sample()
    if (latest && now.total - before.total < 50 * availableParallelism()) return latest
    since = now
    latest = cpuUse(before, now)
    return latest
  }

  return {
    // Not si.mem(): its `used` counts the page cache, and when MemAvailable is 0 (a host in real need) it
    // reports free memory plus all caches as available.
    memory: async () => parseMeminfo(read('meminfo')),

    load: () => ({ averages: loadavg() as [number, number, number], cores: availableParallelism() }),

    // Not si.currentLoad(): it runs `cat /proc/stat | grep` synchronously on every call and divides steal,
    // in ticks, by milliseconds: a tenth of the truth.
    cpu: () => (asked ??= measure().finally(() => (asked = undefined))),

    async files() {
      const { allocated, max } = await (await information()).fsOpenFiles()
      if (!max || allocated === null) throw new OpsError('/proc/sys/fs/file-nr cannot be read')
      return { allocated, max }
    },

    async identity() {
      // Not si.osInfo() and si.time(): they run `hostname -f` and `date` synchronously, so that a dead name
      // server would stop the whole bot for as long as the resolver waits.
      const os = await readFile('/etc/os-release', 'utf8').catch(() => '')
      if (model === undefined) {
        const { manufacturer, brand } = await (await information()).cpu()
        model = `${manufacturer} ${brand}`.trim()
      }
      return {
        hostname: hostname(),
        os: os.match(/^PRETTY_NAME="?([^"\n]+)/m)?.[1] ?? 'Linux',
        kernel: release(),
        cpu: model,
        cores: availableParallelism(),
        uptimeMs: uptime() * 1000,
      }
    },

    async largestProcesses(count) {
      const { list } = await (await information()).processes()
      return list
        .sort((a, b) => b.memRss - a.memRss)
        .slice(0, count)
        .map(({ pid, name, memRss, cpu }) => ({ pid, name, rssBytes: memRss * 1024, cpuPercent: cpu }))
    },
  }
}
