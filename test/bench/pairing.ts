// From a browser that asks to be let in to the phone, and from the tap back to the gateway.

import { setTimeout as sleep } from 'node:timers/promises'
import { createIdentity, type Device } from '../real/device-client.ts'
import type { Engine } from '../real/engine.ts'
import type { Gateway } from '../real/gateway.ts'
import { createContender, GROUP, PEOPLE } from './contender.ts'

export interface PairingTimes {
  /** From the gateway's own event until the message was asked to be sent. Milliseconds, as all of them. */
  shown: number[]
  /** From the tap until the gateway said that it is approved. */
  approved: number[]
  /** One approval by the gateway's own command line. */
  byCli: number[]
}

const PATIENCE_MS = 60_000
/** What comes before the first request (the start of the bot, its first look at the devices) is not measured. */
const SETTLE_MS = 5_000

async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const found = await look()
    if (found) return found
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`)
    await sleep(10)
  }
}

/** @param rounds of requests, each of a device of its own that asks for little: one tap lets it in. */
export async function pairingTimes(
  engine: Engine,
  gateway: Gateway,
  stateDir: string,
  { rounds, byCli }: { rounds: number; byCli: number },
): Promise<PairingTimes> {
  const admin = await gateway.operator()
  const [person] = PEOPLE
  const bot = await createContender('ours', stateDir, {
    ...{ ...engine.env, OPENCLAW_GATEWAY_CONTAINER: gateway.container, ALERT_LOAD_PER_CORE: '100' },
  })
  const found: PairingTimes = { shown: [], approved: [], byCli: [] }
  const heard = (event: string, requestId: string) =>
    until(`${event} of ${requestId}`, () =>
      admin.events.find((each) => each.event === event && each.payload.requestId === requestId),
    )
  const asks = async (): Promise<Device & { requestId: string }> => {
    const device = await gateway.stranger({ scopes: ['operator.read'], identity: createIdentity() })
    return { ...device, requestId: device.requestId ?? '' }
  }
  try {
    await bot.start()
    await sleep(SETTLE_MS)
    while (found.shown.length < rounds) {
      const device = await asks()
      const asked = await heard('device.pair.requested', device.requestId)
      const short = device.deviceId.slice(0, 12)
      const card = await until('its card', async () =>
        (await bot.telegram.sentTo(GROUP, asked.at - 1_000)).find(({ text }) => text.includes(short)),
      )
      found.shown.push(card.at - asked.at)
      await until('the copy of the owner', async () =>
        (await bot.telegram.messages(person)).some(({ text }) => text.includes(short)),
      )
      const tapped = performance.now()
      await bot.telegram.press(person, 'Approve')
      found.approved.push((await heard('device.pair.resolved', device.requestId)).at - tapped)
      await admin.call('device.pair.remove', { deviceId: device.deviceId })
      // No more than a few devices in a minute: it would be called a storm.
      await sleep(13_000)
    }
    await bot.stop()
    while (found.byCli.length < byCli) {
      const { requestId, deviceId } = await asks()
      const began = performance.now()
      await gateway.cli(['devices', 'approve', requestId, '--json'])
      found.byCli.push(performance.now() - began)
      await admin.call('device.pair.remove', { deviceId })
    }
    return found
  } finally {
    await bot.stop()
    await admin.close()
    await bot.telegram.close()
  }
}
