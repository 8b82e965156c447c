/** All messages that this device keeps, and those that it takes over from another one. */

import type { MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import type { HistoryLine } from '../identity/archive'
import type { Store } from '../store/port'
import { historyLines } from './lines'
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

  lines(): Promise<HistoryLine[]> {
    return historyLines(this.store, () => this.base.client.freshId())
  }

  /** Keeps the lines of another device that are not here yet; returns how many messages that is. */
  async takeOver(lines: HistoryLine[]): Promise<number> {
    const { client, shelf, book } = this.base
    let added = 0
    for (let at = 0; at < lines.length; at += AT_ONCE) {
      added += await client.keep(transaction =>
        shelf.quietly(transaction, async () => {
          let count = 0
          for (const line of lines.slice(at, at + AT_ONCE)) {
            count += Number(await book.takeOver(transaction, line))
          }
          return count
        }),
      )
    }
    return added
  }
}
