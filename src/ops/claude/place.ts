// Where the Claude CLI is and how it is called there: what this host and a container have in common.

import type { ExecResult } from '../docker/index.ts'
import type { Talk } from '../run.ts'
import type { Read } from './file.ts'

/** By what a run is found again, also by a later process of ours: plain JSON. */
export type RunHandle =
  | {
      where: 'host'
      pid: number
      /** Its start, in the kernel's ticks: a pid is used again. */
      ticks: string
      /** The file that takes what it prints. */
      output: string
    }
  | { where: 'container'; container: string; exec: string /** In there. */; pid?: number }

/** How a run stands. What it printed is undefined when nobody of us heard it. */
export type RunState = { running: true } | { running: false; output?: string; exitCode?: number }

/** What the CLI keeps: its login, and what it notes of itself. */
export type Kept = '.credentials.json' | '.claude.json'

export interface ClaudePlace {
  /** In words: `on this host`, `in claude-proxy`. */
  where: string
  directory(): Promise<string | undefined>
  /** Never throws. */
  read(name: Kept): Promise<Read>
  /** For what it answers at once and without the network. @throws OpsError when it is not there or is late. */
  ask(args: readonly string[]): Promise<ExecResult>
  /** Begins a run that outlives us. @throws OpsError when it cannot be started. */
  begin(args: readonly string[], env: Record<string, string>): Promise<RunHandle>
  /** @throws OpsError when that cannot be seen now. */
  look(run: RunHandle): Promise<RunState>
  /** Asks it to end, as the very last resort: a newer one still saves what comes within 2 s, an older one nothing (measured). */
  terminate(run: RunHandle): Promise<void>
  /** What it left behind is taken away. */
  forget(run: RunHandle): Promise<void>
  /** Speaks with it; it ends after so long by itself. @throws OpsError when it cannot be started. */
  talk(args: readonly string[], env: Record<string, string>, timeoutMs: number): Promise<Talk>
  /** For a person: how to call it with these arguments. */
  command(args: readonly string[]): string
}

/** Of every call. More tries than this take the CLI three minutes when the network is down (measured). */
const ALWAYS = { CLAUDE_CODE_MAX_RETRIES: '1', DISABLE_AUTOUPDATER: '1' }

/** Refreshes what is due for no model tokens; from this version on. It prints the limits too, unless it may not ask for them. */
export const USAGE = {
  since: '2.1.200',
  args: ['-p', '/usage', '--output-format', 'json', '--no-session-persistence'],
  env: ALWAYS,
}

const ITS_OWN_API = JSON.stringify({ env: { ANTHROPIC_BASE_URL: 'https://api.anthropic.com' } })
/** Does so in every version, and says why it could not (claude-cli.md §4: exactly this line was measured). */
export const PING = {
  args: [
    ...['-p', 'ping', '--model', 'haiku', '--max-turns', '1', '--tools', '', '--no-session-persistence'],
    ...['--output-format', 'stream-json', '--verbose', '--system-prompt', 'Reply with: pong'],
    ...['--strict-mcp-config', '--disable-slash-commands', '--settings', ITS_OWN_API],
  ],
  env: {
    ...ALWAYS,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
    CLAUDE_CODE_DISABLE_THINKING: '1',
    CLAUDE_CODE_MAX_OUTPUT_TOKENS: '64',
  },
}

/** No browser of this machine is anybody's. */
export const LOGIN_ENV = { ...ALWAYS, BROWSER: '/bin/false' }

/** With one of these it takes another credential or another way than its own login. A container may well set them. */
export const UNSET = [
  ...['CLAUDE_CODE_OAUTH_TOKEN', 'CLAUDE_CODE_OAUTH_REFRESH_TOKEN', 'CLAUDE_CODE_OAUTH_SCOPES'],
  ...['ANTHROPIC_API_KEY', 'ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_BASE_URL', 'CLAUDECODE', 'CLAUDE_CODE_SIMPLE'],
  ...['CLAUDE_CODE_USE_BEDROCK', 'CLAUDE_CODE_USE_VERTEX', 'CLAUDE_CODE_USE_FOUNDRY'],
  'CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC',
]

/** What it keeps is far smaller; more of a file is not read. Bytes. */
export const MOST_BYTES = 4 << 20
/** More of what it prints is not kept. Characters. */
export const MOST_OUTPUT = 1 << 20
/** For what it answers at once. */
export const ASK_MS = 20_000
/** The directory that it is called in, beside its login: settings and instructions of a working directory are read. */
export const EMPTY = 'opsbot'

/** A word of a command line, for a person who pastes it into a shell. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
