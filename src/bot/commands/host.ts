// The machine: /status and /host.

import { z } from 'zod'
import { gatherDigest } from '../../ops/digest.ts'
import type { Ops } from '../../ops/index.ts'
import { ago, bytes, duration, percent, plural } from '../../ops/words.ts'
import { digestPage } from '../cards.ts'
import type { Clock } from '../clock.ts'
import { type Command, command } from '../command.ts'
import type { Page, Text } from '../page.ts'

type HostOps = Pick<
  Ops,
  'alerts' | 'jobs' | 'meta' | 'host' | 'mounts' | 'pulse' | 'chats' | 'config' | 'startedAt'
>

/** The fullest file system, as one line needs it. */
async function disks(ops: HostOps): Promise<{ point: string; line: string; percent: number }[]> {
  const { found } = await ops.mounts.watched(ops.config.limits.diskMounts)
  const looks = found.map(async (mount) => {
    const look = await ops.mounts.usage(mount)
    if (look.state !== 'seen')
      return { point: mount.point, line: `${mount.point} does not answer`, percent: 101 }
    const { percent: used, available, total } = look.usage
    return {
      point: mount.point,
      line: `${mount.point} ${percent(used)}, ${bytes(available)} free of ${bytes(total)}`,
      percent: used,
    }
  })
  return (await Promise.all(looks)).sort((a, b) => b.percent - a.percent)
}

/** Whether messages get through, and where to when not to the configured chat. */
function delivery({ pulse, chats, config }: HostOps, now: number, clock: Clock): Text[] {
  if (!config.telegram) return ['Telegram: no token is set, this console is the only way in']
  const { polledAt, overdueSince } = pulse.read()
  const { chatId } = config.telegram
  const known = chats.list()
  const home = known.find(({ id }) => id === chatId)
  const closed = known.find(({ id }) => id === (home?.movedTo ?? chatId))?.closed
  return [
    polledAt === undefined ? 'Telegram: not reached yet' : `Telegram: last heard ${ago(now - polledAt)}`,
    ...(overdueSince === undefined || now - overdueSince < 60_000
      ? []
      : [`A message waits since ${clock.at(overdueSince)}`]),
    ...(closed ? [`The alert chat cannot be written to (${closed}); its messages go to the owners`] : []),
    ...(home?.movedTo ? [`The alert chat is now ${home.movedTo}: put that into TELEGRAM_CHAT_ID`] : []),
    ...(config.owners.length === 0 ? ['No owner is set: nobody can be told'] : []),
  ]
}

/** What keeps us from a verdict, if something does: blind is never "all well". */
function sightOf(checkedAt: number | undefined, now: number, cycleMs: number): string | undefined {
  if (checkedAt === undefined) return 'I have just started and am still looking'
  return now - checkedAt > 3 * cycleMs + 10_000 ? 'I do not see: the checks do not come to an end' : undefined
}

export function hostCommands(ops: HostOps, clock: Clock): Command[] {
  async function status(now: number): Promise<Page> {
    const digest = digestPage(gatherDigest(ops, now), clock)
    const [memory, identity, full] = await Promise.all([ops.host.memory(), ops.host.identity(), disks(ops)])
    const { averages, cores } = ops.host.load()
    const { checkedAt } = ops.pulse.read()
    const sight = sightOf(checkedAt, now, ops.config.watchMs)
    return {
      mark: sight ? 'unknown' : (digest.mark ?? 'ok'),
      title: sight ?? digest.title,
      lines: [
        [
          { bold: identity.hostname },
          ` up ${duration(identity.uptimeMs)}, load ${averages[0].toFixed(2)} on ${plural(cores, 'core')}`,
        ],
        `Memory ${percent(100 * (1 - memory.available / memory.total))} of ${bytes(memory.total)}`,
        ...(full[0] ? [`Disk ${full[0].line}`] : []),
        ...delivery(ops, now, clock),
      ],
      details: [
        ...(digest.lines ?? []),
        `Last looked ${checkedAt === undefined ? 'never' : ago(now - checkedAt)}, every ${duration(ops.config.watchMs)}`,
        `opsbot up ${duration(Math.max(0, now - ops.startedAt))}, times in ${clock.zone}`,
      ],
      buttons: [
        [
          { label: 'Refresh', run: 'status', inPlace: true },
          { label: 'Alerts', run: 'alerts' },
          { label: 'Host', run: 'host' },
        ],
      ],
    }
  }

  async function host(): Promise<Page> {
    const [memory, identity, cpu, files, all] = await Promise.all([
      ops.host.memory(),
      ops.host.identity(),
      ops.host.cpu(),
      ops.host.files(),
      disks(ops),
    ])
    const processes = await ops.host.largestProcesses(5)
    const { averages, cores } = ops.host.load()
    const { total, available, swapTotal, swapFree } = memory
    return {
      mark: 'info',
      title: identity.hostname,
      lines: [
        `${identity.os}, Linux ${identity.kernel}`,
        `Up ${duration(identity.uptimeMs)}`,
        `CPU ${percent(cpu.busy)} of ${plural(cores, 'core')}, ${percent(cpu.stolen)} stolen`,
        `Load ${averages.map((average) => average.toFixed(2)).join(', ')}`,
        `Memory ${bytes(total - available)} of ${bytes(total)} used${swapTotal ? `, swap ${bytes(swapTotal - swapFree)} of ${bytes(swapTotal)}` : ', no swap'}`,
        ...all.map(({ line }) => `Disk ${line}`),
      ],
      details: [
        `${identity.cpu}`,
        `${files.allocated} of ${files.max} file handles open`,
        'Most memory:',
        ...processes.map(({ name, pid, rssBytes }) => `${bytes(rssBytes)} ${name} (${pid})`),
      ],
      buttons: [[{ label: 'Refresh', run: 'host', inPlace: true }]],
    }
  }

  return [
    command({
      name: 'status',
      role: 'viewer',
      about: 'How it is, in one card.',
      menu: true,
      args: z.object({}),
      run: ({ now }) => status(now),
    }),
    command({
      name: 'host',
      role: 'viewer',
      about: 'The machine: processor, memory, disks, largest processes.',
      menu: true,
      args: z.object({}),
      run: host,
    }),
  ]
}
