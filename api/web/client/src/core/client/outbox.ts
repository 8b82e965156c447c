/**
 * The outbox: what is sent, in which order, and when it may be forgotten.
 *
 * Pure: no I/O, clock or randomness; times are arguments. Each peer has a lane, and at most one message of
 * each lane is in flight, so that a retry can never overtake. A message is repeated, byte for byte, until it
 * is accepted, and kept until the delivered watermark covers it, so that one that was lost with the server's
 * log can be sent again.
 */

import { CODES, titleOf } from '../codes'
import { uuid7Ms } from '../ids'
import { type Accepted, type Payloads, type Rejected, sendSize } from '../wire'
import { Confirmations, ID_REUSED, type MessageState } from './confirmations'
import { type ClientEvent, type Effect, tell, write } from './events'
import {
  ANSWER_MS,
  backoffMs,
  KEEP_MS,
  type Lane,
  Lanes,
  LONGEST_ADVICE_S,
  MAX_MISMATCHES,
  MAX_REISSUES,
} from './lane'
import { hasExpired, type OutboxItem, type State } from './state'

const MAILBOX_FULL = 'mailbox_full'

/** Bytes of a message up to which a connection was not closed for its size. */
const SMALL = 16 * 1024

/** All messages of one client that are not known to be delivered. */
export class Outbox {
  private readonly items: Map<string, OutboxItem>
  private readonly peers: Lanes
  private readonly confirmations: Confirmations
  private open = false
  private quietUntilMs = 0

  constructor(
    state: State,
    private readonly suite: string,
  ) {
    this.items = state.outbox
    this.peers = new Lanes(state.outbox)
    this.confirmations = new Confirmations(state, this.peers)
  }

  /** The lanes by peer, to look at. */
  get lanes(): ReadonlyMap<string, Lane> {
    return this.peers.byPeer
  }

  /** Whether a message waits or is in flight (a short tick is worth it). */
  get busy(): boolean {
    return [...this.lanes.values()].some(lane => lane.current !== null || lane.waiting.length > 0)
  }

  /** Takes a new message. */
  submit(item: OutboxItem, nowMs: number): Effect[] {
    this.items.set(item.id, item)
    const lane = this.peers.of(item.to)
    lane.waiting.push(item)
    return this.pump(lane, nowMs)
  }

  /** The session is up: send what waits, and ask about what was accepted before. */
  opened(nowMs: number): Effect[] {
    this.open = true
    return [...this.lanes.values()].flatMap(lane => {
      const newest = lane.accepted.at(-1)
      const asked = newest !== undefined && lane.checking.size === 0
      const checks = asked ? this.confirmations.check(lane, [newest], nowMs) : []
      return [...checks, ...this.pump(lane, nowMs)]
    })
  }

  /** The session is down: what was in flight waits again, in its old place. */
  closed(): void {
    this.open = false
    this.quietUntilMs = 0
    for (const lane of this.lanes.values()) {
      lane.backToFront()
      lane.checking.clear()
      lane.expired = ''
    }
  }

  /** The shell has encrypted the message that it was asked to, and copies for this user's devices. */
  sealed(id: string, payloads: Payloads, nowMs: number, own: Payloads | null = null): Effect[] {
    const lane = this.peers.withCurrent(id)
    if (lane === null || lane.current === null || lane.current.payloads !== null) {
      return []
    }
    lane.current.payloads = payloads
    lane.current.own = own
    return this.fly(lane, lane.current, nowMs)
  }

  /** The shell could not encrypt: for now (no `code`), or not at all. */
  unsealable(id: string, nowMs: number, code: string | null = null): Effect[] {
    const lane = this.peers.withCurrent(id)
    if (lane === null || lane.current === null) {
      return []
    }
    if (code !== null) {
      return [...this.peers.fail(lane, lane.current, code, titleOf(code)), ...this.pump(lane, nowMs)]
    }
    this.retry(lane, nowMs, null)
    return []
  }

  /** The shell has made a new id for a message that was refused for the time in its old one. */
  reissued(item: OutboxItem, id: string, nowMs: number): Effect[] {
    const lane = this.peers.of(item.to)
    if (!this.items.delete(item.id)) {
      return []
    }
    const changed = tell({ type: 'id_changed', id: item.id, newId: id, peer: item.to })
    lane.follow(item.id, id)
    item.id = id
    item.sentAtMs = nowMs
    item.payloads = item.own = null
    this.items.set(id, item)
    lane.reissues++
    lane.expired = ''
    return [changed, ...this.pump(lane, nowMs)]
  }

