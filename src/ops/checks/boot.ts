// The check of a gateway that does not come up: what its log says of why, and what helps.

import type { ContainerBrief, Docker } from '../docker/index.ts'
import type { Standing } from '../gateway/index.ts'
import type { Check, Observation } from './index.ts'

export interface BootOptions {
  docker: Pick<Docker, 'inspect' | 'logs'>
  findGateway: () => Promise<ContainerBrief | undefined>
  standing: () => Standing
  now: () => number
}

export interface Sign {
  /** What its log says; the words of the real gateways (captured). */
  says: RegExp
  why: string
  mend: string
}

/** Upstream's way to migrate a state: nothing else may run on it meanwhile (openclaw.md §4, §5). */
const DOCTOR =
  'Stop it (/down), run `docker compose run --rm --no-deps -T openclaw-gateway node dist/index.js doctor --fix --non-interactive` in its project, start it (/up).'

export const SIGNS: readonly Sign[] = [
  {
    says: /Another Gateway owner lease is still active/,
    why: 'The one before it was killed, and that one still holds the state for up to five minutes.',
    mend: 'Leave it alone: it comes up by itself when that has run out. /down gives a gateway time to end; a kill does not.',
  },
  {
    says: /AUTH_PROFILE_MIGRATION_REQUIRED|requires legacy credential migration/,
    why: 'Credentials of an older version lie in its state, and it does not start before they are migrated.',
    mend: DOCTOR,
  },
  {
    says: /uses newer schema version|Config was last written by a newer OpenClaw/,
    why: 'Its state was written by a newer version than this one.',
    mend: 'Put the newer image back: /rollback lists what there is. A newer state is never read by an older version.',
  },
  {
    says: /uses schema version \d+; (?:stop active agents and )?run openclaw doctor/,
    why: 'Its state is of an older version and has to be migrated first.',
    mend: DOCTOR,
  },
  {
    says: /Invalid config at|OpenClaw config is invalid|^Config invalid$/,
    why: 'It refuses its config.',
    mend: '/config shows what is wrong with it and what was changed since it was good. Keys that it does not know may be those of a newer version: then put that image back (/rollback).',
  },
  {
    says: /EADDRINUSE|another gateway instance is already listening/i,
    why: 'Its port is taken by another process.',
    mend: 'End the other one, or give it another port.',
  },
]

const LINES = 120
/** Older lines belong to an earlier life of it. */
const WINDOW_MS = 3 * 60_000

/** The newest sign in a log: what an earlier life ended of may be mended by now. */
export function signIn(log: string): Sign | undefined {
  for (const line of log.split(/\r?\n/).reverse()) {
    const sign = SIGNS.find(({ says }) => says.test(line))
    if (sign) return sign
  }
  return undefined
}

/** Why a gateway does not come up, from its log; undefined where that gives no reason that is known. @throws OpsError */
export async function readSign(
  docker: BootOptions['docker'],
  id: string,
  now: number,
): Promise<Sign | undefined> {
  // What an earlier life ended of says nothing of this one: one that has just been mended is no alert.
  const startedAt = (await docker.inspect(id))?.startedAt ?? 0
  return signIn(await docker.logs(id, { lines: LINES, sinceMs: Math.max(startedAt, now - WINDOW_MS) }))
}

export function bootCheck({ docker, findGateway, standing, now }: BootOptions): Check {
  const self = { key: 'gateway/boot', area: 'gateway', title: 'The gateway does not come up' }
  return {
    name: 'boot',
    every: 2,
    async look(): Promise<Observation[]> {
      if (standing().state === 'ready') return [{ ...self, verdict: 'ok', why: 'It is up.' }]
      const gateway = await findGateway()
      if (!gateway) return [{ ...self, verdict: 'unknown', why: 'There is no gateway.' }]
      const sign = await readSign(docker, gateway.id, now())
      return [
        sign
          ? {
              ...self,
              verdict: 'bad',
              proof: true,
              why: sign.why,
              mend: sign.mend,
              actions: [{ label: 'Logs', run: `logs ${gateway.name}` }],
            }
          : { ...self, verdict: 'unknown', why: 'Its log gives no reason that is known.' },
      ]
    },
  }
}
