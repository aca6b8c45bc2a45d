// What a command is, how its arguments are read, and the check that the list of them is sound.

import { z } from 'zod'
import type { Role } from '../config.ts'
import { OpsError } from '../errors.ts'
import type { Danger } from '../ops/deeds.ts'
import type { Page } from './page.ts'

/** Who speaks: a person of Telegram's, or whoever holds the console. */
export interface Person {
  /** Telegram's user id; 0 on the console. */
  id: number
  name: string
  role: Role
}

/** Where a call came from. */
export interface Place {
  /** Telegram's chat id; 0 for the console. */
  chatId: number
  kind: 'private' | 'group' | 'console'
  threadId?: number
}

/** A question whose answer is what the same person types next in the same place. */
export interface Question {
  /** What happens with the words. */
  answer(words: string, now: number): Promise<Page> | Page
  /** UTC milliseconds. */
  expiresAt: number
  /** The message that answers it is deleted at once, and its words are for nobody else. */
  secret?: true
}

export interface Call<Args = unknown> {
  args: Args
  person: Person
  place: Place
  /** UTC milliseconds. */
  now: number
  /** The basis of the plan that was confirmed: who plans again must find the same. */
  basis?: string
  /**
   * Asks; a newer question replaces an older one, undefined takes it back. After a crash the command is run again
   * instead, so what asks must change nothing by that alone. Absent while a plan is made.
   */
  ask?(question: Question | undefined): void
}

/** A call on its way: what was typed or pressed, by whom and where. */
export interface Incoming {
  person: Person
  place: Place
  /** A line with or without its slash, or a button's data. */
  text: string
  button: boolean
  /** It holds a login code or a token, and is nothing but the answer to a question for one. */
  secret?: true
  /** Why a change may not be made because of the time that passed, in words; absent when it is fresh. */
  stale?: string
  /** In a group: the line named this bot. */
  addressed: boolean
  now: number
  /** Called before a change begins; what it commits keeps the change from being made twice. */
  begin(): void
}

/** What a plan found out, and what would be done: the text that is confirmed. */
export interface Plan {
  page: Page
  /** What must still hold at the second tap; when it differs, the new plan is shown instead. */
  basis: string
  /** What has to be typed to confirm a destructive command. */
  typed?: string
  /** It cannot be done as things stand: there is nothing to confirm. */
  blocked?: boolean
  /** Small enough, as things stand, to be done at the first tap. */
  atOnce?: true
}

export interface Command<Args extends z.ZodObject = z.ZodObject> {
  /** One word, or two for what is done with what the first one shows: `sandboxes recreate`. */
  name: string
  /** The least role that may call it. */
  role: Role
  /** One line for help and menu. */
  about: string
  /** Stands in the chat menu; the others are in `/help` alone. */
  menu?: true
  /** Set when it changes something, and how dangerous that is. Absent: it only reads. */
  danger?: Danger
  /** Not in a group: what it answers is for one person alone. */
  private?: true
  /** Its arguments in their order; the last may be marked `rest` and then takes all that is left. */
  args: Args
  /** Only reads. Needed when the danger is more than `safe`. */
  plan?(call: Call<z.infer<Args>>): Promise<Plan> | Plan
  /** Answers, or starts what it was asked for and answers. @throws OpsError with a sentence for whoever asked. */
  run(call: Call<z.infer<Args>>): Promise<Page> | Page
}

/** Lets TypeScript work out the arguments from their schema, then forgets them: a list holds commands of all kinds. */
export function command<Args extends z.ZodObject>(definition: Command<Args>): Command {
  return definition as unknown as Command
}

/** The last argument, where it takes all words that are left. */
export const rest = (description: string) => z.string().meta({ rest: true, description })

const ROLES: readonly Role[] = ['viewer', 'operator', 'owner']
export const mayCall = (role: Role, { role: least }: Pick<Command, 'role'>) =>
  ROLES.indexOf(role) >= ROLES.indexOf(least)

type Field = z.ZodType & { isOptional(): boolean; unwrap?(): z.ZodType }
const fieldsOf = ({ args }: Command) => Object.entries(args.shape) as [string, Field][]

