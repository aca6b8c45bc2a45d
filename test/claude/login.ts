// The login of the Claude CLI as a file alone, rewritten as its versions do it, for whoever follows that file.

import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentialsOf } from './cli.ts'

const HOUR_MS = 3_600_000

/** Of these tokens nobody has to be warned, and the CLI would not renew one. */
const LIFE_MS = 5 * HOUR_MS

/** @param configDir made when it is not there. */
export function createLogin(configDir: string) {
  const file = join(configDir, '.credentials.json')
  mkdirSync(configDir, { recursive: true })
  let newest = 0

  return {
    configDir,
    /**
     * Writes a new token, which ends later than all before it.
     * @param manner `feb` truncates the file and writes it, `new` puts another one in its place (claude-cli.md §2).
     */
    renew(manner: 'feb' | 'new'): { token: string; expiresAt: number } {
      const credentials = credentialsOf(Math.max(LIFE_MS, newest + 1_000 - Date.now()))
      const { accessToken, expiresAt } = credentials.claudeAiOauth
      newest = expiresAt
      const half = `${file}.tmp.${randomBytes(4).toString('hex')}`
      writeFileSync(manner === 'feb' ? file : half, JSON.stringify(credentials), { mode: 0o600 })
      if (manner === 'new') renameSync(half, file)
      return { token: accessToken, expiresAt }
    },
  }
}
export type Login = ReturnType<typeof createLogin>
