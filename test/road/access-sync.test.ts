// Copying the CLI's token on the road: a new file, and within moments everybody has it; what breaks on the way, and how it goes on.

import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, vi } from 'vitest'
import { sha256 } from '../../src/ops/docker/index.ts'
import {
  type AccessYard,
  commandLines,
  createAccessYard,
  HOSTILE,
  HOUR,
  MINUTE,
  profileOf,
  profilesOf,
  until,
} from '../claude/yard.ts'
import { GATEWAY } from '../fixtures/docker/engine.ts'
import { type After, ANN, BEN, OPS } from './rig.ts'

Object.assign(process.env, HOSTILE)
// Each is a whole bot with programs of its own: on a busy machine they take their time.
vi.setConfig({ testTimeout: 60_000 })

const ON = { CREDENTIAL_SYNC: 'on' }
const ENV = 'compose/.env'
const envOf = (token: string) => `# ours\nA=1\nANTHROPIC_OAUTH_TOKEN="${token}" # the CLI's\nB=2\n`

/** An older gateway in its container: profile, `.env` and environment all hold the CLI's token. */
const everywhere = (after: After, more: object = {}) =>
  createAccessYard(after, {
    files: ({ access, expiresAt }) => ({
      ...profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
      [ENV]: envOf(access),
    }),
    env: ON,
    ...more,
  })
const live = async (yard: AccessYard) => {
  for (let look = 0; look < 4; look += 1) await yard.pass(2 * MINUTE)
}
const synced = (yard: AccessYard) => yard.audited().filter((line) => line.includes('sync a new token')).length

describe.concurrent('a new token of the CLI', () => {
  it('is in the profile and in .env within moments, proved, and nobody is woken or recreated', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await everywhere(after)
    // The container keeps what it was made with: nobody goes by it, so it is worth no alert.
    const box = yard.engine?.find(GATEWAY)
    if (box) box.environment = { ANTHROPIC_OAUTH_TOKEN: sha256(yard.profile().access) }
    await yard.glance()
    const { accessToken, expiresAt, refreshToken } = yard.login(8 * HOUR)
    await until(() => yard.profile().access === accessToken && yard.read(ENV).includes(accessToken))
    expect(yard.profile()).toMatchObject({ expires: expiresAt, refresh: '' })
    expect(yard.read(ENV)).toBe(envOf(accessToken))
    expect(yard.read(ENV) + JSON.stringify(yard.profile())).not.toContain(refreshToken)
    await until(() => synced(yard) === 1)
    for (let look = 0; look < 4; look += 1) await yard.pass(10 * MINUTE)
    expect(synced(yard)).toBe(1)
    expect(yard.engine?.done).toEqual([])
    expect(yard.alerts()).toEqual([])
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })

  it.for(['2026.2.22', '2026.9.6'] as const)(
    'reaches a gateway %s on this host, by what its version has, and no other file appears',
    async (gateway, { onTestFinished: after, expect }) => {
      const yard = await createAccessYard(after, {
        ...{ gateway, env: ON },
        ...(gateway === '2026.2.22' && {
          files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
        }),
      })
      await yard.glance()
      const { accessToken, expiresAt } = yard.login(8 * HOUR)
      const has = () =>
        gateway === '2026.2.22'
          ? yard.profile().access === accessToken
          : yard.own.pasted.get('anthropic:opsbot')?.hash === sha256(accessToken)
      const processes = await commandLines(until(has))
      for (const token of yard.tokens) expect(processes).not.toContain(token.slice(14, 40))
      await until(() => synced(yard) > 0)
      await yard.glance()
      if (gateway === '2026.9.6') {
        expect(yard.own.pasted.get('anthropic:opsbot')?.expiresAt).toBeGreaterThan(expiresAt - MINUTE)
        expect(readdirSync(join(yard.home, '.openclaw')).sort()).toEqual(['openclaw.json', 'state'])
        expect((await yard.ask(ANN, '/tokens')).text).toContain('Model access is fine')
      }
      // Shortly before its end it is no copy that nothing renews: the CLI does, and then it comes here.
      yard.set({ refresh: 'network' })
      await yard.pass(8 * HOUR - 15 * MINUTE)
      await yard.pass(2 * MINUTE)
      await yard.pass(2 * MINUTE)
      expect(yard.firing()).toEqual([])
      expect(await yard.leaks()).toEqual([])
    },
  )

  it('that only the environment brings to the gateway ends in a recreate by its runbook', async ({
    onTestFinished: after,
    expect,
  }) => {
    let first = ''
    const yard = await createAccessYard(after, {
      files: ({ access }) => {
        first = access
        return { [ENV]: envOf(access) }
      },
      // It is not known to read any file that is not there.
      version: '2026.3.5',
      env: ON,
    })
    const box = yard.engine?.find(GATEWAY)
    if (box) box.environment = { ANTHROPIC_OAUTH_TOKEN: sha256(first) }
    if (yard.engine)
      yard.engine.compose.born = (born) => Object.assign(born, { health: { status: 'healthy' } })
    await yard.glance()
    const { accessToken } = yard.login(8 * HOUR)
    await until(() => yard.engine?.find(GATEWAY).environment.ANTHROPIC_OAUTH_TOKEN === sha256(accessToken))
    await until(() => synced(yard) > 0)
    expect(yard.engine?.done.filter((line) => line.includes('--force-recreate'))).toHaveLength(1)
    expect(await yard.leaks()).toEqual([])
  })
})

