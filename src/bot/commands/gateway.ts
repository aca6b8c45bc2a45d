// The gateway: /gateway, from inside and out.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { Container, ContainerUse } from '../../ops/docker/index.ts'
import type { Overview } from '../../ops/gateway/overview.ts'
import { workWords } from '../../ops/gateway/sessions.ts'
import type { Ops } from '../../ops/index.ts'
import { ago, bytes, duration, percent, plural } from '../../ops/words.ts'
import { type Command, command } from '../command.ts'
import type { Mark, Page, Text } from '../page.ts'

type GatewayOps = Pick<Ops, 'docker' | 'findGateway' | 'config' | 'overview'>

/** @param configured the name that it should have. */
const noGatewayPage = (configured: string | undefined): Page =>
  configured === undefined
    ? {
        mark: 'unknown',
        title: 'No gateway is configured here.',
        lines: ['Set OPENCLAW_GATEWAY_CONTAINER if its name is unusual.'],
      }
    : {
        mark: 'bad',
        title: `There is no container "${configured}".`,
        lines: ['OPENCLAW_GATEWAY_CONTAINER says that it is the gateway.'],
      }

const STANDINGS: Record<Overview['standing']['state'], { mark: Mark; word: string }> = {
  ready: { mark: 'ok', word: 'ready' },
  starting: { mark: 'unknown', word: 'starting' },
  restarting: { mark: 'unknown', word: 'restarting' },
  'not ready': { mark: 'bad', word: 'not ready' },
  unknown: { mark: 'unknown', word: 'not seen from inside' },
}

const workOf = ({ sessions }: Overview): string | undefined =>
  sessions && `${plural(sessions.count, 'session')}, ${workWords(sessions)}`

function channelsOf({ channels }: Overview): string[] {
  if (!channels) return []
  if (channels.length === 0) return ['No channel is switched on']
  const well = channels.filter(({ trouble }) => !trouble).map(({ name }) => name)
  const ill = channels.flatMap(({ name, trouble }) => (trouble ? [`Channel ${name}: ${trouble}`] : []))
  return [...ill, ...(well.length > 0 ? [`Channels that work: ${well.join(', ')}`] : [])]
}

function loopOf({ eventLoop, ready }: Overview): string | undefined {
  const { degraded, reasons = [], delayP99Ms } = eventLoop ?? ready?.eventLoop ?? {}
  if (degraded === undefined) return undefined
  const figure = delayP99Ms === undefined ? '' : `, ${Math.round(delayP99Ms)} ms at the 99th percentile`
  return degraded ? `Event loop slow (${reasons.join(', ')})${figure}` : `Event loop keeps up${figure}`
}

/** What is seen from inside: lines for the page, and lines for its details. */
export function insideLines(seen: Overview, now: number): { lines: Text[]; details: Text[] } {
  const { standing, link, version, memoryBytes, agents, pluginErrors, unseen, byCli } = seen
  const work = workOf(seen)
  const loop = loopOf(seen)
  return {
    lines: [
      ...(standing.state === 'ready' ? [] : [standing.why]),
      ...channelsOf(seen),
      ...(work ? [work] : []),
      ...(version ? [`OpenClaw ${version}`] : []),
    ],
    details: [
      ...(loop ? [loop] : []),
      ...(memoryBytes ? [`Its process holds ${bytes(memoryBytes)}`] : []),
      ...(agents && agents.length > 0 ? [`Agents: ${agents.join(', ')}`] : []),
      ...(pluginErrors > 0 ? [`${plural(pluginErrors, 'plugin')} with errors`] : []),
      ...(link.state === 'open'
        ? [`Seen over the link, open for ${duration(now - link.since)}${byCli ? ', and by its CLI' : ''}`]
        : byCli || link.why !== standing.why
          ? [`${byCli ? 'Seen by its CLI; the link is shut' : 'The link is shut'}: ${link.why}`]
          : []),
      ...unseen.map((each) => `Not seen: ${each}`),
    ],
  }
}

