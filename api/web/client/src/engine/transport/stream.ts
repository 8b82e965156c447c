/** The WebSocket of the contract: frames out, frames in, and how its connection ends. */

import { CLOSED } from '../../core/codes'
import { type ClientFrame, decodeFrame, encodeFrame, type ServerFrame, SUBPROTOCOL } from '../../core/wire'
import { type Ended, ended, type Transport } from './port'

const OPEN_MS = 15_000
const TOO_BIG = 1009
const FINAL = [4500, 4999] as const

/** Of silence, after which the server is asked for a sign of life; after as much again the connection is dead. */
const SILENCE_MS = 25_000

/** One connection over a WebSocket. */
export class Stream implements Transport {
  /** How it ended, once it has. */
  readonly end: Promise<Ended>
  private readonly socket: WebSocket
  private resolve: (ended: Ended) => void = () => {}
  private bye: Ended | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private asked = false

  /**
   * Connects, and says hello when it is open.
   *
   * @param hear Is told each frame, in order.
   */
  constructor(
    base: string,
    hello: ClientFrame,
    private readonly hear: (frame: ServerFrame) => void,
  ) {
    this.end = new Promise(resolve => {
      this.resolve = resolve
    })
    this.socket = new WebSocket(`${base.replace(/^http/, 'ws')}/v1/stream`, [SUBPROTOCOL])
    this.watch(OPEN_MS)
    let opened = false
    this.socket.onopen = () => {
      opened = true
      this.write([hello])
      this.watch(SILENCE_MS)
    }
    this.socket.onmessage = event => this.read(event.data)
    // The token goes with the hello: a failed handshake says nothing about the session.
    this.socket.onclose = event => this.finish(opened ? this.closed(event.code) : ended('handshake'))
    this.socket.onerror = () => {
      if (!opened) {
        this.finish(ended('handshake')) // Node 20 says no more than this
      }
    }
  }

  write(frames: ClientFrame[]): void {
    if (this.socket.readyState === WebSocket.OPEN) {
      for (const frame of frames) {
        this.socket.send(encodeFrame(frame))
      }
    }
  }

  close(how: Ended = ended('unavailable')): void {
    this.finish(how)
    this.socket.close()
  }

  private read(data: unknown): void {
    this.asked = false
    this.watch(SILENCE_MS)
    let frame: ServerFrame | null
    try {
      frame = decodeFrame(String(data))
    } catch {
      this.close(ended('bad_frame', 5000))
      return
    }
    if (frame?.type === 'bye') {
      this.bye = ended(frame.code, frame.reconnectAfterMs)
    } else if (frame !== null) {
      this.hear(frame)
    }
  }

  private watch(ms: number): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      if (this.asked || this.socket.readyState !== WebSocket.OPEN) {
        this.close()
      } else {
        this.asked = true
        this.write([{ type: 'ping' }])
        this.watch(SILENCE_MS)
      }
    }, ms)
  }

  private closed(closeCode: number): Ended {
    if (closeCode === TOO_BIG) {
      return ended('too_large')
    }
    const word = this.bye?.code ?? CLOSED.get(closeCode) ?? 'unavailable'
    const final = closeCode >= FINAL[0] && closeCode <= FINAL[1]
    return ended(word, this.bye?.reconnectAfterMs ?? null, final)
  }

  private finish(how: Ended): void {
    clearTimeout(this.timer)
    this.resolve(how)
  }
}
