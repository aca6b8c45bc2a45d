// The runbook engine: steps in their order on one card, cancelled, failed or stopped in the middle, and what the next start tells.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import {
  createRunbooks,
  type Finding,
  type Runbook,
  type RunbookCard,
  type RunbookPlan,
  type Step,
} from '../../src/ops/runbooks/index.ts'
import { openTestState, SECOND, T0, tempDir } from './help.ts'

const ANN = { name: 'Ann (11)' }
const BEN = { name: 'Ben (22)' }
const CHAT = 'chat:11'

interface Context {
  what: string
  snapshot?: string
}
type Book = Runbook<void, Context>

function createHouse(directory = tempDir()) {
  const state = openTestState(directory)
  const clock = { at: T0 }
  const now = () => clock.at
  const deeds = createDeeds({ ...state, now })
  const runbooks = createRunbooks({ ...state, deeds, now })
  const cards = () => state.cards.raisedSince(0)
  return {
    ...{ ...state, directory, clock, deeds, runbooks, allCards: cards },
    card: (index = 0) => cards()[index]?.facts as RunbookCard,
    revision: () => cards()[0]?.revision ?? 0,
    steps: (index = 0) =>
      (cards()[index]?.facts as RunbookCard | undefined)?.steps.map(({ name, state: how, note }) => [
        name,
        how,
        note ?? '',
      ]),
    results: () =>
      state.audit.list(9).map(({ action, detail, actor, result }) => [action, detail, actor, result]),
  }
}
type House = ReturnType<typeof createHouse>

const planOf = (more: Partial<RunbookPlan<Context>> = {}): RunbookPlan<Context> => ({
  ...{ target: 'the gateway', findings: [], commands: [], basis: 'a', context: { what: 'gateway' } },
  ...more,
})

/** A runbook whose steps say what they do, and wait where a test holds them. */
function bookOf(steps: readonly (Partial<Step<Context>> & { name: string })[], more: Partial<Book> = {}) {
  const done: string[] = []
  const book: Book = {
    ...{ name: 'recreate', danger: 'disruptive', resource: 'gateway' },
    plan: async () => planOf(),
    steps: steps.map(({ name, run, undo, ...rest }) => ({
      name,
      ...rest,
      async run(context, tools) {
        done.push(name)
        return await run?.(context, tools)
      },
      ...(undo && {
        async undo(context: Context) {
          done.push(`undo ${name}`)
          return await undo(context)
        },
      }),
    })),
    found: async ({ what }) => `the ${what} runs`,
    mend: ({ snapshot }) => [{ label: 'Roll back', run: `rollback ${snapshot ?? 'none'}` }],
    ...more,
  }
  return { book, done }
}
const undo = async () => 'back'
const start = ({ runbooks }: House, book: Book, plan = planOf(), actor = ANN) => {
  const started = runbooks.start(book, plan, actor, CHAT)
  started.done.catch(() => {})
  return started
}

/** A step that waits until the test lets it go on. */
function held() {
  const entered = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const run = async () => {
    entered.resolve()
    await gate.promise
    return 'held'
  }
  return {
    run,
    entered: entered.promise,
    release: () => gate.resolve(),
    fail: (error: Error) => gate.reject(error),
  }
}

