// What waits for a second tap, for typed words or for the claim of an owner: once, by the right person, in time, here.

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Asked, type AskedLog, createAsking } from '../../src/bot/ask.ts'
import { createClaim } from '../../src/bot/claim.ts'
import { command, type Person, type Place } from '../../src/bot/command.ts'
import { CONFIRM_MS, createConfirmations } from '../../src/bot/confirm.ts'
import { MINUTE, T0 } from './help.ts'

const ann: Person = { id: 11, name: 'Ann', role: 'owner' }
const bob: Person = { id: 22, name: 'Bob', role: 'owner' }
const here: Place = { chatId: -100, kind: 'group' }
const there: Place = { chatId: 11, kind: 'private' }

describe('a confirmation', () => {
  const definition = command({
    name: 'recreate',
    role: 'operator',
    about: '',
    args: z.object({}),
    run: () => ({ title: '' }),
  })
  const plan = {
    command: definition,
    args: {},
    line: '/recreate',
    basis: 'b1',
    personId: ann.id,
    chatId: here.chatId,
  }

  it('is good once, for who asked, in the same chat', () => {
    const { issue, redeem } = createConfirmations()
    const nonce = issue(plan, T0)
    expect(redeem(nonce, ann, here, T0 + 1)).toEqual({
      state: 'good',
      pending: { ...plan, expiresAt: T0 + CONFIRM_MS },
    })
    expect(redeem(nonce, ann, here, T0 + 2)).toEqual({ state: 'unknown' })
  })

  it.each<[string, Person, Place]>([
    ['somebody else', bob, here],
    ['who asked, from another chat', ann, there],
  ])('is not taken from %s, and is still good after that', (_, person, place) => {
    const { issue, redeem } = createConfirmations()
    const nonce = issue(plan, T0)
    expect(redeem(nonce, person, place, T0)).toEqual({ state: 'foreign' })
    expect(redeem(nonce, ann, here, T0).state).toBe('good')
  })

  it.each([
    [CONFIRM_MS, 'good'],
    [CONFIRM_MS + 1, 'expired'],
    [2 * CONFIRM_MS, 'expired'],
  ])('after %i ms is %s, and says what it was for', (ms, state) => {
    const { issue, redeem } = createConfirmations()
    const nonce = issue(plan, T0)
    expect(redeem(nonce, ann, here, T0 + ms)).toMatchObject({ state, pending: { line: '/recreate' } })
    expect(redeem(nonce, ann, here, T0 + ms)).toEqual({ state: 'unknown' })
  })

  it('is gone after a restart', () => {
    const nonce = createConfirmations().issue(plan, T0)
    expect(createConfirmations().redeem(nonce, ann, here, T0)).toEqual({ state: 'unknown' })
  })

  it('that nobody wants is forgotten in the end', () => {
    const { issue, redeem } = createConfirmations()
    const old = issue(plan, T0)
    issue(plan, T0 + 2 * CONFIRM_MS + 1)
    expect(redeem(old, ann, here, T0 + 2 * CONFIRM_MS + 1)).toEqual({ state: 'unknown' })
  })

  it('cannot be guessed, and fits into a button', () => {
    const { issue } = createConfirmations()
    const nonces = new Set(Array.from({ length: 1_000 }, () => issue(plan, T0)))
    expect(nonces.size).toBe(1_000)
    for (const nonce of nonces) expect(nonce).toMatch(/^[\w-]{22}$/)
  })
})

/** What was asked, as the state keeps it beyond a process. */
function createAskedLog(): AskedLog {
  let asked: Asked = {}
  return {
    get: () => asked,
    set: (now) => {
      asked = now
    },
  }
}

