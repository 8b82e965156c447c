/** The rows of conversations and messages as they are kept, and as pages see them. */

import type { Conversation, MessageView, Presence, Trust } from '../../app/contract'
import { safeName } from '../../core/filenames'
import type { About, Marks, SendState, ThreadMessage } from '../../core/thread'

/** A message, with the members of two indexes. */
export interface MessageRow extends ThreadMessage {
  /** To whom its ticks may still turn, and how far they are. */
  tick?: string
  /** When it is to be removed; not before it was sent. */
  ends?: number
  /** The device that what it says comes from, if its author's identity had not signed it. */
  unconfirmed?: string
}

/** A message that is accepted so long after it was written, or before, shows both times. */
const LATE_MS = 60_000

export interface ConversationRow {
  peer: string
  displayName: string
  lastId: string | null
  last: Conversation['last']
  atMs: number
  unread: number
  draft: string
  blocked: boolean
  /** This user wrote to the peer, or accepted them. */
  accepted: boolean
  timerS: number | null
}

/** What is said about the messages of a conversation with one id. */
export interface AboutRow extends About {
  peer: string
  target: string
  /** By author: the device of the last edit, if the author's identity had not signed it. */
  unconfirmed?: Map<string, string>
}

/** How far a peer has received and read, ever. */
export interface MarksRow extends Marks {
  peer: string
}

export const emptyConversation = (peer: string, atMs: number): ConversationRow => ({
  peer,
  displayName: '',
  lastId: null,
  last: null,
  atMs,
  unread: 0,
  draft: '',
  blocked: false,
  accepted: false,
  timerS: null,
})

/** What is known of a peer beside the row. */
export interface Surroundings {
  presence: Presence | null
  typing: boolean
  trust: Trust
  requests: boolean
}

export function conversationView(row: ConversationRow, around: Surroundings): Conversation {
  return {
    peer: row.peer,
    displayName: row.displayName || row.peer,
    last: row.last,
    unread: row.unread,
    draft: row.draft,
    presence: around.presence,
    typing: around.typing,
    trust: around.trust,
    blocked: row.blocked,
    request: around.requests && !row.accepted,
    timerS: row.timerS,
  }
}

/** One line that says what a message is. */
export function preview(row: ThreadMessage): string {
  if (row.kind === 'file' && row.text === '') {
    return safeName(row.file?.name ?? '')
  }
  return row.kind === 'timer' ? String(row.timerS ?? '') : row.text
}

/** What of a picture or file is shown. */
function fileView(row: ThreadMessage): MessageView['file'] {
  if (row.file === null) {
    return null
  }
  const { name, type, size, width, height, thumbnail } = row.file
  return { name: safeName(name), type, size, width, height, thumbnail }
}

export function messageView(
  row: MessageRow,
  state: SendState | null,
  quoted: MessageView['quoted'],
): MessageView {
  const reactions = new Map<string, string[]>()
  for (const [user, emoji] of row.reactions) {
    reactions.set(emoji, [...(reactions.get(emoji) ?? []), user])
  }
  return {
    id: row.id,
    peer: row.peer,
    mine: row.mine,
    device: row.device,
    atMs: row.atMs,
    writtenAtMs: Math.abs(row.atMs - row.sentAtMs) > LATE_MS ? row.sentAtMs : null,
    unconfirmed: row.unconfirmed !== undefined && row.kind !== 'deleted',
    kind: row.kind,
    text: row.kind === 'timer' ? String(row.timerS ?? '') : row.text,
    replyTo: row.replyTo,
    quoted,
    edited: row.editedAtMs !== null,
    reactions: [...reactions].map(([emoji, users]) => ({ emoji, users })),
    file: fileView(row),
    state,
    code: state === 'failed' ? row.failed : row.reason,
    expiresAtMs: row.expiresAtMs,
    seq: row.seq,
  }
}

/** Sets the members of the indexes. */
export function indexed(row: MessageRow, state: SendState | null): MessageRow {
  const { tick: _tick, ends: _ends, ...message } = row
  const left = !row.mine || row.seq !== null
  const rest =
    row.expiresAtMs !== null && left && !row.expired ? { ...message, ends: row.expiresAtMs } : message
  const open = row.seq !== null && (state === 'sent' || state === 'delivered' || state === 'failed')
  return open ? { ...rest, tick: `${state === 'delivered' ? 'delivered' : 'sent'}:${row.peer}` } : rest
}
