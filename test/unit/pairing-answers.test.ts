// Answers to requests: exactly what was shown or nothing, by one of two admins, over the link or by the CLI.

import { describe, expect, it, vi } from 'vitest'
import { GatewayError } from '../../src/ops/gateway/index.ts'
import { METHODS } from '../../src/ops/gateway/methods.ts'
import {
  ANN,
  BOB,
  buttonOf,
  createDevicesYard,
  type DevicesYard,
  idOf,
  shortOf,
  textOf,
  VERA,
  type Version,
} from '../fixtures/openclaw/devices-yard.ts'
import { MINUTE, SECOND } from './help.ts'

/** What is said to a tap that is a day old. */
const DAY_TEXT = 'It waited for a day: expired, send it again.'

const VERSIONS: Version[] = ['old', 'new']
const SMALL = ['operator.read']
const ADMIN = ['operator.admin', 'operator.approvals', 'operator.pairing']

/** A bot with one card for one laptop. */
async function asked(version: Version, scopes = SMALL) {
  const house = createDevicesYard(version)
  await house.look()
  const id = house.gateway.ask('laptop', scopes) ?? ''
  await house.look()
  const [approve, reject] = ['Approve', 'Reject'].map((label) => buttonOf(house.page(1), label))
  if (!approve || !reject) throw new Error('a card has both')
  return { house, id, approve, reject }
}
const scopesOf = ({ yard }: DevicesYard) => yard.paired.map(({ scopes }) => scopes)
const decisions = ({ calls }: DevicesYard) => calls.filter((each) => !/list|presence/.test(each))

