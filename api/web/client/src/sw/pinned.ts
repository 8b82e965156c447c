/**
 * The build that this browser keeps to.
 *
 * It is kept whole, each file checked against the hash that came with the service worker, and stays until
 * the person agrees to another one: a newer service worker brings its own build, and goes on serving the
 * pinned one until then.
 */

/** What `build.mjs` puts into the service worker: a build, and the hash of each of its files. */
export interface Build {
  id: string
  files: Record<string, string>
}

const PIN = 'roost-pin'
const KEPT = 'roost-build-'

export class Pinned {
  readonly #own: Build

  /** @param own The build that this service worker came with. */
  constructor(own: Build) {
    this.#own = own
  }

  /** Keep the own build. It fails, and with it the installation, if the server has other files by now. */
  async keep(): Promise<void> {
    const cache = await caches.open(KEPT + this.#own.id)
    await Promise.all(
      Object.entries(this.#own.files).map(async ([path, integrity]) => {
        const answer = await fetch(path, {
          integrity,
          cache: 'no-cache',
          credentials: 'omit',
          redirect: 'error',
        })
        if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
        await cache.put(path, answer)
      }),
    )
    if ((await this.#pin()) === null) await this.take()
  }

  /** Forget builds that are neither pinned nor one's own. */
  async tidy(): Promise<void> {
    const keep = [(await this.#pin())?.id, this.#own.id].map(id => KEPT + id)
    const names = (await caches.keys()).filter(name => name.startsWith(KEPT) && !keep.includes(name))
    await Promise.all(names.map(name => caches.delete(name)))
  }

  /** Pin the own build. */
  async take(): Promise<void> {
    await (await caches.open(PIN)).put('build', Response.json(this.#own))
  }

  /** The own build's id, if another one is pinned. */
  async offered(): Promise<string | null> {
    const pin = await this.#pin()
    return pin === null || pin.id === this.#own.id ? null : this.#own.id
  }

  /** A file of the pinned build; of the own one, if the browser threw away what was kept of the pinned one. */
  async answer(path: string): Promise<Response> {
    const pin = (await this.#pin()) ?? this.#own
    try {
      return await this.#of(pin, path)
    } catch (error) {
      if (pin.id === this.#own.id) throw error
      await this.take()
      return await this.#of(this.#own, path)
    }
  }

  /** Whether the path is one that only the client has; the operators' page is always the server's newest. */
  knows(path: string): boolean {
    return path in this.#own.files || (path.startsWith('assets/') && !path.startsWith('assets/ops/'))
  }

  async #of(build: Build, path: string): Promise<Response> {
    const kept = await caches.match(path, { cacheName: KEPT + build.id })
    if (kept) return kept
    const integrity = build.files[path]
    if (integrity === undefined) return new Response(null, { status: 404 })
    return await fetch(path, { integrity, cache: 'no-cache', credentials: 'omit', redirect: 'error' })
  }

  async #pin(): Promise<Build | null> {
    const found = await caches.match('build', { cacheName: PIN })
    return found ? ((await found.json()) as Build) : null
  }
}
