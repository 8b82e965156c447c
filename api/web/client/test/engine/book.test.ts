import { beforeEach, describe, expect, test } from 'vitest'
import type { Conversation, MessageView, Notice } from '../../src/app/contract'
import type { ClientEvent } from '../../src/core/client/events'
import { type Content, encodeContent } from '../../src/core/content'
import { uuid7 } from '../../src/core/ids'
import { blankMessage, shownOf } from '../../src/core/thread'
import { Book } from '../../src/engine/book/book'
import { Shelf } from '../../src/engine/book/shelf'
import { MemoryStore } from '../../src/engine/store/memory'

const NOW = 1_795_000_000_000
const id = (number: number): string => uuid7(NOW, new Uint8Array(10).fill(number))
const text = (words: string): Content => ({ kind: 'text', text: words, replyTo: null })

let [store, notices] = [new MemoryStore(), [] as Notice[]]
let shelf: Shelf
let book: Book

beforeEach(() => {
  store = new MemoryStore()
  notices = []
  const around = { presence: null, typing: false, trust: 'new', requests: true } as const
  shelf = new Shelf(
    () => around,
    notice => notices.push(notice),
  )
  book = new Book('alice', shelf, () => true)
})

const tell = async (...events: ClientEvent[]) => {
  await store.write(async transaction => {
    for (const event of events) {
      await book.event(transaction, event)
    }
  })
  shelf.published()
}

const from = (peer: string, number: number, content: Content, device = 'D1', seq = number): ClientEvent => ({
  type: 'message',
  peer,
  device,
  id: id(number),
  seq,
  content: encodeContent(content),
  sentAtMs: NOW,
  atMs: NOW + number,
  expiresAtMs: null,
  silent: false,
  confirmed: true,
})

const write = async (number: number, words: string) => {
  const row = { ...blankMessage('bob', id(number), 'alice', 'A1', NOW + number), ...shownOf(text(words)) }
  await store.write(transaction => book.add(transaction, row))
  shelf.published()
}

const shown = async (): Promise<MessageView[]> =>
  store.read(async transaction => {
    const views = []
    for (const row of await shelf.latest(transaction, 'bob', 100)) {
      views.push(await shelf.view(transaction, row))
    }
    return views.reverse()
  })

const conversation = (): Conversation | undefined =>
  notices.filter(notice => notice.type === 'conversation').at(-1)?.conversation

describe('messages', () => {
  test('of a stranger are counted, and wait for acceptance', async () => {
    await tell(from('bob', 1, text('one')), from('bob', 2, text('two')))
    expect(conversation()).toMatchObject({ unread: 2, request: true, last: { text: 'two', mine: false } })
    const read = await store.write(transaction => book.reading.upTo(transaction, 'bob', id(2)))
    shelf.published()
    expect(read).toEqual({ seq: 2, wasUnread: true })
    expect(conversation()?.unread).toBe(0)
    await write(3, 'hello')
    expect(conversation()).toMatchObject({ request: false, last: { text: 'hello', state: 'sending' } })
  })

  test('turn their ticks by number, whichever comes first', async () => {
    await write(1, 'a')
    await write(2, 'b')
    await tell({ type: 'delivered', peer: 'bob', seq: 9, ids: [] })
    await tell({ type: 'accepted', id: id(1), peer: 'bob', seq: 8, atMs: NOW })
    await tell({ type: 'accepted', id: id(2), peer: 'bob', seq: 10, atMs: NOW + 1 })
    expect((await shown()).map(each => each.state)).toEqual(['delivered', 'sent'])
    await tell({ type: 'read', peer: 'bob', seq: 10 })
    expect((await shown()).map(each => each.state)).toEqual(['read', 'read'])
  })

  test('that failed say why, and one that was never sent says that it expired', async () => {
    await write(1, 'a')
    await write(2, 'b')
    await tell({ type: 'failed', id: id(1), peer: 'bob', code: 'too_large', detail: '' })
    await tell({ type: 'expired', id: id(2), peer: 'bob' })
    expect((await shown()).map(each => [each.state, each.code, each.kind])).toEqual([
      ['failed', 'too_large', 'text'],
      ['expired', '', 'deleted'],
    ])
  })

  test('with the id of another message stand beside it', async () => {
    await write(1, 'mine')
    await tell(from('bob', 1, text('theirs')))
    expect((await shown()).map(each => each.text).sort()).toEqual(['mine', 'theirs'])
  })

  test('that could not be opened are shown with the reason, until they can be', async () => {
    const unread: ClientEvent = {
      ...{ type: 'undecryptable', peer: 'bob', device: 'D1', id: id(1), seq: 1 },
      ...{ reason: 'unknown_device', detail: 'No keys.', sentAtMs: NOW, atMs: NOW },
    }
    await tell(unread, unread)
    expect(await shown()).toMatchObject([{ kind: 'undecryptable', code: 'unknown_device' }])
    await tell(from('bob', 1, text('at last')))
    expect(await shown()).toMatchObject([{ kind: 'text', text: 'at last', code: '' }])
    expect(conversation()?.unread).toBe(1)
  })
})

