// Devices that are paired, on the road: who came in without us, what is taken from them, and who waits besides devices.

import { describe, it } from 'vitest'
import { deviceNamed } from '../openclaw/door.ts'
import {
  ASKS,
  ask,
  createDoorYard,
  done,
  labels,
  paired,
  press,
  pressTwice,
  READ,
} from '../openclaw/doors.ts'
import { NEW, OLD, VERSIONS } from '../openclaw/recording.ts'
import { createIdentity } from '../real/device-client.ts'
import { ANN, BEN, bytesOf, until, VIC } from './rig.ts'

/** The whole bot and a child process each: on a busy machine that takes its time. */
const SLOW = { timeout: 30_000 }

const short = (name: string) => deviceNamed(name).deviceId.slice(0, 12)

describe.concurrent.each(VERSIONS)('a device that %s has let in', SLOW, (version) => {
  it('without us is told of, with what it may do, and can be removed', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    const deviceId = await paired(yard, 'Tablet')
    const card = await yard.shown('Tablet was let in, and not by opsbot')
    expect(card.text).toContain(
      version === NEW ? 'By the gateway itself, without asking anybody' : 'this version does not say who',
    )
    expect(card.text).toContain('admin: can change everything')
    expect(labels(card)).toEqual(['Remove', 'Details'])
    expect(card.silent).toBe(false)
    await press(yard, BEN, 'Remove')
    await yard.shown('Remove Tablet?')
    expect(done(yard)).toEqual([])
    await press(yard, BEN, 'Do it')
    await yard.shown('Tablet: done.')
    expect(done(yard)).toEqual([{ method: 'device.pair.remove', params: { deviceId } }])
    expect(yard.replay.door.paired()).toEqual([])
    expect(yard.audited().some((line) => /Ben.*device\.pair\.remove Tablet/.test(line))).toBe(true)
  })

  it('before the bot first looked is nothing new', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    await paired(yard, 'Tablet')
    await yard.stop()
    await yard.start()
    await yard.opened()
    await yard.lookAgain()
    await yard.ask(VIC, '/devices')
    expect(yard.told().filter((text) => text.includes('Tablet was let in'))).toHaveLength(1)
  })

  it('is listed, and shown alone with its deeds', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    await paired(yard, 'Tablet', { scopes: READ })
    const { requestId } = ask(yard, 'Phone')
    const list = await yard.ask(VIC, '/devices')
    expect(list.text).toContain('1 device waiting, 1 paired')
    expect(list.text).toMatch(new RegExp(`${requestId.slice(0, 8)} Phone asks until \\d\\d:\\d\\d`))
    expect(list.text).toMatch(new RegExp(`${short('Tablet')} Tablet, read`))
    const one = await yard.ask(VIC, `/device ${short('Tablet')}`)
    expect(labels(one)).toEqual(['Remove', 'Revoke operator', 'Rotate operator'])
    expect((await yard.ask(VIC, '/device ffff0000')).text).toContain('No paired device begins with ffff0000')
    expect(await press(yard, VIC, 'Remove', VIC)).toContain('/device remove is for the role operator')
  })

  it('gets another token, which nobody is told, or loses it', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    const deviceId = await paired(yard, 'Tablet')
    const secrets = [yard.replay.door.tokenOf(deviceId) ?? '']
    await yard.ask(BEN, `/device ${short('Tablet')}`)
    await pressTwice(yard, BEN, 'Rotate operator', BEN)
    const answer = await yard.telegram.waitFor((fake) =>
      fake.messages(BEN).find(({ text }) => text.includes('Tablet: done.')),
    )
    expect(answer.text).toContain('The new token lies with the gateway alone')
    secrets.push(yard.replay.door.tokenOf(deviceId) ?? '')
    await pressTwice(yard, BEN, 'Revoke operator', BEN)
    await until(() => done(yard).length === 2)
    const params = { deviceId, role: 'operator' }
    expect(done(yard)).toEqual([
      { method: 'device.token.rotate', params },
      { method: 'device.token.revoke', params },
    ])
    expect(yard.replay.door.paired()[0]?.tokens[0]).toHaveProperty('revokedAtMs')
    const said = JSON.stringify([yard.telegram.calls, yard.lines, yard.audited()]) + bytesOf(yard.directory)
    for (const secret of secrets) {
      expect(secret).toHaveLength(43)
      expect(said).not.toContain(secret)
    }
  })

  it('is cut off by a newer gateway when it is removed', async ({ onTestFinished: after, expect }) => {
    const yard = await createDoorYard(after, version)
    const identity = createIdentity()
    await yard.browse({ identity, scopes: READ })
    await yard.shown(ASKS)
    await press(yard, BEN, 'Approve')
    const device = await yard.browse({ identity, scopes: READ })
    await yard.ask(BEN, `/device remove ${device.deviceId.slice(0, 12)}`)
    await press(yard, BEN, 'Do it', BEN)
    if (version === NEW) expect(await device.closed).toEqual({ code: 4001, reason: 'device removed' })
    await until(() => yard.replay.door.paired().length === 0)
    expect((await yard.browse({ identity, scopes: READ })).requestId).toBeDefined()
  })

  it('is muted: its requests are no cards, and /devices says so', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, version)
    await yard.ask(BEN, `/device mute ${short('Phone')} 1h`)
    ask(yard, 'Phone')
    ask(yard, 'Tablet')
    await yard.shown(`Tablet ${ASKS}`)
    expect((await yard.ask(VIC, '/devices')).text).toMatch(/Phone asks until .*, muted/)
    expect(yard.told().filter((text) => text.includes(`Phone ${ASKS}`))).toEqual([])
    expect(yard.audited().some((line) => /Ben.*mute device/.test(line))).toBe(true)
    yard.clock.pass(3_600_001)
    ask(yard, 'Phone')
    await yard.shown(`Phone ${ASKS}`)
  })
})

