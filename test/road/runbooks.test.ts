// Runbooks on the road, with a fake engine: a recreate on its progress card, cancelled, refused, failed, rolled back, and cut by a stop.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/ops/docker/index.ts'
import { boxOf, composeOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { type After, ANN, BEN, createRig, OPS, type Rig, temporaryDirectory, until, VIC } from './rig.ts'

/** A gateway whose `.env` was changed since its container was made. */
async function createYard(after: After) {
  const home = temporaryDirectory(after)
  const file = (name: string) => join(home, name)
  writeFileSync(file('docker-compose.yml'), 'services: {}\n')
  writeFileSync(file('.env'), 'TOKEN=two\nNAME=a\n')
  const engine = createFakeEngine({ now: Date.now })
  const old = engine.add(
    boxOf(GATEWAY, {
      ...{
        compose: composeOf(home),
        health: { status: 'healthy' },
        startPeriodMs: 1_000,
        startedAt: Date.now(),
      },
      environment: { TOKEN: sha256('one'), NAME: sha256('a') },
    }),
  )
  const rig = await createRig({ after, engine, env: { TELEGRAM_CHAT_ID: `${OPS}` } })
  await rig.look()
  /** Holds the engine's stop until it is let go. */
  function holdStop() {
    const gate = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    engine.faults.stop = () => {
      entered.resolve()
      return gate.promise
    }
    after(() => gate.resolve())
    return { entered: entered.promise, release: () => gate.resolve() }
  }
  return Object.assign(rig, { engine, old, file, holdStop })
}
type Yard = Awaited<ReturnType<typeof createYard>>

const find = (rig: Rig, chat: number, text: string | RegExp) =>
  rig.telegram.waitFor((fake) => fake.messages(chat).findLast((message) => message.text.match(text)))
const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)
const up = ({ engine }: Yard) => engine.done.filter((line) => line.includes('--force-recreate'))

/** Asks for it and confirms it. */
async function tap(yard: Yard, person: number, line: string) {
  await yard.ask(person, line)
  return await yard.press(person, 'Do it')
}

