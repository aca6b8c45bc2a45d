// Commands: their usage line, their arguments, the word that was meant, and what is wrong with a list of them.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  type Command,
  command,
  faultsOf,
  lengthOfTime,
  mayCall,
  nearest,
  parseArgs,
  rest,
  usage,
} from '../../src/bot/command.ts'
import type { Role } from '../../src/config.ts'
import { OpsError } from '../../src/errors.ts'

const define = (args: z.ZodObject, more: Partial<Command> = {}): Command =>
  command({ name: 'test', role: 'viewer', about: 'Tests.', args, run: () => ({ title: 'done' }), ...more })

const none = define(z.object({}))
const mute = define(z.object({ alert: z.string(), for: lengthOfTime.optional() }), { name: 'mute' })
const note = define(
  z.object({ alert: z.coerce.number('must be a number').int(), words: rest('what it says') }),
  {
    name: 'note',
  },
)
const count = define(
  z.object({ lines: z.coerce.number('must be a number').max(50, 'must be 50 at most').default(10) }),
)

describe('usage', () => {
  it.each([
    [none, '/test'],
    [mute, '/mute <alert> [for]'],
    [note, '/note <alert> <words>'],
    [count, '/test [lines]'],
  ])('%#', (each, line) => expect(usage(each)).toBe(line))
})

describe('arguments', () => {
  it.each<[Command, string, unknown]>([
    [none, '', {}],
    [mute, '17', { alert: '17' }],
    [mute, '17 8h', { alert: '17', for: 8 * 3_600_000 }],
    [note, '17 this and that', { alert: 17, words: 'this and that' }],
    [note, '17 one', { alert: 17, words: 'one' }],
    [count, '', { lines: 10 }],
    [count, '20', { lines: 20 }],
  ])('%#: %o is read', (each, line, args) => {
    expect(parseArgs(each, line.split(' ').filter(Boolean))).toEqual(args)
  })

  it.each<[Command, string, string]>([
    [none, 'x', '/test takes no words behind it.\nUsage: /test'],
    [mute, '', '<alert> is missing.\nUsage: /mute <alert> [for]'],
    [mute, '17 8h x', 'That is a word too many: "x".\nUsage: /mute <alert> [for]'],
    [mute, '17 8', '<for> must look like 30m, 8h or 2d, not "8".\nUsage: /mute <alert> [for]'],
    [mute, '17 31d', '<for> must be 30 days at most, not "31d".\nUsage: /mute <alert> [for]'],
    [note, '17', '<words> is missing.\nUsage: /note <alert> <words>'],
    [note, 'x y', '<alert> must be a number, not "x".\nUsage: /note <alert> <words>'],
    [count, '51', '<lines> must be 50 at most, not "51".\nUsage: /test [lines]'],
  ])('%#: %o is refused with what is wrong and the usage', (each, line, sentence) => {
    expect(() => parseArgs(each, line.split(' ').filter(Boolean))).toThrow(new OpsError(sentence))
  })

  it('never throw anything but a sentence, whatever the words', () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom('__proto__', 'constructor', '1e999', '-0', '9'.repeat(400), '\u202e'),
    )
    fc.assert(
      fc.property(fc.constantFrom(none, mute, note, count), fc.array(word), (each, words) => {
        try {
          expect(parseArgs(each, words)).toBeTypeOf('object')
        } catch (error) {
          expect(error).toBeInstanceOf(OpsError)
        }
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('a length of time', () => {
  it.each([
    ['30m', 30 * 60_000],
    ['8h', 8 * 3_600_000],
    ['2d', 2 * 86_400_000],
    ['30d', 30 * 86_400_000],
    ['9999m', 9_999 * 60_000],
  ])('%s is read', (text, ms) => expect(lengthOfTime.parse(text)).toBe(ms))

  it.each(['', '0m', '8', 'h', '1.5h', '-1h', '31d', '721h', '8H', '8 h', '08h', '99999m', '8h8m', '1w'])(
    '"%s" is refused',
    (text) => {
      expect(lengthOfTime.safeParse(text).success).toBe(false)
    },
  )
})

describe('the word that was meant', () => {
  const words = ['status', 'start', 'alerts', 'ack', 'mute', 'unmute', 'freeze', 'unfreeze']
  it.each([
    ['status', 'status'],
    ['STATUS', 'status'],
    ['statsu', 'status'],
    ['sttus', 'status'],
    ['stat', 'start'],
    ['alert', 'alerts'],
    ['akc', undefined],
    ['ac', 'ack'],
    ['unmut', 'unmute'],
    ['frezee', 'freeze'],
    ['', undefined],
    ['deploy', undefined],
    ['x'.repeat(10_000), undefined],
  ])('for "%.20s" is %s', (typed, meant) => expect(nearest(typed, words)).toBe(meant))

  it('is none among no words', () => expect(nearest('status', [])).toBeUndefined())
})

describe('roles', () => {
  const ROLES: Role[] = ['viewer', 'operator', 'owner']
  it.each(ROLES.flatMap((role, has) => ROLES.map((least, needs) => [role, least, has >= needs] as const)))(
    'a %s calls what is for a %s: %s',
    (role, least, may) => expect(mayCall(role, { role: least })).toBe(may),
  )
})

describe('a list of commands', () => {
  const good = define(z.object({}), { name: 'good', menu: true })
  const plan = () => ({ page: { title: 'a plan' }, basis: '' })
  it.each<[string, Command[], string[]]>([
    ['that is sound', [good, mute, { ...mute, name: 'recreate', danger: 'disruptive', plan }], []],
    [
      'with a name that Telegram does not take',
      [{ ...good, name: 'Big-Name' }],
      ['/Big-Name: Telegram takes a-z, 0-9 and _, 32 at most'],
    ],
    [
      'with a name that is too long',
      [{ ...good, name: 'x'.repeat(33) }],
      [`/${'x'.repeat(33)}: Telegram takes a-z, 0-9 and _, 32 at most`],
    ],
    ['without a line of help', [{ ...good, about: '' }], ['/good: its line must be 1 to 256 long']],
    [
      'with one that is too long',
      [{ ...good, about: 'x'.repeat(257) }],
      ['/good: its line must be 1 to 256 long'],
    ],
    ['with a name used twice', [good, { ...good }], ['/good is there twice', '/good is there twice']],
    [
      'with a danger and no plan',
      [{ ...good, danger: 'destructive' }],
      ['/good is destructive and has no plan to confirm'],
    ],
    ['with a safe change and no plan', [{ ...good, danger: 'safe' }], []],
    [
      'with a menu that is too long',
      Array.from({ length: 11 }, (_, index) => ({ ...good, name: `good${index}` })),
      ['the menu has 11 entries; more than ten are not read'],
    ],
  ])('%s', (_, commands, faults) => expect(faultsOf(commands)).toEqual(faults))
})
