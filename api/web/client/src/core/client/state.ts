/** What a client keeps of its session. Only data lives here: `session` changes it, the store keeps it. */

import type { IdentityKeys } from '../crypto/identity'
import type { Payloads } from '../wire'

/** A message that is not known to be delivered. */
export interface OutboxItem {
  /** Position in the order of sending, increasing over all peers. */
  order: number
  /** UUIDv7 on the server's clock. */
  id: string
  to: string
  sentAtMs: number
  /** Plaintext; needed again when the recipient's devices change. */
  content: Uint8Array
  /** Whether it may wake the recipient. */
  urgent: boolean
  /** How long the server should keep it; null: without limit. */
  expiresInS: number | null
  /** Ciphertext by device. Kept, so that a repeat carries the same bytes. */
  payloads: Payloads | null
  /** Number in the recipient's mailbox, once accepted. */
  seq: number | null
  acceptedAtMs: number
  /** The server has said that the message is stored: no loss of the log can take it. */
  safe: boolean
  /** Ciphertext by this user's other devices, kept likewise; null: they get no copies. */
  own: Payloads | null
  /** It is a control message: no push, not counted as unread. */
  silent: boolean
}

/** A device of a peer as first seen, its signature checked. */
export interface Pin {
  curve25519: Uint8Array
  ed25519: Uint8Array
  /** It is still one of the peer's devices (a removed one's late messages still verify). */
  current: boolean
  /** Other keys that the server now gives for this very device, not trusted. */
  offered: [Uint8Array, Uint8Array] | null
  /**
   * It was there at first sight, its owner's identity has signed it, the user has accepted it, or the app does
   * not ask for any of that.
   */
  confirmed: boolean
  /** Its owner's pinned identity has signed it. */
  signed: boolean
}

/** A person's identity as first seen. */
export interface PinnedIdentity {
  /** Null: there were only such as no known device vouches for. */
  keys: IdentityKeys | null
  /** The user has compared the safety number. */
  verified: boolean
  /** Another identity that the server now gives, not trusted. */
  offered: IdentityKeys | null
}

/** The position of the session with the server. */
export interface State {
  /** Everything up to here has been taken by the app; null: never connected. */
  cursor: number | null
  /** Last position given to an outbox item. */
  order: number
  /** Messages not known to be delivered, by id. */
  outbox: Map<string, OutboxItem>
  /**
   * `user/device/id` -> seq of messages that the app has taken, for the id window. Of copies of what this
   * user's other devices sent, the user is empty.
   */
  seen: Map<string, number>
  /** Delivered watermark per peer, in the peer's mailbox. */
  delivered: Map<string, number>
  /** Read watermark per peer, likewise. */
  read: Map<string, number>
  /** This user's own read marks that may not have reached the server. */
  reads: Map<string, number>
}

export function emptyState(cursor: number | null = null): State {
  const maps = { outbox: new Map(), seen: new Map(), delivered: new Map(), read: new Map(), reads: new Map() }
  return { cursor, order: 0, ...maps }
}

/** Returns whether an item's time is over: from its acceptance on or, before that, from its making. */
export function hasExpired(item: OutboxItem, nowMs: number): boolean {
  return item.expiresInS !== null && (item.acceptedAtMs || item.sentAtMs) + item.expiresInS * 1000 <= nowMs
}