describe.concurrent('/recreate', () => {
  it('shows its plan, and on the second tap its progress on one card, to its proof', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const plan = await yard.ask(BEN, '/recreate')
    for (const piece of [
      '❓ recreate openclaw-gateway?',
      '✅ will change: TOKEN',
      `docker stop -t 330 ${GATEWAY}`,
      '--force-recreate --no-deps',
    ])
      expect(plan.text).toContain(piece)
    expect(yard.engine.done).toEqual([])
    expect(await yard.press(BEN, 'Do it')).toContain('recreate openclaw-gateway has begun.')
    const card = await find(yard, BEN, 'openclaw-gateway: done')
    expect(card.text).toMatch(
      /✓ snapshot: \S+\n✓ stop: ended in .+\n✓ make anew\n✓ boot: healthy, .+\n✓ proof: container [0-9a-f]{12}/,
    )
    expect(card.text).toContain(`Begun by Ben (${BEN})`)
    expect(labels(card)).toEqual([])
    expect(yard.engine.find(GATEWAY).environment.TOKEN).toBe(sha256('two'))
    expect(yard.audited()).toContain(`Ben (${BEN}): recreate ${GATEWAY}`)
    await yard.look()
    // Nobody was woken for it.
    expect(yard.telegram.messages(OPS)).toEqual([])
    expect(
      yard.telegram
        .messages(BEN)
        .map(({ text }) => text)
        .join(),
    ).not.toContain('two')
  })

  it('edits its card once a second at most', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    let looks = 0
    yard.engine.compose.born = (box) => Object.assign(box, { health: { status: 'starting' } })
    yard.engine.faults.logs = () => {
      const box = yard.engine.find(GATEWAY)
      looks += 1
      box.log = `building sandbox image ${looks} of 9`
      if (looks === 7) box.health = { status: 'healthy' }
    }
    await tap(yard, BEN, '/recreate')
    const card = await find(yard, BEN, 'openclaw-gateway: done')
    expect(looks).toBe(7)
    const at = card.history.map((said) => said.at)
    expect(at.length).toBeGreaterThan(2)
    for (const [index, moment] of at.slice(1).entries())
      expect(moment - (at[index] ?? 0)).toBeGreaterThan(950)
    expect(card.history.some(({ text }) => /▶ boot: building sandbox image \d\/9/.test(text))).toBe(true)
  })

  it('--plan shows the same, without a button, to be done by nobody', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { text, buttons } = await yard.ask(BEN, '/recreate --plan')
    expect(text).toContain('will change: TOKEN')
    expect(buttons.flat()).toEqual([])
    expect((await yard.ask(BEN, `/recreate ${GATEWAY} --plan`)).text).toContain('will change: TOKEN')
    expect(yard.engine.done).toEqual([])
    expect(await yard.ops.snapshots.list()).toEqual([])
    expect(yard.audited()).toEqual([])
    expect((await yard.ask(VIC, '/recreate --plan')).text).toContain('/recreate is for the role operator')
  })

  it('that is blocked cannot be confirmed', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.engine.images.clear()
    const { text, buttons } = await yard.ask(BEN, '/recreate')
    expect(text).toMatch(/^🔴 recreate openclaw-gateway\?/)
    expect(text).toContain('🔴 the image openclaw:local is not here: build it first')
    expect(buttons.flat()).toEqual([])
  })

  it('with a warning can be confirmed', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    writeFileSync(yard.file('.env'), 'TOKEN=two words\nNAME=a\n')
    const { text, buttons } = await yard.ask(BEN, '/recreate')
    expect(text).toContain('🟡 .env line 1: TOKEN has spaces and no quotes')
    expect(buttons.flat().map((button) => button.text)).toEqual(['Do it'])
  })

  it('is for the plan that was shown: a changed .env is refused and shown again', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await yard.ask(BEN, '/recreate')
    writeFileSync(yard.file('.env'), 'TOKEN=three\nNAME=b\n')
    await yard.press(BEN, 'Do it')
    await find(yard, BEN, 'It changed since this plan was shown: nothing was done.')
    await yard.press(BEN, 'Show again')
    await find(yard, BEN, /will change: (TOKEN, NAME|NAME, TOKEN)/)
    expect(yard.engine.done).toEqual([])
  })

  it('tapped twice is one recreate', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { id, buttons } = await yard.ask(BEN, '/recreate')
    const data = buttons.flat()[0]?.data ?? ''
    const taps = [1, 2].map(() => yard.telegram.press({ chat: BEN, from: BEN, messageId: id, data }))
    await yard.telegram.waitFor((fake) => taps.every((each) => fake.answerTo(each)))
    await find(yard, BEN, 'openclaw-gateway: done')
    expect(up(yard)).toHaveLength(1)
  })

  it('of two admins is one recreate: the other is told who is at it', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { entered, release } = yard.holdStop()
    await yard.ask(ANN, '/recreate')
    await yard.ask(BEN, '/recreate')
    await yard.press(ANN, 'Do it')
    await entered
    expect(await yard.press(BEN, 'Do it')).toContain(
      `Ann (${ANN}) is already at it: recreate openclaw-gateway`,
    )
    release()
    await find(yard, ANN, 'openclaw-gateway: done')
    expect(up(yard)).toHaveLength(1)
    expect(yard.telegram.messages(BEN).some(({ text }) => text.includes('under way'))).toBe(false)
  })

  it('of the bot and the console at once is one recreate', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { entered, release } = yard.holdStop()
    const terminal = await yard.dial(true)
    await yard.ask(BEN, '/recreate')
    const { output } = await terminal.line('/recreate')
    expect(output).toContain('[1] Do it')
    const [reply, toast] = await Promise.all([terminal.line('1'), yard.press(BEN, 'Do it')])
    const refused = [reply.output, toast].filter((text) =>
      text.includes('is already at it: recreate openclaw-gateway'),
    )
    expect(refused).toHaveLength(1)
    await entered
    release()
    await until(() => up(yard).length > 0)
    await until(() => terminal.shown.some((text) => text.includes('recreate openclaw-gateway: done')))
    expect(up(yard)).toHaveLength(1)
    terminal.close()
  })

  it('goes before /restart of the same project, which is told so', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { entered, release } = yard.holdStop()
    await tap(yard, ANN, '/recreate')
    await entered
    expect(await tap(yard, BEN, `/restart ${GATEWAY}`)).toContain('is already at it')
    release()
    await find(yard, ANN, 'openclaw-gateway: done')
  })

  it('while changes are frozen is refused', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/freeze')
    expect(await tap(yard, BEN, '/recreate')).toContain('Changes are frozen by')
    expect(yard.engine.done).toEqual([])
  })

  it('of a service that is not in the project is answered with those that are', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    expect((await yard.ask(BEN, '/recreate blog')).text).toContain(
      '"blog" is not a service of this project. It has: openclaw-gateway.',
    )
  })
})

