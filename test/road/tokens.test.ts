// Model access on the road: /tokens and its buttons, the dates of setup-tokens, and what mends it, each by whom it may.

import { describe, it } from 'vitest'
import { credentialCommands } from '../../src/bot/commands/credentials.ts'
import { listCommands } from '../../src/bot/commands/index.ts'
import { tokenCommands } from '../../src/bot/commands/tokens.ts'
import { TERMS } from '../../src/bot/terms.ts'
import type { Claude } from '../../src/ops/claude/index.ts'
import type { Credential, Truth } from '../../src/ops/credentials/index.ts'
import type { Registered } from '../../src/ops/credentials/register.ts'
import { stageOf } from '../../src/ops/credentials/stages.ts'
import type { Runbook } from '../../src/ops/runbooks/index.ts'
import { type After, BEN, bytesOf, createRig, type Rig, VIC } from './rig.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const HASH = 'aaaaaaaaaaaaaaaa'
const KEY: Credential = {
  ...{ id: 'container/ANTHROPIC_API_KEY', kind: 'api key', provider: 'anthropic', hash: 'bbbbbbbbbbbbbbbb' },
  where: 'the running container, ANTHROPIC_API_KEY',
}
const COPY: Credential = {
  ...{ id: 'profile/main/anthropic:default', kind: 'access token', provider: 'anthropic', hash: HASH },
  ...{ where: 'profile anthropic:default of agent main', agent: 'main', profile: 'anthropic:default' },
}

interface Deployment {
  store?: Truth['store']
  sync?: boolean
  /** Time left of the Claude CLI's token. Milliseconds. */
  leftMs?: number
  credentials?: Credential[]
}

/** The whole bot over a deployment of plain objects, whose runbooks only note that they ran. */
async function createYard(after: After, deployment: Deployment = {}) {
  const world = {
    store: 'files' as const,
    sync: false,
    leftMs: 6 * HOUR + 30_000,
    credentials: [COPY],
    ...deployment,
  }
  const done: string[] = []
  const registered: Registered[] = []
  const bookOf = <C>(name: string, context: C, isBlocked = () => false): Runbook<unknown, C> => ({
    ...{ name, danger: 'disruptive', resource: 'credentials' },
    plan: async () => ({
      target: 'model access',
      findings: isBlocked()
        ? [{ level: 'block', text: 'it is fresh' }]
        : [{ level: 'ok', text: 'profile anthropic:default gets it' }],
      ...{ commands: [], basis: 'one', context },
    }),
    steps: [{ name: 'files', run: async () => void done.push(name) as undefined }],
    found: async () => 'Nothing was written.',
  })
  const rig = await createRig({
    after,
    commands(parts) {
      const { ops, clock } = parts
      const end = () => ({ expiresAt: ops.now() + world.leftMs })
      const cli = (): Credential => ({
        ...{
          id: 'cli',
          kind: 'login',
          provider: 'anthropic',
          where: 'the login of the Claude CLI',
          hash: HASH,
        },
        ...{ ...end(), renewedBy: 'the Claude CLI' },
      })
      const truth = async (): Promise<Truth> => ({
        ...{ store: world.store, unseen: [], groups: { [HASH]: 'A' }, at: ops.now() },
        credentials: [
          cli(),
          ...world.credentials.map((each) => ({ ...each, ...(each.hash === HASH && end()) })),
        ],
      })
      const windows = [{ name: 'Current session', percent: 42, resetsAt: ops.now() + HOUR }]
      const access = {
        claude: { usage: async () => ({ windows, at: ops.now() }) } as Partial<Claude> as Claude,
        ...{ truth, config: { ...ops.config.claude, mode: 'host' as const, sync: world.sync } },
        order: ({ credentials }: Truth) => [
          {
            agent: 'main',
            considered: credentials.slice(1).map(({ id, where }, index) => ({
              ...{ id, where, verdict: index === 0 ? ('wins' as const) : ('loses' as const) },
              why: index === 0 ? 'It is the first.' : 'Another one comes first.',
            })),
          },
        ],
      }
      const context = { before: ops.now() + world.leftMs, renewsAt: ops.now() + world.leftMs - 4 * MINUTE }
      const mine = [
        ...tokenCommands(
          {
            ...{ access, keeper: undefined, deeds: ops.deeds, drift: () => [] },
            stageOf: (each, now, seen) => stageOf(each, now, { truth: seen }),
            register: {
              list: () => registered,
              add: (name, kind, createdAt) => void registered.push({ name, kind, createdAt }),
              remove: () => void registered.pop(),
            },
          },
          clock,
        ),
        ...credentialCommands(
          {
            ...{ access, runbooks: ops.runbooks },
            refresh: bookOf('refresh', context, () => world.leftMs > 5 * MINUTE),
            ...{ sync: bookOf('sync', {}), authfix: bookOf('authfix', {}), migrate: bookOf('migrate', {}) },
          },
          clock,
        ),
      ]
      const names = mine.map(({ name }) => name)
      return [...listCommands(parts).filter(({ name }) => !names.includes(name)), ...mine]
    },
  })
  return Object.assign(rig, { world, done, registered })
}

