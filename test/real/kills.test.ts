// Promises 1 and 2: killed at random moments, with Telegram failing in every way, the bot loses nothing and does nothing twice.

import { setTimeout as sleep } from 'node:timers/promises'
import type { Message } from 'grammy/types'
import { beforeEach, expect, it } from 'vitest'
import type { FakeTelegram } from '../telegram/server.ts'
import {
  type Bot,
  type Chance,
  createChance,
  createRig,
  envOf,
  fill,
  needsRoot,
  type Rig,
  report,
  SEED,
  SOAK,
  secondsSince,
  tells,
  until,
} from './rig.ts'

const KILLS = SOAK ? 300 : 60
const GROUP = -1001
const PEOPLE = { owner: 11, operator: 12, viewer: 13 }
const DISK_BYTES = 1 << 20
/** A bot that is killed this soon after an answer may not have had the time to commit it. */
const COMMIT_MS = 500

beforeEach(needsRoot)

/** Something that was sent to the bot, and how to see what came of it. */
interface Sent {
  kind: 'read' | 'change' | 'stale' | 'press'
  text: string
  updateId: number
  /** The message that an answer replies to; a press is answered in its own way. */
  messageId: number
  /** When Telegram took it, UTC milliseconds in whole seconds. */
  date: number
  /** What the audit calls it, when that is like no other. */
  detail?: string
}

const minutes = (count: number) =>
  count < 60 ? `${count} min` : `${Math.floor(count / 60)} h${count % 60 ? ` ${count % 60} min` : ''}`

/** People who want something all the time, in a group that the alerts go to as well. */
function createCrowd(telegram: FakeTelegram, chance: Chance) {
  const sent: Sent[] = []
  const at = `@${telegram.me.username}`
  let count = 0
  /** No two mutes are of the same length. */
  let muted = 0

  function say(kind: Sent['kind'], from: number, text: string, detail?: string, date?: number): void {
    const seconds = date ?? Math.floor(Date.now() / 1000)
    const updateId = telegram.say({ chat: GROUP, from, text, date: seconds })
    const messageId = telegram.said(GROUP).at(-1)?.id ?? 0
    sent.push({ kind, text, updateId, messageId, date: seconds * 1000, ...(detail && { detail }) })
  }

  function change(kind: 'change' | 'stale', date?: number): void {
    count += 1
    const which = chance.random()
    if (which < 0.55 || muted > 1430) say(kind, PEOPLE.operator, `/ack${at} c${count}`, `c${count}`, date)
    else if (which < 0.85) {
      muted += 1
      const detail = `opsbot for ${minutes(muted)}`
      say(kind, PEOPLE.operator, `/mute${at} opsbot ${muted}m`, detail, date)
    } else say(kind, PEOPLE.operator, `/testalert${at}`, undefined, date)
  }

  function press(): void {
    const shown = telegram.messages(GROUP).at(-1)
    if (!shown) return
    count += 1
    const detail = `p${count}`
    const text = `do:ack ${detail}`
    const updateId = telegram.press({ chat: GROUP, from: PEOPLE.operator, messageId: shown.id, data: text })
    sent.push({ kind: 'press', text, updateId, messageId: shown.id, date: Date.now(), detail })
  }

  async function frozenForAMoment(): Promise<void> {
    say('change', PEOPLE.owner, `/freeze${at}`)
    await sleep(700)
    say('change', PEOPLE.owner, `/unfreeze${at}`)
  }

  function read(): void {
    count += 1
    const text = chance.pick([`/alerts q${count}`, `/alerts q${count}`, '/status', '/whoami', '/jobs'])
    say('read', chance.pick(Object.values(PEOPLE)), text)
  }

  return {
    sent,
    async run(over: () => boolean): Promise<void> {
      while (!over()) {
        const which = chance.random()
        if (which < 0.45) read()
        else if (which < 0.8) change('change')
        else if (which < 0.88) change('stale', Math.floor(Date.now() / 1000) - chance.whole(62, 3600))
        else if (which < 0.98) press()
        else await frozenForAMoment()
        await sleep(chance.between(20, 250))
      }
      say('change', PEOPLE.owner, `/unfreeze${at}`)
    },
  }
}

const titleOf = (point: string) => `Disk ${point} almost full`

