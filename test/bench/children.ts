// Child processes that end with us, however this process ends.

import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()

/** Sees to it that a child does not outlive us. @returns the child. */
export function endsWithUs<T extends ChildProcess>(child: T): T {
  if (children.size === 0)
    process.once('exit', () => {
      for (const each of children) each.kill('SIGKILL')
    })
  children.add(child)
  return child
}
