// OpenClaw, wired: the gateway from inside, the checks on it, devices, sandboxes, exec approvals, its config.

import { join } from 'node:path'
import type { Config } from '../config.ts'
import { errorFields, type Log, type Redact } from '../log.ts'
import { bootCheck, readSign } from './checks/boot.ts'
import { configChecks, createConfigLook } from './checks/config.ts'
import { gatewayChecks } from './checks/gateway.ts'
import { sandboxChecks } from './checks/sandboxes.ts'
import type { Containers } from './containers.ts'
import { createDevices } from './devices.ts'
import type { ContainerEvent } from './docker/index.ts'
import { createApprovals } from './gateway/approvals.ts'
import type { KnownCli } from './gateway/cli.ts'
import { createConfigHistory } from './gateway/config.ts'
import { readIdentity } from './gateway/identity.ts'
import { createGateway } from './gateway/index.ts'
import { lookOver } from './gateway/overview.ts'
import { createPlace } from './gateway/place.ts'
import { createRestarts } from './gateway/restarts.ts'
import { createSandboxes } from './gateway/sandboxes.ts'
import { createStateDir } from './gateway/statedir.ts'
import type { Meta } from './meta.ts'
import type { Run } from './run.ts'
import { createSandboxesRecreate } from './runbooks/sandboxes.ts'
import type { Cards } from './state/cards.ts'
import type { Store } from './state/store.ts'

export interface OpenclawOptions {
  config: Pick<Config, 'docker' | 'stateDir'>
  containers: Pick<Containers, 'docker' | 'findGateway'>
  run: Run
  meta: Meta
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  store: Pick<Store, 'write'>
  redact: Redact
  now: () => number
  log: Log
}

/** What an agent asks is sent to us only while we say that we can answer: it waits for nobody else then. */
const APPROVAL_CAPS = ['approvals', 'exec-approvals']

/** The CLI of this host is upgraded in place: it is looked at again after so long. */
const HOST_CLI_MS = 10 * 60_000

/** What was learnt of a CLI: of an image for ever, of this host for a while. */
function createCliMemory(meta: Meta, now: () => number) {
  let onHost: { known?: KnownCli; at: number } = { at: 0 }
  return {
    get: (key: string) =>
      key === 'host' ? (now() - onHost.at < HOST_CLI_MS ? onHost.known : undefined) : meta.get('cli')?.[key],
    set(key: string, known: KnownCli): void {
      if (key === 'host') onHost = { known, at: now() }
      else meta.set('cli', { [key]: known })
    },
  }
}

export type Openclaw = ReturnType<typeof createOpenclaw>

export function createOpenclaw(options: OpenclawOptions) {
  const { config, containers, run, meta, cards, store, redact, now, log } = options
  const { docker, findGateway } = containers
  const place = createPlace({ config, docker, findGateway, run })
  const identity = () => readIdentity(join(config.stateDir, 'gateway-identity'))
  let nudge: (check: string) => void = () => {}

  const gateway = createGateway({
    ...{ where: place.where, orders: place.orders, identity, now, log },
    caps: () => (meta.get('approvals') ? APPROVAL_CAPS : []),
    memory: createCliMemory(meta, now),
    onChange(link) {
      restarts.note(link)
      if (link.state === 'shut') return
      nudge('pairing')
      approvals.relist().catch((error) => log.warn('approvals were not listed', errorFields(error)))
    },
    onStanding() {
      nudge('gateway')
      nudge('boot')
      nudge('credentials')
    },
    onEvent(event, payload) {
      if (event === 'health') nudge('channels')
      if (devices.note(event, payload)) nudge('pairing')
      approvals.note(event, payload)
    },
  })
  const { inside, cli, ask, version, readySince, standing } = gateway

  const restarts = createRestarts({ gateway, cards, redact, now })
  const devices = createDevices({
    ...{ gateway, containers, meta, cards, store, identity, redact, now },
    nudge: () => nudge('pairing'),
  })
  const approvals = createApprovals({
    ...{ gateway, cards, redact, now },
    on: () => meta.get('approvals') !== undefined,
    together: (work) => store.write(work),
    open: { get: () => meta.get('openApprovals') ?? {}, set: (open) => meta.set('openApprovals', open) },
  })
  const sandboxes = createSandboxes({ inside, cli, ask, now })
  const good = createConfigHistory({
    get: () => meta.get('config'),
    set: (kept) => meta.set('config', kept),
    now,
  })
  const stateDir = createStateDir({ path: place.stateDir, redact })
  const aboutConfig = {
    ...{ stateDir, ask, cli, version, good, now },
  }

  /** The alert about its container explains what is wrong inside. */
  let because = 'container/openclaw-gateway'
  async function findAndName() {
    const found = await findGateway().catch(() => undefined)
    if (found) because = `container/${found.compose?.service ?? found.name}`
    return found
  }

  return {
    gateway,
    /** The gateway's state directory: where it is on this host, and what lies there. */
    stateDir: { path: place.stateDir, look: stateDir.look },
    approvals,
    ...{ pairing: devices.pairing, senders: devices.senders, refusedOrigins: devices.refusedOrigins },
    sandboxes,
    recreateSandboxes: createSandboxesRecreate({ sandboxes, cli }),
    /** The config as it is, and as it was when the gateway last ran well with it. */
    lookAtConfig: createConfigLook(aboutConfig),
    goodConfig: good,
    /** Why it does not come up, from its log; undefined where that gives no reason that is known. */
    async bootSign() {
      const found = await findGateway()
      return found && (await readSign(docker, found.id, now()))
    },
    /** The gateway at one look. */
    overview: () => lookOver(gateway, now()),
    /** What the gateway says of a restart of its own, and that restart. */
    ownRestart: restarts.offer,
    restartItself: restarts.ask,
    /** Whether agents may ask here before they run something, and who decided that. */
    approving: {
      get: () => meta.get('approvals'),
      set(by: string | undefined) {
        if (by === undefined) meta.clear('approvals')
        else meta.set('approvals', { by, at: now() })
        gateway.reopen()
      },
    },
    gatewayChecks: [
      ...gatewayChecks({ gateway, because: () => because, now }),
      bootCheck({ docker, findGateway: findAndName, standing, now }),
      devices.pairingCheck,
      ...sandboxChecks({ sandboxes, now }),
      ...configChecks({ ...aboutConfig, readySince }),
    ],
    /** Opens the link. @param onNudge looks at what may have changed. */
    connect(onNudge: (check: string) => void): void {
      nudge = onNudge
      gateway.start()
    },
    /** The engine told of something: who has just been started is spoken with at once. */
    hear({ action }: ContainerEvent): void {
      if (action === 'start' || action === 'unpause') gateway.hurry()
    },
  }
}
