// Checks of the gateway from inside: ready or not and why, the line into it, its event loop, its channels.

import { troubleOf } from '../gateway/channels.ts'
import { type Gateway, GatewayError } from '../gateway/index.ts'
import type { Account } from '../gateway/methods.ts'
import { refusalOf } from '../gateway/standing.ts'
import { duration } from '../words.ts'
import type { Check, Observation } from './index.ts'

export interface GatewayCheckOptions {
  gateway: Pick<Gateway, 'link' | 'ready' | 'standing' | 'ask'>
  /** The key of the alert about its container, which explains this one. */
  because: () => string
  now: () => number
}

const SELF = { area: 'gateway' }
/** Codes of a call that did not reach the gateway: others tell why. */
const UNHEARD = ['CLOSED', 'MUTE']
/** So long after its start a gateway is busy with that: newer ones call their loop slow for 50 s (measured). */
const BUSY_MS = 120_000

export function gatewayChecks({ gateway, because, now }: GatewayCheckOptions): Check[] {
  function readiness(): Observation {
    const { state, why } = gateway.standing()
    const self = { ...SELF, key: 'gateway/ready', title: 'The gateway is not ready', why, because: because() }
    const actions = [
      { label: 'Gateway', run: 'gateway' },
      { label: 'Restart', run: 'restart gateway' },
    ]
    switch (state) {
      case 'ready':
        return { ...self, verdict: 'ok' }
      case 'not ready':
        return { ...self, verdict: 'bad', proof: true, actions }
      default:
        return { ...self, verdict: 'unknown' }
    }
  }

  function line(): Observation {
    const self = {
      ...SELF,
      key: 'gateway/link',
      title: 'There is no line into the gateway',
      because: 'gateway/ready',
    }
    const link = gateway.link()
    if (link.state === 'open')
      return { ...self, verdict: 'ok', why: `Open for ${duration(now() - link.since)}.` }
    if (link.code === 'NO_NODE') return { ...self, verdict: 'absent', why: link.why }
    const refusal = refusalOf(link, gateway.ready())
    return refusal ? { ...self, verdict: 'bad', ...refusal } : { ...self, verdict: 'unknown', why: link.why }
  }

  function eventLoop(): Observation[] {
    const { degraded, reasons = [], delayP99Ms } = gateway.ready()?.eventLoop ?? {}
    if (degraded === undefined) return []
    const self = {
      ...SELF,
      key: 'gateway/loop',
      title: "The gateway's event loop is slow",
      because: 'gateway/ready',
    }
    const figure =
      delayP99Ms === undefined ? '' : ` 99 of 100 turns take ${Math.round(delayP99Ms)} ms or less.`
    const link = gateway.link()
    if (degraded && (link.state === 'shut' || now() - link.since < BUSY_MS))
      return [{ ...self, verdict: 'unknown', why: 'It has only just started, and is busy with that.' }]
    return [
      degraded
        ? {
            ...self,
            verdict: 'warn',
            why: `It says so itself: ${reasons.join(', ') || 'without a reason'}.${figure}`,
          }
        : { ...self, verdict: 'ok', why: `It keeps up.${figure}` },
    ]
  }

  let last: Observation[] = []
  const itself = { ...SELF, key: 'channel', title: 'The channels of the gateway' }
  const unseen = (why: string) =>
    (last.length > 0 ? last : [itself]).map((each): Observation => ({ ...each, verdict: 'unknown', why }))

  function observe(channel: string, label: string, account: Account): Observation {
    const name = account.accountId === 'default' ? label : `${label} (${account.accountId})`
    const suppressed = gateway.ready()?.suppressed?.includes(channel) ?? false
    const trouble = troubleOf(account, suppressed, now())
    const self = {
      ...SELF,
      key: `channel/${channel}/${account.accountId}`,
      title: `Channel ${name} does not work`,
      because: because(),
    }
    if (trouble) return { ...self, ...trouble, mend: '/restart gateway tries it again.' }
    return { ...self, verdict: account.enabled === false ? 'absent' : 'ok', why: 'It works.' }
  }

  /** Channels that are on; without the gateway nothing is known of them. */
  async function channels(): Promise<Observation[]> {
    const link = gateway.link()
    if (link.state === 'shut') return unseen(link.why)
    try {
      const { value } = await gateway.ask('channels.status')
      last = Object.entries(value.channelAccounts).flatMap(([channel, accounts]) =>
        accounts.map((account) => observe(channel, value.channelLabels[channel] ?? channel, account)),
      )
      return last
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error
      if (UNHEARD.includes(error.code) || gateway.standing().state !== 'ready') return unseen(error.message)
      throw error
    }
  }

  return [
    { name: 'gateway', look: async () => [readiness(), line(), ...eventLoop()] },
    { name: 'channels', every: 2, deadlineMs: 15_000, look: channels },
  ]
}
