/** How far one's own messages get: accepted, delivered, read, failed. */

import { JUMP } from '../../core/client/lane'
import { covering } from '../../core/thread'
import type { Transaction } from '../store/port'
import type { MessageRow } from './rows'
import type { Shelf } from './shelf'

export class Progress {
  constructor(private readonly shelf: Shelf) {}

  /** Changes a message of one's own; what is said about others has no row. */
  async own(
    transaction: Transaction,
    peer: string,
    id: string,
    change: (row: MessageRow) => void,
  ): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row?.mine) {
      change(row)
      await this.shelf.putMessage(transaction, row)
    }
  }

  /** These messages are there; so is everything up to a number. */
  async delivered(transaction: Transaction, peer: string, ids: string[], seq: number): Promise<void> {
    for (const id of ids) {
      await this.own(transaction, peer, id, row => {
        row.delivered = true
      })
    }
    await this.covered(transaction, peer, seq, 0)
  }

  /** Watermarks have moved: turn the ticks of what they cover. */
  async covered(transaction: Transaction, peer: string, delivered: number, read: number): Promise<void> {
    const marks = await this.shelf.marks(transaction, peer)
    const moved = { delivered: covering(marks.delivered, delivered), read: covering(marks.read, read) }
    await transaction.put('marks', { peer, ...moved })
    for (const state of read > 0 ? ['sent', 'delivered'] : ['sent']) {
      const [tick, seq] = [`${state}:${peer}`, Math.max(delivered, read)]
      const range = { index: 'tick', from: [tick, seq - JUMP], to: [tick, seq + 0.5] }
      for (const row of await transaction.range<MessageRow>('messages', range)) {
        await this.shelf.putMessage(transaction, row)
      }
    }
  }
}
