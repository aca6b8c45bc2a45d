// Containers on the road, with a fake engine: what is read, what is done on two taps, and the card of a death.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { boxOf, composeOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { type After, ANN, BEN, createRig, OPS, type Rig, temporaryDirectory, VIC } from './rig.ts'

/** A gateway with a database in its project, and a blog that is none of ours. */
async function createYard(after: After, env: Record<string, string> = {}) {
  const home = temporaryDirectory(after)
  writeFileSync(join(home, 'docker-compose.yml'), 'services: {}\n')
  writeFileSync(join(home, '.env'), 'TOKEN=one\n')
  const engine = createFakeEngine({ now: Date.now })
  const startedAt = Date.now() - 3 * 3_600_000
  const gateway = engine.add(
    boxOf(GATEWAY, {
      ...{ compose: composeOf(home), startedAt, createdAt: startedAt, health: { status: 'healthy' } },
      ...{ limits: { memoryBytes: 2e9, cpus: 1.5 }, log: 'one\ntwo\nthree' },
      mounts: [{ source: '/srv/state', destination: '/home/node/.openclaw', writable: true }],
    }),
  )
  const db = engine.add(boxOf('openclaw-db-1', { compose: composeOf(home, 'db'), startedAt }))
  engine.add(boxOf('blog', { startedAt }))
  const rig = await createRig({ after, engine, env: { TELEGRAM_CHAT_ID: `${OPS}`, ...env } })
  await rig.look()
  return Object.assign(rig, { engine, gateway, db, home })
}
type Yard = Awaited<ReturnType<typeof createYard>>

const last = (rig: Rig, chat: number, text: string) =>
  rig.telegram.waitFor((fake) => {
    const message = fake.messages(chat).at(-1)
    return message?.text.includes(text) ? message : undefined
  })
const cardsOf = ({ telegram }: Rig) => telegram.messages(OPS)
const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)

