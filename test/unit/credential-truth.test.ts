// The truth about credentials: everything at one look, nothing of a token in it, and what was not seen said.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { drift } from '../../src/ops/credentials/drift.ts'
import type { Truth } from '../../src/ops/credentials/index.ts'
import { considered, orders } from '../../src/ops/credentials/resolution.ts'
import { claudeFile, createCredentialYard, fakeToken, ingressToken, lineOf } from './credential-yard.ts'
import { HOUR, T0 } from './help.ts'

const [A, B] = [fakeToken('oat01', 'A'), fakeToken('oat01', 'B')]
const token = (value: string, expires?: number) => ({
  ...{ type: 'token', provider: 'anthropic', token: value },
  ...(expires !== undefined && { expires }),
})

describe('the truth', () => {
  it('has every place in it, and the same token by the same letter', async () => {
    const yard = createCredentialYard({
      claudeFile: async () => claudeFile('A'),
      sandboxFile: async () => claudeFile('S'),
    })
    yard.profiles({ 'anthropic:default': token(A, T0 + 6 * HOUR) })
    yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN="${A}"\n`)
    yard.put('.env', `ANTHROPIC_API_KEY=${fakeToken('api03', 'K')}\n`)
    yard.put('ingress', ingressToken({ exp: (T0 + HOUR) / 1_000 }))
    yard.run({ ANTHROPIC_OAUTH_TOKEN: B })
    const truth = await yard.truth()
    expect(truth.credentials.map(({ id }) => id)).toEqual([
      ...['cli', 'profile/main/anthropic:default', 'container', '.env', 'state/.env/ANTHROPIC_API_KEY'],
      ...['ingress', 'sandbox'],
    ])
    expect(truth).toMatchObject({ store: 'files', unseen: [], at: T0, environmentSeen: true })
    expect(Object.values(truth.groups)).toEqual(['A'])
    expect(lineOf(truth, '.env')).toMatchObject({ kind: 'access token', expiresAt: T0 + 6 * HOUR })
    expect(lineOf(truth, 'container')).not.toHaveProperty('expiresAt')
  })

  it('of nothing is empty', async () => {
    const yard = createCredentialYard()
    expect(await yard.truth()).toEqual({
      ...{ store: 'files', agents: [{ agent: 'main', own: false }], credentials: [], unseen: [] },
      ...{ groups: {}, at: T0, environmentSeen: true },
    })
  })

  it('knows yesterday’s token in a container, and when it ended', async () => {
    let file = claudeFile('B', { expiresAt: T0 - 16 * HOUR })
    const yard = createCredentialYard({ claudeFile: async () => file })
    yard.run({ ANTHROPIC_OAUTH_TOKEN: B })
    await yard.truth()
    file = claudeFile('A')
    expect(lineOf(await yard.truth(), 'container')).toMatchObject({
      ...{ kind: 'access token', expiresAt: T0 - 16 * HOUR },
    })
    expect(Object.keys(yard.kept() ?? {})).toHaveLength(2)
  })

  it('takes profiles of a newer version from its report alone, and names what lies beside the database', async () => {
    const yard = createCredentialYard({
      report: async () => [
        { provider: 'anthropic', profileId: 'anthropic:manual', type: 'token', expiresAt: T0 + HOUR },
      ],
    })
    yard.profiles({ 'anthropic:default': token(A) })
    yard.auth.sqlite = true
    yard.auth.legacy = ['agents/main/agent/auth-profiles.json']
    const truth = await yard.truth()
    expect(truth).toMatchObject({
      store: 'sqlite',
      credentials: [{ id: 'profile/main/anthropic:manual' }],
      legacy: ['agents/main/agent/auth-profiles.json'],
    })
    expect(drift(truth)).toEqual([expect.stringContaining('/authfix')])
  })

  it('has the names that openclaw.json names', async () => {
    const yard = createCredentialYard()
    yard.flat['auth.profiles."anthropic:manual".mode'] = '#0662f806'
    yard.flat['auth.profiles."anthropic:manual".provider'] = '#0662f806'
    yard.flat['auth.profiles.plain.mode'] = '#0662f806'
    yard.flat['auth.order.anthropic.0'] = '#0662f806'
    expect((await yard.truth()).configured).toEqual(['anthropic:manual', 'plain'])
  })

  it.each<[string, number | undefined, true | undefined]>([
    ['was there before', T0 * 2, undefined],
    ['was changed since', 1_000, true],
    ['was changed at some time', undefined, undefined],
  ])(
    'says of a .env in the state directory that %s, seen from the gateway’s start',
    async (_, startedAt, unloaded) => {
      const yard = createCredentialYard({
        gatewayContainer: async () => ({ environment: {}, ...(startedAt !== undefined && { startedAt }) }),
      })
      yard.put('.env', `ANTHROPIC_OAUTH_TOKEN=${A}`)
      const truth = await yard.truth()
      expect(lineOf(truth, 'state/.env')?.unloaded).toBe(unloaded)
      expect(drift(truth)).toEqual(
        unloaded ? [expect.stringMatching(/changed after the gateway was started/)] : [],
      )
    },
  )

  const broken = async () => {
    throw new OpsError('Docker does not answer.')
  }
  const bug = async () => {
    throw new TypeError(`cannot read ${A}`)
  }
  it.each<[string, Parameters<typeof createCredentialYard>[0], string]>([
    ['the CLI', { claudeFile: broken }, 'The login of the Claude CLI was not seen: Docker does not answer.'],
    ['the sandboxes', { sandboxFile: broken }, 'The login of the sandboxes was not seen'],
    ['the container', { gatewayContainer: broken }, 'The container of the gateway was not seen'],
    [
      'a container',
      { gatewayContainer: async () => undefined },
      'The gateway has no container that is known',
    ],
    ['.env', { envPath: broken }, '.env was not seen: Docker does not answer.'],
    ['the directory', { stateDir: broken }, 'The state directory of the gateway was not seen'],
    ['its reason', { stateDir: async () => ({ state: 'unseen', why: 'No way in.' }) }, 'No way in.'],
    ['anything, by a bug', { claudeFile: bug }, 'was not seen: of a fault in the bot (TypeError).'],
    [
      'the report',
      { stateDir: async () => ({ state: 'unseen', why: 'No.' }), report: broken },
      'What credentials the gateway has was not seen: Docker does not answer.',
    ],
    [
      'what hangs',
      { claudeFile: () => new Promise(() => {}), timeoutMs: 20 },
      'The login of the Claude CLI was not seen: it did not answer within 0.02 s.',
    ],
  ])('without %s says so, and has the rest', async (_, options, why) => {
    const yard = createCredentialYard(options)
    yard.put('ingress', ingressToken({ exp: T0 / 1_000 }))
    const truth = await yard.truth()
    expect(truth.unseen.join('\n')).toContain(why)
    expect(truth.unseen.join('\n')).not.toContain(A)
    expect(lineOf(truth, 'ingress')).toBeDefined()
  })

  it('asks once for two who want it at once, and again for the next', async () => {
    let asked = 0
    const yard = createCredentialYard({
      async claudeFile() {
        asked += 1
        return undefined
      },
    })
    await Promise.all([yard.truth(), yard.truth()])
    expect(asked).toBe(1)
    await yard.truth()
    expect(asked).toBe(2)
  })
})

it('no token, no e-mail and no organisation is ever in the truth, its drift or its order', async () => {
  const secret = fc.stringMatching(/^[A-Za-z0-9_-]{24,60}$/)
  const kinds = fc.constantFrom(
    'sk-ant-oat01-',
    'sk-ant-ort01-',
    'sk-ant-api03-',
    'sk-ant-si-',
    '',
    'Bearer ',
  )
  const tail = fc.constantFrom('', '#state', '\n', ' ', '.x.y')
  const tokens = fc.tuple(kinds, secret, tail).map(([kind, body, end]) => kind + body + end)
  const holder = fc.constantFrom('access', 'refresh', 'token', 'key', 'email', 'expires', 'provider', 'type')
  const profile = fc.record({
    type: fc.constantFrom('oauth', 'token', 'api_key', 'magic'),
    provider: fc.constantFrom('anthropic', 'openai'),
    fields: fc.dictionary(holder, tokens, { maxKeys: 4 }),
  })
  const secrets = new Set<string>()
  const note = (value: string) => {
    const [body] = /[A-Za-z0-9_-]{24,}/.exec(value.replace(/^sk-ant-[a-z0-9]+-/, '')) ?? []
    if (body) secrets.add(body)
    return value
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.oneof(fc.constant('anthropic:default'), tokens), profile), { maxLength: 4 }),
      fc.array(tokens, { minLength: 3, maxLength: 3 }),
      // What is half is read four times over, and that takes time.
      fc.nat(9).map((chance) => chance === 0),
      async (profiles, [env = '', state = '', ingress = ''], half) => {
        secrets.clear()
        const yard = createCredentialYard({ claudeFile: async () => claudeFile('A') })
        const entries = profiles.map(([name, { fields, ...rest }]) => {
          for (const value of Object.values(fields)) note(value)
          const from = { ...rest, ...fields, email: 'some.body@mail.example', organization: 'Some Body Ltd' }
          return [note(name), from] as const
        })
        const store = JSON.stringify({
          profiles: Object.fromEntries(entries),
          order: { anthropic: entries.map(([name]) => name) },
          usageStats: Object.fromEntries(entries.map(([name]) => [name, { disabledReason: note(env) }])),
        })
        yard.put('agents/main/agent/auth-profiles.json', half ? store.slice(0, -20) : store)
        yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${note(env)}\nANTHROPIC_API_KEY="${note(state)}"\n`)
        yard.put('.env', `ANTHROPIC_OAUTH_TOKEN='${note(state)}'`)
        yard.put('ingress', note(ingress))
        yard.run({ ANTHROPIC_OAUTH_TOKEN: env, ANTHROPIC_API_KEY: ingress })
        const truth = await yard.truth()
        const told = JSON.stringify([truth, drift(truth), orders(truth, T0), yard.kept()])
        for (const each of secrets) expect(told).not.toContain(each)
        expect(told).not.toMatch(/sk-ant-|mail\.example|Some Body/)
      },
    ),
    { numRuns: 60 },
  )
})