describe.concurrent('what we may do', SLOW, () => {
  it.for(VERSIONS)(
    'of the gateway’s admins %s asks for more than pairing only if it is a newer one, and says so',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createDoorYard(after, version)
      yard.replay.trouble({ scopes: ['operator.read', 'operator.pairing'] })
      yard.replay.cut()
      await until(() => yard.replay.counts.lines === 2)
      await yard.opened()
      ask(yard, 'Phone')
      await yard.shown(ASKS)
      const toast = await pressTwice(yard, BEN, 'Approve')
      if (version === OLD) expect(toast).toContain('Phone is let in.')
      else expect(toast).toContain('The gateway does not let opsbot do this: missing scope: operator.admin.')
      expect(yard.replay.door.paired()).toHaveLength(version === OLD ? 1 : 0)
      expect(yard.audited().some((line) => /approve device Phone/.test(line))).toBe(true)
      ask(yard, 'Box', { role: 'node', scopes: [], clientId: 'node-host', clientMode: 'node' })
      await yard.shown(`Box ${ASKS}`)
      const refused = await pressTwice(yard, BEN, 'Approve')
      if (version === NEW) expect(refused).toContain('The gateway does not let opsbot do this')
    },
  )

  it.for(VERSIONS)(
    'without the scope for pairing at %s we are blind and say so',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createDoorYard(after, version)
      yard.replay.trouble({ scopes: ['operator.read'] })
      yard.replay.cut()
      await until(() => yard.replay.counts.lines === 2)
      await yard.opened()
      expect((await yard.ask(VIC, '/devices')).text).toContain('missing scope: operator.pairing')
      await yard.lookLong()
      await yard.shown('Check "pairing" does not work')
    },
  )
})

describe.concurrent('a Control UI that is turned away before it can ask', SLOW, () => {
  it('is in /devices with its address, as the gateway’s log has it', async ({
    onTestFinished: after,
    expect,
  }) => {
    // As both versions write it: `closed before connect`, the reason at its end.
    const log =
      'closed before connect conn=1 remote=192.0.2.2 fwd=203.0.113.7 origin=https://ui.example.org host=gw ua=x code=1008 reason=origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)'
    const yard = await createDoorYard(after, NEW, { log })
    const { text } = await yard.ask(VIC, '/devices')
    expect(text).toContain('A Control UI at https://ui.example.org was turned away before it could ask')
    expect(text).toContain('gateway.controlUi.allowedOrigins')
  })
})

