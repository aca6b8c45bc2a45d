// Refresh by hand: lets the Claude CLI renew its token now, and shows that its end moved.

import { OpsError } from '../../errors.ts'
import { WINDOW_MS } from '../claude/classify.ts'
import type { Claude, ClaudeFile } from '../claude/index.ts'
import { dueAt, stateOf } from '../credentials/due.ts'
import type { Keeper } from '../credentials/keeper.ts'
import { sha256 } from '../docker/index.ts'
import { ago, duration } from '../words.ts'
import type { Finding, Runbook } from './index.ts'

export interface RefreshContext {
  /** When the token ended as it was planned. UTC milliseconds. */
  before?: number
  /** Set while it is so fresh that the CLI would do nothing: when it renews itself. UTC milliseconds. */
  renewsAt?: number
}

export interface RefreshParts {
  claude: Pick<Claude, 'where' | 'file'>
  keeper: Pick<Keeper, 'refresh' | 'state'>
  timeZone: string
  now: () => number
}

const block = (text: string): Finding => ({ level: 'block', text })

export function createRefresh({
  claude,
  keeper,
  timeZone,
  now,
}: RefreshParts): Runbook<undefined, RefreshContext> {
  const clock = (at: number) =>
    new Date(at).toLocaleTimeString('en-GB', { timeZone, hour: '2-digit', minute: '2-digit' })

  const endOf = ({ expiresAt }: ClaudeFile): string =>
    expiresAt === undefined
      ? 'nobody knows when its token ends'
      : expiresAt > now()
        ? `its token ends in ${duration(expiresAt - now())}, at ${clock(expiresAt)}`
        : `its token ended ${ago(now() - expiresAt)}`

  /** What makes it impossible, or needless. */
  function obstacle(file: ClaudeFile): Finding | undefined {
    const { state, why, expiresAt = 0, refreshHash, seconds } = file
    if (state === 'unreadable') return block(`the login cannot be seen: ${why ?? state}`)
    if (state !== 'ok')
      return block(
        `there is no login that could be renewed: ${(why ?? state).replace(/^Nobody is signed in: /, '')}`,
      )
    if (refreshHash === undefined)
      return block('it holds no refresh token: /reauth signs in, and that gives one')
    if (seconds || expiresAt - now() <= WINDOW_MS) return undefined
    const renewsAt = dueAt(file, [], now())?.at ?? expiresAt
    return block(`fresh until ${clock(expiresAt)}, renews itself at ${clock(renewsAt)}`)
  }

  function findings(file: ClaudeFile): Finding[] {
    const blocked = obstacle(file)
    if (blocked) return [blocked]
    const { failures, runningSince } = keeper.state()
    const last = failures.at(-1)
    return [
      { level: 'ok', text: `the Claude CLI ${claude.where} is asked to renew it: ${endOf(file)}` },
      ...(last
        ? [{ level: 'warn' as const, text: `the try ${ago(now() - last.at)} failed: ${last.why}` }]
        : []),
      ...(runningSince !== undefined
        ? [{ level: 'ok' as const, text: `one that began ${ago(now() - runningSince)} is waited for` }]
        : []),
    ]
  }

  return {
    name: 'refresh',
    danger: 'safe',
    resource: 'credentials',
    async plan() {
      const file = await claude.file()
      const { expiresAt } = file
      const fresh = expiresAt !== undefined && expiresAt - now() > WINDOW_MS
      const renewsAt = fresh ? dueAt(file, [], now())?.at : undefined
      return {
        target: `the Claude CLI’s token ${claude.where}`,
        findings: findings(file),
        commands: [],
        basis: sha256(stateOf(file)),
        context: {
          ...(expiresAt !== undefined && { before: expiresAt }),
          ...(renewsAt !== undefined && { renewsAt }),
        },
      }
    },
    steps: [
      {
        name: 'refresh',
        final: true,
        async run(_, { progress, signal }) {
          progress('the Claude CLI is at it')
          await keeper.refresh(signal)
          return 'the Claude CLI is done'
        },
      },
      {
        name: 'proof',
        async run({ before = 0 }) {
          const file = await claude.file()
          const { expiresAt = 0 } = file
          if (file.state !== 'ok' || expiresAt <= before)
            throw new OpsError(`The end of the token did not move: ${file.why ?? endOf(file)}.`)
          return `expiresAt ${before > 0 ? clock(before) : 'unknown'} → ${clock(expiresAt)}`
        },
      },
    ],
    async found() {
      const file = await claude.file()
      const { runningSince } = keeper.state()
      const running = runningSince === undefined ? '' : ' The Claude CLI still works on it.'
      return `${file.state === 'ok' ? `The Claude CLI ${claude.where}: ${endOf(file)}.` : (file.why ?? `Its login is ${file.state}.`)}${running}`
    },
    mend: () => [
      { label: 'Refresh', run: 'refresh' },
      { label: 'Sign in', run: 'reauth' },
      { label: 'Tokens', run: 'tokens' },
    ],
  }
}
