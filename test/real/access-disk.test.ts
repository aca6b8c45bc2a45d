// A copying for which a real disk has no room: the old profile stays whole, the operator is told, and it goes on when there is room.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { createAccessYard, HOUR, MINUTE, profileOf, profilesOf } from '../claude/yard.ts'
import { OPS } from '../road/rig.ts'
import { needsRoot, report, secondsSince, sh, until } from './rig.ts'

beforeEach(needsRoot)

const AGENT = '.openclaw/agents/main/agent'

it('a new token that does not fit leaves the old profile whole, and is there as soon as it fits', async (context) => {
  const began = performance.now()
  let point = ''
  const yard = await createAccessYard(context.onTestFinished, {
    env: { CREDENTIAL_SYNC: 'on' },
    files: ({ access, expiresAt }) => profilesOf({ 'anthropic:default': profileOf(access, expiresAt) }),
    mount(home) {
      point = join(home, AGENT)
      sh('mkdir', '-p', point)
      sh('mount', '-t', 'tmpfs', '-o', 'size=64k', 'opsbot-real', point)
      context.onTestFinished(() => void sh('umount', '-l', point))
    },
  })
  await yard.glance()
  const before = readFileSync(join(point, 'auth-profiles.json'), 'utf8')
  try {
    writeFileSync(join(point, 'hog'), Buffer.alloc(1 << 20, 7))
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOSPC' })
  }
  const { accessToken } = yard.login(8 * HOUR)
  await until('it failed', () => yard.lines.some((line) => line.includes('the disk is full')))
  expect(readFileSync(join(point, 'auth-profiles.json'), 'utf8')).toBe(before)
  expect(readdirSync(point).sort()).toEqual(['auth-profiles.json', 'hog'])
  for (let look = 0; look < 3; look += 1) await yard.pass(2 * MINUTE)
  expect((await yard.shown(OPS, 'A new token does not reach the gateway')).text).toContain('the disk is full')

  rmSync(join(point, 'hog'))
  await yard.pass(2 * MINUTE)
  await until('it is there', () => yard.profile().access === accessToken)
  for (let look = 0; look < 7; look += 1) await yard.pass(2 * MINUTE)
  expect(yard.firing()).toEqual([])
  expect(await yard.leaks()).toEqual([])
  report(`a full disk under the profiles, and room again: ${secondsSince(began)} s`)
})
