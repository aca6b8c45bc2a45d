// The copies of the CLI's token: planned by what lies there now, and written one by one, each decided again when it is written.

import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { OpsError } from '../../errors.ts'
import { type Cli, wordsOf } from '../gateway/cli.ts'
import { shortHash } from '../gateway/config.ts'
import type { ReportedCredential } from '../gateway/credentials.ts'
import { withLock } from './lock.ts'
import type { GatewayStore, Pasted } from './pasting.ts'
import {
  AGENT,
  createPlaces,
  isThere,
  joined,
  type Looked,
  nothing,
  oauthPath,
  type PlacesOptions,
  profilesPath,
  type Store,
} from './places.ts'
import { planSync, type Seen, type Source, type SyncPlan, type SyncTarget } from './sync.ts'
import {
  envHolding,
  type Holding,
  oauthHolding,
  profileHoldings,
  type Token,
  withOauth,
  withProfiles,
  withVariable,
} from './targets.ts'
import { makeDirectory, type ReadFile, type ReplaceOptions, readWhole, replaceFile } from './write.ts'

export interface CopiesOptions extends PlacesOptions {
  /** Every credential that the running gateway reports, with cooldowns. @throws OpsError */
  report: () => Promise<ReportedCredential[]>
  /** The ids of its agents, the default one first. @throws OpsError */
  agents: () => Promise<string[]>
  cli: () => Promise<Cli | undefined>
  /** Whether the container's environment wins now, and the hash of its token. @throws OpsError */
  environment: () => Promise<{ wins: boolean; hash?: string }>
  /** What we remember: the CLI's tokens, the ends of all tokens, what was pasted. */
  memory: {
    seen(): Seen
    ends(): Seen
    pasted(): Pasted
    setPasted(pasted: Pasted): void
  }
  now: () => number
}

const PASTE_MS = 60_000
/** So often a file is decided again that somebody else has just written. */
const TRIES = 3

/** The command ends with 0 all the same (run with 2026.9.6). */
const NOT_TOLD = /local Gateway could not refresh/

/** How the gateway is told; the token itself comes by stdin. @param agent where it has several. */
export const pasteArgs = (profile: string, agent: string | undefined, lifeMs: number): string[] => [
  ...['models', 'auth', 'paste-token', '--provider', 'anthropic', '--profile-id', profile],
  ...['--expires-in', `${Math.floor(lifeMs / 1_000)}s`, ...(agent === undefined ? [] : ['--agent', agent])],
]

/** What a program of the gateway said, without anything that looks like a token. */
const cleaned = (text: string, { value }: Token): string =>
  text.replaceAll(value, '…').replace(/sk-ant-[\w-]+/g, '…')

/** What a plan knows, and its writing needs. */
export type Known = Pick<SyncPlan, 'source' | 'ends'>

export type Copies = ReturnType<typeof createCopies>

