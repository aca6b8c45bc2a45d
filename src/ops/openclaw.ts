// OpenClaw, wired: the gateway from inside, the checks on it, exec approvals, and its own restarts as they are told.

import { join } from 'node:path'
import type { Config } from '../config.ts'
import { OpsError } from '../errors.ts'
import { errorFields, type Log, type Redact } from '../log.ts'
import { bootCheck, readSign } from './checks/boot.ts'
import { configChecks, createConfigLook } from './checks/config.ts'
import { gatewayChecks } from './checks/gateway.ts'
import { sandboxChecks } from './checks/sandboxes.ts'
import type { Containers } from './containers.ts'
import type { ContainerEvent } from './docker/index.ts'
import { createApprovals } from './gateway/approvals.ts'
import type { KnownCli } from './gateway/cli.ts'
import { createConfigHistory } from './gateway/config.ts'
import { readIdentity } from './gateway/identity.ts'
import { createGateway, type LinkState } from './gateway/index.ts'
import { insideContainer, insideHost } from './gateway/inside.ts'
import type { EventName } from './gateway/methods.ts'
import { lookOver } from './gateway/overview.ts'
import { createSandboxes } from './gateway/sandboxes.ts'
import { runsIn } from './gateway/sessions.ts'
import type { Announced } from './gateway/standing.ts'
import { createStateDir } from './gateway/statedir.ts'
import type { Meta } from './meta.ts'
import { open as openHere, type Run } from './run.ts'
import { createSandboxesRecreate } from './runbooks/sandboxes.ts'
import type { Cards } from './state/cards.ts'
import { duration, plural } from './words.ts'

export interface OpenclawOptions {
  config: Pick<Config, 'docker' | 'stateDir'>
  containers: Pick<Containers, 'docker' | 'findGateway'>
  run: Run
  meta: Meta
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  redact: Redact
  now: () => number
  log: Log
}

/** What an agent asks is sent to us only while we say that we can answer: it waits for nobody else then. */
const APPROVAL_CAPS = ['approvals', 'exec-approvals']

/** The CLI of this host is upgraded in place: it is looked at again after so long. */
const HOST_CLI_MS = 10 * 60_000

const meansToReturn = ({ reason, restartExpectedMs }: Announced) =>
  restartExpectedMs !== null || /restart/i.test(reason)

export type Openclaw = ReturnType<typeof createOpenclaw>

