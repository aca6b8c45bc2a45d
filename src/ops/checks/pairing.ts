// The check of device pairing: puts what asks on cards, and says when too many ask at once.

import type { Gateway } from '../gateway/index.ts'
import { type Pairing, STORM } from '../pairing/index.ts'
import { plural } from '../words.ts'
import type { Check, Observation } from './index.ts'

export interface PairingCheckOptions {
  pairing: Pick<Pairing, 'look' | 'arrived' | 'nextLook'>
  link: Gateway['link']
  /** Looks again at a moment: what no event tells of is told at once too. UTC milliseconds. */
  lookAt: (at: number) => void
}

/** States of the link in which nothing can be asked: other alerts tell why. */
const NOBODY = ['NOT_RUNNING', 'NO_NODE', 'ENGINE', 'DOWN']

/** A retry of a client is no event, and events may be lost: the list is read every minute at least. */
export function pairingCheck({ pairing, link, lookAt }: PairingCheckOptions): Check {
  const self = { key: 'pairing/storm', area: 'gateway', title: 'Many devices ask to be let in' }
  return {
    name: 'pairing',
    every: 2,
    deadlineMs: 45_000,
    async look(): Promise<Observation[]> {
      const state = link()
      if (state.state === 'shut' && NOBODY.includes(state.code))
        return [{ ...self, verdict: 'unknown', why: state.why }]
      await pairing.look()
      const next = pairing.nextLook()
      if (next !== undefined) lookAt(next)
      const count = pairing.arrived()
      if (count <= STORM.devices)
        return [{ ...self, verdict: 'ok', why: `${plural(count, 'device')} in the last minute.` }]
      return [
        {
          ...self,
          verdict: 'bad',
          proof: true,
          why: `${count} different devices asked within a minute: that is no person. No more cards come while it lasts.`,
          mend: 'Who reaches the gateway’s port? It should answer on this host alone.',
          actions: [
            { label: 'Reject all', run: 'reject all' },
            { label: 'Devices', run: 'devices' },
          ],
        },
      ]
    },
  }
}
