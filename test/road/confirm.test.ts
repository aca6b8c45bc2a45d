// Dangerous commands on the road: confirmed by who asked, there, once, in time and for the plan that was shown; and what a stop does.

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { command } from '../../src/bot/command.ts'
import { listCommands } from '../../src/bot/commands/index.ts'
import { type After, ANN, BEN, createRig, OPS, type Rig, until } from './rig.ts'

/** A bot with a disruptive, a destructive and a slow command, that writes down what was done. */
async function createYard(after: After, more: { unheeding?: boolean } = {}) {
  const done: string[] = []
  const inboxThen: unknown[] = []
  const state = { basis: 'a' }
  const slow = Promise.withResolvers<void>()
  let rig: Rig | undefined
  const act = (what: string) => {
    done.push(what)
    inboxThen.push(rig?.inbox().at(-1)?.state)
    return { mark: 'ok' as const, title: `Done: ${what}` }
  }
  const plan = () => ({
    page: { title: 'Recreate the gateway?', lines: ['docker compose up'] },
    basis: state.basis,
  })
  const args = z.object({ what: z.string().optional().meta({ rest: true }) })
  rig = await createRig({
    after,
    env: { TELEGRAM_CHAT_ID: `${OPS}` },
    commands: (parts) => [
      ...listCommands(parts),
      command({
        ...{ name: 'rebuild', role: 'operator', about: 'Disrupts.', danger: 'disruptive', args, plan },
        run: (call) => act(`rebuild ${call.args.what ?? ''}`),
      }),
      command({
        ...{ name: 'wipe', role: 'owner', about: 'Destroys.', danger: 'destructive', args: z.object({}) },
        plan: () => ({ ...plan(), typed: 'openclaw' }),
        run: () => act('wipe'),
      }),
      command({
        ...{ name: 'drag', role: 'owner', about: 'Takes its time.', danger: 'safe', args: z.object({}) },
        async run({ person }) {
          await parts.ops.deeds.perform(
            {
              ...{ name: 'drag', detail: 'the anchor', danger: 'safe', resource: 'gateway' },
              async run(signal) {
                act('drag')
                if (!more.unheeding) signal.addEventListener('abort', () => slow.resolve())
                await slow.promise
                signal.throwIfAborted()
              },
            },
            person,
          ).done
          return { title: 'Dragged' }
        },
      }),
    ],
  })
  return Object.assign(rig, { done, inboxThen, state, slow })
}

const usedUp = 'This confirmation is used up or older than my last start.'
/** Lets a poll come to its end after the clock was pushed, so that presses are live again. */
const settle = (rig: Rig) => rig.ask(ANN, '/whoami')

