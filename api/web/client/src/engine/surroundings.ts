/** What is known of peers and not kept: who is there, who types; and how far their keys are trusted. */

import type { Presence, Profile, Trust } from '../app/contract'
import type { Directory } from '../core/client/directory'
import type { ClientEvent } from '../core/client/events'
import type { Surroundings as Seen } from './book/rows'

/** A peer that says nothing more for so long has stopped typing. */
export const TYPING_MS = 8000

export class Surroundings {
  private readonly presence = new Map<string, Presence>()
  private readonly typing = new Map<string, number>()
  private directory: Directory | null = null
  private profile: Profile | null = null

  attach(directory: Directory, profile: Profile): void {
    this.directory = directory
    this.profile = profile
  }

  /** Takes in an event; returns whether it is one of these. */
  notice(event: ClientEvent): boolean {
    if (event.type === 'presence') {
      this.presence.set(event.peer, { state: event.state, lastSeenMs: event.lastSeenMs })
      return true
    }
    if (event.type === 'typing') {
      if (event.state === 'typing') {
        this.typing.set(event.peer, Date.now() + TYPING_MS)
      } else {
        this.typing.delete(event.peer)
      }
      return true
    }
    if (event.type === 'message') {
      return this.typing.delete(event.peer)
    }
    return false
  }

  /** There is no stream: who is there is not known any longer. Returns of whom it was. */
  forgetPresence(): string[] {
    const peers = [...this.presence.keys()]
    this.presence.clear()
    return peers
  }

  readonly of = (peer: string): Seen => ({
    presence: this.presence.get(peer) ?? null,
    typing: (this.typing.get(peer) ?? 0) > Date.now(),
    trust: this.trust(peer),
    requests: this.profile?.requests ?? false,
  })

  /** Whether a device is one that its owner's identity has signed, or the owner has no identity. */
  readonly vouched = (user: string, device: string): boolean => {
    const directory = this.directory
    return (
      directory === null || directory.identities.keys(user) === null || directory.isConfirmed(user, device)
    )
  }

  private trust(peer: string): Trust {
    const directory = this.directory
    if (directory === null) {
      return 'new'
    }
    const unsigned = directory.knows(peer) && !directory.allConfirmed(peer)
    const doubt = directory.doubt(peer)
    if (doubt !== null) {
      return doubt === 'changed' ? doubt : 'held'
    }
    if (unsigned) {
      return 'unconfirmed'
    }
    return directory.identities.isVerified(peer) ? 'verified' : 'new'
  }
}
