// What opsbot relies on in a gateway, as tests: run against recordings here, and against real gateways in test/real.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { approvalOf } from '../src/ops/gateway/approvals.ts'
import { GatewayError, type Link } from '../src/ops/gateway/link.ts'
import { EVENTS, type EventName, METHODS, type MethodName } from '../src/ops/gateway/methods.ts'
import type { Line } from './openclaw/line.ts'
import { NEW, type Version } from './openclaw/recording.ts'

export interface Contracted {
  /** Open, and announcing that it can answer approvals. */
  line: Pick<Line, 'link' | 'events' | 'states' | 'until'>
  /** An agent asks to run this, and waits so long. */
  ask(command: string, lastsMs?: number): Promise<void>
  /** The gateway begins anew, as it does when its config is changed, and says so before. */
  restart(): Promise<void>
  close(): Promise<void>
}

/** Method → how it is called, and what is relied on in its answer beside the shape. What changes something is below. */
const READS: Partial<Record<MethodName, { params?: Record<string, unknown>; relied: object }>> = {
  health: { relied: { ok: true, defaultAgentId: 'main', agents: [{ agentId: 'main' }] } },
  status: { relied: {} },
  'channels.status': { relied: { channelAccounts: expect.any(Object), channelLabels: expect.any(Object) } },
  'sessions.list': { params: { limit: 100 }, relied: { count: expect.any(Number) } },
  'config.get': { relied: { exists: true, valid: true, issues: [] } },
  'models.authStatus': { relied: { providers: expect.any(Array) } },
  'gateway.restart.preflight': {
    relied: {
      safe: true,
      counts: expect.objectContaining({ totalActive: 0 }),
      summary: expect.any(String),
    },
  },
  'exec.approval.list': { relied: [] },
}

/** What only newer versions have. */
const NEWER: readonly MethodName[] = [
  'models.authStatus',
  'gateway.restart.preflight',
  'gateway.restart.request',
  'exec.approval.list',
]

const failure = (call: Promise<unknown>): Promise<GatewayError> =>
  call.then(
    () => Promise.reject(new Error('it was answered')),
    (error: GatewayError) => error,
  )

/**
 * The contract, as a suite of tests.
 * @param open a gateway of that version that is idle, takes no answers from anybody else, and has no channels.
 */
