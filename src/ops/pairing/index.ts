// Device pairing: what asks to be let in, approved exactly as it was shown or not at all.

import { messageOf, OpsError } from '../../errors.ts'
import { type Gateway, GatewayError } from '../gateway/index.ts'
import type { EventName } from '../gateway/methods.ts'
import { type BookOptions, createBook, type Listed } from './book.ts'
import { beyond, type Device, deviceOf, type PairingRequest, requestOf, withImplied } from './devices.ts'
import { keyOf } from './reconcile.ts'
import { createReturns, type Waits } from './returns.ts'
import { harmless, scopeWords } from './words.ts'

export { STORM } from './book.ts'

export interface PairingOptions extends Omit<BookOptions, 'onApproved'> {
  gateway: Pick<Gateway, 'ask' | 'call' | 'cli' | 'link'>
  memory: BookOptions['memory'] & { waits: { get(): Waits; set(waits: Waits): void } }
  /** Our own device at the gateway, by its short id. */
  ownDevice: () => Promise<string>
  /** What the gateway's log says since a moment. UTC milliseconds. */
  logSince: (at: number) => Promise<string>
}

const KEPT = 200
const CLI_MS = 30_000
/** After these nobody knows whether the gateway did what it was asked. */
const IN_DOUBT = ['LATE', 'CLOSED', 'SHAPE']

export type Pairing = ReturnType<typeof createPairing>

