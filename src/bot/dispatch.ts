// The one road for every command, button and console line: role → place → args → staleness → confirm → run → answer.

import { messageOf, OpsError } from '../errors.ts'
import { errorFields, type Log, type Redact, redactAll } from '../log.ts'
import type { Audit } from '../ops/state/audit.ts'
import { type AskedLog, createAsking } from './ask.ts'
import { PRESS, showAgain } from './buttons.ts'
import { type Command, echo, type Incoming, mayCall, nearest, type Person, parseArgs } from './command.ts'
import { CONFIRM_MS, createConfirmations } from './confirm.ts'
import type { Answer, Page } from './page.ts'

/** Behind a command: show what would be done, and do nothing. */
const PLAN_ONLY = '--plan'

export interface DispatchOptions {
  commands: readonly Command[]
  audit: Pick<Audit, 'note'>
  log: Log
  redact: Redact
  asked: AskedLog
}

export type Dispatch = ReturnType<typeof createDispatch>

const UNASKED = {
  heard: 'I only understand commands.\n/help lists them.',
  lost: 'I was restarted before I could read what you wrote, and I keep no such words.\nIf it was meant for me, send it again.',
}

/** A sentence that the sender is to read; its first line is the verdict. */
const refusal = (text: string): Page => {
  const [title = '', ...lines] = text.split('\n')
  return { mark: 'unknown', title, lines, failed: true }
}

