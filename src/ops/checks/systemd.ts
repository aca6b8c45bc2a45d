// Checks of what systemd knows: failed units, the clock, a reboot that waits.

import type { Systemd } from '../systemd.ts'
import { plural } from '../words.ts'
import type { Check, Observation } from './index.ts'

/** They spawn or change slowly, so they are not looked at in every cycle. */
export function systemdChecks(systemd: Pick<Systemd, 'failedUnits' | 'clock' | 'rebootWanted'>): Check[] {
  return [
    { name: 'unit', every: 2, look: async (signal) => units(await systemd.failedUnits(signal)) },
    { name: 'clock', every: 20, look: async (signal) => [clock(await systemd.clock(signal))] },
    { name: 'reboot', every: 10, look: async () => [reboot(await systemd.rebootWanted())] },
  ]
}

const NO_SYSTEMD = { verdict: 'absent', why: 'systemd does not run here' } as const

function units(failed: Awaited<ReturnType<Systemd['failedUnits']>>): Observation[] {
  const subject = { key: 'unit', area: 'host', title: 'systemd units failed' }
  if (!failed) return [{ ...subject, ...NO_SYSTEMD }]
  if (failed.length === 0) return [{ ...subject, verdict: 'ok', why: 'no systemd unit has failed' }]
  return failed.map(({ name, description, result }) => ({
    key: `unit/${name}`,
    area: 'host',
    verdict: 'warn',
    title: `systemd unit ${name} failed`,
    why: `${description || name} failed: ${result}`,
    mend: `Read journalctl -u ${name}, then restart it, or clear it with systemctl reset-failed ${name}.`,
  }))
}

function clock(state: Awaited<ReturnType<Systemd['clock']>>): Observation {
  const subject = { key: 'clock', area: 'host', title: 'Clock not synchronised' }
  if (!state) return { ...subject, ...NO_SYSTEMD }
  if (state.synchronised) return { ...subject, verdict: 'ok', why: 'kept by a time server' }
  return {
    ...subject,
    verdict: 'warn',
    why: state.service
      ? 'time synchronisation is on, but no time server is followed'
      : 'time synchronisation is off',
    mend: 'Run timedatectl set-ntp true and let UDP port 123 out: tokens fail when the clock drifts.',
  }
}

function reboot(wanted: Awaited<ReturnType<Systemd['rebootWanted']>>): Observation {
  const subject = { key: 'reboot', area: 'host', title: 'Reboot required' }
  if (!wanted) return { ...subject, verdict: 'ok', why: 'no package has asked for a reboot' }
  const { packages } = wanted
  const shown = packages.slice(0, 5).join(', ') + (packages.length > 5 ? ' …' : '')
  return {
    ...subject,
    verdict: 'warn',
    why: packages.length
      ? `asked for by ${plural(packages.length, 'package')}: ${shown}`
      : 'asked for by an update',
    mend: 'Security updates wait for it: reboot the host when it suits.',
  }
}
