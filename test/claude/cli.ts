// Puts the stand-in of the Claude CLI (cli.cjs) into a directory, as a test wants it.

import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What happens to the stand-in. It reads this at each start. */
export interface ClaudeScript {
  /** `2.1.328` when it is left out. Older than 2.1.126 it cannot sign in over a pipe. */
  version?: string
  /** How it writes and what it prints; by the version when it is left out: `feb` below 2.1.200. */
  manner?: 'new' | 'feb'
  /**
   * What a refresh comes to, when one is due (five minutes before the end). `usage_limit` and `account` refresh well, and
   * refuse the message after it; `500`, `429` and `network` are of the token endpoint, and the message after it is refused
   * only when the token has ended (`network`: always); `hang` never ends by itself, `slow` takes `slowMs`;
   * `locked` meets a lock whose holder is dead.
   */
  refresh?:
    | 'ok'
    | 'invalid_grant'
    | 'time_limit'
    | 'network'
    | '500'
    | '429'
    | 'locked'
    | 'usage_limit'
    | 'account'
    | 'hang'
    | 'slow'
  /** What a message comes to, whatever the refresh came to. */
  messages?: 'ok' | '401' | '429' | '500' | '529' | 'network' | 'usage_limit' | 'account'
  /** Of an access token; 8 hours. */
  lifeMs?: number
  /** Of a login; 30 days. */
  loginLifeMs?: number
  /** How long `slow` takes; 300. */
  slowMs?: number
  /** How long the file is torn while an older one writes it in place; 0. */
  tearMs?: number
  /** How long it waits for another's lock; 7,800. */
  lockWaitMs?: number
  /** How long a signal waits for a refresh under way before it ends with nothing saved; 2,000, and 0 of an older one. */
  graceMs?: number
  /** UTC milliseconds that it takes for now, instead of the clock. */
  now?: number
  /** Read when a code comes, too. `silent` shows no URL, `hang` never answers a code. */
  login?: 'ok' | 'badcode' | '500' | '429' | 'drop' | 'slow' | 'silent' | 'hang'
  /** Percent and UTC milliseconds; `null` for no figures. */
  usage?: {
    session?: number
    week?: number
    sonnet?: number
    sessionResetsAt?: number
    weekResetsAt?: number
  } | null
}

export interface ClaudeCall {
  pid: number
  argv: string[]
  /** Names of its environment. */
  env: string[]
  /**
   * In order: `asked` (the token endpoint) · `refreshed` · `refresh: blanked|refused|unanswered|locked|passed` ·
   * `message: ok|401|…` · `code: partial|refused` · `signed in`. Empty until it has ended.
   */
  did: string[]
  /** Its exit code; undefined while it runs, and for ever when it was killed. */
  code?: number
}

/** A token that looks like one, as long as a real one (newer gateways refuse short ones), and opens nothing. */
export const fakeToken = (kind: 'oat' | 'ort' = 'oat') =>
  ['sk', 'ant', `${kind}01`, randomBytes(72).toString('base64url')].join('-')

/** What lies in `.credentials.json`, with this much time left. */
export const credentialsOf = (leftMs: number, more: Record<string, unknown> = {}, now = Date.now()) => ({
  claudeAiOauth: {
    ...{ accessToken: fakeToken(), refreshToken: fakeToken('ort'), expiresAt: now + leftMs },
    ...{ refreshTokenExpiresAt: now + 30 * 86_400_000, scopes: ['user:inference', 'user:profile'] },
    ...{ subscriptionType: 'max', rateLimitTier: 'default_claude_max_20x', ...more },
  },
})

/** What a login's file holds now; undefined when there is none. @throws SyntaxError when it is torn. */
// biome-ignore lint/suspicious/noExplicitAny: what a test looks at is for it to know
export function readLogin(file: string): any {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    if (error instanceof SyntaxError) throw error
    return undefined
  }
}

/** Installs it as DIRECTORY/bin/claude, with its config directory at DIRECTORY/.claude, so that DIRECTORY serves as HOME too. */
export function installCli(directory: string, script: ClaudeScript = {}) {
  const configDir = join(directory, '.claude')
  const file = join(configDir, '.credentials.json')
  const bin = join(directory, 'bin', 'claude')
  for (const each of [configDir, join(directory, 'bin')]) mkdirSync(each, { recursive: true })
  // Run by the Node that runs the tests, whatever the PATH is.
  const real = join(import.meta.dirname, 'cli.cjs')
  writeFileSync(bin, `#!/bin/sh\nexec '${process.execPath}' '${real}' "$@"\n`)
  chmodSync(bin, 0o755)

  const set = (next: ClaudeScript) =>
    writeFileSync(join(configDir, 'claude-script.json'), JSON.stringify(next))
  set(script)
  return {
    ...{ bin, configDir, file },
    /** Writes the file as it is given: text, or what becomes JSON. */
    write: (credentials: unknown) =>
      writeFileSync(file, typeof credentials === 'string' ? credentials : JSON.stringify(credentials), {
        mode: 0o600,
      }),
    read: () => readLogin(file),
    /** Every run so far but `--version`, in the order of their beginnings. */
    calls(): ClaudeCall[] {
      const calls = new Map<string, ClaudeCall>()
      for (const { id, ...line } of linesOf(join(configDir, 'claude-calls.jsonl')))
        calls.set(id, Object.assign(calls.get(id) ?? { did: [] }, line) as ClaudeCall)
      return [...calls.values()]
    },
    /** Gives it another script, from its next start. */
    set,
  }
}
export type FakeCli = ReturnType<typeof installCli>

function linesOf(file: string): (ClaudeCall & { id: string })[] {
  try {
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  } catch {
    return []
  }
}
