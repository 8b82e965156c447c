/**
 * The suite `sealed.v1`: a message sealed to one device and signed by another.
 *
 *     payload   = sealed box to the recipient device's X25519 key of  pad(signed)
 *     signed    = signature (64) | body
 *     body      = length of the heading (2, big-endian) | heading, canonical JSON | content
 *     signature = Ed25519 of the sender's device over  "roost.sealed.v1" | 0x00 | body
 *
 * The heading repeats who, to whom (also the very key), which message and when; the receiver compares all of
 * it with the entry that the server delivered and with its own key.
 */

import { concat, fromUtf8, unpadded, utf8 } from '../bytes'
import { canonicalJson } from '../canonical'
import { boxOpen, boxSeal } from './box'
import { type DeviceKeys, type DeviceSecrets, isWeak, publicHalf, signBytes, verifies } from './keys'
import { pad, unpad } from './padding'

export const SUITE = 'sealed.v1'

const DOMAIN = utf8('roost.sealed.v1\0')
const SIGNATURE_BYTES = 64
const LENGTH_BYTES = 2
const HEADING_MAX = 1024

/** Why a payload was refused. `wrong_heading`: it is real, but not the message it was delivered as. */
export type Reason =
  | 'unknown_suite'
  | 'unknown_device'
  | 'not_for_this_key'
  | 'malformed'
  | 'bad_signature'
  | 'wrong_heading'

/** A payload was refused; the message is one sentence for people. */
export class Undecryptable extends Error {
  readonly reason: Reason

  constructor(reason: Reason, detail: string) {
    super(detail)
    this.reason = reason
  }
}

/** The metadata of a message under the sender's signature; sender and recipient are addresses. */
export interface Heading {
  sender: string
  senderDevice: string
  recipient: string
  id: string
  sentAtMs: number
}

const signedHeading = (heading: Heading, recipientKey: Uint8Array) => ({
  from: heading.sender,
  from_device: heading.senderDevice,
  to: heading.recipient,
  to_key: unpadded(recipientKey),
  id: heading.id,
  sent_at_ms: heading.sentAtMs,
})
type SignedHeading = ReturnType<typeof signedHeading>

/**
 * Seals a message to one device.
 *
 * @param random 32 bytes, used for nothing else. Throws if the recipient's key is weak or none.
 */
export function seal(
  content: Uint8Array,
  heading: Heading,
  secrets: DeviceSecrets,
  recipientKey: Uint8Array,
  random: Uint8Array,
): Uint8Array {
  if (isWeak(recipientKey)) {
    throw new Error("the recipient's key is not a usable X25519 key")
  }
  const head = canonicalJson(signedHeading(heading, recipientKey))
  const body = concat(Uint8Array.of(head.length >> 8, head.length & 0xff), head, content)
  const signature = signBytes(concat(DOMAIN, body), secrets.ed25519)
  return boxSeal(pad(concat(signature, body)), recipientKey, random)
}

/**
 * Opens a payload and returns the content; throws `Undecryptable` if any check fails.
 *
 * @param expected What the entry says of the message, and the address that it should be sealed for.
 * @param sender The sender device's pinned keys.
 */
export function openSealed(
  payload: Uint8Array,
  expected: Heading,
  secrets: DeviceSecrets,
  sender: DeviceKeys,
): Uint8Array {
  const plain = unwrap(payload, secrets)
  const body = plain.subarray(SIGNATURE_BYTES)
  if (sender.address !== expected.sender || sender.deviceId !== expected.senderDevice) {
    throw new Undecryptable('unknown_device', "The keys at hand are not those of the sender's device.")
  }
  if (!verifies(concat(DOMAIN, body), plain.subarray(0, SIGNATURE_BYTES), sender.ed25519)) {
    throw new Undecryptable('bad_signature', "The message is not signed by the sender's device.")
  }
  const [heading, content] = split(body)
  const wanted = signedHeading(expected, publicHalf(secrets.curve25519))
  const different = (Object.keys(wanted) as (keyof SignedHeading)[]).filter(
    name => wanted[name] !== heading[name],
  )
  if (different.length > 0) {
    const names = different.join(', ')
    throw new Undecryptable('wrong_heading', `The message was delivered as another one (${names} differ).`)
  }
  return content
}

function unwrap(payload: Uint8Array, secrets: DeviceSecrets): Uint8Array {
  let padded: Uint8Array
  try {
    padded = boxOpen(payload, secrets.curve25519)
  } catch {
    throw new Undecryptable('not_for_this_key', "The message is not sealed to this device's key.")
  }
  let plain: Uint8Array
  try {
    plain = unpad(padded)
  } catch {
    throw new Undecryptable('malformed', "The message's padding is malformed.")
  }
  if (plain.length < SIGNATURE_BYTES + LENGTH_BYTES) {
    throw new Undecryptable('malformed', 'The message is too short to be signed.')
  }
  return plain
}

function split(body: Uint8Array): [SignedHeading, Uint8Array] {
  const end = LENGTH_BYTES + ((body[0] ?? 0) << 8) + (body[1] ?? 0)
  if (end > Math.min(body.length, LENGTH_BYTES + HEADING_MAX)) {
    throw new Undecryptable('malformed', 'The message has no heading.')
  }
  try {
    const heading = JSON.parse(fromUtf8(body.subarray(LENGTH_BYTES, end)))
    const texts = [heading.from, heading.from_device, heading.to, heading.to_key, heading.id]
    if (texts.some(each => typeof each !== 'string') || !Number.isInteger(heading.sent_at_ms)) {
      throw new Error('a member is missing')
    }
    return [heading, body.subarray(end)]
  } catch {
    throw new Undecryptable('malformed', 'The message has no heading.')
  }
}
