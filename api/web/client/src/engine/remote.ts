/** A page's end of an engine that runs elsewhere. */

import type { Answer, Argument, Command, CommandError, Engine, Notice } from '../app/contract'
import type { FromEngine, Request } from './messages'

interface Pending {
  request: Request
  resolve: (answer: never) => void
  reject: (error: CommandError) => void
}

export class RemoteEngine implements Engine {
  private calls = 0
  private readonly pending = new Map<number, Pending>()
  private readonly hearers = new Set<(notice: Notice) => void>()

  constructor(private post: (request: Request) => void) {}

  call<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    return new Promise((resolve, reject) => {
      const request = { call: ++this.calls, command, argument }
      this.pending.set(request.call, { request, resolve, reject })
      try {
        this.post(request)
      } catch (error) {
        this.pending.delete(request.call)
        reject({ code: 'invalid', detail: String(error), retryAfterS: null })
      }
    })
  }

  listen(hear: (notice: Notice) => void): () => void {
    this.hearers.add(hear)
    return () => this.hearers.delete(hear)
  }

  /** Takes what the engine posted. */
  take(message: FromEngine): void {
    if ('notice' in message) {
      for (const hear of this.hearers) {
        hear(message.notice)
      }
      return
    }
    const waiting = this.pending.get(message.call)
    this.pending.delete(message.call)
    if ('error' in message) {
      waiting?.reject(message.error)
    } else {
      waiting?.resolve(message.answer as never)
    }
  }

  /**
   * Another engine has taken over: what was asked of the one before is asked again if that does no harm.
   *
   * @param post Posts to the new one.
   */
  moved(post: (request: Request) => void): void {
    this.post = post
    for (const [call, { request, reject }] of [...this.pending]) {
      if (HARMLESS.has(request.command)) {
        post(request)
      } else {
        this.pending.delete(call)
        const detail = 'The tab that held the connection was closed meanwhile: look whether it was done.'
        reject({ code: 'unavailable', detail, retryAfterS: null })
      }
    }
  }
}

const HARMLESS: ReadonlySet<Command> = new Set<Command>([
  'attach',
  'open',
  'page',
  'search',
  'fetchFile',
  'read',
  'typing',
  'draft',
  'watch',
  'safety',
  'devices',
  'pushKey',
])
