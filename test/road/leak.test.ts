// No leak: secrets pushed through every path that could carry them, and then looked for wherever anything is written.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { command } from '../../src/bot/command.ts'
import { listCommands } from '../../src/bot/commands/index.ts'
import { OpsError } from '../../src/errors.ts'
import type { FakeTelegram } from '../telegram/server.ts'
import {
  ANN,
  bytesOf,
  createRig,
  createTelegram,
  EVE,
  OPS,
  peopleEnv,
  spawnBot,
  temporaryDirectory,
  until,
  VIC,
} from './rig.ts'

// Assembled here, so that nothing that looks like a secret stands in this file.
const TOKEN = ['5'.repeat(9), `AA${'Kq7-_'.repeat(7).slice(0, 33)}`].join(':')
const PASSWORD = ['pass', 'w0rd', 'of', 'the', 'proxy'].join('~')
const PING = ['3fae', '9c1d', 'b0b5', 'ping'].join('-')
const SHAPED = {
  'bot token': ['6'.repeat(10), `AB${'zX9_-'.repeat(7).slice(0, 33)}`].join(':'),
  'setup token': ['sk', 'ant', 'oat01', 'Qw3rTy'.repeat(12)].join('-'),
  'api key': ['sk', 'ant', 'api03', 'aSdF9_'.repeat(12)].join('-'),
  'json web token': ['eyJhbGciOiJIUzI1NiJ9', `eyJ${'zdWIiOiIx'.repeat(5)}`, 'sIgN'.repeat(10)].join('.'),
  'gateway token': '0123456789abcdef'.repeat(4),
}
const SECRETS = { token: TOKEN, password: PASSWORD, ping: PING, ...SHAPED }
const ALL = Object.values(SECRETS).join(' ')

const reach = (telegram: FakeTelegram) => ({
  TELEGRAM_BOT_TOKEN: telegram.token,
  TELEGRAM_API_ROOT: telegram.apiRoot,
  // The fake stands in for the proxy too: it is told the whole address, and takes its path.
  HTTPS_PROXY: `http://ops:${PASSWORD}@127.0.0.1:${telegram.port}`,
  HEARTBEAT_URL: `http://127.0.0.1:${telegram.port}/${PING}`,
})

/** Which secrets, whole or by one of their ends, stand in a text. */
function foundIn(text: string): string[] {
  return Object.entries(SECRETS)
    .filter(([, secret]) => [secret.slice(0, 18), secret.slice(-18)].some((part) => text.includes(part)))
    .map(([name]) => name)
}

/** What the bot wrote into chats, and how it answered presses. */
const written = (telegram: FakeTelegram) =>
  JSON.stringify(telegram.calls.flatMap(({ method, params }) => (method === 'getUpdates' ? [] : [params])))

