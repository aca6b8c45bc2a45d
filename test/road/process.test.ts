// The bot as a process: how it ends and what it says then, the console and `run`, and a stop on a signal.

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Api } from 'grammy'
import { describe, expect, it } from 'vitest'
import { dial } from '../../src/bot/terminal.ts'
import type { FakeTelegram } from '../telegram/server.ts'
import {
  type After,
  ANN,
  createTelegram,
  OPS,
  peopleEnv,
  spawnBot,
  temporaryDirectory,
  until,
} from './rig.ts'

const reach = (telegram: FakeTelegram) => ({
  TELEGRAM_BOT_TOKEN: telegram.token,
  TELEGRAM_API_ROOT: telegram.apiRoot,
  ...peopleEnv,
})
const alone = (after: After) => ({ OPSBOT_STATE_DIR: temporaryDirectory(after) })
const SLOW = 20_000

/** The service against a fake, polling. */
async function serving(after: After, env: Record<string, string> = {}) {
  const telegram = await createTelegram({}, undefined, after)
  const where = alone(after)
  const bot = spawnBot({ env: { ...reach(telegram), ...where, ...env }, after })
  await telegram.waitFor((fake) => fake.polling, SLOW)
  return { telegram, bot, directory: where.OPSBOT_STATE_DIR, env: { ...reach(telegram), ...where } }
}

describe.concurrent('an end', () => {
  it(
    'comes with 78 and the key to set, when there is neither a token nor somebody to talk to',
    async ({ onTestFinished: after }) => {
      const { ended, said } = spawnBot({ after, env: alone(after) })
      expect(await ended).toBe(78)
      expect(said.err).toMatch(/^TELEGRAM_BOT_TOKEN is not set.*\n$/)
    },
    SLOW,
  )

  it(
    'comes with 78 and every mistake in the configuration at once, without the secret ones',
    async ({ onTestFinished: after }) => {
      const token = ['not', 'a', 'token'].join('-')
      const env = {
        ...alone(after),
        TELEGRAM_BOT_TOKEN: token,
        OPSBOT_OWNERS: 'ann',
        WATCH_SECONDS: '0',
        OPSBOT_OWNER: '1',
      }
      const { ended, said } = spawnBot({ env, after })
      expect(await ended).toBe(78)
      for (const key of ['TELEGRAM_BOT_TOKEN', 'OPSBOT_OWNERS', 'WATCH_SECONDS', 'OPSBOT_OWNER is not a key'])
        expect(said.err).toContain(key)
      expect(said.err).toContain('not "ann"')
      expect(said.err).not.toContain(token)
    },
    SLOW,
  )

  it(
    'comes with the cause when Telegram does not accept the token',
    async ({ onTestFinished: after }) => {
      const telegram = await createTelegram({}, undefined, after)
      const { ended, said } = spawnBot({
        after,
        env: { ...reach(telegram), ...alone(after), TELEGRAM_BOT_TOKEN: '12345:wrong-wrong' },
      })
      expect(await ended).toBe(1)
      expect(said.err).toBe(
        'Telegram does not accept TELEGRAM_BOT_TOKEN (401): it is mistyped or was revoked. @BotFather shows the present one.\n',
      )
    },
    SLOW,
  )

  it(
    'comes with the cause when another program goes on polling with the token, and not for one that is gone',
    async ({ onTestFinished: after }) => {
      const { telegram, bot } = await serving(after)
      const stop = new AbortController()
      after(() => stop.abort())
      const other = new Api(telegram.token, { apiRoot: telegram.apiRoot })
      await expect(other.getUpdates({ timeout: 30 }, AbortSignal.timeout(300) as never)).rejects.toThrow()
      telegram.say({ chat: ANN, from: ANN, text: '/whoami' })
      await telegram.waitFor((fake) => fake.messages(ANN).length === 1, SLOW)
      const rival = async () => {
        while (!stop.signal.aborted) {
          await other.getUpdates({ timeout: 30 }, stop.signal as never).catch(() => {})
          await sleep(300)
        }
      }
      void rival()
      expect(await bot.ended).toBe(1)
      expect(bot.said.err).toMatch(
        /^Another program polls Telegram with the same TELEGRAM_BOT_TOKEN \(409 Conflict\)/,
      )
    },
    SLOW,
  )

  it(
    'comes to a second bot on the same state directory, in words',
    async ({ onTestFinished: after }) => {
      const { env, bot } = await serving(after)
      const second = spawnBot({ env, after })
      expect(await second.ended).toBe(1)
      expect(second.said.err).toMatch(/^Another opsbot is running on the state directory/)
      bot.kill('SIGTERM')
      expect(await bot.ended).toBe(0)
      const third = spawnBot({ after, env, args: ['run', '/whoami'] })
      expect(await third.ended).toBe(0)
    },
    SLOW,
  )

  it(
    'comes within five seconds of a signal, with 0, though Telegram answers nothing',
    async ({ onTestFinished: after }) => {
      const { telegram, bot, directory } = await serving(after)
      telegram.fault({ method: 'sendMessage', kind: 'hang' })
      telegram.say({ chat: ANN, from: ANN, text: '/testalert' })
      await telegram.waitFor((fake) => (fake.counts.sendMessage ?? 0) >= 2, SLOW)
      const at = performance.now()
      bot.kill('SIGTERM')
      expect(await bot.ended).toBe(0)
      expect(performance.now() - at).toBeLessThan(5_000)
      expect(bot.said.err).toBe('')
      expect(bot.said.out).not.toContain('crashed')
      telegram.heal()
      // What was not told waits on disk.
      const next = spawnBot({ after, env: { ...reach(telegram), OPSBOT_STATE_DIR: directory } })
      await telegram.waitFor(
        (fake) => fake.messages(ANN).some(({ text }) => text.includes('Test alert')),
        SLOW,
      )
      next.kill('SIGINT')
      expect(await next.ended).toBe(0)
    },
    SLOW,
  )
})

