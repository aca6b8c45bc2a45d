// The derived documents: README tables, `.env.example` and pictures, compared here and written by `npm run docs`.

import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { pageOfCard } from '../src/bot/cards.ts'
import { createClock } from '../src/bot/clock.ts'
import { listCommands } from '../src/bot/commands/index.ts'
import { commandTable } from '../src/bot/derive.ts'
import { termsMarkdown } from '../src/bot/terms.ts'
import { envExample, keyTable } from '../src/keys.ts'
import type { AlertsCard } from '../src/ops/alerts/index.ts'
import type { RunbookCard } from '../src/ops/runbooks/index.ts'
import { chatPicture } from './docs/chat.ts'

// The definitions alone are read: nothing of what they would work on is needed.
const commands = listCommands({ ops: {}, jobs: {}, clock: {} } as never)

/** Puts `body` between `<!-- name -->` and `<!-- /name -->`. */
function fill(text: string, name: string, body: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`]
  const [from, to] = [text.indexOf(open), text.indexOf(close)]
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}`)
  return `${text.slice(0, from + open.length)}\n${body}\n${text.slice(to)}`
}

it('the README has the tables of commands and keys, and the terms', async () => {
  const readme = readFileSync('README.md', 'utf8')
  const tables = { commands: commandTable(commands), keys: keyTable(), terms: termsMarkdown() }
  const filled = Object.entries(tables).reduce((text, [name, body]) => fill(text, name, body), readme)
  await expect(filled).toMatchFileSnapshot('../README.md')
})

it('.env.example has every key', async () => {
  await expect(envExample()).toMatchFileSnapshot('../.env.example')
})

const at = (time: string) => Date.parse(`2026-11-20T${time}:00Z`)
const entry = {
  id: 17,
  key: 'disk//',
  area: 'host',
  title: 'Disk / almost full',
  why: '91 % used, 4.5 GB free of 50 GB',
  severity: 'warning' as const,
  since: at('14:02'),
  peak: 93.4,
  unit: ' %',
  reason: 'fired' as const,
  ack: { by: 'Ann', at: at('14:05') },
  mend: 'Details shows the largest directories.',
}

it('the picture of an alert is what the bot sends', async () => {
  const clock = createClock('UTC', () => at('15:00'))
  const page = (changes: object) =>
    pageOfCard(
      { id: 1, kind: 'alerts', facts: { entries: [{ ...entry, ...changes }] } as AlertsCard },
      false,
      clock,
    )
  const over = { phase: 'resolved', endedAt: at('14:25'), ack: undefined }
  const picture = chatPicture('An alert that is acknowledged and resolved, and a mute', [
    page({ phase: 'firing', fullInMs: 5 * 3_600_000 }),
    page({ ...over, reason: 'resolved' }),
    { from: 'Ann', text: '/mute host 2h' },
    { mark: 'muted', title: 'Muted until 16:58 UTC: host' },
  ])
  await expect(picture).toMatchFileSnapshot('../docs/pictures/alert.svg')
})

it('the picture of a recreate is what the bot sends', async () => {
  const clock = createClock('UTC', () => at('15:00'))
  const step = (name: string, note: string) => ({ name, note, state: 'done' as const })
  const facts: RunbookCard = {
    ...{ deedId: 7, title: 'recreate openclaw-gateway', by: 'Ann', cancellable: false },
    ...{ startedAt: at('14:02'), endedAt: at('14:02') + 41_000, state: 'done' },
    steps: [
      step('snapshot', '20261120-140201-openclaw-gateway'),
      step('stop', 'ended in 2 s'),
      step('make anew', ''),
      step('boot', 'healthy in 36 s'),
      step('proof', 'container 3f2a91c07be4 with the values of .env'),
    ],
  }
  const dead = {
    ...{ phase: 'firing', severity: 'critical', since: at('14:00'), ack: undefined, peak: undefined },
    ...{ title: 'Container openclaw-gateway does not run well', mend: undefined },
    why: 'It was killed because it ran out of memory. It runs again.',
    actions: [
      { label: 'Logs', run: '' },
      { label: 'Restart', run: '' },
      { label: 'Recreate', run: '' },
    ],
  }
  const picture = chatPicture('A dead gateway, and the runbook that made it anew', [
    pageOfCard(
      { id: 1, kind: 'alerts', facts: { entries: [{ ...entry, ...dead }] } as unknown as AlertsCard },
      false,
      clock,
    ),
    { from: 'Ann', text: '/recreate' },
    pageOfCard({ id: 2, kind: 'runbook', facts }, false, clock),
  ])
  await expect(picture).toMatchFileSnapshot('../docs/pictures/recreate.svg')
})
