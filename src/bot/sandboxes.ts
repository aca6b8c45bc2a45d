// What /sandboxes and /sandbox show: what is wrong first, browsers apart, and how old each fact is.

import type { SandboxLook } from '../ops/gateway/sandbox-daemon.ts'
import type { Sandbox } from '../ops/gateway/sandbox-facts.ts'
import { goneOf, type SandboxPolicy, type SandboxView } from '../ops/gateway/sandbox-registry.ts'
import type { RegistryLook } from '../ops/gateway/sandboxes.ts'
import { ago, bytes, duration, percent, plural } from '../ops/words.ts'
import { type Button, MARKS, type Mark, type Page, type Text } from './page.ts'

const PIDS_PERCENT = 80
const MOST_BUTTONS = 6

const IMAGE_WORDS: Record<Sandbox['imageMatch'], string> = {
  same: 'image matches',
  other: 'older image',
  missing: 'image missing',
  unknown: 'image not seen',
}

/** All that a page is made from. */
export interface Known {
  views: SandboxView[]
  images: Extract<SandboxLook, { state: 'seen' }>['images']
  gaps: string[]
  registry: RegistryLook
  policy: SandboxPolicy | undefined
}

const pidsPercent = ({ use, limits }: Sandbox) =>
  use.pids === undefined || limits.pids === undefined ? 0 : (100 * use.pids) / limits.pids

function markOf(view: SandboxView): Mark {
  const { imageMatch, oomKilled, running, orphan } = view
  if (imageMatch === 'missing' || (oomKilled && !running)) return 'bad'
  if (imageMatch === 'other' || oomKilled || orphan !== undefined || pidsPercent(view) >= PIDS_PERCENT)
    return 'warn'
  return imageMatch === 'unknown' ? 'unknown' : 'ok'
}

const ORDER: readonly Mark[] = ['bad', 'warn', 'unknown', 'ok']
const worstFirst = (views: readonly SandboxView[]) =>
  views.toSorted(
    (a, b) =>
      ORDER.indexOf(markOf(a)) - ORDER.indexOf(markOf(b)) ||
      Number(b.running) - Number(a.running) ||
      a.name.localeCompare(b.name),
  )

const ofLimit = (used: string, limit: string | undefined) =>
  limit === undefined ? used : `${used} of ${limit}`

/** CPU, memory and pids against their limits. */
function figuresOf({ use, limits }: Sandbox): string[] {
  const { cpuPercent, memoryBytes, pids } = use
  const { cpus } = limits
  const most = limits.memoryBytes === undefined ? undefined : bytes(limits.memoryBytes)
  return [
    ...(cpuPercent === undefined
      ? []
      : [ofLimit(`CPU ${percent(cpuPercent)}`, cpus === undefined ? undefined : percent(100 * cpus))]),
    ...(memoryBytes === undefined ? [] : [ofLimit(bytes(memoryBytes), most)]),
    ...(pids === undefined ? [] : [`${ofLimit(`${pids}`, limits.pids?.toString())} pids`]),
  ]
}

const standing = ({ state, running, exitCode }: Sandbox) =>
  running ? 'runs' : state === 'exited' ? `exited with ${exitCode}` : state

const pruneWords = (pruneAt: number, now: number) =>
  pruneAt > now ? `pruned in ${duration(pruneAt - now)} at the earliest` : 'pruned at the next use of any'

function troubleOf(view: SandboxView): string[] {
  return [
    ...(view.oomKilled ? ['out of memory'] : []),
    ...(pidsPercent(view) >= PIDS_PERCENT ? ['almost out of pids'] : []),
    ...(view.orphan === undefined ? [] : [view.orphan]),
  ]
}

/** What is behind the agent in a session's key; newer gateways put a long hash there. */
const ownSession = ({ session = '', agent }: Sandbox) =>
  agent === undefined ? session : session.slice(`agent:${agent}:`.length)

function lineOf(view: SandboxView, now: number): Text {
  const { agent, id, lastUsedAt, pruneAt, createdAt } = view
  const session = ownSession(view)
  const facts = [
    standing(view),
    ...troubleOf(view),
    IMAGE_WORDS[view.imageMatch],
    `made ${ago(now - createdAt)}`,
    ...(lastUsedAt === undefined ? [] : [`idle ${duration(now - lastUsedAt)}`]),
    ...figuresOf(view),
    ...(pruneAt === undefined ? [] : [pruneWords(pruneAt, now)]),
  ]
  return [
    `${MARKS[markOf(view)]} `,
    { bold: agent ?? 'no agent' },
    ...(session ? [` ${session.length > 24 ? `${session.slice(0, 23)}…` : session}`] : []),
    ' ',
    { code: id },
    `: ${facts.join(', ')}`,
  ]
}

