// /sandboxes, /sandbox and /sandboxes recreate: what is wrong first, browsers apart, each fact with its age, and nothing made up.

import { describe, expect, it } from 'vitest'
import { type Call, faultsOf, mayCall, parseArgs } from '../../src/bot/command.ts'
import { sandboxCommands } from '../../src/bot/commands/sandboxes.ts'
import type { Page } from '../../src/bot/page.ts'
import { messagesOf, terminal } from '../../src/bot/render.ts'
import { OpsError } from '../../src/errors.ts'
import { createSandboxesRecreate } from '../../src/ops/runbooks/sandboxes.ts'
import { createYard, gatewayBoxes, recordedBoxes, result } from '../fixtures/openclaw/sandbox-yard.ts'
import { HOUR } from './help.ts'

function createHouse(boxes = recordedBoxes()) {
  const house = createYard(boxes)
  const started: string[] = []
  const commands = sandboxCommands({
    sandboxes: house.sandboxes,
    runbooks: {
      start: (book, plan) => {
        started.push(`${book.name} ${plan.target}`)
        return { id: 1, done: Promise.resolve() }
      },
      cancel: () => {},
      reportCut: async () => {},
    },
    recreateSandboxes: createSandboxesRecreate({ sandboxes: house.sandboxes, cli: house.parts.cli }),
  })
  const find = (name: string) => {
    const found = commands.find((each) => each.name === name)
    if (!found) throw new Error(name)
    return found
  }
  const callOf = (name: string, words: string[]): Call<never> => ({
    ...{ args: parseArgs(find(name), words) as never, now: house.yard.at },
    person: { id: 1, name: 'Ann', role: 'operator' },
    place: { chatId: 1, kind: 'private' },
  })
  return {
    ...{ ...house, commands, find, callOf, started },
    page: async (name: string, ...words: string[]): Promise<Page> =>
      await find(name).run(callOf(name, words)),
    show: async (name: string, ...words: string[]) =>
      terminal(await find(name).run(callOf(name, words)), { colour: false })
        .split('\n')
        .map((line) => line.trim()),
  }
}
type House = ReturnType<typeof createHouse>

it('the commands are sound, reading is for viewers, recreating for operators', () => {
  const { commands, find } = createHouse()
  expect(faultsOf(commands)).toEqual([])
  expect(['sandboxes', 'sandbox', 'sandboxes recreate'].map((name) => mayCall('viewer', find(name)))).toEqual(
    [...[true, true, false]],
  )
})

