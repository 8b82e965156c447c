/** The lanes of the outbox: the messages to one peer, in the order of sending. Pure data and rules. */

import { encodeContent, readContent } from '../content'
import { crc32 } from '../crc32'
import { targetOf, turnedTo } from '../remarks'
import { type Effect, tell } from './events'
import type { OutboxItem } from './state'

/** A seq this far beyond another was given by another log. */
export const JUMP = 2 ** 31

/** Age after which a message is reported as failed: a day before the server forgets its id. */
export const KEEP_MS = 6 * 24 * 3600 * 1000

/** After this long without an answer on an open session, the message is repeated. */
export const ANSWER_MS = 15_000

/** How often the server is asked about the newest message that was accepted, but not delivered. */
export const CHECK_MS = 60_000

/** A server that tells a longer pause is not obeyed. */
export const LONGEST_ADVICE_S = 3600

/** Fresh key queries for one message, before the recipient's device list counts as broken. */
export const MAX_MISMATCHES = 8

/** New ids for one message, before the clocks count as hopeless. */
export const MAX_REISSUES = 3

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 30_000

/** How long to wait after so many failures in a row. */
export function pauseMs(failures: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures, 10))
}

/**
 * How long to wait before a message is repeated.
 *
 * @param failures Refusals in a row, at least 1.
 * @param toldS The server's `retry_after_s`: the minimum.
 * @param seed What spreads clients that were refused together: the message's id, most of which is random.
 */
export function backoffMs(failures: number, toldS: number | null, seed: string): number {
  const ceiling = pauseMs(failures)
  const chance = crc32(`${seed}${failures}`) / 2 ** 32
  if (toldS === null) {
    return Math.trunc(ceiling * (0.5 + chance / 2))
  }
  return Math.trunc(Math.min(toldS, LONGEST_ADVICE_S) * 1000 + ceiling * chance)
}

/** The messages to one peer. */
export class Lane {
  /** Not accepted, in order. */
  waiting: OutboxItem[] = []
  /** The one that is being sealed or in flight; not in `waiting`. */
  current: OutboxItem | null = null
  /** Accepted, not delivered, by `seq`. */
  accepted: OutboxItem[] = []
  /** Ids that the server is being asked about; nothing is sent meanwhile. */
  readonly checking = new Set<string>()
  /** The next sealing needs fresh keys of the peer. */
  refresh = false
  /** It needs fresh ones of this user's other devices. */
  refreshOwn = false
  /** The peer's keys are in doubt. */
  held = false
  /** A check got no answer, so that every accepted message is in question. */
  recheck = false
  /** Retries of the present message. */
  failures = 0
  /** How often its device list was wrong. */
  mismatches = 0
  /** How often it got a new id. */
  reissues = 0
  /** The id of the message that is refused for its time, until it has another one. */
  expired = ''
  notBeforeMs = 0
  flownAtMs = 0
  checkAtMs = 0

  constructor(readonly peer: string) {}

  /** Takes back an item of an earlier run; call in order. */
  restore(item: OutboxItem): void {
    if (item.seq === null) {
      this.waiting.push(item)
    } else {
      insert(this.accepted, item, seqOf)
    }
  }

  /** Returns whether the next message may go. */
  maySend(nowMs: number): boolean {
    const blocked = this.held || this.checking.size > 0 || this.expired !== '' || this.current !== null
    return this.waiting.length > 0 && !blocked && nowMs >= this.notBeforeMs
  }

  /** What is in flight waits again, in its place. */
  backToFront(): void {
    if (this.current !== null) {
      const item = this.current
      this.current = null
      this.waitAgain(item)
    }
  }

  /** Puts an item back among the waiting ones, where it was. */
  waitAgain(item: OutboxItem): void {
    const first = this.waiting[0]
    if (first === undefined || item.order < first.order) {
      this.waiting.unshift(item)
    } else {
      insert(this.waiting, item, each => each.order)
    }
  }

