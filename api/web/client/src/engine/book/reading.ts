/** What is read of a conversation: here, and on this user's other devices. */

import type { Transaction } from '../store/port'
import type { MessageRow } from './rows'
import type { Shelf } from './shelf'

export class Reading {
  constructor(private readonly shelf: Shelf) {}

  /** Everything of this peer up to a message is read; returns its number in the mailbox. */
  async upTo(
    transaction: Transaction,
    peer: string,
    id: string,
  ): Promise<{ seq: number | null; wasUnread: boolean }> {
    const row = await this.shelf.message(transaction, peer, id)
    const { unread } = await this.shelf.conversation(transaction, peer)
    if (row === undefined) {
      return { seq: null, wasUnread: false }
    }
    const later = await transaction.range<MessageRow>('messages', {
      index: 'time',
      from: [peer, row.atMs, row.id],
      to: [peer, []],
    })
    await this.setUnread(transaction, peer, later.filter(isUnread).length)
    const upTo = row.mine ? await this.newestBefore(transaction, peer, row) : row
    return { seq: upTo?.seq ?? null, wasUnread: unread > 0 }
  }

  /** Another of this user's devices has read everything of a peer up to a number. */
  async elsewhere(transaction: Transaction, peer: string, seq: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    if (conversation.unread > 0) {
      const rows = await this.shelf.latest(transaction, peer, conversation.unread * 2 + 50)
      const left = rows.filter(row => isUnread(row) && (row.seq ?? 0) > seq).length
      await this.setUnread(transaction, peer, Math.min(left, conversation.unread))
    }
  }

  /** Counts a message that came. */
  async arrived(transaction: Transaction, row: MessageRow): Promise<void> {
    if (isUnread(row)) {
      const conversation = await this.shelf.conversation(transaction, row.peer)
      await this.setUnread(transaction, row.peer, conversation.unread + 1)
    }
  }

  /** The user has answered: everything is read. */
  answered(transaction: Transaction, peer: string): Promise<void> {
    return this.setUnread(transaction, peer, 0)
  }

  private async setUnread(transaction: Transaction, peer: string, unread: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    if (conversation.unread !== unread) {
      await this.shelf.putConversation(transaction, { ...conversation, unread })
    }
  }

  private async newestBefore(
    transaction: Transaction,
    peer: string,
    before: MessageRow,
  ): Promise<MessageRow | null> {
    const rows = await this.shelf.latest(transaction, peer, 50, before)
    return rows.find(row => !row.mine) ?? null
  }
}

const isUnread = (row: MessageRow): boolean => !row.mine && row.kind !== 'timer' && row.kind !== 'deleted'
