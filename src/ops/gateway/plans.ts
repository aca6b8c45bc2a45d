// What a plan has to know before the gateway is stopped, and the proof that it is back.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import type { Finding } from '../runbooks/index.ts'
import { duration, plural } from '../words.ts'
import { type ReportedCredential, readCredentials } from './credentials.ts'
import type { Gateway } from './index.ts'
import { within } from './overview.ts'
import { busyIn, runsIn, touchedIn } from './sessions.ts'
import { refusalOf } from './standing.ts'

type Asked = Pick<Gateway, 'ask' | 'call' | 'cli' | 'link' | 'ready' | 'standing'>

const warn = (text: string): Finding => ({ level: 'warn', text })
const ok = (text: string): Finding => ({ level: 'ok', text })

async function configFinding({ ask }: Asked): Promise<Finding> {
  const { valid, issues } = (await ask('config.get')).value
  const [first] = issues
  if (valid !== false) return ok('the gateway finds its config valid')
  return warn(
    `the gateway refuses its config (${first ? `${first.path || 'at the top'}: ${first.message.slice(0, 120)}` : 'it gives no reason'}): it will not start with it`,
  )
}

async function workFinding({ ask, link }: Asked, now: number): Promise<Finding> {
  const state = link()
  const counts =
    state.state === 'open' && state.methods.includes('gateway.restart.preflight')
      ? (await ask('gateway.restart.preflight')).value.counts
      : undefined
  const sessions = (await ask('sessions.list', { limit: 100 })).value.sessions
  const busy = Math.max(counts ? runsIn(counts) : 0, busyIn(sessions).length)
  if (busy > 0)
    return warn(`its agents are at work (${plural(busy, 'run')}): what they do not end in time is broken off`)
  const touched = touchedIn(sessions, now).length
  return touched > 0
    ? warn(
        `its agents may be at work (${plural(touched, 'session')} used in the last 10 min): what they do not end in time is broken off`,
      )
    : ok('its agents are idle')
}

const SOON_MS = 10 * 60_000

/** A gateway that is started with an expired credential answers nothing; one that runs may have a newer one in memory. */
export function credentialFinding(
  credentials: readonly ReportedCredential[],
  now: number,
): Finding | undefined {
  const [next] = credentials
    .filter(({ expiresAt }) => expiresAt !== undefined)
    .toSorted((a, b) => (b.expiresAt ?? 0) - (a.expiresAt ?? 0))
  const ended = ({ profileId }: ReportedCredential) =>
    warn(`its model credential ${profileId} has ended: agents will fail until it is renewed`)
  if (next?.expiresAt === undefined) {
    const [first] = credentials
    return first && credentials.every(({ expired }) => expired) ? ended(first) : undefined
  }
  const { profileId, expiresAt } = next
  const left = expiresAt - now
  if (left <= 0) return ended(next)
  if (left < SOON_MS) return warn(`its model credential ${profileId} ends in ${duration(left)}`)
  return ok(`its model credential ${profileId} lasts for ${duration(left)}`)
}

/** What stopping the gateway would break off or bring to light. What cannot be asked is said; nothing of it blocks. */
export async function findingsBeforeStop(gateway: Asked, now: number): Promise<Finding[]> {
  const link = gateway.link()
  if (link.state === 'shut')
    return link.code === 'NO_NODE' ? [] : [warn(`what it is doing was not seen from inside: ${link.why}`)]
  const unseen = (what: string) => (error: unknown) => warn(`${what} was not seen: ${messageOf(error)}`)
  const found = await Promise.all([
    within(configFinding(gateway)).catch(unseen('whether its config is valid')),
    within(workFinding(gateway, now)).catch(unseen('what it is doing')),
    within(readCredentials(gateway))
      .then((all) => credentialFinding(all, now))
      .catch(unseen('when its model credential ends')),
  ])
  return found.filter((each) => each !== undefined)
}

const READY_MS = 180_000
/** Without a way in for so long, there is none. */
const BLIND_MS = 30_000

/**
 * Waits until the gateway says that it is ready, over a line that was opened since.
 * @param since when its container was started. UTC milliseconds.
 * @returns a note; empty when this is no OpenClaw gateway.
 * @throws OpsError when it is not ready in time, or refuses the line.
 */
export async function proveReady(
  gateway: Pick<Gateway, 'link' | 'ready' | 'standing'> & {
    /** What its log says of why it does not come up. */
    sign: () => Promise<{ why: string; mend: string } | undefined>
  },
  since: number,
  now: () => number,
  signal: AbortSignal,
): Promise<string> {
  const began = now()
  async function failed(why: string): Promise<OpsError> {
    const sign = await gateway.sign().catch(() => undefined)
    return new OpsError(sign ? `It does not come up. ${sign.why} ${sign.mend}` : why)
  }
  while (!signal.aborted && now() - began < READY_MS) {
    const link = gateway.link()
    const standing = gateway.standing()
    if ((link.state === 'open' ? link.since : link.seenAt) >= since) {
      if (link.state === 'open' && standing.state === 'ready')
        return `ready over the link after ${duration(now() - began)}`
      if (link.state === 'shut' && link.code === 'NO_NODE') return ''
      const refusal = refusalOf(link, gateway.ready())
      if (refusal) throw new OpsError(`${refusal.why}${refusal.mend ? ` ${refusal.mend}` : ''}`)
      if (standing.state === 'unknown' && now() - began > BLIND_MS)
        throw await failed(`Whether it is ready cannot be seen: ${standing.why}`)
    }
    await sleep(100, undefined, { signal }).catch(() => {})
  }
  throw await failed(`It was not ready within ${duration(now() - began)}: ${gateway.standing().why}`)
}
