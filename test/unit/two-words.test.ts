// Commands of two words: found before the single one, by its own role, with its own help; and where a second word is none.

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Command, command, faultsOf, type Incoming, parseArgs, usage } from '../../src/bot/command.ts'
import { helpCommands } from '../../src/bot/commands/help.ts'
import { menuOf } from '../../src/bot/derive.ts'
import { createDispatch } from '../../src/bot/dispatch.ts'
import type { Page } from '../../src/bot/page.ts'
import type { Role } from '../../src/config.ts'
import { keptLog, T0 } from './help.ts'

function createYard() {
  const ran: string[] = []
  const did = (what: string) => {
    ran.push(what)
    return { title: what }
  }
  const nothing = z.object({})
  const commands: Command[] = [
    command({
      name: 'approvals',
      role: 'viewer',
      about: 'Lists.',
      menu: true,
      args: nothing,
      run: () => did('approvals'),
    }),
    command({
      name: 'approvals on',
      role: 'owner',
      about: 'Begins.',
      danger: 'safe',
      args: nothing,
      run: () => did('approvals on'),
    }),
    command({
      name: 'sandboxes',
      role: 'viewer',
      about: 'Lists.',
      args: z.object({ agent: z.string().optional() }),
      run: ({ args }) => did(`sandboxes ${args.agent ?? ''}`.trim()),
    }),
    command({
      ...{ name: 'sandboxes recreate', role: 'operator', about: 'Makes anew.', danger: 'disruptive' },
      args: z.object({ which: z.string().default('mismatched'), also: z.string().optional() }),
      plan: ({ args }) => ({ page: { title: `Recreate ${args.which}?` }, basis: args.which }),
      run: ({ args }) => did(`recreated ${args.which}${args.also ?? ''}`),
    }),
    ...helpCommands(() => commands),
  ]
  const notes: string[] = []
  const { log } = keptLog()
  const dispatch = createDispatch({
    ...{ commands, log, redact: (text: string) => text },
    audit: { note: (actor, action, detail) => void notes.push(`${actor} ${action} ${detail}`) },
    asked: { get: () => ({}), set: () => {} },
  })
  const begun: string[] = []

  async function say(
    text: string,
    more: Partial<Incoming> & { role?: Role } = {},
  ): Promise<Page | undefined> {
    const { role = 'owner', ...rest } = more
    const answer = await dispatch.handle({
      person: { id: 1, name: 'Ann', role },
      place: { chatId: 1, kind: 'private' },
      ...{ text, button: false, addressed: true, now: T0, begin: () => void begun.push(text) },
      ...rest,
    })
    return answer?.page
  }
  return { ran, notes, begun, commands, say }
}
const GROUP = { place: { chatId: -1, kind: 'group' as const } }

describe('a line', () => {
  it.each<[string, string[]]>([
    ['/approvals', ['approvals']],
    ['/approvals on', ['approvals on']],
    ['approvals on', ['approvals on']],
    ['/APPROVALS On', ['approvals on']],
    ['/approvals    on  ', ['approvals on']],
    ['/approvals\non', ['approvals on']],
    ['/sandboxes', ['sandboxes']],
    ['/sandboxes work', ['sandboxes work']],
    ['/sandboxes recreat', ['sandboxes recreat']],
    ['/sandboxes "recreate"', ['sandboxes "recreate"']],
  ])('%j runs %j', async (line, ran) => {
    const yard = createYard()
    await yard.say(line)
    expect(yard.ran).toEqual(ran)
  })

  it.each<[string, string, string[]]>([
    [
      'with a word that is no second word',
      '/approvals maybe',
      ['/approvals takes no words behind it.', 'Usage: /approvals'],
    ],
    [
      'with a word too many',
      '/approvals on now',
      ['/approvals on takes no words behind it.', 'Usage: /approvals on'],
    ],
    [
      'with its two words in one',
      '/approvalson',
      ['There is no command /approvalson.', 'Did you mean /approvals'],
    ],
    ['with the second word alone', '/on', ['There is no command /on.']],
    [
      'with what a missing word is called inside',
      '/approvals undefined',
      ['/approvals takes no words behind it.'],
    ],
    [
      'with words too many behind both',
      '/sandboxes recreate a b c',
      ['That is a word too many: "c".', 'Usage: /sandboxes recreate [which] [also]'],
    ],
  ])('%s runs nothing and says why', async (_, line, words) => {
    const yard = createYard()
    const page = await yard.say(line)
    const text = [page?.title, ...(page?.lines ?? [])].join('\n')
    for (const each of words) expect(text).toContain(each)
    expect(page?.failed).toBe(true)
    expect(yard.ran).toEqual([])
    expect(yard.begun).toEqual([])
  })
})

describe('the role', () => {
  it.each<[Role, string, string | undefined]>([
    ['viewer', '/approvals', undefined],
    ['viewer', '/approvals on', '/approvals on is for the role owner; yours is viewer.'],
    ['operator', '/approvals ON', '/approvals on is for the role owner; yours is operator.'],
    ['owner', '/approvals on', undefined],
    ['viewer', '/sandboxes recreate all', '/sandboxes recreate is for the role operator; yours is viewer.'],
    [
      'viewer',
      '/sandboxes recreate --plan',
      '/sandboxes recreate is for the role operator; yours is viewer.',
    ],
  ])('of a %s for %s is that of both words', async (role, line, refused) => {
    const yard = createYard()
    const page = await yard.say(line, { role })
    if (!refused) return expect(yard.ran).toHaveLength(1)
    expect(page).toMatchObject({ title: refused, failed: true })
    expect(yard.ran).toEqual([])
    expect(yard.notes).toEqual([expect.stringMatching(/^Ann refused \/\w+ \w+ needs \w+$/)])
  })

  it('is asked for by a button too', async () => {
    const yard = createYard()
    const page = await yard.say('do:approvals on', { role: 'viewer', button: true })
    expect(page?.title).toContain('is for the role owner')
    await yard.say('do:approvals on', { button: true })
    expect(yard.ran).toEqual(['approvals on'])
  })
})

