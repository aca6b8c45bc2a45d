// The rig's own proof: real Claude CLIs of both versions do what the stand-in does, and run in a container too.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Anthropic, createAnthropic } from '../claude/api.ts'
import { claudeContract, PING, VERSIONS, type Version } from '../claude/contract.ts'
import { type RealClaude, startClaude } from './claude.ts'
import { bringUp, type Engine } from './engine.ts'
import { addressOf, PATIENCE_MS } from './gateway.ts'
import { needsRoot } from './rig.ts'

for (const version of Object.keys(VERSIONS) as Version[])
  claudeContract(`the real ${VERSIONS[version]}`, version, async () => {
    const api = await createAnthropic()
    const claude = await startClaude({ version, api, where: 'host' })
    return {
      ...claude,
      be: api.be,
      issue: (leftMs) => api.issue({ lifeMs: leftMs }),
      counts: () => ({
        refreshes: api.count('/v1/oauth/token', 'refresh_token'),
        messages: api.count('/v1/messages'),
      }),
      approve: api.approve,
      async close() {
        await claude.down()
        await api.close()
      },
    }
  })

describe('in a container', () => {
  let engine: Engine
  let api: Anthropic
  beforeAll(async () => {
    if (process.getuid?.() !== 0) return
    engine = await bringUp('trixie', 'claude')
    api = await createAnthropic({ address: await addressOf(engine) })
  }, PATIENCE_MS)
  afterAll(async () => {
    await api?.close()
    await engine?.down()
  })
  beforeEach(needsRoot)

  describe.each(Object.keys(VERSIONS) as Version[])('the %s version', (version) => {
    let claude: RealClaude
    beforeAll(async () => {
      if (engine) claude = await startClaude({ version, api, where: { engine } })
    }, PATIENCE_MS)
    afterAll(() => claude?.down())

    it('says its version, as the user node', async () => {
      expect(await claude.run(['--version'])).toMatchObject({
        code: 0,
        stdout: `${VERSIONS[version]} (Claude Code)\n`,
      })
      expect(await engine.docker('exec', claude.container, 'id', '-u')).toBe('1000')
    })

    it('refreshes a file that the host sees', async () => {
      const before = api.issue({ lifeMs: -60_000 }).claudeAiOauth
      claude.write({ claudeAiOauth: before })
      expect((await claude.run(PING)).code).toBe(0)
      const after = claude.read().claudeAiOauth
      expect(after.expiresAt).toBeGreaterThan(before.expiresAt)
      expect(api.knows(after.accessToken)).toBe(true)
    })
  })
})
