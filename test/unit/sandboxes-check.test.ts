// The check of the sandboxes: images, processes, memory, orphans, and that what is not seen is never well.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import { sandboxChecks } from '../../src/ops/checks/sandboxes.ts'
import { createYard, NOW, result } from '../fixtures/openclaw/sandbox-yard.ts'
import { HOUR } from './help.ts'

const DAY = 24 * HOUR

function createHouse(...boxes: Parameters<typeof createYard>) {
  const house = createYard(...boxes)
  const [check] = sandboxChecks({ sandboxes: house.sandboxes, now: () => house.yard.at })
  const look = async () => (await check?.look(new AbortController().signal)) ?? []
  /** The registry is read behind the look: the second one has it. */
  async function settled() {
    await look()
    await house.sandboxes.registry({ maxAgeMs: HOUR, withinMs: 1_000 })
    return await look()
  }
  return { ...house, look, settled }
}
type House = ReturnType<typeof createHouse>
const of = (seen: readonly Observation[], key: string) => seen.find((each) => each.key === key)

describe('an image', () => {
  const built = (at: number) => ({ Id: 'sha256:a54d3e328be2a0', Created: new Date(at).toISOString() })
  it.each<[string, unknown, string, string]>([
    ['of today', built(NOW - HOUR), 'ok', 'Built 1 h ago.'],
    ['of 30 days', built(NOW - 30 * DAY), 'ok', 'Built 30 d ago.'],
    ['of a day more', built(NOW - 31 * DAY), 'warn', 'Built 31 d ago.'],
    ['without an age', { Id: 'sha256:a54d3e328be2a0' }, 'ok', 'It is there.'],
    ['that is not there', undefined, 'bad', 'It is not there.'],
    ['of half an answer', {}, 'unknown', 'docker image inspect said something that is not understood.'],
  ])('%s', async (_, image, verdict, why) => {
    const { yard, look } = createHouse()
    yard.images.set('openclaw-sandbox:bookworm-slim', image)
    expect(of(await look(), 'sandbox-image/openclaw-sandbox:bookworm-slim')).toMatchObject({ verdict, why })
  })

  it('that the config asks for is missed before any sandbox is made from it', async () => {
    const { yard, look } = createHouse([])
    yard.images.clear()
    expect(of(await look(), 'sandbox-image/openclaw-sandbox:bookworm-slim')?.verdict).toBe('bad')
  })

  it('that only an old sandbox was made from warns', async () => {
    const { yard, look } = createHouse()
    yard.images.delete('openclaw-sandbox-browser:bookworm-slim')
    expect(of(await look(), 'sandbox-image/openclaw-sandbox-browser:bookworm-slim')?.verdict).toBe('warn')
  })
})

describe('processes', () => {
  it.each<[number, string]>([
    [1, 'ok'],
    [204, 'ok'],
    [205, 'warn'],
    [239, 'bad'],
    [256, 'bad'],
  ])('%i of 256 are %s', async (pids, verdict) => {
    const { yard, look } = createHouse()
    yard.pids = pids
    const seen = of(await look(), 'sandbox-pids/openclaw-sbx-agent-main-f331f052')
    expect(seen).toMatchObject({ verdict, why: `${pids} of 256 are in use.`, gauge: { warn: 80, leave: 75 } })
  })

  it('of one that does not run, or has no limit, are not looked at', async () => {
    const { yard, look } = createHouse()
    for (const { HostConfig } of yard.boxes) HostConfig.PidsLimit = -1
    expect((await look()).filter(({ key }) => key.startsWith('sandbox-pids/'))).toEqual([])
  })
})

describe('memory', () => {
  it.each<[string, string, string | undefined, true | undefined]>([
    ['openclaw-sbx-agent-work-oom', 'bad', 'It was killed for want of memory and does not run.', true],
    [
      'openclaw-sbx-agent-work-child',
      'warn',
      'A process in it was killed for want of memory; it runs on.',
      true,
    ],
    ['openclaw-sbx-agent-main-f331f052', 'ok', 'Nothing was killed in it.', undefined],
  ])('of %s is %s', async (name, verdict, why, proof) => {
    const seen = of(await createHouse().look(), `sandbox-oom/${name}`)
    expect([seen?.verdict, seen?.why, seen?.proof]).toEqual([verdict, why, proof])
  })
})

