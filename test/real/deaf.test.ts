// Promise 3: never deaf after the network was away, never silent about why Telegram will not have us, never idle meanwhile.

import { writeFileSync } from 'node:fs'
import { type ClientRequest, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it } from 'vitest'
import { faultProxy } from '../telegram/faults.ts'
import type { FakeTelegram } from '../telegram/server.ts'
import {
  createRig,
  envOf,
  fill,
  needsRoot,
  type Rig,
  report,
  secondsSince,
  tells,
  there,
  until,
} from './rig.ts'

const OWNER = 11
/** How long the network is away. */
const AWAY_MS = 60_000
/** The promise: handled within this time after it is back. */
const BACK_MS = 60_000
const PATIENT = { timeout: AWAY_MS + BACK_MS + 45_000 }

beforeEach(needsRoot)

/** A fake, and a bot that reaches it over a line that can be broken. */
async function line(rig: Rig) {
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  const proxy = await faultProxy(telegram.port)
  rig.defer(proxy.close)
  const stateDir = rig.dir()
  return { telegram, proxy, stateDir, env: { ...envOf(telegram, stateDir), TELEGRAM_API_ROOT: proxy.url } }
}

const answered = (telegram: FakeTelegram, what: string, since = 0) =>
  telegram.messages(OWNER).some(({ text, history }) => text.includes(what) && (history[0]?.at ?? 0) >= since)

/** Breaks the line for a minute, while somebody asks for something. @returns when the line was back. */
async function awayFor(telegram: FakeTelegram, cut: () => unknown, mend: () => unknown): Promise<number> {
  telegram.say({ chat: OWNER, from: OWNER, text: '/alerts before' })
  await until('the bot answers at first', () => answered(telegram, 'before'))
  await until('a long poll is held', () => telegram.polling)
  await cut()
  telegram.say({ chat: OWNER, from: OWNER, text: '/alerts meanwhile' })
  await sleep(AWAY_MS)
  expect(answered(telegram, 'meanwhile')).toBe(false)
  const mended = performance.now()
  await mend()
  return mended
}

async function expectBack(telegram: FakeTelegram, mended: number, what: string): Promise<void> {
  await until(`the bot answers after ${what}`, () => answered(telegram, 'meanwhile', mended), BACK_MS)
  report(`${what}: the first queued update was answered ${secondsSince(mended)} s after it`)
}

