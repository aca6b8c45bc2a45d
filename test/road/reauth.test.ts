// Signing in again from the phone, on the road: the page, the code that is deleted and kept nowhere, and who may send one where.

import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { command } from '../../src/bot/command.ts'
import { listCommands } from '../../src/bot/commands/index.ts'
import { reauthCommands } from '../../src/bot/commands/reauth.ts'
import { createReauth } from '../../src/ops/credentials/reauth.ts'
import { codeFor, createFakeClaude, urlOf } from '../fixtures/claude/sign-in.ts'
import { type After, ANN, BEN, bytesOf, createRig, EVE, OPS, type Rig, until, VIC } from './rig.ts'

const MINUTE = 60_000
/** A second owner. */
const OTHER = VIC

interface YardOptions {
  relay?: boolean
  /** How the bot stands in the group. */
  botIs?: 'administrator' | 'member'
}

async function createYard(after: After, { relay = true, botIs = 'member' }: YardOptions = {}) {
  const proofs: string[] = []
  let clock: Rig['clock'] | undefined
  const cli = createFakeClaude(() => clock?.now() ?? Date.now())
  const rig = await createRig({
    after,
    env: { TELEGRAM_CHAT_ID: `${OPS}`, OPSBOT_OWNERS: `${ANN},${OTHER}`, OPSBOT_VIEWERS: '' },
    world(telegram) {
      for (const [id, name] of Object.entries({ [ANN]: 'Ann', [BEN]: 'Ben', [OTHER]: 'Bob', [EVE]: 'Eve' })) {
        telegram.user(Number(id), { name })
        telegram.privateChat(Number(id))
      }
      const members = { [ANN]: 'creator', [BEN]: 'member', [OTHER]: 'member', [EVE]: 'member' } as const
      telegram.group(OPS, { type: 'supergroup', title: 'Ops', members, botIs })
    },
    commands(parts) {
      const { ops, clock } = parts
      const reauth = createReauth({
        ...{ claudes: { cli: cli.claude }, deeds: ops.deeds, relay, now: ops.now, log: ops.log, everyMs: 5 },
        onProof: (which) => void proofs.push(which),
        tell: (audience, facts) =>
          ops.cards.raise({ kind: 'notice', audience, facts, ring: false }, ops.now()),
      })
      after(() => reauth.stop())
      const others = listCommands(parts).filter(({ name }) => !name.startsWith('reauth'))
      const wipe = command({
        ...{ name: 'wipe', role: 'owner', about: 'Destroys.', danger: 'destructive', args: z.object({}) },
        plan: () => ({ page: { title: 'Wipe?' }, basis: '', typed: 'openclaw' }),
        run: () => ({ title: 'Wiped' }),
      })
      return [...others, ...reauthCommands({ reauth }, clock), wipe]
    },
  })
  clock = rig.clock
  const { telegram } = rig
  /** Pastes something, and gives the answer to it. */
  async function paste(from: number, text: string, chat = from) {
    const answer = await rig.ask(from, text, { chat })
    return { text: answer.text, answer }
  }
  const deleted = () => telegram.calls.filter(({ method }) => method === 'deleteMessage').length
  return Object.assign(rig, { cli, proofs, paste, deleted })
}
type Yard = Awaited<ReturnType<typeof createYard>>

const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)
const open = (yard: Yard) => yard.ask(ANN, '/reauth')
const UNASKED = 'I asked you for no login code or token here'
const ERASED = 'I have deleted your message.'
const NOT_ERASED = 'I could not delete your message: delete it yourself.'

