/**
 * An export that a passphrase opens.
 *
 * One line of JSON that says how, then the archive, compressed and encrypted with XChaCha20-Poly1305. The key is
 * scrypt's of the passphrase, 128 MiB to each guess; the line is authenticated along.
 */

import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { concat, fromBase64, fromUtf8, type Random, unpadded, utf8 } from '../../core/bytes'
import { KEY_BYTES } from '../../core/crypto/keys'
import { members, text, whole } from '../../core/shapes'
import { RoostError } from '../errors'
import { packed, unpacked } from './archive'

const TYPE = 'roost.locked'
const COST = { n: 2 ** 17, r: 8, p: 1 }
const MOST_MEMORY = 2 ** 30
const SALT = 16
const NONCE = 24
const LINE_END = 10
const LONGEST_LINE = 1024

export async function locked(archive: Blob, passphrase: string, random: Random, cost = COST): Promise<Blob> {
  const [salt, nonce] = [random(SALT), random(NONCE)]
  const how = { type: TYPE, version: 1, kdf: 'scrypt', ...cost, salt: unpadded(salt), nonce: unpadded(nonce) }
  const line = utf8(`${JSON.stringify(how)}\n`)
  const key = await stretched(passphrase, salt, cost)
  const plain = new Uint8Array(await (await packed(archive)).arrayBuffer())
  const sealed = concat(line, xchacha20poly1305(key, nonce, line).encrypt(plain))
  return new Blob([sealed as BlobPart], { type: 'application/octet-stream' })
}

/** The text of an export, of which some are locked; `locked`: it takes a passphrase, and this is none. */
export async function opened(file: Blob, passphrase: string): Promise<string> {
  const found = new Uint8Array(await file.arrayBuffer())
  const end = found.subarray(0, LONGEST_LINE).indexOf(LINE_END) + 1
  const line = found.subarray(0, end)
  const how = description(line)
  if (how?.type !== TYPE) {
    return fromUtf8(found)
  }
  if (passphrase === '') {
    throw new RoostError('locked', 'This export was encrypted: give its passphrase.')
  }
  const [key, nonce] = [await keyOf(how, passphrase), fromBase64(text(how.nonce))]
  let plain: Uint8Array
  try {
    plain = xchacha20poly1305(key, nonce, line).decrypt(found.subarray(end))
  } catch {
    throw new RoostError('locked', 'This is not the passphrase of the file, or the file is damaged.')
  }
  return unpacked(new Blob([plain as BlobPart]))
}

function description(line: Uint8Array) {
  try {
    return members(JSON.parse(fromUtf8(line)))
  } catch {
    return null
  }
}

function keyOf(how: ReturnType<typeof members>, passphrase: string): Promise<Uint8Array> {
  const cost = { n: whole(how.n), r: whole(how.r), p: whole(how.p) }
  if (how.version !== 1 || how.kdf !== 'scrypt' || 128 * cost.n * cost.r * cost.p > MOST_MEMORY) {
    throw new RoostError('invalid', 'This version does not know how the file is encrypted.')
  }
  return stretched(passphrase, fromBase64(text(how.salt)), cost)
}

async function stretched(
  passphrase: string,
  salt: Uint8Array,
  { n, r, p }: typeof COST,
): Promise<Uint8Array> {
  const { scryptAsync } = await import('@noble/hashes/scrypt.js') // few ever export
  const wanted = { N: n, r, p, dkLen: KEY_BYTES, maxmem: MOST_MEMORY + LONGEST_LINE }
  return scryptAsync(utf8(passphrase.normalize('NFKC')), salt, wanted)
}