describe.concurrent('a copying that is broken', () => {
  it('says what it left, is an alert, and goes on by itself', async ({ onTestFinished: after, expect }) => {
    const yard = await everywhere(after)
    await yard.glance()
    // Where the copy of .env would go, nothing can be written.
    mkdirSync(join(yard.home, `${ENV}.bak`))
    const { accessToken } = yard.login(8 * HOUR)
    await until(() => yard.profile().access === accessToken)
    await until(() => yard.lines.some((line) => line.includes('a sync did not work')))
    expect(yard.read(ENV)).not.toContain(accessToken)
    await yard.glance()
    for (let look = 0; look < 3; look += 1) await yard.pass(2 * MINUTE)
    expect(yard.firing()).toContain('credential/sync')
    rmdirSync(join(yard.home, `${ENV}.bak`))
    for (let look = 0; look < 6 && yard.firing().length > 0; look += 1) {
      await yard.pass(5 * MINUTE)
      await until(() => yard.read(ENV).includes(accessToken))
    }
    await yard.pass(10 * MINUTE)
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })

  it('because somebody still works on the credentials is made up for at once', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await everywhere(after)
    await yard.glance()
    const gate = Promise.withResolvers<void>()
    const deed = { name: 'refresh', detail: 'slowly', danger: 'safe' as const, resource: 'credentials' }
    const { done } = yard.ops.deeds.perform({ ...deed, run: () => gate.promise }, { name: 'Ann' })
    const { accessToken } = yard.login(8 * HOUR)
    await until(() => yard.lines.some((line) => line.includes('a sync did not work')))
    expect(yard.profile().access).not.toBe(accessToken)
    gate.resolve()
    await done
    await until(() => yard.profile().access === accessToken && yard.read(ENV).includes(accessToken))
    await yard.settle()
    await live(yard)
    expect(yard.alerts()).toEqual([])
  })

  it('off in the middle by a restart of the bot goes on at its next start', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAccessYard(after, { gateway: '2026.9.6', env: ON })
    const gate = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    after(() => gate.resolve())
    yard.own.hold.paste = () => {
      entered.resolve()
      return gate.promise
    }
    const { accessToken } = yard.login(8 * HOUR)
    await entered.promise
    await yard.stop()
    yard.own.hold.paste = async () => {}
    const pasted = () => yard.own.pasted.get('anthropic:opsbot')?.hash === sha256(accessToken)
    expect(pasted()).toBe(false)
    await yard.start()
    await yard.glance()
    await until(pasted)
    await yard.glance()
    expect(yard.firing()).toEqual([])
    expect(await yard.leaks()).toEqual([])
  })
})

describe.concurrent('what is never copied', () => {
  it.for<[string, (yard: AccessYard) => void]>([
    ['vanished', (yard) => yard.remove('.claude/.credentials.json')],
    ['emptied', (yard) => yard.cli.write('')],
    ['half-written', (yard) => yard.cli.write('{"claudeAiOauth":{"accessToken":"sk-ant-oat')],
    [
      'blanked',
      (yard) => yard.cli.write(yard.loginOf(HOUR, { accessToken: '', refreshToken: '', expiresAt: 0 })),
    ],
    ['older', (yard) => void yard.login(HOUR)],
    ['ended', (yard) => void yard.login(-HOUR, { refreshToken: '' })],
  ])('a file that is %s', async ([, happen], { onTestFinished: after, expect }) => {
    const yard = await everywhere(after)
    await yard.glance()
    const before = [yard.profile(), yard.read(ENV)]
    happen(yard)
    for (let look = 0; look < 3; look += 1) await yard.pass(2 * MINUTE)
    expect([yard.profile(), yard.read(ENV)]).toEqual(before)
    expect(synced(yard)).toBe(0)
    expect(await yard.leaks()).toEqual([])
  })

  it('anything while it is off; /sync says so with the terms', async ({ onTestFinished: after, expect }) => {
    const yard = await everywhere(after, { env: {} })
    await yard.glance()
    const before = [yard.profile(), yard.read(ENV)]
    yard.login(8 * HOUR)
    for (let look = 0; look < 3; look += 1) await yard.pass(2 * MINUTE)
    expect([yard.profile(), yard.read(ENV)]).toEqual(before)
    expect((await yard.ask(BEN, '/sync')).text).toContain('Sync is off')
    expect(yard.telegram.messages(OPS).map(({ text }) => text)).toEqual([
      expect.stringContaining('Credentials have drifted apart'),
    ])
  })
})
