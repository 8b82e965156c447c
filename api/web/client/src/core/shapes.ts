/** Strict readers of JSON that others wrote: each returns a value of its type, or throws. */

import { SEQ_LIMIT } from './ids'

export type Members = { [member: string]: unknown }

/** Something that is not in the form that it should have. */
export class Malformed extends Error {}

export function members(value: unknown): Members {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Malformed('not an object')
  }
  return value as Members
}

export function text(value: unknown): string {
  if (typeof value !== 'string') {
    throw new Malformed('not a text')
  }
  return value
}

export function oneOf<T extends string>(value: unknown, ...allowed: T[]): T {
  if (!allowed.includes(value as T)) {
    throw new Malformed(`not one of ${allowed.join(', ')}`)
  }
  return value as T
}

export function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) {
    throw new Malformed('not a list')
  }
  return value
}

/** A whole number that a JavaScript number holds exactly. */
export function whole(value: unknown): number {
  if (!Number.isSafeInteger(value)) {
    throw new Malformed('not a whole number')
  }
  return value as number
}

/** A number of a mailbox. */
export function seqOf(value: unknown): number {
  const seq = whole(value)
  if (seq < 0 || seq >= SEQ_LIMIT) {
    throw new Malformed('not a number of a mailbox')
  }
  return seq
}

export function flag(value: unknown): boolean {
  if (typeof value !== 'boolean') {
    throw new Malformed('not true or false')
  }
  return value
}

export function fraction(value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new Malformed('not a number')
  }
  return value
}

/** Reads a member that may be missing, or null. */
export function optional<T>(value: unknown, read: (value: unknown) => T): T | null {
  return value === undefined || value === null ? null : read(value)
}
