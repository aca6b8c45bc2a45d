// The checks of credentials: what each look says of the Claude CLI's login, of every copy, and of a gateway that is refused.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { type AlertMemory, defaultPolicy, step } from '../../src/ops/alerts/step.ts'
import { type CredentialCheckOptions, credentialChecks } from '../../src/ops/checks/credentials.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import type { ClaudeFile } from '../../src/ops/claude/index.ts'
import { drift } from '../../src/ops/credentials/drift.ts'
import { type Failure, stateOf } from '../../src/ops/credentials/due.ts'
import type { Credential, Truth } from '../../src/ops/credentials/index.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const DAY = 24 * HOUR

const cli: Credential = {
  ...{ id: 'cli', kind: 'login', provider: 'anthropic', where: 'the Claude CLI on this host' },
  ...{ hash: 'hash-1', refreshHash: 'refresh-1', expiresAt: T0 + 6 * HOUR, renewedBy: 'the Claude CLI' },
}
const profile: Credential = {
  ...{ id: 'profile/main/anthropic:default', kind: 'access token', provider: 'anthropic', agent: 'main' },
  ...{ where: 'agent main, anthropic:default', hash: 'hash-1', expiresAt: T0 + 6 * HOUR },
}
const key: Credential = {
  ...{ id: '.env', kind: 'api key', provider: 'anthropic', where: '.env, ANTHROPIC_API_KEY', hash: 'hash-9' },
}
const good: ClaudeFile = {
  ...{ state: 'ok', path: '/home/ann/.claude/.credentials.json' },
  ...{ hash: 'hash-1', refreshHash: 'refresh-1', expiresAt: T0 + 6 * HOUR },
}
const failed = (kind: Failure['kind'], more: Partial<Failure> = {}): Failure => ({
  ...{ at: T0 - 3 * MINUTE, kind, why: `It is ${kind}.`, of: stateOf(good) },
  ...more,
})

/** A deployment that is well, to be made worse. */
function createHouse(credentials: Credential[] = [cli, profile]) {
  const house = {
    at: T0,
    file: good,
    failures: [] as Failure[],
    refused: undefined as string | undefined,
    renewedAt: undefined as number | undefined,
    had: true,
    credentials,
    unseen: [] as string[],
    wins: undefined as string | undefined,
    registered: [] as { name: string; createdAt: number }[],
    log: '' as string | undefined | Error,
    logSince: [] as number[],
    ready: true,
    saw: [] as ClaudeFile[],
  }
  const truth = (): Truth => ({
    ...{ store: 'files', credentials: house.credentials, unseen: house.unseen, groups: {}, at: house.at },
  })
  const options: CredentialCheckOptions = {
    truth: async () => truth(),
    order: () =>
      house.wins
        ? [{ agent: 'main', considered: [{ id: house.wins, where: '', verdict: 'wins', why: '' }] }]
        : [],
    drift,
    cli: {
      claude: { where: 'on this host', file: async () => house.file },
      keeper: {
        saw: (file) => void house.saw.push(file),
        due: () => undefined,
        state: () => ({
          ...{ failures: house.failures, had: house.had },
          ...(house.refused && { refused: house.refused }),
          ...(house.renewedAt && { renewed: { at: house.renewedAt, after: 0 } }),
        }),
      },
    },
    registered: () => house.registered,
    async gatewayLog(since) {
      house.logSince.push(since)
      if (house.log instanceof Error) throw house.log
      return house.log
    },
    standing: () => ({ state: house.ready ? 'ready' : 'not ready', why: '' }),
    ...{ sync: true, now: () => house.at },
  }
  const wire = (changed: Partial<CredentialCheckOptions> = {}) => {
    const [all, refusals] = credentialChecks({ ...options, ...changed })
    const { signal } = new AbortController()
    return {
      look: async () => (await all?.look(signal)) ?? [],
      refusals: async () => (await refusals?.look(signal))?.[0] ?? expect.fail(),
    }
  }
  return { house, wire, ...wire() }
}

