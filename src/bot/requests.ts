// Cards of requests that wait for somebody's answer: what an agent asks to run.

import type { ApprovalCard } from '../ops/gateway/approvals.ts'
import { duration } from '../ops/words.ts'
import type { Clock } from './clock.ts'
import type { Button, Page, Text } from './page.ts'

/** Enough of an id to be found again by, and no more than a button can carry. */
const SHORT = 12

const DECISIONS: Record<string, string> = {
  'allow-once': 'allowed once',
  'allow-always': 'allowed from now on',
  deny: 'denied',
}

const ENDS: Record<Exclude<ApprovalCard['state'], 'pending'>, (card: ApprovalCard) => string> = {
  answered: ({ decision = '', by }) => `${DECISIONS[decision] ?? decision} by ${by}`,
  expired: () => 'nobody answered in time',
  gone: () => 'answered elsewhere or over',
}

/** What an agent asks to run, or what became of it. */
export function approvalPage(card: ApprovalCard, clock: Clock): Page {
  const { id, command, directory, agent, session, host, warning, createdAt, expiresAt, state, allowed } = card
  const who: Text = [
    ...(agent ? ['Agent ', { bold: agent }] : ['An agent']),
    ...(directory ? [' in ', { code: directory }] : []),
    ...(host ? [` on ${host}`] : []),
  ]
  const may = (decision: string) => allowed?.includes(decision) ?? true
  const buttons: Button[] = [
    ...(may('allow-once') ? [{ label: 'Allow once', run: `allow ${id.slice(0, SHORT)}` }] : []),
    ...(may('deny') ? [{ label: 'Deny', run: `deny ${id.slice(0, SHORT)}` }] : []),
  ]
  const pending = state === 'pending'
  return {
    mark: pending ? 'question' : card.decision?.startsWith('allow') ? 'ok' : 'info',
    title: pending ? 'An agent asks to run a command' : `Agent's command: ${ENDS[state](card)}`,
    lines: [
      { code: command },
      who,
      ...(warning ? [warning] : []),
      ...(pending ? [`Until ${clock.at(expiresAt)}, then it is not run.`] : []),
    ],
    details: [
      ...(session ? [['Session ', { code: session }]] : []),
      `Asked at ${clock.at(createdAt)}, time for ${duration(expiresAt - createdAt)}`,
      ...(pending && may('allow-always')
        ? [['Allowed from now on only by typing ', { code: `/allow ${id.slice(0, SHORT)} always` }]]
        : []),
    ],
    buttons: pending ? [buttons] : [],
  }
}
