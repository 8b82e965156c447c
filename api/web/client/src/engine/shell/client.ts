/** One device of one user: performs the core's effects and reports back what came of them. */

import type { Random } from '../../core/bytes'
import type { MessageState } from '../../core/client/confirmations'
import { Directory, type FoundKeys } from '../../core/client/directory'
import type { ClientEvent, Effect, KeyChanged } from '../../core/client/events'
import { ASKED_AT_MOST, Inbox } from '../../core/client/inbox'
import { pauseMs } from '../../core/client/lane'
import { Session } from '../../core/client/session'
import type { OutboxItem } from '../../core/client/state'
import { publicHalf, verifyKey } from '../../core/crypto/keys'
import { SUITE } from '../../core/crypto/sealed'
import { uuid7 } from '../../core/ids'
import { type ClientFrame, MAX_FRAME, type ServerFrame, sendSize } from '../../core/wire'
import type { Person } from '../identity/archive'
import { KeyCalls } from '../identity/calls'
import type { Store, Transaction } from '../store/port'
import type { Api } from '../transport/api'
import { Connection, type Owner, type Phase } from './connection'
import { Keeper, type Keeping, type Work } from './keeper'
import { type Requester, Requests } from './requests'
import type { Saved } from './saved'
import { type Device, Sealer } from './sealer'

const BUSY_TICK_MS = 200
const IDLE_TICK_MS = 5000
const ASK_AGAIN_MS = 500

/** Refused queries, some 50 s, after which messages of a sender without keys are no longer kept waiting. */
const REFUSED_AT_MOST = 8

/** What keeps the messages, and tells the pages of them. */
export interface App {
  /** Keeps an event of the session, in the transaction that takes it. */
  event(transaction: Transaction, event: ClientEvent): Promise<void>
  /** Tells what is not kept: who types, who is there. */
  transient(event: ClientEvent): void
  /** A transaction is on the disk (or will be tried again): tell what was staged in it (or forget it). */
  published(): void
  dropped(error: unknown): boolean
  phase(phase: Phase): void
  /** Makes and publishes this person's identity; throws as calls do. */
  publishIdentity(): Promise<void>
  /** Uploads another fallback key; throws as calls do. */
  renewFallback(): Promise<void>
  /** The session is over: this device has to sign in again. */
  over(code: string): void
  /** A fault of this program: whoever uses it is told. */
  broke(error: unknown): void
}

export class Client implements Owner, Requester, Keeping {
  readonly session: Session
  readonly directory: Directory
  readonly requests: Requests
  readonly keys: KeyCalls
  private readonly sealer: Sealer
  private readonly inbox: Inbox
  private readonly connection: Connection
  private readonly keeper: Keeper
  private readonly asking = new Set<string>()
  private readonly refused = new Map<string, number>()
  private readonly timers = new Map<string, ReturnType<typeof setTimeout>>()
  private outgoing: ClientFrame[] = []
  private isOver = false

  constructor(
    private readonly device: Device,
    store: Store,
    private readonly saved: Saved,
    readonly api: Api,
    private readonly app: App,
    private readonly random: Random,
  ) {
    const { username, serverName, secrets } = device
    this.session = new Session(saved.state, SUITE)
    this.directory = new Directory(serverName, saved.peers, saved.identities)
    this.keys = new KeyCalls(api, serverName)
    this.sealer = new Sealer(device, this.directory, random)
    this.inbox = new Inbox(this.session, this.directory, secrets, username, serverName)
    this.requests = new Requests(api, this.keys, this)
    this.connection = new Connection(this.session, api, device.deviceId, this)
    this.keeper = new Keeper(store, this)
    api.time.assume(saved.offsetMs)
    if (!saved.peers.has(username)) {
      // Pinned like a peer's, so that another device of this user shows up as an event.
      const own = { curve25519: publicHalf(secrets.curve25519), ed25519: verifyKey(secrets.ed25519) }
      const pin = { ...own, current: true, offered: null, confirmed: true, signed: false }
      saved.peers.set(username, new Map([[device.deviceId, pin]]))
      saved.touch(username)
    }
    for (const peer of saved.peers.keys()) {
      this.session.outbox.hold(peer, 0, this.directory.inDoubt(peer))
    }
  }

  /** The time on the server's clock, as far as it is known. */
  nowMs(): number {
    return this.api.time.nowMs()
  }

  /** A fresh message id. */
  freshId(): string {
    return uuid7(this.nowMs(), this.random(10))
  }

  start(): void {
    void this.connection
      .run()
      .then(code => this.sessionOver(code))
      .catch(error => this.broke(error))
    this.tick()
    this.armRenewal()
  }

  /** Ends the connection, and keeps what is left. */
  async stop(): Promise<void> {
    this.isOver = true
    this.cancel()
    await this.keeper.stop()
  }

