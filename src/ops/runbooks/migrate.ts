// Migrate: credential files of an older version beside a newer one's database, taken in by the gateway's own doctor while it is stopped.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import { type Compose, runOnceArgv } from '../compose.ts'
import { containerOf, type DeploymentOptions, type Expected, keyOf, projectOf } from '../deployment.ts'
import { type ComposeLabels, type ContainerBrief, type Docker, sha256 } from '../docker/index.ts'
import type { StateDirLook } from '../gateway/statedir.ts'
import { duration, plural } from '../words.ts'
import type { Finding, Runbook, RunbookPlan, Step, StepTools } from './index.ts'
import { GRACE_SECONDS } from './service.ts'

export interface MigrateContext {
  project: ComposeLabels
  name: string
  /** The gateway's container, by its short id. */
  id: string
  /** The exact argv of the doctor. */
  argv: string[]
  graceSeconds: number
}

export interface MigrateParts {
  docker: Pick<Docker, 'list' | 'inspect' | 'stop' | 'start'>
  compose: Pick<Compose, 'run'>
  deployment: DeploymentOptions
  /** @returns undefined when there is none. @throws OpsError */
  findGateway: () => Promise<ContainerBrief | undefined>
  /** Where the gateway keeps its credentials. */
  stateDir: () => Promise<StateDirLook>
  /** How the gateway's CLI is called; undefined when that is not known. @throws OpsError */
  words: () => Promise<readonly string[] | undefined>
  /** Says that a container is down on purpose while this runs. */
  expectDown: (key: string, down: boolean) => void
  /** What stopping it would break off. */
  findings: () => Promise<Finding[]>
  /** Waits until it is ready. @returns a note. @throws OpsError */
  ready: (since: number, signal: AbortSignal) => Promise<string>
  now: () => number
}

/** Both versions' images have it (openclaw.md §8); one that does not come up cannot be asked. */
const WORDS = ['node', 'dist/index.js']
const DOCTOR = ['doctor', '--fix', '--non-interactive']
/** It migrates sessions and indexes plugins too: under a minute when it was measured. */
const DOCTOR_MS = 10 * 60_000
const UP_MS = 60_000

