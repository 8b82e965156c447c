/** Alice and Bob on a server that lies: the engine as browsers run it, and what it tells its pages. */

import { afterEach, beforeEach, expect, vi } from 'vitest'
import type { Conversation, MessageView, Notice, Trust } from '../../src/app/contract'
import { signDevice } from '../../src/core/crypto/identity'
import { deviceKeysObject, secretsFrom } from '../../src/core/crypto/keys'
import { addressOf } from '../../src/core/ids'
import { LocalEngine } from '../../src/engine/engine'
import { MemoryStore } from '../../src/engine/store/memory'
import { type Body, LyingServer, SERVER_NAME } from './server'

export const GHOST = secretsFrom(new Uint8Array(64).fill(7))
export const MALLORY = { master: new Uint8Array(32).fill(9), generation: 1 }

/** Keys that the server made up, as a device of someone; signed by an identity of its own, if it has one. */
export function ghost(of: string, name = 'GHOST', by: typeof MALLORY | null = null): Body {
  const address = addressOf(of, SERVER_NAME)
  const made = deviceKeysObject(address, name, GHOST)
  return by === null ? made : signDevice(by, made, address)
}

/** One person's engine. */
export class Person {
  readonly notices: Notice[] = []
  engine: LocalEngine
  private readonly store = new MemoryStore()

  constructor(
    readonly name: string,
    private readonly url: string,
  ) {
    this.engine = this.made()
  }

  private made(): LocalEngine {
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const options = { base: this.url, store: this.store, vault: null, random, deviceName: 'Node' }
    const engine = new LocalEngine(options)
    engine.listen(notice => this.notices.push(notice))
    return engine
  }

  /** Has the engine end, and another one begin with what it kept. */
  async reload(): Promise<void> {
    await this.engine.stop()
    this.notices.length = 0
    this.engine = this.made()
    await this.engine.start()
    await this.until(() => this.online)
  }

  async enter(): Promise<void> {
    await this.engine.start()
    await this.engine.call('signUp', { username: this.name, password: 'a password', displayName: this.name })
    await this.until(() => this.online)
  }

  send(peer: string, text: string): Promise<{ id: string }> {
    return this.engine.call('send', { peer, text, replyTo: null })
  }

  async messages(peer: string): Promise<MessageView[]> {
    return (await this.engine.call('page', { peer, before: null, limit: 100 })).messages
  }

  async texts(peer: string): Promise<string[]> {
    return (await this.messages(peer)).map(each =>
      each.kind === 'text' ? each.text : `<${each.code || each.kind}>`,
    )
  }

  async trust(peer: string): Promise<Trust | undefined> {
    const { conversations } = await this.engine.call('attach', undefined)
    return conversations.find(each => each.peer === peer)?.trust
  }

  /** Resolves when the texts of a conversation are these. */
  shows(peer: string, ...texts: string[]): Promise<void> {
    return vi.waitFor(async () => expect(await this.texts(peer)).toEqual(texts), {
      timeout: 15_000,
      interval: 5,
    })
  }

  until(test: () => unknown): Promise<void> {
    const said = () => JSON.stringify(this.notices.slice(-8))
    return vi.waitFor(async () => expect(await test(), said()).toBeTruthy(), { timeout: 15_000, interval: 5 })
  }

  get online(): boolean {
    return this.notices.findLast(each => each.type === 'connection')?.connection === 'online'
  }

  /** Bob's conversation as it was told each time. */
  conversations(): Conversation[] {
    return this.notices.flatMap(each => (each.type === 'conversation' ? [each.conversation] : []))
  }

  alerts(): string[] {
    return this.notices.flatMap(each =>
      each.type === 'alert' ? [`${each.kind} ${each.peer} ${each.device}`] : [],
    )
  }

  troubles(): string[] {
    return this.notices.flatMap(each => (each.type === 'trouble' ? [each.code] : []))
  }
}

let people: Person[] = []
export let server: LyingServer

beforeEach(async () => {
  server = new LyingServer()
  await server.start()
  people = []
})

afterEach(async () => {
  await Promise.all(people.map(person => person.engine.stop()))
  await server.stop()
})

export async function person(name: string): Promise<Person> {
  const made = new Person(name, server.url)
  people.push(made)
  await made.enter()
  await made.until(() => server.identities.has(name))
  return made
}

/** Alice and Bob, who have written to each other and compared their safety numbers. */
export async function couple(): Promise<{ alice: Person; bob: Person }> {
  const [bob, alice] = [await person('bob'), await person('alice')]
  await alice.send('bob', 'hello')
  await bob.shows('alice', 'hello')
  await alice.engine.call('safety', { peer: 'bob' })
  await alice.engine.call('verify', { peer: 'bob', verified: true })
  return { alice, bob }
}