/** The messages that told something of a disk, in the calls from one on: their ids, and whether each was new. */
function shown(telegram: FakeTelegram, told: typeof tells.over, point: string, from: number) {
  const said = telegram.calls
    .slice(from)
    .filter(({ method, status }) => status === 200 && /^(sendMessage|editMessageText)$/.test(method))
    .filter(({ params }) => told(`${params.text}`.replaceAll(/<[^>]*>/g, ''), titleOf(point)))
  return said.map(({ method, params, returned }) => {
    const fresh = method === 'sendMessage'
    return { fresh, id: fresh ? (returned as Message).message_id : Number(params.message_id) }
  })
}

/** A disk that fills up and is emptied again, each time until everybody has been told. @returns how often it fired. */
async function trouble(telegram: FakeTelegram, point: string, chance: Chance, over: () => boolean) {
  let firings = 0
  await sleep(chance.between(0, 3_000))
  for (;;) {
    const filled = telegram.calls.length
    const fired = () => shown(telegram, tells.firing, point, filled)
    fill(point, chance.pick([90, 99]), DISK_BYTES)
    await until(`a message that ${point} fires`, () => fired().length > 0, 90_000, 250)
    firings += 1
    await sleep(chance.between(0, 2_000))
    if (over()) return firings
    if (chance.random() < 0.3) fill(point, 99, DISK_BYTES)
    await sleep(chance.between(0, 2_000))
    const cleared = telegram.calls.length
    fill(point, 0, DISK_BYTES)
    // Older episodes are told to be over too, whenever the message that they stand on is edited.
    const ended = () => {
      const living = new Set(fired().map(({ id }) => id))
      return shown(telegram, tells.over, point, cleared).some(({ fresh, id }) => fresh || living.has(id))
    }
    await until(`a message that ${point} is over`, ended, 120_000, 250)
    await sleep(chance.between(0, 1_000))
  }
}

/** Starts the bot and kills it, over and over. @returns the moments of the kills. */
async function killAgainAndAgain(start: () => Bot, chance: Chance): Promise<number[]> {
  const kills: number[] = []
  for (let kill = 0; kill < KILLS; kill += 1) {
    const bot = start()
    const [low, high] = chance.pick([
      [50, 1_000],
      [700, 3_000],
      [700, 3_000],
      [2_000, 6_000],
    ] as const)
    await sleep(chance.between(low, high))
    if (!bot.alive()) throw new Error(`the bot ended by itself:\n${bot.err()}\n${bot.out()}`)
    kills.push(performance.now())
    bot.kill('SIGKILL')
    await bot.exited
  }
  return kills
}

/** Telegram on a bad day. */
function misbehave(telegram: FakeTelegram): void {
  const method = /^(?!setMyCommands)/
  telegram.fault({ method, probability: 0.03, kind: 'status', status: 500 })
  telegram.fault({ method, probability: 0.03, kind: 'status', retryAfter: 1 })
  telegram.fault({ method, probability: 0.03, kind: 'reset' })
  telegram.fault({ method, probability: 0.01, kind: 'hang' })
  telegram.fault({ method, probability: 0.03, kind: 'drop-after-ok' })
}

/** What a press is told in the chat when it can not be told in a toast, or not for sure. */
const TO_A_PRESS = /while at this: do:|"p\d+"|Expired/

interface AuditRow {
  action: string
  detail: string
  at: number
  result: string | null
}

