// Restarts of the gateway by itself: those that it was asked for here, and those that it only told of.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import type { Cards } from '../state/cards.ts'
import { duration, plural } from '../words.ts'
import type { Gateway } from './index.ts'
import { runsIn } from './sessions.ts'
import type { Announced, LinkState } from './standing.ts'

export interface RestartsOptions {
  gateway: Pick<Gateway, 'call' | 'link' | 'standing'>
  cards: Pick<Cards, 'raise'>
  redact: (text: string) => string
  now: () => number
}

const LOOK_MS = 100

const meansToReturn = ({ reason, restartExpectedMs }: Announced) =>
  restartExpectedMs !== null || /restart/i.test(reason)

export function createRestarts({ gateway, cards, redact, now }: RestartsOptions) {
  /** What it said when it went. */
  let away: Announced | undefined
  /** How many of ours are under way: these are told by who asked for them. */
  let ours = 0

  return {
    /** A restart that the gateway told of and came back from is no crash: it is told as what it was. */
    note(link: LinkState): void {
      if (link.state === 'shut' && link.announced && meansToReturn(link.announced)) away = link.announced
      if (link.state === 'shut' || !away) return
      const { reason, at } = away
      away = undefined
      if (ours > 0) return
      const lines = [`It said: ${reason || 'nothing'}.`, `It was away for ${duration(now() - at)}.`]
      const facts = { title: 'The gateway restarted itself', lines: lines.map(redact) }
      cards.raise({ kind: 'notice', audience: 'alerts', facts, ring: false }, now())
    },
    /** What its agents do, where it can restart by itself; undefined where its version cannot, or is not reached. */
    async offer(): Promise<string | undefined> {
      const link = gateway.link()
      if (link.state === 'shut' || !link.methods.includes('gateway.restart.request')) return undefined
      const runs = runsIn((await gateway.call('gateway.restart.preflight')).counts)
      return runs > 0 ? `they are at work (${plural(runs, 'run')})` : 'they are idle'
    },
    /**
     * Asks it to restart, which waits for its agents, and waits until it is ready again.
     * @returns how long that took, in words.
     * @throws OpsError when it is not back within `timeoutMs`.
     */
    async ask(reason: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
      const began = now()
      ours += 1
      try {
        const before = gateway.link().since
        await gateway.call('gateway.restart.request', { reason })
        while (now() - began < timeoutMs && !signal.aborted) {
          const { state, since } = gateway.link()
          if (state === 'open' && since > before && gateway.standing().state === 'ready')
            return `ready again after ${duration(now() - began)}`
          await sleep(LOOK_MS)
        }
      } finally {
        ours -= 1
      }
      throw new OpsError(`It was asked to restart and was not ready again within ${duration(timeoutMs)}.`)
    },
  }
}
