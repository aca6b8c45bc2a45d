// Exec approvals on the road: what an agent asks becomes a card, whose answer reaches the gateway once, in both versions.

import { describe, it } from 'vitest'
import { NEW, OLD, VERSIONS, type Version } from '../openclaw/recording.ts'
import { createYard, type Yard } from '../openclaw/yard.ts'
import { type After, ANN, BEN, OPS, until, VIC } from './rig.ts'

const ASKS = 'An agent asks to run a command'

/** A yard whose owner has switched approvals on. */
async function createAsking(after: After, version: Version): Promise<Yard> {
  const yard = await createYard(after, version)
  await yard.ask(ANN, '/approvals on')
  await until(() => yard.replay.client()?.connect.caps.length)
  await yard.opened()
  return yard
}

/** What an agent may be made to ask by whoever writes to it; a few at once, for a chat is not told much in a second. */
const HOSTILE = {
  'markup, and more of it than fits once it is escaped': {
    command: '<&>"'.repeat(1_000),
    cwd: '/<b>x</b></code><i>',
    agentId: '<a href="tg://user?id=1">x</a> *y* `z`',
  },
  'much text, many lines, nothing but blanks': {
    command: `printf ${'x'.repeat(4_000)}`,
    cwd: 'echo one\necho two\n\n\n\techo three\r\n',
    agentId: '   ',
  },
  'text that turns around, letters of several parts': {
    command: `rm \u202egpj.exe\u202c \u2066x\u2069 \u200e\u200f ${'👩‍👩‍👧‍👦'.repeat(400)}`,
    sessionKey: '\u202e'.repeat(500),
  },
}
/** Characters that make text read in another order than it runs. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/
/** What we mark up ourselves. */
const OURS = ['bold', 'code', 'expandable_blockquote']

const labels = (message: { buttons: { text: string }[][] }) => message.buttons.flat().map(({ text }) => text)
/** What the gateway was told to do. */
const answered = ({ replay }: Yard) =>
  replay.asked.filter(({ method }) => method === 'exec.approval.resolve').map(({ params }) => params)
const press = (yard: Yard, from: number, button: string) => yard.press(from, button, { chat: OPS })

describe.concurrent('switching', () => {
  it('only an owner switches them, and agents are asked for only while they are on', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createYard(after, NEW)
    const caps = () => yard.replay.client()?.connect.caps
    expect(caps()).toEqual([])
    expect((await yard.ask(VIC, '/approvals')).text).toContain('Agents do not ask here')
    for (const person of [VIC, BEN]) {
      await yard.ask(person, '/approvals on')
      expect(yard.ops.approving.get()).toBeUndefined()
    }
    expect((await yard.ask(ANN, '/approvals on')).text).toContain('Switched on by Ann')
    await until(() => caps()?.length)
    expect(caps()).toEqual(['approvals', 'exec-approvals'])
    await yard.ask(ANN, '/approvals off')
    await until(() => yard.replay.counts.lines >= 3 && caps())
    expect(caps()).toEqual([])
    expect(yard.audited().filter((line) => /approvals/.test(line))).toHaveLength(4)
  })

  it.for(VERSIONS)(
    'while they are off, what agents of %s ask elsewhere is no card',
    async (version, { onTestFinished: after, expect }) => {
      const yard = await createYard(after, version)
      yard.replay.ask()
      yard.replay.cut()
      await until(() => yard.replay.counts.lines === 2)
      await yard.opened()
      await yard.ask(VIC, '/approvals')
      expect(yard.told().filter((text) => text.includes(ASKS))).toEqual([])
    },
  )
})

