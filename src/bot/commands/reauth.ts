// Signing in to Claude again, from the phone: /reauth, /reauth cancel.

import { z } from 'zod'
import type { Reauth } from '../../ops/credentials/reauth.ts'
import type { Answered, Door, Which } from '../../ops/credentials/signin.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Button, Page, Text } from '../page.ts'
import { TERMS } from '../terms.ts'

type Asked = Call<{ which?: Which | undefined }>

/** The code among other words (behind a command, in a sentence); without one, all of them in one line. */
function codeIn(words: string): string {
  const all = words.trim().split(/\s+/)
  return all.find((each) => each.includes('#')) ?? all.join(' ')
}

const CANCEL: Button = { label: 'Cancel', run: 'reauth cancel', inPlace: true }

/** What else there is, folded away. */
const DETAILS: readonly Text[] = [
  [
    'For a token that lasts a year: run ',
    { code: 'claude setup-token' },
    ' in a terminal on the host. It is shown there alone; put it where the gateway reads it, never into a chat.',
  ],
  ['Then ', { code: '/tokens register' }, ' notes its date, so that I can warn you before it ends.'],
  TERMS.sync,
  TERMS.instead,
  TERMS.source,
]

export function reauthCommands({ reauth }: { reauth: Reauth }, clock: Clock): Command[] {
  const buttonsOf = (url: string): Button[][] => [[{ label: 'Sign in', url }], [CANCEL]]

  const doorPage = ({ where, url, endsAt }: Door): Page => ({
    mark: 'question',
    title: `Sign in to Claude ${where}`,
    lines: [
      'Open the page, sign in, and send me the code that it shows at the end, all of it.',
      `I wait until ${clock.at(endsAt)}. Your message is deleted at once, and the code is kept nowhere.`,
      TERMS.signIn,
    ],
    details: DETAILS,
    buttons: buttonsOf(url),
  })

  function answeredPage(answered: Answered): Page {
    if (answered.done)
      return {
        mark: 'ok',
        title: `Signed in to Claude ${answered.where}`,
        lines: [`The new token holds until ${clock.at(answered.expiresAt)}.`],
      }
    const { why, fresh } = answered
    return {
      mark: 'unknown',
      title: why,
      lines: fresh
        ? [`Here is a fresh page; send me the code from there, until ${clock.at(fresh.endsAt)}.`]
        : ['The page from before still holds: send me its code once more.'],
      buttons: fresh ? buttonsOf(fresh.url) : [[CANCEL]],
      failed: true,
    }
  }

  /** Waits for the code, and for another one as long as the sign-in is open. */
  function askCode({ ask, person }: Pick<Asked, 'ask' | 'person'>, endsAt: number): void {
    ask?.({
      expiresAt: endsAt,
      secret: true,
      async answer(words) {
        try {
          return answeredPage(await reauth.answer(codeIn(words), person))
        } finally {
          const open = reauth.open()
          if (open?.by === person.name) askCode({ ask, person }, open.endsAt)
        }
      },
    })
  }

  async function relayed(call: Asked, which: Which): Promise<Page> {
    const door = await reauth.begin(which, call.person, `chat:${call.place.chatId}`)
    askCode(call, door.endsAt)
    return doorPage(door)
  }

  async function prompted({ person, place }: Asked, which: Which): Promise<Page> {
    const { where, command: line, endsAt } = await reauth.awaitProof(which, person, `chat:${place.chatId}`)
    return {
      mark: 'question',
      title: `Sign in to Claude ${where}`,
      lines: [
        ['Run this on the host: ', { code: line }],
        `I look for the new login until ${clock.at(endsAt)} and tell you when it is there. Send me no code.`,
      ],
      details: DETAILS,
      buttons: [[CANCEL]],
    }
  }

  return [
    command({
      name: 'reauth',
      role: 'owner',
      about: 'Signs in to Claude again: the page to open, and the code from it back to the CLI.',
      danger: 'safe',
      private: true,
      args: z.object({
        which: z
          .enum(['cli', 'sandbox'], 'must be cli or sandbox')
          .optional()
          .describe('cli, or sandbox for the login of the sandboxes; cli when none is named'),
      }),
      run(call) {
        const { which = 'cli' } = call.args
        return reauth.relay ? relayed(call, which) : prompted(call, which)
      },
    }),
    command({
      name: 'reauth cancel',
      role: 'owner',
      about: 'Ends a sign-in that waits for its code.',
      danger: 'safe',
      private: true,
      args: z.object({}),
      async run({ person, ask }) {
        await reauth.cancel(person)
        ask?.(undefined)
        return { mark: 'info', title: 'The sign-in is cancelled: nothing was changed.' }
      },
    }),
  ]
}