describe('/sandboxes', () => {
  it('has what is wrong first, then what runs, browsers apart, and where each fact is from', async () => {
    const lines = await createHouse().show('sandboxes')
    expect(lines.slice(0, 7)).toEqual([
      '🔴 5 sandboxes, 3 running',
      expect.stringMatching(/^🔴 work 3c3807e989dd: exited with 137, out of memory, image matches, /),
      expect.stringMatching(/^🟡 work x 8a8c8babd6eb: runs, out of memory, /),
      expect.stringMatching(/^✅ main 3e071bfc74d4: runs, /),
      expect.stringMatching(/^✅ no agent d5f74aab76f0: created, /),
      'Browsers',
      expect.stringMatching(/^✅ main 167a19705ec3: /),
    ])
    expect(lines[3]).toBe(
      '✅ main 3e071bfc74d4: runs, image matches, made 52 min ago, idle 5 min, CPU 0.7 % of 100 %, 479 kB of 67 MB, 1 of 256 pids, pruned in 23 h 55 min at the earliest',
    )
    expect(lines).toContain("The gateway's registry as of just now.")
    expect(lines).toContain('Pruned, when an agent uses one: idle for 1 d or older than 7 d.')
  })

  it.each<[string, (house: House) => unknown, RegExp]>([
    [
      'the daemon is down',
      ({ yard }) => Object.assign(yard.instead, { ps: result('', 1, 'Cannot connect') }),
      /^❔ The sandboxes cannot be seen\.\ndocker ps: Cannot connect/,
    ],
    [
      'the gateway does not run',
      ({ yard }) => Object.assign(yard, { down: true }),
      /^❔ The sandboxes cannot be seen\.\nThe gateway does not run\./,
    ],
    [
      'there is no Docker',
      ({ yard }) => Object.assign(yard.instead, { ps: result('', 127) }),
      /^ℹ️ The gateway has no Docker, so it has no sandboxes\.$/,
    ],
    [
      'there are none',
      ({ yard }) => Object.assign(yard, { boxes: [], registry: { containers: [], browsers: [] } }),
      /^✅ There are no sandboxes\.\n/,
    ],
    [
      'an image is missing that the config asks for',
      ({ yard }) => [yard.images.clear(), Object.assign(yard, { boxes: [] })],
      /^🔴 There are no sandboxes\.\n🔴 Image openclaw-sandbox:bookworm-slim is missing\n/,
    ],
    [
      'the registry cannot be read',
      ({ yard }) => Object.assign(yard, { mute: new OpsError('It said no.') }),
      /The gateway's registry was not read\. It said no\./,
    ],
    [
      'the config cannot be read',
      ({ yard }) => Object.assign(yard, { config: new OpsError('shut') }),
      /When they are pruned is not known/,
    ],
    [
      'nothing is ever pruned',
      ({ yard }) =>
        Object.assign(yard, {
          config: {
            resolved: { agents: { defaults: { sandbox: { prune: { idleHours: 0, maxAgeDays: 0 } } } } },
          },
        }),
      /Pruned, when an agent uses one: never\./,
    ],
    [
      'the registry has one more',
      ({ yard }) => yard.boxes.splice(2, 1),
      /In the registry only: openclaw-sbx-agent-work-oom, last used 5 min ago/,
    ],
    [
      'the registry has one less',
      ({ yard }) => yard.registry.containers.pop(),
      /🟡 main 3e071bfc74d4: runs, the gateway's registry does not know it, /,
    ],
    [
      'an agent is not configured any more',
      ({ yard }) => Object.assign(yard, { config: { resolved: { agents: { list: [{ id: 'work' }] } } } }),
      /🟡 main 3e071bfc74d4: runs, there is no agent "main" any more, /,
    ],
    [
      'the pids run out',
      ({ yard }) => Object.assign(yard, { pids: 250 }),
      /🟡 main 3e071bfc74d4: runs, almost out of pids, /,
    ],
    [
      'its time to be pruned is past',
      ({ yard }) => Object.assign(yard, { at: yard.at + 48 * HOUR }),
      /pruned at the next use of any/,
    ],
    [
      'the figures are missing',
      ({ yard }) => Object.assign(yard.instead, { stats: result('', 1, 'No such container') }),
      /CPU, memory and pids were not seen\. docker stats: No such container/,
    ],
  ])('says so when %s', async (_, happen, text) => {
    const house = createHouse()
    void happen(house)
    expect((await house.show('sandboxes')).join('\n')).toMatch(text)
  })

  it('offers to recreate mismatched ones, and only then', async () => {
    const labels = async (house: House) => JSON.stringify((await house.page('sandboxes')).buttons)
    expect(await labels(createHouse())).not.toContain('Recreate mismatched')
    const house = createHouse(gatewayBoxes())
    expect(await labels(house)).toContain(
      '{"label":"Recreate mismatched","run":"sandboxes recreate mismatched"}',
    )
    expect((await house.show('sandboxes')).join('\n')).toContain('main workspace:cddce8bd7eebf… 1d2052569fb9')
  })

  it('of hundreds with hostile labels is still an answer that Telegram takes', async () => {
    const [box] = recordedBoxes().slice(-1)
    if (!box) throw new Error('no box')
    const many = Array.from({ length: 300 }, (_, index) => ({
      ...{ ...box, Id: index.toString(16).padStart(64, '0'), Name: `/sbx-${index}` },
      Config: {
        Image: '<b>&',
        Labels: { 'openclaw.sessionKey': `agent:main:\u202e<i>\n${'x'.repeat(5_000)}` },
      },
    }))
    const { messages } = messagesOf(await createHouse(many).page('sandboxes'))
    for (const { html, buttons } of messages) {
      expect(html.length).toBeLessThanOrEqual(4096)
      expect(html).not.toMatch(/\u202e|<i>/)
      for (const button of buttons.flat()) if ('run' in button) expect(button.run.length).toBeLessThan(60)
    }
  })
})

