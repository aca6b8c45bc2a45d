// Getting to know the bot: /start, /help, /whoami.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import { type Command, command, echo, nearest, rest } from '../command.ts'
import { helpOf, helpPage } from '../derive.ts'

/** @param all gives the whole list, these included. */
export function helpCommands(all: () => readonly Command[]): Command[] {
  return [
    command({
      name: 'start',
      role: 'viewer',
      about: 'Says hello; from then on I can write to you here.',
      args: z.object({}),
      run: ({ person }) => ({
        mark: 'ok',
        title: 'I watch this server and tell you when something is wrong.',
        lines: [
          `You are ${person.name}, with the role ${person.role}.`,
          '/status shows how it is, /help what I can do.',
        ],
      }),
    }),
    command({
      name: 'help',
      role: 'viewer',
      about: 'What I can do; with a command behind it, more about that one.',
      menu: true,
      args: z.object({ command: rest('a command, with or without its slash').optional() }),
      run({ args, person }) {
        if (!args.command) return helpPage(all(), person.role)
        const name = args.command.replace(/^\//, '').toLowerCase()
        const found = all().find((each) => each.name === name)
        if (found) return helpOf(found, all(), person.role)
        const meant = nearest(
          name,
          all().map((each) => each.name),
        )
        throw new OpsError(
          `There is no command ${echo(name)}.\n${meant ? `Did you mean /${meant}?` : '/help lists them all.'}`,
        )
      },
    }),
    command({
      name: 'whoami',
      role: 'viewer',
      about: 'Your id, your role and the ids of this chat.',
      args: z.object({}),
      run: ({ person, place }) => ({
        mark: 'info',
        title: `You are ${person.name}`,
        lines: [
          ['User id ', { code: `${person.id}` }, `, role ${person.role}`],
          ['Chat id ', { code: `${place.chatId}` }, ` (${place.kind})`],
          ...(place.threadId === undefined ? [] : [['Topic id ', { code: `${place.threadId}` }]]),
        ],
      }),
    }),
  ]
}