describe('a run', () => {
  it('takes its steps in their order, on one card in the chat where it was asked for', async () => {
    const house = createHouse()
    const { book, done } = bookOf([
      { name: 'snapshot', run: async () => 'kept' },
      { name: 'stop' },
      { name: 'make anew', final: true, run: async () => undefined },
    ])
    const { id, done: ended } = start(house, book)
    expect(house.card()).toMatchObject({
      state: 'running',
      by: 'Ann (11)',
      title: 'recreate the gateway',
      deedId: id,
    })
    await ended
    expect(done).toEqual(['snapshot', 'stop', 'make anew'])
    expect(house.steps()).toEqual([
      ['snapshot', 'done', 'kept'],
      ['stop', 'done', ''],
      ['make anew', 'done', ''],
    ])
    expect(house.card()).toMatchObject({ state: 'done', cancellable: false, endedAt: T0 })
    expect(house.allCards()).toMatchObject([{ kind: 'runbook', audience: CHAT, ring: false }])
    expect(house.results()).toEqual([['recreate', 'the gateway', 'Ann (11)', 'done']])
    expect(house.runs.open()).toEqual([])
    expect(house.runs.steps(id).map(({ state }) => state)).toEqual(['done', 'done', 'done'])
  })

  it('remembers what a step has added to the context', async () => {
    const house = createHouse()
    const wait = held()
    const { book } = bookOf([
      {
        name: 'snapshot',
        run: async (context) => {
          context.snapshot = '2026'
          return undefined
        },
      },
      { name: 'stop', run: wait.run },
    ])
    start(house, book)
    await wait.entered
    expect(house.runs.open()).toMatchObject([
      { runbook: 'recreate', context: { what: 'gateway', snapshot: '2026' } },
    ])
    wait.release()
  })

  it('shows its progress once a second at most, and each change of a step at once', async () => {
    const house = createHouse()
    const notes: string[] = []
    const { book } = bookOf([
      {
        name: 'boot',
        async run(_, { progress }) {
          const before = house.revision()
          for (let tick = 0; tick < 50; tick += 1) {
            progress(`tick ${tick}`)
            notes.push(house.card().steps[0]?.note ?? '')
            house.clock.at += 100
          }
          expect(house.revision() - before).toBe(5)
          return 'well'
        },
      },
      {
        name: 'proof',
        async run(_, { progress }) {
          progress('at once')
          expect(house.card().steps[1]?.note).toBe('at once')
          return undefined
        },
      },
    ])
    await start(house, book).done
    expect([...new Set(notes)]).toEqual(['tick 0', 'tick 10', 'tick 20', 'tick 30', 'tick 40'])
  })

  it('is refused when its plan is blocked, and leaves no trace', () => {
    const house = createHouse()
    const { book, done } = bookOf([{ name: 'stop' }])
    const findings: Finding[] = [
      { level: 'warn', text: 'hm' },
      { level: 'block', text: 'the image is not here' },
    ]
    expect(() => house.runbooks.start(book, planOf({ findings }), ANN, CHAT)).toThrow(
      new OpsError('It cannot be done: the image is not here'),
    )
    expect([done, house.allCards(), house.results()]).toEqual([[], [], []])
  })

  it('goes on in spite of warnings: the second tap accepted them', async () => {
    const house = createHouse()
    const { book, done } = bookOf([{ name: 'stop' }])
    await start(house, book, planOf({ findings: [{ level: 'warn', text: 'hm' }] })).done
    expect(done).toEqual(['stop'])
  })

  it('is refused while changes are frozen', () => {
    const house = createHouse()
    house.meta.set('frozen', { by: 'Ann (11)', at: T0 })
    const { book } = bookOf([{ name: 'stop' }])
    expect(() => house.runbooks.start(book, planOf(), BEN, CHAT)).toThrow('Changes are frozen by Ann (11)')
    expect(house.allCards()).toEqual([])
  })

  it('has its resource for itself: of two starts one wins, and the other is told by whom', async () => {
    const house = createHouse()
    const wait = held()
    const first = bookOf([{ name: 'stop', run: wait.run }])
    const second = bookOf([{ name: 'stop' }], { name: 'rollback' })
    start(house, first.book)
    expect(() => house.runbooks.start(second.book, planOf(), BEN, 'chat:22')).toThrow(
      new OpsError('Ann (11) is already at it: recreate the gateway'),
    )
    await wait.entered
    expect(house.allCards()).toHaveLength(1)
    wait.release()
    await expect.poll(() => house.card().state).toBe('done')
    await start(house, second.book, planOf(), BEN).done
    expect(second.done).toEqual(['stop'])
  })
})

