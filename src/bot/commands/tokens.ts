// What the gateway's model access rests on: /tokens, /whyauth, /usage, and the dates of setup-tokens.

import { z } from 'zod'
import { messageOf, OpsError } from '../../errors.ts'
import type { Access } from '../../ops/access.ts'
import type { Claude } from '../../ops/claude/index.ts'
import type { Credential, Truth } from '../../ops/credentials/index.ts'
import type { Keeper } from '../../ops/credentials/keeper.ts'
import type { Register } from '../../ops/credentials/register.ts'
import { SETUP_TOKEN_MS, type Stage } from '../../ops/credentials/stages.ts'
import type { Deeds } from '../../ops/deeds.ts'
import { duration } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Page } from '../page.ts'
import { REGISTERED_NAME, tokensPage } from '../tokens.ts'
import { orderPage, usagePage } from '../whyauth.ts'

export interface TokenOps {
  access: Access
  /** Absent with CLAUDE_MODE=off. */
  keeper: Pick<Keeper, 'due'> | undefined
  register: Register
  /** How one stands by its time left, among all that were seen with it; its registered date counts too. */
  stageOf(credential: Credential, now: number, truth: Truth): Stage
  /** Where the same credential differs between two places, in sentences; with the order, those that make a difference now. */
  drift(truth: Truth, order?: ReturnType<Access['order']>): string[]
  deeds: Pick<Deeds, 'perform'>
}

/** From this version on the CLI tells its limits (claude-cli.md §7). */
const USAGE_VERSION = '2.1.200'
const DAY_MS = 86_400_000

const isDate = (text: string) => text === 'today' || z.iso.date().safeParse(text).success
/** The secret itself is never wanted: neither by this command nor in this chat. */
const isName = (text: string) => REGISTERED_NAME.test(text) && !/sk-ant/i.test(text)
const name = z
  .string()
  .refine(isName, 'must be a name of 64 letters, digits and . : / - at most, never the token itself')
  .describe('as /tokens shows it, or any name')

export const OFF = 'There is no Claude CLI to ask: CLAUDE_MODE is off. Set it to host or container.'

/** `2.1.54` comes before `2.1.200`. */
const isOlder = (version: string, than: string) => version.localeCompare(than, 'en', { numeric: true }) < 0

/** Why there are no figures, and what would bring some. */
async function whyNoUsage(claude: Claude): Promise<string> {
  const [file, version] = await Promise.all([claude.file(), claude.version().catch(messageOf)])
  if (file.state !== 'ok')
    return `Nobody is signed in to the Claude CLI ${claude.where}, and an API key has no such limits. ${file.why?.replace(/^Nobody is signed in: /, '') ?? ''}`.trim()
  if (!/^\d+\.\d+\.\d+/.test(version)) return version
  return isOlder(version, USAGE_VERSION)
    ? `The Claude CLI ${claude.where} is ${version}; it tells its limits from ${USAGE_VERSION} on. Upgrade it.`
    : `The Claude CLI ${claude.where} has not noted any yet. It does so when it is next used.`
}

export function tokenCommands(ops: TokenOps, clock: Clock): Command[] {
  const { access, keeper, register, deeds } = ops

  async function tokens({ now }: Call): Promise<Page> {
    const truth = await access.truth()
    const order = access.order(truth)
    const view = {
      ...{ truth, order, config: access.config },
      ...{ drift: ops.drift(truth), pressing: ops.drift(truth, order) },
      ...{ registered: register.list(), due: keeper?.due() },
      stageOf: (credential: Credential) => ops.stageOf(credential, now, truth),
    }
    return tokensPage(view, clock, now)
  }

  async function whyauth({ args: { agent } }: Call<{ agent?: string | undefined }>): Promise<Page> {
    const truth = await access.truth()
    const order = access.order(truth)
    if (agent === undefined) return orderPage(truth, order, undefined)
    const meant = order.find((each) => each.agent.toLowerCase() === agent.toLowerCase())
    if (!meant) {
      const agents = order
        .map((each) => each.agent)
        .join(', ')
        .slice(0, 200)
      throw new OpsError(
        `No agent "${agent.slice(0, 64)}" was seen. ${agents ? `There are: ${agents}.` : 'None was seen at all.'}`,
      )
    }
    return orderPage(truth, [meant], meant.agent)
  }

  async function usage({ now }: Call): Promise<Page> {
    const { claude } = access
    if (!claude) throw new OpsError(OFF)
    const seen = await claude.usage()
    if (seen && seen.windows.length > 0) return usagePage(seen, clock, now)
    return {
      mark: 'unknown',
      title: 'The limits are not known.',
      lines: [await whyNoUsage(claude)],
      buttons: [[{ label: 'Refresh', run: 'usage', inPlace: true }]],
    }
  }

  async function registerOne({ args, person, now }: Call<{ name: string; date: string }>): Promise<Page> {
    const createdAt = args.date === 'today' ? now : Date.parse(args.date)
    // Somewhere it is tomorrow already: a day of grace.
    if (createdAt > now + DAY_MS)
      throw new OpsError(`${args.date} is still to come: give the day on which it was made.`)
    const endsAt = createdAt + SETUP_TOKEN_MS
    if (endsAt <= now)
      throw new OpsError(`A setup-token of ${args.date} has ended: it is valid for a year. Make a new one.`)
    const run = () => register.add(args.name, 'setup-token', createdAt)
    const deed = {
      name: 'tokens register',
      detail: `${args.name} ${args.date}`,
      danger: 'safe' as const,
      run,
    }
    await deeds.perform(deed, person).done
    return {
      mark: 'ok',
      title: `${args.name} ends ${clock.at(endsAt)}, in ${duration(endsAt - now)}.`,
      lines: ['You are told 30 days, 7 days and a day before.'],
    }
  }

  async function forget({ args, person }: Call<{ name: string }>): Promise<Page> {
    const known = register.list().map((each) => each.name)
    if (!known.includes(args.name))
      throw new OpsError(
        known.length > 0
          ? `"${args.name}" is not registered. There are: ${known.join(', ').slice(0, 300)}.`
          : 'Nothing is registered: there is nothing to forget.',
      )
    const run = () => register.remove(args.name)
    const deed = { name: 'tokens forget', detail: args.name, danger: 'safe' as const, run }
    await deeds.perform(deed, person).done
    return { mark: 'ok', title: `${args.name} is forgotten: nobody is told of its end any more.` }
  }

  return [
    command({
      name: 'tokens',
      role: 'viewer',
      about: 'Every credential of the deployment: kind, place, time left, what renews it, which one wins.',
      args: z.object({}),
      run: tokens,
    }),
    command({
      name: 'tokens register',
      role: 'operator',
      about: 'Notes on which day a setup-token was made, so that you are warned before its year ends.',
      danger: 'safe',
      args: z.object({
        name,
        date: z
          .string()
          .refine(isDate, 'must be a date such as 2026-01-31, or today')
          .describe('the day on which it was made'),
      }),
      run: registerOne,
    }),
    command({
      name: 'tokens forget',
      role: 'operator',
      about: 'Forgets the date of a setup-token.',
      danger: 'safe',
      args: z.object({ name }),
      run: forget,
    }),
    command({
      name: 'whyauth',
      role: 'viewer',
      about: 'The order in which the gateway looks for a credential, step by step: which one wins, and why.',
      args: z.object({ agent: z.string().optional().describe('an agent; all of them when left out') }),
      run: whyauth,
    }),
    command({
      name: 'usage',
      role: 'viewer',
      about: 'The session and weekly limits of the subscription, and when they are reset.',
      args: z.object({}),
      run: usage,
    }),
  ]
}