/** `credential/cli warn refresh overdue < credential/cli/refresh`, of what is not well. */
const short = ({ key, verdict, stage, because, daily, proof }: Observation) =>
  [key.replace('credential/', ''), verdict, stage, proof && '!', daily && 'daily', because && `< ${because}`]
    .filter(Boolean)
    .join(' ')
const ills = (seen: readonly Observation[]) => seen.filter(({ verdict }) => verdict !== 'ok').map(short)

describe('a deployment that is well', () => {
  it('has an observation for everything, all of them good', async () => {
    const { look, refusals, house } = createHouse([cli, profile, key])
    const seen = await look()
    expect(seen.map(({ key, verdict }) => `${key} ${verdict}`)).toEqual([
      'credential/cli/file ok',
      'credential/cli/refresh ok',
      'credential/sync ok',
      'credential/cli ok',
      'credential/drift ok',
      'credential/profile/main/anthropic:default ok',
      'credential/.env ok',
      'credential/unseen ok',
    ])
    expect((await refusals()).verdict).toBe('ok')
    expect(house.saw).toEqual([good])
  })

  it('with CLAUDE_MODE=off only what there is is watched', async () => {
    const { wire } = createHouse([key])
    expect((await wire({ cli: undefined }).look()).map((each) => each.key)).toEqual([
      ...['credential/drift', 'credential/.env', 'credential/unseen'],
    ])
  })
})

describe('the file of the Claude CLI', () => {
  it.each<[string, Partial<ClaudeFile>, boolean, string]>([
    ['that was never there', { state: 'missing' }, false, 'cli/file bad missing daily'],
    ['that was there and vanished', { state: 'missing' }, true, 'cli/file bad vanished daily'],
    ['that is empty has to stay so', { state: 'empty' }, true, 'cli/file bad empty daily'],
    ['that is no JSON has to stay so', { state: 'unparsable' }, true, 'cli/file bad unparsable daily'],
    ['that the CLI blanked is certain', { state: 'blanked' }, true, 'cli/file bad needs re-auth ! daily'],
    ['that may not be read is no sign-in', { state: 'unreadable' }, true, 'cli/file bad unreadable'],
  ])('%s', async (_, change, had, expected) => {
    const { house, look } = createHouse([])
    Object.assign(house, { file: { ...good, ...change }, had })
    expect(ills(await look())).toEqual([expected, 'cli/refresh unknown < credential/cli/file'])
  })

  it('when it is blanked explains what follows from it', async () => {
    const { house, look } = createHouse([
      { ...cli, fault: 'blanked', why: 'The CLI emptied it.' },
      { ...profile, expiresAt: T0 - MINUTE },
      { ...key, expiresAt: T0 - MINUTE, kind: 'setup-token' },
    ])
    house.file = { ...good, state: 'blanked' }
    expect(ills(await look())).toEqual([
      'cli/file bad needs re-auth ! daily',
      'cli/refresh unknown < credential/cli/file',
      'cli bad blanked daily < credential/cli/file',
      'profile/main/anthropic:default bad expired ! < credential/cli/file',
      '.env bad ended ! daily',
    ])
  })
})

