/** The engine: holds keys, store and connection for all pages, and performs what they ask. */

import type {
  Answer,
  Argument,
  Command,
  Connection as ConnectionPhase,
  Notice,
  Profile,
  Snapshot,
} from '../app/contract'
import type { Random } from '../core/bytes'
import type { ClientEvent } from '../core/client/events'
import { SESSION_OVER } from '../core/codes'
import { readContent } from '../core/content'
import {
  type Account,
  Accounts,
  makeRoom,
  named,
  publishKeys,
  register,
  renewFallback,
  signIn,
} from './account'
import { Book } from './book/book'
import { type ConversationRow, conversationView } from './book/rows'
import { Shelf } from './book/shelf'
import { Commands } from './commands/commands'
import { RoostError } from './errors'
import { Fence } from './fence'
import { counted, exported } from './identity/kept'
import { OwnIdentityKeeper } from './identity/own'
import { Present } from './present/present'
import { type App, Client } from './shell/client'
import { Saved } from './shell/saved'
import type { Store } from './store/port'
import { Surroundings, TYPING_MS } from './surroundings'
import { Api } from './transport/api'
import type { Vault } from './vault'

export interface EngineOptions {
  /** The server's address, without a slash at the end. */
  base: string
  store: Store
  /** Null where the browser has none: nothing is kept then. */
  vault: Vault | null
  random: Random
  deviceName: string
}

export class LocalEngine {
  private readonly hearers = new Set<(notice: Notice) => void>()
  private readonly accounts: Accounts
  private readonly fence: Fence
  readonly api: Api
  private present: Present | null = null
  private commands: Commands | null = null
  private phase: ConnectionPhase = 'offline'
  private turn: Promise<unknown> = Promise.resolve()

  constructor(readonly options: EngineOptions) {
    this.fence = new Fence(options.store)
    this.accounts = new Accounts(this.fence, options.vault)
    this.api = new Api(options.base)
    this.api.keep = () => this.accounts.saveTokens(this.api.tokens)
  }

  /** Goes on as the device that is kept, if there is one. */
  async start(): Promise<void> {
    await this.fence.raise()
    const account = await this.accounts.load()
    if (account !== null && !account.over) {
      this.api.signer = { ...account }
      this.api.tokens = (await this.accounts.loadTokens()) ?? this.api.tokens
      await this.begin(account)
    }
  }

  /** Hears notices until the returned function is called. */
  listen(hear: (notice: Notice) => void): () => void {
    this.hearers.add(hear)
    return () => this.hearers.delete(hear)
  }

