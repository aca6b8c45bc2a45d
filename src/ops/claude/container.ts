// The Claude CLI in a container: called by the engine's exec, found again by the exec's id, ended by its PID in there.

import { stat } from 'node:fs/promises'
import { PassThrough, type Readable } from 'node:stream'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import type { Attached, Docker } from '../docker/index.ts'
import type { Talk } from '../run.ts'
import type { Read } from './file.ts'
import { readHostFile } from './host.ts'
import { ASK_MS, type ClaudePlace, type Kept, MOST_BYTES, MOST_OUTPUT, quoted } from './place.ts'
import { across, type Call, type Found, type Known, lineOf, probe } from './probe.ts'

export interface ContainerPlaceOptions {
  /** As the operator calls it. */
  name: string
  docker: Pick<Docker, 'exec' | 'attach' | 'execution'>
  findContainer: () => Promise<Found | undefined>
  /** The host's side of its directory, where the operator named it. */
  configDir?: string | undefined
}

const LOOK_MS = 8_000
/** How long its PID may take, which is the first thing it says. */
const PID_MS = 5_000
const POLL_MS = 100
/** What a program leaves running in there may keep its output open. */
const HEARD_MS = 2_000
const PID = /^PID:(\d+)\n/

/** The time first, where it can be told; 44 is "not there". */
const READ = `[ -e "$1" ] || exit 44; stat -c %Y "$1" 2>/dev/null || echo; head -c ${MOST_BYTES} "$1"`
/** Takes the line with the PID off what a program says on stderr. */
function pidFrom(stderr: Readable): { pid: Promise<number | undefined>; rest: PassThrough } {
  const rest = new PassThrough()
  const pid = new Promise<number | undefined>((resolve) => {
    let said: string | undefined = ''
    stderr.setEncoding('utf8')
    stderr.on('data', (chunk: string) => {
      if (said === undefined) return void rest.write(chunk)
      said += chunk
      if (!said.includes('\n')) return
      const [, found] = PID.exec(said) ?? []
      rest.write(said.slice(found ? said.indexOf('\n') + 1 : 0))
      said = undefined
      resolve(found ? Number(found) : undefined)
    })
    stderr.on('end', () => {
      if (said) rest.write(said)
      rest.end()
      resolve(undefined)
    })
    setTimeout(() => resolve(undefined), PID_MS).unref()
  })
  return { pid, rest }
}

