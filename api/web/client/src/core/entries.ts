/**
 * Entries of a mailbox, in the encoding `roost.v1.json`.
 *
 * Read strictly: an entry of an unknown type or form keeps its place and name (`opaque`), and what has no
 * place in the mailbox is an error. Unknown members are ignored.
 */

import { fromBase64 } from './bytes'
import { foldUsername } from './ids'
import { flag, Malformed, type Members, members, oneOf, optional, seqOf, text, whole } from './shapes'

export interface MessageEntry {
  type: 'message'
  seq: number
  prev: number
  atMs: number
  id: string
  from: string
  fromDevice: string
  sentAtMs: number
  acceptedAtMs: number
  suite: string
  payload: Uint8Array
  expiresAtMs: number | null
  silent: boolean
}
export interface ReceiptEntry {
  type: 'receipt'
  seq: number
  prev: number
  peer: string
  deliveredSeq: number
  readSeq: number
}
export interface KeysEntry {
  type: 'keys'
  seq: number
  prev: number
  user: string
  device: string
}
export interface SentEntry {
  type: 'sent'
  seq: number
  prev: number
  atMs: number
  id: string
  to: string
  fromDevice: string
  toSeq: number
  sentAtMs: number
  acceptedAtMs: number
  suite: string
  /** This device's copy, if the sender gave copies. */
  payload: Uint8Array | null
  expiresAtMs: number | null
  silent: boolean
}
/** An entry of an unknown type, as far as it can be read. */
export interface Opaque {
  type: 'opaque'
  seq: number
  prev: number
  kind: string
}
export type Entry = MessageEntry | ReceiptEntry | KeysEntry | SentEntry | Opaque

/** Decodes an entry; one whose type or form is unknown keeps its place. Throws if it has none. */
export function decodeEntry(value: unknown): Entry {
  const entry = members(value)
  try {
    return decodeKnownEntry(entry)
  } catch {
    return {
      type: 'opaque',
      seq: seqOf(entry.seq),
      prev: optional(entry.prev, seqOf) ?? 0,
      kind: typeof entry.type === 'string' ? entry.type : '?',
    }
  }
}

function decodeKnownEntry(entry: Members): Entry {
  const place = { seq: seqOf(entry.seq), prev: seqOf(entry.prev) }
  const atMs = whole(entry.at_ms)
  switch (entry.type) {
    case 'message':
      return {
        type: 'message',
        ...place,
        atMs,
        id: text(entry.id),
        from: username(entry.from),
        fromDevice: text(entry.from_device),
        sentAtMs: whole(entry.sent_at_ms),
        acceptedAtMs: whole(entry.accepted_at_ms),
        suite: text(entry.suite),
        payload: fromBase64(text(entry.payload)),
        expiresAtMs: optional(entry.expires_at_ms, whole),
        silent: optional(entry.silent, flag) ?? false,
      }
    case 'receipt':
      return {
        type: 'receipt',
        ...place,
        peer: username(entry.peer),
        deliveredSeq: whole(entry.delivered_seq),
        readSeq: whole(entry.read_seq),
      }
    case 'keys':
      oneOf(entry.change, 'added', 'removed', 'changed')
      return { type: 'keys', ...place, user: username(entry.user), device: text(entry.device) }
    case 'sent':
      return {
        type: 'sent',
        ...place,
        atMs,
        id: text(entry.id),
        to: username(entry.to),
        fromDevice: text(entry.from_device),
        toSeq: whole(entry.to_seq),
        sentAtMs: whole(entry.sent_at_ms),
        acceptedAtMs: whole(entry.accepted_at_ms),
        suite: optional(entry.suite, text) ?? '',
        payload: optional(entry.payload, value => fromBase64(text(value))),
        expiresAtMs: optional(entry.expires_at_ms, whole),
        silent: optional(entry.silent, flag) ?? false,
      }
    default:
      throw new Error('an entry of a type that this version does not know')
  }
}

/** A username in its one spelling: another one may look like that of someone else. */
function username(value: unknown): string {
  const name = text(value)
  if (foldUsername(name) !== name) {
    throw new Malformed('not a username')
  }
  return name
}
