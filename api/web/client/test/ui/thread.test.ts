import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Answer, Argument, Command, Conversation, Engine, MessageView } from '../../src/app/contract'
import { Thread } from '../../src/ui/state/thread.svelte'
import { message } from './made'

const BOB: Conversation = {
  peer: 'bob',
  displayName: 'Bob',
  last: null,
  unread: 0,
  draft: 'begun',
  presence: null,
  typing: false,
  trust: 'new',
  blocked: false,
  request: false,
  timerS: null,
}

/** An engine that keeps a list of messages, and notes what it was asked. */
class Asked implements Engine {
  readonly calls: [Command, unknown][] = []
  refuses = ''

  constructor(readonly messages: MessageView[]) {}

  async call<C extends Command>(command: C, argument: Argument<C>): Promise<Answer<C>> {
    this.calls.push([command, argument])
    if (command === this.refuses) throw { code: 'unavailable', detail: '', retryAfterS: null }
    if (command !== 'page') return undefined as Answer<C>
    const { before, limit } = argument as Argument<'page'>
    const end = before ? this.messages.findIndex(one => one.id === before) : this.messages.length
    const start = Math.max(0, end - limit)
    return { messages: this.messages.slice(start, end), more: start > 0 } as Answer<C>
  }

  listen(): () => void {
    return () => {}
  }

  asked(command: Command): unknown[] {
    return this.calls.filter(([name]) => name === command).map(([, argument]) => argument)
  }
}

const many = (count: number) => Array.from({ length: count }, (_, at) => message(`m${at}`, 1000 + at))
const ids = (thread: Thread) => thread.messages.map(one => one.id)

describe('loading', () => {
  it('loads the newest once, with the line above the first unread', async () => {
    const engine = new Asked(many(300))
    const thread = new Thread(engine, BOB)
    await Promise.all([thread.open(3), thread.open(3)])
    expect(thread.messages).toHaveLength(80)
    expect(thread.unreadFrom).toBe('m297')
    expect(engine.asked('page')).toHaveLength(1)
  })

  it('loads enough to show all that is unread', async () => {
    const thread = new Thread(new Asked(many(300)), BOB)
    await thread.open(150)
    expect(thread.unreadFrom).toBe('m150')
  })

  it('can be tried again when it failed', async () => {
    const engine = new Asked(many(3))
    engine.refuses = 'page'
    const thread = new Thread(engine, BOB)
    await expect(thread.open(0)).rejects.toMatchObject({ code: 'unavailable' })
    engine.refuses = ''
    await thread.open(0)
    expect(ids(thread)).toEqual(['m0', 'm1', 'm2'])
  })

  it('goes back to a message, and to the beginning for one that is gone', async () => {
    const thread = new Thread(new Asked(many(1200)), BOB)
    await thread.open(0)
    expect(await thread.reach('m700')).toBe(true)
    expect(thread.more).toBe(true)
    expect(await thread.reach('gone')).toBe(false)
    expect(ids(thread)).toEqual(many(1200).map(one => one.id))
  })

  it('leaves a change of what is not loaded to its page', async () => {
    const thread = new Thread(new Asked(many(300)), BOB)
    await thread.open(0)
    thread.put(message('m5', 1005, { text: 'changed' }))
    expect(thread.messages).toHaveLength(80)
  })
})

