/** One conversation as a page holds it: the messages that were loaded, the draft, and what is being done. */

import type { Conversation, Engine, MessageView } from '../../app/contract'
import { firstUnread, placed } from '../lib/rows'
import type { Anchor } from '../lib/windowing'

const FIRST_PAGE = 80
const NEXT_PAGE = 200
const TYPING_EVERY_MS = 4000
const TYPING_ENDS_MS = 6000
const DRAFT_AFTER_MS = 400

export class Thread {
  messages = $state.raw<MessageView[]>([])
  more = $state(false)
  loaded = $state(false)
  /** The message above which the unread line stands. */
  unreadFrom = $state<string | null>(null)
  draft = $state('')
  replyTo = $state.raw<MessageView | null>(null)
  editing = $state.raw<MessageView | null>(null)
  /** Messages that came while the end was not in view. */
  below = $state(0)
  /** Counts what was written here: the view goes to the end then. */
  written = $state(0)
  /** Where the view is, and was when the conversation was left. */
  anchor: Anchor = 'end'

  readonly peer: string
  #loading: Promise<void> | null = null
  #readUpTo: string | null = null
  #looked: string | null = null
  #typedAt = 0
  #pause: ReturnType<typeof setTimeout> | undefined
  #keep: ReturnType<typeof setTimeout> | undefined
  #beforeEdit = ''

  constructor(
    private readonly engine: Engine,
    conversation: Conversation,
  ) {
    this.peer = conversation.peer
    this.draft = conversation.draft
  }

  /** Load the newest messages, once. */
  open(unread: number): Promise<void> {
    this.#loading ??= this.#first(unread)
    return this.#loading
  }