describe.concurrent('who waits besides', SLOW, () => {
  const NODE = { clientId: 'node-host', mode: 'node', role: 'node', scopes: [], caps: ['system'] }

  it.for(VERSIONS)(
    'a node of %s needs a second tap, and of a newer one its second stage',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createDoorYard(after, version)
      const node = { ...NODE, identity: createIdentity(), commands: ['system.run'] }
      await yard.browse(node)
      const card = await yard.shown(ASKS)
      expect(card.text).toContain('as a node: agents may run commands on it')
      await pressTwice(yard, BEN, 'Approve')
      expect((await yard.browse(node)).error).toBeUndefined()
      const page = await yard.ask(BEN, '/pairing')
      if (version === OLD) return expect(page.text).not.toContain('node-host')
      expect(page.text).toContain('may be told to run system.run')
      const [label = ''] = labels(page).filter((each) => each.startsWith('Approve '))
      await pressTwice(yard, BEN, label, BEN)
      await until(() => yard.replay.waiting.paired.length === 1)
      expect(yard.audited().some((line) => /Ben.*node approve/.test(line))).toBe(true)
      expect((await yard.ask(VIC, '/pairing')).text).toContain('Nobody waits')
    },
  )

  it('somebody at a channel of a newer gateway is let in by the link, and becomes nobody’s owner', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, NEW)
    const requestId = yard.replay.waiting.writes({
      ...{ channel: 'telegram', senderId: '987654321', metadata: { firstName: 'Alice <b>' } },
    })
    const page = await yard.ask(BEN, '/pairing')
    expect(page.text).toContain('1 request to be let in')
    expect(page.text).toContain('Alice <b> (987654321)')
    await press(yard, BEN, 'Let Alice <b> in', BEN)
    const plan = await yard.telegram.waitFor((fake) =>
      fake.messages(BEN).find(({ text }) => text.includes('Let Alice <b> in at telegram?')),
    )
    expect(plan.text).not.toContain('command owner')
    await press(yard, BEN, 'Do it', BEN)
    await until(() => yard.replay.waiting.allowed.length === 1)
    expect(yard.replay.waiting.allowed).toEqual(['telegram:987654321'])
    const params = { channel: 'telegram', accountId: 'default', requestId, notify: true }
    expect(done(yard)).toEqual([{ method: 'channels.pairing.approve', params }])
    expect(yard.audited().some((line) => /Ben.*pairing approve telegram/.test(line))).toBe(true)
  })

  it('with a code that nobody lists, and no command owner yet, there is a warning first', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createDoorYard(after, NEW)
    const warned = await yard.ask(ANN, '/pairing approve telegram ABCD2345')
    expect(warned.text).toContain('newer gateways make the first one approved by code their command owner')
    yard.replay.waiting.hasOwner()
    const plain = await yard.ask(ANN, '/pairing approve telegram ABCD2345')
    expect(plain.text).not.toContain('command owner')
  })

  it('at a channel of an older gateway is read and let in by its CLI', async ({
    onTestFinished: after,
    expect,
  }) => {
    const ran: string[] = []
    const waiting = {
      channel: 'telegram',
      requests: [{ id: '987654321', code: 'ABCD2345', meta: { firstName: 'Alice' } }],
    }
    const yard = await createDoorYard(after, OLD, {
      cli(args) {
        ran.push(args.join(' '))
        if (args[0] === '--version') return OLD
        if (args[1] === 'list') return JSON.stringify(waiting)
        return 'Approved telegram sender 987654321.'
      },
    })
    yard.replay.answer('channels.status', {
      ...(yard.replay.recording.answers['channels.status'] as object),
      ...{ channelAccounts: { telegram: [{ accountId: 'default' }] } },
    })
    const page = await yard.ask(BEN, '/pairing')
    expect(page.text).toContain('ABCD2345')
    expect(page.text).toContain('Read by the gateway’s CLI.')
    await pressTwice(yard, BEN, 'Let Alice in', BEN)
    await until(() => ran.includes('pairing approve telegram ABCD2345'))
  })
})
