// Exec approvals: what an agent asks to run, as cards; answered here, elsewhere, or not in time.

import { z } from 'zod'
import { messageOf, OpsError } from '../../errors.ts'
import { type Redact, redactAll } from '../../log.ts'
import type { Cards } from '../state/cards.ts'
import type { Gateway } from './index.ts'
import { GatewayError } from './link.ts'
import type { EventName } from './methods.ts'

export type Decision = 'allow-once' | 'allow-always' | 'deny'

/** The facts of a card of kind `approval`. */
export interface ApprovalCard {
  id: string
  command: string
  directory?: string
  agent?: string
  session?: string
  host?: string
  warning?: string
  createdAt: number
  expiresAt: number
  /** Newer gateways say which answers they take. */
  allowed?: string[]
  /** `gone`: it was answered or ran out while nobody of us looked. */
  state: 'pending' | 'answered' | 'expired' | 'gone'
  decision?: string
  by?: string
}

/** Approvals whose cards are still open, by their id at the gateway: kept beyond this process. */
export type OpenApprovals = Record<string, { cardId: number; expiresAt: number }>

export interface ApprovalsOptions {
  gateway: Pick<Gateway, 'call' | 'link'>
  cards: Pick<Cards, 'raise' | 'revise' | 'card'>
  open: { get(): OpenApprovals; set(open: OpenApprovals): void }
  /** Whether agents may ask here: older gateways tell everybody, and newer ones list for everybody (measured). */
  on: () => boolean
  /** Commits what is written in it at once, or not at all. */
  together: (work: () => void) => void
  redact: Redact
  now: () => number
}

export interface Approvals {
  /** Takes an event of the link. */
  note(event: EventName, payload: unknown): void
  /** Compares with what the gateway has, where its version can list it. */
  relist(): Promise<void>
  /** Ends the cards of those that ran out. */
  sweep(): void
  /** What waits for an answer, oldest first. */
  pending(): ApprovalCard[]
  /** Answers one. @throws OpsError when it is answered, over or unknown, or not to be answered so. */
  answer(id: string, decision: Decision, by: string): Promise<ApprovalCard>
}

const words = z.string().nullish().catch(undefined)
/** A request as both versions send it (captured). What cannot be read of the rest is left out, never the request. */
const requested = z.looseObject({
  id: z.string().regex(/^[\w-]{4,64}$/),
  createdAtMs: z.number().optional().catch(undefined),
  expiresAtMs: z.number(),
  request: z.looseObject({
    command: z.string(),
    ...{ cwd: words, agentId: words, sessionKey: words, host: words, warningText: words },
    allowedDecisions: z.array(z.string()).optional().catch(undefined),
  }),
})
/** The end of one; both versions name who answered by the name of its client. */
const resolved = z.looseObject({ id: z.string(), decision: words, resolvedBy: words })

const LONGEST_COMMAND = 1_500
/** A timer of Node's takes no more, and would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1
const cut = (text: string, length: number) => (text.length > length ? `${text.slice(0, length)} …` : text)

/** A request → the facts of its card; undefined when it is not one. */
export function approvalOf(payload: unknown): ApprovalCard | undefined {
  const parsed = requested.safeParse(payload)
  if (!parsed.success) return undefined
  const { id, createdAtMs, expiresAtMs, request } = parsed.data
  const { command, cwd, agentId, sessionKey, host, warningText, allowedDecisions } = request
  return {
    ...{ id, createdAt: createdAtMs ?? expiresAtMs, expiresAt: expiresAtMs, state: 'pending' },
    command: cut(command, LONGEST_COMMAND),
    ...(cwd && { directory: cut(cwd, 200) }),
    ...(agentId && { agent: cut(agentId, 64) }),
    ...(sessionKey && { session: cut(sessionKey, 120) }),
    ...(host && { host: cut(host, 64) }),
    ...(warningText && { warning: cut(warningText, 300) }),
    ...(allowedDecisions && { allowed: allowedDecisions }),
  }
}

