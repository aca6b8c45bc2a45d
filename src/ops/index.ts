// Ops: everything that can be seen or done on this machine, wired here; who needs a part of it asks for that part.

import type { Config } from '../config.ts'
import { errorFields, type Log, type Redact, redactAll } from '../log.ts'
import { createAccess } from './access.ts'
import { createAlerts, type StoredMemory } from './alerts/index.ts'
import { hostChecks } from './checks/host.ts'
import type { Check } from './checks/index.ts'
import { opsbotChecks } from './checks/opsbot.ts'
import { createContainers } from './containers.ts'
import { createDeeds } from './deeds.ts'
import type { Docker } from './docker/index.ts'
import { findingsBeforeStop, proveReady } from './gateway/plans.ts'
import { createHost } from './host.ts'
import type { Meta, MetaValues } from './meta.ts'
import { createMounts } from './mounts.ts'
import { createOpenclaw } from './openclaw.ts'
import { createPulse } from './pulse.ts'
import { type Run, run as runHere } from './run.ts'
import { createRunbooks } from './runbooks/index.ts'
import { createAlertLog } from './state/alerts.ts'
import { openState } from './state/index.ts'
import { createMeta } from './state/meta.ts'
import { lockDirectory } from './state/sqlite.ts'
import { createSystemd } from './systemd.ts'
import { createWatch } from './watch.ts'

/** The facts of a card of kind `notice`: something that happened to the bot itself. */
export interface Notice {
  title: string
  lines: string[]
}

/** That we are alive is written down this often: what a later start knows of how long we were away. */
const ALIVE_EVERY_MS = 60_000

export type Ops = ReturnType<typeof createOps>

export interface OpsOptions {
  config: Config
  log: Log
  redact: Redact
  now: () => number
  /** What is looked at instead of the host: for tests. */
  checks?: readonly Check[]
  /** Spoken with instead of the engine, and looked at besides `checks`: for tests. */
  docker?: Docker
  /** Runs programs instead of this machine: for tests. */
  run?: Run
}

/**
 * Takes the state directory and wires every system. Nothing runs until `start`.
 * @throws OpsError when another bot holds the state directory or it cannot be used.
 */
export function createOps(options: OpsOptions) {
  const { config, log, redact, now, checks, docker, run = runHere } = options
  const unlock = lockDirectory(config.stateDir)
  const startedAt = now()
  const state = openState({ directory: config.stateDir, redact, now: startedAt })
  const { store, cards, copies, chats, audit, jobs, runs } = state
  const meta: Meta = createMeta<MetaValues>(store)
  const aliveAt = meta.get('aliveAt')

  const alerts = createAlerts({
    store,
    log: createAlertLog<StoredMemory>(store),
    cards,
    cycleMs: config.watchMs,
    timeZone: config.timeZone,
    reminderHour: config.claude.reminderHour,
    now: startedAt,
    ...(config.quietHours && { quietHours: config.quietHours }),
    ...(aliveAt !== undefined && { aliveAt }),
  })
  const deeds = createDeeds({ store, audit, meta, now })
  const pulse = createPulse(copies.overdueSince, now)
  const host = createHost()
  const mounts = createMounts({ run })
  const systemd = createSystemd({ run, notifySocket: config.supervisor.notifySocket })

  const containers = createContainers({
    ...{ config, run, host, mounts, meta, now, log },
    inside: {
      findings: () => findingsBeforeStop(openclaw.gateway, now()),
      ready: (since, signal) =>
        proveReady({ ...openclaw.gateway, sign: openclaw.bootSign }, since, now, signal),
      sign: () => openclaw.bootSign(),
    },
    ...(docker && { docker }),
  })
  const openclaw = createOpenclaw({ config, containers, run, meta, cards, store, redact, now, log })
  const runbooks = createRunbooks({ deeds, cards, runs, now })

  const access = createAccess({
    ...{ config, containers, openclaw, run, meta, cards, deeds, runbooks, now, log },
  })

  /** With checks of a test's own and no engine of its own, nothing of the deployment is looked at. */
  const alone = checks !== undefined && !docker

  let notedAlive = 0
  let firstLook = () => {}
  let unfollow = () => {}
  let letGo = () => {}
  const onCycle = () => {
    pulse.checked()
    firstLook()
    store.heal()
    if (now() - notedAlive < ALIVE_EVERY_MS) return
    notedAlive = now()
    meta.set('aliveAt', notedAlive)
  }
  const all = [
    ...(checks ?? hostChecks({ host, mounts, systemd, limits: config.limits })),
    ...(alone ? [] : [...containers.checks, ...openclaw.gatewayChecks, ...access.accessChecks]),
    ...opsbotChecks({ store, jobs, chats, now }),
  ]
  const watch = createWatch({
    checks: all,
    alerts: {
      observe: (check, seen, at) => alerts.observe(check, redactAll(seen, redact), at),
      explain: (key, evidence, at) => alerts.explain(key, redactAll(evidence, redact), at),
    },
    cycleMs: config.watchMs,
    now,
    log,
    onCycle,
  })

  /** Tells the owners what they must know of how we found things. */
  function raiseNotices(): void {
    const notices: Notice[] = store.findings.map((line) => ({
      title: 'The state file was damaged',
      lines: [line],
    }))
    const reported = runs.open().map(({ deedId }) => deedId)
    const cut = deeds.settleInterrupted().filter(({ id }) => !reported.includes(id))
    if (cut.length > 0)
      notices.push({
        title: 'I was stopped in the middle of something',
        lines: cut.map(
          ({ action, detail, actor }) => `${action} ${detail}, begun by ${actor}: not finished, not resumed`,
        ),
      })
    for (const facts of notices) cards.raise({ kind: 'notice', audience: 'owners', facts, ring: true }, now())
  }

  return {
    ...{ config, log, now, startedAt },
    ...{ store, cards, copies, chats, audit, jobs, meta },
    ...{ alerts, deeds, pulse, watch, host, mounts, systemd, runbooks },
    ...{ ...containers, ...openclaw, ...access },
    /** @param onFirstLook called when everything was looked at once. */
    start(onFirstLook: () => void): void {
      raiseNotices()
      firstLook = onFirstLook
      alerts.retire(
        all.map(({ name }) => name),
        now(),
      )
      watch.start()
      unfollow = containers.follow(watch.nudge, openclaw.hear)
      if (!alone) {
        openclaw.connect(watch.nudge)
        letGo = access.keepFresh(watch.nudge)
      }
      runbooks
        .reportCut([
          ...[containers.recreate, containers.rollback, openclaw.recreateSandboxes],
          ...[access.sync, access.authfix, access.migrate],
          ...(access.refresh ? [access.refresh] : []),
        ])
        .catch((error) => log.error('cut runs were not reported', errorFields(error)))
    },
    /** Ends the deeds, closes the state and gives the directory up. */
    async stop(deadlineMs: number): Promise<void> {
      unfollow()
      letGo()
      openclaw.gateway.stop()
      watch.stop()
      await deeds.drain(deadlineMs)
      meta.set('aliveAt', now())
      store.close()
      unlock()
    },
  }
}
