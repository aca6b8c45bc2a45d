// A bot beside a real gateway: when its link opened and shut, by its log, what it told, and what it has running in there.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import { connectDevice, createIdentity } from './device-client.ts'
import { createScene, type Engine, until } from './engine.ts'
import type { Gateway } from './gateway.ts'
import { createRig } from './rig.ts'

interface LinkLine {
  /** UTC milliseconds. */
  at: number
  state: string
  code?: string
}

/** What our script begins with: nothing else in a container has it in its argv. */
const SCRIPT = 'The far end of the gateway link'

export type Watch = Awaited<ReturnType<typeof createWatch>>

/** A bot that watches this gateway, its first look done. */
export async function createWatch(
  context: TestContext,
  engine: Engine,
  gateway: Gateway,
  env: Record<string, string> = {},
) {
  const rig = createRig(context)
  const scene = await createScene(rig, engine, env)

  /** Every state of the link that the running bot logged. */
  const links = (): LinkLine[] =>
    scene
      .process()
      .out()
      .split('\n')
      .filter((line) => line.includes('"the gateway link is '))
      .map((line) => {
        const { time, message, code } = JSON.parse(line)
        return { at: Date.parse(time), state: message.replace('the gateway link is ', ''), code }
      })
  const line = (state: 'open' | 'shut', from: number, timeoutMs: number) =>
    until(
      `the link is ${state}: ${JSON.stringify(links())}`,
      () => links().find((each) => each.state === state && each.at >= from),
      timeoutMs,
    )

  /** Does something that shuts the link. @returns how long after the gateway lets devices in it is open again. */
  async function reopens(act: () => Promise<unknown>): Promise<number> {
    const from = Date.now()
    await act()
    const shut = await line('shut', from, 30_000)
    const answeredAt = await answers(gateway)
    const open = await line('open', shut.at, 90_000)
    return open.at - answeredAt
  }

  /** Every text that was ever shown and is about the gateway from inside, without answers to commands. */
  const told = () =>
    scene
      .messages()
      .flatMap(({ history }) => history.map(({ text }) => text))
      .filter((text) => /^(🔴|🟡|✅ (Resolved|Came and went)|ℹ️ The gateway)/u.test(text))

  return { rig, scene, links, line, reopens, told, opened: (from = 0) => line('open', from, 60_000) }
}

/** Waits until the gateway lets devices in, or says why not. @returns when, UTC milliseconds. */
async function answers({ url, token }: Gateway): Promise<number> {
  const identity = createIdentity()
  for (;;) {
    const device = await connectDevice({ url, token, identity, timeoutMs: 1_000 })
    const at = Date.now()
    await device.close()
    if (!device.error || device.error.details?.code === 'PAIRING_REQUIRED') return at
    await sleep(50)
  }
}

/** Command lines in a container that are ours. */
export async function oursIn(gateway: Gateway): Promise<string[]> {
  const { stdout } = await gateway.exec(['sh', '-c', 'for f in /proc/[0-9]*/cmdline; do cat $f; echo; done'])
  return stdout.split(/\n(?=node\0)/).filter((argv) => argv.startsWith('node\0-e') && argv.includes(SCRIPT))
}

/** Every command line in a container, as one text. */
export const argvsIn = async (gateway: Gateway) =>
  (await gateway.exec(['sh', '-c', 'cat /proc/[0-9]*/cmdline'])).stdout

/** The gateway's own process, on this host: the child of the container's init. */
export async function processOf(engine: Engine, gateway: Gateway): Promise<number> {
  const init = await engine.pid(gateway.container)
  const [pid] = readFileSync(`/proc/${init}/task/${init}/children`, 'utf8').trim().split(' ')
  return Number(pid)
}
