/** What the pages show: the engine's snapshot, kept right by its notices. */

import { createContext } from 'svelte'
import type {
  Connection,
  Conversation,
  Engine,
  MessageView,
  Notice,
  Profile,
  Snapshot,
} from '../../app/contract'
import { preview } from '../lib/preview'
import { CONNECTION_WORDS, isOnline, sentence, whyFailed } from '../lib/words'
import { Announcer } from './announcer.svelte'
import { Blobs } from './blobs.svelte'
import { OwnDevices } from './devices.svelte'
import { Preferences } from './preferences.svelte'
import { Router } from './router.svelte'
import { Thread } from './thread.svelte'

export const [getApp, setApp] = createContext<App>()

/** Conversations whose messages stay loaded. */
const THREADS_MAX = 12
/** Presence is watched for so many people at once. */
const WATCHED_MAX = 100

export class App {
  profile = $state.raw<Profile | null>(null)
  connection = $state<Connection>('connecting')
  persistent = $state(true)
  attached = $state(false)
  conversations = $state.raw<Conversation[]>([])
  /** Whose messages are here although no one is signed in. */
  left = $state.raw<Snapshot['left']>(null)
  /** A newer version of the app waits for a reload. */
  update = $state(false)
  /** A message to show in its conversation, found by a search. */
  target = $state.raw<{ peer: string; id: string } | null>(null)
  /** Counts the snapshots: what was made from an earlier one is to be made again. */
  epoch = $state(0)
  /** Why there is no engine: then nothing works. */
  broken = $state('')

  readonly router = new Router()
  readonly preferences = new Preferences()
  readonly announcer = new Announcer()
  readonly blobs: Blobs
  readonly devices: OwnDevices
  readonly #threads = new Map<string, Thread>()
  #watched = ''

  readonly chats = $derived(this.conversations.filter(one => !one.request))
  readonly requests = $derived(this.conversations.filter(one => one.request))
  readonly unread = $derived(this.chats.reduce((sum, one) => sum + (one.blocked ? 0 : one.unread), 0))

  constructor(readonly engine: Engine) {
    this.blobs = new Blobs(engine)
    this.devices = new OwnDevices(engine)
  }

  /** Take the engine's snapshot and hear its notices; the function ends that. */
  start(): () => void {
    const stop = this.engine.listen(notice => this.hear(notice))
    void this.attach()
    return stop
  }

  async attach(): Promise<void> {
    try {
      const snapshot = await this.engine.call('attach', undefined)
      this.#forget()
      this.profile = snapshot.profile
      this.connection = snapshot.connection
      this.persistent = snapshot.persistent
      this.left = snapshot.left
      this.conversations = snapshot.conversations
      this.attached = true
      this.#watch()
      this.#known()
    } catch (reason) {
      this.broken = whyFailed(reason)
    }
  }

  conversation(peer: string): Conversation | undefined {
    return this.conversations.find(one => one.peer === peer)
  }

  /** The person's name as it is shown. */
  nameOf(username: string): string {
    if (username === this.profile?.username) return 'You'
    return this.conversation(username)?.displayName || username
  }

