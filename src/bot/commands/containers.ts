// Containers: /ps, /logs, /restart, /up, /down.

import { z } from 'zod'
import { messageOf, OpsError } from '../../errors.ts'
import { meant } from '../../ops/deployment.ts'
import type { ContainerBrief } from '../../ops/docker/index.ts'
import type { Notice, Ops } from '../../ops/index.ts'
import { plural } from '../../ops/words.ts'
import { type Call, type Command, command, lengthOfTime, type Plan } from '../command.ts'
import { MARKS, type Mark, type Page, type Text } from '../page.ts'

type ContainerOps = Pick<
  Ops,
  | 'cards'
  | 'docker'
  | 'findGateway'
  | 'expected'
  | 'deeds'
  | 'stopped'
  | 'watch'
  | 'ownRestart'
  | 'restartItself'
  | 'now'
>

const LINES = { usual: 50, most: 5_000 }
const STOP_SECONDS = 330
/** The gateway gives its agents up to 315 s (measured), and starts within a minute. */
const OWN_RESTART_MS = 420_000

const container = z.string().describe('its name, its service, or the beginning of either')

function markOf({ state, status }: ContainerBrief): Mark {
  if (state !== 'running') return state === 'exited' || state === 'created' ? 'warn' : 'bad'
  return status.includes('unhealthy') ? 'bad' : 'ok'
}

