// Where credentials lie on this host, one by one: what is wrong with one file never hides the others.

import { opendir } from 'node:fs/promises'
import { join } from 'node:path'
import { OpsError } from '../../errors.ts'
import type { ClaudeFile } from '../claude/file.ts'
import { type Container, sha256 } from '../docker/facts.ts'
import { bareValueOf, entriesOf } from '../envfile.ts'
import { readJson, readText } from './files.ts'
import type { AgentStore, Credential, Fault } from './index.ts'
import { shownName, tokenFacts } from './kinds.ts'
import { OAUTH_FILE, oauthFileCredential, profilesIn } from './profiles.ts'

/** More agents than any deployment has. */
const AGENTS = 200

/** A Claude CLI's login. @param id `cli` or `sandbox`. */
export function claudeCredential(id: string, where: string, file: ClaudeFile): Credential {
  const { state, why, hash, refreshHash, expiresAt, loginEndsAt, seconds } = file
  return {
    ...{ id, kind: 'login', provider: 'anthropic', where },
    ...(hash && { hash }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(loginEndsAt !== undefined && { loginEndsAt }),
    ...(refreshHash && { refreshHash, renewedBy: 'the Claude CLI' }),
    ...(seconds && {
      fault: 'seconds',
      why: 'Its times stand there in seconds, which the CLI takes for 1970.',
    }),
    ...(state !== 'ok' && { fault: state, ...(why && { why }) }),
  }
}

/** What the gateway looks for in its environment, and what it is taken for (openclaw.md §4). */
export const VARIABLES = ['ANTHROPIC_OAUTH_TOKEN', 'ANTHROPIC_API_KEY', 'CLAUDE_CODE_OAUTH_TOKEN'] as const

/** The first variable goes by the name of its place alone. */
const idOf = (place: string, variable: string) => (variable === VARIABLES[0] ? place : `${place}/${variable}`)

/** The variables in the text of a `.env`; the last of a name counts. @param place `.env` or `state/.env`. */
export function environmentCredentials(place: string, text: string): Credential[] {
  const entries = entriesOf(text)
  return VARIABLES.flatMap((variable): Credential[] => {
    const entry = entries.findLast(({ name }) => name === variable)
    const value = entry && bareValueOf(entry).trim()
    const line = {
      ...{ id: idOf(place, variable), provider: 'anthropic', variable },
      where: `${place === '.env' ? '.env' : '.env of the state directory'}, ${variable}`,
    }
    if (value) return [{ ...line, ...tokenFacts(value) }]
    // Examples come with an empty line for every key; this one is put there by somebody who means it.
    if (value === undefined || variable !== VARIABLES[0]) return []
    return [{ ...line, kind: 'other', fault: 'empty', why: `${variable} stands there without a value.` }]
  })
}

/**
 * A `.env`, if there is one.
 * @param startedAt since when the gateway has what it read there. UTC milliseconds; not given where it does not read it.
 * @throws OpsError when it cannot be read.
 */
export async function environmentIn(
  place: '.env' | 'state/.env',
  path: string,
  startedAt = Number.POSITIVE_INFINITY,
) {
  const read = await readText(path)
  if (read.state === 'missing') return []
  if (read.state !== 'ok') throw new OpsError(read.why)
  const lines = environmentCredentials(place, read.text)
  return read.modifiedAt > startedAt ? lines.map((each): Credential => ({ ...each, unloaded: true })) : lines
}

const EMPTY = sha256('')

/** What the gateway's container was made with: of its values only hashes are known. */
export function containerCredentials({ environment }: Pick<Container, 'environment'>): Credential[] {
  return VARIABLES.flatMap((variable): Credential[] => {
    const hash = environment[variable]
    if (!hash || hash === EMPTY) return []
    return [
      {
        ...{ id: idOf('container', variable), provider: 'anthropic', variable, hash: hash.slice(0, 16) },
        kind: variable === 'ANTHROPIC_API_KEY' ? 'api key' : 'other',
        where: `the running container, ${variable}`,
      },
    ]
  })
}

/** A session ingress token's file. @param expected whether somebody said that there is one. */
export async function ingressCredentials(path: string, expected: boolean): Promise<Credential[]> {
  const line = {
    id: 'ingress',
    kind: 'session ingress token',
    provider: 'anthropic',
    where: 'the file of the session ingress token',
  } as const
  const read = await readText(path)
  // Its usual place may be somebody else's home, or out of the bot's sight: that is no fault while nobody named it.
  if ((read.state === 'missing' || read.state === 'unreadable') && !expected) return []
  if (read.state !== 'ok') return [{ ...line, fault: read.state, why: read.why }]
  const token = read.text.trim()
  if (token === '') return [{ ...line, fault: 'empty', why: 'There is nothing in it.' }]
  const facts = tokenFacts(token)
  const isOne = facts.kind === line.kind || facts.fault !== undefined
  return [
    {
      ...{ ...line, ...facts, kind: line.kind, renewedBy: 'its session' },
      ...(!isOne && { fault: 'wrong field', why: 'What it holds is no session ingress token.' }),
    },
  ]
}

/** The agents by their directories. */
async function agentsIn(root: string, unseen: string[]): Promise<string[]> {
  const names: string[] = []
  try {
    for await (const entry of await opendir(join(root, 'agents'))) {
      if (entry.isFile()) continue
      if (names.length >= AGENTS) {
        unseen.push(`There are more than ${AGENTS} agents: the rest was not looked at.`)
        break
      }
      names.push(entry.name)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') unseen.push(`The agents’ directory cannot be read (${code ?? 'no reason'}).`)
  }
  return names.sort((a, b) => Number(b === 'main') - Number(a === 'main') || a.localeCompare(b))
}

/** What the files of an older gateway hold, below its state directory. Never throws. */
export async function readFileStores(
  root: string,
  now: number,
): Promise<{ credentials: Credential[]; agents: AgentStore[]; unseen: string[] }> {
  const unseen: string[] = []
  const credentials: Credential[] = []
  const agents: AgentStore[] = []
  for (const directory of await agentsIn(root, unseen)) {
    const agent = shownName(directory)
    const read = await readJson(join(root, 'agents', directory, 'agent', 'auth-profiles.json'))
    const found = read.state === 'ok' ? profilesIn(agent, read.value, now) : undefined
    agents.push(found?.agent ?? { agent, own: read.state !== 'missing' })
    credentials.push(...(found?.credentials ?? []))
    if (found && found.left > 0) unseen.push(`Agent ${agent} has ${found.left} more profiles: too many.`)
    if (found || read.state === 'missing') continue
    const line = { id: `profile/${agent}`, kind: 'other', provider: 'anthropic', agent } as const
    const broken = read.state === 'ok' ? { state: 'unparsable', why: 'There are no profiles in it.' } : read
    const where = `auth-profiles.json of agent ${agent}`
    credentials.push({ ...line, where, fault: broken.state as Fault, why: broken.why })
  }
  if (!agents.some(({ agent }) => agent === 'main')) agents.unshift({ agent: 'main', own: false })

  // It is read only where there is no such file at all, and then once (run with 2026.2.22); the others inherit from main.
  if (agents.some(({ agent, own }) => agent === 'main' && !own)) {
    const read = await readJson(join(root, 'credentials', 'oauth.json'))
    if (read.state === 'ok') credentials.push(oauthFileCredential(read.value))
    else if (read.state !== 'missing')
      credentials.push({ ...OAUTH_FILE, kind: 'login', fault: read.state, why: read.why })
  }
  return { credentials, agents, unseen }
}