export function containerPlace({
  name,
  docker,
  findContainer,
  configDir,
}: ContainerPlaceOptions): ClaudePlace {
  let memory: { id: string; known: Known } | undefined
  /** What runs of ours have printed, by their exec. */
  const heard = new Map<string, Promise<string>>()

  async function running(): Promise<Found> {
    const found = await findContainer()
    if (!found)
      throw new OpsError(`There is no container ${name}: CLAUDE_CONTAINER says which has the Claude CLI.`)
    if (found.state !== 'running') throw new OpsError(`${found.name} is ${found.state}: start it.`)
    return found
  }

  async function inside(): Promise<{ found: Found; known: Known; who: { user?: string } }> {
    const found = await running()
    const known =
      memory?.id === found.id && memory.known.bin ? memory.known : await probe(docker, found, configDir)
    memory = { id: found.id, known }
    return { found, known, who: known.user === undefined ? {} : { user: known.user } }
  }

  function line(call: Omit<Call, 'bin'>): string[] {
    const { bin } = call.known
    if (!bin)
      throw new OpsError(`There is no Claude CLI in ${name}: is CLAUDE_CONTAINER the right container?`)
    return lineOf({ ...call, bin })
  }

  const pathOf = ({ home, directory }: Known, file: Kept) =>
    file === '.claude.json' && directory === `${home}/.claude` ? `${home}/${file}` : `${directory}/${file}`

  /** As the host sees it: the last that is left when the container does not run. */
  async function readOutside(file: Kept, why: string): Promise<Read> {
    const directory = await outside().catch(() => undefined)
    const path = `${directory ?? name}/${file}`
    return directory && file === '.credentials.json'
      ? await readHostFile(path)
      : { path, failed: 'unreadable', why }
  }

  async function outside(): Promise<string | undefined> {
    const found = await findContainer()
    const inThere = memory?.id === found?.id ? memory?.known.directory : undefined
    const directory =
      configDir === undefined
        ? found && inThere && across(found.mounts, inThere, 'destination')
        : !found || across(found.mounts, configDir, 'source')
          ? configDir
          : undefined
    const seen = directory ? await stat(directory).catch(() => undefined) : undefined
    return seen?.isDirectory() ? directory : undefined
  }

  async function read(file: Kept): Promise<Read> {
    const { found, known, who } = await inside()
    const path = pathOf(known, file)
    const argv = ['sh', '-c', READ, 'sh', path]
    const { exitCode, stdout, stderr } = await docker.exec(found.id, argv, { timeoutMs: LOOK_MS, ...who })
    if (exitCode === 44) return { path, failed: 'missing' }
    if (exitCode !== 0)
      return {
        path,
        failed: 'unreadable',
        why: `${path} cannot be read in ${name}: ${stderr.trim().slice(0, 200)}`,
      }
    const end = stdout.indexOf('\n')
    const seconds = Number(stdout.slice(0, end))
    return { path, text: stdout.slice(end + 1), ...(seconds > 0 && { modifiedAt: seconds * 1_000 }) }
  }

  async function kill(
    container: string,
    exec: string,
    pid: number | undefined,
    user?: string,
  ): Promise<void> {
    // While its exec runs, the PID is its own and nobody else's.
    if (pid === undefined || !(await docker.execution(exec))?.running) return
    const argv = ['sh', '-c', 'kill -TERM "$1"', 'sh', `${pid}`]
    await docker.exec(container, argv, { timeoutMs: LOOK_MS, ...(user !== undefined && { user }) })
  }

  /** Waits until the engine knows that it has ended; its output may end before that, or be lost. */
  async function exitOf({
    exec,
    stdout,
  }: Pick<Attached, 'exec' | 'stdout'>): Promise<{ exitCode: number | null }> {
    await new Promise<void>((resolve) => void stdout.on('end', resolve).on('close', resolve))
    for (let tries = 0; tries < LOOK_MS / POLL_MS; tries += 1) {
      const state = await docker.execution(exec).catch(() => ({ running: true, exitCode: undefined }))
      if (!state?.running) return { exitCode: state?.exitCode ?? null }
      await sleep(POLL_MS)
    }
    return { exitCode: null }
  }

  return {
    where: `in ${name}`,
    async directory() {
      if (!memory && !configDir) await inside().catch(() => undefined)
      return await outside().catch(() => undefined)
    },
    async read(file) {
      try {
        return await read(file)
      } catch (error) {
        return await readOutside(file, messageOf(error))
      }
    },
    async ask(args) {
      const { found, known, who } = await inside()
      const result = await docker.exec(found.id, line({ known, args }), { timeoutMs: ASK_MS, ...who })
      const stderr = result.stderr.replace(PID, '')
      return { ...result, stderr, output: result.stdout + stderr }
    },
    async begin(args, env) {
      const { found, known, who } = await inside()
      const { exec, stdout, stderr } = await docker.attach(found.id, line({ known, args, env }), who)
      const { pid, rest } = pidFrom(stderr)
      const both = Promise.all([textOf(stdout), textOf(rest)])
      heard.set(
        exec,
        both.then(
          (said) => said.join('').slice(0, MOST_OUTPUT),
          () => '',
        ),
      )
      const itsPid = await pid
      return { where: 'container', container: found.id, exec, ...(itsPid !== undefined && { pid: itsPid }) }
    },
    async look(handle) {
      if (handle.where !== 'container') return { running: false }
      const state = await docker.execution(handle.exec)
      if (state?.running) return { running: true }
      const output = await Promise.race([heard.get(handle.exec), sleep(HEARD_MS)])
      return {
        running: false,
        ...(output !== undefined && { output }),
        ...(state?.exitCode !== undefined && { exitCode: state.exitCode }),
      }
    },
    async terminate(handle) {
      if (handle.where !== 'container') return
      const user = memory?.id === handle.container ? memory.known.user : undefined
      await kill(handle.container, handle.exec, handle.pid, user).catch(() => undefined)
    },
    async forget(handle) {
      if (handle.where === 'container') heard.delete(handle.exec)
    },
    async talk(args, env, timeoutMs): Promise<Talk> {
      const { found, known, who } = await inside()
      // The engine cannot end what it began: `timeout` in there does, whatever becomes of us.
      const limit = known.hasTimeout ? ['timeout', '-k', '10', `${Math.ceil(timeoutMs / 1_000)}`] : []
      const attached = await docker.attach(found.id, line({ known, args, env, limit }), {
        ...who,
        stdin: true,
      })
      const { pid, rest } = pidFrom(attached.stderr)
      const terminate = () =>
        void pid.then((itsPid) => kill(found.id, attached.exec, itsPid, known.user)).catch(() => undefined)
      const timer = setTimeout(terminate, timeoutMs).unref()
      const ended = exitOf(attached).finally(() => clearTimeout(timer))
      return { stdin: attached.stdin, stdout: attached.stdout, stderr: rest, terminate, ended }
    },
    command(args) {
      const { user, home } = memory?.known ?? {}
      const as = user === undefined ? [] : ['-u', user, '-e', `HOME=${home}`]
      return ['docker', 'exec', '-it', ...as, name, 'claude', ...args].map(quoted).join(' ')
    },
  }
}
