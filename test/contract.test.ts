// The contract with the gateway, against what real ones of both versions said.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gatewayContract } from './contract.ts'
import { createLine } from './openclaw/line.ts'
import { VERSIONS } from './openclaw/recording.ts'
import { createReplay } from './openclaw/replay.ts'
import { connectDevice } from './real/device-client.ts'

for (const version of VERSIONS)
  gatewayContract(`a recording of ${version}`, version, async () => {
    const replay = await createReplay({ version, token: 'token' })
    const home = mkdtempSync(join(tmpdir(), 'opsbot-contract-'))
    const caps = () => ['approvals', 'exec-approvals']
    const line = createLine({ url: replay.url, home, caps, env: { OPENCLAW_GATEWAY_TOKEN: 'token' } })
    await line.opened()
    return {
      line,
      ask: async (command, lastsMs) => void replay.ask({ command }, lastsMs),
      knock: (options) =>
        connectDevice({
          ...{ url: replay.url, token: 'token', clientId: 'openclaw-control-ui', mode: 'webchat' },
          ...{ headers: { 'x-forwarded-for': '203.0.113.7' }, ...options },
        }),
      restart: () => replay.restart(50),
      async close() {
        await line.close()
        await replay.close()
        rmSync(home, { recursive: true })
      },
    }
  })
