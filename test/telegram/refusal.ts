// How the Bot API says no: a status, Telegram's own words, and the parameters that go with them.

import type { ResponseParameters } from 'grammy/types'

/** An error that a client of the fake is meant to get as an answer. */
export type Refusal = Error & { status: number; parameters?: ResponseParameters }

/** A refusal to throw; everything else that is thrown is a bug of the fake and is answered as a 500. */
export const refusal = (status: number, description: string, parameters?: ResponseParameters): Refusal =>
  Object.assign(new Error(description), { status }, parameters && { parameters })

export const badRequest = (reason: string) => refusal(400, `Bad Request: ${reason}`)
export const forbidden = (reason: string) => refusal(403, `Forbidden: ${reason}`)
export const conflict = (reason: string) => refusal(409, `Conflict: ${reason}`)

export const tooManyRequests = (retryAfter: number) =>
  refusal(429, `Too Many Requests: retry after ${retryAfter}`, { retry_after: retryAfter })

export const isRefusal = (error: unknown): error is Refusal =>
  error instanceof Error && typeof (error as Partial<Refusal>).status === 'number'
