// The wire over real sockets: calls both ways, errors in words, deadlines, and lines that nobody should say.

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createWire, type Handlers } from '../../src/wire.ts'
import { tempDir } from './help.ts'

/** Both ends of a real socket. */
async function line(): Promise<[Socket, Socket]> {
  const path = join(tempDir(), 'socket')
  const server = createServer({ allowHalfOpen: true }).listen(path)
  await once(server, 'listening')
  const near = connect({ path, allowHalfOpen: true })
  const [far] = (await once(server, 'connection')) as [Socket]
  onTestFinished(() => {
    for (const each of [near, far]) each.destroy()
    server.close()
  })
  return [near, far]
}

async function wires(here: Handlers = {}, there: Handlers = {}) {
  const [near, far] = await line()
  return { near: createWire(near, here), far: createWire(far, there), sockets: [near, far] as const }
}
const SOON = { timeoutMs: 2_000 }
const CUT = 'The connection to opsbot was cut.'

describe('a call', () => {
  it('is answered, from both sides at once', async () => {
    const { near, far } = await wires(
      { double: ({ of }: { of: number }) => of * 2 },
      { greet: async ({ name }: { name: string }) => `Hello ${name}` },
    )
    expect(
      await Promise.all([
        near.call('greet', { name: 'Ann\nand “Bob”' }, SOON),
        far.call('double', { of: 21 }, SOON),
        near.call('greet', { name: 'x'.repeat(1_000_000) }, SOON),
      ]),
    ).toEqual(['Hello Ann\nand “Bob”', 42, `Hello ${'x'.repeat(1_000_000)}`])
  })

  it('gets its own answer, whatever the order', async () => {
    const gates = new Map<string, () => void>()
    const { near } = await wires(
      {},
      {
        wait: ({ name }: { name: string }) =>
          new Promise((resolve) => gates.set(name, () => resolve(`after ${name}`))),
      },
    )
    const [a, b] = ['a', 'b'].map((name) => near.call('wait', { name }, SOON))
    await expect.poll(() => gates.size, { interval: 1 }).toBe(2)
    gates.get('b')?.()
    expect(await b).toBe('after b')
    gates.get('a')?.()
    expect(await a).toBe('after a')
  })

  it('without a result is answered with null', async () => {
    const { near } = await wires({}, { nothing: () => undefined })
    expect(await near.call('nothing', {}, SOON)).toBeNull()
  })

  it.each<[string, Handlers, string]>([
    [
      'whose handler says no',
      {
        go: () => {
          throw new OpsError('Not today.')
        },
      },
      'Not today.',
    ],
    [
      'whose handler breaks later',
      {
        go: async () => {
          throw new Error('a bug')
        },
      },
      'a bug',
    ],
    ['whose result is no JSON', { go: () => 1n }, 'Do not know how to serialize a BigInt'],
    ['that nobody knows', {}, 'The other side does not know "go": is it of another version?'],
  ])('%s fails with that sentence', async (_, handlers, sentence) => {
    const { near } = await wires({}, handlers)
    await expect(near.call('go', {}, SOON)).rejects.toThrow(OpsError)
    await expect(near.call('go', {}, SOON)).rejects.toThrow(sentence)
  })

  it.each(['toString', '__proto__', 'constructor'])(
    'of %s reaches nothing that was not offered',
    async (method) => {
      const { near } = await wires()
      await expect(near.call(method, {}, SOON)).rejects.toThrow('does not know')
    },
  )

  it('that is not answered in time fails, and its late answer harms nobody', async () => {
    const late = Promise.withResolvers<string>()
    const { near } = await wires({}, { wait: () => late.promise, quick: () => 'quick' })
    await expect(near.call('wait', {}, { timeoutMs: 20 })).rejects.toThrow(
      '"wait" was not answered within 0.02 s.',
    )
    late.resolve('late')
    expect(await near.call('quick', {}, SOON)).toBe('quick')
  })
})

describe('telling', () => {
  it('needs no answer, and what goes wrong with it stays there', async () => {
    const heard: unknown[] = []
    const { near } = await wires(
      {},
      {
        note: (what: unknown) => {
          heard.push(what)
          throw new Error('a bug')
        },
      },
    )
    near.tell('note', { a: 1 })
    near.tell('nobody knows this', {})
    await expect(near.call('note', { b: 2 }, SOON)).rejects.toThrow('a bug')
    expect(heard).toEqual([{ a: 1 }, { b: 2 }])
  })
})

describe('a line that is cut', () => {
  it.each<[string, (sockets: readonly [Socket, Socket]) => void]>([
    ['by the other side', ([, far]) => far.destroy()],
    ['by the other side, with an end', ([, far]) => far.end()],
    ['by ourselves', ([near]) => near.destroy()],
  ])('%s fails what waits and what comes, at once, and tells the handlers', async (_, cut) => {
    const hungUp = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const { near, far, sockets } = await wires(
      {},
      {
        wait: (_params, signal) => {
          signal.addEventListener('abort', () => hungUp.resolve())
          begun.resolve()
          return new Promise(() => {})
        },
      },
    )
    const call = near.call('wait', {}, { timeoutMs: 60_000 })
    await begun.promise
    cut(sockets)
    await expect(call).rejects.toThrow(CUT)
    await Promise.all([hungUp.promise, near.closed, far.closed])
    await expect(near.call('wait', {}, SOON)).rejects.toThrow(CUT)
    near.tell('note', {})
  })

  it('is cut by close', async () => {
    const { near, far } = await wires()
    near.close()
    await Promise.all([near.closed, far.closed])
  })
})

describe('a line that nobody should say', () => {
  it.each([
    ['is no JSON', 'GET / HTTP/1.1\n{"method":"go"}\n'],
    ['is null', 'null\n{"method":"go"}\n'],
    ['is a number', '5\n{"method":"go"}\n'],
    ['is a text', '"go"\n{"method":"go"}\n'],
    ['does not end', `"${'x'.repeat((4 << 20) + 1)}`],
  ])('because it %s cuts the connection, and nothing after it is heard', async (_, said) => {
    const [near, far] = await line()
    let heard = 0
    const wire = createWire(far, { go: () => void heard++ })
    near.on('error', () => {}).resume()
    near.write(said)
    await wire.closed
    expect(heard).toBe(0)
  })

  it.each([
    ['an answer to nothing', '{"id":99,"result":1}\n{"result":1}\n{}\n[]\n'],
    ['an empty one', '\n\n\n'],
    ['a method that is no word', '{"method":5}\n{"method":null}\n{"method":{"a":1}}\n'],
  ])('such as %s is passed over', async (_, said) => {
    const [near, far] = await line()
    createWire(far, { go: () => 'gone' })
    near.write(said)
    expect(await createWire(near).call('go', {}, SOON)).toBe('gone')
  })

  it('may come in any pieces, within a letter too', async () => {
    const [near, far] = await line()
    createWire(far, { greet: ({ name }: { name: string }) => `Hello ${name}` })
    const answered = once(near, 'data')
    for (const byte of Buffer.from(
      `${JSON.stringify({ id: 1, method: 'greet', params: { name: 'Zoë 🦞' } })}\n`,
    )) {
      near.write(Buffer.of(byte))
      await new Promise(setImmediate)
    }
    expect(`${(await answered)[0]}`).toBe(`${JSON.stringify({ id: 1, result: 'Hello Zoë 🦞' })}\n`)
  })
})
