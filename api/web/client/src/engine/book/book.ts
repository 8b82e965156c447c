/** The book: what the session tells, as rows of conversations and messages. */

import type {
  ClientEvent,
  KeyChanged,
  MessageReceived,
  SentElsewhere,
  UndecryptableReceived,
} from '../../core/client/events'
import { type Content, readContent } from '../../core/content'
import { accept, blankMessage, empty, isShown, shownOf, targetOf } from '../../core/thread'
import type { HistoryLine } from '../identity/archive'
import type { Transaction } from '../store/port'
import { Progress } from './progress'
import { Reading } from './reading'
import { Remarks, type Speaker } from './remarks'
import type { MessageRow } from './rows'
import type { Shelf } from './shelf'

/** Where content comes from. */
interface Origin {
  peer: string
  author: string
  device: string
  id: string
  seq: number | null
  atMs: number
  sentAtMs: number
  expiresAtMs: number | null
}

export class Book {
  readonly reading: Reading
  private readonly remarks: Remarks
  private readonly progress: Progress

  /** @param vouched Whether a device is one that its owner's identity has signed, or the owner has no identity. */
  constructor(
    private readonly me: string,
    private readonly shelf: Shelf,
    private readonly vouched: (user: string, device: string) => boolean,
  ) {
    this.reading = new Reading(shelf)
    this.remarks = new Remarks(shelf)
    this.progress = new Progress(shelf)
  }

  /** Keeps one event of the session. */
  async event(transaction: Transaction, event: ClientEvent): Promise<void> {
    const { progress } = this
    switch (event.type) {
      case 'message':
        return this.received(transaction, event)
      case 'sent_elsewhere':
        return this.sentElsewhere(transaction, event)
      case 'undecryptable':
        return this.undecryptable(transaction, event)
      case 'accepted':
        await progress.own(transaction, event.peer, event.id, row => accept(row, event.seq, event.atMs))
        return this.remarks.accepted(transaction, event.id, event.atMs)
      case 'delivered':
        return progress.delivered(transaction, event.peer, event.ids, event.seq)
      case 'read':
        return progress.covered(transaction, event.peer, 0, event.seq)
      case 'failed':
        return this.failed(transaction, event.peer, event.id, event.code, event.detail)
      case 'expired':
        await progress.own(transaction, event.peer, event.id, row => {
          row.expired = true
          empty(row)
        })
        return this.remarks.withdrawn(transaction, event.id)
      case 'id_changed':
        return this.renamed(transaction, event.peer, event.id, event.newId)
      case 'key_changed':
        return this.keysChanged(transaction, event)
      case 'missed':
        return this.trouble('missed', 'Messages are gone from the server before this device fetched them.')
      case 'unsupported':
        return this.trouble('unsupported', `This version does not know entries of the kind ${event.kind}.`)
      case 'refused':
        return this.trouble(event.code, event.detail)
      default:
        return
    }
  }

  /** Keeps a message of this device, before it is sent. */
  async add(transaction: Transaction, row: MessageRow): Promise<void> {
    await this.acceptPeer(transaction, row.peer, row.atMs)
    await this.insert(transaction, row)
    if (row.kind === 'timer') {
      await this.setTimer(transaction, row.peer, row.timerS)
    }
  }

  /** Keeps what this device says about a message with the message `id`, before that is sent. */
  say(transaction: Transaction, peer: string, id: string, content: Content, atMs: number): Promise<void> {
    return this.remarks.propose(transaction, peer, id, this.me, content, atMs)
  }

  /** Takes over a line of the history of another device; returns whether it is a message that is new here. */
  async takeOver(transaction: Transaction, line: HistoryLine): Promise<boolean> {
    const { peer } = line
    if (line.type === 'receipt') {
      await this.progress.covered(transaction, peer, line.deliveredSeq, 0)
      await this.progress.covered(transaction, peer, 0, line.readSeq)
    }
    if (line.type !== 'message' || (line.author !== peer && line.author !== this.me)) {
      return false
    }
    const content = readContent(line.content)
    if (targetOf(content) !== null) {
      const speaker = { author: line.author, device: line.device, vouched: !line.unconfirmed }
      await this.remarks.say(transaction, peer, speaker, content, line.atMs)
    }
    if (!isShown(content) || (await this.shelf.message(transaction, peer, line.id)) !== undefined) {
      return false
    }
    await this.acceptPeer(transaction, peer, line.atMs)
    const doubt = line.unconfirmed ? { unconfirmed: line.device } : {}
    await this.insert(transaction, { ...blank(line, this.me), ...shownOf(content), ...doubt })
    if (content.kind === 'timer') {
      await this.setTimer(transaction, peer, content.expiresInS)
    }
    return true
  }