/** `/mute <alert> [for]` */
export function usage(command: Command): string {
  const words = fieldsOf(command).map(([name, field]) => (field.isOptional() ? `[${name}]` : `<${name}>`))
  return [`/${command.name}`, ...words].join(' ')
}

/**
 * Reads the words behind a command.
 * @throws OpsError with the usage line and what is wrong.
 */
export function parseArgs(command: Command, words: readonly string[]): Record<string, unknown> {
  const fields = fieldsOf(command)
  const complain = (what: string): never => {
    throw new OpsError(`${what}\nUsage: ${usage(command)}`)
  }
  const last = fields.at(-1)?.[1]
  const takesRest = (last?.unwrap?.() ?? last)?.meta()?.rest
  if (words.length > fields.length && !takesRest)
    complain(
      fields.length === 0
        ? `/${command.name} takes no words behind it.`
        : `That is a word too many: "${words[fields.length]}".`,
    )
  const given = Object.fromEntries(
    fields.flatMap(([name], index) => {
      const value = takesRest && index === fields.length - 1 ? words.slice(index).join(' ') : words[index]
      return value ? [[name, value]] : []
    }),
  )
  const parsed = command.args.safeParse(given)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  const name = String(issue?.path[0])
  return complain(
    name in given ? `<${name}> ${issue?.message}, not "${given[name]}".` : `<${name}> is missing.`,
  )
}

/** A length of time as people type it: `30m`, `8h`, `2d`. → milliseconds. */
export const lengthOfTime = z
  .string()
  .regex(/^[1-9]\d{0,3}[mhd]$/, 'must look like 30m, 8h or 2d')
  .transform(
    (text) => Number.parseInt(text, 10) * { m: 60_000, h: 3_600_000, d: 86_400_000 }[text.slice(-1) as 'm'],
  )
  .refine((ms) => ms <= 30 * 86_400_000, 'must be 30 days at most')

/** The name of no command as it may be repeated: what is not even shaped like one may be anything, a secret too. */
export const echo = (name: string) => (/^\w{1,32}$/.test(name) ? `/${name}` : 'of that name')

/** How many single-letter slips lie between two words. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (const [i, letter] of [...a].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...b].entries())
      next.push(
        Math.min((next[j] ?? 0) + 1, (row[j + 1] ?? 0) + 1, (row[j] ?? 0) + (letter === other ? 0 : 1)),
      )
    row = next
  }
  return row[b.length] ?? 0
}

/** The word that was most likely meant, if any is near enough. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  const short = word.slice(0, 32).toLowerCase()
  const near = words
    .map((candidate) => ({ candidate, off: distance(short, candidate) }))
    .sort((a, b) => a.off - b.off)
  const [best] = near
  return best && best.off <= Math.max(1, Math.floor(short.length / 3)) ? best.candidate : undefined
}

/** What is wrong with a list of commands: Telegram's limits, names used twice, plans that are missing. */
export function faultsOf(commands: readonly Command[]): string[] {
  const menu = commands.filter((each) => each.menu)
  return [
    ...commands.flatMap((each) => {
      const needsPlan = each.danger !== undefined && each.danger !== 'safe'
      return [
        ...(/^[a-z0-9_]{1,32}( [a-z]{1,16})?$/.test(each.name)
          ? []
          : [`/${each.name}: Telegram takes a-z, 0-9 and _, 32 at most`]),
        ...(each.menu && each.name.includes(' ') ? [`/${each.name}: a menu takes single words only`] : []),
        ...(each.about.length > 0 && each.about.length <= 256
          ? []
          : [`/${each.name}: its line must be 1 to 256 long`]),
        ...(commands.filter((other) => other.name === each.name).length === 1
          ? []
          : [`/${each.name} is there twice`]),
        ...(needsPlan && !each.plan ? [`/${each.name} is ${each.danger} and has no plan to confirm`] : []),
      ]
    }),
    ...(menu.length <= 10 ? [] : [`the menu has ${menu.length} entries; more than ten are not read`]),
  ]
}
