// Who we are to the gateway: one Ed25519 key pair for ever, kept in a file of our own.

import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFile, rename, writeFile } from 'node:fs/promises'

/**
 * The private key, made when there is none. Older gateways keep a device for every key that they ever saw
 * (measured), so it is made once.
 * @param path a file that only we may read.
 * @returns PKCS #8 in base64.
 * @throws when the file can be neither read nor written.
 */
export async function readIdentity(path: string): Promise<string> {
  const kept = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  if (kept.trim()) return kept.trim()
  const { privateKey } = generateKeyPairSync('ed25519')
  const made = privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64')
  await writeFile(`${path}.new`, `${made}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
  return made
}

/** A raw Ed25519 key is what is left of its SPKI form behind so many bytes. */
const SPKI_HEAD = 12

/** The short id of the device that a key is to the gateway: the SHA-256 of its raw public half (openclaw.md §1.1). */
export function deviceOf(key: string): string {
  const secret = createPrivateKey({ key: Buffer.from(key, 'base64'), format: 'der', type: 'pkcs8' })
  const open = createPublicKey(secret).export({ type: 'spki', format: 'der' }).subarray(SPKI_HEAD)
  return createHash('sha256').update(open).digest('hex').slice(0, 12)
}
