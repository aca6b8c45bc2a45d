// Promise 7 on real file systems: a state file that has no room, is damaged or is taken; and the newcomer's first walk.

import { closeSync, existsSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, it } from 'vitest'
import type { FakeTelegram } from '../telegram/server.ts'
import { createRig, envOf, fill, needsRoot, type Rig, report, secondsSince, sh, tells, until } from './rig.ts'

const OWNER = 11
const DISK_BYTES = 1 << 20
const CANNOT_SAVE = 'opsbot cannot save what it knows'

beforeEach(needsRoot)

/** Takes every byte that is free on a file system, as something that runs amok does. */
function hog(point: string): void {
  const file = openSync(join(point, 'hog'), 'a')
  try {
    for (const size of [1 << 20, 1 << 16, 1 << 12])
      for (;;) {
        try {
          if (writeSync(file, Buffer.alloc(size, 7)) < size) break
        } catch (error) {
          expect(error).toMatchObject({ code: 'ENOSPC' })
          break
        }
      }
  } finally {
    closeSync(file)
  }
}

/** Hogs until it is told to stop: what is given up is taken at once. */
function keepHogging(rig: Rig, point: string): () => void {
  hog(point)
  const timer = setInterval(() => hog(point), 50)
  const end = () => {
    clearInterval(timer)
    rmSync(join(point, 'hog'), { force: true })
  }
  rig.defer(end)
  return end
}

const shows = (telegram: FakeTelegram, told: typeof tells.over, title: string) =>
  telegram.messages(OWNER).filter(({ text }) => told(text, title))

/** Answers that hold these words. */
const saying = (telegram: FakeTelegram, words: string) =>
  telegram.messages(OWNER).filter(({ text }) => text.includes(words))

/** Somebody asks and changes something all the time. @returns the number of the last question. */
function talkative(telegram: FakeTelegram, over: () => boolean): Promise<number> {
  const talk = async () => {
    for (let count = 1; ; count += 1) {
      telegram.say({ chat: OWNER, from: OWNER, text: `/alerts q${count}` })
      telegram.say({ chat: OWNER, from: OWNER, text: `/ack c${count}` })
      if (over()) return count
      await sleep(100)
    }
  }
  return talk()
}

/** A state directory on a small disk, and a disk to be told of. */
async function createYard(context: Parameters<typeof createRig>[0]) {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const stateDir = rig.tmpfs('size=8M')
  const disk = rig.tmpfs(`size=${DISK_BYTES}`)
  const env = { ...envOf(telegram, stateDir), DISK_MOUNTS: disk }
  return { rig, telegram, stateDir, disk, title: `Disk ${disk} almost full`, env }
}

it('alerts from memory while its disk is full under load, and recovers by itself', async (context) => {
  const { rig, telegram, stateDir, disk, title, env } = await createYard(context)
  const ballast = join(stateDir, 'ballast')
  const bot = rig.bot(env)
  let over = false
  const talking = talkative(telegram, () => over)
  await until('the bot answers', () => saying(telegram, '"q1"').length > 0)
  expect(existsSync(ballast)).toBe(true)

  const free = keepHogging(rig, stateDir)
  const full = performance.now()
  await until('the ballast is given up', () => !existsSync(ballast))
  await until('it says that it cannot save', () => shows(telegram, tells.firing, CANNOT_SAVE).length > 0)
  report(`full disk: told after ${secondsSince(full)} s`)
  expect(shows(telegram, tells.firing, CANNOT_SAVE)[0]?.silent).toBe(false)
  fill(disk, 90, DISK_BYTES)
  await until('an alert comes from memory', () => shows(telegram, tells.firing, title).length > 0)
  telegram.say({ chat: OWNER, from: OWNER, text: '/status' })
  await until('/status says so', () =>
    saying(telegram, 'things looked at').at(-1)?.text.includes(CANNOT_SAVE),
  )
  telegram.say({ chat: OWNER, from: OWNER, text: '/mute opsbot 17m' })
  await until('a small change is done', () => saying(telegram, 'Muted until').length > 0)

  free()
  const freed = performance.now()
  await until('it says that it is over', () => shows(telegram, tells.over, CANNOT_SAVE).length > 0)
  report(`full disk: well again ${secondsSince(freed)} s after it was freed`)
  await until('there is ballast again', () => existsSync(ballast))
  over = true
  const last = await talking
  await until('the last question is answered', () => saying(telegram, `"c${last}"`).length > 0)
  const before = telegram.messages(OWNER).length
  // Not asked to stop: what is not on disk by now is lost.
  await sleep(300)
  bot.kill('SIGKILL')
  await bot.exited
  expect(rig.rows(stateDir, `SELECT 1 FROM audit WHERE detail = 'opsbot for 17 min'`)).toHaveLength(1)
  expect(
    rig.rows(stateDir, `SELECT 1 FROM audit WHERE detail = 'c${last}' AND phase = 'intent'`),
  ).toHaveLength(1)
  expect(rig.rows(stateDir, `SELECT 1 FROM inbox WHERE state <> 'done'`)).toEqual([])
  expect(rig.rows(stateDir, 'PRAGMA integrity_check')).toEqual([{ integrity_check: 'ok' }])

  const again = rig.bot(env)
  await sleep(4_000)
  expect(telegram.messages(OWNER).slice(before)).toEqual([])
  fill(disk, 0, DISK_BYTES)
  await until('the alert that fired from memory ends', () => shows(telegram, tells.over, title).length === 2)
  // The card was edited, and a new message answers it.
  const [card, end] = shows(telegram, tells.over, title)
  expect(end?.replyTo).toBe(card?.id)
  again.kill('SIGTERM')
  expect(await again.exited).toMatchObject({ code: 0 })
})

