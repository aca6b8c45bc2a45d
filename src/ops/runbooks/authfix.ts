// Authfix: faults in files of credentials put right, as a diff first; no token is made, copied or shown.

import { join } from 'node:path'
import { messageOf, OpsError } from '../../errors.ts'
import { type Fixed, fixOauth, fixProfiles } from '../credentials/fix.ts'
import { shownName } from '../credentials/kinds.ts'
import { withLock } from '../credentials/lock.ts'
import type { Places } from '../credentials/places.ts'
import { readWhole, replaceFile } from '../credentials/write.ts'
import { sha256 } from '../docker/index.ts'
import { plural } from '../words.ts'
import type { Finding, Runbook, RunbookPlan, StepTools } from './index.ts'

/** Plain JSON without secrets. */
export interface AuthfixContext {
  /** What is to be put right, by file below the gateway's state. */
  files: { file: string; lines: string[] }[]
}

export interface AuthfixParts {
  places: Pick<Places, 'store' | 'mustBeFiles' | 'agents'>
  now: () => number
}

const OAUTH = join('credentials', 'oauth.json')
const profilesOf = (agent: string) => join('agents', agent, 'agent', 'auth-profiles.json')

/** `auth-profiles.json of main`, for people. */
const shown = (file: string): string => {
  const [, agent] = /^agents\/([^/]+)\//.exec(file) ?? []
  return agent === undefined ? file : `auth-profiles.json of ${shownName(agent)}`
}

export function createAuthfix({ places, now }: AuthfixParts): Runbook<Record<string, never>, AuthfixContext> {
  const fixed = (file: string, text: string): Fixed =>
    file === OAUTH ? fixOauth(text) : fixProfiles(text, shown(file), shownName, now())

  async function look(): Promise<{ files: AuthfixContext['files']; unread: string[] }> {
    const root = await places.mustBeFiles()
    const unread: string[] = []
    const files: AuthfixContext['files'] = []
    for (const file of [...(await places.agents(root)).map(profilesOf), OAUTH]) {
      try {
        const found = await readWhole(join(root, file), { within: root })
        const { lines } = found ? fixed(file, found.text) : { lines: [] }
        if (lines.length > 0) files.push({ file, lines })
      } catch (error) {
        if (!(error instanceof OpsError)) throw error
        unread.push(error.message)
      }
    }
    return { files, unread }
  }

  async function plan(): Promise<RunbookPlan<AuthfixContext>> {
    const base = { target: 'credentials', commands: [] }
    const none = (findings: Finding[]): RunbookPlan<AuthfixContext> => ({
      ...{ ...base, findings, basis: sha256(JSON.stringify(findings)), context: { files: [] } },
    })
    if ((await places.store()).store === 'sqlite')
      return none([
        {
          level: 'block',
          text: 'the gateway keeps its profiles in SQLite: only its own commands change them. /sync gives it a new token.',
        },
      ])
    try {
      const { files, unread } = await look()
      const findings: Finding[] = [
        ...files.flatMap(({ file, lines }) =>
          lines.map((line): Finding => ({ level: 'ok', text: `${shown(file)}: ${line}` })),
        ),
        ...unread.map((text): Finding => ({ level: 'warn', text })),
      ]
      if (files.length === 0)
        return {
          ...none([...findings, { level: 'block', text: 'there is nothing to put right.' }]),
          ...(unread.length === 0 && { idle: true }),
        }
      return { ...base, findings, basis: sha256(JSON.stringify(files)), context: { files } }
    } catch (error) {
      if (!(error instanceof OpsError)) throw error
      return none([{ level: 'block', text: error.message }])
    }
  }

  async function fixOne(file: string, lines: readonly string[]): Promise<string> {
    const path = join(await places.mustBeFiles(), file)
    return await withLock(path, async () => {
      const within = await places.mustBeFiles()
      const found = await readWhole(path, { within })
      if (!found) throw new OpsError(`${shown(file)} is not there any more.`)
      const made = fixed(file, found.text)
      if (made.lines.length === 0) return `${shown(file)}: is right already`
      if (made.lines.join('\n') !== lines.join('\n'))
        throw new OpsError(
          `${shown(file)} has other faults than were shown: it is as it was. /authfix again.`,
        )
      await replaceFile(path, made.text, {
        ...{ expected: found.hash, backup: true, within },
        still: places.mustBeFiles,
      })
      return `${shown(file)}: ${plural(lines.length, 'fault')} put right`
    })
  }

  async function fix({ files }: AuthfixContext, { signal }: StepTools): Promise<string> {
    const done: string[] = []
    for (const { file, lines } of files) {
      try {
        if (signal.aborted) throw new OpsError('It was stopped.')
        done.push(await fixOne(file, lines))
      } catch (error) {
        throw new OpsError([messageOf(error), ...done].join(' '), { cause: error })
      }
    }
    return `${done.join('; ')}. What was there before lies beside it as .bak.`
  }

  async function prove(): Promise<string> {
    const { files } = await look()
    if (files.length > 0)
      throw new OpsError(`Still to be put right: ${files.map(({ file }) => shown(file)).join(', ')}.`)
    return 'read again: no fault is left. The gateway reads its files at every run.'
  }

  return {
    name: 'authfix',
    danger: 'disruptive',
    resource: 'credentials',
    plan,
    steps: [
      { name: 'files', run: fix },
      { name: 'proof', run: prove },
    ],
    async found() {
      const { files } = await look()
      return files.length > 0
        ? `To be put right: ${files.map(({ file }) => shown(file)).join(', ')}.`
        : 'No fault is left.'
    },
    mend: () => [{ label: 'Put right', run: 'authfix' }],
  }
}
