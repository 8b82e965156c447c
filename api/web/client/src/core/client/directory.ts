/**
 * The pinned keys of peers' devices: trusted on first use, every bundle's signature verified.
 *
 * A key that changes for a known device is never taken over by itself: the peer is *in doubt*, nothing is sent
 * to it, and `trust` is the user's word that the new key is right. A device that is added to a known peer is
 * *confirmed* if the peer's identity has signed it; one that is not is told as such, and puts the peer in doubt
 * if the app wants that. So does one that the identity no longer signs: its owner may have removed it.
 */

import { equal, unpadded } from '../bytes'
import type { PublishedIdentity } from '../crypto/identity'
import { type DeviceKeys, verifyDeviceKeys } from '../crypto/keys'
import { addressOf } from '../ids'
import type { KeyChange, KeyChanged } from './events'
import { Identities } from './identities'
import type { Pin, PinnedIdentity } from './state'

export type Pins = Map<string, Pin>

/** The keys of one user, as the server gives them: nothing of it is verified. */
export interface FoundKeys {
  bundles: { [device: string]: unknown }
  identity: PublishedIdentity | null
}

/** The pinned devices of all peers. */
export class Directory {
  /** Whose signatures confirm devices. */
  readonly identities: Identities

  constructor(
    private readonly serverName: string,
    private readonly peers: Map<string, Pins>,
    identities: Map<string, PinnedIdentity> = new Map(),
    /** A device that is added to a known peer has to be confirmed before anything is sent. */
    public holdNew = false,
  ) {
    this.identities = new Identities(serverName, identities)
  }

  /** Returns whether the peer's devices were queried before. */
  knows(peer: string): boolean {
    return this.peers.has(peer)
  }

  /** Returns whether identity or device has other keys than the pinned ones, or is to be confirmed. */
  inDoubt(peer: string): boolean {
    return this.doubt(peer) !== null
  }

  /** Why the peer is in doubt: other keys than the pinned ones, or a device to be confirmed. */
  doubt(peer: string): 'changed' | 'unconfirmed' | null {
    const current = this.pins(peer).filter(pin => pin.current)
    if (this.identities.inDoubt(peer) || current.some(pin => pin.offered !== null)) {
      return 'changed'
    }
    return current.some(pin => !pin.confirmed) ? 'unconfirmed' : null
  }

  /** The pinned keys of one device, also of a removed one. */
  device(peer: string, deviceId: string): DeviceKeys | null {
    const pin = this.peers.get(peer)?.get(deviceId)
    if (pin === undefined) {
      return null
    }
    const { curve25519, ed25519 } = pin
    return { address: addressOf(peer, this.serverName), deviceId, curve25519, ed25519 }
  }

  /** The X25519 keys of the peer's current devices. */
  recipients(peer: string): Map<string, Uint8Array> {
    const current = [...(this.peers.get(peer) ?? [])].filter(([, pin]) => pin.current)
    return new Map(current.map(([device, pin]) => [device, pin.curve25519]))
  }

  /** Returns whether the device is one of the peer's, and signed by the peer's pinned identity. */
  isConfirmed(peer: string, deviceId: string): boolean {
    const pin = this.peers.get(peer)?.get(deviceId)
    return pin?.current === true && pin.signed
  }

  /** Whether each current device of the peer is signed by its identity; true for who has none. */
  allConfirmed(peer: string): boolean {
    return this.identities.keys(peer) === null || this.pins(peer).every(pin => !pin.current || pin.signed)
  }

  /** Takes in the server's answer for one peer and returns what differs from before. */
  learn(
    peer: string,
    bundles: { [device: string]: unknown },
    published: PublishedIdentity | null = null,
  ): KeyChanged[] {
    const first = !this.peers.has(peer)
    if (first && Object.keys(bundles).length === 0) {
      return []
    }
    const pins: Pins = this.peers.get(peer) ?? new Map()
    this.peers.set(peer, pins)
    const changes = this.identities.learn(peer, published, pins, first)
    // Who has no identity is taken as found; with one, each device is to be signed from the start.
    const asFound = first && this.identities.keys(peer) === null
    for (const [device, bundle] of Object.entries(bundles)) {
      const change = this.learnDevice(peer, device, bundle, pins, asFound)
      if (change !== null && !(first && change.change === 'added' && (asFound || change.confirmed))) {
        changes.push(change)
      }
    }
    for (const [device, pin] of pins) {
      if (pin.current && !Object.hasOwn(bundles, device)) {
        pin.current = pin.signed = false
        changes.push(changed(peer, device, 'removed', pin.ed25519, false))
      }
    }
    return changes
  }

