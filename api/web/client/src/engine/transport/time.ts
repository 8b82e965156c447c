/** The time on the server's clock, which message ids are made with. */

/** A `Date` header says only seconds: below this difference it tells nothing new. */
const DATE_MS = 2_000
const JUMP_MS = 1_000

/** What the server said last, and what has passed since on a clock that no one sets. */
export class ServerTime {
  private zeroMs: number
  private machineMs: number

  constructor(
    private readonly wall: () => number = Date.now,
    private readonly elapsed: () => number = () => performance.now(),
  ) {
    this.zeroMs = this.machineMs = wall() - elapsed()
  }

  /** The server's clock minus this machine's. */
  get offsetMs(): number {
    return this.nowMs() - this.wall()
  }

  /** The server's time, as far as it is known. */
  nowMs(): number {
    return Math.round(this.zeroMs + this.elapsed())
  }

  /** Begins with what an earlier run knew, until the server says something. */
  assume(offsetMs: number): void {
    this.zeroMs = this.machineMs + offsetMs
  }

  /** Takes over what the server just said. */
  learn(serverTimeMs: number): void {
    this.zeroMs = serverTimeMs - this.elapsed()
  }

  /** Takes over the `Date` of an answer, if it says anything new. */
  learnDate(header: string | null): void {
    const dateMs = Date.parse(header ?? '')
    if (!Number.isNaN(dateMs) && Math.abs(dateMs + 500 - this.nowMs()) > DATE_MS) {
      this.learn(dateMs + 500)
    }
  }

  /** Returns whether this machine's clock was set, or the machine slept, since this was last asked. */
  jumped(): boolean {
    const before = this.machineMs
    this.machineMs = this.wall() - this.elapsed()
    return Math.abs(this.machineMs - before) > JUMP_MS
  }
}
