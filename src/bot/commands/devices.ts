// Devices: /devices, /device, /approve, /reject.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { Ops } from '../../ops/index.ts'
import { type Device, isGrave, type PairingRequest } from '../../ops/pairing/devices.ts'
import { scopeWords } from '../../ops/pairing/words.ts'
import { ago, plural } from '../../ops/words.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command, type Plan } from '../command.ts'
import type { Button, Page, Text } from '../page.ts'
import { requestLines, scopeLines, scopeNames } from '../requests.ts'

type DeviceOps = Pick<Ops, 'pairing' | 'deeds' | 'refusedOrigins'>

/** What a button may carry: whatever else a gateway calls a role is only shown. */
const isRole = (word: string) => /^[a-z]{2,20}$/.test(word)

/** How a device or its request is named. */
export const deviceWord = z
  .string()
  .regex(/^[\w-]{4,64}$/, 'must be the beginning of its id')
  .describe('the beginning of its id, as /devices shows it')
function deviceLine({ device, name, connected, lastSeenAt, scopes }: Device, now: number): Text {
  const seen = connected ? 'connected' : lastSeenAt ? `last seen ${ago(now - lastSeenAt)}` : 'not seen yet'
  const most = scopeWords(scopes)[0]?.split(':')[0] ?? 'no scopes'
  return [{ code: device }, ' ', { bold: name }, `, ${most}, ${seen}`]
}

function devicePage(device: Device, clock: Clock, now: number): Page {
  const {
    device: id,
    name,
    platform,
    client,
    address,
    roles,
    scopes,
    via,
    approvedAt,
    connected,
    lastSeenAt,
  } = device
  const from = [client, platform, address].filter(Boolean).join(', ')
  return {
    mark: 'info',
    title: name,
    lines: [
      ['Device ', { code: id }, from ? `, ${from}` : ''],
      ...scopeLines(scopes),
      connected
        ? 'Connected now'
        : lastSeenAt
          ? `Last seen ${ago(now - lastSeenAt)}`
          : 'Not seen since it was paired',
    ],
    details: [
      ...(approvedAt ? [`Paired at ${clock.at(approvedAt)}${via ? `, by ${via}` : ''}`] : []),
      `Roles: ${scopeNames(roles, 'none')}`,
    ],
    buttons: [
      [
        { label: 'Remove', run: `device remove ${id}` },
        ...roles.filter(isRole).flatMap((each): Button[] => [
          { label: `Revoke ${each}`, run: `device revoke ${id} ${each}` },
          { label: `Rotate ${each}`, run: `device rotate ${id} ${each}` },
        ]),
      ],
    ],
  }
}

