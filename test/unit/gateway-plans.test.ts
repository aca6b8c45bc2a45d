// What is found out before the gateway is stopped, and the proof that it is ready again.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { credentialsIn, type ReportedCredential } from '../../src/ops/gateway/credentials.ts'
import { type Gateway, GatewayError, type LinkState, type Standing } from '../../src/ops/gateway/index.ts'
import { credentialFinding, findingsBeforeStop, proveReady } from '../../src/ops/gateway/plans.ts'
import type { Ready } from '../../src/ops/gateway/standing.ts'
import { HOUR, MINUTE, SECOND, T0 } from './help.ts'

const recorded = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/openclaw/${name}.json`), 'utf8'))
const NEW: Record<string, unknown> = recorded('models-auth-new')

const credential = (profileId: string, left?: number, more: Partial<ReportedCredential> = {}) => ({
  ...{ provider: 'anthropic', profileId, type: 'token', ...more },
  ...(left !== undefined && { expiresAt: T0 + left }),
})
const OVER = 'has ended: agents will fail until it is renewed'

describe('the end of a credential', () => {
  it.each<[string, ReportedCredential[], string | undefined, string?]>([
    ['of none', [], undefined],
    ['of one without an end', [credential('a')], undefined],
    ['that is far', [credential('a', 8 * HOUR)], 'ok', 'its model credential a lasts for 8 h'],
    [
      'that is ten minutes off',
      [credential('a', 10 * MINUTE)],
      'ok',
      'its model credential a lasts for 10 min',
    ],
    ['that is nearer', [credential('a', 10 * MINUTE - 1)], 'warn', 'its model credential a ends in 9 min'],
    ['that is now', [credential('a', 0)], 'warn', `its model credential a ${OVER}`],
    ['that is past', [credential('a', -HOUR)], 'warn', `its model credential a ${OVER}`],
    [
      'of several is that of the last',
      [credential('a', -HOUR), credential('b', HOUR), credential('c', MINUTE)],
      'ok',
      'its model credential b lasts for 1 h',
    ],
    [
      'that the gateway tells without when',
      [credential('a', undefined, { expired: true })],
      'warn',
      `its model credential a ${OVER}`,
    ],
    [
      'of one beside another without an end',
      [credential('a', undefined, { expired: true }), credential('b')],
      undefined,
    ],
    [
      'of one beside another that lasts',
      [credential('a', undefined, { expired: true }), credential('b', HOUR)],
      'ok',
      'its model credential b lasts for 1 h',
    ],
    [
      'as 2026.9.6 tells it',
      credentialsIn(NEW['token expired']),
      'warn',
      `its model credential anthropic:manual ${OVER}`,
    ],
  ])('%s', (_, credentials, level, text) => {
    expect(credentialFinding(credentials, T0)).toEqual(level && { level, text })
  })

  it('as 2026.2.22 tells it is read by its moment, not by its word', () => {
    const all = credentialsIn(recorded('models-status-old'))
    expect(credentialFinding(all, 1795169417000 - HOUR)?.text).toBe(
      'its model credential anthropic:default lasts for 1 h',
    )
    expect(credentialFinding(all, 1795169417000)?.level).toBe('warn')
  })
})

const open = (methods: string[] = [], since = T0): LinkState => ({
  ...{ state: 'open', since, protocol: 4, methods },
})
const shut = (code: string, seenAt = T0): LinkState => ({
  ...{ state: 'shut', since: T0, seenAt, code, why: `It says ${code}.` },
})

describe('before it is stopped', () => {
  type Answers = Record<string, unknown>
  const quiet: Answers = {
    'config.get': { valid: true, issues: [] },
    'sessions.list': { count: 0, sessions: [] },
    'models.authStatus': { providers: [] },
  }

  /** A gateway that answers by a table; what is not in it, it does not know. */
  function find(answers: Answers, link: LinkState = open()) {
    const say = async (method: string) => {
      const answer = answers[method] ?? new GatewayError(`This gateway does not know ${method}.`, 'ABSENT')
      if (answer instanceof Error) throw answer
      return answer
    }
    const gateway = {
      ask: async (method: string) => ({ value: await say(method), source: 'link', at: T0 }),
      call: say,
      cli: async () => undefined,
      link: () => link,
      ready: () => undefined,
      standing: () => ({ state: 'ready', why: '' }),
    } as unknown as Pick<Gateway, 'ask' | 'call' | 'cli' | 'link' | 'ready' | 'standing'>
    return findingsBeforeStop(gateway, T0)
  }
  const working = { count: 1, sessions: [{ key: 'a', status: 'running' }] }
  const preflight = { safe: false, counts: { activeTasks: 3, rootRequests: 2, totalActive: 9 } }

  it.each<[string, Answers, LinkState, string[]]>([
    [
      'it is valid and idle',
      quiet,
      open(),
      ['ok the gateway finds its config valid', 'ok its agents are idle'],
    ],
    [
      'its version does not say whether its config is valid',
      { ...quiet, 'config.get': { issues: [] } },
      open(),
      ['ok the gateway finds its config valid', 'ok its agents are idle'],
    ],
    [
      'its config is refused',
      {
        ...quiet,
        'config.get': { valid: false, issues: [{ path: 'agents.bogus', message: 'Unrecognized key' }] },
      },
      open(),
      [
        'warn the gateway refuses its config (agents.bogus: Unrecognized key): it will not start with it',
        'ok its agents are idle',
      ],
    ],
    [
      'its config is refused at the top',
      { ...quiet, 'config.get': { valid: false, issues: [{ path: '', message: 'x'.repeat(500) }] } },
      open(),
      [
        `warn the gateway refuses its config (at the top: ${'x'.repeat(120)}): it will not start with it`,
        'ok its agents are idle',
      ],
    ],
    [
      'its config is refused without a word',
      { ...quiet, 'config.get': { valid: false, issues: [] } },
      open(),
      [
        'warn the gateway refuses its config (it gives no reason): it will not start with it',
        'ok its agents are idle',
      ],
    ],
    [
      'one is at work',
      { ...quiet, 'sessions.list': working },
      open(),
      [
        'ok the gateway finds its config valid',
        'warn its agents are at work (1 run): what they do not end in time is broken off',
      ],
    ],
    [
      'its own count is known and is more than its sessions',
      { ...quiet, 'sessions.list': working, 'gateway.restart.preflight': preflight },
      open(['gateway.restart.preflight']),
      [
        'ok the gateway finds its config valid',
        'warn its agents are at work (3 runs): what they do not end in time is broken off',
      ],
    ],
    [
      'what it counts are our own questions',
      {
        ...quiet,
        'gateway.restart.preflight': { safe: false, counts: { rootRequests: 2, totalActive: 2 } },
      },
      open(['gateway.restart.preflight']),
      ['ok the gateway finds its config valid', 'ok its agents are idle'],
    ],
    [
      'its credential has ended',
      { ...quiet, 'models.authStatus': NEW['token expired'] },
      open(),
      [
        'ok the gateway finds its config valid',
        'ok its agents are idle',
        `warn its model credential anthropic:manual ${OVER}`,
      ],
    ],
    [
      'it answers nothing',
      {},
      open(),
      [
        'warn whether its config is valid was not seen: This gateway does not know config.get.',
        'warn what it is doing was not seen: This gateway does not know sessions.list.',
        'warn when its model credential ends was not seen: This gateway does not know models.authStatus.',
      ],
    ],
    [
      'there is no line',
      quiet,
      shut('DOWN'),
      ['warn what it is doing was not seen from inside: It says DOWN.'],
    ],
    ['it is no OpenClaw gateway', quiet, shut('NO_NODE'), []],
  ])('and %s', async (_, answers, link, findings) => {
    expect((await find(answers, link)).map(({ level, text }) => `${level} ${text}`)).toEqual(findings)
  })

  it('nothing that is found blocks', async () => {
    for (const answers of [{}, quiet])
      expect((await find(answers)).some(({ level }) => level === 'block')).toBe(false)
  })
})

interface Look {
  /** After the proof began. Milliseconds. */
  at: number
  link: LinkState
  standing?: Standing['state']
  ready?: Ready
}

/** Looks at a gateway that goes through these states; the last one lasts, a minute each look. */
function prove(
  looks: Look[],
  signal = new AbortController().signal,
  sign: () => Promise<{ why: string; mend: string } | undefined> = async () => undefined,
) {
  let now = T0
  let turn = -1
  const current = () => looks[Math.min(Math.max(turn, 0), looks.length - 1)]
  const gateway = {
    link() {
      turn += 1
      now = turn < looks.length ? T0 + (current()?.at ?? 0) : now + MINUTE
      return current()?.link ?? open()
    },
    ready: () => current()?.ready,
    standing: () =>
      ({ state: current()?.standing ?? 'unknown', why: `It is ${current()?.standing}.` }) as const,
    sign,
  }
  return proveReady(gateway, T0, () => now, signal)
}

describe.concurrent('the proof that it is ready', () => {
  const before = open([], T0 - 1)
  it.concurrent.each<[string, Look[], string]>([
    [
      'is a line that was opened since',
      [{ at: 4 * SECOND, link: open(), standing: 'ready' }],
      'ready over the link after 4 s',
    ],
    [
      'is not the line from before',
      [
        { at: 0, link: before, standing: 'ready' },
        { at: SECOND, link: shut('CLOSED'), standing: 'unknown' },
        { at: 2 * SECOND, link: shut('DOWN'), standing: 'starting' },
        { at: 12 * SECOND, link: open([], T0 + 12 * SECOND), standing: 'ready' },
      ],
      'ready over the link after 12 s',
    ],
    [
      'is not a line while it still starts',
      [
        { at: SECOND, link: open(), standing: 'starting' },
        { at: 2 * SECOND, link: open(), standing: 'not ready' },
        { at: 3 * SECOND, link: open(), standing: 'ready' },
      ],
      'ready over the link after 3 s',
    ],
    ['is none, and needs none, of what is no OpenClaw gateway', [{ at: SECOND, link: shut('NO_NODE') }], ''],
    [
      'does not take what was found before for what is',
      [
        { at: 0, link: shut('AUTH_TOKEN_MISMATCH', T0 - 1), ready: { answers: true } },
        { at: SECOND, link: shut('NO_NODE', T0 - 1) },
        { at: 2 * SECOND, link: open(), standing: 'ready' },
      ],
      'ready over the link after 2 s',
    ],
    [
      'waits for a way in for some time',
      [
        { at: 30 * SECOND, link: shut('BROKEN'), standing: 'unknown' },
        { at: 31 * SECOND, link: open(), standing: 'ready' },
      ],
      'ready over the link after 31 s',
    ],
  ])('%s', async (_, looks, note) => expect(await prove(looks)).toBe(note))

  it.concurrent.each<[string, Look[], string]>([
    [
      'that refuses the line',
      [{ at: SECOND, link: shut('AUTH_TOKEN_MISMATCH'), ready: { answers: true } }],
      'It refuses the token of its own environment and config: it was started with another one. /recreate starts it with the present one. If that does not help, its command line or entrypoint sets another: take it out there.',
    ],
    [
      'that refuses the line for a reason that is new',
      [{ at: SECOND, link: shut('TOO_WARM'), ready: { answers: true } }],
      'It answers HTTP, and refuses the line: It says TOO_WARM. (TOO_WARM)',
    ],
    [
      'that cannot be seen',
      [{ at: 30 * SECOND + 1, link: shut('BROKEN'), standing: 'unknown' }],
      'Whether it is ready cannot be seen: It is unknown.',
    ],
    [
      'that is not ready in time',
      [{ at: MINUTE, link: open(), standing: 'not ready' }],
      'It was not ready within 3 min: It is not ready.',
    ],
    [
      'whose line is still that from before',
      [{ at: MINUTE, link: before, standing: 'ready' }],
      'It was not ready within 3 min: It is ready.',
    ],
  ])('fails of one %s', async (_, looks, why) => {
    await expect(prove(looks)).rejects.toThrow(new OpsError(why))
  })

  it.concurrent('fails in the words of its log, where those are known', async () => {
    const dies: Look[] = [{ at: 30 * SECOND + 1, link: shut('NOT_RUNNING'), standing: 'unknown' }]
    const sign = async () => ({ why: 'It refuses its config.', mend: '/config shows why.' })
    await expect(prove(dies, undefined, sign)).rejects.toThrow(
      new OpsError('It does not come up. It refuses its config. /config shows why.'),
    )
    const blind = () => Promise.reject(new OpsError('no log'))
    await expect(prove(dies, undefined, blind)).rejects.toThrow(/^Whether it is ready cannot be seen/)
  })

  it.concurrent('ends at once when it is stopped', async () => {
    const abort = new AbortController()
    const proof = prove(
      Array.from({ length: 1_000 }, (_, index) => ({ at: index, link: before })),
      abort.signal,
    )
    abort.abort()
    await expect(proof).rejects.toThrow(OpsError)
  })
})
