// Checks of the gateway's config and of the files around it: taken or refused, set aside, whose they are, who wrote them.

import { join } from 'node:path'
import { OpsError } from '../../errors.ts'
import { compareVersions, versionIn } from '../gateway/cli.ts'
import type { ConfigHistory } from '../gateway/config.ts'
import type { SeenStateDir, StateDir } from '../gateway/statedir.ts'
import { createValidity, type Validity, type ValidityOptions } from '../gateway/validity.ts'
import { ago, plural } from '../words.ts'
import type { Check, Observation } from './index.ts'

export interface ConfigOptions extends ValidityOptions {
  stateDir: StateDir
  /** The version that runs. @throws OpsError when it cannot be told. */
  version: () => Promise<string>
  good: ConfigHistory
}

export interface ConfigCheckOptions extends ConfigOptions {
  /** Since when the gateway has been ready; undefined while it is not. UTC milliseconds. */
  readySince: () => number | undefined
}

/** All that is known of the config at one look. */
export type ConfigLook =
  | { state: 'seen'; seen: SeenStateDir; validity: Validity; version?: string }
  /** The directory could not be read; the gateway may answer all the same. */
  | { state: 'unseen'; why: string; path?: string; validity?: Validity }

const DAY_MS = 86_400_000
const RECENT_MS = 7 * DAY_MS
/** A config that we may not read is asked about again after so long, because nobody can tell whether it is another one. */
const BLIND_MS = 10 * 60_000
const NAMED = 3
const ACTIONS = [{ label: 'Config', run: 'config' }]

const SUBJECTS = {
  valid: { key: 'config/valid', area: 'gateway', title: "The gateway's config is refused" },
  clobbered: { key: 'config/clobbered', area: 'gateway', title: 'The gateway has set a config aside' },
  mode: { key: 'config/mode', area: 'gateway', title: "The gateway's config has the wrong permissions" },
  owner: { key: 'config/owner', area: 'gateway', title: "Files of the gateway's state belong to others" },
  auth: { key: 'config/auth', area: 'gateway', title: 'Old credential files break all model calls' },
  version: { key: 'config/version', area: 'gateway', title: 'OpenClaw is older than its state' },
} as const

