/** All messages that this device keeps; as lines for another device, and from another one. */

import { type Content, encodeContent } from '../../core/content'
import type { Covered } from '../../core/thread'
import type { AboutRow, MarksRow, MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import type { HistoryLine } from '../identity/archive'
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

  /**
   * The history as lines, oldest first.
   *
   * What cannot be shown, has lost its content or was never accepted stays where it is. Messages have their text
   * as it was last edited; edits and reactions follow as messages of their own.
   */
  async lines(): Promise<HistoryLine[]> {
    const rows = (await this.all()).sort((a, b) => a.atMs - b.atMs)
    const [abouts, marks] = await this.store.read(
      async transaction =>
        [await transaction.values<AboutRow>('about'), await transaction.values<MarksRow>('marks')] as const,
    )
    const about = new Map(abouts.map(each => [`${each.peer}/${each.target}`, each]))
    const said = rows.flatMap(row => this.said(row, about.get(`${row.peer}/${row.id}`)))
    const receipts = marks.map(({ peer, delivered, read }): HistoryLine => {
      return { type: 'receipt', peer, deliveredSeq: highest(delivered), readSeq: highest(read) }
    })
    return [...said, ...receipts]
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

  private said(row: MessageRow, about: AboutRow | undefined): HistoryLine[] {
    const content = contentOf(row)
    if (content === null || row.id.includes('~') || (row.mine && row.seq === null)) {
      return []
    }
    const { peer, author, device, id, atMs, sentAtMs, seq, expiresAtMs } = row
    const line = (by: string, what: Content, more: object = {}): HistoryLine => ({
      ...{ type: 'message', peer, author: by, device, id, content: encodeContent(what) },
      ...{ atMs, sentAtMs, seq, expiresAtMs },
      ...more,
    })
    const later = (at: number) => ({ id: this.base.client.freshId(), atMs: at, seq: null, expiresAtMs: null })
    const edit = about?.edits.get(author)
    const edits =
      edit === undefined ? [] : [line(author, { kind: 'edit', of: id, text: edit.text }, later(edit.atMs))]
    const reactions = [...row.reactions].map(([user, emoji]) =>
      line(user, { kind: 'reaction', to: id, emoji }, later(atMs)),
    )
    return [line(author, content), ...edits, ...reactions]
  }
}

function contentOf(row: MessageRow): Content | null {
  switch (row.kind) {
    case 'text':
      return { kind: 'text', text: row.text, replyTo: row.replyTo }
    case 'file':
      return row.file === null || row.file.mediaId === ''
        ? null
        : { kind: 'file', file: row.file, caption: row.text, replyTo: row.replyTo }
    case 'timer':
      return { kind: 'timer', expiresInS: row.timerS }
    default:
      return null
  }
}

const highest = (covered: Covered): number => Math.max(0, ...covered.map(([, upTo]) => upTo))
