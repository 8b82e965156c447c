/** What pages ask of whoever is signed in. */

import type {
  Answer,
  Argument,
  Command,
  Commands as Contract,
  DeviceView,
  Notice,
  Profile,
} from '../app/contract'
import type { OutboxItem } from '../core/client/state'
import { type Content, encodeContent, type FileReference, isControl, MAX_CONTENT } from '../core/content'
import { KEY_BYTES } from '../core/crypto/keys'
import { safetyHash, safetyNumber } from '../core/crypto/safety'
import { addressOf } from '../core/ids'
import { flag, list, members, oneOf, optional, text, whole } from '../core/shapes'
import { shownOf } from '../core/thread'
import { named } from './account'
import { ownBlank } from './book/book'
import { type ConversationRow, conversationView, type MessageRow } from './book/rows'
import type { LocalEngine, SignedIn } from './engine'
import { RoostError } from './errors'
import { Attempts } from './files/attempts'
import { OutgoingFiles, type UploadRow } from './files/outgoing'
import { Transfers } from './files/transfers'
import { read as readArchive, written } from './identity/archive'
import { Linker, type LinkOwner } from './identity/linker'
import { EMPTY } from './transport/answers'

const FOUND_MAX = 100
const PAGE_MAX = 200
const ONLINE_MS = 500
const KEPT_AT_ONCE = 500
const LONGEST_TIMER_MS = 2 ** 31 - 1

type Handlers = {
  [C in Command]?: (argument: Argument<C>) => Promise<Answer<C>>
}

export class Commands {
  private expiry: ReturnType<typeof setTimeout> | undefined
  private expiresNextMs = Number.POSITIVE_INFINITY
  private readonly named = new Set<string>()
  private readonly transfers: Transfers
  private readonly files: OutgoingFiles
  private readonly address: string
  readonly linker: Linker
  private stopped = false

  constructor(
    private readonly engine: LocalEngine,
    private readonly present: Omit<SignedIn, 'commands'>,
  ) {
    const attempts = () =>
      new Attempts(
        () => this.online(),
        () => this.stopped,
      )
    this.transfers = new Transfers(engine.api, attempts)
    const { account, client, identity } = present
    const { random } = engine.options
    this.address = addressOf(account.username, account.serverName)
    this.linker = new Linker(
      account,
      client.directory,
      identity,
      client.keys,
      this.transfers,
      this.linkOwner(),
      random,
    )
    this.files = new OutgoingFiles(
      engine.store,
      present,
      this.transfers,
      (upload, file) => this.sendUploaded(upload, file),
      (id, done, total) => this.progress(id, done, total),
    )
  }

  private linkOwner(): LinkOwner {
    const { client } = this.present
    return {
      nowMs: () => client.nowMs(),
      known: async () => ({ people: client.people(), messages: await this.messages() }),
      keepMessages: messages => this.keepMessages(messages),
      peerChanged: (peer, changes) => client.keysChanged(peer, changes),
      linked: (messages, problem) => this.engine.publish({ type: 'linked', messages, problem }),
    }
  }

  private messages(): Promise<MessageRow[]> {
    return this.engine.store.read(transaction => transaction.values<MessageRow>('messages'))
  }

  /** Keeps the messages that are not here yet; returns how many. */
  private async keepMessages(rows: MessageRow[]): Promise<number> {
    const { client, shelf } = this.present
    let added = 0
    for (let at = 0; at < rows.length; at += KEPT_AT_ONCE) {
      added += await client.keep(transaction => shelf.addAll(transaction, rows.slice(at, at + KEPT_AT_ONCE)))
    }
    return added
  }

  private safetyHash(user: string): Uint8Array {
    const keys = this.present.client.directory.identities.keys(user)
    if (keys === null) {
      throw new RoostError('invalid', `${user} has no identity to compare yet.`)
    }
    return safetyHash(keys.master, addressOf(user, this.present.account.serverName))
  }

  /** Resolves when the session is up, or nothing is to be done any more. */
  private async online(): Promise<void> {
    while (!this.present.client.session.open && !this.stopped) {
      await new Promise(resolve => setTimeout(resolve, ONLINE_MS))
    }
  }

