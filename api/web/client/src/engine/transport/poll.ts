/**
 * The HTTP transport, for networks that block WebSockets: the same frames as plain requests.
 *
 * Entries come by long poll, each client frame is a request of its own. Presence does not travel.
 */

import { SESSION_OVER } from '../../core/codes'
import { decodeEntry, type Entry } from '../../core/entries'
import { flag, list, members, optional, seqOf, text, whole } from '../../core/shapes'
import { type ClientFrame, named, type Send, type ServerFrame, sendBody } from '../../core/wire'
import { RoostError } from '../errors'
import { EMPTY } from './answers'
import type { Api } from './api'
import { type Ended, ended, type Transport } from './port'

const WAIT_S = 25
const SLACK_MS = 30_000

/** Requests at once: browsers have six connections to a server, and the poll takes one. */
const PARALLEL = 4

interface Page {
  cursor: number
  entries: Entry[]
  more: boolean
  missed: boolean
  unusedFallbackKeyTypes: string[] | null
}

export class Poll implements Transport {
  readonly end: Promise<Ended>
  private readonly stopping = new AbortController()
  private readonly queue: ClientFrame[] = []
  private posting = 0
  private drained = false
  private finish: (how: Ended) => void = () => {}
  private fail: (error: unknown) => void = () => {}

  /**
   * Begins to poll.
   *
   * @param cursor Where this device is in its mailbox; null: where the server has it.
   * @param lifeMs After this long it ends, with `resync`, so that the stream may be tried again.
   * @param hear Is told each frame, in order.
   */
  constructor(
    private readonly api: Api,
    private readonly deviceId: string,
    private cursor: number | null,
    private readonly lifeMs: number,
    private readonly hear: (frame: ServerFrame) => void,
  ) {
    this.end = new Promise((resolve, reject) => {
      this.finish = resolve
      this.fail = reject
    })
    this.run().then(this.finish, error => this.failed(error))
  }

  write(frames: ClientFrame[]): void {
    this.queue.push(...frames)
    while (this.posting < PARALLEL && this.queue.length > 0) {
      void this.post().catch(this.fail)
    }
  }

  close(how: Ended = ended('unavailable')): void {
    this.finish(how)
    this.stopping.abort()
  }

  private async run(): Promise<Ended> {
    const endsMs = performance.now() + this.lifeMs
    let page = await this.page(0)
    const { unusedFallbackKeyTypes } = page
    const cursor = this.cursor ?? start(page)
    const serverTimeMs = this.api.time.nowMs()
    this.hear({ type: 'ready', deviceId: this.deviceId, cursor, serverTimeMs, unusedFallbackKeyTypes })
    while (!this.stopping.signal.aborted) {
      this.deliver(page)
      const leftMs = endsMs - performance.now()
      if (leftMs <= 0) {
        break
      }
      page = await this.page(page.more ? 0 : Math.min(WAIT_S, Math.ceil(leftMs / 1000)))
    }
    return ended('resync', 0)
  }

  private deliver(page: Page): void {
    if (page.missed) {
      this.hear({ type: 'missed' })
    }
    if (page.entries.length > 0) {
      this.hear({ type: 'entries', entries: page.entries })
    }
    const last = page.entries.at(-1)?.seq ?? this.cursor ?? 0
    this.cursor = last
    if (!page.more && (page.missed || !this.drained || page.cursor > last)) {
      this.drained = true
      this.hear({ type: 'drained', cursor: page.cursor, prev: last })
      this.cursor = page.cursor // behind what is gone, if nothing is left here
    }
  }

  private page(waitS: number): Promise<Page> {
    const cursor = this.cursor === null ? {} : { cursor: String(this.cursor) }
    const query = { limit: '256', wait_s: String(waitS), ...cursor }
    const { signal } = this.stopping
    return this.api.call('GET', '/v1/sync', pageShape, { query, signal, timeoutMs: waitS * 1000 + SLACK_MS })
  }

  /** Makes requests of what waits, one after another. */
  private async post(): Promise<void> {
    this.posting++
    for (let frame = this.queue.shift(); frame !== undefined; frame = this.queue.shift()) {
      if (frame.type === 'send') {
        this.hear(await this.sent(frame))
      } else {
        await this.other(frame).catch(error => this.failed(error))
      }
    }
    this.posting--
  }

  private async sent(frame: Send): Promise<ServerFrame> {
    try {
      return await this.api.call('POST', '/v1/messages', acceptedShape, { body: sendBody(frame) })
    } catch (error) {
      if (!(error instanceof RoostError)) {
        throw error
      }
      const { code, message: detail, retryAfterS, extra } = error
      const ofPeer = named(extra.missing) || named(extra.extra)
      const ofOwn = named(extra.own_missing) || named(extra.own_extra)
      return { type: 'rejected', id: frame.id, code, detail, retryAfterS, ofPeer, ofOwn }
    }
  }

  private failed(error: unknown): void {
    if (error instanceof RoostError) {
      this.finish(closed(error))
    } else {
      this.fail(error)
    }
  }

  private async other(frame: ClientFrame): Promise<void> {
    switch (frame.type) {
      case 'ack':
        return this.api.call('POST', '/v1/acks', EMPTY, { body: { seq: frame.seq } })
      case 'read':
        return this.api.call('POST', '/v1/reads', EMPTY, { body: { peer: frame.peer, seq: frame.seq } })
      case 'typing':
        return this.api.call('POST', '/v1/typing', EMPTY, { body: { peer: frame.peer, state: frame.state } })
      default:
        return // what is of the stream alone
    }
  }
}

const pageShape = (body: unknown): Page => {
  const found = members(body)
  return {
    cursor: seqOf(found.cursor),
    entries: list(found.entries).map(decodeEntry),
    more: optional(found.more, flag) ?? false,
    missed: optional(found.missed, flag) ?? false,
    unusedFallbackKeyTypes: optional(found.unused_fallback_key_types, types => list(types).map(text)),
  }
}

/** The stored cursor, which only the first entry's `prev` can tell; 0 if entries before it are gone. */
const start = (page: Page): number => (page.missed ? 0 : (page.entries[0]?.prev ?? page.cursor))

const acceptedShape = (body: unknown): ServerFrame => {
  const found = members(body)
  const [id, seq, acceptedAtMs] = [text(found.id), seqOf(found.seq), whole(found.accepted_at_ms)]
  return { type: 'accepted', id, seq, acceptedAtMs }
}

function closed({ code, retryAfterS }: RoostError): Ended {
  const final = SESSION_OVER.has(code) || code === 'forbidden'
  return ended(code, retryAfterS === null ? null : retryAfterS * 1000, final)
}
