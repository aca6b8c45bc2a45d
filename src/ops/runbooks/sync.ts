// Sync: the CLI's token copied to everybody who needs it, step by step, with a proof from the running gateway.

import { messageOf, OpsError } from '../../errors.ts'
import type { Claude } from '../claude/index.ts'
import { type Copies, type Known, pasteArgs } from '../credentials/copies.ts'
import { createProof, type ProofOptions } from '../credentials/proof.ts'
import { isDue, isIdle, type Source, type SyncPlan, type SyncTarget } from '../credentials/sync.ts'
import type { Token } from '../credentials/targets.ts'
import { sha256 } from '../docker/index.ts'
import { duration } from '../words.ts'
import type { Finding, Runbook, RunbookPlan, Step, StepTools } from './index.ts'

/** Plain JSON, without the token: each step asks the CLI's file for it again. */
export interface SyncContext extends Known {
  targets: SyncTarget[]
  recreate: boolean
  store: 'files' | 'sqlite' | 'unknown'
}

export interface SyncParts extends Pick<ProofOptions, 'report' | 'environment'> {
  /** Undefined with CLAUDE_MODE=off. */
  claude: Pick<Claude, 'token' | 'file'> | undefined
  /** CREDENTIAL_SYNC=on. */
  on: boolean
  copies: Pick<Copies, 'plan' | 'write' | 'paste'>
  /** Keeps in mind that the CLI had this token: it is known as ours wherever it is found later. */
  note: (hash: string, expiresAt: number) => void
  /** How the gateway's CLI is called; undefined while the gateway does not run. @throws OpsError */
  words: () => Promise<readonly string[] | undefined>
  /** Makes the gateway anew by its own runbook, and waits for it. @returns a note. @throws OpsError */
  recreate: (signal: AbortSignal) => Promise<string>
  now: () => number
}

const OFF = 'CREDENTIAL_SYNC is off, so the CLI’s token is copied nowhere.'
const NO_TOKEN = 'The Claude CLI has no token to copy: /tokens says why, /reauth signs in.'
const NEWER = 'A newer token came meanwhile: what was written stays, and it goes on with the newer one.'
const IDLE = 'everybody has it already'
function findingOf({ where, action, why, has }: SyncTarget): Finding {
  if (action !== 'none') return { level: 'ok', text: `${where} gets it: ${why}` }
  return has
    ? { level: 'ok', text: `${where} ${why}` }
    : { level: 'warn', text: `${where} is left alone: ${why}` }
}

export interface Sync {
  runbook: Runbook<Record<string, never>, SyncContext>
  /** Whether there is something to do. Only reads. @throws OpsError when it cannot be seen. */
  isDue(): Promise<boolean>
  /** The same work without a card, for when a new token came. @returns what was done; undefined when there was nothing to do. */
  quietly(signal: AbortSignal): Promise<string | undefined>
}

