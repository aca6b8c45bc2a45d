// What fills a file system: its largest directories, by `du` at the lowest priority, within a deadline.

import { readdir } from 'node:fs/promises'
import type { Run } from './run.ts'

export interface Largest {
  directories: { path: string; bytes: number }[]
  /** When false the sizes of what was read are right, but something larger may hide in `unread`. */
  complete: boolean
  /** Top-level directories that time or permission did not let us read to the end. */
  unread: string[]
}

export interface Directory {
  path: string
  bytes: number
}

/** `du -k` → directories. A name with a line break in it is left out. */
export function parseDu(stdout: string): Directory[] {
  return [...stdout.matchAll(/^(\d+)\t(\/.*)$/gm)].map(([, kib, path = '']) => ({
    path,
    bytes: Number(kib) * 1024,
  }))
}

/**
 * The largest directories, none inside another, so that their sizes add up: a directory gives way to its
 * large children (a fifth of it or more) when these are nearly all of it.
 */
export function meaningful(directories: readonly Directory[], count = 8): Directory[] {
  const known = new Set(directories.map(({ path }) => path))
  const children = Map.groupBy(directories, ({ path }) => path.slice(0, path.lastIndexOf('/')))
  const expand = (directory: Directory): Directory[] => {
    const large = (children.get(directory.path) ?? []).filter(({ bytes }) => bytes >= directory.bytes / 5)
    const explained = large.reduce((sum, { bytes }) => sum + bytes, 0)
    return large.length > 0 && explained >= directory.bytes * 0.8 ? large.flatMap(expand) : [directory]
  }
  return directories
    .filter(({ path }) => !known.has(path.slice(0, path.lastIndexOf('/'))))
    .flatMap(expand)
    .toSorted((a, b) => b.bytes - a.bytes)
    .slice(0, count)
}

/** Where data grows. These go first: a deadline is to cut off what was installed, not what was written. */
const GROWING = ['var', 'home', 'root', 'opt', 'srv', 'data', 'tmp']
const rank = (name: string) => (GROWING.includes(name) ? GROWING.indexOf(name) : GROWING.length)

/** `stdbuf` lets us keep what du has printed when time is up; the others keep it out of everybody's way. */
const POLITE = [
  ['stdbuf', '-oL'],
  ['nice', '-n', '19'],
  ['ionice', '-c', '3'],
]

/** Puts before du those of its helpers that this host has. */
async function politely(run: Run): Promise<string[]> {
  const tries = POLITE.map(([file = '', ...args]) => run(file, [...args, 'true'], { timeoutMs: 2_000 }))
  const tried = await Promise.allSettled(tries)
  return POLITE.filter((_, i) => tried[i]?.status === 'fulfilled' && tried[i].value.exitCode === 0).flat()
}

/**
 * One du for each top-level directory in turn, each with at most half of the time that is left, so that one
 * huge directory cannot hide all others and a deadline still leaves true figures.
 * @param foreign mount points, which are not entered.
 */
export async function largestDirectories(
  point: string,
  options: { run: Run; foreign: ReadonlySet<string>; deadlineMs: number; signal?: AbortSignal },
): Promise<Largest> {
  const { run, foreign, deadlineMs, signal } = options
  const until = performance.now() + deadlineMs
  const prefix = await politely(run)
  const entries = await readdir(point, { withFileTypes: true })
  const queue = entries
    .filter((entry) => entry.isDirectory())
    .toSorted((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name))
    .map(({ name }) => (point === '/' ? `/${name}` : `${point}/${name}`))
    .filter((path) => !foreign.has(path))

  const directories: Directory[] = []
  const unread: string[] = []
  for (const [index, path] of queue.entries()) {
    signal?.throwIfAborted()
    const left = until - performance.now()
    const budgetMs = index === queue.length - 1 ? left : left / 2
    if (budgetMs < 100) {
      unread.push(path)
      continue
    }
    const args = ['-k', '5', (budgetMs / 1000).toFixed(1), ...prefix, 'du', '-x', '-k', '-d', '2', path]
    const { exitCode, stdout, stderr } = await run('timeout', args, {
      timeoutMs: Math.round(budgetMs) + 6_000,
      maxBytes: 16 << 20,
      ...(signal && { signal }),
    })
    directories.push(...parseDu(stdout))
    // Exit code 1 is also what a file that vanished meanwhile causes: that hides nothing.
    if (exitCode !== 0 && (exitCode !== 1 || /Permission denied/.test(stderr))) unread.push(path)
  }
  return { directories: meaningful(directories), complete: unread.length === 0, unread }
}
