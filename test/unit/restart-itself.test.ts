// The gateway's own restarts: asked for by us and waited for, or told as what they were; and what we say that we can do.

import { duplexPair } from 'node:stream'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { ContainerBrief } from '../../src/ops/docker/index.ts'
import type { Announced } from '../../src/ops/gateway/standing.ts'
import { createOpenclaw } from '../../src/ops/openclaw.ts'
import { createWire, type Wire } from '../../src/wire.ts'
import { boxOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { keptLog, openTestState, SECOND, T0, tempDir } from './help.ts'

const METHODS = ['gateway.restart.request', 'gateway.restart.preflight']
const SAFE = { safe: true, counts: { totalActive: 0 }, summary: 'safe to restart now' }

/** A machine that is busy with others takes its time. */
const until = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 10 })

/** OpenClaw as it is wired, with a far end of the link that the test speaks for. */
async function createYard({ methods = METHODS } = {}) {
  const yard = { now: T0 }
  const engine = createFakeEngine({ now: () => yard.now })
  const box = engine.add(boxOf(GATEWAY))
  const state = openTestState()
  const notices: { title: string; lines: string[] }[] = []
  const hellos: { caps: string[] }[] = []
  const asked: unknown[] = []
  const answers: Record<string, unknown> = {
    'gateway.restart.preflight': { ok: true, payload: SAFE },
    'gateway.restart.request': { ok: true, payload: { ok: true, status: 'scheduled' } },
  }
  const far: Wire[] = []

  async function open() {
    const [here, there] = duplexPair()
    const wire = createWire(there, {
      hello: (said: { caps: string[] }) => void hellos.push(said),
      ping: () => null,
      rpc(call: { method: string; params: unknown }) {
        asked.push(call)
        return answers[call.method]
      },
    })
    far.push(wire)
    return { stream: here, ended: wire.closed.then(() => ({ stderr: '' })) }
  }

  const openclaw = createOpenclaw({
    store: { write: (work) => work() },
    config: { docker: { clientEnvironment: {} }, stateDir: tempDir() } as unknown as Parameters<
      typeof createOpenclaw
    >[0]['config'],
    containers: {
      docker: { ...engine.docker, open },
      findGateway: async (): Promise<ContainerBrief | undefined> =>
        (await engine.docker.list()).find(({ id }) => id === box.id),
    },
    run: () => Promise.reject(new Error('nothing runs on the host')),
    meta: state.meta,
    cards: {
      ...state.cards,
      raise(card, now) {
        notices.push(card.facts as (typeof notices)[number])
        return state.cards.raise(card, now)
      },
    },
    redact: (text) => text.replaceAll('hunter2', '[redacted]'),
    now: () => yard.now,
    log: keptLog().log,
  })
  onTestFinished(() => openclaw.gateway.stop())
  openclaw.connect(() => {})

  const spoken = (times: number) => until(() => expect(hellos).toHaveLength(times))
  const seen = (what: 'open' | 'shut') => until(() => expect(openclaw.gateway.link().state).toBe(what))
  /** Opens the line; the gateway is ready. */
  async function up() {
    far.at(-1)?.tell('state', { open: true, protocol: 4, version: '2026.9.6', methods })
    far.at(-1)?.tell('ready', { answers: true, ready: true })
    await seen('open')
    await until(() => expect(openclaw.gateway.standing().state).toBe('ready'))
  }
  async function down(announced?: Partial<Announced>) {
    const told = announced && {
      announced: { reason: '', restartExpectedMs: null, at: yard.now, ...announced },
    }
    far.at(-1)?.tell('state', { open: false, code: 'DOWN', message: 'It is away.', ...told })
    await seen('shut')
  }
  await spoken(1)
  await up()
  return Object.assign(yard, { openclaw, notices, hellos, asked, answers, far, spoken, up, down })
}
const never = new AbortController().signal

