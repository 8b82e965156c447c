/** What is sent: composed, kept, and handed to the outbox in the same turn. */

import type { Notice } from '../../app/contract'
import type { Random } from '../../core/bytes'
import type { OutboxItem } from '../../core/client/state'
import { type Content, encodeContent, type FileReference, isControl, MAX_CONTENT } from '../../core/content'
import { KEY_BYTES } from '../../core/crypto/keys'
import { blankMessage, shownOf } from '../../core/thread'
import type { ConversationRow, MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import { OutgoingFiles, type UploadRow } from '../files/outgoing'
import type { Transfers } from '../files/transfers'
import type { Store } from '../store/port'
import type { Base } from './present'

export class Sending {
  readonly files: OutgoingFiles

  constructor(
    private readonly base: Base,
    private readonly store: Store,
    transfers: Transfers,
    private readonly publish: (notice: Notice) => void,
    private readonly random: Random,
  ) {
    this.files = new OutgoingFiles(
      store,
      base,
      transfers,
      (upload, file) => this.uploaded(upload, file),
      (id, done, total) => this.progress(id, done, total),
    )
  }

  /** Sends a message that has a row of its own; returns its id. */
  async shown(peer: string, content: Content): Promise<string> {
    const { client, book } = this.base
    const expiresInS = content.kind === 'timer' ? null : await this.timerOf(peer)
    const encoded = checked(encodeContent(content))
    const row = this.ownRow(peer, content, expiresInS)
    const kept = client.keep(transaction => book.add(transaction, row))
    client.submit(outboxItem(row.id, peer, row.atMs, encoded, expiresInS, isControl(content)))
    await kept
    return row.id
  }

  /** Keeps a file and its message, and uploads it; returns the message's id. */
  async file(peer: string, file: File, caption: string, replyTo: string | null): Promise<string> {
    const { client, book } = this.base
    const key = this.random(KEY_BYTES)
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
  private async uploaded(upload: UploadRow, file: FileReference): Promise<void> {
    const { client, shelf } = this.base
    const { id, peer, caption, replyTo, expiresInS } = upload
    const encoded = checked(encodeContent({ kind: 'file', file, caption, replyTo }))
    if ((await this.store.read(transaction => shelf.message(transaction, peer, id))) === undefined) {
      await client.keep(transaction => transaction.delete('uploads', id))
      return // removed meanwhile
    }
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

  upload(id: string): Promise<UploadRow | undefined> {
    return this.store.read(transaction => transaction.get<UploadRow>('uploads', id))
  }

  progress(id: string, done: number, total: number): void {
    this.publish({ type: 'progress', id, done, total })
  }

  private ownRow(peer: string, content: Content, expiresInS: number | null): MessageRow {
    const { client, account } = this.base
    const atMs = client.nowMs()
    return {
      ...blankMessage(peer, client.freshId(), account.username, account.deviceId, atMs),
      ...shownOf(content),
      expiresAtMs: expiresInS === null ? null : atMs + expiresInS * 1000,
    }
  }

  /** Sends what is said about another message, and applies it here. */
  async say(peer: string, content: Content): Promise<void> {
    const { client, book } = this.base
    const encoded = checked(encodeContent(content))
    const [id, atMs] = [client.freshId(), client.nowMs()]
    const kept = client.keep(transaction => book.say(transaction, peer, id, content, atMs))
    client.submit(outboxItem(id, peer, atMs, encoded, null, true))
    await kept
  }

  private async timerOf(peer: string): Promise<number | null> {
    const row = await this.store.read(transaction => transaction.get<ConversationRow>('conversations', peer))
    return row?.timerS ?? null
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
