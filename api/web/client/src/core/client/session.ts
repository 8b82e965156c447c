/**
 * The client's session with the server: frames in, effects out.
 *
 * It holds the cursor and the chain of entries, what was seen and what was acknowledged, and read marks;
 * the outbox is a module of its own.
 */

import { isLater } from '../codes'
import { ONE_TIME_KEY } from '../crypto/keys'
import type { Entry, MessageEntry, SentEntry } from '../entries'
import { MESSAGE_ID_WINDOW_MS, uuid7Ms } from '../ids'
import type { ClientFrame, Ready, ServerFrame } from '../wire'
import { type Effect, take, tell, write } from './events'
import { Outbox } from './outbox'
import type { OutboxItem, State } from './state'

const PRUNE_EVERY = 1024
const READ_SETTLES_MS = 60_000
const READ_AGAIN_MS = 1_000

/** One device's session, over any number of connections. The shell keeps `state` before it writes a frame. */
export class Session {
  readonly outbox: Outbox
  open = false
  cursor: number | null
  private acked = 0
  private deaf = false
  private gapAt: number | null = null
  private lenient = false
  private readonly readsLive = new Map<string, [seq: number, atMs: number]>()
  private readsAgainMs: number | null = null
  private subscribed: string[] = []
  private seenSincePrune = 0
  private readonly told = new Map<string, number>()
  private took: number
  private readonly held = new Map<number, number>()
  private lostCursor = false

  constructor(
    readonly state: State,
    suite = 'sealed.v1',
  ) {
    this.outbox = new Outbox(state, suite)
    this.cursor = state.cursor
    this.took = state.cursor ?? 0
  }

  /** Takes a message of the app into the outbox. */
  submit(item: OutboxItem, nowMs: number): Effect[] {
    this.state.order++
    item.order = this.state.order
    return this.outbox.submit(item, nowMs)
  }

  /** Handles a frame of the server; frames after a gap are ignored until the reconnect. */
  received(frame: ServerFrame, nowMs: number): Effect[] {
    if (this.deaf) {
      return []
    }
    switch (frame.type) {
      case 'entries':
        return this.entries(frame.entries, nowMs)
      case 'accepted':
        return this.outbox.accepted(frame, nowMs)
      case 'rejected':
        return this.outbox.rejected(frame, nowMs)
      case 'ready':
        return this.ready(frame, nowMs)
      case 'drained':
        return this.drained(frame.cursor, frame.prev)
      case 'typing':
        return [tell({ type: 'typing', peer: frame.peer, state: frame.state })]
      case 'presence':
        return [
          tell({ type: 'presence', peer: frame.user, state: frame.state, lastSeenMs: frame.lastSeenMs }),
        ]
      case 'missed':
        this.lenient = true
        return []
      case 'token_expiring':
        return [{ do: 'renew' }]
      case 'problem':
        if (frame.frame === 'read' && isLater(frame.code)) {
          // It does not say which: all that were written of late are written again.
          const pauseMs = Math.max(READ_AGAIN_MS, Math.trunc((frame.retryAfterS ?? 0) * 1000))
          this.readsAgainMs = this.readsAgainMs || nowMs + pauseMs
          return []
        }
        return [tell({ type: 'refused', frame: frame.frame, code: frame.code, detail: frame.detail })]
      default:
        return []
    }
  }

  /** The connection is gone. */
  closed(nowMs: number): void {
    this.open = this.deaf = this.lenient = false
    this.outbox.closed()
    // A read mark has no answer: those written of late are written again, older ones have arrived.
    for (const [peer, [seq, atMs]] of this.readsLive) {
      if (nowMs - atMs >= READ_SETTLES_MS && this.state.reads.get(peer) === seq) {
        this.state.reads.delete(peer)
      }
    }
    this.readsLive.clear()
    this.readsAgainMs = null
  }

