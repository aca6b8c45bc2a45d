// What opsbot relies on in a gateway, as tests: run against recordings here, and against real gateways in test/real.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { approvalOf } from '../src/ops/gateway/approvals.ts'
import { GatewayError, type Link } from '../src/ops/gateway/link.ts'
import { EVENTS, type EventName, METHODS, type MethodName } from '../src/ops/gateway/methods.ts'
import type { Line } from './openclaw/line.ts'
import { NEW, type Version } from './openclaw/recording.ts'
import { createIdentity, type Device, type DeviceOptions } from './real/device-client.ts'

export interface Contracted {
  /** Open, and announcing that it can answer approvals. */
  line: Pick<Line, 'link' | 'events' | 'states' | 'until'>
  /** An agent asks to run this, and waits so long. */
  ask(command: string, lastsMs?: number): Promise<void>
  /** A device comes through a proxy, with the gateway's own token. Being refused is a result too. */
  knock(options?: Omit<DeviceOptions, 'url' | 'token' | 'headers'>): Promise<Device>
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
  'device.pair.list': { relied: { pending: [], paired: expect.any(Array) } },
  'node.pair.list': { relied: { pending: [] } },
  'channels.pairing.list': { relied: { requests: [], commandOwnerConfigured: false } },
  'system-presence': { relied: expect.any(Array) },
}

/** What only newer versions have. */
const NEWER: readonly MethodName[] = [
  'models.authStatus',
  'gateway.restart.preflight',
  'gateway.restart.request',
  'exec.approval.list',
  'channels.pairing.list',
  'channels.pairing.approve',
]

