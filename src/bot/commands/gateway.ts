// What /gateway shows of the gateway's container.

import type { Container } from '../../ops/docker/index.ts'
import { ago, bytes, duration, percent, plural } from '../../ops/words.ts'
import type { Page } from '../page.ts'

/** @param configured the name that it should have. */
export const noGatewayPage = (configured: string | undefined): Page =>
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

export function gatewayPage(
  found: Container,
  use: { memoryBytes: number; cpuPercent: number; pids: number } | undefined,
  now: number,
  configuredDir: string | undefined,
): Page {
  const stateDir =
    configuredDir ?? found.mounts.find(({ destination }) => destination.endsWith('/.openclaw'))?.source
  const { name, state, health, startedAt, restartCount, image, imageId, createdAt, limits, id } = found
  const well = state === 'running' && health?.status !== 'unhealthy'
  const memory =
    use &&
    `Memory ${bytes(use.memoryBytes)}${limits.memoryBytes ? ` of ${bytes(limits.memoryBytes)} (${percent((100 * use.memoryBytes) / limits.memoryBytes)})` : ''}`
  const cpu =
    use &&
    `CPU ${percent(use.cpuPercent)} of a core${limits.cpus ? `, limit ${limits.cpus}` : ''}, ${plural(use.pids, 'process', 'processes')}`
  return {
    mark: well ? (health?.status === 'starting' ? 'unknown' : 'ok') : 'bad',
    title: `${name}: ${state}${health ? `, ${health.status}` : ''}`,
    lines: [
      ...(startedAt && state === 'running'
        ? [`Up ${duration(now - startedAt)}, ${plural(restartCount, 'restart')} by Docker`]
        : []),
      ...(memory ? [memory] : []),
      ...(cpu ? [cpu] : []),
      [`Image `, { code: image }, `, container made ${ago(now - createdAt)}`],
    ],
    details: [
      [
        'Container ',
        { code: id.slice(0, 12) },
        ', image ',
        { code: imageId.replace('sha256:', '').slice(0, 12) },
      ],
      ...(stateDir ? [['State directory on this host ', { code: stateDir }]] : []),
      ...(health?.lastOutput ? [`Last health check: ${health.lastOutput.slice(0, 500)}`] : []),
    ],
    buttons: [
      [
        { label: 'Refresh', run: 'gateway', inPlace: true },
        { label: 'Logs', run: `logs ${name}` },
        { label: 'Recreate', run: 'recreate' },
      ],
    ],
  }
}
