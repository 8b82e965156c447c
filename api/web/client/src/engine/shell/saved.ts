/** The saved state of a session: read at the start, and of each change only what is different is written. */

import type { Pins } from '../../core/client/directory'
import { emptyState, type OutboxItem, type PinnedIdentity, type State } from '../../core/client/state'
import type { Transaction } from '../store/port'

interface SessionRow {
  cursor: number | null
  order: number
  delivered: Map<string, number>
  read: Map<string, number>
  reads: Map<string, number>
  offsetMs: number
}

/** What is pinned of a peer. */
interface PeerRow {
  pins: Pins
  identity: PinnedIdentity | null
}

/** A map that notes which of its keys have changed. */
class Noted<V> extends Map<string, V> {
  // Not a field with a value: the constructor of Map sets entries before it would be there.
  private touched?: Set<string>

  override set(key: string, value: V): this {
    this.notes().add(key)
    return super.set(key, value)
  }

  override delete(key: string): boolean {
    this.notes().add(key)
    return super.delete(key)
  }

  notes(): Set<string> {
    this.touched ??= new Set()
    return this.touched
  }
}

export class Saved {
  readonly state: State
  readonly peers: Map<string, Pins>
  readonly identities: Map<string, PinnedIdentity>
  private readonly seen: Noted<number>
  private readonly dirtyPeers = new Set<string>()
  private readonly written = new Map<number, string>()
  private pending: Map<number, string> | null = null
  private seenWritten: string[] = []
  private peersWritten: string[] = []

  private constructor(
    row: SessionRow | undefined,
    outbox: OutboxItem[],
    seen: [string, number][],
    peers: [string, PeerRow][],
  ) {
    this.seen = new Noted(seen)
    this.seen.notes().clear()
    const items = new Map(outbox.map(item => [item.id, item]))
    this.state = { ...emptyState(), ...row, outbox: items, seen: this.seen }
    this.peers = new Map(peers.map(([peer, { pins }]) => [peer, pins]))
    const pinned = peers.filter(([, { identity }]) => identity !== null)
    this.identities = new Map(pinned.map(([peer, { identity }]) => [peer, identity as PinnedIdentity]))
    this.offsetMs = row?.offsetMs ?? 0
    for (const item of outbox) {
      this.written.set(item.order, signature(item))
    }
  }

  /** The server's clock minus this machine's. */
  offsetMs: number

  static async load(transaction: Transaction): Promise<Saved> {
    const row = await transaction.get<SessionRow>('meta', 'session')
    const outbox = await transaction.all<OutboxItem>('outbox')
    const seen = await transaction.all<number>('seen')
    const peers = await transaction.all<PeerRow>('peers')
    return new Saved(
      row,
      outbox.map(([, item]) => item),
      seen as [string, number][],
      peers as [string, PeerRow][],
    )
  }

  /** What is pinned of this peer has changed. */
  touch(peer: string): void {
    this.dirtyPeers.add(peer)
  }

  /** Writes what differs from what was written last. */
  async save(transaction: Transaction): Promise<void> {
    const { cursor, order, delivered, read, reads } = this.state
    const row: SessionRow = { cursor, order, delivered, read, reads, offsetMs: this.offsetMs }
    await transaction.put('meta', row, 'session')
    const now = new Map([...this.state.outbox.values()].map(item => [item.order, item]))
    this.pending = new Map([...now].map(([place, item]) => [place, signature(item)]))
    for (const [place, item] of now) {
      if (this.written.get(place) !== this.pending.get(place)) {
        await transaction.put('outbox', item)
      }
    }
    for (const place of this.written.keys()) {
      if (!now.has(place)) {
        await transaction.delete('outbox', place)
      }
    }
    this.seenWritten = [...this.seen.notes()]
    for (const key of this.seenWritten) {
      const seq = this.seen.get(key)
      await (seq === undefined ? transaction.delete('seen', key) : transaction.put('seen', seq, key))
    }
    this.peersWritten = [...this.dirtyPeers]
    for (const peer of this.peersWritten) {
      const row: PeerRow = {
        pins: this.peers.get(peer) ?? new Map(),
        identity: this.identities.get(peer) ?? null,
      }
      await transaction.put('peers', row, peer)
    }
  }

  /** The transaction that `save` wrote in is on the disk. */
  kept(): void {
    if (this.pending !== null) {
      this.written.clear()
      for (const [place, mark] of this.pending) {
        this.written.set(place, mark)
      }
    }
    this.pending = null
    for (const key of this.seenWritten) {
      this.seen.notes().delete(key)
    }
    for (const peer of this.peersWritten) {
      this.dirtyPeers.delete(peer)
    }
    this.seenWritten = []
    this.peersWritten = []
  }
}

/** What of an item can change; its content never does. */
const signature = (item: OutboxItem): string =>
  [item.id, item.seq, item.acceptedAtMs, item.safe, item.payloads === null].join()
