// Who waits besides devices, as each version has it: nodes for their second stage, people at the channels.

import { randomUUID } from 'node:crypto'
import type { Said } from './door.ts'
import type { Recording } from './recording.ts'

type Params = Record<string, unknown>

/** A node that has connected and asks for what it may be told to run (newer versions). */
export interface NodeAsks {
  nodeId: string
  displayName?: string
  caps: string[]
  commands: string[]
}

/** Somebody who wrote to a channel. */
export interface Writes {
  channel: string
  senderId: string
  metadata?: Record<string, unknown>
}

interface Waits {
  requestId: string
  requiredApproveScopes: string[]
}

export type WaitingRoom = ReturnType<typeof createWaitingRoom>

export function createWaitingRoom(
  { protocol, answers }: Recording,
  now: () => number,
  tell: (event: string, payload: unknown) => void,
) {
  let nodes: (Waits & NodeAsks)[] = []
  let senders: (Writes & { requestId: string; accountId: string; createdAt: string })[] = []
  const paired: object[] = []
  /** Whom agents answer at the channels. */
  const allowed: string[] = []
  let commandOwner = false

  const answerNode =
    (decision: 'approved' | 'rejected') =>
    ({ requestId }: Params, scopes: readonly string[]): Said => {
      const found = nodes.find((each) => each.requestId === requestId)
      if (!found) return 'request'
      if (found.requiredApproveScopes.some((each) => !scopes.includes(each))) return 'admin'
      nodes = nodes.filter((each) => each !== found)
      if (decision === 'approved') paired.push({ nodeId: found.nodeId, commands: found.commands })
      tell('node.pair.resolved', { requestId, nodeId: found.nodeId, decision, ts: now() })
      return { payload: { requestId, nodeId: found.nodeId } }
    }

  const methods: Record<string, (params: Params, scopes: readonly string[]) => Said> = {
    'node.pair.list': () => ({ payload: structuredClone({ pending: nodes, paired }) }),
    'node.pair.approve': answerNode('approved'),
    'node.pair.reject': answerNode('rejected'),
    'channels.pairing.list': () => ({
      payload: {
        ...(answers['channels.pairing.list'] as object),
        ...{ requests: structuredClone(senders), commandOwnerConfigured: commandOwner },
      },
    }),
    'channels.pairing.approve'({ channel, requestId }) {
      const found = senders.find((each) => each.requestId === requestId && each.channel === channel)
      if (!found) return 'sender'
      senders = senders.filter((each) => each !== found)
      allowed.push(`${channel}:${found.senderId}`)
      return {
        payload: {
          ...{ requestId, senderId: found.senderId },
          ...{ notification: 'sent', commandOwnerBootstrap: 'not-requested' },
        },
      }
    },
  }

  return {
    ...{ methods, allowed, paired },
    /** Newer versions ask for a second stage; older ones take a node as it is. */
    nodeAsks(node: NodeAsks): void {
      if (protocol < 4 || nodes.some(({ nodeId }) => nodeId === node.nodeId)) return
      const asked = {
        ...{ requestId: randomUUID(), ...node, clientId: 'node-host', clientMode: 'node', platform: 'linux' },
        ...{ requiredApproveScopes: ['operator.pairing', 'operator.admin'], ts: now() },
      }
      nodes.push(asked)
      tell('node.pair.requested', asked)
    },
    writes(sender: Writes): string {
      const requestId = randomUUID()
      const createdAt = new Date(now()).toISOString()
      senders.push({ requestId, accountId: 'default', createdAt, ...sender })
      return requestId
    },
    /** Somebody may give the gateway commands by chat already. */
    hasOwner(): void {
      commandOwner = true
    },
  }
}
