// Reads what a client sent (JSON, urlencoded or multipart) into one flat object of parameters.

import type { IncomingMessage } from 'node:http'
import { badRequest, refusal } from './refusal.ts'

/** The parameters of one call by name, as Telegram would see them. */
export type Params = Record<string, unknown>

/** A file that came with the call, by the name of its form part. */
export type Upload = { name: string; bytes: Uint8Array<ArrayBuffer> }
export type Uploads = Map<string, Upload>

const MAX_BODY_BYTES = 50 * 1024 * 1024 + 64 * 1024 // Telegram takes files up to 50 MB; the rest is for the form around it

/** In a form these are JSON texts, in a JSON body they may be either. */
const OBJECTS = new Set([
  'allowed_updates',
  'caption_entities',
  'commands',
  'entities',
  'link_preview_options',
  'reaction',
  'reply_markup',
  'reply_parameters',
  'scope',
])

/** The whole call: query string and body, the body's fields last. */
export async function readParams(
  request: IncomingMessage,
  query: URLSearchParams,
): Promise<{ params: Params; uploads: Uploads }> {
  const body = await readBody(request)
  const type = request.headers['content-type'] ?? ''
  const uploads: Uploads = new Map()
  const params: Params = Object.fromEntries(query)
  if (body.length === 0) return { params: decoded(params), uploads }
  if (type.startsWith('application/json')) Object.assign(params, parseJson(body.toString('utf8')))
  else await readForm(body, type, params, uploads)
  return { params: decoded(params), uploads }
}

async function readBody(request: IncomingMessage): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    // Read on to the end: a client that is still writing would see a broken pipe instead of the refusal.
    if (size <= MAX_BODY_BYTES) chunks.push(chunk)
  }
  if (size > MAX_BODY_BYTES) throw refusal(413, 'Request Entity Too Large')
  return Buffer.concat(chunks)
}

async function readForm(body: Buffer<ArrayBuffer>, type: string, params: Params, uploads: Uploads) {
  const form = await new Response(withQuotedNames(body, type), { headers: { 'content-type': type } })
    .formData()
    .catch(() => {
      throw badRequest("can't parse the request body")
    })
  for (const [key, value] of form) {
    if (typeof value === 'string') params[key] = value
    else uploads.set(key, { name: value.name, bytes: new Uint8Array(await value.arrayBuffer()) })
  }
}

/** Clients write file names without quotes, white space and all: Telegram reads on to the `;`, Node to the space. */
function withQuotedNames(body: Buffer<ArrayBuffer>, type: string): Buffer<ArrayBuffer> {
  const boundary = /boundary="?([^";]+)/.exec(type)?.[1]
  if (boundary === undefined) return body
  const part = `--${boundary.replace(/\W/g, '\\$&')}\\r\\ncontent-disposition:[^\\r]*;\\s*filename=`
  // latin1 keeps every byte of the files as it is
  const quoted = body.toString('latin1').replace(new RegExp(`(${part})([^"\\r;][^\\r;]*)`, 'gi'), '$1"$2"')
  return Buffer.from(quoted, 'latin1')
}

function parseJson(source: string): Params {
  try {
    const value: unknown = JSON.parse(source)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Params
  } catch {}
  throw badRequest("can't parse JSON object")
}

function decoded(params: Params): Params {
  for (const [key, value] of Object.entries(params)) {
    if (!OBJECTS.has(key) || typeof value !== 'string') continue
    try {
      params[key] = JSON.parse(value)
    } catch (cause) {
      throw Object.assign(badRequest(`can't parse ${key.replace('_', ' ')} JSON object`), { cause })
    }
  }
  return params
}

/** A text parameter; half of a surrogate pair (an emoji cut in two) is not UTF-8 and is refused as Telegram does. */
export function textOf(params: Params, key: string): string {
  const value = params[key] ?? ''
  if (typeof value === 'object') throw badRequest(`field "${key}" must be of type String`)
  const text = String(value)
  if (!text.isWellFormed()) throw badRequest('strings must be encoded in UTF-8')
  return text
}

/** An integer parameter, given as a number or as its text. */
export function integerOf(params: Params, key: string): number | undefined {
  const value = params[key]
  if (value === undefined || value === null || value === '') return undefined
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw badRequest(`field "${key}" must be of type Number`)
  return number
}

export const flagOf = (params: Params, key: string): boolean =>
  params[key] === true || params[key] === 1 || /^(true|1|yes|t)$/i.test(String(params[key] ?? ''))

/** A parameter that is an array, or undefined. */
export function listOf(params: Params, key: string): unknown[] | undefined {
  const value = params[key]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value)) throw badRequest(`can't parse ${key.replace('_', ' ')}: expected an Array`)
  return value
}

/** A parameter that is an object, or undefined. */
export function objectOf(params: Params, key: string): Params | undefined {
  const value = params[key]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'object' || Array.isArray(value)) throw badRequest('object expected')
  return value as Params
}
