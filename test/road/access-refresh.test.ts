// The refresh on the road: in time, through failures and a restart of the bot, and what is told of each kind, once.

import { describe, it, vi } from 'vitest'
import {
  type AccessYard,
  createAccessYard,
  DAY,
  HOSTILE,
  HOUR,
  MINUTE,
  profileOf,
  profilesOf,
  until,
} from '../claude/yard.ts'
import { type After, ANN, BEN, OPS } from './rig.ts'

Object.assign(process.env, HOSTILE)
// Each is a whole bot with programs of its own: on a busy machine they take their time.
vi.setConfig({ testTimeout: 60_000 })

/** An older gateway that is kept in step with the CLI. */
const inStep = (after: After, more: object = {}) =>
  createAccessYard(after, {
    files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
    env: { CREDENTIAL_SYNC: 'on' },
    ...more,
  })
const asked = (yard: AccessYard) => yard.cli.calls().filter(({ did }) => did.includes('asked')).length
const access = (yard: AccessYard): string => yard.cli.read()?.claudeAiOauth.accessToken
const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)
/** Lets this time pass in steps, as the bot's clock does. */
async function live(yard: AccessYard, ms: number, stepMs = 5 * MINUTE) {
  for (let past = 0; past < ms; past += stepMs) await yard.pass(stepMs)
}

describe.concurrent('a token that is about to end', () => {
  it('is renewed in time and copied, with nothing of our environment, and nobody hears of it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 3 * MINUTE })
    const before = access(yard)
    await until(() => access(yard) !== before && yard.profile().access === access(yard))
    await live(yard, 20 * MINUTE)
    expect(yard.alerts()).toEqual([])
    expect(asked(yard)).toBe(1)
    for (const { env } of yard.cli.calls())
      for (const name of Object.keys(HOSTILE)) expect(env).not.toContain(name)
    expect(yard.audited()).toContain('opsbot: refresh the Claude CLI’s token')
    expect((await yard.ask(BEN, '/refresh')).text).toMatch(
      /^✅ Fresh until .+ UTC, renews itself at .+ UTC\.$/,
    )
    expect(await yard.leaks()).toEqual([])
  })

  it('is renewed while the bot restarts: once, and nothing is lost', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 3 * MINUTE, script: { refresh: 'slow', slowMs: 1_500 } })
    const before = access(yard)
    await until(() => yard.cli.calls().some(({ argv }) => argv.length > 0))
    await yard.stop()
    expect(access(yard)).toBe(before)
    await yard.start()
    await until(() => access(yard) !== before && yard.profile().access === access(yard))
    expect(asked(yard)).toBe(1)
    await live(yard, 10 * MINUTE)
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })

  it('is left alone while changes are frozen, which is said, and renewed after', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 10 * MINUTE })
    await yard.ask(ANN, '/freeze')
    const before = access(yard)
    await yard.pass(8 * MINUTE)
    await yard.ops.keeper?.tick()
    expect(asked(yard)).toBe(0)
    await yard.glance()
    const told = await yard.shown(OPS, 'The Claude CLI’s token runs out')
    expect(told.text).toMatch(/It was not begun: .*[Ff]rozen/)
    expect(labels(told)).toContain('Refresh')
    await yard.ask(ANN, '/unfreeze')
    await yard.pass(MINUTE)
    await yard.ops.keeper?.tick()
    expect(access(yard)).not.toBe(before)
    await until(() => yard.profile().access === access(yard))
    await live(yard, 12 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
  })

  it('without network for an hour across its end is one alert and one resolution', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 10 * MINUTE })
    yard.set({ refresh: 'network' })
    const before = access(yard)
    await yard.pass(5.5 * MINUTE)
    for (const minutes of [...Array(14).fill(0.5), ...Array(12).fill(4)]) {
      await yard.pass(minutes * MINUTE)
      await yard.ops.keeper?.tick()
    }
    expect(yard.firing()).toEqual(expect.arrayContaining(['credential/cli/refresh']))
    yard.set({ refresh: 'ok' })
    await yard.pass(5 * MINUTE)
    await yard.ops.keeper?.tick()
    await until(() => access(yard) !== before && yard.profile().access === access(yard))
    await live(yard, 12 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
    const told = yard.alerts()
    expect(told.map((text) => text.split('\n')[0])).toEqual([
      '✅ Resolved: The Claude CLI’s token is not renewed',
      '✅ Resolved: The Claude CLI’s token is not renewed',
    ])
    expect(await yard.leaks()).toEqual([])
  })
})

