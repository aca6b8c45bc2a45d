// The one error that people are meant to read; everything else that is thrown is a bug.

/**
 * A failure with a sentence for the operator: what is wrong and what to do about it.
 * The message may be shown in chat, on the console and in the log as it stands, so it never holds a secret.
 */
export class OpsError extends Error {
  override readonly name = 'OpsError'
}

/** A sentence for any thrown value: an OpsError's own, else what an unexpected error says of itself. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