/** What the inbox did with everything that was sent. @returns the figures. */
function judgeInbox(telegram: FakeTelegram, sent: readonly Sent[], audit: readonly AuditRow[]) {
  const answers = Map.groupBy(telegram.messages(GROUP), ({ replyTo }) => replyTo)
  const answersTo = ({ kind, messageId, updateId }: Sent): string[] =>
    kind === 'press'
      ? telegram.answerTo(updateId)
        ? ['toast']
        : []
      : (answers.get(messageId) ?? []).map(({ text }) => text)

  expect(sent.filter((one) => answersTo(one).length === 0).map(({ text }) => text)).toEqual([])

  const intents = Map.groupBy(audit, ({ detail }) => detail)
  const made = sent.filter(({ kind, detail }) => kind !== 'read' && detail !== undefined)
  const intentsOf = ({ detail }: Sent) => (detail === undefined ? [] : (intents.get(detail) ?? []))
  expect(made.filter((one) => intentsOf(one).length > 1)).toEqual([])
  const late = (one: Sent) => intentsOf(one).some(({ at }) => at - one.date > 61_000)
  expect(made.filter((one) => late(one))).toEqual([])
  const stale = sent.filter(({ kind }) => kind === 'stale')
  expect(stale.filter((one) => intentsOf(one).length > 0)).toEqual([])
  const refused = (one: Sent) => answersTo(one).some((text) => /Expired|I was stopped while/.test(text))
  expect(stale.filter((one) => !refused(one))).toEqual([])
  // What was answered as if it had been done was done: only refusals have no intent.
  const unfounded = made.filter(
    (one) =>
      one.kind === 'change' &&
      intentsOf(one).length === 0 &&
      !answersTo(one).every((text) => /Expired|I was stopped while|frozen/.test(text)),
  )
  expect(unfounded.map((one) => [one.text, answersTo(one)])).toEqual([])
  const count = (action: string) => audit.filter((row) => row.action === action).length
  const asked = (word: string) =>
    sent.filter(({ kind, text }) => kind === 'change' && text.startsWith(`/${word}`)).length
  expect(count('test alert')).toBeLessThanOrEqual(asked('testalert'))
  expect(count('freeze')).toBeLessThanOrEqual(asked('freeze'))
  // What was cut in the middle is told to the owners.
  const cut = audit.filter(({ result }) => result === 'interrupted')
  const notices = telegram.messages(PEOPLE.owner).map(({ text }) => text)
  expect(
    cut.filter(({ detail }) => detail && !notices.some((text) => text.includes(`${detail}, begun`))),
  ).toEqual([])
  expect(audit.filter(({ result }) => result === null)).toEqual([])

  const reads = sent.filter(({ kind }) => kind === 'read')
  return {
    reads: reads.length,
    twice: reads.filter((one) => answersTo(one).length > 1).length,
    changes: sent.length - reads.length,
    done: made.filter((one) => intentsOf(one).length === 1).length + count('test alert') + count('freeze'),
    expired: sent.filter((one) => answersTo(one).some((text) => text.includes('Expired'))).length,
    cut: cut.length,
  }
}

interface CopyRow {
  cardId: number
  kind: string
  chatId: number
  messageId: number | null
  revision: number
  wanted: number
  dead: string | null
  facts: string
  createdAt: number
}

/** Whether everything was told, and nothing twice without need. @returns the figures. */
function judgeAlerts(telegram: FakeTelegram, copies: readonly CopyRow[], kills: readonly number[]) {
  // Every card is in its chat, at its newest revision.
  expect(
    copies.filter(({ messageId, revision, wanted, dead }) => !messageId || revision !== wanted || dead),
  ).toEqual([])

  const known = new Set(copies.map(({ chatId, messageId }) => `${chatId}/${messageId}`))
  const said = new Set(telegram.said(GROUP).map(({ id }) => id))
  const cards = [GROUP, PEOPLE.owner]
    .flatMap((chat) => telegram.messages(chat))
    .filter(({ replyTo, text }) => !(replyTo && said.has(replyTo)) && !TO_A_PRESS.test(text))
  const duplicates = cards.filter(({ id, chat }) => !known.has(`${chat}/${id}`))
  const calls = new Map(
    telegram.calls
      .filter(({ method, status }) => method === 'sendMessage' && status === 200)
      .map((call) => {
        const { message_id, chat } = call.returned as { message_id: number; chat: { id: number } }
        return [`${chat.id}/${message_id}`, call] as const
      }),
  )
  // Its answer never came, or came to a bot that was killed before it could have been written down.
  const unheard = ({ chat, id }: { chat: number; id: number }) =>
    calls.get(`${chat}/${id}`)?.answeredAt === undefined
  const cutOff = ({ chat, id }: { chat: number; id: number }) => {
    const answeredAt = calls.get(`${chat}/${id}`)?.answeredAt ?? 0
    return kills.some((kill) => kill >= answeredAt && kill - answeredAt < COMMIT_MS)
  }
  const needless = duplicates.filter((message) => !unheard(message) && !cutOff(message))
  expect(needless.map(({ text }) => text)).toEqual([])

  // What is critical from its first word on rings.
  const alerts = cards.filter(({ history, replyTo }) => !replyTo && history[0]?.text.startsWith('🔴 Disk'))
  expect(alerts.filter(({ silent }) => silent).map(({ text }) => text)).toEqual([])
  return {
    cards: copies.length,
    duplicates: duplicates.length,
    byKill: duplicates.filter(cutOff).length,
    living: cards.filter(({ chat, id }) => known.has(`${chat}/${id}`)),
  }
}

const AUDIT = `SELECT a.action, a.detail, a.at, o.result FROM audit a LEFT JOIN audit o ON o.intent_id = a.id
  WHERE a.phase = 'intent'`
