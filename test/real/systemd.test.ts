// Under a real systemd, booted in a box: ready, watched, restarted or not, given its secret, and asked about units.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, beforeEach, expect, it, type TestContext } from 'vitest'
import type { FakeTelegram } from '../telegram/server.ts'
import { createRig, envOf, needsRoot, ROOT, report, secondsSince, sh, tells, until } from './rig.ts'

const OWNER = 11
const SCRIPT = join(ROOT, 'test/real/systemd-box.sh')
const HERE = '/opt/opsbot'
const WATCHDOG_SECONDS = 6

beforeEach(needsRoot)

beforeAll(() => {
  // The first time on a machine it is made from packages; later it is there.
  if (process.getuid?.() === 0) execFileSync(SCRIPT, ['build'], { stdio: ['ignore', 'ignore', 'inherit'] })
}, 600_000)

/** A machine of its own, with this checkout and this Node in it, read-only. It shares our loopback. */
function bootBox(context: TestContext) {
  const rig = createRig(context)
  rig.defer(() => sh(SCRIPT, 'down'))
  const binds = [`--bind-ro=${ROOT}:${HERE}`, `--bind-ro=${process.execPath}:/usr/bin/node`]
  const pid = sh(SCRIPT, 'up', ...binds).trim()
  const exec = (...command: string[]) => sh('nsenter', '-t', pid, '-a', '--', ...command)
  const pathOf = (path: string) => `/proc/${pid}/root${path}`
  const write = (path: string, text: string) => {
    mkdirSync(dirname(pathOf(path)), { recursive: true })
    writeFileSync(pathOf(path), text)
  }
  /** Properties of a unit, as systemd tells them. */
  const show = (unit: string) =>
    Object.fromEntries(
      exec('systemctl', 'show', unit)
        .split('\n')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    ) as Record<string, string>
  const journal = (unit: string) => exec('journalctl', '-u', unit, '-o', 'cat', '--no-pager')
  rig.defer(() => {
    if (context.task.result?.state === 'fail') report(journal('opsbot'))
  })
  // What does not fit into a box is no matter of ours.
  exec('systemctl', 'reset-failed')
  return { rig, exec, write, pathOf, show, journal }
}

type Box = ReturnType<typeof bootBox>

/** The unit that a careful operator writes. The token comes as a credential and stands nowhere else. */
function install({ write, exec }: Box, telegram: FakeTelegram, more: Record<string, string> = {}): void {
  const { TELEGRAM_BOT_TOKEN: token, OPSBOT_STATE_DIR: _, ...env } = { ...envOf(telegram, ''), ...more }
  write('/etc/opsbot/token', `${token}\n`)
  const environment = Object.entries({ ...env, OPSBOT_ENV_FILE: '/dev/null' })
  const unit = `[Unit]
Description=The ops bot
StartLimitIntervalSec=0
[Service]
Type=notify
NotifyAccess=all
ExecStart=/usr/bin/node ${HERE}/src/main.ts
WatchdogSec=${WATCHDOG_SECONDS}
Restart=on-failure
RestartSec=1
RestartPreventExitStatus=78
User=opsbot
StateDirectory=opsbot
StateDirectoryMode=0700
ProtectSystem=strict
ProtectHome=yes
NoNewPrivileges=yes
LoadCredential=telegram_bot_token:/etc/opsbot/token
${environment.map(([key, value]) => `Environment=${key}=${value}`).join('\n')}
`
  write('/etc/systemd/system/opsbot.service', unit)
  // A user of its own that the D-Bus of Debian 12 knows, as it would not know one of DynamicUser=.
  write('/etc/sysusers.d/opsbot.conf', 'u opsbot -\n')
  exec('systemd-sysusers')
  exec('systemctl', 'daemon-reload')
}

async function newTelegram({ rig }: Box): Promise<FakeTelegram> {
  const telegram = await rig.telegram()
  telegram.privateChat(OWNER)
  return telegram
}

/** Asks something and waits for the answer. */
/** @param answer what it begins with: an alert may come in between. */
async function talk(telegram: FakeTelegram, text: string, answer = /./): Promise<string> {
  const before = telegram.messages(OWNER).length
  telegram.say({ chat: OWNER, from: OWNER, text })
  const found = await until(`${text} is answered`, () =>
    telegram
      .messages(OWNER)
      .slice(before)
      .find((message) => answer.test(message.text)),
  )
  return found?.text ?? ''
}

it('is ready when it says so, reads its credential, keeps its state where it belongs, and stops well', async (context) => {
  const box = bootBox(context)
  const telegram = await newTelegram(box)
  install(box, telegram)
  const asked = performance.now()
  box.exec('systemctl', 'start', 'opsbot')
  report(`systemd called it ready ${secondsSince(asked)} s after the start`)
  expect(box.show('opsbot')).toMatchObject({ ActiveState: 'active', SubState: 'running', NRestarts: '0' })
  expect(await talk(telegram, '/whoami', /You are/)).toContain('owner')
  expect(existsSync(box.pathOf('/var/lib/opsbot/state.db'))).toBe(true)
  expect(box.journal('opsbot')).toContain('polling Telegram')
  expect(box.journal('opsbot')).not.toContain(telegram.token)
  // The console's command works inside, as the bot's own user or root.
  const line = ['env', 'OPSBOT_STATE_DIR=/var/lib/opsbot', 'node', `${HERE}/src/main.ts`, 'run', '/jobs']
  expect(box.exec(...line)).toContain('housekeeping')
  // Longer than the watchdog's time: it is fed.
  await sleep((WATCHDOG_SECONDS + 3) * 1_000)
  expect(box.show('opsbot')).toMatchObject({ ActiveState: 'active', NRestarts: '0' })
  const stopped = performance.now()
  box.exec('systemctl', 'stop', 'opsbot')
  expect(performance.now() - stopped).toBeLessThan(5_000)
  expect(box.show('opsbot')).toMatchObject({
    ActiveState: 'inactive',
    Result: 'success',
    ExecMainStatus: '0',
  })
})

