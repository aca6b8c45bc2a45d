// How the gateway stands: every way that its line and its /readyz can look together, and what a refused line means.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  type LinkState,
  type OpenLink,
  type Ready,
  refusalOf,
  type ShutLink,
  type Standing,
  standingOf,
} from '../../src/ops/gateway/standing.ts'
import { MINUTE, SECOND, T0 } from './help.ts'

const open: OpenLink = { state: 'open', since: T0 - MINUTE, protocol: 4, methods: [] }
const shut = (code: string, more: Partial<ShutLink> = {}): ShutLink => ({
  ...{ state: 'shut', since: T0 - MINUTE, seenAt: T0, code, why: `It says ${code}.` },
  ...more,
})
const announced = (ago: number, restartExpectedMs: number | null = 1_500) =>
  shut('DOWN', { announced: { reason: 'config changed', restartExpectedMs, at: T0 - ago } })

const AT = join(import.meta.dirname, '../fixtures/openclaw/readyz-new.json')
const recorded = JSON.parse(readFileSync(AT, 'utf8')) as Record<'before' | 'failing', Ready>
const answers: Ready = { answers: true }
const mute: Ready = { answers: false }
/** As older gateways answer: with a page. */
const page: Ready = { answers: true, status: 200 }
const starting = (uptimeMs: number, failing = ['startup-sidecars']): Ready => ({
  ...{ answers: true, ready: false, failing, uptimeMs },
})
const YOUNG = T0 - 120 * SECOND + 1
const GROWN = T0 - 120 * SECOND

describe('the gateway', () => {
  it.each<[string, LinkState, Ready | undefined, number | undefined, Standing['state'], string]>([
    ['that is open and ready', open, { ...answers, ready: true }, GROWN, 'ready', 'It answers.'],
    ['that is ready (recorded)', open, { ...answers, ...recorded.before }, YOUNG, 'ready', 'It answers.'],
    ['of an older version, which answers with a page', open, page, GROWN, 'ready', 'It answers.'],
    ['that is open and was not asked over HTTP yet', open, undefined, GROWN, 'ready', 'It answers.'],
    ['that answers and refuses the line', shut('AUTH'), page, GROWN, 'ready', 'It answers.'],
    ['that nobody asked', shut('AUTH'), undefined, GROWN, 'unknown', 'It was not asked yet.'],

    ['that does not run', shut('NOT_RUNNING'), undefined, undefined, 'unknown', 'It says NOT_RUNNING.'],
    ['without a Node', shut('NO_NODE'), undefined, GROWN, 'unknown', 'It says NO_NODE.'],
    ['behind an engine that is away', shut('ENGINE'), undefined, GROWN, 'unknown', 'It says ENGINE.'],
    ['whose script breaks', shut('BROKEN'), undefined, GROWN, 'unknown', 'It says BROKEN.'],
    ['whose script has just ended', shut('CLOSED'), mute, GROWN, 'unknown', 'It says CLOSED.'],

    ['that is stuck, the line still open', open, { ...answers, stuck: true }, GROWN, 'not ready', 'stuck'],
    [
      'that is stuck while it should start',
      shut('SILENT'),
      { ...mute, stuck: true },
      YOUNG,
      'starting',
      'no time to answer',
    ],

    ['that nobody reaches, just started', shut('DOWN'), mute, YOUNG, 'starting', 'It does not listen yet.'],
    ['that nobody reaches for two minutes', shut('DOWN'), mute, GROWN, 'not ready', 'It says DOWN.'],
    ['of unknown age that nobody reaches', shut('DOWN'), undefined, undefined, 'not ready', 'It says DOWN.'],
    ['that takes a line and says nothing', shut('SILENT'), undefined, GROWN, 'not ready', 'It says SILENT.'],
    ['that talks nonsense', shut('NONSENSE'), undefined, GROWN, 'not ready', 'It says NONSENSE.'],
    ['whose line is open again before HTTP was looked at again', open, mute, GROWN, 'ready', 'It answers.'],
    [
      'that HTTP refuses the line',
      shut('DOWN'),
      { answers: true, error: 'x' },
      GROWN,
      'ready',
      'It answers.',
    ],
    ['that spoke nonsense once', shut('NONSENSE'), { answers: true }, GROWN, 'ready', 'It answers.'],
    [
      'that drains',
      open,
      { answers: true, ready: false, failing: ['gateway-draining'], uptimeMs: 1e6 },
      GROWN,
      'restarting',
      'lets its agents finish',
    ],
    [
      'started in the future by its clock',
      shut('DOWN'),
      mute,
      T0 + MINUTE,
      'starting',
      'It does not listen yet.',
    ],

    [
      'that said it restarts',
      announced(0),
      mute,
      GROWN,
      'restarting',
      'It said that it restarts (config changed).',
    ],
    ['that said so almost 90 s ago', announced(90 * SECOND - 1), mute, GROWN, 'restarting', 'config changed'],
    ['that said so 90 s ago', announced(90 * SECOND), mute, GROWN, 'not ready', 'It says DOWN.'],
    [
      'that said so 90 s ago and was started since',
      announced(90 * SECOND),
      mute,
      YOUNG,
      'starting',
      'listen yet',
    ],

    [
      'that has only just begun',
      shut('UNAVAILABLE'),
      undefined,
      GROWN,
      'starting',
      'It has only just begun.',
    ],
    [
      'that has only just begun for two minutes',
      shut('UNAVAILABLE', { since: T0 - 2 * MINUTE }),
      undefined,
      GROWN,
      'not ready',
      'For 2 min it has said that it only just begins.',
    ],
    [
      'that starts its sidecars',
      open,
      starting(5_000),
      YOUNG,
      'starting',
      'It still starts: startup-sidecars.',
    ],
    [
      'that starts them for almost two minutes',
      open,
      starting(119_999),
      YOUNG,
      'starting',
      'startup-sidecars',
    ],
    ['that starts them for two minutes', open, starting(120_000), GROWN, 'not ready', 'startup-sidecars'],
    [
      'whose channel fails while it starts',
      open,
      starting(5_000, ['startup-sidecars', 'telegram']),
      YOUNG,
      'not ready',
      'It says that these fail: startup-sidecars, telegram.',
    ],
    [
      'that does not say for how long it runs',
      open,
      { answers: true, ready: false, failing: ['startup'] },
      YOUNG,
      'not ready',
      'startup',
    ],
    [
      'whose channel fails (recorded)',
      open,
      { ...answers, ...recorded.failing },
      GROWN,
      'not ready',
      'It says that these fail: telegram.',
    ],
    [
      'that names nothing',
      open,
      { answers: true, ready: false },
      GROWN,
      'not ready',
      'fail: nothing by name.',
    ],
    [
      'that fails and refuses the line',
      shut('AUTH'),
      { answers: true, ready: false, failing: ['x'] },
      GROWN,
      'not ready',
      'fail: x.',
    ],
  ])('%s', (_, link, ready, startedAt, state, why) => {
    expect(standingOf({ link, ready, startedAt, now: T0 })).toEqual({
      state,
      why: expect.stringContaining(why),
    })
  })
})

