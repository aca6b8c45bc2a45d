// What Docker's CLI says of sandboxes → facts: lists, inspections, figures and images, none of it trusted. Pure.

import { z } from 'zod'
import { OpsError } from '../../errors.ts'
import type { ExecResult } from '../docker/index.ts'

/** What an image reference stands for now, on the daemon that the sandboxes are on. */
export type Image =
  | { state: 'here'; id: string; builtAt?: number }
  | { state: 'missing' }
  | { state: 'unknown'; why: string }

/** Figures of one moment; Docker leaves out what it did not get. */
export interface Figures {
  /** Percent of one core. */
  cpuPercent?: number
  memoryBytes?: number
  pids?: number
}

/** One container of an agent's. Ids are the first 12 characters; times are UTC milliseconds. */
export interface Sandbox {
  id: string
  name: string
  /** `agent:main`, `agent:main:workspace:…` or `shared`; absent when its label is. */
  session?: string
  agent?: string
  browser: boolean
  /** Docker's word: running, exited, created … */
  state: string
  running: boolean
  exitCode: number
  /** A process in it was killed for want of memory since it was started; it may run on (measured on 26.1). */
  oomKilled: boolean
  createdAt: number
  finishedAt?: number
  image: string
  imageId: string
  /** `other`: its reference means another image now. */
  imageMatch: 'same' | 'other' | 'missing' | 'unknown'
  imageBuiltAt?: number
  use: Figures
  limits: { memoryBytes?: number; cpus?: number; pids?: number }
}

const ID = z.string().regex(/^[0-9a-f]{12,64}$/)
const moment = (text: string | null | undefined): number | undefined => {
  const at = Date.parse(text ?? '')
  return at > 0 ? at : undefined
}
const short = (id: string) => id.replace('sha256:', '').slice(0, 12)

/**
 * Printed by `docker inspect`: only what is used, so that what is in an environment is never read.
 * The names are those of the engine's own answer.
 */
export const INSPECT_FORMAT = `{${[
  ...['Id', 'Name', 'Created', 'Image', 'State'].map((name) => `"${name}":{{json .${name}}}`),
  `"HostConfig":{${['Memory', 'NanoCpus', 'PidsLimit'].map((name) => `"${name}":{{json .HostConfig.${name}}}`)}}`,
  '"Config":{"Image":{{json .Config.Image}},"Labels":{{json .Config.Labels}}}',
].join()}}`

/** An image that was imported may have no config. */
export const IMAGE_FORMAT =
  '{"Id":{{json .Id}},"Created":{{json .Created}},"Labels":{{with .Config}}{{json .Labels}}{{else}}null{{end}}}'

const labels = z.record(z.string(), z.string()).nullish()
const amount = z.number().nullish()
const listed = z.object({ ID })
const inspected = z.object({
  Id: ID,
  Name: z.string().min(1),
  Created: z.string(),
  Image: z.string(),
  State: z.object({
    Status: z.string(),
    ExitCode: z.number(),
    OOMKilled: z.boolean(),
    FinishedAt: z.string().optional(),
  }),
  HostConfig: z.object({ Memory: amount, NanoCpus: amount, PidsLimit: amount }),
  Config: z.object({ Image: z.string(), Labels: labels }),
})
const figured = z.object({
  ID,
  CPUPerc: z.string().default(''),
  MemUsage: z.string().default(''),
  PIDs: z.string().default(''),
})
const pictured = z.object({ Id: z.string().min(1), Created: z.string().nullish(), Labels: labels })

export type Inspected = z.output<typeof inspected>

function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Lines of JSON. @throws OpsError when one is none, or of another shape: half an answer is no answer. */
function lines<T>(from: string, text: string, shape: z.ZodType<T>): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const { success, data } = shape.safeParse(json(line))
      // The line itself is not shown: nobody knows what is in it.
      if (!success) throw new OpsError(`${from} said something that is not understood.`)
      return data
    })
}

/** `docker ps --no-trunc --format '{{json .}}'` → ids. @throws OpsError */
export const idsOf = (stdout: string): string[] => lines('docker ps', stdout, listed).map(({ ID: id }) => id)

/**
 * `docker inspect --format INSPECT_FORMAT` of so many ids.
 * @throws OpsError when one is left out that has not gone meanwhile.
 */
export function inspectedOf({ stdout, stderr }: Pick<ExecResult, 'stdout' | 'stderr'>, asked: number) {
  const found = lines('docker inspect', stdout, inspected)
  const gone = stderr.match(/no such (?:container|object)/gi)?.length ?? 0
  if (found.length + gone < asked) throw new OpsError('docker inspect left sandboxes out.')
  return found
}