  /** The network has come back, or the page is looked at again. */
  wake(): void {
    this.connection.retryNow()
  }

  /** Keeps something, together with the session's state; nothing that is due leaves before. */
  keep<T>(work: Work<T>): Promise<T> {
    return this.keeper.keep(work)
  }

  /** Puts a message into the outbox; it is kept with what `keep` is given in the same turn. */
  submit(item: OutboxItem): void {
    this.apply(this.session.submit(item, this.nowMs()))
    this.arm('tick', BUSY_TICK_MS, () => this.tick())
  }

  /** Performs what the core asks for. */
  apply(effects: Effect[]): void {
    for (const effect of effects) {
      this.perform(effect)
    }
    if (effects.length > 0) {
      this.processInbox()
      this.keeper.flush()
    }
  }

  /** Accepts the changed keys and added devices of `peer`, and sends what waits. */
  trust(peer: string): void {
    this.directory.trust(peer)
    this.saved.touch(peer)
    this.apply(this.session.outbox.hold(peer, this.nowMs(), false))
    this.keeper.flush()
  }

  // --- what the connection reports ---

  received(frame: ServerFrame): void {
    this.apply(this.session.received(frame, this.nowMs()))
  }

  closed(_code: string): void {
    this.outgoing = []
    this.session.closed(this.nowMs())
  }

  phase(phase: Phase): void {
    this.app.phase(phase)
  }

  tooLarge(): void {
    this.apply(this.session.outbox.refuseLargest(this.nowMs()))
  }

  armRenewal(): void {
    const delay = Math.max(1000, this.api.renewAtMs() - Date.now())
    this.arm('renew', delay, () => this.requests.wantToken())
  }

  // --- what requests are answered ---

  keysArrived(peer: string, found: FoundKeys): void {
    this.tellChanges(peer, this.directory.learn(peer, found.bundles, found.identity))
    const waiting = this.sealer.release(peer)
    this.unsealable(waiting.filter(item => this.directory.inDoubt(item.to)))
    this.apply(this.session.outbox.hold(peer, this.nowMs(), this.directory.inDoubt(peer)))
    for (const item of waiting.filter(each => !this.directory.inDoubt(each.to))) {
      this.sealNow(item)
    }
    this.refused.delete(peer)
    const asked = this.inbox.asked(peer)
    if (asked > 0 && asked < ASKED_AT_MOST) {
      this.askLater(peer, ASK_AGAIN_MS * asked)
    } else {
      this.release(peer)
    }
    this.keeper.flush()
  }

  /** What is known of a peer has changed: hold or release what waits for it, and ask for its keys. */
  keysChanged(peer: string, changes: KeyChanged[] = []): void {
    this.tellChanges(peer, changes)
    this.apply(this.session.outbox.hold(peer, this.nowMs(), this.directory.inDoubt(peer)))
    this.requests.wantKeys(peer)
    this.keeper.flush()
  }

  /** Whom this device knows, but for this user's own devices. */
  people(): Person[] {
    const peers = [...this.saved.peers].filter(([peer]) => peer !== this.device.username)
    return peers.map(([peer, devices]) => ({
      peer,
      devices,
      identity: this.saved.identities.get(peer) ?? null,
    }))
  }

  /** Has what is pinned of this peer kept. */
  touch(peer: string): void {
    this.saved.touch(peer)
    this.keeper.flush()
  }

  publishIdentity(): Promise<void> {
    return this.app.publishIdentity()
  }

  renewFallback(): Promise<void> {
    return this.app.renewFallback()
  }

  keysRefused(peer: string): void {
    this.unsealable(this.sealer.release(peer))
    const times = (this.refused.get(peer) ?? 0) + 1
    this.refused.set(peer, times)
    if (times >= REFUSED_AT_MOST) {
      this.inbox.giveUp(peer)
      this.release(peer)
    }
    if (this.directory.knows(peer) || this.inbox.waitsFor(peer)) {
      this.askLater(peer, pauseMs(times))
    }
    this.keeper.flush()
  }

  keysUnavailable(peers: Set<string>): void {
    for (const peer of peers) {
      this.unsealable(this.sealer.release(peer))
    }
  }

  checkAnswered(id: string, answer: MessageState | null): void {
    this.apply(this.session.outbox.checked(id, answer, this.nowMs()))
  }

  checkUnanswered(id: string): void {
    this.session.outbox.unchecked(id, this.nowMs())
  }

  tokenRefreshed(token: string): void {
    if (this.session.open) {
      this.apply([{ do: 'write', frame: { type: 'auth', token } }])
    }
    this.armRenewal()
  }

  broke(error: unknown): void {
    this.app.broke(error)
  }

