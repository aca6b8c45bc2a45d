// Faults in files of credentials: what is put right and how it is shown; and what older files beside a database are taken in by.

import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { fixOauth, fixProfiles } from '../../src/ops/credentials/fix.ts'
import { shownName } from '../../src/ops/credentials/kinds.ts'
import { createPlaces } from '../../src/ops/credentials/places.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import type { Container, ContainerBrief } from '../../src/ops/docker/index.ts'
import type { StateDirLook } from '../../src/ops/gateway/statedir.ts'
import { createAuthfix } from '../../src/ops/runbooks/authfix.ts'
import { createRunbooks, type Runbook, type RunbookCard } from '../../src/ops/runbooks/index.ts'
import { createMigrate, type MigrateParts } from '../../src/ops/runbooks/migrate.ts'
import { HOUR, MINUTE, openTestState, T0, tempDir } from './help.ts'

const oat = ['sk-ant', 'oat01-TOKEN'].join('-')
const api = ['sk-ant', 'api03-KEY'].join('-')
const LATER = T0 + 6 * HOUR

const fix = (text: string) => fixProfiles(text, "main's auth-profiles.json", shownName, T0)
const one = (entry: object, usageStats?: object) =>
  JSON.stringify({
    version: 1,
    profiles: { 'anthropic:x': { provider: 'anthropic', ...entry } },
    ...(usageStats && { usageStats: { 'anthropic:x': usageStats } }),
  })
const fixedOne = (entry: object, stats?: object) => {
  const { lines, text } = fix(one(entry, stats))
  const store = JSON.parse(text)
  return {
    lines: lines.map((line) => line.replace('anthropic:x: ', '')),
    entry: store.profiles['anthropic:x'],
    stats: store.usageStats?.['anthropic:x'],
  }
}

describe('a profile', () => {
  const oauth = { type: 'oauth', provider: 'anthropic' }
  it.each<[string, object, string[], object | undefined]>([
    [
      'of type oauth with its token as key',
      { ...oauth, key: oat, expires: LATER },
      ['"key" → "access"'],
      { ...oauth, access: oat, refresh: '', expires: LATER },
    ],
    [
      'of type oauth with an API key',
      { ...oauth, key: api },
      ['"type": oauth → api_key'],
      { type: 'api_key', provider: 'anthropic', key: api },
    ],
    [
      'of type token with its token as key',
      { type: 'token', provider: 'anthropic', key: oat },
      ['"key" → "token"'],
      { type: 'token', provider: 'anthropic', token: oat },
    ],
    [
      'of type api_key with an OAuth token',
      { type: 'api_key', provider: 'anthropic', key: oat },
      ['"type": api_key → token', '"key" → "token"'],
      { type: 'token', provider: 'anthropic', token: oat },
    ],
    [
      'with its end in seconds',
      { type: 'token', provider: 'anthropic', token: oat, expires: LATER / 1_000 },
      ['"expires": seconds → milliseconds'],
      { type: 'token', provider: 'anthropic', token: oat, expires: LATER },
    ],
    [
      'with its end as text',
      { type: 'token', provider: 'anthropic', token: oat, expires: `${LATER}` },
      ['"expires": text → number'],
      { type: 'token', provider: 'anthropic', token: oat, expires: LATER },
    ],
    [
      'with a line end behind its token',
      { type: 'token', provider: 'anthropic', token: `${oat}\n` },
      ['"token": white space around it goes'],
      { type: 'token', provider: 'anthropic', token: oat },
    ],
    [
      'with all of that at once',
      { ...oauth, key: ` ${oat}`, expires: `${LATER / 1_000}` },
      ['"key": white space around it goes', '"key" → "access"', '"expires": seconds → milliseconds'],
      { ...oauth, access: oat, refresh: '', expires: LATER },
    ],
    ['with nothing in it', { ...oauth, access: ' ' }, ['goes, it holds nothing'], undefined],
  ])('%s', (_, before, lines, after) => {
    const fixed = fixedOne(before)
    expect(fixed.lines).toEqual(lines)
    expect(fixed.entry).toEqual(after)
  })

  it.each<[string, object]>([
    ['that is right', { ...oauth, access: oat, refresh: 'r', expires: LATER }],
    ['that has ended', { type: 'token', token: oat, expires: 1_795_000_000_000 }],
    ['with a refresh token alone', { ...oauth, access: '', refresh: 'r' }],
    ['of a kind that is not known', { type: 'aws', key: oat }],
    ['that refers to a secret elsewhere', { type: 'api_key', keyRef: { source: 'env', id: 'X' } }],
    ['whose end is none', { type: 'token', token: oat, expires: 'soon' }],
    ['whose type is none', { type: 5, token: oat }],
  ])('%s is left alone, to the byte', (_, entry) => {
    const text = `${one(entry)}  \n`
    expect(fix(text)).toEqual({ lines: [], text })
  })

  const token = { type: 'token', token: oat, expires: LATER }
  it.each<[string, object, string[], object]>([
    [
      'is over',
      { cooldownUntil: T0 - 1, errorCount: 4, failureCounts: { auth: 4 }, lastUsed: 5 },
      ['"cooldownUntil": goes, it is over'],
      { errorCount: 0, lastUsed: 5 },
    ],
    [
      'is that of an older token',
      { cooldownUntil: T0 + HOUR, lastFailureAt: T0 - 3 * HOUR },
      ['"cooldownUntil": goes, the token is newer than the failure'],
      { errorCount: 0, lastFailureAt: T0 - 3 * HOUR },
    ],
    [
      'was for a dead token',
      { disabledUntil: T0 + HOUR, disabledReason: 'auth', lastFailureAt: T0 - 3 * HOUR },
      ['"disabledUntil": goes, the token is newer than the failure'],
      { errorCount: 0, lastFailureAt: T0 - 3 * HOUR },
    ],
    [
      'is for the money',
      { disabledUntil: T0 + HOUR, disabledReason: 'billing', lastFailureAt: T0 - 3 * HOUR },
      [],
      { disabledUntil: T0 + HOUR, disabledReason: 'billing', lastFailureAt: T0 - 3 * HOUR },
    ],
    [
      'is that of this token',
      { cooldownUntil: T0 + HOUR, lastFailureAt: T0 - MINUTE },
      [],
      { cooldownUntil: T0 + HOUR, lastFailureAt: T0 - MINUTE },
    ],
  ])('whose time out %s', (_, stats, lines, after) => {
    expect(fixedOne(token, stats)).toMatchObject({ lines, stats: after })
  })
})