describe('a change of two words', () => {
  it('has a plan, which is shown alone when it is asked for', async () => {
    const yard = createYard()
    expect(await yard.say('/sandboxes recreate all --plan')).toEqual({ title: 'Recreate all?' })
    expect(yard.ran).toEqual([])
  })

  it('is done when its plan is confirmed, with the words behind both', async () => {
    const yard = createYard()
    const page = await yard.say('/sandboxes recreate all !')
    expect(page).toMatchObject({ mark: 'question', title: 'Recreate all?' })
    expect(yard.ran).toEqual([])
    const button = page?.buttons?.flat().find(({ label }) => label === 'Do it')
    await yard.say(`ok:${button && 'confirm' in button ? button.confirm : ''}`, { button: true })
    expect(yard.ran).toEqual(['recreated all!'])
  })

  it('that is stale is not done, and one that only reads is answered', async () => {
    const yard = createYard()
    const stale = 'Expired, send it again.'
    expect((await yard.say('/approvals on', { stale }))?.title).toBe(stale)
    expect(yard.ran).toEqual([])
    await yard.say('/approvals', { stale })
    expect(yard.ran).toEqual(['approvals'])
  })
})

describe('in a group', () => {
  it('a change without our name is refused, with the way to write it', async () => {
    const yard = createYard()
    const page = await yard.say('/approvals on', { ...GROUP, addressed: false })
    expect(page).toMatchObject({ failed: true, title: 'In a group I change something only when I am named.' })
    expect(page?.lines?.[0]).toBe(
      'Write /approvals@… on with my name behind it, so that no other bot takes it for its own.',
    )
    expect(yard.ran).toEqual([])
  })

  it('a change of one word is told to be written so', async () => {
    const yard = createYard()
    yard.commands.push(
      command({
        name: 'wipe',
        role: 'viewer',
        about: 'x',
        danger: 'safe',
        args: z.object({}),
        run: () => ({ title: '' }),
      }),
    )
    const page = await yard.say('/wipe', { ...GROUP, addressed: false })
    expect(page?.lines?.[0]).toMatch(/^Write \/wipe@… with my name behind it/)
  })

  it.each<[string, Partial<Incoming>, string, string[]]>([
    ['with our name', { addressed: true }, '/approvals on', ['approvals on']],
    ['by a button', { addressed: false, button: true }, 'do:approvals on', ['approvals on']],
    ['that only reads', { addressed: false }, '/approvals', ['approvals']],
    ["that is another bot's", { addressed: false }, '/on', []],
  ])('one %s', async (_, how, line, ran) => {
    const yard = createYard()
    const page = await yard.say(line, { ...GROUP, ...how })
    expect(yard.ran).toEqual(ran)
    expect(page === undefined).toBe(ran.length === 0)
  })
})

describe('help', () => {
  it.each<[string, string]>([
    ['/help approvals on', '/approvals on'],
    ['/help /approvals on', '/approvals on'],
    ['/help APPROVALS   On', '/approvals on'],
    ['/help approvals', '/approvals'],
    ['/help sandboxes recreate', '/sandboxes recreate [which] [also]'],
  ])('%s', async (line, title) => {
    expect(await createYard().say(line)).toMatchObject({ title })
  })

  it('of what there is not repeats nothing that is no name', async () => {
    const page = await createYard().say('/help approvals 123456:secret')
    expect(page?.title).toBe('There is no command of that name.')
  })

  it('lists both, and the menu only single words', () => {
    const { commands } = createYard()
    expect(commands.map(usage)).toContain('/approvals on')
    expect(menuOf(commands, 'owner').map(({ command }) => command)).not.toContain('approvals on')
  })
})

describe('a list of commands', () => {
  const both = createYard().commands.find(({ name }) => name === 'approvals on') as Command
  it.each<[string, string[]]>([
    ['approvals on', []],
    ['approvals  on', ['/approvals  on: Telegram takes a-z, 0-9 and _, 32 at most']],
    ['approvals on now', ['/approvals on now: Telegram takes a-z, 0-9 and _, 32 at most']],
    ['approvals On', ['/approvals On: Telegram takes a-z, 0-9 and _, 32 at most']],
    [' on', ['/ on: Telegram takes a-z, 0-9 and _, 32 at most']],
  ])('with "%s"', (name, faults) => expect(faultsOf([{ ...both, name }])).toEqual(faults))

  it('with one of two words in its menu is not sound', () => {
    expect(faultsOf([{ ...both, menu: true }])).toEqual(['/approvals on: a menu takes single words only'])
  })

  it('reads the words behind both', () => {
    const recreate = createYard().commands.find(({ name }) => name === 'sandboxes recreate') as Command
    expect(parseArgs(recreate, [])).toEqual({ which: 'mismatched' })
    expect(parseArgs(recreate, ['all', '+browsers'])).toEqual({ which: 'all', also: '+browsers' })
  })
})
