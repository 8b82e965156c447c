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
import { foldUsername, uuid7Ms } from './ids'
import { type Members, members, optional, seqOf, text, whole } from './shapes'
import { MAX_EXPIRY_S } from './wire'

/** Bytes of one message's plaintext; sealed and padded it stays below the server's limit. */
export const MAX_CONTENT = 60 * 1024

const MARK = concat(Uint8Array.of(0xff), utf8('roost'))
const VERSION = 1
const KIND = /^[\x20-\x7e]{1,32}$/
const NAME_BYTES = 255
const EMOJI_BYTES = 64
const DEVICE_BYTES = 64
const THUMBNAIL_BYTES = 8 * 1024
const LARGEST_SIDE = 65_535
const MEDIA_ID = /^[A-Za-z0-9_-]{1,128}$/

/** Controls, line ends, and what turns the reading direction. Joiners and tags are parts of emoji. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for
const DECEIVING = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/
const LONE_SURROGATE = /\p{Surrogate}/u

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
  /** To own devices only: the answer of the device that has read the code of the new one; see `linkcode`. */
  | { kind: 'linked'; device: string; sealed: string; proof: string }
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

/** The members of a file in an envelope. */
export function encodedFile(file: FileReference): Members {
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

/** Whether content changes what else is shown, and is sent silently. */
export function isControl(content: Content): boolean {
  return content.kind !== 'text' && content.kind !== 'file' && content.kind !== 'unknown'
}

/** Reads the content of a message; never throws. */
export function readContent(content: Uint8Array): Content {
  if (!MARK.every((byte, at) => content[at] === byte)) {
    return { kind: 'text', text: shownUtf8(content), replyTo: null }
  }
  if (content[MARK.length] !== VERSION) {
    return { kind: 'unknown', name: 'newer' }
  }
  try {
    if (content.length > MAX_CONTENT) {
      return { kind: 'unknown', name: 'malformed' }
    }
    const json = members(JSON.parse(fromUtf8(content.subarray(MARK.length + 1))))
    const { kind } = json
    const name = typeof kind === 'string' && KIND.test(kind) ? kind : 'malformed'
    return readKind(name, json) ?? { kind: 'unknown', name }
  } catch {
    return { kind: 'unknown', name: 'malformed' }
  }
}

function readKind(kind: string, json: Members): Content | null {
  switch (kind) {
    case 'text':
      return { kind, text: words(json.text), replyTo: optional(json.reply_to, messageId) }
    case 'file':
      return {
        kind,
        file: readFile(members(json.file)),
        caption: optional(json.caption, words) ?? '',
        replyTo: optional(json.reply_to, messageId),
      }
    case 'reaction':
      return { kind, to: messageId(json.to), emoji: emoji(json.emoji) }
    case 'edit':
      return { kind, of: messageId(json.of), text: words(json.text) }
    case 'delete':
      return { kind, of: messageId(json.of) }
    case 'timer':
      if (json.expires_in_s === undefined) {
        throw new Error('a timer says for how long')
      }
      return { kind, expiresInS: optional(json.expires_in_s, seconds) }
    case 'read':
      return { kind, peer: username(json.peer), seq: seqOf(json.seq) }
    case 'linked':
      return {
        kind,
        device: deviceId(json.device),
        sealed: bytesIn(json.sealed, null),
        proof: bytesIn(json.proof, KEY_BYTES),
      }
    default:
      return null
  }
}

/** Reads where a file is and what opens it; throws if it has not its form. */
export function readFile(file: Members): FileReference {
  const [key, sha256] = [fromBase64(text(file.key)), fromBase64(text(file.sha256))]
  const mediaId = text(file.media_id)
  if (key.length !== KEY_BYTES || sha256.length !== KEY_BYTES || !MEDIA_ID.test(mediaId)) {
    throw new Error('a file has an id, and a key and a digest of 32 bytes')
  }
  return {
    mediaId,
    key,
    sha256,
    size: seqOf(file.size),
    name: file.name === undefined ? '' : label(file.name),
    type: file.type === undefined ? 'application/octet-stream' : label(file.type),
    width: optional(file.width, side),
    height: optional(file.height, side),
    thumbnail: optional(file.thumbnail, picture),
  }
}

function picture(value: unknown): Uint8Array {
  const bytes = fromBase64(text(value))
  if (bytes.length > THUMBNAIL_BYTES || !isPicture(bytes)) {
    throw new Error('a thumbnail is a small JPEG, PNG or WebP')
  }
  return bytes
}

function isPicture(bytes: Uint8Array): boolean {
  const starts = (mark: string, at = 0) => [...mark].every((char, i) => bytes[at + i] === char.charCodeAt(0))
  return starts('\xff\xd8\xff') || starts('\x89PNG\r\n\x1a\n') || (starts('RIFF') && starts('WEBP', 8))
}

/** Text without half a character of UTF-16. */
function words(value: unknown): string {
  const found = text(value)
  if (LONE_SURROGATE.test(found)) {
    throw new Error('a text is Unicode')
  }
  return found
}

function label(value: unknown): string {
  const found = words(value)
  if (utf8(found).length > NAME_BYTES) {
    throw new Error(`a name has at most ${NAME_BYTES} bytes`)
  }
  return found
}

function deviceId(value: unknown): string {
  const found = words(value)
  const length = utf8(found).length
  if (length < 1 || length > DEVICE_BYTES) {
    throw new Error(`a device id has at most ${DEVICE_BYTES} bytes`)
  }
  return found
}

/** Base64 of so many bytes, or of some. */
function bytesIn(value: unknown, length: number | null): string {
  const found = text(value)
  const bytes = fromBase64(found).length
  if (length === null ? bytes === 0 : bytes !== length) {
    throw new Error('a member has another length')
  }
  return found
}

function username(value: unknown): string {
  const found = text(value)
  if (foldUsername(found) !== found) {
    throw new Error('a username is in lower case')
  }
  return found
}

function side(value: unknown): number {
  const length = whole(value)
  if (length < 1 || length > LARGEST_SIDE) {
    throw new Error('a picture has a size')
  }
  return length
}

function emoji(value: unknown): string {
  const found = words(value)
  if (utf8(found).length > EMOJI_BYTES || DECEIVING.test(found)) {
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
