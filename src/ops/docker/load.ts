// Loads dockerode without the parts that only builds and engines behind SSH use: they are most of its memory.

import { registerHooks } from 'node:module'
import type Dockerode from 'dockerode'

/** BuildKit's gRPC, SSH, and the tar of a build's context: 17 of its 20 MB (measured), and nothing here calls them. */
const UNUSED = ['@grpc/grpc-js', '@grpc/proto-loader', 'protobufjs', 'ssh2', 'tar-fs', '@balena/dockerignore']
const ITS_OWN = /\/node_modules\/(dockerode|docker-modem)\//

/** The class that a client is made of. What is left out is found to be empty by whoever calls it. */
export async function loadDockerode(): Promise<typeof Dockerode> {
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      UNUSED.includes(specifier) && ITS_OWN.test(context.parentURL ?? '')
        ? { url: 'node:events', shortCircuit: true }
        : next(specifier, context),
  })
  try {
    return (await import('dockerode')).default
  } finally {
    hooks.deregister()
  }
}
