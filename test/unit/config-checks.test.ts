// Checks of the config, the gateway's word about it, and /config: refused, set aside, permissions, owner, old files, versions.

import { describe, expect, it } from 'vitest'
import { createClock } from '../../src/bot/clock.ts'
import { configCommands } from '../../src/bot/commands/config.ts'
import { plain } from '../../src/bot/page.ts'
import { OpsError } from '../../src/errors.ts'
import { configChecks, createConfigLook } from '../../src/ops/checks/config.ts'
import type { Observation } from '../../src/ops/checks/index.ts'
import type { Cli } from '../../src/ops/gateway/cli.ts'
import { createConfigHistory, type Kept } from '../../src/ops/gateway/config.ts'
import type { ConfigFile, SeenStateDir, StateDirLook } from '../../src/ops/gateway/statedir.ts'
import { createValidity, wordsOnly } from '../../src/ops/gateway/validity.ts'
import { HOUR, MINUTE, T0 } from './help.ts'

const DAY = 24 * HOUR
const FILE: ConfigFile = {
  ...{ path: '/srv/oc/openclaw.json', mode: 0o600, uid: 1000, gid: 1000, bytes: 4_228 },
  ...{ modifiedAt: T0 - HOUR, hash: 'aaaa', touchedBy: '2026.9.6', flat: { 'gateway.bind': '"lan"' } },
}
const SEEN: SeenStateDir = {
  ...{ path: '/srv/oc', config: FILE, clobbered: [], unread: [] },
  auth: { legacy: [], sqlite: true },
  owner: { uid: 1000, gid: 1000, strangers: [], complete: true },
}
/** What both CLIs said, as captured (config-invalid-new.txt, cli-old/config-validate.txt). */
const SAID = {
  refused: {
    ...{ exitCode: 1, stderr: '' },
    stdout:
      '{\n  "ok": false,\n  "error": {"type": "cli_error", "message": "OpenClaw config is invalid: ~/.openclaw/openclaw.json"},\n  "valid": false,\n  "issues": [{"path": "<root>", "message": "Unrecognized key: \\"bogusTop\\""}]\n}\n',
  },
  valid: { exitCode: 0, stdout: '{"valid":true,"path":"/home/node/.openclaw/openclaw.json"}', stderr: '' },
  lacking: { exitCode: 1, stdout: '', stderr: "error: unknown option '--json'\n" },
  boxes: { exitCode: 1, stdout: '│\n◇  Config ──╮\n│  Config invalid; doctor will run │\n', stderr: '' },
  half: { exitCode: 1, stdout: '{\n  "valid": fal', stderr: '' },
}

type Answer = { valid?: boolean; issues?: { path: string; message: string }[] }

function createYard() {
  const world = {
    look: { state: 'seen', seen: SEEN } as StateDirLook,
    link: { valid: true } as Answer | 'shut',
    cli: undefined as keyof typeof SAID | undefined,
    version: '2026.9.6' as string | undefined,
    readySince: 0 as number | undefined,
    now: T0,
    asked: [] as string[],
    stored: undefined as { good?: Kept; before?: Kept } | undefined,
  }
  const program = {
    async run(args: readonly string[]) {
      world.asked.push(`cli ${args.join(' ')}`)
      const result = SAID[world.cli ?? 'half']
      return { ...result, output: result.stdout + result.stderr }
    },
  } satisfies Pick<Cli, 'run'>
  const options = {
    stateDir: { look: async () => world.look },
    async ask() {
      world.asked.push('link')
      if (world.link === 'shut') throw new OpsError('The link is shut.')
      const { valid, issues = [] } = world.link
      const value = { exists: true, issues, warnings: [], ...(valid !== undefined && { valid }) }
      return { value, source: 'link' as const, at: world.now }
    },
    cli: async () => (world.cli ? (program as unknown as Cli) : undefined),
    async version() {
      if (world.version === undefined) throw new OpsError('The gateway does not run.')
      return world.version
    },
    good: createConfigHistory({
      get: () => world.stored,
      set: (value) => {
        world.stored = value
      },
      now: () => world.now,
    }),
    now: () => world.now,
  }
  const [check] = configChecks({ ...options, readySince: () => world.readySince })
  const [config] = configCommands(
    { lookAtConfig: createConfigLook(options), goodConfig: options.good },
    createClock('UTC', () => world.now),
  )
  const look = async (): Promise<Observation[]> => (await check?.look(new AbortController().signal)) ?? []
  return {
    ...{ world, look, validityOf: createValidity(options) },
    seen: (more: Partial<SeenStateDir>) => {
      world.look = { state: 'seen', seen: { ...SEEN, ...more } }
    },
    one: async (key: string) => (await look()).find((each) => each.key === `config/${key}`),
    async page() {
      const page = await config?.run({
        ...{ args: {}, now: world.now, person: { id: 1, name: 'Ben', role: 'operator' } },
        place: { chatId: 1, kind: 'private' },
      })
      return page && { ...page, lines: page.lines?.map(plain), details: page.details?.map(plain) }
    },
  }
}
type Yard = ReturnType<typeof createYard>

