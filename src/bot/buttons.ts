// Buttons: what stands in their data, which Telegram limits to 64 bytes, and what is shown over them for a moment.

import { type Page, plain } from './page.ts'

/** Prefixes of button data: run a line, run it in place, confirm. */
export const PRESS = { do: 'do:', up: 'up:', ok: 'ok:' } as const

/** Telegram takes no button whose data is longer. Bytes. */
export const LONGEST_DATA = 64

/** The data of a button, at most 64 bytes. */
export const dataOf = (button: { run: string; inPlace?: true } | { confirm: string }): string =>
  'confirm' in button ? PRESS.ok + button.confirm : (button.inPlace ? PRESS.up : PRESS.do) + button.run

/** A button for a fresh plan, where the line fits into one. */
export function showAgain(line: string): Pick<Page, 'buttons'> {
  const show = { label: 'Show again', run: line.replace(/^\//, '') }
  return Buffer.byteLength(dataOf(show)) <= LONGEST_DATA ? { buttons: [[show]] } : {}
}

/** The words of a page as a toast, at most Telegram's 200 characters. */
export const toastOf = (page: Page): string =>
  [page.title, ...(page.lines ?? [])].map(plain).join(' ').slice(0, 200).toWellFormed()
