/** The account of this device: made, signed in, kept; its keys published. */

import { concat, fromBase64, fromUtf8, type Random, unpadded, utf8 } from '../core/bytes'
import {
  type DeviceSecrets,
  deviceKeysObject,
  KEY_BYTES,
  ONE_TIME_KEY,
  publicHalf,
  secretsFrom,
  signedKey,
  verifyKey,
} from '../core/crypto/keys'
import { addressOf, foldUsername } from '../core/ids'
import { members, text } from '../core/shapes'
import { RoostError, Unavailable } from './errors'
import type { OwnIdentity } from './identity/own'
import type { Store } from './store/port'
import { EMPTY } from './transport/answers'
import { type Api, sessionAnswer, type Tokens } from './transport/api'
import type { Vault } from './vault'

const KEYS = 96

/** Everything of one device but its messages. */
export interface Account {
  username: string
  serverName: string
  userId: string
  deviceId: string
  secrets: DeviceSecrets
  /** Private half of the fallback key. */
  fallback: Uint8Array
  /** That of the one before, which may still be in use; empty: there was none. */
  fallbackBefore: Uint8Array
  /** Private half of this person's identity; null: this device is not linked. */
  identity: OwnIdentity | null
  /** The server has this device's keys. */
  published: boolean
  /** Somebody has ended the session: the password is needed. */
  over: boolean
}

interface AccountRow extends Omit<Account, 'secrets' | 'fallback' | 'fallbackBefore' | 'identity'> {
  /** Private keys, sealed by the vault. */
  keys: Uint8Array
  before: Uint8Array
  generation: number
  identityPublished: boolean
}

/** Keeps the account and its tokens, private halves sealed. */
export class Accounts {
  constructor(
    private readonly store: Store,
    private readonly vault: Vault | null,
  ) {}

  async load(): Promise<Account | null> {
    const row = await this.store.read(transaction => transaction.get<AccountRow>('meta', 'account'))
    if (row === undefined) {
      return null
    }
    const { keys, before, generation, identityPublished, ...rest } = row
    const plain = await this.opened('account', keys)
    const [secrets, fallback, master] = [plain.slice(0, 64), plain.slice(64, KEYS), plain.slice(KEYS)]
    const identity = master.length === 0 ? null : { master, generation, published: identityPublished }
    const fallbackBefore = await this.opened('fallback_before', before)
    return { ...rest, secrets: secretsFrom(secrets), fallback, fallbackBefore, identity }
  }

  async save(account: Account): Promise<void> {
    const { secrets, fallback, fallbackBefore, identity, ...rest } = account
    const master = identity?.master ?? new Uint8Array()
    const plain = concat(secrets.curve25519, secrets.ed25519, fallback, master)
    const row: AccountRow = {
      ...rest,
      keys: await this.sealed('account', plain),
      before: await this.sealed('fallback_before', fallbackBefore),
      generation: identity?.generation ?? 1,
      identityPublished: identity?.published ?? false,
    }
    await this.store.write(transaction => transaction.put('meta', row, 'account'))
  }

  async loadTokens(): Promise<Tokens | null> {
    const row = await this.store.read(transaction => transaction.get<Uint8Array>('meta', 'tokens'))
    return row === undefined ? null : JSON.parse(fromUtf8(await this.opened('tokens', row)))
  }

  async saveTokens(tokens: Tokens): Promise<void> {
    const sealed = await this.sealed('tokens', utf8(JSON.stringify(tokens)))
    await this.store.write(transaction => transaction.put('meta', sealed, 'tokens'))
  }

  private sealed(name: string, plain: Uint8Array): Promise<Uint8Array> {
    return this.vault === null ? Promise.resolve(plain) : this.vault.seal(name, plain)
  }

  private opened(name: string, sealed: Uint8Array): Promise<Uint8Array> {
    return this.vault === null ? Promise.resolve(sealed) : this.vault.open(name, sealed)
  }
}

