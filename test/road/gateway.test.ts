// The gateway from inside, on the road: what it says of itself becomes alerts, notices and a page, in both versions.

import { describe, it } from 'vitest'
import { NEW, OLD, VERSIONS } from '../openclaw/recording.ts'
import { createYard, type Yard } from '../openclaw/yard.ts'
import { until, VIC } from './rig.ts'

const aboutGateway = (yard: Yard) => yard.told().filter((text) => /gateway|channel/i.test(text))
const standing = (yard: Yard, state: string) => until(() => yard.ops.gateway.standing().state === state)

describe.concurrent('alerts', () => {
  it('a gateway that is not ready is told once, with why, and its end', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, NEW)
    yard.replay.say({ ready: false, failing: ['telegram'], uptimeMs: 500_000 })
    const message = await yard.shown('The gateway is not ready')
    expect(message.text).toContain('It says that these fail: telegram.')
    yard.replay.say({ ready: false, failing: ['telegram', 'whatsapp'], uptimeMs: 501_000 })
    await yard.lookLong()
    expect(aboutGateway(yard)).toHaveLength(1)
    yard.replay.say({ ready: true, failing: [], uptimeMs: 502_000 })
    await standing(yard, 'ready')
    await yard.lookLong()
    await yard.shown('Resolved: The gateway is not ready')
    await until(() => aboutGateway(yard).length === 2)
  })

  it.for(VERSIONS)(
    'a restart that %s told of is a restart and no crash',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createYard(after, version)
      await yard.replay.restart(300)
      const message = await yard.shown('The gateway restarted itself')
      expect(message.text).toContain('It said: gateway restarting.')
      expect(message.silent).toBe(true)
      await yard.lookLong()
      expect(aboutGateway(yard)).toHaveLength(1)
    },
  )

  it('agents that finish before a restart are no alert', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after, NEW)
    yard.replay.say({ ready: false, failing: ['gateway-draining'], uptimeMs: 500_000 })
    await standing(yard, 'restarting')
    await yard.lookLong()
    expect(aboutGateway(yard)).toEqual([])
  })

  it.for(VERSIONS)(
    '%s that is gone without a word is not ready',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createYard(after, version)
      await yard.replay.down()
      const message = await yard.shown('The gateway is not ready')
      expect(message.text).toMatch(/Nobody (listens there|answers on its port)\./)
    },
  )

  it.for(VERSIONS)(
    'a token that %s refuses: there is no line, and what to do about it',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createYard(after, version, { configured: 'an-older-token' })
      await until(() => yard.ops.gateway.ready()?.answers)
      await yard.lookLong()
      const { text } = await yard.shown('There is no line into the gateway')
      expect(text).toContain('It refuses the token of its own environment and config')
      expect(text).toContain('/recreate starts it with the present one.')
      expect(text).not.toContain('an-older-token')
      yard.replay.trouble({})
    },
  )

  it.for([
    ['suppressed', 'The gateway does not start it', ['telegram']],
    ['connecting', 'It runs and is not connected', []],
  ] as const)(
    'a channel that is wedged (%s) is told though the gateway is ready',
    async ([sample, why, suppressed], { onTestFinished: after, expect }) => {
      const yard = await createYard(after, NEW)
      const { samples, answers } = yard.replay.recording
      yard.replay.answer('channels.status', {
        ...(answers['channels.status'] as object),
        channelLabels: { telegram: 'Telegram' },
        channelAccounts: { telegram: [samples.channels?.[sample]] },
      })
      yard.replay.say({ suppressed })
      await until(() => sample === 'connecting' || yard.ops.gateway.ready()?.suppressed?.length)
      await yard.lookLong()
      const { text } = await yard.shown('Channel Telegram does not work')
      expect(text).toContain(why)
      expect(yard.ops.gateway.standing().state).toBe('ready')
      yard.replay.answer('channels.status', answers['channels.status'])
    },
  )

  it('a gateway that is stuck, floods or talks nonsense takes nothing else of the bot with it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, NEW)
    for (let index = 0; index < 5_000; index += 1) yard.replay.emit('health', { index })
    yard.replay.emit('exec.approval.requested', { id: 7, request: 'no' })
    yard.replay.blurt('{"type":"ev')
    await until(() => yard.replay.counts.lines >= 2)
    await yard.opened()
    expect((await yard.ask(VIC, '/status')).text).not.toBe('')
    expect(aboutGateway(yard)).toEqual([])
  })
})

describe.concurrent('/gateway', () => {
  it.for(VERSIONS)('%s that is ready', async (version, { onTestFinished: after, expect }) => {
    const cli = { '--version': `OpenClaw ${version}` }
    const yard = await createYard(after, version, { cli })
    const { text } = await yard.ask(VIC, '/gateway')
    expect(text).toContain(`✅ Gateway ${yard.replay.url}: ready`)
    for (const piece of ['No channel is switched on', '0 sessions, none at work', `OpenClaw ${version}`])
      expect(text).toContain(piece)
    expect(text).toMatch(/Seen over the link, open for/)
    if (version === NEW) expect(text).toMatch(/Its process holds \d+ MB/)
  })

  it('one that is not, with why', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after, NEW)
    yard.replay.say({ ready: false, failing: ['telegram'], uptimeMs: 500_000 })
    await standing(yard, 'not ready')
    const { text } = await yard.ask(VIC, '/gateway')
    expect(text).toContain('🔴')
    expect(text).toContain('It says that these fail: telegram.')
  })

  it('one whose line is shut is seen by its CLI, and the page says so', async ({
    onTestFinished: after,
    expect,
  }) => {
    const cli = {
      '--version': '2026.2.22',
      'gateway call health --json': JSON.stringify({ ok: true, agents: [{ agentId: 'main' }] }),
      'channels status --json': JSON.stringify({ channelAccounts: {} }),
      'sessions --json': JSON.stringify({ count: 2, sessions: [] }),
    }
    const yard = await createYard(after, OLD, { configured: 'an-older-token', cli })
    await until(() => yard.ops.gateway.ready()?.answers)
    const { text } = await yard.ask(VIC, '/gateway')
    for (const piece of ['OpenClaw 2026.2.22', '2 sessions', 'Seen by its CLI; the link is shut'])
      expect(text).toContain(piece)
  })

  it('one that nobody can see says what was not seen', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after, OLD, { configured: 'an-older-token' })
    const { text } = await yard.ask(VIC, '/gateway')
    expect(text).toMatch(/Not seen: its channels/)
  })
})
