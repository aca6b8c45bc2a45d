// A gateway that does not come up: the reason in the log of real ones, the newest of several, and the check over it.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { bootCheck, SIGNS, signIn } from '../../src/ops/checks/boot.ts'
import type { Standing } from '../../src/ops/gateway/index.ts'
import { boxOf, createFakeEngine, GATEWAY } from '../fixtures/docker/engine.ts'
import { MINUTE, T0 } from './help.ts'

const recorded = (name: string) =>
  readFileSync(join(import.meta.dirname, `../fixtures/openclaw/boot-${name}.log`), 'utf8')

const LEASE = 'The one before it was killed'
const MIGRATE = 'Credentials of an older version'
const NEWER = 'written by a newer version'
const SCHEMA = 'Its state is of an older version'
const CONFIG = 'It refuses its config.'
const PORT = 'Its port is taken'

describe('a log', () => {
  it.each<[string, string, string | undefined]>([
    ['after a kill (2026.9.6)', recorded('lease-new'), LEASE],
    ['with a refused config (2026.2.22)', recorded('config-old'), CONFIG],
    ['with a refused config (2026.9.6)', recorded('config-new'), CONFIG],
    ['of an upgrade of the state of an older version', recorded('upgrade'), MIGRATE],
    [
      'of a version that is older than its state',
      'Error: OpenClaw agent database uses newer schema version 9; this build supports 4.',
      NEWER,
    ],
    ['of a config that is newer', 'Config was last written by a newer OpenClaw (2026.9.6).', NEWER],
    ['of a schema', 'state uses schema version 3; run openclaw doctor --fix', SCHEMA],
    [
      'of a schema with agents',
      'x uses schema version 3; stop active agents and run openclaw doctor --fix',
      SCHEMA,
    ],
    ['of a port', 'Error: listen EADDRINUSE: address already in use 0.0.0.0:18789', PORT],
    ['of a twin', 'another gateway instance is already listening on ws://127.0.0.1:18789', PORT],

    ['with nothing in it', '', undefined],
    ['of a gateway that is well', '2026-11-20T09:57:50Z [gateway] starting...\n[gateway] ready', undefined],
    [
      'of a config that was refused while it ran and is not in use',
      '[reload] config reload skipped (invalid config): : Unrecognized key: "bogusTop"',
      undefined,
    ],
    ['of a doctor that goes on', '│  Config invalid; doctor will run with best-effort config.  │', undefined],
  ])('%s', (_, log, why) => {
    const seen = signIn(log)?.why
    if (why === undefined) expect(seen).toBeUndefined()
    else expect(seen).toContain(why)
  })

  it.each<[string, string, string]>([
    ['of two lives that ended otherwise', recorded('config-new') + recorded('lease-new'), LEASE],
    ['of the same the other way round', recorded('lease-new') + recorded('config-new'), CONFIG],
    [
      'that was of one reason, then another, then the first again',
      recorded('config-old') + recorded('lease-new') + recorded('config-old'),
      CONFIG,
    ],
    ['with the line ends of a terminal', 'x\r\nConfig invalid\r\nFile: y\r\n', CONFIG],
    ['with colours', '\u001b[31mInvalid config at /x\u001b[0m', CONFIG],
  ])('%s gives its newest reason', (_, log, why) => {
    expect(signIn(log)?.why).toContain(why)
  })

  it('of any size is read at once', () => {
    const began = performance.now()
    expect(signIn(`${'a'.repeat(4 << 20)}\n${'Config invalid; \n'.repeat(100_000)}`)).toBeUndefined()
    expect(performance.now() - began).toBeLessThan(2_000)
  })
})

describe('a sign', () => {
  it.each(SIGNS)('says what to do: $why', ({ why, mend }) => {
    expect(why).toMatch(/\.$/)
    expect(mend).toMatch(/\.$/)
  })
})

describe('the check', () => {
  function createYard(state: Standing['state'], log: string) {
    const engine = createFakeEngine({ now: () => T0 })
    engine.add(boxOf(GATEWAY, { log }))
    const asked: unknown[] = []
    const { look } = bootCheck({
      docker: {
        inspect: engine.docker.inspect,
        logs: (id, options) => {
          asked.push(options)
          return engine.docker.logs(id, options)
        },
      },
      findGateway: async () => (await engine.docker.list())[0],
      standing: () => ({ state, why: '' }),
      now: () => T0,
    })
    return { engine, asked, look: () => look(new AbortController().signal) }
  }

  it.each<[Standing['state'], string, string, string]>([
    ['ready', recorded('lease-new'), 'ok', 'It is up.'],
    ['not ready', recorded('lease-new'), 'bad', LEASE],
    ['starting', recorded('lease-new'), 'bad', LEASE],
    ['restarting', recorded('config-new'), 'bad', CONFIG],
    ['unknown', recorded('config-old'), 'bad', CONFIG],
    ['not ready', 'nothing special', 'unknown', 'Its log gives no reason that is known.'],
  ])('of a gateway that is %s', async (state, log, verdict, why) => {
    const yard = createYard(state, log)
    const [seen, ...more] = await yard.look()
    expect(more).toEqual([])
    expect(seen).toMatchObject({ key: 'gateway/boot', area: 'gateway', verdict })
    expect(seen?.why).toContain(why)
    if (verdict === 'bad') expect(seen).toMatchObject({ proof: true, actions: [{ run: `logs ${GATEWAY}` }] })
  })

  it('reads only what is young, and nothing of a gateway that is up', async () => {
    const yard = createYard('not ready', '')
    await yard.look()
    const { startedAt = 0 } = (await yard.engine.docker.inspect(GATEWAY)) ?? {}
    expect(yard.asked).toEqual([{ lines: 120, sinceMs: Math.max(startedAt, T0 - 3 * MINUTE) }])
    const well = createYard('ready', '')
    await well.look()
    expect(well.asked).toEqual([])
  })

  it('of no gateway knows nothing', async () => {
    const yard = createYard('unknown', '')
    yard.engine.remove(GATEWAY)
    expect(await yard.look()).toMatchObject([{ verdict: 'unknown', why: 'There is no gateway.' }])
  })

  it('that cannot read the log fails, and is blind by that', async () => {
    const yard = createYard('not ready', '')
    yard.engine.goAway('hanging')
    await expect(yard.look()).rejects.toThrow('Docker is hanging.')
  })
})
