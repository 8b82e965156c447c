import { sha256 } from '@noble/hashes/sha2.js'
import { describe, expect, test } from 'vitest'
import { concat, equal, fromBase64, fromUtf8, unpadded, utf8 } from '../src/core/bytes'
import { canonicalJson, type JsonObject } from '../src/core/canonical'
import { CHUNK, chunkCount, FileBroken, FileOpener, sealChunk, sealedSize } from '../src/core/crypto/files'
import {
  type DeviceKeys,
  type DeviceSecrets,
  deviceKeysObject,
  isWeak,
  publicHalf,
  secretsFrom,
  signBytes,
  signedKey,
  verifies,
  verifyDeviceKeys,
  verifyKey,
} from '../src/core/crypto/keys'
import { pad, paddedLength, unpad } from '../src/core/crypto/padding'
import { type Heading, openSealed, seal, Undecryptable } from '../src/core/crypto/sealed'
import { uuid7, uuid7Ms } from '../src/core/ids'
import { challengeMessage, refreshMessage } from '../src/core/proofs'
import vectors from './vectors/sealed.json'

type Person = Omit<typeof vectors.alice, 'bundle' | 'fallback'> & { bundle: object; fallback: object }

const secretsOf = (person: Person): DeviceSecrets => ({
  curve25519: fromBase64(person.curve25519),
  ed25519: fromBase64(person.ed25519),
})
const keysOf = (person: Person): DeviceKeys => ({
  address: person.address,
  deviceId: person.device,
  curve25519: fromBase64(person.curve25519_public),
  ed25519: fromBase64(person.ed25519_public),
})
const alice: Person = vectors.alice
const bob: Person = vectors.bob
const heading = (id: string, sentAtMs: number): Heading => ({
  sender: alice.address,
  senderDevice: alice.device,
  recipient: bob.address,
  id,
  sentAtMs,
})

describe('keys', () => {
  test.each([alice, bob])('of $address are those of Python', person => {
    const secrets = secretsOf(person)
    expect(unpadded(publicHalf(secrets.curve25519))).toBe(person.curve25519_public)
    expect(unpadded(verifyKey(secrets.ed25519))).toBe(person.ed25519_public)
    expect(deviceKeysObject(person.address, person.device, secrets)).toEqual(person.bundle)
    const fallback = signedKey(publicHalf(secrets.curve25519), person.address, person.device, secrets, true)
    expect(fallback).toEqual(person.fallback)
    expect(verifyDeviceKeys(person.bundle, person.address, person.device)).toEqual(keysOf(person))
  })

  test('a bundle that is another one, changed or incomplete is refused', () => {
    const check = (bundle: unknown) => () => verifyDeviceKeys(bundle, alice.address, alice.device)
    expect(check(bob.bundle)).toThrow('is not that of')
    expect(check({ ...alice.bundle, algorithms: ['other'] })).toThrow('that holds')
    expect(check({ ...alice.bundle, keys: vectors.bob.bundle.keys })).toThrow('a public key')
    expect(check({ ...alice.bundle, signatures: {} })).toThrow('no signature')
    expect(check({ ...alice.bundle, algorithms: Array(4096).fill('x') })).toThrow('at most')
    for (const other of [null, [], 'text', {}, { ...alice.bundle, keys: [] }]) {
      expect(check(other)).toThrow()
    }
  })

  test('members that are not known are no part of what is signed', () => {
    const more = { ...alice.bundle, unsigned: { x: 1 }, later: 'member' }
    expect(verifyDeviceKeys(more, alice.address, alice.device).deviceId).toBe(alice.device)
  })

  test('weak keys are known, whatever their last bit is', () => {
    for (const text of vectors.weak) {
      const key = fromBase64(text)
      expect(isWeak(key)).toBe(true)
      key[31] = (key[31] ?? 0) | 0x80
      expect(isWeak(key)).toBe(true)
      expect(() => seal(new Uint8Array(), heading('x', 1), secretsOf(alice), key, key)).toThrow('usable')
    }
    expect(isWeak(fromBase64(alice.curve25519_public))).toBe(false)
  })

  test('are made of 64 random bytes', () => {
    const random = Uint8Array.from({ length: 64 }, (_, at) => at)
    expect(concat(secretsFrom(random).curve25519, secretsFrom(random).ed25519)).toEqual(random)
    expect(() => secretsFrom(random.subarray(1))).toThrow('64')
  })

  test('what a device signs is what Python signs', () => {
    const seed = fromBase64(alice.ed25519)
    expect(unpadded(signBytes(refreshMessage('rr1.token'), seed))).toBe(vectors.proofs.refresh)
    const challenge = challengeMessage('alice', 'ALICEPHONE012345', 'nonce', 'example.org:8080')
    expect(unpadded(signBytes(challenge, seed))).toBe(vectors.proofs.challenge)
  })

  test('a signature by a key of small order holds for nothing', () => {
    const identity = new Uint8Array(32)
    identity[0] = 1
    expect(verifies(utf8('x'), concat(identity, new Uint8Array(32)), identity)).toBe(false)
  })
})

