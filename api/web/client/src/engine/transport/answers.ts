/**
 * Answers over HTTP: which are the server's, and what they mean.
 *
 * Only an answer in the contract's form counts as the server's. Everything else comes from something in front
 * of it (a proxy, an ingress, the login page of a hotel) and says nothing about the session or a message: it
 * is `Unavailable`, which is tried again.
 */

import { CODES, titleOf } from '../../core/codes'
import { fraction, type Members, members, optional, text } from '../../core/shapes'
import { RoostError, Unavailable } from '../errors'

const PROBLEM = 'application/problem+json'
const TOO_LARGE = 413
const LONGEST_ADVICE_S = 3600
const KNOWN = new Set(['type', 'title', 'status', 'code', 'detail', 'retry_after_s', 'request_id'])

/** Bytes of a request above which a refusal for its size is believed, whoever answers. */
const LARGE = 16 * 1024

/** Bytes of an answer that are read: more than a page of 256 entries at their largest. */
export const MAX_ANSWER = 32 * 1024 * 1024

/** Reads the body of an answer, or throws `Malformed`. */
export type Shape<T> = (body: unknown) => T

/** The shape of an answer without a body (204). */
export const EMPTY: Shape<undefined> = () => undefined

/** Returns what the server says; throws `RoostError` for a problem, `Unavailable` for what is not the server's. */
export async function readAnswer<T>(answer: Response, shape: Shape<T>, sent: number): Promise<T> {
  if (!answer.ok) {
    throw (await problem(answer)) ?? foreign(answer, sent)
  }
  if ((shape as Shape<unknown>) === EMPTY) {
    if (answer.status !== 204) {
      throw foreign(answer, sent)
    }
    return shape(undefined)
  }
  const body = await content(answer)
  try {
    return shape(JSON.parse(body))
  } catch {
    throw foreign(answer, sent)
  }
}

/** The error of a problem document with a code of the registry; null: this is none. */
export async function problem(answer: Response): Promise<RoostError | null> {
  const type = (answer.headers.get('Content-Type') ?? '').split(';')[0]?.trim().toLowerCase()
  if (type !== PROBLEM) {
    return null
  }
  try {
    const found = members(JSON.parse(await content(answer)))
    const code = text(found.code)
    const retryAfterS = optional(found.retry_after_s, fraction)
    const extra: Members = Object.fromEntries(Object.entries(found).filter(([name]) => !KNOWN.has(name)))
    if (!CODES.has(code)) {
      return null
    }
    const advice = retryAfterS === null ? null : Math.min(Math.max(retryAfterS, 0), LONGEST_ADVICE_S)
    return new RoostError(code, optional(found.detail, text) || titleOf(code), advice, extra)
  } catch {
    return null
  }
}

/** The whole body; throws `Unavailable` if it breaks off, or is longer than any answer of the contract. */
async function content(answer: Response): Promise<string> {
  let bytes = 0
  const bounded = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, out) {
      bytes += chunk.length
      if (bytes > MAX_ANSWER) {
        throw new Error('it is too long')
      }
      out.enqueue(chunk)
    },
  })
  try {
    return await new Response(answer.body?.pipeThrough(bounded) ?? null).text()
  } catch (error) {
    throw new Unavailable(`The answer could not be read to its end (${String(error)}).`)
  }
}

/** The error of an answer that is not the server's. */
export function foreign(answer: Response, sent: number): RoostError {
  const said =
    answer.type === 'opaqueredirect'
      ? 'a redirect'
      : `${answer.status}, ${answer.headers.get('Content-Type') ?? 'no content type'}`
  if (answer.status === TOO_LARGE && sent > LARGE) {
    return new RoostError('too_large', `Something before the server takes no ${sent} bytes (${said}).`)
  }
  const advice = answer.headers.get('Retry-After') ?? ''
  const seconds = /^\d+$/.test(advice) ? Math.min(Number(advice), LONGEST_ADVICE_S) : null
  return new Unavailable(`The server did not answer like a Roost server (${said}).`, seconds)
}
