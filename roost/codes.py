"""The registry of codes: each error word with its HTTP status, WebSocket close code and retry advice.

Exceptions, problem documents, close frames, the SDK's behaviour and ``docs/codes.md`` all
derive from here. Close codes 4000-4499 mean "reconnect", 4500-4999 mean "do not".
"""

from dataclasses import dataclass
from typing import Final, Literal

Retry = Literal["never", "later", "after_fix"]
"""``later``: the same request may succeed after a pause. ``after_fix``: after a change by the client."""


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that can go wrong, as the contract names it.

    Attributes:
        word: Stable snake_case name, the ``code`` of a problem document.
        status: HTTP status.
        close: WebSocket close code, where this ends a stream.
        retry: What a client should do about it.
        title: One sentence for people.
    """

    word: str
    status: int
    retry: Retry
    title: str
    close: int | None = None


def _registry(*codes: Code) -> dict[str, Code]:
    return {code.word: code for code in codes}


CODES: Final = _registry(
    Code("bad_request", 400, "never", "The request is malformed."),
    Code("bad_frame", 400, "never", "The frame is malformed.", close=4500),
    Code("invalid", 422, "never", "A field is not well-formed."),
    Code("invalid_signature", 422, "never", "A signature does not verify."),
    Code("unauthenticated", 401, "after_fix", "There is no valid access token.", close=4600),
    Code("bad_credentials", 401, "never", "Username or password is wrong."),
    Code("token_reused", 401, "never", "This refresh token was used before; its session has been ended."),
    Code("revoked", 401, "never", "The session was ended.", close=4601),
    Code("forbidden", 403, "never", "The token does not allow this."),
    Code("not_found", 404, "never", "There is nothing at this path."),
    Code("unknown_user", 404, "never", "There is no such user."),
    Code("unknown_device", 404, "never", "There is no such device."),
    Code("unknown_message", 404, "never", "There is no such message from this user."),
    Code("unknown_media", 404, "never", "There is no such file."),
    Code("method_not_allowed", 405, "never", "This path does not support the method."),
    Code("username_taken", 409, "never", "The username is taken."),
    Code("device_mismatch", 409, "after_fix", "The payloads do not match the recipient's devices."),
    Code("id_reused", 409, "never", "This message id was already used with different content."),
    Code("id_expired", 409, "after_fix", "The message id is too old or too far ahead of the server's clock."),
    Code("cursor_invalid", 409, "after_fix", "The cursor is not a position in this mailbox.", close=4410),
    Code("key_conflict", 409, "never", "A key with this id was already uploaded with different bytes."),
    Code("already_retried", 409, "never", "The dead letter was written back to its topic before."),
    Code("identity_exists", 409, "after_fix", "The account has another identity."),
    Code("offset_mismatch", 409, "after_fix", "The upload does not go on at this offset."),
    Code("tus_version", 412, "never", "The version of the upload protocol is not supported."),
    Code("media_quota", 413, "after_fix", "The user keeps as many files, or bytes of files, as allowed."),
    Code("too_large", 413, "never", "The request is larger than allowed."),
    Code("headers_too_large", 431, "never", "The request has too many headers, or too long ones."),
    Code("unsupported_media_type", 415, "never", "The body's content type is not supported."),
    Code("range_not_satisfiable", 416, "after_fix", "The range is not within the file."),
    Code("rate_limited", 429, "later", "Too many requests.", close=4429),
    Code("mailbox_full", 429, "later", "The recipient has to fetch or accept earlier messages first."),
    Code("internal", 500, "later", "Something went wrong on the server.", close=4011),
    Code("unavailable", 503, "later", "A part of the system is temporarily unavailable.", close=4001),
    Code("going_away", 503, "later", "The server is stopping; another one takes over.", close=4000),
    Code("too_slow", 408, "later", "The client reads or sends too slowly.", close=4408),
    Code("displaced", 409, "later", "A newer stream of the same device took over.", close=4409),
)
