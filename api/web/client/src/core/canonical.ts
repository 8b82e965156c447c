/**
 * The bytes of a JSON object that are signed: sorted members, no spaces, UTF-8, without the signatures.
 *
 * The form of the Matrix specification's "signing JSON". Members are sorted by code points, which is not
 * how `sort` compares (by UTF-16 units).
 */

import { utf8 } from './bytes'

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json }
export type JsonObject = { [member: string]: Json }

const UNSIGNED = new Set(['signatures', 'unsigned'])
const LONE_SURROGATE = /\p{Surrogate}/u

export function canonicalJson(object: JsonObject): Uint8Array {
  const signed = Object.fromEntries(Object.entries(object).filter(([name]) => !UNSIGNED.has(name)))
  return utf8(written(signed))
}

function written(value: Json): string {
  if (typeof value === 'string') {
    return text(value)
  }
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) {
      throw new Error('signed JSON has no fractions, and no integers of 2**53 or more')
    }
    return String(value)
  }
  if (value === null || typeof value === 'boolean') {
    return String(value)
  }
  if (Array.isArray(value)) {
    return `[${value.map(written).join(',')}]`
  }
  const members = Object.keys(value).sort(byCodePoint)
  return `{${members.map(name => `${text(name)}:${written(value[name] as Json)}`).join(',')}}`
}

function text(value: string): string {
  if (LONE_SURROGATE.test(value)) {
    throw new Error('signed JSON is Unicode')
  }
  return JSON.stringify(value)
}

function byCodePoint(a: string, b: string): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const difference = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0)
    if (difference !== 0) {
      return difference
    }
  }
  return left.length - right.length
}