function registryLines({ registry, views, policy }: Known, now: number): Text[] {
  const prune =
    policy &&
    [
      ...(policy.prune.idleHours > 0 ? [`idle for ${duration(policy.prune.idleHours * 3_600_000)}`] : []),
      ...(policy.prune.maxAgeDays > 0
        ? [`older than ${duration(policy.prune.maxAgeDays * 86_400_000)}`]
        : []),
    ].join(' or ')
  const rule =
    prune === undefined
      ? 'When they are pruned is not known: the gateway did not give its config.'
      : `Pruned, when an agent uses one: ${prune || 'never'}.`
  if (registry.state === 'unknown') return [`The gateway's registry was not read. ${registry.why}`, rule]
  const gone = goneOf(views, registry).map(
    ({ name, lastUsedAt }): Text => [
      'In the registry only: ',
      { code: name },
      `, last used ${ago(now - lastUsedAt)}`,
    ],
  )
  const elsewhere = registry.entries.filter(({ backend }) => backend !== 'docker').length
  return [
    ...gone,
    ...(elsewhere > 0 ? [`${plural(elsewhere, 'sandbox', 'sandboxes')} not in Docker`] : []),
    `The gateway's registry as of ${ago(now - registry.askedAt)}.`,
    rule,
  ]
}

const REFRESH: Button = { label: 'Refresh', run: 'sandboxes', inPlace: true }

export function unseenPage({ state, why }: { state: 'absent' | 'unknown'; why: string }): Page {
  return state === 'absent'
    ? { mark: 'info', title: why }
    : { mark: 'unknown', title: 'The sandboxes cannot be seen.', lines: [why], buttons: [[REFRESH]] }
}

/** Some of them, what is wrong first and the browsers apart. */
export function somePage(views: readonly SandboxView[], now: number): Page {
  const sorted = worstFirst(views)
  const browsers = sorted.filter(({ browser }) => browser)
  const running = views.filter((each) => each.running).length
  const others = views.some(({ imageMatch }) => imageMatch === 'other')
  return {
    mark: sorted[0] ? markOf(sorted[0]) : 'ok',
    title:
      views.length > 0
        ? `${plural(views.length, 'sandbox', 'sandboxes')}, ${running} running`
        : 'There are no sandboxes.',
    lines: [
      ...sorted.filter(({ browser }) => !browser).map((each) => lineOf(each, now)),
      ...(browsers.length > 0 ? [{ bold: 'Browsers' }, ...browsers.map((each) => lineOf(each, now))] : []),
    ],
    buttons: [
      ...sorted
        .slice(0, MOST_BUTTONS)
        .map(({ agent = 'no agent', id }) => [
          { label: `Details: ${agent} ${id}`.slice(0, 60), run: `sandbox ${id}` },
        ]),
      [REFRESH, ...(others ? [{ label: 'Recreate mismatched', run: 'sandboxes recreate mismatched' }] : [])],
    ],
  }
}

/** All of them, with what is missing and what the gateway knows besides. */
export function listPage(known: Known, now: number): Page {
  const { views, images, gaps, policy } = known
  const missing = (policy?.images ?? []).filter((each) => images[each]?.state === 'missing')
  const { lines = [], ...page } = somePage(views, now)
  return {
    ...page,
    ...(missing.length > 0 && { mark: 'bad' }),
    lines: [...missing.map((each): Text => [`${MARKS.bad} Image `, { code: each }, ' is missing']), ...lines],
    details: [...gaps, ...registryLines(known, now)],
  }
}

export function onePage(view: SandboxView, now: number): Page {
  const { name, id, agent, session, browser, image, imageId, imageBuiltAt, createdAt, finishedAt } = view
  const { lastUsedAt, pruneAt, running } = view
  const built = imageBuiltAt === undefined ? '' : `, built ${ago(now - imageBuiltAt)}`
  return {
    mark: markOf(view),
    title: `Sandbox${browser ? ' browser' : ''} of ${agent ?? 'no agent'}: ${standing(view)}`,
    lines: [
      ...troubleOf(view).map((each) => `${MARKS.warn} ${each}`),
      ['Image ', { code: image }, `: ${IMAGE_WORDS[view.imageMatch]}${built}`],
      figuresOf(view).join(', ') || 'No figures: they are had of what runs.',
      `Made ${ago(now - createdAt)}${lastUsedAt === undefined ? '' : `, last used ${ago(now - lastUsedAt)}`}`,
      ...(pruneAt === undefined ? [] : [`It is ${pruneWords(pruneAt, now)}.`]),
    ],
    details: [
      ['Container ', { code: name }, ' ', { code: id }, ', image ', { code: imageId }],
      ...(session === undefined ? [] : [['Session ', { code: session }]]),
      ...(!running && finishedAt !== undefined ? [`Ended ${ago(now - finishedAt)}`] : []),
    ],
    buttons: [
      [
        { label: 'Refresh', run: `sandbox ${id}`, inPlace: true },
        { ...REFRESH, label: 'All' },
      ],
    ],
  }
}
