// Sandboxes recreate: removed by the gateway's own command, so that they are made anew at their next use; proved by listing again.

import { messageOf, OpsError } from '../../errors.ts'
import { type ExecResult, sha256 } from '../docker/index.ts'
import { type Cli, wordsOf } from '../gateway/cli.ts'
import { DOWN } from '../gateway/sandbox-daemon.ts'
import type { Sandbox } from '../gateway/sandbox-facts.ts'
import type { Sandboxes } from '../gateway/sandboxes.ts'
import { plural } from '../words.ts'
import type { Finding, Runbook, RunbookPlan, StepTools } from './index.ts'

export interface SandboxesInput {
  /** `all`, `mismatched`, or an agent's id. */
  which: string
  /** The browsers of the same too. */
  browsers: boolean
}

export interface SandboxesContext {
  /** What was there when it was planned, by short id. */
  old: { id: string; name: string }[]
  /** Arguments of the gateway's CLI, in their order. */
  sandboxCalls: string[][]
  browserCalls: string[][]
}

export interface SandboxesParts {
  sandboxes: Pick<Sandboxes, 'list' | 'forget'>
  cli: () => Promise<Cli | undefined>
}

/** 8 s for one on a newer gateway (measured), and the engine's time for each. */
const CALL_MS = 120_000
const MOST_SHOWN = 20

const HITS = new Map<string, (sandbox: Sandbox) => boolean>([
  ['all', () => true],
  // One whose image is missing could not be made again, and one without a session has no call of its own.
  ['mismatched', ({ imageMatch, session }) => imageMatch === 'other' && session !== undefined],
])
const isHit = ({ which }: SandboxesInput): ((sandbox: Sandbox) => boolean) =>
  HITS.get(which) ?? (({ agent }) => agent?.toLowerCase() === which.toLowerCase())

/** The gateway wants exactly one selector. Without `--force` newer ones ask, get no answer and remove nothing (measured). */
function callsFor({ which }: SandboxesInput, hit: readonly Sandbox[]): string[][] {
  if (hit.length === 0) return []
  const call = (...selector: string[]) => ['sandbox', 'recreate', ...selector, '--force']
  if (which === 'all') return [call('--all')]
  const sessions = new Set(hit.flatMap(({ session }) => session ?? []))
  if (which === 'mismatched') return [...sessions].map((session) => call('--session', session))
  return [...new Set(hit.flatMap(({ agent }) => agent ?? []))].map((agent) => call('--agent', agent))
}

/** Browsers are never in the same call (D29). */
const withBrowser = (calls: string[][]) => calls.map((argv) => [...argv.slice(0, -1), '--browser', '--force'])

function hitFinding({ name, agent, browser, running, image, imageMatch }: Sandbox): Finding {
  const what = `${browser ? 'browser ' : ''}${name}${agent ? ` of ${agent}` : ''}`
  if (imageMatch === 'missing')
    return { level: 'warn', text: `${what}: its image ${image} is missing, so it cannot be made anew` }
  return running
    ? { level: 'warn', text: `${what} runs: what it is doing is broken off` }
    : { level: 'ok', text: `${what} does not run` }
}

/** What is said of those that are left alone. */
function otherFindings(input: SandboxesInput, all: readonly Sandbox[]): Finding[] {
  const left = all.filter((each) => each.browser && !input.browsers && isHit(input)(each)).length
  const missing = all.filter(({ imageMatch }) => imageMatch === 'missing').length
  const nameless = all.filter(({ imageMatch, session }) => imageMatch === 'other' && session === undefined)
  return [
    ...(left > 0
      ? [{ level: 'ok' as const, text: `${plural(left, 'browser')} left alone: +browsers takes them too` }]
      : []),
    ...(input.which === 'mismatched' && missing > 0
      ? [
          {
            level: 'warn' as const,
            text: `${plural(missing, 'sandbox', 'sandboxes')} left alone: the image is missing`,
          },
        ]
      : []),
    ...(input.which === 'mismatched' ? nameless : []).map(
      ({ name }): Finding => ({ level: 'warn', text: `${name} left alone: it has no session to call it by` }),
    ),
  ]
}

/** `Done: 1 removed, 0 failed`, or that it found none (captured from both versions). The proof does not rest on it. */
function noteOf(result: ExecResult): string {
  const [, removed] = /Done: (\d+) removed/.exec(result.stdout) ?? []
  if (removed !== undefined) return `${removed} removed`
  return /No (?:containers|sandbox runtimes) found/.test(result.stdout)
    ? 'the gateway knows none of them'
    : wordsOf(result)
}

