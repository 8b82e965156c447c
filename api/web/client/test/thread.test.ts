import { expect, test } from 'vitest'
import { fromBase64 } from '../src/core/bytes'
import { encodedFile, readContent } from '../src/core/content'
import {
  type About,
  accept,
  applyAbout,
  blankMessage,
  covering,
  empty,
  isShown,
  joined,
  type Marks,
  note,
  nothingAbout,
  propose,
  settle,
  shownOf,
  stateOf,
  type ThreadMessage,
  targetOf,
  withdraw,
} from '../src/core/thread'
import vectors from './vectors/threads.json'

// biome-ignore lint/suspicious/noExplicitAny: JSON of Python
type Event = any

/** A conversation in memory, as the book of the engine keeps it in the store. */
class Thread {
  private readonly rows: ThreadMessage[] = []
  private readonly quiet = new Set<string>()
  private readonly abouts = new Map<string, About>()
  private marks: Marks = { delivered: [], read: [] }
  timerS: number | null = null

  constructor(
    private readonly me: string,
    private readonly peer: string,
  ) {}

  apply(event: Event): void {
    switch (event.type) {
      case 'message':
        this.written(event)
        return
      case 'undecryptable':
        if (this.find(event) === undefined && !this.quiet.has(keyOf(event))) {
          this.rows.push({ ...this.blank(event), reason: event.reason })
          this.refresh(event.id)
        }
        return
      case 'receipt':
        this.marks = {
          delivered: covering(this.marks.delivered, event.delivered_seq ?? 0),
          read: covering(this.marks.read, event.read_seq ?? 0),
        }
        return
      case 'accepted':
        this.own(event.id, row => accept(row, event.seq, event.at_ms))
        this.remarks(about => settle(about, event.id, event.at_ms))
        return
      case 'delivered':
        for (const id of event.ids) {
          this.own(id, row => {
            row.delivered = true
          })
        }
        return
      case 'failed':
        this.own(event.id, row => {
          row.failed = event.code
        })
        this.remarks(about => withdraw(about, event.id) !== null)
        return
      case 'expired':
        this.own(event.id, row => {
          row.expired = true
          empty(row)
        })
        this.remarks(about => withdraw(about, event.id) !== null)
        return
      case 'renamed':
        this.renamed(event.id, event.new_id)
        return
    }
  }

  shown(nowMs: number): object[] {
    const there = this.rows.filter(row => row.expired || row.expiresAtMs === null || row.expiresAtMs > nowMs)
    return there.map(row => this.plain(row))
  }

  private written(event: Event): void {
    const content = readContent(fromBase64(event.content))
    const there = this.find(event)
    if (this.quiet.has(keyOf(event)) || (there !== undefined && there.kind !== 'undecryptable')) {
      return
    }
    const target = targetOf(content)
    if (target !== null) {
      const about = this.about(target)
      if (event.author === this.me && event.seq === undefined) {
        propose(about, { id: event.id, author: event.author, content, atMs: event.at_ms })
      } else {
        note(about, event.author, content, event.at_ms)
      }
      this.refresh(target)
    }
    if (content.kind === 'timer') {
      this.timerS = content.expiresInS
    }
    if (!isShown(content)) {
      this.quiet.add(keyOf(event))
      return
    }
    const row = { ...this.blank(event), ...shownOf(content) }
    if (there === undefined) {
      this.rows.push(row)
    } else {
      const { expired, delivered, failed } = there
      this.rows[this.rows.indexOf(there)] = { ...row, expired, delivered, failed }
    }
    this.refresh(event.id)
  }

  /** Changes what this device said, wherever it is about. */
  private remarks(change: (about: About) => boolean): void {
    for (const [target, about] of this.abouts) {
      if (change(about)) {
        this.refresh(target)
      }
    }
  }

  private renamed(id: string, newId: string): void {
    this.remarks(about => {
      for (const each of about.proposed ?? []) {
        each.id = each.id === id ? newId : each.id
      }
      return false
    })
    const moved = this.rows.filter(row => row.mine && row.id === id)
    if (moved.length > 0) {
      this.abouts.set(newId, joined(this.about(newId), this.about(id), this.me))
      for (const row of moved) {
        row.id = newId
      }
      this.refresh(newId)
    }
  }

  private refresh(id: string): void {
    for (const row of this.rows.filter(each => each.id === id)) {
      applyAbout(row, this.about(id))
    }
  }

  private about(id: string): About {
    const found = this.abouts.get(id) ?? nothingAbout()
    this.abouts.set(id, found)
    return found
  }

  private own(id: string, change: (row: ThreadMessage) => void): void {
    for (const row of this.rows.filter(each => each.mine && each.id === id)) {
      change(row)
    }
  }

  private find(event: Event): ThreadMessage | undefined {
    return this.rows.find(
      row => row.author === event.author && row.device === event.device && row.id === event.id,
    )
  }

  private blank(event: Event): ThreadMessage {
    return {
      ...blankMessage(this.peer, event.id, event.author, event.device, event.at_ms),
      mine: event.author === this.me,
      seq: event.seq ?? null,
      sentAtMs: event.sent_at_ms,
      expiresAtMs: event.expires_at_ms ?? null,
    }
  }

  private plain(row: ThreadMessage): object {
    const state = stateOf(row, this.marks)
    const reactions: { [emoji: string]: string[] } = {}
    for (const [user, emoji] of row.reactions) {
      reactions[emoji] = [...(reactions[emoji] ?? []), user]
    }
    return {
      id: row.id,
      author: row.author,
      device: row.device,
      mine: row.mine,
      kind: row.kind,
      text: row.text,
      at_ms: row.atMs,
      sent_at_ms: row.sentAtMs,
      seq: row.seq,
      reply_to: row.replyTo,
      file: row.file && encodedFile(row.file),
      expires_in_s: row.timerS,
      edited_at_ms: row.editedAtMs,
      reactions,
      state,
      code:
        state === 'failed' && row.kind !== 'unknown' && row.kind !== 'undecryptable'
          ? row.failed
          : row.reason,
      expires_at_ms: row.expiresAtMs,
    }
  }
}

const keyOf = (event: Event): string => `${event.author}/${event.device}/${event.id}`

test.each(vectors.map(history => [history.seed, history] as const))(
  'conversation %i shows what it shows in Python',
  (_, history) => {
    const thread = new Thread(history.me, history.peer)
    for (const event of history.events) {
      thread.apply(event)
    }
    expect(thread.shown(history.now_ms)).toEqual(history.expected)
    expect(thread.timerS).toBe(history.timer_s)
  },
)
