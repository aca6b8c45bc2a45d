// Environment → Config: every mistake at once and in words, no secret in any of them, and what holds when nothing is set.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ConfigError, parseConfig } from '../../src/config.ts'
import { KEYS, type Key } from '../../src/keys.ts'
import { tempDir } from './help.ts'

type Environment = Record<string, string | undefined>

function mistakes(env: Environment): string[] {
  try {
    parseConfig(env)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    const [head, ...lines] = (error as Error).message.split('\n')
    expect(head).toBe('The configuration cannot be used:')
    return lines.map((line) => line.trim())
  }
  return []
}

describe('nothing set', () => {
  const config = parseConfig({ HOME: '/home/ann' })
  it('is a good configuration: no Telegram, nobody, the usual limits', () => {
    expect(config).toMatchObject({
      ...{
        owners: [],
        stateDir: '/home/ann/.local/state/opsbot',
        watchMs: 30_000,
        digestSchedule: '0 9 * * *',
      },
      timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
      limits: { diskPercent: 85, memoryPercent: 90, inodesPercent: 85, diskMounts: undefined },
      ...{ supervisor: {}, secrets: [] },
    })
    expect(config.people.size).toBe(0)
    for (const name of ['telegram', 'quietHours', 'heartbeatUrl', 'proxy'])
      expect(config).not.toHaveProperty(name)
  })

  it.each(Object.keys(KEYS))('%s set to nothing, or to white space, is not set', (name) => {
    expect(parseConfig({ HOME: '/home/ann', [name]: '' })).toEqual(config)
    expect(parseConfig({ HOME: '/home/ann', [name]: '  ' })).toEqual(config)
  })

  it('the token of .env.example is none: whoever forgets to change it is told so', () => {
    expect(mistakes({ TELEGRAM_BOT_TOKEN: KEYS.TELEGRAM_BOT_TOKEN.example })).toHaveLength(1)
  })

  const others = Object.entries<Key>(KEYS).filter(([name]) => name !== 'TELEGRAM_BOT_TOKEN')
  it.each(others)('the example of %s is a good value', (name, { example }) => {
    expect(mistakes({ TELEGRAM_CHAT_ID: '-100', [name]: example })).toEqual([])
  })
})

describe('one mistake', () => {
  it.each([
    ['TELEGRAM_BOT_TOKEN', 'nonsense', 'must look like 123456:ABC-def, as @BotFather gives it'],
    ['OPSBOT_OWNERS', '@ann', 'must be numeric Telegram user ids with commas between them, not "@ann"'],
    ['OPSBOT_OWNERS', '1,,2', 'must be numeric Telegram user ids with commas between them, not "1,,2"'],
    [
      'TELEGRAM_CHAT_ID',
      '@ops',
      'must be a number such as -1001234567890; /whoami in that chat shows it, not "@ops"',
    ],
    [
      'TELEGRAM_API_ROOT',
      'api.telegram.org',
      'must be an http:// or https:// address, not "api.telegram.org"',
    ],
    [
      'TELEGRAM_API_ROOT',
      'ftp://example.com',
      'must be an http:// or https:// address, not "ftp://example.com"',
    ],
    ['OPSBOT_STATE_DIR', 'state', 'must be an absolute path, not "state"'],
    [
      'OPSBOT_TIME_ZONE',
      'Mars/Olympus',
      'must be an IANA name such as Europe/Berlin, or UTC, not "Mars/Olympus"',
    ],
    ['OPSBOT_TIME_ZONE', 'CET', 'must be an IANA name such as Europe/Berlin, or UTC, not "CET"'],
    ['OPSBOT_QUIET_HOURS', '23-7', 'must look like 23:00-07:00, not "23-7"'],
    ['OPSBOT_QUIET_HOURS', '24:00-07:00', 'must look like 23:00-07:00, not "24:00-07:00"'],
    ['OPSBOT_QUIET_HOURS', '07:00-07:00', 'must not begin and end at the same minute, not "07:00-07:00"'],
    ['DIGEST_SCHEDULE', 'at nine', 'must be a cron expression such as 0 9 * * *, not "at nine"'],
    ['WATCH_SECONDS', 'often', 'must be a number, not "often"'],
    ['WATCH_SECONDS', '0', 'must be from 1 to 3600, not "0"'],
    ['WATCH_SECONDS', '1e3', 'must be a number, not "1e3"'],
    ['ALERT_DISK_PERCENT', '100', 'must be from 1 to 99, not "100"'],
    ['ALERT_DISK_PERCENT', '-5', 'must be a number, not "-5"'],
    ['DISK_MOUNTS', '/,var', 'must be absolute paths, not "/,var"'],
    ['HEARTBEAT_URL', 'hc.example/ping', 'must be an http:// or https:// address'],
  ])('%s=%s: %s', (name, value, sentence) => {
    expect(mistakes({ [name]: value })).toEqual([`${name} ${sentence}`])
  })

  it('a topic without its chat', () => {
    expect(mistakes({ TELEGRAM_THREAD_ID: '42' })).toEqual([
      'TELEGRAM_THREAD_ID needs TELEGRAM_CHAT_ID: a topic belongs to a chat',
    ])
  })

  it('somebody with two roles, or twice with one', () => {
    expect(mistakes({ OPSBOT_OWNERS: '1, 2', OPSBOT_VIEWERS: '2,3,3' })).toEqual([
      '2 is listed twice: as owner and as viewer',
      '3 is listed twice: as viewer and as viewer',
    ])
  })

  it.each(['OPSBOT_OWNER', 'OPSBOT_TOKEN', 'ALERT_DISK'])('%s, which nobody reads', (name) => {
    expect(mistakes({ [name]: 'x' })).toEqual([`${name} is not a key that opsbot knows`])
  })

  it.each(['TELEGRAM_SOMETHING', 'PATH', 'OPSBOT_ENV_FILE'])('%s is none', (name) => {
    expect(mistakes({ [name]: 'x' })).toEqual([])
  })
})

