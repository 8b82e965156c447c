/** Which way to the server is tried next: the stream, or HTTP on a network that blocks WebSockets. */

import type { Ended } from '../transport/port'

/** Handshakes that fail one after another before HTTP is tried. */
const HANDSHAKES = 2

/** How long HTTP is used before the stream is tried again: it may only have been a server that started. */
const FIRST_LIFE_MS = 15_000
const LONGEST_LIFE_MS = 300_000

export type Way = 'stream' | 'poll'

export class Ways {
  private refused = 0
  private lives = 0

  next(): Way {
    return this.refused >= HANDSHAKES ? 'poll' : 'stream'
  }

  /** How long the poll that begins now is to last. */
  get lifeMs(): number {
    return Math.min(LONGEST_LIFE_MS, FIRST_LIFE_MS * 2 ** this.lives)
  }

  /** The session is up. */
  ready(way: Way): void {
    if (way === 'stream') {
      this.refused = this.lives = 0
    }
  }

  /** A connection has ended. */
  ended(way: Way, how: Ended): void {
    if (how.code === 'handshake') {
      this.refused++
    } else if (way === 'poll') {
      // One handshake tells whether the network still blocks them; where HTTP failed, too, it is another matter.
      const lived = how.code === 'resync'
      this.refused = lived ? HANDSHAKES - 1 : 0
      this.lives = lived ? Math.min(this.lives + 1, 10) : this.lives
    }
  }
}
