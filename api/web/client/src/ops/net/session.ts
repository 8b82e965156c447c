/** A signed-in operator, as the page sees it; and the calls that it can make. */
import type { Message } from '../rules/sse'

export interface CallOptions {
  body?: unknown
  query?: Record<string, string | number>
  signal?: AbortSignal
  timeoutMs?: number
}

export interface Session {
  readonly username: string
  /** What the account is allowed beyond its own things. */
  readonly scopes: readonly string[]
  /** Call the API; throws `RoostError` for a refusal, `Unavailable` if there is no answer. */
  call<T>(method: string, path: string, options?: CallOptions): Promise<T>
  /** The live stream, until it ends or breaks. */
  stream(signal: AbortSignal): AsyncIterable<Message>
  /** End the session on the server, and forget it here. */
  end(): Promise<void>
}

/** Where sessions come from. */
export interface Entrance {
  signIn(username: string, password: string): Promise<Session>
  /** The session that this tab had before it was loaded again; null if there is none. */
  restore(): Promise<Session | null>
}

export const mayLook = (session: Session): boolean =>
  session.scopes.includes('observer') || session.scopes.includes('admin')

export const mayAct = (session: Session): boolean => session.scopes.includes('admin')