describe('a question', () => {
  const question = (line = '/drop it', expiresAt = T0 + 10) => ({
    ...{ line, expiresAt },
    answer: () => ({ title: 'thanks' }),
  })

  it('waits for one person in one chat, and is answered once', () => {
    const asking = createAsking(createAskedLog())
    const asked = question()
    asking.ask(ann, here, asked)
    for (const [person, place] of [
      [bob, here],
      [ann, there],
      [ann, { ...here, threadId: 7 }],
    ] as const) {
      expect(asking.waits(person, place, T0)).toBe(false)
      expect(asking.take(person, place, T0)).toBeUndefined()
    }
    expect(asking.waits(ann, here, T0)).toBe(true)
    expect(asking.take(ann, here, T0)).toEqual({ state: 'open', line: '/drop it', answer: asked.answer })
    expect(asking.take(ann, here, T0)).toBeUndefined()
  })

  it('runs out, and can be asked again for a while', () => {
    const asking = createAsking(createAskedLog())
    asking.ask(ann, here, question())
    expect([T0 + 9, T0 + 10].map((now) => asking.waits(ann, here, now))).toEqual([true, false])
    expect(asking.take(ann, here, T0 + 10)).toEqual({ state: 'expired', line: '/drop it' })
    asking.ask(ann, here, question())
    expect(asking.take(ann, here, T0 + 10 + 15 * MINUTE)).toBeUndefined()
  })

  it('gives way to a newer one', () => {
    const asking = createAsking(createAskedLog())
    asking.ask(ann, here, question('/drop it'))
    asking.ask(ann, here, question('/drop another'))
    expect(asking.take(ann, here, T0)).toMatchObject({ state: 'open', line: '/drop another' })
  })

  it('is lost with its process, but not what it asked', () => {
    const log = createAskedLog()
    createAsking(log).ask(ann, here, question())
    const later = createAsking(log)
    expect(later.waits(ann, here, T0)).toBe(false)
    expect(later.take(ann, here, T0)).toEqual({ state: 'lost', line: '/drop it' })
    expect([later.take(ann, here, T0), log.get()]).toEqual([undefined, {}])
  })
})

describe('a question for a secret', () => {
  const question = () => ({
    ...{ line: 'reauth', expiresAt: T0 + 10, secret: true as const },
    answer: () => ({ title: 'thanks' }),
  })
  const asked = { line: 'reauth', expiresAt: T0 + 10, secret: true }

  it('is asked again after a crash, also while its answer was made use of', () => {
    const log = createAskedLog()
    const asking = createAsking(log)
    asking.ask(ann, here, question())
    expect(asking.take(ann, here, T0)).toMatchObject({ state: 'open', secret: true })
    expect(asking.take(ann, here, T0)).toEqual({ state: 'busy', line: 'reauth' })
    expect(Object.values(log.get())).toEqual([asked])
    expect(createAsking(log).take(ann, here, T0)).toEqual({ state: 'lost', line: 'reauth' })
  })

  it.each<[string, boolean]>([
    ['and is done with', false],
    ['and waits on when it was asked anew meanwhile', true],
  ])('is answered %s', (_, anew) => {
    const log = createAskedLog()
    const asking = createAsking(log)
    asking.ask(ann, here, question())
    asking.take(ann, here, T0)
    if (anew) asking.ask(ann, here, question())
    asking.answered(ann, here, T0)
    expect(Object.values(log.get())).toEqual(anew ? [asked] : [])
    expect(asking.waits(ann, here, T0)).toBe(anew)
  })

  it('can be taken back', () => {
    const log = createAskedLog()
    const asking = createAsking(log)
    asking.ask(ann, here, question())
    asking.withdraw(ann, here, T0)
    expect([asking.take(ann, here, T0), log.get()]).toEqual([undefined, {}])
  })

  it('is known as one by whoever has to delete its answer, for as long as it may come late', () => {
    const log = createAskedLog()
    createAsking(log).ask(ann, here, question())
    const later = createAsking(log)
    const times = [T0, T0 + 10, T0 + 10 + 15 * MINUTE]
    expect(times.map((now) => later.asksSecret(ann, here, now))).toEqual([true, true, false])
    expect([later.asksSecret(bob, here, T0), later.asksSecret(ann, there, T0)]).toEqual([false, false])
  })
})

describe('a claim', () => {
  it('is good once, and answers with the line to add', () => {
    const claim = createClaim()
    expect(claim.code).toMatch(/^[0-9a-f]{20}$/)
    expect(claim.fits(`/claim ${claim.code}`)).toBe(true)
    expect(claim.fits(`/claim@ops_bot ${claim.code}`)).toBe(true)
    expect(claim.redeem(42)?.lines).toContainEqual({ code: 'OPSBOT_OWNERS=42' })
    expect([claim.fits(`/claim ${claim.code}`), claim.redeem(42)]).toEqual([false, undefined])
  })

  it.each([
    '/claim',
    '/claim ',
    '/claim 0',
    `/claim ${'0'.repeat(20)}`,
    `/claim ${'ü'.repeat(10)}`,
    `/claim ${'ü'.repeat(20)}`,
    '/claim undefined',
  ])('"%s" does not fit', (text) => {
    expect(createClaim().fits(text)).toBe(false)
  })
})
