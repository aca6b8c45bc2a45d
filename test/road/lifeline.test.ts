// The lifeline: a poll that stalls is begun again on a fresh connection, and the process ends only when that is no use.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ANN, createRig, type Rig } from './rig.ts'

// Only the clock of the lifeline itself: everything else goes on by itself.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

/** Time passes without any poll coming to its end, and the lifeline looks. */
async function silence(rig: Rig, seconds: number): Promise<void> {
  rig.clock.pass(seconds * 1_000)
  await vi.advanceTimersByTimeAsync(10_000)
}

const polls = ({ telegram }: Rig) => telegram.counts.getUpdates ?? 0

describe('a poll that is never answered', () => {
  it('is given up after a minute, and what waits is handled on a fresh connection', async () => {
    const rig = await createRig()
    rig.telegram.fault({ method: 'getUpdates', kind: 'hang', times: 1 })
    await rig.ask(ANN, '/whoami')
    const before = polls(rig)
    rig.telegram.say({ chat: ANN, from: ANN, text: '/alerts' })
    await silence(rig, 50)
    expect(polls(rig)).toBe(before)
    await silence(rig, 15)
    await rig.telegram.waitFor((fake) => fake.messages(ANN)[1]?.text.includes('No alert'))
    expect(rig.lines.some((line) => line.includes('beginning again on a fresh connection'))).toBe(true)
  })

  it('again and again, while fresh connections work, ends the run with a sentence', async () => {
    const rig = await createRig({ idle: true })
    const { ended } = await rig.start()
    rig.telegram.fault({ method: 'getUpdates', kind: 'hang' })
    await rig.ask(ANN, '/whoami')
    const said = ended.catch((error) => error.message)
    const silent = (seconds: number) =>
      silence(rig, seconds).then(() => rig.telegram.waitFor((fake) => fake.counts.getMe))
    await silent(65)
    await rig.telegram.waitFor((fake) => (fake.counts.getMe ?? 0) >= 2)
    await silent(60)
    expect(await said).toMatch(/polling has not worked for two minutes/)
  })

  it('does not end the run while Telegram is not reached at all, nor while a deed runs', async () => {
    const rig = await createRig({ idle: true })
    const { ended } = await rig.start()
    let over = false
    const mark = () => {
      over = true
    }
    void ended.then(mark, mark)
    rig.telegram.fault({ kind: 'reset' })
    rig.telegram.cut()
    for (let minute = 0; minute < 5; minute += 1) {
      await silence(rig, 60)
      await rig.telegram.waitFor((fake) => (fake.counts.getMe ?? 0) >= 2 + minute)
    }
    expect(over).toBe(false)
    rig.telegram.heal()
    const deed = Promise.withResolvers<void>()
    rig.telegram.fault({ method: 'getUpdates', kind: 'hang' })
    rig.ops.deeds.perform(
      { name: 'drag', detail: '', danger: 'safe', run: () => deed.promise },
      { name: 'test' },
    )
    const before = rig.telegram.counts.getMe ?? 0
    for (let minute = 1; minute < 4; minute += 1) {
      await silence(rig, 61)
      await rig.telegram.waitFor((fake) => (fake.counts.getMe ?? 0) >= before + minute)
    }
    expect(over).toBe(false)
    deed.resolve()
  })
})
