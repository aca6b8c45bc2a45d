// WebSocket frames on the gateway's side: the few kinds that our client meets, so that no package has to be installed.

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'

export interface Frames {
  send(text: string): void
  /** Says goodbye, and then nothing more. */
  close(code: number, reason: string): void
  /** Ends it without a word, as a process that dies does. */
  destroy(): void
}

export interface Listener {
  onText(text: string): void
  onEnd(): void
}

const TEXT = 1
const CLOSE = 8
const PING = 9
const PONG = 10

/** RFC 6455, 1.3: what is hashed with the client's key. */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

function frame(kind: number, payload: Buffer): Buffer {
  const { length } = payload
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = 0x80 | kind
  if (length < 126) head[1] = length
  else if (length < 65_536) {
    head[1] = 126
    head.writeUInt16BE(length, 2)
  } else {
    head[1] = 127
    head.writeBigUInt64BE(BigInt(length), 2)
  }
  return Buffer.concat([head, payload])
}

/** The first whole frame in what has arrived; undefined while it is not whole. Clients mask all of theirs. */
function read(bytes: Buffer): { kind: number; payload: Buffer; rest: Buffer } | undefined {
  if (bytes.length < 2) return undefined
  const short = bytes.readUInt8(1) & 0x7f
  const head = short < 126 ? 2 : short === 126 ? 4 : 10
  if (bytes.length < head + 4) return undefined
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  const end = head + 4 + length
  if (bytes.length < end) return undefined
  const mask = bytes.subarray(head, head + 4)
  const payload = Buffer.from(bytes.subarray(head + 4, end))
  for (let at = 0; at < length; at += 1) payload[at] = payload.readUInt8(at) ^ mask.readUInt8(at % 4)
  return { kind: bytes.readUInt8(0) & 0x0f, payload, rest: bytes.subarray(end) }
}

/** Answers a request to upgrade, and speaks frames from then on. */
export function speakFrames(request: IncomingMessage, socket: Duplex, listener: Listener): Frames {
  const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${MAGIC}`).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  const write = (kind: number, payload: Buffer) => socket.writable && socket.write(frame(kind, payload))
  let bytes = Buffer.alloc(0)
  const take: Record<number, (payload: Buffer) => void> = {
    [TEXT]: (payload) => listener.onText(payload.toString('utf8')),
    [PING]: (payload) => void write(PONG, payload),
    [CLOSE](payload) {
      write(CLOSE, payload)
      socket.end()
    },
  }
  socket.on('data', (chunk: Buffer) => {
    bytes = Buffer.concat([bytes, chunk])
    for (let next = read(bytes); next; next = read(bytes)) {
      bytes = Buffer.from(next.rest)
      take[next.kind]?.(next.payload)
    }
  })
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.end())
  socket.on('close', listener.onEnd)
  return {
    send: (text) => void write(TEXT, Buffer.from(text)),
    close(code, reason) {
      const payload = Buffer.alloc(2)
      payload.writeUInt16BE(code)
      write(CLOSE, Buffer.concat([payload, Buffer.from(reason)]))
      // Who does not answer is not waited for.
      setTimeout(() => socket.destroy(), 200).unref()
    },
    destroy: () => void socket.destroy(),
  }
}
