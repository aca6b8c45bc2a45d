// Runbooks: /recreate, /rollback, /cancel.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { Ops } from '../../ops/index.ts'
import type { Runbook, RunbookPlan, Runbooks } from '../../ops/runbooks/index.ts'
import type { RollbackInput } from '../../ops/runbooks/rollback.ts'
import { type Call, type Command, command, type Plan } from '../command.ts'
import { MARKS, type Mark, type Page, type Text } from '../page.ts'

type RunbookOps = Pick<Ops, 'runbooks' | 'recreate' | 'rollback'>

const rollbackInput = ({
  snapshot,
  credentials,
}: {
  snapshot?: string | undefined
  credentials?: string | undefined
}): RollbackInput => ({
  ...(snapshot !== undefined && { snapshotId: snapshot }),
  credentials: credentials !== undefined,
})

/** Newer credentials stay newer, unless an owner will have the old ones. */
function checkCredentials({ args, person }: Call<{ credentials?: string | undefined }>): void {
  if (args.credentials !== undefined && person.role !== 'owner')
    throw new OpsError('Only an owner brings older credentials back: leave the word away.')
}

/** A runbook's plan as what is to be confirmed. */
function planPage(title: string, { findings, commands, target, idle }: RunbookPlan<unknown>): Page {
  const blocked: Mark = idle ? 'ok' : 'bad'
  const worst: Mark = findings.some(({ level }) => level === 'block')
    ? blocked
    : findings.some(({ level }) => level === 'warn')
      ? 'warn'
      : 'question'
  const marks = { ok: MARKS.ok, warn: MARKS.warn, block: MARKS[blocked] }
  return {
    mark: worst,
    title: `${title} ${target}?`,
    lines: findings.map(({ level, text }) => `${marks[level]} ${text}`),
    details: commands.map((argv): Text => ({ code: argv.join(' ') })),
  }
}

/** The two halves of a command that runs a runbook: its plan, and its start after that was confirmed. */
export function runbookRoad(runbooks: Runbooks) {
  return {
    async start<I, C>(book: Runbook<I, C>, input: I, { person, place, basis }: Call): Promise<Page> {
      const plan = await book.plan(input)
      if (plan.basis !== basis) throw new OpsError('It changed since this plan was shown: nothing was done.')
      runbooks.start(book, plan, person, `chat:${place.chatId}`)
      return { mark: 'info', title: `${book.name} ${plan.target} has begun.`, brief: true }
    },
    async planned<I, C>(book: Runbook<I, C>, input: I): Promise<Plan> {
      const plan = await book.plan(input)
      return {
        basis: plan.basis,
        page: planPage(book.name, plan),
        blocked: plan.findings.some(({ level }) => level === 'block'),
      }
    },
  }
}

export function runbookCommands({ runbooks, recreate, rollback }: RunbookOps): Command[] {
  const { start, planned } = runbookRoad(runbooks)

  return [
    command({
      name: 'recreate',
      role: 'operator',
      about:
        'Makes a service of the gateway’s project anew so that it loads its .env; the gateway when none is named.',
      menu: true,
      danger: 'disruptive',
      args: z.object({ service: z.string().optional().describe('a service of the project') }),
      plan: ({ args }) => planned(recreate, args.service ? { service: args.service } : {}),
      run: (call) => start(recreate, call.args.service ? { service: call.args.service } : {}, call),
    }),
    command({
      name: 'rollback',
      role: 'operator',
      about: 'Puts a service back to a snapshot; without one, lists them.',
      danger: 'disruptive',
      args: z.object({
        snapshot: z.string().optional().describe('its name; without it, the plan lists them'),
        credentials: z
          .enum(['credentials'], 'must be "credentials"')
          .optional()
          .describe('"credentials": older tokens come back too'),
      }),
      plan(call) {
        checkCredentials(call)
        return planned(rollback, rollbackInput(call.args))
      },
      run: (call) => start(rollback, rollbackInput(call.args), call),
    }),
    command({
      name: 'cancel',
      role: 'operator',
      about: 'Stops a runbook that is under way and takes back what it did, where that still works.',
      danger: 'safe',
      args: z.object({
        run: z.string().regex(/^\d+$/, 'must be a number').transform(Number).describe('its number'),
      }),
      run({ args }) {
        runbooks.cancel(args.run)
        return { mark: 'info', title: 'Stopping it.', brief: true }
      },
    }),
  ]
}
