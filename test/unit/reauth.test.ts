// Signing in again as tables: what every code comes to, whose it is, how a sign-in ends, and what the audit says of it.

import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { ClaudeFile } from '../../src/ops/claude/index.ts'
import { createReauth } from '../../src/ops/credentials/reauth.ts'
import { provenBy } from '../../src/ops/credentials/signin.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import { codeFor, createFakeClaude, type FakeClaude, urlOf } from '../fixtures/claude/sign-in.ts'
import { HOUR, keptLog, MINUTE, openTestState, T0 } from './help.ts'

const ann = { name: 'Ann (11)' }
const bob = { name: 'Bob (22)' }
const CHAT = 'chat:11' as const

function createHouse({ relay = true }: { relay?: boolean } = {}) {
  const clock = { at: T0 }
  const now = () => clock.at
  const state = openTestState()
  const deeds = createDeeds({ ...state, now })
  const cli = createFakeClaude(now)
  const proofs: string[] = []
  const told: string[] = []
  const { log, lines } = keptLog()
  const faults: { onProof?: () => void } = {}
  const reauth = createReauth({
    ...{ claudes: { cli: cli.claude }, deeds, relay, now, log, everyMs: 2 },
    onProof(which) {
      proofs.push(`${which}, ${deeds.running()} deeds`)
      faults.onProof?.()
    },
    tell: (audience, { title }) => told.push(`${audience} ${title}`),
  })
  return {
    ...{ ...state, clock, deeds, cli, proofs, told, lines, reauth, faults },
    begin: () => reauth.begin('cli', ann, CHAT),
    ended: () =>
      state.audit
        .list(9)
        .filter(({ action }) => action === 'reauth')
        .map(({ action, detail, result }) => `${action} ${detail} ${result}`)[0],
    /** What the outcome row says. */
    outcome: () =>
      state.store.get<{ detail: string }>("SELECT detail FROM audit WHERE phase = 'outcome' ORDER BY id DESC")
        ?.detail,
  }
}
type House = ReturnType<typeof createHouse>

async function eventually(probe: () => unknown): Promise<void> {
  for (let looks = 0; !probe(); looks += 1) {
    if (looks > 500) throw new Error(`never: ${probe}`)
    await sleep(2)
  }
}