  /** The user has read everything from `peer` up to `seq`. */
  read(peer: string, seq: number, nowMs: number): Effect[] {
    if (seq <= (this.state.reads.get(peer) ?? -1)) {
      return []
    }
    this.state.reads.set(peer, seq)
    return this.open ? this.writeRead(peer, seq, nowMs) : []
  }

  /** The user is typing; dropped when there is no connection, as it is of no use later. */
  typing(peer: string, state: 'typing' | 'paused'): Effect[] {
    return this.open ? [write({ type: 'typing', peer, state })] : []
  }

  /** Asks for the presence of these users, now and after every reconnect. */
  subscribe(users: string[]): Effect[] {
    this.subscribed = users
    return this.open ? [write({ type: 'subscribe', users })] : []
  }

  /** Returns whether the app already has this message, or this copy. */
  isRepeat(entry: MessageEntry | SentEntry): boolean {
    const key = keyOf(entry)
    return this.told.has(key) || this.state.seen.has(key)
  }

  /** The message was opened and is being told to the app: a repeat of it will not be. */
  telling(entry: MessageEntry | SentEntry): void {
    this.told.set(keyOf(entry), entry.seq)
  }

  /** The message waits for its sender's keys; those of others pass it, and the cursor does not. */
  hold(entry: MessageEntry | SentEntry): void {
    this.held.set(entry.seq, entry.prev)
  }

  /** Returns whether the message with this number waits. */
  holds(seq: number): boolean {
    return this.held.has(seq)
  }

  /**
   * The app has safely taken everything up to `seq` that is not held, or one that was held.
   *
   * Only now are ids kept as seen: a message that was told to an app which then crashed is told again.
   */
  taken(seq: number, nowMs: number): void {
    const wasHeld = this.held.delete(seq)
    if (seq <= this.took && !wasHeld) {
      return
    }
    // A number from before the cursor was lost is no place in the mailbox as it is now.
    if (seq <= (this.cursor ?? 0)) {
      this.took = Math.max(this.took, seq)
      // What is held comes again after a restart, and what passed it is known as seen.
      const first = Math.min(...this.held.keys())
      const upto = this.held.size > 0 ? Math.min(this.took, this.held.get(first) ?? 0) : this.took
      this.state.cursor = Math.max(this.state.cursor ?? 0, upto)
    }
    for (const key of this.toldUpto(seq)) {
      this.state.seen.set(key, this.told.get(key) ?? 0)
      this.told.delete(key)
      this.seenSincePrune++
    }
    if (this.seenSincePrune >= PRUNE_EVERY) {
      this.prune(nowMs)
    }
  }

  /** The server does not know this cursor: go on from the one it has stored for the device. */
  loseCursor(): void {
    this.cursor = this.state.cursor = null
    this.took = 0
    this.held.clear()
    this.lostCursor = true
  }

  /** The acknowledgement that is due, once; cumulative. */
  ackDue(): ClientFrame | null {
    const cursor = this.state.cursor ?? 0
    if (!this.open || cursor <= this.acked) {
      return null
    }
    this.acked = cursor
    return { type: 'ack', seq: cursor }
  }

  /** Lets time pass for the outbox, and for read marks that were refused for the moment. */
  tick(nowMs: number): Effect[] {
    const effects: Effect[] = []
    if (this.open && this.readsAgainMs !== null && nowMs >= this.readsAgainMs) {
      this.readsAgainMs = null
      for (const [peer, [seq, atMs]] of [...this.readsLive]) {
        if (nowMs - atMs < READ_SETTLES_MS) {
          effects.push(...this.writeRead(peer, seq, nowMs))
        }
      }
    }
    return [...effects, ...this.outbox.tick(nowMs)]
  }

  private toldUpto(seq: number): string[] {
    const keys: string[] = []
    for (const [key, at] of this.told) {
      if (at <= seq && !this.held.has(at)) {
        keys.push(key)
      } else if (this.held.size === 0) {
        break
      }
    }
    return keys
  }

