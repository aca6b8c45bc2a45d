// What a failed call says about the Docker engine.

import { messageOf, OpsError } from '../../errors.ts'

export const NOT_THERE = 'Docker is not configured here: there is no socket. DOCKER_HOST says where it is.'

/** `absent` there is no socket · `down` nobody listens · `hanging` it does not answer in time. */
export class EngineError extends OpsError {
  readonly state: 'absent' | 'down' | 'hanging' | 'refused'
  constructor(message: string, state: EngineError['state']) {
    super(message)
    this.state = state
  }
}

/** What a failed call says about the engine. */
export function engineError(error: unknown, timedOut: boolean, timeoutMs: number): EngineError {
  if (error instanceof EngineError) return error
  if (timedOut) return new EngineError(`Docker did not answer within ${timeoutMs / 1_000} s.`, 'hanging')
  const { code, statusCode, reason } = error as { code?: string; statusCode?: number; reason?: string }
  if (code === 'ENOENT') return new EngineError(NOT_THERE, 'absent')
  if (code === 'EACCES') return new EngineError('This user may not speak with Docker.', 'refused')
  if (statusCode === undefined)
    return new EngineError(`Docker is down (${code ?? messageOf(error)}).`, 'down')
  return new EngineError(`Docker refused: ${reason ?? messageOf(error)} (${statusCode}).`, 'refused')
}
