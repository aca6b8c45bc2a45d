// A page: what a command answers and a card shows, without any markup; render.ts dresses it for its place.

/** Plain text, or a part of it that is set apart. */
export type Text = string | { bold: string } | { code: string } | readonly Text[]

/** The state that a title begins with. */
export type Mark = 'ok' | 'warn' | 'bad' | 'unknown' | 'muted' | 'info' | 'question'

export const MARKS: Record<Mark, string> = {
  ok: '✅',
  warn: '🟡',
  bad: '🔴',
  unknown: '❔',
  muted: '🔕',
  info: 'ℹ️',
  question: '❓',
}

export type Button =
  /** Runs a command line without its slash, as if it were typed: `ack 17`. */
  | { label: string; run: string /** The answer takes the place of this message. */; inPlace?: true }
  /** Confirms the plan that the page shows. */
  | { label: string; confirm: string }
  | { label: string; url: string }

export interface Page {
  mark?: Mark
  /** The verdict: all that somebody needs who reads no further. */
  title: Text
  /** What follows at once; from the seventh line on it is folded away. */
  lines?: readonly Text[]
  /** Folded away behind "Details". */
  details?: readonly Text[]
  buttons?: readonly (readonly Button[])[]
  /** Title and lines say it all in a toast, when a button asked for it. */
  brief?: true
  /** It says that what was asked for was not done. */
  failed?: true
  /** Sent along as a file. */
  file?: { name: string; text: string }
}

/** What is to be shown, and how. */
export interface Answer {
  page: Page
  /** Instead of the message whose button was pressed. */
  inPlace?: true
}

/** A sentence that the sender is to read; its first line is the verdict. */
export const refusal = (text: string): Page => {
  const [title = '', ...lines] = text.split('\n')
  return { mark: 'unknown', title, lines, failed: true }
}

export const answered = (result: Page | Answer): Answer => ('page' in result ? result : { page: result })

/** How many lines stand before the details. */
const LINES_BEFORE_DETAILS = 6

/** A page's lines, the surplus moved to the details. */
export function fold({ lines = [], details = [] }: Page): {
  lines: readonly Text[]
  details: readonly Text[]
} {
  const kept = lines.length <= LINES_BEFORE_DETAILS ? lines.length : LINES_BEFORE_DETAILS - 1
  return { lines: lines.slice(0, kept), details: [...lines.slice(kept), ...details] }
}

/** The text alone, for a toast or a log. */
export function plain(text: Text): string {
  if (typeof text === 'string') return text
  if (Array.isArray(text)) return text.map(plain).join('')
  return 'bold' in text ? text.bold : 'code' in text ? text.code : ''
}