describe.concurrent('what is read', () => {
  it('/ps has every container with its state, for a viewer too', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.db.state = 'exited'
    const { text } = await yard.ask(VIC, '/ps')
    expect(text).toContain('✅ 2 of 3 containers running')
    for (const line of [
      '✅ blog Up 3 hours',
      '🟡 openclaw-db-1 Exited (0) 2 hours ago',
      '✅ openclaw-gateway Up 3 hours (healthy)',
    ])
      expect(text).toContain(line)
    yard.gateway.health = { status: 'unhealthy' }
    expect((await yard.ask(VIC, '/ps')).text).toMatch(/^🔴 2 of 3/)
  })

  it('/gateway has its state, uptime, image, memory and CPU against limits, and its directory', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    yard.gateway.restartCount = 2
    yard.gateway.health = { status: 'healthy', lastOutput: '{"ok":true}' }
    const message = await yard.ask(VIC, '/gateway')
    for (const piece of [
      '✅ openclaw-gateway: running, healthy',
      'Up 3 h, 2 restarts by Docker',
      'Memory 512 MB of 2.0 GB (26 %)',
      'CPU 13 % of a core, limit 1.5, 7 processes',
      'Image openclaw:local, container made 3 h ago',
      yard.gateway.id.slice(0, 12),
      '/srv/state',
      '{"ok":true}',
    ])
      expect(message.text).toContain(piece)
    expect(message.text).not.toContain(yard.gateway.id)
    expect(labels(message)).toEqual(['Refresh', 'Sessions', 'Logs', 'Restart', 'Recreate'])
    yard.gateway.state = 'exited'
    expect((await yard.ask(VIC, '/gateway')).text).toContain('🔴 openclaw-gateway: exited')
    yard.engine.remove(GATEWAY)
    expect((await yard.ask(VIC, '/gateway')).text).toContain('No gateway is configured here.')
  })

  it('/gateway that is configured and not there says its name', async ({ onTestFinished: after }) => {
    const yard = await createYard(after, { OPENCLAW_GATEWAY_CONTAINER: 'gw' })
    expect((await yard.ask(VIC, '/gateway')).text).toContain('There is no container "gw".')
  })

  it('/logs has the end of a log, and more of it on a button', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const few = await yard.ask(BEN, `/logs ${GATEWAY} 2`)
    expect(few.text).toBe('ℹ️ openclaw-gateway: the last 2 lines\ntwo\nthree')
    expect(labels(few)).toEqual(['Refresh', '8 lines'])
    await yard.press(BEN, '8 lines')
    expect((await last(yard, BEN, 'the last 3 lines')).text).toContain('one\ntwo\nthree')
    yard.db.log = ''
    expect((await yard.ask(BEN, '/logs db')).text).toContain('openclaw-db-1 has printed nothing.')
    expect((await yard.ask(BEN, '/logs db 5 30m')).text).toContain('has printed nothing since then.')
  })

  it('/logs comes as a file when it is long', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.gateway.log = Array.from({ length: 400 }, (_, line) => `line ${line} of the log`).join('\n')
    yard.telegram.say({ chat: BEN, from: BEN, text: `/logs ${GATEWAY} 400` })
    const { document } = await yard.telegram.waitFor((fake) =>
      fake.messages(BEN).find((each) => each.document),
    )
    expect(document?.name).toBe('openclaw-gateway.log')
    expect(Buffer.from(document?.bytes ?? []).toString()).toBe(yard.gateway.log)
  })

  it('/logs is free of secrets, in the chat and in the file', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const secret = ['sk', 'ant', 'api03', 'x'.repeat(30)].join('-')
    const token = [yard.telegram.token].join('')
    yard.gateway.log = `key ${secret} and ${token}`
    expect((await yard.ask(BEN, `/logs ${GATEWAY}`)).text).toContain('key [redacted] and [redacted]')
    yard.gateway.log = `${secret}\n`.repeat(200)
    yard.telegram.say({ chat: BEN, from: BEN, text: `/logs ${GATEWAY} 200` })
    const { document } = await yard.telegram.waitFor((fake) =>
      fake.messages(BEN).find((each) => each.document),
    )
    const text = Buffer.from(document?.bytes ?? []).toString()
    expect(text).toContain('[redacted]')
    expect(text).not.toContain(secret)
  })

  it('a slip is answered in one clear sentence', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    for (const [line, sentence] of [
      ['/logs nobody', 'There is no container "nobody". There are: openclaw-gateway, openclaw-db-1, blog.'],
      ['/logs openclaw', '"openclaw" may mean openclaw-gateway or openclaw-db-1. Write more of its name.'],
      [`/logs ${GATEWAY} 0`, '<lines> must be a number from 1 to 5000, not "0".'],
      [`/logs ${GATEWAY} 1000000000`, '<lines> must be a number from 1 to 5000, not "1000000000".'],
      [`/logs ${GATEWAY} 5001`, '<lines> must be 5000 at most, not "5001".'],
      [`/logs ${GATEWAY} -1`, '<lines> must be a number from 1 to 5000'],
      [`/logs ${GATEWAY} 5 soon`, '<since> must look like 30m, 8h or 2d'],
      ['/logs', '<container> is missing.'],
      ['/restart nobody', 'There is no container "nobody".'],
      ['/down openclaw', '"openclaw" may mean'],
      [
        '/restart blog',
        'blog is none of the containers that should run here: openclaw-gateway, openclaw-db-1. WATCH_CONTAINERS adds to them.',
      ],
      ['/up blog', 'blog is none of the containers'],
      ['/down blog', 'blog is none of the containers'],
    ] as const)
      expect((await yard.ask(BEN, line)).text).toContain(sentence)
    // Between the list and its log it was removed.
    yard.engine.faults.logs = () => yard.engine.remove('blog')
    expect((await yard.ask(BEN, '/logs blog')).text).toContain('no such container')
    expect(yard.engine.done).toEqual([])
  })

  it('without Docker everything says "not configured", and nothing fires', async ({
    onTestFinished: after,
  }) => {
    const rig = await createRig({ after, env: { TELEGRAM_CHAT_ID: `${OPS}` } })
    for (const line of [
      '/ps',
      '/gateway',
      '/logs x',
      '/restart x',
      '/up x',
      '/down x',
      '/recreate',
      '/recreate --plan',
    ])
      expect((await rig.ask(ANN, line)).text).toContain('Docker is not configured here: there is no socket.')
    await rig.look()
    expect(rig.ops.alerts.open(Date.now())).toEqual([])
  })
})

