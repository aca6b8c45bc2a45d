// What a run of the Claude CLI came to: the failure matrix of the real ones, and what is asked of the file first.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { classify, isGivenUp, type Outcome, type Ran } from '../../src/ops/claude/classify.ts'
import type { ClaudeFile } from '../../src/ops/claude/file.ts'
import { sentenceIn } from '../../src/ops/claude/words.ts'
import { fakeToken } from '../claude/cli.ts'

const NOW = Date.UTC(2026, 10, 20, 10)
const path = '.credentials.json'
const ended: ClaudeFile = { state: 'ok', path, hash: 'a', refreshHash: 'r', expiresAt: NOW - 1_000 }
const blanked: ClaudeFile = { state: 'blanked', path, why: 'The CLI emptied its tokens.' }
const ran = (more: Partial<Ran>): Ran => ({
  before: ended,
  after: ended,
  output: '',
  exitCode: 1,
  now: NOW,
  ...more,
})
const lines = (...some: object[]) => some.map((each) => `${JSON.stringify(each)}\n`).join('')
const result = (more: object) => ({ type: 'result', is_error: true, ...more })

interface Row {
  name: string
  version: string
  exitCode: number
  blanked: boolean
  line: { is_error: boolean; result: string }
}
const captured: Row[] = JSON.parse(readFileSync('test/fixtures/claude/failures.json', 'utf8'))

/** What was the matter → what it is. Names as in the captures: `t_` the token endpoint, the others the API. */
const MEANT: [RegExp, string, string][] = [
  [/^t_invalidgrant|dead$/, '2.1.328', 'needs re-auth'],
  // The file is whole: only time tells.
  [/^t_(429|500|drop)$|^v_401|^r_401/, '', 'transient'],
  [/^v_403$/, '', 'account'],
  [/^v_credit$/, '', 'account'],
  [/^v_limit/, '', 'usage limit'],
  [/drop$|refused$/, '', 'network'],
  [/_(429|500|529|404|403rev)$/, '', 'transient'],
]

describe('the failure matrix of the real CLIs', () => {
  const failures = captured.filter(({ line }) => line.is_error)
  it('is here, of both', () => {
    expect(failures.filter(({ version }) => version === '2.1.54').length).toBeGreaterThan(9)
    expect(failures.filter(({ version }) => version === '2.1.328').length).toBeGreaterThan(9)
  })

  it.each(failures.map((row) => [row.version, row.name, row] as const))('%s %s', (_, __, row) => {
    const [, , kind] =
      MEANT.find(([name, version]) => name.test(row.name) && row.version.startsWith(version)) ?? []
    const outcome = classify(
      ran({ after: row.blanked ? blanked : ended, output: lines(row.line), exitCode: row.exitCode }),
    )
    expect(outcome).toMatchObject({ state: 'failed', kind })
    expect((outcome as { why: string }).why).toMatch(/\w/)
    expect((outcome as { why: string }).why).not.toMatch(/[{}]|sk-ant/)
    const isRefused = kind === 'transient' && row.line.result.startsWith('Failed to authenticate')
    expect('refused' in outcome).toBe(isRefused)
  })

  it.each(captured.filter(({ line }) => !line.is_error).map((row) => [row.version, row.name, row] as const))(
    '%s %s: a good answer to an old token proves nothing',
    (_, __, { line }) => {
      expect(classify(ran({ output: lines(line), exitCode: 0 }))).toMatchObject({
        state: 'failed',
        silent: true,
      })
    },
  )
})

const SAYS = (error: string, text: string, more: object = {}) =>
  lines({ ...more, type: 'assistant', error }, { ...more, ...result({ result: text }) })