describe('a sign-in', () => {
  it('is one deed from its beginning to its proof, and keeps nobody from refreshing meanwhile', async () => {
    const house = createHouse()
    expect(await house.begin()).toEqual({ where: 'in claude-proxy', url: urlOf(1), endsAt: T0 + 15 * MINUTE })
    expect(house.ended()).toBe('reauth cli, in claude-proxy undefined')
    expect(house.reauth.open()).toEqual({ which: 'cli', by: ann.name, endsAt: T0 + 15 * MINUTE })
    const refresh = {
      name: 'refresh',
      detail: '',
      danger: 'safe',
      resource: 'credentials',
      run: () => 'done',
    } as const
    expect(await house.deeds.perform(refresh, bob).done).toBe('done')
    expect(await house.reauth.answer(codeFor(1), ann)).toEqual({
      ...{ done: true, where: 'in claude-proxy', expiresAt: T0 + 8 * HOUR },
    })
    expect(house.proofs).toEqual(['cli, 0 deeds'])
    expect(house.ended()).toBe('reauth cli, in claude-proxy done')
    expect(house.reauth.open()).toBeUndefined()
    expect(house.cli.running.size).toBe(0)
  })

  it.each<[string, string, (house: House) => void, { why: RegExp; fed: number; fresh: boolean }]>([
    ['is not whole', 'aB3_-codeFromThePage', () => {}, { why: /including the #/, fed: 1, fresh: false }],
    ['is empty', '', () => {}, { why: /including the #/, fed: 1, fresh: false }],
    [
      'is for an address that was sent before',
      codeFor(0),
      () => {},
      { why: /another sign-in/, fed: 0, fresh: true },
    ],
    ['has an empty state', 'aB3_-code#', () => {}, { why: /another sign-in/, fed: 0, fresh: true }],
    ['has two', `x#${codeFor(1)}`, () => {}, { why: /another sign-in/, fed: 0, fresh: true }],
    [
      'is refused: wrong, used or late',
      codeFor(1, 'wrong'),
      () => {},
      { why: /wasn't accepted/, fed: 1, fresh: true },
    ],
    [
      'meets a dead network',
      codeFor(1),
      ({ cli }) => {
        cli.faults.refuse = "Couldn't log in: socket hang up"
      },
      { why: /socket hang up/, fed: 1, fresh: true },
    ],
    [
      'is taken, but no file is written',
      codeFor(1),
      ({ cli }) => {
        cli.faults.idle = true
      },
      { why: /no new token is there/, fed: 1, fresh: true },
    ],
    [
      'is taken, but the file is blank',
      codeFor(1),
      ({ cli }) => {
        cli.faults.idle = true
        cli.faults.answer = () => {
          Object.assign(cli.file, { state: 'blanked', hash: undefined, expiresAt: 0, why: 'It is blank.' })
        }
      },
      { why: /no new token is there. It is blank./, fed: 1, fresh: true },
    ],
  ])('whose code %s says why and goes on', async (_, code, set, { why, fed, fresh }) => {
    const house = createHouse()
    await house.begin()
    house.clock.at += MINUTE
    set(house)
    const answered = await house.reauth.answer(code, ann)
    const door = { where: 'in claude-proxy', url: urlOf(2), endsAt: T0 + 16 * MINUTE }
    expect(answered).toEqual({ done: false, why: expect.stringMatching(why), ...(fresh && { fresh: door }) })
    expect(house.cli.fed).toHaveLength(fed)
    expect([...house.cli.running]).toEqual([fresh ? 2 : 1])
    expect(house.proofs).toEqual([])
    house.cli.faults = {}
    expect(await house.reauth.answer(codeFor(fresh ? 2 : 1), ann)).toMatchObject({ done: true })
    expect(house.store.all("SELECT * FROM audit WHERE phase = 'intent'")).toHaveLength(1)
  })

  it('is there once: its owner gets the same address again, everybody else is told whose it is', async () => {
    const house = createHouse()
    const door = await house.begin()
    house.clock.at += 3 * MINUTE
    expect(await house.begin()).toEqual(door)
    await expect(house.reauth.begin('cli', bob, CHAT)).rejects.toThrow(
      'Ann (11) began a sign-in (cli) that is open for another 12 min.',
    )
    await expect(house.reauth.begin('sandbox', ann, CHAT)).rejects.toThrow('Ann (11) began a sign-in (cli)')
    await expect(house.reauth.answer(codeFor(1), bob)).rejects.toThrow('Only Ann (11) may answer')
    expect(house.cli).toMatchObject({ begun: 1, fed: [] })
  })

  it('takes one code at a time, and is not cancelled while it is at one', async () => {
    const house = createHouse()
    await house.begin()
    const gate = Promise.withResolvers<void>()
    house.cli.faults.answer = () => gate.promise
    const first = house.reauth.answer(codeFor(1), ann)
    await eventually(() => house.cli.fed.length)
    await expect(house.reauth.answer(codeFor(1), ann)).rejects.toThrow('still at the code before')
    await expect(house.reauth.cancel(ann)).rejects.toThrow('handed over just now')
    house.clock.at += 20 * MINUTE
    await sleep(20)
    expect(house.told).toEqual([])
    gate.resolve()
    expect(await first).toMatchObject({ done: true })
    expect(house.cli.fed).toHaveLength(1)
  })

  it.each<[string, (house: House) => Promise<unknown> | unknown, string, string, string[]]>([
    ['it is cancelled', ({ reauth }) => reauth.cancel(bob), 'failed', 'It was cancelled by Bob (22).', []],
    [
      'its 15 minutes are over',
      (house) => {
        house.clock.at += 15 * MINUTE
      },
      'failed',
      'Nobody signed in within 15 minutes.',
      ['chat:11 The sign-in in claude-proxy has run out'],
    ],
    ['the bot stops', ({ deeds }) => deeds.drain(1_000), 'interrupted', 'opsbot was stopped.', []],
  ])('ends when %s, and leaves nothing running', async (_, end, result, why, told) => {
    const house = createHouse()
    await house.begin()
    await end(house)
    await eventually(() => house.outcome())
    expect(house.ended()).toBe(`reauth cli, in claude-proxy ${result}`)
    expect(house.outcome()).toBe(why)
    expect(house.told).toEqual(told)
    expect(house.cli.running.size).toBe(0)
    expect(house.reauth.open()).toBeUndefined()
    await expect(house.reauth.answer(codeFor(1), ann)).rejects.toThrow('No sign-in waits')
    expect(house.cli.fed).toEqual([])
    expect(house.lines).toEqual([])
  })

  it('that is cancelled while the CLI starts leaves nothing running', async () => {
    const house = createHouse()
    const gate = Promise.withResolvers<void>()
    house.cli.faults.signIn = () => gate.promise
    const begun = house.begin()
    const cancelled = house.reauth.cancel(ann)
    gate.resolve()
    await Promise.all([begun, cancelled])
    expect(house.cli.begun).toBe(1)
    expect(house.cli.running.size).toBe(0)
    expect(house.reauth.open()).toBeUndefined()
  })

  it.each<[string, (house: House) => void, string]>([
    [
      'the CLI is too old',
      ({ cli }) => {
        cli.faults.signIn = () => {
          throw new OpsError('The Claude CLI is 2.1.54: upgrade it.')
        }
      },
      'upgrade it',
    ],
    ['changes are frozen', ({ meta }) => meta.set('frozen', { by: 'Bob', at: T0 }), 'Changes are frozen'],
    [
      'a sign-in of another process is not over',
      ({ deeds }) => {
        const run = () => new Promise<void>(() => {})
        deeds.perform({ name: 'reauth', detail: '', danger: 'safe', resource: 'reauth', run }, bob)
      },
      'Bob (22) is already at it',
    ],
  ])('does not begin when %s, and can be begun later', async (_, set, why) => {
    const house = createHouse()
    set(house)
    await expect(house.begin()).rejects.toThrow(why)
    expect(house.reauth.open()).toBeUndefined()
    expect(house.cli.running.size).toBe(0)
  })

  it('ends with both reasons when no fresh page can be had', async () => {
    const house = createHouse()
    await house.begin()
    house.cli.faults.signIn = () => {
      throw new OpsError('The container is gone.')
    }
    await expect(house.reauth.answer(codeFor(0), ann)).rejects.toThrow(
      'That code belongs to another sign-in: it was not used.\nThe container is gone.',
    )
    await eventually(() => house.outcome())
    expect(house.outcome()).toBe('The container is gone.')
    expect(house.reauth.open()).toBeUndefined()
  })

  it.each([
    ['cli', 'CLAUDE_MODE'],
    ['sandbox', 'CLAUDE_SANDBOX_CONFIG_DIR'],
  ] as const)('of a %s that there is not says which key to set', async (which, key) => {
    const reauth = createReauth({
      ...{ claudes: {}, deeds: createHouse().deeds, relay: true, onProof() {}, tell() {} },
      ...{ now: () => T0, log: keptLog().log },
    })
    await expect(reauth.begin(which, ann, CHAT)).rejects.toThrow(key)
    await expect(reauth.awaitProof(which, ann, CHAT)).rejects.toThrow(key)
  })

  it('holds though what should follow from it fails', async () => {
    const house = createHouse()
    await house.begin()
    house.faults.onProof = () => {
      throw new Error('no sync')
    }
    expect(await house.reauth.answer(codeFor(1), ann)).toMatchObject({ done: true })
    await eventually(() => house.lines.length)
    expect(house.lines).toEqual(['error a new login was not followed up'])
  })

  it('leaves no code in the state', async () => {
    const house = createHouse()
    await house.begin()
    for (const code of [codeFor(0), codeFor(2, 'wrong'), codeFor(3)]) await house.reauth.answer(code, ann)
    for (const { name } of house.store.all<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table'",
    ))
      expect(JSON.stringify(house.store.all(`SELECT * FROM ${name}`))).not.toMatch(/StateOfSignIn|codeFrom/)
  })
})

describe('a proof', () => {
  const before: ClaudeFile = { state: 'ok', path: '', hash: 'a', expiresAt: T0 + HOUR }
  it.each<[string, Partial<ClaudeFile>, number | undefined]>([
    ['another token with a later end', { hash: 'b', expiresAt: T0 + 8 * HOUR }, T0 + 8 * HOUR],
    ['another token with an earlier end that is still good', { hash: 'b', expiresAt: T0 + 1 }, T0 + 1],
    ['another token that has ended', { hash: 'b', expiresAt: T0 }, undefined],
    ['the same token', { hash: 'a', expiresAt: T0 + 8 * HOUR }, undefined],
    ['a file without a token', { state: 'blanked', hash: 'b', expiresAt: T0 + HOUR }, undefined],
    ['no hash', { state: 'ok', expiresAt: T0 + HOUR }, undefined],
    ['no end', { hash: 'b' }, undefined],
  ])('%s', (_, after, proven) => {
    expect(provenBy(before, { state: 'ok', path: '', ...after }, T0)).toBe(proven)
    if (proven)
      expect(provenBy({ state: 'missing', path: '' }, { state: 'ok', path: '', ...after }, T0)).toBe(proven)
  })
})

describe('with the relay off', () => {
  const begin = ({ reauth }: House) => reauth.awaitProof('cli', ann, CHAT)

  it.each<[string, (cli: FakeClaude) => void]>([
    ['a new login', (cli) => cli.login()],
    [
      'a new token of a CLI that does not say when its login ends',
      (cli) => {
        cli.login()
        delete cli.file.loginEndsAt
      },
    ],
  ])('%s is the proof, and is told', async (_, happen) => {
    const house = createHouse({ relay: false })
    expect(await begin(house)).toEqual({
      where: 'in claude-proxy',
      command: 'docker exec -it claude-proxy claude auth login',
      endsAt: T0 + 15 * MINUTE,
    })
    await expect(house.reauth.answer(codeFor(1), ann)).rejects.toThrow('No sign-in waits for a code')
    await sleep(10)
    expect(house.told).toEqual([])
    happen(house.cli)
    await eventually(() => house.told.length)
    expect(house.told).toEqual(['chat:11 Signed in to Claude in claude-proxy'])
    expect(house.proofs).toEqual(['cli, 0 deeds'])
    expect(house.reauth.open()).toBeUndefined()
    expect(house.cli).toMatchObject({ begun: 0, fed: [] })
    expect(house.audit.list(9)).toEqual([])
  })

  it('a refresh is no proof', async () => {
    const house = createHouse({ relay: false })
    await begin(house)
    house.cli.refresh()
    await sleep(20)
    expect(house.told).toEqual([])
    house.cli.login()
    await eventually(() => house.proofs.length)
  })

  it.each<[string, (house: House) => Promise<void> | void, string[]]>([
    ['it is cancelled', ({ reauth }) => reauth.cancel(bob), []],
    [
      'its time is over',
      (house) => {
        house.clock.at += 15 * MINUTE
      },
      ['chat:11 The sign-in in claude-proxy has run out'],
    ],
    ['the bot stops', ({ reauth }) => reauth.stop(), []],
  ])('nobody looks any more when %s', async (_, end, told) => {
    const house = createHouse({ relay: false })
    await begin(house)
    await expect(house.reauth.awaitProof('cli', bob, CHAT)).rejects.toThrow('Ann (11) began a sign-in')
    await end(house)
    await sleep(10)
    house.cli.login()
    await sleep(10)
    expect([house.told, house.proofs]).toEqual([told, []])
  })

  it('a nudge looks at once', async () => {
    const { log } = keptLog()
    const cli = createFakeClaude(() => T0)
    const told = Promise.withResolvers<string>()
    const reauth = createReauth({
      ...{ claudes: { cli: cli.claude }, deeds: createHouse().deeds, relay: false, onProof() {} },
      ...{ tell: (_, { title }) => told.resolve(title), now: () => T0, log, everyMs: HOUR },
    })
    await reauth.awaitProof('cli', ann, CHAT)
    cli.login()
    reauth.nudge()
    expect(await told.promise).toBe('Signed in to Claude in claude-proxy')
  })
})