describe.concurrent('a login that is over', () => {
  it('is told once, called to mind each day at the hour, silenced by a mute, and over with a new login', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 3 * MINUTE, script: { refresh: 'invalid_grant' } })
    const first = await yard.shown(OPS, 'has no login that it can use')
    expect(labels(first)).toContain('Sign in')
    const profile = yard.profile()
    await live(yard, 30 * MINUTE)
    const count = () => yard.alerts().length
    const once = count()
    expect(yard.alerts().filter((text) => text.startsWith('🔴'))).toHaveLength(1)

    const nine = new Date(yard.clock.now())
    nine.setUTCHours(9, 1, 0, 0)
    const nextNine = nine.getTime() > yard.clock.now() ? nine.getTime() : nine.getTime() + DAY
    await yard.pass(nextNine - yard.clock.now() - 2 * MINUTE)
    expect(count()).toBe(once)
    await yard.pass(2 * MINUTE)
    await until(() => count() === once + 1)
    await live(yard, 2 * HOUR, 20 * MINUTE)
    expect(count()).toBe(once + 1)
    await yard.pass(22 * HOUR)
    await until(() => count() === once + 2)

    await yard.ask(BEN, '/mute all 3d')
    await yard.pass(DAY)
    await yard.pass(DAY)
    expect(count()).toBe(once + 2)
    // The copies are left as they were: nothing empty was written over them.
    expect(yard.profile()).toEqual(profile)

    await yard.ask(BEN, '/unmute all')
    const { accessToken } = yard.login(8 * HOUR)
    await until(() => yard.profile().access === accessToken)
    await live(yard, 12 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })

  it.for<[string, (yard: AccessYard) => void, RegExp]>([
    ['vanished', (yard) => yard.remove('.claude/.credentials.json'), /is not there.*There was one before/s],
    ['emptied', (yard) => yard.cli.write(''), /no login that it can use/],
    ['torn', (yard) => yard.cli.write('{"claudeAiOauth":{"acc'), /no login that it can use/],
    [
      'blanked',
      (yard) => yard.cli.write(yard.loginOf(0, { accessToken: '', refreshToken: '', expiresAt: 0 })),
      /no login that it can use/,
    ],
  ])(
    'because its file is %s is one alert with its button, and a moment of it is none',
    async ([, happen, words], { onTestFinished: after, expect }) => {
      const yard = await inStep(after)
      await yard.glance()
      const text = yard.read('.claude/.credentials.json')
      happen(yard)
      yard.cli.write(text)
      await live(yard, 6 * MINUTE, 2 * MINUTE)
      expect(yard.firing()).toEqual([])
      happen(yard)
      await live(yard, 8 * MINUTE, 2 * MINUTE)
      const told = await yard.shown(OPS, words)
      expect(labels(told)).toContain('Sign in')
      expect(yard.alerts().filter((each) => each.startsWith('🔴'))).toHaveLength(1)
      expect(yard.firing()).toEqual(['credential/cli/file'])
      yard.cli.write(text)
      await live(yard, 10 * MINUTE, 2 * MINUTE)
      expect(yard.firing()).toEqual([])
    },
  )

  it('soon is told at each stage once', async ({ onTestFinished: after, expect }) => {
    const yard = await inStep(after, { loginLeftMs: 6 * DAY })
    const stages = () =>
      yard.alerts().filter((text) => text.includes('login ends') || text.includes('Its login'))
    await yard.glance()
    expect(stages()).toHaveLength(0)
    for (const [daysLeft, told] of [
      [4.9, 1],
      [4.5, 1],
      [1.9, 2],
      [0.9, 3],
    ] as const) {
      const endsAt = yard.cli.read().claudeAiOauth.refreshTokenExpiresAt
      // The token itself goes on being renewed, by a session of the CLI say.
      const { claudeAiOauth } = yard.cli.read()
      await yard.pass(endsAt - yard.clock.now() - daysLeft * DAY)
      yard.cli.write({ claudeAiOauth: { ...claudeAiOauth, expiresAt: yard.clock.now() + 8 * HOUR } })
      await yard.glance()
      await until(() => stages().length >= told)
      await live(yard, 10 * MINUTE)
      expect(stages()).toHaveLength(told)
    }
  })
})

describe.concurrent('a refresh by hand', () => {
  it('shows the end before and after on its card', async ({ onTestFinished: after, expect }) => {
    const yard = await inStep(after, { leftMs: 10 * MINUTE })
    yard.clock.pass(5.5 * MINUTE)
    yard.set({})
    expect((await yard.ask(BEN, '/refresh')).text).toContain('has begun')
    const card = await yard.shown(BEN, /refresh .*: done/)
    expect(card.text).toMatch(/expiresAt \d\d:\d\d → \d\d:\d\d/)
    expect(asked(yard)).toBe(1)
  })

  it('that the account stands in the way of says which kind of trouble it is', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { leftMs: 3 * MINUTE, script: { refresh: '500' } })
    await until(() => yard.ops.keeper?.state().failures.length)
    await live(yard, 10 * MINUTE, MINUTE)
    const told = await yard.shown(OPS, 'The Claude CLI’s token is not renewed')
    expect(told.text).toMatch(/transient: .+/)
    expect(labels(told)).toEqual(expect.arrayContaining(['Refresh', 'Tokens']))
  })
})
