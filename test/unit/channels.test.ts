// Accounts of channels: what is wrong with one, by the words of real gateways and at every edge.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { troubleOf } from '../../src/ops/gateway/channels.ts'
import { type Account, METHODS } from '../../src/ops/gateway/methods.ts'
import { MINUTE, SECOND, T0 } from './help.ts'

/** What a real gateway says of its channels, as it is read. */
const recorded = (name: string) =>
  METHODS['channels.status'].result.parse(
    JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/openclaw/channels-${name}.json`), 'utf8')),
  )
const accountIn = (name: string): Account => {
  const [account] = recorded(name).channelAccounts.telegram ?? []
  if (!account) throw new Error(`no account in ${name}`)
  return account
}
const connecting = accountIn('connecting-new')
const STARTED = connecting.lastStartAt ?? 0

const well: Account = { accountId: 'default', running: true, connected: true, lastStartAt: T0 - 5 * MINUTE }
const UP_UNCLEANLY = 'The gateway does not start it, because it came up uncleanly too often.'

describe('an account', () => {
  it.each<[string, Account, boolean, number, string | undefined, string?]>([
    ['that runs and is connected', well, false, T0, undefined],
    ['of a version that says nothing of it', { accountId: 'default' }, false, T0, undefined],
    ['that is switched off', { ...well, enabled: false, running: false }, true, T0, undefined],
    ['that was never set up', { ...well, configured: false, running: false }, true, T0, undefined],

    ['that is suppressed', well, true, T0, 'bad', UP_UNCLEANLY],
    [
      'that is suppressed (recorded)',
      accountIn('suppressed-new'),
      true,
      T0,
      'bad',
      'restart-loop breaker tripped',
    ],
    [
      'that does not run (recorded)',
      accountIn('suppressed-new'),
      false,
      T0,
      'bad',
      'It does not run. Its last error: gateway restart-loop',
    ],
    ['that does not run', { ...well, running: false }, false, T0, 'bad', 'It does not run.'],
    ['that is on its way', { ...well, running: false, lifecycle: 'starting' }, false, T0, undefined],
    [
      'that is about to be restarted',
      { ...well, running: false, restartPending: true },
      false,
      T0,
      undefined,
    ],

    ['that connects for 29 s (recorded)', connecting, false, STARTED + 29 * SECOND, undefined],
    [
      'that connects for almost two minutes (recorded)',
      connecting,
      false,
      STARTED + 2 * MINUTE - 1,
      undefined,
    ],
    [
      'that connects for two minutes (recorded)',
      connecting,
      false,
      STARTED + 2 * MINUTE,
      'bad',
      'It runs and is not connected, started 2 min ago.',
    ],
    [
      'whose start is unknown',
      { ...well, connected: false, lastStartAt: null },
      false,
      T0,
      'bad',
      'It runs and is not connected.',
    ],

    [
      'that is called stale',
      { ...well, healthState: 'stale-socket' },
      false,
      T0,
      'warn',
      'The gateway calls it stale-socket.',
    ],
    [
      'that is called so when it is young',
      { ...well, healthState: 'stale-socket', lastStartAt: T0 - MINUTE },
      false,
      T0,
      undefined,
    ],
    ...['healthy', 'busy', 'startup-connect-grace', 'starting', 'unmanaged'].map(
      (healthState): [string, Account, boolean, number, undefined] => [
        `that is called ${healthState}`,
        { ...well, healthState },
        false,
        T0,
        undefined,
      ],
    ),
    [
      'that makes a long story of it',
      { ...well, running: false, lastError: 'x'.repeat(10_000) },
      false,
      T0,
      'bad',
      `${'x'.repeat(300)}`,
    ],
  ])('%s', (_, account, suppressed, now, verdict, why) => {
    const seen = troubleOf(account, suppressed, now)
    expect(seen?.verdict).toBe(verdict)
    if (why) expect(seen?.why).toContain(why)
    expect(seen?.why.length ?? 0).toBeLessThan(500)
  })

  it('of an older gateway that knows none is nobody', () => {
    expect(recorded('old')).toMatchObject({ channelAccounts: {}, channelLabels: {} })
  })
})
