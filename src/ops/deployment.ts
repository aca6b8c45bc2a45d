// The OpenClaw deployment among the containers of a host: which one is the gateway, and which ones are expected to run.

import { basename, join } from 'node:path'
import { OpsError } from '../errors.ts'
import type { ComposeLabels, ContainerBrief } from './docker/index.ts'

export interface DeploymentOptions {
  /** OPENCLAW_GATEWAY_CONTAINER: a name. */
  gatewayContainer?: string
  /** OPENCLAW_DIR: the directory of the compose project. */
  projectDir?: string
  /** WATCH_CONTAINERS: names besides those of the gateway's project. */
  watched: readonly string[]
}

/** Something that should run: a service of the gateway's project, or a container by its name. */
export interface Expected {
  /** What people call it: the container's name. */
  name: string
  compose?: ComposeLabels
  /** It is expected because WATCH_CONTAINERS names it. */
  named?: true
}

/** The names that upstream's compose file and Compose itself give the gateway. */
const GATEWAY_NAMES = ['openclaw-gateway', 'openclaw-openclaw-gateway-1']

const newestFirst = (containers: readonly ContainerBrief[]) =>
  containers.toSorted((a, b) => b.createdAt - a.createdAt)

/**
 * The gateway's container: as configured, else by its Compose service, else by its usual names.
 * @returns undefined when there is none.
 * @throws OpsError when several fit and nothing says which one is meant.
 */
export function findGateway(
  containers: readonly ContainerBrief[],
  { gatewayContainer, projectDir }: DeploymentOptions,
): ContainerBrief | undefined {
  if (gatewayContainer) return containers.find(({ name }) => name === gatewayContainer)
  // While Compose makes a service anew it has two containers for a moment; the newer one counts.
  const services = newestFirst(containers).filter(({ compose }) => compose?.service === 'openclaw-gateway')
  const projects = [...Map.groupBy(services, ({ compose }) => compose?.project).values()].flatMap(
    ([first]) => first ?? [],
  )
  const there = projects.filter(({ compose }) => compose?.workingDir === projectDir)
  const here = there.length > 0 ? there : projects
  if (here.length > 1)
    throw new OpsError(
      `Several containers may be the gateway: ${here.map(({ name }) => name).join(', ')}. Set OPENCLAW_GATEWAY_CONTAINER.`,
    )
  return here[0] ?? containers.find(({ name }) => GATEWAY_NAMES.includes(name))
}

/** The gateway among what was expected before, for when its container is gone. */
export const rememberedGateway = (
  known: readonly Expected[],
  { gatewayContainer }: DeploymentOptions,
): Expected | undefined =>
  known.find(({ name, compose }) =>
    gatewayContainer
      ? name === gatewayContainer
      : compose?.service === 'openclaw-gateway' || GATEWAY_NAMES.includes(name),
  )

/** The project where it lies now: OPENCLAW_DIR wins over the labels, which keep the place where it was made. */
export function projectOf(
  labels: ComposeLabels,
  { projectDir }: Pick<DeploymentOptions, 'projectDir'>,
): ComposeLabels {
  if (!projectDir || labels.workingDir === projectDir) return labels
  const moved = (file: string) => join(projectDir, basename(file))
  return {
    ...labels,
    workingDir: projectDir,
    configFiles: labels.configFiles.map(moved),
    environmentFiles: labels.environmentFiles.map(moved),
  }
}

/** What is expected to run: what was known before, and what the list shows now. */
export function expectedOf(
  containers: readonly ContainerBrief[],
  known: readonly Expected[],
  options: DeploymentOptions,
): Expected[] {
  const gateway = findGateway(containers, options)
  const project = gateway?.compose?.project ?? known.find(({ compose }) => compose)?.compose?.project
  const found = containers
    .filter(({ compose, name }) => (project && compose?.project === project) || name === gateway?.name)
    .map(({ name, compose }): Expected => ({ name, ...(compose && { compose }) }))
  const kept = known.filter((each) => !each.named && each.compose?.project === project)
  // A gateway that was configured by name and never seen is missed by that name.
  const { gatewayContainer } = options
  const configured = gatewayContainer && found.length + kept.length === 0 ? [gatewayContainer] : []
  const named = [...options.watched, ...configured]
    .filter((name) => ![...found, ...kept].some((each) => each.name === name))
    .map((name): Expected => ({ name, named: true }))
  const all = [...found, ...named, ...kept]
  return [...new Map(all.toReversed().map((each) => [keyOf(each), each])).values()].toReversed()
}

/** The `.env` of a compose project. */
export const envPathOf = ({ workingDir, environmentFiles }: ComposeLabels): string =>
  environmentFiles[0] ?? join(workingDir, '.env')

/** One thing under all the names that its container may have: a service is known by its name in the project. */
export const keyOf = ({ name, compose }: Expected): string => compose?.service ?? name

/** The container of something expected, whatever it is called by now. */
export function containerOf(
  containers: readonly ContainerBrief[],
  expected: Expected,
): ContainerBrief | undefined {
  const { compose, name } = expected
  return newestFirst(containers).find((each) =>
    compose
      ? each.compose?.project === compose.project && each.compose.service === compose.service
      : each.name === name,
  )
}

/**
 * The one container that a person means: by name, by service, or by the beginning of its id or name.
 * @throws OpsError when none or several fit.
 */
export function meant(containers: readonly ContainerBrief[], word: string): ContainerBrief {
  const fits =
    [
      containers.filter(({ name }) => name === word),
      containers.filter(({ compose }) => compose?.service === word),
      containers.filter(({ name, id }) => name.startsWith(word) || (word.length >= 4 && id.startsWith(word))),
    ].find(({ length }) => length > 0) ?? []
  const [found, another] = fits
  if (!found)
    throw new OpsError(
      `There is no container "${word.slice(0, 64)}". ${containers.length > 0 ? `There are: ${containers.map(({ name }) => name).join(', ')}.` : 'There are no containers.'}`,
    )
  if (another)
    throw new OpsError(
      `"${word}" may mean ${fits.map(({ name }) => name).join(' or ')}. Write more of its name.`,
    )
  return found
}