  private async setTimer(transaction: Transaction, peer: string, timerS: number | null): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    await this.shelf.putConversation(transaction, { ...conversation, timerS })
  }

  private async acceptPeer(transaction: Transaction, peer: string, atMs: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer, atMs)
    if (!conversation.accepted) {
      await this.shelf.putConversation(transaction, { ...conversation, accepted: true })
    }
  }

  private async received(transaction: Transaction, event: MessageReceived): Promise<void> {
    const content = readContent(event.content)
    if (content.kind === 'read' && event.peer === this.me) {
      return this.reading.elsewhere(transaction, content.peer, content.seq)
    }
    return this.written(transaction, { ...event, author: event.peer }, content)
  }

  private async sentElsewhere(transaction: Transaction, event: SentElsewhere): Promise<void> {
    const origin = { ...event, author: this.me }
    if (event.reason !== '') {
      return this.insertNew(transaction, {
        ...blank(origin, this.me),
        reason: event.reason,
        text: event.detail,
      })
    }
    if (event.content === null) {
      return // the other device gave no copies
    }
    await this.acceptPeer(transaction, event.peer, event.atMs)
    await this.written(transaction, origin, readContent(event.content))
    if (!event.silent) {
      await this.reading.answered(transaction, event.peer)
    }
  }

  /** Keeps content, whichever side it is of. */
  private async written(transaction: Transaction, origin: Origin, content: Content): Promise<void> {
    const { peer, author, device, atMs } = origin
    const speaker: Speaker = { author, device, vouched: this.vouched(author, device) }
    if (targetOf(content) !== null) {
      return this.remarks.say(transaction, peer, speaker, content, atMs)
    }
    if (isShown(content)) {
      const doubt = speaker.vouched ? {} : { unconfirmed: device }
      await this.insertNew(transaction, { ...blank(origin, this.me), ...shownOf(content), ...doubt })
    }
    if (content.kind === 'timer') {
      await this.setTimer(transaction, peer, content.expiresInS)
    }
  }

  private undecryptable(transaction: Transaction, event: UndecryptableReceived): Promise<void> {
    const origin = { ...event, author: event.peer, expiresAtMs: null }
    const row = { ...blank(origin, this.me), text: event.detail, reason: event.reason }
    return this.insertNew(transaction, row)
  }

  /** Inserts a message of elsewhere; a repeat changes nothing, unless the first one could not be opened. */
  private async insertNew(transaction: Transaction, row: MessageRow): Promise<void> {
    const there = await this.shelf.message(transaction, row.peer, row.id)
    const repeated = there !== undefined && there.author === row.author && there.device === row.device
    if (repeated && (there.kind !== 'undecryptable' || row.kind === 'undecryptable')) {
      return
    }
    if (there !== undefined && !repeated) {
      row.id = `${row.id}~${row.device}` // an id is its sender's: another's message of that id is another message
    }
    await this.insert(transaction, row)
    if (!repeated) {
      await this.reading.arrived(transaction, row)
    }
  }

  /** Writes a message, with what was said about it before it came. */
  private async insert(transaction: Transaction, row: MessageRow): Promise<void> {
    await this.remarks.applyTo(transaction, row)
    await this.shelf.putMessage(transaction, row)
  }

  private async failed(
    transaction: Transaction,
    peer: string,
    id: string,
    code: string,
    detail: string,
  ): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      await this.remarks.withdrawn(transaction, id)
      return this.trouble(code, detail) // something said about a message
    }
    await this.shelf.putMessage(transaction, { ...row, failed: code })
  }

  private async renamed(transaction: Transaction, peer: string, id: string, newId: string): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return this.remarks.reissued(transaction, id, newId)
    }
    await this.remarks.renamed(transaction, peer, id, newId, this.me)
    await this.shelf.removeMessage(transaction, row)
    await this.insert(transaction, { ...row, id: newId })
  }

  private async keysChanged(transaction: Transaction, event: KeyChanged): Promise<void> {
    const { peer, device, change } = event
    if (change === 'changed' || change === 'identity') {
      this.shelf.stage({ type: 'alert', kind: 'identity_changed', peer, device })
    }
    // A device that its owner's identity has signed is no news.
    if ((change === 'added' && !event.confirmed) || change === 'unconfirmed') {
      this.shelf.stage({ type: 'alert', kind: 'device_added', peer, device })
    }
    if (change === 'confirmed') {
      await this.confirmed(transaction, peer, device)
    }
    if ((await transaction.get('conversations', event.peer)) !== undefined) {
      const conversation = await this.shelf.conversation(transaction, event.peer)
      await this.shelf.putConversation(transaction, conversation)
    }
  }

  /** The owner has signed the device: what it has said so far is no longer in doubt. */
  private async confirmed(transaction: Transaction, author: string, device: string): Promise<void> {
    for (const row of await transaction.values<MessageRow>('messages')) {
      if (row.author === author && row.unconfirmed === device) {
        const { unconfirmed: _, ...rest } = row
        await this.shelf.putMessage(transaction, rest)
      }
    }
  }

  private trouble(code: string, detail: string): void {
    this.shelf.stage({ type: 'trouble', code, detail })
  }
}

/** A row of something that came, before anything is known of it. */
function blank(origin: Origin, me: string): MessageRow {
  const { peer, id, author, device, seq, atMs, sentAtMs, expiresAtMs } = origin
  return { ...blankMessage(peer, id, author, device, atMs), mine: author === me, seq, sentAtMs, expiresAtMs }
}
