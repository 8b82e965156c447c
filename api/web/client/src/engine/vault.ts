/**
 * The vault: encrypts private keys and tokens for the store, under a key that no script can read.
 *
 * The wrapping key is a `CryptoKey` that cannot be extracted; the browser keeps it. A copy of the store's
 * rows alone opens nothing. A script that runs in this origin can use the key, though.
 */

import { concat, utf8 } from '../core/bytes'
import type { Store } from './store/port'

const ALGORITHM = 'AES-GCM'
const NONCE = 12

export class Vault {
  private constructor(private readonly key: CryptoKey) {}

  /** Opens the store's vault, made at the first time; throws where the browser has no `crypto.subtle`. */
  static async open(store: Store): Promise<Vault> {
    const kept = await store.read(transaction => transaction.get<CryptoKey>('meta', 'wrapping_key'))
    if (kept !== undefined) {
      return new Vault(kept)
    }
    const made = await crypto.subtle.generateKey({ name: ALGORITHM, length: 256 }, false, [
      'encrypt',
      'decrypt',
    ])
    await store.write(transaction => transaction.put('meta', made, 'wrapping_key'))
    return new Vault(made)
  }

  /** Encrypts what stands under this name: it opens under no other. */
  async seal(name: string, plain: Uint8Array): Promise<Uint8Array> {
    const iv = crypto.getRandomValues(new Uint8Array(NONCE))
    const options = { name: ALGORITHM, iv, additionalData: utf8(name) as BufferSource }
    const sealed = await crypto.subtle.encrypt(options, this.key, plain as BufferSource)
    return concat(iv, new Uint8Array(sealed))
  }

  /** Decrypts it; throws if it was altered, or stands under another name. */
  async open(name: string, sealed: Uint8Array): Promise<Uint8Array> {
    const iv = sealed.slice(0, NONCE)
    const options = { name: ALGORITHM, iv, additionalData: utf8(name) as BufferSource }
    return new Uint8Array(await crypto.subtle.decrypt(options, this.key, sealed.slice(NONCE)))
  }
}
