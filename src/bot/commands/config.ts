// The gateway's config: /config.

import { z } from 'zod'
import { type ConfigLook, observationsOf } from '../../ops/checks/config.ts'
import type { Observation } from '../../ops/checks/index.ts'
import { type Change, type ConfigHistory, changesSince, type Kept } from '../../ops/gateway/config.ts'
import type { SeenStateDir } from '../../ops/gateway/statedir.ts'
import { ago, bytes, plural } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Command, command } from '../command.ts'
import { MARKS, type Mark, type Page, type Text } from '../page.ts'

export interface ConfigOps {
  lookAtConfig: () => Promise<ConfigLook>
  goodConfig: ConfigHistory
}

const SHOWN = 40
const PATH_LENGTH = 160
const TITLES: Record<'valid' | 'refused' | 'unknown', { mark: Mark; title: string }> = {
  valid: { mark: 'ok', title: 'The gateway finds its config valid' },
  refused: { mark: 'bad', title: 'The gateway refuses its config' },
  unknown: { mark: 'unknown', title: 'Whether the gateway takes its config is not known' },
}

const HIDDEN = '(hidden)'
const SIGNS: Record<Change['kind'], (change: Change) => string> = {
  added: ({ after = HIDDEN }) => ` added: ${after}`,
  removed: ({ before = HIDDEN }) => ` removed, it was ${before}`,
  changed: ({ before, after }) =>
    before === undefined && after === undefined
      ? ' changed (hidden)'
      : `: ${before ?? HIDDEN} → ${after ?? HIDDEN}`,
}

function changeLines(changes: readonly Change[]): Text[] {
  const more = changes.length - SHOWN
  return [
    ...changes
      .slice(0, SHOWN)
      .map((each): Text => [{ code: each.path.slice(0, PATH_LENGTH) }, SIGNS[each.kind](each)]),
    ...(more > 0 ? [`… and ${more} more`] : []),
  ]
}

/** What is different from the config that the gateway ran well with. */
function sinceGood(
  seen: SeenStateDir,
  good: Kept | undefined,
  clock: Clock,
): { heading: string; lines: Text[] } {
  const { config } = seen
  if (!good)
    return {
      heading: 'No good one is known to compare it with: that takes 10 minutes of a ready gateway.',
      lines: [],
    }
  const since = `the good one of ${clock.at(good.at)}`
  if (!config) return { heading: `All of ${since} is gone.`, lines: [] }
  if (!config.flat)
    return { heading: `It cannot be read, so it is not compared with ${since}: it is no JSON5.`, lines: [] }
  const changes = changesSince(good, config.flat)
  if (changes.length === 0) return { heading: `Nothing changed since ${since}.`, lines: [] }
  return { heading: `${plural(changes.length, 'change')} since ${since}:`, lines: changeLines(changes) }
}

const trouble = ({ verdict, title, why, mend }: Observation): Text => [
  `${MARKS[verdict === 'bad' ? 'bad' : verdict === 'warn' ? 'warn' : 'unknown']} `,
  { bold: title },
  `: ${why}${mend ? ` ${mend}` : ''}`,
]

function fileLines({ config, owner, path, clobbered }: SeenStateDir, now: number, clock: Clock): Text[] {
  const facts =
    config &&
    `, mode ${config.mode.toString(8)}, owner ${config.uid}:${config.gid}, ${bytes(config.bytes)}, changed ${ago(Math.max(0, now - config.modifiedAt))}`
  return [
    config ? [{ code: config.path }, facts ?? ''] : ['There is no openclaw.json in ', { code: path }],
    ...(config?.touchedBy ? [`Last written by OpenClaw ${config.touchedBy.slice(0, 40)}`] : []),
    `Files of its state belong to ${owner.uid}:${owner.gid}${owner.strangers.length > 0 ? `, ${owner.strangers.length} of them do not` : ''}`,
    ...clobbered.map(({ name, at }): Text => ['Set aside: ', { code: name }, `, ${clock.at(at)}`]),
  ]
}

function sourceLine({ validity }: ConfigLook, now: number): Text[] {
  if (!validity || validity.state === 'unknown') return []
  const { source, at } = validity
  return [
    `Its own word, ${source === 'link' ? 'over the link' : 'by its CLI'}, ${ago(Math.max(0, now - at))}`,
  ]
}

export function configPage(
  look: ConfigLook,
  { good, before }: { good: Kept | undefined; before: Kept | undefined },
  now: number,
  clock: Clock,
): Page {
  const { validity } = look
  const { mark, title } = TITLES[validity?.state ?? 'unknown']
  const issues = validity?.state === 'refused' ? validity.issues : []
  const buttons = [[{ label: 'Refresh', run: 'config', inPlace: true as const }]]
  if (look.state === 'unseen')
    return {
      // What is valid and cannot be looked at is not all well.
      mark: mark === 'ok' ? 'warn' : mark,
      ...{ title, lines: [...issues, look.why], details: sourceLine(look, now), buttons },
    }
  const { seen } = look
  const [valid, ...others] = observationsOf(look, good !== undefined, now)
  const ill = others.filter(({ verdict }) => verdict !== 'ok' && verdict !== 'absent')
  const { heading, lines } = sinceGood(seen, good, clock)
  const older = good && before && lines.length === 0 ? changeLines(changesSince(before, good.flat)) : []
  const worst = ill.some(({ verdict }) => verdict === 'bad') ? 'bad' : ill.length > 0 ? 'warn' : mark
  return {
    mark: mark === 'ok' ? worst : mark,
    title: seen.config ? title : 'There is no openclaw.json',
    lines: [
      ...(issues.length > 0 ? issues : valid?.verdict === 'ok' ? [] : [valid?.why ?? '']),
      ...ill.map(trouble),
      heading,
      ...lines,
    ],
    details: [
      ...fileLines(seen, now, clock),
      ...sourceLine(look, now),
      ...(older.length > 0 && before
        ? [`What was changed after the good one of ${clock.at(before.at)}:`, ...older]
        : []),
    ],
    buttons,
  }
}

export function configCommands(ops: ConfigOps, clock: Clock): Command[] {
  return [
    command({
      name: 'config',
      role: 'operator',
      about:
        "The gateway's config: valid or not and why, what changed since it last ran well, whose file it is.",
      args: z.object({}),
      async run({ now }) {
        const { lookAtConfig, goodConfig } = ops
        const kept = { good: goodConfig.good(), before: goodConfig.before() }
        return configPage(await lookAtConfig(), kept, now, clock)
      },
    }),
  ]
}