describe.concurrent('without Telegram', () => {
  it(
    'a line from a pipe is answered with figures of this host, and the process ends with 0',
    async ({ onTestFinished: after }) => {
      const { ended, said } = spawnBot({ after, env: alone(after), input: '/status\n' })
      expect(await ended).toBe(0)
      expect(said.out).toMatch(/^✅|^🟡|^🔴/)
      expect(said.out).toMatch(/Memory [\d.]+ % of/)
      expect(said.out).toContain('no token is set')
      expect(said.err).toBe('')
    },
    SLOW,
  )

  it(
    'a line that is not understood ends it with 1, after the others were answered',
    async ({ onTestFinished: after }) => {
      const { ended, said } = spawnBot({ after, env: alone(after), input: '/nonsense\n/whoami\n' })
      expect(await ended).toBe(1)
      expect(said.out).toContain('There is no command /nonsense.')
      expect(said.out).toContain('You are console')
    },
    SLOW,
  )

  it.for<[string, number, string]>([
    ['/whoami', 0, 'role owner'],
    ['/nonsense', 1, 'There is no command'],
  ])('run "%s" ends with %i', { timeout: SLOW }, async ([line, code, text], { onTestFinished: after }) => {
    const { ended, said } = spawnBot({ after, env: alone(after), args: ['run', line] })
    expect(await ended).toBe(code)
    expect(said.out).toContain(text)
  })

  it(
    'an address that nobody listens at keeps neither the checks nor the console from working',
    async ({ onTestFinished: after }) => {
      const where = alone(after)
      const bot = spawnBot({
        after,
        env: {
          ...where,
          ...peopleEnv,
          TELEGRAM_BOT_TOKEN: '12345:unreachable',
          TELEGRAM_API_ROOT: 'http://127.0.0.1:1',
        },
      })
      await until(() => existsSync(join(where.OPSBOT_STATE_DIR, 'console.sock')), SLOW)
      const run = spawnBot({ after, env: where, args: ['run', '/status'] })
      expect(await run.ended).toBe(0)
      expect(run.said.out).toContain('Telegram: not reached yet')
      bot.kill('SIGTERM')
      expect(await bot.ended).toBe(0)
    },
    SLOW,
  )
})

describe.concurrent('beside a running bot', () => {
  it(
    'run and console speak with it through its socket, which is for its own account alone',
    async ({ onTestFinished: after }) => {
      const { directory, env, bot } = await serving(after)
      expect(statSync(join(directory, 'console.sock')).mode & 0o777).toBe(0o600)
      const freeze = spawnBot({ after, env, args: ['run', '/freeze'] })
      expect(await freeze.ended).toBe(0)
      const piped = spawnBot({ after, env, args: ['console'], input: '/audit\n/testalert\n' })
      expect(await piped.ended).toBe(1)
      expect(piped.said.out).toContain('freeze')
      expect(piped.said.out).toContain('Changes are frozen by console')
      bot.kill('SIGTERM')
      expect(await bot.ended).toBe(0)
    },
    SLOW,
  )

  it(
    'a console that follows is shown what is raised, on the terminal and in the chat alike',
    async ({ onTestFinished: after }) => {
      const { directory, telegram } = await serving(after, { TELEGRAM_CHAT_ID: `${OPS}` })
      const shown: string[] = []
      const terminal = await dial(directory, { colour: false, follow: true })
      terminal?.onShow((text) => shown.push(text))
      expect(terminal?.greeting).toContain('/help lists the commands')
      telegram.say({ chat: ANN, from: ANN, text: '/testalert' })
      await until(() => shown.some((text) => text.includes('Test alert\nAsked for by Ann (11).')))
      await telegram.waitFor((fake) => fake.messages(OPS).some(({ text }) => text.includes('Test alert')))
      terminal?.close()
    },
    SLOW,
  )

  it(
    'a console that only asks is shown nothing unasked',
    async ({ onTestFinished: after }) => {
      const { directory, telegram } = await serving(after)
      const shown: string[] = []
      const terminal = await dial(directory, { colour: false, follow: false })
      terminal?.onShow((text) => shown.push(text))
      telegram.say({ chat: ANN, from: ANN, text: '/testalert' })
      await telegram.waitFor((fake) => fake.messages(ANN).some(({ text }) => text.includes('Test alert')))
      expect(await terminal?.line('/whoami')).toMatchObject({ ok: true })
      expect(shown).toEqual([])
      terminal?.close()
    },
    SLOW,
  )
})
