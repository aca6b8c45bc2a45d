// The one road for every command, button and console line: role → place → args → staleness → confirm → run → answer.

import { messageOf, OpsError } from '../errors.ts'
import { errorFields, type Log, type Redact, redactAll } from '../log.ts'
import type { Audit } from '../ops/state/audit.ts'
import { createAnswering } from './answering.ts'
import { type AskedLog, createAsking } from './ask.ts'
import { PRESS, showAgain } from './buttons.ts'
import {
  type Call,
  type Command,
  echo,
  type Incoming,
  mayCall,
  nearest,
  type Person,
  parseArgs,
} from './command.ts'
import { CONFIRM_MS, createConfirmations } from './confirm.ts'
import { type Answer, answered, type Page, refusal } from './page.ts'

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

  function checkPlace(found: Command, incoming: Incoming): void {
    if (!found.private || incoming.place.kind !== 'group') return
    noteRefusal(incoming, `${found.name} in a group`)
    throw new OpsError(`/${found.name} is for our private chat alone: send it to me there.`)
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

  const callOf = (
    args: Record<string, unknown>,
    line: string,
    { person, place, now }: Incoming,
  ): Call<Record<string, unknown>> => ({
    ...{ args, person, place, now },
    ask: (question) =>
      question ? asking.ask(person, place, { ...question, line }) : asking.withdraw(person, place, now),
  })

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
      return { page: await found.run({ ...callOf(args, line, incoming), basis: plan.basis }) }
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
        return await found.run({ ...callOf(args, line, { ...incoming, now: at }), basis: plan.basis })
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
    checkPlace(found, incoming)
    const args = parseArgs(
      found,
      words.filter((each) => each !== PLAN_ONLY),
    )
    if (words.includes(PLAN_ONLY)) return await showPlan(found, args, incoming)
    checkChange(found, line, incoming)
    if (found.danger && found.danger !== 'safe') return await confirm(found, args, line, incoming)
    if (found.danger) incoming.begin()
    return await found.run(callOf(args, line, incoming))
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
    return { page: await found.run({ ...callOf(args, line, incoming), basis }) }
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
    /** Answers words that are no command. Never throws. */
    hear: createAnswering({ asking, run, apologise, clean }),
    /** Whether what this person types next here answers a question. */
    waits: asking.waits,
    /** Whether it answers a question for a secret, one that ran out or was lost too. */
    asksSecret: asking.asksSecret,
  }
}
