// The way out to the web: connections that honour the configured proxy, and the plain fetch of a heartbeat.

import { Agent as HttpAgent, get as httpGet } from 'node:http'
import { Agent as HttpsAgent, get as httpsGet } from 'node:https'
import { OpsError } from '../errors.ts'

/** A pool of connections to one address. A proxy is Node's own (agent option `proxyEnv`, Node 24.5). */
export function newAgent(url: string, proxy?: string): HttpAgent {
  const options = { keepAlive: true, ...(proxy && { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }) }
  return url.startsWith('https:') ? new HttpsAgent(options) : new HttpAgent(options)
}

/**
 * Fetches an address for its status alone, on a connection of its own.
 * Node's `fetch` would cost 13 MB of memory for this one call.
 * @throws OpsError when there is no answer; the address, which may be a secret, is not in it.
 */
export function fetchStatus(url: string, options: { signal: AbortSignal; proxy?: string }): Promise<number> {
  const agent = newAgent(url, options.proxy)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const request = (url.startsWith('https:') ? httpsGet : httpGet)(url, { agent, signal: options.signal })
  request.on('response', (response) => {
    response.resume()
    resolve(response.statusCode ?? 0)
  })
  request.on('error', (error: NodeJS.ErrnoException) =>
    reject(new OpsError(`The address was not reached: ${error.code ?? 'no answer'}.`)),
  )
  return promise.finally(() => agent.destroy())
}
