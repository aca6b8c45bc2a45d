// Where the gateway's own programs run: inside its container, or on this host for a gateway without one.

import { messageOf, OpsError } from '../../errors.ts'
import type { Container, Docker, ExecResult, Session } from '../docker/index.ts'
import type { Run } from '../run.ts'

export interface Inside {
  /** What is learnt about the programs in there holds for this: the image's short id, or `host`. */
  key: string
  /** The Node in there: its name, or the path of ours. */
  node: string
  /**
   * Runs a program to its end, as the user whose files these are.
   * @throws OpsError when it cannot be run or is late.
   */
  exec(argv: readonly string[], options: { timeoutMs: number; input?: string }): Promise<ExecResult>
  /** Starts a program and keeps it open. @throws OpsError when it cannot be started. */
  open(argv: readonly string[]): Promise<Session>
}

/** Upstream's image has this user, and the state is its (measured). */
const USER = 'node'
/** What engines say of a user who is not in the container's passwd: 28 refuses the call, 26.1 says it as output (measured). */
const NO_USER = /unable to find user|no matching entries in passwd/i
/** `docker exec` cannot end what it began (measured): `timeout` inside does, and gives it so long to obey. Seconds. */
const OBEY_SECONDS = 5
/** A program that was late: by coreutils' `timeout`, as busybox' obeyed it, and as it had to be killed (measured). */
const LATE = [124, 143, 137]
/** What runc and crun say when `timeout` is not there. Of a program that is not there `timeout` speaks itself, otherwise. */
const NO_TIMEOUT = /exec: "timeout":|executable file `timeout` not found/
/** Exit codes of a program that is not there. */
export const NOT_THERE: readonly number[] = [126, 127]

/** Images whose container has no such user, or no such program. */
const lacking = { user: new Set<string>(), timeout: new Set<string>() }

/** Inside a container; what it is told to run ends there at its deadline, not only here. */
export function insideContainer(
  docker: Pick<Docker, 'exec' | 'open'>,
  { id, imageId }: Pick<Container, 'id' | 'imageId'>,
): Inside {
  /** As the gateway's user, or as the container's own where there is none of that name. */
  async function asUser<T>(call: (who: { user?: string }) => Promise<T>, saidIn: (result: T) => string) {
    if (lacking.user.has(imageId)) return await call({})
    try {
      const result = await call({ user: USER })
      if (!NO_USER.test(saidIn(result))) return result
    } catch (error) {
      if (!NO_USER.test(messageOf(error))) throw error
    }
    lacking.user.add(imageId)
    return await call({})
  }

  const runIt = (argv: readonly string[], options: { timeoutMs: number; input?: string }) =>
    asUser(
      (who) =>
        docker.exec(id, argv, { ...options, ...who, timeoutMs: options.timeoutMs + OBEY_SECONDS * 2_000 }),
      ({ exitCode, output }) => (NOT_THERE.includes(exitCode) ? output : ''),
    )

  return {
    key: imageId.replace('sha256:', '').slice(0, 12),
    node: 'node',
    async exec(argv, options) {
      if (lacking.timeout.has(imageId)) return await runIt(argv, options)
      const limit = ['timeout', '-k', `${OBEY_SECONDS}`, `${Math.ceil(options.timeoutMs / 1_000)}`]
      const result = await runIt([...limit, ...argv], options)
      if (!NOT_THERE.includes(result.exitCode) || !NO_TIMEOUT.test(result.output)) return result
      lacking.timeout.add(imageId)
      return await runIt(argv, options)
    },
    // An engine that says it as output says it on this stream: the next `exec` finds out, and it is opened again.
    open: (argv) =>
      asUser(
        (who) => docker.open(id, argv, who),
        () => '',
      ),
  }
}

/** Whether a result is that of a program which did not end in time. */
export const wasLate = ({ exitCode }: Pick<ExecResult, 'exitCode'>): boolean => LATE.includes(exitCode)

export interface HostOptions {
  run: Run
  open: (argv: readonly string[], env: Record<string, string>) => Promise<Session>
  /** PATH, HOME, and where the gateway's state lies. */
  env: Record<string, string>
}

/** On this host. */
export function insideHost({ run, open, env }: HostOptions): Inside {
  return {
    key: 'host',
    node: process.execPath,
    async exec([file = '', ...args], options) {
      try {
        const { exitCode, stdout, stderr } = await run(file, args, { ...options, env })
        return { exitCode: exitCode ?? 137, output: stdout + stderr, stdout, stderr }
      } catch (error) {
        // A program that is not there is an answer here too, as it is in a container.
        if (!(error instanceof OpsError && /could not be started: ENOENT/.test(error.message))) throw error
        return { exitCode: 127, output: error.message, stdout: '', stderr: error.message }
      }
    },
    open: (argv) => open(argv, env),
  }
}