describe('with nothing wrong', () => {
  it('all is well, or does not exist', async () => {
    const yard = createYard()
    expect((await yard.look()).map(({ key, verdict }) => [key, verdict])).toEqual(
      ['valid', 'clobbered', 'mode', 'owner', 'auth', 'version'].map((key) => [`config/${key}`, 'ok']),
    )
  })

  it('and no config at all, the gateway runs on its defaults', async () => {
    const yard = createYard()
    yard.seen({ config: undefined })
    expect((await yard.look()).map(({ verdict }) => verdict)).toEqual([
      'absent',
      'ok',
      'absent',
      'ok',
      'ok',
      'absent',
    ])
    expect(yard.world.asked).toEqual([])
  })
})

describe('what is wrong', () => {
  const config = (more: Partial<ConfigFile>) => ({ config: { ...FILE, ...more } })
  const owner = (strangers: string[]) => ({ owner: { ...SEEN.owner, strangers } })
  const clobbered = (...ages: number[]) => ({
    clobbered: ages.map((age, index) => ({ name: `openclaw.json.clobbered.${index}`, at: T0 - age })),
  })

  it.each<[string, Partial<SeenStateDir>, string, string, string, string]>([
    [
      'it can be read by others',
      config({ mode: 0o644 }),
      'mode',
      'warn',
      'Its mode is 644',
      'chmod 600 /srv/oc/openclaw.json',
    ],
    ['only root may do anything', config({ mode: 0o40 }), 'mode', 'warn', 'Its mode is 040', 'chmod 600'],
    [
      'its path needs quotes',
      config({ mode: 0o666, path: "/it's here/x" }),
      'mode',
      'warn',
      '666',
      "chmod 600 '/it'\\''s here/x'",
    ],
    [
      'one was set aside today',
      clobbered(HOUR),
      'clobbered',
      'warn',
      '1 h ago it found openclaw.json damaged',
      'openclaw.json.clobbered.0',
    ],
    [
      'several were, and one long ago',
      clobbered(HOUR, DAY, 8 * DAY),
      'clobbered',
      'warn',
      'the last of 2 within a week',
      'clobbered.0',
    ],
    [
      'one file is root’s',
      owner(['agents/x']),
      'owner',
      'warn',
      '1 file not owned by user 1000: agents/x.',
      'chown -h 1000:1000 /srv/oc/agents/x',
    ],
    [
      'many are',
      owner(['a', 'b', 'c', 'd']),
      'owner',
      'warn',
      '4 files not owned by user 1000: a, b, c …',
      'chown -hR 1000:1000 /srv/oc',
    ],
    [
      'one with a hostile name is',
      owner(['a\n$(x)\u202e']),
      'owner',
      'warn',
      '1 file not owned by user 1000.',
      'chown -hR 1000:1000 /srv/oc',
    ],
    [
      'an old credential file lies beside SQLite',
      { auth: { legacy: ['agents/main/agent/auth-profiles.json'], sqlite: true } },
      ...([
        'auth',
        'bad',
        'agents/main/agent/auth-profiles.json',
        'Stop the gateway, run `openclaw doctor --fix --non-interactive`',
      ] as const),
    ],
    [
      'a newer version wrote it',
      config({ touchedBy: '2026.10.1' }),
      'version',
      'bad',
      '2026.9.6 runs, and 2026.10.1 has written',
      'Go back to 2026.10.1',
    ],
  ])('%s', async (_, more, key, verdict, why, mend) => {
    const yard = createYard()
    yard.seen(more)
    const seen = await yard.one(key)
    expect(seen).toMatchObject({
      verdict,
      why: expect.stringContaining(why),
      mend: expect.stringContaining(mend),
    })
    expect((await yard.look()).filter((each) => each.verdict !== 'ok')).toHaveLength(1)
  })

  it.each<[string, Partial<SeenStateDir>, string, string]>([
    ['a config set aside more than a week ago', clobbered(7 * DAY), 'clobbered', 'ok'],
    [
      'credential files of an older gateway',
      { auth: { legacy: ['credentials/oauth.json'], sqlite: false } },
      'auth',
      'ok',
    ],
    ['the same version', config({ touchedBy: '2026.9.6' }), 'version', 'ok'],
    ['an older one', config({ touchedBy: '2026.2.22' }), 'version', 'ok'],
    ['no version in it', config({ touchedBy: 'dev' }), 'version', 'absent'],
  ])('not %s', async (_, more, key, verdict) => {
    const yard = createYard()
    yard.seen(more)
    expect(await yard.one(key)).toMatchObject({ verdict })
  })

  it('is certain at once where old credential files break every agent', async () => {
    const yard = createYard()
    yard.seen({ auth: { legacy: ['credentials/oauth.json'], sqlite: true } })
    expect(await yard.one('auth')).toMatchObject({ verdict: 'bad', proof: true })
  })

  it('that it is gone, where the gateway once ran well with one', async () => {
    const yard = createYard()
    await yard.look()
    yard.world.now += 10 * MINUTE
    await yard.look()
    yard.seen({ config: undefined })
    expect(await yard.one('valid')).toMatchObject({ verdict: 'bad', why: 'openclaw.json is gone.' })
  })
})