describe.concurrent('Cancel', () => {
  it('takes it back while that still works', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { entered, release } = yard.holdStop()
    await tap(yard, BEN, '/recreate')
    await entered
    const card = await find(yard, BEN, 'openclaw-gateway: under way')
    expect(labels(card)).toEqual(['Cancel'])
    expect(await yard.press(BEN, 'Cancel', { messageId: card.id })).toContain('Stopping it.')
    release()
    const ended = await find(yard, BEN, 'openclaw-gateway: cancelled')
    expect(ended.text).toContain('↩ stop: started again')
    expect(ended.text).toContain('openclaw-gateway is the old container, running, healthy.')
    expect(labels(ended)).toEqual([])
    expect(yard.engine.done).toEqual([`stop ${GATEWAY} 330`, `start ${GATEWAY}`])
    expect(yard.engine.find(GATEWAY).id).toBe(yard.old.id)
    expect(yard.telegram.messages(OPS)).toEqual([])
  })

  it('is gone past the point of no return, and says so to who still presses it', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    yard.engine.compose.born = (box) => Object.assign(box, { health: { status: 'starting' } })
    await tap(yard, BEN, '/recreate')
    const card = await find(yard, BEN, /▶ boot/)
    expect(labels(card)).toEqual([])
    const deed = yard.ops.audit.running()[0]?.id
    expect((await yard.ask(BEN, `/cancel ${deed}`)).text).toContain(
      'It is past the point where it could be taken back; it goes on to its end.',
    )
    yard.engine.find(GATEWAY).health = { status: 'healthy' }
    await find(yard, BEN, 'openclaw-gateway: done')
    expect((await yard.ask(BEN, `/cancel ${deed}`)).text).toContain('That is not running any more.')
    expect((await yard.ask(BEN, '/cancel it')).text).toContain('<run> must be a number, not "it".')
    expect((await yard.ask(VIC, `/cancel ${deed}`)).text).toContain('/cancel is for the role operator')
  })
})

