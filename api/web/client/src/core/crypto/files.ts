/**
 * Files under a key of their own: chunks of 64 KiB, each bound to its place and one of them to the end.
 *
 *     file  = chunk 0 | chunk 1 | ... | last chunk, of the file's bytes and zeros up to a Padmé length
 *     chunk = XChaCha20-Poly1305 of at most 65,536 bytes, with the associated data "roost.file.v1"
 *     nonce = number of the chunk (23 bytes, big-endian) | 1 for the last chunk, 0 for others (1 byte)
 *
 * A key seals one file once, so that no nonce comes twice: who has to send again sends the same bytes.
 * Any chunk opens alone, and a download can go on anywhere.
 */

import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, equal, utf8 } from '../bytes'
import { paddedLength } from './padding'

/** Bytes of a file in one chunk. */
export const CHUNK = 64 * 1024

const TAG = 16
const DOMAIN = utf8('roost.file.v1')
const NONCE = 24

/** The bytes are not those that the sender sealed: nothing of the file may be used. */
export class FileBroken extends Error {}

const chunks = (padded: number): number => Math.ceil(padded / CHUNK)

/** How long a file of this size is once it is sealed. */
export function sealedSize(size: number): number {
  const padded = paddedLength(size)
  return padded + TAG * chunks(padded)
}

/** How many chunks a file of this size has. */
export const chunkCount = (size: number): number => chunks(paddedLength(size))

/**
 * Seals one chunk.
 *
 * @param data The file's bytes from `index * CHUNK` on, at most `CHUNK`; fewer, or none, at its end.
 */
export function sealChunk(data: Uint8Array, index: number, size: number, key: Uint8Array): Uint8Array {
  const padded = paddedLength(size)
  const full = new Uint8Array(Math.min(CHUNK, padded - index * CHUNK))
  full.set(data)
  return xchacha20poly1305(key, nonce(index, index === chunks(padded) - 1), DOMAIN).encrypt(full)
}

/** Opens a sealed file as its bytes come. */
export class FileOpener {
  readonly total: number
  /** Sealed bytes that came so far: where to go on. */
  taken = 0
  private readonly last: number
  private readonly digest = sha256.create()
  private index = 0
  private left: number
  private buffer: Uint8Array = new Uint8Array()

  constructor(
    private readonly key: Uint8Array,
    size: number,
    private readonly sha256: Uint8Array,
  ) {
    this.total = sealedSize(size)
    this.last = chunkCount(size) - 1
    this.left = size
  }

  /** Takes sealed bytes and returns those of the file that they complete; throws `FileBroken`. */
  feed(data: Uint8Array): Uint8Array {
    this.taken += data.length
    if (this.taken > this.total) {
      throw new FileBroken('the file goes on after its end')
    }
    this.digest.update(data)
    this.buffer = concat(this.buffer, data)
    const opened: Uint8Array[] = []
    while (this.index <= this.last && this.buffer.length >= this.length()) {
      const length = this.length()
      opened.push(this.open(this.buffer.subarray(0, length)))
      this.buffer = this.buffer.subarray(length)
    }
    return concat(...opened)
  }

  /** Checks that all of it came, and that it is what was sent; throws `FileBroken`. */
  finish(): void {
    if (this.taken !== this.total) {
      throw new FileBroken('the file ends early')
    }
    if (!equal(this.digest.digest(), this.sha256)) {
      throw new FileBroken('the file is not the one that was sent')
    }
  }

  private length(): number {
    return Math.min(CHUNK + TAG, this.total - this.index * (CHUNK + TAG))
  }

  private open(chunk: Uint8Array): Uint8Array {
    let padded: Uint8Array
    try {
      padded = xchacha20poly1305(this.key, nonce(this.index, this.index === this.last), DOMAIN).decrypt(chunk)
    } catch {
      throw new FileBroken(`chunk ${this.index} of the file was altered, moved, or has another key`)
    }
    this.index++
    const data = padded.subarray(0, this.left)
    this.left -= data.length
    return data
  }
}

function nonce(index: number, last: boolean): Uint8Array {
  const bytes = new Uint8Array(NONCE)
  new DataView(bytes.buffer).setUint32(NONCE - 5, index)
  bytes[NONCE - 1] = last ? 1 : 0
  return bytes
}
