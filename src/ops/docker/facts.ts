// What the Docker engine says, as plain facts: pure, and the only place where an environment's values are seen.

import { createHash } from 'node:crypto'
import type Dockerode from 'dockerode'

export interface Engine {
  version: string
  apiVersion: string
}

/** Labels that Compose puts on what it makes (measured with 2.26 and 2.40). */
export interface ComposeLabels {
  project: string
  service: string
  workingDir: string
  configFiles: string[]
  environmentFiles: string[]
  /** Whether it depends on other services. */
  dependent: boolean
}

export interface ContainerBrief {
  id: string
  name: string
  image: string
  /** `running`, `exited`, `created`, `restarting`, `paused`, `removing`, `dead`. */
  state: string
  /** Docker's own words: `Up 3 hours (healthy)`. */
  status: string
  createdAt: number
  compose?: ComposeLabels
  /** The runtime's own name for it: `io.containerd.runc.v2`, `sysbox-runc`. */
  labels: Record<string, string>
}

export interface Container extends Omit<ContainerBrief, 'status'> {
  imageId: string
  exitCode: number
  oomKilled: boolean
  /** What the engine could not do: start it, mount something. */
  error?: string
  health?: { status: string; lastOutput?: string }
  startedAt?: number
  finishedAt?: number
  restartCount: number
  restartPolicy: string
  runtime: string
  /** Name → SHA-256 of the value: values never leave this file. */
  environment: Record<string, string>
  limits: { memoryBytes?: number; cpus?: number; pids?: number }
  mounts: { source: string; destination: string; writable: boolean }[]
  tmpfs: string[]
  /** How long the engine waits for it to end by itself, when it says so. Seconds. */
  stopSeconds?: number
  /** How long it may be unhealthy after its start. Milliseconds; absent without a health check. */
  startPeriodMs?: number
  user: string
  /** The port that its command line says it listens on; nothing else is taken from there. */
  port?: number
}

export interface ContainerUse {
  memoryBytes: number
  cpuPercent: number
  pids: number
}

export interface ContainerEvent {
  at: number
  action: string
  id: string
  name: string
  exitCode?: number
  signal?: string
}

export interface ExecResult {
  exitCode: number
  /** stdout and stderr together, as they came. */
  output: string
  stdout: string
  stderr: string
}

const LABEL = 'com.docker.compose.'

export const sha256 = (value: string): string => createHash('sha256').update(value).digest('hex')

const list = (label: string | undefined) => label?.split(',').filter(Boolean) ?? []

function composeOf(labels: Record<string, string>): ComposeLabels | undefined {
  const [project, service] = [labels[`${LABEL}project`], labels[`${LABEL}service`]]
  if (!project || !service || labels[`${LABEL}oneoff`] === 'True') return undefined
  return {
    project,
    service,
    workingDir: labels[`${LABEL}project.working_dir`] ?? '',
    configFiles: list(labels[`${LABEL}project.config_files`]),
    environmentFiles: list(labels[`${LABEL}project.environment_file`]),
    dependent: Boolean(labels[`${LABEL}depends_on`]),
  }
}

/** Docker's "never" is the year 1. */
function moment(text: string | undefined): number | undefined {
  const at = Date.parse(text ?? '')
  return at > 0 ? at : undefined
}

