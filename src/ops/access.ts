// Model access, wired: the Claude CLI, the truth about every credential, its refresh, its sync, its sign-in.

import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from '../config.ts'
import { errorFields, type Log } from '../log.ts'
import { credentialChecks } from './checks/credentials.ts'
import { type Claude, containerPlace, createClaude, hostPlace } from './claude/index.ts'
import type { Containers } from './containers.ts'
import { createCopies } from './credentials/copies.ts'
import { drift } from './credentials/drift.ts'
import { follow } from './credentials/follow.ts'
import { type Considered, createCredentials, type Truth } from './credentials/index.ts'
import { createKeeper } from './credentials/keeper.ts'
import { agentsIn } from './credentials/places.ts'
import { createReauth } from './credentials/reauth.ts'
import { createRegister } from './credentials/register.ts'
import { orders } from './credentials/resolution.ts'
import { stageOf } from './credentials/stages.ts'
import { createSyncer } from './credentials/syncer.ts'
import type { Deeds } from './deeds.ts'
import { envPathOf, projectOf } from './deployment.ts'
import { isRefusal, readCredentials } from './gateway/credentials.ts'
import { findingsBeforeStop, proveReady } from './gateway/plans.ts'
import type { Meta } from './meta.ts'
import type { Openclaw } from './openclaw.ts'
import type { Run } from './run.ts'
import { createAuthfix } from './runbooks/authfix.ts'
import type { Runbooks } from './runbooks/index.ts'
import { createMigrate } from './runbooks/migrate.ts'
import { createRefresh } from './runbooks/refresh.ts'
import { createSync } from './runbooks/sync.ts'
import type { Cards } from './state/cards.ts'

export interface AccessOptions {
  config: Pick<Config, 'claude' | 'docker' | 'stateDir' | 'timeZone'>
  containers: Containers
  openclaw: Pick<Openclaw, 'gateway' | 'stateDir' | 'bootSign'>
  run: Run
  meta: Meta
  cards: Pick<Cards, 'raise'>
  deeds: Pick<Deeds, 'perform'>
  runbooks: Pick<Runbooks, 'start'>
  now: () => number
  log: Log
}

/** Where a deployment as it is usually made keeps things (features.md F0-03, F2-45). */
const USUAL_STATE = '/home/openclaw/.openclaw'
const USUAL_INGRESS = '/home/claude/.claude/remote/.session_ingress_token'
/** Of the gateway's log, so many lines are looked through for refusals. */
const LOG_LINES = 400
/** A cooldown grows to an hour (F1-27). */
const COOLDOWN_MS = 3_600_000
const ME = { name: 'opsbot' }

/** The sandboxes' own login: where it was said to be, else where it usually is. */
function sandboxDirOf({ claude, docker }: AccessOptions['config']): string | undefined {
  const state = docker.stateDir ?? USUAL_STATE
  const usual = [dirname(state), state].map((place) => join(place, '.claude-sandbox'))
  return claude.sandboxDir ?? usual.find((path) => existsSync(path))
}

/** What there is to be seen. */
export interface Access {
  /** Absent with CLAUDE_MODE=off. */
  claude: Claude | undefined
  /** Every credential at one look; two at once are one. Never throws: what could not be seen is said in it. */
  truth(): Promise<Truth>
  /** Who wins now, by agent. */
  order(truth: Truth): { agent: string; considered: Considered[] }[]
  config: Config['claude']
}

