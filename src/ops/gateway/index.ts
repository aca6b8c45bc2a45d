// The gateway from inside: its link, its CLI where the link cannot, and how it stands.

import { OpsError } from '../../errors.ts'
import { type Cli, createCli, type KnownCli } from './cli.ts'
import type { Inside } from './inside.ts'
import { createLink, GatewayError, type Link, type LinkOptions } from './link.ts'
import { type Ask, type Asked, METHODS, type Method, type MethodName, type Result } from './methods.ts'
import { type LinkState, type Ready, type Standing, standingOf } from './standing.ts'

export { GatewayError } from './link.ts'
export type { Ask, Asked } from './methods.ts'
export type { LinkState, Standing } from './standing.ts'

export interface Gateway {
  start(): void
  stop(): void
  hurry(): void
  /** Opens the line anew, with what we can do by now. */
  reopen(): void
  link(): LinkState
  ready(): Ready | undefined
  standing(): Standing
  /** Over the link, else by the CLI. @throws OpsError when neither answers. */
  ask: Ask
  /** Over the link alone: for what changes something. @throws GatewayError */
  call: Link['call']
  /** The CLI of the gateway that runs now; undefined when it does not run. @throws OpsError */
  cli(): Promise<Cli | undefined>
  inside(): Promise<Inside | undefined>
  /** Its version, from whoever says it first. @throws OpsError when neither link nor CLI knows. */
  version(): Promise<string>
  /** Since when it has been ready without a break, as far as we saw; undefined while it is not. UTC milliseconds. */
  readySince(): number | undefined
}

export interface GatewayOptions
  extends Pick<LinkOptions, 'identity' | 'caps' | 'orders' | 'onChange' | 'onEvent' | 'now' | 'log'> {
  /** Where it runs now, and since when. @returns undefined when it does not run. @throws OpsError */
  where: () => Promise<{ inside: Inside; startedAt?: number } | undefined>
  /** Called whenever it may stand otherwise than before. */
  onStanding: () => void
  /** What was found in an image is remembered. */
  memory: { get(key: string): KnownCli | undefined; set(key: string, known: KnownCli): void }
}

/** Codes of a call that may fare better by the CLI. */
const NOT_BY_LINK = ['CLOSED', 'ABSENT']

export function createGateway(options: GatewayOptions): Gateway {
  const { now, memory } = options
  let startedAt: number | undefined
  let readySince: number | undefined

  async function where() {
    const found = await options.where()
    startedAt = found?.startedAt
    return found?.inside
  }

  const link = createLink({
    ...options,
    where,
    onChange(next, before) {
      note()
      options.onChange(next, before)
      options.onStanding()
    },
    onReady() {
      note()
      options.onStanding()
    },
  })

  const standing = () => standingOf({ link: link.state(), ready: link.ready(), startedAt, now: now() })

  function note(): void {
    const { state } = standing()
    if (state !== 'ready') readySince = undefined
    else readySince ??= now()
  }

  async function cli(): Promise<Cli | undefined> {
    const inside = await where()
    return inside && createCli({ inside, memory })
  }

  async function byCli<M extends MethodName>(method: M, why: GatewayError): Promise<Asked<Result<M>>> {
    const { cli: instead, result }: Method = METHODS[method]
    const program = instead && (await cli())
    if (!program) throw why
    const { args, timeoutMs } = instead
    const parsed = result.safeParse(await program.json(args, { timeoutMs }))
    if (!parsed.success)
      throw new OpsError(`openclaw ${args.join(' ')} answered unlike any version that is known.`)
    return { value: parsed.data as Result<M>, source: 'cli', at: now() }
  }

  return {
    start: link.start,
    stop: link.stop,
    hurry: link.hurry,
    reopen: link.reopen,
    link: link.state,
    ready: link.ready,
    standing,
    call: link.call,
    cli,
    inside: where,
    readySince: () => readySince,
    async ask(method, params) {
      try {
        return { value: await link.call(method, params), source: 'link', at: now() }
      } catch (error) {
        if (error instanceof GatewayError && NOT_BY_LINK.includes(error.code))
          return await byCli(method, error)
        throw error
      }
    },
    async version() {
      const state = link.state()
      if (state.state === 'open' && state.version) return state.version
      const program = await cli()
      if (!program) throw new OpsError('The gateway does not run.')
      return (await program.known()).version
    },
  }
}
