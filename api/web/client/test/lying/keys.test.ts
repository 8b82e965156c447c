/** The engine against an attacker's server: what it says of people's keys is shown or refused. */

import { expect, test } from 'vitest'
import { masterKeyObject, selfSigningKeyObject } from '../../src/core/crypto/identity'
import { type Answered, addressAt } from './server'
import { couple, GHOST, ghost, MALLORY, type Person, person, server } from './world'

const BOB = addressAt('bob')

/** Changes what is said of people's keys. */
function lie(change: (answer: Answered['body']) => void): void {
  server.lie = (path, answer) => {
    if (path === '/v1/keys/query') {
      change(answer.body)
    }
    return answer
  }
}

async function nothingIsSent(alice: Person): Promise<void> {
  const [taken, asked] = [server.sealedTo.length, server.asked.length]
  await alice.send('bob', "to Bob's browser alone")
  server.announce('alice', 'bob')
  await alice.until(() => server.asked.slice(asked).includes('/v1/keys/query'))
  expect(server.sealedTo.length).toBe(taken)
  expect((await alice.messages('bob')).at(-1)?.state).toBe('sending')
}

test('keys that the server swaps are shown and not used', async () => {
  const { alice } = await couple()
  const device = server.deviceOf('bob')
  lie(answer => {
    answer.device_keys[BOB] = { [device]: ghost('bob', device) }
  })
  server.announce('alice', 'bob')
  await alice.until(() => alice.alerts().includes(`identity_changed bob ${device}`))
  expect(await alice.trust('bob')).toBe('changed')
  await nothingIsSent(alice)
})

test.each([
  ['unsigned', null],
  ['signed by the server', MALLORY],
])('a device that the server adds is shown: %s', async (_, by) => {
  const { alice } = await couple()
  lie(answer => {
    answer.device_keys[BOB].GHOST = ghost('bob', 'GHOST', by)
  })
  server.announce('alice', 'bob')
  await alice.until(() => alice.alerts().includes('device_added bob GHOST'))
  expect(await alice.trust('bob')).toBe('unconfirmed')
})

test('nothing is sent to an added device until the person agrees, if they want it so', async () => {
  const { alice } = await couple()
  const kept = await alice.engine.call('profile', { holdNewDevices: true })
  expect(kept.holdNewDevices).toBe(true)
  await alice.reload()
  lie(answer => {
    answer.device_keys[BOB].GHOST = ghost('bob')
  })
  server.announce('alice', 'bob')
  await alice.until(() => alice.alerts().includes('device_added bob GHOST'))
  expect(await alice.trust('bob')).toBe('held')
  await nothingIsSent(alice)
  const sent = server.sealedTo.length
  await alice.engine.call('trust', { peer: 'bob' })
  await alice.until(() => server.sealedTo.length > sent)
  expect(server.sealedTo.at(-1)?.to).toContain('GHOST')
  expect(await alice.trust('bob')).toBe('unconfirmed')
})

test('a device that the server has from the first sight on is shown', async () => {
  await person('bob')
  const alice = await person('alice')
  lie(answer => {
    if (BOB in answer.device_keys) {
      answer.device_keys[BOB].GHOST = ghost('bob')
    }
  })
  await alice.send('bob', 'hello')
  await alice.until(() => alice.alerts().includes('device_added bob GHOST'))
  expect(await alice.trust('bob')).toBe('unconfirmed')
})

test('a device that the server adds to oneself is shown', async () => {
  const { alice } = await couple()
  lie(answer => {
    if (addressAt('alice') in answer.device_keys) {
      answer.device_keys[addressAt('alice')].GHOST = ghost('alice')
    }
  })
  server.announce('alice', 'alice')
  await alice.until(() => alice.alerts().includes('device_added alice GHOST'))
})

test('an identity that the server replaces is shown and not used', async () => {
  const { alice } = await couple()
  expect(await alice.trust('bob')).toBe('verified')
  lie(answer => {
    answer.device_keys[BOB] = { GHOST: ghost('bob', 'GHOST', MALLORY) }
    answer.master_keys[BOB] = masterKeyObject(MALLORY, BOB, 'GHOST', GHOST)
    answer.self_signing_keys[BOB] = selfSigningKeyObject(MALLORY, BOB)
  })
  server.announce('alice', 'bob')
  await alice.until(() => alice.alerts().includes('identity_changed bob '))
  expect(await alice.trust('bob')).toBe('changed')
  await nothingIsSent(alice)
})

test('an identity that the server withholds still counts', async () => {
  const { alice } = await couple()
  lie(answer => {
    answer.master_keys = {}
    answer.self_signing_keys = {}
    answer.device_keys[BOB].GHOST = ghost('bob')
  })
  server.announce('alice', 'bob')
  await alice.until(() => alice.alerts().includes('device_added bob GHOST'))
  expect(await alice.trust('bob')).toBe('unconfirmed')
})

test('an identity that is none is not used, and the one before counts', async () => {
  const { alice } = await couple()
  lie(answer => {
    answer.master_keys[BOB] = { ...answer.master_keys[BOB], keys: { 'ed25519:x': 'x' } }
  })
  const asked = server.asked.length
  server.announce('alice', 'bob')
  await alice.until(() => server.asked.slice(asked).includes('/v1/keys/query'))
  expect(await alice.trust('bob')).toBe('verified')
})

test('keys in another shape than the contract end no query for good', async () => {
  const { alice, bob } = await couple()
  const answers = [5, []]
  let given = 0
  lie(answer => {
    if (given < answers.length) {
      answer.device_keys[BOB] = answers[given]
      given++
    }
  })
  server.announce('alice', 'bob')
  await alice.until(() => given === answers.length)
  await alice.send('bob', 'still here')
  await bob.shows('alice', 'hello', 'still here')
  expect(alice.troubles()).toEqual([])
})

test('the server signs in the person who asked', async () => {
  await person('bob')
  server.lie = (path, answer) => {
    if (path === '/v1/sessions') {
      answer.body.username = 'bob'
    }
    return answer
  }
  await expect(person('alice')).rejects.toThrow('another person')
})
