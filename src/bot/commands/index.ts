// Every command there is, in the order of the help.

import type { Ops } from '../../ops/index.ts'
import type { JobBoard } from '../../ops/jobs.ts'
import type { Clock } from '../clock.ts'
import type { Command } from '../command.ts'
import { alertCommands } from './alerts.ts'
import { approvalCommands } from './approvals.ts'
import { configCommands } from './config.ts'
import { containerCommands } from './containers.ts'
import { credentialCommands } from './credentials.ts'
import { oneDeviceCommands } from './device.ts'
import { deviceCommands } from './devices.ts'
import { gatewayCommands } from './gateway.ts'
import { helpCommands } from './help.ts'
import { hostCommands } from './host.ts'
import { ownCommands } from './own.ts'
import { pairingCommands } from './pairing.ts'
import { reauthCommands } from './reauth.ts'
import { runbookCommands } from './runbooks.ts'
import { sandboxCommands } from './sandboxes.ts'
import { sessionCommands } from './sessions.ts'
import { tokenCommands } from './tokens.ts'

export interface CommandParts {
  ops: Ops
  jobs: JobBoard
  clock: Clock
}

export function listCommands(parts: CommandParts): Command[] {
  const commands: Command[] = []
  commands.push(
    ...helpCommands(() => commands),
    ...hostCommands(parts.ops, parts.clock),
    ...gatewayCommands(parts.ops),
    ...containerCommands(parts.ops),
    ...runbookCommands(parts.ops),
    ...sessionCommands(parts.ops),
    ...configCommands(parts.ops, parts.clock),
    ...sandboxCommands(parts.ops),
    ...deviceCommands(parts.ops, parts.clock),
    ...oneDeviceCommands(parts.ops, parts.clock),
    ...pairingCommands(parts.ops, parts.clock),
    ...approvalCommands(parts.ops, parts.clock),
    ...tokenCommands(parts.ops, parts.clock),
    ...credentialCommands(parts.ops, parts.clock),
    ...reauthCommands(parts.ops, parts.clock),
    ...alertCommands(parts.ops, parts.clock),
    ...ownCommands(parts.ops, parts.jobs, parts.clock),
  )
  return commands
}