describe('the refreshes', () => {
  it.each<[Failure['kind'], Partial<Failure>, string]>([
    ['needs re-auth', {}, 'cli/refresh bad needs re-auth ! daily'],
    ['account', {}, 'cli/refresh bad account !'],
    ['usage limit', { until: T0 + HOUR }, 'cli/refresh warn usage limit'],
    ['network', {}, 'cli/refresh bad failing'],
    ['transient', {}, 'cli/refresh bad failing'],
    ['transient', { silent: true }, 'cli/refresh bad unmoved'],
  ])('that fail with "%s" %j are told by their class', async (kind, more, expected) => {
    const { house, look } = createHouse([cli])
    house.failures = [failed(kind, more)]
    expect(ills(await look())).toEqual([expected])
  })

  it('say the class, the reason, how often and since when, and when the token ends', async () => {
    const { house, look } = createHouse([cli])
    house.failures = [
      failed('network', { at: T0 - 10 * MINUTE }),
      failed('usage limit', { until: T0 + HOUR }),
    ]
    const refresh = (await look()).find((each) => each.key === 'credential/cli/refresh')
    expect(refresh?.why).toBe(
      'usage limit (for another 1 h): It is usage limit. 2 failures since 10 min ago; the token ends in 6 h.',
    )
    expect(refresh?.actions?.map(({ run }) => run)).toEqual(['tokens'])
  })

  it('that end without a word between others take nothing from what those said', async () => {
    const { house, look } = createHouse()
    house.failures = [failed('network'), failed('transient', { silent: true })]
    const refresh = (await look()).find(({ key }) => key === 'credential/cli/refresh')
    expect(refresh).toMatchObject({ stage: 'failing', why: expect.stringContaining('It is network.') })
  })

  it('that fail explain an overdue token; one that was not begun says why', async () => {
    const { house, look } = createHouse([{ ...cli, expiresAt: T0 + MINUTE }])
    house.file = { ...good, expiresAt: T0 + MINUTE }
    house.failures = [failed('network')]
    expect(ills(await look())).toEqual([
      'cli/refresh bad failing',
      'cli warn refresh overdue ! < credential/cli/refresh',
    ])
    Object.assign(house, { failures: [], refused: 'Changes are frozen by Ann.' })
    const [overdue] = (await look()).filter(({ verdict }) => verdict === 'warn')
    expect(overdue?.why).toBe(
      'It ends in 1 min: the Claude CLI has not renewed it yet. It was not begun: Changes are frozen by Ann.',
    )
    expect(overdue?.actions?.map(({ run }) => run)).toEqual(['refresh', 'reauth', 'tokens'])
  })
})

describe('a credential', () => {
  it.each<[string, Partial<Credential>, string[]]>([
    ['whose login ends soon', { loginEndsAt: T0 + DAY }, ['cli/login warn 1 d !']],
    ['whose login has ended', { loginEndsAt: T0 - DAY }, ['cli/login bad ended ! daily']],
  ])('%s', async (_, change, expected) => {
    const { look } = createHouse([{ ...cli, ...change }])
    expect(ills(await look())).toEqual(expected)
  })

  it('whose login has ended is the cause of the rest, and told first', async () => {
    const { look } = createHouse([
      { ...cli, loginEndsAt: T0 - DAY, expiresAt: T0 - HOUR },
      { ...profile, expiresAt: T0 - HOUR },
    ])
    expect(ills(await look())).toEqual([
      'cli/login bad ended ! daily',
      'cli bad expired < credential/cli/login',
      'profile/main/anthropic:default bad expired ! < credential/cli/login',
    ])
  })

  it('that the gateway uses is urgent, one that it does not is not', async () => {
    const ended = { ...key, kind: 'setup-token' as const, expiresAt: T0 - HOUR }
    const { house, look } = createHouse([cli, ended, profile])
    house.wins = '.env'
    expect(ills(await look())).toEqual(['.env bad ended ! daily'])
    house.wins = profile.id
    expect(ills(await look())).toEqual(['.env warn ended !'])
  })

  it('that is an older copy is told as drift while it lasts, and by itself once the gateway is left without', async () => {
    const old = { ...profile, hash: 'hash-0', expiresAt: T0 + HOUR }
    const { house, look } = createHouse([cli, old])
    expect(ills(await look())).toEqual([
      'drift warn',
      'profile/main/anthropic:default warn stale copy < credential/drift',
    ])
    house.at = T0 + 2 * HOUR
    expect(ills(await look())).toEqual(['drift warn', 'profile/main/anthropic:default bad stale copy'])
  })

  it('that has ended is certain once the keeper has tried, and waits a moment before that', async () => {
    const { house, look } = createHouse([{ ...cli, expiresAt: T0 - MINUTE }])
    expect(ills(await look())).toEqual(['cli bad expired'])
    house.failures = [failed('network')]
    expect(ills(await look())).toContain('cli bad expired ! < credential/cli/refresh')
  })

  it('that is the Claude CLI’s very token goes with it, and is explained by it', async () => {
    const { house, look } = createHouse([{ ...cli, expiresAt: T0 + MINUTE }, profile])
    house.refused = 'Changes are frozen by Ann.'
    expect(ills(await look())).toEqual([
      'cli warn refresh overdue !',
      'profile/main/anthropic:default warn refresh overdue ! < credential/cli',
    ])
  })

  it('in a cooldown is told with its end and its reason', async () => {
    const { look } = createHouse([
      cli,
      { ...profile, unusable: { kind: 'cooldown', reason: 'auth', until: T0 + 5 * MINUTE } },
    ])
    const [seen] = (await look()).filter(({ verdict }) => verdict === 'warn')
    expect(seen).toMatchObject({
      ...{ stage: 'cooldown', title: 'Credential in trouble: agent main, anthropic:default' },
      why: 'The gateway leaves it out for another 5 min, because of auth.',
    })
    expect(seen?.proof).toBeUndefined()
  })

  it('with a fault has the button that mends it', async () => {
    const { look } = createHouse([{ ...profile, fault: 'wrong field', why: '`key` where `access` belongs.' }])
    const [seen] = (await look()).filter(({ verdict }) => verdict === 'bad')
    expect(seen).toMatchObject({ stage: 'wrong field', why: '`key` where `access` belongs.' })
    expect(seen?.actions?.map(({ run }) => run)).toEqual(['authfix', 'tokens'])
    expect(seen?.proof).toBeUndefined()
  })

  it('that was registered has the stages of its year, also one that nobody else knows', async () => {
    const { house, look } = createHouse([{ ...key, kind: 'setup-token' }])
    house.registered = [
      { name: '.env', createdAt: T0 - 360 * DAY },
      { name: 'laptop', createdAt: T0 - 366 * DAY },
    ]
    expect(ills(await look())).toEqual(['.env warn 7 d !', 'registered/laptop bad ended ! daily'])
  })

  it('that was seen to last long is warned about by days until its end', async () => {
    const pasted = { ...profile, hash: 'hash-7', expiresAt: T0 + 40 * DAY }
    const { house, look } = createHouse([pasted])
    await look()
    house.at = pasted.expiresAt - 11 * HOUR
    house.file = { ...good, expiresAt: house.at + 6 * HOUR }
    expect(ills(await look())).toEqual(['profile/main/anthropic:default warn 1 d !'])
  })
})