export function createSandboxesRecreate({
  sandboxes,
  cli,
}: SandboxesParts): Runbook<SandboxesInput, SandboxesContext> {
  async function program(): Promise<Cli> {
    const found = await cli()
    if (!found) throw new OpsError(DOWN)
    return found
  }

  /** @throws OpsError when it cannot be seen: what is left then is unknown, not nothing. */
  async function present(): Promise<Sandbox[]> {
    const seen = await sandboxes.list()
    if (seen.state !== 'seen') throw new OpsError(seen.why)
    return seen.sandboxes
  }

  const blocked = (target: string, text: string): RunbookPlan<SandboxesContext> => ({
    ...{ target, findings: [{ level: 'block', text }], commands: [], basis: sha256(text) },
    context: { old: [], sandboxCalls: [], browserCalls: [] },
  })

  async function plan(input: SandboxesInput): Promise<RunbookPlan<SandboxesContext>> {
    const target = `${input.which.slice(0, 64)}${input.browsers ? ' +browsers' : ''}`
    const looked = await Promise.all([present(), program().then((found) => found.known())]).catch(
      (error: unknown) => {
        if (!(error instanceof OpsError)) throw error
        return error
      },
    )
    if (looked instanceof OpsError) return blocked(target, looked.message)
    const [all, { argv }] = looked
    const hit = all.filter((each) => isHit(input)(each) && (input.browsers || !each.browser))
    const others = otherFindings(input, all)
    const sandboxCalls = callsFor(
      input,
      hit.filter(({ browser }) => !browser),
    )
    const browserCalls = withBrowser(
      callsFor(
        input,
        hit.filter(({ browser }) => browser),
      ),
    )
    const calls = [...sandboxCalls, ...browserCalls]
    if (calls.length === 0) {
      const none = blocked(target, `there is nothing to recreate: ${noneOf(input, all)}`)
      return { ...none, findings: [...none.findings, ...others] }
    }
    const old = hit.map(({ id, name }) => ({ id, name }))
    const more = hit.length - MOST_SHOWN
    return {
      target,
      findings: [
        ...hit.slice(0, MOST_SHOWN).map(hitFinding),
        ...(more > 0 ? [{ level: 'warn' as const, text: `and ${more} more` }] : []),
        ...others,
      ],
      commands: calls.map((args) => [...argv, ...args]),
      basis: sha256(JSON.stringify([old.map(({ id }) => id).sort(), calls])),
      context: { old, sandboxCalls, browserCalls },
    }
  }

  async function remove(calls: readonly string[][], { progress, signal }: StepTools): Promise<string> {
    if (calls.length === 0) return 'there are none'
    const notes: string[] = []
    for (const [index, args] of calls.entries()) {
      if (signal.aborted) throw new OpsError('It was stopped before all of them were removed.')
      progress(`call ${index + 1} of ${calls.length}`)
      const result = await (await program()).run(args, { timeoutMs: CALL_MS })
      sandboxes.forget()
      if (result.exitCode !== 0) throw new OpsError(wordsOf(result))
      notes.push(noteOf(result))
    }
    return notes.join('; ')
  }

  async function remaining({ old }: SandboxesContext): Promise<{ left: string[]; now: Sandbox[] }> {
    const all = await present()
    const left = old.filter(({ id }) => all.some((each) => each.id === id)).map(({ name }) => name)
    return { left, now: all }
  }

  async function prove(context: SandboxesContext): Promise<string> {
    const { left, now } = await remaining(context).catch((error) => {
      throw new OpsError(`Whether they are gone was not seen: ${messageOf(error)}`, { cause: error })
    })
    if (left.length > 0)
      throw new OpsError(
        `Still there: ${left.join(', ')}. What the gateway's registry does not know, it does not remove: docker rm -f does.`,
      )
    const anew = now.filter(({ name }) => context.old.some((each) => each.name === name)).length
    return `${plural(context.old.length, 'old container')} gone${anew > 0 ? `, ${anew} made anew already` : ''}`
  }

  return {
    name: 'sandboxes recreate',
    danger: 'disruptive',
    resource: 'gateway',
    plan,
    steps: [
      { name: 'sandboxes', run: ({ sandboxCalls }, tools) => remove(sandboxCalls, tools) },
      { name: 'browsers', run: ({ browserCalls }, tools) => remove(browserCalls, tools) },
      { name: 'proof', run: prove },
    ],
    async found(context) {
      const { left } = await remaining(context)
      return left.length > 0
        ? `Old sandboxes that are still there: ${left.join(', ')}.`
        : 'None of the old sandboxes is there any more.'
    },
    mend: () => [{ label: 'Sandboxes', run: 'sandboxes' }],
  }
}

/** Why nothing is hit, in words. */
function noneOf({ which }: SandboxesInput, all: readonly Sandbox[]): string {
  if (all.length === 0) return 'there is no sandbox.'
  if (which === 'all') return 'there are only browsers.'
  if (which === 'mismatched') return 'all that can be made anew have the image of now.'
  const agents = [...new Set(all.flatMap(({ agent }) => agent ?? []))].join(', ')
  return `no sandbox of agent "${which.slice(0, 64)}"${agents ? `; there are some of ${agents}` : ''}.`
}
