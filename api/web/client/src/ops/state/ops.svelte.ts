/** One operator's page: the session, what it hears, where one is, and what is asked before it is done. */
import { getContext, setContext } from 'svelte'
import { RoostError } from '../../engine/errors'
import { Announcer } from '../../ui/state/announcer.svelte'
import { Calls } from '../net/calls'
import { follow } from '../net/follow'
import { mayAct, type Session } from '../net/session'
import { format, parse, type Route } from '../rules/route'
import type { Operation } from '../wire'
import { Live } from './live.svelte'

/** An act that waits for the person's yes. */
export interface Asked {
  title: string
  /** What will happen, in sentences. */
  sentences: string[]
  /** The word on the button. */
  action: string
  bad?: boolean
  run: () => Promise<Operation | string>
}

const KEY = Symbol('ops')
const LOOK_AGAIN_MS = 1_000

export class Ops {
  readonly session: Session
  readonly calls: Calls
  readonly live = new Live()
  /** Whether to show what changes something. */
  readonly acts: boolean
  route = $state.raw<Route>(parse(location.hash))
  asked = $state.raw<Asked | null>(null)
  scaling = $state(false)
  readonly announcer = new Announcer()
  /** Operations that the person has closed. */
  dismissed = $state.raw<ReadonlySet<number>>(new Set())
  #followed: number[] = []

  constructor(session: Session) {
    this.session = session
    this.calls = new Calls(session)
    this.acts = mayAct(session)
  }

  /** Follow the stream and the address until the returned function is called. */
  begin(): () => void {
    const stop = new AbortController()
    const moved = () => {
      this.route = parse(location.hash)
    }
    addEventListener('hashchange', moved)
    const clock = setInterval(() => {
      this.live.clock = Date.now()
    }, 1_000)
    void follow(
      this.session,
      { take: message => this.live.take(message), changed: link => this.live.changed(link) },
      stop.signal,
    )
    return () => {
      stop.abort()
      clearInterval(clock)
      removeEventListener('hashchange', moved)
    }
  }

  go(route: Route): void {
    location.hash = format(route)
  }

  /** Show a sentence for a while. */
  say(text: string, bad = false): void {
    this.announcer.toast(text, bad)
  }

  /** Do what was asked; it has been agreed to. */
  async carryOut(asked: Asked): Promise<void> {
    try {
      const done = await asked.run()
      if (typeof done === 'string') this.say(done)
      else this.watch(done)
    } catch (error) {
      this.say(reason(error), true)
    }
  }

  /** Show an operation until it is done; where the stream does not tell, look. */
  watch(operation: Operation): void {
    this.live.told(operation)
    this.#followed.push(operation.number)
    if (!operation.done) setTimeout(() => this.#look(operation.number), LOOK_AGAIN_MS)
  }

  dismiss(number: number): void {
    this.dismissed = new Set([...this.dismissed, number])
  }

  /** The operations to show: those in progress, and what this page began. */
  get operations(): Operation[] {
    return this.live.operations.filter(
      each => !this.dismissed.has(each.number) && (!each.done || this.#followed.includes(each.number)),
    )
  }

  async #look(number: number): Promise<void> {
    const known = this.live.operations.find(each => each.number === number)
    if (known?.done) return
    try {
      this.live.told(await this.calls.operation(number))
    } catch (error) {
      // A gateway that is being replaced comes back; a refusal does not change.
      if (!(error instanceof RoostError && error.later)) return this.say(reason(error), true)
    }
    setTimeout(() => this.#look(number), LOOK_AGAIN_MS)
  }
}

/** What a person is told of a failure. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

export const provideOps = (ops: Ops): Ops => setContext(KEY, ops)
export const getOps = (): Ops => getContext<Ops>(KEY)
