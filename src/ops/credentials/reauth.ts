// Signing in again from the chat: one sign-in at a time, 15 minutes long, and done only when a new token is seen.

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import { errorFields, type Log } from '../../log.ts'
import type { Claude, ClaudeFile } from '../claude/index.ts'
import type { Actor, Deeds } from '../deeds.ts'
import type { Audience } from '../state/cards.ts'
import { duration } from '../words.ts'
import {
  type Answered,
  createSignIns,
  type Door,
  NOTHING_WAITS,
  OPEN_MS,
  provenBy,
  type Session,
  type Which,
} from './signin.ts'

export interface Reauth {
  /** Whether codes are passed on to the CLI (`begin`); else only the proof is waited for (`awaitProof`). */
  relay: boolean
  /**
   * Starts the CLI's own sign-in; asked again by the same person it gives the same address.
   * @param audience who is told if it ends without an answer.
   * @throws OpsError when another one is open, there is no such login, or the CLI cannot do it.
   */
  begin(which: Which, actor: Actor, audience: Audience): Promise<Door>
  /** Hands a code over. @throws OpsError when nothing waits for it, or it waits for somebody else's. */
  answer(code: string, actor: Actor): Promise<Answered>
  /**
   * Waits in the background for a person to sign in on the host; how it ends is told to the audience.
   * @returns the command for them. @throws OpsError when another one is open or there is no such login.
   */
  awaitProof(
    which: Which,
    actor: Actor,
    audience: Audience,
  ): Promise<{ where: string; command: string; endsAt: number }>
  /** Ends what waits, and the CLI with it. @throws OpsError when nothing does, or a code is just being handed over. */
  cancel(actor: Actor): Promise<void>
  /** What waits, and for whom. */
  open(): Pick<Session, 'which' | 'by' | 'endsAt'> | undefined
  /** A credentials file may have changed: who waits for the proof looks at once. */
  nudge(): void
  /** Stops looking. What the CLI does ends with the deeds. */
  stop(): void
}

export interface ReauthOptions {
  claudes: Partial<Record<Which, Claude>>
  deeds: Pick<Deeds, 'perform'>
  relay: boolean
  /** A new login was seen: copies it where that is switched on, looks again at what reminded of it. */
  onProof(which: Which): Promise<void> | void
  tell(audience: Audience, notice: { title: string; lines: string[] }): void
  now: () => number
  log: Log
  /** Between two looks. Milliseconds. */
  everyMs?: number
}

const EVERY_MS = 5_000
const LOOK_MS = 200

/** Which key to set where there is no such login. */
const ABSENT: Record<Which, string> = {
  cli: 'I know of no Claude CLI: CLAUDE_MODE is off.\nSet it to host or container and restart me.',
  sandbox:
    'I know of no login of the sandboxes.\nSet CLAUDE_SANDBOX_CONFIG_DIR to its directory and restart me.',
}

/** A refresh brings another token too, but leaves the end of the login where it was (claude-cli.md §0.6). */
const sameLogin = (before: ClaudeFile, after: ClaudeFile) =>
  before.loginEndsAt !== undefined && before.loginEndsAt === after.loginEndsAt

