import { describe, expect, it } from 'vitest'
import { minutes } from '../../src/ops/rules/minutes'
import { Ring } from '../../src/ops/rules/ring'

const figures = (at_s: number, values: Record<string, number | null>) => ({
  at_ms: at_s * 1_000,
  values,
  roles: {},
})

describe('the ring of figures', () => {
  it('goes on where the history ends', () => {
    const ring = new Ring(900, 2)
    ring.load({ at_ms: [100_000, 102_000], values: { lag: [1, null] } })
    ring.add(figures(104, { lag: 3 }))
    expect(ring.times).toEqual([100, 102, 104])
    expect(ring.column('lag')).toEqual([1, null, 3])
  })

  it('keeps a span and no more', () => {
    const ring = new Ring(10, 2)
    for (let at = 0; at <= 60; at += 2) ring.add(figures(at, { lag: at }))
    expect(ring.times).toEqual([50, 52, 54, 56, 58, 60])
    expect(ring.column('lag')).toEqual(ring.times)
  })

  it('breaks the line where nothing was measured', () => {
    const ring = new Ring(900, 2)
    ring.add(figures(100, { lag: 1 }))
    ring.add(figures(120, { lag: 2 }))
    expect(ring.times).toEqual([100, 102, 120])
    expect(ring.column('lag')).toEqual([1, null, 2])
  })

  it('does not take what it has again, nor what is older', () => {
    const ring = new Ring(900, 2)
    ring.add(figures(100, { lag: 1 }))
    ring.add(figures(100, { lag: 9 }))
    ring.add(figures(98, { lag: 9 }))
    expect(ring.column('lag')).toEqual([1])
  })

  it('has columns of one length, also of names that come later or not at all', () => {
    const ring = new Ring(900, 2)
    ring.add(figures(100, { lag: 1 }))
    ring.add(figures(102, { 'limited.sends': 5 }))
    expect(ring.column('lag')).toEqual([1, null])
    expect(ring.column('limited.sends')).toEqual([null, 5])
    expect(ring.column('unheard of')).toEqual([null, null])
  })

  it('begins again with a history', () => {
    const ring = new Ring(900, 2)
    ring.add(figures(500, { lag: 7 }))
    ring.load({ at_ms: [100_000], values: { lag: [1] } })
    expect(ring.times).toEqual([100])
    expect(ring.column('lag')).toEqual([1])
  })
})

describe('the table of a plot', () => {
  it('has the mean of each minute, the newest first', () => {
    const lag = [1, 3, null, 10]
    const none = [null, null, null, null]
    expect(minutes([120, 150, 178, 180], [lag, none])).toEqual([
      { at: 180, means: [10, null] },
      { at: 120, means: [2, null] },
    ])
  })
})
