/** The engine against answers and frames that are cut off, too long, or in no form: it says so, and goes on. */

import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { MAX_SERVER_FRAME } from '../../src/core/wire'
import { MAX_ANSWER } from '../../src/engine/transport/answers'
import { type Body, SERVER_NAME } from './server'
import { couple, person, server } from './world'

const DEEP = '['.repeat(100_000)

const BROKEN: [string, Body][] = [
  ['cut off', '{"type": "entries", "entries": [{"type": "mess'],
  ['empty', ''],
  ['bytes', new Uint8Array([0xff, 0xfe, 0])],
  ['endless brackets', DEEP],
  ['longer than any that a server writes', `"${' '.repeat(MAX_SERVER_FRAME)}"`],
  ['entries that are none', { type: 'entries', entries: 'x' }],
  ['an entry that is none', { type: 'entries', entries: [null] }],
  ['an entry without a place', { type: 'entries', entries: [{ type: 'message', prev: 3 }] }],
  ['a number too large for any mailbox', { type: 'entries', entries: [{ type: 'x', seq: 2 ** 53 + 2 }] }],
]

test('a frame that is broken ends the connection, and the next one goes on', async () => {
  const { alice, bob } = await couple()
  for (const [name, frame] of BROKEN) {
    const { opened, closed } = server
    server.write('alice', frame)
    await alice.until(() => !alice.online && server.closed > closed)
    alice.engine.wake()
    await alice.until(() => alice.online && server.opened > opened)
    await bob.send('alice', name)
    await alice.shows(
      'bob',
      'hello',
      ...BROKEN.slice(0, BROKEN.findIndex(each => each[0] === name) + 1).map(each => each[0]),
    )
  }
  expect(alice.troubles()).toEqual([])
})

test('frames of unknown types and forms change nothing', async () => {
  const { alice, bob } = await couple()
  const frames = [1, null, [], 'x', {}, { type: 'later' }, { type: 'accepted', id: 5 }, { type: 'ready' }]
  const more = [
    { type: 'accepted', id: 'never sent', seq: 3, accepted_at_ms: 3 },
    { type: 'bye', code: 5 },
  ]
  for (const frame of [...frames, ...more, { type: 'presence', user: 'bob', state: '__proto__' }]) {
    server.write('alice', JSON.stringify(frame))
  }
  await bob.send('alice', 'still here')
  await alice.shows('bob', 'hello', 'still here')
  expect(alice.troubles()).toEqual([])
})

/** Ways to answer that no server of the contract has. */
const ODD: [string, (response: ServerResponse) => void][] = [
  [
    'cut off',
    response => {
      response.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': '1000' })
      response.write('{"device_keys": {', () => response.destroy())
    },
  ],
  [
    'a problem that is cut off',
    response => {
      response.writeHead(503, { 'Content-Type': 'application/problem+json', 'Content-Length': '1000' })
      response.write('{"code": ', () => response.destroy())
    },
  ],
  ['longer than any', response => response.end(`{"display_name": "bob"${' '.repeat(MAX_ANSWER)}}`)],
  ['endless brackets', response => response.end(DEEP)],
  ['of another shape', response => response.end('{"device_keys": 5}')],
  ['nothing', response => response.destroy()],
  [
    'a redirect',
    response => {
      response.writeHead(302, { Location: 'http://127.0.0.1:1/' })
      response.end()
    },
  ],
]

test.each(ODD)(
  'an answer that is broken is told as one that is none of the server: %s',
  async (_, answer) => {
    const alice = await person('alice')
    server.lie = (path, honest, response) => {
      if (path !== '/v1/users/bob') {
        return honest
      }
      answer(response)
      return null
    }
    await expect(alice.engine.call('open', { peer: 'bob' })).rejects.toMatchObject({ code: 'unavailable' })
    expect(alice.troubles()).toEqual([])
  },
)

test('a query whose answer is cut off is made again', async () => {
  await person('bob')
  const alice = await person('alice')
  let broken = 0
  server.lie = (path, honest, response) => {
    if (path !== '/v1/keys/query' || broken === 1) {
      return honest
    }
    broken++
    ODD[0]?.[1](response)
    return null
  }
  await alice.send('bob', 'hello')
  await alice.until(async () => (await alice.messages('bob'))[0]?.state === 'delivered')
  expect(broken).toBe(1)
  expect(alice.troubles()).toEqual([])
})

test('a connection outlives an answer that is cut off while its token is renewed', async () => {
  const alice = await person('alice')
  let broken = 0
  server.lie = (path, honest, response) => {
    if (path !== '/v1/sessions/refresh' || broken === 1) {
      return honest
    }
    broken++
    ODD[0]?.[1](response)
    return null
  }
  alice.engine.api.tokens.expiresAtMs = 0
  server.write('alice', '{')
  await alice.until(() => !alice.online)
  await alice.until(() => {
    alice.engine.wake()
    return broken === 1 && alice.online
  })
  expect(alice.troubles()).toEqual([])
})

test('a token that names no server is refused', async () => {
  server.lie = (path, answer) => {
    if (path === '/v1/sessions') {
      answer.body.access_token = `h.${'A'.repeat(8)}.alice`
    }
    return answer
  }
  await expect(person('alice')).rejects.toThrow('token')
  expect(SERVER_NAME).not.toBe('')
})
