// Runbooks: procedures of several steps, as data with a plan; this runs them, shows their progress and tells how they ended.

import { messageOf, OpsError } from '../../errors.ts'
import type { Actor, Danger, Deeds, Started } from '../deeds.ts'
import type { Audience, Cards } from '../state/cards.ts'
import type { Runs, StepRow } from '../state/runs.ts'

export interface Finding {
  /** `block`: it cannot be done at all. Never for what the deed would cure. */
  level: 'ok' | 'warn' | 'block'
  text: string
}

/** What a plan found by reading alone, and what would be done. `Context` is plain JSON without secrets. */
export interface RunbookPlan<Context> {
  /** What it is done to: `openclaw-gateway`. */
  target: string
  findings: Finding[]
  /** The exact argv of each program that would be run. */
  commands: string[][]
  /** All is as it should be: that it is blocked is no trouble. */
  idle?: true
  /** Must be the same when it is confirmed. */
  basis: string
  context: Context
}

export interface StepTools {
  /** Shows how it goes; at most one edit a second comes of it. */
  progress(note: string): void
  /** Aborts when it was cancelled, or we are stopping. */
  signal: AbortSignal
}

export interface Step<Context> {
  name: string
  /** From here on it cannot be cancelled. */
  final?: true
  /** @returns a note about what was done. @throws OpsError that says what state is left. */
  run(context: Context, tools: StepTools): Promise<string | undefined>
  /** Takes it back when it was done and the run is cancelled. @returns a note. */
  undo?(context: Context): Promise<string>
}

export interface Runbook<Input, Context> {
  name: string
  danger: Danger
  /** What it works on alone. */
  resource: string
  plan(input: Input): Promise<RunbookPlan<Context>>
  steps: readonly Step<Context>[]
  /** The state as it is now, in a sentence: for a run that was cut or failed. Only reads. */
  found(context: Context): Promise<string>
  /** Buttons for a run that failed or was cut. */
  mend?(context: Context, deedId: number): { label: string; run: string }[]
}

/** The facts of a card of kind `runbook`. */
export interface RunbookCard {
  deedId: number
  title: string
  by: string
  startedAt: number
  endedAt?: number
  state: 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted'
  steps: StepRow[]
  /** Whether Cancel still works. */
  cancellable: boolean
  /** The state that was left, or found. */
  left?: string
  actions?: { label: string; run: string }[]
}

export interface RunbooksOptions {
  deeds: Deeds
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  runs: Runs
  now: () => number
}

/** Progress is shown this often at most. */
const PROGRESS_MS = 1_000

interface Live {
  card: RunbookCard
  cardId: number
  cancel: AbortController
}

export type Runbooks = ReturnType<typeof createRunbooks>

