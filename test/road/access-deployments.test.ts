// Model access in all its deployments: which ones need nothing and hear of nothing, what each is told of, and the sign-in to its proof.

import { describe, it, vi } from 'vitest'
import {
  type AccessOptions,
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

const KEY = ['sk-ant', 'api03-KeyOfADeploymentWithoutLogins'].join('-')
const SETUP = ['sk-ant', 'oat01-SetupTokenOfADeploymentOfItsOwn'].join('-')
const keyProfile = { 'anthropic:default': { type: 'api_key', provider: 'anthropic', key: KEY } }
const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)

async function live(yard: AccessYard, ms: number, stepMs: number) {
  for (let past = 0; past < ms; past += stepMs) await yard.pass(stepMs)
}
const COMMANDS = ['/tokens', '/whyauth', '/usage', '/refresh', '/sync', '/authfix --plan', '/reauth cancel']

describe.concurrent('a deployment that needs nothing from us', () => {
  it.for<[string, AccessOptions, RegExp]>([
    [
      'with an API key alone, and no Claude CLI',
      { files: () => profilesOf(keyProfile), env: { CLAUDE_MODE: 'off' }, leftMs: 'none' },
      /^✅ Model access is fine/,
    ],
    [
      'with an API key in its environment',
      {
        environment: { ANTHROPIC_API_KEY: KEY },
        files: () => ({ 'compose/.env': `ANTHROPIC_API_KEY=${KEY}\n` }),
        env: { CLAUDE_MODE: 'off' },
        leftMs: 'none',
      },
      /^✅ Model access is fine/,
    ],
    ['whose gateway runs the Claude CLI itself', {}, /^❔ The gateway has no credential of its own for main/],
    [
      'on this host, whose gateway runs the Claude CLI itself',
      { gateway: '2026.9.6' },
      /^❔ The gateway has no credential of its own for main/,
    ],
    [
      'with a setup-token that nobody registered',
      {
        files: () =>
          profilesOf({ 'anthropic:default': { type: 'token', provider: 'anthropic', token: SETUP } }),
        env: { CLAUDE_MODE: 'off' },
        leftMs: 'none',
      },
      /^✅ Model access is fine/,
    ],
  ])(
    '%s hears of nothing, and has every answer',
    async ([, options, title], { onTestFinished: after, expect }) => {
      const yard = await createAccessYard(after, { leftMs: 20 * MINUTE, ...options })
      await yard.glance()
      // The CLI that is there goes on being renewed, whoever uses it.
      for (const minutes of [15, 1, 5, 5, 5, 5]) {
        await yard.pass(minutes * MINUTE)
        await yard.ops.keeper?.tick()
      }
      await live(yard, 7 * HOUR, HOUR)
      expect(yard.firing()).toEqual([])
      expect(yard.alerts().filter((text) => /oken|ogin|redential/.test(text))).toEqual([])
      expect((await yard.ask(BEN, '/tokens')).text).toMatch(title)
      for (const line of COMMANDS) expect((await yard.ask(ANN, line)).text).not.toContain('Something broke')
      expect(await yard.leaks()).toEqual([])
    },
  )

  it('with CLAUDE_MODE=off is told by each command what is missing', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, {
      ...{ files: () => profilesOf(keyProfile), env: { CLAUDE_MODE: 'off' }, leftMs: 'none' },
    })
    for (const line of ['/usage', '/refresh', '/reauth'])
      expect((await yard.ask(ANN, line)).text).toContain('CLAUDE_MODE')
  })
})

