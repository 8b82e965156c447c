/** Why something could not be done: a code of the registry, or one of the engine's own. */

import { isLater, titleOf } from '../core/codes'

export class RoostError extends Error {
  readonly code: string
  readonly retryAfterS: number | null
  /** Further members of the server's problem document. */
  readonly extra: { [member: string]: unknown }

  constructor(
    code: string,
    detail = titleOf(code),
    retryAfterS: number | null = null,
    extra: { [member: string]: unknown } = {},
  ) {
    super(detail)
    this.code = code
    this.retryAfterS = retryAfterS
    this.extra = extra
  }

  /** Whether the same may succeed later. */
  get later(): boolean {
    return isLater(this.code)
  }
}

/** There was no answer, or not one of a Roost server: it is tried again. */
export class Unavailable extends RoostError {
  constructor(detail: string, retryAfterS: number | null = null) {
    super('unavailable', detail, retryAfterS)
  }
}
