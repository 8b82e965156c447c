import { describe, expect, it } from 'vitest'
import { anchorAt, Heights, scrollFor } from '../../src/ui/lib/windowing'

function list(count: number, estimate = 50): Heights {
  const heights = new Heights(() => estimate)
  heights.setKeys(Array.from({ length: count }, (_, at) => `k${at}`))
  return heights
}

describe('heights', () => {
  it('adds up what is estimated and what was measured', () => {
    const heights = list(4)
    expect(heights.total).toBe(200)
    expect(heights.measured('k1', 80)).toBe(true)
    expect(heights.measured('k1', 80.2)).toBe(false)
    expect([0, 1, 2, 3, 4].map(at => heights.offset(at))).toEqual([0, 50, 130, 180, 230])
  })

  it('keeps measured heights when rows come in front', () => {
    const heights = list(2)
    heights.measured('k0', 90)
    heights.setKeys(['new', 'k0', 'k1'])
    expect(heights.offset(2)).toBe(140)
    heights.forget()
    expect(heights.total).toBe(150)
  })

  it('ignores a row that is gone', () => {
    expect(list(2).measured('k9', 80)).toBe(false)
  })

  it('finds the row at a distance, as a search from the top does', () => {
    const heights = list(200)
    for (let at = 0; at < 200; at += 3) heights.measured(`k${at}`, 20 + (at % 7) * 11)
    for (let y = -10; y < heights.total + 60; y += 17) {
      let expected = 0
      while (expected < 199 && heights.offset(expected + 1) <= y) expected++
      expect(heights.at(y)).toBe(expected)
    }
  })

  it('draws what is seen and a little more', () => {
    const heights = list(100)
    expect(heights.range(1000, 1200, 100)).toEqual({ start: 18, end: 27 })
    expect(list(0).range(0, 500, 100)).toEqual({ start: 0, end: 0 })
  })

  it('settles ten thousand rows in a moment', () => {
    const heights = list(10_000)
    for (let at = 0; at < 10_000; at++) heights.measured(`k${at}`, 30 + (at % 40))
    expect(heights.total).toBe(10_000 * 30 + 250 * 780)
  })
})

describe('anchor', () => {
  it('stays at the end when rows are added', () => {
    const heights = list(10)
    const anchor = anchorAt(heights, 290, 200)
    expect(anchor).toBe('end')
    heights.setKeys([...Array.from({ length: 12 }, (_, at) => `k${at}`)])
    expect(scrollFor(heights, anchor, 200, 290)).toBe(400)
  })

  it('keeps a row where it is when rows come in front or change their height', () => {
    const heights = list(10)
    const anchor = anchorAt(heights, 120, 200)
    expect(anchor).toEqual({ key: 'k2', delta: -20 })
    heights.setKeys(['n0', 'n1', ...Array.from({ length: 10 }, (_, at) => `k${at}`)])
    heights.measured('n0', 75)
    expect(scrollFor(heights, anchor, 200, 120)).toBe(245)
  })

  it('never leads past an end', () => {
    const heights = list(10)
    expect(scrollFor(heights, { key: 'k9', delta: 0 }, 200, 0)).toBe(300)
    expect(scrollFor(heights, { key: 'k0', delta: 60 }, 200, 0)).toBe(0)
  })

  it('leaves the view when the row is gone', () => {
    const heights = list(10)
    expect(scrollFor(heights, { key: 'gone', delta: 0 }, 200, 120)).toBe(120)
  })
})
