// The gateway's sessions: /sessions.

import { z } from 'zod'
import type { Gateway } from '../../ops/gateway/index.ts'
import type { Asked, Result, Session } from '../../ops/gateway/methods.ts'
import { busyIn, touchedIn, workWords } from '../../ops/gateway/sessions.ts'
import { ago, percent, plural } from '../../ops/words.ts'
import { type Command, command } from '../command.ts'
import type { Page, Text } from '../page.ts'

type Sessions = Asked<Result<'sessions.list'>>

export interface SessionOps {
  gateway: Pick<Gateway, 'ask'>
}

const ASKED_FOR = 50
const NAME_LENGTH = 48

/** When something last happened in it. The CLI of older versions knows only when it was written. */
const touchedAt = ({ lastActivityAt, updatedAt }: Session) => lastActivityAt ?? updatedAt ?? undefined

/** `agent:main:telegram:direct:42` → its agent, and what it is called there. */
export function nameOf({ key, agentId, displayName }: Session): { agent: string; name: string } {
  const [, agent = '?', rest = key] = /^agent:([^:]*):(.*)$/s.exec(key) ?? []
  return {
    agent: (agentId ?? agent).slice(0, NAME_LENGTH),
    name: (displayName || rest).replaceAll(/\s+/g, ' ').slice(0, NAME_LENGTH),
  }
}

/** `12.4k`: tokens as people count them. */
export const thousands = (tokens: number) =>
  tokens < 1_000
    ? `${tokens}`
    : tokens < 999_500
      ? `${Number((tokens / 1_000).toPrecision(3))}k`
      : `${Number((tokens / 1_000_000).toPrecision(3))}M`

function contextOf({ totalTokens, contextTokens }: Session): string | undefined {
  if (typeof totalTokens !== 'number') return undefined
  if (!contextTokens) return `${thousands(totalTokens)} tokens`
  return `${thousands(totalTokens)} of ${thousands(contextTokens)} tokens (${percent((100 * totalTokens) / contextTokens)})`
}

function lineOf(session: Session, busy: boolean, now: number): Text {
  const { agent, name } = nameOf(session)
  const at = touchedAt(session)
  const facts = [
    busy ? 'at work' : session.status,
    session.model ?? undefined,
    contextOf(session),
    at === undefined ? undefined : ago(Math.max(0, now - at)),
  ]
  const words = facts.flatMap((each) => (each ? [each.slice(0, NAME_LENGTH)] : []))
  return [{ bold: `${agent} · ${name}` }, words.length > 0 ? `: ${words.join(', ')}` : '']
}

/** Newest first. */
export function sessionsPage({ value, source, at }: Sessions, now: number): Page {
  const sessions = value.sessions
    .toSorted((a, b) => (touchedAt(b) ?? 0) - (touchedAt(a) ?? 0))
    .slice(0, ASKED_FOR)
  const busy = busyIn(sessions)
  const work = workWords({ busy: busy.length, touched: touchedIn(sessions, now).length })
  const count = Math.max(value.totalCount ?? value.count, value.sessions.length)
  const left = count - sessions.length
  return {
    mark: 'info',
    title: count === 0 ? 'There are no sessions' : `${plural(count, 'session')}, ${work}`,
    lines: sessions.map((each) => lineOf(each, busy.includes(each), now)),
    details: [
      ...(left > 0 ? [`${left} older ones are not shown`] : []),
      ...(source === 'cli'
        ? [`Seen by the gateway's CLI ${ago(Math.max(0, now - at))}: the link is shut`]
        : []),
    ],
    buttons: [[{ label: 'Refresh', run: 'sessions', inPlace: true }]],
  }
}

export function sessionCommands(ops: SessionOps): Command[] {
  return [
    command({
      name: 'sessions',
      role: 'viewer',
      about: 'The sessions of the agents, newest first: at work or not, model, tokens of context.',
      args: z.object({}),
      run: async ({ now }) => sessionsPage(await ops.gateway.ask('sessions.list', { limit: ASKED_FOR }), now),
    }),
  ]
}
