// Commands as people meet them: who may call what, what a slip is answered, help, menus, and claiming the bot.

import { describe, expect, it } from 'vitest'
import { mayCall, usage } from '../../src/bot/command.ts'
import { listCommands } from '../../src/bot/commands/index.ts'
import type { FakeTelegram } from '../telegram/server.ts'
import { ANN, BEN, createRig, EVE, OPS, PEOPLE, type Rig, VIC } from './rig.ts'

const ROLES = ['viewer', 'operator', 'owner'] as const
/** Cards go to the group, so that a private chat holds answers alone. */
const inGroup = { env: { TELEGRAM_CHAT_ID: `${OPS}` } }
const commandsOf = ({ ops }: Rig) =>
  listCommands({
    ops,
    jobs: { list: () => [], runNow: () => ({ id: 0, done: Promise.resolve() }) },
    clock: {} as never,
  })

describe.concurrent('roles', () => {
  it('every command answers those it is for and refuses those below, who find a line of it in the audit', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    for (const role of ROLES)
      for (const each of commandsOf(rig)) {
        const { text } = await rig.ask(PEOPLE[role], `/${each.name}`)
        const refused = text.includes(`/${each.name} is for the role ${each.role}; yours is ${role}.`)
        expect({ command: each.name, role, refused }).toEqual({
          command: each.name,
          role,
          refused: !mayCall(role, each),
        })
        expect(text).not.toMatch(/broke|no command/)
      }
    expect(rig.audited()).toContain(`Vic (${VIC}): refused /freeze needs owner`)
    expect(rig.audited()).toContain(`Ben (${BEN}): refused /unfreeze needs owner`)
    expect(rig.audited().filter((line) => line.startsWith('Ann') && line.includes(' needs '))).toEqual([])
  }, 30_000)

  it('a viewer who presses a button that others were given is refused with a toast, and nothing happens', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    await rig.telegram.waitFor((fake) => fake.messages(OPS).length === 1)
    expect(await rig.press(VIC, 'Ack', { chat: OPS })).toContain('/ack is for the role operator')
    expect(rig.ops.alerts.open(0)[0]?.ack).toBeUndefined()
    expect(await rig.press(BEN, 'Ack', { chat: OPS })).toContain('You look after: Trouble with a')
  })

  it('while changes are frozen, every command that changes is refused, and reading works', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    await rig.see('a')
    expect((await rig.ask(ANN, '/freeze')).text).toContain('Frozen')
    for (const line of ['/ack all', '/mute all', '/testalert', '/run digest'])
      expect((await rig.ask(BEN, line)).text).toContain(`Changes are frozen by Ann (${ANN})`)
    expect((await rig.ask(VIC, '/alerts')).text).toContain('1 firing')
    expect((await rig.ask(VIC, '/status')).text).toContain('Changes are frozen by Ann')
    expect((await rig.ask(ANN, '/unfreeze')).text).toContain('allowed again')
    expect((await rig.ask(BEN, '/ack all')).text).toContain('You look after')
  })
})

describe.concurrent('slips', () => {
  it.for<[string, string]>([
    ['/statsu', 'Did you mean /status?'],
    ['/STATUS', 'Memory'],
    ['/mute', '<alert> is missing.\nUsage: /mute <alert> [for]'],
    ['/mute all soon', '<for> must look like 30m, 8h or 2d, not "soon".\nUsage: /mute <alert> [for]'],
    ['/mute all 1h now', 'That is a word too many: "now".'],
    ['/whoami please', '/whoami takes no words behind it.\nUsage: /whoami'],
    ['/xyzzyq', 'There is no command /xyzzyq.\n/help lists them all.'],
    ['/', 'There is no command of that name.'],
    ['/ack 4711', 'No firing alert is meant by "4711". /alerts lists them.'],
    ['/ack <b>&amp;', 'No firing alert is meant by "<b>&amp;"'],
    ['/run backups', 'There is no job "backups". The jobs: digest, housekeeping.'],
    ['/help statis', 'Did you mean /status?'],
    ['how is it?', 'I only understand commands.'],
  ])('%s is answered: %s', async ([line, answer], { onTestFinished: after }) => {
    const rig = await createRig({ after })
    expect((await rig.ask(ANN, line)).text).toContain(answer)
  })

  it('a command that is not for the reader is not offered as the nearest match', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    expect((await rig.ask(ANN, '/freez')).text).toContain('Did you mean /freeze?')
    expect((await rig.ask(VIC, '/freez')).text).not.toContain('Did you mean')
  })
})