export function createDispatch({ commands, audit, log, redact, asked }: DispatchOptions) {
  const confirmations = createConfirmations()
  const asking = createAsking(asked)

  /** @returns the command that a line begins with, of two words where there is one, and the words behind it. */
  function find([word = '', ...words]: string[], { role }: Person): { found: Command; words: string[] } {
    const name = word.toLowerCase()
    const pair = `${name} ${words[0]?.toLowerCase()}`
    const double = commands.find((each) => each.name === pair)
    if (double) return { found: double, words: words.slice(1) }
    const found = commands.find((each) => each.name === name)
    if (found) return { found, words }
    const open = commands.filter((each) => mayCall(role, each)).map((each) => each.name)
    const meant = nearest(name, open)
    throw new OpsError(
      `There is no command ${echo(name)}.\n${meant ? `Did you mean /${meant}? ` : ''}/help lists them all.`,
    )
  }

  /** In a group the gateway's own bot hears every bare command too. */
  function isForOthers({ place, button, addressed, text }: Incoming): boolean {
    const [word = ''] = text.replace(/^\//, '').split(/\s/, 1)
    return (
      place.kind === 'group' &&
      !button &&
      !addressed &&
      !commands.some(({ name }) => name === word.toLowerCase())
    )
  }

  const noteRefusal = ({ person, now }: Incoming, what: string) =>
    audit.note(person.name, 'refused', `/${what.replace(/^\//, '')}`, now)

  function checkRole(found: Command, incoming: Incoming): void {
    const { person } = incoming
    if (mayCall(person.role, found)) return
    noteRefusal(incoming, `${found.name} needs ${found.role}`)
    throw new OpsError(`/${found.name} is for the role ${found.role}; yours is ${person.role}.`)
  }

  /** A change has to be meant for us, and meant now. */
  function checkChange(found: Command, line: string, incoming: Incoming): void {
    const { place, stale, button, addressed } = incoming
    if (!found.danger) return
    if (place.kind === 'group' && !button && !addressed)
      throw new OpsError(
        `In a group I change something only when I am named.\nWrite /${found.name.replace(/(?= |$)/, '@…')} with my name behind it, so that no other bot takes it for its own.`,
      )
    if (!stale) return
    noteRefusal(incoming, `${line}: it came too late`)
    throw new OpsError(stale)
  }

  /** Shows the plan of a dangerous command and waits for its confirmation. */
  async function confirm(
    found: Command,
    args: Record<string, unknown>,
    line: string,
    incoming: Incoming,
  ): Promise<Answer> {
    const { person, place, now } = incoming
    const ask = async () => await found.plan?.({ args, person, place, now })
    const plan = await ask().catch((error) => {
      if (error instanceof OpsError) noteRefusal(incoming, `${line}: ${error.message.split('\n', 1)}`)
      throw error
    })
    if (!plan) throw new Error(`/${found.name} has no plan`)
    if (plan.blocked) return { page: plan.page }
    if (plan.atOnce) {
      incoming.begin()
      return { page: await found.run({ args, person, place, now, basis: plan.basis }) }
    }
    const bound = { command: found, args, line, basis: plan.basis, personId: person.id, chatId: place.chatId }
    if (plan.typed === undefined) {
      const nonce = confirmations.issue(bound, now)
      const buttons = [...(plan.page.buttons ?? []), [{ label: 'Do it', confirm: nonce }]]
      return { page: { mark: 'question', ...plan.page, buttons } }
    }
    const { typed } = plan
    asking.ask(person, place, {
      line,
      expiresAt: now + CONFIRM_MS,
      answer: async (words, at) => {
        if (words.trim() !== typed) return refusal(`That is not "${typed}": nothing was done.`)
        const again = await found.plan?.({ args, person, place, now: at })
        if (again?.basis !== plan.basis)
          return refusal('It changed in the meantime: nothing was done.\nSend it again to see the new plan.')
        return await found.run({ args, person, place, now: at, basis: plan.basis })
      },
    })
    const lines = [...(plan.page.lines ?? []), ['Type ', { code: typed }, ' to do it.']]
    return { page: { mark: 'question', ...plan.page, lines } }
  }

  /** What would be done, and nothing more. */
  async function showPlan(found: Command, args: Record<string, unknown>, incoming: Incoming): Promise<Page> {
    const { person, place, now } = incoming
    const plan = await found.plan?.({ args, person, place, now })
    if (!plan) throw new OpsError(`/${found.name} has no plan to show: it does one small thing at once.`)
    return plan.page
  }

  async function run(line: string, incoming: Incoming): Promise<Page | Answer> {
    const { found, words } = find(line.replace(/^\//, '').split(/\s+/).filter(Boolean), incoming.person)
    checkRole(found, incoming)
    const args = parseArgs(
      found,
      words.filter((each) => each !== PLAN_ONLY),
    )
    if (words.includes(PLAN_ONLY)) return await showPlan(found, args, incoming)
    checkChange(found, line, incoming)
    if (found.danger && found.danger !== 'safe') return await confirm(found, args, line, incoming)
    if (found.danger) incoming.begin()
    const { person, place, now } = incoming
    return await found.run({ args, person, place, now })
  }

  async function redeem(nonce: string, incoming: Incoming): Promise<Answer> {
    const { person, place, now } = incoming
    const { state, pending } = confirmations.redeem(nonce, person, place, now)
    if (!pending) {
      const why =
        state === 'foreign'
          ? 'Only who asked can confirm it.'
          : 'This confirmation is used up or older than my last start. Send the command again.'
      return { page: { ...refusal(why), brief: true } }
    }
    const { command: found, args, line, basis } = pending
    const again = showAgain(line)
    if (state === 'expired' || incoming.stale)
      return { page: { ...refusal('Expired: nothing was done.'), ...again } }
    checkRole(found, incoming)
    const plan = await found.plan?.({ args, person, place, now })
    if (plan?.basis !== basis)
      return { page: { ...refusal('It changed since this plan was shown: nothing was done.'), ...again } }
    incoming.begin()
    return { page: await found.run({ args, person, place, now, basis }) }
  }

  /** A page for whatever was thrown: a sentence for an OpsError, a plain admission for a bug. */
  function apologise(error: unknown, incoming: Incoming): Page {
    if (error instanceof OpsError) return refusal(messageOf(error))
    log.error('a command broke', { by: incoming.person.name, ...errorFields(error) })
    return {
      mark: 'bad',
      title: 'Something broke inside opsbot.',
      lines: ['The log has the details.'],
      failed: true,
    }
  }

  /** The words were not kept, so the question is shown anew: that only reads. */
  async function askAgain(line: string, { stale, ...incoming }: Incoming): Promise<Answer> {
    const { page } = answered(await run(line, { ...incoming, addressed: true }))
    const notice = 'I was restarted before I could read your answer, and I keep no such words. I ask again:'
    return { page: { ...page, lines: [notice, ...(page.lines ?? [])] } }
  }

  const clean = (answer: Answer): Answer => redactAll(answer, redact)

  async function respond(incoming: Incoming): Promise<Answer> {
    const { text, button } = incoming
    if (!button) return answered(await run(text, incoming))
    if (text.startsWith(PRESS.ok)) return await redeem(text.slice(PRESS.ok.length), incoming)
    if (text.startsWith(PRESS.do)) return answered(await run(text.slice(PRESS.do.length), incoming))
    if (text.startsWith(PRESS.up))
      return { ...answered(await run(text.slice(PRESS.up.length), incoming)), inPlace: true }
    throw new OpsError('I do not know this button any more.\nSend the command again.')
  }

  return {
    /**
     * Answers a line or a pressed button. Never throws.
     * @returns undefined for what another bot in the group is most likely meant to answer.
     */
    async handle(incoming: Incoming): Promise<Answer | undefined> {
      if (isForOthers(incoming)) return undefined
      try {
        return clean(await respond(incoming))
      } catch (error) {
        return clean({ page: { ...apologise(error, incoming), brief: true } })
      }
    },
    /**
     * Answers words that are no command: a question's answer, if one waits. Never throws.
     * @param words undefined when they were lost with an earlier process.
     * @returns undefined when nobody asked.
     */
    async hear(words: string | undefined, incoming: Incoming): Promise<Answer | undefined> {
      const { person, place, now } = incoming
      const taken = asking.take(person, place, now)
      if (!taken)
        return place.kind === 'group'
          ? undefined
          : { page: refusal(UNASKED[words === undefined ? 'lost' : 'heard']) }
      const { line } = taken
      if (taken.state === 'expired')
        return { page: { ...refusal('My question ran out: nothing was done.'), ...showAgain(line) } }
      try {
        if (taken.state !== 'open' || words === undefined) return clean(await askAgain(line, incoming))
        if (incoming.stale) throw new OpsError(incoming.stale)
        incoming.begin()
        return clean({ page: await taken.answer(words, now) })
      } catch (error) {
        return clean({ page: apologise(error, incoming) })
      }
    },
    /** Whether what this person types next here answers a question. */
    waits: asking.waits,
  }
}

function answered(result: Page | Answer): Answer {
  return 'page' in result ? result : { page: result }
}
