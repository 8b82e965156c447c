/**
 * The inbox: entries are decrypted in order, and handed to the app in order.
 *
 * Pure but for the cryptography it calls. A message of a device that is not known yet waits until its
 * sender's keys have been asked for, and so do those that the same user sent after it; the others pass.
 * Whatever is in a message, it ends as an event.
 */

import type { DeviceSecrets } from '../crypto/keys'
import { openSealed, SUITE, Undecryptable } from '../crypto/sealed'
import { addressOf, uuid7Ms } from '../ids'
import { type MessageEntry, WINDOW } from '../wire'
import type { Directory } from './directory'
import type { ClientEvent, MessageReceived, Take, UndecryptableReceived } from './events'
import type { Session } from './session'

/** How often the keys of an unknown device are asked for. */
export const ASKED_AT_MOST = 4

/** Messages that may wait for keys: the cursor stays before them, and the server's window is finite. */
export const HELD_AT_MOST = WINDOW / 2

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
        this.session.hold(next.entry)
        this.held.set(next.entry.from, [...(this.held.get(next.entry.from) ?? []), next])
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

  private head(peer: string): MessageEntry | null {
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

  private mustWait(entry: MessageEntry): boolean {
    const waiting = [...this.held.values()].reduce((sum, each) => sum + each.length, 0)
    return waiting < HELD_AT_MOST && (this.held.has(entry.from) || this.senderUnknown(entry))
  }

  private senderUnknown(entry: MessageEntry): boolean {
    if (this.session.isRepeat(entry)) {
      return false
    }
    const [device, times] = this.askedFor.get(entry.from) ?? ['', 0]
    if (device === entry.fromDevice && times === ASKED_AT_MOST) {
      return false
    }
    return this.directory.device(entry.from, entry.fromDevice) === null
  }

  private open(entry: MessageEntry): MessageReceived | UndecryptableReceived | null {
    if (this.session.isRepeat(entry)) {
      return null
    }
    const from = { peer: entry.from, device: entry.fromDevice, id: entry.id, seq: entry.seq }
    try {
      const content = this.decrypt(entry)
      this.session.telling(entry)
      const { sentAtMs, atMs, expiresAtMs } = entry
      return { type: 'message', ...from, content, sentAtMs, atMs, expiresAtMs }
    } catch (error) {
      // A stranger wrote it: whatever it does, the next one is read.
      const known = error instanceof Undecryptable
      const detail = known ? error.message : `The message cannot be opened (${String(error)}).`
      return { type: 'undecryptable', ...from, reason: known ? error.reason : 'malformed', detail }
    }
  }

  private decrypt(entry: MessageEntry): Uint8Array {
    if (entry.suite !== SUITE) {
      const detail = `This version cannot read messages of suite ${entry.suite}.`
      throw new Undecryptable('unknown_suite', detail)
    }
    const sender = this.directory.device(entry.from, entry.fromDevice)
    if (sender === null) {
      throw new Undecryptable('unknown_device', "The server gives no valid keys for the sender's device.")
    }
    uuid7Ms(entry.id) // its time is needed when the id is forgotten
    const expected = {
      sender: addressOf(entry.from, this.serverName),
      senderDevice: entry.fromDevice,
      recipient: addressOf(this.username, this.serverName),
      id: entry.id,
      sentAtMs: entry.sentAtMs,
    }
    return openSealed(entry.payload, expected, this.secrets, sender)
  }
}