/** Everything that is ever written: no code is in it, nor a half of one. */
async function expectNoCode(yard: Yard) {
  const said = yard.telegram.calls.flatMap(({ method, params }) => (method === 'getUpdates' ? [] : [params]))
  const places = {
    audit: yard.audited().join('\n'),
    inbox: JSON.stringify(yard.inbox()),
    log: yard.lines.join('\n'),
    files: bytesOf(yard.directory),
    // The address of the page holds the state; it is no secret without its code.
    chats: JSON.stringify(said).replaceAll(/https:\/\/claude\.com[^"\\]*/g, ''),
  }
  await yard.stop()
  for (const [place, text] of Object.entries({ ...places, 'files after': bytesOf(yard.directory) })) {
    expect(text.includes('codeFromThePage'), `the code in ${place}`).toBe(false)
    expect(text.includes('boPpStateOfSignIn'), `the state in ${place}`).toBe(false)
  }
}

describe.concurrent('/reauth', () => {
  it('shows the page as a button, takes the code, deletes it and proves the new login', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    const page = await open(yard)
    expect(page.text).toContain('❓ Sign in to Claude in claude-proxy')
    for (const piece of [
      'I wait until',
      'Claude Code on their own machine',
      'claude setup-token',
      '/tokens register',
    ])
      expect(page.text).toContain(piece)
    expect(labels(page)).toEqual(['Sign in', 'Cancel'])
    expect(page.buttons[0]?.[0]?.url).toBe(urlOf(1))
    expect(urlOf(1)).toHaveLength(497)
    const { text } = await yard.paste(ANN, codeFor(1))
    expect(text).toMatch(
      /^✅ Signed in to Claude in claude-proxy\nThe new token holds until .+\nI have deleted/,
    )
    expect(yard.cli.fed).toEqual([codeFor(1)])
    expect(yard.deleted()).toBe(1)
    await until(() => yard.proofs.length === 1)
    expect(yard.audited()).toContain(`Ann (${ANN}): reauth cli, in claude-proxy`)
    await expectNoCode(yard)
  })

  it('that is answered wrongly says why, with a fresh page where it takes one, and takes the right code then', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await open(yard)
    const partial = await yard.paste(ANN, 'aB3_-codeFromThePage')
    expect(partial.text).toContain('Copy all of it, including the # in the middle.')
    expect(partial.text).toContain('The page from before still holds')
    const foreign = await yard.paste(ANN, `/reauth ${codeFor(7)}`)
    expect(foreign.text).toContain('That code belongs to another sign-in')
    expect(foreign.answer.buttons[0]?.[0]?.url).toBe(urlOf(2))
    const refused = await yard.paste(ANN, codeFor(2, 'used-codeFromThePage'))
    expect(refused.text).toContain("That code wasn't accepted")
    expect(refused.answer.buttons[0]?.[0]?.url).toBe(urlOf(3))
    // Behind the command it is a code all the same.
    expect((await yard.paste(ANN, `/reauth ${codeFor(3)}`)).text).toContain('Signed in')
    expect(yard.deleted()).toBe(4)
    expect(yard.cli.fed).toHaveLength(3)
    await expectNoCode(yard)
  })

  it('is deleted first though the CLI takes its time', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await open(yard)
    const gate = Promise.withResolvers<void>()
    yard.cli.faults.answer = () => gate.promise
    const before = yard.telegram.messages(ANN).length
    yard.telegram.say({ chat: ANN, from: ANN, text: codeFor(1) })
    await until(() => yard.deleted() === 1 && yard.cli.fed.length === 1)
    expect((await yard.paste(ANN, codeFor(1))).text).toContain('I am still at what you sent before')
    gate.resolve()
    await yard.telegram.waitFor((fake) => fake.messages(ANN)[before + 1]?.text.includes('Signed in'))
    expect(yard.cli.fed).toHaveLength(1)
  })

  it('is cancelled by its button, which waits for nothing any more', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const { id } = await open(yard)
    await yard.press(ANN, 'Cancel')
    const shown = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find((each) => each.id === id && each.text.includes('is cancelled')),
    )
    expect(labels(shown)).toEqual([])
    expect(yard.cli.running.size).toBe(0)
    expect((await yard.paste(ANN, 'hello')).text).toContain('I only understand commands')
    expect((await yard.paste(ANN, codeFor(1))).text).toContain(UNASKED)
    expect(yard.cli.fed).toEqual([])
    expect(yard.deleted()).toBe(1)
  })

  it('runs out after 15 minutes, says so, and a late code is deleted and not used', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await open(yard)
    yard.clock.pass(15 * MINUTE)
    await yard.telegram.waitFor((fake) => fake.messages(ANN).some(({ text }) => text.includes('has run out')))
    const { text, answer } = await yard.paste(ANN, codeFor(1))
    expect(text).toContain('My question ran out: nothing was done.')
    expect(text).toContain(ERASED)
    expect(labels(answer)).toEqual(['Show again'])
    expect(yard.cli.fed).toEqual([])
    await yard.press(ANN, 'Show again')
    await yard.telegram.waitFor((fake) => fake.messages(ANN).at(-1)?.text.includes('Sign in to Claude'))
    expect((await yard.paste(ANN, codeFor(2))).text).toContain('Signed in')
  })

  it('takes a code that lay in Telegram’s queue for two minutes', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await open(yard)
    const date = Math.floor(yard.clock.now() / 1_000) - 120
    expect((await yard.ask(ANN, codeFor(1), { date })).text).toContain('Signed in')
  })

  it('asks again after a restart, for a code or half of one, with a fresh page', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await open(yard)
    for (const [round, code] of [codeFor(1), 'aB3_-codeFromThePage'].entries()) {
      await yard.stop()
      await yard.start()
      const again = await yard.paste(ANN, code)
      expect(again.text).toContain(
        'I was restarted before I could read your answer, and I keep no such words.',
      )
      expect(again.text).toContain(ERASED)
      expect(again.answer.buttons[0]?.[0]?.url).toBe(urlOf(round + 2))
    }
    expect(yard.cli.fed).toEqual([])
    expect((await yard.paste(ANN, codeFor(3))).text).toContain('Signed in')
    await expectNoCode(yard)
  })

  it('stopped in the middle of a code ends the CLI, and the next start asks for another one', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await open(yard)
    const gate = Promise.withResolvers<void>()
    yard.cli.faults.answer = () => gate.promise
    yard.telegram.say({ chat: ANN, from: ANN, text: codeFor(1) })
    await until(() => yard.cli.fed.length === 1)
    await yard.stop()
    expect(yard.cli.running.size).toBe(0)
    yard.cli.faults = {}
    await yard.start()
    const page = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find(({ text }) => text.includes('I ask again:')),
    )
    expect(page.buttons[0]?.[0]?.url).toBe(urlOf(2))
    gate.resolve()
    expect((await yard.paste(ANN, codeFor(2))).text).toContain('Signed in')
    expect(yard.audited()).toContain(`Ann (${ANN}): reauth cli, in claude-proxy`)
    await expectNoCode(yard)
  })

  it('shows no code, though the CLI repeats it', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await open(yard)
    yard.cli.faults.refuse = `Couldn't log in with ${codeFor(1)}`
    expect((await yard.paste(ANN, codeFor(1))).text).toContain("Couldn't log in with [redacted]")
    await expectNoCode(yard)
  })

  it('waits on when something breaks at a code', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await open(yard)
    yard.cli.faults.answer = () => {
      throw new Error('a bug')
    }
    const broken = await yard.paste(ANN, codeFor(1))
    expect(broken.text).toContain('Something broke inside opsbot.')
    expect(broken.text).toContain(ERASED)
    yard.cli.faults = {}
    expect((await yard.paste(ANN, codeFor(1))).text).toContain('Signed in')
  })

  it('is told when the message cannot be deleted', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await open(yard)
    const description = "Bad Request: message can't be deleted for everyone"
    yard.telegram.fault({ method: 'deleteMessage', kind: 'status', status: 400, description })
    const { text } = await yard.paste(ANN, codeFor(1))
    expect(text).toContain('Signed in')
    expect(text).toContain(NOT_ERASED)
  })

  it('is for owners, and for their private chats alone', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    expect((await yard.ask(BEN, '/reauth')).text).toContain('/reauth is for the role owner')
    for (const line of ['/reauth', '/reauth@fake_ops_bot sandbox', '/reauth@fake_ops_bot cancel'])
      expect((await yard.ask(ANN, line, { chat: OPS })).text).toMatch(
        /^❔ \/reauth( cancel)? is for our private chat alone: send it to me there\.$/,
      )
    expect(yard.cli.begun).toBe(0)
  })

  it('is open once: a second owner is told whose it is, and may end it', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after)
    await open(yard)
    expect((await yard.ask(OTHER, '/reauth')).text).toContain(
      `Ann (${ANN}) began a sign-in (cli) that is open for another 14 min`,
    )
    expect((await yard.paste(OTHER, codeFor(1))).text).toContain(UNASKED)
    await yard.ask(OTHER, '/reauth cancel')
    expect((await yard.ask(OTHER, '/reauth')).text).toContain('Sign in to Claude')
    expect((await yard.paste(ANN, codeFor(2))).text).toContain(`Only Bob (${OTHER}) may answer this sign-in.`)
    expect(yard.cli.fed).toEqual([])
    await expectNoCode(yard)
  })

  it('works on the console, which has no message to delete', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const terminal = await yard.dial()
    expect(await terminal.line(codeFor(1))).toMatchObject({
      ok: false,
      output: expect.stringContaining(UNASKED),
    })
    expect((await terminal.line('/reauth')).output).toContain(urlOf(1))
    expect(await terminal.line(`/reauth ${codeFor(1)}`)).toMatchObject({
      ok: true,
      output: expect.stringContaining('Signed in'),
    })
    expect(yard.deleted()).toBe(0)
    terminal.close()
    await expectNoCode(yard)
  })
})

