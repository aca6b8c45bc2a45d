// What our recreate costs beside the same done by hand: `docker stop`, then `docker compose up`, in turn.

import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Contender, PEOPLE } from './contender.ts'
import type { Fleet } from './fleet.ts'

/** Each a list of milliseconds, one a round. */
export interface Recreates {
  /** The runbook from its beginning to its end, proof included. */
  ours: number[]
  /** By hand, as soon as Compose comes back. */
  byHand: number[]
  /** By hand, with Compose waiting until it is healthy as well. */
  byHandHealthy: number[]
}

const UP = ['up', '-d', '--force-recreate', '--no-deps', '--pull', 'never']
const SETTLE_MS = 2_500
const GRACE_SECONDS = '330'

async function byHand({ engine, compose, gateway }: Fleet, options: string[] = []): Promise<number> {
  const began = performance.now()
  await engine.docker('stop', '-t', GRACE_SECONDS, gateway)
  await compose(...UP, ...options, gateway)
  return performance.now() - began
}

/** Asks for it, confirms it and waits until it is done, as a person does. */
async function byBot({ telegram }: Contender, { gateway }: Fleet): Promise<void> {
  const [person] = PEOPLE
  const seen = (await telegram.messages(person)).length
  const appears = async (what: string, fits: (text: string) => boolean) => {
    const end = performance.now() + 60_000
    while (!(await telegram.messages(person)).slice(seen).some(({ text }) => fits(text))) {
      if (performance.now() > end) throw new Error(`not within 60 s: ${what}`)
      await sleep(20)
    }
  }
  telegram.say(person, '/recreate')
  await appears('the plan of the recreate', (text) => text.includes(`recreate ${gateway}?`))
  await telegram.press(person, 'Do it')
  await appears('the end of the recreate', (text) => text.includes(`recreate ${gateway}: done`))
}

/** How long each of the bot's recreates took, by its own audit log. */
function tookOf(stateDir: string): number[] {
  const db = new DatabaseSync(join(stateDir, 'state.db'), { readOnly: true })
  const rows = db
    .prepare(
      `SELECT outcome.at - intent.at AS tookMs, outcome.result FROM audit intent
       JOIN audit outcome ON outcome.intent_id = intent.id WHERE intent.action = 'recreate' ORDER BY intent.id`,
    )
    .all() as { tookMs: number; result: string }[]
  db.close()
  const failed = rows.filter(({ result }) => result !== 'done').length
  if (failed > 0) throw new Error(`${failed} recreates failed`)
  return rows.map(({ tookMs }) => tookMs)
}

/** @param stateDir of the bot, which must not run yet; one round more is done first and not counted. */
export async function recreateTimes(
  fleet: Fleet,
  bot: Contender,
  stateDir: string,
  rounds: number,
): Promise<Recreates> {
  await fleet.deploy([])
  await bot.start()
  await sleep(SETTLE_MS)
  const found: Recreates = { ours: [], byHand: [], byHandHealthy: [] }
  for (let round = 0; round <= rounds; round += 1) {
    await byBot(bot, fleet)
    await sleep(SETTLE_MS)
    found.byHand.push(await byHand(fleet))
    await sleep(SETTLE_MS)
    found.byHandHealthy.push(await byHand(fleet, ['--wait']))
    await sleep(SETTLE_MS)
  }
  await bot.stop()
  found.ours = tookOf(stateDir)
  const { ours, byHand: hand, byHandHealthy } = found
  return { ours: ours.slice(1), byHand: hand.slice(1), byHandHealthy: byHandHealthy.slice(1) }
}
