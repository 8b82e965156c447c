/** The people that this user talks to: their names, and what is kept of each conversation. */

import { list, members, text } from '../../core/shapes'
import type { ConversationRow } from '../book/rows'
import { RoostError } from '../errors'
import type { Store } from '../store/port'
import type { Api } from '../transport/api'
import type { Base } from './present'

export class People {
  private readonly named = new Set<string>()

  constructor(
    private readonly base: Base,
    private readonly store: Store,
    private readonly api: Api,
  ) {}

  /** Asks for the name of a peer who wrote for the first time. */
  async learnName(peer: string): Promise<void> {
    if (this.named.has(peer)) {
      return
    }
    this.named.add(peer)
    try {
      const displayName = await this.displayName(peer)
      await this.change(peer, () => ({ displayName }))
    } catch (error) {
      this.named.delete(peer)
      if (!(error instanceof RoostError)) {
        throw error
      }
    }
  }

  /** Changes a conversation, made if there is none yet. */
  change(peer: string, change: (row: ConversationRow) => Partial<ConversationRow>): Promise<ConversationRow> {
    const { client, shelf } = this.base
    return client.keep(async transaction => {
      const row = await shelf.conversation(transaction, peer, client.nowMs())
      const changed = { ...row, ...change(row) }
      await shelf.putConversation(transaction, changed)
      return changed
    })
  }

  displayName(peer: string): Promise<string> {
    const shape = (body: unknown) => text(members(body).display_name)
    return this.api.call('GET', `/v1/users/${encodeURIComponent(peer)}`, shape)
  }

  /** Learns whom this user has blocked, and names that are missing. */
  async refresh(): Promise<void> {
    const shape = (body: unknown) => list(members(body).blocks).map(text)
    const blocked = new Set(await this.api.call('GET', '/v1/blocks', shape))
    const rows = await this.store.read(transaction => transaction.all<ConversationRow>('conversations'))
    for (const [, row] of rows) {
      if (row.blocked !== blocked.has(row.peer)) {
        await this.change(row.peer, () => ({ blocked: blocked.has(row.peer) }))
      }
      if (row.displayName === '') {
        await this.learnName(row.peer)
      }
    }
  }
}