test.each(vectors.ids)('an id of $at_ms', ({ at_ms, random, id }) => {
  expect(uuid7(at_ms, fromBase64(random))).toBe(id)
  expect(uuid7Ms(id)).toBe(at_ms)
  expect(() => uuid7Ms(id.toUpperCase().replace('-7', '-4'))).toThrow('UUIDv7')
})

test('canonical JSON is that of Python', () => {
  for (const { object, bytes } of vectors.canonical) {
    expect(fromUtf8(canonicalJson(object as JsonObject))).toBe(bytes)
  }
  expect(() => canonicalJson({ a: 0.5 })).toThrow('fractions')
  expect(() => canonicalJson({ a: 2 ** 53 })).toThrow('2**53')
  expect(() => canonicalJson({ a: '\ud800' })).toThrow('Unicode')
})

test('padding', () => {
  for (const [length, padded] of vectors.padding) {
    expect(paddedLength(length as number)).toBe(padded)
  }
  for (const length of [0, 1, 255, 256, 1000]) {
    const data = new Uint8Array(length).fill(0x80)
    expect(unpad(pad(data))).toEqual(data)
  }
  expect(() => unpad(new Uint8Array(256))).toThrow('malformed')
})

describe('sealed.v1', () => {
  test.each(vectors.sealed)('message $id has the bytes that Python opens, and opens', each => {
    const [content, random] = [fromBase64(each.content), fromBase64(each.random)]
    const head = heading(each.id, each.sent_at_ms)
    const payload = seal(content, head, secretsOf(alice), fromBase64(bob.curve25519_public), random)
    expect(unpadded(payload)).toBe(each.payload)
    expect(openSealed(payload, head, secretsOf(bob), keysOf(alice))).toEqual(content)
  })

  test.each(vectors.refused)('$name is refused as $reason', each => {
    const sentAtMs = vectors.sealed[0]?.sent_at_ms ?? 0
    const open = () =>
      openSealed(fromBase64(each.payload), heading(each.id, sentAtMs), secretsOf(bob), keysOf(alice))
    expect(open).toThrow(Undecryptable)
    expect(open).toThrow(expect.objectContaining({ reason: each.reason }))
  })

  test('keys of another device are not those of the sender', () => {
    const each = vectors.sealed[1] as (typeof vectors.sealed)[0]
    const head = heading(each.id, each.sent_at_ms)
    const open = (sender: DeviceKeys) => () =>
      openSealed(fromBase64(each.payload), head, secretsOf(bob), sender)
    expect(open({ ...keysOf(alice), deviceId: 'OTHER' })).toThrow(
      expect.objectContaining({ reason: 'unknown_device' }),
    )
    expect(open({ ...keysOf(alice), ed25519: keysOf(bob).ed25519 })).toThrow(
      expect.objectContaining({ reason: 'bad_signature' }),
    )
  })
})

describe('files', () => {
  const bytesOf = (size: number) => Uint8Array.from({ length: size }, (_, at) => (at * 7 + size) % 251)
  const sealed = (size: number, key: Uint8Array) => {
    const data = bytesOf(size)
    const chunks = Array.from({ length: chunkCount(size) }, (_, index) =>
      sealChunk(data.subarray(index * CHUNK, (index + 1) * CHUNK), index, size, key),
    )
    return concat(...chunks)
  }

  test.each(vectors.files)('of $size bytes are sealed as Python seals them, and open', each => {
    const key = fromBase64(each.key)
    const bytes = sealed(each.size, key)
    expect(bytes.length).toBe(each.sealed_size)
    expect(sealedSize(each.size)).toBe(each.sealed_size)
    expect(unpadded(sha256(bytes))).toBe(each.sha256)
    expect(unpadded(bytes.subarray(0, 64))).toBe(each.begins)
    expect(unpadded(bytes.subarray(-64))).toBe(each.ends)
    const opener = new FileOpener(key, each.size, fromBase64(each.sha256))
    const opened: Uint8Array[] = []
    for (let at = 0; at < bytes.length; at += 50_000) {
      opened.push(opener.feed(bytes.subarray(at, at + 50_000)))
    }
    opener.finish()
    expect(equal(concat(...opened), bytesOf(each.size))).toBe(true)
  })

  test('that were altered, cut, swapped or continued do not open', () => {
    const key = bytesOf(32)
    const bytes = sealed(150_000, key)
    const digest = sha256(bytes)
    const open = (given: Uint8Array, sha = digest) => {
      const opener = new FileOpener(key, 150_000, sha)
      opener.feed(given)
      opener.finish()
    }
    open(bytes)
    const altered = bytes.slice()
    altered[70_000] = (altered[70_000] ?? 0) ^ 1
    const piece = CHUNK + 16
    const swapped = concat(
      bytes.subarray(piece, 2 * piece),
      bytes.subarray(0, piece),
      bytes.subarray(2 * piece),
    )
    for (const bad of [altered, swapped, bytes.subarray(0, -1), concat(bytes, new Uint8Array(1))]) {
      expect(() => open(bad)).toThrow(FileBroken)
    }
    expect(() => open(bytes, bytesOf(32))).toThrow('not the one that was sent')
  })
})
