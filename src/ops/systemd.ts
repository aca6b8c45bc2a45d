// What systemd knows of the host (failed units, clock, a reboot that waits), and our sign of life to it.

import { access, readFile } from 'node:fs/promises'
import { OpsError } from '../errors.ts'
import type { Run } from './run.ts'

/** Every answer is `undefined` where systemd does not run (a container, another init). */
export interface Systemd {
  failedUnits(signal?: AbortSignal): Promise<FailedUnit[] | undefined>
  clock(signal?: AbortSignal): Promise<Clock | undefined>
  /** `undefined` when no package has asked for a reboot (a habit of Debian and Ubuntu only). */
  rebootWanted(): Promise<{ packages: string[] } | undefined>
  /** Tells systemd a state, as `WATCHDOG=1` (sd_notify(3)). Does nothing when systemd did not ask for it. */
  notify(state: string): Promise<void>
}

export interface FailedUnit {
  name: string
  description: string
  /** Why it failed, in systemd's words: `exit-code`, `oom-kill`, `timeout`, `watchdog` … */
  result: string
}

export interface Clock {
  /** The kernel's own word (adjtimex STA_UNSYNC), so it is right for chrony and ntpd too. */
  synchronised: boolean
  /** Whether systemd is to keep the clock. */
  service: boolean
}

/** `systemctl list-units` → names. JSON from systemd 246 on; before, `--output=json` is ignored: columns. */
export function parseUnits(stdout: string): { name: string; description: string }[] {
  if (stdout.trimStart().startsWith('[')) {
    const rows = JSON.parse(stdout) as { unit: string; description: string }[]
    return rows.map(({ unit, description }) => ({ name: unit, description }))
  }
  return stdout
    .split('\n')
    .map((line) => line.trim().match(/^(\S+)\s+\S+\s+\S+\s+\S+\s*(.*)$/))
    .flatMap((match) => (match?.[1] ? [{ name: match[1], description: match[2] ?? '' }] : []))
}

/** `Key=value` lines, as `systemctl show` and `timedatectl show` print them. */
function properties(text: string): Record<string, string> {
  return Object.fromEntries([...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]))
}

/** `systemctl show` of several units, a blank line between them → unit → result. */
function resultsOf(stdout: string): Map<string | undefined, string | undefined> {
  const units = stdout.split('\n\n').map(properties)
  return new Map(units.map(({ Id, Result }) => [Id, Result]))
}

/** @param root the directory that `/run` and `/var/run` are looked for in. */
export function createSystemd(options: {
  run: Run
  notifySocket?: string | undefined
  root?: string
}): Systemd {
  const { run, notifySocket, root = '' } = options
  const exists = (path: string) =>
    access(root + path).then(
      () => true,
      () => false,
    )
  const here = () => exists('/run/systemd/system')

  async function ask(file: string, args: string[], signal?: AbortSignal): Promise<string> {
    const { exitCode, stdout, stderr } = await run(file, args, {
      timeoutMs: 8_000,
      ...(signal && { signal }),
    })
    if (exitCode !== 0) throw new OpsError(`${file} failed: ${stderr.trim() || `exit code ${exitCode}`}`)
    return stdout
  }

  return {
    async failedUnits(signal) {
      if (!(await here())) return undefined
      const list = ['list-units', '--state=failed', '--all', '--plain', '--no-legend', '--no-pager']
      const units = parseUnits(await ask('systemctl', [...list, '--output=json'], signal))
      if (units.length === 0) return []
      const names = units.map(({ name }) => name)
      const show = ['show', '--property=Id,Result', '--', ...names]
      const results = resultsOf(await ask('systemctl', show, signal))
      return units.map((unit) => ({ ...unit, result: results.get(unit.name) || 'unknown cause' }))
    },

    async clock(signal) {
      if (!(await here())) return undefined
      const stdout = await ask('timedatectl', ['show', '-p', 'NTPSynchronized', '-p', 'NTP'], signal)
      const { NTPSynchronized, NTP } = properties(stdout)
      if (!NTPSynchronized) throw new OpsError('timedatectl does not say whether the clock is synchronised')
      return { synchronised: NTPSynchronized === 'yes', service: NTP === 'yes' }
    },

    async rebootWanted() {
      const flags = ['/run/reboot-required', '/var/run/reboot-required']
      const found = await Promise.all(flags.map(exists))
      const flag = flags[found.indexOf(true)]
      if (!flag) return undefined
      const packages = await readFile(`${root}${flag}.pkgs`, 'utf8').catch(() => '')
      return { packages: [...new Set(packages.split('\n').filter(Boolean))] }
    },

    async notify(state) {
      // A program, because Node has no unix datagram sockets; `NotifyAccess=all` lets a child speak for us.
      if (!notifySocket) return
      const env = { NOTIFY_SOCKET: notifySocket }
      const { exitCode, stderr } = await run('systemd-notify', [state], { timeoutMs: 5_000, env })
      if (exitCode !== 0)
        throw new OpsError(`systemd-notify failed: ${stderr.trim() || `exit code ${exitCode}`}`)
    },
  }
}