  /** Takes over what another own device knows of a peer, and returns what differs. */
  adopt(peer: string, devices: Pins, identity: PinnedIdentity | null): KeyChanged[] {
    const pins: Pins = this.peers.get(peer) ?? new Map()
    this.peers.set(peer, pins)
    const changes = this.identities.adopt(peer, identity)
    for (const [device, pin] of pins) {
      const known = devices.get(device)
      if (known === undefined) {
        pin.confirmed = pin.signed || !this.holdNew
        if (pin.current && !pin.signed) {
          changes.push(changed(peer, device, 'added', pin.ed25519, !pin.confirmed))
        }
        continue
      }
      known.current = pin.current
      if (!equal(known.curve25519, pin.curve25519) || !equal(known.ed25519, pin.ed25519)) {
        known.offered = [pin.curve25519, pin.ed25519]
        changes.push(changed(peer, device, 'changed', pin.ed25519, true))
      }
    }
    for (const [device, pin] of devices) {
      pins.set(device, pin)
    }
    return changes
  }

  /** Notes that the identity of this user has signed one of their own devices. */
  confirm(peer: string, device: string): void {
    const pin = this.peers.get(peer)?.get(device)
    if (pin !== undefined) {
      pin.signed = pin.confirmed = true
    }
  }

  /** Takes over the keys that the server offers for this peer: the user has compared them. */
  trust(peer: string): void {
    this.identities.trust(peer)
    for (const pin of this.pins(peer)) {
      pin.confirmed = true
      if (pin.offered !== null) {
        ;[pin.curve25519, pin.ed25519] = pin.offered
        pin.offered = null
      }
    }
  }

  private pins(peer: string): Pin[] {
    return [...(this.peers.get(peer)?.values() ?? [])]
  }

  private learnDevice(
    peer: string,
    device: string,
    bundle: unknown,
    pins: Pins,
    asFound: boolean,
  ): KeyChanged | null {
    let keys: DeviceKeys
    try {
      keys = verifyDeviceKeys(bundle, addressOf(peer, this.serverName), device)
    } catch {
      return changed(peer, device, 'invalid', new Uint8Array(), false)
    }
    const { curve25519, ed25519 } = keys
    const signed = this.identities.signs(peer, bundle)
    const pin = pins.get(device)
    if (pin === undefined) {
      const confirmed = signed || asFound || !this.holdNew
      pins.set(device, { curve25519, ed25519, current: true, offered: null, confirmed, signed })
      return changed(peer, device, 'added', ed25519, !confirmed, signed)
    }
    if (equal(curve25519, pin.curve25519) && equal(ed25519, pin.ed25519)) {
      pin.offered = null
      return this.seenAgain(peer, device, pin, signed)
    }
    pin.current = true
    if (pin.offered !== null && equal(curve25519, pin.offered[0]) && equal(ed25519, pin.offered[1])) {
      return null
    }
    pin.offered = [curve25519, ed25519]
    return changed(peer, device, 'changed', ed25519, true)
  }

  /** Notes that a known device is there: it may have come back, or be signed now, or no longer be. */
  private seenAgain(peer: string, device: string, pin: Pin, signed: boolean): KeyChanged | null {
    const [wasCurrent, wasSigned] = [pin.current, pin.signed]
    pin.current = true
    pin.signed = signed
    if (signed) {
      pin.confirmed = true
    } else if (!wasCurrent || wasSigned) {
      pin.confirmed = !this.holdNew
    }
    if (!wasCurrent) {
      return changed(peer, device, 'added', pin.ed25519, !pin.confirmed, signed)
    }
    if (wasSigned === signed) {
      return null
    }
    return changed(peer, device, signed ? 'confirmed' : 'unconfirmed', pin.ed25519, !pin.confirmed, signed)
  }
}

function changed(
  peer: string,
  device: string,
  change: KeyChange,
  ed25519: Uint8Array,
  held: boolean,
  confirmed = false,
): KeyChanged {
  return { type: 'key_changed', peer, device, change, fingerprint: unpadded(ed25519), held, confirmed }
}