describe('what arrives', () => {
  it('counts what comes below the view, until one writes', async () => {
    const thread = new Thread(new Asked(many(3)), BOB)
    await thread.open(2)
    thread.put(message('new', 5000))
    expect(thread.below).toBe(0) // the end is in view
    thread.anchor = { key: 'm0', delta: 0 }
    thread.put(message('newer', 5001))
    thread.put(message('newer', 5001, { text: 'edited' }))
    expect(thread.below).toBe(1)
    thread.put(message('mine', 5002, { mine: true, state: 'sending' }))
    expect(thread.written).toBe(1)
    expect(thread.unreadFrom).toBeNull()
  })

  it('reads up to the last message of the peer that was seen, and never back', async () => {
    const engine = new Asked([
      message('a', 1),
      message('b', 2, { mine: true }),
      message('c', 3),
      message('d', 4),
    ])
    const thread = new Thread(engine, BOB)
    await thread.open(0)
    for (const seen of ['b', 'a', 'b', 'd', 'c']) thread.seen(seen)
    expect(engine.asked('read')).toEqual([
      { peer: 'bob', upTo: 'a' },
      { peer: 'bob', upTo: 'd' },
    ])
  })

  it('ends the edit of a message that was deleted', async () => {
    const thread = new Thread(new Asked([message('a', 1, { mine: true })]), BOB)
    await thread.open(0)
    thread.editLast()
    thread.put(message('a', 1, { mine: true, kind: 'deleted', text: '' }))
    expect(thread.editing).toBeNull()
    expect(thread.draft).toBe('begun')
  })
})

describe('writing', () => {
  it('sends with the reply and keeps no draft', async () => {
    const engine = new Asked([message('a', 1)])
    const thread = new Thread(engine, BOB)
    await thread.open(0)
    thread.reply(thread.messages[0] as MessageView)
    thread.typed(' hello ')
    await thread.submit()
    expect(engine.asked('send')).toEqual([{ peer: 'bob', text: 'hello', replyTo: 'a' }])
    expect(engine.asked('draft').at(-1)).toEqual({ peer: 'bob', text: '' })
    expect(thread.replyTo).toBeNull()
  })

  it('gives back what could not be sent', async () => {
    const engine = new Asked([])
    engine.refuses = 'send'
    const thread = new Thread(engine, BOB)
    await expect(thread.submit()).rejects.toMatchObject({ code: 'unavailable' })
    expect(thread.draft).toBe('begun')
  })

  it('sends nothing that is empty', async () => {
    const engine = new Asked([])
    const thread = new Thread(engine, BOB)
    thread.typed(' \n ')
    await thread.submit()
    expect(engine.asked('send')).toEqual([])
  })

  it('edits the last message of one’s own, and gives the draft back', async () => {
    const engine = new Asked([
      message('a', 1, { mine: true, text: 'frist' }),
      message('b', 2),
      message('c', 3, { mine: true, state: 'failed' }),
    ])
    const thread = new Thread(engine, BOB)
    await thread.open(0)
    expect(thread.editLast()).toBe(true)
    expect(thread.draft).toBe('frist')
    thread.typed('first')
    await thread.submit()
    expect(engine.asked('edit')).toEqual([{ peer: 'bob', id: 'a', text: 'first' }])
    expect(engine.asked('draft')).toEqual([{ peer: 'bob', text: 'begun' }])
    expect(thread.draft).toBe('begun')
    expect(thread.cancel()).toBe(false)
  })

  it('puts the caption and the reply on the first of several files', async () => {
    const engine = new Asked([message('a', 1)])
    const thread = new Thread(engine, BOB)
    await thread.open(0)
    thread.reply(thread.messages[0] as MessageView)
    await thread.submitFiles([new File(['1'], 'one'), new File(['2'], 'two')], 'caption')
    expect(engine.asked('sendFile')).toMatchObject([
      { file: { name: 'one' }, caption: 'caption', replyTo: 'a' },
      { file: { name: 'two' }, caption: '', replyTo: null },
    ])
  })
})

describe('typing', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('tells of it now and then, and when it ends; the draft is kept after a pause', () => {
    const engine = new Asked([])
    const thread = new Thread(engine, BOB)
    for (let at = 0; at < 10; at++) {
      thread.typed(`text ${at}`)
      vi.advanceTimersByTime(300)
    }
    expect(engine.asked('typing')).toEqual([{ peer: 'bob', typing: true }])
    expect(engine.asked('draft')).toEqual([])
    vi.advanceTimersByTime(10_000)
    expect(engine.asked('typing')).toEqual([
      { peer: 'bob', typing: true },
      { peer: 'bob', typing: false },
    ])
    expect(engine.asked('draft')).toEqual([{ peer: 'bob', text: 'text 9' }])
  })
})
