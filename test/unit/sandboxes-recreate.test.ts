// Sandboxes recreate: which are hit, by which calls of the gateway's CLI, and the proof that the old ones are gone.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import { createDeeds } from '../../src/ops/deeds.ts'
import { createRunbooks, type RunbookCard } from '../../src/ops/runbooks/index.ts'
import { createSandboxesRecreate, type SandboxesInput } from '../../src/ops/runbooks/sandboxes.ts'
import { createYard, recorded, recordedBoxes, result } from '../fixtures/openclaw/sandbox-yard.ts'
import { openTestState } from './help.ts'

function createHouse(boxes = recordedBoxes()) {
  const house = createYard(boxes)
  const state = openTestState()
  const now = () => house.yard.at
  const runbooks = createRunbooks({ ...state, deeds: createDeeds({ ...state, now }), now })
  const book = createSandboxesRecreate({ sandboxes: house.sandboxes, cli: house.parts.cli })
  const plan = (which: string, browsers = false) => book.plan({ which, browsers })
  return {
    ...{ ...house, book, plan },
    findings: async (which: string, browsers = false) =>
      (await plan(which, browsers)).findings.map(({ level, text }) => `${level} ${text}`),
    async run(input: SandboxesInput, meanwhile = () => {}) {
      const planned = await book.plan(input)
      meanwhile()
      await runbooks.start(book, planned, { name: 'Ann (11)' }, 'chat:11').done.catch(() => {})
      const card = state.cards.raisedSince(0).at(-1)?.facts as RunbookCard
      const steps = card.steps.map((each) => `${each.name} ${each.state}${each.note ? `: ${each.note}` : ''}`)
      return { ...card, steps }
    },
  }
}
type House = ReturnType<typeof createHouse>

/** The image of the recorded ones is another now, but for the browser's. */
const rebuilt = ({ yard }: House) =>
  yard.images.set('openclaw-sandbox:bookworm-slim', { Id: 'sha256:ffffffffffff00', Created: '' })

