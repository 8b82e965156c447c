/**
 * The pinned keys of peers' devices: trusted on first use, every bundle's signature verified.
 *
 * A key that changes for a known device is never taken over by itself: the peer is *in doubt*, nothing is
 * sent to it, and `trust` is the user's word that the new key is right. A device that is added to a known
 * peer puts it in doubt only if the app wants that.
 */

import { equal, unpadded } from '../bytes'
import { type DeviceKeys, verifyDeviceKeys } from '../crypto/keys'
import { addressOf } from '../ids'
import type { KeyChange, KeyChanged } from './events'
import type { Pin } from './state'

export type Pins = Map<string, Pin>

/** The pinned devices of all peers. */
export class Directory {
  constructor(
    private readonly serverName: string,
    private readonly peers: Map<string, Pins>,
    private readonly holdNew = false,
  ) {}

  /** Returns whether the peer's devices were queried before. */
  knows(peer: string): boolean {
    return this.peers.has(peer)
  }

  /** Returns whether a device has other keys than the pinned ones, or is to be confirmed. */
  inDoubt(peer: string): boolean {
    return this.pins(peer).some(pin => pin.current && (pin.offered !== null || !pin.confirmed))
  }

  /** Why the peer is in doubt: other keys than the pinned ones, or a device to be confirmed. */
  doubt(peer: string): 'changed' | 'unconfirmed' | null {
    if (!this.inDoubt(peer)) {
      return null
    }
    return this.pins(peer).some(pin => pin.current && pin.offered !== null) ? 'changed' : 'unconfirmed'
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

  /** Takes in the server's answer for one peer and returns what differs from before. */
  learn(peer: string, bundles: { [device: string]: unknown }): KeyChanged[] {
    const first = !this.peers.has(peer)
    if (first && Object.keys(bundles).length === 0) {
      return []
    }
    const pins: Pins = this.peers.get(peer) ?? new Map()
    this.peers.set(peer, pins)
    const changes: KeyChanged[] = []
    for (const [device, bundle] of Object.entries(bundles)) {
      const change = this.learnDevice(peer, device, bundle, pins, first)
      if (change !== null && !(first && change.change === 'added')) {
        changes.push(change)
      }
    }
    for (const [device, pin] of pins) {
      if (pin.current && !Object.hasOwn(bundles, device)) {
        pin.current = false
        changes.push(changed(peer, device, 'removed', pin.ed25519, false))
      }
    }
    return changes
  }

  /** Takes over the keys that the server offers for this peer: the user has compared them. */
  trust(peer: string): void {
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
    first: boolean,
  ): KeyChanged | null {
    let keys: DeviceKeys
    try {
      keys = verifyDeviceKeys(bundle, addressOf(peer, this.serverName), device)
    } catch {
      return { type: 'key_changed', peer, device, change: 'invalid', fingerprint: '', held: false }
    }
    const { curve25519, ed25519 } = keys
    const pin = pins.get(device)
    if (pin === undefined) {
      const confirmed = first || !this.holdNew
      pins.set(device, { curve25519, ed25519, current: true, offered: null, confirmed })
      return changed(peer, device, 'added', ed25519, !confirmed)
    }
    const wasCurrent = pin.current
    pin.current = true
    if (equal(curve25519, pin.curve25519) && equal(ed25519, pin.ed25519)) {
      pin.offered = null
      return wasCurrent ? null : changed(peer, device, 'added', ed25519, !pin.confirmed)
    }
    if (pin.offered !== null && equal(curve25519, pin.offered[0]) && equal(ed25519, pin.offered[1])) {
      return null
    }
    pin.offered = [curve25519, ed25519]
    return changed(peer, device, 'changed', ed25519, true)
  }
}

function changed(
  peer: string,
  device: string,
  change: KeyChange,
  ed25519: Uint8Array,
  held: boolean,
): KeyChanged {
  return { type: 'key_changed', peer, device, change, fingerprint: unpadded(ed25519), held }
}
