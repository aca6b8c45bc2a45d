// What lies in the gateway's state directory, by stat and by reading openclaw.json alone; its stores are never opened.

import { constants, type Dirent, type Stats } from 'node:fs'
import { lstat, open, opendir, stat as statOf } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import type { Redact } from '../../log.ts'
import { type Flat, flatten, parseConfigText, shortHash } from './config.ts'

export interface StateDir {
  /** Never throws: what could not be seen says why. Two at once are one. */
  look(): Promise<StateDirLook>
}

export type StateDirLook =
  | { state: 'seen'; seen: SeenStateDir }
  /** No gateway is known whose directory it could be, or it cannot be read. */
  | { state: 'unseen'; why: string; path?: string }

export interface SeenStateDir {
  path: string
  /** Undefined where there is none: a gateway may run without. */
  config: ConfigFile | undefined
  /** Configs that the gateway has set aside, newest first. */
  clobbered: { name: string; at: number }[]
  auth: {
    /** Credential files of older versions, by their path in the directory. */
    legacy: string[]
    /** Whether the gateway has moved to SQLite, where such files break every call of a model (openclaw.md §4). */
    sqlite: boolean
  }
  owner: {
    /** Whose the files should be. */
    uid: number
    gid: number
    /** Files of somebody else, by their path in the directory. */
    strangers: string[]
    /** Whether all was walked through that is to be. */
    complete: boolean
  }
  /** Directories that could not be read, in sentences. */
  unread: string[]
}

export interface ConfigFile {
  path: string
  /** Permission bits: 0o600. */
  mode: number
  uid: number
  gid: number
  bytes: number
  /** UTC milliseconds. */
  modifiedAt: number
  /** First 16 hex digits of the text's SHA-256. */
  hash: string
  /** The version that wrote it last. */
  touchedBy?: string
  /** Its values without secrets; undefined when it is neither JSON nor what people make of it (`parseConfigText`). */
  flat?: Flat
}

export interface StateDirOptions {
  /** Where it is on this host; undefined when no gateway is known. @throws OpsError when that cannot be told. */
  path: () => Promise<string | undefined>
  redact: Redact
  /** A directory that answers later is not waited for. */
  timeoutMs?: number
}

const CONFIG = 'openclaw.json'
const CONFIG_BYTES = 1_000_000
const ENTRIES = 2_000
const CLOBBERED = 20
/** Whose upstream's image makes the files. */
const NODE_ID = 1000
/** What agents work in, and what is made anew when it is gone: none of it is the gateway's. */
const NOT_ITS_OWN = /^(workspace.*|sandboxes|media|cache|tmp|node_modules)$/

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''
const MISSING = ['ENOENT', 'ENOTDIR']

/** What an error of the file system says to people. */
function sentenceOf(path: string, error: unknown): string {
  const code = codeOf(error)
  if (code === 'EACCES' || code === 'EPERM') return `${path} may not be read by the bot's user.`
  if (code === 'ELOOP') return `${path} is a link, which is not followed.`
  if (MISSING.includes(code)) return `${path} is not there.`
  return error instanceof OpsError ? error.message : `${path} cannot be read: ${code || messageOf(error)}.`
}

/** `openclaw.json.clobbered.2026-09-05T02-19-39-699Z`: the copy keeps the times of what it was made from. */
export function clobberedAt(name: string, modifiedAt: number): number {
  const [, day, hours, minutes, seconds] = /(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d)/.exec(name) ?? []
  const at = Date.parse(`${day}T${hours}:${minutes}:${seconds}Z`)
  return Number.isNaN(at) ? modifiedAt : at
}

/** Reads it as it is: a pipe or a link in its place is not waited for, and leads nowhere. */
async function readConfig(path: string, redact: Redact): Promise<ConfigFile> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW)
  try {
    const stat = await file.stat()
    if (!stat.isFile()) throw new OpsError(`${path} is not a file.`)
    if (stat.size > CONFIG_BYTES) throw new OpsError(`${path} is too large to be a config.`)
    const text = await file.readFile('utf8')
    const parsed = parseConfigText(text)
    const touchedBy = (parsed as { meta?: { lastTouchedVersion?: unknown } } | undefined)?.meta
      ?.lastTouchedVersion
    return {
      ...{ path, mode: stat.mode & 0o777, uid: stat.uid, gid: stat.gid, bytes: stat.size },
      ...{ modifiedAt: stat.mtimeMs, hash: shortHash(text) },
      ...(typeof touchedBy === 'string' && { touchedBy }),
      ...(typeof parsed === 'object' && parsed !== null && { flat: flatten(parsed, redact) }),
    }
  } finally {
    await file.close()
  }
}

