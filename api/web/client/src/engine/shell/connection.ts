/** The connection to the server: opened, read, and opened again after a pause until the session is over. */

import type { Session } from '../../core/client/session'
import { SESSION_OVER } from '../../core/codes'
import type { ClientFrame, ServerFrame } from '../../core/wire'
import { RoostError } from '../errors'
import type { Api } from '../transport/api'
import { Poll } from '../transport/poll'
import { type Ended, ended, type Transport } from '../transport/port'
import { Stream } from '../transport/stream'
import { type Way, Ways } from './ways'

const FIRST_BACKOFF_MS = 250
const LONGEST_BACKOFF_MS = 30_000
const READY_MS = 30_000
const DISPLACED_MS = 5000
const LONGEST_ADVICE_MS = 3_600_000

/**
 * A session that lasts so long is a good one: the next pause is the shortest again.
 *
 * One that ends at once may end for what this client sends, and would do so several times a second.
 */
const STABLE_MS = 1000

/** `polling`: online over HTTP, without presence. */
export type Phase = 'offline' | 'connecting' | 'syncing' | 'online' | 'polling'

/** What a connection reports to. */
export interface Owner {
  nowMs(): number
  /** A frame came; its effects are to be performed. */
  received(frame: ServerFrame): void
  /** The connection is gone. */
  closed(code: string): void
  phase(phase: Phase): void
  armRenewal(): void
  /** The largest message in flight is larger than what is taken at once. */
  tooLarge(): void
}

export class Connection {
  private transport: Transport | null = null
  private readonly ways = new Ways()
  private readyAtMs: number | null = null
  private stopped = false
  private hurry: () => void = () => {}

  constructor(
    private readonly session: Session,
    private readonly api: Api,
    private readonly deviceId: string,
    private readonly owner: Owner,
  ) {}

  /** Counts connections: what was made for one is not written to another. */
  generation = 0

  /** Writes to the connection of this generation, if it is still there. */
  write(frames: ClientFrame[], generation: number): void {
    if (generation === this.generation && this.session.open) {
      this.transport?.write(frames)
    }
  }

  /** Reconnects at once: entries are missing. */
  restart(): void {
    this.transport?.close(ended('resync', 0))
  }

  /** Tries again now: there is a network again, or another one, which may let the stream through. */
  retryNow(): void {
    if (this.transport instanceof Poll) {
      this.restart()
    }
    this.hurry()
  }

  stop(): void {
    this.stopped = true
    this.transport?.close()
    this.hurry()
  }

  /** Stays connected; returns the code word for which the session is over, or `stopped`. */
  async run(): Promise<string> {
    let failures = 0
    while (!this.stopped) {
      this.owner.phase('connecting')
      const how = await this.once()
      const lasted = this.readyAtMs === null ? 0 : performance.now() - this.readyAtMs
      failures = lasted >= STABLE_MS ? 0 : failures + 1
      let final = how.final || SESSION_OVER.has(how.code)
      if (how.code === 'cursor_invalid') {
        this.session.loseCursor()
        final = false
      }
      if (how.code === 'unauthenticated') {
        final = !(await this.renewed())
      }
      if (final) {
        return how.code
      }
      if (!this.stopped) {
        const atOnce = how.code === 'resync' || (how.code === 'handshake' && this.ways.next() === 'poll')
        this.owner.phase(atOnce ? 'connecting' : 'offline')
        await this.pause(atOnce ? 0 : pauseMs(how, failures, Math.random()))
      }
    }
    return 'stopped'
  }

  private async once(): Promise<Ended> {
    this.readyAtMs = null
    this.generation++
    const way = this.ways.next()
    let how: Ended
    try {
      const token = await this.api.freshToken()
      if (this.stopped) {
        return ended('unavailable')
      }
      const transport = this.opened(way, token, frame => this.heard(transport, way, frame))
      this.transport = transport
      const late = setTimeout(() => {
        if (this.readyAtMs === null) {
          transport.close()
        }
      }, READY_MS)
      how = await transport.end
      clearTimeout(late)
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      const advice = error.retryAfterS === null ? null : error.retryAfterS * 1000
      how = ended(error.code, advice)
    }
    this.transport = null
    this.ways.ended(way, how)
    if (how.code === 'too_large') {
      this.owner.tooLarge()
    }
    this.owner.closed(how.code)
    return how
  }

  private opened(way: Way, token: string, hear: (frame: ServerFrame) => void): Transport {
    const { cursor } = this.session
    if (way === 'poll') {
      return new Poll(this.api, this.deviceId, cursor, this.ways.lifeMs, hear)
    }
    return new Stream(this.api.base, { type: 'hello', token, cursor, background: false }, hear)
  }

  private heard(transport: Transport, way: Way, frame: ServerFrame): void {
    if (transport !== this.transport) {
      return
    }
    if (frame.type === 'ready' || frame.type === 'pong') {
      this.api.time.learn(frame.serverTimeMs)
    }
    if (frame.type === 'ready') {
      this.readyAtMs = performance.now()
      this.ways.ready(way)
      this.owner.phase('syncing')
    }
    if (frame.type === 'drained') {
      this.owner.phase(way === 'stream' ? 'online' : 'polling')
    }
    this.owner.received(frame)
  }

  private async renewed(): Promise<boolean> {
    try {
      await this.api.refresh(this.api.tokens.access)
    } catch (error) {
      return error instanceof RoostError && error.later
    }
    this.owner.armRenewal()
    return true
  }

  private pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** How long to wait until a connection is tried again; what the server advises counts up to an hour. */
export function pauseMs(how: Ended, failures: number, luck: number): number {
  const advised = how.reconnectAfterMs ?? (how.code === 'displaced' ? DISPLACED_MS : 0)
  const ceiling = Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 10))
  return Math.min(Math.max(advised, 0), LONGEST_ADVICE_MS) + ceiling * luck
}
