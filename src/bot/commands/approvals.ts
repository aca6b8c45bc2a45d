// Exec approvals: /approvals, /approvals on, /approvals off, /allow, /deny.

import { z } from 'zod'
import type { ApprovalCard, Decision } from '../../ops/gateway/approvals.ts'
import type { Ops } from '../../ops/index.ts'
import { plural } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Page, Text } from '../page.ts'
import { approvalPage } from '../requests.ts'

type ApprovalOps = Pick<Ops, 'approvals' | 'approving' | 'deeds'>

const id = z
  .string()
  .regex(/^[\w-]{4,64}$/, 'must be the beginning of its id')
  .describe('the beginning of its id, as /approvals shows it')

export function approvalCommands({ approvals, approving, deeds }: ApprovalOps, clock: Clock): Command[] {
  function list(): Page {
    const on = approving.get()
    const waiting = approvals.pending()
    const toggle = on ? { label: 'Off', run: 'approvals off' } : { label: 'On', run: 'approvals on' }
    return {
      mark: waiting.length > 0 ? 'question' : 'info',
      title: on
        ? waiting.length > 0
          ? `${plural(waiting.length, 'command')} of agents to allow or deny`
          : 'Nothing to allow or deny'
        : 'Agents do not ask here',
      lines: [
        on
          ? `Switched on by ${on.by} at ${clock.at(on.at)}.`
          : 'While it is on, agents without a screen wait for an answer from here instead of being denied at once.',
        ...waiting.map(
          (each): Text => [{ code: each.id.slice(0, 12) }, ' ', { code: each.command.slice(0, 120) }],
        ),
      ],
      buttons: [[toggle, { label: 'Refresh', run: 'approvals', inPlace: true }]],
    }
  }

  async function answer({ args, person }: Call<{ id: string }>, decision: Decision): Promise<Page> {
    const asked = approvals.pending().find((each) => each.id.startsWith(args.id))
    const detail = asked
      ? `${asked.command.slice(0, 200)}${asked.agent ? ` for ${asked.agent}` : ''}`
      : args.id
    const started = deeds.perform(
      {
        ...{ name: decision, detail, danger: 'safe' },
        run: () => approvals.answer(args.id, decision, person.name),
      },
      person,
    )
    const card: ApprovalCard = await started.done
    return { ...approvalPage(card, clock), brief: true }
  }

  function set(on: boolean, { person }: Call): Promise<Page> {
    const deed = {
      ...{ name: `approvals ${on ? 'on' : 'off'}`, detail: 'exec approvals', danger: 'safe' as const },
      run: () => approving.set(on ? person.name : undefined),
    }
    return deeds.perform(deed, person).done.then(list)
  }

  return [
    command({
      name: 'approvals',
      role: 'viewer',
      about: 'What agents ask to run and wait for, and whether they ask here.',
      args: z.object({}),
      run: list,
    }),
    command({
      name: 'approvals on',
      role: 'owner',
      about: 'From now on agents ask here before they run what their rules do not allow.',
      danger: 'safe',
      args: z.object({}),
      run: (call) => set(true, call),
    }),
    command({
      name: 'approvals off',
      role: 'owner',
      about: 'Agents do not ask here any more.',
      danger: 'safe',
      args: z.object({}),
      run: (call) => set(false, call),
    }),
    command({
      name: 'allow',
      role: 'operator',
      about: "Allows an agent's command; with “always” behind it, from now on.",
      danger: 'safe',
      args: z.object({
        id,
        how: z
          .enum(['once', 'always'], 'must be "once" or "always"')
          .default('once')
          .describe('"once" when left out, or "always"'),
      }),
      run: (call) => answer(call, call.args.how === 'always' ? 'allow-always' : 'allow-once'),
    }),
    command({
      name: 'deny',
      role: 'operator',
      about: "Denies an agent's command.",
      danger: 'safe',
      args: z.object({ id }),
      run: (call) => answer(call, 'deny'),
    }),
  ]
}
