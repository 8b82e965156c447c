import { describe, expect, it } from 'vitest'
import {
  ago,
  bytes,
  count,
  millis,
  number,
  percent,
  plural,
  rate,
  span,
  words,
} from '../../src/ops/rules/format'

describe('figures as people read them', () => {
  it('have the digits that matter', () => {
    const cases: [number, string][] = [
      [0, '0'],
      [0.001, '< 0.01'],
      [0.42, '0.42'],
      [0.5, '0.5'],
      [7.52, '7.5'],
      [9.96, '10'],
      [312.4, '312'],
      [12_449, '12,400'],
    ]
    for (const [value, text] of cases) expect(number(value), String(value)).toBe(text)
  })

  it('never show as zero what is not known', () => {
    for (const value of [null, undefined, Number.NaN]) {
      expect([number(value), rate(value), count(value), millis(value), bytes(value), span(value)]).toEqual(
        Array(6).fill('–'),
      )
    }
    expect(percent(3, 0)).toBe('–')
    expect(percent(null, 3)).toBe('–')
    expect(ago(0, 5_000)).toBe('–')
  })

  it('have units', () => {
    expect(rate(12.3)).toBe('12/s')
    expect(millis(7.04)).toBe('7 ms')
    expect(millis(2_500)).toBe('2.5 s')
    expect(bytes(999)).toBe('999 B')
    expect(bytes(1_500_000)).toBe('1.5 MB')
    expect(percent(1, 3)).toBe('33%')
    expect(plural(1, 'shard')).toBe('1 shard')
    expect(plural(1_200, 'process', 'processes')).toBe('1,200 processes')
    expect(words('role_started')).toBe('role started')
  })

  it('say spans in one unit, or two while that says something', () => {
    const cases: [number, string][] = [
      [0, '0 s'],
      [400, '0 s'],
      [42_000, '42 s'],
      [60_000, '1 min'],
      [200_000, '3 min 20 s'],
      [11 * 60_000 + 5_000, '11 min'],
      [5 * 3_600_000, '5 h'],
      [26 * 3_600_000, '1 d 2 h'],
      [40 * 86_400_000, '40 d'],
    ]
    for (const [ms, text] of cases) expect(span(ms), String(ms)).toBe(text)
  })

  it('say how long ago, and how long until', () => {
    expect(ago(100_000, 100_900)).toBe('now')
    expect(ago(100_000, 105_000)).toBe('5 s ago')
    expect(ago(105_000, 100_000)).toBe('in 5 s')
  })
})