it('all mistakes are said at once, each with its key, and no secret is in any of them', () => {
  const secret = 'hunter2-hunter2'
  const found = mistakes({
    ...{ TELEGRAM_BOT_TOKEN: secret, HEARTBEAT_URL: secret, HTTPS_PROXY: secret },
    ...{ OPSBOT_OWNERS: 'Ann', WATCH_SECONDS: 'x', TELEGRAM_THREAD_ID: '7', ALERT_NOTHING: '1' },
  })
  expect(found.map((line) => line.split(' ')[0]).sort()).toEqual([
    ...['ALERT_NOTHING', 'HEARTBEAT_URL', 'HTTPS_PROXY', 'OPSBOT_OWNERS'],
    ...['TELEGRAM_BOT_TOKEN', 'TELEGRAM_THREAD_ID', 'WATCH_SECONDS'],
  ])
  expect(found.join()).not.toContain(secret)
})

describe('a good configuration', () => {
  const token = '12345:abcdefgh'
  it('is read in full', () => {
    const config = parseConfig({
      ...{ TELEGRAM_BOT_TOKEN: token, TELEGRAM_CHAT_ID: '-1001', TELEGRAM_THREAD_ID: '42' },
      ...{ TELEGRAM_API_ROOT: 'http://localhost:8081/', HTTPS_PROXY: 'http://u:p%40ss@proxy:3128' },
      ...{
        OPSBOT_OWNERS: '1, 2',
        OPSBOT_OPERATORS: '3',
        OPSBOT_VIEWERS: '4',
        OPSBOT_STATE_DIR: '/srv/opsbot',
      },
      ...{ OPSBOT_TIME_ZONE: 'Europe/Berlin', OPSBOT_QUIET_HOURS: '23:00-07:30', WATCH_SECONDS: '0.5e' },
      ...{
        WATCH_SECONDS: '10',
        ALERT_DISK_PERCENT: '80.5',
        DISK_MOUNTS: '/, /var/ ,',
        HEARTBEAT_URL: 'https://hc/x',
      },
      ...{ NOTIFY_SOCKET: '/run/notify', WATCHDOG_USEC: '30000000' },
    })
    expect(config).toMatchObject({
      telegram: {
        ...{ token, chatId: -1001, threadId: 42 },
        ...{ apiRoot: 'http://localhost:8081', proxy: 'http://u:p%40ss@proxy:3128' },
      },
      ...{ owners: [1, 2], stateDir: '/srv/opsbot', timeZone: 'Europe/Berlin', watchMs: 10_000 },
      ...{ quietHours: { from: '23:00', to: '07:30' }, heartbeatUrl: 'https://hc/x' },
      limits: { diskPercent: 80.5, diskMounts: ['/', '/var'] },
      supervisor: { notifySocket: '/run/notify', watchdogMs: 30_000 },
    })
    expect([...config.people]).toEqual([
      [1, 'owner'],
      [2, 'owner'],
      [3, 'operator'],
      [4, 'viewer'],
    ])
    for (const secret of [token, 'http://u:p%40ss@proxy:3128', 'https://hc/x', 'p%40ss', 'p@ss'])
      expect(config.secrets).toContain(secret)
  })

  it.each([
    [{ OPSBOT_STATE_DIR: '/a', STATE_DIRECTORY: '/b', XDG_STATE_HOME: '/c', HOME: '/d' }, '/a'],
    [{ STATE_DIRECTORY: '/b:/b2', XDG_STATE_HOME: '/c', HOME: '/d' }, '/b'],
    [{ XDG_STATE_HOME: '/c', HOME: '/d' }, '/c/opsbot'],
    [{ XDG_STATE_HOME: '', HOME: '/d' }, '/d/.local/state/opsbot'],
  ])('%o remembers in %s', (env, stateDir) => expect(parseConfig(env).stateDir).toBe(stateDir))

  it('has its schedule’s names of the day checked by the scheduler itself', () => {
    expect(mistakes({ DIGEST_SCHEDULE: '30 8 * * mon-fri' })).toEqual([])
    expect(mistakes({ DIGEST_SCHEDULE: '61 8 * * *' })).toHaveLength(1)
  })
})

describe('a credential of systemd', () => {
  function withCredential(text: string, env: Environment) {
    const directory = tempDir()
    mkdirSync(directory, { recursive: true })
    writeFileSync(join(directory, 'telegram_bot_token'), text)
    return parseConfig({ CREDENTIALS_DIRECTORY: directory, ...env })
  }

  it('wins over the environment, without its line break', () => {
    const config = withCredential('11111:from-the-file\n', { TELEGRAM_BOT_TOKEN: '22222:from-the-env' })
    expect(config.telegram?.token).toBe('11111:from-the-file')
    expect(config.secrets).toEqual(['11111:from-the-file'])
  })

  it('that is empty or not there leaves the environment', () => {
    expect(withCredential('\n', { TELEGRAM_BOT_TOKEN: '22222:from-the-env' }).telegram?.token).toBe(
      '22222:from-the-env',
    )
    expect(withCredential('', { HEARTBEAT_URL: 'https://hc/x' }).heartbeatUrl).toBe('https://hc/x')
  })

  it('of a key that is no secret is not read', () => {
    const directory = tempDir()
    writeFileSync(join(directory, 'watch_seconds'), '5')
    expect(parseConfig({ CREDENTIALS_DIRECTORY: directory }).watchMs).toBe(30_000)
  })
})
