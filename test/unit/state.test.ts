// The state file: damaged, old, new, locked, full; and what is remembered in it.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createRedact } from '../../src/log.ts'
import type { MetaValues } from '../../src/ops/meta.ts'
import { createAlertLog } from '../../src/ops/state/alerts.ts'
import { createInbox, pruneInbox } from '../../src/ops/state/inbox.ts'
import { openState, type State } from '../../src/ops/state/index.ts'
import { createMeta } from '../../src/ops/state/meta.ts'
import { MIGRATIONS } from '../../src/ops/state/schema.ts'
import { lockDirectory } from '../../src/ops/state/sqlite.ts'
import { HOUR, MINUTE, openTestState, T0, tempDir } from './help.ts'

const details = (state: State) => state.audit.list(10_000).map(({ detail }) => detail)

/** A state of some pages, closed: its directory. */
function filled(): string {
  const directory = tempDir()
  const state = openTestState(directory)
  state.store.write(() => {
    for (let row = 0; row < 500; row++) state.audit.note('Ann', 'note', `row ${row} `.repeat(20), T0)
  })
  state.store.close()
  return directory
}

describe('a damaged file', () => {
  const overwrite = (file: string, from: number, bytes: Buffer) => {
    const all = readFileSync(file)
    bytes.copy(all, from)
    writeFileSync(file, all)
  }
  it.each<[string, (file: string) => void]>([
    ['that is garbage', (file) => writeFileSync(file, Buffer.alloc(50_000, 0xa5))],
    ['that is a text', (file) => writeFileSync(file, 'this is no database\n'.repeat(99))],
    ['whose header is gone', (file) => overwrite(file, 0, Buffer.alloc(100))],
    ['that lost its second half', (file) => truncateSync(file, readFileSync(file).length / 2)],
    ['that ends within a page', (file) => truncateSync(file, 4096 * 3 + 77)],
    ['one page of which was overwritten', (file) => overwrite(file, 4096 * 5, Buffer.alloc(4096, 0xff))],
    ['whose table of contents was overwritten', (file) => overwrite(file, 200, Buffer.alloc(3_000, 0xff))],
  ])('%s is set aside with all its bytes, and says so', (_, damage) => {
    const directory = filled()
    const file = join(directory, 'state.db')
    damage(file)
    const bytes = readFileSync(file)
    const state = openTestState(directory)
    const aside = readdirSync(directory).filter((name) => /damaged.*Z$/.test(name))
    expect(aside).toEqual(['state.db.damaged-2026-11-20T12-00-00.000Z'])
    expect(readFileSync(join(directory, aside[0] ?? '')).equals(bytes)).toBe(true)
    expect(state.store.findings).toEqual([
      expect.stringMatching(/^The state file was damaged \(.+\) and lies now at .+\.damaged-/),
    ])
    expect(state.store.durable()).toBe(true)
    state.audit.note('Ann', 'note', 'begun anew', T0)
    expect(details(state)).toEqual(['begun anew'])
  })

  it.each<[string, (file: string) => void]>([
    ['whose header is gone', (file) => overwrite(file, 0, Buffer.alloc(100))],
    ['one page of which was overwritten', (file) => overwrite(file, 4096 * 5, Buffer.alloc(4096, 0xff))],
  ])('%s is set aside together with the log that a kill left beside it', (_, damage) => {
    const source = filled()
    openTestState(source).audit.note('Ann', 'note', 'only in the log', T0)
    const directory = tempDir()
    for (const name of ['state.db', 'state.db-wal']) copyFileSync(join(source, name), join(directory, name))
    damage(join(directory, 'state.db'))
    const bytes = ['state.db', 'state.db-wal'].map((name) => readFileSync(join(directory, name)))
    expect(openTestState(directory).store.findings).toHaveLength(1)
    const aside = readdirSync(directory).filter((name) => /damaged.*Z(-wal)?$/.test(name))
    expect(aside).toHaveLength(2)
    for (const [index, name] of aside.sort().entries())
      expect(readFileSync(join(directory, name)).equals(bytes[index] ?? Buffer.of())).toBe(true)
  })

  it('a sound file that a kill left behind has all that was committed, and no findings', () => {
    const source = tempDir()
    const state = openTestState(source)
    state.audit.note('Ann', 'note', 'only in the log', T0)
    const directory = tempDir()
    for (const name of ['state.db', 'state.db-wal']) copyFileSync(join(source, name), join(directory, name))
    const after = openTestState(directory)
    expect([details(after), after.store.findings]).toEqual([['only in the log'], []])
  })
})

