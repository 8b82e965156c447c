/**
 * The inbox: entries are decrypted in order, and handed to the app in order.
 *
 * Pure but for the cryptography it calls. A message of a device that is not known yet waits until its
 * sender's keys have been asked for, and so do those that the same user sent after it; the others pass.
 * Whatever is in a message, it ends as an event.
 */

import type { DeviceSecrets } from '../crypto/keys'
import { openSealed, SUITE, Undecryptable } from '../crypto/sealed'
import type { MessageEntry, SentEntry } from '../entries'
import { addressOf, uuid7Ms } from '../ids'
import { WINDOW } from '../wire'
import type { Directory } from './directory'
import type { ClientEvent, SentElsewhere, Take } from './events'
import type { Session } from './session'

/** How often the keys of an unknown device are asked for. */
export const ASKED_AT_MOST = 4

/** Messages that others may pass while they wait for keys; beyond them all wait, in the server's window. */
export const HELD_AT_MOST = WINDOW / 2

/** A message, or the copy of one that another device of this user sent. */
type Sealed = MessageEntry | SentEntry

/** Hands on one event, and the seq that is taken once the app has it (0: none). */
export type Deliver = (event: ClientEvent | null, seq: number) => void

/** Entries that have arrived and are not handed on yet. */
export class Inbox {
  private readonly queue: Take[] = []
  private readonly held = new Map<string, Take[]>()
  private readonly askedFor = new Map<string, [device: string, times: number]>()

  constructor(
    private readonly session: Session,
    private readonly directory: Directory,
    private readonly secrets: DeviceSecrets,
    private readonly username: string,
    private readonly serverName: string,
  ) {}

  /** Queues what the core gave. */
  add(taken: Take): void {
    this.queue.push(taken)
  }

  /** Hands on what can be; returns the peers whose keys are needed to go on. */
  process(deliver: Deliver): Set<string> {
    let next = this.queue.shift()
    while (next !== undefined) {
      if (next.entry !== null && this.mustWait(next.entry)) {
        if (this.holding() >= HELD_AT_MOST) {
          this.queue.unshift(next)
          break
        }
        this.session.hold(next.entry)
        const author = this.author(next.entry)
        this.held.set(author, [...(this.held.get(author) ?? []), next])
      } else {
        this.handOn(next, deliver)
      }
      next = this.queue.shift()
    }
    return new Set(this.held.keys())
  }

  /** Hands on what waited for this peer's keys, up to a message of a device that is still unknown. */
  release(peer: string, deliver: Deliver): void {
    const waiting = this.held.get(peer)
    let first = waiting?.[0]
    while (waiting !== undefined && first?.entry && !this.senderUnknown(first.entry)) {
      waiting.shift()
      this.handOn(first, deliver)
      first = waiting[0]
    }
    if (waiting !== undefined && waiting.length === 0) {
      this.held.delete(peer)
      this.askedFor.delete(peer)
    }
  }

  /** Returns whether messages wait for this peer's keys. */
  waitsFor(peer: string): boolean {
    return this.held.has(peer)
  }

  /** The peer's keys have just been asked for; returns how often, without learning the sender's. */
  asked(peer: string): number {
    const head = this.head(peer)
    if (head === null || this.directory.device(peer, head.fromDevice) !== null) {
      return 0
    }
    const [device, before] = this.askedFor.get(peer) ?? ['', 0]
    const times = device === head.fromDevice ? before + 1 : 1
    this.askedFor.set(peer, [head.fromDevice, times])
    return times
  }

  /** The sender's keys cannot be had: its message ends as undecryptable with the next release. */
  giveUp(peer: string): void {
    const head = this.head(peer)
    if (head !== null) {
      this.askedFor.set(peer, [head.fromDevice, ASKED_AT_MOST])
    }
  }

  private author(entry: Sealed): string {
    return entry.type === 'message' ? entry.from : this.username
  }