describe('what cannot be seen is never well', () => {
  it.each<[string, (yard: Yard) => unknown, string, string]>([
    [
      'a directory in it',
      (yard) => yard.seen({ unread: ['/srv/oc/agents may not be read.'] }),
      'auth',
      '/srv/oc/agents may not be read.',
    ],
    [
      'the version',
      ({ world }) => Object.assign(world, { version: undefined }),
      'version',
      'It is not known which version runs.',
    ],
    [
      'a version that is no number',
      ({ world }) => Object.assign(world, { version: 'dev' }),
      'version',
      'It is not known which version runs.',
    ],
    [
      'all of it',
      ({ world }) =>
        Object.assign(world, { look: { state: 'unseen', path: '/srv/oc', why: '/srv/oc may not be read.' } }),
      ...(['mode', '/srv/oc may not be read.'] as const),
    ],
    [
      'where it lies',
      ({ world }) => Object.assign(world, { look: { state: 'unseen', why: 'Docker is hanging.' } }),
      'owner',
      'Docker is hanging.',
    ],
  ])('%s', async (_, happen, key, why) => {
    const yard = createYard()
    await yard.look()
    happen(yard)
    expect(await yard.one(key)).toMatchObject({ verdict: 'unknown', why })
  })

  it('and what is ill all the same stays ill', async () => {
    const yard = createYard()
    yard.seen({ unread: ['x'], owner: { ...SEEN.owner, strangers: ['a'] } })
    expect(await yard.one('owner')).toMatchObject({ verdict: 'warn' })
  })

  it('but where no gateway ever was there is nothing to see', async () => {
    const yard = createYard()
    yard.world.look = { state: 'unseen', why: 'No gateway.' }
    expect(await yard.look()).toEqual([])
  })

  it('and the gateway is asked about a config that we may not read, though not at each look', async () => {
    const yard = createYard()
    yard.world.look = { state: 'unseen', path: '/srv/oc', why: 'It may not be read.' }
    yard.world.link = { valid: false, issues: [{ path: 'a', message: 'No.' }] }
    for (const after of [0, MINUTE, MINUTE]) {
      yard.world.now += after
      expect(await yard.one('valid')).toMatchObject({ verdict: 'bad', why: 'a: No.' })
    }
    yard.world.now += 10 * MINUTE
    await yard.look()
    expect(yard.world.asked).toEqual(['link', 'link'])
  })
})

