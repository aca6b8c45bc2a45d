// Checks of the gateway from inside: readiness, the line, the event loop, the channels, and what is not seen without it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { gatewayChecks } from '../../src/ops/checks/gateway.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import { type Gateway, GatewayError, type LinkState, type Standing } from '../../src/ops/gateway/index.ts'
import { METHODS } from '../../src/ops/gateway/methods.ts'
import type { Ready } from '../../src/ops/gateway/standing.ts'
import { MINUTE, T0 } from './help.ts'

const recorded = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, `../fixtures/openclaw/${name}.json`), 'utf8'))
const channels = (value: unknown) => METHODS['channels.status'].result.parse(value)
const BECAUSE = 'container/openclaw-gateway'

const open: LinkState = { state: 'open', since: T0 - 5 * MINUTE, protocol: 4, methods: [] }
const shut = (code: string): LinkState => ({
  ...{ state: 'shut', since: T0, seenAt: T0, code, why: `It says ${code}.` },
})

function createYard() {
  const yard = {
    link: open,
    ready: undefined as Ready | undefined,
    standing: { state: 'ready', why: 'It answers.' } as Standing,
    channels: {} as unknown,
  }
  const ask = async () => {
    if (yard.channels instanceof Error) throw yard.channels
    return { value: channels(yard.channels), source: 'link', at: T0 }
  }
  const checks = gatewayChecks({
    gateway: {
      ask: ask as unknown as Gateway['ask'],
      link: () => yard.link,
      ready: () => yard.ready,
      standing: () => yard.standing,
    },
    because: () => BECAUSE,
    now: () => T0,
  })
  const look = async (name: 'gateway' | 'channels'): Promise<Observation[]> =>
    (await checks.find((each) => each.name === name)?.look(new AbortController().signal)) ?? []
  const one = async (key: string) =>
    (await look(key.startsWith('channel/') ? 'channels' : 'gateway')).find((each) => each.key === key)
  return Object.assign(yard, { look, one })
}

describe('readiness', () => {
  it.each<[Standing['state'], string, boolean]>([
    ['ready', 'ok', false],
    ['not ready', 'bad', true],
    ['starting', 'unknown', false],
    ['restarting', 'unknown', false],
    ['unknown', 'unknown', false],
  ])('of one that is %s is %s', async (state, verdict, proof) => {
    const yard = createYard()
    yard.standing = { state, why: 'So it is.' }
    const seen = await yard.one('gateway/ready')
    expect(seen).toMatchObject({ area: 'gateway', verdict, why: 'So it is.', because: BECAUSE })
    expect(seen?.proof ?? false).toBe(proof)
    expect(seen?.actions?.map(({ run }) => run) ?? []).toEqual(proof ? ['gateway', 'restart gateway'] : [])
  })
})

describe('the line', () => {
  it.each<[string, LinkState, Ready | undefined, string, string]>([
    ['that is open', open, undefined, 'ok', 'Open for 5 min.'],
    ['into what is no OpenClaw gateway', shut('NO_NODE'), undefined, 'absent', 'It says NO_NODE.'],
    [
      'that is refused by its token',
      shut('AUTH_TOKEN_MISMATCH'),
      { answers: true },
      'bad',
      'It refuses the token',
    ],
    [
      'that is refused by its proxies',
      shut('X'),
      { answers: true, error: 'proxy_attribution_required' },
      'bad',
      'trustedProxies',
    ],
    ['that is refused otherwise', shut('TOO_WARM'), { answers: true }, 'bad', '(TOO_WARM)'],
    ['into one that is down', shut('DOWN'), { answers: false }, 'unknown', 'It says DOWN.'],
    ['into one that does not run', shut('NOT_RUNNING'), undefined, 'unknown', 'It says NOT_RUNNING.'],
    ['whose script has just ended', shut('CLOSED'), { answers: true }, 'unknown', 'It says CLOSED.'],
  ])('%s', async (_, link, ready, verdict, why) => {
    const yard = createYard()
    Object.assign(yard, { link, ready })
    const seen = await yard.one('gateway/link')
    expect(seen).toMatchObject({ verdict, because: 'gateway/ready' })
    expect(seen?.why).toContain(why)
    if (verdict === 'bad') expect(seen?.mend ?? '').not.toBe('undefined')
  })
})

describe('the event loop', () => {
  it.each<[string, Ready | undefined, string | undefined, string?]>([
    ['of an older version', { answers: true }, undefined],
    ['that was not asked for', undefined, undefined],
    ['without a word on how it is', { answers: true, eventLoop: { delayP99Ms: 3 } }, undefined],
    [
      'that keeps up (recorded)',
      { answers: true, ...recorded('readyz-new').before },
      'ok',
      'It keeps up. 99 of 100 turns take 22 ms or less.',
    ],
    [
      'that keeps up without a figure',
      { answers: true, eventLoop: { degraded: false } },
      'ok',
      'It keeps up.',
    ],
    [
      'that is slow',
      {
        answers: true,
        eventLoop: { degraded: true, reasons: ['event_loop_delay', 'cpu'], delayP99Ms: 1234.5 },
      },
      'warn',
      'It says so itself: event_loop_delay, cpu. 99 of 100 turns take 1235 ms or less.',
    ],
    [
      'that is slow without a reason',
      { answers: true, eventLoop: { degraded: true } },
      'warn',
      'It says so itself: without a reason.',
    ],
  ])('%s', async (_, ready, verdict, why) => {
    const yard = createYard()
    yard.ready = ready
    const seen = await yard.one('gateway/loop')
    if (verdict === undefined) expect(seen).toBeUndefined()
    else expect(seen).toMatchObject({ verdict, why, because: 'gateway/ready' })
  })

  it.each<[string, LinkState, string]>([
    ['has just begun', { ...open, since: T0 - 2 * MINUTE + 1 }, 'unknown'],
    ['has gone', shut('DOWN'), 'unknown'],
    ['has had its time', { ...open, since: T0 - 2 * MINUTE }, 'warn'],
  ])('that is slow, of a gateway that %s', async (_, link, verdict) => {
    const yard = createYard()
    Object.assign(yard, { link, ready: { answers: true, eventLoop: { degraded: true } } })
    expect(await yard.one('gateway/loop')).toMatchObject({ verdict })
  })
})

