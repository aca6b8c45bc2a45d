// Rows of figures, what is asked of each, and the markdown that they end up as.

/** One figure beside what is asked of it. */
export interface Row {
  figure: string
  ours: string
  bare?: string
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

const HEAD = ['', 'opsbot', 'bare grammY + runner', 'found', 'asked', 'ok']

const verdict = (ok: boolean | undefined) => (ok === undefined ? '' : ok ? 'yes' : '**no**')

export function markdown(rows: readonly Row[]): string {
  const cells = rows.map(({ figure, ours, bare = '', found, asked = '', ok }) => [
    ...[figure, ours, bare, found, asked],
    verdict(ok),
  ])
  const lines = [HEAD, HEAD.map((_, column) => (column === 0 ? '---' : '---:')), ...cells]
  return lines.map((line) => `| ${line.join(' | ')} |`).join('\n')
}
