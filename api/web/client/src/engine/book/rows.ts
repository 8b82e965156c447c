/** The rows of conversations and messages as they are kept, and as pages see them. */

import type { Conversation, MessageView, Presence, Trust } from '../../app/contract'
import { safeName } from '../../core/filenames'
import type { ThreadMessage } from '../../core/thread'

/** A message, with the member that the index `tick` is made of: who may still turn its ticks. */
export interface MessageRow extends ThreadMessage {
  tick?: string
}

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
  verified: boolean
}

/** Something said about a message that is not there yet. */
export interface WaitingChange {
  order: string
  peer: string
  target: string
  change: import('../../core/thread').Change
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
  verified: false,
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
  return row.text
}

export function messageView(row: MessageRow, quoted: MessageView['quoted']): MessageView {
  const file = row.file
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
    kind: row.kind,
    text: row.text,
    replyTo: row.replyTo,
    quoted,
    edited: row.editedAtMs !== null,
    reactions: [...reactions].map(([emoji, users]) => ({ emoji, users })),
    file:
      file === null
        ? null
        : {
            name: safeName(file.name),
            type: file.type,
            size: file.size,
            width: file.width,
            height: file.height,
            thumbnail: file.thumbnail,
          },
    state: row.state,
    code: row.code,
    expiresAtMs: row.expiresAtMs,
    seq: row.seq,
  }
}

/** Sets the member of the index: own messages, by how far they are and to whom. */
export function indexed(row: MessageRow): MessageRow {
  const open = row.mine && row.seq !== null && (row.state === 'sent' || row.state === 'delivered')
  const { tick: _, ...rest } = row
  return open ? { ...rest, tick: `${row.state}:${row.peer}` } : rest
}
