// Checks of the model's credentials: how near its end each is, what stands in the way of the next refresh, and what the gateway is refused.

import { OpsError } from '../../errors.ts'
import type { Claude, ClaudeFile } from '../claude/index.ts'
import type { Considered, Credential, Truth } from '../credentials/index.ts'
import type { Keeper } from '../credentials/keeper.ts'
import { LONG_MS, loginStage, type Stage, tokenStage } from '../credentials/stages.ts'
import { isRefusal } from '../gateway/credentials.ts'
import type { Standing } from '../gateway/index.ts'
import { duration, plural } from '../words.ts'
import { AREA, BUTTONS, copyingSeen, FILE, fileSeen, REFRESH, refreshSeen } from './claude.ts'
import type { Check, Observation } from './index.ts'

export interface CredentialCheckOptions {
  truth: () => Promise<Truth>
  /** Who wins now, by agent. */
  order: (truth: Truth) => { agent: string; considered: Considered[] }[]
  /** What does not agree, in sentences. */
  drift: (truth: Truth, order: ReturnType<CredentialCheckOptions['order']>) => string[]
  /** Absent with CLAUDE_MODE=off: then only what there is is watched. */
  cli?: { claude: Pick<Claude, 'where' | 'file'>; keeper: Pick<Keeper, 'saw' | 'state' | 'due'> } | undefined
  /** Setup-tokens that somebody noted: by the id of a credential, or by a name of their own. */
  registered: () => readonly { name: string; createdAt: number }[]
  /** The gateway's log since then, and since its start at the earliest; undefined when there is none to read. @throws OpsError */
  gatewayLog: (sinceMs: number) => Promise<string | undefined>
  standing: () => Standing
  /** Whether a new token is copied to the gateway. */
  sync: boolean
  /** Takes the login as it was just read. */
  onFile?: (file: ClaudeFile) => void
  /** Why the last copying of it did not work. */
  syncTrouble?: () => string | undefined
  now: () => number
}

/** More than the readers of the stores take for themselves. */
const LOOK_MS = 30_000
const REFUSED_MS = 15 * 60_000

const PREFIX = 'credential/'
const LOGIN = `${PREFIX}cli/login`
/** They are no credentials of the gateway's: whether it uses them is no question. */
const OUTSIDE = ['cli', 'sandbox']

const DRIFT = { key: 'credential/drift', area: AREA, title: 'Credentials have drifted apart' }
const UNSEEN = { key: 'credential/unseen', area: AREA, title: 'Not every credential can be seen' }
const GATEWAY = { key: 'credential/gateway', area: AREA, title: 'The model refuses the gateway' }

/** One that the gateway does not use: told of, but never urgent. What a container was made with grows old with each new token. */
function eased({ id }: Credential, { daily: _, ...stage }: Stage): Stage {
  if (id.startsWith('container')) return { verdict: 'ok', why: 'The gateway does not go by it now.' }
  return { ...stage, ...(stage.verdict === 'bad' && { verdict: 'warn' as const }) }
}

function buttonsFor({ id, kind, fault }: Credential, { stage }: Stage, sync: boolean) {
  const { fix, refresh, signIn, signInSandbox, sync: copy, tokens } = BUTTONS
  if (id === 'sandbox') return [signInSandbox, tokens]
  if (id === 'cli') return [...(stage === 'ended' ? [] : [refresh]), signIn, tokens]
  if (fault) return [fix, tokens]
  return [...(sync && kind === 'access token' ? [copy] : []), tokens]
}

const titleOf = ({ id, where }: Credential) =>
  id === 'cli' ? 'The Claude CLI’s token runs out' : `Credential in trouble: ${where}`

/** The gateway leaves it out, however long it lasts. */
function asideStage({ unusable }: Credential, now: number): Stage | undefined {
  if (!unusable) return undefined
  const { kind, reason, until } = unusable
  const end = until === undefined ? '' : ` for another ${duration(Math.max(0, until - now))}`
  return {
    ...{ stage: kind, verdict: 'warn' },
    why: `The gateway leaves it out${end}${reason ? `, because of ${reason.slice(0, 60)}` : ''}.`,
  }
}

/** What a clock says is certain; what a file says may be half-written, and a copy may be on its way. */
const isCertain = ({ fault, expiresAt }: Credential, { stage, verdict }: Stage, now: number) =>
  verdict === 'ok' ? (expiresAt ?? 0) > now : !fault && stage !== 'stale copy'