describe.each(VERSIONS)('before a gateway of the %s version', (version) => {
  it('a small request is approved at the first tap, by its exact id, and the card says by whom and when', async () => {
    const { house, id, approve } = await asked(version)
    house.yard.at += 3 * SECOND
    expect(textOf(await house.tap(approve))).toMatch(/Control UI is let in/)
    expect(scopesOf(house)).toEqual([SMALL])
    expect(decisions(house)).toEqual([`link device.pair.approve ${id}`])
    expect(house.facts(1)).toMatchObject({ state: 'approved', by: 'Ann', answeredAt: house.yard.at })
    expect(house.audit).toEqual([`Ann: approve device Control UI (${shortOf('laptop')}) with read: done`])
  })

  it('admin needs the second tap, and what newer gateways put into the token besides is no surplus', async () => {
    const { house, approve } = await asked(version, ADMIN)
    const page = await house.tap(approve)
    expect(scopesOf(house)).toEqual([])
    expect(textOf(page)).toContain('admin: can change everything and run code on this machine')
    await house.tap(buttonOf(page, 'Do it'))
    expect(scopesOf(house)).toEqual([ADMIN])
    expect(house.facts(1)).toMatchObject({ state: 'approved' })
    await house.look()
    house.yard.at += 2 * MINUTE
    await house.look()
    await house.look()
    expect(house.cards('device')).toEqual([])
  })

  it('an upgrade needs the second tap, and says what it has and what it wants', async () => {
    const house = createDevicesYard(version)
    house.gateway.approve(house.gateway.ask('laptop', SMALL) ?? '', 'others')
    await house.look()
    house.gateway.ask('laptop', ['operator.write'])
    await house.look()
    expect(textOf(house.page(1))).toMatch(/Has: operator.read\nWants besides:\nwrite:/)
    const page = await house.tap(buttonOf(house.page(1), 'Approve'))
    expect(scopesOf(house)).toEqual([SMALL])
    await house.tap(buttonOf(page, 'Do it'))
    expect(scopesOf(house)).toEqual([['operator.read', 'operator.write']])
  })

  it('a request that became an upgrade between card and tap needs the second tap', async () => {
    const { house, approve } = await asked(version)
    house.yard.paired = [
      {
        ...{
          deviceId: idOf('laptop'),
          publicKey: 'key-of-laptop',
          role: 'node',
          roles: ['node'],
          scopes: [],
        },
        ...{ approvedAtMs: house.yard.at - MINUTE, tokens: [] },
      },
    ]
    const page = await house.tap(approve)
    expect(page.buttons?.flat().map(({ label }) => label)).toContain('Do it')
    expect(decisions(house)).toEqual([])
  })

  it('typed, it is always confirmed; by the beginning of the id, and of the device', async () => {
    const { house, id } = await asked(version)
    for (const word of [id, id.slice(0, 8), shortOf('laptop')]) {
      const page = await house.type(`/approve ${word}`)
      expect(page.buttons?.flat().map(({ label }) => label)).toEqual(['Do it'])
    }
    expect(decisions(house)).toEqual([])
    const page = await house.type(`/approve ${id.slice(0, 8)}`)
    await house.tap(buttonOf(page, 'Do it'))
    expect(decisions(house)).toEqual([`link device.pair.approve ${id}`])
  })

  it('a request without a card, of a muted device, is approved by typing, and not told as a stranger', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.bot().pairing.mute(shortOf('laptop'), house.yard.at + MINUTE)
    const id = house.gateway.ask('laptop', ADMIN) ?? ''
    await house.tap(buttonOf(await house.type(`/approve ${id}`), 'Do it'))
    await house.look()
    expect(scopesOf(house)).toEqual([ADMIN])
    expect(house.kept.cards).toEqual([])
  })

  it('a replaced id that asks for the same is followed', async () => {
    const { house, id, approve } = await asked(version)
    const anew = house.gateway.replace(id)
    await house.tap(approve)
    expect(decisions(house)).toEqual([`link device.pair.approve ${anew}`])
    expect(house.facts(1)).toMatchObject({ state: 'approved', requestId: anew })
  })

  it('who asks for more since is refused, and the card shows it as it is', async () => {
    const { house, approve } = await asked(version)
    house.gateway.ask('laptop', ADMIN)
    expect(textOf(await house.tap(approve))).toMatch(
      version === 'old' ? /asks for something else by now/ : /was replaced by another one: its card shows it/,
    )
    expect([scopesOf(house), decisions(house)]).toEqual([[], []])
    expect(house.facts(1).scopes).toEqual(expect.arrayContaining(ADMIN))
    expect(house.facts(1)).toMatchObject({ state: 'pending', tries: 2 })
  })

  it('who asks for more between the first and the second tap is refused', async () => {
    const { house, approve } = await asked(version, ADMIN)
    const page = await house.tap(approve)
    house.gateway.ask('laptop', ['operator.write'])
    house.gateway.ask('laptop', ['operator.questions'])
    expect((await house.tap(buttonOf(page, 'Do it'))).failed).toBe(true)
    expect(scopesOf(house)).toEqual([])
  })

  it.each<[string, (id: string) => string, number]>([
    ['by the card', (id) => id, 0],
    ['by the beginning of the id', (id) => id.slice(0, 8), 1],
  ])('two admins at once %s: one wins, the other is told by whom', async (_, word, confirms) => {
    const { house, id, approve } = await asked(version)
    const tap = async (person: typeof ANN) => {
      const page = confirms ? await house.type(`/approve ${word(id)}`, person) : undefined
      return page ? () => house.tap(buttonOf(page, 'Do it'), person) : () => house.tap(approve, person)
    }
    const both = [await tap(ANN), await tap(BOB)]
    const said = (await Promise.all(both.map((press) => press()))).map((page) => textOf(page))
    expect(said).toEqual([
      expect.stringContaining('is let in'),
      expect.stringContaining('It was approved by Ann.'),
    ])
    expect(decisions(house)).toHaveLength(1)
    expect(house.facts(1).by).toBe('Ann')
  })

  it('who has the replaced id on the button is told by whom too', async () => {
    const { house, id, approve } = await asked(version)
    house.gateway.replace(id)
    await house.tap(approve)
    expect(textOf(await house.tap(approve, BOB))).toContain('It was approved by Ann.')
    expect(textOf(await house.type(`/approve ${id.slice(0, 8)}`, BOB))).toContain('It was approved by Ann.')
  })

  it('approve and reject at once: one of them', async () => {
    const { house, approve, reject } = await asked(version)
    const said = await Promise.all([house.tap(reject, BOB), house.tap(approve, ANN)])
    expect(decisions(house)).toHaveLength(1)
    expect(said.map((page) => textOf(page))).toEqual([
      expect.stringContaining('1 request rejected'),
      expect.stringContaining('It was rejected by Bob.'),
    ])
    expect(house.facts(1)).toMatchObject({ state: 'rejected', by: 'Bob' })
  })

  it('answered elsewhere between the listing and our answer', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.between = (what) => {
      if (what === 'device.pair.approve') house.gateway.reject(id)
    }
    expect(textOf(await house.tap(approve))).toContain('It was too late')
    house.rig.between = () => {}
    house.bot().pairing.note('device.pair.resolved', { requestId: id, decision: 'rejected' })
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'rejected' })
    expect(house.facts(1)).not.toHaveProperty('by')
    expect(scopesOf(house)).toEqual([])
  })

  it('expired: the tap says so, and so does the card', async () => {
    const { house, approve } = await asked(version)
    house.yard.at += 5 * MINUTE
    expect(textOf(await house.tap(approve))).toContain('Reload the page to ask again.')
    expect(decisions(house)).toEqual([])
    expect(textOf(house.page(1))).toContain('expired')
  })

  it('after a restart of ours the card still works', async () => {
    const { house, approve } = await asked(version)
    house.restart()
    await house.tap(approve)
    expect(scopesOf(house)).toEqual([SMALL])
    expect(house.facts(1)).toMatchObject({ state: 'approved', by: 'Ann' })
  })

  it('who asks for more while we approve is removed again, and everybody is told', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.scopes.push('operator.admin')
    }
    expect(textOf(await house.tap(approve))).toMatch(/asked for more \(admin: .*\)\. It was removed again/)
    expect(scopesOf(house)).toEqual([])
    expect(textOf(house.page(1))).toMatch(/approved by Ann .*and removed again/)
    expect(house.audit).toEqual([expect.stringMatching(/^Ann: approve device .*: failed$/)])
  })

  it('who asks for a role more while we approve is removed again', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.roles.push('node')
    }
    expect(textOf(await house.tap(approve))).toContain('the role node')
    expect(house.yard.paired).toEqual([])
  })

  it('who cannot be removed again is named, with what to do', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.scopes.push('operator.admin')
    }
    house.rig.instead = (what) =>
      what === 'device.pair.remove' ? new GatewayError('This gateway does not know it.', 'ABSENT') : undefined
    const text = textOf(await house.tap(approve))
    expect(text).toContain('could not be removed: This gateway does not know it.')
    expect(text).toContain(`/device remove ${shortOf('laptop')}`)
    expect(house.facts(1)).toMatchObject({ state: 'approved' })
    await house.look()
    expect(house.cards('device')).toHaveLength(1)
  })

  it('an approval that could not be looked at afterwards stays one, and the next look tells what is too much', async () => {
    const { house, id, approve } = await asked(version)
    let over = false
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.scopes.push('operator.admin')
    }
    house.rig.instead = (what) => {
      if (over) return new GatewayError('It did not answer.', 'LATE')
      over = what === 'device.pair.approve'
      return undefined
    }
    expect((await house.tap(approve)).failed).toBe(true)
    house.rig.instead = () => undefined
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'approved', by: 'Ann' })
    expect(house.facts(2)).toMatchObject({ scopes: expect.arrayContaining(['operator.admin']) })
  })

  it('killed between our approval and the look at what it granted: the next process tells what is too much', async () => {
    const { house, id, approve } = await asked(version)
    const { promise: never } = Promise.withResolvers<void>()
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.scopes.push('operator.admin')
    }
    house.rig.instead = (what, request) => {
      if (what !== 'device.pair.approve') return undefined
      house.gateway.approve(request, 'us')
      return never
    }
    void house.tap(approve)
    await vi.waitFor(() => expect(house.yard.paired).toHaveLength(1))
    Object.assign(house.rig, { between: () => {}, instead: () => undefined })
    house.restart()
    await house.look()
    expect(house.facts(1)).toMatchObject({ state: 'approved' })
    expect(house.facts(2)).toMatchObject({ scopes: expect.arrayContaining(['operator.admin']) })
  })

  it('an answer that was lost on the way: what the gateway did is read', async () => {
    const { house, approve } = await asked(version)
    house.rig.instead = (what, id) => {
      if (what !== 'device.pair.approve') return undefined
      house.gateway.approve(id, 'us')
      return new GatewayError('The gateway did not answer within 10 s.', 'LATE')
    }
    expect(textOf(await house.tap(approve))).toContain('is let in')
    expect(house.facts(1)).toMatchObject({ state: 'approved', by: 'Ann' })
  })

  it('an answer that never came to be: it still waits', async () => {
    const { house, approve } = await asked(version)
    house.rig.instead = (what) =>
      what === 'device.pair.approve' ? new GatewayError('It did not answer within 10 s.', 'LATE') : undefined
    expect(textOf(await house.tap(approve))).toContain('did not answer within 10 s')
    expect(house.facts(1)).toMatchObject({ state: 'pending' })
  })

  it('a gateway that wants operator.admin of us: it is said', async () => {
    const { house, approve } = await asked(version)
    house.rig.instead = (what) =>
      what === 'device.pair.approve'
        ? new GatewayError('missing scope: operator.admin', 'INVALID_REQUEST')
        : undefined
    expect(textOf(await house.tap(approve))).toMatch(
      /does not let opsbot do this: .*It wants operator\.admin/,
    )
    expect(house.facts(1)).toMatchObject({ state: 'pending' })
  })

  it('the link shut: the CLI with the exact id, and the card says where it was seen', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.link = 'shut'
    house.gateway.ask('laptop', SMALL)
    house.yard.at += SECOND
    house.gateway.ask('laptop', SMALL)
    await house.look()
    expect(textOf(house.page(1))).toContain('the link is shut')
    await house.tap(approve)
    expect(decisions(house)).toEqual([`cli device.pair.approve ${id}`])
    expect(house.facts(1)).toMatchObject({ state: 'approved', by: 'Ann' })
  })

  it('the link shut: who asks for more while we approve is removed by the CLI', async () => {
    const { house, id, approve } = await asked(version)
    house.rig.link = 'shut'
    house.rig.between = (what) => {
      const open = house.yard.pending.find(({ requestId }) => requestId === id)
      if (what === 'device.pair.approve') open?.scopes.push('operator.admin')
    }
    await house.tap(approve)
    expect(decisions(house).at(-1)).toBe(`cli device.pair.remove ${idOf('laptop')}`)
    expect(scopesOf(house)).toEqual([])
  })

  it('the gateway down: nothing is done, and that is said', async () => {
    const { house, approve } = await asked(version)
    Object.assign(house.rig, { link: 'shut', runs: false })
    const page = await house.tap(approve)
    expect([page.failed, textOf(page)]).toEqual([true, expect.stringContaining('no line into the gateway')])
    expect(house.facts(1)).toMatchObject({ state: 'pending' })
  })

  it('rejected: at the first tap, and the card says by whom', async () => {
    const { house, id, reject } = await asked(version, ADMIN)
    await house.tap(reject, BOB)
    expect(decisions(house)).toEqual([`link device.pair.reject ${id}`])
    expect(textOf(house.page(1))).toMatch(/rejected by Bob/)
    expect(textOf(await house.tap(reject, ANN))).toContain('It was rejected by Bob.')
  })

  it('all are rejected with two listings at most, the dead ones left alone', async () => {
    const house = createDevicesYard(version)
    await house.look()
    house.gateway.ask('dead', SMALL)
    house.yard.at += 4 * MINUTE
    for (let each = 0; each < 200; each += 1) house.gateway.ask(`device ${each}`, SMALL)
    await house.look()
    house.yard.at += 2 * MINUTE
    house.calls.length = 0
    expect(textOf(await house.type('/reject all'))).toContain('200 requests rejected.')
    expect(decisions(house)).toHaveLength(200)
    expect(house.calls.filter((each) => each.endsWith('list')).length).toBeLessThanOrEqual(2)
    expect(house.cards().map(({ id }) => house.facts(id).state)).not.toContain('pending')
    expect(textOf(await house.type('/reject all'))).toContain('Nobody asks.')
  })

  it('all are rejected: when none can be, it is said why', async () => {
    const { house } = await asked(version)
    house.rig.instead = (what) =>
      what === 'device.pair.reject'
        ? new GatewayError('missing scope: operator.pairing', 'FORBIDDEN')
        : undefined
    expect(textOf(await house.type('/reject all'))).toContain('does not let opsbot do this')
  })
})

