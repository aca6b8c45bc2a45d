// From a new token of the Claude CLI to the gateways that have it: files of an older one, the command of a newer one.

import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fakeToken } from '../claude/cli.ts'
import { createLogin } from '../claude/login.ts'
import type { Engine } from '../real/engine.ts'
import { type Gateway, startGateway, VERSIONS } from '../real/gateway.ts'
import { syncsOf } from '../real/syncs.ts'
import { createContender } from './contender.ts'
import { median, type Row, units } from './table.ts'

interface Watched {
  engine: Engine
  gateway: Gateway
  directory: string
}

const { ms, seconds } = units
const HOUR_MS = 3_600_000
const PATIENCE_MS = 120_000
const AGENTS = ['main', 'asking']
const MOST_MS = 500

async function until(what: string, look: () => boolean | Promise<boolean>, everyMs: number): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  while (!(await look())) {
    if (performance.now() > end) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`)
    await sleep(everyMs)
  }
}

/** A bot that copies, beside a login; it has copied the first token. */
async function startBot({ engine, gateway, directory }: Watched) {
  const login = createLogin(join(directory, '.claude'))
  const stateDir = join(directory, 'state')
  login.renew('new')
  const bot = await createContender('ours', stateDir, {
    ...{ ...engine.env, OPENCLAW_GATEWAY_CONTAINER: gateway.container, OPENCLAW_DIR: gateway.dir },
    ...{ CLAUDE_MODE: 'host', CREDENTIAL_SYNC: 'on', CLAUDE_CONFIG_DIR: login.configDir },
    ALERT_LOAD_PER_CORE: '100',
  })
  await bot.start()
  await until('the first sync', () => syncsOf(stateDir).length > 0, 250)
  return {
    /** Writes a new token. @returns how long it took until `has`, in milliseconds. */
    async renew(has: (token: string) => boolean | Promise<boolean>, everyMs: number): Promise<number> {
      const before = syncsOf(stateDir).length
      const { token } = login.renew('new')
      const at = performance.now()
      await until('the new token', () => has(token), everyMs)
      const tookMs = performance.now() - at
      // The proof comes after it.
      await until('the end of the sync', () => syncsOf(stateDir).length > before, 250)
      return tookMs
    },
    async stop(): Promise<void> {
      await bot.stop()
      await bot.telegram.close()
    },
  }
}

/** Two agents with profiles of their own, and `.env`: all of one token, whose end is known. */
function giveFiles({ stateDir, envFile }: Gateway): string[] {
  const token = fakeToken()
  const profile = { type: 'token', provider: 'anthropic', token, expires: Date.now() + HOUR_MS }
  const text = JSON.stringify({ version: 1, profiles: { 'anthropic:default': profile } })
  const files = AGENTS.map((agent) => join(stateDir, 'agents', agent, 'agent/auth-profiles.json'))
  for (const file of files) {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text, { mode: 0o600 })
    for (let at = file; at !== stateDir; at = dirname(at)) chownSync(at, 1000, 1000)
  }
  writeFileSync(envFile, `${readFileSync(envFile, 'utf8')}ANTHROPIC_OAUTH_TOKEN=${token}\n`)
  return [...files, envFile]
}

async function fileTimes(watched: Watched, rounds: number): Promise<number[]> {
  const files = giveFiles(watched.gateway)
  const bot = await startBot(watched)
  try {
    const found: number[] = []
    while (found.length < rounds)
      found.push(
        await bot.renew((token) => files.every((file) => readFileSync(file, 'utf8').includes(token)), 1),
      )
    return found
  } finally {
    await bot.stop()
  }
}

/** In turn: by the bot, and by hand with the gateway's own command. Both until the gateway itself says that it has it. */
async function commandTimes(watched: Watched, rounds: number): Promise<{ ours: number[]; byHand: number[] }> {
  const { gateway } = watched
  const device = await gateway.operator()
  const endOf = async (id: string): Promise<number | undefined> => {
    const { providers } = await device.call('models.authStatus')
    const profiles: { profileId: string; expiry?: { at: number } }[] = providers.flatMap(
      ({ profiles: each = [] }) => each,
    )
    return profiles.find(({ profileId }) => profileId === id)?.expiry?.at
  }
  const bot = await startBot(watched)
  const found = { ours: [] as number[], byHand: [] as number[] }
  const paste = ['models', 'auth', 'paste-token', '--provider', 'anthropic', '--profile-id', 'anthropic:hand']
  try {
    while (found.ours.length < rounds) {
      const [mine, hand] = [await endOf('anthropic:opsbot'), await endOf('anthropic:hand')]
      found.ours.push(await bot.renew(async () => (await endOf('anthropic:opsbot')) !== mine, 20))
      const at = performance.now()
      const ended = gateway.cli([...paste, '--expires-in', '3h'], fakeToken())
      await until('the token by hand', async () => (await endOf('anthropic:hand')) !== hand, 20)
      found.byHand.push(performance.now() - at)
      await ended
    }
    return found
  } finally {
    await bot.stop()
    await device.close()
  }
}

/** @param say told what is done just now. */
export async function measureSync(
  engine: Engine,
  directory: string,
  rounds: number,
  say: (line: string) => void,
): Promise<Row[]> {
  async function withGateway<T>(
    version: 'old' | 'new',
    measure: (watched: Watched, rounds: number) => Promise<T>,
  ) {
    say(`starting OpenClaw ${VERSIONS[version]}, and giving it ${rounds} tokens …`)
    const gateway = await startGateway({ engine, version })
    try {
      return await measure({ engine, gateway, directory: join(directory, `sync-${version}`) }, rounds)
    } finally {
      await gateway.down()
    }
  }
  const files = await withGateway('old', fileTimes)
  const { ours, byHand } = await withGateway('new', commandTimes)
  const more = median(ours) - median(byHand)
  return [
    {
      figure: `the CLI’s file changes → two agents’ profiles and .env written, ${VERSIONS.old}, median of ${files.length}`,
      ...{ ours: ms(median(files)), beside: `${ms(Math.max(...files))} (the slowest)` },
      ...{ found: ms(median(files)), asked: `≤ ${MOST_MS} ms`, ok: median(files) <= MOST_MS },
    },
    {
      figure: `the CLI’s file changes → the gateway says that it has it, ${VERSIONS.new}, median of ${ours.length}`,
      ...{ ours: seconds(median(ours)), beside: `${seconds(median(byHand))} (its own command by hand)` },
      ...{ found: `${ms(more)} more`, asked: `≤ ${MOST_MS} ms more`, ok: more <= MOST_MS },
    },
  ]
}
