/**
 * The thread fold: what becomes of a message by what is said about it later.
 *
 * Only its author changes a message, a deletion is for good, and of several edits the last that arrived
 * counts. What is said of a message that is not there yet waits for it. Of one person the last reaction counts.
 */

import type { FileReference } from './content'

export type SendState = 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'expired'

/** A message of a conversation, as it is kept. */
export interface ThreadMessage {
  peer: string
  id: string
  author: string
  mine: boolean
  device: string
  /** In the recipient's mailbox: one's own for what came, the peer's for what was sent. */
  seq: number | null
  atMs: number
  sentAtMs: number
  kind: 'text' | 'file' | 'timer' | 'unknown' | 'undecryptable' | 'deleted'
  text: string
  replyTo: string | null
  file: FileReference | null
  editedAtMs: number | null
  /** Emoji by person, in the order of arrival. */
  reactions: Map<string, string>
  state: SendState | null
  code: string
  /** How long it is kept once it is accepted. */
  expiresInS: number | null
  expiresAtMs: number | null
}

/** What somebody says about a message. */
export type Change = { author: string; target: string; atMs: number } & (
  | { kind: 'reaction'; emoji: string }
  | { kind: 'edit'; text: string }
  | { kind: 'delete' }
)

/** Applies a change; returns whether anything is different. */
export function applyChange(message: ThreadMessage, change: Change): boolean {
  if (message.kind === 'deleted') {
    return false
  }
  if (change.kind === 'reaction') {
    return react(message, change.author, change.emoji)
  }
  if (change.author !== message.author) {
    return false
  }
  if (change.kind === 'edit') {
    if (message.kind !== 'text' && message.kind !== 'file') {
      return false
    }
    message.text = change.text
    message.editedAtMs = change.atMs
    return true
  }
  message.kind = 'deleted'
  message.text = message.code = ''
  message.file = message.replyTo = message.editedAtMs = null
  message.reactions.clear()
  return true
}

function react(message: ThreadMessage, author: string, emoji: string): boolean {
  if ((message.reactions.get(author) ?? '') === emoji) {
    return false
  }
  message.reactions.delete(author)
  if (emoji !== '') {
    message.reactions.set(author, emoji)
  }
  return true
}

const ORDER: (SendState | null)[] = ['sending', 'sent', 'delivered', 'read']

/** Moves the state of one's own message on, never back; returns whether it is another one. */
export function advance(message: ThreadMessage, state: SendState): boolean {
  const [now, then] = [ORDER.indexOf(message.state), ORDER.indexOf(state)]
  if (!message.mine || message.state === state || (now >= 0 && then >= 0 && then < now)) {
    return false
  }
  message.state = state
  return true
}
