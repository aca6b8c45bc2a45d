// Where the gateway is: in which container or on this host, where it listens, and where its state lies.

import type { Config } from '../../config.ts'
import type { ContainerBrief, Docker } from '../docker/index.ts'
import { open, type Run } from '../run.ts'
import { type Inside, insideContainer, insideHost } from './inside.ts'

export interface PlaceOptions {
  config: Pick<Config, 'docker'>
  docker: Docker
  findGateway: () => Promise<ContainerBrief | undefined>
  run: Run
}

export interface Place {
  /** @returns undefined when it does not run. @throws OpsError */
  where(): Promise<{ inside: Inside; startedAt?: number } | undefined>
  /** What the script does not find out by itself. @throws OpsError */
  orders(): Promise<{ port?: number; url?: string }>
  /** The host's side of its state directory. @throws OpsError */
  stateDir(): Promise<string | undefined>
}

export function createPlace({ config, docker, findGateway, run }: PlaceOptions): Place {
  const { gatewayUrl, stateDir, clientEnvironment } = config.docker

  async function container() {
    const brief = await findGateway()
    return brief && (await docker.inspect(brief.id))
  }

  return {
    async where() {
      if (gatewayUrl) {
        const env = { ...clientEnvironment, ...(stateDir && { OPENCLAW_STATE_DIR: stateDir }) }
        return { inside: insideHost({ run, open, env }) }
      }
      const found = await container()
      if (found?.state !== 'running') return undefined
      const { startedAt } = found
      return { inside: insideContainer(docker, found), ...(startedAt && { startedAt }) }
    },
    async orders() {
      if (gatewayUrl) return { url: gatewayUrl }
      const port = (await container())?.port
      return port ? { port } : {}
    },
    async stateDir() {
      if (stateDir) return stateDir
      return (await container())?.mounts.find(({ destination }) => destination.endsWith('/.openclaw'))?.source
    },
  }
}
