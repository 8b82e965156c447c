/** The calls of `/admin/v1`, each with what it answers. */
import type {
  Ages,
  Connections,
  DeadLetter,
  EventLine,
  Hops,
  HotUsers,
  Operation,
  Setting,
  UserState,
  Watching,
} from '../wire'
import type { Session } from './session'

export type Order = 'slow' | 'big' | 'displaced' | 'old'

export interface Page<T> {
  items: T[]
  more: boolean
}

const part = encodeURIComponent

export class Calls {
  readonly #session: Session

  constructor(session: Session) {
    this.#session = session
  }

  async events(before: number, limit = 100): Promise<EventLine[]> {
    const query = { before, limit }
    return (await this.#get<{ events: EventLine[] }>('/events', query)).events
  }

  async dead(before: string | null, limit = 50): Promise<Page<DeadLetter>> {
    const query = before === null ? { limit } : { before, limit }
    const found = await this.#get<{ letters: DeadLetter[]; more: boolean }>('/dead', query)
    return { items: found.letters, more: found.more }
  }

  retry(letter: string): Promise<unknown> {
    return this.#post(`/dead/${part(letter)}/retry`)
  }

  connections(order: Order, limit = 50): Promise<Connections> {
    return this.#get('/connections', { order, limit })
  }

  close(connection: string): Promise<void> {
    return this.#session.call('DELETE', `/admin/v1/connections/${part(connection)}`)
  }

  hot(limit = 10): Promise<HotUsers> {
    return this.#get('/hot', { limit })
  }

  user(username: string): Promise<UserState> {
    return this.#get(`/users/${part(username)}`)
  }

  endSession(username: string, device: string): Promise<void> {
    return this.#session.call('DELETE', `/admin/v1/users/${part(username)}/sessions/${part(device)}`)
  }

  watch(username: string, forS: number): Promise<Watching> {
    return this.#post('/traces', { username, for_s: forS })
  }

  /** What was seen of a user's messages, after something new or after the wait. */
  traceOf(username: string, waitS: number, signal: AbortSignal): Promise<Hops> {
    const path = `/admin/v1/users/${part(username)}/trace`
    const options = { query: { wait_s: waitS }, signal, timeoutMs: (waitS + 15) * 1_000 }
    return this.#session.call('GET', path, options)
  }

  async log(role: string, lines = 200): Promise<string[]> {
    return (await this.#get<{ lines: string[] }>(`/roles/${part(role)}/log`, { lines })).lines
  }

  async stacks(role: string): Promise<string> {
    return (await this.#post<{ text: string }>(`/roles/${part(role)}/stacks`)).text
  }

  async settings(): Promise<Setting[]> {
    return (await this.#get<{ settings: Setting[] }>('/settings')).settings
  }

  keys(): Promise<Ages> {
    return this.#get('/keys')
  }

  operation(number: number): Promise<Operation> {
    return this.#get(`/operations/${number}`)
  }

  scale(counts: Record<string, number>): Promise<Operation> {
    return this.#post('/scale', { counts })
  }

  drain(target: string): Promise<Operation> {
    return this.#post('/drain', { target })
  }

  undrain(target: string): Promise<Operation> {
    return this.#post('/undrain', { target })
  }

  upgrade(): Promise<Operation> {
    return this.#post('/upgrade')
  }

  #get<T>(path: string, query: Record<string, string | number> = {}): Promise<T> {
    return this.#session.call('GET', `/admin/v1${path}`, { query })
  }

  #post<T>(path: string, body?: unknown): Promise<T> {
    return this.#session.call('POST', `/admin/v1${path}`, body === undefined ? {} : { body })
  }
}
