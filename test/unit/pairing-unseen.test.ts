// /pairing where one of its two questions is not answered: blind is never "nobody".

import { expect, it } from 'vitest'
import { createClock } from '../../src/bot/clock.ts'
import { pairingCommands } from '../../src/bot/commands/pairing.ts'
import { OpsError } from '../../src/errors.ts'
import { T0 } from './help.ts'

it('says that nodes were not seen, and why, instead of showing none', async () => {
  const senders = {
    list: async () => ({ senders: [], source: 'link' }),
    nodes: () => Promise.reject(new OpsError('The gateway did not answer.')),
  }
  const [list] = pairingCommands(
    { senders, deeds: {} } as never,
    createClock('UTC', () => T0),
  )
  const page = await list?.run({ args: {}, now: T0 } as never)
  expect(page).toMatchObject({
    mark: 'unknown',
    lines: ['Whether a node waits was not seen: The gateway did not answer.'],
  })
})