export function deviceCommands(ops: DeviceOps, clock: Clock): Command[] {
  const { pairing, deeds } = ops

  async function devices(now: number): Promise<Page> {
    const { pending, paired, source } = await pairing.list()
    const living = pending.filter(({ endsAt }) => endsAt > now)
    const muted = Object.keys(pairing.muted())
    const refused = await ops.refusedOrigins()
    const asking = living.map((each): Text => {
      const quiet = muted.includes(each.device) ? ', muted' : ''
      return [
        { code: each.requestId.slice(0, 8) },
        ' ',
        { bold: each.name },
        ` asks until ${clock.at(each.endsAt)}${quiet}`,
      ]
    })
    const approve = living.slice(0, 4).map(
      (each): Button => ({
        label: `Look at ${each.requestId.slice(0, 8)}`,
        run: `device ${each.device}`,
      }),
    )
    return {
      mark: living.length > 0 ? 'question' : 'info',
      title: `${living.length > 0 ? `${plural(living.length, 'device')} waiting, ` : ''}${paired.length} paired`,
      lines: [
        ...asking,
        ...refused.map((origin) => [
          'A Control UI at ',
          { code: origin },
          ' was turned away before it could ask: its address is not in ',
          { code: 'gateway.controlUi.allowedOrigins' },
        ]),
        ...paired
          .toSorted((a, b) => (b.lastSeenAt ?? 0) - (a.lastSeenAt ?? 0))
          .map((each) => deviceLine(each, now)),
      ],
      details: [
        ...(source === 'cli' ? ['Read by the gateway’s CLI: the link is shut.'] : []),
        ...(muted.length > 0 ? [`Muted: ${muted.join(', ')}`] : []),
      ],
      buttons: [
        ...(approve.length > 0 ? [approve] : []),
        [{ label: 'Refresh', run: 'devices', inPlace: true }],
      ],
    }
  }

  /** A request that waits, else a device that is paired. */
  async function show(id: string, now: number): Promise<Page> {
    const { pending } = await pairing.list()
    const request = pending.find(
      (each) => each.endsAt > now && (each.device.startsWith(id) || each.requestId.startsWith(id)),
    )
    if (!request) return devicePage(await pairing.device(id), clock, now)
    return {
      mark: 'question',
      title: `${request.name} wants to be let in`,
      ...requestLines(request, clock),
      buttons: [
        [
          { label: 'Approve', run: `approve ${request.requestId} ${request.print}` },
          { label: 'Reject', run: `reject ${request.requestId}` },
          { label: 'Mute 1 d', run: `device mute ${request.device} 1d` },
        ],
      ],
    }
  }

  /** What is approved is what was shown: its print is what is confirmed. */
  async function planApproval({ args }: Call<{ id: string; shown?: string | undefined }>): Promise<Plan> {
    const request = await pairing.find(args.id, args.shown)
    if (args.shown !== undefined && args.shown !== request.print)
      throw new OpsError(
        'It asks for something else by now: nothing was approved.\nIts card shows it as it is; look at it and tap again.',
      )
    const page: Page = { title: `Let ${request.name} in?`, ...requestLines(request, clock) }
    const small = args.shown !== undefined && !isGrave(request)
    return { basis: request.print, page, ...(small && { atOnce: true }) }
  }

  const sentence = ({ name, device, scopes }: PairingRequest) =>
    `${name} (${device}) with ${scopeNames(scopes).replaceAll('operator.', '')}`

  async function approve(call: Call<{ id: string }>): Promise<Page> {
    const { args, person, basis = '' } = call
    const request = await pairing.find(args.id, basis)
    const deed = {
      ...{ name: 'approve device', detail: sentence(request), danger: 'disruptive' as const },
      run: () => pairing.approve(args.id, basis, person.name),
    }
    const { name } = await deeds.perform(deed, person).done
    return { mark: 'ok', title: `${name} is let in.`, brief: true }
  }

  async function reject({ args, person }: Call<{ which: string }>): Promise<Page> {
    const deed = {
      ...{ name: 'reject device', detail: args.which, danger: 'safe' as const },
      run: () =>
        args.which === 'all'
          ? pairing.rejectAll(person.name)
          : pairing.reject(args.which, person.name).then(() => 1),
    }
    const done = await deeds.perform(deed, person).done
    if (done === 0) return { mark: 'info', title: 'Nobody asks.', brief: true }
    return { mark: 'ok', title: `${plural(done, 'request')} rejected.`, brief: true }
  }

  return [
    command({
      name: 'devices',
      role: 'viewer',
      about: 'Devices that ask to be let in, and those that are paired.',
      args: z.object({}),
      run: ({ now }) => devices(now),
    }),
    command({
      name: 'device',
      role: 'viewer',
      about: 'One device: what it may do, when it was last seen.',
      args: z.object({ id: deviceWord }),
      run: ({ args, now }) => show(args.id, now),
    }),
    command({
      name: 'approve',
      role: 'operator',
      about: 'Lets a device in, exactly as it was shown.',
      danger: 'disruptive',
      args: z.object({
        id: deviceWord,
        shown: z
          .string()
          .regex(/^[0-9a-f]{12}$/, 'is put there by the button')
          .optional()
          .describe('what the button showed; leave it away when you type'),
      }),
      plan: planApproval,
      run: approve,
    }),
    command({
      name: 'reject',
      role: 'operator',
      about: 'Turns a device away that asks to be let in; “all” turns all away.',
      danger: 'safe',
      args: z.object({
        which: z
          .string()
          .regex(/^(all|[\w-]{4,64})$/, 'must be the beginning of an id, or "all"')
          .describe('the beginning of its id, or "all"'),
      }),
      run: reject,
    }),
  ]
}
