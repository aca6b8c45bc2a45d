// The files that the CLI's token may be copied to, as they lie there now; nothing is written here.

import { lstat, opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { OpsError } from '../../errors.ts'
import { compareVersions } from '../gateway/cli.ts'
import { shownName } from './kinds.ts'
import type { SyncInput } from './sync.ts'
import { envHolding, oauthHolding, profileHoldings } from './targets.ts'
import { readWhole } from './write.ts'

/** Where the gateway keeps its profiles, by what lies there now. */
export type Store = 'files' | 'sqlite' | 'unknown'

export interface PlacesOptions {
  /** The host's side of the gateway's state; undefined when that is not known. @throws OpsError */
  stateDir: () => Promise<string | undefined>
  /** The compose project's `.env`; undefined where there is none. @throws OpsError */
  envPath: () => Promise<string | undefined>
  /** Of the gateway, as far as anybody knows. */
  version: () => Promise<string | undefined>
}

/** What was seen, as `planSync` takes it. */
export type Looked = Pick<SyncInput, 'profiles' | 'others' | 'refused'>

/** The last that was seen to keep its profiles in files is 2026.2.26; from here on nothing is made that is not there. */
const FIRST_UNSURE = '2026.3.0'
const AGENTS = 200
export const AGENT = /^[\w][\w.-]{0,63}$/

export const isThere = async (path: string): Promise<boolean> =>
  await lstat(path).then(
    () => true,
    (error) => {
      if (['ENOENT', 'ENOTDIR'].includes(error.code)) return false
      throw new OpsError(`${path} cannot be looked at (${error.code}).`, { cause: error })
    },
  )

export async function agentsIn(root: string): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const entry of await opendir(join(root, 'agents')))
      if (AGENT.test(entry.name) && !entry.isFile() && names.push(entry.name) >= AGENTS) break
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') throw new OpsError(`${root}/agents cannot be read (${code}).`, { cause: error })
  }
  return names.sort()
}

export const profilesPath = (root: string, agent: string) =>
  join(root, 'agents', agent, 'agent', 'auth-profiles.json')
export const oauthPath = (root: string) => join(root, 'credentials', 'oauth.json')

/** A gateway that has moved to SQLite is broken by any such file (openclaw.md §4). @throws OpsError when it cannot be told. */
async function storeIn(root: string): Promise<Store> {
  if (!(await isThere(root))) return 'unknown'
  if (await isThere(join(root, 'state', 'openclaw.sqlite'))) return 'sqlite'
  for (const agent of await agentsIn(root))
    if (await isThere(join(root, 'agents', agent, 'agent', 'openclaw-agent.sqlite'))) return 'sqlite'
  return 'files'
}

export const nothing = (): Looked => ({ profiles: [], others: [], refused: [] })

export const joined = (looked: readonly Looked[]): Looked => ({
  profiles: looked.flatMap(({ profiles }) => profiles),
  others: looked.flatMap(({ others }) => others),
  refused: looked.flatMap(({ refused }) => refused),
})

/** One place by itself: what cannot be read hides none of the others. */
async function see(id: string, where: string, look: () => Promise<Looked>): Promise<Looked> {
  try {
    return await look()
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    return { ...nothing(), refused: [{ id, where, why: error.message }] }
  }
}

export type Places = ReturnType<typeof createPlaces>

export function createPlaces({ stateDir, envPath, version }: PlacesOptions) {
  /** Whether a file that is not there may be made: only for a version that is known to read it. */
  async function mayMake(): Promise<boolean> {
    const known = await version().catch(() => undefined)
    return known !== undefined && compareVersions(known, FIRST_UNSURE) < 0
  }

  const lookAtProfiles = (root: string, agent: string) =>
    see(`profile/${agent}`, `${shownName(agent)}'s auth-profiles.json`, async () => {
      const file = await readWhole(profilesPath(root, agent), { within: root })
      return file
        ? { ...nothing(), profiles: [{ agent, holdings: profileHoldings(file.text, agent) }] }
        : nothing()
    })

  /** It is read once, by a gateway whose main agent has no profiles yet; the others inherit them. */
  const lookAtOauth = (root: string) =>
    see('oauth.json', 'credentials/oauth.json', async () => {
      if (await isThere(profilesPath(root, 'main'))) return nothing()
      const file = await readWhole(oauthPath(root), { within: root })
      return file || (await mayMake()) ? { ...nothing(), others: [oauthHolding(file?.text)] } : nothing()
    })

  const lookAtEnv = () =>
    see('.env', '.env', async () => {
      const path = await envPath()
      const file = path === undefined ? undefined : await readWhole(path)
      const held = file && envHolding(file.text)
      return held ? { ...nothing(), others: [held] } : nothing()
    })

  async function lookAtFiles(root: string): Promise<Looked> {
    const found = await Promise.all((await agentsIn(root)).map((agent) => lookAtProfiles(root, agent)))
    return joined([...found, await lookAtOauth(root)])
  }

  async function store(): Promise<{ root: string | undefined; store: Store }> {
    const root = await stateDir()
    return { root, store: root === undefined ? 'unknown' : await storeIn(root) }
  }

  /** Never a file beside a database, not even in the middle of an upgrade: looked at again before each write. */
  async function mustBeFiles(): Promise<string> {
    const { root, store: found } = await store()
    if (root !== undefined && found === 'files') return root
    throw new OpsError(
      'The gateway keeps its profiles in SQLite by now, or it is not known where: no file was written.',
    )
  }

  return { store, mustBeFiles, mayMake, lookAtFiles, lookAtEnv, agents: agentsIn }
}
