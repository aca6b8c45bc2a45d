// The Docker that a gateway uses, asked for its sandboxes by Docker's own CLI inside; what is not seen is never "none".

import { OpsError } from '../../errors.ts'
import type { ExecResult } from '../docker/index.ts'
import { type Inside, NOT_THERE, wasLate } from './inside.ts'
import {
  type Figures,
  figuresOf,
  IMAGE_FORMAT,
  type Image,
  INSPECT_FORMAT,
  idsOf,
  imageOf,
  inspectedOf,
  type Sandbox,
  sandboxOf,
} from './sandbox-facts.ts'

/** What was not seen, and why. `told`: another check tells of it. It is never "none". */
export interface Unseen {
  state: 'unknown'
  why: string
  told: boolean
}

/** What a look at the daemon came to. `absent`: the gateway has no Docker. */
export type SandboxLook =
  | {
      state: 'seen'
      sandboxes: Sandbox[]
      /** Every reference that was looked up. */
      images: Record<string, Image>
      /** What could not be had, in sentences. */
      gaps: string[]
    }
  | { state: 'absent'; why: string }
  | Unseen

const DOCKER_MS = 5_000
/** So many references are looked up. */
const MOST_IMAGES = 16
const UNSEEN: Image = { state: 'unknown', why: 'There are too many images.' }
export const DOWN = 'The gateway does not run.'
const NO_DOCKER = 'The gateway has no Docker, so it has no sandboxes.'

/** Docker's CLI when nobody listens, on a socket or over TCP. */
const NOBODY = /cannot connect to the docker daemon|error during connect/i

/** The daemon, or what it is in, is away. */
class AwayError extends OpsError {}

function away(error: unknown): never {
  throw error instanceof OpsError ? new AwayError(error.message, { cause: error }) : error
}

const said = ({ stderr, stdout }: ExecResult) =>
  (stderr || stdout).trim().split('\n').at(-1)?.slice(0, 200) || 'It did not say why.'

/** @throws OpsError for anything but a program that came to its end: that a daemon hangs, nobody else tells. */
function ended(result: ExecResult, what: string): ExecResult {
  if (wasLate(result)) throw new OpsError(`${what} did not end within ${DOCKER_MS / 1_000} s.`)
  return result
}

/** What follows needs all of the answer. @throws OpsError with its own words. */
function whole(result: ExecResult, what: string): ExecResult {
  if (ended(result, what).exitCode === 0) return result
  const words = `${what}: ${said(result)}`
  throw NOBODY.test(result.stderr) ? new AwayError(words) : new OpsError(words)
}

const docker = (place: Inside, args: readonly string[]) =>
  place.exec(['docker', ...args], { timeoutMs: DOCKER_MS }).catch(away)

async function figures(place: Inside, ids: readonly string[]): Promise<Map<string, Figures>> {
  if (ids.length === 0) return new Map()
  const argv = ['stats', '--no-stream', '--no-trunc', '--format', '{{json .}}', ...ids]
  return figuresOf(whole(await docker(place, argv), 'docker stats').stdout)
}

async function image(place: Inside, reference: string): Promise<Image> {
  const argv = ['image', 'inspect', '--format', IMAGE_FORMAT, '--', reference]
  try {
    return imageOf(ended(await docker(place, argv), 'docker image inspect'))
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    return { state: 'unknown', why: error.message }
  }
}

async function imagesOf(place: Inside, references: readonly string[]): Promise<Record<string, Image>> {
  const found = [...new Set(references)].map(
    async (each, index): Promise<[string, Image]> => [
      each,
      index < MOST_IMAGES ? await image(place, each) : UNSEEN,
    ],
  )
  return Object.fromEntries(await Promise.all(found))
}

async function inspect(place: Inside, ids: readonly string[]) {
  if (ids.length === 0) return []
  const argv = ['inspect', '--type', 'container', '--format', INSPECT_FORMAT, ...ids]
  // One that has gone meanwhile makes it fail, with the others in its answer.
  return inspectedOf(ended(await docker(place, argv), 'docker inspect'), ids.length)
}

/** @throws OpsError when it is not seen. */
async function look(place: Inside, wanted: readonly string[]): Promise<SandboxLook> {
  const filter = ['--filter', 'label=openclaw.sandbox=1', '--format', '{{json .}}']
  const listed = await docker(place, ['ps', '-a', '--no-trunc', ...filter])
  if (NOT_THERE.includes(listed.exitCode)) return { state: 'absent', why: NO_DOCKER }
  const found = await inspect(place, idsOf(whole(listed, 'docker ps').stdout))
  const running = found.filter(({ State }) => State.Status === 'running').map(({ Id }) => Id)
  const gaps: string[] = []
  const [used, images] = await Promise.all([
    // One that ends just now costs the figures of all: they come with the next look.
    figures(place, running).catch((error) => {
      if (!(error instanceof OpsError)) throw error
      gaps.push(`CPU, memory and pids were not seen. ${error.message}`)
      return new Map<string, Figures>()
    }),
    imagesOf(place, [...wanted, ...found.map(({ Config }) => Config.Image)]),
  ])
  const sandboxes = found.map((each) =>
    sandboxOf(each, used.get(each.Id.slice(0, 12)) ?? {}, images[each.Config.Image] ?? UNSEEN),
  )
  return { state: 'seen', sandboxes, images, gaps }
}

/**
 * Looks at the daemon.
 * @param inside undefined while the gateway does not run.
 * @param wanted images that are looked up besides those in use.
 */
export async function lookAtDaemon(
  inside: () => Promise<Inside | undefined>,
  wanted: readonly string[],
): Promise<SandboxLook> {
  try {
    const place = await inside().catch(away)
    return place ? await look(place, wanted) : { state: 'unknown', why: DOWN, told: true }
  } catch (error) {
    if (!(error instanceof OpsError)) throw error
    return { state: 'unknown', why: error.message, told: error instanceof AwayError }
  }
}
