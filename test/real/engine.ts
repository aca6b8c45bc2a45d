// A Docker engine of the tests' own (engine.sh), and compose projects on it, for the files that need a real one.

import { execFile } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { FakeTelegram, Shown } from '../telegram/server.ts'
import { createRig, envOf, until as look, type Rig } from './rig.ts'

const exec = promisify(execFile)
const SCRIPT = join(import.meta.dirname, 'engine.sh')

export const SUITES = ['trixie', 'forky'] as const
export type Suite = (typeof SUITES)[number]
export type Engine = Awaited<ReturnType<typeof bringUp>>

/** Looks until there is something, and gives it. */
export const until = async <T>(what: string, probe: () => T | Promise<T>, timeoutMs?: number) =>
  (await look(what, probe, timeoutMs)) as NonNullable<T>

/** Brings an engine up, or finds it up; `down` ends it and removes all that it made. */
export async function bringUp(suite: Suite, name = '') {
  const engine = (command: string) => exec(SCRIPT, [command, suite, name], { timeout: 300_000 })
  await engine('up').catch(async () => {
    await engine('gc')
    await engine('up')
  })
  const env = Object.fromEntries(
    (await engine('env')).stdout
      .trim()
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )

  /** A docker command, with nothing of our own environment. @returns its output, both streams. */
  async function docker(...args: string[]): Promise<string> {
    const { stdout, stderr } = await exec('docker', args, { env, timeout: 60_000, maxBuffer: 64 << 20 })
    return (stdout + stderr).trim()
  }
  /** One field of an inspection. */
  const field = (container: string, format: string) => docker('inspect', '-f', `{{${format}}}`, container)

  return {
    ...{ suite, env, docker, field },
    signal: async (which: 'start' | 'term' | 'kill' | 'stop' | 'cont') => void (await engine(which)),
    down: async () => void (await engine('down').catch(() => engine('gc'))),
    /** The process of a container, on this host. */
    pid: async (container: string) => Number(await field(container, '.State.Pid')),
    /** Ends every container, so that each test begins with none. */
    async clear(): Promise<void> {
      const ids = (await docker('ps', '-aq')).split('\n').filter(Boolean)
      if (ids.length > 0) await docker('rm', '-fv', ...ids)
    },
  }
}

/** What stands for the gateway: it ends as it is told to, by signals that a host sends to its process. */
export const GATEWAY = [
  "trap 'exit 0' TERM",
  "trap 'exit 3' USR1",
  "trap 'exit 0' USR2",
  'echo "[gateway] ready"',
  'touch /tmp/well',
  'while :; do sleep 1000 & wait $!; done',
].join('; ')

export interface ProjectOptions {
  name?: string
  /** Lines of the service openclaw-gateway, six spaces in. */
  gateway?: string
  script?: string
  /** Further services, two spaces in. */
  more?: string
  /** The file `.env`; none when it is left out. */
  env?: string
  /** `unless-stopped` when it is left out. */
  restart?: string
  /** An image with a command of its own, instead of a script. */
  image?: string
}

/** A compose file as an operator has one; two tests' files differ in what they are about. */
export function composeFile({
  gateway = '',
  script = GATEWAY,
  more = '',
  image,
  restart = 'unless-stopped',
}: ProjectOptions): string {
  return `services:
  openclaw-gateway:
    image: ${image ?? 'opsbot/busybox'}
    container_name: openclaw-gateway
    ${image ? '' : `command: [sh, -c, ${JSON.stringify(script.replaceAll('$', '$$$$'))}]`}
    restart: ${restart}
    environment:
      TOKEN: \${TOKEN:-none}
      PLAIN: \${PLAIN:-}
${gateway}
${more}
`
}

/** Another service beside the gateway. */
export const SIDE = `  claude-proxy:
    image: opsbot/busybox
    container_name: claude-proxy
    command: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 1000 & wait $$!; done"]
    restart: unless-stopped
`

/** A compose project in a directory of its own, up. */
export async function createProject(engine: Engine, rig: Rig, options: ProjectOptions = {}) {
  const dir = join(rig.dir(), options.name ?? 'openclaw')
  mkdirSync(dir)
  const write = (file: string, text: string) => writeFileSync(join(dir, file), text)
  const compose = (...args: string[]) =>
    engine.docker('compose', '--project-directory', dir, '-f', join(dir, 'docker-compose.yml'), ...args)
  const set = (more: ProjectOptions = {}) => write('docker-compose.yml', composeFile({ ...options, ...more }))
  set()
  if (options.env !== undefined) write('.env', options.env)
  await compose('up', '-d')
  return {
    ...{ dir, write, compose, set },
    /** The id of a service's container. */
    id: (container = 'openclaw-gateway') => engine.field(container, '.Id'),
  }
}

