// The figures that compare ours with the bare bot, each taken from both in turn so that the noise hits both.

import { setTimeout as sleep } from 'node:timers/promises'
import { type Contender, PEOPLE } from './contender.ts'
import { median } from './table.ts'

/** What was measured, of ours and of the bare bot. */
export interface Pair<T = number> {
  ours: T
  bare: T
}
export type Pitch = Pair<Contender>

/** Does the same with both at once. */
async function both<T>(pitch: Pitch, doing: (contender: Contender) => T | Promise<T>): Promise<Pair<T>> {
  const [ours, bare] = await Promise.all([doing(pitch.ours), doing(pitch.bare)])
  return { ours, bare }
}

/** Does the same with one after the other, some rounds. @returns what came of it, a list for each. */
async function inTurn(
  pitch: Pitch,
  rounds: number,
  doing: (contender: Contender) => Promise<number>,
): Promise<Pair<number[]>> {
  const found: Pair<number[]> = { ours: [], bare: [] }
  for (let round = 0; round < rounds; round += 1)
    for (const contender of [pitch.ours, pitch.bare]) found[contender.name].push(await doing(contender))
  return found
}

/** Process start → first getUpdates, in milliseconds: the median of some starts with a warm compile cache. */
export async function startTimes(pitch: Pitch, rounds: number): Promise<Pair> {
  const start = async (contender: Contender) => {
    const tookMs = await contender.start()
    // The first look at the host is over by then, and so is the writing of the compile cache.
    await sleep(1_000)
    await contender.stop()
    return tookMs
  }
  await inTurn(pitch, 1, start)
  const { ours, bare } = await inTurn(pitch, rounds, start)
  return { ours: median(ours), bare: median(bare) }
}

/** The memory of both, which must be running, after an idle time, and the share of a core in percent meanwhile. */
export async function idleUse(pitch: Pitch, seconds: number) {
  const began = performance.now()
  const before = await both(pitch, (contender) => contender.use())
  await sleep(seconds * 1_000)
  const passedMs = performance.now() - began
  const after = await both(pitch, (contender) => contender.use())
  const share = (name: 'ours' | 'bare') => (100 * (after[name].cpuMs - before[name].cpuMs)) / passedMs
  const pick = (figure: 'rssMb' | 'pssMb') => ({ ours: after.ours[figure], bare: after.bare[figure] })
  return { rss: pick('rssMb'), pss: pick('pssMb'), cpu: { ours: share('ours'), bare: share('bare') } }
}

/** Between two questions: longer than an answer takes, so that each is asked of a bot at rest. */
const GAP_MS = 25
const WARM_UP = 40

/** Update pushed → sendMessage request at the fake, in milliseconds; ours and bare are asked in turn. */
export async function answerTimes(pitch: Pitch, samples: number): Promise<Pair<number[]>> {
  const began = performance.now()
  const [person] = PEOPLE
  const asked: Pair<number[]> = { ours: [], bare: [] }
  for (let sample = 0; sample < WARM_UP + samples; sample += 1)
    for (const { name, telegram } of [pitch.ours, pitch.bare]) {
      asked[name].push(telegram.say(person, '/whoami'))
      await sleep(GAP_MS)
    }
  await sleep(1_000)
  return await both(pitch, async ({ name, telegram }) => {
    await telegram.settled()
    const answers = await telegram.sentTo(person, began)
    if (answers.length !== asked[name].length)
      throw new Error(`${name} gave ${answers.length} answers to ${asked[name].length} questions`)
    return answers.map(({ at }, index) => at - (asked[name][index] ?? 0)).slice(WARM_UP)
  })
}

/** Updates answered a second by a bot that was away while they queued: first → last sendMessage, of each round. */
export async function drainRates(pitch: Pitch, updates: number, rounds: number): Promise<Pair<number[]>> {
  const drain = async (contender: Contender) => {
    const { name, telegram } = contender
    const began = performance.now()
    for (let update = 0; update < updates; update += 1)
      telegram.say(PEOPLE[update % PEOPLE.length] ?? 0, '/whoami')
    await telegram.settled()
    const before = (await telegram.stats()).counts.sendMessage ?? 0
    await contender.start()
    await telegram.until(
      `${updates} answers of ${name}`,
      ({ counts }) => (counts.sendMessage ?? 0) >= before + updates,
    )
    await contender.stop()
    const answers = (await Promise.all(PEOPLE.map((person) => telegram.sentTo(person, began)))).flat()
    if (answers.length !== updates)
      throw new Error(`${name} gave ${answers.length} answers to ${updates} questions`)
    const times = answers.map(({ at }) => at)
    return (1_000 * (updates - 1)) / (Math.max(...times) - Math.min(...times))
  }
  return await inTurn(pitch, rounds, drain)
}
