/** One device of one user: performs the core's effects and reports back what came of them. */

import type { Random } from '../../core/bytes'
import type { MessageState } from '../../core/client/confirmations'
import { Directory, type FoundKeys } from '../../core/client/directory'
import type { ClientEvent, Effect } from '../../core/client/events'
import { Inbox } from '../../core/client/inbox'
import { Session } from '../../core/client/session'
import type { OutboxItem } from '../../core/client/state'
import { SUITE } from '../../core/crypto/sealed'
import { uuid7 } from '../../core/ids'
import type { ClientFrame, ServerFrame } from '../../core/wire'
import { KeyCalls } from '../identity/calls'
import type { Store, Transaction } from '../store/port'
import type { Api } from '../transport/api'
import { Connection, type Owner, type Phase } from './connection'
import { Keeper, type Keeping, type Work } from './keeper'
import { type Desk, Peers } from './peers'
import { type Requester, Requests } from './requests'
import type { Saved } from './saved'
import { type Device, Sealer } from './sealer'
import { Timers } from './timers'

const BUSY_TICK_MS = 200
const IDLE_TICK_MS = 5000

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

export class Client implements Owner, Requester, Keeping, Desk {
  readonly session: Session
  readonly directory: Directory
  readonly requests: Requests
  readonly keys: KeyCalls
  readonly peers: Peers
  private readonly connection: Connection
  private readonly keeper: Keeper
  private readonly timers = new Timers()
  private outgoing: ClientFrame[] = []
  private isOver = false

  constructor(
    device: Device,
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
    this.requests = new Requests(api, this.keys, this)
    this.connection = new Connection(this.session, api, device.deviceId, this)
    this.keeper = new Keeper(store, this)
    const { session, directory, timers } = this
    const sealer = new Sealer(device, directory, random)
    const inbox = new Inbox(session, directory, secrets, username, serverName)
    this.peers = new Peers({ device, session, directory, sealer, inbox, saved, timers }, this)
    api.time.assume(saved.offsetMs)
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
    this.timers.arm('tick', BUSY_TICK_MS, () => this.tick())
  }

  /** Performs what the core asks for. */
  apply(effects: Effect[]): void {
    for (const effect of effects) {
      this.perform(effect)
    }
    if (effects.length > 0) {
      this.peers.process()
      this.keeper.flush()
    }
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
    this.timers.arm('renew', delay, () => this.requests.wantToken())
  }

  // --- what requests are answered ---

  keysArrived(peer: string, found: FoundKeys): void {
    this.peers.arrived(peer, found)
  }

  keysRefused(peer: string): void {
    this.peers.refuse(peer)
  }

  keysUnavailable(peers: Set<string>): void {
    this.peers.unavailable(peers)
  }

  publishIdentity(): Promise<void> {
    return this.app.publishIdentity()
  }

  renewFallback(): Promise<void> {
    return this.app.renewFallback()
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

  // --- what is asked for people's keys ---

  tell(event: ClientEvent | null, seq: number): void {
    this.keeper.tell(event, seq)
  }

  flush(): void {
    this.keeper.flush()
  }

  wantKeys(peer: string): void {
    this.requests.wantKeys(peer)
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
        this.peers.take(effect)
        return
      case 'tell':
        if (effect.event.type === 'typing' || effect.event.type === 'presence') {
          this.app.transient(effect.event)
        } else {
          this.keeper.tell(effect.event, 0)
        }
        return
      case 'seal':
        this.peers.seal(effect.item, effect.refresh, effect.own)
        return
      case 'check':
        this.requests.wantCheck(effect.id, effect.to)
        return
      case 'requery':
        this.peers.requery(effect.peer)
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

  private tick(): void {
    if (this.isOver) {
      return
    }
    if (this.api.time.jumped() && this.session.open) {
      this.apply([{ do: 'write', frame: { type: 'ping' } }])
    }
    this.apply(this.session.tick(this.nowMs()))
    this.timers.arm('tick', this.session.outbox.busy ? BUSY_TICK_MS : IDLE_TICK_MS, () => this.tick())
  }

  private cancel(): void {
    this.timers.end()
    this.requests.stop()
    this.connection.stop()
  }
}
