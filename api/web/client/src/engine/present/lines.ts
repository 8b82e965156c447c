/** The messages that are kept, as the lines of an archive. */

import { type Content, encodeContent } from '../../core/content'
import type { Covered } from '../../core/thread'
import type { AboutRow, MarksRow, MessageRow } from '../book/rows'
import type { HistoryLine } from '../identity/archive'
import type { Store } from '../store/port'

/**
 * The history as lines, oldest first.
 *
 * What cannot be shown, has lost its content or was never accepted stays where it is. Messages have their text
 * as it was last edited; edits and reactions follow as messages of their own, under fresh ids.
 */
export async function historyLines(store: Store, freshId: () => string): Promise<HistoryLine[]> {
  const [rows, abouts, marks] = await store.read(
    async transaction =>
      [
        await transaction.values<MessageRow>('messages'),
        await transaction.values<AboutRow>('about'),
        await transaction.values<MarksRow>('marks'),
      ] as const,
  )
  const about = new Map(abouts.map(each => [`${each.peer}/${each.target}`, each]))
  const said = rows
    .sort((a, b) => a.atMs - b.atMs)
    .flatMap(row => saidIn(row, about.get(`${row.peer}/${row.id}`), freshId))
  const receipts = marks.map(({ peer, delivered, read }): HistoryLine => {
    return { type: 'receipt', peer, deliveredSeq: highest(delivered), readSeq: highest(read) }
  })
  return [...said, ...receipts]
}

function saidIn(row: MessageRow, about: AboutRow | undefined, freshId: () => string): HistoryLine[] {
  const content = contentOf(row)
  if (content === null || row.id.includes('~') || (row.mine && row.seq === null)) {
    return []
  }
  const { peer, author, device, id, atMs, sentAtMs, seq, expiresAtMs } = row
  const line = (by: string, what: Content, more: object = {}): HistoryLine => ({
    ...{ type: 'message', peer, author: by, device, id, content: encodeContent(what) },
    ...{ atMs, sentAtMs, seq, expiresAtMs, unconfirmed: row.unconfirmed !== undefined },
    ...more,
  })
  const later = (at: number) => ({ id: freshId(), atMs: at, seq: null, expiresAtMs: null })
  const edit = about?.edits.get(author)
  const edits =
    edit === undefined ? [] : [line(author, { kind: 'edit', of: id, text: edit.text }, later(edit.atMs))]
  const reactions = [...row.reactions].map(([user, emoji]) =>
    line(user, { kind: 'reaction', to: id, emoji }, later(atMs)),
  )
  return [line(author, content), ...edits, ...reactions]
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