describe('who may', () => {
  it('a viewer is refused, and that is audited', async () => {
    const { house, approve, reject } = await asked('new')
    for (const button of [approve, reject])
      expect(textOf(await house.tap(button, VERA))).toContain('is for the role operator; yours is viewer')
    expect(decisions(house)).toEqual([])
    expect(house.audit).toEqual([
      'Vera: refused /approve needs operator',
      'Vera: refused /reject needs operator',
    ])
  })

  it('a tap that waited while we were away is not done any more', async () => {
    const { house, approve } = await asked('new')
    expect(textOf(await house.tap(approve, ANN, DAY_TEXT))).toContain(DAY_TEXT)
    expect(decisions(house)).toEqual([])
  })

  it('a confirmation is for who asked, once', async () => {
    const { house, approve } = await asked('new', ADMIN)
    const button = buttonOf(await house.tap(approve, ANN), 'Do it')
    expect((await house.tap(button, BOB)).failed).toBe(true)
    expect(scopesOf(house)).toEqual([])
    await house.tap(button, ANN)
    expect((await house.tap(button, ANN)).failed).toBe(true)
    expect(decisions(house)).toHaveLength(1)
  })
})

describe('an id that is not one', () => {
  it('of several is not guessed at', async () => {
    const house = createDevicesYard('new')
    await house.look()
    for (const name of ['laptop', 'phone']) house.gateway.ask(name, SMALL)
    for (const [index, each] of house.yard.pending.entries()) each.requestId = `same-beginning-${index}`
    expect(textOf(await house.type('/approve same'))).toContain('Several requests begin with same')
  })

  it.each(['', 'abc', '--latest', '$(reboot)', 'x'.repeat(65)])('/approve %s is refused', async (word) => {
    const { house } = await asked('new')
    expect((await house.type(`/approve ${word}`)).failed).toBe(true)
    expect(decisions(house)).toEqual([])
  })
})

