// A compose project's `.env`: every fault with its line and its name, and never a value.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  bareValueOf,
  entriesOf,
  lintEnvironment,
  lintEnvironmentFile,
  withValue,
} from '../../src/ops/envfile.ts'
import { tempDir } from './help.ts'

describe('a .env', () => {
  it.each<[string, string, string[]]>([
    ['sound', 'A=1\n# B\n\nexport C="x y"\nD=\'z\'\n E = f \n', []],
    ['with Windows line ends', 'A=1\r\nB="x y"\r\n', []],
    ['with remarks behind its values', 'A=1 # one\nB="x y" # two\nC=\'z\' # three\n', []],
    ['with quotes inside of quotes', 'A="say \\"x y\\""\nB=\'{"a": "b c"}\'\n', []],
    ['with a value of several lines', 'A="-----BEGIN\nabc def\nZZZ=\n-----END"\nB=1\n', []],
    [
      'with an empty value',
      'A=1\nB=\nC=""\nD=  # none\n',
      ['line 2: B is empty', 'line 3: C is empty', 'line 4: D is empty'],
    ],
    ['with a hash in a value', 'A=#ff00aa\n', []],
    ['with spaces outside of quotes', 'A=x y\n', ['line 1: A has spaces and no quotes']],
    ['with a quote that never ends', 'A=1\nB="x\nC=2\n', ['line 2: B has a quote that does not end']],
    [
      'with a quote that only the next quoted value ends',
      'B="x\nC=2\nD="y z"\nE=\n',
      ['line 1: B has a quote that does not end', 'line 4: E is empty'],
    ],
    ['with more behind a quoted value', 'A="x"y\n', ['line 1: A goes on behind its quotes']],
    [
      'with a line that is nothing',
      'A=1\nhunter2 hunter2\n=x\n2B=x\n',
      ['line 2: is not a NAME=value', 'line 3: is not a NAME=value', 'line 4: is not a NAME=value'],
    ],
    [
      'with a port open to the world',
      'GW_PORT=0.0.0.0:18789\nA_BIND="0.0.0.0"\nB_BIND=[::]:80\nC_BIND=*:80\nD_PORT=127.0.0.1:80\nE_PORT=18789\n',
      [1, 2, 3, 4].map(
        (line) =>
          `line ${line}: ${['GW_PORT', 'A_BIND', 'B_BIND', 'C_BIND'][line - 1]} binds to every address: Docker opens it past the firewall`,
      ),
    ],
    ['with a name twice', 'A=1\nB=2\nA=3\n', ['line 3: A stands in line 1 already; the last one counts']],
    [
      'with a key that lost its quotes',
      'KEY=-----BEGIN\nQWxhZGRpbjpvcGVu=\n',
      ['line 2: its variable is empty'],
    ],
    ['that is empty', '', []],
  ])('%s', (_, text, findings) => {
    expect(lintEnvironment(text)).toEqual(findings)
  })

  it('is the same when its entries are put together again', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('A', 'B="', "'", '=', '\n', ' ', '#', '\\', 'x', '\r')),
        (pieces) => {
          const text = pieces.join('')
          expect(
            entriesOf(text)
              .map((entry) => entry.text)
              .join('\n'),
          ).toBe(text)
        },
      ),
    )
  })

  it('is never quoted: no value of four letters or more stands in a finding', () => {
    // Letters that the findings themselves do not have in a row.
    const value = fc
      .string({ unit: fc.constantFrom(...'ZQ7x%/+= "\'\\\n#$'), minLength: 1, maxLength: 24 })
      .filter((text) => text.trim().length >= 4)
    const line = fc.tuple(
      fc.constantFrom('TOKEN=', 'export KEY=', 'A_PORT=', ' WEB_BIND = ', '# ', '', 'TOKEN="', "KEY='", '-'),
      value,
      fc.constantFrom('', '"', "'", ' # remark', '\r'),
    )
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 6 }), (lines) => {
        const said = lintEnvironment(lines.map((parts) => parts.join('')).join('\n')).join('\n')
        for (const [, text] of lines)
          for (const piece of text.match(/[ZQ7x%/+$]{4,}/g) ?? []) expect(said).not.toContain(piece)
      }),
      { numRuns: 500 },
    )
  })
})

