/** What the page knows of the system, and how old that is. */
import type { Link } from '../net/follow'
import { Ring } from '../rules/ring'
import type { Message } from '../rules/sse'
import type { Alarm, Away, Bye, EventLine, Figures, Hello, History, Operation, State } from '../wire'

const KEPT_EVENTS = 1_000
/** Steps that figures may be late before they are called old. */
const LATE = 3

export class Live {
  hello = $state.raw<Hello | null>(null)
  state = $state.raw<State | null>(null)
  figures = $state.raw<Figures | null>(null)
  /** Newest first. */
  events = $state.raw<EventLine[]>([])
  operations = $state.raw<Operation[]>([])
  link = $state.raw<Link>({ is: 'connecting' })
  /** Why figures stay away although the stream is open. */
  away = $state('')
  /** Counts what was added to the ring, which is not reactive itself. */
  step = $state(0)
  /** This machine's time, a second at a time. */
  clock = $state(Date.now())
  ring = new Ring()
  /** The coordinator's clock minus this machine's. */
  #ahead = $state(0)

  /** The time now on the coordinator's clock, which all times of the stream are on. */
  get now(): number {
    return this.clock + this.#ahead
  }

  /** When what is shown was so; null while nothing is. */
  get asOf(): number | null {
    return this.figures?.at_ms ?? null
  }

  /** How old it is, in ms: by when it was measured, not by when it came. */
  get age(): number | null {
    return this.asOf === null ? null : Math.max(0, this.now - this.asOf)
  }

  /** Whether what is shown may no longer be so. */
  get stale(): boolean {
    if (this.age === null) return false
    return this.link.is !== 'live' || this.age > LATE * 1_000 * (this.hello?.step_s ?? 2)
  }

  get alarms(): Alarm[] {
    return this.state?.alarms ?? []
  }

  changed(link: Link): void {
    this.link = link
  }

  take(message: Message): void {
    const data = JSON.parse(message.data)
    switch (message.event) {
      case 'hello':
        this.#greeted(data as Hello)
        break
      case 'history':
        this.ring.load(data as History)
        this.step += 1
        break
      case 'state':
        this.state = data as State
        break
      case 'figures':
        this.#measured(data as Figures)
        break
      case 'event':
        this.learn([data as EventLine])
        break
      case 'away':
        this.away = (data as Away).detail
        break
      case 'bye':
        this.away = (data as Bye).detail
        break
      case 'operation':
        this.told(data as Operation)
        break
    }
  }

  /** Take over events, new or older ones. */
  learn(events: EventLine[]): void {
    const known = new Map(this.events.map(each => [each.n, each]))
    for (const event of events) known.set(event.n, event)
    this.events = [...known.values()].sort((a, b) => b.n - a.n).slice(0, KEPT_EVENTS)
  }

  /** Take over how far an operation is, unless more is known: an answer may come after what the stream told later. */
  told(operation: Operation): void {
    const before = this.operations.find(each => each.number === operation.number)
    if (before && !operation.done && (before.done || before.lines.length > operation.lines.length)) return
    const others = this.operations.filter(each => each !== before)
    this.operations = [{ ...before, ...operation }, ...others].sort((a, b) => b.number - a.number)
  }

  #greeted(hello: Hello): void {
    const before = this.hello
    this.hello = hello
    this.#ahead = hello.now_ms - Date.now()
    if (before?.step_s !== hello.step_s) this.ring = new Ring(hello.history_s, hello.step_s)
  }

  #measured(figures: Figures): void {
    this.figures = figures
    this.away = ''
    this.clock = Date.now()
    this.ring.add(figures)
    this.step += 1
  }
}