describe('the plan', () => {
  it.each<[string, boolean, string[]]>([
    ['all', false, ['openclaw sandbox recreate --all --force']],
    [
      'all',
      true,
      ['openclaw sandbox recreate --all --force', 'openclaw sandbox recreate --all --browser --force'],
    ],
    ['work', false, ['openclaw sandbox recreate --agent work --force']],
    ['WORK', true, ['openclaw sandbox recreate --agent work --force']],
    [
      'main',
      true,
      [
        'openclaw sandbox recreate --agent main --force',
        'openclaw sandbox recreate --agent main --browser --force',
      ],
    ],
    [
      'mismatched',
      true,
      [
        'openclaw sandbox recreate --session agent:work:x --force',
        'openclaw sandbox recreate --session agent:work --force',
        'openclaw sandbox recreate --session agent:main --force',
      ],
    ],
  ])(
    'of "%s" with browsers %s runs just these, each with one selector and --force',
    async (which, browsers, calls) => {
      const house = createHouse()
      if (which === 'mismatched') rebuilt(house)
      const { commands, target } = await house.plan(which, browsers)
      expect(commands.map((argv) => argv.join(' '))).toEqual(calls)
      expect(target).toBe(browsers ? `${which} +browsers` : which)
      expect(house.yard.argvs.some((argv) => argv.includes('recreate'))).toBe(false)
    },
  )

  it('shows each one that is hit, warns of what runs, and of browsers that are left', async () => {
    expect(await createHouse().findings('main')).toEqual([
      'warn openclaw-sbx-agent-main-f331f052 of main runs: what it is doing is broken off',
      'ok 1 browser left alone: +browsers takes them too',
    ])
    expect(await createHouse().findings('work')).toEqual([
      'warn openclaw-sbx-agent-work-child of work runs: what it is doing is broken off',
      'ok openclaw-sbx-agent-work-oom of work does not run',
    ])
  })

  it('warns of what could not be made again, and leaves it alone when only mismatched ones are meant', async () => {
    const house = createHouse()
    house.yard.images.delete('openclaw-sandbox:bookworm-slim')
    expect((await house.findings('main'))[0]).toBe(
      'warn openclaw-sbx-agent-main-f331f052 of main: its image openclaw-sandbox:bookworm-slim is missing, so it cannot be made anew',
    )
    expect(await house.findings('mismatched')).toEqual([
      'block there is nothing to recreate: all that can be made anew have the image of now.',
      'warn 4 sandboxes left alone: the image is missing',
    ])
  })

  it('says of mismatched ones without a session that no call reaches them, and does not count on it', async () => {
    const house = createHouse()
    rebuilt(house)
    expect((await house.plan('mismatched')).context.old.map(({ name }) => name)).not.toContain(
      'openclaw-sbx-nokey',
    )
    expect(await house.findings('mismatched')).toContain(
      'warn openclaw-sbx-nokey left alone: it has no session to call it by',
    )
  })

  it('of very many shows twenty', async () => {
    const [box] = recordedBoxes().slice(-1)
    if (!box) throw new Error('no box')
    const many = Array.from({ length: 30 }, (_, index) => ({
      ...{ ...box, Id: `${index + 10}`.repeat(32), Name: `/sbx-${index}` },
    }))
    const findings = await createHouse(many).findings('all')
    expect([findings.length, findings.at(-1)]).toEqual([21, 'warn and 10 more'])
  })

  it.each<[string, string, (house: House) => unknown, string]>([
    [
      'all',
      'there is none',
      ({ yard }) => Object.assign(yard, { boxes: [] }),
      'there is nothing to recreate: there is no sandbox.',
    ],
    [
      'mismatched',
      'all match',
      () => {},
      'there is nothing to recreate: all that can be made anew have the image of now.',
    ],
    [
      'nobody',
      'nobody has that agent',
      () => {},
      'there is nothing to recreate: no sandbox of agent "nobody"; there are some of work, main.',
    ],
    [
      'constructor',
      'it is a word of JavaScript’s',
      () => {},
      'there is nothing to recreate: no sandbox of agent "constructor"; there are some of work, main.',
    ],
    [
      '--all',
      'it is an option',
      () => {},
      'there is nothing to recreate: no sandbox of agent "--all"; there are some of work, main.',
    ],
    [
      'all',
      'the daemon is down',
      ({ yard }) => Object.assign(yard.instead, { ps: result('', 1, 'Cannot connect') }),
      'docker ps: Cannot connect',
    ],
    [
      'all',
      'there is no Docker',
      ({ yard }) => Object.assign(yard.instead, { ps: result('', 127) }),
      'The gateway has no Docker, so it has no sandboxes.',
    ],
    [
      'all',
      'the gateway does not run',
      ({ yard }) => Object.assign(yard, { down: true }),
      'The gateway does not run.',
    ],
  ])('of "%s" is blocked when %s', async (which, _, happen, text) => {
    const house = createHouse()
    happen(house)
    const { findings, commands } = await house.plan(which)
    expect(findings[0]).toEqual({ level: 'block', text })
    expect(commands).toEqual([])
  })

  it('has another basis when others are there, and the same when nothing changed', async () => {
    const house = createHouse()
    const { basis } = await house.plan('work')
    expect((await house.plan('work')).basis).toBe(basis)
    house.yard.boxes = house.yard.boxes.filter(({ Name }) => !Name.includes('oom'))
    expect((await house.plan('work')).basis).not.toBe(basis)
  })
})

