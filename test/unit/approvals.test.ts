// Exec approvals: asked, answered by us, elsewhere or too late, listed again; two of us at once; and payloads that nobody should trust.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import {
  type ApprovalCard,
  approvalOf,
  createApprovals,
  type OpenApprovals,
} from '../../src/ops/gateway/approvals.ts'
import { type Gateway, GatewayError } from '../../src/ops/gateway/index.ts'
import { MINUTE, T0 } from './help.ts'

interface Recorded {
  requested: { id: string; createdAtMs: number; expiresAtMs: number; request: Record<string, unknown> }
  resolved: { id: string; decision: string; resolvedBy: string }
}
const recorded = (version: 'old' | 'new'): Recorded =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/openclaw/approval-${version}.json`), 'utf8'))
const old = recorded('old')
const newer = recorded('new')

/** A request as an event brings it. */
const request = (id: string, more: object = {}, request: object = {}) => ({
  ...{ id, createdAtMs: T0, expiresAtMs: T0 + 2 * MINUTE },
  request: {
    command: 'ls -l',
    cwd: '/work',
    agentId: 'main',
    sessionKey: 'agent:main:main',
    host: 'gateway',
    ...request,
  },
  ...more,
})
const A = 'aaaa1111-0000-0000-0000-000000000000'
const A2 = 'aaaa2222-0000-0000-0000-000000000000'
const B = 'bbbb3333-0000-0000-0000-000000000000'

/** Fakes of the cards, of what is kept, and of a gateway that does as the test says. */
function createYard({ methods = ['exec.approval.list', 'exec.approval.resolve'] } = {}) {
  const yard = { now: T0, on: true, open: {} as OpenApprovals, listed: [] as unknown[], down: false }
  const cards: { facts: ApprovalCard; audience: string; ring: boolean; revisions: number }[] = []
  const calls: unknown[] = []
  let resolve = async (_params: unknown): Promise<unknown> => ({ ok: true })
  let list = async (): Promise<unknown> => yard.listed
  const call = async (method: string, params: unknown) => {
    calls.push(params ? [method, params] : [method])
    return method === 'exec.approval.list' ? await list() : await resolve(params)
  }
  const approvals = createApprovals({
    gateway: {
      call: call as Gateway['call'],
      link: () =>
        yard.down
          ? { state: 'shut', since: T0, seenAt: T0, code: 'DOWN', why: '' }
          : { state: 'open', since: T0, protocol: 4, methods },
    },
    cards: {
      raise: ({ facts, audience, ring }) =>
        cards.push({ facts: structuredClone(facts) as ApprovalCard, audience, ring, revisions: 0 }),
      revise(id, facts) {
        const card = cards[id - 1]
        if (!card) throw new Error(`no card ${id}`)
        Object.assign(card, { facts: structuredClone(facts), revisions: card.revisions + 1 })
        return card.revisions
      },
      card(id) {
        const found = cards[id - 1]
        return (
          found && {
            id,
            kind: 'approval',
            audience: 'alerts',
            revision: 1,
            facts: found.facts,
            ring: true,
            createdAt: T0,
          }
        )
      },
    },
    open: { get: () => yard.open, set: (open) => Object.assign(yard, { open }) },
    on: () => yard.on,
    together: (work) => work(),
    redact: (text) => text.replaceAll('hunter2', '[redacted]'),
    now: () => yard.now,
  })
  return Object.assign(yard, {
    ...{ approvals, cards, calls },
    facts: () => cards.map(({ facts }) => facts),
    ask: (...args: Parameters<typeof request>) => approvals.note('exec.approval.requested', request(...args)),
    tell: (id: string, decision: string, resolvedBy: string | null = 'Telegram Ops Bot') =>
      approvals.note('exec.approval.resolved', { id, decision, resolvedBy }),
    onResolve: (then: typeof resolve) => {
      resolve = then
    },
    onList: (then: typeof list) => {
      list = then
    },
  })
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('a request', () => {
  it.each<[string, unknown, Partial<ApprovalCard>]>([
    [
      'of 2026.2.22 (recorded)',
      old.requested,
      {
        command: 'echo approved-run-$(id -u)',
        directory: '/home/node/.openclaw/workspace',
        agent: 'main',
        host: 'gateway',
        session: 'ex1795167021837',
        state: 'pending',
      },
    ],
    [
      'of 2026.9.6 (recorded)',
      newer.requested,
      {
        command: '/usr/bin/id -u',
        agent: 'main',
        session: 'agent:main:main',
        allowed: ['allow-once', 'deny'],
        createdAt: 1795167355855,
        expiresAt: 1795169155855,
      },
    ],
    ['without a moment of its own', request(A, { createdAtMs: undefined }), { createdAt: T0 + 2 * MINUTE }],
    ['with a warning', request(A, {}, { warningText: 'It deletes.' }), { warning: 'It deletes.' }],
  ])('%s is a card', (_, payload, facts) => {
    expect(approvalOf(payload)).toMatchObject(facts)
  })

  it('of an older version names no answers that it takes, and leaves out what is null', () => {
    expect(approvalOf(old.requested)).not.toHaveProperty('allowed')
    expect(approvalOf(newer.requested)).not.toHaveProperty('warning')
    expect(Object.keys(approvalOf(request(A, {}, { cwd: null, agentId: '', host: null })) ?? {})).toEqual([
      'id',
      'createdAt',
      'expiresAt',
      'state',
      'command',
      'session',
    ])
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a word', 'exec'],
    ['a list', [request(A)]],
    ['no id', request(A, { id: undefined })],
    ['an id that is none', request(A, { id: { $ne: '' } })],
    ['an id that no button carries', request('x'.repeat(65))],
    ['an id with markup', request('<b>aaaa</b>')],
    ['an id of what every object has', request('__proto__ x')],
    ['no end', request(A, { expiresAtMs: undefined })],
    ['an end in words', request(A, { expiresAtMs: 'soon' })],
    ['no request', { id: A, expiresAtMs: T0 + MINUTE }],
    ['no command', request(A, {}, { command: undefined })],
    ['a command that is no text', request(A, {}, { command: ['rm', '-rf'] })],
  ])('with %s is none', (_, payload) => {
    expect(approvalOf(payload)).toBeUndefined()
  })

  it('with anything for the rest is still one, without it', () => {
    const payload = request(
      A,
      { createdAtMs: 'now' },
      { cwd: 7, agentId: { a: 1 }, sessionKey: [], host: true, allowedDecisions: 'all' },
    )
    expect(approvalOf(payload)).toEqual({
      ...{
        id: A,
        command: 'ls -l',
        createdAt: T0 + 2 * MINUTE,
        expiresAt: T0 + 2 * MINUTE,
        state: 'pending',
      },
    })
  })

  it('of any size is cut', () => {
    const long = 'x'.repeat(1 << 20)
    const facts = approvalOf(
      request(
        A,
        {},
        { command: long, cwd: long, agentId: long, sessionKey: long, host: long, warningText: long },
      ),
    )
    expect(JSON.stringify(facts).length).toBeLessThan(2_600)
    expect(facts?.command).toMatch(/x …$/)
  })
})

describe('what is asked', () => {
  it('is a card that rings, once, without secrets, and waits', () => {
    const yard = createYard()
    yard.ask(A, {}, { command: 'curl -u me:hunter2 x' })
    yard.ask(A)
    expect(yard.cards).toMatchObject([
      { audience: 'alerts', ring: true, facts: { command: 'curl -u me:[redacted] x', state: 'pending' } },
    ])
    expect(yard.approvals.pending()).toEqual(yard.facts())
    expect(yard.open).toEqual({ [A]: { cardId: 1, expiresAt: T0 + 2 * MINUTE } })
  })

  it('several times waits in its order', () => {
    const yard = createYard()
    yard.ask(A, { createdAtMs: T0 + 2 })
    yard.ask(B, { createdAtMs: T0 + 1 })
    expect(yard.approvals.pending().map(({ id }) => id)).toEqual([B, A])
  })

  it.each<[string, object]>([
    ['has run out already', { expiresAtMs: T0 }],
    ['has no shape', { request: 'ls' }],
    ['bears the name of what every object has', { id: 'constructor' }],
  ])('and %s is no card', (_, more) => {
    const yard = createYard()
    yard.approvals.note('exec.approval.requested', request(A, more))
    expect(yard.cards).toEqual([])
  })

  it('runs out by the clock, without another look', () => {
    const yard = createYard()
    yard.ask(A)
    yard.ask(B, { expiresAtMs: T0 + 30 * MINUTE })
    yard.now = T0 + 2 * MINUTE - 1
    yard.approvals.sweep()
    expect(yard.approvals.pending()).toHaveLength(2)
    yard.now = T0 + 2 * MINUTE + 500
    vi.advanceTimersByTime(2 * MINUTE + 500)
    expect(yard.facts().map(({ state }) => state)).toEqual(['expired', 'pending'])
    expect(Object.keys(yard.open)).toEqual([B])
  })

  it('for ever does not wake us at once', () => {
    const yard = createYard()
    const warned = vi.spyOn(process, 'emitWarning')
    yard.ask(A, { expiresAtMs: T0 + 1e15 })
    expect(vi.getTimerCount()).toBe(1)
    vi.advanceTimersByTime(MINUTE)
    expect(vi.getTimerCount()).toBe(1)
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('while agents may not ask here', () => {
  it('what they ask elsewhere is no card, told or listed', async () => {
    const yard = createYard()
    yard.on = false
    yard.ask(A)
    yard.listed = [request(B)]
    await yard.approvals.relist()
    expect(yard.cards).toEqual([])
  })
})

describe('an answer from elsewhere', () => {
  it('that the gateway gives itself when the time is over (2026.9.6, measured) is the end and no denial', () => {
    const yard = createYard()
    yard.ask(A)
    yard.now = T0 + 2 * MINUTE
    yard.tell(A, 'deny', null)
    expect(yard.facts()).toMatchObject([{ state: 'expired' }])
  })

  it('that never comes ends the card at its time, after a restart of the bot too', async () => {
    const yard = createYard({ methods: [] })
    yard.ask(A)
    vi.clearAllTimers()
    await yard.approvals.relist()
    yard.now = T0 + 2 * MINUTE
    vi.advanceTimersByTime(2 * MINUTE + 500)
    expect(yard.facts()).toMatchObject([{ state: 'expired' }])
  })

  it.each<[string, string | null, object]>([
    ['by its client', 'Control UI', { state: 'answered', decision: 'deny', by: 'Control UI' }],
    ['by nobody: the gateway ended it itself', null, { state: 'gone' }],
    [
      'by one whose name holds a secret',
      'hunter2',
      { state: 'answered', decision: 'deny', by: '[redacted]' },
    ],
  ])('ends the card, %s', (_, resolvedBy, facts) => {
    const yard = createYard()
    yard.ask(A)
    yard.tell(A, 'deny', resolvedBy)
    expect(yard.facts()).toMatchObject([facts])
    expect(yard.open).toEqual({})
  })

  it('as both versions send it (recorded) is read', () => {
    for (const { requested, resolved } of [old, newer]) {
      const yard = createYard()
      yard.now = requested.createdAtMs
      yard.approvals.note('exec.approval.requested', requested)
      yard.approvals.note('exec.approval.resolved', resolved)
      expect(yard.facts()).toMatchObject([
        { state: 'answered', decision: 'allow-once', by: 'Telegram Ops Bot' },
      ])
    }
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['another request', { id: B, decision: 'deny' }],
    ['what every object has', { id: 'constructor', decision: 'deny' }],
    ['a number', { id: 7 }],
    ['a word', 'deny'],
  ])('about %s changes nothing', (_, payload) => {
    const yard = createYard()
    yard.ask(A)
    yard.approvals.note('exec.approval.resolved', payload)
    expect(yard.cards).toMatchObject([{ revisions: 0, facts: { state: 'pending' } }])
  })

  it('twice counts once', () => {
    const yard = createYard()
    yard.ask(A)
    yard.tell(A, 'deny', 'Ann')
    yard.tell(A, 'allow-once', 'Ben')
    expect(yard.cards).toMatchObject([{ revisions: 1, facts: { decision: 'deny', by: 'Ann' } }])
  })
})

describe('our answer', () => {
  it('is given by the beginning of its id, and the card names the person', async () => {
    const yard = createYard()
    yard.ask(A)
    yard.ask(B)
    const card = await yard.approvals.answer('aaaa', 'allow-once', 'Ann')
    expect(yard.calls).toEqual([['exec.approval.resolve', { id: A, decision: 'allow-once' }]])
    expect(card).toMatchObject({ id: A, state: 'answered', decision: 'allow-once', by: 'Ann' })
    expect(yard.facts()).toMatchObject([card, { state: 'pending' }])
  })

  it('names the person too where the gateway tells everybody before it answers us', async () => {
    const yard = createYard()
    yard.ask(A)
    yard.onResolve(async () => {
      yard.tell(A, 'deny')
      return { ok: true }
    })
    expect(await yard.approvals.answer(A, 'deny', 'Ann')).toMatchObject({ state: 'answered', by: 'Ann' })
    expect(yard.cards).toMatchObject([{ revisions: 1, facts: { by: 'Ann' } }])
  })

  it('that is repeated later is told as what it is', async () => {
    const yard = createYard()
    yard.ask(A)
    await yard.approvals.answer(A, 'deny', 'Ann')
    await expect(yard.approvals.answer(A, 'deny', 'Ann')).rejects.toThrow(
      new OpsError('That request is answered or over: /approvals lists what waits.'),
    )
    expect(yard.calls).toHaveLength(1)
  })

  it.each<[string, string, string]>([
    ['to nothing that waits', 'cccc', 'That request is answered or over: /approvals lists what waits.'],
    ['to two at once', 'aaaa', 'Several requests begin with aaaa: write more of it.'],
    ['that its gateway does not take', B, 'The gateway takes only these answers to it: allow-once, deny.'],
  ])('%s is refused, and nothing is sent', async (_, word, why) => {
    const yard = createYard()
    yard.ask(A)
    yard.ask(A2)
    yard.ask(B, {}, { allowedDecisions: ['allow-once', 'deny'] })
    await expect(yard.approvals.answer(word, 'allow-always', 'Ann')).rejects.toThrow(new OpsError(why))
    expect(yard.calls).toEqual([])
    expect(yard.approvals.pending()).toHaveLength(3)
  })

  it.each(['unknown approval id', 'unknown or expired approval id', 'approval already resolved'])(
    'that came too late ("%s") ends the card',
    async (message) => {
      const yard = createYard()
      yard.ask(A)
      yard.onResolve(() => Promise.reject(new GatewayError(message, 'INVALID_REQUEST')))
      await expect(yard.approvals.answer(A, 'deny', 'Ann')).rejects.toThrow(
        new OpsError(`It was too late: ${message}.`),
      )
      expect(yard.facts()).toMatchObject([{ state: 'gone' }])
      expect(yard.approvals.pending()).toEqual([])
    },
  )

  it.each<[string, Error]>([
    ['the line is cut', new GatewayError('The line into the gateway was cut.', 'CLOSED')],
    ['the gateway is late', new GatewayError('The gateway did not answer within 10 s.', 'LATE')],
    ['something breaks', new TypeError('approval broke')],
  ])('while %s leaves the card as it is', async (_, error) => {
    const yard = createYard()
    yard.ask(A)
    yard.onResolve(() => Promise.reject(error))
    await expect(yard.approvals.answer(A, 'deny', 'Ann')).rejects.toBe(error)
    expect(yard.cards).toMatchObject([{ revisions: 0, facts: { state: 'pending' } }])
    // What is told afterwards by another's client is that one's.
    yard.tell(A, 'deny', 'Control UI')
    expect(yard.facts()).toMatchObject([{ state: 'answered', by: 'Control UI' }])
  })

  it.each<[string, 'deny' | 'allow-once', string]>([
    ['the same', 'deny', 'It was answered in the same moment by somebody else.'],
    ['otherwise', 'allow-once', 'It was too late: approval already resolved.'],
  ])('by two at once, the second %s, is that of the first', async (_, second, why) => {
    const yard = createYard()
    yard.ask(A)
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    let asked = 0
    yard.onResolve(async (params) => {
      const turn = asked
      asked += 1
      await gates[turn]?.promise
      if (turn === 0) yard.tell(A, 'deny')
      else if ((params as { decision: string }).decision !== 'deny')
        throw new GatewayError('approval already resolved', 'INVALID_REQUEST')
      return { ok: true }
    })
    const ann = yard.approvals.answer(A, 'deny', 'Ann')
    const ben = yard.approvals.answer(A, second, 'Ben')
    for (const { resolve } of gates) resolve()
    const [first, other] = await Promise.allSettled([ann, ben])
    expect(first).toMatchObject({ status: 'fulfilled', value: { by: 'Ann', decision: 'deny' } })
    expect(other).toMatchObject({ status: 'rejected', reason: new OpsError(why) })
    expect(yard.facts()).toMatchObject([{ state: 'answered', decision: 'deny', by: 'Ann' }])
  })
})

describe('a list', () => {
  it('ends what is not on it, and shows what nobody told of', async () => {
    const yard = createYard()
    yard.ask(A)
    yard.ask(A2)
    yard.listed = [request(A2), request(B), { broken: true }]
    await yard.approvals.relist()
    expect(yard.facts().map(({ id, state }) => [id, state])).toEqual([
      [A, 'gone'],
      [A2, 'pending'],
      [B, 'pending'],
    ])
    await yard.approvals.relist()
    expect(yard.cards).toHaveLength(3)
  })

  it('is asked of nobody where its version has none, or there is no line', async () => {
    const elder = createYard({ methods: ['exec.approval.resolve'] })
    const away = createYard()
    away.down = true
    for (const yard of [elder, away]) {
      yard.ask(A)
      yard.now = T0 + MINUTE
      await yard.approvals.relist()
      expect(yard.calls).toEqual([])
      expect(yard.facts()).toMatchObject([{ state: 'pending' }])
      yard.now = T0 + 2 * MINUTE
      await yard.approvals.relist()
      expect(yard.facts()).toMatchObject([{ state: 'expired' }])
    }
  })

  it('does not end what was asked while it was under way', async () => {
    const yard = createYard()
    yard.onList(async () => {
      yard.ask(A)
      return []
    })
    await yard.approvals.relist()
    expect(yard.facts()).toMatchObject([{ id: A, state: 'pending' }])
  })

  it('does not bring back what was answered while it was under way', async () => {
    const yard = createYard()
    yard.ask(A)
    yard.onList(async () => {
      yard.tell(A, 'deny', 'Control UI')
      return [request(A)]
    })
    await yard.approvals.relist()
    expect(yard.facts()).toMatchObject([{ id: A, state: 'answered' }])
    expect(yard.cards).toHaveLength(1)
  })

  it('that fails changes nothing', async () => {
    const yard = createYard()
    yard.ask(A)
    yard.onList(() => Promise.reject(new GatewayError('late', 'LATE')))
    await expect(yard.approvals.relist()).rejects.toThrow('late')
    expect(yard.facts()).toMatchObject([{ state: 'pending' }])
  })
})

describe('what was open before a restart of ours', () => {
  it('is answered as if nothing had happened', async () => {
    const yard = createYard()
    yard.ask(A)
    const card = yard.facts()[0]
    const kept = structuredClone(yard.open)
    yard.open = JSON.parse(JSON.stringify(kept))
    expect(yard.approvals.pending()).toEqual([card])
    expect(await yard.approvals.answer(A, 'deny', 'Ann')).toMatchObject({ by: 'Ann' })
  })

  it('and whose card is gone is nothing that waits', async () => {
    const yard = createYard()
    yard.open = { [A]: { cardId: 99, expiresAt: T0 + MINUTE } }
    expect(yard.approvals.pending()).toEqual([])
    yard.tell(A, 'deny', 'x')
    expect(yard.open).toEqual({})
    expect(yard.cards).toEqual([])
  })
})