describe("the gateway's word", () => {
  it.each<[string, (world: Yard['world']) => unknown, object, string[]]>([
    ['is the link’s', () => {}, { state: 'valid', source: 'link', at: T0 }, ['link']],
    [
      'is no, with its issues',
      (world) =>
        Object.assign(world, {
          link: { valid: false, issues: [{ path: '', message: 'Unrecognized key: "x"' }] },
        }),
      { state: 'refused', issues: ['<root>: Unrecognized key: "x"'] },
      ['link'],
    ],
    [
      'is the CLI’s when the link is shut',
      (world) => Object.assign(world, { link: 'shut', cli: 'refused' }),
      { state: 'refused', issues: ['<root>: Unrecognized key: "bogusTop"'], source: 'cli' },
      ['link', 'cli config validate --json'],
    ],
    [
      'is the CLI’s yes',
      (world) => Object.assign(world, { link: 'shut', cli: 'valid' }),
      { state: 'valid', source: 'cli' },
      ['link', 'cli config validate --json'],
    ],
    [
      'is the CLI’s when the link does not say',
      (world) => Object.assign(world, { link: {}, cli: 'valid' }),
      { state: 'valid' },
      ['link', 'cli config validate --json'],
    ],
    [
      'is not known when neither answers',
      (world) => Object.assign(world, { link: 'shut' }),
      { state: 'unknown', why: 'The gateway does not run.' },
      ['link'],
    ],
    [
      'is not known of doctor’s boxes',
      (world) => Object.assign(world, { link: 'shut', cli: 'boxes' }),
      { state: 'unknown', why: expect.stringContaining('openclaw config validate: ') },
      ['link', 'cli config validate --json'],
    ],
    [
      'is not known of half an answer',
      (world) => Object.assign(world, { link: 'shut', cli: 'half' }),
      { state: 'unknown' },
      ['link', 'cli config validate --json'],
    ],
  ])('%s', async (_, happen, validity, asked) => {
    const { world, validityOf } = createYard()
    happen(world)
    expect(await validityOf('aaaa', '2026.9.6')).toMatchObject(validity)
    expect(world.asked).toEqual(asked)
  })

  it('is asked for once for a text and a version, again for another, and again while it is not known', async () => {
    const { world, validityOf } = createYard()
    for (const [hash, version] of [
      ['a', '1'],
      ['a', '1'],
      ['b', '1'],
      ['b', '1'],
      ['b', '2'],
    ] as const)
      await validityOf(hash, version)
    expect(world.asked).toHaveLength(3)
    world.link = 'shut'
    await validityOf('c', '2')
    await validityOf('c', '2')
    expect(world.asked).toHaveLength(5)
  })

  it('is not asked of a CLI that lacks the word, but of the link as soon as it is open', async () => {
    const { world, validityOf } = createYard()
    Object.assign(world, { link: 'shut', cli: 'lacking' })
    for (const _ of [1, 2, 3]) expect(await validityOf('a', '2026.2.22')).toMatchObject({ state: 'unknown' })
    expect(world.asked.filter((each) => each.startsWith('cli'))).toHaveLength(1)
    world.link = { valid: false }
    expect(await validityOf('a', '2026.2.22')).toMatchObject({ state: 'refused' })
  })

  it.each([
    ['Unrecognized key: "bogusTop"', 'Unrecognized key: "bogusTop"'],
    ['Invalid input: expected number, received string', 'Invalid input: expected number, received string'],
    ['expected "a", received "hunter2"', 'expected "a", received …'],
    [`bad value '${'s'.repeat(40)}'`, 'bad value …'],
    [`Unexpected token 'h', ..."ord": hunter2 }" is not valid JSON`, "Unexpected token 'h' (not valid JSON)"],
    ['a\n\n b', 'a b'],
    ['x'.repeat(999), 'x'.repeat(200)],
  ])('%o is told as %o: without values', (message, words) => expect(wordsOnly(message)).toBe(words))
})

describe('the good config', () => {
  it.each<[string, (world: Yard['world']) => unknown, boolean]>([
    ['is noted after 10 minutes of a ready gateway', () => {}, true],
    [
      'is none that the gateway refuses, which runs on an older one',
      (world) => Object.assign(world, { link: { valid: false } }),
      false,
    ],
    ['is none of which nobody knows', (world) => Object.assign(world, { link: 'shut' }), false],
    [
      'is none of a gateway that is not ready',
      (world) => Object.assign(world, { readySince: undefined }),
      false,
    ],
  ])('%s', async (_, happen, noted) => {
    const { world, look } = createYard()
    happen(world)
    await look()
    world.now += 10 * MINUTE
    await look()
    expect(world.stored?.good !== undefined).toBe(noted)
  })
})