export function createOpenclaw(options: OpenclawOptions) {
  const { config, containers, run, meta, cards, redact, now, log } = options
  const { docker, findGateway } = containers
  const { gatewayUrl, stateDir, clientEnvironment } = config.docker
  let nudge: (check: string) => void = () => {}
  let away: Announced | undefined
  let ours = 0
  let onHost: { known?: KnownCli; at: number } = { at: 0 }

  async function where() {
    if (gatewayUrl) {
      const env = { ...clientEnvironment, ...(stateDir && { OPENCLAW_STATE_DIR: stateDir }) }
      return { inside: insideHost({ run, open: openHere, env }) }
    }
    const brief = await findGateway()
    const container = brief && (await docker.inspect(brief.id))
    if (container?.state !== 'running') return undefined
    const { startedAt } = container
    return { inside: insideContainer(docker, container), ...(startedAt && { startedAt }) }
  }

  async function orders() {
    if (gatewayUrl) return { url: gatewayUrl }
    const brief = await findGateway()
    const port = brief && (await docker.inspect(brief.id))?.port
    return port ? { port } : {}
  }

  /** A restart that the gateway told of and came back from is no crash: it is told as what it was. */
  function tellRestart(link: LinkState): void {
    if (link.state === 'shut' && link.announced && meansToReturn(link.announced)) away = link.announced
    if (link.state !== 'open' || !away) return
    const { reason, at } = away
    away = undefined
    if (ours > 0) return
    const lines = [`It said: ${reason || 'nothing'}.`, `It was away for ${duration(now() - at)}.`]
    const facts = { title: 'The gateway restarted itself', lines: lines.map(redact) }
    cards.raise({ kind: 'notice', audience: 'alerts', facts, ring: false }, now())
  }

  const gateway = createGateway({
    ...{ where, orders, now, log },
    identity: () => readIdentity(join(config.stateDir, 'gateway-identity')),
    caps: () => (meta.get('approvals') ? APPROVAL_CAPS : []),
    memory: {
      get: (key) =>
        key === 'host' && now() - onHost.at < HOST_CLI_MS ? onHost.known : meta.get('cli')?.[key],
      set(key, known) {
        if (key === 'host') onHost = { known, at: now() }
        else meta.set('cli', { [key]: known })
      },
    },
    onChange(link) {
      tellRestart(link)
      if (link.state === 'open')
        approvals.relist().catch((error) => log.warn('approvals were not listed', errorFields(error)))
    },
    onStanding() {
      nudge('gateway')
      nudge('boot')
    },
    onEvent(event: EventName, payload: unknown) {
      if (event === 'health') nudge('channels')
      approvals.note(event, payload)
    },
  })

  const approvals = createApprovals({
    ...{ gateway, cards, redact, now },
    open: { get: () => meta.get('openApprovals') ?? {}, set: (open) => meta.set('openApprovals', open) },
    on: () => meta.get('approvals') !== undefined,
  })

  /** The host's side of the gateway's state directory. */
  async function statePath(): Promise<string | undefined> {
    if (stateDir) return stateDir
    const brief = await findGateway()
    const mounts = (brief && (await docker.inspect(brief.id)))?.mounts ?? []
    return mounts.find(({ destination }) => destination.endsWith('/.openclaw'))?.source
  }

  const state = createStateDir({ path: statePath, redact })
  const good = createConfigHistory({
    get: () => meta.get('config'),
    set: (kept) => meta.set('config', kept),
    now,
  })

  let key = 'container/openclaw-gateway'
  async function findKey() {
    const found = await findGateway().catch(() => undefined)
    if (found) key = `container/${found.compose?.service ?? found.name}`
    return found
  }

  const { inside, cli, ask, version, readySince, standing } = gateway
  const aboutConfig = { stateDir: state, ask, cli, version, good, now }
  const sandboxes = createSandboxes({ inside, cli, ask, now })
  const checks = [
    ...gatewayChecks({ gateway, because: () => key, now }),
    bootCheck({ docker, findGateway: findKey, standing, now }),
    ...sandboxChecks({ sandboxes, now }),
    ...configChecks({ ...aboutConfig, readySince }),
  ]

  return {
    gateway,
    approvals,
    /** The config as it is, and as it was when the gateway last ran well with it. */
    lookAtConfig: createConfigLook(aboutConfig),
    goodConfig: good,
    sandboxes,
    recreateSandboxes: createSandboxesRecreate({ sandboxes, cli }),
    /** Whether agents may ask here before they run something, and who decided that. */
    approving: {
      get: () => meta.get('approvals'),
      set(by: string | undefined) {
        if (by === undefined) meta.clear('approvals')
        else meta.set('approvals', { by, at: now() })
        gateway.reopen()
      },
    },
    gatewayChecks: checks,
    /** Why it does not come up, from its log; undefined where that gives no reason that is known. */
    async bootSign() {
      const found = await findGateway()
      return found && (await readSign(docker, found.id, now()))
    },
    /** The gateway at one look. */
    overview: () => lookOver(gateway, now()),
    /** Opens the link. @param onNudge looks at what may have changed. */
    connect(onNudge: (check: string) => void): void {
      nudge = onNudge
      gateway.start()
    },
    /** The engine told of something: who has just been started is spoken with at once. */
    hear({ action }: ContainerEvent): void {
      if (action === 'start' || action === 'unpause') gateway.hurry()
    },
    /** What the gateway says of a restart of its own now; undefined where its version has none, or is not reached. */
    async ownRestart(): Promise<string | undefined> {
      const link = gateway.link()
      if (link.state !== 'open' || !link.methods.includes('gateway.restart.request')) return undefined
      const runs = runsIn((await gateway.call('gateway.restart.preflight')).counts)
      return runs > 0 ? `they are at work (${plural(runs, 'run')})` : 'they are idle'
    },
    /**
     * The gateway's own restart, which waits for its agents: asked for, and waited for until it is ready again.
     * @throws OpsError when it is not back within `timeoutMs`.
     */
    async restartItself(reason: string, timeoutMs: number, signal: AbortSignal): Promise<string> {
      const began = now()
      ours += 1
      try {
        const before = gateway.link().since
        await gateway.call('gateway.restart.request', { reason })
        while (now() - began < timeoutMs && !signal.aborted) {
          const link = gateway.link()
          if (link.state === 'open' && link.since > before && standing().state === 'ready')
            return `ready again after ${duration(now() - began)}`
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      } finally {
        ours -= 1
      }
      throw new OpsError(`It was asked to restart and was not ready again within ${duration(timeoutMs)}.`)
    },
  }
}
