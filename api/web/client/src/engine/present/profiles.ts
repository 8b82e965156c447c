/** This user's own profile and settings, as the server has them and as they are kept. */

import type { Notice, Profile } from '../../app/contract'
import { flag, members, oneOf, text } from '../../core/shapes'
import type { Api } from '../transport/api'
import type { Base } from './present'

export class Profiles {
  constructor(
    private readonly base: Base,
    private readonly api: Api,
    private readonly publish: (notice: Notice) => void,
  ) {}

  async refresh(): Promise<void> {
    await this.keep(await this.api.call('GET', '/v1/me', profileShape))
  }

  async keep(found: Partial<Profile>): Promise<void> {
    Object.assign(this.base.profile, found)
    const profile = { ...this.base.profile }
    await this.base.client.keep(transaction => transaction.put('meta', profile, 'profile'))
    this.publish({ type: 'profile', profile })
  }
}

export const profileShape = (body: unknown): Partial<Profile> => {
  const found = members(body)
  return {
    displayName: text(found.display_name),
    lastSeen: oneOf(found.last_seen, 'everyone', 'contacts', 'nobody'),
    readReceipts: flag(found.read_receipts),
    deliveryReceipts: oneOf(found.delivery_receipts, 'everyone', 'contacts'),
    requests: flag(found.requests),
  }
}
