// Help, chat menu and README tables: all of it from the definitions.

import type { Role } from '../config.ts'
import { type Command, mayCall, usage } from './command.ts'
import type { Page, Text } from './page.ts'

/** The menu of a role, as setMyCommands takes it. */
export function menuOf(commands: readonly Command[], role: Role): { command: string; description: string }[] {
  return commands
    .filter((each) => each.menu && mayCall(role, each))
    .map(({ name, about }) => ({ command: name, description: about }))
}

const DANGER = {
  safe: 'At once.',
  disruptive: 'After you confirmed its plan with a button.',
  destructive: 'After you typed the name that its plan shows.',
}

/** What is done with what a command shows: the commands of two words that begin with it. */
const moreOf = ({ name }: Command, commands: readonly Command[], role: Role) =>
  commands.filter((each) => each.name.startsWith(`${name} `) && mayCall(role, each))

/** A line for each command of one word; those of two words stand behind the one that they belong to. */
export function helpPage(commands: readonly Command[], role: Role): Page {
  const lines = commands
    .filter((each) => mayCall(role, each) && !each.name.includes(' '))
    .map((each): Text => {
      const more = moreOf(each, commands, role).map(({ name }) => name.split(' ')[1])
      return [{ code: usage(each) }, ` ${each.about}`, more.length > 0 ? ` Also: ${more.join(', ')}.` : '']
    })
  return { mark: 'info', title: 'What I can do for you', details: lines }
}

type Described = { description?: string; unwrap?(): Described }
const describe = (field: unknown): string => {
  const { description, unwrap } = field as Described
  return description ?? unwrap?.call(field).description ?? ''
}

export function helpOf(command: Command, commands: readonly Command[], role: Role): Page {
  const args = Object.entries(command.args.shape).map(
    ([name, field]): Text => [{ code: name }, ` ${describe(field)}`],
  )
  return {
    mark: 'info',
    title: usage(command),
    lines: [
      command.about,
      ...args,
      `For: ${command.role}. ${command.danger ? `Changes something. ${DANGER[command.danger]}` : 'Only reads.'}`,
    ],
    details: moreOf(command, commands, role).map((each): Text => [{ code: usage(each) }, ` ${each.about}`]),
  }
}

const cell = (text: string) => text.replaceAll('|', '\\|')

/** The README's table of commands. */
export function commandTable(commands: readonly Command[]): string {
  const rows = commands.map(
    (each) => `| \`${cell(usage(each))}\` | ${each.role} | ${cell(each.about)} | ${each.danger ?? 'reads'} |`,
  )
  return ['| Command | From role | What it does | Changes |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