describe('what cannot be seen', () => {
  it('keeps its alert, and is one itself while the gateway is up', async () => {
    const { house, look } = createHouse([cli, profile])
    await look()
    Object.assign(house, { credentials: [cli], unseen: ['The files of the gateway hold: no right to read.'] })
    expect(ills(await look())).toEqual(['unseen warn', 'profile/main/anthropic:default unknown'])
    house.ready = false
    expect(ills(await look())).toEqual(['unseen unknown', 'profile/main/anthropic:default unknown'])
  })

  it('and what is gone while all is seen is gone', async () => {
    const { house, look } = createHouse([cli, profile])
    await look()
    house.credentials = [cli]
    expect((await look()).some(({ key }) => key.includes('profile'))).toBe(false)
  })
})

describe('a gateway that the model refuses', () => {
  const refusal =
    '2026-11-20T11:51:07.941+00:00 [agent/embedded] embedded run agent end: isError=true error=request failed (authentication failed, HTTP 401). rawError=401: {"error":{"type":"authentication_error"}}'

  it.each([
    ['says so in its log', `all fine\n${refusal}\n${refusal}\n`, 'gateway bad'],
    ['older ones in other words', 'HTTP 401 authentication_error: OAuth token has expired.', 'gateway bad'],
    ['port 401 and a session of 4012 are none', 'listening on 401\nsession HTTP 4012', 'gateway ok'],
    ['an empty log says nothing', '', 'gateway ok'],
    ['a log that is not there is not seen', undefined, 'gateway unknown'],
    ['nor is one that cannot be read', new OpsError('Docker is down.'), 'gateway unknown'],
  ])('%s', async (_, log, expected) => {
    const { house, refusals } = createHouse()
    house.log = log
    expect(short(await refusals())).toBe(expected)
  })

  it('is told with how often, while the tokens are good', async () => {
    const { house, look, refusals } = createHouse()
    await look()
    house.log = `${refusal}\n${refusal}`
    const { why, because } = await refusals()
    expect([why, because]).toEqual([
      'Its log has 2 refusals (HTTP 401) in the last 15 min, while the token that it should have is good.',
      undefined,
    ])
  })

  it('is silent where its credential has ended: that is the alert', async () => {
    const { house, look, refusals } = createHouse([cli, { ...key, kind: 'setup-token', expiresAt: T0 - 1 }])
    Object.assign(house, { wins: '.env', log: refusal })
    await look()
    expect((await refusals()).because).toBe('credential/.env')
  })

  it('is not held to what it was refused before the last refresh', async () => {
    const { house, refusals } = createHouse()
    await refusals()
    house.renewedAt = T0 - 2 * MINUTE
    await refusals()
    expect(house.logSince).toEqual([T0 - 15 * MINUTE, T0 - 2 * MINUTE])
  })

  it('breaks as a check when something is wrong with us', async () => {
    const { house, refusals } = createHouse()
    house.log = new TypeError('x is not a function')
    await expect(refusals()).rejects.toThrow(TypeError)
  })
})