export function createReauth(options: ReauthOptions): Reauth {
  const { claudes, deeds, relay, onProof, tell, now, log, everyMs = EVERY_MS } = options
  const signIns = createSignIns({
    ...{ deeds, now, lookEveryMs: Math.min(LOOK_MS, everyMs) },
    onOpen: (session) => watch(session),
    onClose: close,
  })
  let current: Session | undefined
  let wake = () => {}

  function close(session: Session): void {
    session.over.abort()
    if (current === session) current = undefined
  }

  /** Reserves the one place there is. */
  function reserve(which: Which, { name }: Actor, audience: Audience): Session {
    if (current)
      throw new OpsError(
        `${current.by} began a sign-in (${current.which}) that is open for another ${duration(current.endsAt - now())}.\n/reauth cancel ends it.`,
      )
    const claude = claudes[which]
    if (!claude) throw new OpsError(ABSENT[which])
    const end = Promise.withResolvers<void>()
    const closed = end.promise.catch(() => {})
    const over = new AbortController()
    current = { which, by: name, endsAt: now() + OPEN_MS, claude, busy: false, over, end, closed, audience }
    return current
  }

  const isTheirs = ({ name }: Actor, which: Which): boolean => current?.which === which && current.by === name

  /** A new login is there, whatever comes of telling the others. */
  function spread(which: Which): void {
    const follow = async () => await onProof(which)
    follow().catch((error) => log.error('a new login was not followed up', { which, ...errorFields(error) }))
  }

  function runOut(session: Session): void {
    const { claude, audience, end } = session
    end.reject(new OpsError('Nobody signed in within 15 minutes.'))
    close(session)
    tell(audience, {
      title: `The sign-in ${claude.where} has run out`,
      lines: ['No new login was seen within 15 minutes. /reauth begins again.'],
    })
  }

  /** Looks on its clock, and at once when nudged, until the session is over. */
  async function tick(session: Session, look: () => Promise<void>): Promise<void> {
    const { signal } = session.over
    while (!signal.aborted) {
      const nudged = new AbortController()
      wake = () => nudged.abort()
      const either = { signal: AbortSignal.any([nudged.signal, signal]), ref: false }
      await sleep(everyMs, undefined, either).catch(() => {})
      if (signal.aborted) return
      await look()
      if (!signal.aborted && !session.busy && now() >= session.endsAt) runOut(session)
    }
  }
  function watch(session: Session, look = async () => {}): void {
    tick(session, look).catch((error) => {
      log.error('waiting for a sign-in broke', errorFields(error))
      session.end.reject(error)
      close(session)
    })
  }

  /** Whether somebody has signed in meanwhile, on the host. */
  async function lookForProof(session: Session, before: ClaudeFile): Promise<void> {
    const after = await session.claude.file()
    const expiresAt = provenBy(before, after, now())
    if (expiresAt === undefined || sameLogin(before, after) || session.over.signal.aborted) return
    close(session)
    tell(session.audience, {
      title: `Signed in to Claude ${session.claude.where}`,
      lines: [`The new token holds for ${duration(expiresAt - now())}.`],
    })
    spread(session.which)
  }

  return {
    relay,
    async begin(which, actor, audience) {
      if (current?.signIn && isTheirs(actor, which)) return signIns.doorOf(current, current.signIn)
      const session = reserve(which, actor, audience)
      try {
        return await signIns.open(session, actor)
      } catch (error) {
        close(session)
        throw error
      }
    },
    async answer(code, { name }) {
      const session = current
      if (!session?.signIn) throw new OpsError(NOTHING_WAITS)
      if (session.by !== name) throw new OpsError(`Only ${session.by} may answer this sign-in.`)
      if (session.busy) throw new OpsError('I am still at the code before this one: wait for its answer.')
      session.busy = true
      try {
        const answered = await signIns.answer(session, session.signIn, code)
        if (answered.done) spread(session.which)
        return answered
      } finally {
        session.busy = false
      }
    },
    async awaitProof(which, actor, audience) {
      const open = isTheirs(actor, which) ? current : undefined
      const session = open ?? reserve(which, actor, audience)
      if (!open) {
        const before = await session.claude.file()
        watch(session, () => lookForProof(session, before))
      }
      const { claude, endsAt } = session
      return { where: claude.where, command: claude.signInCommand(), endsAt }
    },
    async cancel({ name }) {
      const session = current
      if (!session) throw new OpsError('No sign-in is open.')
      if (session.busy)
        throw new OpsError('A code is being handed over just now: its answer comes within a minute.')
      session.end.reject(new OpsError(`It was cancelled by ${name}.`))
      await session.closed
      close(session)
    },
    open: () => current && { which: current.which, by: current.by, endsAt: current.endsAt },
    nudge: () => wake(),
    stop: () => current?.over.abort(),
  }
}