/** Looks at one directory, one call at a time: if the file system hangs, one thread of Node's four hangs with it. */
function createEyes(root: string) {
  const unread: string[] = []
  const note = (path: string, error: unknown) => {
    // Files come and go beside us.
    if (!MISSING.includes(codeOf(error))) unread.push(sentenceOf(path, error))
  }

  async function list(path: string, most: number): Promise<Dirent[]> {
    const entries: Dirent[] = []
    try {
      for await (const entry of await opendir(path)) if (entries.push(entry) >= most) break
    } catch (error) {
      note(path, error)
    }
    return entries
  }

  async function stat(path: string): Promise<Stats | undefined> {
    try {
      return await lstat(path)
    } catch (error) {
      note(path, error)
      return undefined
    }
  }

  /** Walks through what is the gateway's own, what is nearest first. */
  async function walk() {
    const found: { path: string; uid: number }[] = []
    const queue = [root]
    for (let directory = queue.shift(); directory !== undefined; directory = queue.shift()) {
      for (const { name } of await list(directory, ENTRIES)) {
        if (NOT_ITS_OWN.test(name)) continue
        if (found.length >= ENTRIES) return { found, complete: false }
        const path = join(directory, name)
        const entry = await stat(path)
        if (!entry) continue
        found.push({ path: relative(root, path), uid: entry.uid })
        if (entry.isDirectory()) queue.push(path)
      }
    }
    return { found, complete: true }
  }

  return { unread, list, stat, walk }
}
type Eyes = ReturnType<typeof createEyes>

async function clobberedIn(root: string, eyes: Eyes) {
  const names = (await eyes.list(root, ENTRIES)).map(({ name }) => name)
  const found = []
  for (const name of names.filter((each) => each.startsWith(`${CONFIG}.clobbered`))) {
    const stat = await eyes.stat(join(root, name))
    if (stat) found.push({ name, at: clobberedAt(name, stat.mtimeMs) })
  }
  return found.sort((a, b) => b.at - a.at).slice(0, CLOBBERED)
}

async function authIn(root: string, eyes: Eyes) {
  const agents = await eyes.list(join(root, 'agents'), ENTRIES)
  const candidates = [
    ...agents.map(({ name }) => join('agents', name, 'agent', 'auth-profiles.json')),
    join('credentials', 'oauth.json'),
  ]
  const legacy = []
  for (const each of candidates) if (await eyes.stat(join(root, each))) legacy.push(each)
  return { legacy, sqlite: (await eyes.stat(join(root, 'state', 'openclaw.sqlite'))) !== undefined }
}

async function ownerIn(directory: Stats, eyes: Eyes) {
  const guessed = directory.uid === 0
  const { uid, gid } = guessed ? { uid: NODE_ID, gid: NODE_ID } : directory
  const { found, complete } = await eyes.walk()
  const strangers = found.filter((each) => each.uid !== uid).map(({ path }) => path)
  // A gateway that runs as root has nothing that is anybody else's.
  if (guessed && found.every((each) => each.uid === 0)) return { uid: 0, gid: 0, strangers: [], complete }
  return { uid, gid, strangers, complete }
}

export function createStateDir({ path, redact, timeoutMs = 8_000 }: StateDirOptions): StateDir {
  async function read(root: string): Promise<SeenStateDir> {
    const eyes = createEyes(root)
    const directory = await statOf(root)
    const config = await readConfig(join(root, CONFIG), redact).catch((error) => {
      if (codeOf(error) === 'ENOENT') return undefined
      throw new OpsError(sentenceOf(join(root, CONFIG), error), { cause: error })
    })
    return {
      ...{ path: root, config },
      clobbered: await clobberedIn(root, eyes),
      auth: await authIn(root, eyes),
      owner: await ownerIn(directory, eyes),
      unread: [...new Set(eyes.unread)].slice(0, 20),
    }
  }

  async function lookOnce(): Promise<StateDirLook> {
    const root = await path()
    if (root === undefined)
      return { state: 'unseen', why: 'It is not known where the gateway keeps its state.' }
    try {
      return { state: 'seen', seen: await read(root) }
    } catch (error) {
      return { state: 'unseen', path: root, why: sentenceOf(root, error) }
    }
  }

  let underWay: Promise<StateDirLook> | undefined
  return {
    async look() {
      underWay ??= lookOnce()
        .catch((error): StateDirLook => {
          if (!(error instanceof OpsError)) throw error
          return { state: 'unseen', why: error.message }
        })
        .finally(() => {
          underWay = undefined
        })
      const timer = new AbortController()
      const late: StateDirLook = {
        state: 'unseen',
        why: `The gateway's state directory does not answer within ${timeoutMs / 1_000} s.`,
      }
      return await Promise.race([underWay, sleep(timeoutMs, late, { signal: timer.signal })]).finally(() =>
        timer.abort(),
      )
    },
  }
}