/** What only newer versions tell. */
const NEWER_EVENTS: readonly EventName[] = [
  'device.pair.changed',
  'node.pair.requested',
  'node.pair.resolved',
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

    // Nothing is skipped: what an older one does not do is no test of it.
    const ifNewer: typeof it | (() => void) = newer ? it : () => {}

    ifNewer('says that nobody answered in time', async () => {
      const { id } = await ask('/bin/id', 500)
      const over = () =>
        told('exec.approval.resolved').find((payload) => (payload as { id?: string }).id === id)
      expect(await gateway.line.until(over)).toMatchObject({ decision: 'deny', resolvedBy: null })
    })

    const listed = async (deviceId: string) => {
      const { pending, paired } = await call('device.pair.list')
      const is = (each: { deviceId: string }) => each.deviceId === deviceId
      return { pending: pending.filter(is), paired: paired.find(is) }
    }
    const ADMIN = ['operator.admin', 'operator.approvals', 'operator.pairing']
    /** Asked for and approved. */
    const letIn = async (options: Parameters<Contracted['knock']>[0] = {}) => {
      const identity = createIdentity()
      const refused = await gateway.knock({ identity, ...options })
      await call('device.pair.approve', { requestId: refused.requestId })
      return await gateway.knock({ identity, ...options })
    }

    it('tells of a device that asks, and lists it as it was told', async () => {
      const before = Date.now()
      let device: Device | undefined
      const asked = await next('device.pair.requested', async () => {
        device = await gateway.knock({ scopes: ADMIN })
      })
      expect(device?.error).toMatchObject({ code: 'NOT_PAIRED', details: { code: 'PAIRING_REQUIRED' } })
      const { requestId, deviceId = '' } = device ?? {}
      const relied = { requestId, deviceId, publicKey: expect.any(String), scopes: ADMIN, role: 'operator' }
      expect(asked).toMatchObject({ ...relied, remoteIp: expect.any(String), isRepair: false })
      const [pending] = (await listed(deviceId)).pending
      expect(pending).toMatchObject(relied)
      expect(pending?.ts).toBeGreaterThan(before - 60_000)
      await call('device.pair.reject', { requestId })
      expect(await listed(deviceId)).toEqual({ pending: [], paired: undefined })
    })

    it('keeps the request of a device that asks again for no more, and tells nobody', async () => {
      const identity = createIdentity()
      const known = told('device.pair.requested').length
      const first = await gateway.knock({ identity, scopes: ADMIN })
      const again = await gateway.knock({ identity, scopes: ['operator.approvals'] })
      expect(again.requestId).toBe(first.requestId)
      expect((await listed(first.deviceId)).pending).toMatchObject([{ scopes: ADMIN }])
      expect(told('device.pair.requested')).toHaveLength(known + 1)
      await call('device.pair.reject', { requestId: first.requestId })
    })

    it('of one that asks for more: an older one adds it to the request, a newer one makes it another', async () => {
      const identity = createIdentity()
      const first = await gateway.knock({ identity, scopes: ['operator.read'] })
      const again = await gateway.knock({ identity, scopes: ['operator.read', 'operator.pairing'] })
      expect(again.requestId === first.requestId).toBe(!newer)
      const [pending, another] = (await listed(first.deviceId)).pending
      expect(pending).toMatchObject({
        requestId: again.requestId,
        scopes: expect.arrayContaining(['operator.pairing']),
      })
      expect(another).toBeUndefined()
      await call('device.pair.reject', { requestId: again.requestId })
    })

    it.each(['approve', 'reject'] as const)('tells how a request ended: %s', async (verb) => {
      const { requestId, deviceId } = await gateway.knock({ scopes: ['operator.read'] })
      const resolved = await next('device.pair.resolved', async () =>
        expect(await call(`device.pair.${verb}`, { requestId })).toEqual({ requestId }),
      )
      const decision = verb === 'approve' ? 'approved' : 'rejected'
      expect(resolved).toMatchObject({ requestId, deviceId, decision })
      const { message } = await failure(call(`device.pair.${verb}`, { requestId }))
      expect(message).toBe('unknown requestId')
    })

    it('says of a device what it may do, and that it is here', async () => {
      const { deviceId, error, close } = await letIn({ scopes: ADMIN })
      expect(error).toBeUndefined()
      const { paired } = await listed(deviceId)
      expect(paired).toMatchObject({ roles: ['operator'], scopes: ADMIN, approvedAtMs: expect.any(Number) })
      expect(paired?.approvedVia).toBe(newer ? 'owner' : undefined)
      expect(paired?.connected).toBe(newer ? true : undefined)
      // A newer one says it in the list, and lists no command line among those who are present.
      if (newer) return void (await close())
      const here = (await call('system-presence')).find((each) => each.deviceId === deviceId)
      expect(here?.ts).toBeGreaterThanOrEqual(paired?.approvedAtMs ?? 0)
      // An older one tells of nobody who comes, only of who leaves.
      const { length } = told('presence')
      await close()
      await gateway.line.until(() => told('presence').length > length)
    })

    ifNewer('tells that a device has another name', async () => {
      const device = await letIn({ scopes: ADMIN })
      await next('device.pair.changed', () =>
        device.call('device.pair.rename', { deviceId: device.deviceId, label: 'Kitchen' }),
      )
      expect((await listed(device.deviceId)).paired?.operatorLabel).toBe('Kitchen')
      await device.close()
    })

    it.each(['device.token.rotate', 'device.token.revoke', 'device.pair.remove'] as const)(
      '%s is answered without a token; a newer one closes the lines of the device',
      async (method) => {
        const device = await letIn({ scopes: ['operator.read'] })
        const { deviceId } = device
        expect(
          await call(method, { deviceId, ...(method !== 'device.pair.remove' && { role: 'operator' }) }),
        ).toEqual({
          deviceId,
        })
        if (newer) expect(await device.closed).toEqual({ code: 4001, reason: 'device removed' })
        const { paired } = await listed(deviceId)
        expect(paired === undefined).toBe(method === 'device.pair.remove')
        if (method === 'device.token.revoke')
          expect(paired?.tokens[0]?.revokedAtMs).toEqual(expect.any(Number))
        await device.close()
      },
    )

    it.each([
      ['device.pair.remove', {}, 'unknown deviceId'],
      [
        'device.token.rotate',
        { role: 'operator' },
        newer ? 'device token rotation denied' : 'unknown deviceId/role',
      ],
    ] as const)('%s refuses a device that it does not know', async (method, params, words) => {
      const { message } = await failure(call(method, { deviceId: 'ab'.repeat(32), ...params }))
      expect(message).toBe(words)
    })

    it('takes a node in two stages, when it is a newer one', async () => {
      const node = { clientId: 'node-host', mode: 'node', role: 'node', scopes: [] }
      const offers = { ...node, caps: ['system'], commands: ['system.run'] }
      const { length } = told('node.pair.requested')
      const { deviceId, close } = await letIn(offers)
      if (newer) await gateway.line.until(() => told('node.pair.requested').length > length)
      const { pending } = await call('node.pair.list')
      expect(pending).toMatchObject(newer ? [{ nodeId: deviceId, commands: ['system.run'] }] : [])
      if (newer)
        await next('node.pair.resolved', async () =>
          expect(await call('node.pair.approve', { requestId: pending[0]?.requestId })).toMatchObject({
            requestId: pending[0]?.requestId,
          }),
        )
      await close()
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
      const expected = EVENTS.filter((event) => newer || !NEWER_EVENTS.includes(event))
      expect(expected.filter((event) => told(event).length === 0)).toEqual([])
    }, 100_000)
  })
}