export function gatewayContract(name: string, version: Version, open: () => Promise<Contracted>): void {
  describe(`the contract with ${name}`, () => {
    let gateway: Contracted
    beforeAll(async () => {
      gateway = await open()
    }, 120_000)
    afterAll(() => gateway?.close())

    const newer = version === NEW
    const { call }: Pick<Link, 'call'> = { call: (...args) => gateway.line.link.call(...args) }
    const told = (event: EventName) =>
      gateway.line.events.filter((each) => each.event === event).map(({ payload }) => payload)
    const next = async (event: EventName, run: () => Promise<unknown>) => {
      const before = told(event).length
      await run()
      return await gateway.line.until(() => told(event)[before] ?? told(event).length > before, 15_000)
    }
    const ask = async (command: string, lastsMs?: number) => {
      const request = approvalOf(await next('exec.approval.requested', () => gateway.ask(command, lastsMs)))
      if (!request) throw new Error('what was asked is no request')
      return request
    }

    it('says which protocol it speaks and, when it is a newer one, which version it is', () => {
      const state = gateway.line.link.state()
      expect(state).toMatchObject({ state: 'open', protocol: newer ? 4 : 3, uptimeMs: expect.any(Number) })
      expect(state).toMatchObject(newer ? { version } : { methods: expect.any(Array) })
      if (!newer) expect(state).not.toHaveProperty('version')
    })

    it('has the methods that its version is known to have', () => {
      const state = gateway.line.link.state()
      const expected = Object.keys(METHODS).filter((method) => newer || !NEWER.includes(method as MethodName))
      expect(state.state === 'open' && state.methods.toSorted()).toEqual(expected.toSorted())
    })

    it('says over HTTP whether it is ready, when it is a newer one, and answers in any case', async () => {
      const ready = await gateway.line.until(() => gateway.line.link.ready())
      expect(ready).toMatchObject(
        newer ? { answers: true, ready: true, failing: [] } : { answers: true, status: 200 },
      )
    })

    it.each(Object.entries(READS))(
      '%s answers in the shape that is read',
      async (method, { params, relied }) => {
        const name = method as MethodName
        if (newer || !NEWER.includes(name)) expect(await call(name, params)).toMatchObject(relied)
        else expect(await failure(call(name, params))).toMatchObject({ code: 'ABSENT' })
      },
    )

    it('says what its process holds, when it is a newer one', async () => {
      const { processMemory, runtimeVersion } = await call('status')
      expect(runtimeVersion).toBe(newer ? version : undefined)
      if (newer) expect(processMemory?.rssBytes).toBeGreaterThan(50e6)
    })

    it('tells of a request, with what a card needs', async () => {
      const before = Date.now()
      const request = await ask('/bin/id -u')
      expect(request).toMatchObject({
        command: '/bin/id -u',
        agent: 'main',
        host: 'gateway',
        directory: expect.stringMatching(/^\//),
        session: expect.stringContaining('main'),
        state: 'pending',
      })
      expect(request.id).toMatch(/^[\w-]{12,64}$/)
      expect(request.createdAt).toBeGreaterThan(before - 60_000)
      expect(request.expiresAt - request.createdAt).toBe(newer ? 1_800_000 : 120_000)
      if (newer) expect(request.allowed).toEqual(['allow-once', 'deny'])
      if (newer) expect((await call('exec.approval.list')).map(({ id }) => id)).toEqual([request.id])
      await call('exec.approval.resolve', { id: request.id, decision: 'deny' })
    })

    it.each(['allow-once', 'deny'] as const)(
      'takes %s, names who answered, and refuses another',
      async (decision) => {
        const { id } = await ask('/bin/id')
        const resolved = await next('exec.approval.resolved', async () =>
          expect(await call('exec.approval.resolve', { id, decision })).toEqual({ ok: true }),
        )
        expect(resolved).toMatchObject({ id, decision, resolvedBy: 'Telegram Ops Bot' })
        const other = decision === 'deny' ? 'allow-once' : 'deny'
        const { message } = await failure(call('exec.approval.resolve', { id, decision: other }))
        expect(message).toMatch(newer ? 'approval already resolved' : 'unknown approval id')
      },
    )

    it('takes the same answer a second time, when it is a newer one', async () => {
      const { id } = await ask('/bin/id')
      await call('exec.approval.resolve', { id, decision: 'deny' })
      const again = call('exec.approval.resolve', { id, decision: 'deny' })
      if (newer) expect(await again).toEqual({ ok: true })
      else expect((await failure(again)).message).toBe('unknown approval id')
    })

    it.each([
      [
        'an id that it does not know',
        { id: 'no-such-id', decision: 'deny' },
        /unknown( or expired)? approval id/,
      ],
      ['a decision that there is not', { id: 'no-such-id', decision: 'maybe' }, /invalid decision/],
    ])('refuses %s', async (_, params, words) => {
      const error = await failure(call('exec.approval.resolve', params))
      expect(error).toBeInstanceOf(GatewayError)
      expect(error.code).toBe('INVALID_REQUEST')
      expect(error.message).toMatch(words)
    })

    it.runIf(newer)('says that nobody answered in time', async () => {
      const { id } = await ask('/bin/id', 500)
      const over = () =>
        told('exec.approval.resolved').find((payload) => (payload as { id?: string }).id === id)
      expect(await gateway.line.until(over)).toMatchObject({ decision: 'deny', resolvedBy: null })
    })

    it('tells of its restart and how long it takes, closes the line, and is back', async () => {
      const { length } = gateway.line.states
      const announced = await next('shutdown', () =>
        newer
          ? call('gateway.restart.request', { reason: 'a test' }).then(gateway.restart)
          : gateway.restart(),
      )
      expect(announced).toMatchObject({
        reason: expect.stringMatching(/restart/),
        restartExpectedMs: expect.any(Number),
      })
      await gateway.line.until(
        () => gateway.line.states.length >= length + 2 && gateway.line.link.state().state === 'open',
        60_000,
      )
    }, 90_000)

    it('is heard with every event that is listened to', async () => {
      // It says how it is once a minute.
      await gateway.line.until(() => told('health').length > 0, 90_000)
      expect(EVENTS.filter((event) => told(event).length === 0)).toEqual([])
    }, 100_000)
  })
}
