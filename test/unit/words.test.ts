// Figures in words, as a table.

import { expect, it } from 'vitest'
import { bytes, duration, percent, plural } from '../../src/ops/words.ts'

it.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_000, '1.0 kB'],
  [9_949, '9.9 kB'],
  [9_950, '10 kB'],
  [4_123_456_789, '4.1 GB'],
  [50_000_000_000, '50 GB'],
  [999_499, '999 kB'],
  [999_500, '1.0 MB'],
  [2e18, '2000 PB'],
])('a size of %i bytes is %s', (count, words) => expect(bytes(count)).toBe(words))

it.each([
  [0, '0 %'],
  [0.04, '0 %'],
  [2.34, '2.3 %'],
  [9.99, '9.9 %'],
  [10, '10 %'],
  [90.6, '91 %'],
  [99.97, '99.9 %'],
  [100, '100 %'],
])('%d percent is %s, and only a full thing is 100 %%', (value, words) => expect(percent(value)).toBe(words))

it.each([
  [-5, '0 ms'],
  [400, '400 ms'],
  [59_999, '59 s'],
  [60_000, '1 min'],
  [23 * 60_000 + 40_000, '23 min'],
  [3 * 3_600_000 + 12 * 60_000, '3 h 12 min'],
  [3 * 3_600_000, '3 h'],
  [52 * 3_600_000 + 1, '2 d 4 h'],
])('%i ms are %s', (ms, words) => expect(duration(ms)).toBe(words))

it('counts one thing, and several', () => {
  expect([plural(1, 'file'), plural(0, 'file'), plural(2, 'directory', 'directories')]).toEqual([
    '1 file',
    '0 files',
    '2 directories',
  ])
})