  async perform<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    const handler = (this.handlers as Handlers)[command]
    if (handler === undefined) {
      throw new RoostError('unsupported', `This version does not know the command ${command}.`)
    }
    return handler(argument)
  }

  /** Goes on with what an earlier run left. */
  async resume(): Promise<void> {
    await this.expire()
    await this.files.resume()
  }

  /** The session is up: learn what others may have changed. */
  async connected(): Promise<void> {
    try {
      await this.readProfile()
      await this.readBlocks()
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      // No answer: it is asked again at the next connection.
    }
  }

  /** Hears what pages are told: a peer whose name is not known yet, a message that will disappear. */
  heard(notice: Notice): void {
    if (notice.type === 'conversation' && notice.conversation.displayName === notice.conversation.peer) {
      void this.learnName(notice.conversation.peer)
    }
    if (notice.type === 'message' && notice.message.expiresAtMs !== null) {
      this.expireBy(notice.message.expiresAtMs)
    }
  }

  /** Asks for the name of a peer who wrote for the first time. */
  private async learnName(peer: string): Promise<void> {
    if (this.named.has(peer)) {
      return
    }
    this.named.add(peer)
    try {
      const displayName = await this.displayName(peer)
      await this.changeConversation(peer, () => ({ displayName }))
    } catch (error) {
      this.named.delete(peer)
      if (!(error instanceof RoostError)) {
        throw error
      }
    }
  }

  private readonly handlers: Partial<{
    [C in Command]: (argument: Contract[C][0]) => Promise<Contract[C][1]>
  }> = {
    open: async ({ peer }) => {
      const name = named(peer)
      const displayName = await this.displayName(name)
      const row = await this.changeConversation(name, () => ({ displayName }))
      return conversationView(row, this.present.around.of(name))
    },

    page: async ({ peer, before, limit }) => {
      const wanted = Math.min(Math.max(limit, 1), PAGE_MAX)
      return this.engine.store.read(async transaction => {
        const { shelf } = this.present
        const from = before === null ? null : ((await shelf.message(transaction, peer, before)) ?? null)
        const rows = await shelf.latest(transaction, peer, wanted + 1, from)
        const shown = rows.slice(0, wanted).reverse()
        const messages = []
        for (const row of shown) {
          messages.push(await shelf.view(transaction, row))
        }
        return { messages, more: rows.length > wanted }
      })
    },

    search: async ({ text: wanted, peer }) => {
      const needle = wanted.toLowerCase()
      return this.engine.store.read(async transaction => {
        const all = await transaction.values<MessageRow>('messages')
        const found = all
          .filter(row => peer === null || row.peer === peer)
          .filter(row => row.kind !== 'timer' && row.text.toLowerCase().includes(needle))
          .sort((a, b) => b.atMs - a.atMs)
          .slice(0, FOUND_MAX)
        const views = []
        for (const row of found) {
          views.push(await this.present.shelf.view(transaction, row))
        }
        return views
      })
    },

    send: async ({ peer, text: written, replyTo }) => {
      return { id: await this.sendShown(named(peer), { kind: 'text', text: written, replyTo }) }
    },

    sendFile: async ({ peer, file, caption, replyTo }) => {
      return { id: await this.sendFile(named(peer), file, caption, replyTo) }
    },

    fetchFile: async ({ peer, id }) => {
      const row = await this.engine.store.read(transaction =>
        this.present.shelf.message(transaction, peer, id),
      )
      const upload = await this.upload(id)
      if (upload !== undefined) {
        return upload.blob
      }
      if (!row?.file) {
        throw new RoostError('unknown_message', 'There is no such file on this device.')
      }
      return this.transfers.download(row.file, (done, total) => this.progress(id, done, total))
    },

    exportHistory: async () => {
      const messages = await this.messages()
      return written(this.address, this.present.client.nowMs(), { people: [], messages })
    },

    importHistory: async blob => {
      const { messages } = readArchive(await blob.text(), this.address)
      return { messages: await this.keepMessages(messages) }
    },

    retry: async ({ id }) => {
      const row = await this.ownMessage(id)
      if (row.failed === '') {
        return undefined
      }
      const upload = await this.upload(id)
      if (upload !== undefined) {
        const again: MessageRow = { ...row, failed: '' }
        await this.present.client.keep(transaction => this.present.shelf.putMessage(transaction, again))
        void this.files.start(upload)
        return undefined
      }
      const content: Content =
        row.kind === 'file' && row.file !== null
          ? { kind: 'file', file: row.file, caption: row.text, replyTo: row.replyTo }
          : { kind: 'text', text: row.text, replyTo: row.replyTo }
      await this.present.client.keep(transaction => this.present.shelf.removeMessage(transaction, row))
      await this.sendShown(row.peer, content)
      return undefined
    },

    edit: async ({ peer, id, text: written }) => {
      await this.say(peer, { kind: 'edit', of: id, text: written })
      return undefined
    },

    remove: async ({ peer, id, forAll }) => {
      if (forAll) {
        await this.say(peer, { kind: 'delete', of: id })
        return undefined
      }
      await this.present.client.keep(async transaction => {
        const row = await this.present.shelf.message(transaction, peer, id)
        if (row !== undefined) {
          await this.present.shelf.removeMessage(transaction, row)
        }
      })
      return undefined
    },

    react: async ({ peer, id, emoji }) => {
      await this.say(peer, { kind: 'reaction', to: id, emoji })
      return undefined
    },

    read: async ({ peer, upTo }) => {
      const { client, book } = this.present
      const { seq, wasUnread } = await client.keep(transaction => book.markRead(transaction, peer, upTo))
      if (seq !== null) {
        client.apply(client.session.read(peer, seq, client.nowMs()))
      }
      // This user's other devices are to know, if there are some.
      const { username } = this.present.account
      if (seq !== null && wasUnread && client.directory.recipients(username).size > 1) {
        await this.say(username, { kind: 'read', peer, seq })
      }
      return undefined
    },

    typing: async ({ peer, typing }) => {
      const { client } = this.present
      client.apply(client.session.typing(peer, typing ? 'typing' : 'paused'))
      return undefined
    },

    draft: async ({ peer, text: draft }) => {
      await this.changeConversation(peer, () => ({ draft }))
      return undefined
    },

    timer: async ({ peer, seconds }) => {
      await this.sendShown(peer, { kind: 'timer', expiresInS: seconds })
      return undefined
    },

    accept: async ({ peer }) => {
      await this.engine.api.call('PUT', `/v1/conversations/${encodeURIComponent(peer)}/accepted`, EMPTY)
      await this.changeConversation(peer, () => ({ accepted: true }))
      return undefined
    },

    block: async ({ peer, blocked }) => {
      await this.engine.api.call(blocked ? 'PUT' : 'DELETE', `/v1/blocks/${encodeURIComponent(peer)}`, EMPTY)
      await this.changeConversation(peer, () => ({ blocked }))
      return undefined
    },

    watch: async ({ peers }) => {
      const { client } = this.present
      client.apply(client.session.subscribe(peers))
      return undefined
    },

    trust: async ({ peer }) => {
      this.present.client.trust(peer)
      await this.changeConversation(peer, () => ({}))
      return undefined
    },

    devices: async () => {
      const own = this.present.account
      const found = await this.engine.api.call('GET', '/v1/devices', devicesShape)
      const { client } = this.present
      const keys = (await client.keys.query([own.username])).get(own.username)
      if (keys !== undefined) {
        client.keysArrived(own.username, keys)
      }
      return found.map(device => ({
        ...device,
        fingerprint: fingerprintOf(keys?.bundles[device.id], device.id),
        confirmed: client.directory.isConfirmed(own.username, device.id),
      }))
    },

    removeDevice: async ({ id }) => {
      await this.engine.api.call('DELETE', `/v1/devices/${encodeURIComponent(id)}`, EMPTY)
      const { client, account, identity } = this.present
      const keys = (await client.keys.query([account.username])).get(account.username)
      if (keys !== undefined) {
        client.keysArrived(account.username, keys)
        const others = Object.entries(keys.bundles).filter(
          ([device]) =>
            device !== id &&
            device !== account.deviceId &&
            client.directory.isConfirmed(account.username, device),
        )
        await identity.renew(Object.fromEntries(others))
      }
      return undefined
    },

    safety: async ({ peer }) => {
      const { client } = this.present
      if (!client.directory.knows(peer)) {
        const found = (await client.keys.query([peer])).get(peer)
        if (found !== undefined) {
          client.keysArrived(peer, found)
        }
      }
      const { digits, payload } = safetyNumber(
        this.safetyHash(this.present.account.username),
        this.safetyHash(peer),
      )
      return { digits, qr: payload }
    },

    verify: async ({ peer, verified }) => {
      const { client } = this.present
      try {
        client.directory.identities.verify(peer, verified)
      } catch (error) {
        throw new RoostError('invalid', error instanceof Error ? `${error.message}.` : undefined)
      }
      client.touch(peer)
      await this.changeConversation(peer, () => ({}))
      return undefined
    },

    linkCode: async () => {
      const { code, endsMs } = this.linker.code()
      return { code, qr: code, expiresAtMs: endsMs }
    },

    link: async ({ code }) => {
      const answer = await this.linker.answer(code)
      await this.say(this.present.account.username, answer)
      return undefined
    },

    profile: async changes => {
      const body = {
        display_name: changes.displayName,
        last_seen: changes.lastSeen,
        read_receipts: changes.readReceipts,
        delivery_receipts: changes.deliveryReceipts,
        requests: changes.requests,
      }
      await this.keepProfile(await this.engine.api.call('PATCH', '/v1/me', profileShape, { body }))
      return { ...this.present.profile }
    },

    changePassword: async ({ old, new: fresh }) => {
      await this.engine.api.call('PUT', '/v1/me/password', EMPTY, { body: { old, new: fresh } })
      return undefined
    },

    enablePush: async subscription => {
      const path = '/v1/devices/current/push'
      if (subscription === null) {
        await this.engine.api.call('DELETE', path, EMPTY)
        return undefined
      }
      const { endpoint, p256dh, auth } = subscription
      const body = { provider: 'webpush', endpoint, keys: { p256dh, auth } }
      await this.engine.api.call('PUT', path, EMPTY, { body })
      return undefined
    },

    pushKey: async () => {
      const shape = (body: unknown) => text(members(body).application_server_key)
      return { applicationServerKey: await this.engine.api.call('GET', '/v1/push/webpush', shape) }
    },
  }

  /** Sends a message that has a row of its own; returns its id. */
  private async sendShown(peer: string, content: Content): Promise<string> {
    const { client, book } = this.present
    const expiresInS = content.kind === 'timer' ? null : await this.timerOf(peer)
    const encoded = checked(encodeContent(content))
    const row = this.ownRow(peer, content, expiresInS)
    const kept = client.keep(transaction => book.add(transaction, row))
    client.submit(outboxItem(row.id, peer, row.atMs, encoded, expiresInS, isControl(content)))
    await kept
    return row.id
  }

  /** Keeps a file and its message, and uploads it; returns the message's id. */
  private async sendFile(peer: string, file: File, caption: string, replyTo: string | null): Promise<string> {
    const { client, book } = this.present
    const key = this.engine.options.random(KEY_BYTES)
    const described = await this.files.describe(file, key)
    const expiresInS = await this.timerOf(peer)
    const content: Content = { kind: 'file', file: described, caption, replyTo }
    checked(encodeContent(content))
    const row = this.ownRow(peer, content, expiresInS)
    const { id } = row
    const rest = { key, mediaId: null, file: described, caption, replyTo, expiresInS }
    const upload: UploadRow = { id, peer, blob: file, ...rest }
    await client.keep(async transaction => {
      await book.add(transaction, row)
      await transaction.put('uploads', upload)
    })
    void this.files.start(upload)
    return id
  }

  /** A file is uploaded: its message goes, and what was kept of it is no longer needed. */
  private async sendUploaded(upload: UploadRow, file: FileReference): Promise<void> {
    const { client, shelf } = this.present
    const { id, peer, caption, replyTo, expiresInS } = upload
    const encoded = checked(encodeContent({ kind: 'file', file, caption, replyTo }))
    const kept = client.keep(async transaction => {
      await transaction.delete('uploads', id)
      const row = await shelf.message(transaction, peer, id)
      if (row !== undefined) {
        await shelf.putMessage(transaction, { ...row, file })
      }
    })
    client.submit(outboxItem(id, peer, client.nowMs(), encoded, expiresInS))
    await kept
  }

  private upload(id: string): Promise<UploadRow | undefined> {
    return this.engine.store.read(transaction => transaction.get<UploadRow>('uploads', id))
  }

  private progress(id: string, done: number, total: number): void {
    this.engine.publish({ type: 'progress', id, done, total })
  }

  private ownRow(peer: string, content: Content, expiresInS: number | null): MessageRow {
    const { client, account } = this.present
    const atMs = client.nowMs()
    return {
      ...ownBlank(peer, client.freshId(), account.username, account.deviceId, atMs),
      ...shownOf(content),
      expiresAtMs: expiresInS === null ? null : atMs + expiresInS * 1000,
    }
  }

  /** Sends what is said about another message, and applies it here. */
  private async say(peer: string, content: Content): Promise<void> {
    const { client, book, account } = this.present
    const encoded = checked(encodeContent(content))
    const [id, atMs] = [client.freshId(), client.nowMs()]
    const kept = client.keep(transaction => book.say(transaction, peer, account.username, content, atMs))
    client.submit(outboxItem(id, peer, atMs, encoded, null, true))
    await kept
  }

  private async timerOf(peer: string): Promise<number | null> {
    const row = await this.engine.store.read(transaction =>
      transaction.get<ConversationRow>('conversations', peer),
    )
    return row?.timerS ?? null
  }

  private async ownMessage(id: string): Promise<MessageRow> {
    const row = (await this.messages()).find(each => each.mine && each.id === id)
    if (row === undefined) {
      throw new RoostError('unknown_message', 'There is no such message on this device.')
    }
    return row
  }

  /** Changes a conversation, made if there is none yet. */
  private changeConversation(
    peer: string,
    change: (row: ConversationRow) => Partial<ConversationRow>,
  ): Promise<ConversationRow> {
    const { client, shelf } = this.present
    return client.keep(async transaction => {
      const row = await shelf.conversation(transaction, peer, client.nowMs())
      const changed = { ...row, ...change(row) }
      await shelf.putConversation(transaction, changed)
      return changed
    })
  }

  private displayName(peer: string): Promise<string> {
    const shape = (body: unknown) => text(members(body).display_name)
    return this.engine.api.call('GET', `/v1/users/${encodeURIComponent(peer)}`, shape)
  }

  private async readProfile(): Promise<void> {
    await this.keepProfile(await this.engine.api.call('GET', '/v1/me', profileShape))
  }

  private async keepProfile(found: Partial<Profile>): Promise<void> {
    Object.assign(this.present.profile, found)
    const profile = { ...this.present.profile }
    await this.present.client.keep(transaction => transaction.put('meta', profile, 'profile'))
    this.engine.publish({ type: 'profile', profile })
  }

  private async readBlocks(): Promise<void> {
    const shape = (body: unknown) => list(members(body).blocks).map(text)
    const blocked = new Set(await this.engine.api.call('GET', '/v1/blocks', shape))
    const rows = await this.engine.store.read(transaction =>
      transaction.all<ConversationRow>('conversations'),
    )
    for (const [, row] of rows) {
      if (row.blocked !== blocked.has(row.peer)) {
        await this.changeConversation(row.peer, () => ({ blocked: blocked.has(row.peer) }))
      }
      if (row.displayName === '') {
        await this.learnName(row.peer)
      }
    }
  }

  /** Removes the messages whose time is over, and comes back when the next one's is. */
  private async expire(): Promise<void> {
    clearTimeout(this.expiry)
    const { client, shelf } = this.present
    const now = client.nowMs()
    const next = await client.keep(async transaction => {
      const due = await transaction.range<MessageRow>('messages', { index: 'ends', to: [now] })
      for (const row of due) {
        await shelf.removeMessage(transaction, row)
      }
      const [first] = await transaction.range<MessageRow>('messages', { index: 'ends', limit: 1 })
      return first?.expiresAtMs ?? null
    })
    this.expiresNextMs = Number.POSITIVE_INFINITY
    if (next !== null) {
      this.expireBy(next)
    }
  }

  private expireBy(atMs: number): void {
    if (atMs < this.expiresNextMs) {
      clearTimeout(this.expiry)
      this.expiresNextMs = atMs
      const delay = Math.min(Math.max(atMs - this.present.client.nowMs(), 50), LONGEST_TIMER_MS)
      this.expiry = setTimeout(() => void this.expire(), delay)
    }
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.expiry)
  }
}