  sessionOver(code: string): void {
    if (!this.isOver) {
      this.isOver = true
      this.cancel()
      this.app.over(code)
    }
  }

  // --- what the keeper asks ---

  event(transaction: Transaction, event: ClientEvent): Promise<void> {
    return this.app.event(transaction, event)
  }

  begin(seqs: number[]): () => void {
    for (const seq of seqs) {
      this.session.taken(seq, this.nowMs())
    }
    const ack = this.session.ackDue()
    const frames = ack === null ? this.outgoing : [...this.outgoing, ack]
    this.outgoing = []
    const generation = this.connection.generation
    return () => this.connection.write(frames, generation)
  }

  async save(transaction: Transaction): Promise<void> {
    this.saved.offsetMs = Math.round(this.api.time.offsetMs)
    await this.saved.save(transaction)
  }

  kept(): void {
    this.saved.kept()
    this.app.published()
  }

  failed(error: unknown): boolean {
    return this.app.dropped(error)
  }

  // --- ---

  private perform(effect: Effect): void {
    switch (effect.do) {
      case 'write':
        this.outgoing.push(effect.frame)
        return
      case 'take':
        this.inbox.add(effect)
        return
      case 'tell':
        if (effect.event.type === 'typing' || effect.event.type === 'presence') {
          this.app.transient(effect.event)
        } else {
          this.keeper.tell(effect.event, 0)
        }
        return
      case 'seal':
        this.seal(effect.item, effect.refresh, effect.own)
        return
      case 'check':
        this.requests.wantCheck(effect.id, effect.to)
        return
      case 'requery':
        if (this.directory.knows(effect.peer)) {
          this.requests.wantKeys(effect.peer)
        }
        return
      case 'resync':
        this.connection.restart()
        return
      case 'renew':
        this.requests.wantToken(true)
        return
      case 'refill':
        this.requests.wantFallback()
        return
      case 'reissue':
        this.apply(this.session.outbox.reissued(effect.item, this.freshId(), this.nowMs()))
        return
    }
  }

  private seal(item: OutboxItem, refresh: boolean, own: boolean): void {
    if (own || refresh || this.directory.recipients(item.to).size === 0) {
      const user = own ? this.device.username : item.to
      this.sealer.wait(item, user)
      this.requests.wantKeys(user)
    } else {
      this.sealNow(item)
    }
  }

  private sealNow(item: OutboxItem): void {
    const { outbox } = this.session
    let code: string | null = null
    try {
      const [payloads, own] = [this.sealer.payloads(item), this.sealer.copies(item)]
      if (sendSize(payloads, own) <= MAX_FRAME) {
        this.apply(outbox.sealed(item.id, payloads, this.nowMs(), own))
        return
      }
      code = 'too_large'
    } catch {
      code = 'device_mismatch' // a key that cannot be sealed to
    }
    this.apply(outbox.unsealable(item.id, this.nowMs(), code))
  }

  private tellChanges(peer: string, changes: KeyChanged[]): void {
    this.saved.touch(peer)
    for (const change of changes) {
      this.keeper.tell(change, 0)
    }
  }

  private unsealable(items: OutboxItem[]): void {
    for (const item of items) {
      this.apply(this.session.outbox.unsealable(item.id, this.nowMs()))
    }
  }

  private readonly deliver = (event: ClientEvent | null, seq: number): void => this.keeper.tell(event, seq)

  private processInbox(): void {
    for (const peer of this.inbox.process(this.deliver)) {
      if (!this.asking.has(peer)) {
        this.asking.add(peer)
        this.requests.wantKeys(peer)
      }
    }
  }

  private release(peer: string): void {
    this.asking.delete(peer)
    this.inbox.release(peer, this.deliver)
    this.processInbox()
  }

  private askLater(peer: string, delayMs: number): void {
    this.asking.add(peer)
    const name = `keys ${peer}`
    if (!this.timers.has(name)) {
      this.arm(name, delayMs, () => {
        this.timers.delete(name)
        this.requests.wantKeys(peer)
      })
    }
  }

  private tick(): void {
    if (this.isOver) {
      return
    }
    if (this.api.time.jumped() && this.session.open) {
      this.apply([{ do: 'write', frame: { type: 'ping' } }])
    }
    this.apply(this.session.tick(this.nowMs()))
    this.arm('tick', this.session.outbox.busy ? BUSY_TICK_MS : IDLE_TICK_MS, () => this.tick())
  }

  private arm(name: string, delayMs: number, then: () => void): void {
    clearTimeout(this.timers.get(name))
    if (!this.isOver) {
      this.timers.set(name, setTimeout(then, delayMs))
    }
  }

  private cancel(): void {
    for (const timer of this.timers.values()) {
      clearTimeout(timer)
    }
    this.requests.stop()
    this.connection.stop()
  }
}