const UNITS: Record<string, number> = {
  ...{ b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
}

/** `468KiB / 64MiB`, as `docker stats` prints it → the first of the two in bytes. */
export function sizeIn(text: string): number | undefined {
  const [, figure, unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b)\b/i.exec(text) ?? []
  const factor = UNITS[unit.toLowerCase()]
  return figure === undefined || factor === undefined ? undefined : Math.round(Number(figure) * factor)
}

/** `0.71%` or `12` → the number; `--` is none. */
const numberIn = (text: string) => (/^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : undefined)

/** `docker stats --no-stream --format '{{json .}}'` → figures by short id. @throws OpsError */
export function figuresOf(stdout: string): Map<string, Figures> {
  return new Map(
    lines('docker stats', stdout, figured).map(({ ID: id, CPUPerc, MemUsage, PIDs }) => {
      const [cpuPercent, memoryBytes, pids] = [numberIn(CPUPerc), sizeIn(MemUsage), numberIn(PIDs)]
      return [
        short(id),
        {
          ...(cpuPercent !== undefined && { cpuPercent }),
          ...(memoryBytes !== undefined && { memoryBytes }),
          ...(pids !== undefined && { pids }),
        },
      ]
    }),
  )
}

/** Images that are built to be the same each time name a date long before there was an OpenClaw. */
const FIRST_IMAGE = Date.UTC(2024, 0)

/** `docker image inspect --format IMAGE_FORMAT` of one reference. */
export function imageOf({ exitCode, stdout, stderr }: ExecResult): Image {
  if (exitCode !== 0)
    return /no such image/i.test(stderr)
      ? { state: 'missing' }
      : { state: 'unknown', why: stderr.trim().split('\n').at(-1)?.slice(0, 200) || 'Docker did not say.' }
  const { success, data } = pictured.safeParse(json(stdout))
  if (!success)
    return { state: 'unknown', why: 'docker image inspect said something that is not understood.' }
  const builtAt = moment(data.Labels?.['openclaw.build-date']) ?? moment(data.Created)
  return {
    state: 'here',
    id: short(data.Id),
    ...(builtAt !== undefined && builtAt >= FIRST_IMAGE && { builtAt }),
  }
}

/** `agent:main:workspace:…` → `main`. What stands there goes into an argv, so it must look like an agent's id. */
export const agentOf = (session: string | undefined): string | undefined =>
  /^agent:([a-z0-9][\w-]{0,63})(?::|$)/i.exec(session ?? '')?.[1]

const matchOf = (imageId: string, image: Image): Sandbox['imageMatch'] =>
  image.state !== 'here' ? image.state : image.id === imageId ? 'same' : 'other'

/** One inspected container, with its figures and what its image reference means now. */
export function sandboxOf(found: Inspected, use: Figures, image: Image): Sandbox {
  const { State, Config, HostConfig } = found
  const name = found.Name.replace(/^\//, '')
  const own = Config.Labels ?? {}
  const session = own['openclaw.sessionKey'] || undefined
  const agent = agentOf(session)
  const imageId = short(found.Image)
  const finishedAt = moment(State.FinishedAt)
  const imageMatch = matchOf(imageId, image)
  // A container has the labels of the image that it was made from.
  const ownDate = moment(own['openclaw.build-date'])
  const builtAt = ownDate ?? (imageMatch === 'same' && image.state === 'here' ? image.builtAt : undefined)
  return {
    ...{ id: short(found.Id), name, state: State.Status, running: State.Status === 'running' },
    ...(session !== undefined && { session }),
    ...(agent !== undefined && { agent }),
    browser: own['openclaw.sandboxBrowser'] === '1' || name.startsWith('openclaw-sbx-browser-'),
    ...{ exitCode: State.ExitCode, oomKilled: State.OOMKilled, createdAt: moment(found.Created) ?? 0 },
    ...(finishedAt !== undefined && { finishedAt }),
    ...{ image: Config.Image, imageId, imageMatch },
    ...(builtAt !== undefined && { imageBuiltAt: builtAt }),
    use,
    limits: {
      ...(HostConfig.Memory && { memoryBytes: HostConfig.Memory }),
      ...(HostConfig.NanoCpus && { cpus: HostConfig.NanoCpus / 1e9 }),
      // Docker says 0 or -1 for no limit.
      ...((HostConfig.PidsLimit ?? 0) > 0 && { pids: HostConfig.PidsLimit ?? 0 }),
    },
  }
}