  /** Performs a command. Throws `RoostError`. */
  async call<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    switch (command) {
      case 'attach':
        return (await this.snapshot()) as Answer<C>
      case 'signUp':
      case 'signIn':
        await this.alone(() => this.enter(command, argument as Argument<'signUp'> & Argument<'signIn'>))
        return undefined as Answer<C>
      case 'signOut':
        await this.alone(() => this.leave())
        return undefined as Answer<C>
      case 'exportHistory':
        return (await this.exported((argument as Argument<'exportHistory'>).passphrase)) as Answer<C>
      default:
        this.signedIn()
        return (this.commands as Commands).perform(command, argument as never) as Promise<Answer<C>>
    }
  }

  tell(notice: Notice): void {
    this.publish(notice)
  }

  publish(notice: Notice): void {
    for (const hear of this.hearers) {
      hear(notice)
    }
  }

  /** The network has come back. */
  wake(): void {
    this.present?.client.wake()
  }

  async stop(): Promise<void> {
    const present = this.present
    this.present = null
    await present?.stop()
  }

  get store(): Store {
    return this.fence
  }

  private signedIn(): Present {
    if (this.present === null) {
      throw new RoostError('signed_out', 'No one is signed in.')
    }
    return this.present
  }

  /** One of these at a time. */
  private alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work)
    this.turn = done.catch(() => undefined)
    return done
  }

  private async enter(
    command: 'signUp' | 'signIn',
    given: Argument<'signUp'> & Argument<'signIn'>,
  ): Promise<void> {
    if (this.present !== null) {
      throw new RoostError('signed_in', `${this.present.account.username} is signed in: sign out first.`)
    }
    const kept = await this.accounts.load()
    const other = kept !== null && kept.username !== named(given.username) ? kept : null
    if (other !== null && given.forget !== other.username) {
      throw new RoostError('other_history', `This browser still has the messages of ${other.username}.`)
    }
    if (command === 'signUp') {
      await register(this.api, given.username, given.password, given.displayName)
    }
    if (given.instead !== undefined) {
      await makeRoom(this.api, given, given.instead)
    }
    const { deviceName, random } = this.options
    const account = await this.entered(other === null ? kept : null, { ...given, deviceName, random })
    if (other !== null) {
      await this.fence.wipe()
      await this.accounts.saveTokens(this.api.tokens)
    }
    await this.accounts.save(account)
    await this.begin(account)
  }

  private async entered(known: Account | null, given: Parameters<typeof signIn>[2]): Promise<Account> {
    try {
      return await signIn(this.api, known, given)
    } catch (error) {
      // The device was removed meanwhile: this browser comes back as a new one.
      if (known !== null && error instanceof RoostError && error.code === 'unknown_device') {
        return signIn(this.api, null, given)
      }
      throw error
    }
  }

  private async leave(): Promise<void> {
    this.signedIn()
    await this.stop()
    try {
      await this.api.call('DELETE', '/v1/sessions/current', () => undefined)
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      // The server did not confirm it. Nothing of the session is left here all the same.
    }
    await this.forget()
    await this.fence.wipe()
  }

  private async forget(): Promise<void> {
    this.present = null
    this.api.signer = null
    this.api.tokens = { access: '', refresh: '', expiresAtMs: 0, lifetimeMs: 0 }
    this.setPhase('offline')
    this.publish({ type: 'profile', profile: null })
  }

  private async begin(account: Account): Promise<void> {
    const saved = await this.store.read(transaction => Saved.load(transaction))
    const { username, serverName } = account
    const around = new Surroundings()
    const shelf = new Shelf(around.of, notice => (this.present ?? this).tell(notice))
    const book = new Book(username, shelf, around.vouched)
    const client = new Client(
      account,
      this.store,
      saved,
      this.api,
      this.app(book, shelf),
      this.options.random,
    )
    const profile: Profile = {
      username,
      displayName: username,
      server: serverName,
      deviceId: account.deviceId,
      lastSeen: 'everyone',
      readReceipts: true,
      deliveryReceipts: 'everyone',
      requests: false,
      holdNewDevices: false,
    }
    around.attach(client.directory, profile)
    Object.assign(profile, await this.store.read(transaction => transaction.get<Profile>('meta', 'profile')))
    client.directory.holdNew = profile.holdNewDevices
    const keep = async () => {
      client.peers.touch(username)
      await this.accounts.save(account)
    }
    const identity = new OwnIdentityKeeper(account, client.directory, client.keys, keep, this.options.random)
    const base = { account, client, book, shelf, around, profile, identity }
    const publish = (notice: Notice) => this.publish(notice)
    const present = new Present(base, this.store, this.api, publish, this.options.random)
    this.present = present
    this.commands = new Commands(present)
    if (!account.published) {
      await publishKeys(this.api, account)
      await this.accounts.save(account)
    }
    await present.start()
    this.publish({ type: 'profile', profile })
  }

  private app(book: Book, shelf: Shelf): App {
    return {
      event: (transaction, event) => {
        this.present?.around.notice(event)
        return this.isLinking(event) ? Promise.resolve() : book.event(transaction, event)
      },
      transient: event => this.transient(event),
      published: () => shelf.published(),
      dropped: error => {
        shelf.dropped()
        if (error === null) {
          return true
        }
        if (this.fence.fallen) {
          this.publish({ type: 'trouble', code: 'replaced', detail: 'A newer version of this page runs.' })
          void this.stop()
          return false
        }
        this.publish({ type: 'trouble', code: 'storage', detail: `Nothing can be kept: ${String(error)}` })
        return true
      },
      publishIdentity: () => this.publishIdentity(),
      renewFallback: async () => {
        const account = this.present?.account
        if (account !== undefined) {
          const save = () => this.accounts.save(account)
          await renewFallback(this.api, account, this.options.random, save)
        }
      },
      phase: phase => this.setPhase(phase),
      over: code => void this.over(code),
      broke: error => {
        console.error(error)
        const detail = `A fault of this page: ${String(error)}. Reload it.`
        this.publish({ type: 'trouble', code: 'internal', detail })
      },
    }
  }

  /** Hands on what own devices say of linking: it is no message. */
  private isLinking(event: ClientEvent): boolean {
    if (event.type !== 'message' || event.peer !== this.present?.account.username) {
      return false
    }
    const content = readContent(event.content)
    if (content.kind === 'linked') {
      void this.present.linker.received(content, event.device)
    }
    return content.kind === 'linked'
  }

  /** Makes and publishes this person's identity; a refusal that will not change is told. */
  private async publishIdentity(): Promise<void> {
    try {
      await this.present?.identity.ensure()
    } catch (error) {
      if (!(error instanceof RoostError) || error.later || SESSION_OVER.has(error.code)) {
        throw error
      }
      this.publish({ type: 'trouble', code: error.code, detail: error.message })
    }
  }

  private transient(event: ClientEvent): void {
    if ('peer' in event && this.present?.around.notice(event)) {
      const { peer } = event
      void this.tellConversation(peer)
      if (event.type === 'typing') {
        setTimeout(() => void this.tellConversation(peer), TYPING_MS + 100)
      }
    }
  }

  /** Tells pages of a conversation as it is now, if there is one. */
  async tellConversation(peer: string): Promise<void> {
    const row = await this.store.read(transaction => transaction.get<ConversationRow>('conversations', peer))
    if (row !== undefined && this.present !== null) {
      const conversation = conversationView(row, this.present.around.of(peer))
      this.publish({ type: 'conversation', conversation })
    }
  }

  private async over(code: string): Promise<void> {
    const account = this.present?.account
    if (account !== undefined && code !== 'stopped') {
      await this.accounts.save({ ...account, over: true })
      await this.stop()
      await this.forget()
      this.publish({ type: 'trouble', code, detail: 'The session of this device was ended: sign in again.' })
    }
  }

  private setPhase(phase: ConnectionPhase): void {
    if (this.phase !== phase) {
      this.phase = phase
      this.publish({ type: 'connection', connection: phase })
    }
    if ((phase === 'online' || phase === 'polling') && this.present !== null) {
      void this.present.connected()
    }
    if (phase === 'offline' || phase === 'polling') {
      for (const peer of this.present?.around.forgetPresence() ?? []) {
        void this.tellConversation(peer)
      }
    }
  }

  private async exported(passphrase: string): Promise<Blob> {
    const account = this.present?.account ?? (await this.accounts.load())
    if (account === null) {
      throw new RoostError('signed_out', 'No one is signed in.')
    }
    return exported(this.store, account, this.api.time.nowMs(), this.options.random, passphrase)
  }

  /** Whose messages are here although no one is signed in. */
  private async left(): Promise<Snapshot['left']> {
    const account = this.present === null ? await this.accounts.load() : null
    return account === null ? null : counted(this.store, account)
  }

  private async snapshot(): Promise<Snapshot> {
    const present = this.present
    const rows =
      present === null
        ? []
        : await this.store.read(transaction => transaction.all<ConversationRow>('conversations'))
    const conversations = rows
      .map(([, row]) => row)
      .sort((a, b) => b.atMs - a.atMs)
      .map(row => conversationView(row, (present as Present).around.of(row.peer)))
    return {
      profile: present?.profile ?? null,
      connection: this.phase,
      conversations,
      left: await this.left(),
      persistent: this.store.persistent,
    }
  }
}