describe('a run', () => {
  it('removes both kinds, each by its own call, and proves it', async () => {
    const house = createHouse()
    const { state, steps } = await house.run({ which: 'main', browsers: true })
    expect([state, steps]).toEqual([
      'done',
      ['sandboxes done: 1 removed', 'browsers done: 1 removed', 'proof done: 2 old containers gone'],
    ])
    expect(house.yard.boxes.map(({ Name }) => Name)).not.toContain('/openclaw-sbx-agent-main-f331f052')
  })

  it('of mismatched ones calls for each session, and leaves the others', async () => {
    const house = createHouse()
    rebuilt(house)
    const { state, steps } = await house.run({ which: 'mismatched', browsers: true })
    expect([state, steps[0], steps[2]]).toEqual([
      ...['done', 'sandboxes done: 1 removed; 1 removed; 1 removed', 'proof done: 3 old containers gone'],
    ])
    expect(house.yard.boxes.map(({ Name }) => Name)).toEqual([
      '/openclaw-sbx-nokey',
      '/openclaw-sbx-browser-agent-main-0a1b2c3d',
    ])
  })

  it('says which were made anew meanwhile', async () => {
    const house = createHouse()
    const [old] = recordedBoxes().slice(-1)
    const recreate = house.parts.cli
    const cli = await recreate()
    const run = cli?.run
    if (!cli || !run || !old) throw new Error('no cli')
    cli.run = async (...call) => {
      const ended = await run(...call)
      house.yard.boxes.push({ ...old, Id: 'f'.repeat(64) })
      return ended
    }
    const { steps } = await house.run({ which: 'main', browsers: false })
    expect(steps.at(-1)).toBe('proof done: 1 old container gone, 1 made anew already')
  })

  it.each<[string, (house: House) => unknown, string[], string]>([
    [
      'the gateway removes nothing and says that all is well',
      ({ yard }) =>
        Object.assign(yard, { mute: result('◆  This will stop and remove these containers. Continue?\n') }),
      [
        'sandboxes done: ◆  This will stop and remove these containers. Continue?',
        'browsers done: there are none',
        "proof failed: Still there: openclaw-sbx-agent-main-f331f052. What the gateway's registry does not know, it does not remove: docker rm -f does.",
      ],
      'Old sandboxes that are still there: openclaw-sbx-agent-main-f331f052.',
    ],
    [
      'the registry does not know it',
      ({ yard }) => Object.assign(yard.registry, { containers: [] }),
      [
        'sandboxes done: the gateway knows none of them',
        'browsers done: there are none',
        "proof failed: Still there: openclaw-sbx-agent-main-f331f052. What the gateway's registry does not know, it does not remove: docker rm -f does.",
      ],
      'Old sandboxes that are still there: openclaw-sbx-agent-main-f331f052.',
    ],
    [
      'the gateway fails',
      ({ yard }) => Object.assign(yard, { mute: result('', 1, 'Failed to remove x: busy.') }),
      ['sandboxes failed: Failed to remove x: busy.', 'browsers waiting', 'proof waiting'],
      'Old sandboxes that are still there: openclaw-sbx-agent-main-f331f052.',
    ],
    [
      'its CLI is late',
      ({ yard }) =>
        Object.assign(yard, { mute: new OpsError('openclaw sandbox recreate did not end within 120 s.') }),
      [
        'sandboxes failed: openclaw sandbox recreate did not end within 120 s.',
        'browsers waiting',
        'proof waiting',
      ],
      'Old sandboxes that are still there: openclaw-sbx-agent-main-f331f052.',
    ],
    [
      'the daemon dies, so that nothing is proved',
      ({ yard }) => Object.assign(yard.instead, { ps: result('', 1, 'Cannot connect') }),
      [
        'sandboxes done: 1 removed',
        'browsers done: there are none',
        'proof failed: Whether they are gone was not seen: docker ps: Cannot connect',
      ],
      'What is left could not be seen: docker ps: Cannot connect',
    ],
    [
      'the gateway goes away',
      ({ yard }) => Object.assign(yard, { down: true }),
      ['sandboxes failed: The gateway does not run.', 'browsers waiting', 'proof waiting'],
      'What is left could not be seen: The gateway does not run.',
    ],
  ])('fails, and tells what is left, when %s', async (_, happen, steps, left) => {
    const house = createHouse()
    const card = await house.run({ which: 'main', browsers: false }, () => happen(house))
    expect([card.state, card.steps, card.left]).toEqual(['failed', steps, left])
    expect(card.actions).toEqual([{ label: 'Sandboxes', run: 'sandboxes' }])
  })

  it.each(['old', 'new'])('reads what the %s gateway said when it was recorded', async (version) => {
    const house = createHouse()
    house.yard.mute = result(recorded(`sandbox-recreate-${version}.txt`))
    expect((await house.run({ which: 'main', browsers: false })).steps[0]).toBe('sandboxes done: 1 removed')
  })

  it('makes the registry be read anew', async () => {
    const house = createHouse()
    const wish = { maxAgeMs: 1e9, withinMs: 1_000 }
    await house.sandboxes.registry(wish)
    await house.run({ which: 'main', browsers: false })
    const after = await house.sandboxes.registry(wish)
    expect(after.state === 'seen' && after.entries).toHaveLength(4)
  })
})
