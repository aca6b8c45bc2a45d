// Cards → pages: how each kind of card reads, from its facts alone.

import type { AlertFacts, AlertsCard } from '../ops/alerts/index.ts'
import type { Digest } from '../ops/digest.ts'
import type { ApprovalCard } from '../ops/gateway/approvals.ts'
import type { Notice } from '../ops/index.ts'
import type { DeviceCard, PairingCard } from '../ops/pairing/book.ts'
import type { RunbookCard } from '../ops/runbooks/index.ts'
import { duration, plural } from '../ops/words.ts'
import type { Clock } from './clock.ts'
import { type Button, MARKS, type Mark, type Page, type Text } from './page.ts'
import { approvalPage, devicePaired, pairingPage } from './requests.ts'

type Entry = AlertsCard['entries'][number]

function markOf({ phase, severity, mutedUntil }: AlertFacts): Mark {
  if (phase === 'resolved') return 'ok'
  // It may be over by now: only the newer card knows.
  if (phase === 'moved') return 'info'
  return mutedUntil ? 'muted' : severity === 'critical' ? 'bad' : 'warn'
}

const ELSEWHERE = 'A newer message tells how it goes on.'

function figure(value: number | undefined, unit = ''): string {
  return value === undefined ? '' : `${Math.round(value * 10) / 10}${unit}`
}

/** When it was, how long, and how bad: one line. */
function story(facts: AlertFacts, clock: Clock): string {
  const { phase, since, endedAt, peak, unit, flapping, fullInMs } = facts
  return [
    phase === 'resolved' && endedAt !== undefined
      ? `${clock.span(since, endedAt)} (${duration(endedAt - since)})`
      : `since ${clock.at(since)}`,
    ...(peak !== undefined ? [`peak ${figure(peak, unit)}`] : []),
    ...(flapping ? ['comes and goes'] : []),
    ...(fullInMs !== undefined ? [`full in about ${duration(fullInMs)} at this rate`] : []),
  ].join(' · ')
}

function care({ ack, mutedUntil, phase }: AlertFacts, clock: Clock): string[] {
  return [
    ...(ack ? [`Acknowledged by ${ack.by} at ${clock.at(ack.at)}`] : []),
    ...(mutedUntil && phase === 'firing' ? [`Muted until ${clock.at(mutedUntil)}`] : []),
  ]
}

/** The lines of one alert, below a title that names it. */
export function alertLines(facts: AlertFacts, clock: Clock): Text[] {
  const { why, phase, mend } = facts
  return [
    ...(phase === 'resolved' ? [] : [why]),
    story(facts, clock),
    ...care(facts, clock),
    ...(phase === 'moved' ? [ELSEWHERE] : []),
    ...(mend && phase === 'firing' ? [mend] : []),
  ]
}

/** @param meant what the buttons act on: an alert's number, or `card:<number>` for all on a card. */
const buttonsOf = (
  meant: string,
  acked: boolean,
  ack: string,
  details: string,
  actions: Button[] = [],
): Button[][] => [
  ...(actions.length > 0 ? [actions] : []),
  [
    ...(acked ? [] : [{ label: ack, run: `ack ${meant}` }]),
    { label: 'Mute 1 h', run: `mute ${meant} 1h` },
    { label: 'Mute 8 h', run: `mute ${meant} 8h` },
    { label: 'Details', run: details },
  ],
]

const PREFIX: Record<Entry['reason'], string> = {
  fired: '',
  worse: 'Worse: ',
  stage: '',
  unmuted: 'Still firing after its mute: ',
  reminder: 'Still firing: ',
  resolved: '',
}

/** @param unseen it was over before anybody saw it. */
function titleOf({ phase, reason, title }: Entry, unseen: boolean): string {
  if (phase !== 'resolved') return `${PREFIX[reason]}${title}`
  return unseen && reason !== 'resolved' ? `Came and went: ${title}` : `Resolved: ${title}`
}

function onePage(entry: Entry, unseen: boolean, clock: Clock): Page {
  const { id, phase, ack, actions, evidence = [] } = entry
  return {
    mark: markOf(entry),
    title: titleOf(entry, unseen),
    lines: alertLines(entry, clock),
    details: evidence.map((code) => ({ code })),
    buttons: phase === 'firing' ? buttonsOf(`${id}`, ack !== undefined, 'Ack', `alerts ${id}`, actions) : [],
  }
}