export function createPairing(options: PairingOptions) {
  const { gateway, cards, memory, now, logSince } = options
  const returns = createReturns({ gateway, cards, waits: memory.waits, logSince, now })
  const book = createBook({ ...options, onApproved: returns.expect })
  /** What the gateway said of requests that are over, and what we did with them, by their id. */
  const decided = new Map<string, string>()
  const answered = new Map<string, string>()
  let last: Promise<unknown> = Promise.resolve()

  /** One after the other: no answer is given while a listing is being put on cards. */
  function serially<T>(work: () => Promise<T>): Promise<T> {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }

  function keep(map: Map<string, string>, key: string, value: string): void {
    map.set(key, value)
    const [oldest] = map.keys()
    if (map.size > KEPT && oldest !== undefined) map.delete(oldest)
  }

  async function list(): Promise<Listed> {
    const { value, source, at } = await gateway.ask('device.pair.list')
    const pending = value.pending.map((each) => requestOf(each, value.paired))
    return { pending, paired: value.paired.map(deviceOf), source, at }
  }

  async function look(): Promise<Listed> {
    const listed = await list()
    const own = await options.ownDevice()
    const ours = listed.paired.filter(({ device }) => device === own)
    const expected = new Map([
      ...[...returns.shown(), ...book.shown()],
      ...ours.map(({ device, scopes }) => [device, scopes] as const),
    ])
    const before = memory.asked.get()
    book.enter(listed, decided)
    for (const [key, { requestId }] of Object.entries(memory.asked.get()))
      if (before[key] && before[key].requestId !== requestId)
        keep(answered, before[key].requestId, 'replaced by another one: its card shows it as it is')
    book.tellStrangers(listed.paired, expected)
    await returns.look(listed.paired)
    return listed
  }

  /**
   * The request that is meant, as the gateway has it this moment: by its id or its device's, or, when it was replaced
   * by one that asks for just the same, by its print.
   * @throws OpsError when it is over.
   */
  function find({ pending }: Listed, word: string, print?: string): PairingRequest {
    const living = pending.filter(({ endsAt }) => endsAt > now())
    const named = living.filter((each) => each.requestId.startsWith(word) || each.device.startsWith(word))
    const fits = named.length > 0 ? named : living.filter((each) => each.print === print)
    const [found, another] = fits
    if (another) throw new OpsError(`Several requests begin with ${word}: write more of it.`)
    if (found) return found
    const [, how] = [...answered].find(([id]) => id.startsWith(word)) ?? []
    throw new OpsError(
      how
        ? `It was ${how}.`
        : 'That request is over: it was answered elsewhere, or it ran out. Reload the page to ask again.',
    )
  }

  /** Over the link, else by the CLI: always with the exact id, for older ones approve the newest without one. */
  async function decide(verb: 'approve' | 'reject' | 'remove', id: string): Promise<void> {
    if (gateway.link().state === 'open') {
      await gateway.call(`device.pair.${verb}`, verb === 'remove' ? { deviceId: id } : { requestId: id })
      return
    }
    const cli = await gateway.cli()
    if (!cli) throw new OpsError('The gateway does not run.')
    await cli.json(['devices', verb, id, '--json'], { timeoutMs: CLI_MS })
  }

  /** Whether a request that was answered is over, where its answer was lost on the way. */
  async function isDone({ requestId, device, askedAt }: PairingRequest, error: unknown): Promise<boolean> {
    if (!(error instanceof GatewayError) || !IN_DOUBT.includes(error.code)) return false
    const { pending, paired } = await list()
    const approved = paired.some((each) => each.device === device && (each.approvedAt ?? 0) >= askedAt)
    return approved && !pending.some((each) => each.requestId === requestId)
  }

  function explain(cause: unknown): never {
    const said = messageOf(cause)
    // The second is what who is no admin is told of a node, and of a request that is over: it was there a moment ago.
    if (/missing scope|approval denied/i.test(said))
      throw new OpsError(
        `The gateway does not let opsbot do this: ${said}. It wants operator.admin of whoever approves a Control UI or a node.`,
        { cause },
      )
    if (/unknown requestId|No pending device request/i.test(said))
      throw new OpsError('It was too late: in this moment the request was answered elsewhere or ran out.', {
        cause,
      })
    throw cause
  }

  /** What was granted must not be more than what was shown: a client may ask for more under the same id. */
  async function verify(
    request: PairingRequest,
    rolesBefore: readonly string[],
  ): Promise<string | undefined> {
    const device = (await list()).paired.find((each) => each.device === request.device)
    if (!device) return undefined
    const roles = device.roles.filter((each) => ![...request.roles, ...rolesBefore].includes(each))
    const scopes = beyond(device.scopes, [...request.scopes, ...(request.has ?? [])])
    if (roles.length + scopes.length === 0) return undefined
    const what = [...scopeWords(scopes), ...roles.map((each) => `the role ${harmless(each)}`)].join('; ')
    const said = `In that very moment it asked for more (${what}).`
    try {
      await decide('remove', device.deviceId)
    } catch (cause) {
      throw new OpsError(
        `${said} It has that now, for it could not be removed: ${messageOf(cause)}\nRemove it at once: /device remove ${request.device}`,
        { cause },
      )
    }
    return `${said} It was removed again: nothing is granted.`
  }

  async function approve(requestId: string, print: string, by: string): Promise<PairingRequest> {
    const listed = await look()
    const request = find(listed, requestId, print)
    if (request.print !== print)
      throw new OpsError(
        'It asks for something else than was shown: nothing was approved. Its card shows it as it is now.',
      )
    const rolesBefore = listed.paired.find(({ device }) => device === request.device)?.roles ?? []
    await decide('approve', request.requestId).catch(async (error) => {
      if (!(await isDone(request, error))) explain(error)
    })
    // A button may still have the id that this one replaced.
    for (const id of [requestId, request.requestId]) keep(answered, id, `approved by ${by}`)
    let tooMuch: string | undefined
    try {
      tooMuch = await verify(request, rolesBefore)
    } catch (error) {
      // It is in; the next look tells of it if it may do more than its card shows.
      book.settle(keyOf(request), { state: 'approved', by })
      throw error
    }
    if (tooMuch) {
      book.settle(keyOf(request), { state: 'rejected', by, absent: tooMuch })
      throw new OpsError(tooMuch)
    }
    const scopes = withImplied([...request.scopes, ...(request.has ?? [])])
    memory.paired.set({ ...memory.paired.get(), [request.device]: scopes })
    book.settle(keyOf(request), { state: 'approved', by })
    return request
  }

  /** Turns all away that ask now: one listing is enough for it. @returns how many. */
  async function rejectAll(by: string): Promise<number> {
    const living = (await look()).pending.filter(({ endsAt }) => endsAt > now())
    let done = 0
    let refused: unknown
    for (const request of living) {
      try {
        await decide('reject', request.requestId)
      } catch (error) {
        refused = error
        continue
      }
      done += 1
      keep(answered, request.requestId, `rejected by ${by}`)
      book.settle(keyOf(request), { state: 'rejected', by })
    }
    if (done === 0 && refused) explain(refused)
    return done
  }

  async function reject(word: string, by: string): Promise<PairingRequest> {
    const request = find(await look(), word)
    await decide('reject', request.requestId).catch(explain)
    for (const id of [word, request.requestId]) keep(answered, id, `rejected by ${by}`)
    book.settle(keyOf(request), { state: 'rejected', by })
    return request
  }

  return {
    /** What asks and what is paired, without touching any card. @throws OpsError when the gateway cannot be asked. */
    list,
    /** Puts what the gateway has on cards. @throws OpsError */
    look: () => serially(look),
    arrived: book.arrived,
    /** When to look again without an event: a request dies, an approved device may be back. UTC milliseconds. */
    nextLook: () => returns.nextLook(book.nextEnd()),
    mute: book.mute,
    muted: book.muted,
    /** Takes an event of the link. @returns whether it is worth a look. */
    note(event: EventName, payload: unknown): boolean {
      if (event === 'presence') return returns.shown().length > 0
      const { requestId, decision } = (payload ?? {}) as { requestId?: string; decision?: string }
      if (event === 'device.pair.resolved' && requestId && decision) keep(decided, requestId, decision)
      return event.startsWith('device.pair.')
    },
    /** The request that is meant by the beginning of its id or its device's, read now. @throws OpsError */
    find: (word: string, print?: string) => serially(async () => find(await look(), word, print)),
    /**
     * Approves what was shown, if the gateway still has just that.
     * @param print of the request as it was shown.
     * @throws OpsError when it changed, is over, or the gateway refuses.
     */
    approve: (requestId: string, print: string, by: string) => serially(() => approve(requestId, print, by)),
    /** @throws OpsError when it is over, or the gateway refuses. */
    reject: (word: string, by: string) => serially(() => reject(word, by)),
    /** @returns how many were turned away. @throws OpsError when none of them could be. */
    rejectAll: (by: string) => serially(() => rejectAll(by)),
    /** The paired device that is meant by the beginning of its id. @throws OpsError */
    async device(word: string): Promise<Device> {
      const [found, another] = (await list()).paired.filter(({ deviceId }) => deviceId.startsWith(word))
      if (!found) throw new OpsError(`No paired device begins with ${word}: /devices lists them.`)
      if (another) throw new OpsError(`Several devices begin with ${word}: write more of it.`)
      return found
    },
  }
}