describe('what has drifted apart', () => {
  const cli = { claudeFile: async () => claudeFile('A') }
  const old = claudeFile('B', { expiresAt: T0 - HOUR })
  type Yard = ReturnType<typeof createCredentialYard>
  it.each<[string, (yard: Yard) => void, (string | RegExp)[]]>([
    [
      'is nothing where all have one',
      (yard) => yard.profiles({ 'anthropic:default': token(A, T0 + 6 * HOUR) }),
      [],
    ],
    [
      'is a container that was made with another one',
      (yard) => {
        yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${A}`)
        yard.run({ ANTHROPIC_OAUTH_TOKEN: fakeToken('oat01', 'X') })
      },
      ['The container runs another ANTHROPIC_OAUTH_TOKEN than .env has (A): /recreate loads it.'],
    ],
    [
      'is a container by its letter, where others have the same',
      (yard) => {
        yard.profiles({ 'anthropic:default': token(B, T0 + 7 * HOUR) })
        yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${A}`)
        yard.run({ ANTHROPIC_OAUTH_TOKEN: B })
      },
      ['The container runs B, .env has A: /recreate loads it.'],
    ],
    [
      'is a container that was made without',
      (yard) => yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${A}`),
      [/^\.env has ANTHROPIC_OAUTH_TOKEN and the container has not/],
    ],
    [
      'is nothing in a container that nobody saw',
      (yard) => {
        yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${A}`)
        yard.run(undefined)
      },
      [],
    ],
    [
      'is an older copy',
      (yard) => yard.profiles({ 'anthropic:default': token(B, T0 - HOUR) }),
      ["Agent main has an older copy of the Claude CLI's token (anthropic:default): /sync renews it."],
    ],
    [
      'is an older copy that is not from .env, which nobody copies to',
      (yard) => {
        yard.profiles({
          'anthropic:default': token(A, T0 + 6 * HOUR),
          'anthropic:other': token(B, T0 - HOUR),
        })
        yard.run({ ANTHROPIC_OAUTH_TOKEN: B })
      },
      [/anthropic:other/, /^The container runs an older copy .* not from \.env: .* then \/recreate\.$/],
    ],
    [
      'is an older copy once, where the container has it from .env',
      (yard) => {
        yard.profiles({ 'anthropic:other': token(B, T0 - HOUR) })
        yard.put('compose/.env', `ANTHROPIC_OAUTH_TOKEN=${A}`)
        yard.run({ ANTHROPIC_OAUTH_TOKEN: B })
      },
      ['The container runs B, .env has A: /recreate loads it.', /anthropic:other/],
    ],
    ['is no setup-token', (yard) => yard.profiles({ 'anthropic:default': token(B) }), []],
    [
      'is no login of its own',
      (yard) =>
        yard.profiles({
          'anthropic:own': {
            ...{ type: 'oauth', provider: 'anthropic', access: B, expires: T0 - HOUR },
            refresh: fakeToken('ort01', 'B'),
          },
        }),
      [],
    ],
    [
      'is a refresh token in two places',
      (yard) =>
        yard.profiles({
          'anthropic:copy': {
            ...{ type: 'oauth', provider: 'anthropic', access: A, expires: T0 + HOUR },
            refresh: fakeToken('ort01', 'A'),
          },
        }),
      [/own refresh token \(anthropic:copy\)/],
    ],
  ])('%s', async (_, arrange, sentences) => {
    const yard = createCredentialYard(cli)
    arrange(yard)
    expect(drift(await yard.truth())).toEqual(
      sentences.map((each) => (typeof each === 'string' ? each : expect.stringMatching(each))),
    )
  })

  it('is no older copy while the CLI itself has nothing good', async () => {
    const yard = createCredentialYard({ claudeFile: async () => old })
    yard.profiles({ 'anthropic:default': token(A, T0 - 2 * HOUR) })
    expect(drift(await yard.truth())).toEqual([])
  })
})

it('the order of an agent is that of its own store', async () => {
  const yard = createCredentialYard()
  yard.profiles({ 'anthropic:default': token(A) })
  yard.profiles({ 'anthropic:work': token(B) }, {}, 'desk')
  const truth: Truth = await yard.truth()
  expect(orders(truth, T0).map(({ agent }) => agent)).toEqual(['main', 'desk'])
  expect(considered(truth, 'desk', T0).map(({ id }) => id)).toEqual([
    'profile/desk/anthropic:work',
    'profile/main/anthropic:default',
  ])
})
