// The gateway at one look: what its link, its channels and its sessions say, each with what could not be asked.

import { messageOf, OpsError } from '../../errors.ts'
import { troubleOf } from './channels.ts'
import type { Gateway, LinkState, Standing } from './index.ts'
import type { Ask, Result } from './methods.ts'
import { busyIn, touchedIn } from './sessions.ts'
import type { Ready } from './standing.ts'

export interface Overview {
  standing: Standing
  link: LinkState
  ready?: Ready
  version?: string
  /** Each account of each channel that is switched on. */
  channels?: { name: string; trouble?: string }[]
  agents?: string[]
  /** Sessions that there are, those at work, and those used just now by a version that does not say which are. */
  sessions?: { count: number; busy: number; touched: number }
  /** Of the gateway's process. Bytes. */
  memoryBytes?: number
  eventLoop?: { degraded: boolean; reasons: string[]; delayP99Ms?: number | undefined }
  pluginErrors: number
  /** What could not be asked, and why. */
  unseen: string[]
  /** Whether anything of it came from the CLI. */
  byCli: boolean
  at: number
}

/** A page has to be there before its reader gives up: what takes longer is not seen. */
const PATIENCE_MS = 8_000

/** @throws OpsError when that takes longer. */
export async function within<T>(asked: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new OpsError('no answer in time')), PATIENCE_MS)
  return await Promise.race([asked, late]).finally(() => clearTimeout(timer))
}

/** Asks for everything at once. Never throws. */
export async function lookOver(
  gateway: Pick<Gateway, 'ask' | 'link' | 'ready' | 'standing' | 'version'>,
  now: number,
): Promise<Overview> {
  const unseen: string[] = []
  let byCli = false
  const missed = (what: string) => (error: unknown) => {
    unseen.push(`${what}: ${messageOf(error)}`)
    return undefined
  }
  const ask = async <M extends Parameters<Ask>[0]>(
    method: M,
    what: string,
    params?: Record<string, unknown>,
  ) => {
    const asked = await within(gateway.ask(method, params)).catch(missed(what))
    byCli ||= asked?.source === 'cli'
    return asked?.value as Result<M> | undefined
  }
  const link = gateway.link()
  if (link.state === 'shut' && link.code === 'NO_NODE')
    return { standing: gateway.standing(), link, pluginErrors: 0, unseen, byCli, at: now }
  const has = (method: string) => link.state === 'open' && link.methods.includes(method)
  const [version, health, channels, sessions, status] = await Promise.all([
    within(gateway.version()).catch(missed('its version')),
    ask('health', 'its health'),
    ask('channels.status', 'its channels'),
    ask('sessions.list', 'its sessions', { limit: 100 }),
    has('status') ? ask('status', 'its memory') : undefined,
  ])
  const ready = gateway.ready()
  return {
    ...{
      standing: gateway.standing(),
      // It may have been opened meanwhile.
      link: gateway.link(),
      pluginErrors: health?.plugins?.errors.length ?? 0,
      unseen,
      byCli,
      at: now,
    },
    ...(ready && { ready }),
    ...(version && { version }),
    ...(health && { agents: health.agents.map(({ agentId }) => agentId) }),
    ...(channels && {
      channels: Object.entries(channels.channelAccounts).flatMap(([channel, accounts]) =>
        accounts
          .filter(({ enabled = true, configured = true }) => enabled && configured)
          .map((account) => {
            const trouble = troubleOf(account, ready?.suppressed?.includes(channel) ?? false, now)?.why
            const label = channels.channelLabels[channel] ?? channel
            const name = account.accountId === 'default' ? label : `${label} (${account.accountId})`
            return trouble ? { name, trouble } : { name }
          }),
      ),
    }),
    ...(sessions && {
      sessions: {
        count: Math.max(sessions.count, sessions.sessions.length),
        busy: busyIn(sessions.sessions).length,
        touched: touchedIn(sessions.sessions, now).length,
      },
    }),
    ...(status?.processMemory && { memoryBytes: status.processMemory.rssBytes }),
    ...(health?.eventLoop && { eventLoop: health.eventLoop }),
  }
}
