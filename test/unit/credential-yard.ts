// What the tests of credentials share: fake tokens, built so that none stands in the repository, and a deployment on disk.

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { ClaudeFile } from '../../src/ops/claude/file.ts'
import { type CredentialsOptions, createCredentials, type Truth } from '../../src/ops/credentials/index.ts'
import { sha256 } from '../../src/ops/docker/facts.ts'
import { shortHash } from '../../src/ops/gateway/config.ts'
import type { StateDirLook } from '../../src/ops/gateway/statedir.ts'
import { HOUR, T0, tempDir } from './help.ts'

/** `sk-ant-oat01-AAAA…`: of a length that no other text contains by chance. */
export const fakeToken = (kind: 'oat01' | 'ort01' | 'api03', letter: string) =>
  ['sk', 'ant', kind, letter.repeat(40)].join('-')

/** A session ingress token with these claims, signed by nobody. */
export function ingressToken(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return ['sk', 'ant', 'si', `${part({ alg: 'ES256' })}.${part(claims)}.${'S'.repeat(40)}`].join('-')
}

/** The CLI's file as it reads when all is well. */
export const claudeFile = (letter: string, more: Partial<ClaudeFile> = {}): ClaudeFile => ({
  ...{ state: 'ok', path: '/home/claude/.claude/.credentials.json' },
  hash: shortHash(fakeToken('oat01', letter)),
  refreshHash: shortHash(fakeToken('ort01', letter)),
  expiresAt: T0 + 6 * HOUR,
  loginEndsAt: T0 + 20 * 24 * HOUR,
  ...more,
})

/** A deployment of an older gateway with a container, as far as credentials go. */
export function createCredentialYard(options: Partial<CredentialsOptions> = {}) {
  const root = tempDir()
  const at = (path: string) => join(root, path)
  const put = (path: string, content: unknown) => {
    mkdirSync(dirname(at(path)), { recursive: true })
    writeFileSync(at(path), typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 })
  }
  const profiles = (profiles: object, more: object = {}, agent = 'main') =>
    put(`agents/${agent}/agent/auth-profiles.json`, { version: 1, profiles, ...more })
  let environment: Record<string, string> | undefined = {}
  let kept: Record<string, number> | undefined
  const auth = { legacy: [] as string[], sqlite: false }
  const flat: Record<string, string> = {}
  const look = async () =>
    ({ state: 'seen', seen: { path: root, auth, config: { flat } } }) as unknown as StateDirLook
  const credentials = createCredentials({
    claudeFile: async () => undefined,
    sandboxFile: async () => undefined,
    ingressFile: { path: at('ingress'), expected: false },
    stateDir: look,
    envPath: async () => at('compose/.env'),
    gatewayContainer: async () => environment && { environment, startedAt: T0 - HOUR },
    report: async () => [],
    ends: {
      get: () => kept,
      set(ends) {
        kept = ends
      },
    },
    now: () => T0,
    timeoutMs: 2_000,
    ...options,
  })
  return {
    ...{ root, at, put, profiles, auth, flat },
    truth: credentials.truth,
    kept: () => kept,
    /** What the container was made with; undefined when there is none. */
    run(values: Record<string, string> | undefined) {
      environment =
        values && Object.fromEntries(Object.entries(values).map(([name, value]) => [name, sha256(value)]))
    },
  }
}

/** One line of the truth. */
export const lineOf = ({ credentials }: Truth, id: string) => credentials.find((each) => each.id === id)
