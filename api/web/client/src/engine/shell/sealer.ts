/** Encryption of outgoing messages, and the ones that wait for their recipient's keys. */

import type { Random } from '../../core/bytes'
import type { Directory } from '../../core/client/directory'
import type { OutboxItem } from '../../core/client/state'
import type { DeviceSecrets } from '../../core/crypto/keys'
import { seal } from '../../core/crypto/sealed'
import { addressOf } from '../../core/ids'
import type { Payloads } from '../../core/wire'

/** Who this is. */
export interface Device {
  username: string
  serverName: string
  deviceId: string
  secrets: DeviceSecrets
}

export class Sealer {
  private readonly waiting = new Map<string, OutboxItem[]>()

  constructor(
    private readonly device: Device,
    private readonly directory: Directory,
    private readonly random: Random,
  ) {}

  /** Seals a message to each device of its recipient; to oneself, to all but this one. Throws for a bad key. */
  payloads(item: OutboxItem): Payloads {
    return this.sealed(item, item.to)
  }

  /**
   * Seals a message to each other device of this user, under the same heading.
   *
   * Null if there are to be no copies: the message is to these devices itself, or one of them has other keys
   * than it had, or is to be confirmed.
   */
  copies(item: OutboxItem): Payloads | null {
    const me = this.device.username
    return item.to === me || this.directory.inDoubt(me) ? null : this.sealed(item, me)
  }

  private sealed(item: OutboxItem, user: string): Payloads {
    const { username, serverName, deviceId, secrets } = this.device
    const heading = {
      sender: addressOf(username, serverName),
      senderDevice: deviceId,
      recipient: addressOf(item.to, serverName),
      id: item.id,
      sentAtMs: item.sentAtMs,
    }
    const devices = this.directory.recipients(user)
    if (user === username) {
      devices.delete(deviceId)
    }
    const sealed = [...devices].map(([device, key]) => [
      device,
      seal(item.content, heading, secrets, key, this.random(32)),
    ])
    return Object.fromEntries(sealed)
  }

  /** Keeps a message until this user's keys have been asked for. */
  wait(item: OutboxItem, user: string): void {
    this.waiting.set(user, [...(this.waiting.get(user) ?? []), item])
  }

  /** The messages that waited for this user's keys, in order; forgotten here. */
  release(user: string): OutboxItem[] {
    const items = this.waiting.get(user) ?? []
    this.waiting.delete(user)
    return items
  }
}