/** Messages that nobody asked for. */
const CARD =
  /^\S+ (Container |Resolved: |Came and went: |Docker does not work|Check "|Disk |The (Docker|runtime) |\/|\d+ (firing|resolved)|I was stopped|(sandboxes )?(recreate|rollback) [^?]*: |The gateway (is not ready|restarted itself|does not come up)|There is no line into|Sandbox(es)? (\S+ (almost|was)|image |that nobody)|The Claude CLI(’s token| has no login)|The login ends|Credential(s| in)|Not every credential|The model refuses|A new token|An agent asks|Agent's command: |[\w-]+ was restarted)/

export const ANN = 11
export const BEN = 12

/** A bot on an engine, with its Telegram: what both files drive. */
export async function createScene(
  rig: Rig,
  engine: Engine | undefined,
  env: Record<string, string> = {},
  options: { idle?: true; telegram?: FakeTelegram } = {},
) {
  const telegram = options.telegram ?? (await rig.telegram())
  for (const [id, name] of [
    [ANN, 'Ann'],
    [BEN, 'Ben'],
  ] as const) {
    telegram.user(id, { name })
    telegram.privateChat(id, { started: true })
  }
  const stateDir = rig.dir()
  const all = {
    ...envOf(telegram, stateDir),
    ...engine?.env,
    ...{
      OPSBOT_OWNERS: `${ANN}`,
      OPSBOT_OPERATORS: `${BEN}`,
      DISK_MOUNTS: '/',
      ALERT_DISK_PERCENT: '99',
      ALERT_INODES_PERCENT: '99',
    },
    ...env,
  }
  let bot: ReturnType<Rig['bot']> | undefined

  /** Starts the bot and waits until it has looked once and hears of events. */
  async function start(more: Record<string, string> = {}): Promise<void> {
    const polls = telegram.counts.getUpdates ?? 0
    bot = rig.bot({ ...all, ...more })
    await until('the bot polls', () => (telegram.counts.getUpdates ?? 0) > polls && telegram.polling)
    await ask('/ps')
    await sleep(300)
  }
  const process = () => {
    if (!bot) throw new Error('the bot does not run')
    return bot
  }
  async function kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    process().kill(signal)
    await process().exited
  }

  const messages = (chat = ANN): Shown[] => telegram.messages(chat)
  /** What a person is answered: the first message after the line. */
  async function ask(text: string, from = ANN): Promise<Shown> {
    const before = new Set(messages(from).map(({ id }) => id))
    telegram.say({ chat: from, from, text })
    return await until(`an answer to ${text}`, () =>
      messages(from).find(({ id, text: said }) => !before.has(id) && !CARD.test(said)),
    )
  }
  /** Presses a button of the newest message that has it: an alert may have come after that. @returns the toast. */
  async function press(
    button: string,
    { from = ANN, messageId }: { from?: number; messageId?: number } = {},
  ): Promise<string> {
    const has = ({ buttons }: Shown) => buttons.flat().some(({ text }) => text === button)
    const id = messageId ?? messages(from).findLast(has)?.id
    const update = telegram.press({ chat: from, from, button, ...(id !== undefined && { messageId: id }) })
    const answer = await until(`an answer to ${button}`, () => telegram.answerTo(update))
    return `${answer.text ?? ''}`
  }
  /** The newest message of which some version has these words. */
  const withWords = (words: RegExp, chat = ANN) =>
    messages(chat).findLast(({ history }) => history.some(({ text }) => words.test(text)))
  /** Waits for a message that reads so now. */
  const reads = (words: RegExp, timeoutMs = 20_000, chat = ANN) =>
    until(
      `a message that reads ${words}`,
      () => messages(chat).findLast(({ text }) => words.test(text)),
      timeoutMs,
    ).catch((error) => {
      throw new Error(
        `${error.message}; there is:\n${messages(chat)
          .map(({ text }) => text)
          .join('\n---\n')
          .slice(-4_000)}`,
      )
    })
  /** Alerts as they were told, by title. */
  const told = (title: string) =>
    messages().filter(
      ({ history }) =>
        history[0]?.text.startsWith(`🔴 ${title}`) || history[0]?.text.startsWith(`🟡 ${title}`),
    )

  if (!options.idle) await start()
  return { telegram, stateDir, env: all, start, kill, process, ask, press, messages, withWords, reads, told }
}
export type Scene = Awaited<ReturnType<typeof createScene>>

/** A rig and a scene on an engine that has no containers yet. */
export async function createStage(context: Parameters<typeof createRig>[0], engine: Engine) {
  const rig = createRig(context)
  await engine.clear()
  rig.defer(() => engine.clear())
  return rig
}

/** The titles that alerts of a container have. */
export const titles = {
  well: (name: string) => `Container ${name} does not run well`,
  loop: (name: string) => `Container ${name} keeps dying`,
  engine: 'Docker does not work',
}