describe('a channel', () => {
  const account = (more: object = {}) => ({
    channelLabels: { telegram: 'Telegram' },
    channelAccounts: {
      telegram: [
        { accountId: 'default', running: true, connected: true, lastStartAt: T0 - 5 * MINUTE, ...more },
      ],
    },
  })

  it.each<[string, unknown, Ready | undefined, Partial<Observation>]>([
    ['that works', account(), undefined, { verdict: 'ok', title: 'Channel Telegram does not work' }],
    ['that is switched off', account({ enabled: false }), undefined, { verdict: 'absent' }],
    [
      'that does not run',
      account({ running: false }),
      undefined,
      { verdict: 'bad', mend: '/restart gateway tries it again.' },
    ],
    ['that is called stale', account({ healthState: 'stale-socket' }), undefined, { verdict: 'warn' }],
    [
      'that is suppressed by the word of /readyz',
      account(),
      { answers: true, suppressed: ['telegram'] },
      { verdict: 'bad' },
    ],
    [
      'while another one is suppressed',
      account(),
      { answers: true, suppressed: ['discord'] },
      { verdict: 'ok' },
    ],
    ['that is suppressed (recorded)', recorded('channels-suppressed-new'), undefined, { verdict: 'bad' }],
    [
      'that connects for too long (recorded)',
      recorded('channels-connecting-new'),
      undefined,
      { verdict: 'bad' },
    ],
    [
      'without a label',
      { ...account(), channelLabels: {} },
      undefined,
      { title: 'Channel telegram does not work' },
    ],
  ])('%s', async (_, said, ready, seen) => {
    const yard = createYard()
    Object.assign(yard, { channels: said, ready })
    expect(await yard.look('channels')).toMatchObject([
      { key: 'channel/telegram/default', area: 'gateway', because: BECAUSE, ...seen },
    ])
  })

  it('with several accounts is told by account', async () => {
    const yard = createYard()
    const { channelAccounts } = account()
    yard.channels = {
      channelAccounts: { telegram: [...channelAccounts.telegram, { accountId: 'work', running: false }] },
    }
    expect(await yard.one('channel/telegram/work')).toMatchObject({
      verdict: 'bad',
      title: 'Channel telegram (work) does not work',
    })
    expect(await yard.one('channel/telegram/default')).toMatchObject({ verdict: 'ok' })
  })

  it('is none where there are none (2026.2.22, recorded)', async () => {
    const yard = createYard()
    yard.channels = recorded('channels-old')
    expect(await yard.look('channels')).toEqual([])
  })

  it.each<[string, (yard: ReturnType<typeof createYard>) => void]>([
    ['the line is shut', (yard) => Object.assign(yard, { link: shut('DOWN') })],
    [
      'the line is cut in the middle',
      (yard) => Object.assign(yard, { channels: new GatewayError('cut', 'CLOSED') }),
    ],
    [
      'its container is paused',
      (yard) => Object.assign(yard, { channels: new GatewayError('nothing heard', 'MUTE') }),
    ],
    [
      'it answers nothing, and that is told',
      (yard) =>
        Object.assign(yard, {
          channels: new GatewayError('late', 'LATE'),
          standing: { state: 'not ready', why: 'stuck' },
        }),
    ],
  ])('stays as it was, unknown, while %s', async (_, happen) => {
    const yard = createYard()
    yard.channels = account({ running: false })
    await yard.look('channels')
    happen(yard)
    expect(await yard.look('channels')).toMatchObject([
      { key: 'channel/telegram/default', verdict: 'unknown' },
    ])
    expect(await yard.look('channels')).toHaveLength(1)
    Object.assign(yard, { link: open, channels: account(), standing: { state: 'ready', why: '' } })
    expect(await yard.look('channels')).toMatchObject([{ verdict: 'ok' }])
  })

  it('that was never seen is unknown without a line, not well', async () => {
    const yard = createYard()
    yard.link = shut('DOWN')
    expect(await yard.look('channels')).toMatchObject([
      { key: 'channel', verdict: 'unknown', why: 'It says DOWN.' },
    ])
  })

  it.each<[string, Error]>([
    ['late', new GatewayError('The gateway did not answer channels.status within 10 s.', 'LATE')],
    ['unlike any that is known', new GatewayError('unlike any', 'SHAPE')],
    ['broken', new TypeError('broken')],
  ])('of a gateway whose answer is %s is blind, and said to be', async (_, error) => {
    const yard = createYard()
    yard.channels = error
    await expect(yard.look('channels')).rejects.toBe(error)
  })
})
