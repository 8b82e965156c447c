/** Whoever is signed in: everything that works for them, and how it is put together. */

import type { Notice, Profile } from '../../app/contract'
import type { Random } from '../../core/bytes'
import type { Account } from '../account'
import type { Book } from '../book/book'
import type { Shelf } from '../book/shelf'
import { RoostError } from '../errors'
import { Attempts } from '../files/attempts'
import { Transfers } from '../files/transfers'
import { Linker } from '../identity/linker'
import type { OwnIdentityKeeper } from '../identity/own'
import type { Client } from '../shell/client'
import type { Store } from '../store/port'
import type { Surroundings } from '../surroundings'
import type { Api } from '../transport/api'
import { Expiry } from './expiry'
import { History } from './history'
import { People } from './people'
import { Profiles } from './profiles'
import { Sending } from './sending'

const ONLINE_MS = 500

/** What the rest is made of. */
export interface Base {
  account: Account
  client: Client
  book: Book
  shelf: Shelf
  around: Surroundings
  profile: Profile
  identity: OwnIdentityKeeper
}

export class Present {
  readonly account: Account
  readonly client: Client
  readonly book: Book
  readonly shelf: Shelf
  readonly around: Surroundings
  readonly profile: Profile
  readonly identity: OwnIdentityKeeper
  readonly expiry: Expiry
  readonly history: History
  readonly linker: Linker
  readonly people: People
  readonly profiles: Profiles
  readonly sending: Sending
  readonly transfers: Transfers
  private stopped = false

  constructor(
    base: Base,
    readonly store: Store,
    readonly api: Api,
    private readonly publish: (notice: Notice) => void,
    random: Random,
  ) {
    const { account, client, identity } = base
    this.account = account
    this.client = client
    this.book = base.book
    this.shelf = base.shelf
    this.around = base.around
    this.profile = base.profile
    this.identity = identity
    const attempts = () =>
      new Attempts(
        () => this.online(),
        () => this.stopped,
      )
    this.transfers = new Transfers(api, attempts)
    this.expiry = new Expiry(base)
    this.history = new History(base, store)
    this.people = new People(base, store, api)
    this.profiles = new Profiles(base, api, publish)
    this.sending = new Sending(base, store, this.transfers, publish, random)
    this.linker = new Linker(
      account,
      client.directory,
      identity,
      client.keys,
      this.transfers,
      {
        nowMs: () => client.nowMs(),
        known: async () => ({ people: client.peers.known(), lines: await this.history.lines() }),
        keepHistory: lines => this.history.takeOver(lines),
        peerChanged: (peer, changes) => client.peers.changed(peer, changes),
        linked: (messages, problem) => publish({ type: 'linked', messages, problem }),
      },
      random,
    )
  }

  /** Connects, and goes on with what an earlier run left. */
  async start(): Promise<void> {
    this.client.start()
    if (this.identity.due) {
      this.client.requests.wantIdentity()
    }
    await this.expiry.expire()
    await this.sending.files.resume()
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.expiry.stop()
    await this.client.stop()
  }

  /** The session is up: learn what others may have changed. */
  async connected(): Promise<void> {
    try {
      await this.profiles.refresh()
      await this.people.refresh()
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      // No answer: it is asked again at the next connection.
    }
  }

  /** Tells pages; of a peer whose name is not known yet it is asked for, a message that ends is noted. */
  tell(notice: Notice): void {
    this.publish(notice)
    if (notice.type === 'conversation' && notice.conversation.displayName === notice.conversation.peer) {
      void this.people.learnName(notice.conversation.peer)
    }
    if (notice.type === 'message' && notice.message.expiresAtMs !== null) {
      this.expiry.by(notice.message.expiresAtMs)
    }
  }

  /** Resolves when the session is up, or nothing is to be done any more. */
  private async online(): Promise<void> {
    while (!this.client.session.open && !this.stopped) {
      await new Promise(resolve => setTimeout(resolve, ONLINE_MS))
    }
  }
}