describe('what is said about a message', () => {
  test('waits for it, and counts only from its author', async () => {
    await tell(from('bob', 5, { kind: 'edit', of: id(1), text: 'better' }))
    await tell(from('bob', 6, { kind: 'reaction', to: id(2), emoji: '👍' }))
    await tell(from('bob', 7, { kind: 'edit', of: id(2), text: 'not yours' }))
    await write(2, 'mine')
    await tell(from('bob', 1, text('good')))
    const views = await shown()
    expect(views.map(each => [each.text, each.edited])).toEqual([
      ['better', true],
      ['mine', false],
    ])
    expect(views[1]?.reactions).toEqual([{ emoji: '👍', users: ['bob'] }])
    expect(conversation()?.unread).toBe(1)
  })

  const say = (number: number, content: Content): Promise<void> =>
    store.write(transaction => book.say(transaction, 'bob', id(number), content, NOW))

  const failed = (number: number): ClientEvent => ({
    ...{ type: 'failed', id: id(number), peer: 'bob', code: 'too_large', detail: 'No.' },
  })

  test('by this device counts at once, and never did if it is refused', async () => {
    await write(1, 'old')
    const before = await shown()
    for (const content of [
      { kind: 'edit', of: id(1), text: 'new' },
      { kind: 'delete', of: id(1) },
      { kind: 'reaction', to: id(1), emoji: '👍' },
    ] satisfies Content[]) {
      await say(5, content)
      expect(await shown()).not.toEqual(before)
      await tell(failed(5))
      expect(await shown()).toEqual(before)
    }
    expect(notices.filter(notice => notice.type === 'trouble')).toHaveLength(3)
  })

  test('by this device stays once it is accepted, also under another id, and of a message under another', async () => {
    await write(1, 'old')
    await say(5, { kind: 'edit', of: id(1), text: 'new' })
    await say(6, { kind: 'delete', of: id(1) })
    await tell({ type: 'id_changed', id: id(5), newId: id(7), peer: 'bob' })
    await tell({ type: 'id_changed', id: id(1), newId: id(8), peer: 'bob' })
    await tell({ type: 'accepted', id: id(7), peer: 'bob', seq: 2, atMs: NOW })
    expect(await shown()).toMatchObject([{ id: id(8), kind: 'deleted' }])
    await tell(failed(6), failed(7))
    expect(await shown()).toMatchObject([{ id: id(8), kind: 'text', text: 'new', edited: true }])
    await say(9, { kind: 'delete', of: id(8) })
    await tell({ type: 'accepted', id: id(9), peer: 'bob', seq: 3, atMs: NOW }, failed(9))
    expect(await shown()).toMatchObject([{ kind: 'deleted', text: '' }])
  })

  test('a deletion is for good', async () => {
    await tell(from('bob', 1, text('oops')), from('bob', 2, { kind: 'delete', of: id(1) }))
    await tell(from('bob', 3, { kind: 'edit', of: id(1), text: 'back' }))
    expect(await shown()).toMatchObject([{ kind: 'deleted', text: '' }])
    expect(conversation()?.last).toMatchObject({ kind: 'deleted', text: '' })
  })
})