describe.concurrent('a code that nobody asked for', () => {
  const code = codeFor(1)
  const url = `https://platform.claude.com/oauth/code/callback?code=codeFromThePage-1234&state=x`
  const token = ['sk-ant', 'oat01', 'codeFromThePage'.repeat(3)].join('-')

  it.for<[string, number, string]>([
    ['by an owner', ANN, code],
    ['by an operator', BEN, code],
    ['in a sentence', ANN, `here: ${code}`],
    ['in lines', ANN, `one\n${code}\ntwo`],
    ['as an address', ANN, url],
    ['behind its command', ANN, `/reauth ${code}`],
    ['behind another command', BEN, `/mute 1 ${code}`],
    ['behind no command', BEN, `/${code}`],
    ['that is a token', BEN, `/tokens register ${token}`],
  ])('%s is refused, deleted and kept nowhere', async ([, from, text], { onTestFinished: after }) => {
    const yard = await createYard(after)
    const refused = await yard.paste(from, text)
    expect(refused.text).toContain(UNASKED)
    expect(refused.text).toContain(ERASED)
    expect(yard.telegram.said(from)[0]?.deleted).toBe(true)
    expect(yard.cli.begun).toBe(0)
    await expectNoCode(yard)
  })

  it.for<[string, 'administrator' | 'member', string]>([
    ['with the rights to delete', 'administrator', ERASED],
    ['without them', 'member', NOT_ERASED],
  ])(
    'in a group %s is refused and told, and does not answer the question in private',
    async ([, botIs, told], { onTestFinished: after }) => {
      const yard = await createYard(after, { botIs })
      await open(yard)
      for (const text of [code, `/reauth@fake_ops_bot ${code}`, `/reauth ${code}`]) {
        const refused = await yard.paste(ANN, text, OPS)
        expect(refused.text).toContain(UNASKED)
        expect(refused.text).toContain(told)
      }
      expect(yard.telegram.said(OPS).map(({ deleted }) => deleted)).toEqual(Array(3).fill(botIs !== 'member'))
      expect(yard.cli.fed).toEqual([])
      expect((await yard.paste(ANN, code)).text).toContain('Signed in')
      await expectNoCode(yard)
    },
  )

  it('is no answer to another question, which goes on waiting', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    await yard.ask(ANN, '/wipe')
    expect((await yard.paste(ANN, code)).text).toContain(UNASKED)
    expect((await yard.ask(ANN, 'openclaw')).text).toContain('Wiped')
  })

  it('of a stranger is met with silence', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    yard.telegram.say({ chat: EVE, from: EVE, text: code })
    yard.telegram.say({ chat: OPS, from: EVE, text: code })
    await yard.ask(ANN, '/whoami')
    expect(yard.telegram.messages(EVE)).toEqual([])
    expect(yard.telegram.messages(OPS)).toEqual([])
    await expectNoCode(yard)
  })

  it('an address that looks a little like one is left alone', async ({ onTestFinished: after }) => {
    const yard = await createYard(after)
    const link = 'https://docs.example.com/gateway/troubleshooting-of-tokens#when-nothing-helps-any-more'
    yard.telegram.say({ chat: OPS, from: ANN, text: link })
    expect((await yard.ask(ANN, link)).text).toContain('I only understand commands')
    expect(yard.deleted()).toBe(0)
    expect(yard.telegram.messages(OPS)).toEqual([])
  })
})

describe.concurrent('/reauth with the relay off', () => {
  it('shows the command, asks for no code, and tells when the new login is there', async ({
    onTestFinished: after,
  }) => {
    const yard = await createYard(after, { relay: false })
    const page = await open(yard)
    expect(page.text).toContain('Run this on the host: docker exec -it claude-proxy claude auth login')
    expect(labels(page)).toEqual(['Cancel'])
    expect((await yard.paste(ANN, codeFor(1))).text).toContain(UNASKED)
    expect(yard.deleted()).toBe(1)
    yard.cli.login()
    const told = await yard.telegram.waitFor((fake) =>
      fake.messages(ANN).find(({ text }) => text.includes('Signed in to Claude in claude-proxy')),
    )
    expect(told.text).toContain('The new token holds for 7 h 59 min.')
    expect(yard.proofs).toEqual(['cli'])
    expect(yard.cli).toMatchObject({ begun: 0, fed: [] })
    await expectNoCode(yard)
  })
})