describe.concurrent('a button that confirms', () => {
  it('shows the plan first, and does it once when it is pressed, after the inbox has that it begins', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const { text, buttons } = await yard.ask(BEN, '/rebuild it')
    expect(text).toContain('❓ Recreate the gateway?\ndocker compose up')
    expect(buttons.flat().map((button) => button.text)).toEqual(['Do it'])
    expect(yard.done).toEqual([])
    const again = yard.telegram.messages(BEN).at(-1)?.id ?? 0
    await yard.press(BEN, 'Do it')
    await yard.telegram.waitFor((fake) => fake.messages(BEN).at(-1)?.text.includes('Done: rebuild it'))
    expect(yard.done).toEqual(['rebuild it'])
    expect(yard.inboxThen).toEqual(['started'])
    expect(await yard.press(BEN, 'Do it', { messageId: again })).toContain(usedUp)
    expect(yard.done).toHaveLength(1)
  })

  it('tapped twice at once does it once', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { id, buttons } = await yard.ask(ANN, '/rebuild')
    const data = buttons.flat()[0]?.data ?? ''
    const taps = [1, 2, 3].map(() => yard.telegram.press({ chat: ANN, from: ANN, messageId: id, data }))
    await yard.telegram.waitFor((fake) => taps.every((tap) => fake.answerTo(tap)))
    expect(yard.done).toEqual(['rebuild '])
    expect(taps.filter((tap) => `${yard.telegram.answerTo(tap)?.text}`.includes(usedUp))).toHaveLength(2)
  })

  it('is for who asked, where they asked', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { buttons } = await yard.ask(BEN, '/rebuild@fake_ops_bot', { chat: OPS })
    const data = buttons.flat()[0]?.data ?? ''
    const foreign = 'Only who asked can confirm it.'
    expect(await yard.press(ANN, 'Do it', { chat: OPS })).toContain(foreign)
    const { id } = await yard.ask(BEN, '/whoami')
    const elsewhere = yard.telegram.press({ chat: BEN, from: BEN, messageId: id, data })
    expect((await yard.telegram.waitFor((fake) => fake.answerTo(elsewhere))).text).toContain(foreign)
    expect(yard.done).toEqual([])
    await yard.press(BEN, 'Do it', { chat: OPS })
    await until(() => yard.done.length === 1)
  })

  it('runs out after two minutes and offers a fresh plan, which can be confirmed', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/rebuild')
    yard.clock.pass(119_000)
    await settle(yard)
    yard.clock.pass(2_000)
    await yard.press(ANN, 'Do it')
    await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).at(-1)?.text.includes('Expired: nothing was done.'),
    )
    expect(yard.done).toEqual([])
    await yard.press(ANN, 'Show again')
    await yard.telegram.waitFor((fake) => fake.messages(ANN).at(-1)?.buttons.flat()[0]?.text === 'Do it')
    await yard.press(ANN, 'Do it')
    await until(() => yard.done.length === 1)
  })

  it('does not do what was not on the plan: it changed, it is refused', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/rebuild')
    yard.state.basis = 'b'
    await yard.press(ANN, 'Do it')
    await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).at(-1)?.text.includes('It changed since this plan'),
    )
    await yard.press(ANN, 'Show again')
    await yard.telegram.waitFor((fake) => fake.messages(ANN).at(-1)?.buttons.flat()[0]?.text === 'Do it')
    expect(yard.done).toEqual([])
  })

  it('is stale when it may have waited for a minute, and says so even when the line is too long to show again', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const long = 'x'.repeat(60)
    await yard.ask(ANN, `/rebuild ${long}`)
    yard.telegram.cut()
    await yard.telegram.waitFor((fake) => !fake.polling)
    yard.telegram.press({ chat: ANN, from: ANN, button: 'Do it' })
    yard.clock.pass(61_000)
    const told = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find(({ text }) => text.includes('Expired')),
    )
    expect(told.buttons).toEqual([])
    expect(yard.done).toEqual([])
  })

  it('does not outlive the process', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/rebuild')
    await yard.stop()
    await yard.start()
    expect(await yard.press(ANN, 'Do it')).toContain(usedUp)
    expect(yard.done).toEqual([])
  })
})