/** A row of the engine's list → a brief. */
export function briefOf(info: Dockerode.ContainerInfo): ContainerBrief {
  const compose = composeOf(info.Labels)
  return {
    id: info.Id,
    name: info.Names[0]?.replace(/^\//, '') ?? info.Id.slice(0, 12),
    image: info.Image,
    state: info.State,
    status: info.Status,
    createdAt: info.Created * 1_000,
    labels: info.Labels,
    ...(compose && { compose }),
  }
}

/** Docker counts in nanoseconds; this many are a millisecond. */
export const NANOS = 1e6
const environmentOf = (entries: readonly string[] | undefined) =>
  Object.fromEntries(
    (entries ?? []).map((entry) => {
      const at = entry.indexOf('=')
      return [entry.slice(0, at), sha256(entry.slice(at + 1))]
    }),
  )

/** The engine's inspection → a container, its environment hashed. */
export function containerOf(info: Dockerode.ContainerInspectInfo): Container {
  const { State, Config, HostConfig } = info
  const labels = Config.Labels ?? {}
  const compose = composeOf(labels)
  const [startedAt, finishedAt] = [moment(State.StartedAt), moment(State.FinishedAt)]
  const lastOutput = State.Health?.Log?.at(-1)?.Output?.trim()
  const startPeriod = Config.Healthcheck?.StartPeriod
  // The types of dockerode do not know it yet.
  const { StopTimeout: stopSeconds } = Config as { StopTimeout?: number }
  const port = /--port[= ](\d+)/.exec([...(Config.Entrypoint ?? []), ...(Config.Cmd ?? [])].join(' '))?.[1]
  const cpus = HostConfig.NanoCpus ? HostConfig.NanoCpus / 1e9 : undefined
  return {
    id: info.Id,
    name: info.Name.replace(/^\//, ''),
    image: Config.Image,
    imageId: info.Image,
    state: State.Status,
    exitCode: State.ExitCode,
    oomKilled: State.OOMKilled,
    createdAt: Date.parse(info.Created),
    restartCount: info.RestartCount,
    restartPolicy: HostConfig.RestartPolicy?.Name || 'no',
    runtime: HostConfig.Runtime ?? '',
    environment: environmentOf(Config.Env),
    labels,
    limits: {
      ...(HostConfig.Memory && { memoryBytes: HostConfig.Memory }),
      ...(cpus && { cpus }),
      ...(HostConfig.PidsLimit && { pids: HostConfig.PidsLimit }),
    },
    mounts: info.Mounts.map(({ Source, Destination, RW }) => ({
      source: Source,
      destination: Destination,
      writable: RW,
    })),
    tmpfs: Object.keys(HostConfig.Tmpfs ?? {}),
    user: Config.User,
    ...(State.Error && { error: State.Error }),
    ...(State.Health && { health: { status: State.Health.Status, ...(lastOutput && { lastOutput }) } }),
    ...(port && { port: Number(port) }),
    ...(startedAt && { startedAt }),
    ...(finishedAt && { finishedAt }),
    ...(stopSeconds !== undefined && { stopSeconds }),
    ...(Config.Healthcheck && { startPeriodMs: (startPeriod ?? 0) / NANOS }),
    ...(compose && { compose }),
  }
}

/** Output without a terminal comes in frames: a byte for the stream, three of nothing, four of length. */
export function demux(raw: Buffer): Omit<ExecResult, 'exitCode'> {
  const frames: { fromStderr: boolean; bytes: Buffer }[] = []
  for (let at = 0; at + 8 <= raw.length; ) {
    const length = raw.readUInt32BE(at + 4)
    frames.push({ fromStderr: raw[at] === 2, bytes: raw.subarray(at + 8, at + 8 + length) })
    at += 8 + length
  }
  const text = (some: typeof frames) => Buffer.concat(some.map(({ bytes }) => bytes)).toString('utf8')
  return {
    output: text(frames),
    stdout: text(frames.filter(({ fromStderr }) => !fromStderr)),
    stderr: text(frames.filter(({ fromStderr }) => fromStderr)),
  }
}

/** CPU over the second that the engine measured, in percent of one core. */
export function useOf({
  memory_stats,
  cpu_stats,
  precpu_stats,
  pids_stats,
}: Dockerode.ContainerStats): ContainerUse {
  const busy = cpu_stats.cpu_usage.total_usage - precpu_stats.cpu_usage.total_usage
  const total = cpu_stats.system_cpu_usage - (precpu_stats.system_cpu_usage ?? 0)
  return {
    memoryBytes: memoryOf(memory_stats),
    cpuPercent: total > 0 ? (busy / total) * (cpu_stats.online_cpus ?? 1) * 100 : 0,
    pids: pids_stats?.current ?? 0,
  }
}

/** As `docker stats` counts: without the page cache that could be given back (cgroup v1 and v2 name it differently). */
export function memoryOf({ usage = 0, stats }: Dockerode.ContainerStats['memory_stats']): number {
  const cache = stats as { total_inactive_file?: number; inactive_file?: number } | undefined
  return Math.max(0, usage - (cache?.total_inactive_file ?? cache?.inactive_file ?? 0))
}

/** The engine's word on a program that was started inside. */
export const executionOf = ({ Running, ExitCode }: Dockerode.ExecInspectInfo) => ({
  running: Running,
  ...(!Running && typeof ExitCode === 'number' && { exitCode: ExitCode }),
})
