// Snapshots: what a service was made of before it was made anew, kept as files beside the state, to go back to.

import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { OpsError } from '../errors.ts'
import type { ComposeLabels, Container } from './docker/index.ts'
import { entriesOf } from './envfile.ts'

export interface Snapshot {
  /** Its directory's name: `20261120-140201-openclaw-gateway`. */
  id: string
  takenAt: number
  project: ComposeLabels
  container: { id: string; name: string; image: string; imageId: string; environment: Record<string, string> }
  /** Where each kept file came from. The copies hold secrets: they are 0600 in a 0700 directory. */
  files: { from: string; copy: string }[]
  /** Whether the container was made from these very files: none has changed since. */
  faithful: boolean
}

export interface Snapshots {
  /** @throws OpsError when a file cannot be kept. */
  take(project: ComposeLabels, container: Container, now: number): Promise<Snapshot>
  list(): Promise<Snapshot[]>
  /** The faithful one of a container, if it was taken in time. */
  of(containerId: string): Promise<Snapshot | undefined>
  /** Whether the files are still those that a container was made from. */
  faithful(project: ComposeLabels, container: Pick<Container, 'createdAt'>): Promise<boolean>
  /** @throws OpsError when there is none of that name. */
  find(id: string): Promise<Snapshot>
  /**
   * Puts its files back, each in one rename. Credentials in the present `.env` stay unless they are asked for too.
   * @returns the files that changed.
   */
  restore(snapshot: Snapshot, options: { credentials: boolean }): Promise<string[]>
}

/** So many are kept of each service. */
const KEPT = 10
/** Names in a `.env` whose values are credentials: newer ones are never replaced by older ones unasked. */
const CREDENTIAL = /(TOKEN|KEY|SECRET|PASSWORD)$/

const envFilesOf = ({ workingDir, environmentFiles }: ComposeLabels) =>
  environmentFiles.length > 0 ? environmentFiles : [join(workingDir, '.env')]

/** The old text, with the present values of its credentials and of those that came since. */
export function keepCredentials(old: string, present: string): string {
  const now = new Map(
    entriesOf(present).flatMap(({ name, text }) =>
      name && CREDENTIAL.test(name) ? [[name, text] as const] : [],
    ),
  )
  const entries = entriesOf(old)
  const known = new Set(entries.map(({ name }) => name))
  const kept = entries.map(({ name = '', text }) => now.get(name) ?? text).join('\n')
  const added = [...now].filter(([name]) => !known.has(name)).map(([, text]) => text)
  return added.length > 0 ? `${kept.replace(/\n?$/, '\n')}${added.join('\n')}\n` : kept
}

/** Writes beside and renames, so that a reader sees the old or the new file whole; owner and mode stay. */
async function replaceFile(path: string, text: string): Promise<void> {
  const { mode, uid, gid } = await stat(path).catch(() => ({
    mode: 0o600,
    uid: process.getuid?.() ?? 0,
    gid: 0,
  }))
  const fresh = `${path}.opsbot-new`
  const { open } = await import('node:fs/promises')
  const file = await open(fresh, 'w', mode & 0o777)
  try {
    await file.writeFile(text)
    await file.chown(uid, gid)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
}

export function createSnapshots(directory: string): Snapshots {
  const manifest = (id: string) => join(directory, id, 'snapshot.json')

  async function list(): Promise<Snapshot[]> {
    const names = await readdir(directory).catch(() => [])
    const found = await Promise.allSettled(
      names.map(async (id) => JSON.parse(await readFile(manifest(id), 'utf8')) as Snapshot),
    )
    return found
      .flatMap((each) => (each.status === 'fulfilled' ? each.value : []))
      .sort((a, b) => b.takenAt - a.takenAt)
  }

  async function prune(service: string): Promise<void> {
    const old = (await list()).filter(({ project }) => project.service === service).slice(KEPT)
    await Promise.all(old.map(({ id }) => rm(join(directory, id), { recursive: true, force: true })))
  }

  async function faithful(project: ComposeLabels, { createdAt }: Pick<Container, 'createdAt'>) {
    const files = [...project.configFiles, ...envFilesOf(project)]
    // The change time moves with whatever is done to a file, also when another one takes its place.
    const times = await Promise.all(
      files.map((file) =>
        stat(file).then(
          ({ ctimeMs }) => ctimeMs,
          () => 0,
        ),
      ),
    )
    return times.every((time) => time <= createdAt)
  }

  return {
    list,
    faithful,
    of: async (containerId) =>
      (await list()).find((each) => each.faithful && each.container.id === containerId),
    async take(project, container, now) {
      const stamp = new Date(now).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-')
      const taken = await readdir(directory).catch((): string[] => [])
      const base = `${stamp}-${project.service}`
      let id = base
      for (let number = 2; taken.includes(id); number += 1) id = `${base}-${number}`
      const place = join(directory, id)
      await mkdir(place, { recursive: true, mode: 0o700 })
      const sources = [...project.configFiles, ...envFilesOf(project)]
      const files = []
      for (const [index, from] of sources.entries()) {
        const copy = `${index}-${basename(from)}`
        try {
          await copyFile(from, join(place, copy))
          // A copy has the mode of what it was made from.
          await chmod(join(place, copy), 0o600)
          files.push({ from, copy })
        } catch (error) {
          // A project without `.env` is none of our business; a compose file that is gone is.
          if (project.configFiles.includes(from))
            throw new OpsError(`${from} could not be kept in the snapshot.`, { cause: error })
        }
      }
      const { name, image, imageId, environment } = container
      const snapshot: Snapshot = {
        ...{ id, takenAt: now, project, files, faithful: await faithful(project, container) },
        container: { id: container.id, name, image, imageId, environment },
      }
      await writeFile(manifest(id), JSON.stringify(snapshot, null, 2), { mode: 0o600 })
      await prune(project.service)
      return snapshot
    },
    async find(id) {
      const found = (await list()).find((each) => each.id === id)
      if (!found) throw new OpsError(`There is no snapshot "${id.slice(0, 64)}". /rollback lists them.`)
      return found
    },
    async restore({ id, files, project }, { credentials }) {
      const changed: string[] = []
      for (const { from, copy } of files) {
        const old = await readFile(join(directory, id, copy), 'utf8')
        const present = await readFile(from, 'utf8').catch(() => '')
        const isEnv = envFilesOf(project).includes(from)
        const wanted = isEnv && !credentials ? keepCredentials(old, present) : old
        if (wanted === present) continue
        await replaceFile(from, wanted)
        changed.push(from)
      }
      return changed
    },
  }
}