describe.concurrent.each(VERSIONS)('what an agent of %s asks', (version) => {
  it('is a card with what it wants, and Allow once is told to the gateway and names the person', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask({ command: 'git push --force', cwd: '/srv/blog' })
    const card = await yard.shown(ASKS)
    for (const piece of ['git push --force', 'Agent main in /srv/blog on gateway', 'then it is not run.'])
      expect(card.text).toContain(piece)
    expect(labels(card).slice(0, 2)).toEqual(['Allow once', 'Deny'])
    expect(card.silent).toBe(false)
    await press(yard, BEN, 'Allow once')
    await yard.shown("Agent's command: allowed once by Ben")
    expect(answered(yard)).toEqual([{ id, decision: 'allow-once' }])
    expect(yard.replay.pending()).toEqual([])
    expect(yard.audited().some((line) => /Ben.*allow-once.*git push --force/.test(line))).toBe(true)
  })

  it('is denied by a button too', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask()
    await yard.shown(ASKS)
    await press(yard, ANN, 'Deny')
    await yard.shown("Agent's command: denied by Ann")
    expect(answered(yard)).toEqual([{ id, decision: 'deny' }])
  })

  it('a viewer may read it and not answer it', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    yard.replay.ask()
    await yard.shown(ASKS)
    expect(await press(yard, VIC, 'Allow once')).toMatch(/operator/i)
    expect(answered(yard)).toEqual([])
    expect(yard.replay.pending()).toHaveLength(1)
  })

  it('two taps are one answer', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask()
    const { id: messageId, chat } = await yard.shown(ASKS)
    yard.telegram.press({ chat, from: BEN, button: 'Allow once', messageId })
    yard.telegram.press({ chat, from: BEN, button: 'Allow once', messageId })
    yard.telegram.press({ chat, from: ANN, button: 'Deny', messageId })
    const card = await yard.shown(/Agent's command: (allowed once by Ben|denied by Ann)/)
    await until(() => yard.inbox().every(({ state }) => state === 'done'))
    expect(answered(yard)[0]).toMatchObject({ id })
    // What the card says is what the gateway did.
    const [first] = answered(yard)
    expect(card.text).toContain(first?.decision === 'deny' ? 'denied by Ann' : 'allowed once by Ben')
  })

  it('is answered elsewhere: the card says by whom', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask()
    await yard.shown(ASKS)
    yard.replay.answerElsewhere(id, 'deny', 'Control UI <b>')
    const card = await yard.shown("Agent's command: denied by Control UI <b>")
    expect(labels(card)).not.toContain('Deny')
  })

  it('runs out: the card says that nobody answered', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { expiresAtMs } = yard.replay.ask()
    await yard.shown(ASKS)
    yard.clock.to(expiresAtMs + 1_000)
    // A newer gateway says so; of an older one the bot's own clock knows it.
    yard.replay.sweep()
    yard.ops.approvals.sweep()
    await yard.shown("Agent's command: nobody answered in time")
    expect((await yard.ask(BEN, '/approvals')).text).toContain('Nothing to allow or deny')
  })

  it('outlives a restart of the bot, and is answered after it', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask()
    await yard.shown(ASKS)
    await yard.stop()
    await yard.start()
    await yard.opened()
    expect((await yard.ask(VIC, '/approvals')).text).toContain(id.slice(0, 12))
    await press(yard, BEN, 'Deny')
    await yard.shown("Agent's command: denied by Ben")
    expect(yard.told().filter((text) => /command/.test(text))).toHaveLength(1)
    expect(answered(yard)).toEqual([{ id, decision: 'deny' }])
  })

  it('that runs out while the bot is away is told so when it is back', async ({ onTestFinished: after }) => {
    const yard = await createAsking(after, version)
    const { expiresAtMs } = yard.replay.ask()
    await yard.shown(ASKS)
    await yard.stop()
    yard.clock.to(expiresAtMs + 1_000)
    await yard.start()
    await yard.shown("Agent's command: nobody answered in time")
  })

  it('is forgotten by a gateway that restarts', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const { id } = yard.replay.ask()
    await yard.shown(ASKS)
    await yard.replay.restart(100)
    await until(() => yard.ops.gateway.link().state === 'open' && yard.replay.counts.lines > 2)
    // A newer gateway lists what there is; of an older one nobody knows until it is answered.
    if (version === NEW) await yard.shown("Agent's command: answered elsewhere or over")
    else {
      expect((await yard.ask(VIC, '/approvals')).text).toContain(id.slice(0, 12))
      await press(yard, BEN, 'Allow once')
      await yard.shown("Agent's command: answered elsewhere or over")
    }
  })

  it('is harmless and fits, whatever is in it', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const before = yard.telegram.messages(OPS).length
    for (const request of Object.values(HOSTILE)) yard.replay.ask(request)
    const { length } = Object.keys(HOSTILE)
    const cards = await yard.telegram.waitFor((fake) => {
      const shown = fake.messages(OPS).slice(before)
      return shown.length >= length ? shown : undefined
    })
    for (const card of cards) {
      expect(card.text).toContain(ASKS)
      expect(card.text.length).toBeLessThanOrEqual(4_096)
      expect(card.text).not.toMatch(TURNS)
      expect(card.entities.filter(({ type }) => !OURS.includes(type))).toEqual([])
      for (const { data = '' } of card.buttons.flat()) expect(Buffer.byteLength(data)).toBeLessThanOrEqual(64)
    }
    await press(yard, BEN, 'Deny')
    await until(() => answered(yard).length === 1)
  })

  it('shows none of the secrets in it', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, version)
    const secret = ['sk', 'ant', 'api03', 'x'.repeat(30)].join('-')
    const { token } = yard.telegram
    yard.replay.ask({
      command: `curl -H "x-api-key: ${secret}" ${'y'.repeat(1_450)}${token}`,
      cwd: `/${secret}`,
    })
    const { text } = await yard.shown(ASKS)
    expect(text).toContain('x-api-key: [redacted]')
    const everything = JSON.stringify([yard.told(), yard.lines, yard.audited()])
    for (const piece of [secret, token, secret.slice(0, 20)]) expect(everything).not.toContain(piece)
  })
})

describe.concurrent('from now on', () => {
  it('is allowed only by typing it, and only where the gateway takes it', async ({
    onTestFinished: after,
    expect,
  }) => {
    const yard = await createAsking(after, OLD)
    const { id } = yard.replay.ask()
    expect(labels(await yard.shown(ASKS)).join()).not.toMatch(/always/i)
    await yard.ask(BEN, `/allow ${id.slice(0, 12)} always`)
    await yard.shown("Agent's command: allowed from now on by Ben")
    expect(answered(yard)).toEqual([{ id, decision: 'allow-always' }])
  })

  it('is refused in words where it is not', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, NEW)
    const { id } = yard.replay.ask()
    await yard.shown(ASKS)
    const { text } = await yard.ask(BEN, `/allow ${id.slice(0, 12)} always`)
    expect(text).toContain('The gateway takes only these answers to it: allow-once, deny.')
    expect(answered(yard)).toEqual([])
  })

  it('an id that nobody knows is said to be none', async ({ onTestFinished: after, expect }) => {
    const yard = await createAsking(after, NEW)
    const { text } = await yard.ask(BEN, '/deny 12345678')
    expect(text).toContain('That request is answered or over: /approvals lists what waits.')
  })
})
