/** What the core tells the app, and what it asks the shell to do. */

import type { MessageEntry, SentEntry } from '../entries'
import type { ClientFrame } from '../wire'
import type { OutboxItem } from './state'

/**
 * What happened to a device's keys, or to a person's identity.
 *
 * `changed`: other keys for a known device, which no honest server gives. `confirmed`: the owner's identity has
 * signed the device since; `unconfirmed`: it does no longer. `identity`: the person has another identity, or one
 * that no known device vouches for. `invalid`: a bad signature.
 */
export type KeyChange = 'added' | 'removed' | 'changed' | 'confirmed' | 'unconfirmed' | 'identity' | 'invalid'

export interface KeyChanged {
  type: 'key_changed'
  peer: string
  /** Empty if it is about the person's identity. */
  device: string
  change: KeyChange
  /** The device's Ed25519 key, or the person's master key, in base64. */
  fingerprint: string
  /** Nothing is sent to the peer until it is trusted. */
  held: boolean
  /** The owner's identity, as this client knows it, has signed the device. */
  confirmed: boolean
}

/** A message, decrypted and verified; each is reported once. */
export interface MessageReceived {
  type: 'message'
  peer: string
  device: string
  id: string
  seq: number
  content: Uint8Array
  sentAtMs: number
  atMs: number
  expiresAtMs: number | null
  /** It is a control message, to be taken into account and not shown by itself. */
  silent: boolean
  /** The sender's identity has signed the device; else the server may have made it up. */
  confirmed: boolean
}

export interface UndecryptableReceived {
  type: 'undecryptable'
  peer: string
  device: string
  id: string
  seq: number
  reason: string
  detail: string
  sentAtMs: number
  atMs: number
}

/** Another of this user's devices has sent a message; each is reported once. */
export interface SentElsewhere {
  type: 'sent_elsewhere'
  id: string
  /** Who it was sent to. */
  peer: string
  device: string
  /** Its number in the peer's mailbox, which the peer's watermarks cover. */
  seq: number
  sentAtMs: number
  atMs: number
  /** Null if there is no copy for this device. */
  content: Uint8Array | null
  expiresAtMs: number | null
  silent: boolean
  /** Why there is a copy that cannot be opened; empty if that is not so. */
  reason: string
  detail: string
}

export type ClientEvent =
  | KeyChanged
  | MessageReceived
  | UndecryptableReceived
  | SentElsewhere
  /** The server has the message durably since `atMs`, as number `seq` of the recipient's mailbox. */
  | { type: 'accepted'; id: string; peer: string; seq: number; atMs: number }
  /** The time of the message is over: it is not sent again. */
  | { type: 'expired'; id: string; peer: string }
  /** `peer` has everything up to `seq`; `ids` are the messages newly known to be there. */
  | { type: 'delivered'; peer: string; seq: number; ids: string[] }
  | { type: 'read'; peer: string; seq: number }
  /** A message will not be sent again. */
  | { type: 'failed'; id: string; peer: string; code: string; detail: string }
  /** A message that was not accepted is sent under another id. */
  | { type: 'id_changed'; id: string; newId: string; peer: string }
  | { type: 'typing'; peer: string; state: 'typing' | 'paused' }
  | { type: 'presence'; peer: string; state: 'online' | 'offline'; lastSeenMs: number | null }
  | { type: 'connected'; cursor: number }
  | { type: 'synced'; cursor: number }
  /** Entries after `after` are gone from the server; what is left continues before `upto`. */
  | { type: 'missed'; after: number; upto: number }
  /** An entry of a kind that this version does not know. */
  | { type: 'unsupported'; seq: number; kind: string }
  /** The server refused a frame that was not a message. */
  | { type: 'refused'; frame: string; code: string; detail: string }

export type Effect =
  /** Send this frame. */
  | { do: 'write'; frame: ClientFrame }
  /**
   * Encrypt for the recipient's devices and answer with `sealed` or `unsealable`; `refresh`: query them first,
   * `own`: query this user's other ones first.
   */
  | { do: 'seal'; item: OutboxItem; refresh: boolean; own: boolean }
  /** The message was never accepted, and its id is refused for its time: answer with `reissued`. */
  | { do: 'reissue'; item: OutboxItem }
  /** Ask the server for its view of this message and answer with `checked`. */
  | { do: 'check'; id: string; to: string }
  /** The keys of this user have changed: ask for them. */
  | { do: 'requery'; peer: string }
  | Take
  /** Tell the app; the order to mailbox entries does not matter. */
  | { do: 'tell'; event: ClientEvent }
  /** Drop the connection and come back with the cursor: something was left out. */
  | { do: 'resync' }
  /** The access token is about to expire: refresh it and send `auth`. */
  | { do: 'renew' }
  /** The device's fallback key was given out: upload another one. */
  | { do: 'refill' }

/** Hand these to the app, after everything before; then call `taken(seq)`. */
export interface Take {
  do: 'take'
  seq: number
  /** A message, or the copy of one, to be opened, if it is one. */
  entry: MessageEntry | SentEntry | null
  events: ClientEvent[]
}

export const tell = (event: ClientEvent): Effect => ({ do: 'tell', event })
export const write = (frame: ClientFrame): Effect => ({ do: 'write', frame })
export const take = (seq: number, ...events: ClientEvent[]): Take => ({
  do: 'take',
  seq,
  entry: null,
  events,
})
