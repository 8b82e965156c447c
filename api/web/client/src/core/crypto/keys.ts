/** A device's own keys, the signed objects by which others learn their public halves, and their checks. */

import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { equal, fromBase64, unpadded, utf8 } from '../bytes'
import { canonicalJson, type JsonObject } from '../canonical'
import { list, members, text } from '../shapes'

/** How a bundle names the suite. */
export const ALGORITHM = 'roost.sealed.v1'

/** How the keys API names a signed one-time or fallback key. */
export const ONE_TIME_KEY = 'signed_curve25519'

export const KEY_BYTES = 32
const SIGNATURE_BYTES = 64

/** Bytes of one signed object in JSON. */
export const MAX_BUNDLE = 4 * 1024

/** Private keys of one device; `ed25519` is a seed. */
export interface DeviceSecrets {
  curve25519: Uint8Array
  ed25519: Uint8Array
}

/** Public keys of one device, out of a bundle whose signature holds. */
export interface DeviceKeys {
  address: string
  deviceId: string
  curve25519: Uint8Array
  ed25519: Uint8Array
}

type Signatures = { [signer: string]: { [keyId: string]: string } }

/** A bundle as far as it is known, stored and signed. */
export interface DeviceBundle extends JsonObject {
  user_id: string
  device_id: string
  algorithms: string[]
  keys: { [keyId: string]: string }
  signatures: Signatures
}

/** Makes keys out of 64 random bytes. */
export function secretsFrom(random: Uint8Array): DeviceSecrets {
  if (random.length !== 2 * KEY_BYTES) {
    throw new Error('device keys are made of 64 random bytes')
  }
  return { curve25519: random.slice(0, KEY_BYTES), ed25519: random.slice(KEY_BYTES) }
}

/** The X25519 public key of a private one. */
export const publicHalf = (secret: Uint8Array): Uint8Array => x25519.getPublicKey(secret)

/** The Ed25519 public key of a seed. */
export const verifyKey = (seed: Uint8Array): Uint8Array => ed25519.getPublicKey(seed)

export const signBytes = (message: Uint8Array, seed: Uint8Array): Uint8Array => ed25519.sign(message, seed)

/** Returns whether an Ed25519 signature holds, as RFC 8032 and libsodium see it; never throws. */
export function verifies(message: Uint8Array, signature: Uint8Array, key: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES || key.length !== KEY_BYTES) {
    return false
  }
  try {
    return ed25519.verify(signature, message, key, { zip215: false })
  } catch {
    return false // a key or signature that is no point: the library says so by throwing
  }
}

/** The object with a signature by this Ed25519 seed added. */
export function signed<T extends JsonObject>(object: T, address: string, keyId: string, seed: Uint8Array): T {
  const earlier = (object.signatures ?? {}) as Signatures
  const signature = unpadded(signBytes(canonicalJson(object), seed))
  const signatures = { ...earlier, [address]: { ...earlier[address], [`ed25519:${keyId}`]: signature } }
  return { ...object, signatures }
}

/** The `device_keys` object of this device for `POST /v1/keys/upload`. */
export function deviceKeysObject(address: string, deviceId: string, secrets: DeviceSecrets): DeviceBundle {
  const bundle: DeviceBundle = {
    user_id: address,
    device_id: deviceId,
    algorithms: [ALGORITHM],
    keys: {
      [`curve25519:${deviceId}`]: unpadded(publicHalf(secrets.curve25519)),
      [`ed25519:${deviceId}`]: unpadded(verifyKey(secrets.ed25519)),
    },
    signatures: {},
  }
  return signed(bundle, address, deviceId, secrets.ed25519)
}

/** A `signed_curve25519` object: a one-time key, or a fallback key. */
export function signedKey(
  publicKey: Uint8Array,
  address: string,
  deviceId: string,
  secrets: DeviceSecrets,
  fallback = false,
): JsonObject {
  const object: JsonObject = { key: unpadded(publicKey), ...(fallback ? { fallback: true } : {}) }
  return signed(object, address, deviceId, secrets.ed25519)
}

/** Decodes a public key from base64; throws if it is none. */
export function readKey(text: unknown): Uint8Array {
  const key = typeof text === 'string' ? fromBase64(text) : new Uint8Array()
  if (key.length !== KEY_BYTES) {
    throw new Error(`a public key has ${KEY_BYTES} bytes, in base64`)
  }
  return key
}

/** Checks one signature over an object; throws if there is none or it does not hold. */
export function verifySigned(object: JsonObject, signer: string, keyId: string, key: Uint8Array): void {
  const text = (object.signatures as Signatures | undefined)?.[signer]?.[keyId]
  if (typeof text !== 'string' || !verifies(canonicalJson(object), fromBase64(text), key)) {
    throw new Error(`there is no signature of ${signer} with ${keyId} that holds`)
  }
}

/** Checks that a bundle is of this device and signed by its own key; throws if not. */
export function verifyDeviceKeys(bundle: unknown, address: string, deviceId: string): DeviceKeys {
  const known = knownBundle(bundle)
  if (known.user_id !== address || known.device_id !== deviceId) {
    throw new Error(`the bundle is not that of ${address}, device ${deviceId}`)
  }
  const signing = readKey(known.keys[`ed25519:${deviceId}`])
  const agreement = readKey(known.keys[`curve25519:${deviceId}`])
  if (isWeak(agreement)) {
    throw new Error("the bundle's curve25519 key is of small order")
  }
  verifySigned(known, address, `ed25519:${deviceId}`, signing)
  return { address, deviceId, curve25519: agreement, ed25519: signing }
}

/** The members of a bundle that there should be; throws if one is missing or of another type. */
export function knownBundle(bundle: unknown): DeviceBundle {
  const found = members(bundle)
  const known: DeviceBundle = {
    user_id: text(found.user_id),
    device_id: text(found.device_id),
    algorithms: list(found.algorithms).map(text),
    keys: strings(found.keys),
    signatures: signatures(found.signatures),
  }
  if (utf8(JSON.stringify(known)).length > MAX_BUNDLE) {
    throw new Error(`a signed object has at most ${MAX_BUNDLE} bytes`)
  }
  return known
}

const P = 2n ** 255n - 19n
const WEAK: Uint8Array[] = [
  0n,
  1n,
  P - 1n,
  P,
  P + 1n,
  0x00b8495f16056286fdb1329ceb8d09da6ac49ff1fae35616aeb8413b7c7aebe0n,
  0x57119fd0dd4e22d8868e1c58c45c44045bef839c55b1d0b1248c50a3bc959c5fn,
].map(littleEndian)

/**
 * Returns whether an X25519 key is a point of small order: what is agreed with it is known to all.
 *
 * The last bit of a key does not count. Source: the list in libsodium's `x25519_ref10.c`.
 */
export function isWeak(key: Uint8Array): boolean {
  const counted = key.slice()
  counted[KEY_BYTES - 1] = (counted[KEY_BYTES - 1] ?? 0) & 0x7f
  return WEAK.some(point => equal(point, counted))
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: KEY_BYTES }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn))
}

/** Reads signatures by signer and key. */
export function signatures(value: unknown): Signatures {
  return Object.fromEntries(Object.entries(members(value)).map(([signer, by]) => [signer, strings(by)]))
}

/** Reads an object of texts. */
export function strings(value: unknown): { [member: string]: string } {
  return Object.fromEntries(Object.entries(members(value)).map(([name, each]) => [name, text(each)]))
}
