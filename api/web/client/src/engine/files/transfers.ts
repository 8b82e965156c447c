/** Files on their way: sealed and uploaded by tus, downloaded by ranges and opened. */

import { sha256 } from '@noble/hashes/sha2.js'
import { concat } from '../../core/bytes'
import type { FileReference } from '../../core/content'
import { CHUNK, chunkCount, FileBroken, FileOpener, sealChunk, sealedSize } from '../../core/crypto/files'
import { RoostError, Unavailable } from '../errors'
import { foreign, problem } from '../transport/answers'
import type { Api } from '../transport/api'
import type { Attempts } from './attempts'

const UPLOADS = '/v1/media/uploads'
const TUS = { 'Tus-Resumable': '1.0.0' }
const TIMEOUT_MS = 120_000

/** Chunks in one request of an upload: few of a small file, so that its progress shows. */
const FEW = 8
const MANY = 64

export type Progress = (done: number, total: number) => void

/** A file to be uploaded, and how far it is. */
export interface Upload {
  blob: Blob
  key: Uint8Array
  mediaId: string | null
}

export class Transfers {
  constructor(
    private readonly api: Api,
    private readonly attempts: () => Attempts,
  ) {}

  /**
   * Seals a file and uploads it; returns its id and the digest of what was sent.
   *
   * Its bytes are those of a blob, which does not change: what is sent again is the same.
   *
   * @param begun Is told the id under which another run can go on.
   */
  async upload(
    upload: Upload,
    progress: Progress,
    begun: (mediaId: string) => Promise<void>,
  ): Promise<{ mediaId: string; sha256: Uint8Array }> {
    const { blob, key } = upload
    const attempts = this.attempts()
    const total = sealedSize(blob.size)
    let mediaId = upload.mediaId
    let at = 0
    if (mediaId !== null) {
      const known = mediaId
      at = await attempts.untilDone(() => this.offset(known)).catch(unknownBegins)
    }
    if (mediaId === null || at < 0) {
      mediaId = await attempts.untilDone(() => this.create(total))
      at = 0
      await begun(mediaId)
    }
    const place = mediaId
    const digest = sha256.create()
    let digested = 0
    const count = chunkCount(blob.size)
    const step = count > MANY * 4 ? MANY : FEW
    for (let index = 0; index < count; index += step) {
      const piece = await sealedPiece(blob, index, Math.min(step, count - index), key)
      digest.update(piece)
      const [start, end] = [digested, digested + piece.length]
      digested = end
      while (at < end) {
        if (at < start) {
          throw new Unavailable('The server lost a part of the file.') // it has less than it said
        }
        at = await this.sent(place, at, piece.subarray(at - start), attempts)
        progress(at, total)
      }
    }
    return { mediaId, sha256: digest.digest() }
  }

  /** Downloads a file and opens it; throws `FileBroken` if it is not what was sent. */
  async download(file: FileReference, progress: Progress): Promise<Blob> {
    const attempts = this.attempts()
    const opener = new FileOpener(file.key, file.size, file.sha256)
    const parts: BlobPart[] = []
    while (opener.taken < opener.total) {
      try {
        await this.receive(file.mediaId, opener, data => {
          parts.push(data as BlobPart)
          attempts.progressed()
          progress(opener.taken, opener.total)
        })
        if (opener.taken < opener.total) {
          throw new Unavailable('The file ended early.')
        }
      } catch (error) {
        if (error instanceof FileBroken) {
          throw new RoostError('file_broken', `This is not the file that was sent: ${error.message}.`)
        }
        await attempts.failed(error)
      }
    }
    try {
      opener.finish()
    } catch (error) {
      throw new RoostError('file_broken', `This is not the file that was sent: ${String(error)}.`)
    }
    return new Blob(parts, { type: 'application/octet-stream' })
  }

  private async sent(mediaId: string, at: number, piece: Uint8Array, attempts: Attempts): Promise<number> {
    try {
      const after = await this.append(mediaId, at, piece)
      attempts.progressed()
      return after
    } catch (error) {
      if (!(error instanceof RoostError) || error.code !== 'offset_mismatch') {
        await attempts.failed(error)
      }
      return attempts.untilDone(() => this.offset(mediaId))
    }
  }

  private async create(size: number): Promise<string> {
    const answer = await this.call('POST', UPLOADS, { ...TUS, 'Upload-Length': String(size) })
    const mediaId = (answer.headers.get('Location') ?? '').split('/').at(-1) ?? ''
    if (mediaId === '') {
      throw new Unavailable('The server began an upload and does not say where.')
    }
    return mediaId
  }

  private async offset(mediaId: string): Promise<number> {
    return offsetOf(await this.call('HEAD', `${UPLOADS}/${mediaId}`, TUS))
  }

  private async append(mediaId: string, offset: number, piece: Uint8Array): Promise<number> {
    const type = 'application/offset+octet-stream'
    const headers = { ...TUS, 'Content-Type': type, 'Upload-Offset': String(offset) }
    return offsetOf(await this.call('PATCH', `${UPLOADS}/${mediaId}`, headers, piece as BodyInit))
  }

  private async receive(
    mediaId: string,
    opener: FileOpener,
    opened: (data: Uint8Array) => void,
  ): Promise<void> {
    const begin = opener.taken
    const headers: Record<string, string> = begin > 0 ? { Range: `bytes=${begin}-` } : {}
    const answer = await this.call('GET', `/v1/media/${encodeURIComponent(mediaId)}`, headers)
    const range = answer.headers.get('Content-Range') ?? ''
    if (begin > 0 && (answer.status !== 206 || !range.startsWith(`bytes ${begin}-`))) {
      throw new Unavailable('The server gave another part of the file than was asked for.')
    }
    const reader = (answer.body as ReadableStream<Uint8Array>).getReader()
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) {
          return
        }
        opened(opener.feed(value))
      }
    } catch (error) {
      if (error instanceof FileBroken) {
        throw error
      }
      throw new Unavailable(`The connection broke off (${String(error)}).`, 0)
    }
  }

  private async call(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: BodyInit | null = null,
  ): Promise<Response> {
    const token = await this.api.freshToken()
    const answer = await this.api.request(method, path, body, { headers, token, timeoutMs: TIMEOUT_MS })
    if (answer.ok) {
      return answer
    }
    const error = (await problem(answer)) ?? foreign(answer, 0)
    if (error.code === 'unauthenticated') {
      await this.api.refresh(token)
      throw new Unavailable('The access token had ended.', 0)
    }
    if (method === 'HEAD' && answer.status === 404) {
      throw new RoostError('unknown_media') // an answer to HEAD has no body that could say so
    }
    throw error
  }
}

/** An upload that the server no longer knows begins again. */
function unknownBegins(error: unknown): number {
  if (error instanceof RoostError && error.code === 'unknown_media') {
    return -1
  }
  throw error
}

async function sealedPiece(blob: Blob, index: number, count: number, key: Uint8Array): Promise<Uint8Array> {
  const from = index * CHUNK
  const data = new Uint8Array(await blob.slice(from, from + count * CHUNK).arrayBuffer())
  const chunks = Array.from({ length: count }, (_, at) =>
    sealChunk(data.subarray(at * CHUNK, (at + 1) * CHUNK), index + at, blob.size, key),
  )
  return concat(...chunks)
}

function offsetOf(answer: Response): number {
  const found = answer.headers.get('Upload-Offset') ?? ''
  if (!/^\d{1,15}$/.test(found)) {
    throw new Unavailable('The server did not answer like a Roost server.')
  }
  return Number(found)
}
