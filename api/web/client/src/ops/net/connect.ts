/** Sessions on this page's server, by `fetch`. */
import { SESSION_OVER } from '../../core/codes'
import { RoostError, Unavailable } from '../../engine/errors'
import { EMPTY, foreign, problem, readAnswer, type Shape } from '../../engine/transport/answers'
import { EventParser, type Message } from '../rules/sse'
import type { CallOptions, Entrance, Session } from './session'
import { type Granted, granted, keep, kept, renewAtMs, scopesOf } from './tokens'

const TIMEOUT_MS = 30_000
/** The server sends a ping every 10 s: after this the connection is taken for dead. */
const SILENT_MS = 25_000
const DEVICE = "Operators' page"

export const entrance: Entrance = { signIn, restore }

async function signIn(username: string, password: string): Promise<Session> {
  const body = { username: username.trim(), password, device: { name: DEVICE } }
  const first = await answered('POST', '/v1/sessions', granted, { body })
  await onlyHere(first.deviceId)
  return new Remote(first)
}

async function restore(): Promise<Session | null> {
  const before = kept()
  if (before === null) return null
  // A duplicated tab has a copy of the token, and using it would end the session of both.
  if (!(await onlyHere(before.deviceId))) {
    keep(null)
    return null
  }
  try {
    return new Remote(await refreshed(before.refresh))
  } catch (error) {
    if (error instanceof RoostError && !error.later) keep(null)
    return null
  }
}

/** Hold a device's lock for as long as this page lives; false if another tab has it. */
function onlyHere(deviceId: string): Promise<boolean> {
  const locks = navigator.locks as LockManager | undefined
  if (!locks) return Promise.resolve(true)
  return new Promise(resolve => {
    void locks.request(`roost-ops-${deviceId}`, { ifAvailable: true }, lock => {
      resolve(lock !== null)
      return lock === null ? undefined : new Promise(() => {})
    })
  })
}

const refreshed = (token: string): Promise<Granted> =>
  answered('POST', '/v1/sessions/refresh', granted, { body: { refresh_token: token } })

class Remote implements Session {
  #tokens: Granted
  #renewAtMs = 0
  #renewing: Promise<void> | null = null

  constructor(first: Granted) {
    this.#tokens = first
    this.#adopt(first)
  }

  get username(): string {
    return this.#tokens.username
  }

  get scopes(): readonly string[] {
    return scopesOf(this.#tokens.access)
  }

  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const shape = (method === 'DELETE' ? EMPTY : (body: unknown) => body) as Shape<T>
    return await this.#withToken(token => answered(method, path, shape, options, token))
  }

  async *stream(signal: AbortSignal): AsyncGenerator<Message> {
    const silent = new AbortController()
    let timer = setTimeout(() => silent.abort(), SILENT_MS)
    const until = AbortSignal.any([signal, silent.signal])
    try {
      const answer = await this.#withToken(token => opened('/admin/v1/stream', token, until))
      const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader()
      const parser = new EventParser()
      while (reader) {
        const { done, value } = await reader.read()
        if (done) return
        clearTimeout(timer)
        timer = setTimeout(() => silent.abort(), SILENT_MS)
        yield* parser.push(value)
      }
    } catch (error) {
      if (silent.signal.aborted) throw new Unavailable(`The server said nothing for ${SILENT_MS / 1_000} s.`)
      throw error instanceof RoostError ? error : new Unavailable('The connection broke.')
    } finally {
      clearTimeout(timer)
    }
  }

  async end(): Promise<void> {
    const device = encodeURIComponent(this.#tokens.deviceId)
    keep(null)
    await this.call('DELETE', `/v1/devices/${device}`)
  }

  async #withToken<T>(use: (token: string) => Promise<T>): Promise<T> {
    if (Date.now() >= this.#renewAtMs) await this.#renew()
    try {
      return await use(this.#tokens.access)
    } catch (error) {
      if (!(error instanceof RoostError) || error.code !== 'unauthenticated') throw error
    }
    await this.#renew()
    return await use(this.#tokens.access)
  }

  #renew(): Promise<void> {
    this.#renewing ??= refreshed(this.#tokens.refresh)
      .then(fresh => this.#adopt(fresh))
      .catch(error => {
        if (
          error instanceof RoostError &&
          (SESSION_OVER.has(error.code) || error.code === 'unauthenticated')
        ) {
          keep(null)
        }
        throw error
      })
      .finally(() => {
        this.#renewing = null
      })
    return this.#renewing
  }

  #adopt(fresh: Granted): void {
    this.#tokens = fresh
    this.#renewAtMs = renewAtMs(Date.now(), fresh.lifetimeMs)
    keep({ refresh: fresh.refresh, deviceId: fresh.deviceId })
  }
}

async function answered<T>(
  method: string,
  path: string,
  shape: Shape<T>,
  options: CallOptions,
  token = '',
): Promise<T> {
  const body = options.body === undefined ? null : JSON.stringify(options.body)
  const query = Object.entries(options.query ?? {}).map(([name, value]) => [name, String(value)])
  const url = query.length ? `${path}?${new URLSearchParams(query)}` : path
  const timeout = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS)
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout
  const answer = await fetched(method, url, { token, signal, body })
  return await readAnswer(answer, shape, body?.length ?? 0)
}

async function opened(path: string, token: string, signal: AbortSignal): Promise<Response> {
  const answer = await fetched('GET', path, { token, signal, body: null })
  if (!answer.ok) throw (await problem(answer)) ?? foreign(answer, 0)
  return answer
}

async function fetched(
  method: string,
  url: string,
  { token, signal, body }: { token: string; signal: AbortSignal; body: string | null },
): Promise<Response> {
  const headers: Record<string, string> = {}
  if (token) headers.Authorization = `Bearer ${token}`
  if (body !== null) headers['Content-Type'] = 'application/json'
  try {
    const init: RequestInit = { method, headers, body, signal, redirect: 'manual', cache: 'no-store' }
    return await fetch(url, { ...init, credentials: 'omit' })
  } catch {
    throw new Unavailable('The server does not respond.')
  }
}