  thread(conversation: Conversation): Thread {
    const known = this.#threads.get(conversation.peer)
    const thread = known ?? new Thread(this.engine, conversation)
    this.#threads.delete(conversation.peer) // the order is that of use
    this.#threads.set(conversation.peer, thread)
    const oldest = this.#threads.keys().next().value
    if (this.#threads.size > THREADS_MAX && oldest) this.#threads.delete(oldest)
    return thread
  }

  /** Find a person by exact username and show the conversation. */
  async open(username: string): Promise<void> {
    if (!this.conversation(username)) this.#row(await this.engine.call('open', { peer: username }))
    this.router.chat(username)
  }

  hear(notice: Notice): void {
    switch (notice.type) {
      case 'connection':
        if (this.connection !== notice.connection) this.announcer.say(CONNECTION_WORDS[notice.connection])
        this.connection = notice.connection
        this.#known()
        break
      case 'profile':
        this.#signed(notice.profile)
        break
      case 'conversation':
        this.#row(notice.conversation)
        // What was typed in another tab; here it comes from the person's own hands.
        if (!document.hasFocus())
          this.#threads.get(notice.conversation.peer)?.draftElsewhere(notice.conversation.draft)
        break
      case 'message':
        this.#message(notice.message)
        break
      case 'removed':
        this.#threads.get(notice.peer)?.take(notice.id)
        break
      case 'progress':
        this.blobs.noted(notice.id, notice.done, notice.total)
        break
      case 'alert':
        this.#alert(notice.kind, notice.peer)
        break
      case 'linked':
        this.#linked(notice.messages, notice.problem)
        break
      case 'trouble':
        if (notice.code === 'replaced') this.update = true
        this.announcer.toast(sentence(notice.code, notice.detail), true)
    }
  }

  /** Run a command of the person's; a refusal is shown. True if it was done. */
  async attempt(work: () => Promise<unknown>, done = ''): Promise<boolean> {
    try {
      await work()
      if (done) this.announcer.toast(done)
      return true
    } catch (reason) {
      this.announcer.toast(whyFailed(reason), true)
      return false
    }
  }

  #signed(profile: Profile | null): void {
    const same = profile?.username === this.profile?.username
    this.profile = profile
    if (same) return
    this.#forget()
    this.conversations = []
    void this.attach()
    if (!profile) this.router.chat(null)
  }

  #row(row: Conversation): void {
    const at = this.conversations.findIndex(one => one.peer === row.peer)
    const rest = at < 0 ? this.conversations : this.conversations.toSpliced(at, 1)
    const time = row.last?.atMs ?? Number.POSITIVE_INFINITY // a new one, without messages, comes first
    const place = rest.findIndex(one => (one.last?.atMs ?? Number.POSITIVE_INFINITY) <= time)
    this.conversations = rest.toSpliced(place < 0 ? rest.length : place, 0, row)
    this.#watch()
  }

  #message(message: MessageView): void {
    const thread = this.#threads.get(message.peer)
    const isNew = thread !== undefined && !thread.find(message.id)
    thread?.put(message)
    if (isNew && !message.mine && message.peer === this.router.peer && message.kind !== 'timer') {
      this.announcer.say(`${this.nameOf(message.peer)}: ${preview(message)}`)
    }
  }

  #alert(kind: 'identity_changed' | 'device_added', peer: string): void {
    const name = this.nameOf(peer)
    const own = peer === this.profile?.username
    if (kind === 'identity_changed') this.announcer.toast(`The safety number with ${name} has changed.`, true)
    else if (own)
      void this.devices.load() // a notice says what to do
    else this.announcer.toast(`${name} has a new device.`)
  }

  #linked(messages: number, problem: string): void {
    if (problem) this.announcer.toast(`This device was not linked: ${problem}.`, true)
    else
      this.announcer.toast(
        `This device is linked. ${messages} ${messages === 1 ? 'message' : 'messages'} came with it.`,
      )
    void this.attach()
  }

  /** Learn of the own devices, once there is a connection. */
  #known(): void {
    if (this.profile && isOnline(this.connection) && !this.devices.loaded) void this.devices.load()
  }

  #watch(): void {
    const peers = this.conversations.slice(0, WATCHED_MAX).map(one => one.peer)
    const key = [...peers].sort().join(' ')
    if (!this.profile || key === this.#watched) return
    this.#watched = key
    // Presence is a courtesy: without it the list shows none.
    void this.engine.call('watch', { peers }).catch(() => {
      this.#watched = ''
    })
  }

  #forget(): void {
    this.epoch++
    this.#threads.clear()
    this.blobs.clear()
    this.devices.clear()
    this.#watched = ''
  }
}
