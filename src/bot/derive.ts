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

export function helpPage(commands: readonly Command[], role: Role): Page {
  const lines: Text[] = commands
    .filter((each) => mayCall(role, each))
    .map((each) => [{ code: usage(each) }, ` ${each.about}`])
  return { mark: 'info', title: 'What I can do for you', details: lines }
}

type Described = { description?: string; unwrap?(): Described }
const describe = (field: unknown): string => {
  const { description, unwrap } = field as Described
  return description ?? unwrap?.call(field).description ?? ''
}

export function helpOf(command: Command): Page {
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
