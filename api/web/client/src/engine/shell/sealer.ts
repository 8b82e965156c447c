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

  /** Seals a message to each current device of its recipient; throws if a key cannot be used. */
  payloads(item: OutboxItem): Payloads {
    const { username, serverName, deviceId, secrets } = this.device
    const heading = {
      sender: addressOf(username, serverName),
      senderDevice: deviceId,
      recipient: addressOf(item.to, serverName),
      id: item.id,
      sentAtMs: item.sentAtMs,
    }
    const sealed = [...this.directory.recipients(item.to)].map(([device, key]) => [
      device,
      seal(item.content, heading, secrets, key, this.random(32)),
    ])
    return Object.fromEntries(sealed)
  }

  /** Keeps a message until its recipient's keys have been asked for. */
  wait(item: OutboxItem): void {
    this.waiting.set(item.to, [...(this.waiting.get(item.to) ?? []), item])
  }

  /** The messages that waited for this peer's keys, in order; forgotten here. */
  release(peer: string): OutboxItem[] {
    const items = this.waiting.get(peer) ?? []
    this.waiting.delete(peer)
    return items
  }
}
