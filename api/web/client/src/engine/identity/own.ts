/**
 * This person's own identity: made by the first device, and published with the devices that it signs.
 *
 * An account without one gets it from the first device that comes: who that is, peers take on trust, as they took
 * its device keys.
 */

import type { Random } from '../../core/bytes'
import { equal } from '../../core/bytes'
import type { Directory } from '../../core/client/directory'
import {
  type IdentityKeys,
  type IdentitySecrets,
  masterKeyObject,
  publicIdentity,
  selfSigningKeyObject,
  signDevice,
  verifyIdentity,
} from '../../core/crypto/identity'
import { type DeviceBundle, deviceKeysObject, knownBundle } from '../../core/crypto/keys'
import { addressOf } from '../../core/ids'
import type { Members } from '../../core/shapes'
import type { Account } from '../account'
import { RoostError } from '../errors'
import type { KeyCalls } from './calls'

/** Private keys of this person, on a device that made them or was linked. */
export interface OwnIdentity extends IdentitySecrets {
  /** The server has the public halves. */
  published: boolean
}

export class OwnIdentityKeeper {
  private readonly address: string

  /**
   * @param account Whose; changed in place.
   * @param directory Where the identity is pinned, like those of peers.
   * @param keep Keeps the account, and what is pinned of this user.
   */
  constructor(
    private readonly account: Account,
    private readonly directory: Directory,
    private readonly calls: KeyCalls,
    private readonly keep: () => Promise<void>,
    private readonly random: Random,
  ) {
    this.address = addressOf(account.username, account.serverName)
  }

  /** Whether this device may have to make an identity, or to publish the one that it made. */
  get due(): boolean {
    const own = this.account.identity
    return own === null ? this.pinned === null : !own.published
  }

  /** The private keys; null: this device has no part in the identity, and has to be linked. */
  get secrets(): IdentitySecrets | null {
    const own = this.account.identity
    if (own === null || this.pinned === null) {
      return own
    }
    // Another own device may have replaced the self-signing key, or the whole identity, since.
    const found = { master: own.master, generation: this.pinned.generation }
    return equal(publicIdentity(found).master, this.pinned.master) ? found : null
  }

  /** Makes an identity if the person has none, and publishes it if that was not done; a repeat is harmless. */
  async ensure(): Promise<void> {
    if (!this.due) {
      return
    }
    if (this.account.identity === null) {
      const { username } = this.account
      const found = (await this.calls.query([username])).get(username)
      if (found?.identity) {
        this.directory.identities.pin(username, verifyIdentity(found.identity, this.address))
        await this.keep()
        return
      }
      this.account.identity = { master: this.random(32), generation: 1, published: false }
      // Kept before it is published: peers must never pin one whose private half is lost.
      await this.keep()
    }
    try {
      await this.publish(this.secrets as IdentitySecrets, {})
    } catch (error) {
      if (!(error instanceof RoostError) || error.code !== 'identity_exists') {
        throw error
      }
      // Another device was first: this one is as any that has to be linked.
      this.account.identity = null
      await this.ensure()
    }
  }

  /** Replaces the self-signing key; what it has signed and is not among these bundles is signed no longer. */
  async renew(bundles: Members): Promise<void> {
    const before = this.secrets
    if (before !== null) {
      const made = { master: before.master, generation: before.generation + 1 }
      const others = Object.entries(bundles).map(([device, bundle]) => [
        device,
        signDevice(made, knownBundle(bundle), this.address),
      ])
      await this.publish(made, Object.fromEntries(others))
    }
  }

  /** Signs another device of this user, and publishes the signature. */
  async sign(device: string, bundle: DeviceBundle): Promise<void> {
    const signed = signDevice(this.secrets as IdentitySecrets, bundle, this.address)
    await this.calls.uploadSignatures(this.address, { [device]: signed })
  }

  /** Keeps this identity as this person's own; it is published. */
  async adopt(given: IdentitySecrets): Promise<void> {
    const { username, deviceId } = this.account
    let keys = publicIdentity(given)
    if (this.pinned !== null && equal(this.pinned.master, keys.master)) {
      const generation = Math.max(given.generation, this.pinned.generation)
      keys = publicIdentity({ master: given.master, generation })
    }
    this.account.identity = { master: given.master, generation: keys.generation, published: true }
    this.directory.identities.pin(username, keys, true)
    this.directory.confirm(username, deviceId)
    await this.keep()
  }

  private get pinned(): IdentityKeys | null {
    return this.directory.identities.keys(this.account.username)
  }

  private async publish(secrets: IdentitySecrets, others: Members): Promise<void> {
    const { deviceId, secrets: device } = this.account
    const own = signDevice(secrets, deviceKeysObject(this.address, deviceId, device), this.address)
    await this.calls.uploadIdentity(
      masterKeyObject(secrets, this.address, deviceId, device),
      selfSigningKeyObject(secrets, this.address),
      { ...others, [deviceId]: own },
    )
    await this.adopt(secrets)
  }
}