describe.concurrent('what is done', () => {
  it('/restart shows the exact call first, and does it once on the second tap, however often that is tapped', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const { text, id, buttons } = await yard.ask(BEN, '/restart gateway'.replace('gateway', 'openclaw-g'))
    expect(text).toContain('❓ Restart openclaw-gateway?')
    expect(text).toContain('docker restart -t 330 openclaw-gateway')
    expect(yard.engine.done).toEqual([])
    const data = buttons.flat()[0]?.data ?? ''
    const taps = [1, 2, 3].map(() => yard.telegram.press({ chat: BEN, from: BEN, messageId: id, data }))
    await yard.telegram.waitFor((fake) => taps.every((tap) => fake.answerTo(tap)))
    await last(yard, BEN, 'openclaw-gateway was restarted.')
    expect(yard.engine.done).toEqual([`restart ${GATEWAY} 330`])
    expect(yard.audited()).toContain(`Ben (${BEN}): restart ${GATEWAY}`)
    await yard.look()
    expect(cardsOf(yard)).toEqual([])
  })

  it.for<[string, (gate: { resolve(): void; reject(error: Error): void }) => void, string]>([
    ['done', ({ resolve }) => resolve(), 'openclaw-gateway was restarted.'],
    [
      'failed',
      ({ reject }) => reject(new OpsError('The engine went away.')),
      'openclaw-gateway: restart failed.\nThe engine went away.',
    ],
  ])(
    '/restart that takes long is answered at once, and its end is told: %s',
    async ([, end, words], { onTestFinished: after }) => {
      const gate = Promise.withResolvers<void>()
      const yard = await createYard(after)
      yard.engine.faults.restart = () => gate.promise
      await yard.ask(BEN, '/restart openclaw-g')
      await yard.press(BEN, 'Do it')
      await last(yard, BEN, 'restart is under way. Its end will be told here.')
      end(gate)
      await last(yard, BEN, words)
    },
  )

  it('a viewer may not, and an operator may', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    for (const name of ['restart', 'up', 'down', 'logs', 'recreate', 'rollback'])
      expect((await yard.ask(VIC, `/${name} ${GATEWAY}`)).text).toContain(
        `/${name} is for the role operator; yours is viewer.`,
      )
    expect((await yard.ask(BEN, `/up ${GATEWAY}`)).text).toContain('Start openclaw-gateway?')
  })

  it('a confirmation that ran out is offered again, and one whose container was replaced is refused', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await yard.ask(BEN, '/restart db')
    yard.clock.pass(121_000)
    await yard.ask(BEN, '/whoami')
    const { id = 0 } =
      yard.telegram.messages(BEN).find((each) => each.text.includes('Restart openclaw-db-1?')) ?? {}
    await yard.press(BEN, 'Do it', { messageId: id })
    await last(yard, BEN, 'Expired: nothing was done.')
    await yard.press(BEN, 'Show again')
    await last(yard, BEN, 'Restart openclaw-db-1?')
    yard.engine.remove('openclaw-db-1')
    yard.engine.add(boxOf('openclaw-db-1', { compose: composeOf(yard.home, 'db') }))
    await yard.press(BEN, 'Do it')
    await last(yard, BEN, 'It changed since this plan was shown: nothing was done.')
    expect(yard.engine.done).toEqual([])
  })

  it('/down is silent until it runs again, and /up starts what ended and what is paused', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const tap = async (line: string, done: string) => {
      await yard.ask(BEN, line)
      await yard.press(BEN, 'Do it')
      await last(yard, BEN, done)
    }
    await tap('/down db', 'openclaw-db-1 was stopped.')
    await yard.look()
    expect((await yard.ask(BEN, '/up db')).text).toContain('docker start openclaw-db-1')
    await yard.press(BEN, 'Do it')
    await last(yard, BEN, 'openclaw-db-1 was started.')
    yard.db.state = 'paused'
    expect((await yard.ask(BEN, '/up db')).text).toContain('docker unpause openclaw-db-1')
    await yard.press(BEN, 'Do it')
    await yard.telegram.waitFor(() => yard.engine.done.includes('unpause openclaw-db-1'))
    expect(cardsOf(yard)).toEqual([])
    yard.engine.die('openclaw-db-1', 1)
    await yard.telegram.waitFor(() => cardsOf(yard).length > 0)
    expect(cardsOf(yard)[0]?.text).toContain('Container openclaw-db-1 does not run well')
  })

  it('a /down that fails does not silence a later death', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.engine.faults.stop = () => Promise.reject(new Error('no'))
    await yard.ask(BEN, '/down db')
    await yard.press(BEN, 'Do it')
    await yard.telegram.waitFor(() => yard.audited().some((line) => line.includes('down openclaw-db-1')))
    await yard.telegram.waitFor(() => yard.ops.deeds.running() === 0)
    yard.engine.die('openclaw-db-1', 1)
    await yard.telegram.waitFor(() => cardsOf(yard).length > 0)
  })

  it('/down of a watched container of another project silences that, and nothing of ours', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after, { WATCH_CONTAINERS: 'lab-gw' })
    yard.engine.add(boxOf('lab-gw', { compose: composeOf('/lab', 'db', 'lab') }))
    await yard.look()
    await yard.ask(BEN, '/down lab-gw')
    await yard.press(BEN, 'Do it')
    await last(yard, BEN, 'lab-gw was stopped.')
    expect(Object.keys(yard.ops.stopped.all())).toEqual(['lab-gw'])
    yard.engine.die('openclaw-db-1', 1)
    await yard.telegram.waitFor(() => cardsOf(yard).length > 0)
    expect(
      cardsOf(yard)
        .map(({ text }) => text)
        .join(),
    ).not.toContain('lab-gw')
  })

  it('while changes are frozen it is refused, and reading works', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/freeze')
    await yard.ask(BEN, '/restart db')
    expect(await yard.press(BEN, 'Do it')).toContain(
      `Changes are frozen by Ann (${ANN}): restart was not done.`,
    )
    expect((await yard.ask(BEN, '/ps')).text).toContain('3 of 3')
    expect(yard.engine.done).toEqual([])
  })
})

