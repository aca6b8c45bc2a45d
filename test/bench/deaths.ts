// From the death of a container to the phone: containers that nobody asked to end, one after another, beside a poller.

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { endsWithUs } from './children.ts'
import { type Contender, GROUP } from './contender.ts'
import { clockOffset, type Fleet } from './fleet.ts'

/** One death, in milliseconds until it was told. */
export interface Lateness {
  /** From the end of its process to our sendMessage request. */
  killed: number
  /** From Docker's own `die`: before it `docker ps` says that it runs. */
  docker: number
  /** From the end of its process to that `die`: the engine's own time. */
  engine: number
  /** From the end of its process until the poller's `docker ps` came back. */
  poller: number
}

/** Every expected container is one that a look has to inspect; with the gateway they are this many. */
export const EXPECTED = 30
const POLL_SECONDS = 60
/** The deaths of a window lie in its first part, so that the poller's next look finds them all. */
const WINDOW_MS = 55_000
const SETTLE_MS = 4_000

const namesOf = (window: number) =>
  Array.from({ length: EXPECTED - 1 }, (_, index) => `service-${window}-${100 + index}`)

/** Starts the poller; its first look is now. @returns what it has told so far, by name, and the way to stop it. */
function startPoller(env: Record<string, string>) {
  const program = join(import.meta.dirname, 'poller.ts')
  const child = endsWithUs(
    spawn(process.execPath, [program, `${POLL_SECONDS}`], { env, stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  const told = new Map<string, number>()
  createInterface({ input: child.stdout }).on('line', (line) => {
    const [name = '', at] = line.split(' ')
    told.set(name, Number(at))
  })
  return { told, stop: () => child.kill() }
}

/** One window: new containers, of which all but the gateway die, evenly spread with some chance in it. */
async function windowOf(fleet: Fleet, { telegram }: Contender, window: number): Promise<Lateness[]> {
  const names = namesOf(window)
  await fleet.deploy(names)
  await sleep(SETTLE_MS)
  const pids = new Map(
    (await fleet.inspect(...names)).map(({ Name, State }) => [Name.slice(1), State.Pid] as const),
  )
  const diedAt = new Map<string, number>()
  const stop = await fleet.follow(
    '{{.Actor.Attributes.name}} {{.TimeNano}}',
    ['event=die', 'type=container'],
    (line) => {
      const [name = '', nanos] = line.split(' ')
      diedAt.set(name, Number(nanos) / 1e6)
    },
  )
  const poller = startPoller(fleet.engine.env)
  const began = performance.now()
  const killed: { name: string; at: number; offset: number }[] = []
  try {
    for (const [index, name] of names.entries()) {
      const due = began + 1_000 + ((index + Math.random() / 2) * (WINDOW_MS - 1_000)) / names.length
      await sleep(due - performance.now())
      const offset = clockOffset()
      killed.push({ name, at: performance.now(), offset })
      process.kill(pids.get(name) ?? Number.NaN, 'SIGKILL')
    }
    const end = began + (POLL_SECONDS + 10) * 1_000
    while (poller.told.size < names.length && performance.now() < end) await sleep(100)
  } finally {
    stop()
    poller.stop()
  }
  const sent = await telegram.sentTo(GROUP, began)
  return killed.map(({ name, at, offset }) => {
    const message = sent.find(({ text }) => text.includes(` ${name} `))
    const [died, polled] = [diedAt.get(name), poller.told.get(name)]
    if (!message || died === undefined || polled === undefined)
      throw new Error(
        `the death of ${name} was not seen by ${!message ? 'us' : died ? 'the poller' : 'Docker'}`,
      )
    return {
      killed: message.at - at,
      docker: message.at - (died + offset),
      engine: died + offset - at,
      poller: polled + offset - at,
    }
  })
}

/** The deaths of some windows, each of a minute. The bot runs already. */
export async function deathTimes(fleet: Fleet, bot: Contender, windows: number): Promise<Lateness[]> {
  const found: Lateness[] = []
  for (let window = 0; window < windows; window += 1) found.push(...(await windowOf(fleet, bot, window)))
  return found
}
