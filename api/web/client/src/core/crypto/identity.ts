/**
 * A person's identity, in the shapes of Matrix cross-signing: made, signed and verified.
 *
 * It is a *master key*, which stands for the person, and a *self-signing key*, which it signs and which signs
 * the bundles of the person's devices. A self-signing key has a `generation`, which rises with each one that the
 * same master key signs, so that an older one cannot take the place of a newer one. It follows from the master
 * key: a device that was not there when it was replaced has the new one as well.
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { blake2b } from '@noble/hashes/blake2.js'
import { concat, equal, unpadded, utf8 } from '../bytes'
import type { Json, JsonObject } from '../canonical'
import { list, members, text, whole } from '../shapes'
import {
  type DeviceSecrets,
  KEY_BYTES,
  knownBundle,
  MAX_BUNDLE,
  readKey,
  signatures,
  signed,
  strings,
  verifyKey,
  verifySigned,
} from './keys'

const SELF_SIGNING_DOMAIN = utf8('roost.self_signing.v1\0')
const GENERATION_LIMIT = 2 ** 32

/** The private half: the seed of the master key, and the number of the self-signing key. */
export interface IdentitySecrets {
  master: Uint8Array
  generation: number
}

/** The public keys of a person, their signatures checked. */
export interface IdentityKeys {
  master: Uint8Array
  selfSigning: Uint8Array
  generation: number
}

/** The two objects of an identity as the server gives them, not verified. */
export interface PublishedIdentity {
  masterKey: unknown
  selfSigningKey: unknown
}

/** 32 bytes, the seed of the key that signs the person's devices. */
function selfSigningSeed({ master, generation }: IdentitySecrets): Uint8Array {
  const number = new Uint8Array(4)
  new DataView(number.buffer).setUint32(0, generation)
  return blake2b(concat(SELF_SIGNING_DOMAIN, number), { key: master, dkLen: KEY_BYTES })
}

export function publicIdentity(secrets: IdentitySecrets): IdentityKeys {
  const { master, generation } = secrets
  return { master: verifyKey(master), selfSigning: verifyKey(selfSigningSeed(secrets)), generation }
}

/** The `master_key` object, signed by this device: who knows the device knows the person. */
export function masterKeyObject(
  secrets: IdentitySecrets,
  address: string,
  deviceId: string,
  device: DeviceSecrets,
): JsonObject {
  return signed(keyObject(address, 'master', verifyKey(secrets.master)), address, deviceId, device.ed25519)
}

/** The `self_signing_key` object, signed by the master key. */
export function selfSigningKeyObject(secrets: IdentitySecrets, address: string): JsonObject {
  const object = keyObject(address, 'self_signing', verifyKey(selfSigningSeed(secrets)))
  return byItself({ ...object, generation: secrets.generation }, address, secrets.master)
}

/** A `device_keys` object with this identity's signature: the device is the person's. */
export function signDevice<T extends JsonObject>(secrets: IdentitySecrets, bundle: T, address: string): T {
  return byItself(bundle, address, selfSigningSeed(secrets))
}

/** Checks an identity: that it is this person's, and the one key signed by the other; throws if not. */
export function verifyIdentity(published: PublishedIdentity, address: string): IdentityKeys {
  const known = knownKey(published.selfSigningKey)
  const master = keyOf(knownKey(published.masterKey), address, 'master')
  const selfSigning = keyOf(known, address, 'self_signing')
  const generation = known.generation ?? 1
  if (generation < 1 || generation >= GENERATION_LIMIT || equal(master, selfSigning)) {
    throw new Error('an identity has two different keys, and a number')
  }
  verifySigned(known, address, keyId(master), master)
  return { master, selfSigning, generation }
}

/** Returns whether a device has signed the master key: then it is of the same person. */
export function isVouchedFor(masterKey: unknown, address: string, device: string, key: Uint8Array): boolean {
  return holds(() => verifySigned(knownKey(masterKey), address, `ed25519:${device}`, key))
}

/** Returns whether a bundle has a signature of this self-signing key that holds. */
export function isCrossSigned(bundle: unknown, address: string, selfSigning: Uint8Array): boolean {
  return holds(() => verifySigned(knownBundle(bundle), address, keyId(selfSigning), selfSigning))
}

interface KeyObject extends JsonObject {
  user_id: string
  usage: string[]
  keys: { [name: string]: string }
}

type KnownKey = KeyObject & { generation?: number }

const keyId = (key: Uint8Array): string => `ed25519:${unpadded(key)}`

const keyObject = (address: string, usage: string, key: Uint8Array): KeyObject => ({
  user_id: address,
  usage: [usage],
  keys: { [keyId(key)]: unpadded(key) },
})

const byItself = <T extends JsonObject>(object: T, address: string, seed: Uint8Array): T =>
  signed(object, address, unpadded(verifyKey(seed)), seed)

function knownKey(value: unknown): KnownKey {
  const found = members(value)
  const known: KnownKey = {
    user_id: text(found.user_id),
    usage: list(found.usage).map(text),
    keys: strings(found.keys),
    signatures: signatures(found.signatures) as Json,
    ...(found.generation === undefined ? {} : { generation: whole(found.generation) }),
  }
  if (utf8(JSON.stringify(known)).length > MAX_BUNDLE) {
    throw new Error(`a signed object has at most ${MAX_BUNDLE} bytes`)
  }
  return known
}

function keyOf(known: KnownKey, address: string, usage: string): Uint8Array {
  const [entry, ...more] = Object.entries(known.keys)
  const isOfUsage = known.usage.length === 1 && known.usage[0] === usage
  if (known.user_id !== address || !isOfUsage || entry === undefined || more.length > 0) {
    throw new Error(`the ${usage} key is not one of ${address}`)
  }
  if (usage === 'master' && known.generation !== undefined) {
    throw new Error('a master key has no generation')
  }
  const key = readKey(entry[1])
  if (entry[0] !== keyId(key) || !isStrong(key)) {
    throw new Error(`the ${usage} key is not named after itself, or no key`)
  }
  return key
}

/** Returns whether an Ed25519 key is a point of the main group. */
function isStrong(key: Uint8Array): boolean {
  return holds(() => {
    const point = ed25519.Point.fromBytes(key)
    if (point.isSmallOrder() || !point.isTorsionFree()) {
      throw new Error('of small order')
    }
  })
}

function holds(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
