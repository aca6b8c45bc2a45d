// Sandboxes: /sandboxes, /sandbox, /sandboxes recreate.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { SandboxLook } from '../../ops/gateway/sandbox-daemon.ts'
import { type SandboxView, viewsOf } from '../../ops/gateway/sandbox-registry.ts'
import type { Sandboxes } from '../../ops/gateway/sandboxes.ts'
import type { Runbook, Runbooks } from '../../ops/runbooks/index.ts'
import type { SandboxesContext, SandboxesInput } from '../../ops/runbooks/sandboxes.ts'
import { type Command, command } from '../command.ts'
import { type Known, listPage, onePage, somePage, unseenPage } from '../sandboxes.ts'
import { runbookRoad } from './runbooks.ts'

export interface SandboxOps {
  sandboxes: Sandboxes
  runbooks: Runbooks
  recreateSandboxes: Runbook<SandboxesInput, SandboxesContext>
}

/** The registry takes seconds: an answer does not wait for all of them. */
const REGISTRY = { maxAgeMs: 5 * 60_000, withinMs: 3_000 }
/** @returns those that are meant by a name, an id, a session or an agent, else those whose name or id begins so. */
export function meantBy(views: readonly SandboxView[], word: string): SandboxView[] {
  const wanted = word.toLowerCase()
  const exact = views.filter(({ name, id, session, agent }) =>
    [name, id, session, agent].some((each) => each?.toLowerCase() === wanted),
  )
  return exact.length > 0
    ? exact
    : views.filter(({ name, id }) => [name, id].some((each) => each.startsWith(wanted)))
}

export function sandboxCommands({ sandboxes, runbooks, recreateSandboxes }: SandboxOps): Command[] {
  const { start, planned } = runbookRoad(runbooks)

  /** All that is known, or why nothing is. The registry is read meanwhile. */
  async function gather(now: number): Promise<Known | Exclude<SandboxLook, { state: 'seen' }>> {
    const reading = sandboxes.registry(REGISTRY)
    const policy = await sandboxes.policy()
    const look = await sandboxes.list(policy?.images)
    if (look.state !== 'seen') return look
    const registry = await reading
    const known = { policy, registry: registry.state === 'seen' ? registry : undefined }
    const { images, gaps } = look
    return { views: viewsOf(look.sandboxes, known, now), images, gaps, registry, policy }
  }

  return [
    command({
      name: 'sandboxes',
      role: 'viewer',
      about: 'The containers that agents work in: image, age, use against limits, next prune.',
      args: z.object({}),
      async run({ now }) {
        const known = await gather(now)
        return 'views' in known ? listPage(known, now) : unseenPage(known)
      },
    }),
    command({
      name: 'sandbox',
      role: 'viewer',
      about: 'All about one sandbox, or those of an agent.',
      args: z.object({ sandbox: z.string().describe('its name or id, or the beginning of it, or an agent') }),
      async run({ args, now }) {
        const known = await gather(now)
        if (!('views' in known)) return unseenPage(known)
        const meant = meantBy(known.views, args.sandbox)
        if (meant.length === 0)
          throw new OpsError(`No sandbox is meant by "${args.sandbox.slice(0, 64)}". /sandboxes lists them.`)
        const [one, ...more] = meant
        return one && more.length === 0 ? onePage(one, now) : somePage(meant, now)
      },
    }),
    command({
      name: 'sandboxes recreate',
      role: 'operator',
      about: 'Removes sandboxes by the gateway’s own command; each is made anew at its next use.',
      danger: 'disruptive',
      args: z.object({
        which: z.string().optional().describe('an agent, "mismatched" or "all"; all when left out'),
        browsers: z
          .enum(['+browsers'], 'must be "+browsers"')
          .optional()
          .describe('"+browsers": the browsers too'),
      }),
      plan: ({ args }) => planned(recreateSandboxes, inputOf(args)),
      run: (call) => start(recreateSandboxes, inputOf(call.args), call),
    }),
  ]
}

/** `+browsers` may stand alone. */
function inputOf(args: { which?: string | undefined; browsers?: string | undefined }): SandboxesInput {
  const alone = args.which === '+browsers'
  return {
    which: alone || args.which === undefined ? 'all' : args.which,
    browsers: alone || args.browsers !== undefined,
  }
}
