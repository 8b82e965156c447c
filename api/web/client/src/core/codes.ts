/**
 * The registry of codes: what a word of the server means for a client.
 *
 * The same as `roost/codes.py`, which the vectors in `test/vectors/wire.json` are written from.
 */

/** `later`: the same request may succeed after a pause. `after_fix`: after a change by the client. */
export type Retry = 'never' | 'later' | 'after_fix'

export const CODES: ReadonlyMap<string, { retry: Retry; title: string }> = new Map(
  Object.entries({
    bad_request: { retry: 'never', title: 'The request is malformed.' },
    bad_frame: { retry: 'never', title: 'The frame is malformed.' },
    invalid: { retry: 'never', title: 'A field is not well-formed.' },
    invalid_signature: { retry: 'never', title: 'A signature does not verify.' },
    unauthenticated: { retry: 'after_fix', title: 'There is no valid access token.' },
    bad_credentials: { retry: 'never', title: 'Username or password is wrong.' },
    token_reused: {
      retry: 'never',
      title: 'This refresh token was used before; its session has been ended.',
    },
    revoked: { retry: 'never', title: 'The session was ended.' },
    forbidden: { retry: 'never', title: 'The token does not allow this.' },
    not_found: { retry: 'never', title: 'There is nothing at this path.' },
    unknown_user: { retry: 'never', title: 'There is no such user.' },
    unknown_device: { retry: 'never', title: 'There is no such device.' },
    unknown_message: { retry: 'never', title: 'There is no such message from this user.' },
    unknown_media: { retry: 'never', title: 'There is no such file.' },
    method_not_allowed: { retry: 'never', title: 'This path does not support the method.' },
    username_taken: { retry: 'never', title: 'The username is taken.' },
    device_mismatch: { retry: 'after_fix', title: "The payloads do not match the recipient's devices." },
    id_reused: { retry: 'never', title: 'This message id was already used with different content.' },
    id_expired: {
      retry: 'after_fix',
      title: "The message id is too old or too far ahead of the server's clock.",
    },
    cursor_invalid: { retry: 'after_fix', title: 'The cursor is not a position in this mailbox.' },
    key_conflict: { retry: 'never', title: 'A key with this id was already uploaded with different bytes.' },
    already_retried: { retry: 'never', title: 'The dead letter was written back to its topic before.' },
    identity_exists: { retry: 'after_fix', title: 'The account has another identity.' },
    offset_mismatch: { retry: 'after_fix', title: 'The upload does not go on at this offset.' },
    tus_version: { retry: 'never', title: 'The version of the upload protocol is not supported.' },
    media_quota: {
      retry: 'after_fix',
      title: 'The user keeps as many files, or bytes of files, as allowed.',
    },
    too_large: { retry: 'never', title: 'The request is larger than allowed.' },
    headers_too_large: { retry: 'never', title: 'The request has too many headers, or too long ones.' },
    unsupported_media_type: { retry: 'never', title: "The body's content type is not supported." },
    range_not_satisfiable: { retry: 'after_fix', title: 'The range is not within the file.' },
    rate_limited: { retry: 'later', title: 'Too many requests.' },
    mailbox_full: { retry: 'later', title: 'The recipient has to fetch or accept earlier messages first.' },
    internal: { retry: 'later', title: 'Something went wrong on the server.' },
    unavailable: { retry: 'later', title: 'A part of the system is temporarily unavailable.' },
    going_away: { retry: 'later', title: 'The server is stopping; another one takes over.' },
    too_slow: { retry: 'later', title: 'The client reads or sends too slowly.' },
    displaced: { retry: 'later', title: 'A newer stream of the same device took over.' },
  }),
)

/** Words of close codes. */
export const CLOSED: ReadonlyMap<number, string> = new Map([
  [4000, 'going_away'],
  [4001, 'unavailable'],
  [4011, 'internal'],
  [4408, 'too_slow'],
  [4409, 'displaced'],
  [4410, 'cursor_invalid'],
  [4429, 'rate_limited'],
  [4500, 'bad_frame'],
  [4600, 'unauthenticated'],
  [4601, 'revoked'],
])

export const titleOf = (code: string): string => CODES.get(code)?.title ?? code

/** Returns whether a word says that the same request may succeed later. */
export const isLater = (code: string): boolean => CODES.get(code)?.retry === 'later'

/** Words after which a device has to sign in again. */
export const SESSION_OVER: ReadonlySet<string> = new Set(['revoked', 'token_reused', 'bad_credentials'])
