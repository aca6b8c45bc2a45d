// How the gateway stands, from what its link and its `/readyz` say: pure.

/** What the gateway answers on `/readyz`, or that it answers at all. */
export interface Ready {
  /** Whether anything answers HTTP there. */
  answers: boolean
  /** It takes connections and answers none of them. */
  stuck?: boolean
  /** Only newer gateways say it, as JSON: older ones answer with the page of the Control UI (openclaw.md §2). */
  ready?: boolean
  failing?: string[]
  suppressed?: string[]
  uptimeMs?: number
  eventLoop?: { degraded?: boolean; reasons?: string[]; delayP99Ms?: number }
  status?: number
  error?: string
}

/** A restart or an end that the gateway itself told of. */
export interface Announced {
  reason: string
  /** Set when it means to come back. Milliseconds. */
  restartExpectedMs: number | null
  /** UTC milliseconds. */
  at: number
}

export interface OpenLink {
  state: 'open'
  since: number
  protocol: number
  /** Older ones do not say it. */
  version?: string
  methods: string[]
  scopes?: string[]
  /** How long the gateway had run when the line was opened. Milliseconds. */
  uptimeMs?: number
}

export interface ShutLink {
  state: 'shut'
  since: number
  /** `NOT_RUNNING`, `NO_NODE`, `ENGINE`, `DOWN`, `CLOSED`, or the gateway's own code. */
  code: string
  why: string
  /** When it was last found so. UTC milliseconds. */
  seenAt: number
  announced?: Announced
}

export type LinkState = OpenLink | ShutLink

export interface Standing {
  /** `unknown`: it cannot be seen from inside, and something else says why. */
  state: 'ready' | 'not ready' | 'starting' | 'restarting' | 'unknown'
  why: string
}

/** So long may its process take until it listens: newer ones needed 12 s on two cores (measured), a migration more. */
const START_MS = 120_000
/** A restart that it told of takes 4 to 12 s (measured). */
const RESTART_MS = 90_000

/** Nobody listens on its port. */
const UNREACHED = ['DOWN', 'SILENT', 'NONSENSE']
/** It takes no line yet, and says so (2026.9.6). */
const STARTING = 'UNAVAILABLE'
/** There is no seeing inside, and that is no fault of the gateway's. */
const BLIND = ['NOT_RUNNING', 'NO_NODE', 'ENGINE', 'BROKEN', 'CLOSED']

/** What it names as failing until it has started (2026.9.6). */
const isStartup = (name: string) => name.startsWith('startup')
/** What it names as failing from the moment that it is to restart or to end: its agents have up to 315 s (2026.9.6). */
const DRAINING = 'gateway-draining'

export function standingOf(seen: {
  link: LinkState
  ready: Ready | undefined
  /** When the gateway's container, or its process, was started. */
  startedAt: number | undefined
  now: number
}): Standing {
  const { link, ready, startedAt = Number.NEGATIVE_INFINITY, now } = seen
  const shut = link.state === 'shut'
  if (shut && BLIND.includes(link.code)) return { state: 'unknown', why: link.why }
  const young = now - startedAt < START_MS
  const announced =
    shut && link.announced && now - link.announced.at < RESTART_MS ? link.announced : undefined
  // While it starts it answers nothing for seconds on a busy machine (measured).
  if (ready?.stuck && young)
    return { state: 'starting', why: 'It still starts, and has no time to answer yet.' }
  if (ready?.stuck && !announced)
    return {
      state: 'not ready',
      why: 'It takes connections and answers none of them: its event loop is stuck.',
    }
  // A line that is open is proof that it listens: HTTP is looked at twice a second, and may be known from before.
  // One that HTTP refuses looks like one that nobody takes, and one line of nonsense is no proof against HTTP.
  const heard = ready?.answers && (ready.error !== undefined || (shut && link.code === 'NONSENSE'))
  if (shut && (ready?.answers === false || (UNREACHED.includes(link.code) && !heard))) {
    if (announced) return { state: 'restarting', why: `It said that it restarts (${announced.reason}).` }
    if (young) return { state: 'starting', why: 'It does not listen yet.' }
    return { state: 'not ready', why: link.why }
  }
  const failing = ready?.failing ?? []
  if (shut && link.code === STARTING)
    return young || now - link.since < START_MS
      ? { state: 'starting', why: 'It has only just begun.' }
      : { state: 'not ready', why: `For ${START_MS / 60_000} min it has said that it only just begins.` }
  if (ready?.ready === false && (ready.uptimeMs ?? START_MS) < START_MS && failing.every(isStartup))
    return { state: 'starting', why: `It still starts: ${failing.join(', ')}.` }
  if (ready?.ready === false && failing.includes(DRAINING))
    return { state: 'restarting', why: 'It takes nothing new and lets its agents finish.' }
  if (ready?.ready === false)
    return {
      state: 'not ready',
      why: `It says that these fail: ${failing.join(', ') || 'nothing by name'}.`,
    }
  if (ready?.answers || link.state === 'open') return { state: 'ready', why: 'It answers.' }
  return { state: 'unknown', why: 'It was not asked yet.' }
}

/** What to do about a line that the gateway does not let us have, by its code. */
const REFUSALS: Record<string, { why: string; mend: string }> = {
  AUTH_TOKEN_MISMATCH: {
    why: 'It refuses the token of its own environment and config: it was started with another one.',
    mend: '/recreate starts it with the present one. If that does not help, its command line or entrypoint sets another: take it out there.',
  },
  AUTH_TOKEN_MISSING: {
    why: 'It wants a token, and neither its environment nor its config has one that we may read.',
    mend: 'Set OPENCLAW_GATEWAY_TOKEN in its .env, then /recreate.',
  },
  AUTH_RATE_LIMITED: {
    why: 'It has locked us out for some minutes after wrong tokens.',
    mend: 'It ends by itself.',
  },
  PAIRING_REQUIRED: {
    why: 'It wants to be asked first whether opsbot may come in.',
    mend: 'Approve opsbot once: `openclaw devices list`, then `openclaw devices approve <id>` in its container.',
  },
  PROTOCOL_MISMATCH: { why: 'It speaks a protocol that opsbot does not know.', mend: 'Update opsbot.' },
  NO_NODE: {
    why: 'There is no Node in its container.',
    mend: 'Is it the gateway? Set OPENCLAW_GATEWAY_CONTAINER.',
  },
}

const PROXY = {
  why: 'It refuses what comes from our address, because gateway.trustedProxies names that (proxy_attribution_required).',
  mend: 'Take that address out of gateway.trustedProxies, or set OPENCLAW_GATEWAY_URL to its loopback: ws://127.0.0.1:18789.',
}

/** Why there is no line though the gateway answers, and what to do about it; undefined when that is not so. */
export function refusalOf(
  link: LinkState,
  ready: Ready | undefined,
): { why: string; mend?: string } | undefined {
  if (link.state === 'open') return undefined
  if (ready?.error === 'proxy_attribution_required') return PROXY
  const known = Object.hasOwn(REFUSALS, link.code) ? REFUSALS[link.code] : undefined
  if (known) return known
  // Between two looks at it, or while it starts: how it stands is told otherwise.
  const refuses = link.code !== STARTING && (link.code !== 'DOWN' || ready?.error !== undefined)
  if (ready?.answers !== true || BLIND.includes(link.code) || !refuses) return undefined
  return { why: `It answers HTTP, and refuses the line: ${link.why} (${link.code})` }
}