describe('secrets', () => {
  it('that are typed, thrown, titled or answered reach no chat, no audit, no log and no file', async () => {
    const bad = () => {
      throw new Error(`broken by ${ALL}\n${SHAPED['setup token']}`)
    }
    const rig = await createRig({
      fake: { token: TOKEN },
      env: (telegram) => ({ ...reach(telegram), TELEGRAM_CHAT_ID: `${OPS}` }),
      checks: [{ name: 'blind', look: async () => bad() }],
      jobs: [
        {
          name: 'leaky',
          about: `About ${ALL}`,
          schedule: '0 0 1 1 *',
          deadlineMs: 1_000,
          run: async () => bad(),
        },
      ],
      commands: (parts) => [
        ...listCommands(parts),
        command({ name: 'bug', role: 'viewer', about: 'Breaks.', args: z.object({}), run: bad }),
        command({
          ...{ name: 'refuse', role: 'viewer', about: 'Refuses.', args: z.object({}) },
          run: () => {
            throw new OpsError(`Refused\n${ALL}`)
          },
        }),
      ],
    })
    const { telegram } = rig
    const press = async (data: string) => {
      const update = telegram.press({ chat: ANN, from: ANN, messageId: 2, data })
      await telegram.waitFor((fake) => fake.answerTo(update))
    }

    telegram.user(ANN, { name: TOKEN })
    telegram.user(EVE, { name: ALL })
    telegram.say({ chat: EVE, from: EVE, text: ALL })
    for (const line of [
      '/whoami',
      '/bug',
      '/refuse',
      `/ack ${ALL}`,
      `/ack\n${ALL}`,
      `/help ${ALL}`,
      `/mute all ${TOKEN}`,
      ALL,
    ])
      await rig.ask(ANN, line)
    for (const secret of Object.values(SECRETS)) {
      await rig.ask(ANN, `/${secret}`)
      await rig.ask(ANN, `/help ${secret}`)
      // So long that the answer is cut in two, at any place.
      for (const filler of [3_390, 3_400, 3_410, 3_420])
        await rig.ask(ANN, `/ack ${'<'.repeat(filler / 10)}${'x'.repeat(filler)}${secret}`)
      if (secret.length <= 50) await press(`do:ack ${secret}`)
    }
    await rig.see('a', { verdict: 'bad', title: `Title ${ALL}`, why: `Why\n${ALL}`, mend: `Mend ${ALL}` })
    await rig.see('b', { title: `Title\n${SHAPED['json web token']}` })
    for (const line of [
      '/alerts',
      '/alerts 1',
      '/ack all',
      '/jobs',
      '/run leaky',
      '/jobs',
      '/status',
      '/digest',
      '/host',
    ])
      await rig.ask(ANN, line)
    await rig.ask(ANN, '/run heartbeat')
    await rig.ask(ANN, '/audit 99')

    const scold = (status: number) =>
      telegram.fault({ method: 'sendMessage', kind: 'status', status, description: `No: ${ALL}` })
    scold(400)
    await rig.see('c', { verdict: 'bad' })
    await until(() => rig.lines.some((line) => line.includes('a card can not be delivered')))
    telegram.heal()
    scold(403)
    await rig.see('d', { verdict: 'bad' })
    await until(() => rig.ops.chats.list().some(({ closed }) => closed))
    telegram.heal()
    await rig.ask(VIC, '/status')
    telegram.fault({ kind: 'status', status: 502, body: ALL, times: 2 })
    telegram.fault({ kind: 'reset', times: 2 })
    telegram.cut()
    await rig.see('e', { verdict: 'bad' })
    await until(() => rig.lines.some((line) => line.includes('a poll failed')))

    const terminal = await rig.dial(true)
    const replies: string[] = [terminal.greeting]
    await rig.see('f', { verdict: 'bad', why: ALL })
    for (const line of [
      '/bug',
      '/refuse',
      `/${SHAPED['api key']}`,
      `/ack ${ALL}`,
      ALL,
      '/alerts',
      '/audit',
      '/jobs',
      '/status',
    ])
      replies.push((await terminal.line(line)).output)
    await until(() => terminal.shown.length > 0)
    terminal.close()
    rig.clock.pass(60_000)
    await rig.look()

    expect(replies.join('\n')).toContain('[redacted]')
    const places = {
      chats: written(telegram),
      console: [...replies, ...terminal.shown].join('\n'),
      audit: rig.audited().join('\n'),
      log: rig.lines.join('\n'),
      files: bytesOf(rig.directory),
    }
    await rig.stop()
    const found = Object.entries({ ...places, 'files after': bytesOf(rig.directory) }).map(
      ([place, text]) => [place, foundIn(text)],
    )
    expect(Object.fromEntries(found)).toEqual({
      chats: [],
      console: [],
      audit: [],
      log: [],
      files: [],
      'files after': [],
    })
  }, 30_000)

  it('stand in nothing that the process prints, whether the network breaks, Telegram scolds or it crashes', async () => {
    const telegram = await createTelegram({ token: TOKEN })
    const directory = temporaryDirectory()
    const env = { ...reach(telegram), ...peopleEnv, OPSBOT_STATE_DIR: directory, LEAK: ALL }
    // What a raw error of grammY's looks like that nobody caught: the address with the token is in it.
    const crash = `process.once('SIGUSR2', () => {
      const inner = new Error('request to ${telegram.apiRoot}/bot${TOKEN}/getMe failed ' + process.env.LEAK)
      Promise.reject(Object.assign(new Error('Network request for getMe failed! ' + process.env.LEAK, { cause: inner }), { error: inner }))
    })`
    const bot = spawnBot({ env, node: ['--import', `data:text/javascript,${encodeURIComponent(crash)}`] })
    await telegram.waitFor((fake) => fake.polling, 10_000)
    telegram.fault({
      method: 'sendMessage',
      kind: 'status',
      status: 400,
      description: `Bad Request: ${ALL}`,
      times: 2,
    })
    telegram.say({ chat: ANN, from: ANN, text: `/testalert` })
    await until(
      () => bot.said.out.includes('was not delivered') && bot.said.out.includes('can not be delivered'),
    )
    telegram.fault({ kind: 'reset', times: 2 })
    telegram.cut()
    await until(() => bot.said.out.includes('a poll failed'))
    bot.kill('SIGUSR2')
    expect(await bot.ended).toBe(1)
    expect(bot.said.err).toContain('opsbot crashed')
    expect(bot.said.err).toContain('Network request for getMe failed! [redacted]')
    expect({
      out: foundIn(bot.said.out),
      err: foundIn(bot.said.err),
      files: foundIn(bytesOf(directory)),
    }).toEqual({ out: [], err: [], files: [] })

    await telegram.close()
    const elsewhere = { ...env, OPSBOT_STATE_DIR: temporaryDirectory() }
    const deaf = spawnBot({ env: elsewhere })
    await until(() => existsSync(join(elsewhere.OPSBOT_STATE_DIR, 'console.sock')))
    const run = spawnBot({ env: elsewhere, args: ['run', '/status'] })
    await run.ended
    deaf.kill('SIGTERM')
    expect(await deaf.ended).toBe(0)
    expect({ out: foundIn(deaf.said.out), err: foundIn(deaf.said.err), run: foundIn(run.said.out) }).toEqual({
      out: [],
      err: [],
      run: [],
    })
  }, 30_000)
})