function manyPage(cardId: number, { heading, entries }: AlertsCard, unseen: boolean, clock: Clock): Page {
  const living = entries.filter(({ phase }) => phase === 'firing')
  const over = entries.filter(({ phase }) => phase === 'resolved')
  const acked = living.every(({ ack }) => ack)
  const counts = [
    ...(living.length ? [`${living.length} firing`] : []),
    ...(over.length ? [`${over.length} resolved`] : []),
  ]
  const when = heading && clock.span(heading.from, heading.to)
  const intro =
    heading && { quiet: `Quiet hours ${when}: `, startup: `While I was away ${when}: ` }[heading.kind]
  const worst = living.find(({ severity }) => severity === 'critical') ?? living[0]
  return {
    mark: worst ? markOf(worst) : over.length === entries.length ? 'ok' : 'info',
    title: `${intro ?? ''}${counts.join(', ') || plural(entries.length, 'alert')}`,
    lines: entries.map((entry) => [
      `${MARKS[markOf(entry)]} `,
      { bold: titleOf(entry, unseen) },
      `: ${entry.phase === 'moved' ? ELSEWHERE : story(entry, clock)}`,
    ]),
    details: living.map(({ title, why }) => `${title}: ${why}`),
    buttons: worst ? buttonsOf(`card:${cardId}`, acked, 'Ack all', 'alerts') : [],
  }
}

function alertsPage(cardId: number, facts: AlertsCard, unseen: boolean, clock: Clock): Page {
  const [only, another] = facts.entries
  return only && !another && !facts.heading
    ? onePage(only, unseen, clock)
    : manyPage(cardId, facts, unseen, clock)
}

/** What is open, as `/digest` and the daily card show it. */
export function digestPage({ open, mutes, failedJobs, frozen, well }: Digest, clock: Clock): Page {
  const critical = open.some(({ severity }) => severity === 'critical')
  return {
    mark: critical ? 'bad' : open.length > 0 ? 'warn' : 'ok',
    title: open.length > 0 ? `${plural(open.length, 'alert')} open` : 'All well',
    lines: [
      ...open.map((facts): Text => [{ bold: facts.title }, `: ${story(facts, clock)}`]),
      `${plural(well, 'thing')} looked at and found well`,
      ...mutes.map(({ subject, until, by }) => `Muted until ${clock.at(until)}: ${subject}, by ${by}`),
      ...failedJobs.map(({ name, message }) => `Job ${name} failed: ${message}`),
      ...(frozen ? [`Changes are frozen by ${frozen.by} since ${clock.at(frozen.at)}`] : []),
    ],
  }
}

const RUN: Record<RunbookCard['state'], { mark: Mark; word: string }> = {
  running: { mark: 'info', word: 'under way' },
  done: { mark: 'ok', word: 'done' },
  failed: { mark: 'bad', word: 'failed' },
  cancelled: { mark: 'warn', word: 'cancelled' },
  interrupted: { mark: 'bad', word: 'was cut off when I was stopped' },
}
const STEP: Record<RunbookCard['steps'][number]['state'], string> = {
  waiting: '·',
  running: '▶',
  done: '✓',
  failed: '✗',
  undone: '↩',
}

/** A runbook on its way, or how it ended. */
function runbookPage(card: RunbookCard, clock: Clock): Page {
  const { deedId, title, by, state, steps, startedAt, endedAt, left, actions = [], cancellable } = card
  const { mark, word } = RUN[state]
  const buttons = [...actions, ...(cancellable ? [{ label: 'Cancel', run: `cancel ${deedId}` }] : [])]
  return {
    mark,
    title: `${title}: ${word}`,
    lines: [
      ...steps.map(({ name, state: how, note }) => `${STEP[how]} ${name}${note ? `: ${note}` : ''}`),
      ...(left ? [left] : []),
    ],
    details: [
      `Begun by ${by} at ${clock.at(startedAt)}${endedAt ? `, took ${duration(endedAt - startedAt)}` : ''}`,
    ],
    buttons: buttons.length > 0 ? [buttons] : [],
  }
}

const noticePage = ({ title, lines }: Notice): Page => ({ mark: 'info', title, lines })

/**
 * The page of a card as it now stands.
 * @param unseen true while no copy of it was ever delivered to this chat.
 * @throws Error for a kind that nobody has defined.
 */
export function pageOfCard(
  card: { id: number; kind: string; facts: unknown },
  unseen: boolean,
  clock: Clock,
): Page {
  switch (card.kind) {
    case 'alerts':
      return alertsPage(card.id, card.facts as AlertsCard, unseen, clock)
    case 'digest':
      return digestPage(card.facts as Digest, clock)
    case 'runbook':
      return runbookPage(card.facts as RunbookCard, clock)
    case 'approval':
      return approvalPage(card.facts as ApprovalCard, clock)
    case 'pairing':
      return pairingPage(card.facts as PairingCard, clock)
    case 'device':
      return devicePaired(card.facts as DeviceCard, clock)
    case 'notice':
      return noticePage(card.facts as Notice)
    default:
      throw new Error(`no page for a card of kind ${card.kind}`)
  }
}

/** Whether a card still has something to ring for: what was over before it was first seen rings nobody. */
export function stillRings(card: { kind: string; ring: boolean; facts: unknown }): boolean {
  if (card.kind === 'approval' || card.kind === 'pairing')
    return card.ring && (card.facts as ApprovalCard | PairingCard).state === 'pending'
  if (card.kind !== 'alerts') return card.ring
  return card.ring && (card.facts as AlertsCard).entries.some(({ phase }) => phase === 'firing')
}
