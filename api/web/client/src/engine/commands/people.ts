/** What pages ask about people. */

import { safetyHash, safetyNumber } from '../../core/crypto/safety'
import { addressOf } from '../../core/ids'
import { named } from '../account'
import { conversationView } from '../book/rows'
import { RoostError } from '../errors'
import type { Present } from '../present/present'
import { EMPTY } from '../transport/answers'
import type { Some } from './handlers'

export function peopleCommands(present: Present) {
  const { account, api, around, client, people } = present

  const hash = (user: string): Uint8Array => {
    const keys = client.directory.identities.keys(user)
    if (keys === null) {
      throw new RoostError('invalid', `${user} has no identity to compare yet.`)
    }
    return safetyHash(keys.master, addressOf(user, account.serverName))
  }

  return {
    open: async ({ peer }) => {
      const name = named(peer)
      const displayName = await people.displayName(name)
      const row = await people.change(name, () => ({ displayName }))
      return conversationView(row, around.of(name))
    },

    accept: async ({ peer }) => {
      await api.call('PUT', `/v1/conversations/${encodeURIComponent(peer)}/accepted`, EMPTY)
      await people.change(peer, () => ({ accepted: true }))
      return undefined
    },

    block: async ({ peer, blocked }) => {
      await api.call(blocked ? 'PUT' : 'DELETE', `/v1/blocks/${encodeURIComponent(peer)}`, EMPTY)
      await people.change(peer, () => ({ blocked }))
      return undefined
    },

    watch: async ({ peers }) => {
      client.apply(client.session.subscribe(peers))
      return undefined
    },

    trust: async ({ peer }) => {
      client.peers.trust(peer)
      await people.change(peer, () => ({}))
      return undefined
    },

    safety: async ({ peer }) => {
      if (!client.directory.knows(peer)) {
        const found = (await client.keys.query([peer])).get(peer)
        if (found !== undefined) {
          client.peers.arrived(peer, found)
        }
      }
      const { digits, payload } = safetyNumber(hash(account.username), hash(peer))
      return { digits, qr: payload }
    },

    verify: async ({ peer, verified }) => {
      try {
        client.directory.identities.verify(peer, verified)
      } catch (error) {
        throw new RoostError('invalid', error instanceof Error ? `${error.message}.` : undefined)
      }
      client.peers.touch(peer)
      await people.change(peer, () => ({}))
      return undefined
    },
  } satisfies Some
}
