/**
 * Safety numbers: 60 digits, the same on both sides, by which two people compare each other's identity.
 *
 *     hash(0) = version (2 bytes, big-endian: 0) | master key | address
 *     hash(n) = SHA-512 of  hash(n-1) | master key                              for n = 1 ... 5,200
 *     digits  = the first 30 bytes of the last hash, five at a time, each big-endian modulo 100,000
 *     number  = the digits of both people, the lesser first
 *     payload = "roost:safety/1/" | own hash, 32 bytes | "/" | the peer's hash, 32 bytes
 *
 * Source: libsignal, `NumericFingerprintGenerator`, with our master keys and addresses.
 */

import { sha512 } from '@noble/hashes/sha2.js'
import { concat, urlBase64, utf8 } from '../bytes'

const ROUNDS = 5200
const CHUNK = 5
const CHUNKS = 6
const SCANNED = 32
const SCHEME = 'roost:safety/1/'

export interface SafetyNumber {
  digits: string
  /** Text of the QR code that the peer scans. */
  payload: string
}

/** The hash of one person: of a public key, and of whom it is said to be. */
export function safetyHash(key: Uint8Array, address: string): Uint8Array {
  let digest = concat(new Uint8Array(2), key, utf8(address))
  for (let round = 0; round < ROUNDS; round++) {
    digest = sha512(concat(digest, key))
  }
  return digest
}

/** What two people compare, of the hashes of both. */
export function safetyNumber(own: Uint8Array, theirs: Uint8Array): SafetyNumber {
  const digits = [digitsOf(own), digitsOf(theirs)].sort().join('')
  const coded = [own, theirs].map(hash => urlBase64(hash.subarray(0, SCANNED)))
  return { digits, payload: SCHEME + coded.join('/') }
}

function digitsOf(hash: Uint8Array): string {
  const chunks = Array.from({ length: CHUNKS }, (_, at) => {
    const value = hash.subarray(at * CHUNK, (at + 1) * CHUNK).reduce((sum, byte) => sum * 256 + byte, 0)
    return String(value % 100_000).padStart(5, '0')
  })
  return chunks.join('')
}
