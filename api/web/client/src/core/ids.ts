/** Identifiers of users, devices and messages. Randomness and time are arguments. */

/** How long the server remembers a message id; an older id is refused. */
export const MESSAGE_ID_WINDOW_MS = 7 * 24 * 3600 * 1000

/** Numbers of a mailbox stay below this, so that a number here holds them exactly. */
export const SEQ_LIMIT = 2 ** 53

const USERNAME = /^[a-z0-9_.]{3,32}$/
const UUID7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** The one spelling of a username; throws if it is none. */
export function foldUsername(text: string): string {
  const folded = text.toLowerCase()
  if (!USERNAME.test(folded)) {
    throw new Error("a username is 3-32 characters of a-z, 0-9, '_' and '.'")
  }
  return folded
}

/** The user's address in signed objects. */
export const addressOf = (username: string, serverName: string): string => `@${username}:${serverName}`

/** A UUIDv7 (RFC 9562, section 5.7) of Unix milliseconds and 10 random bytes. */
export function uuid7(atMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, Math.floor(atMs / 2 ** 32))
  view.setUint32(2, atMs % 2 ** 32)
  bytes.set(random.subarray(0, 10), 6)
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f))
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f))
  const hex = Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

/** The Unix milliseconds inside a canonical UUIDv7; throws if it is none. */
export function uuid7Ms(id: string): number {
  if (!UUID7.test(id)) {
    throw new Error('a message id is a UUIDv7 in lower-case canonical form')
  }
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
