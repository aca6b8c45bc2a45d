// Alerts: /alerts, /ack, /mute, /unmute, /digest and the test alert.

import { z } from 'zod'
import type { AlertFacts, Alerts } from '../../ops/alerts/index.ts'
import { gatherDigest } from '../../ops/digest.ts'
import type { Ops } from '../../ops/index.ts'
import { bytes, duration } from '../../ops/words.ts'
import { alertLines, digestPage } from '../cards.ts'
import type { Clock } from '../clock.ts'
import { type Command, command, lengthOfTime, type Person } from '../command.ts'
import { MARKS, type Page, type Text } from '../page.ts'

type AlertOps = Pick<Ops, 'alerts' | 'deeds' | 'jobs' | 'meta' | 'mounts' | 'cards' | 'config'>

const meant = z.string().describe('its number, its key, or "all"')
const titles = (facts: readonly AlertFacts[]) => facts.map(({ title }) => title).join(', ')

function listPage(open: readonly AlertFacts[], mutes: ReturnType<Alerts['mutes']>, clock: Clock): Page {
  return {
    mark: open.some(({ severity }) => severity === 'critical') ? 'bad' : open.length > 0 ? 'warn' : 'ok',
    title: open.length > 0 ? `${open.length} firing` : 'No alert is firing',
    lines: [
      ...open.map(
        (facts): Text => [
          `${facts.mutedUntil ? MARKS.muted : facts.severity === 'critical' ? MARKS.bad : MARKS.warn} `,
          { code: `${facts.id}` },
          ' ',
          { bold: facts.title },
          `: ${facts.why}`,
        ],
      ),
      ...mutes.map(
        ({ subject, until, by }) => `${MARKS.muted} ${subject} muted until ${clock.at(until)} by ${by}`,
      ),
    ],
    buttons: open
      .slice(0, 8)
      .map(({ id, title }) => [{ label: `Details: ${title}`.slice(0, 60), run: `alerts ${id}` }]),
  }
}

export function alertCommands(ops: AlertOps, clock: Clock): Command[] {
  const { alerts, deeds } = ops

  /** Does a small deed at once and gives what came of it. */
  const perform = <T>(person: Person, name: string, detail: string, run: () => T): Promise<T> =>
    deeds.perform({ name, detail, danger: 'safe', run }, person).done

  /** What fills the file system of a disk alert. */
  async function largest(key: string): Promise<Text[]> {
    if (!key.startsWith('disk/')) return []
    const { found } = await ops.mounts.watched(ops.config.limits.diskMounts)
    const mount = found.find((each) => each.point === key.slice('disk/'.length))
    if (!mount) return []
    const { directories, complete } = await ops.mounts.largestDirectories(mount)
    return [
      { bold: complete ? 'Largest directories' : 'Largest directories seen in 20 s' },
      ...directories.map((each): Text => [`${bytes(each.bytes)} `, { code: each.path }]),
    ]
  }

  async function details(reference: string, now: number): Promise<Page> {
    const [facts] = alerts.find(reference, now)
    if (!facts) return { title: 'No such alert' }
    const { id, key, title, severity, ack, evidence = [], actions = [] } = facts
    return {
      mark: severity === 'critical' ? 'bad' : 'warn',
      title,
      lines: alertLines(facts, clock),
      details: [
        ['Number ', { code: `${id}` }, ', key ', { code: key }, `, ${severity}`],
        ...evidence.map((code): Text => ({ code })),
        ...(await largest(key)),
      ],
      buttons: [
        ...(actions.length > 0 ? [actions] : []),
        [
          ...(ack ? [] : [{ label: 'Ack', run: `ack ${id}` }]),
          { label: 'Mute 1 h', run: `mute ${id} 1h` },
          { label: 'Refresh', run: `alerts ${id}`, inPlace: true },
        ],
      ],
    }
  }

  return [
    command({
      name: 'alerts',
      role: 'viewer',
      about: 'What is firing; with a number behind it, all about that one.',
      menu: true,
      args: z.object({ alert: z.string().optional().describe('its number or its key') }),
      run: ({ args, now }) =>
        args.alert ? details(args.alert, now) : listPage(alerts.open(now), alerts.mutes(now), clock),
    }),
    command({
      name: 'ack',
      role: 'operator',
      about: 'Says that you look after an alert.',
      menu: true,
      danger: 'safe',
      args: z.object({ alert: meant }),
      async run({ args, person, now }) {
        const facts = await perform(person, 'ack', args.alert, () => alerts.ack(args.alert, person.name, now))
        return { mark: 'ok', title: `You look after: ${titles(facts)}`, brief: true }
      },
    }),
    command({
      name: 'mute',
      role: 'operator',
      about: 'Silences an alert for a while; if it still fires then, you are told once.',
      menu: true,
      danger: 'safe',
      args: z.object({
        alert: z.string().describe('its number, its key, an area such as "host", or "all"'),
        for: lengthOfTime.default(3_600_000).describe('30m, 8h, 2d; an hour when left out'),
      }),
      async run({ args, person, now }) {
        const until = now + args.for
        const subjects = await perform(person, 'mute', `${args.alert} for ${duration(args.for)}`, () =>
          alerts.mute(args.alert, until, person.name, now),
        )
        const title = `Muted until ${clock.at(until)}: ${subjects.join(', ')}`
        return { mark: 'muted', title, brief: true }
      },
    }),
    command({
      name: 'unmute',
      role: 'operator',
      about: 'Ends a mute.',
      danger: 'safe',
      args: z.object({ alert: meant }),
      async run({ args, person, now }) {
        const subjects = await perform(person, 'unmute', args.alert, () => alerts.unmute(args.alert, now))
        return { mark: 'ok', title: `No longer muted: ${subjects.join(', ')}`, brief: true }
      },
    }),
    command({
      name: 'digest',
      role: 'viewer',
      about: 'What is still open, muted or failed, as the daily digest says it.',
      args: z.object({}),
      run: ({ now }) => digestPage(gatherDigest(ops, now), clock),
    }),
    command({
      name: 'testalert',
      role: 'operator',
      about: 'Sends a test message the way that a critical alert goes, with a sound.',
      danger: 'safe',
      args: z.object({}),
      async run({ person, now }) {
        await perform(person, 'test alert', '', () =>
          ops.cards.raise(
            {
              kind: 'notice',
              audience: 'alerts',
              ring: true,
              facts: {
                title: 'Test alert',
                lines: [`Asked for by ${person.name}. Alerts reach this chat, and ring.`],
              },
            },
            now,
          ),
        )
        return { mark: 'ok', title: 'On its way to the alert chat.' }
      },
    }),
  ]
}