describe.concurrent('a death', () => {
  const title = 'Container openclaw-gateway does not run well'
  const dies = async (yard: Yard, exitCode = 137, how = {}) => {
    yard.engine.die(GATEWAY, exitCode, how)
    return await yard.telegram.waitFor(() => cardsOf(yard)[0])
  }

  it('is on a card at once with its cause and its buttons, which then gets its evidence by edit', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const secret = ['sk', 'ant', 'api03', 'y'.repeat(30)].join('-')
    yard.gateway.log = `starting\nusing ${secret}\nout of heap`
    yard.gateway.health = { status: 'unhealthy', lastOutput: 'connection refused' }
    const gate = Promise.withResolvers<void>()
    yard.engine.faults.logs = () => gate.promise
    const at = performance.now()
    const card = await dies(yard, 137, { oom: true })
    expect(performance.now() - at).toBeLessThan(1_000)
    expect(card).toMatchObject({ silent: false })
    expect(card.text).toContain(`🔴 ${title}\nIt was killed because it ran out of memory.`)
    expect(labels(card)).toEqual(['Logs', 'Restart', 'Recreate', 'Ack', 'Mute 1 h', 'Mute 8 h', 'Details'])
    expect(card.text).not.toContain('out of heap')
    gate.resolve()
    const edited = await yard.telegram.waitFor(() =>
      cardsOf(yard).find(({ text }) => text.includes('out of heap')),
    )
    expect(edited.id).toBe(card.id)
    for (const piece of [
      'Health check: connection refused',
      'Last lines:',
      'using [redacted]',
      'Most memory: openclaw-db-1 1.0 GB',
    ])
      expect(edited.text).toContain(piece)
    expect(cardsOf(yard)).toHaveLength(1)
  })

  it('has buttons that work: Logs, Ack, and Restart on two taps', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { id } = await dies(yard)
    await yard.press(BEN, 'Logs', { chat: OPS, messageId: id })
    await last(yard, OPS, 'the last 3 lines')
    expect(await yard.press(BEN, 'Ack', { chat: OPS, messageId: id })).toContain('You look after')
    await yard.press(BEN, 'Restart', { chat: OPS, messageId: id })
    await last(yard, OPS, 'Restart openclaw-gateway?')
    await yard.press(BEN, 'Do it', { chat: OPS })
    await last(yard, OPS, 'openclaw-gateway was restarted.')
    expect(yard.engine.done).toEqual([`restart ${GATEWAY} 330`])
  })

  it('that keeps coming is one more card, a crash loop, and not one for each', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    for (let count = 0; count < 5; count += 1) {
      yard.engine.die(GATEWAY, 78, { again: true })
      await yard.look()
    }
    await yard.telegram.waitFor(() => cardsOf(yard).length === 2)
    expect(cardsOf(yard).map(({ text }) => text)).toEqual([
      expect.stringContaining(title),
      expect.stringContaining('Container openclaw-gateway keeps dying'),
    ])
  })

  it('of somebody else’s container, and one that was asked for, is nobody’s business', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    yard.engine.die('blog', 1)
    await yard.engine.docker.restart(GATEWAY, 10)
    yard.engine.die(GATEWAY, 0, { again: true })
    await yard.look()
    await yard.ask(ANN, '/whoami')
    expect(cardsOf(yard)).toEqual([])
  })

  it('while the engine is away is one alert about the engine', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.engine.goAway('hanging')
    for (let look = 0; look < 4; look += 1) {
      yard.clock.pass(600_000)
      await yard.look()
    }
    await yard.telegram.waitFor(() => cardsOf(yard).length > 0)
    expect(cardsOf(yard)).toHaveLength(1)
    expect(cardsOf(yard)[0]?.text).toContain(
      '🔴 Docker does not work\nDocker is hanging. Its containers are not seen while this lasts.',
    )
    expect((await yard.ask(BEN, '/ps')).text).toContain('Docker is hanging.')
  })
})
