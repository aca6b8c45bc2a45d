// A TCP proxy that breaks the network on command; what goes through it is none of its business.

import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * - `pass`: everything goes through
 * - `refuse`: the port is closed, live connections are reset
 * - `hang`: half-open TCP; connections stay, and are taken, but nothing is forwarded any more
 * - `reset`: every connection is reset, live ones too
 * - `cut`: reset after the first `cutAfterBytes` of what the server says
 * - `slow`: `delayMs` before each piece of what the server says
 */
export type NetworkMode = 'pass' | 'refuse' | 'hang' | 'reset' | 'cut' | 'slow'

export type FaultProxy = Awaited<ReturnType<typeof faultProxy>>

type Link = { client: Socket; upstream: Socket; answered: number }

/** A proxy on 127.0.0.1 in front of `targetPort` on the same host. */
export async function faultProxy(
  targetPort: number,
  { port: wantedPort = 0, cutAfterBytes = 10, delayMs = 300 } = {},
) {
  const links = new Set<Link>()
  let mode: NetworkMode = 'pass'
  let accepted = 0
  let server = await listen(onConnection, wantedPort)
  const { port } = server.address() as AddressInfo

  function onConnection(client: Socket): void {
    accepted += 1
    if (mode === 'reset') return void client.resetAndDestroy()
    const link: Link = { client, upstream: connect(targetPort, '127.0.0.1'), answered: 0 }
    links.add(link)
    join(link)
    if (mode === 'hang') pause(link)
  }

  function join(link: Link): void {
    const { client, upstream } = link
    client.on('data', (chunk) => void upstream.write(chunk))
    upstream.on('data', (chunk: Buffer) => void answer(link, chunk))
    const ends: [Socket, Socket][] = [
      [client, upstream],
      [upstream, client],
    ]
    for (const [end, other] of ends) {
      end.on('error', () => {}) // 'close' follows, and says the same
      end.on('close', () => {
        links.delete(link)
        other.destroy()
      })
    }
  }

  async function answer(link: Link, chunk: Buffer): Promise<void> {
    if (mode === 'slow') {
      link.upstream.pause() // or a later piece would overtake this one
      await sleep(delayMs)
      if (isHanging()) return void link.upstream.unshift(chunk)
      link.upstream.resume()
    }
    if (mode === 'cut' && link.answered + chunk.length > cutAfterBytes) {
      link.client.write(chunk.subarray(0, Math.max(0, cutAfterBytes - link.answered)))
      // The bytes must be on their way before the reset, which throws away what is not.
      setImmediate(() => reset(link))
      return
    }
    link.answered += chunk.length
    link.client.write(chunk)
  }

  /** What the mode may have become while an answer was slow. */
  const isHanging = () => (mode as NetworkMode) === 'hang'

  const setMode = async (next: NetworkMode): Promise<void> => {
    const before = mode
    mode = next
    if (next === 'refuse' || next === 'reset' || next === 'cut') for (const link of links) reset(link)
    // What was held back is lost with the connection: a network that comes back does not revive a dead peer.
    if (before === 'hang' && next !== 'hang') for (const link of links) reset(link)
    if (next === 'hang') for (const link of links) pause(link)
    if (next === 'refuse' && before !== 'refuse') await stop(server)
    if (next !== 'refuse' && before === 'refuse') server = await listen(onConnection, port)
  }

  return {
    port,
    url: `http://127.0.0.1:${port}`,
    /** How many connections were made so far. */
    accepted: () => accepted,
    /** How many connections are open, half-open ones too. */
    open: () => links.size,
    mode: () => mode,
    set: setMode,
    async close(): Promise<void> {
      for (const link of links) reset(link)
      if (server.listening) await stop(server)
    },
  }
}

function pause({ client, upstream }: Link): void {
  client.pause()
  upstream.pause()
}

function reset({ client, upstream }: Link): void {
  client.resetAndDestroy()
  upstream.destroy()
}

function listen(onConnection: (client: Socket) => void, port: number): Promise<Server> {
  const { promise, resolve, reject } = Promise.withResolvers<Server>()
  const server = createServer(onConnection)
  server.once('error', reject)
  server.listen(port, '127.0.0.1', () => resolve(server))
  return promise
}

function stop(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  return promise
}