export function createMigrate(parts: MigrateParts): Runbook<Record<string, never>, MigrateContext> {
  const { docker, compose, expectDown, now } = parts

  /** The files that break it. @throws OpsError when they cannot be seen. */
  async function legacy(): Promise<string[]> {
    const look = await parts.stateDir()
    if (look.state === 'unseen') throw new OpsError(look.why)
    return look.seen.auth.sqlite ? look.seen.auth.legacy : []
  }

  const nobody = { project: '', service: '', workingDir: '', configFiles: [], environmentFiles: [] }
  const blocked = (text: string): RunbookPlan<MigrateContext> => ({
    ...{ target: 'credentials', findings: [{ level: 'block', text }], commands: [], basis: sha256(text) },
    context: { project: { ...nobody, dependent: false }, name: '', id: '', argv: [], graceSeconds: 0 },
  })

  async function plan(): Promise<RunbookPlan<MigrateContext>> {
    try {
      const files = await legacy()
      if (files.length === 0)
        return blocked('there is nothing to migrate: no credential file lies beside a database.')
      const gateway = await parts.findGateway()
      if (!gateway?.compose)
        return blocked(
          'the gateway was not made by Compose: run its doctor --fix by hand while it is stopped.',
        )
      const container = await docker.inspect(gateway.id)
      const project = projectOf(gateway.compose, parts.deployment)
      const words = (await parts.words().catch(() => undefined)) ?? WORDS
      const argv = runOnceArgv(project, [...words, ...DOCTOR])
      const graceSeconds = Math.max(GRACE_SECONDS, container?.stopSeconds ?? 0)
      const { name } = gateway
      const id = gateway.id.slice(0, 12)
      const unseen = (error: unknown): Finding[] => [
        { level: 'warn', text: `what it is doing was not seen: ${messageOf(error)}` },
      ]
      return {
        target: 'credentials',
        findings: [
          { level: 'warn', text: `${plural(files.length, 'file')} of an older version: ${files.join(', ')}` },
          {
            level: 'ok',
            text: 'the doctor itself takes them into the database and archives what they held beside them',
          },
          ...(await parts.findings().catch(unseen)),
        ],
        commands: [['docker', 'stop', '-t', `${graceSeconds}`, name], argv, ['docker', 'start', name]],
        basis: sha256(JSON.stringify([files, id, argv])),
        context: { project, name, id, argv, graceSeconds },
      }
    } catch (error) {
      if (!(error instanceof OpsError)) throw error
      return blocked(error.message)
    }
  }

  const down = ({ name, project }: MigrateContext, isDown: boolean) =>
    expectDown(keyOf({ name, compose: project }), isDown)

  async function current({ name, project }: MigrateContext) {
    const meant: Expected = { name, compose: project }
    const brief = containerOf(await docker.list(), meant)
    return brief && (await docker.inspect(brief.id))
  }

  async function stop(context: MigrateContext, { progress }: StepTools): Promise<string> {
    down(context, true)
    const began = now()
    const timer = setInterval(() => progress(`ending its work, ${duration(now() - began)}`), 1_000)
    try {
      await docker.stop(context.id, context.graceSeconds)
    } catch (error) {
      down(context, false)
      throw error
    } finally {
      clearInterval(timer)
    }
    return `ended in ${duration(now() - began)}`
  }

  async function start(context: MigrateContext): Promise<string> {
    await docker.start(context.id)
    down(context, false)
    return 'started again'
  }

  /** Whatever becomes of it, the gateway is started again: it is no worse off than before. */
  async function doctor(context: MigrateContext, { progress }: StepTools): Promise<string> {
    try {
      // It draws boxes around what it says.
      const onLine = (line: string) => {
        const said = line.replace(/[\u2500-\u257f\u25c7]/g, '').trim()
        if (said) progress(said.slice(0, 120))
      }
      await compose.run(context.argv, { timeoutMs: DOCTOR_MS, onLine })
    } catch (error) {
      const after = await start(context).then(
        () => 'The gateway was started again as it was.',
        (failure) => `The gateway is stopped (${messageOf(failure)}): /up starts it.`,
      )
      throw new OpsError(`The doctor did not end well: ${messageOf(error)} ${after}`, { cause: error })
    }
    const left = await legacy()
    return left.length > 0 ? `it left ${left.join(', ')}` : 'the files are taken in and archived'
  }

  async function prove(context: MigrateContext, { progress, signal }: StepTools): Promise<string> {
    const until = now() + UP_MS
    let container = await current(context)
    while (container?.state !== 'running' && now() < until && !signal.aborted) {
      await sleep(250, undefined, { signal }).catch(() => {})
      container = await current(context)
    }
    if (container?.state !== 'running')
      throw new OpsError(`Its container is ${container?.state ?? 'gone'}: /logs says why.`)
    progress('asking it whether it is ready')
    const ready = await parts.ready(container.startedAt ?? 0, signal)
    const left = await legacy()
    if (left.length > 0)
      throw new OpsError(
        `It runs, and these files are still there: ${left.join(', ')}. Its models fail with them.`,
      )
    return [ready, 'no credential file is left beside the database'].filter(Boolean).join(', ')
  }

  const steps: Step<MigrateContext>[] = [
    { name: 'stop', run: stop, undo: start },
    { name: 'doctor', final: true, run: doctor },
    { name: 'start', run: start },
    { name: 'proof', run: prove },
  ]
  return {
    name: 'migrate',
    danger: 'disruptive',
    resource: 'gateway',
    plan,
    steps,
    async found(context) {
      down(context, false)
      const [container, left] = await Promise.all([current(context), legacy().catch(() => undefined)])
      const files =
        left === undefined
          ? 'Whether files are left was not seen.'
          : left.length > 0
            ? `Still to be migrated: ${left.join(', ')}.`
            : 'No credential file is left beside the database.'
      return `The gateway is ${container?.state ?? 'without a container'}. ${files}`
    },
    mend: ({ name }) => [{ label: 'Start it', run: `up ${name}` }],
  }
}
