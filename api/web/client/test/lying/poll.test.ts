/** A network that blocks WebSockets: everything goes by HTTP instead, under the same rules. */

import { expect, test, vi } from 'vitest'
import { couple, type Person, server } from './world'

const phases = (one: Person) =>
  one.notices.flatMap(each => (each.type === 'connection' ? [each.connection] : []))
const polls = () => server.asked.filter(path => path === '/v1/sync').length

async function blocked(...people: Person[]): Promise<void> {
  server.streams = false
  for (const one of people) {
    server.mailbox(one.name).stream?.terminate()
    server.mailbox(one.name).stream = null
  }
  await Promise.all(people.map(one => one.until(() => phases(one).at(-1) === 'polling')))
}

test('messages go both ways without a socket, with their ticks, and none twice', async () => {
  const { alice, bob } = await couple()
  server.write('alice', { type: 'presence', user: 'bob', state: 'online' })
  const presence = () => alice.conversations().at(-1)?.presence?.state
  await alice.until(() => presence() === 'online')
  await blocked(alice, bob)
  await alice.until(() => presence() === undefined)
  await bob.send('alice', 'one')
  await bob.send('alice', 'two')
  await alice.shows('bob', 'hello', 'one', 'two')
  await alice.send('bob', 'three')
  await bob.shows('alice', 'hello', 'one', 'two', 'three')
  await bob.until(async () =>
    (await bob.messages('alice')).every(each => !each.mine || each.state === 'delivered'),
  )
  const { id } = (await alice.messages('bob')).at(-2) ?? { id: '' }
  await alice.engine.call('read', { peer: 'bob', upTo: id })
  await bob.until(async () =>
    (await bob.messages('alice')).every(each => !each.mine || each.state === 'read'),
  )
  expect(alice.troubles()).toEqual([])
})

test('what is written to devices that have changed is sealed once more', async () => {
  const { alice, bob } = await couple()
  await blocked(alice)
  let refused = 0
  server.lie = (path, answer) => {
    if (path === '/v1/messages' && refused++ === 0) {
      return { status: 409, body: { code: 'device_mismatch', detail: '', missing: ['NEW'], extra: [] } }
    }
    return answer
  }
  await alice.send('bob', 'sealed twice')
  await bob.shows('alice', 'hello', 'sealed twice')
  await alice.until(async () => (await alice.messages('bob')).at(-1)?.state === 'delivered')
  expect(refused).toBe(2)
})

test('the socket is tried again, and taken once it is let through', async () => {
  const { alice, bob } = await couple()
  await blocked(alice)
  const now = performance.now.bind(performance)
  let aheadMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => now() + aheadMs)
  try {
    aheadMs = 60_000
    server.announce('alice', 'bob')
    const before = polls()
    await alice.until(() => polls() > before + 1 && phases(alice).at(-1) === 'polling')
    expect(phases(alice).slice(-4)).toEqual(['polling', 'connecting', 'syncing', 'polling'])
    server.streams = true
    alice.engine.wake() // the browser has another network
    await alice.until(() => alice.online)
  } finally {
    vi.restoreAllMocks()
  }
  await bob.send('alice', 'by socket')
  await alice.shows('bob', 'hello', 'by socket')
})

test('a page of the mailbox without a place for an entry is asked for again', async () => {
  const { alice, bob } = await couple()
  await blocked(alice)
  let broken = 0
  server.lie = (path, answer) => {
    if (path === '/v1/sync' && broken++ === 0) {
      return { status: 200, body: { ...answer.body, entries: [{ type: 'message' }] } }
    }
    return answer
  }
  await bob.send('alice', 'one')
  await alice.until(() => phases(alice).at(-1) === 'offline')
  await alice.until(async () => {
    if (phases(alice).at(-1) === 'offline') {
      alice.engine.wake() // there are two handshakes before the next poll
    }
    return (await alice.texts('bob')).at(-1) === 'one'
  })
  expect(alice.troubles()).toEqual([])
})
