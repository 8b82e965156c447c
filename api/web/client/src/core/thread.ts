/**
 * The thread fold: what a conversation shows, by what happened in it.
 *
 * The same rules as `roost/client/thread/`; both are run on the same histories.
 *
 * - An edit or a deletion counts if its author wrote the message; a reaction counts from either side, the last
 *   of each person. Each is about every message of the conversation with its id, earlier or later ones.
 * - Of two edits the one that came later counts; a deletion counts for good. What this device says comes when the
 *   server accepts it, and counts in advance, as the last; if it is refused it was never said.
 * - How far one's own message got follows from its number and the watermarks: the order in which they became
 *   known makes no difference.
 */

import { JUMP } from './client/lane'
import type { Content, FileReference } from './content'

export { targetOf } from './remarks'

export type SendState = 'sending' | 'sent' | 'delivered' | 'read' | 'failed' | 'expired'
export type Kind = 'text' | 'file' | 'timer' | 'unknown' | 'undecryptable' | 'deleted'

/** A message of a conversation, with what is known of its way. */
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
  kind: Kind
  /** The text, or a file's caption, as it was last edited. */
  text: string
  replyTo: string | null
  file: FileReference | null
  /** Of a `timer`: messages disappear so long after they were sent. */
  timerS: number | null
  editedAtMs: number | null
  /** Emoji by person. */
  reactions: Map<string, string>
  /** Of `undecryptable` the reason, of `unknown` the kind. */
  reason: string
  /** A code of the registry, if it is not sent again. */
  failed: string
  delivered: boolean
  expired: boolean
  expiresAtMs: number | null
  /** What it showed before this device said something about it that the server has not accepted yet. */
  original?: Shown
}

/** What of a message edits and deletions change. */
type Shown = Pick<
  ThreadMessage,
  'kind' | 'text' | 'replyTo' | 'file' | 'timerS' | 'editedAtMs' | 'reason' | 'reactions'
>

/** Returns a message that one writes, before it says anything. */
export function blankMessage(
  peer: string,
  id: string,
  author: string,
  device: string,
  atMs: number,
): ThreadMessage {
  return {
    peer,
    id,
    author,
    mine: true,
    device,
    seq: null,
    atMs,
    sentAtMs: atMs,
    kind: 'undecryptable',
    text: '',
    replyTo: null,
    file: null,
    timerS: null,
    editedAtMs: null,
    reactions: new Map(),
    reason: '',
    failed: '',
    delivered: false,
    expired: false,
    expiresAtMs: null,
  }
}

/** What is said about the messages with one id. */
export interface About {
  /** Emoji by person, empty if it was taken away. */
  reactions: Map<string, string>
  /** The last edit of each author. */
  edits: Map<string, { text: string; atMs: number }>
  deleted: Set<string>
  /** What this device says and the server has not accepted yet, in order. */
  proposed?: Proposed[]
}

/** What this device says, with the id of the message that says it. */
export interface Proposed {
  id: string
  author: string
  content: Content
  atMs: number
}

export const nothingAbout = (): About => ({ reactions: new Map(), edits: new Map(), deleted: new Set() })

/** Whether content has a place of its own in the conversation. */
export function isShown(content: Content): boolean {
  return ['text', 'file', 'timer', 'unknown'].includes(content.kind)
}

/** Notes what somebody says about a message. */
export function note(about: About, author: string, content: Content, atMs: number): void {
  if (content.kind === 'reaction') {
    about.reactions.set(author, content.emoji)
  } else if (content.kind === 'edit') {
    about.edits.set(author, { text: content.text, atMs })
  } else if (content.kind === 'delete') {
    about.deleted.add(author)
  }
}

/** Notes what this device says, until the server has accepted or refused it. */
export function propose(about: About, proposed: Proposed): void {
  about.proposed = [...(about.proposed ?? []), proposed]
}

/** Takes back what this device said and the server does not take; null if it is not among that. */
export function withdraw(about: About, id: string): Proposed | null {
  const found = about.proposed?.find(each => each.id === id) ?? null
  about.proposed = (about.proposed ?? []).filter(each => each !== found)
  return found
}

/** The server has what this device said; returns whether that was waited for. */
export function settle(about: About, id: string, atMs: number): boolean {
  const found = withdraw(about, id)
  if (found !== null) {
    note(about, found.author, found.content, atMs)
  }
  return found !== null
}

/** Joins what is said about two ids: the message has another one now, and keeps what was said until then. */
export function joined(about: About, before: About, author: string): About {
  const reactions = new Map([...about.reactions, ...before.reactions])
  const edits = new Map(about.edits)
  const edit = before.edits.get(author)
  if (edit !== undefined) {
    edits.set(author, edit)
  }
  const deleted = new Set([...about.deleted, ...[...before.deleted].filter(each => each === author)])
  return { reactions, edits, deleted, proposed: [...(about.proposed ?? []), ...(before.proposed ?? [])] }
}

