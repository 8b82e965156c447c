/**
 * The shelf: rows of one transaction, read and written back with what the pages are told of them.
 *
 * Notices are staged: they are told when the transaction is on the disk, and forgotten if it is not.
 */

import type { MessageView, Notice } from '../../app/contract'
import { nothingAbout, type SendState, stateOf } from '../../core/thread'
import type { Transaction } from '../store/port'
import {
  type AboutRow,
  type ConversationRow,
  conversationView,
  emptyConversation,
  indexed,
  type MarksRow,
  type MessageRow,
  messageView,
  preview,
  type Surroundings,
} from './rows'

const QUOTE = 200

/** What the shelf asks about a peer. */
export type Around = (peer: string) => Surroundings

export class Shelf {
  private staged: Notice[] = []
  /** The last message of each conversation, while messages of before are written. */
  private quiet: Map<string, MessageRow> | null = null

  constructor(
    private readonly around: Around,
    private readonly publish: (notice: Notice) => void,
  ) {}

  /** The transaction is on the disk. */
  published(): void {
    const staged = this.staged
    this.staged = []
    for (const notice of staged) {
      this.publish(notice)
    }
  }

  /** It is not, and will be done again. */
  dropped(): void {
    this.staged = []
  }

  stage(notice: Notice): void {
    this.staged.push(notice)
  }

  message(transaction: Transaction, peer: string, id: string): Promise<MessageRow | undefined> {
    return transaction.get<MessageRow>('messages', [peer, id])
  }

  async conversation(transaction: Transaction, peer: string, atMs = 0): Promise<ConversationRow> {
    const kept = await transaction.get<ConversationRow>('conversations', peer)
    return kept ?? emptyConversation(peer, atMs)
  }

  async about(
    transaction: Transaction,
    peer: string,
    target: string,
  ): Promise<Omit<AboutRow, 'peer' | 'target'>> {
    return (await transaction.get<AboutRow>('about', [peer, target])) ?? nothingAbout()
  }

  async marks(transaction: Transaction, peer: string): Promise<MarksRow> {
    return (await transaction.get<MarksRow>('marks', peer)) ?? { peer, delivered: [], read: [] }
  }

  async putConversation(transaction: Transaction, row: ConversationRow): Promise<void> {
    await transaction.put('conversations', row)
    const conversation = conversationView(row, this.around(row.peer))
    // Whole rows: only the last one of a transaction is worth telling.
    this.staged = this.staged.filter(
      each => each.type !== 'conversation' || each.conversation.peer !== row.peer,
    )
    this.stage({ type: 'conversation', conversation })
  }

  /** Writes a message, and the conversation if it is its last one. */
  async putMessage(transaction: Transaction, row: MessageRow): Promise<void> {
    const state = stateOf(row, await this.marks(transaction, row.peer))
    await transaction.put('messages', indexed(row, state))
    if (this.quiet !== null) {
      this.quiet.set(row.peer, later(this.quiet.get(row.peer), row))
      return
    }
    this.stage({ type: 'message', message: await this.view(transaction, row) })
    await this.putLast(transaction, row, state)
  }

  private async putLast(transaction: Transaction, row: MessageRow, state: SendState | null): Promise<void> {
    const conversation = await this.conversation(transaction, row.peer, row.atMs)
    if (conversation.last === null || conversation.lastId === row.id || row.atMs >= conversation.last.atMs) {
      await this.putConversation(transaction, { ...conversation, ...lastOf(row, state) })
    }
  }

  /** Writes messages of before, telling only of their conversations, and of these once. */
  async quietly<T>(transaction: Transaction, work: () => Promise<T>): Promise<T> {
    const latest = new Map<string, MessageRow>()
    this.quiet = latest
    let result: T
    try {
      result = await work()
    } finally {
      this.quiet = null
    }
    for (const row of latest.values()) {
      await this.putLast(transaction, row, stateOf(row, await this.marks(transaction, row.peer)))
    }
    return result
  }

  /** Removes a message from this device. */
  async removeMessage(transaction: Transaction, row: MessageRow): Promise<void> {
    await transaction.delete('messages', [row.peer, row.id])
    this.stage({ type: 'removed', peer: row.peer, id: row.id })
    const conversation = await this.conversation(transaction, row.peer)
    if (conversation.lastId === row.id) {
      const [last] = await this.latest(transaction, row.peer, 1)
      const state = last && stateOf(last, await this.marks(transaction, row.peer))
      const shown = last === undefined ? { lastId: null, last: null } : lastOf(last, state ?? null)
      await this.putConversation(transaction, { ...conversation, ...shown })
    }
  }

  /** The latest messages before one (or the end), newest first. */
  latest(
    transaction: Transaction,
    peer: string,
    limit: number,
    before: MessageRow | null = null,
  ): Promise<MessageRow[]> {
    const to = before === null ? [peer, []] : [peer, before.atMs, before.id]
    return transaction.range<MessageRow>('messages', { index: 'time', from: [peer], to, last: true, limit })
  }

  async view(transaction: Transaction, row: MessageRow): Promise<MessageView> {
    const quoted = row.replyTo === null ? undefined : await this.message(transaction, row.peer, row.replyTo)
    return messageView(
      row,
      stateOf(row, await this.marks(transaction, row.peer)),
      quoted === undefined ? null : { author: quoted.author, text: preview(quoted).slice(0, QUOTE) },
    )
  }
}

const later = (one: MessageRow | undefined, other: MessageRow): MessageRow =>
  one === undefined || other.atMs >= one.atMs ? other : one

const lastOf = (row: MessageRow, state: SendState | null) => ({
  lastId: row.id,
  atMs: row.atMs,
  last: { text: preview(row).slice(0, QUOTE), atMs: row.atMs, mine: row.mine, state, kind: row.kind },
})
