// People who wrote to a channel and wait to be let in, and nodes that wait for their second stage.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import { wordsOf } from '../gateway/cli.ts'
import { type Gateway, GatewayError } from '../gateway/index.ts'
import { harmless } from './words.ts'

/** Somebody who waits at a channel. */
export interface Sender {
  channel: string
  account: string
  /** What approves it: the request's id, or with older gateways the code. */
  id: string
  sender: string
  name?: string
  since?: number
}

export interface Waiting {
  senders: Sender[]
  /** Whether somebody may give the gateway commands by chat already; absent where the version does not say it. */
  commandOwner?: boolean
  source: 'link' | 'cli'
}

/** A node that is paired and asks for what it may be told to do. */
export interface WaitingNode {
  requestId: string
  name: string
  platform?: string
  address?: string
  caps: string[]
  commands: string[]
}

/** `pairing list <channel> --json` of both versions (openclaw.md §1.5). */
const cliList = z.object({
  requests: z
    .array(
      z.object({
        id: z.string(),
        code: z.string(),
        createdAt: z.string().optional(),
        meta: z.record(z.string(), z.unknown()).optional(),
      }),
    )
    .default([]),
})

const CLI_MS = 30_000

const nameIn = (meta: Record<string, unknown> | undefined) =>
  harmless(
    ['firstName', 'lastName', 'name', 'username']
      .flatMap((key) => (typeof meta?.[key] === 'string' ? [meta[key] as string] : []))
      .join(' '),
  )

function senderOf(
  channel: string,
  account: string,
  id: string,
  sender: string,
  meta?: Record<string, unknown>,
  since?: string,
): Sender {
  const name = nameIn(meta)
  const at = Date.parse(since ?? '')
  return {
    ...{ channel, account, id, sender: harmless(sender) ?? '' },
    ...(name && { name }),
    ...(at > 0 && { since: at }),
  }
}

export function createSenders({ gateway }: { gateway: Pick<Gateway, 'ask' | 'call' | 'cli'> }) {
  async function byCli(): Promise<Waiting> {
    const cli = await gateway.cli()
    if (!cli) throw new OpsError('The gateway does not run.')
    const channels = Object.keys((await gateway.ask('channels.status')).value.channelAccounts)
    const lists = channels.map(async (channel) => {
      const { requests } = cliList.parse(
        await cli.json(['pairing', 'list', channel, '--json'], { timeoutMs: CLI_MS }),
      )
      return requests.map(({ id, code, createdAt, meta }) =>
        senderOf(channel, 'default', code, id, meta, createdAt),
      )
    })
    return { senders: (await Promise.all(lists)).flat(), source: 'cli' }
  }

  async function list(): Promise<Waiting> {
    try {
      const { requests, commandOwnerConfigured } = await gateway.call('channels.pairing.list')
      const senders = requests.map((each) =>
        senderOf(each.channel, each.accountId, each.requestId, each.senderId, each.metadata, each.createdAt),
      )
      return {
        senders,
        source: 'link',
        ...(commandOwnerConfigured !== undefined && { commandOwner: commandOwnerConfigured }),
      }
    } catch (error) {
      if (error instanceof GatewayError && ['ABSENT', 'CLOSED'].includes(error.code)) return await byCli()
      throw error
    }
  }

  async function nodes(): Promise<WaitingNode[]> {
    const { pending } = (await gateway.ask('node.pair.list')).value
    return pending.map(({ requestId, nodeId, displayName, platform, remoteIp, caps, commands }) => {
      const [shown, address] = [harmless(platform), harmless(remoteIp)]
      return {
        ...{ requestId, name: harmless(displayName) ?? nodeId.slice(0, 12), caps, commands },
        ...(shown && { platform: shown }),
        ...(address && { address }),
      }
    })
  }

  return {
    list,
    nodes,
    /**
     * Lets somebody in. Over the link nobody becomes command owner by it; by the CLI of newer gateways the first one does.
     * @param word the request's id or its beginning, or the code that was sent to them.
     * @throws OpsError
     */
    async approve(channel: string, word: string): Promise<Sender | undefined> {
      const { senders, source } = await list()
      const [found, another] = senders.filter((each) => each.channel === channel && each.id.startsWith(word))
      if (another) throw new OpsError(`Several requests begin with ${word}: write more of it.`)
      if (found && source === 'link') {
        const { account: accountId, id: requestId } = found
        await gateway.call('channels.pairing.approve', { channel, accountId, requestId, notify: true })
        return found
      }
      const cli = await gateway.cli()
      if (!cli) throw new OpsError('The gateway does not run.')
      const result = await cli.run(['pairing', 'approve', channel, found?.id ?? word], { timeoutMs: CLI_MS })
      if (result.exitCode !== 0) throw new OpsError(`It was not approved: ${wordsOf(result)}`)
      return found
    },
    async answerNode(verb: 'approve' | 'reject', word: string): Promise<WaitingNode> {
      const [found, another] = (await nodes()).filter(({ requestId }) => requestId.startsWith(word))
      if (!found) throw new OpsError('No node waits under that id: /pairing lists them.')
      if (another) throw new OpsError(`Several requests begin with ${word}: write more of it.`)
      await gateway.call(`node.pair.${verb}`, { requestId: found.requestId })
      return found
    },
  }
}