/** A path as a shell takes it. */
const quoted = (path: string) => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`)
const isPlain = (path: string) => /^[\w@%+=:,. /-]+$/.test(path)

/** `config.get` and the directory at one look. */
export function createConfigLook(options: ConfigOptions): () => Promise<ConfigLook> {
  const validityOf = createValidity(options)

  async function runs(): Promise<string | undefined> {
    try {
      return await options.version()
    } catch (error) {
      if (error instanceof OpsError) return undefined
      throw error
    }
  }

  return async () => {
    const look = await options.stateDir.look()
    if (look.state === 'unseen' && look.path === undefined) return look
    const version = await runs()
    if (look.state === 'unseen')
      return { ...look, validity: await validityOf(`${Math.floor(options.now() / BLIND_MS)}`, version) }
    const { seen } = look
    const validity: Validity = seen.config
      ? await validityOf(seen.config.hash, version)
      : { state: 'unknown', why: 'There is no openclaw.json.' }
    return { state: 'seen', seen, validity, ...(version && { version }) }
  }
}

function validSeen(validity: Validity): Observation {
  const self = SUBJECTS.valid
  if (validity.state === 'unknown') return { ...self, verdict: 'unknown', why: validity.why }
  if (validity.state === 'valid') return { ...self, verdict: 'ok', why: 'The gateway finds it valid.' }
  const [first = 'It gives no reason.', ...more] = validity.issues
  return {
    ...{ ...self, verdict: 'bad', why: more.length > 0 ? `${first} And ${more.length} more.` : first },
    mend: 'It keeps running on the config before; a restart would end in a crash loop. /config shows what changed.',
    actions: ACTIONS,
  }
}

/** One that was there and is gone is no smaller matter than one that is refused. */
function missingSeen(hadOne: boolean): Observation {
  if (!hadOne)
    return { ...SUBJECTS.valid, verdict: 'absent', why: 'There is none: the gateway runs on its defaults.' }
  return {
    ...{ ...SUBJECTS.valid, verdict: 'bad', why: 'openclaw.json is gone.' },
    mend: 'Put it back before the next restart: the gateway keeps earlier ones beside it, as openclaw.json.bak.',
    actions: ACTIONS,
  }
}

function clobberedSeen({ clobbered }: SeenStateDir, now: number): Observation {
  const recent = clobbered.filter(({ at }) => now - at < RECENT_MS)
  const [newest] = recent
  if (!newest) return { ...SUBJECTS.clobbered, verdict: 'ok', why: 'None within a week.' }
  const more = recent.length > 1 ? ` It is the last of ${recent.length} within a week.` : ''
  return {
    ...SUBJECTS.clobbered,
    verdict: 'warn',
    why: `${ago(Math.max(0, now - newest.at))} it found openclaw.json damaged or refused it, and put an earlier one back.${more}`,
    mend: `What was lost is in ${newest.name}: put in again what is missed, then move that file away.`,
    actions: ACTIONS,
  }
}

function modeSeen({ config }: SeenStateDir): Observation {
  if (!config) return { ...SUBJECTS.mode, verdict: 'absent', why: 'There is no openclaw.json.' }
  const { mode, path } = config
  const octal = mode.toString(8).padStart(3, '0')
  if (mode === 0o600) return { ...SUBJECTS.mode, verdict: 'ok', why: 'Its mode is 600.' }
  return {
    ...{
      ...SUBJECTS.mode,
      verdict: 'warn',
      why: `Its mode is ${octal} instead of 600, and it holds secrets.`,
    },
    mend: `Run on this host: chmod 600 ${quoted(path)}`,
  }
}

function ownerSeen({ path, owner }: SeenStateDir): Observation {
  const { uid, gid, strangers, complete } = owner
  const [first] = strangers
  if (first === undefined) {
    const how = complete ? 'All of them belong' : 'The first 2,000 of them belong'
    return { ...SUBJECTS.owner, verdict: 'ok', why: `${how} to user ${uid}.` }
  }
  const named = strangers.slice(0, NAMED).filter(isPlain)
  const few = strangers.length === named.length
  const names = named.length > 0 ? `: ${named.join(', ')}${few ? '' : ' …'}` : ''
  const target = few ? named.map((each) => quoted(join(path, each))).join(' ') : quoted(path)
  return {
    ...SUBJECTS.owner,
    verdict: 'warn',
    why: `${plural(strangers.length, 'file')} not owned by user ${uid}${names}. The gateway may not be able to write there.`,
    mend: `Run on this host: chown ${few ? '-h' : '-hR'} ${uid}:${gid} ${target}`,
  }
}

function authSeen({ auth: { legacy, sqlite } }: SeenStateDir): Observation {
  if (legacy.length === 0) return { ...SUBJECTS.auth, verdict: 'ok', why: 'There are none.' }
  if (!sqlite) return { ...SUBJECTS.auth, verdict: 'ok', why: 'This version keeps its credentials in them.' }
  const more = legacy.length > NAMED ? ` and ${legacy.length - NAMED} more` : ''
  return {
    ...{ ...SUBJECTS.auth, verdict: 'bad', proof: true },
    why: `The gateway keeps credentials in SQLite, and no agent can use a model while these are there: ${legacy.slice(0, NAMED).join(', ')}${more}.`,
    mend: 'Stop the gateway, run `openclaw doctor --fix --non-interactive` once on the same state directory (in a one-off container), and start the gateway. It refuses while the gateway runs; deleting the files does not help.',
  }
}

function versionSeen({ config }: SeenStateDir, version: string | undefined): Observation {
  const touched = config?.touchedBy === undefined ? undefined : versionIn(config.touchedBy)
  const running = version === undefined ? undefined : versionIn(version)
  if (!touched)
    return { ...SUBJECTS.version, verdict: 'absent', why: 'Its config does not say who wrote it.' }
  if (!running) return { ...SUBJECTS.version, verdict: 'unknown', why: 'It is not known which version runs.' }
  if (compareVersions(touched, running) <= 0)
    return {
      ...SUBJECTS.version,
      verdict: 'ok',
      why: `${running} runs, its config was written by ${touched}.`,
    }
  return {
    ...SUBJECTS.version,
    verdict: 'bad',
    why: `${running} runs, and ${touched} has written its state: the older one does not understand it.`,
    mend: `Go back to ${touched} or newer, or restore a backup that was made with ${running}.`,
  }
}

/** All that a look tells. @param hadOne there was a config that the gateway ran well with. */
export function observationsOf(look: ConfigLook, hadOne: boolean, now: number): Observation[] {
  if (look.state === 'unseen') {
    const unseen = Object.values(SUBJECTS).map(
      (self): Observation => ({ ...self, verdict: 'unknown', why: look.why }),
    )
    return look.validity ? [validSeen(look.validity), ...unseen.slice(1)] : unseen
  }
  const { seen, validity, version } = look
  const [hidden] = seen.unread
  /** What is well as far as it was seen is not well. */
  const asFarAsSeen = (each: Observation): Observation =>
    each.verdict === 'ok' && hidden !== undefined ? { ...each, verdict: 'unknown', why: hidden } : each
  return [
    seen.config ? validSeen(validity) : missingSeen(hadOne),
    asFarAsSeen(clobberedSeen(seen, now)),
    modeSeen(seen),
    asFarAsSeen(ownerSeen(seen)),
    asFarAsSeen(authSeen(seen)),
    versionSeen(seen, version),
  ]
}

export function configChecks(options: ConfigCheckOptions): Check[] {
  const { good, readySince, now } = options
  const lookOnce = createConfigLook(options)
  let everSeen = false
  return [
    {
      name: 'config',
      every: 2,
      deadlineMs: 30_000,
      async look() {
        const look = await lookOnce()
        // Where no gateway is and none was, there is nothing to be blind to.
        if (look.state === 'unseen' && look.path === undefined && !everSeen) return []
        everSeen = true
        const config = look.state === 'seen' ? look.seen.config : undefined
        // A gateway that refuses it goes on with the one before.
        if (config?.flat)
          good.note(
            { hash: config.hash, flat: config.flat },
            look.validity?.state === 'valid' ? readySince() : undefined,
          )
        return observationsOf(look, good.good() !== undefined, now())
      },
    },
  ]
}