describe.concurrent('never deaf', () => {
  it('hears again within a minute after an outage of a minute', PATIENT, async (context) => {
    const rig = createRig(context)
    const { telegram, proxy, env } = await line(rig)
    const bot = rig.bot(env)
    const mended = await awayFor(
      telegram,
      () => proxy.set('refuse'),
      () => proxy.set('pass'),
    )
    await expectBack(telegram, mended, 'an outage of 60 s')
    expect(bot.alive()).toBe(true)
  })

  it(
    'hears again within a minute after a connection that stayed half open for a minute',
    PATIENT,
    async (context) => {
      const rig = createRig(context)
      const { telegram, proxy, env } = await line(rig)
      const bot = rig.bot(env)
      const mended = await awayFor(
        telegram,
        () => proxy.set('hang'),
        () => proxy.set('pass'),
      )
      await expectBack(telegram, mended, 'a half-open connection of 60 s')
      expect(bot.alive()).toBe(true)
    },
  )

  it(
    'hears again although the half-open connection never tells that it is dead',
    PATIENT,
    async (context) => {
      const rig = createRig(context)
      const { telegram, proxy, env, stateDir } = await line(rig)
      const other = await faultProxy(telegram.port)
      rig.defer(other.close)
      // What hangs hangs for ever, only new connections get through: iptables that forgot, a NAT that was restarted.
      const gate = await forwarder(rig, () => (proxy.mode() === 'hang' ? other.port : proxy.port))
      const bot = rig.bot({
        ...env,
        OPSBOT_STATE_DIR: stateDir,
        TELEGRAM_API_ROOT: `http://127.0.0.1:${gate}`,
      })
      telegram.say({ chat: OWNER, from: OWNER, text: '/alerts before' })
      await until('the bot answers at first', () => answered(telegram, 'before'))
      await until('a long poll is held', () => telegram.polling)
      await proxy.set('hang')
      const broken = performance.now()
      telegram.say({ chat: OWNER, from: OWNER, text: '/alerts meanwhile' })
      await until('the bot answers on a new connection', () => answered(telegram, 'meanwhile'), BACK_MS)
      report(`a connection dead for ever: answered ${secondsSince(broken)} s after its death`)
      expect(bot.alive()).toBe(true)
    },
  )

  it('hears again within a minute after names did not resolve for a minute', PATIENT, async (context) => {
    const rig = createRig(context)
    const { telegram, proxy, env } = await line(rig)
    const [hosts, resolv] = [join(rig.dir(), 'hosts'), join(rig.dir(), 'resolv.conf')]
    const known = `127.0.0.1 localhost\n127.0.0.1 telegram.test\n`
    writeFileSync(hosts, known)
    writeFileSync(resolv, 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
    // A mount namespace with files of its own: nobody else is misled.
    const script =
      'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/resolv.conf && shift 2 && exec "$@"'
    const through = ['unshare', '--mount', 'bash', '-c', script, 'bash', hosts, resolv]
    const bot = rig.bot({ ...env, TELEGRAM_API_ROOT: `http://telegram.test:${proxy.port}` }, { through })
    const mended = await awayFor(
      telegram,
      async () => {
        writeFileSync(hosts, '127.0.0.1 localhost\n')
        await proxy.set('reset')
        await proxy.set('pass')
      },
      () => writeFileSync(hosts, known),
    )
    await expectBack(telegram, mended, 'a failure of DNS of 60 s')
    expect(bot.out()).toMatch(/ENOTFOUND|EAI_AGAIN/)
    expect(bot.alive()).toBe(true)
  })

  it(
    'watches and runs its jobs while Telegram is away from the start, and tells when it comes',
    PATIENT,
    async (context) => {
      const rig = createRig(context)
      const { telegram, proxy, env, stateDir } = await line(rig)
      const disk = rig.tmpfs(`size=${1 << 20}`)
      await proxy.set('refuse')
      const bot = rig.bot({ ...env, DISK_MOUNTS: disk, DIGEST_SCHEDULE: '*/20 * * * * *' })
      fill(disk, 90, 1 << 20)
      const title = `Disk ${disk} almost full`
      const says = async (question: string, what: string) =>
        (await rig.ask(stateDir, question)).text.includes(what)
      await until('the console listens', () => there(join(stateDir, 'console.sock')))
      await until('the console answers', () => says('/status', 'Telegram: not reached yet'))
      await until('the console tells of the alert', () => says('/alerts', title))
      await until('a job has run', () => says('/jobs', 'digest: done'), 30_000)
      await sleep(20_000)
      expect(telegram.calls).toEqual([])
      await proxy.set('pass')
      const mended = performance.now()
      const told = () => telegram.messages(OWNER).filter(({ text }) => tells.firing(text, title))
      await until('the alert arrives', () => told().length > 0, BACK_MS)
      report(`Telegram was away from the start: the alert came ${secondsSince(mended)} s after it`)
      expect(bot.alive()).toBe(true)
    },
  )
})

/** Forwards each new connection to the port that is asked for then. */
async function forwarder(rig: Rig, portNow: () => number): Promise<number> {
  const { createServer: createTcp, connect } = await import('node:net')
  const server = createTcp((client) => {
    const upstream = connect(portNow(), '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const end of [client, upstream]) end.on('error', () => {})
    client.on('close', () => upstream.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  rig.defer(() => server.close())
  return (server.address() as AddressInfo).port
}

describe.concurrent('when Telegram will not have us', () => {
  it('ends with a sentence when the token is not accepted', async (context) => {
    const rig = createRig(context)
    const { telegram, env } = await line(rig)
    const bot = rig.bot({ ...env, TELEGRAM_BOT_TOKEN: `${telegram.me.id}:${'x'.repeat(12)}` })
    const { code } = await bot.exited
    expect(code).toBe(1)
    expect(bot.err()).toMatch(/^Telegram does not accept TELEGRAM_BOT_TOKEN \(401\): .*\n$/)
    expect(bot.err() + bot.out()).not.toContain('xxxxxxxx')
  })

  it('ends with a sentence when another program polls with the same token', async (context) => {
    const rig = createRig(context)
    const { telegram, env } = await line(rig)
    const bot = rig.bot(env)
    await until('the bot polls', () => telegram.polling)
    const started = performance.now()
    let over = false
    rig.defer(() => {
      over = true
    })
    // The rival is like grammY's own poller: a long poll, 3 s of rest after a conflict.
    const rival = async () => {
      while (!over) {
        const url = `${telegram.apiRoot}/bot${telegram.token}/getUpdates?timeout=30`
        const { ok } = await fetch(url).catch(() => ({ ok: false }))
        await sleep(ok ? 0 : 3_000)
      }
    }
    void rival()
    const { code } = await bot.exited
    expect(code).toBe(1)
    expect(bot.err()).toMatch(
      /^Another program polls Telegram with the same TELEGRAM_BOT_TOKEN \(409 Conflict\)/,
    )
    report(`ended ${secondsSince(started)} s after another poller came`)
  })

  it('bears the last poll of its own former life', async (context) => {
    const rig = createRig(context)
    const { telegram, env } = await line(rig)
    telegram.fault({ method: 'getUpdates', times: 2, kind: 'status', status: 409 })
    const bot = rig.bot(env)
    telegram.say({ chat: OWNER, from: OWNER, text: '/whoami' })
    await until('it answers', () => telegram.messages(OWNER).length > 0)
    expect(bot.alive()).toBe(true)
  })
})

it('reaches Telegram and the heartbeat address through HTTPS_PROXY alone', async (context) => {
  const rig = createRig(context)
  const { telegram, env } = await line(rig)
  const [asked, beats]: [string[], string[]] = [[], []]
  const proxy = createServer((request, response) => {
    const url = new URL(request.url ?? '')
    asked.push(url.hostname)
    if (url.hostname === 'heart.test') {
      beats.push(url.pathname)
      return void response.end('OK')
    }
    const { method, headers } = request
    const target = {
      host: '127.0.0.1',
      port: telegram.port,
      path: url.pathname + url.search,
      method,
      headers,
    }
    const onward: ClientRequest = httpRequest(target, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  const tunnels: string[] = []
  proxy.on('connect', ({ url = '' }, socket) => {
    tunnels.push(url)
    socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  rig.defer(() => {
    proxy.closeAllConnections()
    proxy.close()
  })
  const { port } = proxy.address() as AddressInfo
  const through = { HTTPS_PROXY: `http://127.0.0.1:${port}`, HEARTBEAT_URL: 'http://heart.test/ping/17' }
  // No resolver knows these names: only the proxy can have taken the calls there.
  const bot = rig.bot({ ...env, ...through, TELEGRAM_API_ROOT: 'http://telegram.test' })
  telegram.say({ chat: OWNER, from: OWNER, text: '/whoami' })
  await until('it answers', () => telegram.messages(OWNER).length > 0)
  await sleep(2_000) // before everything was looked at once there is nothing to vouch for
  telegram.say({ chat: OWNER, from: OWNER, text: '/run heartbeat' })
  await until('it says what came of it', () => telegram.messages(OWNER).length > 1)
  expect(telegram.messages(OWNER).at(-1)?.text).toContain('heartbeat is done')
  expect(beats).toContain('/ping/17')
  expect(new Set(asked)).toEqual(new Set(['telegram.test', 'heart.test']))
  bot.kill('SIGTERM')
  await bot.exited

  const secure = rig.bot({ ...env, ...through, TELEGRAM_API_ROOT: 'https://telegram.test' })
  await until('it asks the proxy for a tunnel', () => tunnels.includes('telegram.test:443'))
  secure.kill('SIGTERM')
  expect(await secure.exited).toMatchObject({ code: 0 })
})
