/** Why something could not be done: a code of the registry, or one of the engine's own. */

import type { RemovableDevice } from '../app/contract'
import { isLater, titleOf } from '../core/codes'
import { list, members, text, whole } from '../core/shapes'

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

/** The devices of which one has to go before another can come; none: it was refused for something else. */
export function removable(refusal: RoostError): RemovableDevice[] {
  if (refusal.code !== 'too_large') {
    return []
  }
  try {
    return list(refusal.extra.devices).map(device => {
      const found = members(device)
      return { id: text(found.device_id), name: text(found.name), createdAtMs: whole(found.created_at_ms) }
    })
  } catch {
    return [] // something else was too large
  }
}
