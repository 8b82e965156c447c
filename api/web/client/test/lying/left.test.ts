/** The session was ended from elsewhere: what is kept stays, and goes only if the person says so. */

import { expect, test } from 'vitest'
import { locked } from '../../src/engine/identity/locked'
import { couple, type Person, person, server } from './world'

async function ended(alice: Person): Promise<void> {
  server.mailbox('alice').stream?.close(4601)
  await alice.until(() => alice.notices.some(each => each.type === 'profile' && each.profile === null))
}

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
const left = async (one: Person) => (await one.engine.call('attach', undefined)).left
const as = (username: string) => ({ username, password: 'a password', displayName: username })

test('the messages are there for the person who comes back', async () => {
  const { alice } = await couple()
  expect(await left(alice)).toBe(null)
  await ended(alice)
  expect(await left(alice)).toEqual({ username: 'alice', messages: 1 })
  await alice.engine.call('signIn', as('alice'))
  expect(await alice.texts('bob')).toEqual(['hello'])
  expect(await left(alice)).toBe(null)
})

test('another person removes them only on purpose, and only once signed in', async () => {
  const { alice } = await couple()
  await ended(alice)
  for (const forget of [{}, { forget: 'bob' }]) {
    for (const command of ['signIn', 'signUp'] as const) {
      await expect(alice.engine.call(command, { ...as('carol'), ...forget })).rejects.toMatchObject({
        code: 'other_history',
      })
    }
  }
  expect(server.asked.filter(path => path === '/v1/accounts').length).toBe(2)
  server.lie = (path, answer) =>
    path === '/v1/sessions' ? { status: 401, body: { code: 'bad_credentials', detail: '' } } : answer
  await expect(alice.engine.call('signIn', { ...as('carol'), forget: 'alice' })).rejects.toMatchObject({
    code: 'bad_credentials',
  })
  expect(await left(alice)).toEqual({ username: 'alice', messages: 1 })
  server.lie = (_, answer) => answer
  await alice.engine.call('signUp', { ...as('carol'), forget: 'alice' })
  expect(await alice.texts('bob')).toEqual([])
  await alice.engine.call('signOut', undefined)
  expect(await left(alice)).toBe(null)
})

test('they can be exported first, and imported elsewhere with the passphrase alone', async () => {
  const { alice } = await couple()
  await ended(alice)
  const passphrase = 'correct horse battery'
  const plain = await alice.engine.call('exportHistory', { passphrase: '' })
  const file = await alice.engine.call('exportHistory', { passphrase })
  expect(await plain.text()).toContain('"peer":"bob"')
  expect(await file.text()).not.toContain('bob')
  await alice.engine.call('signUp', { ...as('carol'), forget: 'alice' })
  await alice.engine.call('signOut', undefined)
  await alice.engine.call('signIn', as('alice'))
  const imported = (given: Blob, by: string) =>
    alice.engine.call('importHistory', { file: given, passphrase: by })
  const cheap = await locked(plain, passphrase, random, { n: 2 ** 10, r: 8, p: 1 })
  await expect(imported(cheap, '')).rejects.toMatchObject({ code: 'locked' })
  await expect(imported(cheap, 'incorrect horse')).rejects.toMatchObject({ code: 'locked' })
  const head = JSON.parse((await file.text()).split('\n')[0] as string)
  expect(head).toMatchObject({ kdf: 'scrypt', n: 2 ** 17, r: 8, p: 1 })
  const costly = new Blob([`${JSON.stringify({ ...head, n: 2 ** 24 })}\n`])
  await expect(imported(costly, passphrase)).rejects.toMatchObject({ code: 'invalid' })
  expect(await imported(cheap, passphrase)).toEqual({ messages: 1 })
  expect(await imported(plain, '')).toEqual({ messages: 0 })
  expect(await alice.texts('bob')).toEqual(['hello'])
}, 60_000) // 128 MiB of scrypt

test('a mark goes along to where the messages are imported', async () => {
  const alice = await person('alice')
  const line = {
    peer: 'bob',
    author: 'bob',
    device: 'GHOST',
    at_ms: 2,
    sent_at_ms: 1,
    seq: 3,
    expires_at_ms: null,
  }
  const content = Buffer.from('{"v":1,"kind":"text","text":"I am Bob"}')
    .toString('base64')
    .replaceAll('=', '')
  const message = {
    type: 'message',
    ...line,
    id: '01a22645-8234-7403-bf70-610a8caae36d',
    content,
    unconfirmed: true,
  }
  const head = { type: 'roost.archive', version: 1, user: '@alice:lying.example', made_at_ms: 1 }
  const lines = [head, message, { type: 'end' }].map(each => `${JSON.stringify(each)}\n`)
  await alice.engine.call('importHistory', { file: new Blob(lines), passphrase: '' })
  expect((await alice.messages('bob')).map(each => each.unconfirmed)).toEqual([true])
  const again = await alice.engine.call('exportHistory', { passphrase: '' })
  expect(await again.text()).toContain('"unconfirmed":true')
})
