/**
 * The requests of a client beside the stream: keys, the state of messages, fresh tokens.
 *
 * One loop makes them all and merges those that wait. A query that the server cannot answer is split, until it
 * is known who of its peers is to blame.
 */

import type { MessageState } from '../../core/client/confirmations'
import type { FoundKeys } from '../../core/client/directory'
import { pauseMs } from '../../core/client/lane'
import { CODES, SESSION_OVER } from '../../core/codes'
import { members, seqOf, text } from '../../core/shapes'
import { RoostError } from '../errors'
import type { KeyCalls } from '../identity/calls'
import type { Api } from '../transport/api'

/** Peers in one key query. */
const PEERS_AT_ONCE = 100
const PARALLEL = 8

/** What the answers go to. */
export interface Requester {
  keysArrived(peer: string, found: FoundKeys): void
  /** A key query got no answer; it is repeated. */
  keysUnavailable(peers: Set<string>): void
  /** The server answered a query for this peer alone, and not with keys; it is not repeated. */
  keysRefused(peer: string): void
  checkAnswered(id: string, answer: MessageState | null): void
  checkUnanswered(id: string): void
  tokenRefreshed(token: string): void
  sessionOver(code: string): void
  /** Makes and publishes this person's identity; throws as calls do. */
  publishIdentity(): Promise<void>
  /** Uploads another fallback key; throws as calls do. */
  renewFallback(): Promise<void>
  /** A fault of this program. */
  broke(error: unknown): void
}

export class Requests {
  private peers = new Set<string>()
  private checks = new Map<string, string>()
  private renew = false
  private forced = false
  private identity = false
  private refill = false
  private failures = 0
  private running = false
  private stopped = false
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(
    private readonly api: Api,
    private readonly calls: KeyCalls,
    private readonly requester: Requester,
  ) {}

  /** Asks for this user's devices. */
  wantKeys(peer: string): void {
    this.peers.add(peer)
    this.wake()
  }

  /** Asks for the state of this message. */
  wantCheck(id: string, to: string): void {
    this.checks.set(id, to)
    this.wake()
  }

  /** Refreshes the access token if it is time to, or in any case. */
  wantToken(force = false): void {
    this.renew = true
    this.forced ||= force
    this.wake()
  }

  /** Has this person's identity made and published, if that is due. */
  wantIdentity(): void {
    this.identity = true
    this.wake()
  }

  /** Uploads another fallback key. */
  wantFallback(): void {
    this.refill = true
    this.wake()
  }

  stop(): void {
    this.stopped = true
    clearTimeout(this.timer)
  }

  private wake(): void {
    if (!this.running && !this.stopped) {
      this.running = true
      void Promise.resolve()
        .then(() => this.run())
        .catch(error => this.requester.broke(error))
    }
  }

  private async run(): Promise<void> {
    let failed = false
    for (const request of [
      () => this.askToken(),
      () => this.askKeys(),
      () => this.askChecks(),
      () => this.askIdentity(),
      () => this.askFallback(),
    ]) {
      failed = !(await this.answered(request)) || failed
    }
    this.failures = failed ? this.failures + 1 : 0
    this.running = false
    if (failed) {
      this.running = true
      this.timer = setTimeout(() => {
        this.running = false
        this.wake()
      }, pauseMs(this.failures))
    } else if (this.renew || this.peers.size > 0 || this.checks.size > 0) {
      this.wake()
    }
  }

  private async answered(request: () => Promise<void>): Promise<boolean> {
    if (this.stopped) {
      return true
    }
    try {
      await request()
      return true
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      if (SESSION_OVER.has(error.code)) {
        this.renew = false
        this.requester.sessionOver(error.code)
      }
      return false
    }
  }

  private async askToken(): Promise<void> {
    if (this.renew) {
      const token = await (this.forced ? this.api.refresh(this.api.tokens.access) : this.api.freshToken())
      this.renew = this.forced = false
      this.requester.tokenRefreshed(token)
    }
  }

  private async askIdentity(): Promise<void> {
    if (this.identity) {
      await this.requester.publishIdentity()
      this.identity = false
    }
  }

  private async askFallback(): Promise<void> {
    if (this.refill) {
      await this.requester.renewFallback()
      this.refill = false
    }
  }

  private async askKeys(): Promise<void> {
    const wanted = [...this.peers].sort()
    this.peers = new Set()
    const groups: string[][] = []
    for (let at = 0; at < wanted.length; at += PEERS_AT_ONCE) {
      groups.push(wanted.slice(at, at + PEERS_AT_ONCE))
    }
    for (let some = groups.shift(); some !== undefined; some = groups.shift()) {
      let answer: Map<string, FoundKeys>
      try {
        answer = await this.calls.query(some)
      } catch (error) {
        if (!(error instanceof RoostError) || !concernsPeers(error)) {
          const rest = new Set([...some, ...groups.flat()])
          this.peers = new Set([...this.peers, ...rest])
          this.requester.keysUnavailable(rest)
          throw error
        }
        const half = Math.ceil(some.length / 2)
        if (some.length === 1) {
          this.requester.keysRefused(some[0] as string)
        } else {
          groups.unshift(some.slice(0, half), some.slice(half))
        }
        continue
      }
      for (const [peer, found] of answer) {
        this.requester.keysArrived(peer, found)
      }
    }
  }

  private async askChecks(): Promise<void> {
    const checks = [...this.checks]
    this.checks = new Map()
    for (let at = 0; at < checks.length; at += PARALLEL) {
      await Promise.all(checks.slice(at, at + PARALLEL).map(([id, to]) => this.askCheck(id, to)))
    }
  }

  private async askCheck(id: string, to: string): Promise<void> {
    try {
      const answer = await this.api.call('GET', `/v1/messages/${id}`, messageState, { query: { to } })
      this.requester.checkAnswered(id, answer)
    } catch (error) {
      if (error instanceof RoostError && error.code === 'unknown_message') {
        this.requester.checkAnswered(id, null)
      } else {
        this.requester.checkUnanswered(id)
      }
    }
  }
}

const messageState = (body: unknown): MessageState => {
  const found = members(body)
  return { seq: seqOf(found.seq), state: text(found.state) }
}

/** Whether an error may be due to what was asked, not to the server's state or the session's. */
function concernsPeers(error: RoostError): boolean {
  const never = CODES.get(error.code)?.retry === 'never' && !SESSION_OVER.has(error.code)
  return error.code === 'internal' || never
}