export function createRunbooks({ deeds, cards, runs, now }: RunbooksOptions) {
  const live = new Map<number, Live>()
  /** Runs the steps in their order; on cancel takes the done ones back, last first. */
  async function walk<C>(
    { card, cardId, cancel }: Live,
    book: Runbook<unknown, C>,
    context: C,
    stopping: AbortSignal,
  ): Promise<void> {
    const { deedId } = card
    const set = (index: number, change: Partial<StepRow>) => {
      const row = { ...card.steps[index], ...change } as StepRow
      card.steps[index] = row
      runs.step(deedId, index, row)
      cards.revise(cardId, card)
    }
    const signal = AbortSignal.any([cancel.signal, stopping])
    /** Takes back what was done so far, unless it is too late for that. */
    async function giveUp(last: number): Promise<never> {
      const left = card.cancellable ? await takeBack(last, book, context, set) : []
      if (left.length > 0) card.state = 'failed'
      const why = cancel.signal.aborted ? 'It was cancelled.' : 'opsbot was stopped.'
      throw new OpsError(left.length > 0 ? `${why} What remains: ${left.join(', ')}.` : why)
    }
    for (const [index, step] of book.steps.entries()) {
      if (signal.aborted) return await giveUp(index - 1)
      if (step.final) card.cancellable = false
      set(index, { state: 'running', startedAt: now() })
      let shownAt = 0
      const progress = (note: string) => {
        if (now() - shownAt < PROGRESS_MS) return
        shownAt = now()
        set(index, { note })
      }
      try {
        const note = await step.run(context, { progress, signal })
        runs.remember(deedId, context)
        set(index, { state: 'done', endedAt: now(), note: note ?? '' })
      } catch (error) {
        set(index, { state: 'failed', endedAt: now(), note: messageOf(error) })
        if (signal.aborted) return await giveUp(index)
        throw error
      }
    }
    if (cancel.signal.aborted) await giveUp(book.steps.length - 1)
    card.state = 'done'
  }

  /** Undoes the steps up to this one, last first. @returns the names of those for which that failed. */
  async function takeBack<C>(
    from: number,
    { steps }: Runbook<unknown, C>,
    context: C,
    set: (index: number, change: Partial<StepRow>) => void,
  ): Promise<string[]> {
    const left: string[] = []
    for (let index = from; index >= 0; index -= 1) {
      const { name = '', undo } = steps[index] ?? {}
      try {
        if (undo) set(index, { state: 'undone', note: await undo(context) })
      } catch (error) {
        left.push(name)
        set(index, { state: 'failed', note: messageOf(error) })
      }
    }
    return left
  }

  /** One run to its end; the card tells how it went whatever happens. */
  async function carryOut<C>(
    run: Live,
    book: Runbook<unknown, C>,
    context: C,
    stopping: AbortSignal,
  ): Promise<void> {
    const { card, cardId, cancel } = run
    try {
      await walk(run, book, context, stopping)
    } catch (error) {
      const cancelled = cancel.signal.aborted && card.state !== 'failed'
      card.state = cancelled ? 'cancelled' : stopping.aborted ? 'interrupted' : 'failed'
      card.left = await book
        .found(context)
        .catch((failure) => `What is left could not be seen: ${messageOf(failure)}`)
      if (!cancelled) card.actions = book.mend?.(context, card.deedId) ?? []
      throw error
    } finally {
      card.cancellable = false
      card.endedAt = now()
      // What we were stopped in is left open: the next start tells of it, with the state found then.
      if (card.state !== 'interrupted') runs.end(card.deedId, now())
      cards.revise(cardId, card)
      live.delete(card.deedId)
    }
  }

  return {
    /**
     * Starts a run from a plan that was confirmed.
     * @throws OpsError when the plan is blocked, the resource is taken or changes are frozen.
     */
    start<I, C>(book: Runbook<I, C>, plan: RunbookPlan<C>, actor: Actor, audience: Audience): Started<void> {
      const block = plan.findings.find(({ level }) => level === 'block')
      if (block) throw new OpsError(`It cannot be done: ${block.text}`)
      const { promise: ready, resolve } = Promise.withResolvers<Live>()
      const started = deeds.perform(
        {
          name: book.name,
          detail: plan.target,
          danger: book.danger,
          resource: book.resource,
          run: async (signal) =>
            await carryOut(await ready, book as Runbook<unknown, C>, plan.context, signal),
        },
        actor,
      )
      const deedId = started.id
      const names = book.steps.map(({ name }) => name)
      const steps = names.map((name): StepRow => ({ name, state: 'waiting' }))
      const card: RunbookCard = {
        ...{ deedId, title: `${book.name} ${plan.target}`, by: actor.name, startedAt: now() },
        ...{ state: 'running', steps, cancellable: true },
      }
      const cardId = cards.raise({ kind: 'runbook', audience, facts: card, ring: false }, now())
      runs.begin({ deedId, cardId, runbook: book.name, context: plan.context }, names)
      const run: Live = { card, cardId, cancel: new AbortController() }
      live.set(deedId, run)
      resolve(run)
      return started
    },
    /** Asks a run to stop where it is and take back what it can. @throws OpsError when it is too late. */
    cancel(deedId: number): void {
      const run = live.get(deedId)
      if (!run) throw new OpsError('That is not running any more.')
      if (!run.card.cancellable)
        throw new OpsError('It is past the point where it could be taken back; it goes on to its end.')
      run.cancel.abort()
    },
    /** Tells of runs that an earlier process did not outlive, with the state found now. Nothing is resumed. */
    async reportCut(books: readonly Pick<Runbook<never, never>, 'name' | 'found' | 'mend'>[]): Promise<void> {
      for (const { deedId, cardId, runbook, context } of runs.open()) {
        const book = books.find(({ name }) => name === runbook)
        const before = cards.card(cardId)?.facts as RunbookCard | undefined
        const left = await book?.found(context as never).catch(messageOf)
        if (before) {
          const facts: RunbookCard = {
            ...before,
            ...{ state: 'interrupted', cancellable: false, endedAt: now(), steps: runs.steps(deedId) },
            left: left ?? 'I do not know this runbook any more.',
            actions: book?.mend?.(context as never, deedId) ?? [],
          }
          cards.revise(cardId, facts)
          cards.raise({ kind: 'runbook', audience: 'owners', facts, ring: true }, now())
        }
        runs.end(deedId, now())
      }
    },
  }
}