describe('a cancel', () => {
  it('during a step takes back what was done, last first, and nothing that was never begun', async () => {
    const house = createHouse()
    const wait = held()
    const { book, done } = bookOf([
      { name: 'snapshot', undo },
      { name: 'stop', run: wait.run, undo },
      { name: 'move', undo },
      { name: 'make anew', final: true, undo },
    ])
    const { id, done: ended } = start(house, book)
    await wait.entered
    expect(house.card().cancellable).toBe(true)
    house.runbooks.cancel(id)
    wait.release()
    await expect(ended).rejects.toThrow('It was cancelled.')
    expect(done).toEqual(['snapshot', 'stop', 'undo stop', 'undo snapshot'])
    expect(house.steps()).toEqual([
      ['snapshot', 'undone', 'back'],
      ['stop', 'undone', 'back'],
      ['move', 'waiting', ''],
      ['make anew', 'waiting', ''],
    ])
    expect(house.card()).toMatchObject({ state: 'cancelled', left: 'the gateway runs', cancellable: false })
    expect(house.card().actions).toBeUndefined()
    expect(house.results()).toEqual([['recreate', 'the gateway', 'Ann (11)', 'failed']])
  })

  it('of the first step undoes no later one', async () => {
    const house = createHouse()
    const wait = held()
    const { book, done } = bookOf([
      { name: 'snapshot', run: wait.run },
      { name: 'stop', undo },
    ])
    const { id, done: ended } = start(house, book)
    await wait.entered
    house.runbooks.cancel(id)
    wait.release()
    await expect(ended).rejects.toThrow('It was cancelled.')
    expect(done).toEqual(['snapshot'])
  })

  it('reaches a step that heeds it, and undoes what that had begun', async () => {
    const house = createHouse()
    const { book, done } = bookOf([
      {
        name: 'stop',
        run: (_, { signal }) =>
          new Promise((_resolve, reject) =>
            signal.addEventListener('abort', () => reject(new Error('ended'))),
          ),
        undo,
      },
    ])
    const { id, done: ended } = start(house, book)
    await expect.poll(() => done.length).toBe(1)
    house.runbooks.cancel(id)
    await expect(ended).rejects.toThrow('It was cancelled.')
    expect(done).toEqual(['stop', 'undo stop'])
  })

  it('past the point of no return is refused in words, and the run goes on', async () => {
    const house = createHouse()
    const wait = held()
    let heard = false
    const { book } = bookOf([
      { name: 'stop', undo },
      {
        name: 'make anew',
        final: true,
        async run(_, { signal }) {
          signal.addEventListener('abort', () => {
            heard = true
          })
          return await wait.run()
        },
      },
      { name: 'proof' },
    ])
    const { id, done: ended } = start(house, book)
    await wait.entered
    expect(house.card().cancellable).toBe(false)
    expect(() => house.runbooks.cancel(id)).toThrow(
      'It is past the point where it could be taken back; it goes on to its end.',
    )
    wait.release()
    await ended
    expect(heard).toBe(false)
    expect(house.card().state).toBe('done')
  })

  it('of a run that is over, or never was, is refused in words', async () => {
    const house = createHouse()
    const { book } = bookOf([{ name: 'stop' }])
    const { id, done } = start(house, book)
    await done
    for (const each of [id, 4711])
      expect(() => house.runbooks.cancel(each)).toThrow('That is not running any more.')
  })

  it('that cannot take everything back says what remains, undoes the rest, and offers what mends it', async () => {
    const house = createHouse()
    const wait = held()
    const { book, done } = bookOf([
      { name: 'snapshot', undo },
      {
        name: 'stop',
        run: wait.run,
        undo: async () => {
          throw new OpsError('Docker is down.')
        },
      },
    ])
    const { id, done: ended } = start(house, book)
    await wait.entered
    house.runbooks.cancel(id)
    wait.release()
    await expect(ended).rejects.toThrow('It was cancelled. What remains: stop.')
    expect(done).toEqual(['snapshot', 'stop', 'undo stop', 'undo snapshot'])
    expect(house.steps()).toEqual([
      ['snapshot', 'undone', 'back'],
      ['stop', 'failed', 'Docker is down.'],
    ])
    expect(house.card()).toMatchObject({
      ...{ state: 'failed', left: 'the gateway runs' },
      actions: [{ label: 'Roll back', run: 'rollback none' }],
    })
  })
})

describe('a failure', () => {
  it('says what state is left and offers buttons; nothing is undone unasked', async () => {
    const house = createHouse()
    const { book, done } = bookOf([
      {
        name: 'snapshot',
        undo,
        run: async (context) => {
          context.snapshot = '2026'
          return 'kept'
        },
      },
      {
        name: 'make anew',
        final: true,
        run: async () => {
          throw new OpsError('Compose failed (exit 1): no such image')
        },
      },
      { name: 'proof' },
    ])
    await expect(start(house, book).done).rejects.toThrow('Compose failed')
    expect(done).toEqual(['snapshot', 'make anew'])
    expect(house.steps()).toEqual([
      ['snapshot', 'done', 'kept'],
      ['make anew', 'failed', 'Compose failed (exit 1): no such image'],
      ['proof', 'waiting', ''],
    ])
    expect(house.card()).toMatchObject({
      ...{ state: 'failed', left: 'the gateway runs', cancellable: false },
      actions: [{ label: 'Roll back', run: 'rollback 2026' }],
    })
    expect(house.results()[0]?.[3]).toBe('failed')
    expect(house.runs.open()).toEqual([])
    // Its resource is free.
    await start(house, bookOf([{ name: 'stop' }]).book).done
  })

  it('whose state cannot be seen says that', async () => {
    const house = createHouse()
    const broken = async () => {
      throw new OpsError('Docker did not answer within 8 s.')
    }
    const { book } = bookOf([{ name: 'stop', run: broken }], { found: broken })
    await expect(start(house, book).done).rejects.toThrow()
    expect(house.card()).toMatchObject({
      state: 'failed',
      left: 'What is left could not be seen: Docker did not answer within 8 s.',
    })
  })
})