export function createSync(parts: SyncParts): Sync {
  const { claude, copies, note, environment, now } = parts
  const proof = createProof({ ...parts, runs: async () => (await parts.words()) !== undefined })

  async function token(): Promise<Token & { hash: string }> {
    const found = await claude?.token()
    if (!found?.value) throw new OpsError(NO_TOKEN)
    return found
  }

  async function sourceOf(): Promise<Source> {
    const { hash, expiresAt } = await token()
    const file = await claude?.file()
    return { hash, expiresAt, ...(file?.refreshHash && { refreshHash: file.refreshHash }) }
  }

  /** The token that was planned with. @throws OpsError when the CLI has another one by now. */
  async function planned({ source }: Pick<SyncContext, 'source'>): Promise<Token> {
    const found = await token()
    if (found.hash !== source.hash || found.expiresAt !== source.expiresAt) throw new OpsError(NEWER)
    return found
  }

  const contextOf = ({ source, ends, targets, recreate, store }: SyncPlan & Pick<SyncContext, 'store'>) => ({
    ...{ source, ends, recreate, store },
    targets: targets.filter((each) => isDue(each) || each.has),
  })

  const blocked = (text: string): RunbookPlan<SyncContext> => ({
    ...{ target: 'model access', findings: [{ level: 'block', text }], commands: [], basis: sha256(text) },
    context: {
      ...{ source: { hash: '', expiresAt: 0 }, ends: {}, targets: [], recreate: false, store: 'unknown' },
    },
  })

  async function commandsOf({ source, targets }: SyncPlan): Promise<string[][]> {
    const argv = (await parts.words().catch(() => undefined)) ?? ['openclaw']
    const agents = new Set(targets.map(({ agent }) => agent))
    return targets.flatMap(({ action, profile = '', agent }) =>
      action === 'paste'
        ? [[...argv, ...pasteArgs(profile, agents.size > 1 ? agent : undefined, source.expiresAt - now())]]
        : [],
    )
  }

  async function plan(): Promise<RunbookPlan<SyncContext>> {
    if (!parts.on) return blocked(OFF)
    try {
      const seen = await copies.plan(await sourceOf())
      const findings = seen.targets.map(findingOf)
      if (seen.recreate)
        findings.push({ level: 'warn', text: `the gateway is made anew at the end: ${seen.why}` })
      const hasAll = isIdle(seen) && seen.source.expiresAt > now() && seen.targets.some(({ has }) => has)
      if (isIdle(seen)) {
        const ended = !(seen.source.expiresAt > now())
        const why = hasAll ? IDLE : ended ? seen.why : 'there is no place for it'
        findings.push({ level: 'block', text: `there is nothing to do: ${why}.` })
      }
      const { source, targets, recreate } = seen
      const due = targets.filter(isDue).map(({ id, action }) => [id, action])
      return {
        ...{ target: 'model access', findings, commands: await commandsOf(seen) },
        ...(hasAll && { idle: true }),
        basis: sha256(JSON.stringify([source.hash, source.expiresAt, due, recreate])),
        context: contextOf(seen),
      }
    } catch (error) {
      if (!(error instanceof OpsError)) throw error
      return blocked(error.message)
    }
  }

  /** Writes some of the places one after the other; a file of several profiles is written once. */
  async function write(context: SyncContext, isMeant: (target: SyncTarget) => boolean): Promise<string> {
    const due = context.targets.filter((each) => each.action === 'write' && isMeant(each))
    const files = [...new Map(due.map((each) => [each.agent ?? each.id, each])).values()]
    if (files.length === 0) return 'nothing to do'
    const done: string[] = []
    for (const target of files) {
      try {
        const isNew = await copies.write(target, context, await planned(context))
        done.push(isNew ? target.where : `${target.where} (as it is)`)
      } catch (error) {
        const before = done.length > 0 ? ` Written before that: ${done.join(', ')}.` : ''
        throw new OpsError(`${messageOf(error)}${before}`, { cause: error })
      }
    }
    return done.join(', ')
  }

  async function paste(context: SyncContext): Promise<string> {
    if (!context.targets.some(({ action }) => action === 'paste')) return 'nothing to do'
    const done = await copies.paste(context, await planned(context))
    // Which profile takes it was decided again: the proof looks for that one.
    const kept = context.targets.filter(({ agent }) => !done.some((each) => each.agent === agent))
    context.targets = [...done, ...kept]
    return done.length > 0 ? done.map(({ profile }) => profile).join(', ') : IDLE
  }

  async function recreate(
    { recreate: isNeeded, source }: SyncContext,
    { signal }: StepTools,
  ): Promise<string> {
    if (!isNeeded) return 'not needed'
    const { wins, hash } = await environment()
    if (!wins || hash === source.hash) return 'not needed any more'
    return await parts.recreate(signal)
  }

  async function prove(context: SyncContext, { signal }: StepTools): Promise<string> {
    await planned(context)
    return await proof(context, signal)
  }

  const isProfile = ({ id }: SyncTarget) => id !== '.env'
  const steps: Step<SyncContext>[] = [
    {
      name: 'token',
      async run(context) {
        await planned(context)
        note(context.source.hash, context.source.expiresAt)
        return `${duration(context.source.expiresAt - now())} left`
      },
    },
    { name: 'files', run: (context) => write(context, isProfile) },
    { name: '.env', run: (context) => write(context, (target) => !isProfile(target)) },
    { name: 'paste', run: paste },
    { name: 'recreate', run: recreate },
    { name: 'proof', run: prove },
  ]

  return {
    runbook: {
      name: 'sync',
      danger: 'disruptive',
      resource: 'credentials',
      plan,
      steps,
      async found() {
        const seen = await copies.plan(await sourceOf())
        const left = seen.targets.filter(isDue).map(({ where }) => where)
        if (left.length === 0) return 'Everybody has the CLI’s token.'
        return `Without the CLI’s token: ${left.join(', ')}. /sync goes on from there.`
      },
      mend: () => [{ label: 'Sync again', run: 'sync' }],
    },
    async isDue() {
      if (!parts.on || !(await claude?.token())) return false
      return !isIdle(await copies.plan(await sourceOf()))
    },
    async quietly(signal) {
      if (!parts.on) return undefined
      const source = await sourceOf()
      note(source.hash, source.expiresAt)
      const seen = await copies.plan(source)
      if (isIdle(seen)) return undefined
      const context = contextOf(seen)
      const notes: string[] = []
      for (const { name, run } of steps) {
        if (signal.aborted) throw new OpsError(`Sync was stopped before "${name}": the next look goes on.`)
        notes.push(`${name}: ${await run(context, { progress() {}, signal })}`)
      }
      return notes.join('; ')
    },
  }
}
