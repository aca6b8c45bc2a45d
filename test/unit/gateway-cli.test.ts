// The gateway's own CLI: which version it is, its JSON out of what else it prints, its words when it fails, and how it is found.

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../src/errors.ts'
import type { ExecResult } from '../../src/ops/docker/index.ts'
import {
  compareVersions,
  createCli,
  jsonIn,
  type KnownCli,
  versionIn,
  wordsOf,
} from '../../src/ops/gateway/cli.ts'

const result = (exitCode: number, stdout = '', stderr = ''): ExecResult => ({
  ...{ exitCode, stdout, stderr, output: stdout + stderr },
})

describe('a version', () => {
  it.each<[string, string | undefined]>([
    ['2026.2.22\n', '2026.2.22'],
    ['OpenClaw 2026.9.6 (eb377ac)\n', '2026.9.6'],
    ['🦞 OpenClaw 2026.2.22 (70dd6a3) — Your inbox, your infra, your rules.', '2026.2.22'],
    ['OpenClaw 2026.10.1-beta.2', '2026.10.1-beta.2'],
    ['(node:1) Warning: something\n2026.2.9', '2026.2.9'],
    ['v24.21.0', undefined],
    ['2026-11-20T09:57:50.832+00:00 starting', undefined],
    ['12026.9.6', undefined],
    ['', undefined],
  ])('%j is %s', (text, version) => expect(versionIn(text)).toBe(version))

  it.each<[string, string, number]>([
    ['2026.9.6', '2026.9.6', 0],
    ['2026.10.1', '2026.9.6', 1],
    ['2026.2.9', '2026.2.22', -1],
    ['2027.1.1', '2026.12.31', 1],
    ['2026.9.6-beta.1', '2026.9.6', 0],
    ['2026.9', '2026.9.0', 0],
    ['nonsense', '2026.2.9', -1],
  ])('%s against %s is %i', (a, b, sign) => {
    expect(Math.sign(compareVersions(a, b))).toBe(sign)
    expect(Math.sign(compareVersions(b, a))).toBe(sign === 0 ? 0 : -sign)
  })
})

describe('JSON', () => {
  it.each<[string, string, unknown]>([
    ['alone', '{"ok":true}\n', { ok: true }],
    ['a list', '[]', []],
    ['over several lines', '{\n  "pending": [],\n  "paired": []\n}\n', { pending: [], paired: [] }],
    ['behind a line (2026.2.22)', 'Pending: 0 · Paired: 0\n{\n  "pending": []\n}', { pending: [] }],
    ['behind a line that begins like it', '[openclaw] warming up\n{oops\n{"ok":true}', { ok: true }],
    ['behind forty of them', `${'[plugins] loaded\n'.repeat(40)}{"ok":true}`, { ok: true }],
    ['behind Windows line ends', 'x\r\n{"ok":true}\r\n', { ok: true }],
    ['in the middle of a line', 'answer: {"ok":true}', undefined],
    ['cut off', '{"ok":tr', undefined],
    ['with words behind it', '{"ok":true}\nDone.', undefined],
    ['none', 'Config path not found: nosuch.key', undefined],
    ['nothing', '', undefined],
  ])('%s', (_, text, value) => expect(jsonIn(text)).toEqual(value))

  it.each<[string, string]>([
    ['beginnings without an end', '[\n'.repeat(200_000)],
    ['objects without an end', '{"a":\n'.repeat(200_000)],
    ['one line of it', '['.repeat(1 << 20)],
    ['lines that only look like it', '[x]\n'.repeat(200_000)],
  ])('that is hostile, %s, is none and takes no time', (_, text) => {
    const began = performance.now()
    expect(jsonIn(text)).toBeUndefined()
    expect(performance.now() - began).toBeLessThan(3_000)
  })
})

describe('the words of a failed call', () => {
  it.each<[string, ExecResult, string]>([
    [
      'are those of its JSON (2026.9.6)',
      result(
        1,
        '{"ok":false,"error":{"type":"cli_error","message":"unknown requestId"}}',
        '[openclaw] The CLI command failed.',
      ),
      'unknown requestId',
    ],
    [
      'are its first line (2026.2.22)',
      result(
        1,
        '',
        '[openclaw] CLI failed: Error: unknown requestId\n    at GatewayClient.handleMessage (file:///opt/x.js:2157:25)',
      ),
      'Error: unknown requestId',
    ],
    [
      'are behind the frames of its doctor',
      result(1, '┌  OpenClaw doctor\n│\n◇  Config ───╮\n│  - bogusTop │\n├───╯\nConfig invalid\n'),
      'Config invalid',
    ],
    [
      'are behind the warnings of Node',
      result(
        1,
        '',
        '(node:1) MaxListenersExceededWarning: Possible leak\n(Use `node --trace-warnings ...` to show)\nConfig path not found: x',
      ),
      'Config path not found: x',
    ],
    [
      'are behind what it says of an old config at each call (2026.9.6)',
      result(
        1,
        '',
        [
          '\u001b[35m[config]\u001b[39m \u001b[33mwarnings: agents.entries: Moved agents.list to keyed agents.entries.\u001b[39m',
          'Config (/home/node/.openclaw/openclaw.json): Moved agents.list to keyed agents.entries.',
          'Token looks too short; paste the full setup-token',
        ].join('\n'),
      ),
      'Token looks too short; paste the full setup-token',
    ],
    ['have no colours', result(1, '', '\u001b[31mConfig invalid\u001b[39m\n'), 'Config invalid'],
    ['are of stderr before stdout', result(1, 'out', 'err'), 'err'],
    ['are no JSON whose error is no object', result(1, '{"error":"no"}', 'It broke.'), 'It broke.'],
    ['are missing', result(3, '\n \n│\n', '──\n'), 'it ended with 3 and said nothing'],
    ['are cut', result(1, '', 'x'.repeat(10_000)), 'x'.repeat(300)],
  ])('%s', (_, failed, words) => expect(wordsOf(failed)).toBe(words))
})

