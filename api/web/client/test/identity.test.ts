import { describe, expect, test } from 'vitest'
import { fromBase64, fromUtf8, unpadded, utf8 } from '../src/core/bytes'
import {
  isCrossSigned,
  isVouchedFor,
  masterKeyObject,
  publicIdentity,
  selfSigningKeyObject,
  signDevice,
  verifyIdentity,
} from '../src/core/crypto/identity'
import {
  type DeviceKeys,
  type DeviceSecrets,
  deviceKeysObject,
  publicHalf,
  verifyKey,
} from '../src/core/crypto/keys'
import { formatLinkCode, isGood, openAnswer, parseLinkCode, sealAnswer } from '../src/core/crypto/linkcode'
import { safetyHash, safetyNumber } from '../src/core/crypto/safety'
import vectors from './vectors/identity.json'

const secretsOf = (of: { curve25519: string; ed25519: string }): DeviceSecrets => ({
  curve25519: fromBase64(of.curve25519),
  ed25519: fromBase64(of.ed25519),
})
const keysOf = (secrets: DeviceSecrets, deviceId: string): DeviceKeys => ({
  address: vectors.identity.address,
  deviceId,
  curve25519: publicHalf(secrets.curve25519),
  ed25519: verifyKey(secrets.ed25519),
})

describe('an identity', () => {
  const { address, device, generation } = vectors.identity
  const secrets = { master: fromBase64(vectors.identity.master), generation }
  const own = secretsOf(vectors.identity)
  const published = {
    masterKey: vectors.identity.master_key,
    selfSigningKey: vectors.identity.self_signing_key,
  }

  test('has the keys and signatures that Python makes', () => {
    const found = publicIdentity(secrets)
    expect(unpadded(found.master)).toBe(vectors.identity.public.master)
    expect(unpadded(found.selfSigning)).toBe(vectors.identity.public.self_signing)
    expect(masterKeyObject(secrets, address, device, own)).toEqual(published.masterKey)
    expect(selfSigningKeyObject(secrets, address)).toEqual(published.selfSigningKey)
    const bundle = signDevice(secrets, deviceKeysObject(address, device, own), address)
    expect(bundle).toEqual(vectors.identity.bundle)
  })

  test('is believed, vouched for and signs', () => {
    const found = verifyIdentity(published, address)
    expect(found).toEqual(publicIdentity(secrets))
    expect(isVouchedFor(published.masterKey, address, device, verifyKey(own.ed25519))).toBe(true)
    expect(isVouchedFor(published.masterKey, address, device, found.master)).toBe(false)
    expect(isCrossSigned(vectors.identity.bundle, address, found.selfSigning)).toBe(true)
    expect(isCrossSigned(vectors.identity.bundle, address, found.master)).toBe(false)
    expect(isCrossSigned(deviceKeysObject(address, device, own), address, found.selfSigning)).toBe(false)
  })

  test.each(vectors.refused)('that is wrong is not believed: $name', each => {
    const given = { masterKey: each.master_key, selfSigningKey: each.self_signing_key }
    expect(() => verifyIdentity(given, address)).toThrow()
  })
})

test('safety numbers are those of Python, on both sides', () => {
  const { master, hash, own, theirs, digits, payload } = vectors.safety
  expect(unpadded(safetyHash(fromBase64(master), vectors.identity.address))).toBe(hash)
  expect(safetyNumber(fromBase64(own), fromBase64(theirs))).toEqual({ digits, payload })
  expect(safetyNumber(fromBase64(theirs), fromBase64(own)).digits).toBe(digits)
})

describe('a link code', () => {
  const code = parseLinkCode(vectors.link.code)
  const [old, fresh] = [secretsOf(vectors.link.old), secretsOf(vectors.link.new)]
  const [sealed, proof] = [fromBase64(vectors.link.sealed), fromBase64(vectors.link.proof)]

  test('is read and written as in Python', () => {
    expect(formatLinkCode(code)).toBe(vectors.link.code)
    for (const damaged of vectors.link.damaged) {
      expect(() => parseLinkCode(damaged)).toThrow()
    }
  })

  test('is good for ten minutes', () => {
    const endsMs = code.endsS * 1000
    expect([endsMs - 1, endsMs, endsMs - 20 * 60_000 - 1].map(now => isGood(code, now))).toEqual([
      true,
      false,
      false,
    ])
  })

  test('is answered with the bytes of Python, which open', () => {
    const random = fromBase64(vectors.link.random)
    const answer = sealAnswer(utf8('the answer'), code, keysOf(fresh, 'NEW'), old, random)
    expect([answer.sealed, answer.proof].map(unpadded)).toEqual([vectors.link.sealed, vectors.link.proof])
    expect(fromUtf8(openAnswer(sealed, proof, code, keysOf(old, 'OLD'), fresh))).toBe('the answer')
  })

  test('is not answered by who did not read it', () => {
    const another = { ...code, secret: new Uint8Array(16) }
    expect(() => openAnswer(sealed, proof, another, keysOf(old, 'OLD'), fresh)).toThrow('not from')
    expect(() => openAnswer(sealed, proof, code, keysOf(fresh, 'OLD'), fresh)).toThrow('not from')
  })
})