it('starts on a full disk, forgets nothing that lies there, and keeps what came meanwhile', async (context) => {
  const { rig, telegram, stateDir, disk, title, env } = await createYard(context)
  fill(disk, 90, DISK_BYTES)
  const first = rig.bot(env)
  await until('an alert fires', () => shows(telegram, tells.firing, title).length > 0)
  telegram.say({ chat: OWNER, from: OWNER, text: '/ack c17' })
  await until('a change is tried', () => saying(telegram, '"c17"').length > 0)
  // An orderly end leaves no log behind that could be written into once more.
  first.kill('SIGTERM')
  expect(await first.exited).toMatchObject({ code: 0 })

  // Nobody gives ballast up while nobody runs; and this time it is taken before we can use it.
  rmSync(join(stateDir, 'ballast'))
  const free = keepHogging(rig, stateDir)
  const second = rig.bot(env)
  telegram.say({ chat: OWNER, from: OWNER, text: '/ack c23' })
  await until('it says that it cannot save', () => shows(telegram, tells.firing, CANNOT_SAVE).length > 0)
  await until('it answers', () => saying(telegram, '"c23"').length > 0)
  expect(shows(telegram, tells.firing, title)).toHaveLength(1)
  free()
  await until('it says that it is over', () => shows(telegram, tells.over, CANNOT_SAVE).length > 0)
  await sleep(300)
  second.kill('SIGKILL')
  await second.exited
  const tried = `SELECT detail FROM audit WHERE action = 'ack' AND phase = 'intent' ORDER BY id`
  expect(rig.rows(stateDir, tried)).toEqual([{ detail: 'c17' }, { detail: 'c23' }])
  expect(readdirSync(stateDir).filter((name) => name.includes('damaged'))).toEqual([])
})

it('sets a damaged state file aside, starts, and tells the owners', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const stateDir = rig.dir()
  const env = envOf(telegram, stateDir)
  const first = rig.bot(env)
  await until('the bot polls', () => telegram.polling)
  first.kill('SIGTERM')
  await first.exited
  const file = join(stateDir, 'state.db')
  const damage = Buffer.alloc(3 * 4096, 0xa5)
  const handle = openSync(file, 'r+')
  writeSync(handle, damage, 0, damage.length, 4096)
  closeSync(handle)

  const second = rig.bot(env)
  await until('the owners are told', () => saying(telegram, 'The state file was damaged').length > 0)
  const aside = readdirSync(stateDir).filter((name) => /^state\.db\.damaged-[^/]*Z$/.test(name))
  expect(aside).toHaveLength(1)
  expect(saying(telegram, 'The state file was damaged')[0]?.text).toContain(aside[0])
  telegram.say({ chat: OWNER, from: OWNER, text: '/whoami' })
  await until('it answers', () => telegram.messages(OWNER).length > 1)
  second.kill('SIGTERM')
  expect(await second.exited).toMatchObject({ code: 0 })
  expect(saying(telegram, 'The state file was damaged')).toHaveLength(1)
})

