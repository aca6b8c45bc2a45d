// Cards of requests that wait for somebody's answer: what an agent asks to run, devices that ask to be let in.

import type { ApprovalCard } from '../ops/gateway/approvals.ts'
import type { DeviceCard, PairingCard } from '../ops/pairing/book.ts'
import type { PairingRequest } from '../ops/pairing/devices.ts'
import { harmless, scopeWords } from '../ops/pairing/words.ts'
import { duration } from '../ops/words.ts'
import type { Clock } from './clock.ts'
import type { Button, Mark, Page, Text } from './page.ts'

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

/** Scopes or roles by their own names, which a client may have chosen. */
export const scopeNames = (names: readonly string[], none = 'no scopes'): string =>
  names.flatMap((each) => harmless(each) ?? []).join(', ') || none

/** What a device may do, most dangerous first. */
export function scopeLines(scopes: readonly string[]): Text[] {
  const words = scopeWords(scopes)
  return words.length > 0
    ? [`May ${words.length > 1 ? '' : 'only '}${words[0]}`, ...words.slice(1)]
    : ['No scopes']
}

const KINDS: Record<PairingRequest['kind'], string> = {
  new: 'New',
  repair: 'Known before, asks anew',
  upgrade: 'Paired, and wants more than it has',
}

/** What somebody has to know before they let a device in. */
export function requestLines(request: PairingRequest, clock: Clock): Pick<Page, 'lines' | 'details'> {
  const { kind, platform, client, address, origin, roles, scopes, has, askedAt, endsAt, device, requestId } =
    request
  const from = [client, platform, address].filter(Boolean).join(', ')
  const more = kind === 'upgrade' ? scopes.filter((each) => !has?.includes(each)) : scopes
  return {
    lines: [
      `${KINDS[kind]}${from ? `: ${from}` : ''}`,
      ...(kind === 'upgrade' ? [`Has: ${scopeNames(has ?? [], 'nothing')}`, 'Wants besides:'] : []),
      ...scopeWords(more).map((each): Text => (each.startsWith('admin') ? { bold: each } : each)),
      ...(roles.includes('node') ? [{ bold: 'as a node: agents may run commands on it' }] : []),
      `Asked at ${clock.at(askedAt)}, until ${clock.at(endsAt)}`,
    ],
    details: [
      ['Device ', { code: device }, ', request ', { code: requestId.slice(0, 8) }],
      ...(origin ? [`From the page ${origin}`] : []),
      ...(kind !== 'new' && has ? [`Now has: ${scopeNames(has, 'nothing')}`] : []),
    ],
  }
}

/** How a request ended, for a title and for what follows. */
function endOf(card: PairingCard, clock: Clock): { mark: Mark; title: string; lines: Text[] } {
  const { state, name, by, answeredAt, connectedAt, absent } = card
  const at = answeredAt === undefined ? '' : ` ${clock.exact(answeredAt)}`
  const who = by ?? 'somebody else'
  switch (state) {
    case 'approved':
      return {
        mark: absent ? 'warn' : 'ok',
        title: `${name}: approved by ${who}${at}${connectedAt ? `, connected ${clock.exact(connectedAt)}` : ''}`,
        lines: absent ? [absent] : [],
      }
    case 'rejected':
      return absent
        ? { mark: 'warn', title: `${name}: approved by ${who}${at}, and removed again`, lines: [absent] }
        : { mark: 'info', title: `${name}: rejected by ${who}${at}`, lines: [] }
    case 'expired':
      return { mark: 'info', title: `${name}: expired`, lines: ['Reload the page to ask again.'] }
    default:
      return { mark: 'info', title: `${name}: answered elsewhere, or taken back`, lines: [] }
  }
}

/** A device that asks to be let in, or what became of it. */
export function pairingPage(card: PairingCard, clock: Clock): Page {
  const { state, name, requestId, print, device, tries, source } = card
  const { lines = [], details = [] } = requestLines(card, clock)
  const more = [
    ...details,
    ...(tries > 1 ? [`Asked ${tries} times`] : []),
    ...(source === 'cli' ? ['Seen by the gateway’s CLI: the link is shut'] : []),
  ]
  if (state !== 'pending') {
    const end = endOf(card, clock)
    return { ...end, details: [...lines, ...more] }
  }
  return {
    mark: 'question',
    title: `${name} wants to be let in`,
    lines,
    details: more,
    buttons: [
      [
        { label: 'Approve', run: `approve ${requestId} ${print}` },
        { label: 'Reject', run: `reject ${requestId}` },
        { label: 'Details', run: `device ${device}` },
      ],
    ],
  }
}

const VIA: ReadonlyMap<string, string> = new Map([
  ['silent', 'the gateway itself, without asking anybody'],
  ['owner', 'an owner, by the CLI or the Control UI'],
  ['trusted-cidr', 'the gateway, because of its address'],
  ['trusted-proxy', 'the gateway, because of its proxy'],
  ['bootstrap', 'a bootstrap code'],
])

/** A device that was let in without us. */
export function devicePaired(card: DeviceCard, clock: Clock): Page {
  const { device, name, platform, client, address, scopes, via, approvedAt, had } = card
  const from = [client, platform, address].filter(Boolean).join(', ')
  return {
    mark: 'warn',
    title: had ? `${name} may do more than before` : `${name} was let in, and not by opsbot`,
    lines: [
      ['Device ', { code: device }, from ? `, ${from}` : ''],
      `By ${VIA.get(via ?? '') ?? via ?? 'somebody; this version does not say who'}`,
      ...scopeLines(scopes),
    ],
    details: [
      ...(approvedAt ? [`Paired at ${clock.at(approvedAt)}`] : []),
      ...(had ? [`Had: ${scopeNames(had, 'nothing')}`] : []),
    ],
    buttons: [
      [
        { label: 'Remove', run: `device remove ${device}` },
        { label: 'Details', run: `device ${device}` },
      ],
    ],
  }
}
