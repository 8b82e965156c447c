/** The engine against an attacker's server: what it does to messages is shown or refused. */

import { expect, test } from 'vitest'
import type { Notice } from '../../src/app/contract'
import { fromBase64, unpadded } from '../../src/core/bytes'
import { type Content, encodeContent } from '../../src/core/content'
import { publicHalf } from '../../src/core/crypto/keys'
import { seal } from '../../src/core/crypto/sealed'
import { uuid7 } from '../../src/core/ids'
import { addressAt, type Body } from './server'
import { couple, GHOST, ghost, type Person, person, server } from './world'

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
const freshId = () => uuid7(Date.now(), random(10))
const text = (words: string): Content => ({ kind: 'text', text: words, replyTo: null })

/** The last message in Alice's mailbox, without its place. */
function last(): Body {
  const { entries } = server.mailbox('alice')
  const { seq: _seq, prev: _prev, ...message } = entries.findLast(each => each.type === 'message')
  return message
}

/** Alice and Bob, and one more message of his. */
async function told(): Promise<{ alice: Person; bob: Person }> {
  const both = await couple()
  await both.bob.send('alice', 'I owe you 10')
  await both.alice.shows('bob', 'hello', 'I owe you 10')
  return both
}

test('a message that is replayed is shown once', async () => {
  const { alice, bob } = await told()
  server.put('alice', last())
  await bob.send('alice', 'and more')
  await alice.shows('bob', 'hello', 'I owe you 10', 'and more')
})

test('an edit that is replayed does not undo a later one', async () => {
  const { alice, bob } = await told()
  const of = (await bob.messages('alice')).at(-1)?.id as string
  await bob.engine.call('edit', { peer: 'alice', id: of, text: 'I owe you 20' })
  await alice.shows('bob', 'hello', 'I owe you 20')
  const earlier = last()
  await bob.engine.call('edit', { peer: 'alice', id: of, text: 'I owe you 30' })
  await alice.shows('bob', 'hello', 'I owe you 30')
  server.put('alice', earlier)
  await bob.send('alice', 'and more')
  await alice.shows('bob', 'hello', 'I owe you 30', 'and more')
})

test.each([
  ['under another id', () => ({ id: freshId() })],
  ['at another time', () => ({ id: freshId(), sent_at_ms: 1 })],
])('a message that is replayed %s is shown as what it is not', async (_, change) => {
  const { alice } = await told()
  server.put('alice', { ...last(), ...change() })
  await alice.shows('bob', 'hello', 'I owe you 10', '<wrong_heading>')
})

test('a message under the name of someone else is shown as what it is not', async () => {
  const { alice } = await couple()
  const carol = await person('carol')
  await carol.send('alice', 'I am Carol')
  await alice.shows('carol', 'I am Carol')
  server.put('alice', { ...last(), from: 'bob', from_device: server.deviceOf('bob') })
  await alice.shows('bob', 'hello', '<bad_signature>')
})

test('a message under a name that no one can have is told, and is in no conversation', async () => {
  const { alice } = await told()
  server.put('alice', { ...last(), from: 'bоb', id: freshId() }) // with a Cyrillic letter
  await alice.until(() => alice.troubles().includes('unsupported'))
  expect((await alice.engine.call('attach', undefined)).conversations.map(each => each.peer)).toEqual(['bob'])
})

test('a payload that is edited is shown as what cannot be opened', async () => {
  const { alice, bob } = await couple()
  server.tamper = (_, entry) => {
    const payload = fromBase64(entry.payload)
    payload[40] = (payload[40] as number) ^ 1
    return [{ ...entry, payload: unpadded(payload) }]
  }
  await bob.send('alice', 'I owe you 10')
  await alice.shows('bob', 'hello', '<not_for_this_key>')
})

test('a payload that is none is shown or told, and the true one is taken', async () => {
  const { alice, bob } = await couple()
  for (const payload of ['', 'AAAA', 5, null, '\u0000']) {
    server.tamper = (_, entry) => [{ ...entry, payload }, entry]
    const told = alice.notices.length
    await bob.send('alice', `not ${payload}`)
    const isTold = (each: Notice) =>
      (each.type === 'message' && each.message.kind === 'undecryptable') ||
      (each.type === 'trouble' && each.code === 'unsupported')
    await alice.until(() => alice.notices.slice(told).some(isTold))
    await alice.until(async () => (await alice.texts('bob')).at(-1) === `not ${payload}`)
  }
})

test('a message that is left out is asked for', async () => {
  const { alice, bob } = await told()
  const message = last()
  server.entry('alice', { ...message, id: freshId(), suite: 'left out' })
  await bob.send('alice', 'and more')
  await alice.shows('bob', 'hello', 'I owe you 10', '<unknown_suite>', 'and more')
  expect(alice.troubles()).toEqual([])
})

test('a message that stays left out is told', async () => {
  const { alice, bob } = await told()
  const left = server.entry('alice', { ...last(), id: freshId() })
  server.backlog = entries => entries.filter(each => each.seq !== left.seq)
  await bob.send('alice', 'and more')
  await alice.shows('bob', 'hello', 'I owe you 10', 'and more')
  await alice.until(() => alice.troubles().includes('missed'))
})