describe('/sandbox', () => {
  it.each<[string, string]>([
    ['its name', 'openclaw-sbx-agent-work-oom'],
    ['the beginning of its name', 'openclaw-sbx-agent-work-o'],
    ['its id', '3c3807e989dd'],
    ['the beginning of its id', '3c38'],
    ['its session', 'agent:work'],
  ])('takes %s', async (_, word) => {
    expect(await createHouse().show('sandbox', word)).toEqual([
      '🔴 Sandbox of work: exited with 137',
      '🟡 out of memory',
      expect.stringMatching(/^Image openclaw-sandbox:bookworm-slim: image matches, built 52 min ago$/),
      'No figures: they are had of what runs.',
      'Made 52 min ago, last used 5 min ago',
      'It is pruned in 23 h 55 min at the earliest.',
      'Container openclaw-sbx-agent-work-oom 3c3807e989dd, image a54d3e328be2',
      'Session agent:work',
      'Ended 52 min ago',
      '[1] Refresh  [2] All',
    ])
  })

  it('of an agent with several shows those, and no others', async () => {
    const lines = await createHouse().show('sandbox', 'main')
    expect(lines[0]).toBe('✅ 2 sandboxes, 2 running')
    expect(lines.join('\n')).not.toMatch(/work|registry only/)
  })

  it.each(['nobody', '<b>', 'constructor'])('that is "%s" is none', async (word) => {
    await expect(createHouse().page('sandbox', word)).rejects.toThrow(`No sandbox is meant by "${word}".`)
  })

  it('of a daemon that is down is unknown, not missing', async () => {
    const house = createHouse()
    house.yard.instead.ps = result('', 1, 'Cannot connect')
    expect((await house.page('sandbox', 'main')).mark).toBe('unknown')
  })
})

describe('/sandboxes recreate', () => {
  const planOf = async ({ find, callOf }: House, ...words: string[]) =>
    await find('sandboxes recreate').plan?.(callOf('sandboxes recreate', words))

  it.each<[string[], string]>([
    [[], 'sandboxes recreate all?'],
    [['+browsers'], 'sandboxes recreate all +browsers?'],
    [['work'], 'sandboxes recreate work?'],
    [['main', '+browsers'], 'sandboxes recreate main +browsers?'],
  ])('%j asks for it', async (words, title) => {
    const plan = await planOf(createHouse(), ...words)
    expect([plan?.page.title, plan?.blocked]).toEqual([title, false])
  })

  it('begins only what was confirmed', async () => {
    const house = createHouse()
    const { find, callOf, started, yard } = house
    const basis = (await planOf(house, 'work'))?.basis ?? ''
    const call = { ...callOf('sandboxes recreate', ['work']), basis }
    expect(await find('sandboxes recreate').run(call)).toMatchObject({ mark: 'info' })
    yard.boxes = yard.boxes.filter(({ Name }) => !Name.includes('oom'))
    await expect(async () => await find('sandboxes recreate').run(call)).rejects.toThrow('It changed')
    expect(started).toEqual(['sandboxes recreate work'])
  })

  it('takes no other second word', () => {
    expect(() => createHouse().callOf('sandboxes recreate', ['all', 'now'])).toThrow('must be "+browsers"')
  })
})
