// The log: JSON lines for journald, with every known secret and everything secret-shaped blotted out.

/** What takes secrets out of any text that leaves the process or is stored. */
export type Redact = (text: string) => string

/**
 * Shapes that are secret whoever's they are: Telegram bot tokens, Anthropic keys and tokens, JWTs, bearer headers,
 * 64 hex digits (OpenClaw's gateway token), and login codes. What stands before them does not matter: in JSON a line
 * break is the letter n, a colour ends in m, and Telegram's addresses have `bot` before the token. Only of a login
 * code, `code#state`, it does: addresses end like that too.
 */
const SHAPES =
  /\d{6,12}(?::|%3A)[\w-]{30,}|sk-ant-[\w-]{6,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?:Bearer|Basic)\s+[\w.~+/=-]{8,}|(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])|(?<![\w.-]|[\w/.]\/)[\w-]{16,}#[\w-]{16,}/gi

/** Shorter values are too common to be blotted out wherever they stand. */
const SHORTEST_SECRET = 6

/** @param secrets values that must never be seen, in any encoding that they commonly travel in. */
export function createRedact(secrets: readonly string[]): Redact {
  const known = secrets
    .filter((secret) => secret.length >= SHORTEST_SECRET)
    .flatMap((secret) => [
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString('base64').replace(/=+$/, ''),
    ])
  const values = [...new Set(known)].sort((a, b) => b.length - a.length)
  return (text) => {
    let clean = text
    for (const value of values) clean = clean.replaceAll(value, '[redacted]')
    return clean.replace(SHAPES, '[redacted]')
  }
}

/** Plain JSON with every text in it redacted: before a text is cut to fit, which would leave half a secret that nobody knows again. */
export const redactAll = <T>(value: T, redact: Redact): T =>
  JSON.parse(JSON.stringify(value), (_, each) => (typeof each === 'string' ? redact(each) : each))

const LEVELS = { debug: 7, info: 6, warn: 4, error: 3 } as const
type Fields = Record<string, unknown>

export type Log = Record<keyof typeof LEVELS, (message: string, fields?: Fields) => void>

/** An error as fields of a log line: its message, its stack and the messages of its causes. */
export function errorFields(error: unknown): Fields {
  if (!(error instanceof Error)) return { error: String(error) }
  const cause = error.cause instanceof Error ? { cause: error.cause.message } : {}
  return { error: error.message, stack: error.stack?.split('\n').slice(1, 6).join('\n'), ...cause }
}

/**
 * @param write takes one line without its newline; the numeric `priority` is syslog's.
 */
export function createLog(redact: Redact, write: (line: string) => void): Log {
  const at =
    (level: keyof typeof LEVELS) =>
    (message: string, fields: Fields = {}) =>
      write(
        redact(
          JSON.stringify({
            time: new Date().toISOString(),
            level,
            priority: LEVELS[level],
            message,
            ...fields,
          }),
        ),
      )
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