const find = (rig: Rig, chat: number, text: string | RegExp) =>
  rig.telegram.waitFor((fake) => fake.messages(chat).findLast((message) => message.text.match(text)))
const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)

describe.concurrent('/tokens', () => {
  it('is one message for whoever may see, and Refresh shows it anew in its place', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after)
    const card = await yard.ask(VIC, '/tokens')
    expect(card.text).toMatch(/^✅ Model access is fine until /)
    expect(card.text).toContain('profile anthropic:default of agent main (access token, A, wins): 6 h left')
    expect(card.text).toContain('A is one token in: the login of the Claude CLI; profile anthropic:default')
    expect(card.text).not.toContain(HASH)
    expect(labels(card)).toEqual(['Refresh', 'Why'])
    yard.world.leftMs = 2 * MINUTE + 30_000
    await yard.press(VIC, 'Refresh')
    const shown = await find(yard, VIC, /Model access is at risk/)
    expect(shown.id).toBe(card.id)
    expect(labels(shown)).toEqual(['Refresh the token', 'Refresh', 'Why'])
  })

  it('offers what mends it to all, and does it for operators alone', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, { leftMs: 2 * MINUTE })
    await yard.ask(VIC, '/tokens')
    expect(await yard.press(VIC, 'Refresh the token')).toContain('/refresh is for the role operator')
    expect(yard.done).toEqual([])
    await yard.ask(BEN, '/tokens')
    expect(await yard.press(BEN, 'Refresh the token')).toContain('refresh of model access has begun.')
    await find(yard, BEN, 'refresh model access: done')
    expect(yard.done).toEqual(['refresh'])
    expect(yard.audited()).toContain(`Ben (${BEN}): refresh model access`)
  })

  it('of very many credentials keeps Telegram’s limits', async ({ onTestFinished: after, expect }) => {
    const credentials = Array.from(
      { length: 300 },
      (_, index): Credential => ({
        ...KEY,
        ...{ id: `profile/a${index}/x`, where: `profile <b>&</b>${'x'.repeat(300)} of agent a${index}` },
      }),
    )
    const yard = await createYard(after, { credentials })
    const { text } = await yard.ask(VIC, '/tokens')
    expect(text).toContain('The whole answer is in the file.')
  })

  it('is the same on the console', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after)
    const terminal = await yard.dial()
    expect((await terminal.line('/tokens')).output).toContain('Model access is fine')
    terminal.close()
  })
})

