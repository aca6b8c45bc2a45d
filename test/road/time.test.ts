// Time and memory on the way in: what is stale, what was taken before, and what a crash leaves behind.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import type { Request } from '../../src/bot/guard.ts'
import { createInbox } from '../../src/ops/state/inbox.ts'
import { openState } from '../../src/ops/state/index.ts'
import type { NewUpdate } from '../telegram/updates.ts'
import { type After, ANN, bytesOf, createRig, OPS, type Rig, until } from './rig.ts'

const EXPIRED = 'Expired: nothing was done. Send it again.'
const inGroup = { env: { TELEGRAM_CHAT_ID: `${OPS}` } }
const muted = ({ ops, clock }: Rig) => ops.alerts.mutes(clock.now()).length > 0

/** A message of ours with buttons, and the bot down again. */
async function withStatus(after: After, options = {}): Promise<Rig & { messageId: number }> {
  const rig = await createRig({ ...inGroup, ...options, after })
  const { id: messageId } = await rig.ask(ANN, '/status')
  return Object.assign(rig, { messageId })
}
const press = ({ telegram, messageId }: Rig & { messageId: number }, data: string) =>
  telegram.press({ chat: ANN, from: ANN, messageId, data })

describe.concurrent('a command', () => {
  it('that changes something is refused when it is older than a minute, and obeyed when it is younger', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    const sent = (secondsAgo: number) => ({ date: Math.floor(rig.clock.now() / 1_000) - secondsAgo })
    expect((await rig.ask(ANN, '/mute all 1h', sent(62))).text).toContain(EXPIRED)
    expect(muted(rig)).toBe(false)
    expect((await rig.ask(ANN, '/whoami', sent(86_400))).text).toContain('You are Ann')
    expect((await rig.ask(ANN, '/mute all 1h', sent(58))).text).toContain('Muted until')
  })

  it('that waited while the bot was down is refused if it changes something, and answered if it reads', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ ...inGroup, after, idle: true })
    rig.telegram.say({ chat: ANN, from: ANN, text: '/mute all 1h' })
    rig.telegram.say({ chat: ANN, from: ANN, text: '/whoami' })
    rig.clock.pass(62_000)
    await rig.start()
    await rig.telegram.waitFor((fake) => fake.messages(ANN).length === 2)
    const texts = rig.telegram.messages(ANN).map(({ text }) => text)
    expect(texts.some((text) => text.includes(EXPIRED))).toBe(true)
    expect(texts.some((text) => text.includes('You are Ann'))).toBe(true)
    expect(muted(rig)).toBe(false)
  })
})

describe.concurrent('a pressed button', () => {
  it('that waited while the bot was down is refused, in a message when the press is too old for a toast', async ({
    onTestFinished: after,
  }) => {
    const rig = await withStatus(after)
    await rig.stop()
    const young = press(rig, 'do:mute all 1h')
    await rig.start()
    const { text } = await rig.telegram.waitFor((fake) => fake.answerTo(young))
    expect(text).toBe(EXPIRED)
    await rig.stop()
    const before = rig.telegram.messages(ANN).length
    press(rig, 'do:mute all 2h')
    rig.clock.pass(61_000)
    await rig.start()
    const told = await rig.telegram.waitFor((fake) => fake.messages(ANN)[before])
    expect(told).toMatchObject({ replyTo: rig.messageId })
    expect(told.text).toContain(EXPIRED)
    expect(muted(rig)).toBe(false)
  })

  it('that waited behind more updates than one poll brings is refused too', async ({
    onTestFinished: after,
  }) => {
    const rig = await withStatus(after)
    await rig.stop()
    for (let each = 0; each < 250; each += 1) rig.telegram.say({ chat: OPS, from: ANN, text: `talk ${each}` })
    const last = press(rig, 'do:mute all 1h')
    await rig.start()
    expect((await rig.telegram.waitFor((fake) => fake.answerTo(last))).text).toBe(EXPIRED)
    expect(muted(rig)).toBe(false)
  })

  it('that reads is answered, however long it waited', async ({ onTestFinished: after }) => {
    const rig = await withStatus(after)
    await rig.stop()
    const before = rig.telegram.messages(ANN).length
    press(rig, 'do:whoami')
    rig.clock.pass(3_600_000)
    await rig.start()
    expect((await rig.telegram.waitFor((fake) => fake.messages(ANN)[before])).text).toContain('You are Ann')
  })

  it('right after a start that found nothing waiting is obeyed', async ({ onTestFinished: after }) => {
    const rig = await withStatus(after)
    await rig.stop()
    rig.clock.pass(3_600_000)
    await rig.start()
    const update = press(rig, 'do:mute all 1h')
    expect((await rig.telegram.waitFor((fake) => fake.answerTo(update))).text).toContain('Muted until')
  })

  it.for([
    { seconds: 62, answer: EXPIRED },
    { seconds: 30, answer: 'Muted until' },
  ])(
    'that comes first after $seconds s without a poll is answered: $answer',
    async ({ seconds, answer }, { onTestFinished: after }) => {
      const rig = await withStatus(after, { fake: { queryLifetimeMs: 3_600_000 } })
      await rig.telegram.waitFor((fake) => fake.polling)
      rig.telegram.cut()
      await rig.telegram.waitFor((fake) => !fake.polling)
      const update = press(rig, 'do:mute all 1h')
      rig.clock.pass(seconds * 1_000)
      expect((await rig.telegram.waitFor((fake) => fake.answerTo(update))).text).toContain(answer)
      expect(muted(rig)).toBe(answer !== EXPIRED)
    },
  )
})

