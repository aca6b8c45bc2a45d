// What became of the requests that are on cards, and which are new: one pure function from one listing to what to do.

import type { Device, PairingRequest } from './devices.ts'

/** A request that is on a card. */
export interface Known {
  cardId: number
  requestId: string
  print: string
  askedAt: number
  endsAt: number
  /** How often its client asked, as far as it was seen. */
  tries: number
}

/** Device and role → what is on a card. One device asks for one thing at a time. */
export type Asked = Record<string, Known>

export type Change =
  /** A card for it. */
  | { do: 'raise'; key: string; request: PairingRequest }
  /** Its card shows it as it now is; `anew`: it is another request, or asks for something else. */
  | { do: 'revise'; key: string; request: PairingRequest; tries: number; anew: boolean }
  /** Its card ends. */
  | { do: 'settle'; key: string; as: 'approved' | 'rejected' | 'expired' | 'gone' }

export const keyOf = ({ device, roles }: Pick<PairingRequest, 'device' | 'roles'>): string =>
  `${device}/${roles.join('+')}`

export interface Listing {
  pending: readonly PairingRequest[]
  paired: readonly Device[]
}

/** @param decided what the gateway said of a request that is over, by its id. */
export function reconcile(
  asked: Asked,
  { pending, paired }: Listing,
  decided: ReadonlyMap<string, string>,
  now: number,
): Change[] {
  // Older gateways keep dead requests in the list until the next write (openclaw.md §1.1).
  const living = pending.filter(({ endsAt }) => endsAt > now)
  const changes: Change[] = []
  // Of two requests of one device the newer counts: the last one in this order.
  const byKey = new Map(living.toSorted((a, b) => a.askedAt - b.askedAt).map((each) => [keyOf(each), each]))
  for (const [key, request] of byKey) {
    const known = asked[key]
    if (!known) changes.push({ do: 'raise', key, request })
    else {
      const anew = known.requestId !== request.requestId || known.print !== request.print
      const again = anew || known.endsAt !== request.endsAt || known.askedAt !== request.askedAt
      if (again) changes.push({ do: 'revise', key, request, tries: known.tries + 1, anew })
    }
  }
  for (const [key, known] of Object.entries(asked)) {
    if (byKey.has(key)) continue
    const decision = decided.get(known.requestId)
    const [id, roles = ''] = key.split('/')
    const device = paired.find(
      (each) => each.device === id && roles.split('+').every((role) => !role || each.roles.includes(role)),
    )
    const approved = decision === 'approved' || (device?.approvedAt ?? 0) >= known.askedAt
    const as = approved
      ? 'approved'
      : decision === 'rejected'
        ? 'rejected'
        : known.endsAt <= now
          ? 'expired'
          : 'gone'
    changes.push({ do: 'settle', key, as })
  }
  return changes
}
