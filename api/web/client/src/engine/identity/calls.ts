/** The calls about keys: those of users' devices, and their identities. */

import type { FoundKeys } from '../../core/client/directory'
import { addressOf } from '../../core/ids'
import { type Members, members } from '../../core/shapes'
import { Unavailable } from '../errors'
import type { Api } from '../transport/api'

export class KeyCalls {
  constructor(
    private readonly api: Api,
    private readonly serverName: string,
  ) {}

  /** The keys of these users by username; a user that is unknown has none. */
  async query(peers: string[]): Promise<Map<string, FoundKeys>> {
    const addresses = peers.map(peer => addressOf(peer, this.serverName))
    const body = { device_keys: Object.fromEntries(addresses.map(address => [address, []])) }
    const found = await this.api.call('POST', '/v1/keys/query', keysFound, { body })
    if (this.serverName in found.failures) {
      throw new Unavailable(`${this.serverName} does not take itself for this server.`)
    }
    return new Map(peers.map((peer, at) => [peer, keysOf(found, addresses[at] as string)]))
  }

  /** Publishes an identity, with the devices that it has signed; `identity_exists`: there is another one. */
  async uploadIdentity(
    masterKey: unknown,
    selfSigningKey: unknown,
    deviceKeys: Members,
    password: string | null = null,
  ): Promise<void> {
    const body = {
      master_key: masterKey,
      self_signing_key: selfSigningKey,
      device_keys: deviceKeys,
      ...(password === null ? {} : { password }),
    }
    await this.api.call('POST', '/v1/keys/device_signing/upload', members, { body })
  }

  /** Publishes the identity's signatures under own devices. */
  async uploadSignatures(address: string, deviceKeys: Members): Promise<void> {
    const body = { [address]: deviceKeys }
    await this.api.call('POST', '/v1/keys/signatures/upload', members, { body })
  }
}

const keysFound = (body: unknown) => {
  const found = members(body)
  return {
    bundles: Object.fromEntries(
      Object.entries(members(found.device_keys)).map(([address, devices]) => [address, members(devices)]),
    ),
    failures: members(found.failures),
    masters: members(found.master_keys ?? {}),
    selfSigning: members(found.self_signing_keys ?? {}),
  }
}

function keysOf(found: ReturnType<typeof keysFound>, address: string): FoundKeys {
  const [masterKey, selfSigningKey] = [found.masters[address], found.selfSigning[address]]
  const there = masterKey !== undefined && selfSigningKey !== undefined
  return {
    bundles: found.bundles[address] ?? {},
    identity: there ? { masterKey, selfSigningKey } : null,
  }
}