function observed(self: Pick<Observation, 'key' | 'title'>, stage: Stage, proof: boolean): Observation {
  return { ...self, ...stage, area: AREA, ...(proof && { proof }) }
}

const isBad = ({ verdict }: Observation) => verdict === 'warn' || verdict === 'bad'

/** What explains most of the rest: no login, no refresh, a login that is over, a token that was not renewed. The first counts. */
const ROOTS = [FILE.key, REFRESH.key, LOGIN, `${PREFIX}cli`]

const rootOf = (seen: readonly Observation[]) =>
  ROOTS.find((root) =>
    seen.some((one) => one.key === root && (root === LOGIN ? one.verdict === 'bad' : isBad(one))),
  )

/** A copy goes the way of the Claude CLI's token; one that stayed behind is told of as drift, as long as it works. */
function causeOf({ kind, renewedBy }: Credential, { stage, verdict }: Observation, root: string | undefined) {
  if (root && kind === 'access token' && renewedBy === undefined) return root
  return stage === 'stale copy' && verdict === 'warn' ? DRIFT.key : undefined
}

const because = (one: Observation, cause: string | undefined): Observation =>
  cause && one.key !== cause ? { ...one, because: cause } : one

export function credentialChecks(options: CredentialCheckOptions): Check[] {
  const { truth: look, order, drift, cli, registered, gatewayLog, standing, sync, now } = options
  const longLived = new Set<string>()
  let last: Observation[] = []
  /** The key of what explains that the gateway is refused. */
  let cause: string | undefined

  function isLongLived({ id, hash, expiresAt = 0, renewedBy }: Credential): boolean {
    if (renewedBy === undefined && expiresAt - now() > LONG_MS) longLived.add(`${id}/${hash}`)
    return longLived.has(`${id}/${hash}`)
  }

  function credentialSeen(each: Credential, truth: Truth, wins: boolean): Observation[] {
    const at = now()
    const key = `${PREFIX}${each.id}`
    const registeredAt = registered().find(({ name }) => name === each.id)?.createdAt
    const token = tokenStage(each, at, { truth, registeredAt, longLived: isLongLived(each) })
    const stage = (token.verdict === 'ok' && asideStage(each, at)) || token
    const refused = each.id === 'cli' && token.verdict !== 'ok' && cli?.keeper.state().refused
    const told = refused ? { ...stage, why: `${stage.why} It was not begun: ${refused}` } : stage
    const shown = wins ? told : eased(each, told)
    // The keeper may be at it just now, as after a start: a moment later it is renewed, or there is a failure to tell of.
    const waits =
      each.id === 'cli' && stage.verdict !== 'ok' && !refused && cli?.keeper.state().failures.length === 0
    // A cooldown may be over at the next look.
    const certain = stage === token && !waits && isCertain(each, stage, at)
    const login = loginStage(each, at)
    const signIn = each.id === 'sandbox' ? BUTTONS.signInSandbox : BUTTONS.signIn
    return [
      {
        ...observed({ key, title: titleOf(each) }, shown, certain),
        actions: buttonsFor(each, stage, sync),
      },
      ...(login
        ? [
            {
              ...observed({ key: `${key}/login`, title: `The login ends: ${each.where}` }, login, true),
              ...{ mend: 'Signing in anew gives it another 30 days: /reauth.', actions: [signIn] },
            },
          ]
        : []),
    ]
  }

  /** Setup-tokens that nobody but their owner knows. */
  function notedSeen({ credentials }: Truth): Observation[] {
    const noted = registered().filter(({ name }) => !credentials.some(({ id }) => id === name))
    return noted.map(({ name, createdAt }) => {
      const self = { id: name, kind: 'setup-token', provider: 'anthropic', where: name } satisfies Credential
      const stage = tokenStage(self, now(), { registeredAt: createdAt })
      return observed(
        { key: `credential/registered/${name}`, title: `Setup-token ${name} ends` },
        stage,
        true,
      )
    })
  }

  function togetherSeen(truth: Truth): [Observation, Observation] {
    const apart = drift(truth, order(truth))
    const { unseen } = truth
    // With the gateway away, that is what explains it.
    const blind = standing().state === 'ready' ? 'warn' : 'unknown'
    const actions = [...(sync ? [BUTTONS.sync] : []), BUTTONS.tokens]
    return [
      apart.length > 0
        ? { ...DRIFT, verdict: 'warn', why: apart.join(' ').slice(0, 900), actions }
        : { ...DRIFT, verdict: 'ok', why: 'Everybody has the same.' },
      unseen.length > 0
        ? { ...UNSEEN, verdict: blind, why: unseen.join(' ').slice(0, 900), actions: [BUTTONS.tokens] }
        : { ...UNSEEN, verdict: 'ok', why: 'All of them were seen.' },
    ]
  }

  async function claudeSeen(): Promise<Observation[]> {
    if (!cli) return []
    const file: ClaudeFile = await cli.claude.file()
    const { had } = cli.keeper.state()
    cli.keeper.saw(file)
    options.onFile?.(file)
    const refresh = refreshSeen(file, cli.keeper.state(), cli.keeper.due(), now())
    return [fileSeen(file, had), refresh, ...(sync ? [copyingSeen(options.syncTrouble?.())] : [])]
  }

  /** What was seen before and is not there now may only be out of sight. */
  function outOfSight({ unseen }: Truth, seen: readonly Observation[]): Observation[] {
    if (unseen.length === 0) return []
    const missed = last.filter(({ key }) => !seen.some((each) => each.key === key))
    const why = 'It cannot be seen just now.'
    return missed.map(({ proof: _, daily: __, ...each }) => ({ ...each, verdict: 'unknown' as const, why }))
  }

  function winnersIn(truth: Truth): Set<string> {
    const considered = order(truth).flatMap((each) => each.considered)
    return new Set(considered.flatMap(({ id, verdict }) => (verdict === 'wins' ? [id] : [])))
  }

  async function seeAll(): Promise<Observation[]> {
    const [claude, truth] = await Promise.all([claudeSeen(), look()])
    const winners = winnersIn(truth)
    const isUsed = ({ id, kind }: Credential) =>
      winners.size === 0 || winners.has(id) || OUTSIDE.includes(id) || kind === 'session ingress token'
    const seen = truth.credentials.map((each) => ({ each, of: credentialSeen(each, truth, isUsed(each)) }))
    const own = seen.flatMap(({ each, of }) => (each.id === 'cli' ? of : []))
    const root = rootOf([...claude, ...own])
    const copies = seen
      .filter(({ each }) => each.id !== 'cli')
      .flatMap(({ each, of }) => of.map((one) => because(one, causeOf(each, one, root))))
    const [apart, unseen] = togetherSeen(truth)
    const all = [
      ...[...claude, ...own, apart].map((one) => because(one, root)),
      ...copies,
      ...notedSeen(truth),
      unseen,
    ]
    const used = copies.find((one) => one.verdict === 'bad' && winners.has(one.key.slice(PREFIX.length)))
    cause = root ?? used?.key
    last = [...all, ...outOfSight(truth, all)]
    // What explains others comes first: they are taken into account in this order.
    return last.toSorted((a, b) => Number(b.key === root) - Number(a.key === root))
  }

  async function refusalsSeen(): Promise<Observation[]> {
    const since = Math.max(now() - REFUSED_MS, cli?.keeper.state().renewed?.at ?? 0)
    const log = await gatewayLog(since).catch((error: unknown) => {
      if (error instanceof OpsError) return undefined
      throw error
    })
    if (log === undefined) return [{ ...GATEWAY, verdict: 'unknown', why: 'Its log cannot be read.' }]
    const count = log.split('\n').filter(isRefusal).length
    if (count === 0) return [{ ...GATEWAY, verdict: 'ok', why: 'It was not refused of late.' }]
    return [
      {
        ...{ ...GATEWAY, verdict: 'bad', ...(cause && { because: cause }) },
        why: `Its log has ${plural(count, 'refusal')} (HTTP 401) in the last ${duration(now() - since)}, while the token that it should have is good.`,
        mend: 'It may run with another token than is meant (/tokens), or the login was revoked: then /reauth.',
        actions: [...(sync ? [BUTTONS.sync] : []), BUTTONS.tokens, BUTTONS.signIn],
      },
    ]
  }

  return [
    { name: 'credentials', every: 2, deadlineMs: LOOK_MS, look: seeAll },
    { name: 'refusals', every: 2, look: refusalsSeen },
  ]
}
