// What a check is: one small function per thing watched, which says what is and never what to do about it.

/**
 * `ok` fine · `warn` a warning · `bad` critical · `unknown` could not be seen (leaves its alert as it was) ·
 * `absent` does not exist here (nothing to watch; an alert about it ends).
 */
export type Verdict = 'ok' | 'warn' | 'bad' | 'unknown' | 'absent'

/** A figure with its limits. Firing needs `value` at or over a limit; ending needs it under `leave`. */
export interface Gauge {
  value: number
  /** What the figure counts, as it is printed behind it: `%`, ` per core`. */
  unit: string
  /** At or over this the verdict is `warn`. */
  warn: number
  /** At or over this the verdict is `bad`. */
  bad: number
  /** Under this it is good again; between `leave` and `warn` nothing changes (hysteresis). */
  leave: number
  /** It fills up slowly and counts in percent: its figures are kept, and "full in about 5 h" is worked out. */
  fills?: true
}

/** What one look at one thing saw. Plain JSON: facts in plain words, no markup. */
export interface Observation {
  /** Stable for ever, one alert a key: the check's name, or `<check>/<subject>` as in `disk//var`. */
  key: string
  /** The part of the deployment that it belongs to: `host`, `opsbot`, later `docker`, `gateway` … */
  area: string
  verdict: Verdict
  /** A noun phrase that stays the same while the alert lives, without figures: "Disk / almost full". */
  title: string
  /** One plain sentence with the figures of this look: "91 % used, 4.1 GB free of 50 GB". */
  why: string
  gauge?: Gauge
  /** One sentence that says what the operator can do about it. */
  mend?: string
  /** Commands that may mend it, as buttons: a label and a command line without its slash. */
  actions?: { label: string; run: string }[]
  /**
   * Certain at first sight: something bad (an OOM kill, an exit nobody asked for) fires without waiting out its time,
   * and something good (a token that was renewed) ends its alert at once.
   */
  proof?: true
  /** How far it has come: `2 d left`, `ended`. While the alert fires, a change of it is told; the same one is told once. */
  stage?: string
  /** Called to mind once a day while it fires, also when somebody has acknowledged it. */
  daily?: true
  /** The key whose own alert explains this one: while that fires, this one stays silent. */
  because?: string
}

export interface Check {
  /** Names the check in `/status`, in `check/<name>` when it fails, and as the first part of its keys. */
  name: string
  /** Looked at in every n-th watch cycle (default 1); a nudge looks at once all the same. */
  every?: number
  /** A look that takes longer is given up and is itself a bad observation. Milliseconds, default 10,000. */
  deadlineMs?: number
  look(signal: AbortSignal): Promise<Observation[]>
  /** Gathers what explains an alert that fired just now, in lines for its card; within 3 s. */
  evidence?(key: string): Promise<string[]>
}

/** The verdict that a gauge's own limits give. */
export function verdictOf({ value, warn, bad }: Gauge): 'ok' | 'warn' | 'bad' {
  if (value >= bad) return 'bad'
  return value >= warn ? 'warn' : 'ok'
}

/**
 * A gauge for a percentage with one configured limit: critical two thirds of the way from the limit to 100,
 * left again 5 points under the limit.
 */
export function percentGauge(value: number, limit: number): Gauge {
  return { value, unit: ' %', warn: limit, bad: limit + ((100 - limit) * 2) / 3, leave: limit - 5 }
}
