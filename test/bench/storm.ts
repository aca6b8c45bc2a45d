// A storm of events: renames of bystanders by the thousand, and among them real changes of the containers watched.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender } from './contender.ts'
import type { Fleet, Inspection } from './fleet.ts'
import { median } from './table.ts'

export interface Storm {
  events: number
  tookMs: number
  /** Resident memory before, and at its highest from then on. */
  rssMb: { before: number; peak: number }
  cpuPercent: number
  /** Containers whose last verdict is not what `docker inspect` says. */
  wrong: string[]
  /** What `docker inspect` says of all that were compared. */
  states: string[]
}

const SERVICES = Array.from({ length: 12 }, (_, index) => `service-${100 + index}`)
const BYSTANDERS = Array.from({ length: 8 }, (_, index) => `bystander-${100 + index}`)
/** What the bot follows; networks and images have events too. */
const COUNTED = ['create', 'start', 'die', 'kill', 'stop', 'pause', 'unpause', 'rename', 'health_status']
const TICK_MS = 100
/** Longer than a cycle of the watch: what is seen by then is what stays. */
const CALM_MS = 35_000
const CHANGE_MS = 150

/** What a check has to say of a container in each of Docker's states. */
const VERDICTS: Record<string, string> = { running: 'ok', paused: 'warn', exited: 'bad' }

/** Looks at the bot's memory once a second. */
function watchMemory(bot: Contender) {
  const seen: number[] = []
  const timer = setInterval(() => seen.push(bot.use().rssMb), 1_000)
  return { seen, stop: () => clearInterval(timer) }
}

/** Changes one watched container in some way that its state allows; half of the deaths are nobody's wish. */
async function change(fleet: Fleet): Promise<void> {
  const name = SERVICES[Math.floor(Math.random() * SERVICES.length)] ?? ''
  const { State } = JSON.parse(await fleet.call('GET', `/containers/${name}/json`)) as Inspection
  const act = (verb: string) => fleet.call('POST', `/containers/${name}/${verb}`)
  if (State.Status === 'paused') await act('unpause')
  else if (State.Status !== 'running') await act('start')
  else if (Math.random() < 0.4) process.kill(State.Pid, 'SIGKILL')
  else await act(['pause', 'stop?t=0', 'restart?t=0'][Math.floor(Math.random() * 3)] ?? 'pause')
}

/** Makes events at an even pace until there were so many. @returns how long that took. */
async function rage(fleet: Fleet, events: number, withinMs: number, count: () => number): Promise<number> {
  const began = performance.now()
  let over = false
  const changes = (async () => {
    while (!over) {
      await change(fleet).catch(() => {})
      await sleep(CHANGE_MS)
    }
  })()
  const names = new Map(BYSTANDERS.map((name) => [name, name]))
  const rename = async (name: string) => {
    const [from = name, to] = [names.get(name), names.get(name) === name ? `${name}-too` : name]
    await fleet.call('POST', `/containers/${from}/rename?name=${to}`)
    names.set(name, to)
  }
  while (count() < events) {
    const behind = (events * (performance.now() - began)) / withinMs - count()
    const each = Math.max(0, Math.ceil(Math.min(behind, events - count()) / BYSTANDERS.length))
    const rounds = async (name: string) => {
      for (let round = 0; round < each; round += 1) await rename(name)
    }
    await Promise.all([...BYSTANDERS.map(rounds), sleep(TICK_MS)])
  }
  const tookMs = performance.now() - began
  over = true
  await changes
  // Each state is to be among those that are compared.
  const left = (await fleet.inspect(...SERVICES)).find(({ State }) => State.Status === 'running')
  if (left) await fleet.call('POST', `/containers/${left.Id}/pause`)
  return tookMs
}

/** What the bot remembers of a container; of what was never anything but well it remembers nothing. */
function verdictsOf(stateDir: string): Map<string, string> {
  const db = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true })
  const rows = db.prepare('SELECT key, memory FROM alerts').all() as { key: string; memory: string }[]
  db.close()
  return new Map(rows.map(({ key, memory }) => [key, JSON.parse(memory).verdict as string]))
}

/** @param stateDir of the bot, which must not run yet. */
export async function stormOf(
  fleet: Fleet,
  bot: Contender,
  stateDir: string,
  events: number,
): Promise<Storm> {
  await fleet.deploy(SERVICES)
  for (const name of BYSTANDERS) await fleet.engine.docker('create', '--name', name, 'opsbot/busybox')
  await bot.start()
  let count = 0
  const counted = COUNTED.map((action) => `event=${action}`)
  const stop = await fleet.follow('{{.Action}}', ['type=container', ...counted], () => {
    count += 1
  })
  await sleep(CALM_MS)
  const memory = watchMemory(bot)
  try {
    await sleep(10_000)
    const before = median(memory.seen.splice(0))
    const cpuBefore = bot.use().cpuMs
    const from = count
    const tookMs = await rage(fleet, events, 60_000, () => count - from)
    const cpuPercent = (100 * (bot.use().cpuMs - cpuBefore)) / tookMs
    const seen = count - from
    await sleep(CALM_MS)
    const peak = Math.max(...memory.seen)
    await bot.stop()
    const verdicts = verdictsOf(stateDir)
    const states = await fleet.inspect(...SERVICES)
    const wrong = states.flatMap(({ Name, State }) => {
      const seenAs = verdicts.get(`container${Name}`) ?? 'ok'
      return seenAs === VERDICTS[State.Status]
        ? []
        : [`${Name.slice(1)} is ${State.Status}, seen as ${seenAs}`]
    })
    return {
      ...{ events: seen, tookMs, cpuPercent, wrong, states: states.map(({ State }) => State.Status) },
      rssMb: { before, peak },
    }
  } finally {
    memory.stop()
    stop()
    await fleet.engine
      .docker('rm', '-f', ...BYSTANDERS, ...BYSTANDERS.map((name) => `${name}-too`))
      .catch(() => {})
  }
}
