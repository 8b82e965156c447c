/** The book: what the session tells, as rows of conversations and messages. */

import type { ClientEvent, MessageReceived, UndecryptableReceived } from '../../core/client/events'
import { JUMP } from '../../core/client/lane'
import { type Content, type FileReference, readContent } from '../../core/content'
import { advance, applyChange, type Change, type SendState } from '../../core/thread'
import type { Transaction } from '../store/port'
import type { MessageRow, WaitingChange } from './rows'
import type { Shelf } from './shelf'

/** How far a peer has received and read, as the session knows it. */
export type Watermarks = (peer: string) => { delivered: number; read: number }

export class Book {
  constructor(
    private readonly me: string,
    private readonly shelf: Shelf,
    private readonly watermarks: Watermarks,
    private readonly nowMs: () => number,
  ) {}

  /** Keeps one event of the session. */
  async event(transaction: Transaction, event: ClientEvent): Promise<void> {
    switch (event.type) {
      case 'message':
        return this.received(transaction, event)
      case 'undecryptable':
        return this.undecryptable(transaction, event)
      case 'accepted':
        return this.accepted(transaction, event.peer, event.id, event.seq, event.atMs)
      case 'delivered':
        return this.delivered(transaction, event.peer, event.seq, event.ids)
      case 'read':
        return this.upTo(transaction, event.peer, event.seq, ['sent', 'delivered'], 'read')
      case 'failed':
        return this.failed(transaction, event.peer, event.id, event.code, event.detail)
      case 'expired':
        return this.expired(transaction, event.peer, event.id)
      case 'id_changed':
        return this.renamed(transaction, event.peer, event.id, event.newId)
      case 'key_changed': {
        const kinds = { changed: 'identity_changed', added: 'device_added' } as const
        if (event.change === 'changed' || event.change === 'added') {
          const kind = kinds[event.change]
          this.shelf.stage({ type: 'alert', kind, peer: event.peer, device: event.device })
        }
        return this.touch(transaction, event.peer)
      }
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
    const conversation = await this.shelf.conversation(transaction, row.peer, row.atMs)
    if (!conversation.accepted) {
      await this.shelf.putConversation(transaction, { ...conversation, accepted: true })
    }
    await this.insert(transaction, row)
  }

  /** Keeps what somebody says about a message, until it is there if need be. */
  async change(transaction: Transaction, peer: string, change: Change): Promise<void> {
    const row = await this.shelf.message(transaction, peer, change.target)
    if (row === undefined) {
      const order = `${String(this.nowMs()).padStart(16, '0')}${Math.random()}`
      const waiting: WaitingChange = { order, peer, target: change.target, change }
      await transaction.put('changes', waiting)
    } else if (applyChange(row, change)) {
      await this.shelf.putMessage(transaction, row)
    }
  }

  /** Everything of this peer up to a message is read; returns its number in the mailbox. */
  async markRead(transaction: Transaction, peer: string, id: string): Promise<number | null> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return null
    }
    const later = await transaction.range<MessageRow>('messages', {
      index: 'time',
      from: [peer, row.atMs, row.id],
      to: [peer, []],
    })
    await this.setUnread(transaction, peer, later.filter(isUnread).length)
    const upTo = row.mine ? await this.newestOf(transaction, peer, row) : row
    return upTo?.seq ?? null
  }

  /** Another of this user's devices has read everything of a peer up to a number. */
  private async readElsewhere(transaction: Transaction, peer: string, seq: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    const rows = await this.shelf.latest(transaction, peer, Math.max(conversation.unread, 1) * 2)
    const left = rows.filter(row => isUnread(row) && (row.seq ?? 0) > seq).length
    await this.setUnread(transaction, peer, Math.min(left, conversation.unread))
  }

  private async setUnread(transaction: Transaction, peer: string, unread: number): Promise<void> {
    const conversation = await this.shelf.conversation(transaction, peer)
    if (conversation.unread !== unread) {
      await this.shelf.putConversation(transaction, { ...conversation, unread })
    }
  }

  private async newestOf(
    transaction: Transaction,
    peer: string,
    before: MessageRow,
  ): Promise<MessageRow | null> {
    const rows = await this.shelf.latest(transaction, peer, 50, before)
    return rows.find(row => !row.mine) ?? null
  }

  private async received(transaction: Transaction, event: MessageReceived): Promise<void> {
    const content = readContent(event.content)
    const { peer, atMs } = event
    const change = changeOf(content, peer, atMs)
    if (change !== null) {
      return this.change(transaction, peer, change)
    }
    if (content.kind === 'read' && peer === this.me) {
      return this.readElsewhere(transaction, content.peer, content.seq)
    }
    const row = {
      ...blank(event, atMs),
      ...shownOf(content),
      sentAtMs: event.sentAtMs,
      expiresAtMs: event.expiresAtMs,
    }
    await this.insertReceived(transaction, row)
    if (content.kind === 'timer') {
      const conversation = await this.shelf.conversation(transaction, peer)
      await this.shelf.putConversation(transaction, { ...conversation, timerS: content.expiresInS })
    }
  }

  private undecryptable(transaction: Transaction, event: UndecryptableReceived): Promise<void> {
    const row = blank(event, this.nowMs())
    return this.insertReceived(transaction, { ...row, text: event.detail, code: event.reason })
  }

  private async insertReceived(transaction: Transaction, row: MessageRow): Promise<void> {
    const there = await this.shelf.message(transaction, row.peer, row.id)
    const repeated = there !== undefined && there.author === row.author && there.device === row.device
    if (repeated && there.kind !== 'undecryptable') {
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
    const range = { index: 'target', from: [row.peer, row.id], to: [row.peer, row.id, []] }
    for (const waiting of await transaction.range<WaitingChange>('changes', range)) {
      applyChange(row, waiting.change)
      await transaction.delete('changes', waiting.order)
    }
    await this.shelf.putMessage(transaction, row)
  }

  private async accepted(
    transaction: Transaction,
    peer: string,
    id: string,
    seq: number,
    atMs: number,
  ): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return // something said about a message
    }
    row.seq = seq
    row.atMs = atMs
    row.code = ''
    row.expiresAtMs = row.expiresInS === null ? null : atMs + row.expiresInS * 1000
    advance(row, 'sent')
    const { delivered, read } = this.watermarks(peer)
    if (seq <= read && read - seq < JUMP && seq <= delivered) {
      advance(row, 'read')
    }
    await this.shelf.putMessage(transaction, row)
  }

  private async delivered(transaction: Transaction, peer: string, seq: number, ids: string[]): Promise<void> {
    for (const id of ids) {
      const row = await this.shelf.message(transaction, peer, id)
      if (row !== undefined && advance(row, 'delivered')) {
        await this.shelf.putMessage(transaction, row)
      }
    }
    await this.upTo(transaction, peer, seq, ['sent'], 'delivered')
  }

  /** Moves on what a watermark covers, out of the same log. */
  private async upTo(
    transaction: Transaction,
    peer: string,
    seq: number,
    from: SendState[],
    state: SendState,
  ): Promise<void> {
    for (const each of from) {
      const tick = `${each}:${peer}`
      const range = { index: 'tick', from: [tick, seq - JUMP], to: [tick, seq + 0.5] }
      for (const row of await transaction.range<MessageRow>('messages', range)) {
        if (advance(row, state)) {
          await this.shelf.putMessage(transaction, row)
        }
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
      return this.trouble(code, detail)
    }
    row.state = 'failed'
    row.code = code
    await this.shelf.putMessage(transaction, row)
  }

  private async expired(transaction: Transaction, peer: string, id: string): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row === undefined) {
      return
    }
    if (row.seq === null) {
      row.state = 'expired' // it never left: whoever wrote it is to know
      await this.shelf.putMessage(transaction, row)
    } else {
      await this.shelf.removeMessage(transaction, row)
    }
  }

  private async renamed(transaction: Transaction, peer: string, id: string, newId: string): Promise<void> {
    const row = await this.shelf.message(transaction, peer, id)
    if (row !== undefined) {
      await this.shelf.removeMessage(transaction, row)
      await this.shelf.putMessage(transaction, { ...row, id: newId })
    }
  }

  private async touch(transaction: Transaction, peer: string): Promise<void> {
    const row = await transaction.get('conversations', peer)
    if (row !== undefined) {
      await this.shelf.putConversation(transaction, await this.shelf.conversation(transaction, peer))
    }
  }

  private trouble(code: string, detail: string): void {
    this.shelf.stage({ type: 'trouble', code, detail })
  }
}

