// From a bad observation to the phone: the real bot in this process, its state on disk, the fake in another process.

import { setTimeout as sleep } from 'node:timers/promises'
import { createBot } from '../../src/bot/index.ts'
import { parseConfig } from '../../src/config.ts'
import { createJobs } from '../../src/jobs/index.ts'
import { listJobs } from '../../src/jobs/list.ts'
import { createLog, createRedact } from '../../src/log.ts'
import { createOps } from '../../src/ops/index.ts'
import { GROUP, PEOPLE } from './contender.ts'
import { startTelegram } from './telegram.ts'

const WARM_UP = 40
const GAP_MS = 10

/** Everything that main wires, without the clocks: nothing is watched but what we say was seen. */
async function wire(telegram: Awaited<ReturnType<typeof startTelegram>>, directory: string) {
  const config = parseConfig({
    TELEGRAM_BOT_TOKEN: telegram.token,
    TELEGRAM_API_ROOT: telegram.apiRoot,
    TELEGRAM_CHAT_ID: `${GROUP}`,
    OPSBOT_OWNERS: PEOPLE.join(),
    OPSBOT_STATE_DIR: directory,
  })
  const redact = createRedact(config.secrets)
  const log = createLog(redact, (line) => process.stderr.write(`${line}\n`))
  const ops = createOps({ config, log: { ...log, info: () => {} }, redact, now: Date.now })
  const jobs = createJobs({ ...ops, jobs: listJobs(ops), jobLog: ops.jobs, timeZone: config.timeZone })
  const bot = createBot({ ops, jobs, redact, announce: () => {}, ready: Promise.resolve(), online: true })
  return { ops, bot }
}

/** `alerts.observe` → its sendMessage request at the fake, in milliseconds. Each is new, critical and proved. */
export async function alarmTimes(samples: number, directory: string): Promise<number[]> {
  const telegram = await startTelegram(PEOPLE, GROUP)
  const { ops, bot } = await wire(telegram, directory)
  const running = bot.run()
  try {
    await telegram.until('the first poll', ({ polling }) => polling)
    const seenAt: number[] = []
    for (let sample = 0; sample < WARM_UP + samples; sample += 1) {
      // A check each: what a check no longer reports would count as gone.
      const key = `bench/${sample}`
      const seen = { key, area: 'bench', title: `Sample ${sample} is`, why: 'The bench says so.' }
      seenAt.push(performance.now())
      ops.alerts.observe({ name: key }, [{ ...seen, verdict: 'bad', proof: true }], Date.now())
      do await sleep(GAP_MS)
      while (ops.copies.unaddressed().length + ops.copies.due(Date.now()).length > 0)
    }
    const sent = await telegram.sentTo(GROUP, seenAt[0] ?? 0)
    const tookMs = seenAt.map((at, sample) => {
      const message = sent.find(({ text }) => text.includes(`Sample ${sample} is`))
      if (!message) throw new Error(`sample ${sample} was not sent`)
      return message.at - at
    })
    return tookMs.slice(WARM_UP)
  } finally {
    await bot.stop(2_000)
    await running
    await ops.stop(2_000)
    await telegram.close()
  }
}
