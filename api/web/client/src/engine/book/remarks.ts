/** What is said about messages: edits, deletions, reactions. Any of it may come before its message. */

import type { Content } from '../../core/content'
import { applyAbout, joined, note, targetOf } from '../../core/thread'
import type { Transaction } from '../store/port'
import type { AboutRow, MessageRow } from './rows'
import type { Shelf } from './shelf'

/** Who says it, with which device, and whether that device is one of theirs for certain. */
export interface Speaker {
  author: string
  device: string
  vouched: boolean
}

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
    await transaction.put('about', { ...about, peer, target, unconfirmed } satisfies AboutRow)
    const message = await this.shelf.message(transaction, peer, target)
    if (message !== undefined) {
      apply(message, { ...about, unconfirmed })
      await this.shelf.putMessage(transaction, message)
    }
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