describe.concurrent('the inbox', () => {
  it('has an update on disk before Telegram is told that we have it', async ({ onTestFinished: after }) => {
    const rig = await createRig({ after })
    const outside = new DatabaseSync(join(rig.directory, 'state.db'), { readOnly: true })
    const stored = outside.prepare('SELECT count(*) AS count FROM inbox WHERE update_id = ?')
    const id = rig.telegram.say({ chat: ANN, from: ANN, text: '/whoami' })
    const rows = await rig.telegram.waitFor((fake) => fake.confirmedOffset > id && stored.get(id))
    outside.close()
    expect(rows).toEqual({ count: 1 })
  })

  it('answers an update once when Telegram hands it out again', async ({ onTestFinished: after }) => {
    const rig = await createRig({ after })
    rig.telegram.fault({ method: 'getUpdates', kind: 'drop-after-ok', times: 1 })
    rig.telegram.cut()
    rig.telegram.say({ chat: ANN, from: ANN, text: '/whoami' })
    await rig.telegram.waitFor((fake) => fake.messages(ANN).length === 1)
    const again = rig.telegram.calls.findLast(
      ({ method, returned }) => method === 'getUpdates' && (returned as [])?.length,
    )
    const [update] = (again?.returned ?? []) as NewUpdate[]
    if (!update) throw new Error('no poll brought it')
    rig.telegram.push(update)
    rig.telegram.push(update)
    await rig.ask(ANN, '/alerts')
    await rig.stop()
    await rig.start()
    rig.telegram.push(update)
    await rig.ask(ANN, '/jobs')
    expect(rig.telegram.messages(ANN)).toHaveLength(3)
  })

  it('takes updates whose numbers begin again lower', async ({ onTestFinished: after }) => {
    const rig = await createRig({ after, idle: true })
    rig.telegram.nextUpdateId = 900_000_000
    await rig.start()
    await rig.ask(ANN, '/whoami')
    rig.telegram.nextUpdateId = 1_000
    expect((await rig.ask(ANN, '/alerts')).text).toContain('No alert')
    expect((await rig.ask(ANN, '/jobs')).text).toContain('jobs')
  })

  it('never holds what somebody typed that is no command, and forgets no command', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    const words = ['correct', 'horse', 'battery', 'staple'].join('-')
    await rig.ask(ANN, words)
    await rig.ask(ANN, '/alerts 17')
    await until(() => rig.inbox().every(({ state }) => state === 'done'))
    expect(rig.inbox().map(({ request }) => JSON.parse(request).text)).toEqual(['', '/alerts 17'])
    await rig.stop()
    expect(bytesOf(rig.directory)).not.toContain(words)
    expect(rig.lines.join('\n')).not.toContain(words)
  })
})

describe.concurrent('what an earlier process left', () => {
  /** Puts rows into the inbox as a process would have that was killed then. */
  function plant(rig: Rig, rows: { request: Partial<Request>; started?: true }[]): void {
    const state = openState({ directory: rig.directory, redact: (text) => text, now: 0 })
    const inbox = createInbox<Request>(state.store)
    for (const [index, { request, started }] of rows.entries()) {
      const updateId = 100 + index
      const usual: Request = {
        ...{
          kind: 'command',
          userId: ANN,
          userName: 'Ann',
          chatId: ANN,
          group: false,
          messageId: 1,
          text: '',
        },
        sentAt: rig.clock.now(),
      }
      inbox.add([{ updateId, request: { ...usual, ...request } }], rig.clock.now())
      if (started) inbox.started(updateId)
    }
    state.store.close()
  }

  it.for<[string, Partial<Request>, true | undefined, string, boolean]>([
    ['a question is answered', { text: '/whoami' }, undefined, 'You are Ann', false],
    ['a fresh change that was not begun is made', { text: '/mute all 1h' }, undefined, 'Muted until', true],
    ['an old change is refused', { text: '/mute all 1h', sentAt: 1 }, undefined, EXPIRED, false],
    [
      'a change that was begun is told and not made again',
      { text: '/mute all 1h' },
      true,
      'I was stopped while at this: /mute all 1h',
      false,
    ],
    [
      'a pressed button that changes something is refused',
      { kind: 'button', text: 'do:mute all 1h', queryId: '5' },
      undefined,
      EXPIRED,
      false,
    ],
    [
      'lost words are asked for again',
      { kind: 'text' },
      undefined,
      'I was restarted before I could read what you wrote',
      false,
    ],
  ])('%s', async ([, request, started, answer, done], { onTestFinished: after }) => {
    const rig = await createRig({ after, idle: true })
    plant(rig, [{ request, ...(started && { started }) }])
    await rig.start()
    const told = await rig.telegram.waitFor((fake) => fake.messages(ANN)[0])
    expect(told.text).toContain(answer)
    expect(muted(rig)).toBe(done)
    await until(() => rig.inbox().every(({ state }) => state === 'done'))
    await rig.stop()
    await rig.start()
    await rig.ask(ANN, '/jobs')
    expect(rig.telegram.messages(ANN)).toHaveLength(2)
  })

  it('is answered only when Telegram takes the answer, through as many stops as that needs', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after })
    rig.telegram.fault({ method: 'sendMessage', kind: 'status', status: 502 })
    rig.telegram.say({ chat: ANN, from: ANN, text: '/whoami' })
    await rig.telegram.waitFor((fake) => fake.counts.sendMessage)
    await rig.stop()
    await rig.start()
    await rig.telegram.waitFor((fake) => (fake.counts.sendMessage ?? 0) > 1)
    await rig.stop()
    rig.telegram.heal()
    await rig.start()
    await rig.telegram.waitFor((fake) => fake.messages(ANN).length === 1)
  })
})
