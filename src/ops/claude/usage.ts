// Session and weekly limits: from what `/usage` prints, and from what the Claude CLI notes of it in `.claude.json`.

import { z } from 'zod'
import { resetIn } from './resets.ts'

export interface UsageWindow {
  /** `Current session`, `Current week (all models)` … in the CLI's own words. */
  name: string
  /** 0 to 100. */
  percent: number
  /** UTC milliseconds. */
  resetsAt?: number
}
export interface Usage {
  windows: UsageWindow[]
  /** When these figures were fetched. UTC milliseconds. */
  at: number
}

const ROW = /^\s*([\w ()./-]{1,60}?):\s*(\d{1,3}(?:\.\d+)?)% used\b(.*)$/gm
const MOST_ROWS = 20

/** The rows of what `/usage` printed; none when it knew no figures. */
export function windowsIn(text: string, now: number): UsageWindow[] {
  return [
    ...text
      .matchAll(ROW)
      .take(MOST_ROWS)
      .map(([, name = '', percent, rest = '']) => {
        const resetsAt = resetIn(rest, now)
        return {
          ...{ name, percent: Math.min(100, Number(percent)) },
          ...(resetsAt !== undefined && { resetsAt }),
        }
      }),
  ]
}

const oneWindow = z
  .looseObject({ utilization: z.number(), resets_at: z.string().optional().catch(undefined) })
  .optional()
  .catch(undefined)
const notes = z.looseObject({
  cachedUsageUtilization: z.looseObject({
    fetchedAtMs: z.number().positive(),
    utilization: z.looseObject({
      ...{ five_hour: oneWindow, seven_day: oneWindow },
      ...{ seven_day_opus: oneWindow, seven_day_sonnet: oneWindow },
    }),
  }),
})

/** The CLI's names of what it notes. */
const NAMES = {
  five_hour: 'Current session',
  seven_day: 'Current week (all models)',
  seven_day_opus: 'Current week (Opus only)',
  seven_day_sonnet: 'Current week (Sonnet only)',
} as const

/** What it last noted in `.claude.json` (versions from 2.1.250 on); undefined when that is nothing. */
export function notedUsage(text: string): Usage | undefined {
  let value: unknown
  try {
    value = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    return undefined
  }
  const parsed = notes.safeParse(value)
  if (!parsed.success) return undefined
  const { fetchedAtMs: at, utilization } = parsed.data.cachedUsageUtilization
  const keys = Object.keys(NAMES) as (keyof typeof NAMES)[]
  const windows = keys.flatMap((key) => {
    const { utilization: used, resets_at } = utilization[key] ?? {}
    if (used === undefined) return []
    const resetsAt = Date.parse(resets_at ?? '')
    return [
      {
        ...{ name: NAMES[key], percent: Math.min(100, Math.max(0, used)) },
        ...(!Number.isNaN(resetsAt) && { resetsAt }),
      },
    ]
  })
  return windows.length > 0 ? { windows, at } : undefined
}
