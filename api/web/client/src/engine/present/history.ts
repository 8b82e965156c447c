/** All messages that this device keeps. */

import type { MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import type { Store } from '../store/port'
import type { Base } from './present'

const AT_ONCE = 500

export class History {
  constructor(
    private readonly base: Base,
    private readonly store: Store,
  ) {}

  all(): Promise<MessageRow[]> {
    return this.store.read(transaction => transaction.values<MessageRow>('messages'))
  }

  /** A message of this user; throws if there is none. */
  async own(id: string): Promise<MessageRow> {
    const row = (await this.all()).find(each => each.mine && each.id === id)
    if (row === undefined) {
      throw new RoostError('unknown_message', 'There is no such message on this device.')
    }
    return row
  }

  /** Keeps the messages that are not here yet; returns how many. */
  async add(rows: MessageRow[]): Promise<number> {
    const { client, shelf } = this.base
    let added = 0
    for (let at = 0; at < rows.length; at += AT_ONCE) {
      added += await client.keep(transaction => shelf.addAll(transaction, rows.slice(at, at + AT_ONCE)))
    }
    return added
  }
}