/** What is seen from outside: the container against its limits. */
function outsideLines(found: Container, use: ContainerUse | undefined, now: number): Text[] {
  const { state, startedAt, restartCount, image, createdAt, limits } = found
  const memory =
    use &&
    `Memory ${bytes(use.memoryBytes)}${limits.memoryBytes ? ` of ${bytes(limits.memoryBytes)} (${percent((100 * use.memoryBytes) / limits.memoryBytes)})` : ''}`
  const cpu =
    use &&
    `CPU ${percent(use.cpuPercent)} of a core${limits.cpus ? `, limit ${limits.cpus}` : ''}, ${plural(use.pids, 'process', 'processes')}`
  return [
    ...(startedAt && state === 'running'
      ? [`Up ${duration(now - startedAt)}, ${plural(restartCount, 'restart')} by Docker`]
      : []),
    ...(memory ? [memory] : []),
    ...(cpu ? [cpu] : []),
    [`Image `, { code: image }, `, container made ${ago(now - createdAt)}`],
  ]
}

function idsOf({ id, imageId, health, mounts }: Container, configuredDir: string | undefined): Text[] {
  const stateDir =
    configuredDir ?? mounts.find(({ destination }) => destination.endsWith('/.openclaw'))?.source
  const short = (long: string) => ({ code: long.replace('sha256:', '').slice(0, 12) })
  return [
    ['Container ', short(id), ', image ', short(imageId)],
    ...(stateDir ? [['State directory on this host ', { code: stateDir }]] : []),
    ...(health?.lastOutput ? [`Last health check: ${health.lastOutput.slice(0, 500)}`] : []),
  ]
}

const REFRESH = { label: 'Refresh', run: 'gateway', inPlace: true as const }

/** A gateway in a container: what runs it, and what it says itself. */
export function gatewayPage(
  found: Container,
  use: ContainerUse | undefined,
  seen: Overview | undefined,
  now: number,
  configuredDir: string | undefined,
): Page {
  const { name, state, health } = found
  const well = state === 'running' && health?.status !== 'unhealthy'
  const inside = seen && insideLines(seen, now)
  const foreign = seen?.link.state === 'shut' && seen.link.code === 'NO_NODE'
  const standing = seen && !foreign ? STANDINGS[seen.standing.state] : undefined
  const mark = well ? (health?.status === 'starting' ? 'unknown' : (standing?.mark ?? 'ok')) : 'bad'
  const outside = outsideLines(found, use, now)
  return {
    mark,
    title: `${name}: ${[state, health?.status, standing?.word].filter(Boolean).join(', ')}`,
    lines: [...outside.slice(0, 1), ...(inside?.lines ?? []), ...outside.slice(1)],
    details: [...(inside?.details ?? []), ...idsOf(found, configuredDir)],
    buttons: [
      [
        REFRESH,
        { label: 'Sessions', run: 'sessions' },
        { label: 'Logs', run: `logs ${name}` },
        { label: 'Restart', run: 'restart gateway' },
        { label: 'Recreate', run: 'recreate' },
      ],
    ],
  }
}

/** A gateway on this host. */
function hostGatewayPage(url: string, seen: Overview, now: number): Page {
  const { mark, word } = STANDINGS[seen.standing.state]
  const { lines, details } = insideLines(seen, now)
  return { mark, title: `Gateway ${url}: ${word}`, lines, details, buttons: [[REFRESH]] }
}

export function gatewayCommands(ops: GatewayOps): Command[] {
  return [
    command({
      name: 'gateway',
      role: 'viewer',
      about: 'The gateway: ready or not and why, its channels and sessions, its container and its limits.',
      menu: true,
      args: z.object({}),
      async run({ now }) {
        const { gatewayUrl, gatewayContainer, stateDir } = ops.config.docker
        if (gatewayUrl) return hostGatewayPage(gatewayUrl, await ops.overview(), now)
        const brief = await ops.findGateway()
        if (!brief) return noGatewayPage(gatewayContainer)
        const found = await ops.docker.inspect(brief.id)
        if (!found) throw new OpsError(`${brief.name} has just gone.`)
        const running = found.state === 'running'
        const [use, seen] = await Promise.all([
          running ? ops.docker.use(found.id) : undefined,
          running ? ops.overview() : undefined,
        ])
        return gatewayPage(found, use, seen, now, stateDir)
      },
    }),
  ]
}
