/** Replays a history of the Python client's core on this one, and says at which step they differ. */

import { sha256 } from '@noble/hashes/sha2.js'
import { fromBase64, unpadded } from '../src/core/bytes'
import { canonicalJson, type Json, type JsonObject } from '../src/core/canonical'
import { Directory, type Pins } from '../src/core/client/directory'
import type { Effect } from '../src/core/client/events'
import { Inbox } from '../src/core/client/inbox'
import { Session } from '../src/core/client/session'
import { emptyState, type PinnedIdentity } from '../src/core/client/state'
import { decodeFrame, encodeFrame, type Payloads } from '../src/core/wire'

// biome-ignore lint/suspicious/noExplicitAny: JSON of Python
export type Step = any
// biome-ignore lint/suspicious/noExplicitAny: likewise
export type History = { [member: string]: any; steps: Step[] }

/** What is only for people, or known here alone. */
const LEFT_OUT = new Set(['detail'])

export class Replay {
  private readonly state = emptyState()
  private readonly pins = new Map<string, Pins>()
  private readonly identities = new Map<string, PinnedIdentity>()
  private session: Session
  private directory: Directory
  private inbox: Inbox

  constructor(private readonly history: History) {
    ;[this.session, this.directory, this.inbox] = this.begun()
  }

  /** Performs a step; returns what Python's step has beside its own members. */
  step(step: Step): JsonObject {
    const more: JsonObject = {}
    const effects = this.perform(step, more)
    for (const effect of effects) {
      if (effect.do === 'take') {
        this.inbox.add(effect)
      }
    }
    const delivered: Json[] = []
    const wanted = this.inbox.process((event, seq) => delivered.push([event && plain(event), seq]))
    return {
      ...more,
      effects: effects.map(plainEffect),
      delivered,
      wanted: [...wanted].sort(),
      digest: Array.from(sha256(canonicalJson(this.full())), byte => byte.toString(16).padStart(2, '0'))
        .join('')
        .slice(0, 12),
    }
  }

  full(): JsonObject {
    return {
      ...(plain(this.state) as JsonObject),
      pins: plain(this.pins),
      identities: plain(this.identities),
      session_cursor: this.session.cursor,
      open: this.session.open,
      busy: this.session.outbox.busy,
    }
  }

  private begun(): [Session, Directory, Inbox] {
    const { me, server, hold_new, curve25519, ed25519 } = this.history
    const session = new Session(this.state)
    const directory = new Directory(server, this.pins, this.identities, hold_new)
    const secrets = { curve25519: fromBase64(curve25519), ed25519: fromBase64(ed25519) }
    return [session, directory, new Inbox(session, directory, secrets, me, server)]
  }