describe.concurrent('help and menus', () => {
  it('/help has a line for every command of the role, and for no other; those of two words behind their first', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    for (const role of ROLES) {
      await rig.ask(PEOPLE[role], '/help')
      const mine = commandsOf(rig).filter((each) => mayCall(role, each))
      const expected = mine.filter(({ name }) => !name.includes(' '))
      // It may be more than one message holds.
      const lines = await rig.telegram.waitFor((fake) => {
        const shown = fake.messages(PEOPLE[role]).flatMap(({ text }) => text.split('\n'))
        const found = shown.filter((line) => line.startsWith('/'))
        return found.length >= expected.length ? found : undefined
      })
      const also = (first: string) =>
        mine.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []))
      expect(lines).toEqual(
        expected.map((each) => {
          const more = also(each.name)
          return `${usage(each)} ${each.about}${more.length > 0 ? ` Also: ${more.join(', ')}.` : ''}`
        }),
      )
      expect(lines.length + expected.flatMap(({ name }) => also(name)).length).toBe(mine.length)
    }
  })

  it('/help <command> says for whom it is, what its words mean and whether it changes something', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    for (const each of commandsOf(rig)) {
      const { text } = await rig.ask(VIC, `/help /${each.name}`)
      expect(text).toContain(usage(each))
      expect(text).toContain(each.about)
      expect(text).toContain(`For: ${each.role}. ${each.danger ? 'Changes something.' : 'Only reads.'}`)
    }
  })

  it('who starts the bot later than it started has a menu from then on', async ({
    onTestFinished: after,
  }) => {
    const world = (telegram: FakeTelegram) => telegram.user(ANN, { name: 'Ann' })
    const rig = await createRig({ after, world, env: { OPSBOT_OPERATORS: '', OPSBOT_VIEWERS: '' } })
    const set = () =>
      rig.telegram.calls.filter(({ method, status }) => method === 'setMyCommands' && status === 200)
    await rig.telegram.waitFor((fake) => fake.calls.some(({ status }) => status === 403))
    expect(set()).toEqual([])
    rig.telegram.privateChat(ANN, { started: false })
    rig.telegram.say({ chat: ANN, from: ANN, text: '/start' })
    await rig.telegram.waitFor(() => set().length === 1)
  })

  it('each person has the menu of their role, ten entries at most, and everybody else has none', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after })
    const menus = await rig.telegram.waitFor((fake) => {
      const set = fake.calls.filter(({ method, status }) => method === 'setMyCommands' && status === 200)
      return set.length === 6 && set.map(({ params }) => params as { scope: object; commands: object[] })
    })
    expect(rig.telegram.calls.find(({ method }) => method === 'deleteMyCommands')?.params).toEqual({
      scope: { type: 'default' },
    })
    for (const role of ROLES) {
      const user_id = PEOPLE[role]
      const own = commandsOf(rig).filter((each) => each.menu && mayCall(role, each))
      const entries = own.map(({ name, about }) => ({ command: name, description: about }))
      expect(entries.length).toBeLessThanOrEqual(10)
      for (const scope of [
        { type: 'chat', chat_id: user_id },
        { type: 'chat_member', chat_id: OPS, user_id },
      ])
        expect(menus).toContainEqual({ scope, commands: entries })
    }
  })

  it('a second start with the same commands sets no menu again; a person who was not there yet gets theirs then', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({
      after,
      world: (telegram) => {
        for (const id of [ANN, BEN]) telegram.privateChat(id)
        telegram.user(VIC)
      },
    })
    const tried = () => rig.telegram.calls.filter(({ method }) => method === 'setMyCommands')
    await rig.telegram.waitFor(() => tried().length === 3 && tried().every(({ answeredAt }) => answeredAt))
    expect(tried().map(({ status }) => status)).toEqual([200, 200, 403])
    await rig.stop()
    rig.telegram.privateChat(VIC)
    rig.telegram.clearCalls()
    await rig.start()
    await rig.telegram.waitFor(() => tried()[0]?.answeredAt)
    await rig.ask(VIC, '/whoami')
    expect(tried().map(({ params }) => params.scope)).toEqual([{ type: 'chat', chat_id: VIC }])
  })

  it('/whoami gives the ids that the configuration asks for, also those of a topic', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({
      after,
      env: { TELEGRAM_CHAT_ID: `${OPS}`, TELEGRAM_THREAD_ID: '7' },
      world: (telegram) => {
        telegram.privateChat(ANN)
        telegram.group(OPS, {
          type: 'supergroup',
          title: 'Ops',
          isForum: true,
          topics: [7],
          members: { [ANN]: 'creator' },
        })
      },
    })
    expect((await rig.ask(ANN, '/whoami')).text).toContain(
      `User id ${ANN}, role owner\nChat id ${ANN} (private)`,
    )
    const topic = { chat: OPS, message_thread_id: 7, is_topic_message: true } as const
    const answer = await rig.ask(ANN, '/whoami', topic)
    expect(answer).toMatchObject({ thread: 7, silent: true })
    expect(answer.text).toContain(`Chat id ${OPS} (group)\nTopic id 7`)
  })
})

