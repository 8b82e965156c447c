/** Timers by name: each is there once, and all end together. */

/** What a timer can wait: one of more fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Timers {
  private readonly running = new Map<string, ReturnType<typeof setTimeout>>()
  private ended = false

  /** Sets a timer, in place of the one with this name; it comes after 24 days at the latest. */
  arm(name: string, delayMs: number, then: () => void): void {
    clearTimeout(this.running.get(name))
    if (!this.ended) {
      const held = Math.min(delayMs, LONGEST_TIMER_MS)
      const timer = setTimeout(() => {
        this.running.delete(name)
        then()
      }, held)
      this.running.set(name, timer)
    }
  }

  /** Sets a timer, unless one with this name is running. */
  armOnce(name: string, delayMs: number, then: () => void): void {
    if (!this.running.has(name)) {
      this.arm(name, delayMs, then)
    }
  }

  /** Ends all of them; none is set from now on. */
  end(): void {
    this.ended = true
    for (const timer of this.running.values()) {
      clearTimeout(timer)
    }
    this.running.clear()
  }
}
