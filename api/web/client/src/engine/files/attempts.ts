/** How often a transfer was tried without progress, and how long to wait before the next time. */

import { pauseMs } from '../../core/client/lane'
import { RoostError } from '../errors'

/** Attempts without any progress, some 50 s, after which a transfer is given up and says so. */
const ATTEMPTS = 8
const LONGEST_WAIT_S = 60

export class Attempts {
  private failures = 0

  /**
   * @param online Resolves when there is a connection: without one nothing counts as a failure.
   * @param stopped Whether nothing is to be tried any more.
   */
  constructor(
    private readonly online: () => Promise<void>,
    private readonly stopped: () => boolean,
  ) {}

  /** Something was done: begin to count again. */
  progressed(): void {
    this.failures = 0
  }

  /** Waits before the next attempt, or throws if another one is of no use. */
  async failed(error: unknown): Promise<void> {
    if (!(error instanceof RoostError) || this.stopped()) {
      throw error
    }
    this.failures++
    const advice = error.retryAfterS ?? 0
    if (!error.later || this.failures > ATTEMPTS || advice > LONGEST_WAIT_S) {
      throw error
    }
    const pause = Math.max(advice * 1000, this.failures > 1 ? pauseMs(this.failures) : 0)
    await new Promise(resolve => setTimeout(resolve, pause))
    await this.online()
  }

  /** Attempts until it is done. */
  async untilDone<T>(attempt: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await attempt()
      } catch (error) {
        await this.failed(error)
      }
    }
  }
}
