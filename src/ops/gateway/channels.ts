// What is wrong with an account of a channel, by what the gateway says of it. Pure.

import { ago } from '../words.ts'
import type { Account } from './methods.ts'

/** A channel may take so long until it is connected: the gateway's own grace (its log, 2026.9.6). */
const CONNECT_MS = 120_000
/** States of a channel's health that mean no harm (2026.9.6). */
const HARMLESS = ['healthy', 'busy', 'startup-connect-grace', 'starting', 'unmanaged']

/**
 * What is wrong with it; undefined when nothing is, or it is switched off.
 * @param suppressed the gateway does not start it, by its `/readyz`.
 */
export function troubleOf(
  account: Account,
  suppressed: boolean,
  now: number,
): { verdict: 'warn' | 'bad'; why: string } | undefined {
  const {
    enabled = true,
    configured = true,
    running,
    connected,
    lifecycle,
    healthState,
    lastError,
    lastStartAt,
  } = account
  if (!enabled || !configured) return undefined
  const said = lastError ? ` Its last error: ${lastError.slice(0, 300)}` : ''
  if (suppressed)
    return {
      verdict: 'bad',
      why: `The gateway does not start it, because it came up uncleanly too often.${said}`,
    }
  const young = lastStartAt != null && now - lastStartAt < CONNECT_MS
  if (running === false && lifecycle !== 'starting' && !account.restartPending)
    return { verdict: 'bad', why: `It does not run.${said}` }
  if (running && connected === false && !young)
    return {
      verdict: 'bad',
      why: `It runs and is not connected${lastStartAt != null ? `, started ${ago(now - lastStartAt)}` : ''}.${said}`,
    }
  if (running && healthState && !HARMLESS.includes(healthState) && !young)
    return { verdict: 'warn', why: `The gateway calls it ${healthState}.${said}` }
  return undefined
}