  async #first(unread: number): Promise<void> {
    try {
      const limit = Math.max(FIRST_PAGE, Math.min(unread + 20, 500))
      const page = await this.engine.call('page', { peer: this.peer, before: null, limit })
      // What was told meanwhile is newer than the page.
      this.messages = this.messages.reduce(placed, page.messages)
      this.more = page.more
      this.unreadFrom = firstUnread(this.messages, unread)
      this.loaded = true
    } catch (reason) {
      this.#loading = null
      throw reason
    }
  }

  /** Load older messages; asked twice at once, they are loaded once. */
  older(limit = NEXT_PAGE): Promise<void> {
    this.#older ??= this.#before(limit).finally(() => {
      this.#older = null
    })
    return this.#older
  }

  #older: Promise<void> | null = null

  async #before(limit: number): Promise<void> {
    const before = this.messages[0]?.id ?? null
    if (!this.more || before === null) return
    const page = await this.engine.call('page', { peer: this.peer, before, limit })
    const known = new Set(this.messages.map(message => message.id))
    this.messages = [...page.messages.filter(message => !known.has(message.id)), ...this.messages]
    this.more = page.more
  }

  /** Load back to a message; false if it is not here (removed, or disappeared). */
  async reach(id: string): Promise<boolean> {
    while (!this.find(id) && this.more) await this.older(500)
    return this.find(id) !== undefined
  }

  find(id: string): MessageView | undefined {
    return this.messages.find(message => message.id === id)
  }

  /** A message is new or has changed. */
  put(message: MessageView): void {
    const first = this.messages[0]
    const old = this.find(message.id)
    // A change of a message that was not loaded: it comes with its page.
    if (!old && this.more && first && message.atMs < first.atMs) return
    this.messages = placed(this.messages, message)
    if (!old && message.mine) {
      this.unreadFrom = null
      this.written++
    } else if (!old && this.anchor !== 'end') this.below++
    if (this.editing?.id === message.id && message.kind !== 'text') this.cancel()
    if (this.replyTo?.id === message.id && message.kind === 'deleted') this.replyTo = null
  }

  take(id: string): void {
    this.messages = this.messages.filter(message => message.id !== id)
    if (this.replyTo?.id === id) this.replyTo = null
    if (this.editing?.id === id) this.cancel()
  }

  /** The person has seen everything up to a message. */
  seen(id: string): void {
    if (id === this.#looked) return
    this.#looked = id
    let at = this.messages.findLastIndex(message => message.id === id)
    while (at >= 0 && (this.messages[at]?.mine || this.messages[at]?.kind === 'timer')) at--
    const last = this.messages[at]
    if (!last || at <= this.messages.findLastIndex(message => message.id === this.#readUpTo)) return
    this.#readUpTo = last.id
    void this.engine.call('read', { peer: this.peer, upTo: last.id }).catch(() => {
      this.#readUpTo = null // told again with the next look
      this.#looked = null
    })
  }

  /** The text in the composer has changed by the person's hand. */
  typed(text: string): void {
    this.draft = text
    this.#tell(text !== '' && !this.editing)
    if (this.editing) return
    clearTimeout(this.#keep)
    this.#keep = setTimeout(() => this.keepDraft(), DRAFT_AFTER_MS)
  }

  /** The draft was changed in another tab. */
  draftElsewhere(text: string): void {
    if (!this.editing) this.draft = text
  }

  keepDraft(): void {
    clearTimeout(this.#keep)
    this.#keep = undefined
    if (this.editing) return
    void this.engine.call('draft', { peer: this.peer, text: this.draft }).catch(() => undefined)
  }

  #tell(typing: boolean): void {
    clearTimeout(this.#pause)
    const now = Date.now()
    if (typing) {
      this.#pause = setTimeout(() => this.#tell(false), TYPING_ENDS_MS)
      if (now - this.#typedAt < TYPING_EVERY_MS) return
    } else if (this.#typedAt === 0) return
    this.#typedAt = typing ? now : 0
    // Typing is a courtesy: nothing is owed if it does not arrive.
    void this.engine.call('typing', { peer: this.peer, typing }).catch(() => undefined)
  }

  /** The conversation is no longer on the screen. */
  left(): void {
    this.#tell(false)
    this.unreadFrom = null
  }

  /** Send what is in the composer, or the edit of a message. */
  async submit(): Promise<void> {
    const text = this.draft.trim()
    if (!text) return
    const { editing, replyTo } = this
    this.draft = editing ? this.#beforeEdit : ''
    this.editing = null
    this.replyTo = null
    this.#tell(false)
    this.keepDraft()
    try {
      if (!editing) await this.engine.call('send', { peer: this.peer, text, replyTo: replyTo?.id ?? null })
      else if (editing.text !== text)
        await this.engine.call('edit', { peer: this.peer, id: editing.id, text })
    } catch (reason) {
      this.draft ||= text // nothing that was written is lost
      this.replyTo ??= replyTo
      throw reason
    }
  }

  async submitFiles(files: File[], caption: string): Promise<void> {
    const replyTo = this.replyTo?.id ?? null
    this.replyTo = null
    for (const [at, file] of files.entries()) {
      const first = at === 0
      await this.engine.call('sendFile', {
        peer: this.peer,
        file,
        caption: first ? caption : '',
        replyTo: first ? replyTo : null,
      })
    }
  }

  reply(message: MessageView): void {
    if (this.editing) this.cancel()
    this.replyTo = message
  }

  edit(message: MessageView): void {
    if (!this.editing) this.#beforeEdit = this.draft
    this.replyTo = null
    this.editing = message
    this.draft = message.text
  }

  /** Edit the last message of one's own; false if there is none that can be. */
  editLast(): boolean {
    const last = this.messages.findLast(
      message => message.mine && message.kind === 'text' && message.state !== 'failed',
    )
    if (last) this.edit(last)
    return last !== undefined
  }

  /** Leave the edit or the reply; false if there was neither. */
  cancel(): boolean {
    if (this.editing) {
      this.editing = null
      this.draft = this.#beforeEdit
      return true
    }
    const was = this.replyTo !== null
    this.replyTo = null
    return was
  }
}