describe('the classifier', () => {
  it.each<[string, Partial<Ran>, Partial<Outcome> & object]>([
    [
      'an end that moved is a refresh, whatever was said',
      {
        after: { ...ended, hash: 'b', expiresAt: NOW + 1 },
        output: SAYS('rate_limit', "You've hit your limit"),
      },
      { state: 'refreshed', before: NOW - 1_000, after: NOW + 1 },
    ],
    [
      'the first token there ever was',
      { before: {}, after: { ...ended, expiresAt: NOW + 9e6 }, exitCode: 0 },
      { state: 'refreshed', after: NOW + 9e6 },
    ],
    [
      'an end that moved back is none',
      {
        after: { ...ended, hash: 'b', expiresAt: NOW - 2_000 },
        output: lines(result({ is_error: false })),
        exitCode: 0,
      },
      { state: 'failed', kind: 'transient', silent: true },
    ],
    [
      'not due',
      {
        ...{ before: { expiresAt: NOW + 3e6 }, after: { ...ended, expiresAt: NOW + 3e6 } },
        ...{ output: lines(result({ is_error: false, result: 'pong' })), exitCode: 0 },
      },
      { state: 'unmoved' },
    ],
    [
      'no file',
      { after: { state: 'missing', path, why: 'Nobody is signed in.' }, exitCode: 0 },
      { kind: 'needs re-auth', why: 'Nobody is signed in.' },
    ],
    [
      'a file that is no login',
      { after: { state: 'unparsable', path, why: 'No JSON.' }, output: undefined as never },
      { kind: 'needs re-auth' },
    ],
    [
      'a file that we may not read proves nothing',
      { after: { state: 'unreadable', path, why: 'Closed.' } },
      { kind: 'transient', why: 'Closed.' },
    ],
    [
      'exit 0 with blanked tokens',
      { after: blanked, output: lines(result({ is_error: false })), exitCode: 0 },
      { kind: 'needs re-auth' },
    ],
    [
      'a token that ended, without a refresh token',
      {
        after: { state: 'ok', path, hash: 'a', expiresAt: NOW - 1_000 },
        output: lines(result({ is_error: false })),
        exitCode: 0,
      },
      { kind: 'needs re-auth' },
    ],
    [
      'time limit',
      {
        output: SAYS(
          'authentication_failed',
          'Failed to authenticate: this login reached its time limit and cannot be renewed.',
        ),
      },
      {
        kind: 'needs re-auth',
        why: 'Failed to authenticate: this login reached its time limit and cannot be renewed.',
      },
    ],
    ['on hold', { output: SAYS('account_on_hold', 'On hold') }, { kind: 'account' }],
    [
      'another CLI holds the lock, without a status',
      {
        output: SAYS(
          'authentication_failed',
          'Failed to refresh OAuth token: another Claude Code process is refreshing it',
          { api_error_status: null },
        ),
      },
      { kind: 'transient' },
    ],
    [
      'TLS',
      {
        output: lines(
          result({ api_error: 'tls_untrusted_ca', result: 'SSL certificate verification failed' }),
        ),
      },
      { kind: 'network' },
    ],
    [
      'no status',
      { output: lines(result({ api_error_status: null, result: 'No answer' })) },
      { kind: 'network' },
    ],
    ['a plain 429', { output: SAYS('rate_limit', 'API Error: Rate limit reached') }, { kind: 'transient' }],
    [
      'killed, and said nothing',
      { exitCode: undefined as never },
      { kind: 'transient', why: 'The Claude CLI ended and said nothing.' },
    ],
    [
      'text, not JSON',
      { output: 'Error: Claude Code cannot be launched inside another Claude Code session.\n' },
      { kind: 'transient' },
    ],
    [
      'text of somebody signed out',
      { output: 'Not logged in · Please run /login\n' },
      { kind: 'needs re-auth' },
    ],
    [
      'hostile lines',
      { output: '[1,null,"x"]\n{"type":\n{"type":"result","is_error":"yes","result":{}}' },
      { kind: 'transient' },
    ],
  ])('%s', (_, more, outcome) => {
    const given = ran(more)
    for (const key of ['output', 'exitCode'] as const) if (given[key] === undefined) delete given[key]
    expect(classify(given)).toMatchObject(outcome)
  })

  it('takes the end of a limit from its event, else from its words', () => {
    const event = { type: 'rate_limit_event', rate_limit_info: { resetsAt: NOW / 1_000 + 60 } }
    const text = "You've hit your limit · resets 11:02am (UTC)"
    const said = SAYS('rate_limit', text)
    expect(classify(ran({ output: lines(event) + said }))).toMatchObject({ until: NOW + 60_000 })
    expect(classify(ran({ output: said }))).toMatchObject({ until: Date.UTC(2026, 10, 20, 11, 2) })
  })

  it('sees nothing in a run that nobody heard', () => {
    const { output, exitCode, ...found } = ran({})
    expect(classify(found)).toMatchObject({ state: 'failed', silent: true })
    expect(
      classify({ ...found, after: { ...ended, expiresAt: NOW + 9e6 }, before: { expiresAt: NOW + 9e6 } }),
    ).toEqual({
      state: 'unmoved',
    })
  })
})

it('says one sentence, without tokens, people or JSON', () => {
  const said = `\n Refused ${fakeToken()} of a.b@example.com: \u0007 401 {"error":{"message":"It \\"ended\\"."}}\nmore`
  expect(sentenceIn(said)).toBe('Refused a token of an address:   401 It \\"ended\\".')
  expect(sentenceIn('word '.repeat(1e5)).length).toBeLessThanOrEqual(300)
  expect(sentenceIn('\n\n')).toBe('')
})

it.each<[string, number[], boolean]>([
  ['never refused', [], false],
  ['twice', [0, 3_600_000], false],
  ['three times within ten minutes', [0, 1, 600_000], false],
  ['three times over more', [0, 1, 600_001], true],
])('a login refused %s is given up: %s → %s', (_, at, given) => {
  expect(isGivenUp(at)).toBe(given)
})
