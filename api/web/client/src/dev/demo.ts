/** An engine in memory, with people who answer. For looking at the pages; nothing is sent anywhere. */

import type {
  Answer,
  Argument,
  Command,
  CommandError,
  Conversation,
  Engine,
  MessageView,
  Notice,
  Profile,
  SendState,
} from '../app/contract'
import { doubtful, everything, long, message } from './messages'
import { devices, ME, people } from './people'
import { bytesOf } from './pictures'

type Handlers = { [C in Command]: (argument: Argument<C>) => Promise<Answer<C>> | Answer<C> }

const DIGITS = '304918827716052248391157720463958102447163920588137742650931'
const wait = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

function refuse(code: string, detail: string): never {
  throw { code, detail, retryAfterS: null } satisfies CommandError
}

function tooManyDevices(): never {
  const one = (number: number) => ({
    id: `WINDOW${number}`,
    name: number ? `Firefox on Linux ${number}` : 'Phone',
    createdAtMs: Date.now() - (40 - number) * 86_400_000,
  })
  const detail = 'An account may have at most 20 devices: on another one, remove one first.'
  const devices = Array.from({ length: 20 }, (_, number) => one(number))
  throw { code: 'too_large', detail, retryAfterS: null, devices } satisfies CommandError
}

export class DemoEngine implements Engine {
  #profile: Profile | null
  #conversations: Conversation[] = []
  #messages = new Map<string, MessageView[]>()
  #devices = devices(Date.now())
  readonly #hearers = new Set<(notice: Notice) => void>()
  readonly #ready: Promise<void>

  constructor(private readonly mode: 'full' | 'empty' | 'signed-out' | 'left' | 'unlinked' | 'blocked') {
    this.#profile = mode === 'signed-out' || mode === 'left' ? null : ME
    this.#ready = ['full', 'unlinked', 'blocked'].includes(mode) ? this.#fill() : Promise.resolve()
    if (mode === 'unlinked') for (const device of this.#devices) device.confirmed = !device.current
  }

  listen(hear: (notice: Notice) => void): () => void {
    this.#hearers.add(hear)
    return () => this.#hearers.delete(hear)
  }

  async call<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    await this.#ready
    const handle = this.#handlers[command] as (argument: Argument<C>) => Promise<Answer<C>> | Answer<C>
    return structuredClone(await handle(argument))
  }

  #tell(notice: Notice): void {
    for (const hear of this.#hearers) hear(structuredClone(notice))
  }