describe('a token', () => {
  it.each<[keyof typeof METHODS, object]>([
    [
      'device.pair.approve',
      { requestId: 'r', device: { deviceId: 'd', tokens: { operator: { token: 'SECRET' } } } },
    ],
    ['device.token.rotate', { deviceId: 'd', role: 'operator', token: 'SECRET', scopes: [] }],
    ['device.token.revoke', { deviceId: 'd', token: 'SECRET' }],
    ['device.pair.list', { paired: [{ deviceId: 'd', tokens: [{ role: 'operator', token: 'SECRET' }] }] }],
    [
      'device.pair.list',
      { paired: [{ deviceId: 'd', tokens: { operator: { role: 'operator', token: 'SECRET' } } }] },
    ],
    ['system-presence', [{ deviceId: 'd', ts: 1, token: 'SECRET', deviceToken: 'SECRET' }]],
  ])('of the answer to %s goes no further', (method, answer) => {
    expect(JSON.stringify(METHODS[method].result.parse(answer))).not.toContain('SECRET')
  })

  it('of an old gateway is on no card, in no memory, in no audit', async () => {
    const { house, approve } = await asked('old')
    const said = textOf(await house.tap(approve))
    await house.look()
    const kept = Object.values(house.kept.memory).map(({ get }) => get())
    expect(JSON.stringify([house.kept.cards, kept, house.audit, said])).not.toContain('a-token-in-plain-text')
  })
})