describe('/config', () => {
  const good = (flat: Kept['flat'], more: Partial<Kept> = {}): Kept => ({
    hash: 'g',
    flat,
    at: T0 - HOUR,
    ...more,
  })

  it('says that it is valid, where it lies, and who said so', async () => {
    const yard = createYard()
    yard.world.stored = { good: good({ 'gateway.bind': '"lan"' }) }
    expect(await yard.page()).toMatchObject({
      ...{ mark: 'ok', title: 'The gateway finds its config valid' },
      lines: ['Nothing changed since the good one of 11:00 UTC.'],
      details: [
        '/srv/oc/openclaw.json, mode 600, owner 1000:1000, 4.2 kB, changed 1 h ago',
        'Last written by OpenClaw 2026.9.6',
        'Files of its state belong to 1000:1000',
        'Its own word, over the link, just now',
      ],
    })
  })

  it('says why it is refused, what changed since it ran well, and hides what must be hidden', async () => {
    const yard = createYard()
    yard.world.link = { valid: false, issues: [{ path: '', message: 'Unrecognized key: "bogusTop"' }] }
    yard.world.stored = { good: good({ 'gateway.bind': '"loopback"', 'a.token': '#11111111', gone: '1' }) }
    yard.seen({
      config: { ...FILE, flat: { 'gateway.bind': '"lan"', 'a.token': '#22222222', bogusTop: 'true' } },
    })
    expect(await yard.page()).toMatchObject({
      ...{ mark: 'bad', title: 'The gateway refuses its config' },
      lines: [
        '<root>: Unrecognized key: "bogusTop"',
        '4 changes since the good one of 11:00 UTC:',
        'gateway.bind: "loopback" → "lan"',
        'a.token changed (hidden)',
        'gone removed, it was 1',
        'bogusTop added: true',
      ],
    })
  })

  it('shows what the change before was when there is none since', async () => {
    const yard = createYard()
    yard.world.stored = {
      ...{
        good: good({ 'gateway.bind': '"lan"' }),
        before: good({ 'gateway.bind': '"auto"' }, { at: T0 - 2 * HOUR }),
      },
    }
    expect((await yard.page())?.details?.slice(-2)).toEqual([
      'What was changed after the good one of 10:00 UTC:',
      'gateway.bind: "auto" → "lan"',
    ])
  })

  it.each<[string, (yard: Yard) => unknown, object]>([
    [
      'no good one is known',
      () => {},
      { mark: 'ok', lines: [expect.stringContaining('No good one is known')] },
    ],
    [
      'something else is wrong',
      (yard) =>
        yard.seen({
          config: { ...FILE, mode: 0o644 },
          clobbered: [{ name: 'openclaw.json.clobbered.x', at: T0 - HOUR }],
        }),
      {
        mark: 'warn',
        lines: [
          expect.stringContaining('🟡 The gateway has set a config aside'),
          expect.stringContaining('chmod 600'),
          expect.anything(),
        ],
        details: expect.arrayContaining(['Set aside: openclaw.json.clobbered.x, 11:00 UTC']),
      },
    ],
    [
      'there is none',
      (yard) => yard.seen({ config: undefined }),
      {
        title: 'There is no openclaw.json',
        lines: expect.arrayContaining(['There is none: the gateway runs on its defaults.']),
      },
    ],
    [
      'nobody can tell',
      ({ world }) => Object.assign(world, { link: 'shut' }),
      { mark: 'unknown', lines: expect.arrayContaining(['The gateway does not run.']) },
    ],
    [
      'it cannot be read',
      ({ world }) =>
        Object.assign(world, { look: { state: 'unseen', path: '/srv/oc', why: '/srv/oc may not be read.' } }),
      { mark: 'warn', lines: ['/srv/oc may not be read.'] },
    ],
    [
      'it is no JSON5',
      (yard) => {
        const { flat: _, ...unread } = FILE
        yard.world.stored = { good: good({}) }
        yard.seen({ config: unread })
      },
      { lines: [expect.stringContaining('it is no JSON5')] },
    ],
  ])('when %s', async (_, happen, page) => {
    const yard = createYard()
    happen(yard)
    expect(await yard.page()).toMatchObject(page)
  })

  it('stays short, whatever changed', async () => {
    const yard = createYard()
    yard.world.stored = { good: good({}) }
    const flat = Object.fromEntries(
      Array.from({ length: 3_000 }, (_, index) => [`${'k'.repeat(900)}${index}`, '1']),
    )
    yard.seen({ config: { ...FILE, flat } })
    const lines = (await yard.page())?.lines ?? []
    expect(lines.at(-1)).toBe('… and 2960 more')
    expect(lines.join('\n').length).toBeLessThan(8_000)
  })
})
