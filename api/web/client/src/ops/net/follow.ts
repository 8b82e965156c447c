/** Follows the live stream for as long as the page is open, through everything that breaks it. */
import { SESSION_OVER } from '../../core/codes'
import { RoostError } from '../../engine/errors'
import { pauseMs } from '../rules/backoff'
import type { Message } from '../rules/sse'
import type { Session } from './session'

/** What became of the connection. */
export type Link =
  | { is: 'connecting' }
  | { is: 'live' }
  | { is: 'broken'; why: string; retryAtMs: number }
  | { is: 'over'; why: string }

export interface Follower {
  take(message: Message): void
  changed(link: Link): void
}

/** Words after which trying again is of no use. */
const FINAL = new Set([...SESSION_OVER, 'unauthenticated', 'forbidden'])

/** Follow until `signal` is aborted, or the session is over. */
export async function follow(session: Session, follower: Follower, signal: AbortSignal): Promise<void> {
  let attempt = 0
  while (!signal.aborted) {
    let why = 'The server ended the stream.'
    let advice: number | null = null
    try {
      for await (const message of session.stream(signal)) {
        if (attempt > 0 || message.event === 'hello') follower.changed({ is: 'live' })
        attempt = 0
        follower.take(message)
      }
    } catch (error) {
      if (!(error instanceof RoostError)) throw error
      if (FINAL.has(error.code)) return follower.changed({ is: 'over', why: error.message })
      why = error.message
      advice = error.retryAfterS
    }
    if (signal.aborted) return
    const pause = pauseMs(attempt, Math.random(), advice)
    attempt += 1
    follower.changed({ is: 'broken', why, retryAtMs: Date.now() + pause })
    await pausedFor(pause, signal)
  }
}

/** Wait; less long if the network comes back meanwhile. */
function pausedFor(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      removeEventListener('online', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    addEventListener('online', done)
    signal.addEventListener('abort', done, { once: true })
  })
}