describe.concurrent('what only the operator can know', () => {
  it('a registered setup-token is told of 30 days, 7 days and a day before its end, and each day after', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, { env: { CLAUDE_MODE: 'off' }, leftMs: 'none' })
    const made = new Date(yard.clock.now() - 334 * DAY).toISOString().slice(0, 10)
    expect((await yard.ask(BEN, `/tokens register laptop ${made}`)).text).toContain('laptop ends')
    const endsAt = Date.parse(made) + 365 * DAY
    const about = () => yard.alerts().filter((text) => text.includes('laptop'))
    await live(yard, 10 * MINUTE, 2 * MINUTE)
    expect(about()).toHaveLength(0)
    for (const [daysLeft, told] of [
      [29, 1],
      [20, 1],
      [6.5, 2],
      [0.9, 3],
      [-0.1, 4],
    ] as const) {
      await yard.pass(endsAt - yard.clock.now() - daysLeft * DAY)
      await live(yard, 10 * MINUTE, 2 * MINUTE)
      await until(() => about().length >= told)
      expect(about()).toHaveLength(told)
    }
    // Past the hour of reminders.
    await yard.pass(DAY + 8 * HOUR)
    await until(() => about().length === 5)
    await yard.ask(BEN, '/tokens forget laptop')
    await live(yard, 12 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
  })

  it('the sandboxes’ own login has its own alert and its own button', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, {
      files: () => ({
        '.claude-sandbox/.credentials.json': {
          claudeAiOauth: { accessToken: '', refreshToken: '', expiresAt: 0 },
        },
      }),
    })
    await live(yard, 6 * MINUTE, 2 * MINUTE)
    const told = await yard.shown(OPS, 'the login of the sandboxes')
    expect(labels(told)).toContain('Sign in')
    expect(told.buttons.flat().map(({ data }) => data)).toContain('do:reauth sandbox')
    expect(yard.firing()).toEqual(['credential/sandbox'])
  })

  it('a gateway that is refused while its token is good is told of', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, {
      files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
    })
    const box = yard.engine?.boxes[0]
    if (box) box.log = 'agent failed: HTTP 401 authentication_error\n'.repeat(3)
    await live(yard, 8 * MINUTE, 2 * MINUTE)
    const told = await yard.shown(OPS, 'The model refuses the gateway')
    expect(told.text).toContain('3 refusals (HTTP 401)')
    expect(labels(told)).toEqual(expect.arrayContaining(['Tokens', 'Sign in']))
  })

  it('files of an older version beside a database are one alert, with the button that moves them', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, {
      ...{ gateway: '2026.9.6', env: { CREDENTIAL_SYNC: 'on' } },
      files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
    })
    const before = yard.profile()
    await live(yard, 8 * MINUTE, 2 * MINUTE)
    yard.login(8 * HOUR)
    await live(yard, 8 * MINUTE, 2 * MINUTE)
    expect(yard.profile()).toEqual(before)
    const told = await yard.shown(OPS, 'auth-profiles.json lies beside the database')
    expect(told.text).toContain('/authfix')
    const tokens = await yard.ask(BEN, '/tokens')
    expect(tokens.text).toMatch(/^🔴 Every call of a model fails/)
    expect(labels(tokens)).toContain('Fix')
    expect(await yard.leaks()).toEqual([])
  })
})

describe.concurrent('/reauth', () => {
  const inStep = (after: After, more: object = {}) =>
    createAccessYard(after, {
      leftMs: 3 * MINUTE,
      script: { refresh: 'invalid_grant' },
      files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
      env: { CREDENTIAL_SYNC: 'on' },
      ...more,
    })

  it('from the alert to the proof: signed in, copied, and every alert about it is over', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after)
    await yard.shown(OPS, 'has no login that it can use')
    const page = await yard.ask(ANN, '/reauth')
    const url = page.buttons.flat().find((button) => button.url)?.url ?? ''
    const code = `CodeOfThePageOfTheSignIn0123456789#${new URL(url).searchParams.get('state')}`
    yard.tokens.add(`sk-ant-oat01-x${code.slice(0, 30)}`)
    expect((await yard.ask(ANN, code)).text).toContain('Signed in')
    const access = yard.cli.read().claudeAiOauth.accessToken
    await until(() => yard.profile().access === access)
    await live(yard, 14 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
    expect(yard.alerts()).toHaveLength(2)
    expect((await yard.ask(ANN, '/tokens')).text).toContain('Model access is fine')
    expect(yard.telegram.said(ANN).find(({ text }) => text.includes('CodeOfThePage'))?.deleted).toBe(true)
    expect(await yard.leaks()).toEqual([])
  })

  it('with REAUTH=prompt shows the command and tells of the new login', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await inStep(after, { env: { CREDENTIAL_SYNC: 'on', REAUTH: 'prompt' } })
    await yard.shown(OPS, 'has no login that it can use')
    const page = await yard.ask(ANN, '/reauth')
    expect(page.text).toContain('Run this on the host')
    expect(page.text).toContain('auth login')
    expect(page.buttons.flat().some((button) => button.url)).toBe(false)
    const { accessToken } = yard.login(8 * HOUR)
    await yard.shown(ANN, 'Signed in to Claude')
    await until(() => yard.profile().access === accessToken)
    await live(yard, 14 * MINUTE, 2 * MINUTE)
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })
})
