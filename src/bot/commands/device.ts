// One paired device: /device mute, remove, revoke, rotate.

import { z } from 'zod'
import type { Ops } from '../../ops/index.ts'
import type { Clock } from '../clock.ts'
import { type Call, type Command, command, lengthOfTime, type Plan } from '../command.ts'
import type { Page } from '../page.ts'
import { scopeLines } from '../requests.ts'
import { deviceWord } from './devices.ts'

type DeviceOps = Pick<Ops, 'pairing' | 'gateway' | 'deeds'>

const WEEK_MS = 7 * 86_400_000
const role = z
  .string()
  .regex(/^[a-z]{2,20}$/, 'must be a role such as operator')
  .describe('the role whose token is meant: operator or node')

export function oneDeviceCommands({ pairing, gateway, deeds }: DeviceOps, clock: Clock): Command[] {
  type OnDevice = Call<{ id: string; role?: string | undefined }>

  /** A plan and a deed on one paired device. */
  const onDevice = (
    what: string,
    method: 'device.pair.remove' | 'device.token.revoke' | 'device.token.rotate',
    then: string,
  ) => ({
    async plan({ args }: OnDevice): Promise<Plan> {
      const device = await pairing.device(args.id)
      const page: Page = {
        title: `${what} ${device.name}${args.role ? ` (${args.role})` : ''}?`,
        lines: [['Device ', { code: device.device }], ...scopeLines(device.scopes), then],
      }
      return { basis: `${device.deviceId.slice(0, 16)} ${args.role ?? ''}`, page }
    },
    async run({ args, person }: OnDevice): Promise<Page> {
      const { deviceId, device, name } = await pairing.device(args.id)
      const deed = {
        ...{
          name: method,
          detail: `${name} (${device})${args.role ? ` ${args.role}` : ''}`,
          danger: 'disruptive' as const,
        },
        run: () => gateway.call(method, { deviceId, ...(args.role && { role: args.role }) }),
      }
      await deeds.perform(deed, person).done
      return { mark: 'ok', title: `${name}: done.`, lines: [then] }
    },
  })

  return [
    command({
      name: 'device mute',
      role: 'operator',
      about: 'Says nothing of the requests of one device for a while.',
      danger: 'safe',
      args: z.object({
        id: deviceWord,
        for: lengthOfTime.default(WEEK_MS).describe('30m, 8h, 7d; 7d when left out'),
      }),
      run({ args, person, now }) {
        const until = now + args.for
        const deed = {
          ...{ name: 'mute device', detail: args.id.slice(0, 12), danger: 'safe' as const },
          run: () => pairing.mute(args.id, until),
        }
        return deeds.perform(deed, person).done.then(() => ({
          mark: 'muted',
          title: `No cards about ${args.id.slice(0, 12)} until ${clock.at(until)}.`,
          brief: true,
        }))
      },
    }),
    command({
      name: 'device remove',
      role: 'operator',
      about: 'Takes a paired device out: it has to ask anew.',
      danger: 'disruptive',
      args: z.object({ id: deviceWord }),
      ...onDevice('Remove', 'device.pair.remove', 'It has to ask anew, and be approved.'),
    }),
    command({
      name: 'device revoke',
      role: 'operator',
      about: "Makes a device's token of one role worthless.",
      danger: 'disruptive',
      args: z.object({ id: deviceWord, role }),
      ...onDevice(
        'Revoke the token of',
        'device.token.revoke',
        'Its token of this role is worth nothing from then on.',
      ),
    }),
    command({
      name: 'device rotate',
      role: 'operator',
      about: "Gives a device's role a new token; the old one is worthless.",
      danger: 'disruptive',
      args: z.object({ id: deviceWord, role }),
      ...onDevice(
        'Rotate the token of',
        'device.token.rotate',
        'The new token lies with the gateway alone; the device gets it when it connects with the gateway’s own token.',
      ),
    }),
  ]
}