describe('schemas', () => {
  it('a file of a newer opsbot is refused in words, and left as it is', () => {
    const directory = filled()
    const file = join(directory, 'state.db')
    const db = new DatabaseSync(file)
    db.exec(`PRAGMA user_version = ${MIGRATIONS.length + 1}`)
    db.close()
    const bytes = readFileSync(file)
    const open = () => openTestState(directory)
    expect(open).toThrow(OpsError)
    expect(open).toThrow(
      `was written by a newer opsbot (schema ${MIGRATIONS.length + 1}, this one knows ${MIGRATIONS.length}). Run that version, or move the file away.`,
    )
    expect(readFileSync(file).equals(bytes)).toBe(true)
  })

  interface Column {
    name: string
    type: string
  }
  const tablesOf = (db: DatabaseSync) =>
    db
      .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .all()
      .map(({ name }) => `${name}`)
  const columnsOf = (db: DatabaseSync, table: string) =>
    db.prepare(`PRAGMA table_info(${table})`).all() as unknown as Column[]
  /** Values that a column's own rules ask for. */
  const APT: Record<string, string | null> = {
    state: 'done',
    phase: 'note',
    intent_id: null,
    audience: 'alerts',
  }

  /** A file of an older schema with one row in each of its tables. */
  function write(version: number, file: string): string[] {
    const db = new DatabaseSync(file)
    db.exec(
      `PRAGMA journal_mode = WAL; ${MIGRATIONS.slice(0, version).join('')} PRAGMA user_version = ${version}`,
    )
    const tables = tablesOf(db)
    db.exec('PRAGMA foreign_keys = OFF')
    for (const table of tables) {
      const columns = columnsOf(db, table)
      const values = columns.map(
        ({ name, type }) => (name in APT ? APT[name] : type === 'TEXT' ? '{}' : 1) ?? null,
      )
      db.prepare(`INSERT INTO ${table} VALUES (${columns.map(() => '?')})`).run(...values)
    }
    db.close()
    return tables
  }

  it.each(MIGRATIONS.map((_, version) => version + 1))(
    'a file of schema %i is brought up with all its rows',
    (version) => {
      const directory = tempDir()
      const file = join(directory, 'state.db')
      const tables = write(version, file)
      expect(tables.length).toBeGreaterThan(5)
      const state = openTestState(directory)
      for (const table of tables)
        expect([table, state.store.get(`SELECT count(*) AS rows FROM ${table}`)]).toEqual([
          table,
          { rows: 1 },
        ])
      expect(state.store.findings).toEqual([])
      expect(state.audit.list(9)).toHaveLength(1)
      expect(state.cards.raisedSince(0)).toHaveLength(1)
      state.store.close()

      const [brought, fresh] = [new DatabaseSync(file), new DatabaseSync(':memory:')]
      fresh.exec(MIGRATIONS.join(''))
      expect(brought.prepare('PRAGMA user_version').get()).toEqual({ user_version: MIGRATIONS.length })
      expect(tablesOf(brought)).toEqual(tablesOf(fresh))
      for (const table of tablesOf(fresh)) expect(columnsOf(brought, table)).toEqual(columnsOf(fresh, table))
      brought.close()
    },
  )

  it('a file that a kill left empty is a new one', () => {
    const directory = tempDir()
    writeFileSync(join(directory, 'state.db'), '')
    expect(openTestState(directory).audit.list(1)).toEqual([])
  })
})

