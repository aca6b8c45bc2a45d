// Signing in by the Claude CLI's own `auth login` over its pipes: its address out, the pasted code in (claude-cli.md §3a).

import { setTimeout as sleep } from 'node:timers/promises'
import { OpsError } from '../../errors.ts'
import type { Talk } from '../run.ts'
import { type ClaudePlace, LOGIN_ENV } from './place.ts'
import { sentenceIn } from './words.ts'

/** A sign-in that waits for its code. */
export interface SignIn {
  /** Where to sign in: Anthropic's own page. */
  url: string
  /** Whether a pasted `code#state` is an answer to this URL: the CLI itself does not compare the state (claude-cli.md §3a). */
  matches(code: string): boolean
  /**
   * Hands a code over and waits for the end of the CLI, 60 s at most.
   * @returns whether it said that it worked and ended with 0; else its reason in one sentence. Never a code.
   */
  answer(
    code: string,
  ): Promise<
    { done: true } | { done: false; why: string /** It still waits: the code was not whole. */; again?: true }
  >
  /** Ends it, and what it runs in the container. Never throws; does nothing when it has ended. */
  cancel(): Promise<void>
  /** Resolves when the CLI has ended, whoever ended it. */
  ended: Promise<void>
}

/** Older ones read no code from a pipe. */
export const LOGIN_SINCE = '2.1.126'
const URL_MS = 20_000
const ANSWER_MS = 60_000
const LIMIT_MS = 15 * 60_000
const CANCEL_MS = 10_000
/** What it complains of while it goes on waiting it says at once; when it ends it does so as quickly. */
const SETTLE_MS = 500
const POLL_MS = 20
const MOST_KEPT = 64_000
/** So long is no code. Characters. */
const MOST_CODE = 4_096

const ADDRESS = /https:\/\/\S+(?=\s)/
const ANTHROPICS = /(^|\.)(claude\.com|claude\.ai|anthropic\.com)$/

/** Its address, and the state in it. @throws OpsError when it leads to somebody else. */
function pageIn(said: string): { url: string; state: string } | undefined {
  const [url] = ADDRESS.exec(said) ?? []
  if (!url) return undefined
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  const state = parsed?.searchParams.get('state')
  if (!parsed || !state || !ANTHROPICS.test(parsed.hostname))
    throw new OpsError("The Claude CLI showed an address that is not Anthropic's sign-in page.")
  return { url, state }
}

interface Said {
  out: string
  err: string
  end?: { exitCode: number | null }
}

/** Collects what it says. */
function listen({ stdout, stderr }: Talk) {
  const said: Said = { out: '', err: '' }
  stdout.setEncoding('utf8').on('data', (text: string) => {
    said.out = (said.out + text).slice(-MOST_KEPT)
  })
  stderr.setEncoding('utf8').on('data', (text: string) => {
    said.err = (said.err + text).slice(-MOST_KEPT)
  })
  return said
}

/** Without the code or a half of it. */
function without(text: string, code: string): string {
  const parts = [code, ...code.split('#')].filter((each) => each.length > 3)
  return parts.reduce((rest, part) => rest.replaceAll(part, '…'), text)
}

/** @throws OpsError when it cannot be started, or shows no address in time. */
export async function signIn(place: ClaudePlace, urlMs: number = URL_MS): Promise<SignIn> {
  const help = await place.ask(['auth', 'login', '--help'])
  const args = ['auth', 'login', ...(help.output.includes('--claudeai') ? ['--claudeai'] : [])]
  const spoken = await place.talk(args, LOGIN_ENV, LIMIT_MS)
  const said = listen(spoken)
  const exit = () => said.end
  const ended = spoken.ended.then((end) => {
    said.end = end
  })

  /** Until it is so, or it has ended, or it is late. */
  async function until(isSo: () => boolean, ms: number): Promise<void> {
    for (const limit = Date.now() + ms; !isSo() && !exit() && Date.now() < limit; ) await sleep(POLL_MS)
  }
  async function cancel(): Promise<void> {
    if (!exit()) spoken.terminate()
    await until(() => false, CANCEL_MS)
  }

  await until(() => ADDRESS.test(said.out), urlMs)
  let page: ReturnType<typeof pageIn>
  try {
    page = pageIn(said.out)
  } finally {
    if (!page) await cancel()
  }
  if (!page)
    throw new OpsError(
      `The Claude CLI showed no address to sign in at${said.err ? `: ${sentenceIn(said.err)}` : ` within ${urlMs / 1_000} s.`}`,
    )
  const { url, state } = page

  async function answer(code: string): ReturnType<SignIn['answer']> {
    const line = code.trim()
    if (line === '' || line.length > MOST_CODE || /\p{Cc}/u.test(line))
      return { done: false, why: 'That is not a code: it is one line, with a # in it.', again: true }
    if (exit()) return { done: false, why: 'The sign-in has ended; begin another one.' }
    const before = said.err.length
    spoken.stdin.write(`${line}\n`)
    const complaint = () => sentenceIn(without(said.err.slice(before), line))
    await until(() => said.err.slice(before).includes('\n'), ANSWER_MS)
    if (!exit() && complaint() === '') {
      await cancel()
      return { done: false, why: `The Claude CLI did not answer within ${ANSWER_MS / 1_000} s.` }
    }
    await until(() => false, SETTLE_MS)
    if (!exit()) return { done: false, why: complaint(), again: true }
    if (exit()?.exitCode === 0 && said.out.includes('Login successful.')) return { done: true }
    return { done: false, why: complaint() || 'The Claude CLI ended without signing in.' }
  }

  return {
    ...{ url, answer, cancel, ended },
    matches: (code) => code.trim().split('#')[1] === state,
  }
}