describe('a stop of the bot in the middle', () => {
  async function stopped(steps: Parameters<typeof bookOf>[0], wait: ReturnType<typeof held>) {
    const house = createHouse()
    const { book, done } = bookOf(steps)
    const { done: ended } = start(house, book)
    await wait.entered
    const drained = house.deeds.drain(5_000)
    wait.release()
    await drained
    await expect(ended).rejects.toThrow('I was stopped in the middle of this: recreate.')
    house.store.close()
    return { done, house, book }
  }

  it('before the point of no return takes it back, is "interrupted", and is told at the next start', async () => {
    const wait = held()
    const { done, house, book } = await stopped(
      [{ name: 'snapshot' }, { name: 'stop', run: wait.run, undo }, { name: 'make anew', final: true }],
      wait,
    )
    expect(done).toEqual(['snapshot', 'stop', 'undo stop'])
    const next = createHouse(house.directory)
    expect(next.card()).toMatchObject({ state: 'interrupted', left: 'the gateway runs' })
    expect(next.results()[0]?.[3]).toBe('interrupted')
    await next.runbooks.reportCut([book])
    expect(next.allCards()).toMatchObject([{ audience: CHAT }, { audience: 'owners', ring: true }])
    expect(next.runs.open()).toEqual([])
  })

  it('after it undoes nothing: there is no old container to go back to', async () => {
    const wait = held()
    const { done, house, book } = await stopped(
      [{ name: 'stop', undo }, { name: 'make anew', final: true, run: wait.run, undo }, { name: 'proof' }],
      wait,
    )
    expect(done).toEqual(['stop', 'make anew'])
    const next = createHouse(house.directory)
    expect(next.steps()).toEqual([
      ['stop', 'done', ''],
      ['make anew', 'done', 'held'],
      ['proof', 'waiting', ''],
    ])
    await next.runbooks.reportCut([book])
    expect(next.card(1)).toMatchObject({
      ...{ state: 'interrupted', left: 'the gateway runs' },
      actions: [{ label: 'Roll back', run: 'rollback none' }],
    })
  })

  it('in its last step lets that come to its end, and it is done', async () => {
    const house = createHouse()
    const wait = held()
    const { book } = bookOf([{ name: 'make anew', final: true, run: wait.run }])
    const { done } = start(house, book)
    await wait.entered
    const drained = house.deeds.drain(5_000)
    wait.release()
    await drained
    await done
    expect(house.card().state).toBe('done')
    expect(house.runs.open()).toEqual([])
  })
})

describe('a run that the process did not outlive', () => {
  async function killed(more: Partial<Book> = {}) {
    const house = createHouse()
    const wait = held()
    const { book, done } = bookOf(
      [
        { name: 'snapshot', run: async (context) => (context.snapshot = '2026') },
        { name: 'stop', run: wait.run, undo },
        { name: 'make anew' },
      ],
      more,
    )
    start(house, book)
    await wait.entered
    // As a SIGKILL leaves it: nothing of ours is heard any more.
    house.store.close()
    return { next: createHouse(house.directory), book, done }
  }

  it('is told once at the next start, with its steps and the state found, and nothing of it is resumed', async () => {
    const { next, book, done } = await killed()
    next.clock.at = T0 + 60 * SECOND
    await next.runbooks.reportCut([book])
    const told = {
      ...{ state: 'interrupted', cancellable: false, endedAt: T0 + 60 * SECOND, left: 'the gateway runs' },
      actions: [{ label: 'Roll back', run: 'rollback 2026' }],
    }
    expect(next.allCards()).toMatchObject([
      { audience: CHAT, facts: told },
      { audience: 'owners', ring: true, facts: told },
    ])
    expect(next.steps(1)).toEqual([
      ['snapshot', 'done', '2026'],
      ['stop', 'running', ''],
      ['make anew', 'waiting', ''],
    ])
    await next.runbooks.reportCut([book])
    expect(next.allCards()).toHaveLength(2)
    expect(done).toEqual(['snapshot', 'stop'])
  })

  it('leaves its lock free', async () => {
    const { next, book } = await killed()
    const again = bookOf([{ name: 'stop' }])
    expect(() => next.runbooks.start(again.book, planOf(), BEN, CHAT)).toThrow('Ann (11) is already at it')
    next.deeds.settleInterrupted()
    await next.runbooks.reportCut([book])
    await start(next, again.book, planOf(), BEN).done
    expect(again.done).toEqual(['stop'])
  })

  it('whose state cannot be seen is told all the same', async () => {
    const { next, book } = await killed({
      found: async () => {
        throw new OpsError('Docker is down.')
      },
    })
    await next.runbooks.reportCut([book])
    expect(next.card(1).left).toBe('Docker is down.')
  })

  it('of a runbook that is no more is told all the same', async () => {
    const { next } = await killed()
    await next.runbooks.reportCut([])
    expect(next.card(1)).toMatchObject({ left: 'I do not know this runbook any more.', actions: [] })
    expect(next.runs.open()).toEqual([])
  })

  it('whose card is long gone ends without a word', async () => {
    const { next, book } = await killed()
    next.store.run('DELETE FROM cards')
    await next.runbooks.reportCut([book])
    expect([next.allCards(), next.runs.open()]).toEqual([[], []])
  })
})
