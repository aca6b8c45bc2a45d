// What several unit tests share: directories that vanish, a real state in one of them, and a log that is kept.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Log } from '../../src/log.ts'
import type { MetaValues } from '../../src/ops/meta.ts'
import { openState } from '../../src/ops/state/index.ts'
import { createMeta } from '../../src/ops/state/meta.ts'

/** Friday noon in UTC. */
export const T0 = Date.UTC(2026, 10, 20, 12)
export const SECOND = 1_000
export const MINUTE = 60_000
export const HOUR = 3_600_000

/** A directory that is removed when the test ends. */
export function tempDir(): string {
  const directory = mkdtempSync(join(tmpdir(), 'opsbot-unit-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * A real state; it is closed when the test ends.
 * @param hasty commits do not wait for the disk: for tests that make many and ask for none to outlive a crash.
 */
export function openTestState(directory = tempDir(), hasty = true) {
  const state = openState({ directory, redact: (text) => text, now: T0 })
  if (hasty) state.store.get('PRAGMA synchronous = OFF')
  onTestFinished(() => state.store.close())
  return { ...state, meta: createMeta<MetaValues>(state.store) }
}
export type State = ReturnType<typeof openTestState>

/** A log whose lines are kept: `warn a check failed`. */
export function keptLog(): { log: Log; lines: string[] } {
  const lines: string[] = []
  const at = (level: string) => (message: string) => void lines.push(`${level} ${message}`)
  return { log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }, lines }
}