  async #fill(): Promise<void> {
    const now = Date.now()
    this.#conversations = people(now)
    for (const one of this.#conversations) {
      const few = [message(one.peer, now - 40 * 3_600_000, `This is ${one.displayName}.`)]
      const more: Record<string, () => MessageView[] | Promise<MessageView[]>> = {
        bob: () => everything('bob', now),
        carol: () => long('carol', now),
        farid: () => [...few, ...doubtful('farid', now)],
      }
      this.#messages.set(one.peer, (await more[one.peer]?.()) ?? few)
      this.#last(one)
    }
    this.#conversations.sort((a, b) => (b.last?.atMs ?? 0) - (a.last?.atMs ?? 0))
  }

  #of(peer: string): Conversation {
    return (
      this.#conversations.find(one => one.peer === peer) ?? refuse('unknown_user', 'There is no such user.')
    )
  }

  #last(one: Conversation): void {
    const last = this.#messages.get(one.peer)?.at(-1)
    const text = last?.text || last?.file?.name || ''
    one.last = last ? { text, atMs: last.atMs, mine: last.mine, state: last.state, kind: last.kind } : null
  }

  #change(peer: string, change: Partial<Conversation>): undefined {
    const one = Object.assign(this.#of(peer), change)
    this.#tell({ type: 'conversation', conversation: one })
  }

  #put(one: MessageView): void {
    const all = this.#messages.get(one.peer) ?? []
    const at = all.findIndex(known => known.id === one.id)
    if (at < 0) all.push(one)
    else all[at] = one
    this.#messages.set(one.peer, all)
    this.#tell({ type: 'message', message: one })
    this.#last(this.#of(one.peer))
    this.#change(one.peer, {})
  }

  #alter(peer: string, id: string, change: (one: MessageView) => Partial<MessageView>): undefined {
    const one = this.#messages.get(peer)?.find(known => known.id === id)
    if (!one) return refuse('unknown_message', 'There is no such message.')
    this.#put({ ...one, ...change(one) })
  }

  #write(peer: string, text: string, more: Partial<MessageView>): { id: string } {
    const one = message(peer, Date.now(), text, { mine: true, state: 'sending', ...more })
    this.#put(one)
    void this.#deliver(one)
    return { id: one.id }
  }

  async #deliver(one: MessageView): Promise<void> {
    for (let part = 1; one.file && part <= 10; part++) {
      await wait(150)
      this.#tell({ type: 'progress', id: one.id, done: part, total: 10 })
    }
    for (const state of ['sent', 'delivered', 'read'] satisfies SendState[]) {
      await wait(500)
      this.#alter(one.peer, one.id, () => ({ state }))
    }
    await wait(400)
    this.#change(one.peer, { typing: true })
    await wait(1500)
    this.#change(one.peer, { typing: false })
    this.#put(message(one.peer, Date.now(), `You wrote: ${one.text || one.file?.name}`))
  }

  #quoted(peer: string, id: string | null): MessageView['quoted'] {
    const one = id ? this.#messages.get(peer)?.find(known => known.id === id) : undefined
    return one ? { author: one.mine ? ME.username : peer, text: one.text || one.file?.name || '' } : null
  }

  async #enter(profile: typeof ME): Promise<undefined> {
    await wait(600)
    this.#profile = profile
    this.#tell({ type: 'profile', profile })
  }

  readonly #handlers: Handlers = {
    attach: () => ({
      profile: this.#profile,
      connection: this.mode === 'blocked' ? 'polling' : 'online',
      conversations: this.#profile ? this.#conversations : [],
      left: this.mode === 'left' && !this.#profile ? { username: 'bea', messages: 318 } : null,
      persistent: this.mode !== 'empty',
    }),
    signUp: ({ username, displayName }) =>
      username === 'taken' ? refuse('username_taken', '') : this.#enter({ ...ME, username, displayName }),
    signIn: ({ username, password, instead }) => {
      if (password === 'wrong') refuse('bad_credentials', '')
      if (username === 'everywhere' && !instead) tooManyDevices()
      return this.#enter({ ...ME, username })
    },
    signOut: () => {
      this.#profile = null
      this.#tell({ type: 'profile', profile: null })
      return undefined
    },
    open: async ({ peer }) => {
      await wait(300)
      if (peer.startsWith('no')) refuse('unknown_user', 'There is no such user.')
      const person = people(0)[0] as Conversation
      const one = {
        ...person,
        peer,
        displayName: peer,
        unread: 0,
        trust: 'new',
        timerS: null,
      } as Conversation
      this.#conversations.push(one)
      return one
    },
    page: ({ peer, before, limit }) => {
      const all = this.#messages.get(peer) ?? []
      const end = before === null ? all.length : all.findIndex(one => one.id === before)
      const start = Math.max(0, end - limit)
      return { messages: all.slice(start, end), more: start > 0 }
    },
    search: ({ text }) => {
      const words = text.toLowerCase()
      const all = [...this.#messages.values()].flat()
      return all
        .filter(one => one.text.toLowerCase().includes(words))
        .slice(-50)
        .reverse()
    },
    send: ({ peer, text, replyTo }) =>
      this.#write(peer, text, { replyTo, quoted: this.#quoted(peer, replyTo) }),
    sendFile: ({ peer, file, caption, replyTo }) => {
      const { name, type, size } = file
      return this.#write(peer, caption, {
        kind: 'file',
        file: { name, type, size, width: null, height: null, thumbnail: null },
        replyTo,
        quoted: this.#quoted(peer, replyTo),
      })
    },
    retry: async ({ id }) => {
      const one = [...this.#messages.values()].flat().find(known => known.id === id)
      if (one) void this.#deliver(one)
      return undefined
    },
    edit: ({ peer, id, text }) => this.#alter(peer, id, () => ({ text, edited: true })),
    remove: ({ peer, id, forAll }) => {
      if (forAll)
        return this.#alter(peer, id, () => ({ kind: 'deleted', text: '', reactions: [], file: null }))
      this.#messages.set(
        peer,
        (this.#messages.get(peer) ?? []).filter(one => one.id !== id),
      )
      this.#tell({ type: 'removed', peer, id })
      return undefined
    },
    react: ({ peer, id, emoji }) =>
      this.#alter(peer, id, ({ reactions }) => {
        const others = reactions
          .map(one => ({ ...one, users: one.users.filter(user => user !== ME.username) }))
          .filter(one => one.users.length)
        const same = others.find(one => one.emoji === emoji)
        if (same) same.users.push(ME.username)
        else if (emoji) others.push({ emoji, users: [ME.username] })
        return { reactions: others }
      }),
    fetchFile: async ({ peer, id }) => {
      const file = this.#messages.get(peer)?.find(one => one.id === id)?.file
      for (let part = 0; part < 4; part++) {
        this.#tell({ type: 'progress', id, done: part, total: 4 })
        await wait(120)
      }
      return bytesOf(file?.name ?? '')
    },
    read: ({ peer }) => this.#change(peer, { unread: 0 }),
    typing: () => undefined,
    draft: ({ peer, text }) => this.#change(peer, { draft: text }),
    timer: ({ peer, seconds }) => {
      this.#put(message(peer, Date.now(), '', { kind: 'timer', mine: true, text: String(seconds ?? '') }))
      return this.#change(peer, { timerS: seconds })
    },
    accept: ({ peer }) => this.#change(peer, { request: false }),
    block: ({ peer, blocked }) => this.#change(peer, { blocked }),
    watch: () => undefined,
    safety: () => ({ digits: DIGITS, qr: `roost-safety:1:${DIGITS}` }),
    verify: ({ peer, verified }) => this.#change(peer, { trust: verified ? 'verified' : 'new' }),
    trust: ({ peer }) => this.#change(peer, { trust: 'new' }),
    devices: () => this.#devices,
    removeDevice: ({ id }) => {
      this.#devices = this.#devices.filter(one => one.id !== id)
      return undefined
    },
    linkCode: () => ({
      code: 'K7PQ-M2XD-9RTB',
      qr: 'roost-link:1:K7PQM2XD9RTB',
      expiresAtMs: Date.now() + 120_000,
    }),
    link: ({ code }) =>
      code.length < 6
        ? refuse('bad_link', 'This code is not known. Check it, or make a new one.')
        : undefined,
    profile: change => {
      this.#profile = { ...(this.#profile ?? ME), ...change }
      return this.#profile
    },
    changePassword: ({ old }) => (old === 'wrong' ? refuse('bad_credentials', '') : undefined),
    enablePush: () => undefined,
    pushKey: () => ({ applicationServerKey: '' }),
    exportHistory: () => new Blob(['{}']),
    importHistory: () => ({ messages: 3 }),
  }
}
