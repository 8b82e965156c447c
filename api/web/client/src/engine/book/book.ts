/** The book: what the session tells, as rows of conversations and messages. */

import type {
  ClientEvent,
  KeyChanged,
  MessageReceived,
  SentElsewhere,
  UndecryptableReceived,
} from '../../core/client/events'
import { JUMP } from '../../core/client/lane'
import { type Content, readContent } from '../../core/content'
import {
  accept,
  applyAbout,
  blankMessage,
  covering,
  empty,
  isShown,
  joined,
  note,
  shownOf,
  targetOf,
} from '../../core/thread'
import type { HistoryLine } from '../identity/archive'
import type { Transaction } from '../store/port'
import type { AboutRow, MessageRow } from './rows'
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
  constructor(
    private readonly me: string,
    private readonly shelf: Shelf,
    readonly _nowMs: () => number,
  ) {}

  /** Keeps one event of the session. */
  async event(transaction: Transaction, event: ClientEvent): Promise<void> {
    switch (event.type) {
      case 'message':
        return this.received(transaction, event)
      case 'sent_elsewhere':
        return this.sentElsewhere(transaction, event)
      case 'undecryptable':
        return this.undecryptable(transaction, event)
      case 'accepted':
        return this.own(transaction, event.peer, event.id, row => accept(row, event.seq, event.atMs))
      case 'delivered':
        for (const id of event.ids) {
          await this.own(transaction, event.peer, id, row => {
            row.delivered = true
          })
        }
        return this.covered(transaction, event.peer, event.seq, 0)
      case 'read':
        return this.covered(transaction, event.peer, 0, event.seq)
      case 'failed':
        return this.failed(transaction, event.peer, event.id, event.code, event.detail)
      case 'expired':
        return this.own(transaction, event.peer, event.id, row => {
          row.expired = true
          empty(row)
        })
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

  /** Keeps what somebody says about a message, which may come later. */
  async say(
    transaction: Transaction,
    peer: string,
    author: string,
    content: Content,
    atMs: number,
  ): Promise<void> {
    const target = targetOf(content)
    if (target === null) {
      return
    }
    const about = await this.shelf.about(transaction, peer, target)
    note(about, author, content, atMs)
    const row: AboutRow = { ...about, peer, target }
    await transaction.put('about', row)
    const message = await this.shelf.message(transaction, peer, target)
    if (message !== undefined) {
      applyAbout(message, about)
      await this.shelf.putMessage(transaction, message)
    }
  }

  /** Everything of this peer up to a message is read; returns its number in the mailbox. */
  async markRead(
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

  /** Takes over a line of the history of another device; returns whether it is a message that is new here. */
  async takeOver(transaction: Transaction, line: HistoryLine): Promise<boolean> {
    const { peer } = line
    if (line.type === 'receipt') {
      await this.covered(transaction, peer, line.deliveredSeq, 0)
      await this.covered(transaction, peer, 0, line.readSeq)
    }
    if (line.type !== 'message' || (line.author !== peer && line.author !== this.me)) {
      return false
    }
    const content = readContent(line.content)
    if (targetOf(content) !== null) {
      await this.say(transaction, peer, line.author, content, line.atMs)
    }
    if (!isShown(content) || (await this.shelf.message(transaction, peer, line.id)) !== undefined) {
      return false
    }
    await this.acceptPeer(transaction, peer, line.atMs)
    await this.insert(transaction, { ...blank(line, this.me), ...shownOf(content) })
    if (content.kind === 'timer') {
      await this.setTimer(transaction, peer, content.expiresInS)
    }
    return true
  }

  /** Another of this user's devices has read everything of a peer up to a number. */
  private async readElsewhere(transaction: Transaction, peer: string, seq: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    if (conversation.unread > 0) {
      const rows = await this.shelf.latest(transaction, peer, conversation.unread * 2 + 50)
      const left = rows.filter(row => isUnread(row) && (row.seq ?? 0) > seq).length
      await this.setUnread(transaction, peer, Math.min(left, conversation.unread))
    }
  }

  private async setUnread(transaction: Transaction, peer: string, unread: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    if (conversation.unread !== unread) {
      await this.shelf.putConversation(transaction, { ...conversation, unread })
    }
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

  private async newestBefore(
    transaction: Transaction,
    peer: string,
    before: MessageRow,
  ): Promise<MessageRow | null> {
    const rows = await this.shelf.latest(transaction, peer, 50, before)
    return rows.find(row => !row.mine) ?? null
  }

  private async received(transaction: Transaction, event: MessageReceived): Promise<void> {
    const content = readContent(event.content)
    if (content.kind === 'read' && event.peer === this.me) {
      return this.readElsewhere(transaction, content.peer, content.seq)
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
      await this.setUnread(transaction, event.peer, 0) // who answers has read
    }
  }

  /** Keeps content, whichever side it is of. */
  private async written(transaction: Transaction, origin: Origin, content: Content): Promise<void> {
    const { peer, author, atMs } = origin
    if (targetOf(content) !== null) {
      return this.say(transaction, peer, author, content, atMs)
    }
    if (isShown(content)) {
      await this.insertNew(transaction, { ...blank(origin, this.me), ...shownOf(content) })
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
    if (isUnread(row) && !repeated) {
      const conversation = await this.shelf.conversation(transaction, row.peer)
      await this.setUnread(transaction, row.peer, conversation.unread + 1)
    }
  }

  /** Writes a message, with what was said about it before it came. */
  private async insert(transaction: Transaction, row: MessageRow): Promise<void> {
    applyAbout(row, await this.shelf.about(transaction, row.peer, row.id))
    await this.shelf.putMessage(transaction, row)
  }

  /** Changes a message of one's own; what is said about others has no row. */
  private async own(
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

  /** Watermarks have moved: turn the ticks of what they cover. */
  private async covered(
    transaction: Transaction,
    peer: string,
    delivered: number,
    read: number,
  ): Promise<void> {
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

  private async failed(
    transaction: Transaction,
    peer: string,
    id: string,
    code: string,
    detail: string,
  ): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return this.trouble(code, detail) // something said about a message
    }
    await this.shelf.putMessage(transaction, { ...row, failed: code })
  }

  private async renamed(transaction: Transaction, peer: string, id: string, newId: string): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return
    }
    const before = await this.shelf.about(transaction, peer, id)
    const about = joined(await this.shelf.about(transaction, peer, newId), before, this.me)
    await transaction.put('about', { ...about, peer, target: newId })
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
    if ((await transaction.get('conversations', event.peer)) !== undefined) {
      const conversation = await this.shelf.conversation(transaction, event.peer)
      await this.shelf.putConversation(transaction, conversation)
    }
  }

  private trouble(code: string, detail: string): void {
    this.shelf.stage({ type: 'trouble', code, detail })
  }
}

const isUnread = (row: MessageRow): boolean => !row.mine && row.kind !== 'timer' && row.kind !== 'deleted'

/** A row of something that came, before anything is known of it. */
function blank(origin: Origin, me: string): MessageRow {
  const { peer, id, author, device, seq, atMs, sentAtMs, expiresAtMs } = origin
  return { ...blankMessage(peer, id, author, device, atMs), mine: author === me, seq, sentAtMs, expiresAtMs }
}
