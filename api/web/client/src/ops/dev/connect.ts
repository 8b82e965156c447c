/** Sessions on the made system: any name signs in; `observer` may only look, `stranger` nothing. */
import { RoostError } from '../../engine/errors'
import type { CallOptions, Entrance, Session } from '../net/session'
import type { Message } from '../rules/sse'
import type { Operation, State } from '../wire'
import * as made from './made'

export const entrance: Entrance = {
  signIn: async username => new Made(username),
  restore: async () => {
    const name = new URLSearchParams(location.search).get('as')
    return name ? new Made(name) : null
  },
}

const STEP_MS = 2_000
const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

class Made implements Session {
  readonly username: string
  readonly scopes: readonly string[]
  #operation: Operation | null = null
  #state: State = made.state()
  #broken = false

  constructor(username: string) {
    this.username = username
    this.scopes = username === 'stranger' ? [] : [username === 'observer' ? 'observer' : 'admin']
  }

  async *stream(signal: AbortSignal): AsyncGenerator<Message> {
    const say = (event: string, data: unknown): Message => ({ event, data: JSON.stringify(data) })
    if (this.#broken) throw new RoostError('unavailable', 'The server does not respond.')
    const now = Date.now()
    const hello = {
      server_name: 'chat.example.org',
      release: '0.1.0',
      now_ms: now,
      history_s: 900,
      step_s: 2,
    }
    yield say('hello', hello)
    yield say('history', made.history(now))
    for (const event of made.events(now)) yield say('event', event)
    const options = new URLSearchParams(location.search)
    yield say('state', this.#state)
    for (let step = 0; !signal.aborted; step += 1) {
      this.#broken = options.has('breaks') && step === 1
      if (this.#broken) throw new RoostError('unavailable', 'The server does not respond.')
      if (options.has('fault') && step === 1) this.#fault(now)
      yield say('figures', made.figures(Date.now()))
      yield say('state', this.#state)
      if (this.#operation) yield say('operation', this.#operation)
      await pause(STEP_MS)
    }
  }

  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    await pause(80)
    const [, , , what, name] = path.split('/')
    if (method === 'POST' && ['scale', 'drain', 'undrain', 'upgrade'].includes(what ?? '')) {
      return this.#begin(what ?? '', options.body) as T
    }
    const answers: Record<string, unknown> = {
      dead: { letters: made.LETTERS, more: false },
      connections: { connections: made.CONNECTIONS, recently_displaced: [], away: [] },
      hot: {
        users: ['carol', 'alice', 'bob'].map((username, at) => ({
          username,
          host: 'host-2',
          count: 900 >> at,
          per_s: 15 >> at,
        })),
        since_ms: Date.now() - 60_000,
      },
      users: made.user(name ?? ''),
      settings: { settings: made.SETTINGS },
      keys: made.AGES,
      events: { events: [] },
      operations: this.#operation,
      roles: {
        lines: Array.from({ length: 40 }, (_, line) => `{"event": "batch_stored", "records": ${line * 7}}`),
      },
    }
    return (method === 'GET' ? answers[what ?? ''] : {}) as T
  }

  async end(): Promise<void> {}

  #fault(now: number): void {
    const gone = this.#state.roles.filter(role => role.name !== 'host-4')
    this.#state = {
      ...this.#state,
      roles: gone.map(role =>
        role.name === 'redis' ? { ...role, state: 'away', detail: 'no answer' } : role,
      ),
      shards: this.#state.shards.map(each => (each.host === 'host-4' ? { ...each, moving: true } : each)),
      alarms: [
        {
          name: 'RoostServerAway',
          since_ms: now - 8_000,
          text: 'redis does not respond.',
          runbook: 'docs/operations.md#roostroleaway',
          level: 'problem',
        },
        {
          name: 'RoostDeadLetters',
          since_ms: now - 3_600_000,
          text: 'Two records could not be handled.',
          runbook: 'docs/operations.md#roostdeadletters',
          level: 'warning',
        },
      ],
    }
  }

  #begin(act: string, body: unknown): Operation {
    const lines = ['host-2: 5 shards move', 'host-2: empty after 1.2 s, nothing waits', 'host-2: ended']
    const what =
      (body as { target?: string; counts?: object })?.target ?? (body as { counts?: object })?.counts
    this.#operation = {
      number: 3,
      act,
      what,
      by: 'user:ann',
      done: false,
      stage: 'moving shards',
      lines: [],
      failure: '',
    }
    lines.forEach((_, index) => {
      setTimeout(
        () => {
          const done = index === lines.length - 1
          this.#operation = { ...(this.#operation as Operation), lines: lines.slice(0, index + 1), done }
        },
        1_500 * (index + 1),
      )
    })
    return this.#operation
  }
}
