// What mends model access: /refresh, /sync, /authfix.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { Access } from '../../ops/access.ts'
import type { Runbook, Runbooks } from '../../ops/runbooks/index.ts'
import type { RefreshContext } from '../../ops/runbooks/refresh.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command, type Plan } from '../command.ts'
import type { Page } from '../page.ts'
import { TERMS, TERMS_QUOTES } from '../terms.ts'
import { runbookRoad } from './runbooks.ts'
import { OFF } from './tokens.ts'

/** They are asked without any words: what they need to know, they read. */
type Book = Runbook<unknown, unknown>

export interface CredentialOps {
  access: Pick<Access, 'truth' | 'config'>
  runbooks: Runbooks
  /** Absent with CLAUDE_MODE=off. */
  refresh: Runbook<undefined, RefreshContext> | undefined
  sync: Book
  authfix: Book
  /** Moves credential files out of the way of a gateway that keeps its profiles in SQLite. */
  migrate: Book
}

const NOTHING = {}

/** Sync is switched off: what would be done, why it is not, and what the terms say. */
const syncOff: Plan = {
  basis: 'off',
  blocked: true,
  page: {
    mark: 'info',
    title: 'Sync is off: CREDENTIAL_SYNC is off.',
    lines: [
      'On, it copies each new token of the Claude CLI to where the gateway keeps its own.',
      TERMS.sync,
      TERMS.instead,
      'It is switched on by CREDENTIAL_SYNC=on in the environment of opsbot, by whoever answers for the account.',
    ],
    details: [...TERMS_QUOTES.map((quote) => `“${quote}”`), TERMS.source],
  },
}

export function credentialCommands(ops: CredentialOps, clock: Clock): Command[] {
  const { access, runbooks, sync, authfix, migrate } = ops
  const { start, planned } = runbookRoad(runbooks)

  function refresher(): Runbook<undefined, RefreshContext> {
    if (!ops.refresh) throw new OpsError(OFF)
    return ops.refresh
  }

  /** Harmless, and only done when it is needed: it starts at once, without a confirmation. */
  async function refresh({ person, place }: Call): Promise<Page> {
    const book = refresher()
    const plan = await book.plan(undefined)
    const { before, renewsAt } = plan.context
    const block = plan.findings.find(({ level }) => level === 'block')
    if (block && before !== undefined && renewsAt !== undefined)
      return {
        mark: 'ok',
        title: `Fresh until ${clock.at(before)}, renews itself at ${clock.at(renewsAt)}.`,
        brief: true,
      }
    if (block)
      return {
        mark: 'warn',
        title: `It cannot be renewed: ${block.text}`,
        buttons: [
          [
            { label: 'Sign in', run: 'reauth' },
            { label: 'Tokens', run: 'tokens' },
          ],
        ],
        failed: true,
      }
    runbooks.start(book, plan, person, `chat:${place.chatId}`)
    return { mark: 'info', title: `${book.name} of ${plan.target} has begun.`, brief: true }
  }

  /** What copies is not done without the terms being seen. */
  async function planSync(): Promise<Plan> {
    if (!access.config.sync) return syncOff
    const plan = await planned(sync, NOTHING)
    return { ...plan, page: { ...plan.page, details: [...(plan.page.details ?? []), TERMS.sync] } }
  }

  /** Old files beside a SQLite store are no profiles to be mended: they have to go, by the gateway's own doctor. */
  const fixer = async () => ((await access.truth()).store === 'sqlite' ? migrate : authfix)

  return [
    command({
      name: 'refresh',
      role: 'operator',
      about: 'Lets the Claude CLI renew its token now, when it is due, and proves it.',
      danger: 'safe',
      args: z.object({}),
      plan: async () => planned(refresher(), undefined),
      run: refresh,
    }),
    command({
      name: 'sync',
      role: 'operator',
      about:
        'Copies the Claude CLI’s token to where the gateway keeps its own; with --plan shows every place first.',
      danger: 'disruptive',
      args: z.object({}),
      plan: planSync,
      run(call) {
        if (!access.config.sync)
          throw new OpsError('Sync is off: CREDENTIAL_SYNC is off. Nothing was copied.')
        return start(sync, NOTHING, call)
      },
    }),
    command({
      name: 'authfix',
      role: 'operator',
      about:
        'Mends credentials that are written wrongly, and old credential files that newer gateways choke on.',
      danger: 'disruptive',
      args: z.object({}),
      plan: async () => planned(await fixer(), NOTHING),
      run: async (call) => start(await fixer(), NOTHING, call),
    }),
  ]
}