export function createCopies(options: CopiesOptions) {
  const { envPath, report, agents, cli, memory, now } = options

  const places = createPlaces(options)
  const { store, mustBeFiles, mayMake } = places

  async function lookAtGateway(): Promise<GatewayStore> {
    const reported = (await report()).filter(({ provider }) => provider === 'anthropic')
    const names = (await agents()).filter((agent) => AGENT.test(agent))
    return {
      agents: names.length > 0 ? names : ['main'],
      reported: reported.map(({ unusable, ...each }) => ({ ...each, unusable: unusable !== undefined })),
      pasted: memory.pasted(),
    }
  }

  function checked(source: Source, token: Token): Token {
    if (token.value === '' || shortHash(token.value) !== source.hash || token.expiresAt !== source.expiresAt)
      throw new OpsError('The CLI has another token by now: nothing was written.')
    return token
  }

  /** The token goes in by stdin, and its life as what is left of it now. */
  async function pasteOne(profile: string, agent: string | undefined, token: Token) {
    const program = await cli()
    if (!program) throw new OpsError('The gateway does not run, so it takes no token. /up starts it.')
    const args = pasteArgs(profile, agent, token.expiresAt - now())
    return await program.run(args, { timeoutMs: PASTE_MS, input: token.value })
  }

  /** Decides again by what lies there now. */
  const decide = ({ source, ends }: Known, looked: Looked) =>
    planSync({ source, now: now(), seen: memory.seen(), ends, ...looked }).targets

  /** Reads a file, has its new text made, and replaces it; when somebody else wrote meanwhile, again. @returns whether it was written. */
  async function change(
    path: string,
    how: Omit<ReplaceOptions, 'expected'>,
    made: (file: ReadFile | undefined) => Promise<string | undefined>,
  ): Promise<boolean> {
    for (let tries = 1; ; tries += 1) {
      const file = await readWhole(path, how)
      const text = await made(file)
      if (text === undefined || text === file?.text) return false
      try {
        await replaceFile(path, text, { ...how, expected: file?.hash })
        return true
      } catch (error) {
        const isNew = (await readWhole(path, how))?.hash !== file?.hash
        if (!isNew || tries >= TRIES) throw error
      }
    }
  }

  async function writeProfiles(agent: string, plan: Known, token: Token): Promise<boolean> {
    const path = profilesPath(await mustBeFiles(), agent)
    return await withLock(path, async () => {
      const root = await mustBeFiles()
      return await change(path, { within: root, still: mustBeFiles }, async (file) => {
        if (!file) return undefined
        const profiles = [{ agent, holdings: profileHoldings(file.text, agent) }]
        const targets = decide(plan, { ...nothing(), profiles })
        const ids = targets.flatMap(({ action, profile }) => (action === 'write' && profile ? [profile] : []))
        return ids.length > 0 ? withProfiles(file.text, agent, ids, token) : undefined
      })
    })
  }

  const takes = (held: Holding | undefined, plan: Known) =>
    held !== undefined &&
    decide(plan, { ...nothing(), others: [held] }).some(({ action }) => action === 'write')

  async function writeOauth(plan: Known, token: Token): Promise<boolean> {
    const root = await mustBeFiles()
    const { uid, gid } = await stat(join(root, 'openclaw.json')).catch(() => stat(root))
    const how = { within: root, owner: { uid, gid }, still: mustBeFiles }
    return await change(oauthPath(root), how, async (file) => {
      if (await isThere(profilesPath(root, 'main'))) return undefined
      if (!file && !(await mayMake())) return undefined
      if (!takes(oauthHolding(file?.text), plan)) return undefined
      await makeDirectory(join(root, 'credentials'), { uid, gid })
      return withOauth(file?.text, token)
    })
  }

  async function writeEnv(plan: Known, token: Token): Promise<boolean> {
    const path = await envPath()
    if (path === undefined) return false
    return await change(path, { backup: true }, async (file) =>
      file && takes(envHolding(file.text), plan) ? withVariable(file.text, token) : undefined,
    )
  }

  return {
    places,
    /** What would have to be done. Only reads. @throws OpsError when the gateway's own store cannot be seen. */
    async plan(source: Source): Promise<SyncPlan & { store: Store }> {
      const { root, store: found } = await store()
      const [looked, environment, gateway] = await Promise.all([
        Promise.all([
          root !== undefined && found === 'files' ? places.lookAtFiles(root) : nothing(),
          places.lookAtEnv(),
        ]).then(joined),
        options.environment(),
        found === 'sqlite' ? lookAtGateway() : undefined,
      ])
      const plan = planSync({
        ...{ source, now: now(), seen: memory.seen(), ends: memory.ends(), environment },
        ...looked,
        ...(gateway && { gateway }),
      })
      return { ...plan, store: found }
    },
    /**
     * Writes one place, if by what lies there now it may be written. @returns whether it was.
     * @throws OpsError that says what is left.
     */
    async write({ id, agent }: Pick<SyncTarget, 'id' | 'agent'>, plan: Known, read: Token): Promise<boolean> {
      const token = checked(plan.source, read)
      if (id === '.env') return await writeEnv(plan, token)
      if (id === 'oauth.json') return await writeOauth(plan, token)
      return agent === undefined ? false : await writeProfiles(agent, plan, token)
    },
    /** Has the gateway itself take it, for every agent that has not. @returns who took it. @throws OpsError */
    async paste({ source, ends }: Known, read: Token): Promise<SyncTarget[]> {
      const token = checked(source, read)
      if ((await store()).store !== 'sqlite')
        throw new OpsError('The gateway does not keep its profiles in SQLite.')
      const gateway = await lookAtGateway()
      const { targets } = planSync({ source, now: now(), seen: memory.seen(), ends, ...nothing(), gateway })
      const done: SyncTarget[] = []
      for (const target of targets) {
        const { action, profile = '', agent = '' } = target
        if (action !== 'paste') continue
        const result = await pasteOne(profile, gateway.agents.length > 1 ? agent : undefined, token)
        const had = done.map(({ where }) => where).join(', ')
        const left = had ? `It has it in ${had}.` : 'It has what it had.'
        if (result.exitCode !== 0)
          throw new OpsError(
            `The gateway did not take it: ${cleaned(wordsOf(result), token).replace(/(?<![.…])$/, '.')} ${left}`,
          )
        const untold = NOT_TOLD.test(result.output)
        const { hash, expiresAt } = source
        const last = { profile, hash, expiresAt, ...(untold && { untold }) }
        memory.setPasted({ ...memory.pasted(), [agent]: last })
        if (untold)
          throw new OpsError(
            `${target.where} has it in the database, and the running gateway was not told: /sync again, or /recreate. ${left}`,
          )
        done.push(target)
      }
      return done
    },
  }
}