/** A message for the outbox. */
function outboxItem(
  id: string,
  to: string,
  sentAtMs: number,
  content: Uint8Array,
  expiresInS: number | null,
  silent = false,
): OutboxItem {
  return {
    order: 0,
    id,
    to,
    sentAtMs,
    content,
    urgent: true,
    expiresInS,
    payloads: null,
    seq: null,
    acceptedAtMs: 0,
    safe: false,
    own: null,
    silent,
  }
}

function checked(content: Uint8Array): Uint8Array {
  if (content.length > MAX_CONTENT) {
    throw new RoostError('too_large', `A message has at most ${MAX_CONTENT / 1024} KiB: send it as a file.`)
  }
  return content
}

const profileShape = (body: unknown): Partial<Profile> => {
  const found = members(body)
  return {
    displayName: text(found.display_name),
    lastSeen: oneOf(found.last_seen, 'everyone', 'contacts', 'nobody'),
    readReceipts: flag(found.read_receipts),
    deliveryReceipts: oneOf(found.delivery_receipts, 'everyone', 'contacts'),
    requests: flag(found.requests),
  }
}

const devicesShape = (body: unknown): DeviceView[] =>
  list(members(body).devices).map(each => {
    const device = members(each)
    return {
      id: text(device.device_id),
      name: text(device.name),
      current: flag(device.current),
      createdAtMs: whole(device.created_at_ms),
      lastSeenMs: optional(device.last_seen_ms, whole),
      fingerprint: '',
      confirmed: true,
    }
  })

function fingerprintOf(bundle: unknown, device: string): string {
  const keys = (bundle as { keys?: { [name: string]: unknown } } | undefined)?.keys
  const key = keys?.[`ed25519:${device}`]
  return typeof key === 'string' ? key : ''
}
