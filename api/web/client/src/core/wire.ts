/**
 * Frames of the WebSocket, in the encoding `roost.v1.json`.
 *
 * Read strictly: a frame of an unknown type or form is ignored (null), as are unknown members.
 */

import { unpadded } from './bytes'
import { decodeEntry, type Entry } from './entries'
import { fraction, list, type Members, members, oneOf, optional, seqOf, text, whole } from './shapes'

export const SUBPROTOCOL = 'roost.v1.json'

/** Entries that may be in flight to one stream, not yet acknowledged. */
export const WINDOW = 256

/** Length of one server frame that is read: more than 256 entries at their largest. */
export const MAX_SERVER_FRAME = 32 * 1024 * 1024

/** Bytes of one client frame. */
export const MAX_FRAME = 4 * 1024 * 1024

/** The longest that a message may ask to be kept for. */
export const MAX_EXPIRY_S = 28 * 24 * 3600

export type Payloads = { [device: string]: Uint8Array }

/** A message to one user: one ciphertext for each of the recipient's devices, and for one's own others. */
export interface Send {
  type: 'send'
  id: string
  to: string
  sentAtMs: number
  suite: string
  payloads: Payloads
  urgent: boolean
  expiresInS: number | null
  /** One for each other device of the sender; null: they get no copies. */
  own: Payloads | null
  /** It is a control message: no push, not counted as unread. */
  silent: boolean
}

export type ClientFrame =
  | Send
  | { type: 'hello'; token: string; cursor: number | null; background: boolean }
  | { type: 'ack'; seq: number }
  | { type: 'read'; peer: string; seq: number }
  | { type: 'typing'; peer: string; state: 'typing' | 'paused' }
  | { type: 'subscribe'; users: string[] }
  | { type: 'ping' }
  | { type: 'auth'; token: string }

export interface Ready {
  type: 'ready'
  deviceId: string
  cursor: number
  serverTimeMs: number
  /** Of which algorithms a fallback key is there that no one was given; null: not known this moment. */
  unusedFallbackKeyTypes: string[] | null
}
export interface Accepted {
  type: 'accepted'
  id: string
  seq: number
  acceptedAtMs: number
}
export interface Rejected {
  type: 'rejected'
  id: string
  code: string
  detail: string
  retryAfterS: number | null
  /** Of `device_mismatch`: it is the recipient's devices, or the sender's own, that are others. */
  ofPeer: boolean
  ofOwn: boolean
}

export type ServerFrame =
  | Ready
  | Accepted
  | Rejected
  | { type: 'drained'; cursor: number; prev: number }
  | { type: 'entries'; entries: Entry[] }
  | { type: 'typing'; peer: string; state: 'typing' | 'paused' }
  | { type: 'presence'; user: string; state: 'online' | 'offline'; lastSeenMs: number | null }
  | { type: 'pong'; serverTimeMs: number }
  | { type: 'token_expiring'; inS: number }
  | { type: 'missed' }
  | { type: 'bye'; code: string; reconnectAfterMs: number }
  | { type: 'problem'; frame: string; code: string; detail: string; retryAfterS: number | null }

/** What a `send` with these payloads takes at most, in bytes, whatever the encoding. */
export function sendSize(payloads: Payloads, own: Payloads | null): number {
  const each = [...Object.entries(payloads), ...Object.entries(own ?? {})].map(
    ([device, payload]) => device.length + 6 + Math.ceil(payload.length / 3) * 4,
  )
  return each.reduce((sum, size) => sum + size, 512)
}

export function encodeFrame(frame: ClientFrame): string {
  if (frame.type === 'send') {
    return JSON.stringify({ type: 'send', ...sendBody(frame) })
  }
  if (frame.type === 'hello') {
    const { type, token, cursor, background } = frame
    return JSON.stringify({ type, token, background, ...(cursor === null ? {} : { cursor }) })
  }
  return JSON.stringify(frame)
}

/** The members of a `send`, which are also the body of `POST /v1/messages`. */
export function sendBody(frame: Send): Members {
  return {
    id: frame.id,
    to: frame.to,
    sent_at_ms: frame.sentAtMs,
    suite: frame.suite,
    payloads: encoded(frame.payloads),
    urgent: frame.urgent,
    ...(frame.expiresInS === null ? {} : { expires_in_s: frame.expiresInS }),
    ...(frame.own === null ? {} : { own: encoded(frame.own) }),
    ...(frame.silent ? { silent: true } : {}),
  }
}

const encoded = (payloads: Payloads): Members =>
  Object.fromEntries(Object.entries(payloads).map(([device, payload]) => [device, unpadded(payload)]))

/**
 * Decodes a frame; null if this version does not know it. Throws if it is too long or no JSON, or an entry has
 * no place.
 */
export function decodeFrame(data: string): ServerFrame | null {
  if (data.length > MAX_SERVER_FRAME) {
    throw new Error('a frame is too long')
  }
  const frame: unknown = JSON.parse(data)
  if (typeof frame === 'object' && frame !== null && 'type' in frame && frame.type === 'entries') {
    return { type: 'entries', entries: list((frame as Members).entries).map(decodeEntry) }
  }
  try {
    return decodeKnown(members(frame))
  } catch {
    return null // a frame of a later version: unknown types and forms are ignored, like unknown members
  }
}

function decodeKnown(frame: Members): ServerFrame | null {
  switch (frame.type) {
    case 'ready':
      return {
        type: 'ready',
        deviceId: text(frame.device_id),
        cursor: seqOf(frame.cursor),
        serverTimeMs: whole(frame.server_time_ms),
        unusedFallbackKeyTypes: optional(frame.unused_fallback_key_types, types => list(types).map(text)),
      }
    case 'drained':
      return { type: 'drained', cursor: seqOf(frame.cursor), prev: seqOf(frame.prev) }
    case 'accepted':
      return {
        type: 'accepted',
        id: text(frame.id),
        seq: seqOf(frame.seq),
        acceptedAtMs: whole(frame.accepted_at_ms),
      }
    case 'rejected':
      return {
        type: 'rejected',
        id: text(frame.id),
        code: text(frame.code),
        detail: text(frame.detail),
        retryAfterS: optional(frame.retry_after_s, fraction),
        ofPeer: named(frame.missing) || named(frame.extra),
        ofOwn: named(frame.own_missing) || named(frame.own_extra),
      }
    case 'typing':
      return {
        type: 'typing',
        peer: text(frame.peer),
        state: oneOf(frame.state, 'typing', 'paused'),
      }
    case 'presence':
      return {
        type: 'presence',
        user: text(frame.user),
        state: oneOf(frame.state, 'online', 'offline'),
        lastSeenMs: optional(frame.last_seen_ms, whole),
      }
    case 'pong':
      return { type: 'pong', serverTimeMs: whole(frame.server_time_ms) }
    case 'token_expiring':
      return { type: 'token_expiring', inS: whole(frame.in_s) }
    case 'missed':
      return { type: 'missed' }
    case 'bye':
      return {
        type: 'bye',
        code: text(frame.code),
        reconnectAfterMs: whole(frame.reconnect_after_ms),
      }
    case 'problem':
      return {
        type: 'problem',
        frame: text(frame.frame),
        code: text(frame.code),
        detail: text(frame.detail),
        retryAfterS: optional(frame.retry_after_s, fraction),
      }
    default:
      return null
  }
}

/** Whether a refusal names devices. */
export const named = (devices: unknown): boolean => (optional(devices, list) ?? []).length > 0