/** Makes the account on the server. */
export async function register(
  api: Api,
  username: string,
  password: string,
  displayName: string,
): Promise<void> {
  const name = displayName === '' ? {} : { display_name: displayName }
  const body = { username: named(username), password, ...name }
  await api.bare('POST', '/v1/accounts', answer => text(members(answer).username), { body })
}

/** Starts a session, whose refreshes the device signs; a known device of this user stays the same. */
export async function signIn(
  api: Api,
  known: Account | null,
  given: { username: string; password: string; deviceName: string; random: Random },
): Promise<Account> {
  const secrets = known?.secrets ?? secretsFrom(given.random(64))
  const device = known === null ? { device: { name: given.deviceName } } : { device_id: known.deviceId }
  const body = {
    username: named(given.username),
    password: given.password,
    signed_refresh: true,
    signing_key: unpadded(verifyKey(secrets.ed25519)),
    ...device,
  }
  const answer = await api.bare('POST', '/v1/sessions', sessionAnswer, { body })
  const isOther = answer.username !== body.username || (known !== null && answer.deviceId !== known.deviceId)
  if (isOther) {
    throw new Unavailable('The server answered for another person, or another device, than signs in.')
  }
  const account: Account = known ?? {
    username: answer.username,
    serverName: issuer(answer.accessToken),
    userId: answer.userId,
    deviceId: answer.deviceId,
    secrets,
    fallback: given.random(32),
    fallbackBefore: new Uint8Array(),
    identity: null,
    published: false,
    over: false,
  }
  account.over = false
  api.signer = { ...account }
  await api.adopt(answer)
  return account
}

/** Removes a device of an account that may have no more: logs in as it, which takes the password, and deletes it. */
export async function makeRoom(
  api: Api,
  given: { username: string; password: string },
  device: string,
): Promise<void> {
  const body = { username: named(given.username), password: given.password, device_id: device }
  const { accessToken: token } = await api.bare('POST', '/v1/sessions', sessionAnswer, { body })
  await api.bare('DELETE', `/v1/devices/${encodeURIComponent(device)}`, EMPTY, { token })
}

/** Uploads this device's signed bundle and fallback key; a repeat is harmless. */
export async function publishKeys(api: Api, account: Account): Promise<void> {
  const { username, serverName, deviceId, secrets } = account
  const keys = deviceKeysObject(addressOf(username, serverName), deviceId, secrets)
  await api.call('POST', '/v1/keys/upload', uploaded, {
    body: { device_keys: keys, fallback_keys: signedFallback(account) },
  })
  account.published = true
}

/** Uploads another fallback key in place of one that was given out; the one before is kept. */
export async function renewFallback(
  api: Api,
  account: Account,
  random: Random,
  save: () => Promise<void>,
): Promise<void> {
  account.fallbackBefore = account.fallback
  account.fallback = random(KEY_BYTES)
  await save()
  await api.call('POST', '/v1/keys/upload', uploaded, { body: { fallback_keys: signedFallback(account) } })
}

const uploaded = (answer: unknown) => members(members(answer).one_time_key_counts)

/** The fallback key by its id, which is a part of the key: no two have the same. */
function signedFallback({ username, serverName, deviceId, secrets, fallback }: Account) {
  const key = publicHalf(fallback)
  const signed = signedKey(key, addressOf(username, serverName), deviceId, secrets, true)
  return { [`${ONE_TIME_KEY}:${unpadded(key.subarray(0, 8))}`]: signed }
}

/** The one spelling of a username, or the error that a page shows. */
export function named(username: string): string {
  try {
    return foldUsername(username)
  } catch (error) {
    throw new RoostError('invalid', error instanceof Error ? `${error.message}.` : undefined)
  }
}

/** The issuer of a token is the server's name; it is only read, the server is who checks it. */
function issuer(token: string): string {
  try {
    const claims = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/')
    return text(members(JSON.parse(fromUtf8(fromBase64(claims)))).iss)
  } catch {
    throw new Unavailable('The server gave a token that is none: is this its address?')
  }
}
