/** The port of a transport: frames out, frames in, and how its connection ends. */

import type { ClientFrame } from '../../core/wire'

/** How a connection ended: a word of the registry, or `handshake`, `unavailable`, `resync`. */
export interface Ended {
  code: string
  /** The code says not to come back. */
  final: boolean
  /** The server's advice. */
  reconnectAfterMs: number | null
}

export const ended = (code: string, reconnectAfterMs: number | null = null, final = false): Ended => ({
  code,
  final,
  reconnectAfterMs,
})

/** One connection, used once. Each tells the frames that it hears in order. */
export interface Transport {
  /** How it ended, once it has; a fault of this program rejects it. */
  readonly end: Promise<Ended>
  /** Sends frames in order, without waiting; what does not get through shows in how it ends, or in an answer. */
  write(frames: ClientFrame[]): void
  close(how?: Ended): void
}