describe.concurrent('claiming', () => {
  const orphan = { env: { OPSBOT_OWNERS: '', OPSBOT_OPERATORS: '', OPSBOT_VIEWERS: '' } }
  const codeOf = (rig: Rig) => /\/claim (\w+)$/.exec(rig.announced.join(''))?.[1] ?? ''

  it('without an owner a code is printed; who sends it in private is told their id and the line to add, once', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...orphan, after })
    const code = codeOf(rig)
    expect(rig.announced).toEqual([
      `No owner is set. Send this to @fake_ops_bot in a private chat: /claim ${code}`,
    ])
    expect(code).toMatch(/^[0-9a-f]{20}$/)
    const { text } = await rig.ask(EVE, `/claim ${code}`)
    expect(text).toContain(`Your numeric id is ${EVE}`)
    expect(text).toContain(`OPSBOT_OWNERS=${EVE}`)
    rig.telegram.say({ chat: ANN, from: ANN, text: `/claim ${code}` })
    rig.telegram.say({ chat: EVE, from: EVE, text: '/status' })
    await rig.telegram.waitFor((fake) => fake.pending() === 0)
    await rig.stop()
    expect(rig.spoken()).toHaveLength(1)
  })

  it('a wrong code, and the right one in a group, get silence and are not remembered', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after, env: { ...orphan.env, TELEGRAM_CHAT_ID: `${OPS}` } })
    const code = codeOf(rig)
    rig.telegram.say({ chat: OPS, from: EVE, text: `/claim ${code}` })
    for (const wrong of ['', 'x', code.slice(1), `${code}0`, '0'.repeat(code.length)])
      rig.telegram.say({ chat: EVE, from: EVE, text: `/claim ${wrong}` })
    expect((await rig.ask(EVE, `/claim@fake_ops_bot ${code}`)).text).toContain(`OPSBOT_OWNERS=${EVE}`)
    expect(rig.telegram.messages(OPS)).toEqual([])
    expect(rig.telegram.messages(EVE)).toHaveLength(1)
    const audited = rig.audited()
    expect(audited.filter((line) => line.includes('claim the code was right'))).toHaveLength(1)
    expect(audited.filter((line) => line.includes('refused without an answer'))).toHaveLength(1)
    expect(rig.ops.store.all('SELECT 1 FROM inbox')).toHaveLength(1)
    expect(rig.audited().filter((line) => line.includes(code))).toEqual([])
  })

  it('with an owner there is no code, and /claim is a command like any other that does not exist', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    expect(rig.announced).toEqual([])
    rig.telegram.say({ chat: EVE, from: EVE, text: '/claim 123' })
    expect((await rig.ask(ANN, '/claim 123')).text).toContain('There is no command /claim')
    expect(rig.telegram.messages(EVE)).toEqual([])
  })
})
