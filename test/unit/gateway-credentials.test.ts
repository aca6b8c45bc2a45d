// The gateway's model credentials: both shapes of its report, and whom it is asked of.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { Cli } from '../../src/ops/gateway/cli.ts'
import { credentialsIn, type ReportedCredential, readCredentials } from '../../src/ops/gateway/credentials.ts'
import { type Gateway, GatewayError } from '../../src/ops/gateway/index.ts'

const recorded = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/openclaw/${name}.json`), 'utf8'))
const old = recorded('models-status-old')
const newer: Record<string, unknown> = recorded('models-auth-new')
const manual: ReportedCredential = { provider: 'anthropic', profileId: 'anthropic:manual', type: 'token' }

describe('a report', () => {
  it.each<[string, unknown, ReportedCredential[]]>([
    ['of 2026.9.6 with none', newer['no auth'], []],
    ['of 2026.9.6 with a year', newer['token 365d'], [{ ...manual, expiresAt: 1826704539747 }]],
    ['of 2026.9.6 with three hours', newer['token 3h'], [{ ...manual, expiresAt: 1795179353443 }]],
    ['of 2026.9.6 with one that has ended', newer['token expired'], [{ ...manual, expired: true }]],
    ['of 2026.9.6 with one without an end', newer['token without expiry'], [manual]],
    [
      'of 2026.2.22, where a renewable one that ran out is called well',
      old,
      [
        { ...manual, profileId: 'anthropic:default', expiresAt: 1795169417000 },
        { ...manual, profileId: 'anthropic:key', type: 'api_key' },
        { ...manual, profileId: 'anthropic:sub', type: 'oauth', expiresAt: 1795162217000 },
      ],
    ],
    [
      'of 2026.9.6 by its CLI, which alone says who is in cooldown',
      recorded('models-status-new'),
      [
        {
          ...{ ...manual, agent: 'main' },
          unusable: { kind: 'cooldown', reason: 'auth', until: 1795168373567 },
        },
      ],
    ],
    ['without profiles', { providers: [{ provider: 'anthropic', status: 'missing' }] }, []],
    ['of 2026.2.22 without profiles', { auth: { oauth: {} } }, []],
  ])('%s', (_, report, credentials) => expect(credentialsIn(report)).toEqual(credentials))

  it('says no more than what is asked, whatever else is in it', () => {
    const profiles = [
      { profileId: 'a', type: 'token', token: 'sk-ant-oat01-not-to-be-seen', label: 'x=sk-ant-o' },
    ]
    expect(JSON.stringify(credentialsIn({ providers: [{ provider: 'anthropic', profiles }] }))).not.toContain(
      'sk-',
    )
  })

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['a word', 'no'],
    ['another shape', { auth: [] }],
    [
      'an end in words',
      { auth: { oauth: { profiles: [{ profileId: 'a', provider: 'b', type: 'c', expiresAt: 'soon' }] } } },
    ],
  ])('that is %s is none', (_, report) => expect(() => credentialsIn(report)).toThrow())
})

describe('the gateway', () => {
  const call = (answer: unknown) =>
    (async () => {
      if (answer instanceof Error) throw answer
      return answer
    }) as unknown as Gateway['call']
  function createYard(linked: unknown, printed?: unknown) {
    const asked: string[] = []
    const program: Pick<Cli, 'json'> = {
      async json(args) {
        asked.push(args.join(' '))
        if (printed instanceof Error) throw printed
        return printed
      },
    }
    const cli = async () => (printed === undefined ? undefined : (program as Cli))
    return { asked, read: (thorough = false) => readCredentials({ call: call(linked), cli, thorough }) }
  }
  const absent = new GatewayError('This gateway does not know models.authStatus.', 'ABSENT')

  it('that can say it over the line is not asked otherwise', async () => {
    const yard = createYard(newer['token 3h'], old)
    expect(await yard.read()).toHaveLength(1)
    expect(yard.asked).toEqual([])
  })

  it('is asked by its CLI all the same when it is to be thorough', async () => {
    const yard = createYard(newer['token 3h'], recorded('models-status-new'))
    expect(await yard.read(true)).toMatchObject([{ unusable: { kind: 'cooldown' } }])
    expect(yard.asked).toEqual(['models status --json'])
    expect(await createYard(newer['token 3h']).read(true)).toHaveLength(1)
  })

  it('of an older version is asked by its CLI', async () => {
    const yard = createYard(absent, old)
    expect(await yard.read()).toHaveLength(3)
    expect(yard.asked).toEqual(['models status --json'])
  })

  it.each<[string, unknown, unknown, string]>([
    ['that does not run', absent, undefined, absent.message],
    ['whose CLI fails', absent, new OpsError('openclaw models status: no'), 'openclaw models status: no'],
    ['that breaks', new TypeError('broken'), old, 'broken'],
  ])('%s does not say it', async (_, linked, printed, why) => {
    await expect(createYard(linked, printed).read()).rejects.toThrow(why)
  })
})