/** Applies to a message what is said about it. Doing it again changes nothing. */
export function applyAbout(message: ThreadMessage, about: About): void {
  if (message.expired || about.deleted.has(message.author)) {
    empty(message)
    return
  }
  const standing = withProposed(about)
  Object.assign(message, message.original)
  if (about.proposed?.some(each => each.content.kind !== 'reaction')) {
    message.original ??= shownNow(message)
  } else {
    delete message.original
  }
  if (standing.deleted.has(message.author)) {
    hide(message)
    return
  }
  const edit = standing.edits.get(message.author)
  if (edit !== undefined && (message.kind === 'text' || message.kind === 'file')) {
    message.text = edit.text
    message.editedAtMs = edit.atMs
  }
  message.reactions = new Map([...standing.reactions].filter(([, emoji]) => emoji !== '').sort(byName))
}

/** All that counts now. */
function withProposed(about: About): About {
  const { reactions, edits, deleted } = about
  const all = { reactions: new Map(reactions), edits: new Map(edits), deleted: new Set(deleted) }
  for (const { author, content, atMs } of about.proposed ?? []) {
    note(all, author, content, atMs)
  }
  return all
}

function shownNow(message: ThreadMessage): Shown {
  const { kind, text, replyTo, file, timerS, editedAtMs, reason, reactions } = message
  return { kind, text, replyTo, file, timerS, editedAtMs, reason, reactions }
}

/** Removes what a message said; that it was there stays. */
export function empty(message: ThreadMessage): void {
  delete message.original
  hide(message)
}

function hide(message: ThreadMessage): void {
  message.kind = 'deleted'
  message.text = message.reason = ''
  message.file = message.replyTo = message.timerS = message.editedAtMs = null
  message.reactions = new Map()
}

const byName = (a: [string, string], b: [string, string]): number => (a[0] < b[0] ? -1 : 1)

/** The members of a message by which content is shown. */
export function shownOf(
  content: Content,
): Pick<ThreadMessage, 'kind' | 'text' | 'replyTo' | 'file' | 'timerS' | 'reason'> {
  const bare = { kind: 'unknown' as Kind, text: '', replyTo: null, file: null, timerS: null, reason: '' }
  switch (content.kind) {
    case 'text':
      return { ...bare, kind: 'text', text: content.text, replyTo: content.replyTo }
    case 'file':
      return { ...bare, kind: 'file', file: content.file, text: content.caption, replyTo: content.replyTo }
    case 'timer':
      return { ...bare, kind: 'timer', timerS: content.expiresInS }
    default:
      return { ...bare, reason: content.kind === 'unknown' ? content.name : content.kind }
  }
}

/** The numbers that a watermark has ever covered: above the first of each pair, up to the second. */
export type Covered = [above: number, upTo: number][]

/** Adds what a watermark covers, 0 being none: it covers no number of a log before its own. */
export function covering(covered: Covered, watermark: number): Covered {
  if (watermark === 0) {
    return covered
  }
  let [above, upTo] = [watermark - JUMP, watermark]
  const apart: Covered = []
  for (const [low, high] of covered) {
    if (low <= upTo && above <= high) {
      above = Math.min(low, above)
      upTo = Math.max(high, upTo)
    } else {
      apart.push([low, high])
    }
  }
  return [...apart, [above, upTo]]
}

const covers = (covered: Covered, seq: number | null): boolean =>
  seq !== null && covered.some(([above, upTo]) => above < seq && seq <= upTo)

/** How far a peer has received and read. */
export interface Marks {
  delivered: Covered
  read: Covered
}

/** How far a message got; null if it is the peer's. */
export function stateOf(message: ThreadMessage, marks: Marks): SendState | null {
  if (!message.mine) {
    return null
  }
  // What has expired is passed by the watermarks whether the peer ever had it or not.
  if (message.expired) {
    return 'expired'
  }
  if (covers(marks.read, message.seq)) {
    return 'read'
  }
  if (message.delivered || covers(marks.delivered, message.seq)) {
    return 'delivered'
  }
  if (message.failed !== '') {
    return 'failed'
  }
  return message.seq === null ? 'sending' : 'sent'
}

/** Moves a message to the number and time at which the server accepted it; its time runs from then on. */
export function accept(message: ThreadMessage, seq: number, atMs: number): void {
  if (message.expiresAtMs !== null) {
    message.expiresAtMs += atMs - message.atMs
  }
  message.seq = seq
  message.atMs = atMs
}