describe('a line that the gateway does not let us have', () => {
  it.each<[string, LinkState, Ready | undefined, { why: string; mend?: string } | undefined]>([
    ['is none while it is open', open, { ...answers, error: 'proxy_attribution_required' }, undefined],
    [
      'by its proxies comes first',
      shut('HTTP_403'),
      { answers: true, error: 'proxy_attribution_required' },
      { why: 'trustedProxies', mend: '127.0.0.1' },
    ],
    ['by its token', shut('AUTH_TOKEN_MISMATCH'), answers, { why: 'refuses the token', mend: '/recreate' }],
    [
      'without a token',
      shut('AUTH_TOKEN_MISSING'),
      answers,
      { why: 'wants a token', mend: 'OPENCLAW_GATEWAY_TOKEN' },
    ],
    ['for some minutes', shut('AUTH_RATE_LIMITED'), undefined, { why: 'locked us out', mend: 'by itself' }],
    [
      'before it is asked',
      shut('PAIRING_REQUIRED'),
      answers,
      { why: 'asked first', mend: 'openclaw devices approve <id>' },
    ],
    ['of another protocol', shut('PROTOCOL_MISMATCH'), answers, { why: 'protocol', mend: 'Update opsbot.' }],
    ['without a Node', shut('NO_NODE'), undefined, { why: 'no Node', mend: 'OPENCLAW_GATEWAY_CONTAINER' }],
    [
      'for a reason that is new',
      shut('TOO_WARM'),
      answers,
      { why: 'It answers HTTP, and refuses the line: It says TOO_WARM. (TOO_WARM)' },
    ],
    ['is none where its script has just ended', shut('CLOSED'), answers, undefined],
    ['is none where nobody answers', shut('DOWN'), mute, undefined],
    ['is none where it went between two looks', shut('DOWN'), answers, undefined],
    ['is none while it starts', shut('UNAVAILABLE'), answers, undefined],
    ['is none where nobody was asked', shut('DOWN'), undefined, undefined],
    ['by the name of what every object has', shut('constructor'), mute, undefined],
  ])('%s', (_, link, ready, refusal) => {
    const seen = refusalOf(link, ready)
    if (!refusal) return expect(seen).toBeUndefined()
    expect(seen?.why).toContain(refusal.why)
    expect(seen?.mend ?? '').toContain(refusal.mend ?? '')
    expect('mend' in (seen ?? {})).toBe('mend' in refusal)
  })
})