  private perform(step: Step, more: JsonObject): Effect[] {
    const { session, directory, inbox } = this
    const { outbox } = session
    switch (step.op) {
      case 'submit': {
        const { id, to, urgent, silent } = step
        const content = fromBase64(step.content)
        const unsent = { payloads: null, own: null, seq: null, acceptedAtMs: 0, safe: false, order: 0 }
        const item = { id, to, sentAtMs: step.now, content, urgent, silent, expiresInS: step.expires_in_s }
        return session.submit({ ...item, ...unsent }, step.now)
      }
      case 'received': {
        const frame = decodeFrame(JSON.stringify(step.frame))
        return frame === null ? [] : session.received(frame, step.now)
      }
      case 'sealed':
        return outbox.sealed(step.id, payloads(step.payloads) as Payloads, step.now, payloads(step.own))
      case 'unsealable':
        return outbox.unsealable(step.id, step.now, step.code)
      case 'reissued': {
        const item = this.state.outbox.get(step.id)
        return item === undefined ? [] : outbox.reissued(item, step.new_id, step.now)
      }
      case 'checked':
        return outbox.checked(step.id, step.answer, step.now)
      case 'unchecked':
        outbox.unchecked(step.id, step.now)
        return []
      case 'taken':
        session.taken(step.seq, step.now)
        return []
      case 'tick':
        return session.tick(step.now)
      case 'learn': {
        const given = step.identity
        const published = given && { masterKey: given.master_key, selfSigningKey: given.self_signing_key }
        const changes = directory.learn(step.peer, step.bundles, published)
        more.recipients = plain(directory.recipients(step.peer))
        more.in_doubt = directory.inDoubt(step.peer)
        return changes.map(event => ({ do: 'tell', event }))
      }
      case 'asked':
        more.times = inbox.asked(step.peer)
        return []
      case 'release': {
        const released: Json[] = []
        inbox.release(step.peer, (event, seq) => released.push([event && plain(event), seq]))
        more.released = released
        return []
      }
      case 'give_up':
        inbox.giveUp(step.peer)
        return []
      case 'read':
        return session.read(step.peer, step.seq, step.now)
      case 'hold':
        return outbox.hold(step.peer, step.now, step.held)
      case 'trust':
        directory.trust(step.peer)
        return []
      case 'typing':
        return session.typing(step.peer, step.state)
      case 'subscribe':
        return session.subscribe(step.users)
      case 'closed':
        session.closed(step.now)
        return []
      case 'restart':
        ;[this.session, this.directory, this.inbox] = this.begun()
        return []
      case 'refuse_largest':
        return outbox.refuseLargest(step.now)
      case 'lose_cursor':
        session.loseCursor()
        return []
      case 'ack_due': {
        const frame = session.ackDue()
        return frame === null ? [] : [{ do: 'write', frame }]
      }
      default:
        throw new Error(`no such step: ${step.op}`)
    }
  }
}

/** The members of Python's step that a replay has to give. */
export function expected(step: Step): JsonObject {
  const names = ['effects', 'delivered', 'wanted', 'digest', 'recipients', 'in_doubt', 'times', 'released']
  const found = Object.fromEntries(names.filter(name => name in step).map(name => [name, step[name]]))
  return { ...found, effects: step.effects.map(written) }
}

/** A frame of Python's JSON, without the defaults that it writes. */
function written(effect: Step): Json {
  if (effect.do !== 'write') {
    return effect
  }
  const frame = Object.entries(effect.frame).filter(
    ([name, value]) => value !== null && !(name === 'silent' && value === false),
  )
  return { ...effect, frame: Object.fromEntries(frame) as JsonObject }
}

const payloads = (texts: { [device: string]: string } | null): Payloads | null =>
  texts && Object.fromEntries(Object.entries(texts).map(([device, text]) => [device, fromBase64(text)]))

function plainEffect(effect: Effect): JsonObject {
  switch (effect.do) {
    case 'write':
      return { do: 'write', frame: JSON.parse(encodeFrame(effect.frame)) }
    case 'tell':
      return { do: 'tell', event: plain(effect.event) }
    case 'seal':
      return { do: 'seal', id: effect.item.id, refresh: effect.refresh, own: effect.own }
    case 'reissue':
      return { do: 'reissue', id: effect.item.id }
    case 'take': {
      const { seq, entry, events } = effect
      return { do: 'take', seq, entry: entry?.id ?? null, events: events.map(plain) }
    }
    default:
      return plain(effect) as JsonObject
  }
}

/** A value in the form of Python's JSON: names with underscores, bytes in base64. */
function plain(value: unknown): Json {
  if (value instanceof Uint8Array) {
    return unpadded(value)
  }
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([name, each]) => [name, plain(each)]))
  }
  if (Array.isArray(value)) {
    return value.map(plain)
  }
  if (typeof value !== 'object' || value === null) {
    return value as Json
  }
  const members = Object.entries(value).filter(([name]) => !LEFT_OUT.has(name))
  const isPayloads = members.every(([name]) => /^[A-Z]/.test(name))
  return Object.fromEntries(members.map(([name, each]) => [isPayloads ? name : snake(name), plain(each)]))
}

const snake = (name: string): string =>
  name.replace(/[A-Z]+/g, (upper, at) => `${at > 0 ? '_' : ''}${upper.toLowerCase()}`)
