import { describe, expect, it, vi } from 'vitest'
import { pauseMs } from '../../src/engine/shell/connection'
import { Timers } from '../../src/engine/shell/timers'
import { ended } from '../../src/engine/transport/port'

describe('the pause before the next connection', () => {
  it.each([
    ['unavailable', null, 1, 0, 500],
    ['unavailable', null, 100, 0, 30_000],
    ['displaced', null, 0, 5000, 5250],
    ['going_away', 2000, 0, 2000, 2250],
    ['going_away', Number.MAX_SAFE_INTEGER, 0, 3_600_000, 3_600_250],
    ['going_away', -1_000_000, 0, 0, 250],
  ])('after %s, advised %s ms, %s failures', (code, advised, failures, least, most) => {
    expect([0, 1].map(luck => pauseMs(ended(code, advised), failures, luck))).toEqual([least, most])
  })
})

describe('a timer', () => {
  it('of more than browsers count does not fire at once', () => {
    vi.useFakeTimers()
    try {
      const fired = vi.fn()
      new Timers().arm('renew', 30 * 86_400_000, fired)
      vi.advanceTimersByTime(20 * 86_400_000)
      expect(fired).not.toHaveBeenCalled()
      vi.advanceTimersByTime(5 * 86_400_000)
      expect(fired).toHaveBeenCalledOnce()
    } finally {
      vi.useRealTimers()
    }
  })
})