describe('other devices', () => {
  const sent = (content: Content, more = {}): ClientEvent => ({
    ...{ type: 'sent_elsewhere', id: id(4), peer: 'bob', device: 'A2', seq: 4, sentAtMs: NOW, atMs: NOW + 4 },
    ...{ content: encodeContent(content), expiresAtMs: null, silent: false, reason: '', detail: '' },
    ...more,
  })

  test('show here what they sent, and whoever answered has read', async () => {
    await tell(from('bob', 1, text('question')), sent(text('answer')))
    expect((await shown()).map(each => [each.text, each.mine, each.state])).toEqual([
      ['question', false, null],
      ['answer', true, 'sent'],
    ])
    expect(conversation()).toMatchObject({ unread: 0, request: false })
  })

  test('tell what they have read, and nobody else does', async () => {
    await tell(from('bob', 1, text('one')), from('bob', 2, text('two')))
    await tell(from('mallory', 3, { kind: 'read', peer: 'bob', seq: 2 }))
    expect(notices.filter(each => each.type === 'conversation').at(-1)?.conversation.peer).not.toBe('mallory')
    expect(conversation()?.unread).toBe(2)
    await tell(from('alice', 4, { kind: 'read', peer: 'bob', seq: 1 }))
    expect(conversation()).toMatchObject({ peer: 'bob', unread: 1 })
  })
})

test('a history that is taken over tells only of its conversations, and is there once', async () => {
  const line = (number: number, author: string, content: Content) => ({
    ...{ type: 'message' as const, peer: 'bob', author, device: 'X', id: id(number), atMs: NOW + number },
    ...{ content: encodeContent(content), sentAtMs: NOW, seq: number, expiresAtMs: null, unconfirmed: false },
  })
  const lines = [
    line(1, 'bob', text('one')),
    line(2, 'alice', text('two')),
    { ...line(3, 'bob', { kind: 'reaction', to: id(2), emoji: '👍' }), seq: null },
    line(4, 'mallory', text('of a third person')),
    { type: 'receipt' as const, peer: 'bob', deliveredSeq: 2, readSeq: 2 },
  ]
  const take = () =>
    store.write(transaction =>
      shelf.quietly(transaction, async () => {
        let added = 0
        for (const each of lines) {
          added += Number(await book.takeOver(transaction, each))
        }
        return added
      }),
    )
  expect([await take(), await take()]).toEqual([2, 0])
  shelf.published()
  expect(new Set(notices.map(notice => notice.type))).toEqual(new Set(['conversation']))
  expect(conversation()).toMatchObject({ unread: 0, last: { text: 'two', state: 'read' } })
  expect((await shown()).map(each => [each.text, each.state, each.reactions.length])).toEqual([
    ['one', null, 0],
    ['two', 'read', 1],
  ])
})

test('another identity and a device that it did not sign are told; one that it signed is no news', async () => {
  const change = { type: 'key_changed', peer: 'bob', fingerprint: '', held: false } as const
  await tell(
    { ...change, device: 'D2', change: 'added', confirmed: true },
    { ...change, device: 'D3', change: 'added', confirmed: false },
    { ...change, device: '', change: 'identity', confirmed: false },
  )
  const alerts = notices.filter(notice => notice.type === 'alert').map(alert => [alert.kind, alert.device])
  expect(alerts).toEqual([
    ['device_added', 'D3'],
    ['identity_changed', ''],
  ])
})
