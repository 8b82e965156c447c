/**
 * Sealed boxes as libsodium makes them (X25519, XSalsa20-Poly1305, nonce by BLAKE2b).
 *
 *     box = public key made for this box (32) | XSalsa20-Poly1305, key HSalsa20(agreed), nonce
 *     nonce = BLAKE2b-192 of both public keys
 */

import { hsalsa, xsalsa20poly1305 } from '@noble/ciphers/salsa.js'
import { x25519 } from '@noble/curves/ed25519.js'
import { blake2b } from '@noble/hashes/blake2.js'
import { concat } from '../bytes'

const KEY = 32
const SIGMA = words(new TextEncoder().encode('expand 32-byte k'))

/**
 * Seals to a public key.
 *
 * @param random 32 bytes, used for nothing else. Throws if the recipient's key is not usable.
 */
export function boxSeal(plain: Uint8Array, recipient: Uint8Array, random: Uint8Array): Uint8Array {
  const own = x25519.getPublicKey(random)
  return concat(own, cipher(random, recipient, own, recipient).encrypt(plain))
}

/** Opens what was sealed to this private key; throws if it was not. */
export function boxOpen(sealed: Uint8Array, secret: Uint8Array): Uint8Array {
  const [from, box] = [sealed.subarray(0, KEY), sealed.subarray(KEY)]
  return cipher(secret, from, from, x25519.getPublicKey(secret)).decrypt(box)
}

function cipher(secret: Uint8Array, other: Uint8Array, sender: Uint8Array, recipient: Uint8Array) {
  const shared = new Uint32Array(8)
  hsalsa(SIGMA, words(x25519.getSharedSecret(secret, other)), new Uint32Array(4), shared)
  const nonce = blake2b(concat(sender, recipient), { dkLen: 24 })
  return xsalsa20poly1305(new Uint8Array(shared.buffer), nonce)
}

/** Little-endian words, as every browser's machine has them. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(bytes.slice().buffer)
}