describe('orphans', () => {
  it.each<[string, (house: House) => unknown, string, string]>([
    ['none', () => {}, 'ok', '5 sandboxes, all in use.'],
    [
      'those of an agent that is not configured any more',
      ({ yard }) => Object.assign(yard, { config: { resolved: { agents: { list: [{ id: 'main' }] } } } }),
      'warn',
      'openclaw-sbx-agent-work-child: there is no agent "work" any more; openclaw-sbx-agent-work-oom: there is no agent "work" any more.',
    ],
    [
      'one that the registry does not know',
      ({ yard }) => yard.registry.containers.pop(),
      'warn',
      "openclaw-sbx-agent-main-f331f052: the gateway's registry does not know it.",
    ],
    [
      'none by a registry that could not be read',
      ({ yard }) => Object.assign(yard, { mute: new OpsError('no') }),
      'ok',
      '5 sandboxes, all in use.',
    ],
    [
      'none by a config that is refused',
      ({ yard }) => Object.assign(yard, { config: { valid: false, resolved: {} } }),
      'ok',
      '5 sandboxes, all in use.',
    ],
  ])('are %s', async (_, happen, verdict, why) => {
    const house = createHouse()
    happen(house)
    expect(of(await house.settled(), 'sandboxes')).toMatchObject({ verdict, why })
  })

  it('are told of by three, and a number', async () => {
    const house = createHouse()
    house.yard.config = { resolved: { agents: { list: [{ id: 'else' }] } } }
    expect(of(await house.look(), 'sandboxes')?.why).toMatch(/; .*; .* any more\. And 1 more\.$/)
  })

  it('cost the gateway its registry once an hour at most, and nothing without sandboxes', async () => {
    const { yard, settled, look } = createHouse()
    const calls = () => yard.argvs.filter((argv) => argv.startsWith('openclaw')).length
    await settled()
    yard.at += HOUR
    await look()
    expect(calls()).toBe(2)
    const none = createHouse([])
    await none.settled()
    expect(none.yard.argvs.filter((argv) => argv.startsWith('docker stats'))).toEqual([])
  })
})

describe('what cannot be seen', () => {
  it('stays as it was, unknown, key by key, and proves nothing', async () => {
    const { yard, look } = createHouse()
    const before = await look()
    yard.instead.ps = result('', 1, 'Cannot connect to the Docker daemon')
    const after = await look()
    expect(after.map(({ key }) => key)).toEqual(before.map(({ key }) => key))
    expect(new Set(after.map(({ verdict, why, proof }) => `${verdict} ${proof} ${why}`))).toEqual(
      new Set(['unknown undefined docker ps: Cannot connect to the Docker daemon']),
    )
    yard.instead = {}
    expect((await look()).map(({ verdict }) => verdict)).toEqual(before.map(({ verdict }) => verdict))
  })

  it('from the first look on is unknown, not well', async () => {
    const { yard, look } = createHouse()
    yard.down = true
    expect(await look()).toMatchObject([
      { key: 'sandboxes', verdict: 'unknown', why: 'The gateway does not run.' },
    ])
  })

  it.each([
    [
      'is not for us',
      result('', 1, 'permission denied while trying to connect'),
      'docker ps: permission denied',
    ],
    ['hangs', result('', 124), 'docker ps did not end within 5 s.'],
    ['is not understood', result('<html>'), 'docker ps said something that is not understood.'],
  ])('because it %s fails the check, for nothing else tells of it', async (_, answer, why) => {
    const { yard, look } = createHouse()
    yard.instead.ps = answer
    await expect(look()).rejects.toThrow(why)
  })

  it('is absent where the gateway has no Docker', async () => {
    const { yard, look } = createHouse()
    await look()
    yard.instead.ps = result('', 127)
    expect(await look()).toMatchObject([{ key: 'sandboxes', verdict: 'absent' }])
  })
})
