// What a container's inside is like for the Claude CLI, found out once, and the command line that calls it there.

import { OpsError } from '../../errors.ts'
import type { Container, Docker } from '../docker/index.ts'
import { EMPTY, UNSET } from './place.ts'

export type Found = Pick<Container, 'id' | 'name' | 'state' | 'mounts'>

/** What is known of the inside of one container. */
export interface Known {
  home: string
  directory: string
  /** The CLI; undefined when there is none. */
  bin: string | undefined
  hasTimeout: boolean
  /** `uid:gid` of whose login it is, where the container's own user is root and the login is not root's. */
  user?: string
}

const LOOK_MS = 8_000

const PROBE = `d=\${1:-\${CLAUDE_CONFIG_DIR:-$HOME/.claude}}
o=$(stat -c %u:%g "$d" 2>/dev/null || stat -c %u:%g "\${d%/*}" 2>/dev/null)
b=$(command -v claude || ls "$HOME/.local/bin/claude" "\${d%/*}/.local/bin/claude" "$d/local/claude" 2>/dev/null | head -n 1)
printf '%s\\n' "$HOME" "$d" "$(id -u)" "$o" "$b" "$(command -v timeout)"`
/** It says its PID, and becomes what it is told to run. */
const START = 'echo "PID:$$" >&2; mkdir "$1" 2>/dev/null; cd "$1" 2>/dev/null || cd /; shift; exec "$@"'

const under = (path: string, root: string) => path === root || path.startsWith(`${root.replace(/\/$/, '')}/`)

/** A path on one side of the mounts, seen from the other. */
export function across(
  mounts: Found['mounts'],
  path: string,
  from: 'source' | 'destination',
): string | undefined {
  const [mount] = mounts
    .filter((each) => under(path, each[from]))
    .sort((a, b) => b[from].length - a[from].length)
  if (!mount) return undefined
  const to = from === 'source' ? mount.destination : mount.source
  return `${to.replace(/\/$/, '')}${path.slice(mount[from].replace(/\/$/, '').length)}`
}

/** @param configDir the host's side of its directory, where the operator named it. @throws OpsError */
export async function probe(
  docker: Pick<Docker, 'exec'>,
  { id, name, mounts }: Found,
  configDir: string | undefined,
): Promise<Known> {
  const wanted = configDir === undefined ? '' : across(mounts, configDir, 'source')
  if (wanted === undefined)
    throw new OpsError(`CLAUDE_CONFIG_DIR is ${configDir}, which ${name} has not mounted.`)
  const argv = ['sh', '-c', PROBE, 'sh', wanted]
  const { stdout, stderr, exitCode } = await docker.exec(id, argv, { timeoutMs: LOOK_MS })
  const [home, directory, me, owner, bin, timeout] = stdout.split('\n')
  if (!home || !directory)
    throw new OpsError(`${name} cannot be looked into: ${stderr.trim().slice(0, 200) || exitCode}.`)
  const isOthers = me === '0' && /^[1-9]\d*:\d+$/.test(owner ?? '')
  return {
    ...{ directory, bin: bin || undefined, hasTimeout: Boolean(timeout) },
    home: isOthers && directory.endsWith('/.claude') ? directory.slice(0, -'/.claude'.length) : home,
    ...(isOthers && owner && { user: owner }),
  }
}

export interface Call {
  known: Known
  bin: string
  args: readonly string[]
  env?: Record<string, string>
  /** What it is run under. */
  limit?: readonly string[]
}

/** The whole command line in there: without what would lead the CLI astray, and in a directory that nobody else uses. */
export function lineOf({ known: { home, directory }, bin, args, env, limit = [] }: Call): string[] {
  const own = { HOME: home, ...(directory !== `${home}/.claude` && { CLAUDE_CONFIG_DIR: directory }) }
  const settings = Object.entries({ ...own, ...env }).map(([key, value]) => `${key}=${value}`)
  const cleared = UNSET.flatMap((each) => ['-u', each])
  const call = ['env', ...cleared, ...settings, ...limit, bin, ...args]
  return ['sh', '-c', START, 'sh', `${directory}/${EMPTY}`, ...call]
}
