/**
 * What a message contains, once it is opened: text, or an envelope that says what it is.
 *
 *     envelope = 0xFF "roost" | version (1 byte, 1) | JSON object with the member "kind"
 *
 * Content without the mark is text, as it always was: 0xFF is no part of UTF-8. A reader ignores members that
 * it does not know. A kind or version that it does not know, or a form that is none, is shown as such.
 */

import { concat, fromBase64, fromUtf8, shownUtf8, unpadded, utf8 } from './bytes'
import { KEY_BYTES } from './crypto/keys'
import { uuid7Ms } from './ids'
import { type Members, members, optional, seqOf, text, whole } from './shapes'
import { MAX_EXPIRY_S } from './wire'

/** Bytes of one message's plaintext; sealed and padded it stays below the server's limit. */
export const MAX_CONTENT = 60 * 1024

const MARK = concat(Uint8Array.of(0xff), utf8('roost'))
const VERSION = 1
const KIND = /^[\x20-\x7e]{1,32}$/
const NAME_MAX = 255
const EMOJI_BYTES = 32
const THUMBNAIL_BYTES = 8 * 1024
const LARGEST_SIDE = 100_000

/** Where a file is, and what opens it. Name and type are the sender's: not to be trusted. */
export interface FileReference {
  mediaId: string
  key: Uint8Array
  sha256: Uint8Array
  size: number
  name: string
  type: string
  width: number | null
  height: number | null
  thumbnail: Uint8Array | null
}

export type Content =
  | { kind: 'text'; text: string; replyTo: string | null }
  | { kind: 'file'; file: FileReference; caption: string; replyTo: string | null }
  /** `''` takes it away. */
  | { kind: 'reaction'; to: string; emoji: string }
  | { kind: 'edit'; of: string; text: string }
  | { kind: 'delete'; of: string }
  /** The conversation's disappearing timer from now on. */
  | { kind: 'timer'; expiresInS: number | null }
  /** To own devices only: read on another device. */
  | { kind: 'read'; peer: string; seq: number }
  /** Of a kind that this version does not know, or that has not its form. */
  | { kind: 'unknown'; name: string }

export function encodeContent(content: Content): Uint8Array {
  switch (content.kind) {
    case 'text':
      if (content.replyTo === null) {
        return utf8(content.text)
      }
      return envelope({ kind: 'text', text: content.text, reply_to: content.replyTo })
    case 'file':
      return envelope({
        kind: 'file',
        file: encodedFile(content.file),
        ...(content.caption === '' ? {} : { caption: content.caption }),
        ...(content.replyTo === null ? {} : { reply_to: content.replyTo }),
      })
    case 'timer':
      return envelope({ kind: 'timer', expires_in_s: content.expiresInS })
    case 'unknown':
      throw new Error('what is not known is not sent')
    default:
      return envelope({ ...content })
  }
}

function encodedFile(file: FileReference): Members {
  return {
    media_id: file.mediaId,
    key: unpadded(file.key),
    sha256: unpadded(file.sha256),
    size: file.size,
    name: file.name,
    type: file.type,
    ...(file.width === null ? {} : { width: file.width }),
    ...(file.height === null ? {} : { height: file.height }),
    ...(file.thumbnail === null ? {} : { thumbnail: unpadded(file.thumbnail) }),
  }
}

const envelope = (json: Members): Uint8Array =>
  concat(MARK, Uint8Array.of(VERSION), utf8(JSON.stringify(json)))

/** Reads the content of a message; never throws. */
export function readContent(content: Uint8Array): Content {
  if (!MARK.every((byte, at) => content[at] === byte)) {
    return { kind: 'text', text: shownUtf8(content), replyTo: null }
  }
  if (content[MARK.length] !== VERSION) {
    return { kind: 'unknown', name: 'newer' }
  }
  try {
    const json = members(JSON.parse(fromUtf8(content.subarray(MARK.length + 1))))
    const kind = json.kind
    const name = typeof kind === 'string' && KIND.test(kind) ? kind : 'malformed'
    return readKind(name, json) ?? { kind: 'unknown', name }
  } catch {
    return { kind: 'unknown', name: 'malformed' }
  }
}

function readKind(kind: string, json: Members): Content | null {
  switch (kind) {
    case 'text':
      return { kind, text: text(json.text), replyTo: optional(json.reply_to, messageId) }
    case 'file':
      return {
        kind,
        file: readFile(members(json.file)),
        caption: optional(json.caption, text) ?? '',
        replyTo: optional(json.reply_to, messageId),
      }
    case 'reaction':
      return { kind, to: messageId(json.to), emoji: emoji(json.emoji) }
    case 'edit':
      return { kind, of: messageId(json.of), text: text(json.text) }
    case 'delete':
      return { kind, of: messageId(json.of) }
    case 'timer':
      return { kind, expiresInS: optional(json.expires_in_s, seconds) }
    case 'read':
      return { kind, peer: text(json.peer), seq: seqOf(json.seq) }
    default:
      return null
  }
}

function readFile(file: Members): FileReference {
  const [key, sha256] = [fromBase64(text(file.key)), fromBase64(text(file.sha256))]
  const size = seqOf(file.size)
  if (key.length !== KEY_BYTES || sha256.length !== KEY_BYTES) {
    throw new Error('a file has a key and a digest of 32 bytes')
  }
  const thumbnail = optional(file.thumbnail, text)
  return {
    mediaId: text(file.media_id),
    key,
    sha256,
    size,
    name: (optional(file.name, text) ?? '').slice(0, NAME_MAX),
    type: (optional(file.type, text) ?? 'application/octet-stream').slice(0, NAME_MAX),
    width: optional(file.width, side),
    height: optional(file.height, side),
    thumbnail: thumbnail !== null && thumbnail.length <= THUMBNAIL_BYTES * 1.4 ? picture(thumbnail) : null,
  }
}

function picture(text: string): Uint8Array | null {
  const bytes = fromBase64(text)
  return bytes.length <= THUMBNAIL_BYTES ? bytes : null
}

function side(value: unknown): number {
  const length = whole(value)
  if (length < 1 || length > LARGEST_SIDE) {
    throw new Error('a picture has a size')
  }
  return length
}

function emoji(value: unknown): string {
  const found = text(value)
  if (utf8(found).length > EMOJI_BYTES) {
    throw new Error('a reaction is one emoji')
  }
  return found
}

function seconds(value: unknown): number {
  const found = whole(value)
  if (found < 1 || found > MAX_EXPIRY_S) {
    throw new Error('a timer is from a second to 28 days')
  }
  return found
}

function messageId(value: unknown): string {
  const id = text(value)
  uuid7Ms(id)
  return id
}
