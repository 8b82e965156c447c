/**
 * The pinned identities of people, this user's own among them: trusted on first use.
 *
 * An identity that is there at first sight is pinned. One that appears later has to be signed by a device that is
 * known already. Another one is never taken over by itself: the peer is in doubt, no longer verified, and
 * `trust` is the user's word that the new one is right. What the server withholds changes nothing.
 */

import { equal, unpadded } from '../bytes'
import {
  type IdentityKeys,
  isCrossSigned,
  isVouchedFor,
  type PublishedIdentity,
  verifyIdentity,
} from '../crypto/identity'
import { addressOf } from '../ids'
import type { KeyChanged } from './events'
import type { Pin, PinnedIdentity } from './state'

export class Identities {
  constructor(
    private readonly serverName: string,
    private readonly pinned: Map<string, PinnedIdentity>,
  ) {}

  /** The keys that the peer's devices are to be signed with; null if none are pinned. */
  keys(peer: string): IdentityKeys | null {
    return this.pinned.get(peer)?.keys ?? null
  }

  /** Returns whether the server offers another identity than the pinned one. */
  inDoubt(peer: string): boolean {
    return (this.pinned.get(peer)?.offered ?? null) !== null
  }

  /** Returns whether the user has compared the peer's safety number since its identity is this one. */
  isVerified(peer: string): boolean {
    return this.pinned.get(peer)?.verified ?? false
  }

  /** Takes the user's word, or that of another own device, for the peer's identity. */
  pin(peer: string, keys: IdentityKeys, verified = false): void {
    this.pinned.set(peer, { keys, verified, offered: null })
  }

  /** Takes over what another own device knows of a peer's identity, and returns what differs. */
  adopt(peer: string, known: PinnedIdentity | null): KeyChanged[] {
    if (known === null || known.keys === null) {
      return []
    }
    const mine = this.pinned.get(peer)
    const taken: PinnedIdentity = { keys: known.keys, verified: known.verified, offered: null }
    this.pinned.set(peer, taken)
    return mine?.keys ? compare(peer, taken, mine.keys) : []
  }

  /** Notes whether the user has compared the peer's safety number; throws if there is none to compare. */
  verify(peer: string, verified = true): void {
    const found = this.pinned.get(peer)
    if (found === undefined || found.keys === null) {
      throw new Error(`${peer} has no identity to compare yet`)
    }
    if (found.offered !== null) {
      throw new Error(`the identity of ${peer} has changed: compare the new one, then trust it first`)
    }
    found.verified = verified
  }

  /** Takes over the identity that is offered: the user has compared it. */
  trust(peer: string): void {
    const found = this.pinned.get(peer)
    if (found !== undefined && found.offered !== null) {
      found.keys = found.offered
      found.offered = null
    }
  }

  /** Returns whether the peer's pinned identity has signed this bundle of a device. */
  signs(peer: string, bundle: unknown): boolean {
    const keys = this.keys(peer)
    return keys !== null && isCrossSigned(bundle, addressOf(peer, this.serverName), keys.selfSigning)
  }

  /** Takes in the identity that the server gives for a peer (null: none), and returns what differs. */
  learn(
    peer: string,
    published: PublishedIdentity | null,
    pins: ReadonlyMap<string, Pin>,
    first: boolean,
  ): KeyChanged[] {
    if (published === null) {
      return []
    }
    const address = addressOf(peer, this.serverName)
    let keys: IdentityKeys
    try {
      keys = verifyIdentity(published, address)
    } catch {
      return [identityChange(peer, 'invalid', '', false)]
    }
    let pinned = this.pinned.get(peer)
    if (pinned === undefined) {
      const vouched = [...pins].some(
        ([device, pin]) =>
          pin.current && pin.confirmed && isVouchedFor(published.masterKey, address, device, pin.ed25519),
      )
      if (first || vouched) {
        this.pin(peer, keys)
        return []
      }
      pinned = { keys: null, verified: false, offered: null }
      this.pinned.set(peer, pinned)
    }
    return compare(peer, pinned, keys)
  }
}

function compare(peer: string, pinned: PinnedIdentity, keys: IdentityKeys): KeyChanged[] {
  if (pinned.keys !== null && equal(pinned.keys.master, keys.master)) {
    // Its owner has replaced the self-signing key; or the server gives an older one, which is ignored.
    if (keys.generation > pinned.keys.generation) {
      pinned.keys = keys
    }
    pinned.offered = null
    return []
  }
  const told = pinned.offered !== null && equal(pinned.offered.master, keys.master)
  pinned.offered = keys
  pinned.verified = false
  return told ? [] : [identityChange(peer, 'identity', unpadded(keys.master), true)]
}

function identityChange(
  peer: string,
  change: 'identity' | 'invalid',
  fingerprint: string,
  held: boolean,
): KeyChanged {
  return { type: 'key_changed', peer, device: '', change, fingerprint, held, confirmed: false }
}
