/** Bytes and their text forms: UTF-8, and the unpadded base64 of the wire. */

export type Random = (length: number) => Uint8Array

const encoder = new TextEncoder()
const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const lenient = new TextDecoder('utf-8', { ignoreBOM: true })

export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** Decodes UTF-8; throws if it is none. */
export const fromUtf8 = (bytes: Uint8Array): string => strict.decode(bytes)

/** Decodes UTF-8 with replacement characters for what is none. */
export const shownUtf8 = (bytes: Uint8Array): string => lenient.decode(bytes)

export function concat(...parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at])
}

const BLOCK = 0x2000 // arguments of one call

export function unpadded(bytes: Uint8Array): string {
  let text = ''
  for (let at = 0; at < bytes.length; at += BLOCK) {
    text += String.fromCharCode(...bytes.subarray(at, at + BLOCK))
  }
  return btoa(text).replace(/=+$/, '')
}

/** Unpadded base64 in the alphabet for URLs. */
export const urlBase64 = (bytes: Uint8Array): string =>
  unpadded(bytes).replaceAll('+', '-').replaceAll('/', '_')

/** Decodes it; throws if it is none. */
export function fromUrlBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) {
    throw new Error('not base64 for URLs')
  }
  return fromBase64(text.replaceAll('-', '+').replaceAll('_', '/'))
}

/** Decodes standard base64, with or without padding; throws if it is none. */
export function fromBase64(text: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.replace(/=+$/, '').length % 4 === 1) {
    throw new Error('binary values are standard base64')
  }
  return Uint8Array.from(atob(text.replace(/=+$/, '')), char => char.charCodeAt(0))
}