test('a message that no one is told of stays without the tick of delivery', async () => {
  const { alice, bob } = await couple()
  server.tamper = () => []
  await bob.send('alice', 'swallowed')
  await bob.until(async () => (await bob.messages('alice')).at(-1)?.state === 'sent')
  server.tamper = (_, entry) => [entry]
  await alice.send('bob', 'are you there?')
  await bob.shows('alice', 'hello', 'swallowed', 'are you there?')
  expect((await bob.messages('alice')).find(each => each.text === 'swallowed')?.state).toBe('sent')
})

test('messages in another order than that of their numbers are put right', async () => {
  const { alice } = await told()
  const message = last()
  const two = ['one', 'two'].map(suite => server.entry('alice', { ...message, id: freshId(), suite }))
  server.write('alice', { type: 'entries', entries: two.toReversed() })
  await alice.shows('bob', 'hello', 'I owe you 10', '<unknown_suite>', '<unknown_suite>')
  expect(alice.troubles()).toEqual([])
})

test('messages that stay in another order are told', async () => {
  const { alice } = await told()
  const message = last()
  const two = ['one', 'two'].map(suite => server.entry('alice', { ...message, id: freshId(), suite }))
  server.backlog = entries => entries.toReversed()
  server.write('alice', { type: 'entries', entries: two.toReversed() })
  await alice.until(() => alice.troubles().includes('missed'))
})

test('a message that was held back shows when it was written', async () => {
  const { alice, bob } = await couple()
  const later = Date.now() + 3_600_000
  const { entry } = server
  server.entry = (user, made) => Object.assign(entry.call(server, user, made), { at_ms: later })
  await bob.send('alice', 'yes')
  await alice.shows('bob', 'hello', 'yes')
  const message = (await alice.messages('bob')).at(-1)
  expect(message?.atMs).toBe(later)
  expect(message?.writtenAtMs).toBeLessThan(later - 3_500_000)
  expect((await alice.messages('bob'))[0]?.writtenAtMs).toBe(null)
})

/** Seals what a device that the server made up says to Alice. */
function forged(author: string, to: string, content: Content): Body {
  const [id, now] = [freshId(), Date.now()]
  const heading = {
    sender: addressAt(author),
    senderDevice: 'GHOST',
    recipient: addressAt(to),
    id,
    sentAtMs: now,
  }
  const keys = Object.entries(server.bundles.get('alice')[server.deviceOf('alice')].keys)
  const key = keys.find(([name]) => name.startsWith('curve25519'))?.[1] as string
  const payload = unpadded(seal(encodeContent(content), heading, GHOST, fromBase64(key), random(32)))
  return { id, from_device: 'GHOST', sent_at_ms: now, accepted_at_ms: now, suite: 'sealed.v1', payload }
}

/** Makes up a device of someone; returns what takes it away again. */
function haunted(user: string): () => void {
  server.lie = (path, answer) => {
    if (path === '/v1/keys/query' && addressAt(user) in answer.body.device_keys) {
      answer.body.device_keys[addressAt(user)].GHOST = ghost(user)
    }
    return answer
  }
  return () => {
    server.lie = (_, answer) => answer
  }
}

test('a message of a device that the server made up is marked, also when the device is gone', async () => {
  const { alice } = await told()
  const exorcised = haunted('bob')
  server.put('alice', {
    type: 'message',
    from: 'bob',
    ...forged('bob', 'alice', text('this is Bob, trust me')),
  })
  await alice.shows('bob', 'hello', 'I owe you 10', 'this is Bob, trust me')
  const marks = async () => (await alice.messages('bob')).map(each => each.unconfirmed)
  expect(await marks()).toEqual([false, false, true])
  expect(await alice.trust('bob')).toBe('unconfirmed')
  exorcised()
  server.announce('alice', 'bob')
  await alice.until(async () => (await alice.trust('bob')) === 'verified')
  expect(await marks()).toEqual([false, false, true])
  expect(GHOST.curve25519).not.toEqual(publicHalf(GHOST.curve25519))
})

test('an edit by a device that the server made up is marked', async () => {
  const { alice } = await told()
  haunted('bob')
  const of = (await alice.messages('bob'))[1]?.id as string
  const edit = forged('bob', 'alice', { kind: 'edit', of, text: 'I owe you nothing' })
  server.put('alice', { type: 'message', from: 'bob', silent: true, ...edit })
  await alice.shows('bob', 'hello', 'I owe you nothing')
  expect((await alice.messages('bob')).map(each => each.unconfirmed)).toEqual([false, true])
})

test("a message of one's own that the server made up is marked", async () => {
  const { alice } = await told()
  haunted('alice')
  server.put('alice', {
    type: 'sent',
    to: 'bob',
    to_seq: 99,
    ...forged('alice', 'bob', text('I am Alice, too')),
  })
  await alice.shows('bob', 'hello', 'I owe you 10', 'I am Alice, too')
  expect((await alice.messages('bob')).map(each => each.unconfirmed)).toEqual([false, false, true])
  expect(alice.alerts()).toContain('device_added alice GHOST')
})
