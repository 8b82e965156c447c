/** The rows of a conversation: messages with what is shown above and around each. */

import type { MessageView } from '../../app/contract'
import { dayOf } from './time'

export interface Row {
  key: string
  message: MessageView
  /** The first of its day: the day's name is shown above it. */
  day: boolean
  /** The first unread one: a line is shown above it. */
  unread: boolean
  /** The first and last of a group: one author's messages, shortly after each other. */
  first: boolean
  last: boolean
}

const GROUP_MS = 5 * 60_000

/** Make the rows; a row that is as before is the same object, so that it is not drawn again. */
export function rowsOf(messages: MessageView[], unreadFrom: string | null, before: Map<string, Row>): Row[] {
  return messages.map((message, at) => {
    const above = messages[at - 1]
    const below = messages[at + 1]
    const unread = message.id === unreadFrom
    const row: Row = {
      key: message.id,
      message,
      day: !above || dayOf(above.atMs) !== dayOf(message.atMs),
      unread,
      first: unread || !together(above, message),
      last: below?.id === unreadFrom || !together(message, below),
    }
    const old = before.get(message.id)
    return old && same(old, row) ? old : row
  })
}

/** The first of the last `count` messages of the peer, or null. */
export function firstUnread(messages: MessageView[], count: number): string | null {
  let left = count
  let found: string | null = null
  for (let at = messages.length - 1; at >= 0 && left > 0; at--) {
    const message = messages[at]
    if (!message || message.mine || message.kind === 'timer') continue
    found = message.id
    left--
  }
  return found
}

/** Put a message in its place: the list is ordered by time, and holds an id once. */
export function placed(messages: MessageView[], message: MessageView): MessageView[] {
  const at = messages.findLastIndex(one => one.id === message.id)
  const rest = at < 0 ? messages : messages.toSpliced(at, 1)
  const above = rest.findLastIndex(one => one.atMs <= message.atMs)
  // A message that changed keeps its place among those of the same millisecond.
  const tied = at >= 0 && at <= above && rest[at]?.atMs === message.atMs
  return rest.toSpliced(tied ? at : above + 1, 0, message)
}

function together(above: MessageView | undefined, below: MessageView | undefined): boolean {
  if (!above || !below || above.kind === 'timer' || below.kind === 'timer') return false
  return (
    above.mine === below.mine && below.atMs - above.atMs < GROUP_MS && dayOf(above.atMs) === dayOf(below.atMs)
  )
}

function same(a: Row, b: Row): boolean {
  return (
    a.message === b.message &&
    a.day === b.day &&
    a.unread === b.unread &&
    a.first === b.first &&
    a.last === b.last
  )
}