  /** Has what waits, and is about a message with this id, be about its new one. */
  follow(id: string, newId: string): void {
    for (const item of this.waiting) {
      const content = readContent(item.content)
      if (targetOf(content) === id) {
        item.content = encodeContent(turnedTo(content, newId))
        item.payloads = item.own = null
      }
    }
  }

  /** Removes an item from wherever it is; the next one starts without its history. */
  forget(item: OutboxItem): void {
    if (this.current === item) {
      this.current = null
    } else if (!remove(this.waiting, item)) {
      remove(this.accepted, item)
    }
    this.checking.delete(item.id)
    this.failures = this.mismatches = this.reissues = this.notBeforeMs = 0
    this.expired = ''
  }

  /** Notes an item that has its `seq`. */
  accept(item: OutboxItem, nowMs: number): void {
    if (this.accepted.length === 0) {
      this.checkAtMs = nowMs + CHECK_MS
    }
    insert(this.accepted, item, seqOf)
  }

  /** Notes that an accepted item has another number: the one it was told went down with the log. */
  renumber(item: OutboxItem, seq: number): void {
    remove(this.accepted, item)
    item.seq = seq
    insert(this.accepted, item, seqOf)
  }

  /** What a delivered watermark surely covers. */
  covered(watermark: number): OutboxItem[] {
    return this.accepted.filter(
      item => seqOf(item) <= watermark && (item.safe || watermark - seqOf(item) < JUMP),
    )
  }

  /** What a watermark covers only by number, out of a log that came later. */
  doubtful(watermark: number): OutboxItem[] {
    return this.accepted.filter(item => !item.safe && watermark - seqOf(item) >= JUMP)
  }
}

/** The lanes of all peers, over the items by id as they are kept. */
export class Lanes {
  readonly byPeer = new Map<string, Lane>()

  constructor(private readonly items: Map<string, OutboxItem>) {
    for (const item of [...items.values()].sort((a, b) => a.order - b.order)) {
      this.of(item.to).restore(item)
    }
  }

  /** The peer's lane, a new one if need be. */
  of(peer: string): Lane {
    let lane = this.byPeer.get(peer)
    if (lane === undefined) {
      lane = new Lane(peer)
      this.byPeer.set(peer, lane)
    }
    return lane
  }

  /** The lane whose current message this is. */
  withCurrent(id: string): Lane | null {
    const item = this.items.get(id)
    const lane = item === undefined ? undefined : this.byPeer.get(item.to)
    return lane !== undefined && lane.current === item ? lane : null
  }

  /** Forgets an item for good. */
  drop(lane: Lane, item: OutboxItem): void {
    lane.forget(item)
    this.items.delete(item.id)
  }

  /** Forgets an item that is not in flight; what is goes on as it was. */
  expire(lane: Lane, item: OutboxItem): void {
    if (!remove(lane.waiting, item)) {
      remove(lane.accepted, item)
    }
    lane.checking.delete(item.id)
    if (lane.expired === item.id) {
      lane.expired = ''
    }
    this.items.delete(item.id)
  }

  /** Forgets an item that will not be sent, and tells the app. */
  fail(lane: Lane, item: OutboxItem, code: string, detail: string): Effect[] {
    this.drop(lane, item)
    return [tell({ type: 'failed', id: item.id, peer: item.to, code, detail })]
  }
}

const seqOf = (item: OutboxItem): number => item.seq ?? 0

/** Inserts behind everything that is not greater. */
function insert(items: OutboxItem[], item: OutboxItem, key: (item: OutboxItem) => number): void {
  const at = items.findIndex(each => key(each) > key(item))
  items.splice(at < 0 ? items.length : at, 0, item)
}

function remove(items: OutboxItem[], item: OutboxItem): boolean {
  const at = items.indexOf(item)
  if (at >= 0) {
    items.splice(at, 1)
  }
  return at >= 0
}
