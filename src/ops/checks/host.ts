// Checks of the host: memory, swap, load, stolen time, file handles, and those of its mounts and systemd.

import type { Host } from '../host.ts'
import type { Mounts } from '../mounts.ts'
import type { Systemd } from '../systemd.ts'
import { bytes, percent, plural } from '../words.ts'
import { type Check, type Gauge, type Observation, percentGauge, verdictOf } from './index.ts'
import { type MountLimits, mountChecks } from './mounts.ts'
import { systemdChecks } from './systemd.ts'

export interface HostLimits extends MountLimits {
  memoryPercent: number
  swapPercent: number
  /** Load average over 5 minutes, by core. */
  loadPerCore: number
  stealPercent: number
  filesPercent: number
}

export function hostChecks(parts: {
  host: Pick<Host, 'memory' | 'load' | 'cpu' | 'files'>
  mounts: Pick<Mounts, 'watched' | 'usage'>
  systemd: Pick<Systemd, 'failedUnits' | 'clock' | 'rebootWanted'>
  limits: HostLimits
}): Check[] {
  const { host, mounts, systemd, limits } = parts
  return [
    { name: 'memory', look: async () => [memory(await host.memory(), limits)] },
    { name: 'swap', look: async () => [swap(await host.memory(), limits)] },
    { name: 'load', look: async () => [load(host.load(), limits)] },
    { name: 'steal', look: async () => [steal(await host.cpu(), limits)] },
    { name: 'files', every: 2, look: async () => [files(await host.files(), limits)] },
    ...mountChecks({ mounts, limits }),
    ...systemdChecks(systemd),
  ]
}

/** A percentage that no value makes critical. */
const onlyWarns = (gauge: Gauge): Gauge => ({ ...gauge, bad: 101 })

type Of<K extends 'memory' | 'load' | 'cpu' | 'files'> = Awaited<ReturnType<Host[K]>>

function memory({ total, available }: Of<'memory'>, { memoryPercent }: HostLimits): Observation {
  const gauge = percentGauge(100 * (1 - available / total), memoryPercent)
  return {
    key: 'memory',
    area: 'host',
    verdict: verdictOf(gauge),
    title: 'Memory almost full',
    why: `${percent(gauge.value)} used, ${bytes(available)} available of ${bytes(total)}`,
    gauge,
    mend: 'Restart or limit the process or container that holds most of it, before the kernel kills one.',
  }
}

function swap({ swapTotal, swapFree }: Of<'memory'>, { swapPercent }: HostLimits): Observation {
  const subject = { key: 'swap', area: 'host', title: 'Swap almost full' }
  if (swapTotal === 0) return { ...subject, verdict: 'absent', why: 'this host has no swap' }
  const gauge = onlyWarns(percentGauge(100 * (1 - swapFree / swapTotal), swapPercent))
  return {
    ...subject,
    verdict: verdictOf(gauge),
    why: `${percent(gauge.value)} used, ${bytes(swapFree)} free of ${bytes(swapTotal)}`,
    gauge,
    mend: 'Find what holds memory. While memory itself is free, swap that stays full is harmless.',
  }
}

function load({ averages, cores }: Of<'load'>, { loadPerCore }: HostLimits): Observation {
  const [one, five, fifteen] = averages
  const gauge = {
    value: five / cores,
    unit: ' per core',
    warn: loadPerCore,
    bad: 2 * loadPerCore,
    leave: 0.8 * loadPerCore,
  }
  const figures = [one, five, fifteen].map((figure) => figure.toFixed(2)).join(', ')
  return {
    key: 'load',
    area: 'host',
    verdict: verdictOf(gauge),
    title: 'Load too high',
    why: `${gauge.value.toFixed(2)} per core (load ${figures} on ${plural(cores, 'core')})`,
    gauge,
    mend: 'See which process or container uses the processor or waits for the disk.',
  }
}

function steal({ stolen }: Of<'cpu'>, { stealPercent }: HostLimits): Observation {
  const gauge = percentGauge(stolen, stealPercent)
  return {
    key: 'steal',
    area: 'host',
    verdict: verdictOf(gauge),
    title: 'Processor time stolen by the hypervisor',
    why: `${percent(stolen)} of processor time went to other machines on the same hardware`,
    gauge,
    mend: 'Nothing on this host causes it: ask the provider to move it, or take dedicated cores.',
  }
}

function files({ allocated, max }: Of<'files'>, { filesPercent }: HostLimits): Observation {
  const gauge = percentGauge((100 * allocated) / max, filesPercent)
  const count = allocated.toLocaleString('en')
  return {
    key: 'files',
    area: 'host',
    verdict: verdictOf(gauge),
    title: 'File handles almost used up',
    why: `${count} open on the whole host, ${percent(gauge.value)} of what the kernel allows`,
    gauge,
    mend: 'Find the process that leaks them (lsof), restart it, or raise fs.file-max.',
  }
}
