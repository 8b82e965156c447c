/**
 * The code by which a new device is linked, and the proof that what it gets is from the device that read it.
 *
 *     code   = "roost:link/1/" username "/" device id "/" Ed25519 key "/" secret "/" end
 *     sealed = sealed box (X25519, XSalsa20-Poly1305) to the new device's key, of the answer
 *     proof  = HMAC-SHA256, keyed with the secret, of
 *              "roost.linked.v1" | 0x00 | Ed25519 key of the new device | that of the old one | sealed
 *
 * The key is the new device's and the secret 16 random bytes, in base64 for URLs; the end is the Unix second at
 * which the code ends. So neither the server nor another own device can answer: they never saw the secret.
 */

import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, equal, fromUrlBase64, urlBase64, utf8 } from '../bytes'
import { foldUsername } from '../ids'
import { boxOpen, boxSeal } from './box'
import { type DeviceKeys, type DeviceSecrets, isWeak, KEY_BYTES, verifyKey } from './keys'

/** How long a code is good for. */
export const LIFE_S = 600

export const SECRET_BYTES = 16

const SCHEME = 'roost:link/1/'
const CODE_MAX = 256
const DEVICE = /^[A-Za-z0-9_-]{1,64}$/
const END = /^[0-9]{1,12}$/
const DOMAIN = utf8('roost.linked.v1\0')

/** What a new device shows. */
export interface LinkCode {
  username: string
  deviceId: string
  ed25519: Uint8Array
  secret: Uint8Array
  /** Unix seconds at which the code ends, on the server's clock. */
  endsS: number
}

export function formatLinkCode(code: LinkCode): string {
  const { username, deviceId, ed25519, secret, endsS } = code
  return SCHEME + [username, deviceId, urlBase64(ed25519), urlBase64(secret), endsS].join('/')
}

/** Reads a code; throws if it is none. */
export function parseLinkCode(written: string): LinkCode {
  const text = written.trim()
  const parts = text.slice(SCHEME.length).split('/')
  if (text.length > CODE_MAX || !text.startsWith(SCHEME) || parts.length !== 5) {
    throw new Error('this is no code that links a device')
  }
  const [username, deviceId, key, secret, ends] = parts as [string, string, string, string, string]
  if (foldUsername(username) !== username || !DEVICE.test(deviceId) || !END.test(ends)) {
    throw new Error('the code is damaged')
  }
  const coded = { ed25519: read(key, KEY_BYTES), secret: read(secret, SECRET_BYTES) }
  return { username, deviceId, ...coded, endsS: Number(ends) }
}

/** Returns whether the code has not ended, and does not claim to live for longer than one may. */
export function isGood(code: LinkCode, nowMs: number): boolean {
  return nowMs < code.endsS * 1000 && code.endsS * 1000 <= nowMs + 2 * LIFE_S * 1000
}

/** What an old device answers: the sealed box, and the proof. The new device's keys were compared before. */
export function sealAnswer(
  answer: Uint8Array,
  code: LinkCode,
  device: DeviceKeys,
  own: DeviceSecrets,
  random: Uint8Array,
): { sealed: Uint8Array; proof: Uint8Array } {
  if (isWeak(device.curve25519)) {
    throw new Error('the key of the new device is not usable')
  }
  const sealed = boxSeal(answer, device.curve25519, random)
  return { sealed, proof: proofOf(code, verifyKey(own.ed25519), sealed) }
}

/** Opens the answer on the new device; throws if it is not from whoever read the code, or was altered. */
export function openAnswer(
  sealed: Uint8Array,
  proof: Uint8Array,
  code: LinkCode,
  sender: DeviceKeys,
  own: DeviceSecrets,
): Uint8Array {
  if (!equal(proof, proofOf(code, sender.ed25519, sealed))) {
    throw new Error('the answer is not from the device that read the code')
  }
  return boxOpen(sealed, own.curve25519)
}

const proofOf = (code: LinkCode, old: Uint8Array, sealed: Uint8Array): Uint8Array =>
  hmac(sha256, code.secret, concat(DOMAIN, code.ed25519, old, sealed))

function read(text: string, length: number): Uint8Array {
  const value = fromUrlBase64(text)
  if (value.length !== length || urlBase64(value) !== text) {
    throw new Error('the code is damaged')
  }
  return value
}
