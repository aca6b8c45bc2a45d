// Promise 8: it stops within five seconds whatever it is doing, and what it could not say is said after the next start.

import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, it } from 'vitest'
import type { FakeTelegram } from '../telegram/server.ts'
import { type Bot, createRig, envOf, fill, needsRoot, report, secondsSince, tells, until } from './rig.ts'

const OWNER = 11
const DISK_BYTES = 1 << 20
const STOP_MS = 5_000

beforeEach(needsRoot)

async function stop(bot: Bot, when: string) {
  const asked = performance.now()
  bot.kill('SIGTERM')
  const end = await bot.exited
  const tookMs = performance.now() - asked
  report(`stopped ${when} in ${secondsSince(asked)} s`)
  expect(tookMs).toBeLessThan(STOP_MS)
  return end
}

const answering = (telegram: FakeTelegram, words: string) =>
  telegram.messages(OWNER).filter(({ text }) => text.includes(words))

it('stops at once when nothing is to be done', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  const bot = rig.bot(envOf(telegram, rig.dir()))
  await until('a long poll is held', () => telegram.polling)
  expect(await stop(bot, 'idle')).toMatchObject({ code: 0 })
  expect(bot.err()).toBe('')
})

it('stops in time under load, and what waits on disk arrives after the next start', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const stateDir = rig.dir()
  const disk = rig.tmpfs(`size=${DISK_BYTES}`)
  const title = `Disk ${disk} almost full`
  const env = { ...envOf(telegram, stateDir), DISK_MOUNTS: disk }
  const first = rig.bot(env)
  await until('a long poll is held', () => telegram.polling)
  // From now on Telegram takes what is said and never answers.
  telegram.fault({ method: /^(send|edit|answer)/, kind: 'hang' })
  fill(disk, 99, DISK_BYTES)
  let asked = 0
  const crowd = setInterval(() => {
    asked += 1
    telegram.say({ chat: OWNER, from: OWNER, text: asked % 2 ? `/alerts q${asked}` : `/ack c${asked}` })
  }, 20)
  rig.defer(() => clearInterval(crowd))
  await until('the alert is on its way', () =>
    telegram.calls.some(({ method, params }) => method === 'sendMessage' && `${params.text}`.includes(title)),
  )
  expect(await stop(first, 'under load, with Telegram silent')).toMatchObject({ code: 0 })
  clearInterval(crowd)
  expect(first.err()).toBe('')
  expect(telegram.messages(OWNER)).toEqual([])

  telegram.heal()
  const second = rig.bot(env)
  await until('the alert arrives', () => answering(telegram, title).length > 0)
  const unanswered = () =>
    Array.from({ length: asked }, (_, index) => index + 1).filter(
      (count) => answering(telegram, count % 2 ? `q${count}"` : `c${count}`).length === 0,
    )
  await until('all is answered', () => unanswered().length === 0)
  expect(answering(telegram, title).filter(({ text }) => tells.firing(text, title))).toHaveLength(1)
  const made = rig.ask(stateDir, '/status')
  expect((await made).code).toBe(0)
  expect(await stop(second, 'well')).toMatchObject({ code: 0 })
  const intents = rig.rows<{ times: number }>(
    stateDir,
    `SELECT count(*) AS times FROM audit WHERE phase = 'intent' GROUP BY detail`,
  )
  expect(intents.filter(({ times }) => times > 1)).toEqual([])
  expect(
    rig.rows(
      stateDir,
      `SELECT 1 FROM audit a WHERE phase = 'intent'
    AND NOT EXISTS (SELECT 1 FROM audit o WHERE o.intent_id = a.id)`,
    ),
  ).toEqual([])
})

it('stops in time while a file system hangs', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const stateDir = rig.dir()
  const point = rig.mountPoint()
  await rig.silent(point)
  const env = { ...envOf(telegram, stateDir), DISK_MOUNTS: `/,${point}` }
  const bot = rig.bot(env)
  const title = `File system ${point} not available`
  await until('it says that the mount hangs', () => answering(telegram, title).length > 0)
  // No orderly exit leads past a call that the kernel does not return from.
  expect(await stop(bot, 'beside a hung file system')).toMatchObject({ signal: 'SIGKILL' })
  const again = rig.bot(env)
  await until('a long poll is held', () => telegram.polling)
  await sleep(3_000)
  expect(answering(telegram, title)).toHaveLength(1)
  expect(await stop(again, 'beside it once more')).toMatchObject({ signal: 'SIGKILL' })
})

it('says in the chat what it can no longer say to a press that waited for it', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram({ queryLifetimeMs: 500 })
  telegram.privateChat(OWNER)
  const stateDir = rig.dir()
  const first = rig.bot(envOf(telegram, stateDir))
  telegram.say({ chat: OWNER, from: OWNER, text: '/status' })
  const card = await until('it answers', () => telegram.messages(OWNER)[0])
  expect(await stop(first, 'before a press')).toMatchObject({ code: 0 })
  telegram.press({ chat: OWNER, from: OWNER, messageId: card?.id ?? 0, data: 'do:mute opsbot 1h' })
  await sleep(1_000)
  const second = rig.bot(envOf(telegram, stateDir))
  await until('the press is answered', () => answering(telegram, 'Expired: nothing was done').length > 0)
  expect(answering(telegram, 'Expired')[0]?.replyTo).toBe(card?.id)
  expect(await stop(second, 'after it')).toMatchObject({ code: 0 })
  expect(rig.rows(stateDir, `SELECT 1 FROM audit WHERE action = 'mute'`)).toEqual([])
})
