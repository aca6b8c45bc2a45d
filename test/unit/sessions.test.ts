// Sessions: which are at work, and how /sessions shows them, from captures of both versions.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { nameOf, sessionCommands, sessionsPage, thousands } from '../../src/bot/commands/sessions.ts'
import { plain } from '../../src/bot/page.ts'
import { METHODS, type Session } from '../../src/ops/gateway/methods.ts'
import { busyIn, runsIn, touchedIn, workWords } from '../../src/ops/gateway/sessions.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const captures = z
  .record(z.string(), METHODS['sessions.list'].result)
  .parse(JSON.parse(readFileSync(new URL('../fixtures/openclaw/sessions.json', import.meta.url), 'utf8')))
const captured = (name: string) => captures[name] ?? { count: 0, sessions: [] }

describe('a session', () => {
  it.each<[string, Partial<Session>, string]>([
    ['that says so is at work', { status: 'running', updatedAt: T0 - 5 * HOUR }, '1 at work'],
    ['that has just ended is not', { status: 'done', updatedAt: T0 - 1 }, 'none at work'],
    ['that says nothing was used, if just now', { updatedAt: T0 - 9 * MINUTE }, '1 used in the last 10 min'],
    ['whose clock is ahead of ours too', { updatedAt: T0 + MINUTE }, '1 used in the last 10 min'],
    ['that says nothing and was touched long ago is idle', { updatedAt: T0 - 10 * MINUTE }, 'none at work'],
    ['of which nothing is known is idle', {}, 'none at work'],
  ])('%s', (_, more, words) => {
    const sessions = [{ key: 'agent:main:main', ...more }]
    expect(workWords({ busy: busyIn(sessions).length, touched: touchedIn(sessions, T0).length })).toBe(words)
  })

  it.each<[string, Record<string, number>, number]>([
    ['that nobody counts', {}, 0],
    ['of ours, asked meanwhile', { rootRequests: 2, totalActive: 2 }, 0],
    [
      'that stand in several counts',
      { queueSize: 2, embeddedRuns: 1, rootRequests: 1, activeTasks: 1, totalActive: 5 },
      1,
    ],
    ['in the background too', { activeTasks: 2, backgroundExecSessions: 1, totalActive: 3 }, 3],
  ])("counts the gateway's runs: %s", (_, counts, runs) => expect(runsIn(counts)).toBe(runs))
})

const page = (
  sessions: Session[],
  more: { source?: 'link' | 'cli'; count?: number; totalCount?: number } = {},
) =>
  sessionsPage(
    {
      value: {
        count: more.count ?? sessions.length,
        sessions,
        ...(more.totalCount && { totalCount: more.totalCount }),
      },
      ...{ source: more.source ?? 'link', at: T0 - 3_000 },
    },
    T0,
  )
const linesOf = (sessions: Session[]) => page(sessions).lines?.map(plain)

describe('the page', () => {
  it.each<[string, string[]]>([
    ['cli 2026.2.22', ['main · main: claude-opus-4-6, 100 of 200k tokens (0 %), 30 min ago']],
    [
      'cli 2026.9.6',
      ['main · explicit:ex1795167404360: done, claude-opus-4-6, 100 of 1M tokens (0 %), 30 min ago'],
    ],
    ['link 2026.9.6', ['main · explicit:sbx3: done, claude-opus-4-6, 100 of 200k tokens (0 %), 30 min ago']],
  ])('of %s has agent, state, model, context and age', (name, [first = '']) => {
    const { sessions } = captured(name)
    const newest = Math.max(...sessions.map(({ updatedAt }) => updatedAt ?? 0))
    const { lines = [] } = sessionsPage(
      { value: captured(name), source: 'link', at: newest },
      newest + 30 * MINUTE + 30_000,
    )
    expect(plain(lines[0] ?? '')).toBe(first)
    expect(lines).toHaveLength(sessions.length)
  })

  it('has the newest first, those of unknown age last, and says how many are at work', () => {
    const sessions = [
      { key: 'agent:a:old', updatedAt: T0 - HOUR, status: 'done' },
      { key: 'agent:b:never', updatedAt: null },
      { key: 'agent:c:new', updatedAt: T0 - 2 * HOUR, lastActivityAt: T0 - MINUTE, status: 'running' },
    ]
    expect(linesOf(sessions)).toEqual(['c · new: at work, 1 min ago', 'a · old: done, 1 h ago', 'b · never'])
    expect(page(sessions).title).toBe('3 sessions, 1 at work')
  })

  it('says when it was the CLI, how old that is, and what is not shown', () => {
    const session = { key: 'agent:a:b', status: 'done' }
    expect(page([session]).details).toEqual([])
    expect(page([session], { source: 'cli', totalCount: 70, count: 1 })).toMatchObject({
      title: '70 sessions, none at work',
      details: ['69 older ones are not shown', "Seen by the gateway's CLI 3 s ago: the link is shut"],
    })
    expect(page([]).title).toBe('There are no sessions')
  })

  it('is short whatever the gateway says', () => {
    const huge = 'x'.repeat(100_000)
    const sessions = Array.from(
      { length: 1_000 },
      (_, index): Session => ({
        ...{
          key: `${huge}${index}`,
          agentId: huge,
          displayName: `${huge}\n\u202e<b>`,
          model: huge,
          status: huge,
        },
        ...{ totalTokens: Number.MAX_SAFE_INTEGER, contextTokens: 0 },
      }),
    )
    const lines = linesOf(sessions) ?? []
    expect(lines).toHaveLength(50)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(300)
  })

  it.each<[Session, { agent: string; name: string }]>([
    [{ key: 'agent:main:telegram:direct:42' }, { agent: 'main', name: 'telegram:direct:42' }],
    [
      { key: 'agent:main:main', displayName: 'Ann\nand Ben' },
      { agent: 'main', name: 'Ann and Ben' },
    ],
    [
      { key: 'global', agentId: 'x' },
      { agent: 'x', name: 'global' },
    ],
    [{ key: '' }, { agent: '?', name: '' }],
  ])('%#: a name', (session, name) => expect(nameOf(session)).toEqual(name))

  it.each([
    [0, '0'],
    [999, '999'],
    [12_396, '12.4k'],
    [200_000, '200k'],
    [1_000_000, '1M'],
  ])('%i tokens are %s', (tokens, words) => expect(thousands(tokens)).toBe(words))
})

it('/sessions asks for fifty, of a viewer too', async () => {
  const asked: unknown[] = []
  const ask = async (method: string, params: unknown) => {
    asked.push([method, params])
    return { value: { count: 0, sessions: [] }, source: 'link', at: T0 }
  }
  const [sessions] = sessionCommands({ gateway: { ask } as never })
  const call = {
    args: {},
    now: T0,
    person: { id: 1, name: 'Vic', role: 'viewer' },
    place: { chatId: 1, kind: 'private' },
  } as const
  expect(await sessions?.run(call)).toMatchObject({ title: 'There are no sessions' })
  expect([sessions?.role, asked]).toEqual(['viewer', [['sessions.list', { limit: 50 }]]])
})