describe.concurrent('a recreate that fails', () => {
  /** The files as they were when the old container was made are kept; then `.env` is broken. */
  async function fail(after: After) {
    const yard = await createYard(after)
    writeFileSync(yard.file('.env'), 'TOKEN=one\nNAME=a\n')
    await yard.ops.snapshots.take(
      composeOf(join(yard.file('.env'), '..')),
      { ...yard.old, createdAt: Date.now() + 9_999 },
      Date.now(),
    )
    writeFileSync(yard.file('.env'), 'TOKEN=two\nNAME=broken\n')
    yard.engine.compose.born = (box) => Object.assign(box, { state: 'exited', exitCode: 78 })
    await tap(yard, BEN, '/recreate')
    const card = await find(yard, BEN, 'openclaw-gateway: failed')
    yard.engine.compose.born = (box) => Object.assign(box, { health: { status: 'healthy' } })
    return { yard, card }
  }

  it('says what state it left, and Roll back heals it with the newer credentials', async ({
    onTestFinished: after,
  }) => {
    const { yard, card } = await fail(after)
    expect(card.text).toContain('✗ boot: It refused its configuration or state (exit 78) while starting.')
    expect(card.text).toContain('openclaw-gateway is a new container, exited')
    expect(labels(card)).toEqual(['Roll back', 'Recreate again'])
    await yard.press(BEN, 'Roll back', { messageId: card.id })
    const plan = await find(yard, BEN, 'rollback openclaw-gateway to')
    expect(plan.text).toContain('credentials in .env stay as they are now')
    expect(labels(plan)).toEqual(['Do it'])
    await yard.press(BEN, 'Do it', { messageId: plan.id })
    await find(yard, BEN, /rollback openclaw-gateway to \S+: done/)
    expect(yard.engine.find(GATEWAY)).toMatchObject({
      state: 'running',
      environment: { TOKEN: sha256('two'), NAME: sha256('a') },
    })
  })

  it('gives older credentials back to an owner alone', async ({ onTestFinished: after }) => {
    const { yard } = await fail(after)
    const { id = '' } = (await yard.ops.snapshots.list()).find(({ faithful }) => faithful) ?? {}
    expect((await yard.ask(BEN, '/rollback')).text).toContain(`/rollback ${id}`)
    for (const more of ['', ' --plan'])
      expect((await yard.ask(BEN, `/rollback ${id} credentials${more}`)).text).toContain(
        'Only an owner brings older credentials back',
      )
    expect((await yard.ask(ANN, `/rollback ${id} nonsense`)).text).toContain(
      '<credentials> must be "credentials"',
    )
    expect((await yard.ask(ANN, `/rollback ${id} credentials`)).text).toContain('credentials go back too')
    await yard.press(ANN, 'Do it')
    await find(yard, ANN, /rollback openclaw-gateway to \S+: done/)
    expect(yard.engine.find(GATEWAY).environment.TOKEN).toBe(sha256('one'))
  })

  it('for want of an image, or of an old snapshot, is refused before anything stops', async ({
    onTestFinished: after,
  }) => {
    const { yard } = await fail(after)
    expect((await yard.ask(BEN, '/rollback nope')).text).toContain('There is no snapshot "nope".')
    const { id = '' } = (await yard.ops.snapshots.list())[0] ?? {}
    yard.engine.images.clear()
    const before = yard.engine.done.length
    const { text, buttons } = await yard.ask(BEN, `/rollback ${id}`)
    expect(text).toContain('of that time is not here any more')
    expect(buttons.flat()).toEqual([])
    expect(yard.engine.done).toHaveLength(before)
  })
})

describe.concurrent('a stop of the bot in the middle of a recreate', () => {
  it('is told to the owners once at the next start, with the state found, and nothing is resumed', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    // The new container takes its time, and is well by the next start.
    yard.engine.compose.born = (box) => Object.assign(box, { health: { status: 'starting' } })
    await tap(yard, BEN, '/recreate')
    await find(yard, BEN, /▶ boot/)
    await yard.stop()
    const done = [...yard.engine.done]
    yard.engine.find(GATEWAY).health = { status: 'healthy' }
    await yard.start()
    const told = await find(yard, ANN, 'was cut off when I was stopped')
    expect(told).toMatchObject({ silent: false })
    expect(told.text).toContain('openclaw-gateway is a new container, running, healthy.')
    expect(labels(told)).toEqual(['Roll back', 'Recreate again'])
    await find(yard, BEN, 'recreate openclaw-gateway: was cut off when I was stopped')
    expect(yard.engine.done).toEqual(done)
    await yard.stop()
    await yard.start()
    await yard.look()
    await yard.ask(ANN, '/whoami')
    expect(yard.telegram.messages(ANN).filter(({ text }) => text.includes('was cut off'))).toHaveLength(1)
    // Its lock is free.
    yard.engine.compose.born = () => {}
    await tap(yard, ANN, '/recreate')
    await find(yard, ANN, 'openclaw-gateway: done')
  })

  it('before the point of no return starts the old container again', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { entered, release } = yard.holdStop()
    await tap(yard, BEN, '/recreate')
    await entered
    // As main does it: first what runs is asked to end, then the bot.
    yard.ops.deeds.halt()
    const stopping = yard.stop()
    release()
    await stopping
    expect(yard.engine.done).toEqual([`stop ${GATEWAY} 330`, `start ${GATEWAY}`])
    await yard.start()
    const told = await find(yard, ANN, 'was cut off when I was stopped')
    expect(told.text).toContain('openclaw-gateway is the old container, running, healthy.')
  })
})
