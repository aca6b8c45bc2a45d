// What tests of pairing on the road share: a yard whose bot knows who is paired, devices that ask, and what was done.

import type { After } from '../road/rig.ts'
import { OPS } from '../road/rig.ts'
import { deviceNamed, type Knock } from './door.ts'
import { NEW, type Version } from './recording.ts'
import { type Cli, createYard, type Yard, type YardOptions } from './yard.ts'

export const ASKS = 'wants to be let in'
export const READ = ['operator.read']
export const ADMIN = ['operator.admin', 'operator.approvals', 'operator.pairing']
/** What a button may carry. Bytes. */
export const MOST = 64

/** A yard whose bot has seen who is paired already: whoever comes later without it is told of. */
export async function createDoorYard(
  after: After,
  version: Version,
  options: YardOptions = {},
): Promise<Yard> {
  const yard = await createYard(after, version, options)
  await yard.lookAgain()
  return yard
}

/** A device asks, always the same for the same name. @returns its request. */
export function ask({ replay }: Yard, name: string, more: Partial<Knock> = {}) {
  const request = replay.door.knock({ ...deviceNamed(name), displayName: name, ...more })
  if (!request) throw new Error(`${name} is let in already`)
  return request
}

/** A device that is paired: the gateway lets it in without us, and the bot has seen it. */
export async function paired(yard: Yard, name: string, more: Partial<Knock> = {}) {
  yard.replay.door.letIn({ ...deviceNamed(name), displayName: name, ...more })
  await yard.shown(`${name} was let in`)
  return deviceNamed(name).deviceId
}

/** What the gateway was told to do with devices, in its order. */
export const done = ({ replay }: Yard) =>
  replay.asked.filter(
    ({ method }) =>
      /^(device\.(pair|token)|node\.pair|channels\.pairing)\./.test(method) && !/\.list$/.test(method),
  )

interface Buttons {
  buttons: { text: string; data?: string }[][]
}
export const labels = ({ buttons }: Buttons) => buttons.flat().map(({ text }) => text)
export const dataOf = ({ buttons }: Buttons, label: string) =>
  buttons.flat().find(({ text }) => text === label)?.data ?? ''

/** Presses the newest button of that label in the group. @returns the toast. */
export const press = (yard: Yard, from: number, button: string, chat = OPS) =>
  yard.press(from, button, { chat })

/** Presses it, and then "Do it" on the plan that comes. @returns the second toast. */
export async function pressTwice(yard: Yard, from: number, button: string, chat = OPS) {
  const before = yard.telegram.messages(chat).length
  await press(yard, from, button, chat)
  const plan = await yard.telegram.waitFor((fake) =>
    fake
      .messages(chat)
      .slice(before)
      .find((message) => dataOf(message, 'Do it')),
  )
  return await yard.press(from, 'Do it', { chat, messageId: plan.id })
}

/** The CLI of a version as far as it pairs devices (captured), at work on the gateway's own store. */
export const devicesCli =
  (version: Version): Cli =>
  ([first, verb = '', id = ''], { door }) => {
    if (first === '--version') return version === NEW ? `OpenClaw ${NEW} (eb377ac)` : version
    if (first !== 'devices') return undefined
    const said = door.methods[`device.pair.${verb}`]?.({ requestId: id, deviceId: id }, ADMIN)
    return typeof said === 'object' ? JSON.stringify(said.payload) : undefined
  }