  private head(peer: string): Sealed | null {
    return this.held.get(peer)?.[0]?.entry ?? null
  }

  private handOn(taken: Take, deliver: Deliver): void {
    if (taken.entry !== null) {
      deliver(this.open(taken.entry), taken.seq)
      return
    }
    for (const event of taken.events) {
      deliver(event, 0)
    }
    // The mailbox may be read to its end and its last message wait: that one is not taken.
    deliver(null, this.session.holds(taken.seq) ? 0 : taken.seq)
  }

  private holding(): number {
    return [...this.held.values()].reduce((sum, each) => sum + each.length, 0)
  }

  private mustWait(entry: Sealed): boolean {
    return this.held.has(this.author(entry)) || this.senderUnknown(entry)
  }

  private senderUnknown(entry: Sealed): boolean {
    if (entry.payload === null || this.session.isRepeat(entry)) {
      return false
    }
    const author = this.author(entry)
    const [device, times] = this.askedFor.get(author) ?? ['', 0]
    if (device === entry.fromDevice && times === ASKED_AT_MOST) {
      return false
    }
    return this.directory.device(author, entry.fromDevice) === null
  }

  private open(entry: Sealed): ClientEvent | null {
    if (this.session.isRepeat(entry)) {
      return null
    }
    let content: Uint8Array = new Uint8Array()
    let [reason, detail] = ['', '']
    try {
      content = entry.payload === null ? content : this.decrypt(entry, entry.payload)
      uuid7Ms(entry.id) // its time is needed when the id is forgotten
      if (entry.payload !== null) {
        this.session.telling(entry) // an added device may be told without, and then get its copy
      }
    } catch (error) {
      // A stranger wrote it: whatever it does, the next one is read.
      const known = error instanceof Undecryptable
      reason = known ? error.reason : 'malformed'
      detail = known ? error.message : `The message cannot be opened (${String(error)}).`
    }
    if (entry.type === 'sent') {
      return copy(entry, content, reason, detail)
    }
    const from = { peer: entry.from, device: entry.fromDevice, id: entry.id, seq: entry.seq }
    const { sentAtMs, atMs, expiresAtMs, silent } = entry
    if (reason !== '') {
      return { type: 'undecryptable', ...from, reason, detail, sentAtMs, atMs }
    }
    const confirmed = this.directory.isConfirmed(entry.from, entry.fromDevice)
    return { type: 'message', ...from, content, sentAtMs, atMs, expiresAtMs, silent, confirmed }
  }

  private decrypt(entry: Sealed, payload: Uint8Array): Uint8Array {
    if (entry.suite !== SUITE) {
      const detail = `This version cannot read messages of suite ${entry.suite}.`
      throw new Undecryptable('unknown_suite', detail)
    }
    const author = this.author(entry)
    const sender = this.directory.device(author, entry.fromDevice)
    if (sender === null) {
      throw new Undecryptable('unknown_device', "The server gives no valid keys for the sender's device.")
    }
    // A copy has the heading of the message itself: it cannot be passed off as one to this user.
    const recipient = entry.type === 'sent' ? entry.to : this.username
    const expected = {
      sender: addressOf(author, this.serverName),
      senderDevice: entry.fromDevice,
      recipient: addressOf(recipient, this.serverName),
      id: entry.id,
      sentAtMs: entry.sentAtMs,
    }
    return openSealed(payload, expected, this.secrets, sender)
  }
}

function copy(entry: SentEntry, content: Uint8Array, reason: string, detail: string): SentElsewhere {
  return {
    type: 'sent_elsewhere',
    id: entry.id,
    peer: entry.to,
    device: entry.fromDevice,
    seq: entry.toSeq,
    sentAtMs: entry.sentAtMs,
    atMs: entry.atMs,
    content: entry.payload !== null && reason === '' ? content : null,
    expiresAtMs: entry.expiresAtMs,
    silent: entry.silent,
    reason,
    detail,
  }
}