export function createAccess(options: AccessOptions) {
  const { config, containers, openclaw, run, meta, cards, deeds, runbooks, now, log } = options
  const { docker, compose, deployment, expectDown, findGateway } = containers
  const { gateway, stateDir } = openclaw
  const { mode } = config.claude
  let nudge: (check: string) => void = () => {}

  async function findClaude() {
    const { container: name } = config.claude
    const brief = (await docker.list()).find((each) => each.compose?.service === name || each.name === name)
    return brief && (await docker.inspect(brief.id))
  }
  function claudeIn(configDir: string | undefined): Claude {
    const { container: name, bin, environment } = config.claude
    const place =
      mode === 'container'
        ? containerPlace({ name, docker, findContainer: findClaude, configDir })
        : hostPlace({ configDir, bin, environment, stateDir: config.stateDir, run })
    return createClaude({ place, now })
  }
  const claude = mode === 'off' ? undefined : claudeIn(config.claude.configDir)
  const sandboxDir = sandboxDirOf(config)
  const sandbox = sandboxDir === undefined ? undefined : claudeIn(sandboxDir)

  async function gatewayContainer() {
    const brief = await findGateway()
    return brief && (await docker.inspect(brief.id))
  }
  async function envPath(): Promise<string | undefined> {
    // A gateway on this host has no project, and there may be no engine to ask for one.
    if (config.docker.gatewayUrl !== undefined) return undefined
    const labels = (await findGateway())?.compose
    return labels && envPathOf(projectOf(labels, deployment))
  }
  async function gatewayLog(sinceMs: number): Promise<string | undefined> {
    const found = await gatewayContainer()
    // What an earlier life of it was refused says nothing of this one.
    const from = Math.max(sinceMs, found?.startedAt ?? 0)
    return found && (await docker.logs(found.id, { lines: LOG_LINES, sinceMs: from }))
  }

  const { truth } = createCredentials({
    claudeFile: async () => await claude?.file(),
    sandboxFile: async () => await sandbox?.file(),
    ingressFile: {
      path: config.claude.ingressFile ?? USUAL_INGRESS,
      expected: config.claude.ingressFile !== undefined,
    },
    stateDir: stateDir.look,
    ...{ envPath, now, ...(config.docker.gatewayUrl === undefined && { gatewayContainer }) },
    report: () => readCredentials(gateway),
    ends: { get: () => meta.get('tokenEnds'), set: (ends) => meta.set('tokenEnds', ends) },
  })
  const order = (seen: Truth) => orders(seen, now())
  const register = createRegister(meta)

  const looked = () => nudge('credentials')
  const keeper =
    claude &&
    createKeeper({
      ...{ claude, perform: deeds.perform, now, log, onEnd: looked },
      memory: { get: () => meta.get('refresh'), set: (memory) => meta.set('refresh', memory) },
    })

  /** The container's own variable, and whether it is what the gateway goes by. */
  async function environment(): Promise<{ wins: boolean; hash?: string }> {
    const seen = await truth()
    const held = seen.credentials.find(({ id }) => id === 'container')
    const wins = order(seen).some(({ considered }) =>
      considered.some(({ id, verdict }) => id === 'container' && verdict === 'wins'),
    )
    return { wins, ...(held?.hash !== undefined && { hash: held.hash }) }
  }
  /** Cooldowns are told by the gateway's CLI alone, slowly: it is asked where the model has refused a token lately. */
  async function reportForSync() {
    const ended = Object.values(meta.get('pasted') ?? {}).some(({ expiresAt }) => expiresAt <= now())
    const said = await gatewayLog(now() - COOLDOWN_MS).catch(() => undefined)
    const thorough = ended || said === undefined || said.split('\n').some(isRefusal)
    return await readCredentials({ ...gateway, thorough })
  }
  const copies = createCopies({
    ...{ envPath, environment, now, report: reportForSync, cli: gateway.cli },
    stateDir: stateDir.path,
    version: gateway.version,
    agents: async () => {
      const root = await stateDir.path()
      const found = root === undefined ? [] : await agentsIn(root)
      return found.toSorted((a, b) => Number(b === 'main') - Number(a === 'main'))
    },
    memory: {
      seen: () => meta.get('cliTokens') ?? {},
      ends: () => meta.get('tokenEnds') ?? {},
      pasted: () => meta.get('pasted') ?? {},
      setPasted: (pasted) => meta.set('pasted', pasted),
    },
  })
  const words = async () => (await (await gateway.cli())?.known())?.argv
  const ready = (since: number, signal: AbortSignal) =>
    proveReady({ ...gateway, sign: openclaw.bootSign }, since, now, signal)

  const sync = createSync({
    ...{ claude, copies, words, environment, now, report: reportForSync, on: config.claude.sync },
    note(hash, expiresAt) {
      const kept = Object.entries({ ...meta.get('cliTokens'), [hash]: expiresAt }).slice(-20)
      meta.set('cliTokens', Object.fromEntries(kept))
    },
    async recreate() {
      const plan = await containers.recreate.plan({})
      await runbooks.start(containers.recreate, plan, ME, 'alerts').done
      return 'made anew'
    },
  })
  const syncer = createSyncer({
    ...{ sync, perform: deeds.perform, now, log, onEnd: looked },
    settled: () => gateway.standing().state === 'ready',
  })

  const onError = (error: unknown) => log.error('the login was not looked at', errorFields(error))
  let stopped = false
  /** Something changed at the login: whoever waits for that looks at once. */
  async function touched(): Promise<void> {
    looked()
    reauth.nudge()
    if (!claude) return
    const file = await claude.file()
    // The state may be closed by now.
    if (stopped) return
    keeper?.saw(file)
    if (config.claude.sync) syncer.consider(file)
  }
  const reauth = createReauth({
    ...{ claudes: { ...(claude && { cli: claude }), ...(sandbox && mode !== 'off' && { sandbox }) }, deeds },
    ...{ relay: config.claude.relay, now, log, onProof: touched },
    tell: (audience, facts) => cards.raise({ kind: 'notice', audience, facts, ring: false }, now()),
  })

  const refresh = claude && keeper && createRefresh({ claude, keeper, timeZone: config.timeZone, now })
  const migrate = createMigrate({
    ...{ docker, compose, deployment, findGateway, words, expectDown, ready, now },
    stateDir: stateDir.look,
    findings: () => findingsBeforeStop(gateway, now()),
  })

  return {
    access: { claude, truth, order, config: config.claude } satisfies Access,
    ...{ keeper, refresh, sync: sync.runbook, migrate, reauth, register, drift },
    authfix: createAuthfix({ places: copies.places, now }),
    stageOf(credential: Truth['credentials'][number], at: number, seen: Truth) {
      const registeredAt = register.list().find(({ name }) => name === credential.id)?.createdAt
      return stageOf(credential, at, { truth: seen, ...(registeredAt !== undefined && { registeredAt }) })
    },
    accessChecks: credentialChecks({
      ...{ truth, order, drift, gatewayLog, standing: gateway.standing, now },
      ...(claude && keeper && { cli: { claude, keeper } }),
      registered: register.list,
      sync: config.claude.sync,
      onFile: (file) => {
        if (config.claude.sync) syncer.consider(file)
      },
      syncTrouble: syncer.trouble,
    }),
    /** Keeps the token fresh and follows the login. @returns the way to stop. */
    keepFresh(onNudge: (check: string) => void): () => void {
      nudge = onNudge
      if (!claude || !keeper) return () => reauth.stop()
      void keeper.resume()
      const unfollow = follow({ directory: claude.directory, onChange: () => void touched().catch(onError) })
      return () => {
        stopped = true
        unfollow()
        keeper.stop()
        reauth.stop()
      }
    },
  }
}