export function createApprovals({
  gateway,
  cards,
  open,
  on,
  together,
  redact,
  now,
}: ApprovalsOptions): Approvals {
  const factsOf = (cardId: number) => cards.card(cardId)?.facts as ApprovalCard | undefined
  /** Who of us is answering what, and how: the gateway tells everybody before it tells us that it took it. */
  const answering = new Map<string, string>()
  /** What ended while a list was under way is on that list still. */
  let ended: string[] = []

  function settle(
    id: string,
    change: Pick<ApprovalCard, 'state'> & Partial<ApprovalCard>,
  ): ApprovalCard | undefined {
    const { [id]: entry, ...others } = open.get()
    const facts = entry && factsOf(entry.cardId)
    if (!entry) return undefined
    ended.push(id)
    const settled = facts && { ...facts, ...change }
    together(() => {
      open.set(others)
      if (settled) cards.revise(entry.cardId, settled)
    })
    return settled
  }

  function add(payload: unknown): void {
    const facts = approvalOf(payload)
    if (!on() || !facts || facts.expiresAt <= now() || open.get()[facts.id]) return
    const card = {
      kind: 'approval',
      audience: 'alerts' as const,
      facts: redactAll(facts, redact),
      ring: true,
    }
    together(() => {
      const cardId = cards.raise(card, now())
      open.set({ ...open.get(), [facts.id]: { cardId, expiresAt: facts.expiresAt } })
    })
    sweepAfter(facts.expiresAt)
  }

  const sweepAfter = (expiresAt: number) =>
    setTimeout(sweep, Math.min(expiresAt - now() + 500, LONGEST_TIMER_MS)).unref()

  function sweep(): void {
    for (const [id, { expiresAt }] of Object.entries(open.get()))
      if (expiresAt <= now()) settle(id, { state: 'expired' })
  }

  const pending = () =>
    Object.values(open.get())
      .flatMap(({ cardId }) => factsOf(cardId) ?? [])
      .sort((a, b) => a.createdAt - b.createdAt)

  return {
    note(event, payload) {
      if (event === 'exec.approval.requested') add(payload)
      if (event !== 'exec.approval.resolved') return
      const { data } = resolved.safeParse(payload)
      if (!data || !Object.hasOwn(open.get(), data.id)) return
      const { id, decision, resolvedBy } = data
      // The gateway names the bot; the card names the person. Where it names nobody, it ended the request itself.
      const by = answering.get(`${id} ${decision}`) ?? resolvedBy
      if (by) settle(id, { state: 'answered', decision: decision ?? '', by: redact(by) })
      else settle(id, { state: (open.get()[id]?.expiresAt ?? 0) <= now() ? 'expired' : 'gone' })
    },
    async relist() {
      sweep()
      // What was open when the bot was stopped has no timer any more.
      for (const { expiresAt } of Object.values(open.get())) sweepAfter(expiresAt)
      const link = gateway.link()
      if (link.state !== 'open' || !link.methods.includes('exec.approval.list')) return
      // What is asked or answered meanwhile is not known by the list.
      const before = Object.keys(open.get())
      ended = []
      const listed = await gateway.call('exec.approval.list')
      const ids = listed.map(({ id }) => id)
      const over = [...ended]
      for (const id of before) if (!ids.includes(id)) settle(id, { state: 'gone' })
      for (const each of listed) if (!over.includes(String(each.id))) add(each)
    },
    sweep,
    pending,
    async answer(word, decision, by) {
      const matches = Object.keys(open.get()).filter((each) => each.startsWith(word))
      const [id, another] = matches
      if (!id) throw new OpsError('That request is answered or over: /approvals lists what waits.')
      if (another) throw new OpsError(`Several requests begin with ${word}: write more of it.`)
      const cardId = open.get()[id]?.cardId ?? 0
      const { allowed } = factsOf(cardId) ?? {}
      if (allowed && !allowed.includes(decision))
        throw new OpsError(`The gateway takes only these answers to it: ${allowed.join(', ')}.`)
      const answer = `${id} ${decision}`
      const first = !answering.has(answer)
      if (first) answering.set(answer, by)
      try {
        await gateway.call('exec.approval.resolve', { id, decision })
      } catch (error) {
        if (!(error instanceof GatewayError) || !/approval/i.test(error.message)) throw error
        settle(id, { state: 'gone' })
        throw new OpsError(`It was too late: ${messageOf(error)}.`, { cause: error })
      } finally {
        if (first) answering.delete(answer)
      }
      const settled = settle(id, { state: 'answered', decision, by }) ?? factsOf(cardId)
      if (settled?.decision !== decision || settled.by !== by)
        throw new OpsError('It was answered in the same moment by somebody else.')
      return settled
    },
  }
}
