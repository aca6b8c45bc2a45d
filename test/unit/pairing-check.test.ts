// The check of pairing: it puts what asks on cards, says when that is a storm, and is never blind and quiet.

import { describe, expect, it } from 'vitest'
import { pairingCheck } from '../../src/ops/checks/pairing.ts'
import { originsIn } from '../../src/ops/devices.ts'
import type { LinkState } from '../../src/ops/gateway/index.ts'
import { createDevicesYard } from '../fixtures/openclaw/devices-yard.ts'
import { MINUTE, SECOND, T0 } from './help.ts'

function createCheck() {
  const house = createDevicesYard('new')
  const looks: number[] = []
  const state = { link: house.parts.link() }
  const check = pairingCheck({
    pairing: house.bot().pairing,
    link: () => state.link,
    lookAt: (at) => void looks.push(at),
  })
  const look = async () => (await check.look(new AbortController().signal))[0]
  return { house, looks, state, check, look }
}
const shut = (code: string): LinkState => ({
  state: 'shut',
  since: T0,
  seenAt: T0,
  code,
  why: 'It is as it is.',
})

describe('the check of pairing', () => {
  it('puts what asks on a card, and looks again when that dies', async () => {
    const { house, look, looks } = createCheck()
    house.gateway.ask('laptop', ['operator.read'])
    expect(await look()).toMatchObject({ key: 'pairing/storm', area: 'gateway', verdict: 'ok' })
    expect(house.cards()).toHaveLength(1)
    expect(looks).toEqual([house.yard.at + 5 * MINUTE])
    house.yard.at += 5 * MINUTE
    await look()
    expect(looks).toHaveLength(1)
  })

  it('looks again at the end of the request that dies first', async () => {
    const { house, look, looks } = createCheck()
    house.gateway.ask('laptop', ['operator.read'])
    house.yard.at += SECOND
    house.gateway.ask('phone', ['operator.read'])
    await look()
    expect(looks).toEqual([house.yard.at - SECOND + 5 * MINUTE])
  })

  it('says at once that more than five devices within a minute are no person, with Reject all', async () => {
    const { house, look } = createCheck()
    for (let each = 0; each < 6; each += 1) house.gateway.ask(`device ${each}`, ['operator.read'])
    expect(await look()).toMatchObject({
      ...{
        verdict: 'bad',
        proof: true,
        why: expect.stringMatching(/^6 different devices asked within a minute/),
      },
      actions: [{ label: 'Reject all', run: 'reject all' }, expect.anything()],
    })
    house.yard.at += MINUTE
    expect(await look()).toMatchObject({ verdict: 'ok' })
  })

  it.each(['NOT_RUNNING', 'NO_NODE', 'ENGINE', 'DOWN'])(
    'knows nothing while the link is shut by %s',
    async (code) => {
      const { house, look, state } = createCheck()
      state.link = shut(code)
      expect(await look()).toMatchObject({ verdict: 'unknown', why: 'It is as it is.' })
      expect(house.calls).toEqual([])
    },
  )

  it('asks the CLI while the link alone is shut', async () => {
    const { house, look, state } = createCheck()
    state.link = shut('REFUSED')
    house.rig.link = 'shut'
    house.gateway.ask('laptop', ['operator.read'])
    expect(await look()).toMatchObject({ verdict: 'ok' })
    expect(house.facts(1)).toMatchObject({ source: 'cli' })
  })

  it('fails when nobody answers: blind is never all well', async () => {
    const { house, look, state } = createCheck()
    state.link = shut('REFUSED')
    Object.assign(house.rig, { link: 'shut', runs: false })
    await expect(look()).rejects.toThrow('no line into the gateway')
  })
})

describe('who was turned away before asking', () => {
  const REASON =
    'reason=origin not allowed (open the Control UI from the gateway host or allow it in gateway.controlUi.allowedOrigins)'
  const UA = 'ua=Mozilla/5.0 (X11; Linux x86_64)'
  /** As Docker has it of 2026.2.22, whose colours are in it. */
  const old = (origin: string, reason = REASON) =>
    `\x1b[90m2026-11-20T15:18:30.734Z\x1b[39m \x1b[36m[ws]\x1b[39m \x1b[33mclosed before connect conn=31aa645a remote=10.245.129.1 fwd=n/a origin=${origin} host=127.0.0.1:41902 ${UA} code=1008 ${reason}\x1b[39m`
  /** Of 2026.9.6, and a client that does not repeat the reason of the close. */
  const newer = (origin: string) =>
    `\x1b[36m[ws]\x1b[39m \x1b[33mclosed before connect conn=57c7ba3c peer=10.245.128.1:47798->10.245.128.2:18789 remote=10.245.128.1 fwd=n/a origin=${origin} host=127.0.0.1:41901 ua=node code=1008 reason=n/a phase=ws_upgrade_started cause=origin-mismatch durationMs=7 handshake=failed origin=${origin} reason="origin not allowed" client=openclaw-control-ui\x1b[39m`

  it.each<[string, string, string[]]>([
    ['nobody', `all is well\n${old('https://a.example', 'reason=pairing required')}`, []],
    [
      'by an older one, each once',
      `${old('https://a.example')}\n${old('https://a.example')}`,
      ['https://a.example'],
    ],
    ['by a newer one', newer('http://b.example:8443'), ['http://b.example:8443']],
    ['without a name', old('n/a'), ['an address that it does not name']],
    ['with tricks in it', old('https://a\u202e.example'), ['https://a .example']],
    ['with a long one', newer(`https://${'x'.repeat(4_000)}`), [`https://${'x'.repeat(56)}…`]],
  ])('%s', (_, log, origins) => {
    expect(originsIn(log)).toEqual(origins)
  })
})
