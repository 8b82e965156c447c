/** Authenticated HTTP calls: problem documents become errors, and tokens are refreshed. */

import { unpadded } from '../../core/bytes'
import { type DeviceSecrets, signBytes } from '../../core/crypto/keys'
import { challengeMessage, refreshMessage } from '../../core/proofs'
import { members, text, whole } from '../../core/shapes'
import { RoostError, Unavailable } from '../errors'
import { readAnswer, type Shape } from './answers'
import { ServerTime } from './time'

const REFRESH_AT = 0.8
const TIMEOUT_MS = 30_000

/** The session's tokens; times are on this machine's clock. */
export interface Tokens {
  access: string
  refresh: string
  expiresAtMs: number
  lifetimeMs: number
}

/** What a log-in and a refresh are answered. */
export interface SessionAnswer {
  accessToken: string
  expiresIn: number
  refreshToken: string
  userId: string
  username: string
  deviceId: string
}

export const sessionAnswer: Shape<SessionAnswer> = body => {
  const found = members(body)
  return {
    accessToken: text(found.access_token),
    expiresIn: whole(found.expires_in),
    refreshToken: text(found.refresh_token),
    userId: text(found.user_id),
    username: text(found.username),
    deviceId: text(found.device_id),
  }
}

/** The device that signs refreshes and challenges. */
export interface Signer {
  username: string
  deviceId: string
  serverName: string
  secrets: DeviceSecrets
}

export interface CallOptions {
  body?: unknown
  headers?: Record<string, string>
  query?: Record<string, string>
  timeoutMs?: number
  token?: string | null
  signal?: AbortSignal
}

/** Calls to one server in the name of one device. `base` is its address, without a slash at the end. */
export class Api {
  readonly time = new ServerTime()
  tokens: Tokens = { access: '', refresh: '', expiresAtMs: 0, lifetimeMs: 0 }
  signer: Signer | null = null
  /** Called after the tokens have changed, before they are used. */
  keep: () => Promise<void> = async () => {}
  private refreshing: Promise<string> | null = null

  constructor(readonly base: string) {}

  /** Calls with the access token, refreshed first if it is about to end, and once more on a 401. */
  async call<T>(method: string, path: string, shape: Shape<T>, options: CallOptions = {}): Promise<T> {
    const token = await this.freshToken()
    try {
      return await this.bare(method, path, shape, { ...options, token })
    } catch (error) {
      if (!(error instanceof RoostError) || error.code !== 'unauthenticated') {
        throw error
      }
    }
    return this.bare(method, path, shape, { ...options, token: await this.refresh(token) })
  }

  /** Calls with this token or none, and JSON; throws as `call` does. */
  async bare<T>(method: string, path: string, shape: Shape<T>, options: CallOptions = {}): Promise<T> {
    const data = options.body === undefined ? null : JSON.stringify(options.body)
    const headers: Record<string, string> = { ...options.headers }
    if (data !== null) {
      headers['Content-Type'] = 'application/json'
    }
    const answer = await this.request(method, path, data, { ...options, headers })
    try {
      return await readAnswer(answer, shape, data?.length ?? 0)
    } finally {
      this.time.learnDate(answer.headers.get('Date'))
    }
  }

  /** One request, whatever its answer is; throws `Unavailable` if there is none. */
  async request(
    method: string,
    path: string,
    body: BodyInit | null,
    options: CallOptions = {},
  ): Promise<Response> {
    const query = options.query === undefined ? '' : `?${new URLSearchParams(options.query)}`
    const headers: Record<string, string> = { ...options.headers }
    if (options.token) {
      headers.Authorization = `Bearer ${options.token}`
    }
    const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
    const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
    try {
      const init: RequestInit = { method, headers, body, signal, redirect: 'manual', cache: 'no-store' }
      return await fetch(this.base + path + query, { ...init, credentials: 'omit' })
    } catch (error) {
      throw new Unavailable(`The server is not responding (${String(error)}).`)
    }
  }

  /** An access token that is good for a while, refreshed if most of its life is over. */
  async freshToken(): Promise<string> {
    return Date.now() >= this.renewAtMs() ? this.refresh(this.tokens.access) : this.tokens.access
  }

  /** When the access token should be refreshed, on this machine's clock. */
  renewAtMs(): number {
    return this.tokens.expiresAtMs - this.tokens.lifetimeMs * (1 - REFRESH_AT)
  }

  /**
   * Gets new tokens, unless that was done since `used` was read; a lost reply is repeated.
   *
   * Where the session has come to its end by time, the device logs in with its key. Throws a word of
   * `SESSION_OVER` if someone ended the session: sign in again.
   */
  async refresh(used: string): Promise<string> {
    if (this.tokens.access !== used) {
      return this.tokens.access
    }
    this.refreshing ??= this.renewed().finally(() => {
      this.refreshing = null
    })
    return this.refreshing
  }

  /** Takes over the tokens of a session answer and has them kept. */
  async adopt(answer: SessionAnswer): Promise<void> {
    const lifetimeMs = answer.expiresIn * 1000
    this.tokens = {
      access: answer.accessToken,
      refresh: answer.refreshToken,
      lifetimeMs,
      expiresAtMs: Date.now() + lifetimeMs,
    }
    await this.keep()
  }

  private async renewed(): Promise<string> {
    await this.adopt(await this.rotated())
    return this.tokens.access
  }

  private async rotated(): Promise<SessionAnswer> {
    const signer = this.signer
    if (signer === null) {
      throw new RoostError('unauthenticated')
    }
    const token = this.tokens.refresh
    if (token !== '') {
      const signature = sign(signer, refreshMessage(token))
      try {
        const body = { refresh_token: token, signature }
        return await this.bare('POST', '/v1/sessions/refresh', sessionAnswer, { body })
      } catch (error) {
        if (!(error instanceof RoostError) || error.code !== 'unauthenticated') {
          throw error
        }
      }
    }
    return this.loggedIn(signer)
  }

  private async loggedIn(signer: Signer): Promise<SessionAnswer> {
    const who = { username: signer.username, device_id: signer.deviceId }
    const nonce = await this.bare('POST', '/v1/auth/challenge', body => text(members(body).nonce), {
      body: who,
    })
    const challenge = challengeMessage(signer.username, signer.deviceId, nonce, signer.serverName)
    const proof = { nonce, signature: sign(signer, challenge), signed_refresh: true }
    return this.bare('POST', '/v1/sessions', sessionAnswer, { body: { ...who, ...proof } })
  }
}

const sign = (signer: Signer, message: Uint8Array): string =>
  unpadded(signBytes(message, signer.secrets.ed25519))
