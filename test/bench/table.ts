// Rows of figures, what is asked of each, and the markdown that they end up as.

/** One figure beside what is asked of it. */
export interface Row {
  figure: string
  ours: string
  /** The same of what ours is measured against. */
  beside?: string
  /** What the bound is held against: a ratio, a difference or the figure itself. */
  found: string
  /** The bound and whether it is met; a figure without one is there to be known. */
  asked?: string
  ok?: boolean
}

/** The value below which this share of the samples lies (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

export const median = (samples: readonly number[]): number => quantile(samples, 0.5)

const verdict = (ok: boolean | undefined) => (ok === undefined ? '' : ok ? 'yes' : '**no**')

/** @param beside what the other column is of. */
export function markdown(rows: readonly Row[], beside: string): string {
  const cells = rows.map(({ figure, ours, beside = '', found, asked = '', ok }) => [
    ...[figure, ours, beside, found, asked],
    verdict(ok),
  ])
  const head = ['', 'opsbot', beside, 'found', 'asked', 'ok']
  const lines = [head, head.map((_, column) => (column === 0 ? '---' : '---:')), ...cells]
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
}

export const units = {
  ms: (value: number) => `${value.toFixed(value < 100 ? 1 : 0)} ms`,
  seconds: (value: number) => `${(value / 1_000).toFixed(value < 10_000 ? 2 : 1)} s`,
  mb: (value: number) => `${value.toFixed(1)} MB`,
  times: (value: number) => `${value.toFixed(2)} ×`,
  percent: (value: number) => `${value.toFixed(3)} %`,
}

/** With its sign, as a difference is told. */
export const signed = (value: number, unit: (value: number) => string) =>
  `${value < 0 ? '−' : '+'} ${unit(Math.abs(value))}`
