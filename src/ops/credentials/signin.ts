// One sign-in through the Claude CLI, as one deed from the CLI's start to the proof: a new token in its file.

import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, OpsError } from '../../errors.ts'
import type { Claude, ClaudeFile, SignIn } from '../claude/index.ts'
import type { Actor, Deeds } from '../deeds.ts'
import type { Audience } from '../state/cards.ts'

/** Whose login: the Claude CLI's, or the one that the sandboxes have of their own (F2-45). */
export type Which = 'cli' | 'sandbox'

/** Where to sign in, in words and as an address, and until when. */
export interface Door {
  where: string
  url: string
  /** UTC milliseconds. */
  endsAt: number
}

export type Answered =
  | { done: true; where: string /** UTC milliseconds. */; expiresAt: number }
  | {
      done: false
      /** One sentence: why that code did not do. */
      why: string
      /** Absent: the address before still holds. */
      fresh?: Door
    }

/** What waits for a code, or with the relay off for its proof alone. */
export interface Session {
  which: Which
  /** The name of who began it. */
  by: string
  /** UTC milliseconds. */
  endsAt: number
  claude: Claude
  /** Who is told of an end that nobody asked for. */
  audience: Audience
  /** Absent while the CLI starts, and with the relay off. */
  signIn?: SignIn
  /** A code is being handed over. */
  busy: boolean
  /** Aborts when nothing is waited for any more. */
  over: AbortController
  /** Resolves when a new token is seen; rejects with how it ended instead. */
  end: PromiseWithResolvers<void>
  /** Resolves when the deed has ended and its resource is free. */
  closed: Promise<unknown>
}

export interface SignInsOptions {
  deeds: Pick<Deeds, 'perform'>
  now: () => number
  /** Called when the CLI waits for its code, and when all is over. */
  onOpen(session: Session): void
  onClose(session: Session): void
  /** Between two looks at the file. Milliseconds. */
  lookEveryMs: number
}

export const OPEN_MS = 15 * 60_000
export const NOTHING_WAITS = 'No sign-in waits for a code. /reauth begins one.'
const FOREIGN = 'That code belongs to another sign-in: it was not used.'
/** The CLI writes its file before it ends; a mount may show it a moment later. */
const PROOF_LOOKS = 5

/** When the token of a file ends, where it is another one than before and still good. UTC milliseconds. */
export function provenBy(before: ClaudeFile, after: ClaudeFile, now: number): number | undefined {
  const { state, hash, expiresAt } = after
  if (state !== 'ok' || !hash || !expiresAt || expiresAt <= now || hash === before.hash) return undefined
  return expiresAt
}

export function createSignIns({ deeds, now, onOpen, onClose, lookEveryMs }: SignInsOptions) {
  const doorOf = ({ claude, endsAt }: Session, { url }: SignIn): Door => ({
    where: claude.where,
    url,
    endsAt,
  })

  function checkOpen({ over }: Session): void {
    if (over.signal.aborted) throw new OpsError(NOTHING_WAITS)
  }

  /** Starts the CLI. What was over before it stood is not left running. */
  async function startCli(session: Session): Promise<SignIn> {
    checkOpen(session)
    const signIn = await session.claude.signIn()
    session.signIn = signIn
    if (session.over.signal.aborted) await signIn.cancel()
    checkOpen(session)
    return signIn
  }

  async function carryOut(session: Session, stopping: AbortSignal, begun: (signIn: SignIn) => void) {
    const halt = () => session.end.reject(new OpsError('opsbot was stopped.'))
    stopping.addEventListener('abort', halt, { once: true })
    try {
      begun(await startCli(session))
      onOpen(session)
      await session.end.promise
    } finally {
      stopping.removeEventListener('abort', halt)
      onClose(session)
      await session.signIn?.cancel()
    }
  }

  /** Another process of the CLI, and another address: the one before takes no more codes. */
  async function renew(session: Session, why: string): Promise<Answered> {
    await session.signIn?.cancel()
    try {
      const signIn = await startCli(session)
      session.endsAt = now() + OPEN_MS
      return { done: false, why, fresh: doorOf(session, signIn) }
    } catch (error) {
      session.end.reject(error)
      throw new OpsError(`${why}\n${messageOf(error)}`, { cause: error })
    }
  }

  async function prove(session: Session, before: ClaudeFile): Promise<Answered> {
    const { claude, end, closed } = session
    let after = await claude.file()
    for (let looks = 1; !provenBy(before, after, now()) && looks < PROOF_LOOKS; looks += 1) {
      await sleep(lookEveryMs)
      after = await claude.file()
    }
    const expiresAt = provenBy(before, after, now())
    if (expiresAt === undefined)
      return await renew(
        session,
        `The CLI says that it worked, but no new token is there. ${after.why ?? ''}`.trim(),
      )
    end.resolve()
    // Whatever follows from it needs the credentials for itself.
    await closed
    return { done: true, where: claude.where, expiresAt }
  }

  return {
    doorOf,
    /** Starts the CLI's sign-in. @throws OpsError when it may not be done now, or the CLI cannot do it. */
    async open(session: Session, actor: Actor): Promise<Door> {
      const begun = Promise.withResolvers<SignIn>()
      const { done } = deeds.perform(
        {
          name: 'reauth',
          detail: `${session.which}, ${session.claude.where}`,
          danger: 'disruptive',
          resource: 'reauth',
          run: (stopping) => carryOut(session, stopping, begun.resolve),
        },
        actor,
      )
      session.closed = done.catch(begun.reject)
      return doorOf(session, await begun.promise)
    },
    /** Hands a code over. The CLI does not compare its state (claude-cli.md §3a), so that is done here. */
    async answer(session: Session, signIn: SignIn, code: string): Promise<Answered> {
      if (code.includes('#') && !signIn.matches(code)) return await renew(session, FOREIGN)
      const before = await session.claude.file()
      const said = await signIn.answer(code)
      if (said.done) return await prove(session, before)
      return said.again ? { done: false, why: said.why } : await renew(session, said.why)
    },
  }
}
