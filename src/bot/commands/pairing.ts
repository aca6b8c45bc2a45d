// Pairing at the channels, and the second stage of nodes: /pairing.

import { z } from 'zod'
import { messageOf } from '../../errors.ts'
import type { Ops } from '../../ops/index.ts'
import type { Sender, WaitingNode } from '../../ops/pairing/senders.ts'
import { plural } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command, type Plan } from '../command.ts'
import type { Button, Page, Text } from '../page.ts'

type PairingOps = Pick<Ops, 'senders' | 'deeds'>

const channel = z
  .string()
  .regex(/^[a-z][a-z0-9-]{1,31}$/, 'must be a channel such as telegram')
  .describe('telegram, whatsapp …')
const id = z
  .string()
  .regex(/^[\w:.-]{4,64}$/, 'must be the code, or the beginning of the id')
  .describe('the code that they were sent, or the beginning of the id that /pairing shows')

const BECOMES_OWNER =
  'Nobody may give the gateway commands by chat yet: newer gateways make the first one approved by code their command owner. Set commands.ownerAllowFrom first.'

function senderLine({ channel, id, sender, name, since }: Sender, clock: Clock): Text {
  const who = name ? `${name} (${sender})` : sender
  return [
    { code: id.slice(0, 12) },
    ' ',
    { bold: channel },
    ` ${who}${since ? `, since ${clock.at(since)}` : ''}`,
  ]
}

function nodeLine({ requestId, name, platform, commands }: WaitingNode): Text {
  const may = commands.length > 0 ? `, may be told to run ${commands.slice(0, 6).join(', ')}` : ''
  return [
    { code: requestId.slice(0, 8) },
    ' node ',
    { bold: name },
    `${platform ? ` (${platform})` : ''}${may}`,
  ]
}

export function pairingCommands({ senders, deeds }: PairingOps, clock: Clock): Command[] {
  async function list(): Promise<Page> {
    const [waiting, asked] = await Promise.all([senders.list(), senders.nodes().catch(messageOf)])
    const unseen = typeof asked === 'string' ? [`Whether a node waits was not seen: ${asked}`] : []
    const nodes = typeof asked === 'string' ? [] : asked
    const buttons: Button[] = [
      ...waiting.senders.slice(0, 3).map(({ channel, id, name, sender }) => ({
        label: `Let ${name ?? sender} in`.slice(0, 40),
        run: `pairing approve ${channel} ${id.slice(0, 24)}`,
      })),
      ...nodes.slice(0, 2).flatMap(({ requestId, name }) => [
        { label: `Approve ${name}`.slice(0, 40), run: `pairing node ${requestId}` },
        { label: 'Reject it', run: `pairing refuse ${requestId}` },
      ]),
    ]
    const count = waiting.senders.length + nodes.length
    return {
      mark: count > 0 ? 'question' : unseen.length > 0 ? 'unknown' : 'info',
      title: count > 0 ? `${plural(count, 'request')} to be let in` : 'Nobody waits at the channels',
      lines: [...waiting.senders.map((each) => senderLine(each, clock)), ...nodes.map(nodeLine), ...unseen],
      details: waiting.source === 'cli' ? ['Read by the gateway’s CLI.'] : [],
      buttons: [
        ...(buttons.length > 0 ? [buttons] : []),
        [{ label: 'Refresh', run: 'pairing', inPlace: true }],
      ],
    }
  }

  async function plan({ args }: Call<{ channel: string; id: string }>): Promise<Plan> {
    const { senders: all, commandOwner, source } = await senders.list()
    const found = all.find((each) => each.channel === args.channel && each.id.startsWith(args.id))
    const risky = commandOwner !== true && (source === 'cli' || !found)
    return {
      basis: found ? `${found.channel} ${found.id} ${found.sender}` : `${args.channel} ${args.id}`,
      page: {
        ...(risky && { mark: 'warn' as const }),
        title: `Let ${found ? (found.name ?? found.sender) : 'the sender of this code'} in at ${args.channel}?`,
        lines: [
          ...(found ? [senderLine(found, clock)] : []),
          'From then on the gateway’s agents answer them.',
          ...(risky ? [BECOMES_OWNER] : []),
        ],
      },
    }
  }

  async function approve({ args, person }: Call<{ channel: string; id: string }>): Promise<Page> {
    const deed = {
      ...{
        name: 'pairing approve',
        detail: `${args.channel} ${args.id.slice(0, 12)}`,
        danger: 'disruptive' as const,
      },
      run: () => senders.approve(args.channel, args.id),
    }
    const found = await deeds.perform(deed, person).done
    return {
      mark: 'ok',
      title: `${found?.name ?? found?.sender ?? 'The sender'} is let in at ${args.channel}.`,
    }
  }

  async function answerNode(
    { args, person }: Call<{ id: string }>,
    verb: 'approve' | 'reject',
  ): Promise<Page> {
    const deed = {
      ...{ name: `node ${verb}`, detail: args.id.slice(0, 12), danger: 'disruptive' as const },
      run: () => senders.answerNode(verb, args.id),
    }
    const { name } = await deeds.perform(deed, person).done
    return { mark: 'ok', title: `${name}: ${verb === 'approve' ? 'approved' : 'rejected'}.` }
  }

  return [
    command({
      name: 'pairing',
      role: 'viewer',
      about: 'People who wait to be let in at a channel, and nodes that wait for their second stage.',
      args: z.object({}),
      run: list,
    }),
    command({
      name: 'pairing approve',
      role: 'operator',
      about: 'Lets somebody in at a channel.',
      danger: 'disruptive',
      args: z.object({ channel, id }),
      plan,
      run: approve,
    }),
    command({
      name: 'pairing node',
      role: 'operator',
      about: 'Lets a paired node be told what it offers to run.',
      danger: 'disruptive',
      args: z.object({ id }),
      async plan({ args }) {
        const found = (await senders.nodes()).find(({ requestId }) => requestId.startsWith(args.id))
        const lines = found ? [nodeLine(found)] : ['No node waits under that id any more.']
        return {
          basis: found ? JSON.stringify(found) : '',
          page: { title: `Approve ${found?.name ?? 'it'}?`, lines },
          ...(!found && { blocked: true }),
        }
      },
      run: (call) => answerNode(call, 'approve'),
    }),
    command({
      name: 'pairing refuse',
      role: 'operator',
      about: 'Turns a node down.',
      danger: 'safe',
      args: z.object({ id }),
      run: (call) => answerNode(call, 'reject'),
    }),
  ]
}
