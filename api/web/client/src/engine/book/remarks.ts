/** What is said about messages: edits, deletions, reactions. Any of it may come before its message. */

import type { Content } from '../../core/content'
import { applyAbout, joined, note, propose, settle, targetOf, withdraw } from '../../core/thread'
import type { Transaction } from '../store/port'
import type { AboutRow, MessageRow } from './rows'
import type { Shelf } from './shelf'

/** Who says it, with which device, and whether that device is one of theirs for certain. */
export interface Speaker {
  author: string
  device: string
  vouched: boolean
}

/** Where a message of this device says something about another one, until the server has it: by its id, in `meta`. */
interface Proposal {
  peer: string
  target: string
}

const keyOf = (id: string) => ['remark', id]

export class Remarks {
  constructor(private readonly shelf: Shelf) {}

  /** Keeps what someone says about a message, and applies it if the message is there. */
  async say(
    transaction: Transaction,
    peer: string,
    speaker: Speaker,
    content: Content,
    atMs: number,
  ): Promise<void> {
    const target = targetOf(content)
    if (target === null) {
      return
    }
    const about = await this.shelf.about(transaction, peer, target)
    note(about, speaker.author, content, atMs)
    const unconfirmed = new Map(about.unconfirmed)
    if (content.kind === 'edit') {
      unconfirmed.delete(speaker.author)
      if (!speaker.vouched) {
        unconfirmed.set(speaker.author, speaker.device)
      }
    }
    await this.put(transaction, { ...about, peer, target, unconfirmed })
  }

  /** Keeps what this device says about a message with one of its own; the server has yet to take it. */
  async propose(
    transaction: Transaction,
    peer: string,
    id: string,
    author: string,
    content: Content,
    atMs: number,
  ): Promise<void> {
    const target = targetOf(content)
    if (target === null) {
      return
    }
    const about = await this.shelf.about(transaction, peer, target)
    propose(about, { id, author, content, atMs })
    await transaction.put('meta', { peer, target } satisfies Proposal, keyOf(id))
    await this.put(transaction, { ...about, peer, target })
  }

  /** The server has a message of this device, which may say something about another one. */
  async accepted(transaction: Transaction, id: string, atMs: number): Promise<void> {
    await this.ended(transaction, id, about => settle(about, id, atMs))
  }

  /** A message of this device came to nothing: if it says something about another one, it never did. */
  async withdrawn(transaction: Transaction, id: string): Promise<void> {
    await this.ended(transaction, id, about => withdraw(about, id))
  }

  /** Applies to a message what was said about it before it came. */
  async applyTo(transaction: Transaction, row: MessageRow): Promise<void> {
    apply(row, await this.shelf.about(transaction, row.peer, row.id))
  }

  /** What was said about a message of one's own holds for it under its new id, too. */
  async renamed(
    transaction: Transaction,
    peer: string,
    id: string,
    newId: string,
    me: string,
  ): Promise<void> {
    const before = await this.shelf.about(transaction, peer, id)
    const about = joined(await this.shelf.about(transaction, peer, newId), before, me)
    await transaction.put('about', { ...about, peer, target: newId } satisfies AboutRow)
    for (const proposed of before.proposed ?? []) {
      await transaction.put('meta', { peer, target: newId } satisfies Proposal, keyOf(proposed.id))
    }
  }

  /** What says something about a message has another id itself. */
  async reissued(transaction: Transaction, id: string, newId: string): Promise<void> {
    const found = await transaction.get<Proposal>('meta', keyOf(id))
    if (found !== undefined) {
      const { peer, target } = found
      const about = await this.shelf.about(transaction, peer, target)
      const proposed = about.proposed?.map(each => (each.id === id ? { ...each, id: newId } : each)) ?? []
      await transaction.delete('meta', keyOf(id))
      await transaction.put('meta', found, keyOf(newId))
      await transaction.put('about', { ...about, proposed, peer, target } satisfies AboutRow)
    }
  }

  private async ended(
    transaction: Transaction,
    id: string,
    change: (about: Remarked) => unknown,
  ): Promise<void> {
    const found = await transaction.get<Proposal>('meta', keyOf(id))
    if (found !== undefined) {
      const about = await this.shelf.about(transaction, found.peer, found.target)
      change(about)
      await transaction.delete('meta', keyOf(id))
      await this.put(transaction, { ...about, ...found })
    }
  }

  /** Keeps what is said about a message, and applies it if the message is there. */
  private async put(transaction: Transaction, about: AboutRow): Promise<void> {
    await transaction.put('about', about)
    const message = await this.shelf.message(transaction, about.peer, about.target)
    if (message !== undefined) {
      apply(message, about)
      await this.shelf.putMessage(transaction, message)
    }
  }
}

type Remarked = Omit<AboutRow, 'peer' | 'target'>

function apply(message: MessageRow, about: Remarked): void {
  applyAbout(message, about)
  if (about.edits.has(message.author)) {
    const device = about.unconfirmed?.get(message.author)
    if (device === undefined) {
      delete message.unconfirmed
    } else {
      message.unconfirmed = device
    }
  }
}