  /** A connection was closed for a frame's size: the largest message in flight is not repeated. */
  refuseLargest(nowMs: number): Effect[] {
    let largest: Lane | null = null
    for (const lane of this.lanes.values()) {
      if (lane.current?.payloads && (largest === null || flyingBytes(lane) > flyingBytes(largest))) {
        largest = lane
      }
    }
    if (largest === null || largest.current === null || flyingBytes(largest) <= SMALL) {
      return []
    }
    const detail = "It is larger, sealed for all of the recipient's devices, than what is taken at once."
    const failed = this.peers.fail(largest, largest.current, 'too_large', detail)
    return [...failed, ...this.pump(largest, nowMs)]
  }

  /** Stops sending to a peer whose keys are in doubt, or goes on. */
  hold(peer: string, nowMs: number, held: boolean): Effect[] {
    if (!held && !this.lanes.has(peer)) {
      return []
    }
    const lane = this.peers.of(peer)
    lane.held = held
    return held ? [] : this.pump(lane, nowMs)
  }

  /** The server has a message. */
  accepted(frame: Accepted, nowMs: number): Effect[] {
    const item = this.items.get(frame.id)
    if (item === undefined || item.seq !== null) {
      return []
    }
    const lane = this.peers.of(item.to)
    const effects = this.confirmations.accept(lane, item, frame.seq, frame.acceptedAtMs, nowMs)
    return [...effects, ...this.pump(lane, nowMs)]
  }

  /** The server refused the message that is in flight. */
  rejected(frame: Rejected, nowMs: number): Effect[] {
    const lane = this.peers.withCurrent(frame.id)
    const item = lane?.current ?? null
    if (lane === null || item === null) {
      return []
    }
    if (frame.code === 'device_mismatch' && lane.mismatches < MAX_MISMATCHES) {
      return this.mismatched(lane, item, frame, nowMs)
    }
    if (frame.code === ID_REUSED) {
      lane.backToFront()
      return this.confirmations.check(lane, [item], nowMs)
    }
    if (frame.code === 'id_expired' && lane.reissues < MAX_REISSUES) {
      // Perhaps it was accepted while a clock was another one, and only the reply was lost.
      lane.backToFront()
      lane.expired = item.id
      return this.confirmations.check(lane, [item], nowMs)
    }
    if (frame.code === 'unauthenticated' || CODES.get(frame.code)?.retry === 'later') {
      // The server's pause is for the device, whoever the message was for, unless one mailbox is full.
      const adviceS = frame.code === MAILBOX_FULL ? 0 : (frame.retryAfterS ?? 0)
      const toldMs = Math.trunc(Math.min(adviceS, LONGEST_ADVICE_S) * 1000)
      this.quietUntilMs = Math.max(this.quietUntilMs, nowMs + toldMs)
      this.retry(lane, nowMs, frame.retryAfterS)
      return []
    }
    return [...this.peers.fail(lane, item, frame.code, frame.detail), ...this.pump(lane, nowMs)]
  }

  /** The devices are others than those that the message is sealed for: seal it again. */
  private mismatched(lane: Lane, item: OutboxItem, frame: Rejected, nowMs: number): Effect[] {
    const { ofPeer, ofOwn } = frame
    if (item.payloads !== null && Object.keys(item.payloads).length === 0 && !ofPeer && !ofOwn) {
      // To oneself, and there is no other device: it is delivered where it is.
      this.peers.drop(lane, item)
      const delivered = tell({ type: 'delivered', peer: item.to, seq: 0, ids: [item.id] })
      return [delivered, ...this.pump(lane, nowMs)]
    }
    lane.mismatches++
    lane.refresh = ofPeer || !ofOwn
    lane.refreshOwn = ofOwn
    item.payloads = item.own = null
    this.retry(lane, nowMs, frame.retryAfterS || (lane.mismatches === 1 ? 0 : null))
    return this.pump(lane, nowMs)
  }

