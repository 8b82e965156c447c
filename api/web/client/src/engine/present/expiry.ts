/** Removes messages when their time is over. */

import type { MessageRow } from '../book/rows'
import { LONGEST_TIMER_MS } from '../shell/timers'
import type { Base } from './present'

export class Expiry {
  private timer: ReturnType<typeof setTimeout> | undefined
  private nextMs = Number.POSITIVE_INFINITY

  constructor(private readonly base: Base) {}

  /** Removes the messages whose time is over, and comes back when the next one's is. */
  async expire(): Promise<void> {
    clearTimeout(this.timer)
    const { client, shelf } = this.base
    const now = client.nowMs()
    const next = await client.keep(async transaction => {
      const due = await transaction.range<MessageRow>('messages', { index: 'ends', to: [now] })
      for (const row of due) {
        await shelf.removeMessage(transaction, row)
      }
      const [first] = await transaction.range<MessageRow>('messages', { index: 'ends', limit: 1 })
      return first?.expiresAtMs ?? null
    })
    this.nextMs = Number.POSITIVE_INFINITY
    if (next !== null) {
      this.by(next)
    }
  }

  /** Comes by then at the latest. */
  by(atMs: number): void {
    if (atMs < this.nextMs) {
      clearTimeout(this.timer)
      this.nextMs = atMs
      const delay = Math.min(Math.max(atMs - this.base.client.nowMs(), 50), LONGEST_TIMER_MS)
      this.timer = setTimeout(() => void this.expire(), delay)
    }
  }

  stop(): void {
    clearTimeout(this.timer)
  }
}