describe.concurrent('/tokens register', () => {
  it('is a deed, shown in /tokens and taken back by /tokens forget', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after)
    expect((await yard.ask(BEN, '/tokens register laptop today')).text).toContain('in 365 d')
    expect(yard.audited()).toContain(`Ben (${BEN}): tokens register laptop today`)
    expect((await yard.ask(VIC, '/tokens')).text).toContain('registered as laptop (setup-token)')
    expect((await yard.ask(BEN, '/tokens forget laptop')).text).toContain('laptop is forgotten')
    expect(yard.registered).toEqual([])
  })

  it('is not for viewers, and wants a date', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after)
    expect((await yard.ask(VIC, '/tokens register laptop today')).text).toContain('is for the role operator')
    const { text } = await yard.ask(BEN, '/tokens register laptop soon')
    expect(text).toContain('must be a date such as 2026-01-31, or today')
    expect(yard.registered).toEqual([])
  })

  it('turns a token down, which is kept nowhere', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after)
    const token = ['sk-ant', 'oat01', 'x'.repeat(20)].join('-')
    await yard.ask(BEN, `/tokens register ${token} today`)
    await yard.stop()
    expect(yard.registered).toEqual([])
    expect(bytesOf(yard.directory)).not.toContain('x'.repeat(20))
    expect(yard.lines.join('\n')).not.toContain('x'.repeat(20))
    for (const { text } of yard.telegram.messages(BEN)) expect(text).not.toContain('x'.repeat(20))
  })
})

describe.concurrent('what explains', () => {
  it('/whyauth goes through the order, /usage shows the limits', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, { credentials: [COPY, KEY] })
    const { text } = await yard.ask(VIC, '/whyauth main')
    expect(text).toContain('✅ profile anthropic:default of agent main wins for main')
    expect(text).toContain('It goes out as Authorization: Bearer')
    expect(text).toContain(
      '2. loses the running container, ANTHROPIC_API_KEY, api key: Another one comes first',
    )
    expect((await yard.ask(VIC, '/whyauth play')).text).toContain(
      'No agent "play" was seen. There are: main.',
    )
    expect((await yard.ask(VIC, '/usage')).text).toContain('✅ Current session 42 %, resets ')
  })
})

describe.concurrent('what mends', () => {
  it('/refresh of a fresh token starts nothing', async ({ onTestFinished: after, expect }) => {
    const yard = await createYard(after)
    expect((await yard.ask(BEN, '/refresh')).text).toMatch(/^✅ Fresh until .+, renews itself at .+ UTC\.$/)
    expect(yard.done).toEqual([])
    expect(yard.audited()).toEqual([])
  })

  it('/sync that is off shows the terms, and nothing to confirm', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after)
    for (const line of ['/sync', '/sync --plan']) {
      const { text, buttons } = await yard.ask(BEN, line)
      expect(text).toContain('Sync is off: CREDENTIAL_SYNC is off.')
      expect(text).toContain(TERMS.sync)
      expect(buttons.flat()).toEqual([])
    }
    expect(yard.done).toEqual([])
  })

  it('/sync that is on shows its plan and runs on the second tap', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, { sync: true })
    const plan = await yard.ask(BEN, '/sync')
    expect(plan.text).toContain('profile anthropic:default gets it')
    expect(plan.text).toContain(TERMS.sync)
    expect(yard.done).toEqual([])
    await yard.press(BEN, 'Do it')
    await find(yard, BEN, 'sync model access: done')
    expect(yard.done).toEqual(['sync'])
  })

  it.for([
    ['files', 'authfix'],
    ['sqlite', 'migrate'],
  ] as const)(
    '/authfix on a store of %s runs %s',
    async ([store, name], { onTestFinished: after, expect }) => {
      const yard = await createYard(after, { store })
      expect((await yard.ask(BEN, '/authfix')).text).toContain(`${name} model access?`)
      await yard.press(BEN, 'Do it')
      await find(yard, BEN, `${name} model access: done`)
      expect(yard.done).toEqual([name])
    },
  )
})