it('refuses to start on the state directory of another bot, in words', async (context) => {
  const rig = createRig(context)
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const stateDir = rig.dir()
  const first = rig.bot(envOf(telegram, stateDir))
  await until('the bot polls', () => telegram.polling)
  const second = rig.bot(envOf(telegram, stateDir))
  expect(await second.exited).toMatchObject({ code: 1 })
  expect(second.err()).toBe(
    `Another opsbot is running on the state directory ${stateDir}. Stop it first, or talk to it with "npm run console".\n`,
  )
  expect(first.alive()).toBe(true)
  // It is free at once, however the first one dies.
  first.kill('SIGKILL')
  await first.exited
  const third = rig.bot(envOf(telegram, stateDir))
  telegram.say({ chat: OWNER, from: OWNER, text: '/whoami' })
  await until('the next one answers', () => telegram.messages(OWNER).length > 0)
  expect(third.alive()).toBe(true)
})

it('leads a newcomer from nothing to exactly one alert and one resolution', async (context) => {
  const rig = createRig(context)
  const stateDir = rig.dir()
  // Nothing is set: the console, on this machine's figures.
  const bare = rig.bot({ OPSBOT_STATE_DIR: stateDir }, { input: '/status\n' })
  expect(await bare.exited).toMatchObject({ code: 0 })
  expect(bare.out()).toContain(`${sh('hostname').trim()} up `)
  expect(bare.out()).toMatch(/Memory [\d.]+ % of .*\nDisk \//)
  expect(bare.err()).toBe('')
  // As a service without anything set it says what to set, and that no restart mends it.
  const service = rig.bot({ OPSBOT_STATE_DIR: stateDir })
  expect(await service.exited).toMatchObject({ code: 78 })
  expect(service.err()).toContain('TELEGRAM_BOT_TOKEN is not set')

  // A token and no owner: nobody is answered, a code is printed.
  const telegram = await rig.telegram()
  const { OPSBOT_OWNERS: _, ...ownerless } = envOf(telegram, stateDir)
  const claimed = rig.bot(ownerless)
  const code = await until('the code is printed', () => claimed.err().match(/\/claim (\w+)/)?.[1])
  telegram.say({ chat: 77, from: 77, text: '/status' })
  telegram.say({ chat: 77, from: 77, text: '/claim 0000' })
  telegram.say({ chat: 77, from: 77, text: `/claim ${code}` })
  const answer = await until('the claim is answered', () => telegram.messages(77)[0])
  expect(telegram.messages(77)).toHaveLength(1)
  const line = answer?.text.match(/OPSBOT_OWNERS=\d+/)?.[0]
  expect(line).toBe('OPSBOT_OWNERS=77')
  claimed.kill('SIGTERM')
  expect(await claimed.exited).toMatchObject({ code: 0 })
  telegram.say({ chat: 77, from: 77, text: '/whoami' })

  // The line is added to the file beside it, and a disk fills up: a real one, found without being named.
  const envFile = join(stateDir, 'env')
  writeFileSync(envFile, `${line}\n`)
  const disk = rig.ext4()
  const bot = rig.bot({ ...ownerless, OPSBOT_ENV_FILE: envFile })
  await until('the owner is answered', () => telegram.messages(77).length === 2)
  fill(disk, 88, 53 << 20)
  sh('sync', '-f', disk)
  await until('the alert comes', () => telegram.messages(77).length > 2)
  await sleep(5_000)
  fill(disk, 0, 0)
  sh('sync', '-f', disk)
  await until('the resolution comes', () => telegram.messages(77).length > 3)
  await sleep(5_000)
  const [, , alert, resolution, ...more] = telegram.messages(77)
  expect(more).toEqual([])
  expect(alert?.history[0]?.text).toContain(`Disk ${disk} almost full`)
  expect(alert?.text).toContain(`✅ Resolved: Disk ${disk} almost full`)
  expect(resolution).toMatchObject({ replyTo: alert?.id, silent: true })
  expect(resolution?.text).toContain(`✅ Resolved: Disk ${disk} almost full`)
  bot.kill('SIGTERM')
  expect(await bot.exited).toMatchObject({ code: 0 })
})
