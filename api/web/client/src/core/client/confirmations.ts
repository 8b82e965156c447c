/**
 * The messages that were accepted, until they are known to be delivered.
 *
 * The peer's delivered watermark covers most of them. What it covers only by number, and what it stays away
 * from, the server is asked about: a message may have gone down with the server's log and must be sent again.
 */

import { titleOf } from '../codes'
import { type ClientEvent, type Effect, tell } from './events'
import { CHECK_MS, JUMP, type Lane, type Lanes, pauseMs } from './lane'
import type { OutboxItem, State } from './state'

export const ID_REUSED = 'id_reused'

/** The server's view of a message, as `GET /v1/messages/{id}` answers; null: it knows no such message. */
export interface MessageState {
  seq: number
  state: string
}

/** The second half of the outbox: from `accepted` to `delivered`. */
export class Confirmations {
  // Not kept: a watermark that the app crashed on before it took it is told again when it comes again.
  private readonly toldDelivered = new Map<string, number>()
  private readonly toldRead = new Map<string, number>()

  constructor(
    private readonly state: State,
    private readonly lanes: Lanes,
  ) {}

  /** The server has this message as number `seq`. */
  accept(lane: Lane, item: OutboxItem, seq: number, atMs: number, nowMs: number): Effect[] {
    lane.forget(item)
    item.seq = seq
    item.acceptedAtMs = atMs
    item.safe = false
    lane.accept(item, nowMs)
    return [
      tell({ type: 'accepted', id: item.id, peer: item.to, seq, atMs }),
      ...this.checkBefore(lane, seq, nowMs),
      ...this.toldRelease(lane),
    ]
  }

  /** A peer's watermarks have moved; forget what they cover, and ask about what they cover by number only. */
  receipt(peer: string, deliveredSeq: number, readSeq: number, nowMs: number): ClientEvent[] {
    const told: ClientEvent[] = []
    if (deliveredSeq > (this.toldDelivered.get(peer) ?? 0)) {
      this.toldDelivered.set(peer, deliveredSeq)
      this.state.delivered.set(peer, Math.max(deliveredSeq, this.state.delivered.get(peer) ?? 0))
      told.push({ type: 'delivered', peer, seq: deliveredSeq, ids: this.release(peer) })
    }
    if (readSeq > (this.toldRead.get(peer) ?? 0)) {
      this.toldRead.set(peer, readSeq)
      this.state.read.set(peer, Math.max(readSeq, this.state.read.get(peer) ?? 0))
      told.push({ type: 'read', peer, seq: readSeq })
    }
    const lane = this.lanes.byPeer.get(peer)
    if (lane !== undefined && lane.doubtful(this.watermark(peer)).length > 0) {
      lane.checkAtMs = Math.min(lane.checkAtMs, nowMs)
    }
    return told
  }

  /** Asks the server about these messages, unless it is being asked already. */
  check(lane: Lane, items: OutboxItem[], nowMs: number): Effect[] {
    lane.checkAtMs = nowMs + CHECK_MS
    const asked = items.filter(item => !lane.checking.has(item.id))
    for (const item of asked) {
      lane.checking.add(item.id)
    }
    return asked.map(item => ({ do: 'check', id: item.id, to: item.to }))
  }

  /** Asks about what is in doubt, else about the newest message that is not delivered yet. */
  dueChecks(lane: Lane, nowMs: number): Effect[] {
    const newest = lane.accepted.at(-1)
    if (newest === undefined || lane.checking.size > 0 || nowMs < lane.checkAtMs) {
      return []
    }
    const doubtful = lane.doubtful(this.watermark(lane.peer))
    const everything = lane.recheck
    lane.recheck = false
    const some = doubtful.length > 0 ? doubtful : [newest]
    return this.check(lane, everything ? [...lane.accepted] : some, nowMs)
  }

  /** The server's view of a message has come. */
  checked(lane: Lane, item: OutboxItem, answer: MessageState | null, nowMs: number): Effect[] {
    if (!lane.checking.delete(item.id)) {
      return []
    }
    return answer === null ? this.refill(lane, item, nowMs) : this.confirm(lane, item, answer, nowMs)
  }

  /** A check got no answer: every accepted message is in question, and is asked about later. */
  unchecked(lane: Lane, item: OutboxItem, nowMs: number): void {
    lane.checking.delete(item.id)
    lane.recheck = true
    lane.expired = ''
    lane.notBeforeMs = lane.checkAtMs = nowMs + pauseMs(lane.failures)
  }

  private watermark(peer: string): number {
    return this.state.delivered.get(peer) ?? -1
  }

  /** Asks about what is a whole base below a number: its log may be gone, with all that was in it. */
  private checkBefore(lane: Lane, seq: number, nowMs: number): Effect[] {
    const below = lane.accepted.filter(each => !each.safe && seq - (each.seq ?? 0) >= JUMP)
    return this.check(lane, below, nowMs)
  }

  private toldRelease(lane: Lane): Effect[] {
    const ids = this.release(lane.peer)
    const seq = this.state.delivered.get(lane.peer) ?? 0
    return ids.length === 0 ? [] : [tell({ type: 'delivered', peer: lane.peer, seq, ids })]
  }

  private release(peer: string): string[] {
    const lane = this.lanes.byPeer.get(peer)
    const covered = lane?.covered(this.watermark(peer)) ?? []
    for (const item of covered) {
      lane?.accepted.splice(lane.accepted.indexOf(item), 1)
      // A check of it may be in progress: its answer no longer matters, and nothing waits for it.
      lane?.checking.delete(item.id)
      this.state.outbox.delete(item.id)
    }
    return covered.map(item => item.id)
  }

  private refill(lane: Lane, item: OutboxItem, nowMs: number): Effect[] {
    if (item.seq === null) {
      if (lane.expired === item.id) {
        return [{ do: 'reissue', item }]
      }
      return this.lanes.fail(lane, item, ID_REUSED, titleOf(ID_REUSED))
    }
    const wasSeq = item.seq
    lane.accepted.splice(lane.accepted.indexOf(item), 1)
    item.seq = null
    item.safe = false
    lane.waitAgain(item)
    // A log loses its end: what came before may be there or not, and is asked about one by one.
    const suspects = lane.accepted.filter(each => !each.safe && (each.seq ?? 0) <= wasSeq)
    return this.check(lane, suspects, nowMs)
  }

  private confirm(lane: Lane, item: OutboxItem, answer: MessageState, nowMs: number): Effect[] {
    const effects: Effect[] = []
    if (item.seq === null) {
      effects.push(...this.accept(lane, item, answer.seq, nowMs, nowMs))
    } else if (answer.seq !== item.seq) {
      lane.renumber(item, answer.seq)
      effects.push(...this.checkBefore(lane, answer.seq, nowMs))
    }
    item.safe = answer.state !== 'accepted'
    if ((answer.state === 'delivered' || answer.state === 'read') && this.state.outbox.has(item.id)) {
      this.lanes.drop(lane, item)
      // Its receipt went missing: so may those of the messages before it.
      lane.checkAtMs = nowMs
      return [...effects, tell({ type: 'delivered', peer: lane.peer, seq: item.seq ?? 0, ids: [item.id] })]
    }
    return [...effects, ...this.toldRelease(lane)]
  }
}
