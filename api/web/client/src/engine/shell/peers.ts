/** What is known of people's keys, and what waits for it: messages to be sealed, and messages to be opened. */

import type { Directory, FoundKeys } from '../../core/client/directory'
import type { ClientEvent, Effect, KeyChanged, Take } from '../../core/client/events'
import { ASKED_AT_MOST, type Inbox } from '../../core/client/inbox'
import { pauseMs } from '../../core/client/lane'
import type { Session } from '../../core/client/session'
import type { OutboxItem } from '../../core/client/state'
import { publicHalf, verifyKey } from '../../core/crypto/keys'
import { MAX_FRAME, sendSize } from '../../core/wire'
import type { Person } from '../identity/archive'
import type { Saved } from './saved'
import type { Device, Sealer } from './sealer'
import type { Timers } from './timers'

const ASK_AGAIN_MS = 500

/** Refused queries, some 50 s, after which messages of a sender without keys are no longer kept waiting. */
const REFUSED_AT_MOST = 8

/** What it works with. */
export interface Parts {
  device: Device
  session: Session
  directory: Directory
  sealer: Sealer
  inbox: Inbox
  saved: Saved
  timers: Timers
}

/** What it works for. */
export interface Desk {
  nowMs(): number
  apply(effects: Effect[]): void
  /** Keeps an event, and what is taken with it (0: nothing). */
  tell(event: ClientEvent | null, seq: number): void
  /** Has everything so far kept. */
  flush(): void
  /** Asks for someone's keys. */
  wantKeys(peer: string): void
}

export class Peers {
  private readonly asking = new Set<string>()
  private readonly refused = new Map<string, number>()

  constructor(
    private readonly parts: Parts,
    private readonly desk: Desk,
  ) {
    const { device, directory, saved, session } = parts
    const { username, secrets } = device
    if (!saved.peers.has(username)) {
      // Pinned like a peer's, so that another device of this user shows up as an event.
      const own = { curve25519: publicHalf(secrets.curve25519), ed25519: verifyKey(secrets.ed25519) }
      const pin = { ...own, current: true, offered: null, confirmed: true, signed: false }
      saved.peers.set(username, new Map([[device.deviceId, pin]]))
      saved.touch(username)
    }
    for (const peer of saved.peers.keys()) {
      session.outbox.hold(peer, 0, directory.inDoubt(peer))
    }
  }

  /** Whom this device knows, but for this user's own devices. */
  known(): Person[] {
    const { device, saved } = this.parts
    const peers = [...saved.peers].filter(([peer]) => peer !== device.username)
    return peers.map(([peer, devices]) => ({ peer, devices, identity: saved.identities.get(peer) ?? null }))
  }

  /** Has what is pinned of this peer kept. */
  touch(peer: string): void {
    this.parts.saved.touch(peer)
    this.desk.flush()
  }

  /** Accepts the changed keys and added devices of `peer`, and sends what waits. */
  trust(peer: string): void {
    const { directory, saved, session } = this.parts
    directory.trust(peer)
    saved.touch(peer)
    this.desk.apply(session.outbox.hold(peer, this.desk.nowMs(), false))
    this.desk.flush()
  }

  /** What is known of a peer has changed: hold or release what waits for it, and ask for its keys. */
  changed(peer: string, changes: KeyChanged[]): void {
    this.tell(peer, changes)
    this.hold(peer)
    this.desk.wantKeys(peer)
    this.desk.flush()
  }

  /** Its keys may be others: ask, if it is known at all. */
  requery(peer: string): void {
    if (this.parts.directory.knows(peer)) {
      this.desk.wantKeys(peer)
    }
  }

  // --- what queries are answered ---

  arrived(peer: string, found: FoundKeys): void {
    const { directory, inbox, sealer } = this.parts
    this.tell(peer, directory.learn(peer, found.bundles, found.identity))
    const waiting = sealer.release(peer)
    this.unsealable(waiting.filter(item => directory.inDoubt(item.to)))
    this.hold(peer)
    for (const item of waiting.filter(each => !directory.inDoubt(each.to))) {
      this.sealNow(item)
    }
    this.refused.delete(peer)
    const asked = inbox.asked(peer)
    if (asked > 0 && asked < ASKED_AT_MOST) {
      this.askLater(peer, ASK_AGAIN_MS * asked)
    } else {
      this.release(peer)
    }
    this.desk.flush()
  }

  refuse(peer: string): void {
    const { directory, inbox, sealer } = this.parts
    this.unsealable(sealer.release(peer))
    const times = (this.refused.get(peer) ?? 0) + 1
    this.refused.set(peer, times)
    if (times >= REFUSED_AT_MOST) {
      inbox.giveUp(peer)
      this.release(peer)
    }
    if (directory.knows(peer) || inbox.waitsFor(peer)) {
      this.askLater(peer, pauseMs(times))
    }
    this.desk.flush()
  }

  unavailable(peers: Set<string>): void {
    for (const peer of peers) {
      this.unsealable(this.parts.sealer.release(peer))
    }
  }

  // --- what waits ---

  /** Seals a message, once the keys that it takes are there. */
  seal(item: OutboxItem, refresh: boolean, own: boolean): void {
    const { device, directory, sealer } = this.parts
    if (own || refresh || directory.recipients(item.to).size === 0) {
      const user = own ? device.username : item.to
      sealer.wait(item, user)
      this.desk.wantKeys(user)
    } else {
      this.sealNow(item)
    }
  }

  /** Takes an entry of the mailbox, which is opened in its turn. */
  take(taken: Take): void {
    this.parts.inbox.add(taken)
  }

  /** Opens what can be opened, and asks for the keys that are missing. */
  process(): void {
    for (const peer of this.parts.inbox.process(this.deliver)) {
      if (!this.asking.has(peer)) {
        this.asking.add(peer)
        this.desk.wantKeys(peer)
      }
    }
  }

  private readonly deliver = (event: ClientEvent | null, seq: number): void => this.desk.tell(event, seq)

  private hold(peer: string): void {
    const { directory, session } = this.parts
    this.desk.apply(session.outbox.hold(peer, this.desk.nowMs(), directory.inDoubt(peer)))
  }

  private sealNow(item: OutboxItem): void {
    const { sealer, session } = this.parts
    let code: string | null = null
    try {
      const [payloads, own] = [sealer.payloads(item), sealer.copies(item)]
      if (sendSize(payloads, own) <= MAX_FRAME) {
        this.desk.apply(session.outbox.sealed(item.id, payloads, this.desk.nowMs(), own))
        return
      }
      code = 'too_large'
    } catch {
      code = 'device_mismatch' // a key that cannot be sealed to
    }
    this.desk.apply(session.outbox.unsealable(item.id, this.desk.nowMs(), code))
  }

  private unsealable(items: OutboxItem[]): void {
    for (const item of items) {
      this.desk.apply(this.parts.session.outbox.unsealable(item.id, this.desk.nowMs()))
    }
  }

  private tell(peer: string, changes: KeyChanged[]): void {
    this.parts.saved.touch(peer)
    for (const change of changes) {
      this.desk.tell(change, 0)
    }
  }

  private release(peer: string): void {
    this.asking.delete(peer)
    this.parts.inbox.release(peer, this.deliver)
    this.process()
  }

  private askLater(peer: string, delayMs: number): void {
    this.asking.add(peer)
    this.parts.timers.armOnce(`keys ${peer}`, delayMs, () => this.desk.wantKeys(peer))
  }
}