  private ready(frame: Ready, nowMs: number): Effect[] {
    this.open = true
    if (this.cursor === null) {
      this.cursor = this.state.cursor = this.took = frame.cursor
    }
    // `ready` says where the stream begins, not what is acknowledged: the app may have yet to take some
    // of what is before, and what was acknowledged on an earlier connection may have been lost on the way.
    this.acked = 0
    const effects: Effect[] = [tell({ type: 'connected', cursor: this.cursor })]
    if (this.lostCursor) {
      this.lostCursor = false
      effects.push(tell({ type: 'missed', after: 0, upto: this.cursor }))
    }
    for (const [peer, seq] of this.state.reads) {
      effects.push(...this.writeRead(peer, seq, nowMs))
    }
    if (this.subscribed.length > 0) {
      effects.push(write({ type: 'subscribe', users: this.subscribed }))
    }
    const unused = frame.unusedFallbackKeyTypes
    if (unused !== null && !unused.includes(ONE_TIME_KEY)) {
      effects.push({ do: 'refill' })
    }
    return [...effects, ...this.outbox.opened(nowMs)]
  }

  private writeRead(peer: string, seq: number, nowMs: number): Effect[] {
    this.readsLive.set(peer, [seq, nowMs])
    return [write({ type: 'read', peer, seq })]
  }

  private entries(entries: Entry[], nowMs: number): Effect[] {
    const effects: Effect[] = []
    for (const entry of entries) {
      const cursor = this.cursor ?? 0
      if (entry.seq <= cursor) {
        continue
      }
      if (entry.prev > cursor) {
        effects.push(...this.gap(cursor, entry.prev))
        if (this.deaf) {
          return effects
        }
      }
      this.lenient = false
      this.gapAt = null
      this.cursor = entry.seq
      effects.push(...this.entry(entry, nowMs))
    }
    return effects
  }

  private drained(upto: number, prev: number): Effect[] {
    const effects: Effect[] = []
    const cursor = this.cursor ?? 0
    if (prev > cursor || (this.lenient && upto > cursor)) {
      // Nothing is left behind what is gone.
      effects.push(...this.gap(cursor, prev > cursor ? prev : upto))
      if (this.deaf) {
        return effects
      }
      this.lenient = false
      this.gapAt = null
    }
    this.cursor = Math.max(cursor, upto)
    return [...effects, take(this.cursor, { type: 'synced', cursor: upto })]
  }

  private gap(cursor: number, upto: number): Effect[] {
    if (this.lenient || this.gapAt === cursor) {
      // The server said so, or a fresh start at this very cursor shows the same gap: it is real.
      return [take(cursor, { type: 'missed', after: cursor, upto })]
    }
    this.gapAt = cursor
    this.deaf = true
    return [{ do: 'resync' }]
  }

  private entry(entry: Entry, nowMs: number): Effect[] {
    switch (entry.type) {
      case 'message':
      case 'sent':
        return [{ do: 'take', seq: entry.seq, entry, events: [] }]
      case 'receipt': {
        const told = this.outbox.receipt(entry.peer, entry.deliveredSeq, entry.readSeq, nowMs)
        return [take(entry.seq, ...told), ...this.outbox.goOn(entry.peer, nowMs)]
      }
      case 'keys':
        return [{ do: 'requery', peer: entry.user }, take(entry.seq)]
      case 'opaque':
        return [take(entry.seq, { type: 'unsupported', seq: entry.seq, kind: entry.kind })]
    }
  }

  private prune(nowMs: number): void {
    this.seenSincePrune = 0
    const oldest = nowMs - MESSAGE_ID_WINDOW_MS
    for (const key of [...this.state.seen.keys()]) {
      if (uuid7Ms(key.slice(key.lastIndexOf('/') + 1)) < oldest) {
        this.state.seen.delete(key)
      }
    }
  }
}

function keyOf(entry: MessageEntry | SentEntry): string {
  const sender = entry.type === 'message' ? entry.from : '' // a copy is from this user
  return `${sender}/${entry.fromDevice}/${entry.id}`
}