it('is started anew by the watchdog when it no longer moves', async (context) => {
  const box = bootBox(context)
  const telegram = await newTelegram(box)
  install(box, telegram)
  box.exec('systemctl', 'start', 'opsbot')
  expect(await talk(telegram, '/whoami', /You are/)).toContain('owner')
  const { MainPID: before } = box.show('opsbot')
  const frozen = performance.now()
  box.exec('systemctl', 'kill', '--kill-who=main', '-s', 'STOP', 'opsbot')
  await until('it is started anew', () => box.show('opsbot').NRestarts === '1', 60_000)
  await until('it is ready again', () => box.show('opsbot').ActiveState === 'active')
  report(`the watchdog had it started anew ${secondsSince(frozen)} s after it froze`)
  expect(box.show('opsbot').MainPID).not.toBe(before)
  expect(box.journal('opsbot')).not.toContain('crashed')
  expect(await talk(telegram, '/whoami', /You are/)).toContain('owner')
})

it('is not started anew when only its configuration can help, and says what is wrong', async (context) => {
  const box = bootBox(context)
  const telegram = await newTelegram(box)
  install(box, telegram, { OPSBOT_OWNERS: 'Ann', ALERT_DISK_PERCENT: '101' })
  expect(() => box.exec('systemctl', 'start', 'opsbot')).toThrow()
  await sleep(3_000)
  expect(box.show('opsbot')).toMatchObject({ ActiveState: 'failed', NRestarts: '0', ExecMainStatus: '78' })
  expect(box.journal('opsbot')).toContain('OPSBOT_OWNERS must be numeric Telegram user ids')
  expect(box.journal('opsbot')).toContain('ALERT_DISK_PERCENT must be from 1 to 99')
  expect(telegram.calls).toEqual([])
})

it('tells of a unit that failed, and that it is well again', async (context) => {
  const box = bootBox(context)
  const telegram = await newTelegram(box)
  install(box, telegram)
  box.write('/etc/systemd/system/broken.service', '[Service]\nType=oneshot\nExecStart=/bin/false\n')
  box.exec('systemctl', 'daemon-reload')
  box.exec('systemctl', 'start', 'opsbot')
  expect(await talk(telegram, '/alerts')).not.toContain('broken')
  expect(() => box.exec('systemctl', 'start', 'broken')).toThrow()
  const failed = performance.now()
  const title = 'systemd unit broken.service failed'
  const told = (how: typeof tells.over) => telegram.messages(OWNER).filter(({ text }) => how(text, title))
  await until('the failure is told', () => told(tells.firing).length > 0, 30_000)
  report(`a failed unit was told after ${secondsSince(failed)} s, at a cycle of 1 s`)
  expect(told(tells.firing)[0]?.text).toContain('exit-code')
  expect(await talk(telegram, '/alerts unit/broken.service', new RegExp(title))).toContain(title)
  box.exec('systemctl', 'reset-failed', 'broken')
  await until('its end is told', () => told(tells.over).length > 1, 30_000)
  expect(told(tells.over)[1]?.replyTo).toBe(told(tells.over)[0]?.id)
})

it('asks the real systemctl and timedatectl for failed units, the clock and a reboot', async (context) => {
  const box = bootBox(context)
  const script = `
    import { createSystemd } from '${HERE}/src/ops/systemd.ts'
    import { run } from '${HERE}/src/ops/run.ts'
    const systemd = createSystemd({ run })
    const [units, clock, reboot] = [await systemd.failedUnits(), await systemd.clock(), await systemd.rebootWanted()]
    console.log(JSON.stringify({ units, clock, reboot: reboot ?? null }))`
  const look = () => JSON.parse(box.exec('node', '--input-type=module', '-e', script))
  expect(look()).toEqual({
    units: [],
    clock: { synchronised: expect.any(Boolean), service: expect.any(Boolean) },
    reboot: null,
  })
  const unit = '[Unit]\nDescription=Goes wrong\n[Service]\nType=oneshot\nExecStart=/bin/false\n'
  box.write('/etc/systemd/system/wrong.service', unit)
  box.exec('systemctl', 'daemon-reload')
  expect(() => box.exec('systemctl', 'start', 'wrong')).toThrow()
  box.write('/run/reboot-required', '')
  box.write('/run/reboot-required.pkgs', 'linux-image\nlibc6\nlinux-image\n')
  expect(look()).toMatchObject({
    units: [{ name: 'wrong.service', description: 'Goes wrong', result: 'exit-code' }],
    reboot: { packages: ['linux-image', 'libc6'] },
  })
})