describe('the file', () => {
  it('is read; one that is not there is a finding', async () => {
    const directory = tempDir()
    writeFileSync(join(directory, '.env'), 'A=\n')
    expect(await lintEnvironmentFile(join(directory, '.env'))).toEqual(['line 1: A is empty'])
    expect(await lintEnvironmentFile(join(directory, 'gone.env'))).toEqual([
      'is missing: every variable is empty',
    ])
  })

  it('that cannot be read is refused in words', async () => {
    const path = join(tempDir(), '.env')
    mkdirSync(path)
    await expect(lintEnvironmentFile(path)).rejects.toThrow(`${path} cannot be read (EISDIR)`)
  })
})

describe('one value of a .env', () => {
  it.each<[string, string, string]>([
    ['plain', 'A=1\nKEY=old\nB=2\n', 'A=1\nKEY=new\nB=2\n'],
    ['without a line end', 'KEY=old', 'KEY=new'],
    ['that is empty', 'KEY=\nB=2', 'KEY=new\nB=2'],
    ['in quotes', 'KEY="old"\n', 'KEY="new"\n'],
    ['in single quotes', "KEY='old'\n", "KEY='new'\n"],
    ['with a remark', 'KEY=old  # mine\n', 'KEY=new  # mine\n'],
    ['that is only a remark', 'KEY=  # none\n', 'KEY=new  # none\n'],
    ['in quotes, with a remark', 'KEY="old" # "mine"\n', 'KEY="new" # "mine"\n'],
    ['with export and spaces', ' export KEY =old \n', ' export KEY =new \n'],
    ['with Windows line ends', 'A=1\r\nKEY=old\r\nB=2\r\n', 'A=1\r\nKEY=new\r\nB=2\r\n'],
    ['with a remark and Windows line ends', 'KEY=old # x\r\n', 'KEY=new # x\r\n'],
    ['that stands there twice', 'KEY=old\nKEY=older\n', 'KEY=old\nKEY=new\n'],
    ['over several lines', 'KEY="old\nmore"\nB=2\n', 'KEY="new"\nB=2\n'],
    ['beside its own name in a remark', '#KEY=no\nMY_KEY=no\nKEY=old\n', '#KEY=no\nMY_KEY=no\nKEY=new\n'],
  ])('%s is changed where it stands', (_, before, after) => {
    expect(withValue(before, 'KEY', 'new')).toBe(after)
  })

  it('that is not there is not added', () => {
    expect(withValue('A=1\n#KEY=old\n', 'KEY', 'new')).toBeUndefined()
  })

  it.each(['', 'a b', 'a\nB=2', '"', '$HOME', 'a#b', "it's"])('%j is refused', (value) => {
    expect(() => withValue('KEY=old\n', 'KEY', value)).toThrow('may misread')
  })

  it('with a quote that does not end is left alone', () => {
    expect(() => withValue('KEY="old\nB=2\n', 'KEY', 'new')).toThrow('does not end')
  })

  it('is what was written, and nothing else has changed', () => {
    const piece = fc.constantFrom(
      'KEY',
      '=',
      '\n',
      ' ',
      '#',
      'x',
      '\r',
      "'a'",
      '"b"',
      'export ',
      '\nKEY=',
      '\nC="',
    )
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const before = pieces.join('')
        const text = attempt(() => withValue(before, 'KEY', 'sk-new_1'))
        if (text === undefined) return
        const [old, now] = [entriesOf(before), entriesOf(text)]
        const at = old.findLastIndex(({ name }) => name === 'KEY')
        const entry = now[at]
        expect(entry && bareValueOf(entry)).toBe('sk-new_1')
        expect(now.map(({ text }) => text).toSpliced(at, 1)).toEqual(
          old.map(({ text }) => text).toSpliced(at, 1),
        )
      }),
    )
  })
})

function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
