/**
 * What a device signs with its Ed25519 key to prove to the server that it is itself.
 *
 * Each begins with a prefix of its own, so that a signature made for one purpose serves no other.
 */

import { concat, utf8 } from './bytes'
import { canonicalJson } from './canonical'

/** What is signed to use a refresh token. */
export const refreshMessage = (token: string): Uint8Array => utf8(`roost.refresh.v1\0${token}`)

/** What is signed to log in; `server` is the server's name. */
export function challengeMessage(user: string, deviceId: string, nonce: string, server: string): Uint8Array {
  return concat(utf8('roost.auth.v1\0'), canonicalJson({ user, device_id: deviceId, nonce, server }))
}
