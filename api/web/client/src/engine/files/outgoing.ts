/** Files that are sent: kept until they are uploaded, then told to the peer; gone on with after a restart. */

import type { FileReference } from '../../core/content'
import type { MessageRow } from '../book/rows'
import { RoostError } from '../errors'
import type { Base } from '../present/present'
import type { Store } from '../store/port'
import { pictured } from './picture'
import type { Transfers } from './transfers'

/** A file that is not uploaded yet, as it is kept. */
export interface UploadRow {
  id: string
  peer: string
  blob: Blob
  key: Uint8Array
  mediaId: string | null
  file: FileReference
  caption: string
  replyTo: string | null
  expiresInS: number | null
}

export class OutgoingFiles {
  private readonly running = new Set<string>()

  /**
   * @param present Whoever is signed in.
   * @param send Sends the message that brings a file, together with what is kept then.
   */
  constructor(
    private readonly store: Store,
    private readonly present: Pick<Base, 'client' | 'shelf'>,
    private readonly transfers: Transfers,
    private readonly send: (row: UploadRow, reference: FileReference) => Promise<void>,
    private readonly progress: (id: string, done: number, total: number) => void,
  ) {}

  /** Describes a file, before any of it is sent. */
  async describe(file: File, key: Uint8Array): Promise<FileReference> {
    const picture = await pictured(file)
    return {
      mediaId: '',
      key,
      sha256: new Uint8Array(),
      size: file.size,
      name: bounded(file.name),
      type: bounded(file.type) || 'application/octet-stream',
      width: picture?.width ?? null,
      height: picture?.height ?? null,
      thumbnail: picture?.thumbnail ?? null,
    }
  }

  /** Goes on with what an earlier run left. */
  async resume(): Promise<void> {
    const rows = await this.store.read(transaction => transaction.all<UploadRow>('uploads'))
    const messages = await this.store.read(async transaction => {
      const found = []
      for (const [, row] of rows) {
        found.push(await transaction.get<MessageRow>('messages', [row.peer, row.id]))
      }
      return found
    })
    rows.forEach(([, row], at) => {
      if (messages[at]?.failed === '') {
        void this.start(row)
      }
    })
  }

  /** Uploads one file and sends its message; a failure is shown at the message. */
  async start(row: UploadRow): Promise<void> {
    if (this.running.has(row.id)) {
      return
    }
    this.running.add(row.id)
    const { client, shelf } = this.present
    try {
      const begun = (mediaId: string) => {
        row.mediaId = mediaId
        return client.keep(transaction => transaction.put('uploads', row))
      }
      const progress = (done: number, total: number) => this.progress(row.id, done, total)
      const { mediaId, sha256 } = await this.transfers.upload(row, progress, begun)
      await this.send(row, { ...row.file, mediaId, sha256 })
    } catch (error) {
      const code = error instanceof RoostError ? error.code : 'internal'
      await client.keep(async transaction => {
        const message = await shelf.message(transaction, row.peer, row.id)
        if (message !== undefined) {
          await shelf.putMessage(transaction, { ...message, failed: code })
        }
      })
    } finally {
      this.running.delete(row.id)
    }
  }
}

const NAME_BYTES = 255

/** A name that goes into a message: it may be cut, never refused. */
function bounded(name: string): string {
  let short = name
  while (new TextEncoder().encode(short).length > NAME_BYTES) {
    short = short.slice(0, -1)
  }
  return short
}