describe.concurrent('a name that has to be typed', () => {
  it('does it when the name is right, once', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    expect((await yard.ask(ANN, '/wipe')).text).toContain('Type openclaw to do it.')
    expect((await yard.ask(ANN, ' openclaw ')).text).toContain('Done: wipe')
    expect(yard.inboxThen).toEqual(['started'])
    expect((await yard.ask(ANN, 'openclaw')).text).toContain('I only understand commands')
    expect(yard.done).toEqual(['wipe'])
  })

  it.for<[string, (yard: Rig & { state: { basis: string } }) => unknown, string, string]>([
    ['is wrong', () => {}, 'opencla', 'That is not "openclaw": nothing was done.'],
    [
      'comes after two minutes',
      ({ clock }) => clock.pass(121_000),
      'openclaw',
      'My question ran out: nothing was done.',
    ],
    [
      'is for another plan',
      ({ state }) => Object.assign(state, { basis: 'b' }),
      'openclaw',
      'It changed in the meantime',
    ],
  ])('does nothing when it %s', async ([, between, typed, answer], { onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/wipe')
    await between(yard)
    expect((await yard.ask(ANN, typed)).text).toContain(answer)
    await yard.ask(ANN, 'openclaw')
    expect(yard.done).toEqual([])
  })

  it('is asked again after a restart, because the words were not kept', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/wipe')
    await yard.stop()
    await yard.start()
    const again = (await yard.ask(ANN, 'openclaw')).text
    expect(again).toContain('I was restarted before I could read your answer')
    expect(again).toContain('Type openclaw to do it.')
    expect(yard.done).toEqual([])
    expect((await yard.ask(ANN, 'openclaw')).text).toContain('Done: wipe')
    expect(yard.done).toEqual(['wipe'])
  })

  it('that waited for a minute does nothing', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/wipe')
    const date = Math.floor(yard.clock.now() / 1_000) - 62
    expect((await yard.ask(ANN, 'openclaw', { date })).text).toContain('Expired: nothing was done.')
    expect(yard.done).toEqual([])
  })

  it('is taken from who was asked alone', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/wipe@fake_ops_bot', { chat: OPS })
    yard.telegram.say({ chat: OPS, from: BEN, text: 'openclaw' })
    await yard.ask(ANN, 'openclaw')
    expect(yard.done).toEqual([])
    expect((await yard.ask(ANN, 'openclaw', { chat: OPS })).text).toContain('Done: wipe')
  })

  it('can be typed on the console, where buttons are numbers', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const terminal = await yard.dial()
    expect(await terminal.line('/wipe')).toMatchObject({
      ok: true,
      output: expect.stringContaining('Type openclaw'),
    })
    expect(await terminal.line('no')).toMatchObject({ ok: false })
    await terminal.line('wipe')
    expect(await terminal.line('openclaw')).toMatchObject({
      ok: true,
      output: expect.stringContaining('Done: wipe'),
    })
    expect((await terminal.line('/rebuild')).output).toContain('[1] Do it')
    expect((await terminal.line('/rebuild')).output).toContain('[2] Do it')
    expect((await terminal.line('1')).output).toContain('Done: rebuild')
    expect(await terminal.line('1')).toMatchObject({ ok: false, output: expect.stringContaining(usedUp) })
    expect((await terminal.line('2')).output).toContain('Done: rebuild')
    expect(await terminal.line('3')).toMatchObject({ ok: false })
    terminal.close()
  })
})

describe.concurrent('a stop in the middle', () => {
  it('lets what heeds it end, and says at the next start what became of it, without doing it again', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    yard.telegram.say({ chat: ANN, from: ANN, text: '/drag' })
    await until(() => yard.done.length === 1)
    const at = performance.now()
    await yard.stop()
    expect(performance.now() - at).toBeLessThan(5_000)
    await yard.start()
    await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).at(-1)?.text.includes('I was stopped while at this: /drag'),
    )
    expect(yard.ops.audit.list(5)).toContainEqual(
      expect.objectContaining({ action: 'drag', result: 'interrupted' }),
    )
    expect(yard.done).toEqual(['drag'])
    expect(yard.telegram.messages(ANN).filter(({ text }) => text.includes('broke'))).toEqual([])
  })

  it('does not wait for what does not heed it, and tells the owners of it at the next start', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after, { unheeding: true })
    yard.telegram.say({ chat: ANN, from: ANN, text: '/drag' })
    await until(() => yard.done.length === 1)
    const at = performance.now()
    await yard.stop()
    expect(performance.now() - at).toBeLessThan(5_000)
    await yard.start()
    const card = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find(({ text }) => text.includes('I was stopped in the middle of something')),
    )
    expect(card).toMatchObject({ silent: false })
    expect(card.text).toContain(`drag the anchor, begun by Ann (${ANN}): not finished, not resumed`)
    expect(yard.ops.audit.running()).toEqual([])
    expect(yard.done).toEqual(['drag'])
  })
})
