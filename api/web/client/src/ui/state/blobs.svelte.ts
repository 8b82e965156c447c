/** Pictures and files as blob URLs, each made once and revoked when it is no longer shown. */

import { SvelteMap } from 'svelte/reactivity'
import type { Engine, MessageView } from '../../app/contract'

interface Held {
  url: string
  users: number
}

/** Bytes of whole files that stay in memory for the next look. */
const KEPT_MAX = 24

export class Blobs {
  /** How far the transfer of a message's file is, from 0 to 1. */
  readonly progress = new SvelteMap<string, number>()
  readonly #thumbnails = new Map<string, Held>()
  readonly #files = new Map<string, Promise<Blob>>()

  constructor(private readonly engine: Engine) {}

  /** Take a URL for a message's thumbnail; give it back with `release`. */
  thumbnail(message: MessageView): string | null {
    const file = message.file
    if (!file?.thumbnail) return null
    const held = this.#thumbnails.get(message.id)
    if (held) {
      held.users++
      return held.url
    }
    // Bytes come from strangers: the type is set here, so that they are drawn as a picture or not at all.
    const url = URL.createObjectURL(new Blob([file.thumbnail.slice()], { type: 'image/jpeg' }))
    this.#thumbnails.set(message.id, { url, users: 1 })
    return url
  }

  release(id: string): void {
    const held = this.#thumbnails.get(id)
    if (!held) return
    held.users--
    if (held.users > 0) return
    URL.revokeObjectURL(held.url)
    this.#thumbnails.delete(id)
  }

  /** The whole file, decrypted; one that failed is fetched again the next time. */
  file(message: MessageView): Promise<Blob> {
    const known = this.#files.get(message.id)
    if (known) return known
    const asked = this.engine.call('fetchFile', { peer: message.peer, id: message.id })
    this.#files.set(message.id, asked)
    asked.then(
      () => this.progress.delete(message.id),
      () => {
        this.progress.delete(message.id)
        this.#files.delete(message.id)
      },
    )
    const oldest = this.#files.keys().next().value
    if (this.#files.size > KEPT_MAX && oldest !== undefined) this.#files.delete(oldest)
    return asked
  }

  noted(id: string, done: number, total: number): void {
    if (done >= total) this.progress.delete(id)
    else this.progress.set(id, total > 0 ? done / total : 0)
  }

  clear(): void {
    for (const held of this.#thumbnails.values()) URL.revokeObjectURL(held.url)
    this.#thumbnails.clear()
    this.#files.clear()
    this.progress.clear()
  }
}

/** Hand a file to the browser's downloads. */
export function download(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob)
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  // The browser reads the blob after the click returns.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
