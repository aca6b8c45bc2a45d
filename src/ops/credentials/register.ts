// The days on which setup-tokens were made: they tell nobody their own end, so somebody has to note it.

import type { Meta } from '../meta.ts'
import type { CredentialKind } from './index.ts'

export interface Registered {
  /** A credential's id, or a name of the operator's own. */
  name: string
  kind: CredentialKind
  /** UTC milliseconds. */
  createdAt: number
}

export interface Register {
  list(): Registered[]
  /** Notes it; the same name again moves its date. @param createdAt UTC milliseconds. */
  add(name: string, kind: CredentialKind, createdAt: number): void
  remove(name: string): void
}

export function createRegister(meta: Pick<Meta, 'get' | 'set'>): Register {
  const list = () => meta.get('registered') ?? []
  const others = (name: string) => list().filter((each) => each.name !== name)
  return {
    list,
    add: (name, kind, createdAt) => meta.set('registered', [...others(name), { name, kind, createdAt }]),
    remove: (name) => meta.set('registered', others(name)),
  }
}