/** A place where only some programs are, and what they answer. */
function createYard(answers: Record<string, ExecResult>, key = 'abc') {
  const argvs: string[] = []
  const kept = new Map<string, KnownCli>()
  const exec = async (argv: readonly string[]) => {
    const line = argv.join(' ')
    argvs.push(line)
    return (
      answers[line] ??
      result(127, '', `timeout: failed to run command ‘${argv[0]}’: No such file or directory`)
    )
  }
  const inside = { key, node: 'node', exec, open: () => Promise.reject(new Error('nobody opens')) }
  const memory = {
    get: (at: string) => kept.get(at),
    set: (at: string, known: KnownCli) => void kept.set(at, known),
  }
  return { argvs, kept, answers, cli: () => createCli({ inside, memory }) }
}
const VERSION = result(0, 'OpenClaw 2026.9.6 (eb377ac)\n')
const DEADLINE = { timeoutMs: 30_000 }

describe('the CLI', () => {
  it.each<[string, Record<string, ExecResult>, KnownCli, number]>([
    ['on the PATH', { 'openclaw --version': VERSION }, { argv: ['openclaw'], version: '2026.9.6' }, 1],
    [
      'in its directory',
      { 'node dist/index.js --version': result(0, '2026.2.22\n') },
      { argv: ['node', 'dist/index.js'], version: '2026.2.22' },
      2,
    ],
    [
      'in a bundle',
      { 'node openclaw.mjs --version': VERSION },
      { argv: ['node', 'openclaw.mjs'], version: '2026.9.6' },
      3,
    ],
    [
      'behind a program of the same name that fails',
      { 'openclaw --version': result(1, '2026.1.1'), 'node dist/index.js --version': VERSION },
      { argv: ['node', 'dist/index.js'], version: '2026.9.6' },
      2,
    ],
    [
      'behind a program of the same name that is another',
      { 'openclaw --version': result(0, 'claw machine 3.1'), 'node dist/index.js --version': VERSION },
      { argv: ['node', 'dist/index.js'], version: '2026.9.6' },
      2,
    ],
  ])('%s is found, in this order', async (_, answers, known, tries) => {
    const yard = createYard(answers)
    expect(await yard.cli().known()).toEqual(known)
    expect(yard.argvs).toHaveLength(tries)
  })

  it('that is not there is said so, and looked for again the next time', async () => {
    const yard = createYard({})
    await expect(yard.cli().known()).rejects.toThrow(
      new OpsError(
        'No OpenClaw CLI answers there: tried openclaw, node dist/index.js and node openclaw.mjs.',
      ),
    )
    yard.answers['openclaw --version'] = VERSION
    expect((await yard.cli().known()).argv).toEqual(['openclaw'])
  })

  it.each(['abc', 'host'])('in %s is looked for once: what is learnt is remembered', async (key) => {
    const yard = createYard({ 'openclaw --version': VERSION }, key)
    await yard.cli().known()
    await yard.cli().known()
    expect(yard.argvs).toHaveLength(1)
    expect([...yard.kept.keys()]).toEqual([key])
  })

  it('of another image is looked for anew', async () => {
    const yard = createYard({ 'openclaw --version': VERSION })
    yard.kept.set('older', { argv: ['node', 'old.js'], version: '2026.2.9' })
    expect((await yard.cli().known()).version).toBe('2026.9.6')
  })

  it('runs with its arguments behind it, and an exit code is data', async () => {
    const yard = createYard({ 'openclaw --version': VERSION, 'openclaw config get x': result(1, '', 'no') })
    expect(await yard.cli().run(['config', 'get', 'x'], DEADLINE)).toMatchObject({
      exitCode: 1,
      stderr: 'no',
    })
  })

  it.each([124, 137, 143])('that is late (%i) says after how long, and which call', async (exitCode) => {
    const yard = createYard({
      'openclaw --version': VERSION,
      'openclaw health --json --all': result(exitCode),
    })
    const asked = yard.cli().run(['health', '--json', '--all'], DEADLINE)
    await expect(asked).rejects.toThrow(new OpsError('openclaw health --json did not end within 30 s.'))
  })

  it.each<[string, ExecResult, unknown]>([
    ['its JSON', result(0, 'Pending: 0\n{"pending":[]}'), { pending: [] }],
    [
      'its words when it fails',
      result(1, '', 'error: unknown option --json'),
      'openclaw nodes list: error: unknown option --json',
    ],
    [
      'its words when it prints none',
      result(0, 'Updated channels.'),
      'openclaw nodes list: Updated channels.',
    ],
    [
      'its words when it fails with JSON',
      result(1, '{"ok":false,"error":{"message":"It is down."}}'),
      'openclaw nodes list: It is down.',
    ],
  ])('gives %s', async (_, answer, seen) => {
    const yard = createYard({ 'openclaw --version': VERSION, 'openclaw nodes list --json': answer })
    const asked = yard.cli().json(['nodes', 'list', '--json'], DEADLINE)
    if (typeof seen === 'string') await expect(asked).rejects.toThrow(new OpsError(seen))
    else expect(await asked).toEqual(seen)
  })
})