describe('through the alert machine', () => {
  const policy = { ...defaultPolicy(30_000), creditMs: 90_000, daily: { hour: 9, timeZone: 'UTC' } }

  /** Looks once a minute; what was told, with the key and the stage. */
  function createPhone({ house, look }: ReturnType<typeof createHouse>) {
    const known = new Map<string, AlertMemory>()
    const told: string[] = []
    return {
      told,
      async minutes(count: number) {
        for (let minute = 0; minute < count; minute += 1) {
          house.at += MINUTE
          for (const seen of await look()) {
            const cause = seen.because === undefined ? undefined : known.get(seen.because)
            const inhibited = cause?.firing !== undefined || cause?.zone === 'bad'
            const stepped = step(known.get(seen.key), seen, house.at, { policy, muted: false, inhibited })
            known.set(seen.key, stepped.memory)
            if (stepped.tell) told.push(`${stepped.tell} ${seen.key} ${seen.stage ?? ''}`.trim())
          }
        }
      },
    }
  }

  it('a dead login is one alert, called to mind daily, and over at once when somebody signed in', async () => {
    const all = createHouse([
      { ...cli, expiresAt: T0 - HOUR },
      { ...profile, expiresAt: T0 - HOUR },
    ])
    const { house } = all
    const phone = createPhone(all)
    house.file = { ...good, state: 'blanked' }
    await phone.minutes(24 * 60)
    expect(phone.told).toEqual([
      'fired credential/cli/file needs re-auth',
      'reminder credential/cli/file needs re-auth',
    ])
    const expiresAt = house.at + 8 * HOUR
    house.file = { ...good, hash: 'hash-2', expiresAt }
    house.credentials = [
      { ...cli, hash: 'hash-2', expiresAt },
      { ...profile, hash: 'hash-2', expiresAt },
    ]
    await phone.minutes(10)
    expect(phone.told.slice(2)).toEqual(['resolved credential/cli/file'])
  })

  it('a file that is half-written for a look is no alert', async () => {
    const all = createHouse([cli])
    const phone = createPhone(all)
    await phone.minutes(2)
    all.house.file = { ...good, state: 'empty' }
    await phone.minutes(1)
    all.house.file = good
    await phone.minutes(10)
    expect(phone.told).toEqual([])
  })

  it('an hour without network across the end is one alert and one resolution', async () => {
    const all = createHouse([cli, profile])
    const { house } = all
    const phone = createPhone(all)
    const shorten = (expiresAt: number, hash: string) => {
      house.file = { ...good, expiresAt, hash }
      house.credentials = [
        { ...cli, expiresAt, hash },
        { ...profile, expiresAt, hash },
      ]
    }
    shorten(T0 + 10 * MINUTE, 'hash-1')
    await phone.minutes(6)
    house.failures = [failed('network')]
    await phone.minutes(60)
    house.failures = []
    shorten(house.at + 8 * HOUR, 'hash-2')
    await phone.minutes(30)
    expect(phone.told).toEqual(['fired credential/cli/refresh failing', 'resolved credential/cli/refresh'])
  })
})