describe('the lock of a directory', () => {
  it('is refused to a second bot in words, and free again once it is given up', () => {
    const directory = join(tempDir(), 'made', 'for us')
    const unlock = lockDirectory(directory)
    expect(() => lockDirectory(directory)).toThrow(
      `Another opsbot is running on the state directory ${directory}. Stop it first, or talk to it with "npm run console".`,
    )
    unlock()
    lockDirectory(directory)()
  })

  it('is held for as long as the process lives, and freed by kill -9', async () => {
    const directory = tempDir()
    const module = new URL('../../src/ops/state/sqlite.ts', import.meta.url).href
    const script = `
      const { lockDirectory } = await import(${JSON.stringify(module)})
      lockDirectory(${JSON.stringify(directory)})
      for (let turn = 0; turn < 3; turn++) {
        globalThis.gc()
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      process.stdout.write('locked')
      setInterval(() => {}, 1e6)`
    const child = spawn(process.execPath, ['--expose-gc', '--input-type=module', '--eval', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    expect(() => lockDirectory(directory)).toThrow('Another opsbot is running')
    child.kill('SIGKILL')
    await once(child, 'exit')
    lockDirectory(directory)()
  })

  it('says what to do about a directory that cannot be used', () => {
    const directory = join(tempDir(), 'file')
    writeFileSync(directory, '')
    expect(() => lockDirectory(directory)).toThrow(
      /cannot be used: .+\. Set OPSBOT_STATE_DIR to a directory that this user may write\./,
    )
  })
})

it('no secret is ever written, through whichever door it comes', () => {
  const known = 'correct horse battery'
  const shaped = `${'12345678'}:${'A'.repeat(35)}`
  const secret = `${known} ${shaped}`
  const directory = tempDir()
  const state = openState({ directory, redact: createRedact([known]), now: T0 })
  const { store, audit, cards, copies, chats, jobs, runs } = state
  const meta = createMeta<MetaValues>(store)
  const alerts = createAlertLog<{ why: string }>(store)
  const inbox = createInbox<{ text: string }>(store)
  alerts.save(secret, { why: `line\n${secret}` })
  alerts.mute({ subject: secret, until: T0, by: secret })
  alerts.sample([{ key: secret, value: 1 }], T0)
  audit.note(secret, secret, secret, T0)
  const deed = audit.begin(secret, secret, secret, secret, T0)
  audit.end(deed, 'failed', secret, T0)
  runs.begin({ deedId: deed, cardId: 1, runbook: secret, context: { secret } }, [secret])
  const card = cards.raise(
    { kind: secret, audience: 'alerts', facts: { secret }, ring: true, join: { key: secret, until: T0 } },
    T0,
  )
  cards.revise(card, { lines: [`\t${secret}`] })
  copies.address(card, [1], T0)
  for (const copy of copies.due(T0)) copies.bury(copy, secret)
  chats.close(1, secret, T0)
  jobs.finished(secret, 'failed', secret, T0)
  meta.set('frozen', { by: secret, at: T0 })
  inbox.add([{ updateId: 1, request: { text: secret } }], T0)
  const files = () =>
    readdirSync(directory)
      .map((name) => readFileSync(join(directory, name), 'latin1'))
      .join('')
  const before = files()
  store.close()
  const bytes = before + files()
  expect(bytes).toContain('[redacted]')
  for (const part of [known, shaped, shaped.slice(9)]) expect(bytes.includes(part)).toBe(false)
})

describe('a transaction', () => {
  it('that throws leaves nothing behind, the calls inside it included', () => {
    const { store, audit } = openTestState()
    const work = () => {
      audit.note('Ann', 'note', 'half', T0)
      throw new Error('the other half')
    }
    expect(() => store.write(work)).toThrow('the other half')
    expect(audit.list(9)).toEqual([])
    expect(store.write(() => store.write(() => 'both'))).toBe('both')
  })

  it('is on disk when it returns: another reader sees it', () => {
    const directory = tempDir()
    const { audit } = openTestState(directory, false)
    audit.note('Ann', 'note', 'seen', T0)
    const reader = new DatabaseSync(join(directory, 'state.db'), { readOnly: true })
    expect(reader.prepare('SELECT detail FROM audit').all()).toEqual([{ detail: 'seen' }])
    reader.close()
  })
})

describe('the inbox', () => {
  const open = () => {
    const { store } = openTestState()
    return { store, inbox: createInbox<string>(store) }
  }
  const batch = (...ids: number[]) => ids.map((updateId) => ({ updateId, request: `update ${updateId}` }))
  const ids = (rows: readonly { updateId: number }[]) => rows.map(({ updateId }) => updateId)

  it('takes an update once, also when ids begin lower again', () => {
    const { inbox } = open()
    expect(ids(inbox.add(batch(900, 901), T0))).toEqual([900, 901])
    expect(ids(inbox.add(batch(901, 902, 900), T0))).toEqual([902])
    expect(ids(inbox.add(batch(5, 6, 5), T0))).toEqual([5, 6])
    expect(ids(inbox.add(batch(902, 7), T0))).toEqual([7])
  })

  it('knows an update that was answered for 48 hours, and one that was not for ever', () => {
    const { inbox, store } = open()
    inbox.add(batch(1, 2), T0)
    inbox.done(1)
    inbox.flush()
    expect(pruneInbox(store, T0 + 48 * HOUR)).toBe(0)
    expect(ids(inbox.add(batch(1), T0 + 48 * HOUR))).toEqual([])
    expect(pruneInbox(store, T0 + 48 * HOUR + 1)).toBe(1)
    expect(ids(inbox.add(batch(1), T0 + 49 * HOUR))).toEqual([1])
    expect(pruneInbox(store, T0 + 1_000 * HOUR)).toBe(0)
  })

  it('gives what is unfinished in its order, and knows what was begun', () => {
    const { inbox } = open()
    inbox.add(batch(12, 11, 10, 13), T0)
    inbox.started(11)
    inbox.done(12)
    inbox.flush()
    expect(inbox.unfinished()).toEqual([
      { updateId: 10, receivedAt: T0, state: 'waiting', request: 'update 10' },
      { updateId: 11, receivedAt: T0, state: 'started', request: 'update 11' },
      { updateId: 13, receivedAt: T0, state: 'waiting', request: 'update 13' },
    ])
  })

  it('commits many answers at once, within 50 ms', async () => {
    const { inbox } = open()
    inbox.add(batch(1, 2, 3), T0)
    for (const id of [1, 2, 3]) inbox.done(id)
    expect(inbox.unfinished()).toHaveLength(3)
    await expect.poll(() => inbox.unfinished(), { interval: 5, timeout: 1_000 }).toEqual([])
  })
})

describe('the audit', () => {
  it('tells a deed with its outcome as one, the newest first', () => {
    const { audit } = openTestState()
    const first = audit.begin('Ann', 'mute', 'disk', undefined, T0)
    audit.note('opsbot', 'stranger', '3 refused', T0 + 1)
    audit.end(first, 'failed', 'no disk', T0 + 2)
    const running = audit.begin('Bob', 'freeze', '', undefined, T0 + 3)
    expect(audit.list(9)).toEqual([
      { id: running, at: T0 + 3, actor: 'Bob', action: 'freeze', detail: '' },
      { id: 2, at: T0 + 1, actor: 'opsbot', action: 'stranger', detail: '3 refused' },
      { id: first, at: T0, actor: 'Ann', action: 'mute', detail: 'disk', result: 'failed', endedAt: T0 + 2 },
    ])
    expect(audit.running().map(({ id }) => id)).toEqual([running])
    expect(audit.list(9, 'Ann').map(({ action }) => action)).toEqual(['mute'])
    expect(audit.list(1).map(({ action }) => action)).toEqual(['freeze'])
  })

  it('gives a resource to one deed at a time, across restarts', () => {
    const directory = tempDir()
    const first = openTestState(directory)
    const id = first.audit.begin('Ann (11)', 'recreate', 'gateway', 'gateway', T0)
    first.audit.begin('Ann (11)', 'backup', '', 'backup', T0)
    first.store.close()
    const { audit } = openTestState(directory)
    const again = () => audit.begin('Bob', 'recreate', 'gateway', 'gateway', T0)
    expect(again).toThrow('Ann (11) is already at it: recreate gateway')
    expect(audit.list(9)).toHaveLength(2)
    audit.end(id, 'interrupted', '', T0)
    expect(again()).toBeGreaterThan(id)
  })

  it('never lets a deed end twice', () => {
    const { audit } = openTestState()
    const id = audit.begin('Ann', 'mute', '', undefined, T0)
    audit.end(id, 'done', '', T0)
    expect(() => audit.end(id, 'failed', '', T0)).toThrow()
    expect(audit.list(9).map(({ result }) => result)).toEqual(['done'])
  })
})

describe('copies', () => {
  const raise = (state: State, more: Partial<Parameters<State['cards']['raise']>[0]> = {}, now = T0) =>
    state.cards.raise({ kind: 'notice', audience: 'alerts', facts: {}, ring: false, ...more }, now)
  /** A card that chats have. */
  function shown(state: State, chats: readonly number[], more = {}): number {
    const id = raise(state, more)
    state.copies.address(id, chats, T0)
    deliver(state)
    return id
  }
  function deliver(state: State, now = T0): void {
    for (const copy of state.copies.due(now))
      state.copies.delivered(copy, copy.messageId ?? copy.card.id * 10, copy.card.revision)
  }
  const due = (state: State, now = T0) =>
    state.copies.due(now).map(({ card, chatId, messageId }) => [card.id, chatId, messageId])

  it('are due when their time has come: what rings first, then the oldest', () => {
    const state = openTestState()
    const [old, late, loud, newer] = [{}, { dueAt: T0 + HOUR }, { ring: true }, {}].map((more) =>
      raise(state, more),
    )
    expect(state.copies.unaddressed().map(({ id, dueAt }) => [id, dueAt - T0])).toEqual([
      [old, 0],
      [late, HOUR],
      [loud, 0],
      [newer, 0],
    ])
    for (const { id, dueAt } of state.copies.unaddressed()) state.copies.address(id, [7], dueAt)
    expect(due(state)).toEqual([loud, old, newer].map((id) => [id, 7, undefined]))
    expect(state.copies.nextDue(T0)).toBe(T0 + HOUR)
    deliver(state)
    expect(due(state)).toEqual([])
    expect(due(state, T0 + HOUR)).toEqual([[late, 7, undefined]])
  })

  it('are due again as an edit when their card has new facts, as often as that is', () => {
    const state = openTestState()
    const id = shown(state, [7])
    state.cards.revise(id, { a: 1 })
    state.cards.revise(id, { a: 2 })
    expect(state.copies.due(T0)).toMatchObject([
      { chatId: 7, messageId: 10, unseen: false, card: { facts: { a: 2 }, revision: 3 } },
    ])
    deliver(state)
    expect(due(state)).toEqual([])
  })

  it('whose card changed while they were on their way are still behind', () => {
    const state = openTestState()
    const id = raise(state)
    state.copies.address(id, [7], T0)
    const [copy] = state.copies.due(T0)
    state.cards.revise(id, { newer: true })
    if (copy) state.copies.delivered(copy, 10, copy.card.revision)
    expect(due(state)).toEqual([[id, 7, 10]])
  })

  it('of an answer wait for what they answer, and then reply to it', () => {
    const state = openTestState()
    const fired = raise(state)
    state.copies.address(fired, [7], T0 + MINUTE)
    const over = state.cards.revise(fired, { over: true })
    const answer = raise(state, { answers: { card: fired, revision: over + 1 } })
    state.copies.address(answer, [7], T0)
    expect(due(state)).toEqual([])
    deliver(state, T0 + MINUTE)
    state.cards.revise(fired, { over: 'truly' })
    deliver(state, T0 + MINUTE)
    expect(state.copies.due(T0 + MINUTE)).toMatchObject([])
    expect(state.store.get('SELECT message_id AS id FROM copies WHERE card_id = ?', answer)).toEqual({
      id: answer * 10,
    })
  })

  it('of an answer reply to the message in their own chat', () => {
    const state = openTestState()
    const fired = shown(state, [7, 8])
    const revision = state.cards.revise(fired, { over: true })
    const answer = raise(state, { answers: { card: fired, revision } })
    state.copies.address(answer, [7, 8], T0)
    expect(state.copies.due(T0).filter(({ card }) => card.id === answer)).toMatchObject([
      { chatId: 7, replyTo: 10 },
      { chatId: 8, replyTo: 10 },
    ])
  })

  it('of an answer are dropped where the end was the first that was seen', () => {
    const state = openTestState()
    const fired = raise(state)
    state.copies.address(fired, [7], T0)
    const revision = state.cards.revise(fired, { over: true })
    const answer = raise(state, { answers: { card: fired, revision } })
    state.copies.address(answer, [7], T0)
    deliver(state)
    expect(due(state)).toEqual([])
    expect(state.copies.overdueSince()).toBeUndefined()
  })

  it('whose message is gone are sent anew', () => {
    const state = openTestState()
    const id = shown(state, [7])
    state.cards.revise(id, {})
    for (const copy of state.copies.due(T0)) state.copies.lost(copy)
    expect(state.copies.due(T0)).toMatchObject([{ chatId: 7, unseen: false }])
    expect(due(state)).toEqual([[id, 7, undefined]])
  })

  it('that are put off come back later, and count their tries', () => {
    const state = openTestState()
    state.copies.address(raise(state), [7], T0)
    for (const copy of state.copies.due(T0)) state.copies.postpone(copy, T0 + MINUTE)
    expect(due(state)).toEqual([])
    expect(state.copies.due(T0 + MINUTE)).toMatchObject([{ tries: 1 }])
    deliver(state, T0 + MINUTE)
    state.cards.revise(1, {})
    expect(state.copies.due(T0 + MINUTE)).toMatchObject([{ tries: 0 }])
  })

  it('that can never be delivered are left alone', () => {
    const state = openTestState()
    state.copies.address(raise(state), [7, 8], T0)
    for (const copy of state.copies.due(T0)) if (copy.chatId === 7) state.copies.bury(copy, 'no')
    expect(due(state)).toEqual([[1, 8, undefined]])
  })

  it('in a closed chat wait until it is open', () => {
    const state = openTestState()
    state.copies.address(raise(state), [7], T0)
    state.chats.close(7, 'blocked', T0)
    state.chats.close(7, 'blocked still', T0 + 1)
    expect([due(state), state.copies.nextDue(0)]).toEqual([[], undefined])
    expect(state.chats.list()).toEqual([{ id: 7, closed: 'blocked still', closedAt: T0 }])
    state.chats.open(7, T0)
    expect(due(state)).toEqual([[1, 7, undefined]])
    expect(state.chats.list()).toEqual([{ id: 7 }])
  })

  it('that wait for a closed chat go to others, what was delivered there stays', () => {
    const state = openTestState()
    const told = shown(state, [7])
    const waiting = raise(state)
    state.copies.address(waiting, [7], T0)
    state.chats.close(7, 'kicked', T0)
    state.copies.readdress(7, [1, 2, 7], T0)
    expect(due(state)).toEqual([
      [waiting, 1, undefined],
      [waiting, 2, undefined],
    ])
    deliver(state)
    state.chats.open(7, T0)
    state.cards.revise(told, {})
    expect(due(state)).toEqual([[told, 7, 10]])
  })

  it('follow a group to the supergroup that it became, as new messages', () => {
    const state = openTestState()
    const told = shown(state, [7])
    const waiting = raise(state)
    state.copies.address(waiting, [7], T0)
    state.chats.move(7, -1007)
    state.cards.revise(told, {})
    expect(due(state)).toEqual([
      [told, -1007, undefined],
      [waiting, -1007, undefined],
    ])
    expect(state.chats.list()).toEqual([{ id: 7, movedTo: -1007 }])
  })

  describe('are overdue', () => {
    it.each<[string, (state: State) => unknown, number | undefined]>([
      ['never when there are none', () => {}, undefined],
      ['from their time when no chat was chosen for them', (state) => raise(state), T0],
      ['from their time, not before it', (state) => raise(state, { dueAt: T0 + HOUR }), T0 + HOUR],
      ['when no chat has one', (state) => state.copies.address(raise(state), [7, 8], T0), T0],
      [
        'not when one of two chats has one',
        (state) => {
          state.copies.address(raise(state), [7, 8], T0)
          for (const copy of state.copies.due(T0).slice(1)) state.copies.delivered(copy, 1, 1)
        },
        undefined,
      ],
      [
        'when the only chat is closed',
        (state) => {
          state.copies.address(raise(state), [7], T0)
          state.chats.close(7, 'blocked', T0)
        },
        T0,
      ],
      ['not for an edit that waits', (state) => state.cards.revise(shown(state, [7]), {}), undefined],
      [
        'not for what can never be delivered, nor for its answer',
        (state) => {
          const fired = raise(state)
          state.copies.address(fired, [7], T0)
          for (const copy of state.copies.due(T0)) state.copies.bury(copy, 'no')
          const revision = state.cards.revise(fired, {})
          state.copies.address(raise(state, { answers: { card: fired, revision } }), [7], T0)
        },
        undefined,
      ],
      [
        'for an answer with which the owners stand in for a closed chat',
        (state) => {
          const fired = shown(state, [7])
          const revision = state.cards.revise(fired, {})
          state.chats.close(7, 'kicked', T0)
          state.copies.address(raise(state, { answers: { card: fired, revision } }), [1], T0)
          expect(state.copies.due(T0)).toMatchObject([{ chatId: 1 }])
        },
        T0,
      ],
      [
        'for an answer that somebody waits for',
        (state) => {
          const fired = shown(state, [7])
          const revision = state.cards.revise(fired, {})
          state.copies.address(raise(state, { answers: { card: fired, revision } }, T0 + 5), [7], T0)
        },
        T0 + 5,
      ],
    ])('%s', (_, prepare, since) => {
      const state = openTestState()
      prepare(state)
      expect(state.copies.overdueSince()).toBe(since)
    })
  })

  it('vanish with their card, unless an alert still lives on it', () => {
    const state = openTestState()
    const [old, living, young] = [shown(state, [7]), shown(state, [7]), raise(state, {}, T0 + HOUR)]
    const log = createAlertLog(state.store)
    log.moveTo(log.save('disk', {}), living)
    state.cards.prune(T0 + HOUR)
    expect(state.cards.raisedSince(0).map(({ id }) => id)).toEqual([living, young])
    expect(state.store.all('SELECT card_id AS card FROM copies')).toEqual([{ card: living }])
    expect(state.cards.card(old)).toBeUndefined()
  })

  it('are looked after at each change: the listeners are called once it is committed', async () => {
    const state = openTestState()
    const seen: number[] = []
    const stop = state.cards.watch(() => seen.push(state.copies.unaddressed().length))
    raise(state)
    expect(seen).toEqual([])
    await new Promise(setImmediate)
    expect(seen).toEqual([1])
    stop()
    raise(state)
    await new Promise(setImmediate)
    expect(seen).toEqual([1])
  })
})

describe('a card', () => {
  it('can be joined until its time, by its key, the newest first', () => {
    const { cards } = openTestState()
    const raise = (key: string, until: number) =>
      cards.raise(
        { kind: 'alerts', audience: 'alerts', facts: { key }, ring: false, join: { key, until } },
        T0,
      )
    const [first, second] = [raise('storm', T0 + 10), raise('storm', T0 + 20)]
    raise('held', T0 + HOUR)
    expect(cards.joinable('storm', T0 + 10)?.id).toBe(second)
    expect(cards.joinable('storm', T0 + 20)?.id).toBe(second)
    expect(cards.joinable('storm', T0 + 21)).toBeUndefined()
    expect(first).not.toBe(second)
  })
})

describe('single values and jobs', () => {
  it('are kept across a restart', () => {
    const directory = tempDir()
    const before = openTestState(directory)
    createMeta<MetaValues>(before.store).set('frozen', { by: 'Ann', at: T0 })
    createMeta<MetaValues>(before.store).set('aliveAt', T0)
    createMeta<MetaValues>(before.store).clear('aliveAt')
    before.jobs.due('digest', T0 + HOUR)
    before.jobs.started('digest', T0)
    before.jobs.finished('digest', 'failed', 'no', T0 + 1)
    before.jobs.due('gone', T0)
    before.jobs.keep(['digest'])
    before.store.close()
    const { store, jobs } = openTestState(directory)
    const meta = createMeta<MetaValues>(store)
    expect([meta.get('frozen'), meta.get('aliveAt'), meta.get('menu')]).toEqual([
      { by: 'Ann', at: T0 },
      undefined,
      undefined,
    ])
    expect(jobs.list()).toEqual([
      {
        name: 'digest',
        dueAt: T0 + HOUR,
        startedAt: T0,
        finishedAt: T0 + 1,
        result: 'failed',
        message: 'no',
      },
    ])
  })

  it('a job that starts again has not finished yet', () => {
    const { jobs } = openTestState()
    jobs.finished('digest', 'done', '', T0)
    jobs.started('digest', T0 + 1)
    expect(jobs.list()).toMatchObject([{ startedAt: T0 + 1, result: 'done' }])
    expect(jobs.list()[0]).not.toHaveProperty('finishedAt')
  })
})

function mayMount(): boolean {
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** A small file system of its own, filled to the last byte by `fill` and freed by `free`. */
function smallDisk() {
  const directory = tempDir()
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', directory])
  onTestFinished(() => void execFileSync('umount', ['--lazy', directory]))
  const filler = join(directory, 'filler')
  let used = 0
  return {
    directory,
    fill(): void {
      try {
        for (;;) writeFileSync(`${filler}${used++}`, Buffer.alloc(4096))
      } catch {
        // It is full.
      }
    },
    free(): void {
      for (const name of readdirSync(directory)) if (name.startsWith('filler')) rmSync(join(directory, name))
    },
    ballast: () => existsSync(join(directory, 'ballast')),
  }
}

describe.skipIf(!mayMount())('a disk that is full', () => {
  const long = 'x'.repeat(3_000)
  /** Writes until it no longer lands on disk. @returns how many notes were taken. */
  function writeUntilFull(state: State): number {
    let taken = 0
    while (state.store.durable() && taken < 2_000) state.audit.note('Ann', `note ${taken++}`, long, T0)
    return taken
  }

  it('first takes the ballast, then nothing more: all goes on from memory, and comes back to disk by itself', () => {
    const disk = smallDisk()
    const state = openTestState(disk.directory)
    expect(disk.ballast()).toBe(true)
    disk.fill()
    state.audit.note('Ann', 'note 0', long, T0)
    while (disk.ballast()) state.audit.note('Ann', 'more', long, T0)
    expect(state.store.durable()).toBe(true)
    const onDisk = state.audit.list(10_000).length

    const taken = writeUntilFull(state)
    expect(taken).toBeGreaterThan(50)
    state.audit.note('Ann', 'in memory', long, T0)
    const card = state.cards.raise({ kind: 'notice', audience: 'alerts', facts: { a: 1 }, ring: true }, T0)
    state.store.heal()
    expect(state.store.durable()).toBe(false)
    expect(state.audit.list(10_000)).toHaveLength(onDisk + taken + 1)
    expect(state.cards.card(card)?.facts).toEqual({ a: 1 })

    disk.free()
    state.store.heal()
    expect([state.store.durable(), disk.ballast()]).toEqual([true, true])
    state.audit.note('Ann', 'on disk again', '', T0)
    const all = state.audit.list(10_000)
    state.store.close()
    const reopened = openTestState(disk.directory)
    expect(reopened.audit.list(10_000).map(({ action }) => action)).toEqual(all.map(({ action }) => action))
    expect([reopened.cards.card(card)?.facts, reopened.store.findings]).toEqual([{ a: 1 }, []])
  })

  it.each([
    ['with its ballast', true],
    ['without a byte left', false],
  ])('forgets nothing when the bot is started on it, %s', (_, ballast) => {
    const disk = smallDisk()
    const before = openTestState(disk.directory)
    for (let row = 0; row < 20; row++) before.audit.note('Ann', `note ${row}`, long, T0)
    const all = before.audit.list(99)
    before.store.close()
    if (!ballast) rmSync(join(disk.directory, 'ballast'))
    disk.fill()

    const state = openTestState(disk.directory)
    expect(state.audit.list(99).map(({ action }) => action)).toEqual(all.map(({ action }) => action))
    expect(state.store.findings).toEqual([])
    const taken = writeUntilFull(state)
    disk.free()
    state.store.heal()
    expect(state.store.durable()).toBe(true)
    state.store.close()
    const reopened = openTestState(disk.directory)
    expect(reopened.audit.list(10_000)).toHaveLength(all.length + taken)
  })

  it('is started on for the first time: what is remembered comes to disk later', () => {
    const disk = smallDisk()
    disk.fill()
    const state = openTestState(disk.directory)
    expect(state.store.durable()).toBe(false)
    state.audit.note('Ann', 'note', 'kept', T0)
    disk.free()
    state.store.heal()
    state.store.close()
    expect(details(openTestState(disk.directory))).toEqual(['kept'])
  })
})
