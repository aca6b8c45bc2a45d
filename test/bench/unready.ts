// From a gateway that is not ready any more to the phone: a real one whose process is killed, and a replayed one that says so.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { NEW } from '../openclaw/recording.ts'
import { createReplay } from '../openclaw/replay.ts'
import type { Engine } from '../real/engine.ts'
import type { Gateway } from '../real/gateway.ts'
import { type Contender, createContender, GROUP, PEOPLE } from './contender.ts'
import { pidsOf } from './link.ts'

const PATIENCE_MS = 60_000
/** Whatever a bot does at its start is over by then. */
const SETTLE_MS = 1_500
/** The gateway is looked at twice a second; when it fails lies anywhere between two looks. */
const LOOK_MS = 500
/** So long after its start a gateway that does not listen counts as starting. */
const START_MS = 120_000
const GATEWAY = /^(openclaw|node dist\/index\.js gateway)/
/** The container outlives the gateway in it, as that of a supervisor does. */
const LOOP = `services:
  openclaw-gateway:
    command: [sh, -c, "while :; do node dist/index.js gateway --bind lan --port 18789; sleep 1; done"]
`

/**
 * One sample, by a bot that starts with nothing remembered: an alert that has fired before would be held back.
 * @param fail makes the gateway fail. @returns milliseconds from then until the message was asked to be sent.
 */
async function sampleOf(
  bot: Contender,
  stateDir: string,
  { seen, fail }: { seen: () => Promise<boolean>; fail: () => void | Promise<void> },
): Promise<number> {
  rmSync(stateDir, { recursive: true, force: true })
  await bot.start()
  try {
    const end = performance.now() + PATIENCE_MS
    while (!(await seen())) {
      if (performance.now() > end) throw new Error('the bot does not see that the gateway is ready')
      await sleep(300)
    }
    await sleep(SETTLE_MS + Math.random() * LOOK_MS)
    const at = performance.now()
    await fail()
    for (;;) {
      const sent = await bot.telegram.sentTo(GROUP, at)
      const message = sent.find(({ text }) => text.includes('The gateway is not ready'))
      if (message) return message.at - at
      if (performance.now() > at + PATIENCE_MS) throw new Error('nobody was told that it is not ready')
      await sleep(100)
    }
  } finally {
    await bot.stop()
  }
}

/** Makes the gateway one whose container lives on without it. @returns when its container was made. */
export async function looped({ dir, compose, ready }: Gateway): Promise<number> {
  const file = join(dir, 'loop.yml')
  writeFileSync(file, LOOP)
  await compose('-f', file, 'up', '-d', '-t', '60')
  const madeAt = Date.now()
  await ready()
  return madeAt
}

/** @param madeAt of its container, as `looped` said. */
export async function killTimes(
  engine: Engine,
  { container, ready }: Gateway,
  stateDir: string,
  { samples, madeAt }: { samples: number; madeAt: number },
): Promise<number[]> {
  const more = { ...engine.env, OPENCLAW_GATEWAY_CONTAINER: container, ALERT_LOAD_PER_CORE: '100' }
  const bot = await createContender('ours', stateDir, more)
  const [person] = PEOPLE
  /** What it says of the gateway, asked now. */
  async function seen(): Promise<boolean> {
    const before = (await bot.telegram.messages(person)).length
    bot.telegram.say(person, '/gateway')
    await sleep(2_000)
    const said = (await bot.telegram.messages(person)).slice(before).map(({ text }) => text)
    return said.some((text) => /: running, ready/.test(text) && /Seen over the link/.test(text))
  }
  await sleep(madeAt + START_MS - Date.now())
  const found: number[] = []
  try {
    while (found.length < samples) {
      await ready()
      const pids = await pidsOf(engine, container, GATEWAY)
      if (pids.length === 0) throw new Error(`no gateway runs in ${container}`)
      const fail = () => {
        for (const pid of pids) process.kill(pid, 'SIGKILL')
      }
      found.push(await sampleOf(bot, stateDir, { seen, fail }))
    }
    return found
  } finally {
    await bot.telegram.close()
  }
}

/** `/readyz` of a newer gateway turns to 503. */
export async function sayingTimes(directory: string, samples: number): Promise<number[]> {
  const token = 'gateway-token-of-the-bench'
  const [home, stateDir] = [join(directory, 'home'), join(directory, 'state')]
  mkdirSync(home, { recursive: true })
  writeFileSync(join(home, 'openclaw.json'), JSON.stringify({ gateway: { auth: { token } } }), {
    mode: 0o600,
  })
  const replay = await createReplay({ version: NEW, token })
  const bot = await createContender('ours', stateDir, {
    ...{ OPENCLAW_GATEWAY_URL: replay.url, OPENCLAW_CONFIG_DIR: home, ALERT_LOAD_PER_CORE: '100' },
    DOCKER_HOST: `unix://${join(directory, 'none.sock')}`,
  })
  const found: number[] = []
  try {
    while (found.length < samples) {
      replay.say({ ready: true, failing: [], uptimeMs: 500_000 })
      const looks = replay.counts.http
      const seen = async () => replay.clients().length > 0 && replay.counts.http > looks
      const fail = () => replay.say({ ready: false, failing: ['telegram'], uptimeMs: 500_000 })
      found.push(await sampleOf(bot, stateDir, { seen, fail }))
    }
    return found
  } finally {
    await bot.telegram.close()
    await replay.close()
  }
}