  /** A peer's watermarks have moved; forget what they cover. */
  receipt(peer: string, deliveredSeq: number, readSeq: number, nowMs: number): ClientEvent[] {
    return this.confirmations.receipt(peer, deliveredSeq, readSeq, nowMs)
  }

  /** Sends what a watermark may have unblocked. */
  goOn(peer: string, nowMs: number): Effect[] {
    const lane = this.lanes.get(peer)
    return lane === undefined ? [] : this.pump(lane, nowMs)
  }

  /** The server's view of a message has come; null: it knows no such message. */
  checked(id: string, answer: MessageState | null, nowMs: number): Effect[] {
    const item = this.items.get(id)
    const lane = item === undefined ? undefined : this.peers.of(item.to)
    if (item === undefined || lane === undefined || !lane.checking.has(id)) {
      return []
    }
    const effects = this.confirmations.checked(lane, item, answer, nowMs)
    return [...effects, ...this.pump(lane, nowMs)]
  }

  /** A check got no answer; it is repeated later. */
  unchecked(id: string, nowMs: number): void {
    const item = this.items.get(id)
    if (item !== undefined) {
      this.confirmations.unchecked(this.peers.of(item.to), item, nowMs)
    }
  }

  /** Does what has become due: pauses that are over, answers that stay away, old messages. */
  tick(nowMs: number): Effect[] {
    const effects: Effect[] = []
    for (const lane of [...this.lanes.values()]) {
      effects.push(...this.expire(lane, nowMs))
      if (!this.open) {
        continue
      }
      const item = lane.current
      if (item !== null && item.payloads !== null && nowMs - lane.flownAtMs >= ANSWER_MS) {
        effects.push(...this.fly(lane, item, nowMs))
      }
      effects.push(...this.confirmations.dueChecks(lane, nowMs))
      effects.push(...this.pump(lane, nowMs))
    }
    return effects
  }

  private pump(lane: Lane, nowMs: number): Effect[] {
    if (!this.open || nowMs < this.quietUntilMs || !lane.maySend(nowMs)) {
      return []
    }
    const item = lane.waiting.shift() as OutboxItem
    lane.current = item
    if (item.payloads === null) {
      // One after the other: what is still wrong then is told by the next refusal.
      const refresh = lane.refresh
      const own = lane.refreshOwn && !lane.refresh
      lane.refresh = lane.refreshOwn = false
      return [{ do: 'seal', item, refresh, own }]
    }
    return this.fly(lane, item, nowMs)
  }

  private fly(lane: Lane, item: OutboxItem, nowMs: number): Effect[] {
    lane.flownAtMs = nowMs
    const { id, to, sentAtMs, urgent, expiresInS, own, silent } = item
    const sealed = { suite: this.suite, payloads: item.payloads ?? {}, own }
    return [write({ type: 'send', id, to, sentAtMs, ...sealed, urgent, expiresInS, silent })]
  }

  private retry(lane: Lane, nowMs: number, afterS: number | null): void {
    lane.failures++
    const seed = lane.current?.id ?? ''
    lane.notBeforeMs = afterS === 0 ? nowMs : nowMs + backoffMs(lane.failures, afterS, seed)
    lane.backToFront()
  }

  private expire(lane: Lane, nowMs: number): Effect[] {
    const effects: Effect[] = []
    for (const item of [...lane.waiting, ...lane.accepted].filter(each => hasExpired(each, nowMs))) {
      this.peers.expire(lane, item)
      effects.push(tell({ type: 'expired', id: item.id, peer: item.to }))
    }
    const tooOld = (item: OutboxItem | undefined) => item !== undefined && nowMs - uuid7Ms(item.id) > KEEP_MS
    while (tooOld(lane.waiting[0])) {
      const detail = 'It could not be sent for six days; send it again as a new message.'
      effects.push(...this.peers.fail(lane, lane.waiting[0] as OutboxItem, 'id_expired', detail))
    }
    while (tooOld(lane.accepted[0])) {
      const detail =
        'The message was accepted six days ago and is not delivered; the server still keeps it, ' +
        'but this device can no longer send it again.'
      effects.push(...this.peers.fail(lane, lane.accepted[0] as OutboxItem, 'id_expired', detail))
    }
    return effects
  }
}

const flyingBytes = (lane: Lane): number =>
  lane.current === null ? 0 : sendSize(lane.current.payloads ?? {}, lane.current.own)