const isUnread = (row: MessageRow): boolean => !row.mine && row.kind !== 'timer' && row.kind !== 'deleted'

/** What content says about another message, if it does. */
export function changeOf(content: Content, author: string, atMs: number): Change | null {
  switch (content.kind) {
    case 'reaction':
      return { kind: 'reaction', author, atMs, target: content.to, emoji: content.emoji }
    case 'edit':
      return { kind: 'edit', author, atMs, target: content.of, text: content.text }
    case 'delete':
      return { kind: 'delete', author, atMs, target: content.of }
    default:
      return null
  }
}

type Shown = Pick<MessageRow, 'kind' | 'text' | 'replyTo' | 'code' | 'expiresInS'> & {
  file: FileReference | null
}

/** The members of a row by which content is shown. */
export function shownOf(content: Content): Shown {
  const shown: Shown = { kind: 'unknown', text: '', replyTo: null, code: '', file: null, expiresInS: null }
  switch (content.kind) {
    case 'text':
      return { ...shown, kind: 'text', text: content.text, replyTo: content.replyTo }
    case 'file':
      return {
        ...shown,
        kind: 'file',
        file: content.file,
        text: content.caption,
        replyTo: content.replyTo,
      }
    case 'timer':
      return { ...shown, kind: 'timer', text: String(content.expiresInS ?? '') }
    default:
      return { ...shown, code: content.kind === 'unknown' ? content.name : content.kind }
  }
}

/** A row of something that came, before anything is known of it. */
function blank(event: { peer: string; device: string; id: string; seq: number }, atMs: number): MessageRow {
  return {
    peer: event.peer,
    id: event.id,
    author: event.peer,
    mine: false,
    device: event.device,
    seq: event.seq,
    atMs,
    sentAtMs: atMs,
    kind: 'undecryptable',
    text: '',
    replyTo: null,
    file: null,
    editedAtMs: null,
    reactions: new Map(),
    state: null,
    code: '',
    expiresInS: null,
    expiresAtMs: null,
  }
}
