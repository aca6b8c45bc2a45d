// People at the channels and nodes in their second stage, over the link and by the CLI of both versions.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createClock } from '../../src/bot/clock.ts'
import { type Call, faultsOf, parseArgs } from '../../src/bot/command.ts'
import { pairingCommands } from '../../src/bot/commands/pairing.ts'
import type { Page } from '../../src/bot/page.ts'
import type { Deeds } from '../../src/ops/deeds.ts'
import { type Gateway, GatewayError } from '../../src/ops/gateway/index.ts'
import { METHODS, type MethodName } from '../../src/ops/gateway/methods.ts'
import { createSenders } from '../../src/ops/pairing/senders.ts'
import { ANN, textOf } from '../fixtures/openclaw/devices-yard.ts'
import { T0 } from './help.ts'

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/openclaw/${name}`, import.meta.url), 'utf8'))
const { cli: LISTED, link: EMPTY, said: SAID } = fixture('devices-senders.json')
const NODES = fixture('devices-nodes.json')

const ALICE = {
  ...{ requestId: 'b1946ac9-alice', channel: 'telegram', accountId: 'default', senderId: '987654321' },
  ...{ metadata: { username: 'alice', firstName: 'Alice' }, createdAt: '2026-11-20T09:26:57Z' },
}

interface House {
  /** Answers of the link by method; a method without one is not known there. */
  answers: Record<string, unknown>
  runs?: boolean
  list?: unknown
  result?: { exitCode: number; stdout: string; stderr: string }
}

function createHouse({ answers, runs = true, list = LISTED, result }: House) {
  const calls: string[] = []
  const audit: string[] = []
  const call = async (method: MethodName, params: object = {}) => {
    if (!(method in answers)) throw new GatewayError(`This gateway does not know ${method}.`, 'ABSENT')
    if (!method.endsWith('list') && !method.endsWith('status'))
      calls.push(`${method} ${JSON.stringify(params)}`)
    const answer = answers[method]
    if (answer instanceof Error) throw answer
    return METHODS[method].result.parse(answer)
  }
  const cli = {
    json: async (args: readonly string[]) => {
      calls.push(args.join(' '))
      return list
    },
    run: async (args: readonly string[]) => {
      calls.push(args.join(' '))
      return { output: '', ...(result ?? { exitCode: 0, stdout: SAID.approved, stderr: '' }) }
    },
  }
  const parts = {
    call,
    ask: async (method: MethodName) => ({ value: await call(method), source: 'link', at: T0 }),
    cli: async () => (runs ? cli : undefined),
  }
  const senders = createSenders({ gateway: parts as unknown as Gateway })
  const deeds = {
    perform: ({ name, detail, run }: { name: string; detail: string; run(): unknown }) => {
      audit.push(`${name} ${detail}`)
      return { id: 1, done: Promise.resolve().then(run) }
    },
  } as unknown as Deeds
  const commands = pairingCommands(
    { senders, deeds },
    createClock('Etc/UTC', () => T0),
  )
  const find = (name: string) => commands.find((each) => each.name === name) ?? expect.fail(name)
  const callOf = (name: string, words: string[]): Call<never> => ({
    ...{ args: parseArgs(find(name), words) as never, now: T0, person: ANN },
    place: { chatId: 1, kind: 'private' },
  })
  return {
    ...{ senders, calls, audit, commands },
    run: async (name: string, ...words: string[]): Promise<Page> => await find(name).run(callOf(name, words)),
    plan: async (name: string, ...words: string[]) => await find(name).plan?.(callOf(name, words)),
  }
}

const CHANNELS = { 'channels.status': { channelAccounts: { telegram: [{ accountId: 'default' }] } } }
const NEW = {
  ...CHANNELS,
  'channels.pairing.list': { ...EMPTY, requests: [ALICE] },
  'channels.pairing.approve': { requestId: 'x' },
}
const NO_NODES = { 'node.pair.list': { pending: [], paired: [] } }

describe('who waits at a channel', () => {
  it('of newer gateways is read over the link, and whether there is a command owner', async () => {
    const { senders, calls } = createHouse({ answers: NEW })
    expect(await senders.list()).toEqual({
      senders: [
        {
          ...{ channel: 'telegram', account: 'default', id: ALICE.requestId, sender: '987654321' },
          ...{ name: 'Alice alice', since: Date.UTC(2026, 10, 20, 9, 26, 57) },
        },
      ],
      ...{ source: 'link', commandOwner: false },
    })
    expect(calls).toEqual([])
  })

  it('of older gateways is read by the CLI, channel by channel, by its code', async () => {
    const { senders, calls } = createHouse({ answers: CHANNELS })
    expect(await senders.list()).toMatchObject({
      senders: [{ channel: 'telegram', id: 'ABCD2345', sender: '987654321', name: 'Alice alice' }],
      source: 'cli',
    })
    expect(calls).toEqual(['pairing list telegram --json'])
  })

  it('is not looked for by the CLI when the gateway refuses: that is another matter', async () => {
    const refusal = new GatewayError('missing scope', 'FORBIDDEN')
    const { senders, calls } = createHouse({ answers: { ...NEW, 'channels.pairing.list': refusal } })
    await expect(senders.list()).rejects.toThrow('missing scope')
    expect(calls).toEqual([])
  })

  it('is not known while the gateway does not run', async () => {
    await expect(createHouse({ answers: {}, runs: false }).senders.list()).rejects.toThrow('does not run')
  })

  it('and chose a name full of tricks is shown harmless', async () => {
    const metadata = { firstName: 'A\nlice\u202e', lastName: 'x'.repeat(4_000), username: 7 }
    const hostile = { ...ALICE, metadata, senderId: '<b>\u200b\n', createdAt: 'never' }
    const { senders } = createHouse({ answers: { ...NEW, 'channels.pairing.list': { requests: [hostile] } } })
    const [first] = (await senders.list()).senders
    expect(first?.name).toMatch(/^A lice x{57}…$/)
    expect(first?.sender).toBe('<b>')
    expect(first).not.toHaveProperty('since')
  })
})

describe('letting somebody in', () => {
  it('over the link names channel, account and the exact id', async () => {
    const { senders, calls } = createHouse({ answers: NEW })
    await senders.approve('telegram', 'b1946')
    expect(calls).toEqual([
      `channels.pairing.approve ${JSON.stringify({ channel: 'telegram', accountId: 'default', requestId: ALICE.requestId, notify: true })}`,
    ])
  })

  it.each([
    ['a code that the list has', 'ABCD', 'ABCD2345'],
    ['a code that it does not have', 'WXYZ7890', 'WXYZ7890'],
  ])('by the CLI with %s', async (_, word, code) => {
    const { senders, calls } = createHouse({ answers: CHANNELS })
    await senders.approve('telegram', word)
    expect(calls.at(-1)).toBe(`pairing approve telegram ${code}`)
  })

  it('says what the CLI says when the code is wrong', async () => {
    const result = { exitCode: 1, stdout: '', stderr: SAID.unknown }
    await expect(
      createHouse({ answers: CHANNELS, result }).senders.approve('telegram', 'WRONG123'),
    ).rejects.toThrow(/^It was not approved: /)
  })

  it('does not guess between two', async () => {
    const two = { requests: [ALICE, { ...ALICE, requestId: 'b1946ac9-bob' }] }
    const { senders, calls } = createHouse({ answers: { ...NEW, 'channels.pairing.list': two } })
    await expect(senders.approve('telegram', 'b1946')).rejects.toThrow('Several requests begin with b1946')
    expect(calls).toEqual([])
  })

  it.each<[string, Record<string, unknown>, string, boolean]>([
    ['by the CLI: the first one may become command owner', CHANNELS, 'ABCD2345', true],
    ['by a code, of which the link says nothing', NEW, 'WXYZ7890', true],
    ['over the link: nobody becomes it', NEW, 'b1946ac9', false],
    [
      'by a code, where there is a command owner',
      { ...NEW, 'channels.pairing.list': { requests: [], commandOwnerConfigured: true } },
      'WXYZ7890',
      false,
    ],
  ])('is warned of %s', async (_, answers, word, warned) => {
    const plan = await createHouse({ answers }).plan('pairing approve', 'telegram', word)
    const text = textOf(plan?.page ?? expect.fail())
    expect(text.includes('commands.ownerAllowFrom')).toBe(warned)
    expect(plan?.page.mark === 'warn').toBe(warned)
  })

  it('is bound to who was shown', async () => {
    const basis = async (senderId: string) =>
      (
        await createHouse({
          answers: { ...NEW, 'channels.pairing.list': { requests: [{ ...ALICE, senderId }] } },
        }).plan('pairing approve', 'telegram', 'b1946ac9')
      )?.basis
    expect(await basis('1')).not.toBe(await basis('2'))
  })
})

describe('a node', () => {
  const second = NODES.new.second
  const answers = {
    ...NEW,
    'node.pair.list': second,
    'node.pair.approve': { requestId: 'x' },
    'node.pair.reject': { requestId: 'x' },
  }
  const { requestId } = second.pending[0]

  it('of newer gateways waits for its second stage, with what it may be told to run', async () => {
    expect(await createHouse({ answers }).senders.nodes()).toEqual([
      {
        ...{ requestId, name: 'Build Box', platform: 'linux', address: '198.51.100.4' },
        ...{ caps: ['system'], commands: ['system.run', 'system.which'] },
      },
    ])
  })

  it('of older gateways has none', async () => {
    expect(await createHouse({ answers: { 'node.pair.list': NODES.old.second } }).senders.nodes()).toEqual([])
  })

  it.each(['approve', 'reject'] as const)('is answered with %s by its exact id', async (verb) => {
    const { senders, calls } = createHouse({ answers })
    await senders.answerNode(verb, requestId.slice(0, 8))
    expect(calls).toEqual([`node.pair.${verb} {"requestId":"${requestId}"}`])
  })

  it('that does not wait any more is not answered', async () => {
    const { senders, plan } = createHouse({ answers: { ...answers, ...NO_NODES } })
    await expect(senders.answerNode('approve', 'abcd')).rejects.toThrow('No node waits under that id')
    expect(await plan('pairing node', 'abcd')).toMatchObject({ blocked: true })
  })

  it('that offers something else than was shown is another plan', async () => {
    const more = { pending: [{ ...second.pending[0], commands: ['system.run', 'camera.snap'] }] }
    const plan = async (list: unknown) =>
      (await createHouse({ answers: { ...answers, 'node.pair.list': list } }).plan('pairing node', requestId))
        ?.basis
    expect(await plan(more)).not.toBe(await plan(second))
  })
})

describe('/pairing', () => {
  it('lists people and nodes, and its commands are sound', async () => {
    const { run, commands } = createHouse({ answers: { ...NEW, 'node.pair.list': NODES.new.second } })
    expect(faultsOf(commands)).toEqual([])
    const text = textOf(await run('pairing'))
    expect(text).toContain('2 requests to be let in')
    expect(text).toContain('telegram Alice alice (987654321), since 09:26')
    expect(text).toContain('node Build Box (linux), may be told to run system.run, system.which')
  })

  it('says when nobody waits, and works where there are no nodes', async () => {
    const { run } = createHouse({ answers: { ...NEW, 'channels.pairing.list': EMPTY } })
    expect(textOf(await run('pairing'))).toContain('Nobody waits at the channels')
  })

  it('has who was let in in its audit', async () => {
    const { run, audit } = createHouse({ answers: NEW })
    expect(textOf(await run('pairing approve', 'telegram', 'b1946ac9'))).toContain(
      'Alice alice is let in at telegram.',
    )
    expect(audit).toEqual(['pairing approve telegram b1946ac9'])
  })
})