describe('a restart of its own', () => {
  it.each<[string, Partial<Announced> | undefined, string[] | undefined]>([
    [
      'that it told of',
      { reason: 'config change', restartExpectedMs: 1_500 },
      ['It said: config change.', 'It was away for 12 s.'],
    ],
    [
      'that it told of in words alone',
      { reason: 'gateway restarting' },
      ['It said: gateway restarting.', 'It was away for 12 s.'],
    ],
    [
      'that it told of without a word',
      { restartExpectedMs: 0 },
      ['It said: nothing.', 'It was away for 12 s.'],
    ],
    [
      'that it told of with a secret',
      { reason: 'restart for hunter2' },
      ['It said: restart for [redacted].', 'It was away for 12 s.'],
    ],
    ['of which it said that it stops (recorded)', { reason: 'gateway stopping' }, undefined],
    ['of which it said nothing', undefined, undefined],
  ])('%s', async (_, announced, lines) => {
    const yard = await createYard()
    await yard.down(announced)
    expect(yard.notices).toEqual([])
    yard.now += 12 * SECOND
    await yard.up()
    expect(yard.notices).toEqual(lines ? [{ title: 'The gateway restarted itself', lines }] : [])
    // What comes after is another matter.
    await yard.down()
    await yard.up()
    expect(yard.notices).toHaveLength(lines ? 1 : 0)
  })

  it('by its exit, as older versions do it, is told all the same', async () => {
    const yard = await createYard()
    await yard.down({ reason: 'config change', restartExpectedMs: 1_500 })
    yard.far.at(-1)?.close()
    yard.now += 4 * SECOND
    await yard.spoken(2)
    await yard.up()
    expect(yard.notices).toMatchObject([{ lines: ['It said: config change.', 'It was away for 4 s.'] }])
  })
})

describe('a restart that we ask it for', () => {
  it('is waited for until it is ready over a new line, and is no news', async () => {
    const yard = await createYard()
    const done = yard.openclaw.restartItself('by Ann', 60 * SECOND, never)
    await until(() => expect(yard.asked).toHaveLength(1))
    expect(yard.asked).toEqual([{ method: 'gateway.restart.request', params: { reason: 'by Ann' } }])
    yard.now += SECOND
    await yard.down({ reason: 'restart: by Ann', restartExpectedMs: 1_500 })
    yard.now += 6 * SECOND
    await yard.up()
    expect(await done).toBe('ready again after 7 s')
    expect(yard.notices).toEqual([])
  })

  it('is not over with the line from before', async () => {
    const yard = await createYard()
    const done = yard.openclaw.restartItself('by Ann', 60 * SECOND, never)
    await until(() => expect(yard.asked).toHaveLength(1))
    yard.now += 60 * SECOND
    await expect(done).rejects.toThrow(
      new OpsError('It was asked to restart and was not ready again within 1 min.'),
    )
  })

  it('and that it does not want is refused in its words', async () => {
    const yard = await createYard()
    yard.answers['gateway.restart.request'] = { ok: false, error: { code: 'BUSY', message: 'It is busy.' } }
    await expect(yard.openclaw.restartItself('by Ann', SECOND, never)).rejects.toThrow('It is busy.')
    // It is not taken for ours when it restarts later.
    await yard.down({ reason: 'config change', restartExpectedMs: 1_500 })
    await yard.up()
    expect(yard.notices).toHaveLength(1)
  })

  it('ends with us', async () => {
    const yard = await createYard()
    const abort = new AbortController()
    const done = yard.openclaw.restartItself('by Ann', 60 * SECOND, abort.signal)
    abort.abort()
    await expect(done).rejects.toThrow(OpsError)
  })

  it.each<[string, unknown, string[], string | undefined]>([
    ['safe', SAFE, METHODS, 'they are idle'],
    ['in a version that counts nothing', { safe: true }, METHODS, 'they are idle'],
    ['busy', { safe: false, counts: { activeTasks: 1 } }, METHODS, 'they are at work (1 run)'],
    ['not at all by an older version', SAFE, ['health'], undefined],
  ])('says before how it would be: %s', async (_, payload, methods, said) => {
    const yard = await createYard({ methods })
    yard.answers['gateway.restart.preflight'] = { ok: true, payload }
    expect(await yard.openclaw.ownRestart()).toBe(said)
    await yard.down()
    expect(await yard.openclaw.ownRestart()).toBeUndefined()
  })
})

describe('that we can answer exec approvals', () => {
  it('is said only while they are on, at once', async () => {
    const yard = await createYard()
    yard.openclaw.approving.set('Ann')
    expect(yard.openclaw.approving.get()).toEqual({ by: 'Ann', at: T0 })
    await yard.spoken(2)
    yard.openclaw.approving.set(undefined)
    expect(yard.openclaw.approving.get()).toBeUndefined()
    await yard.spoken(3)
    expect(yard.hellos.map(({ caps }) => caps)).toEqual([[], ['approvals', 'exec-approvals'], []])
  })
})