describe('a file', () => {
  it('keeps its order, its indent, its other providers and what is not known', () => {
    const store = {
      version: 1,
      profiles: {
        'openai:x': { type: 'oauth', provider: 'openai', key: 'x' },
        'anthropic:b': { type: 'oauth', provider: 'anthropic', key: oat },
        'anthropic:a': { type: 'token', provider: 'anthropic', token: '' },
      },
      order: { anthropic: ['anthropic:a', 'anthropic:b'], openai: ['openai:x'] },
      lastGood: { anthropic: 'anthropic:a' },
      usageStats: { 'anthropic:a': { lastUsed: 1 }, 'openai:x': { cooldownUntil: 1 } },
      more: { kept: true },
    }
    const { text, lines } = fix(`${JSON.stringify(store, undefined, 4)}\n`)
    expect(lines).toEqual(['anthropic:b: "key" → "access"', 'anthropic:a: goes, it holds nothing'])
    const after = {
      ...store,
      profiles: {
        'openai:x': store.profiles['openai:x'],
        'anthropic:b': { type: 'oauth', provider: 'anthropic', access: oat, refresh: '' },
      },
      order: { anthropic: ['anthropic:b'], openai: ['openai:x'] },
      lastGood: {},
      usageStats: { 'openai:x': { cooldownUntil: 1 } },
    }
    expect(text).toBe(`${JSON.stringify(after, undefined, 4)}\n`)
    expect(fix(text)).toEqual({ lines: [], text })
  })

  it('loses the mark at its beginning', () => {
    const { lines, text } = fix(`\uFEFF${one({ type: 'token', token: oat })}`)
    expect(lines).toHaveLength(1)
    expect(JSON.parse(text).profiles['anthropic:x'].token).toBe(oat)
  })

  it.each(['', '{', '[]', 'null', `{"${oat}`])('that is no JSON is not guessed at: %#', (text) => {
    expect(() => fix(text)).toThrow(/^main's auth-profiles.json is not what it should be/)
  })

  it('of names that are no names shows no piece of them', () => {
    const hostile = `x\n<b>${oat}</b>`
    const text = JSON.stringify({
      profiles: { [hostile]: { type: 'oauth', provider: 'anthropic', key: oat } },
    })
    expect(fix(text).lines.join()).not.toMatch(/sk-ant|<b>|\n/)
  })

  it.each<[string, object, string[], object]>([
    [
      'with key',
      { key: oat, expires: LATER },
      ['"key" → "access"'],
      { access: oat, refresh: '', expires: LATER },
    ],
    [
      'in seconds',
      { access: oat, refresh: 'r', expires: LATER / 1_000 },
      ['"expires": seconds → milliseconds'],
      { access: oat, refresh: 'r', expires: LATER },
    ],
    ['that is right', { access: oat, expires: LATER }, [], { access: oat, expires: LATER }],
    ['with nothing', { access: '' }, [], { access: '' }],
    ['with an API key', { access: api }, [], { access: api }],
  ])('oauth.json %s', (_, before, lines, after) => {
    const fixed = fixOauth(JSON.stringify({ openai: { access: 'x' }, anthropic: before }))
    expect(fixed.lines.map((line) => line.replace('anthropic: ', ''))).toEqual(lines)
    expect(JSON.parse(fixed.text)).toEqual({ openai: { access: 'x' }, anthropic: after })
  })
})

function runner<I, C>(book: Runbook<I, C>, input: I) {
  const state = openTestState()
  const now = () => T0
  const runbooks = createRunbooks({ ...state, deeds: createDeeds({ ...state, now }), now })
  return async (meanwhile = () => {}) => {
    const plan = await book.plan(input)
    meanwhile()
    await runbooks.start(book, plan, { name: 'Ann (11)' }, 'chat:11').done.catch(() => {})
    const card = state.cards.raisedSince(0).at(-1)?.facts as RunbookCard
    return {
      ...card,
      said: card.steps.map(({ name, state, note }) => `${name} ${state}${note ? `: ${note}` : ''}`),
    }
  }
}

describe('authfix', () => {
  function createHouse() {
    const root = join(tempDir(), 'state')
    mkdirSync(root)
    const put = (file: string, text: string) => {
      mkdirSync(dirname(join(root, file)), { recursive: true })
      writeFileSync(join(root, file), text)
      return join(root, file)
    }
    const places = createPlaces({
      stateDir: async () => root,
      envPath: async () => undefined,
      version: async () => undefined,
    })
    const book = createAuthfix({ places, now: () => T0 })
    const findings = async () => (await book.plan({})).findings.map(({ level, text }) => `${level} ${text}`)
    return { root, put, book, findings, run: runner(book, {}) }
  }
  const MAIN = 'agents/main/agent/auth-profiles.json'
  const wrong = one({ type: 'oauth', key: oat, expires: LATER / 1_000 })

  it('shows what it would do without a value, does it, and keeps what was there', async () => {
    const house = createHouse()
    const path = house.put(MAIN, wrong)
    chmodSync(path, 0o640)
    const { findings, context } = await house.book.plan({})
    expect(findings.map(({ text }) => text)).toEqual([
      'auth-profiles.json of main: anthropic:x: "key" → "access"',
      'auth-profiles.json of main: anthropic:x: "expires": seconds → milliseconds',
    ])
    expect(JSON.stringify([findings, context])).not.toMatch(/sk-ant/)
    const { said } = await house.run()
    expect(said).toEqual([
      'files done: auth-profiles.json of main: 2 faults put right. What was there before lies beside it as .bak.',
      'proof done: read again: no fault is left. The gateway reads its files at every run.',
    ])
    expect(JSON.parse(readFileSync(path, 'utf8')).profiles['anthropic:x'].access).toBe(oat)
    expect(readFileSync(`${path}.bak`, 'utf8')).toBe(wrong)
    expect([statSync(path).mode & 0o777, statSync(`${path}.bak`).mode & 0o777]).toEqual([0o640, 0o600])
    expect(await house.findings()).toEqual(['block there is nothing to put right.'])
  })

  it('leaves a file alone that has other faults by then', async () => {
    const house = createHouse()
    const path = house.put(MAIN, wrong)
    const other = one({ type: 'token', key: oat })
    const { said } = await house.run(() => writeFileSync(path, other))
    expect(said[0]).toContain('has other faults than were shown: it is as it was')
    expect(readFileSync(path, 'utf8')).toBe(other)
  })

  it('goes past what it cannot read, and says so', async () => {
    const house = createHouse()
    house.put(MAIN, '{')
    house.put('agents/desk/agent/auth-profiles.json', wrong)
    house.put('credentials/oauth.json', JSON.stringify({ anthropic: { key: oat } }))
    expect(await house.findings()).toEqual([
      'ok auth-profiles.json of desk: anthropic:x: "key" → "access"',
      'ok auth-profiles.json of desk: anthropic:x: "expires": seconds → milliseconds',
      'ok credentials/oauth.json: anthropic: "key" → "access"',
      expect.stringMatching(/^warn auth-profiles.json of main is not what it should be/),
    ])
  })

  it('touches no file of a gateway that has moved to SQLite', async () => {
    const house = createHouse()
    const path = house.put(MAIN, wrong)
    house.put('state/openclaw.sqlite', '')
    expect((await house.findings())[0]).toContain('block the gateway keeps its profiles in SQLite')
    expect(readFileSync(path, 'utf8')).toBe(wrong)
    const late = createHouse()
    const there = late.put(MAIN, wrong)
    const { said } = await late.run(() => void late.put('state/openclaw.sqlite', ''))
    expect(said[0]).toContain('files failed: The gateway keeps its profiles in SQLite by now')
    expect([readFileSync(there, 'utf8'), existsSync(`${there}.bak`)]).toEqual([wrong, false])
  })
})

describe('migrate', () => {
  const compose = {
    ...{ project: 'oc', service: 'openclaw-gateway', workingDir: '/srv/oc', dependent: false },
    ...{ configFiles: ['/srv/oc/docker-compose.yml'], environmentFiles: [] },
  }
  const brief: ContainerBrief = {
    ...{ id: 'a'.repeat(64), name: 'openclaw-gateway', image: 'oc', state: 'running', status: 'Up' },
    ...{ createdAt: 1, compose, labels: {} },
  }

  function createHouse(over: Partial<MigrateParts> = {}) {
    const yard = { legacy: ['credentials/oauth.json'], sqlite: true, state: 'running', did: [] as string[] }
    const seen = () => ({ auth: { legacy: yard.legacy, sqlite: yard.sqlite } })
    const book = createMigrate({
      docker: {
        list: async () => [brief],
        inspect: async () =>
          ({ ...brief, state: yard.state, startedAt: T0, stopSeconds: 10 }) as never as Container,
        stop: async (_, grace) => void yard.did.push(`stop ${grace}`),
        start: async () => void yard.did.push('start'),
      },
      compose: {
        async run(argv) {
          yard.did.push(argv.join(' '))
          yard.legacy = []
        },
      },
      deployment: { watched: [] },
      findGateway: async () => brief,
      stateDir: async () => ({ state: 'seen', seen: seen() }) as never as StateDirLook,
      words: async () => ['node', 'dist/index.js'],
      expectDown: (key, down) => void yard.did.push(`${key} ${down ? 'down' : 'up'}`),
      findings: async () => [{ level: 'ok', text: 'its agents are idle' }],
      ready: async () => 'ready over the link after 9 s',
      now: () => T0,
      ...over,
    })
    return { yard, book, run: runner(book, {}) }
  }
  const DOCTOR =
    'docker compose -p oc --project-directory /srv/oc -f /srv/oc/docker-compose.yml run --rm --no-deps -T --entrypoint node openclaw-gateway dist/index.js doctor --fix --non-interactive'

  it('stops the gateway, has its own doctor take the files in, starts it and proves it', async () => {
    const house = createHouse()
    const { commands, findings } = await house.book.plan({})
    expect(commands.map((argv) => argv.join(' '))).toEqual([
      'docker stop -t 330 openclaw-gateway',
      DOCTOR,
      'docker start openclaw-gateway',
    ])
    expect(findings.map(({ text }) => text)).toEqual([
      '1 file of an older version: credentials/oauth.json',
      'the doctor itself takes them into the database and archives what they held beside them',
      'its agents are idle',
    ])
    const { said } = await house.run()
    expect(said.slice(1)).toEqual([
      'doctor done: the files are taken in and archived',
      'start done: started again',
      'proof done: ready over the link after 9 s, no credential file is left beside the database',
    ])
    expect(house.yard.did).toEqual([
      'openclaw-gateway down',
      'stop 330',
      DOCTOR,
      'start',
      'openclaw-gateway up',
    ])
  })

  it('whose doctor fails starts the gateway again, and says so', async () => {
    const house = createHouse({
      compose: { run: () => Promise.reject(new OpsError('Compose failed (exit 1): no.')) },
    })
    const { said, left } = await house.run()
    expect(said[1]).toBe(
      'doctor failed: The doctor did not end well: Compose failed (exit 1): no. The gateway was started again as it was.',
    )
    expect(house.yard.did).toContain('start')
    expect(left).toBe('The gateway is running. Still to be migrated: credentials/oauth.json.')
  })

  it('is not proved while a file is left', async () => {
    const house = createHouse({ compose: { run: async () => {} } })
    const { said } = await house.run()
    expect(said[3]).toContain('these files are still there: credentials/oauth.json')
  })

  it.each<[string, (house: ReturnType<typeof createHouse>) => void, string]>([
    ['where no file lies', ({ yard }) => void yard.legacy.pop(), 'there is nothing to migrate'],
    [
      'on a version that keeps files',
      ({ yard }) => {
        yard.sqlite = false
      },
      'there is nothing to migrate',
    ],
  ])('does nothing %s', async (_, change, why) => {
    const house = createHouse()
    change(house)
    expect((await house.book.plan({})).findings).toEqual([
      { level: 'block', text: expect.stringContaining(why) },
    ])
  })

  it('without Compose says what to do by hand', async () => {
    const { compose: _, ...plain } = brief
    const house = createHouse({ findGateway: async () => plain })
    expect((await house.book.plan({})).findings[0]?.text).toContain('by hand while it is stopped')
  })
})
