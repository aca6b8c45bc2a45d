// What others may know of the jobs and ask of them; the jobs themselves live in `src/jobs`.

import type { Actor, Started } from './deeds.ts'
import type { JobRow } from './state/jobs.ts'

export interface JobView extends JobRow {
  about: string
  schedule: string
  running: boolean
}

export interface JobBoard {
  list(): JobView[]
  /** Starts a job now, as a deed. @throws OpsError when there is none of that name or it runs already. */
  runNow(name: string, actor: Actor): Started<void>
}