export function containerCommands(ops: ContainerOps): Command[] {
  const { docker, deeds, stopped, watch } = ops

  /** One container by what people call it; "gateway" is the gateway, whatever its name. */
  async function find(word: string): Promise<ContainerBrief> {
    const gateway = word === 'gateway' ? await ops.findGateway() : undefined
    return gateway ?? meant(await docker.list(), word)
  }

  /** One that should run: nothing is done to any other. */
  async function findOurs(word: string): Promise<ContainerBrief & { key: string }> {
    const brief = await find(word)
    const expected = await ops.expected()
    const ours = expected.find(({ id }) => id === brief.id)
    if (!ours)
      throw new OpsError(
        `${brief.name} is none of the containers that should run here: ${expected.map(({ name }) => name).join(', ') || 'there are none'}. WATCH_CONTAINERS adds to them.`,
      )
    return { ...brief, key: ours.key }
  }

  async function ps(): Promise<Page> {
    const all = (await docker.list()).sort((a, b) => a.name.localeCompare(b.name))
    const running = all.filter(({ state }) => state === 'running')
    const worst = all.map(markOf)
    return {
      mark: worst.includes('bad') ? 'bad' : 'ok',
      title: `${running.length} of ${plural(all.length, 'container')} running`,
      lines: all.map((each) => [`${MARKS[markOf(each)]} `, { bold: each.name }, ` ${each.status}`]),
      buttons: [[{ label: 'Refresh', run: 'ps', inPlace: true }]],
    }
  }

  async function logs(word: string, lines: number, sinceMs: number | undefined): Promise<Page> {
    const { id, name } = await find(word)
    const text = (await docker.logs(id, { lines, ...(sinceMs !== undefined && { sinceMs }) })).trimEnd()
    if (!text)
      return {
        mark: 'info',
        title: `${name} has printed nothing${sinceMs === undefined ? '' : ' since then'}.`,
      }
    const all = text.split('\n')
    const long = text.length > 3_500
    const more = { label: `${lines * 4} lines`, run: `logs ${name} ${lines * 4}` }
    return {
      mark: 'info',
      title: `${name}: the last ${plural(all.length, 'line')}`,
      ...(long
        ? { lines: ['They are in the file.'], file: { name: `${name}.log`, text } }
        : { details: all.map((code): Text => ({ code })) }),
      buttons: [
        [
          { label: 'Refresh', run: `logs ${name} ${lines}` },
          ...(lines * 4 <= LINES.most && all.length >= lines ? [more] : []),
        ],
      ],
    }
  }

  /** A plan for what is done to one container with one call. */
  const simplePlan =
    (what: string, argv: (name: string, brief: ContainerBrief) => string[]) =>
    async ({ args }: Call<{ container: string }>): Promise<Plan> => {
      const brief = await findOurs(args.container)
      const { id, name, status } = brief
      const details = [{ code: argv(name, brief).join(' ') }]
      return { basis: id, page: { title: `${what} ${name}?`, lines: [status], details } }
    }

  /** What the gateway says of its own restart, when the gateway is meant and can do that. */
  async function ownRestartOf(word: string): Promise<string | undefined> {
    const [{ id }, gateway] = await Promise.all([find(word), ops.findGateway().catch(() => undefined)])
    return gateway?.id === id ? await ops.ownRestart() : undefined
  }

  async function planRestart(call: Call<{ container: string }>): Promise<Plan> {
    const own = await ownRestartOf(call.args.container)
    const argv = (name: string) => ['docker', 'restart', '-t', `${STOP_SECONDS}`, name]
    const plan = await simplePlan(
      'Restart',
      own === undefined ? argv : () => ['gateway.restart.request'],
    )(call)
    if (own === undefined) return plan
    const lines = [
      ...(plan.page.lines ?? []),
      `By its own restart, which waits for its agents to end their work; ${own}.`,
    ]
    return { ...plan, basis: `${plan.basis} itself`, page: { ...plan.page, lines } }
  }

  /** Starts a deed on one container; it may take minutes: then its end is told by a card of its own. */
  async function act(
    { args, person, place }: Call<{ container: string }>,
    verb: string,
    done: string,
    deed: (brief: ContainerBrief & { key: string }, signal: AbortSignal) => Promise<unknown>,
  ): Promise<Page> {
    const brief = await findOurs(args.container)
    // When it cannot be told which one is the gateway, as if this were of its project: the stricter lock.
    const ours = await ops.findGateway().then(
      (gateway) => brief.compose !== undefined && brief.compose.project === gateway?.compose?.project,
      () => true,
    )
    const { done: ended } = deeds.perform(
      {
        name: verb,
        detail: brief.name,
        danger: 'disruptive',
        // Not while a runbook is at work on the same project.
        resource: ours ? 'gateway' : `container/${brief.name}`,
        run: (signal) => deed(brief, signal),
      },
      person,
    )
    const quick = await Promise.race([
      ended.then(() => true),
      new Promise<false>((resolve) => setTimeout(resolve, 3_000, false)),
    ])
    watch.nudge('containers')
    if (quick) return { mark: 'ok', title: `${brief.name} ${done}` }
    const tell = (facts: Notice) =>
      ops.cards.raise({ kind: 'notice', audience: `chat:${place.chatId}`, facts, ring: false }, ops.now())
    ended.then(
      (note) =>
        tell({ title: `${brief.name} ${done}`, lines: typeof note === 'string' ? [`It is ${note}.`] : [] }),
      (error) => tell({ title: `${brief.name}: ${verb} failed.`, lines: [messageOf(error)] }),
    )
    return { mark: 'info', title: `${brief.name}: ${verb} is under way. Its end will be told here.` }
  }

  return [
    command({
      name: 'ps',
      role: 'viewer',
      about: 'Every container and how it is.',
      args: z.object({}),
      run: ps,
    }),
    command({
      name: 'logs',
      role: 'operator',
      about: "The end of a container's log.",
      args: z.object({
        container,
        lines: z
          .string()
          .regex(/^[1-9]\d{0,3}$/, `must be a number from 1 to ${LINES.most}`)
          .transform(Number)
          .refine((count) => count <= LINES.most, `must be ${LINES.most} at most`)
          .default(LINES.usual)
          .describe('how many, 50 when left out'),
        since: lengthOfTime.optional().describe('only what is not older: 30m, 8h'),
      }),
      run: ({ args, now }) =>
        logs(args.container, args.lines, args.since === undefined ? undefined : now - args.since),
    }),
    command({
      name: 'restart',
      role: 'operator',
      about: 'Restarts a container. It keeps its old environment: /recreate loads a changed .env.',
      danger: 'disruptive',
      args: z.object({ container }),
      plan: planRestart,
      async run(call) {
        const own = await ownRestartOf(call.args.container)
        const by = call.person.name
        return await act(call, 'restart', 'was restarted.', async ({ id, key }, signal) => {
          if (own === undefined) return await docker.restart(id, STOP_SECONDS)
          // On a busy machine it ends instead, and Docker starts it again (measured).
          stopped.set(key, by)
          const done = ops.restartItself(`asked by ${by}`, OWN_RESTART_MS, signal)
          return await done.finally(() => stopped.clear(key))
        })
      },
    }),
    command({
      name: 'up',
      role: 'operator',
      about: 'Starts a container that does not run.',
      danger: 'disruptive',
      args: z.object({ container }),
      plan: simplePlan('Start', (name, { state }) => [
        'docker',
        state === 'paused' ? 'unpause' : 'start',
        name,
      ]),
      run: (call) =>
        act(call, 'up', 'was started.', async (brief) => {
          await (brief.state === 'paused' ? docker.unpause(brief.id) : docker.start(brief.id))
          stopped.clear(brief.key)
        }),
    }),
    command({
      name: 'down',
      role: 'operator',
      about: 'Stops a container, and does not alert about it until it is up again.',
      danger: 'disruptive',
      args: z.object({ container }),
      plan: simplePlan('Stop', (name) => ['docker', 'stop', '-t', `${STOP_SECONDS}`, name]),
      run: (call) =>
        act(call, 'down', 'was stopped.', async (brief) => {
          stopped.set(brief.key, call.person.name)
          await docker.stop(brief.id, STOP_SECONDS).catch((error) => {
            // It may go on running: a later death of it is not ours.
            stopped.clear(brief.key)
            throw error
          })
        }),
    }),
  ]
}