const COPIES = `SELECT c.id AS cardId, c.kind, p.chat_id AS chatId, p.message_id AS messageId, p.revision,
  c.revision AS wanted, p.dead, c.facts, c.created_at AS createdAt FROM cards c JOIN copies p ON p.card_id = c.id`

/** Waits until a bot that is left alone has nothing more to do. */
async function settled(rig: Rig, telegram: FakeTelegram, stateDir: string): Promise<void> {
  await until('Telegram has nothing left for us', () => telegram.pending() === 0, 60_000)
  let quiet = performance.now()
  let seen = 0
  await until(
    'the bot has said all it had to say',
    () => {
      const said = telegram.calls.filter(({ method }) => method !== 'getUpdates').length
      if (said !== seen) quiet = performance.now()
      seen = said
      return performance.now() - quiet > 3_000
    },
    120_000,
  )
  expect((await rig.ask(stateDir, '/status')).code).toBe(0)
}

it(`loses nothing and changes nothing twice over ${KILLS} kills`, {
  timeout: KILLS * 6_000 + 240_000,
}, async (context) => {
  report(`SEED=${SEED}`)
  const rig = createRig(context)
  const chance = createChance(SEED)
  const telegram = await rig.telegram({ seed: SEED, queryLifetimeMs: 3_600_000 })
  const { owner, operator, viewer } = PEOPLE
  telegram.privateChat(owner)
  telegram.group(GROUP, {
    type: 'supergroup',
    title: 'Ops',
    members: { [owner]: 'member', [operator]: 'member', [viewer]: 'member' },
  })
  const disks = Array.from({ length: 6 }, () => rig.tmpfs(`size=${DISK_BYTES}`))
  const stateDir = rig.dir()
  const env = {
    ...envOf(telegram, stateDir),
    TELEGRAM_CHAT_ID: `${GROUP}`,
    OPSBOT_OPERATORS: `${operator}`,
    OPSBOT_VIEWERS: `${viewer}`,
    DISK_MOUNTS: disks.join(','),
  }
  const started = performance.now()
  misbehave(telegram)
  let over = false
  const crowd = createCrowd(telegram, createChance(SEED + 1))
  const talking = crowd.run(() => over)
  const troubles = disks.map((point, index) =>
    trouble(telegram, point, createChance(SEED + 2 + index), () => over),
  )
  const kills = await killAgainAndAgain(() => rig.bot(env), chance).finally(() => {
    over = true
  })
  telegram.heal()
  const bot = rig.bot(env)
  const died = bot.exited.then(() => {
    throw new Error('the bot ended by itself')
  })
  const [firings] = await Promise.race([Promise.all([Promise.all(troubles), talking]), died])
  // In the end one half of the disks is full and the other is not, and that is what stands in the chat.
  const [emptied, full] = [disks.slice(0, 3), disks.slice(3)]
  for (const point of emptied) fill(point, 0, DISK_BYTES)
  const cleared = telegram.calls.length
  const well = (point: string) => shown(telegram, tells.over, point, cleared).some(({ fresh }) => fresh)
  await until('the emptied disks are well', () => emptied.every(well), 60_000)
  await settled(rig, telegram, stateDir)
  died.catch(() => {})
  bot.kill('SIGTERM')
  expect(await bot.exited).toMatchObject({ code: 0 })

  const inbox = judgeInbox(telegram, crowd.sent, rig.rows<AuditRow>(stateDir, AUDIT))
  const alerts = judgeAlerts(telegram, rig.rows<CopyRow>(stateDir, COPIES), kills)
  const firing = (point: string) =>
    alerts.living.filter(({ text, buttons }) => buttons.length > 0 && tells.firing(text, titleOf(point)))
      .length
  expect(disks.map(firing)).toEqual([...emptied.map(() => 0), ...full.map(() => 1)])
  const sum = firings.reduce((total, count) => total + count, 0)
  report(`${kills.length} kills in ${secondsSince(started)} s`)
  report(
    `inbox: ${inbox.reads} reads, all answered, ${inbox.twice} of them twice; ${inbox.changes} changes, ${inbox.done} done once, ${inbox.expired} refused as expired, ${inbox.cut} cut and reported`,
  )
  report(
    `alerts: ${sum} firings, all told; ${alerts.cards} cards, ${alerts.duplicates} messages doubled (${alerts.byKill} by a kill, the others by an answer that was lost)`,
  )
})
