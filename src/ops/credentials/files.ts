// A file of credentials as text or JSON, read with care: no link is followed, nothing is waited for, half of it is read again.

import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from './index.ts'

/** A file as it lies there, or why there is nothing to be had from it. */
export type Read =
  | { state: 'ok'; text: string /** UTC milliseconds. */; modifiedAt: number }
  | { state: 'missing' | 'unreadable'; why: string }

/** No store of credentials is larger. */
const MOST_BYTES = 1_000_000
/** Somebody writes it in place at this moment: it is read again so often. */
const TRIES = 3
const PAUSE_MS = 50

const UNREADABLE: Record<string, string> = {
  EACCES: 'It may not be read by the bot’s user.',
  EPERM: 'It may not be read by the bot’s user.',
  ELOOP: 'It is a link, which is not followed.',
}

/** Reads a file: a pipe or a link in its place is not waited for, and leads nowhere. Never throws. */
export async function readText(path: string): Promise<Read> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
    try {
      const stat = await file.stat()
      if (!stat.isFile()) return { state: 'unreadable', why: 'It is not a file.' }
      if (stat.size > MOST_BYTES) return { state: 'unreadable', why: 'It is too large to be read.' }
      const text = (await file.readFile('utf8')).replace(/^\ufeff/, '')
      return { state: 'ok', text, modifiedAt: stat.mtimeMs }
    } finally {
      await file.close()
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (code === 'ENOENT' || code === 'ENOTDIR') return { state: 'missing', why: 'It is not there.' }
    return { state: 'unreadable', why: UNREADABLE[code] ?? `It cannot be read (${code || 'no reason'}).` }
  }
}

type Parsed = { state: 'ok'; value: unknown } | { state: Fault; why: string }

function parse(read: Read): Parsed {
  if (read.state !== 'ok') return read
  if (read.text.trim() === '') return { state: 'empty', why: 'There is nothing in it.' }
  try {
    return { state: 'ok', value: JSON.parse(read.text) }
  } catch {
    // The error's words quote the text.
    return { state: 'unparsable', why: 'It is not JSON, or only half of it.' }
  }
}

/** Reads JSON; what is empty or half-written is read again, 3 times in 150 ms. Never throws. */
export async function readJson(path: string): Promise<Parsed> {
  for (let tries = 0; ; tries += 1) {
    const parsed = parse(await readText(path))
    if (tries >= TRIES || (parsed.state !== 'empty' && parsed.state !== 'unparsable')) return parsed
    await sleep(PAUSE_MS)
  }
}
